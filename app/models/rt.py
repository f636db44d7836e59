"""What radiotherapy files: structure sets and their ROIs; and what objects refer to."""

from typing import Any, Self

from django.db import models
from django.db.models import Q

from .catalogue import DICOMInstance, DICOMSeries, DICOMStudy, Patient
from .searched import Searched, SearchTextField


class RTStructureSetInformation(Searched):
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
    search_text = SearchTextField("structure_set_label", "structure_set_name", "structure_set_date")

    class Meta:
        verbose_name = "structure set"

    def __str__(self) -> str:
        return f"Structure set {self.dicom_instance_id}"


class HasShortName(models.Func):
    """Whether a ROI's name is as short as the Standard has it; its index holds those alone.

    PostgreSQL's would refuse longer ones. Without parameters, as a database compares it with the
    condition of the index.
    """

    template = "LENGTH(%(expressions)s) <= 64"
    output_field = models.BooleanField()

    def __init__(self, name: Any = "roi_name", **extra: Any) -> None:
        super().__init__(name, **extra)


LONGEST_NAME = 64  # characters: a Long String of PS3.5 Table 6.2-1


class RTStructureROI(Searched):
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
    # Distinct images that its contours name, or else distinct planes.
    slice_count = models.PositiveIntegerField("slices", default=0, db_default=0)
    # Its column lies behind the contours, which SQLite reads on its way there: lists leave it out.
    search_text = SearchTextField("roi_name")
    # JSON text, not jsonb: [{"type": .., "points": [x, y, z, ..] in mm, "sop": ..}, ..]
    roi_contour_data = models.TextField("contours as JSON", default="[]")

    class Meta:
        verbose_name = "structure"
        indexes = (
            models.Index(
                fields=["roi_name"], condition=Q(HasShortName()), name="roi_names_but_long_ones"
            ),
            # Lists read both here: on SQLite the columns themselves lie behind the contours.
            models.Index(fields=["rt_structure_set", "slice_count"], name="roi_set_and_slices"),
        )

    def __str__(self) -> str:
        return f"ROI {self.roi_number}"

    @property
    def rgb(self) -> str:
        """Its colour as "255, 0, 10"; "" where it has none."""
        parts = self.roi_display_color
        if not isinstance(parts, list) or len(parts) != 3:
            return ""
        return ", ".join(str(int(part)) for part in parts)


class LinkKind(models.TextChoices):
    """What a link leads to."""

    FRAME_OF_REFERENCE = "frame", "Frame of reference"
    STUDY = "study", "Study"
    SERIES = "series", "Series"
    IMAGE = "image", "Image"


class FoundBy(models.TextChoices):
    """How a link's target was found."""

    UID = "uid", "UID"


class LinkQuerySet(models.QuerySet["Link"]):
    def open(self) -> Self:
        """Those whose target is not here."""
        return self.filter(IS_OPEN)

    def closed(self) -> Self:
        """Those whose target is here."""
        return self.exclude(IS_OPEN)


# By no value of its own, which as a parameter could keep a database from the partial index.
IS_OPEN = Q(instance__isnull=True, series__isnull=True, study__isnull=True)


class Link(models.Model):
    """One distinct thing that an object refers to by its UID; see `catalogue.links`.

    Its target is looked for within the same patient. The keys of targets have no constraint: who
    writes them, or deletes what they lead to, holds the patient's row.
    """

    source = models.ForeignKey(DICOMInstance, on_delete=models.CASCADE, related_name="links")
    # The source's; it goes with its sources.
    patient = models.ForeignKey(
        Patient, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    kind = models.CharField(max_length=8, choices=LinkKind)
    target_uid = models.CharField("target UID", max_length=128, blank=True)
    frame_number = models.PositiveIntegerField(default=0)  # of an image; 0: the whole object
    found_by = models.CharField(max_length=8, choices=FoundBy, blank=True)
    reason = models.CharField(max_length=32, blank=True)  # why it is open: of reasons.LINKS
    # One of them leads to the target. Of a frame of reference it is a series that lies in it.
    instance = models.ForeignKey(
        DICOMInstance,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="links_here",
        db_index=False,
        db_constraint=False,
    )
    series = models.ForeignKey(
        DICOMSeries,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="links_here",
        db_index=False,
        db_constraint=False,
    )
    study = models.ForeignKey(
        DICOMStudy,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="links_here",
        db_index=False,
        db_constraint=False,
    )

    objects = LinkQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # who may see the source sees them
        indexes = (
            # What arrives looks for the open ones, what goes for those that lead to it.
            models.Index(fields=["target_uid"], condition=IS_OPEN, name="link_open"),
            models.Index(fields=["source"], condition=IS_OPEN, name="link_open_of_source"),
            *(
                models.Index(
                    fields=[name], condition=Q((f"{name}__isnull", False)), name=f"link_to_{name}"
                )
                for name in ("instance", "series", "study")
            ),
        )

    def __str__(self) -> str:
        return f"Link {self.pk}"
