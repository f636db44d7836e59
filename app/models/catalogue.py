"""What is filed: patients, studies, series, instances, and where images lie."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from app.dicom.records import LONGEST_PLANES, READ_VERSION

from .searched import Searched, SearchTextField
from .uploads import BroughtQuerySet, DICOMFile


class InstanceQuerySet(BroughtQuerySet):
    def read_by_older(self) -> Self:
        """Those that an older version of ICON read: see `manage.py reread`."""
        return self.filter(read_version__lt=READ_VERSION)


class Counted(models.Model):
    """A table whose rows know what lies below them.

    Kept in the transaction that adds, replaces or deletes an object; `verify_catalogue` counts.
    """

    instance_count = models.PositiveIntegerField("objects", default=0, db_default=0, editable=False)
    # Of those, the ones that have pixels.
    image_count = models.PositiveIntegerField("images", default=0, db_default=0, editable=False)
    total_size = models.PositiveBigIntegerField(
        "size", default=0, db_default=0, editable=False
    )  # bytes, of the files
    last_added_at = models.DateTimeField("added", null=True, blank=True, editable=False)

    class Meta:
        abstract = True


class IdentityAnswer(models.TextChoices):
    """What somebody said of the identities that one Patient ID came with."""

    ONE = "one", "One person"
    TWO = "two", "Two people"


class Patient(Counted, Searched):
    """One patient: a Patient ID, or one study that came without any."""

    unique_patient_id = models.CharField("patient ID", max_length=256, blank=True)
    folder = models.CharField(max_length=96, unique=True, editable=False)
    patient_name = models.CharField("name", max_length=1024, blank=True)
    patient_dob = models.DateField("birth date", null=True, blank=True)
    patient_sex = models.CharField("sex", max_length=16, blank=True)
    issuer_of_patient_id = models.CharField(
        "issuer of patient ID", max_length=256, blank=True, default="", db_default=""
    )
    # One of its identities is open; see `PatientIdentity`.
    identity_differs = models.BooleanField(
        "two people?",
        default=False,
        help_text="An upload gave another name, birth date, sex or issuer for this ID.",
    )
    identity_answer = models.CharField(
        "what was said",
        max_length=8,
        choices=IdentityAnswer,
        blank=True,
        default="",
        db_default="",
        editable=False,
    )
    identity_answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )
    # The user's name at that time, which stays when the user is deleted.
    identity_answered_as = models.CharField(
        max_length=150, blank=True, default="", db_default="", editable=False
    )
    identity_answered_at = models.DateTimeField(null=True, blank=True, editable=False)
    # attribute -> the read version that gave it; see DICOMInstance.
    read_versions = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), editable=False
    )
    study_count = models.PositiveIntegerField("studies", default=0, db_default=0, editable=False)
    last_study_date = models.DateField("last study", null=True, blank=True, editable=False)
    # Of its series, each once, in order: "CT, RTSTRUCT".
    modalities = models.CharField(
        max_length=256, blank=True, default="", db_default="", editable=False
    )
    created_at = models.DateTimeField("first seen", auto_now_add=True)
    search_text = SearchTextField("unique_patient_id", "patient_name", "patient_dob")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("unique_patient_id",),
                condition=~Q(unique_patient_id=""),
                name="patient_id_unique_where_given",
            ),
        )
        # Lists count what they can be narrowed to from it alone.
        indexes = (models.Index(fields=["modalities"], name="patients_of_modalities"),)
        permissions = (("answer_identity", "Can say whether an ID is one person"),)

    def __str__(self) -> str:
        return f"Patient {self.pk}"

    def further_texts(self) -> list[str]:
        """The other names that the ID came with."""
        if not self.pk:
            return []
        others = self.identities.exclude(patient_name=self.patient_name).order_by("pk")
        return [*dict.fromkeys(others.values_list("patient_name", flat=True))]

    @property
    def is_two_people(self) -> bool:
        """Whether somebody said so."""
        return self.identity_answer == IdentityAnswer.TWO


class PatientIdentity(models.Model):
    """Name, birth date, sex and issuer as objects of one patient give them together."""

    patient = models.ForeignKey(  # found by the constraint below
        Patient, on_delete=models.CASCADE, related_name="identities", db_index=False
    )
    digest = models.CharField(max_length=64, editable=False)  # of the values
    patient_name = models.CharField("name", max_length=1024, blank=True)
    patient_dob = models.DateField("birth date", null=True, blank=True)
    patient_sex = models.CharField("sex", max_length=16, blank=True)
    issuer_of_patient_id = models.CharField("issuer of patient ID", max_length=256, blank=True)
    # It differs from the patient's, and nobody has said yet whether that is one person.
    is_open = models.BooleanField(default=False, db_default=False)
    first_upload = models.ForeignKey(
        DICOMFile, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField("first seen", auto_now_add=True, db_default=Now())

    class Meta:
        verbose_name_plural = "patient identities"
        default_permissions = ()  # who may see patients sees them
        constraints = (
            models.UniqueConstraint(
                fields=("patient", "digest"), name="identity_unique_in_patient"
            ),
        )

    def __str__(self) -> str:
        return f"Identity {self.pk}"


class DICOMStudy(Counted, Searched):
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="studies")
    study_instance_uid = models.CharField("study instance UID", max_length=128, db_index=True)
    study_date = models.DateField(null=True, blank=True)
    study_time = models.TimeField(null=True, blank=True)
    study_description = models.CharField(max_length=1024, blank=True)
    accession_number = models.CharField(max_length=64, blank=True, db_index=True)
    study_id = models.CharField("study ID", max_length=64, blank=True)
    uid_shared = models.BooleanField(
        "under two patients",
        default=False,
        help_text="The same study UID is catalogued under another patient, too.",
    )
    # attribute -> when the upload that gave it was started, and the read version: the
    # later-started upload wins; see `catalogue.parents.mark`.
    described = models.JSONField(default=dict, editable=False)
    incomplete_series: int = 0  # where `completeness.note_incomplete` has looked
    picture: int = 0  # the series whose thumbnail to show; see `catalogue.thumbnails`
    no_picture: str = ""  # why there is none, in a sentence
    series_count = models.PositiveIntegerField("series", default=0, db_default=0, editable=False)
    # Of its series, each once, in order: "CT, RTSTRUCT".
    modalities = models.CharField(
        max_length=256, blank=True, default="", db_default="", editable=False
    )
    created_at = models.DateTimeField("first seen", auto_now_add=True)
    search_text = SearchTextField("study_description", "accession_number", "study_id", "study_date")

    class Meta:
        verbose_name = "study"
        verbose_name_plural = "studies"
        constraints = (
            models.UniqueConstraint(
                fields=("patient", "study_instance_uid"), name="study_unique_in_patient"
            ),
        )
        indexes = (models.Index(fields=["modalities"], name="studies_of_modalities"),)

    def __str__(self) -> str:
        return f"Study {self.study_instance_uid}"


class DICOMSeries(Counted, Searched):
    dicom_study = models.ForeignKey(DICOMStudy, on_delete=models.CASCADE, related_name="series")
    series_instance_uid = models.CharField("series instance UID", max_length=128, db_index=True)
    modality = models.CharField(max_length=16, blank=True)
    series_number = models.BigIntegerField(null=True, blank=True)
    series_description = models.CharField(max_length=1024, blank=True)
    series_date = models.DateField(null=True, blank=True)
    body_part_examined = models.CharField(max_length=64, blank=True)
    frame_of_reference_uid = models.CharField("frame of reference UID", max_length=128, blank=True)
    institution_name = models.CharField(
        "institution", max_length=256, blank=True, default="", db_default=""
    )
    manufacturer = models.CharField(max_length=256, blank=True, default="", db_default="")
    manufacturer_model_name = models.CharField(
        "model", max_length=256, blank=True, default="", db_default=""
    )
    station_name = models.CharField("station", max_length=64, blank=True, default="", db_default="")
    # Of PET: BQML is Bq/ml. The standard has it in a series, not in an image.
    units = models.CharField(max_length=64, blank=True, default="", db_default="")
    described = models.JSONField(default=dict, editable=False)  # as in DICOMStudy
    picture: int = 0  # itself, where a thumbnail is to be shown; see `catalogue.thumbnails`
    no_picture: str = ""  # why there is none, in a sentence
    # How often its objects have changed: what is derived from them says from which state.
    changes = models.BigIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField("first seen", auto_now_add=True)
    search_text = SearchTextField("series_description", "body_part_examined", "series_date")

    class Meta:
        verbose_name = "series"
        verbose_name_plural = "series"
        constraints = (
            models.UniqueConstraint(
                fields=("dicom_study", "series_instance_uid"), name="series_unique_in_study"
            ),
        )
        indexes = (  # of what lists are narrowed to
            models.Index(fields=["institution_name", "dicom_study"], name="series_of_institution"),
            models.Index(fields=["body_part_examined", "dicom_study"], name="series_of_body_part"),
        )

    def __str__(self) -> str:
        return f"Series {self.series_instance_uid}"


class DICOMInstance(models.Model):
    """One DICOM object, filed under the processed root at `path`."""

    dicom_series = models.ForeignKey(
        DICOMSeries, on_delete=models.CASCADE, related_name="instances"
    )
    sop_instance_uid = models.CharField("SOP instance UID", max_length=128)
    sop_class_uid = models.CharField("SOP class UID", max_length=128, blank=True)
    transfer_syntax_uid = models.CharField("transfer syntax UID", max_length=128, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    instance_number = models.BigIntegerField(null=True, blank=True)
    rows = models.PositiveIntegerField(null=True, blank=True)  # pixels
    columns = models.PositiveIntegerField(null=True, blank=True)  # pixels
    number_of_frames = models.PositiveIntegerField(null=True, blank=True)
    path = models.CharField(max_length=512)  # relative to the processed root
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField("SHA-256", max_length=64)
    # SHA-256 of the versions that were replaced; their files are kept under .superseded.
    superseded = models.JSONField(
        default=list, db_default=Value([], models.JSONField()), editable=False
    )
    # None where it was read before identities were kept. Without index and constraint, since a
    # batch's objects nearly all have the same; `catalogue.identities` sees that it is there.
    identity = models.ForeignKey(
        PatientIdentity,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        editable=False,
        related_name="instances",
        db_index=False,
        db_constraint=False,
    )
    # `app.dicom.records.READ_VERSION` of the code whose reading the row is.
    read_version = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    upload = models.ForeignKey(
        DICOMFile, on_delete=models.SET_NULL, null=True, blank=True, related_name="instances"
    )
    created_at = models.DateTimeField("filed", auto_now_add=True, db_default=Now())

    objects = InstanceQuerySet.as_manager()

    class Meta:
        verbose_name = "instance"
        permissions = (("download_dicominstance", "Can download images and other objects"),)
        constraints = (
            # The UID first: the same index then also finds an instance by its UID alone.
            models.UniqueConstraint(
                fields=("sop_instance_uid", "dicom_series"), name="instance_unique_in_series"
            ),
        )

    def __str__(self) -> str:
        return f"Instance {self.sop_instance_uid}"


class ImageManager(models.Manager["ImageInformation"]):
    """Images without `frame_planes`, which may be megabytes: that is fetched where it is asked for.

    Who joins images to other rows (`select_related`) leaves it out there.
    """

    def get_queryset(self) -> models.QuerySet["ImageInformation"]:
        return super().get_queryset().defer("frame_planes")


class ImageInformation(models.Model):
    """Where and how a CT, MR or PET image lies, and what tells it from others of its series.

    PS3.3 C.7.6.1 (image type, acquisition), C.7.6.2 and C.7.6.16 (plane), C.8.2.1 and C.8.3.1.
    Image Type and what tells of the acquisition are here, not on the instance, though the
    standard has them for other images, too: what asks for them shows CT, MR and PET, and the
    rows of all other objects stay short.
    """

    dicom_instance = models.OneToOneField(
        DICOMInstance, on_delete=models.CASCADE, related_name="image_information"
    )
    instance_number = models.BigIntegerField(null=True, blank=True)
    slice_location = models.FloatField(null=True, blank=True)  # mm
    slice_thickness = models.FloatField(null=True, blank=True)  # mm
    pixel_spacing = models.JSONField(null=True, blank=True)  # [between rows, between columns], mm
    patient_position = models.CharField(max_length=16, blank=True)
    image_position_patient = models.JSONField(null=True, blank=True)  # [x, y, z], mm
    image_orientation_patient = models.JSONField(null=True, blank=True)  # six direction cosines
    image_type = models.CharField(
        max_length=256, blank=True, default="", db_default=""
    )  # ORIGINAL\PRIMARY\AXIAL
    acquisition_number = models.BigIntegerField(null=True, blank=True)
    acquisition_date = models.DateField(null=True, blank=True)
    acquisition_time = models.TimeField(null=True, blank=True)
    echo_time = models.FloatField(null=True, blank=True)  # ms
    trigger_time = models.FloatField(null=True, blank=True)  # ms
    temporal_position_identifier = models.BigIntegerField(
        "temporal position", null=True, blank=True
    )
    diffusion_b_value = models.FloatField("b-value", null=True, blank=True)  # s/mm2
    stack_id = models.CharField("stack ID", max_length=64, blank=True, default="", db_default="")
    spacing_between_slices = models.FloatField(null=True, blank=True)  # mm
    rescale_type = models.CharField(max_length=64, blank=True, default="", db_default="")
    # Where each frame of an enhanced image lies: JSON text of `app.dicom.records.FramePlanes`.
    # The last column, so that SQLite reads a row's others without it.
    frame_planes = models.TextField(
        max_length=LONGEST_PLANES, blank=True, default="", db_default="", editable=False
    )

    objects = ImageManager()

    class Meta:
        verbose_name = "image"
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"Image {self.dicom_instance_id}"


class FileToDelete(models.Model):
    """A file whose row was deleted, until it is unlinked."""

    # Below the processed root; a kept archive's is absolute.
    path = models.CharField(max_length=512, unique=True)
    sop_instance_uid = models.CharField(max_length=128, blank=True)  # "" for superseded versions

    def __str__(self) -> str:
        return f"File to delete {self.pk}"
