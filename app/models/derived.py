"""What is computed from stored objects, beside them: it can be thrown away and made anew."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .catalogue import DICOMSeries
from .rt import RTStructureSetInformation


class DerivingTurn(models.Model):
    """A worker's turn to make what is to be made: one row, which each of them asks for."""

    until = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)  # a sweep, for what nobody makes

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return "Turn to derive"


class DerivedCount(models.Model):
    """How much of one kind there was when it was counted last; see `derived.making`."""

    kind = models.CharField(primary_key=True, max_length=32)
    made = models.PositiveBigIntegerField()
    to_be_made = models.PositiveBigIntegerField()
    failed = models.PositiveBigIntegerField()
    counted_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Count of {self.kind}"


class Derived(models.Model):
    """A row that was made from others, by a version of a method."""

    version = models.PositiveSmallIntegerField(editable=False)
    # It could not be made, and will not be tried again until what it is made from changes.
    failed = models.BooleanField(default=False, editable=False)
    made_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


class DerivedOfRow(Derived):
    """What was made of one row of a table that counts its `changes`."""

    changes = models.BigIntegerField(editable=False)  # how many there were when it was made

    class Meta:
        abstract = True


class Verdict(models.TextChoices):
    """Whether all slices of a series are here, as far as they themselves tell."""

    COMPLETE = "complete", "complete"
    INCOMPLETE = "incomplete", "incomplete"
    UNKNOWN = "", "cannot be told"


class SeriesCompleteness(DerivedOfRow):
    """Gaps and doubles among the slices of a series; see `app.catalogue.completeness`."""

    series = models.OneToOneField(
        DICOMSeries, on_delete=models.CASCADE, primary_key=True, related_name="completeness"
    )
    verdict = models.CharField(max_length=16, choices=Verdict, blank=True, editable=False)
    # What was found, to be shown: `app.catalogue.completeness.Found`.
    found = models.JSONField(default=dict, editable=False)

    class Meta:
        default_permissions = ()  # who may see series sees it
        indexes = (
            models.Index(
                fields=("series",),
                condition=Q(verdict=Verdict.INCOMPLETE),
                name="completeness_incomplete",
            ),
        )

    def __str__(self) -> str:
        return f"Completeness of series {self.series_id}"


class SeriesThumbnail(DerivedOfRow):
    """A small picture of a series' middle slice, in a file; or why there is none."""

    # Without a constraint, for code that deletes series and does not know this table: it runs on
    # while its migration is applied.
    series = models.OneToOneField(
        DICOMSeries,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="thumbnail",
        db_constraint=False,
    )
    size = models.PositiveIntegerField(default=0, editable=False)  # bytes of the disk
    digest = models.CharField(max_length=64, blank=True, editable=False)  # SHA-256 of the file
    why_not = models.CharField(max_length=64, blank=True, editable=False)  # a reason's code

    class Meta:
        default_permissions = ()  # who may see the pictures sees it
        indexes = (  # which were made first, and how much all take
            models.Index(fields=("made_at", "size"), name="thumbnails_by_age"),
        )

    def __str__(self) -> str:
        return f"Thumbnail of series {self.series_id}"


class StructureSetContours(Derived):
    """The contours of a structure set as they are drawn, or why there are none."""

    structure_set = models.OneToOneField(
        RTStructureSetInformation,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="contours",
        db_constraint=False,  # as of `SeriesThumbnail`
    )
    sha256 = models.CharField("SHA-256", max_length=64, editable=False)  # of the object then
    why_not = models.CharField(max_length=64, blank=True, editable=False)  # a reason's code
    facts = models.JSONField(default=dict, editable=False)  # that its sentence names
    # Last, since they may be megabytes: JSON of `app.dicom.drawn.Drawing`, and its points.
    words = models.BinaryField(default=bytes)
    values = models.BinaryField(default=bytes)

    class Meta:
        default_permissions = ()  # who may see structures sees it

    def __str__(self) -> str:
        return f"Contours of structure set {self.structure_set_id}"


class VolumeOfDay(Derived):
    """What uploads brought that ended on one day."""

    day = models.DateField(primary_key=True)
    uploads = models.PositiveIntegerField(default=0)
    files = models.PositiveBigIntegerField(default=0)  # in their ZIPs
    instances = models.PositiveBigIntegerField(default=0)  # imported

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Volume of {self.day}"
