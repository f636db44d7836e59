"""The tables, and what one row can do."""

import os
import uuid
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from app.dicom.records import READ_VERSION

LOG_LINES = 1_000


ARCHIVES = "archives"  # below the media root


def random_archive_name(instance: "DICOMFile", filename: str) -> str:
    """Where an upload is kept: a random name, since the user's own may identify a patient."""
    return f"{ARCHIVES}/{uuid.uuid4().hex}.zip"


class Status(models.TextChoices):
    PENDING = "pending", "Pending"
    IN_PROGRESS = "in_progress", "In Progress"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class Stage(models.TextChoices):
    INITIALIZE = "initialize", "Initialize"
    EXTRACT = "extract", "Extract"
    PROCESS = "process", "Process"
    CLEANUP = "cleanup", "Cleanup"
    FINALIZE = "finalize", "Finalize"


class Outcome(models.TextChoices):
    IMPORTED = "imported", "Imported"
    DUPLICATE = "duplicate", "Already here"
    CONFLICT = "conflict", "Conflict"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"


LOG = "processing_log_data"  # up to 1,000 lines, which no list needs


class DICOMFileQuerySet(models.QuerySet["DICOMFile"]):
    def queued(self) -> Self:
        return self.filter(processing_status=Status.PENDING, queued_at__isnull=False)

    def in_progress(self) -> Self:
        return self.filter(processing_status=Status.IN_PROGRESS)

    def live(self) -> Self:
        """What can still change without anybody pressing a button."""
        return self.queued() | self.in_progress()

    def needing_attention(self) -> Self:
        """As `DICOMFile.needs_attention` says of one row."""
        ended_badly = Q(failed_count__gt=0) | Q(conflict_count__gt=0)
        completed = Q(processing_status=Status.COMPLETED) & ended_badly
        return self.filter(Q(processing_status=Status.FAILED) | completed)

    def in_turn(self) -> Self:
        """The one that waits longest first."""
        return self.order_by("queued_at", "pk")

    def without_log(self) -> Self:
        return self.defer(LOG)


class BroughtQuerySet(models.QuerySet[Any]):
    """Rows that know the upload which brought them."""

    def with_upload(self) -> Self:
        return self.select_related("upload").defer(f"upload__{LOG}")


class InstanceQuerySet(BroughtQuerySet):
    def read_by_older(self) -> Self:
        """Those that an older version of ICON read: see `manage.py reread`."""
        return self.filter(read_version__lt=READ_VERSION)


class DICOMFile(models.Model):
    """An uploaded archive: a ZIP of DICOM, not one DICOM object."""

    file = models.FileField("ZIP archive", upload_to=random_archive_name)
    original_name = models.CharField(max_length=255, blank=True, editable=False)
    size = models.PositiveBigIntegerField(default=0, editable=False)  # bytes
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField("uploaded", auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    processing_status = models.CharField(
        "status", max_length=16, choices=Status, default=Status.PENDING, editable=False
    )
    stopped = models.BooleanField(default=False, editable=False)  # cancelled, not started again
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)  # last told the broker
    task_id = models.CharField(max_length=64, blank=True, editable=False)
    date_processing_started = models.DateTimeField(null=True, blank=True, editable=False)
    date_processing_completed = models.DateTimeField(null=True, blank=True, editable=False)

    run_id = models.CharField(max_length=32, blank=True, editable=False)
    run_started_at = models.DateTimeField(null=True, blank=True, editable=False)  # the last run
    done_before_run = models.PositiveIntegerField(default=0, editable=False)  # files
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    cancel_requested = models.BooleanField(default=False, editable=False)
    use_versions = models.BooleanField(default=False, editable=False)  # its conflicts replace

    stage = models.CharField(max_length=16, choices=Stage, blank=True, editable=False)
    percent = models.PositiveSmallIntegerField(default=0, editable=False)
    member_count = models.PositiveIntegerField("files", default=0, editable=False)
    imported_count = models.PositiveIntegerField("imported", default=0, editable=False)
    duplicate_count = models.PositiveIntegerField("already here", default=0, editable=False)
    conflict_count = models.PositiveIntegerField("conflicts", default=0, editable=False)
    skipped_count = models.PositiveIntegerField("skipped", default=0, editable=False)
    failed_count = models.PositiveIntegerField("failed", default=0, editable=False)
    warning_count = models.PositiveIntegerField("with warnings", default=0, editable=False)
    stored_words = models.CharField(max_length=200, blank=True, editable=False)  # once completed
    failure_reason = models.CharField(max_length=32, blank=True, editable=False)  # a code
    failure_detail = models.CharField(max_length=500, blank=True, editable=False)  # its sentence
    processing_log_data = models.JSONField("processing log", default=list, editable=False)

    objects = DICOMFileQuerySet.as_manager()

    class Meta:
        verbose_name = "DICOM file"
        ordering = ("-created_at", "-pk")
        permissions = (("process_dicomfile", "Can process DICOM file"),)
        indexes = (
            models.Index(fields=("processing_status", "queued_at"), name="dicomfile_status_queued"),
            models.Index(fields=("-created_at", "-id"), name="dicomfile_newest"),
        )

    def __str__(self) -> str:
        return f"Upload {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("upload_result", args=[self.pk])

    @property
    def name(self) -> str:
        """As people call it; `str` has no names, since it goes into logs."""
        return self.original_name or str(self)

    def sync_archive(self) -> None:
        """Make the archive and its name durable, before its row says that it is here."""
        path = Path(self.file.path)
        for one in (path, path.parent):
            fd = os.open(one, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many members ended in each outcome, in the ledger's order."""
        return {outcome.value: getattr(self, f"{outcome.value}_count") for outcome in Outcome}

    @property
    def files_done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def is_queued(self) -> bool:
        return self.processing_status == Status.PENDING and self.queued_at is not None

    @property
    def is_live(self) -> bool:
        """Whether anything can still change without somebody pressing a button."""
        return self.is_queued or self.processing_status == Status.IN_PROGRESS

    @property
    def needs_attention(self) -> bool:
        ended_badly = self.failed_count or self.conflict_count
        return self.processing_status == Status.FAILED or (
            self.processing_status == Status.COMPLETED and bool(ended_badly)
        )

    @property
    def status_label(self) -> str:
        """The status as people see it."""
        if self.is_queued:
            return "Queued"
        if self.processing_status == Status.PENDING and self.stopped:
            return "Pending (stopped)"
        if self.processing_status == Status.COMPLETED and self.needs_attention:
            return "Completed, needs attention"
        return self.get_processing_status_display()

    def refusal(self, use_versions: bool = False) -> str:
        """The code of why it cannot be queued now; "" where it can be.

        With `use_versions`: so that its conflicting members replace the catalogued versions.
        """
        if self.processing_status == Status.IN_PROGRESS:
            return "in_progress"
        if self.is_queued:
            return "already_queued"
        if not self.file:
            return "zip_removed"
        if use_versions and not self.conflict_count:
            return "nothing_in_conflict"
        is_done = self.processing_status == Status.COMPLETED and not self.failed_count
        return "nothing_failed" if is_done and not use_versions else ""


class Patient(models.Model):
    """One patient: a Patient ID, or one study that came without any."""

    unique_patient_id = models.CharField("patient ID", max_length=256, blank=True)
    folder = models.CharField(max_length=96, unique=True, editable=False)
    patient_name = models.CharField("name", max_length=1024, blank=True)
    patient_dob = models.DateField("birth date", null=True, blank=True)
    patient_sex = models.CharField("sex", max_length=16, blank=True)
    identity_differs = models.BooleanField(
        "two people?",
        default=False,
        help_text="An upload gave another name, birth date or sex for this ID.",
    )
    # attribute -> the read version that gave it; see DICOMInstance.
    read_versions = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), editable=False
    )
    created_at = models.DateTimeField("first seen", auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("unique_patient_id",),
                condition=~Q(unique_patient_id=""),
                name="patient_id_unique_where_given",
            ),
        )

    def __str__(self) -> str:
        return f"Patient {self.pk}"


class DICOMStudy(models.Model):
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
    created_at = models.DateTimeField("first seen", auto_now_add=True)

    class Meta:
        verbose_name = "DICOM study"
        verbose_name_plural = "DICOM studies"
        constraints = (
            models.UniqueConstraint(
                fields=("patient", "study_instance_uid"), name="study_unique_in_patient"
            ),
        )

    def __str__(self) -> str:
        return f"Study {self.study_instance_uid}"


class DICOMSeries(models.Model):
    dicom_study = models.ForeignKey(DICOMStudy, on_delete=models.CASCADE, related_name="series")
    series_instance_uid = models.CharField("series instance UID", max_length=128, db_index=True)
    modality = models.CharField(max_length=16, blank=True)
    series_number = models.BigIntegerField(null=True, blank=True)
    series_description = models.CharField(max_length=1024, blank=True)
    series_date = models.DateField(null=True, blank=True)
    body_part_examined = models.CharField(max_length=64, blank=True)
    frame_of_reference_uid = models.CharField("frame of reference UID", max_length=128, blank=True)
    described = models.JSONField(default=dict, editable=False)  # as in DICOMStudy
    created_at = models.DateTimeField("first seen", auto_now_add=True)

    class Meta:
        verbose_name = "DICOM series"
        verbose_name_plural = "DICOM series"
        constraints = (
            models.UniqueConstraint(
                fields=("dicom_study", "series_instance_uid"), name="series_unique_in_study"
            ),
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
    # `app.dicom.records.READ_VERSION` of the code whose reading the row is.
    read_version = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    upload = models.ForeignKey(
        DICOMFile, on_delete=models.SET_NULL, null=True, blank=True, related_name="instances"
    )
    created_at = models.DateTimeField("filed", auto_now_add=True, db_default=Now())

    objects = InstanceQuerySet.as_manager()

    class Meta:
        verbose_name = "DICOM instance"
        constraints = (
            # The UID first: the same index then also finds an instance by its UID alone.
            models.UniqueConstraint(
                fields=("sop_instance_uid", "dicom_series"), name="instance_unique_in_series"
            ),
        )

    def __str__(self) -> str:
        return f"Instance {self.sop_instance_uid}"


class ImageInformation(models.Model):
    """Where and how a CT, MR or PET image lies: PS3.3 C.7.6.2 and C.7.6.16."""

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

    class Meta:
        verbose_name = "image information"
        verbose_name_plural = "image information"

    def __str__(self) -> str:
        return f"Image {self.dicom_instance_id}"


class RTStructureSetInformation(models.Model):
    """An RT Structure Set: PS3.3 A.19 and C.8.8.5."""

    dicom_instance = models.OneToOneField(
        DICOMInstance, on_delete=models.CASCADE, related_name="rt_structure_set"
    )
    structure_set_label = models.CharField("label", max_length=64, blank=True)
    structure_set_name = models.CharField("name", max_length=1024, blank=True)
    structure_set_date = models.DateField("date", null=True, blank=True)
    approval_status = models.CharField(max_length=16, blank=True)
    number_of_roi = models.PositiveIntegerField("number of ROIs", default=0)
    referenced_frame_of_reference_uid = models.JSONField(
        "referenced frame of reference UIDs", default=list
    )
    referenced_series_instance_uid = models.JSONField(
        "referenced series instance UIDs", default=list
    )
    referenced_sop_count = models.PositiveIntegerField("referenced objects", default=0)

    class Meta:
        verbose_name = "RT structure set"

    def __str__(self) -> str:
        return f"Structure set {self.dicom_instance_id}"


class RTStructureROI(models.Model):
    """One item of the Structure Set ROI Sequence, with its contours: PS3.3 C.8.8.5 and C.8.8.6."""

    rt_structure_set = models.ForeignKey(
        RTStructureSetInformation, on_delete=models.CASCADE, related_name="rois"
    )
    roi_number = models.BigIntegerField("ROI number", null=True, blank=True)
    roi_name = models.CharField("ROI name", max_length=1024, blank=True)
    rt_roi_interpreted_type = models.CharField("interpreted type", max_length=64, blank=True)
    roi_generation_algorithm = models.CharField("generation", max_length=64, blank=True)
    roi_display_color = models.JSONField("colour", null=True, blank=True)  # [red, green, blue]
    contour_count = models.PositiveIntegerField("contours", default=0)
    # JSON text, not jsonb: [{"type": .., "points": [x, y, z, ..] in mm, "sop": ..}, ..]
    roi_contour_data = models.TextField("contours as JSON", default="[]")

    class Meta:
        verbose_name = "ROI"

    def __str__(self) -> str:
        return f"ROI {self.roi_number}"


class ArchiveMember(models.Model):
    """The ledger: what became of one non-directory member of an upload.

    `index` is the member's place in the ZIP's directory, from 0; `inner` is 0 for the member
    itself and 1, 2, … for what a ZIP in that place held.
    """

    upload = models.ForeignKey(  # found by the indexes below
        DICOMFile, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    index = models.PositiveIntegerField()
    inner = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=1024, blank=True)
    size = models.PositiveBigIntegerField()  # bytes, unpacked
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome)
    reason = models.CharField(max_length=32, blank=True)  # a code of app.reasons
    detail = models.CharField(max_length=1000, blank=True)  # its sentence
    instance = models.ForeignKey(
        DICOMInstance, on_delete=models.SET_NULL, null=True, blank=True, related_name="members"
    )

    objects = BroughtQuerySet.as_manager()

    class Meta:
        verbose_name = "archive member"
        constraints = (
            models.UniqueConstraint(
                fields=("upload", "index", "inner"), name="member_unique_in_upload"
            ),
        )
        indexes = (
            models.Index(
                fields=("upload", "outcome", "index", "inner"), name="member_upload_outcome"
            ),
        )

    def __str__(self) -> str:
        return f"Member {self.index}" + (f".{self.inner}" if self.inner else "")


class FileToDelete(models.Model):
    """A file whose row was deleted, until it is unlinked."""

    # Below the processed root; a kept archive's is absolute.
    path = models.CharField(max_length=512, unique=True)
    sop_instance_uid = models.CharField(max_length=128, blank=True)  # "" for superseded versions

    def __str__(self) -> str:
        return f"File to delete {self.pk}"


class SignInTries(models.Model):
    """How often signing in was tried of late: by a user, from an address, or by one from the other.

    A name that no user has is not kept; see `app.accounts.throttle`.
    """

    key = models.CharField(max_length=96, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True
    )
    address = models.CharField(max_length=64, blank=True)
    tries = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now)
    locked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "failed sign-in"
        ordering = ("-since", "-pk")

    def __str__(self) -> str:
        return f"Failed sign-ins {self.pk}"


class WorkerSeen(models.Model):
    """When a worker was last there: one row, which each of them keeps writing."""

    seen_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return "Worker seen"


class CatalogueCheck(models.Model):
    """One run of the catalogue's check, and what it found."""

    started_at = models.DateTimeField("started", auto_now_add=True)
    ended_at = models.DateTimeField("ended", null=True, blank=True)
    instance_count = models.PositiveIntegerField("instances", default=0)
    violation_count = models.PositiveIntegerField("violations", default=0)
    older_count = models.PositiveIntegerField("read by an older version", default=0, db_default=0)
    violations = models.JSONField(default=list)  # sentences, at most LOG_LINES
    # How far it came, and who is at it: see app.health.nightly.
    part = models.CharField(max_length=16, default="", db_default="", blank=True, editable=False)
    reached = models.CharField(
        max_length=512, default="", db_default="", blank=True, editable=False
    )
    run_id = models.CharField(max_length=32, default="", db_default="", blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "catalogue check"
        ordering = ("-started_at", "-pk")

    def __str__(self) -> str:
        return f"Check of {self.started_at:%Y-%m-%d}"
