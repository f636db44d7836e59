"""The structures of one structure set, and what is odd about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db.models import Case, Count, F, QuerySet, Value, When
from django.db.models.functions import Length

from app.catalogue.links import summaries
from app.models import DICOMSeries, LinkKind, RTStructureROI, RTStructureSetInformation
from app.reasons import sentence

from .finding import SHOWN

NOUNS = {
    LinkKind.FRAME_OF_REFERENCE: ("frame of reference", "frames of reference"),
    LinkKind.STUDY: ("study", "studies"),
    LinkKind.SERIES: ("series", "series"),
    LinkKind.IMAGE: ("image", "images"),
}
SERIES = 20  # that are named; a structure set may refer to any number
# Points are few and short; what is longer has an outline somewhere, or is not worth a look.
POINTS, POINTS_TEXT = 20, 10_000


class _Kind(msgspec.Struct):
    type: str | None = None


_kinds_of = msgspec.json.Decoder(list[_Kind]).decode


@dataclass(frozen=True)
class Line:
    """A structure in the table of its set."""

    roi: RTStructureROI
    is_point: bool  # its contours are points and nothing else
    is_repeated: bool  # another of the set has its number

    slices: int

    @property
    def is_empty(self) -> bool:
        return not self.roi.contour_count

    @property
    def state(self) -> str:
        """What is odd about it: "points only, number repeated"; "" where nothing is."""
        shape = "no contours" if self.is_empty else "points only" if self.is_point else ""
        return ", ".join(filter(None, (shape, "number repeated" if self.is_repeated else "")))


def rois_of(structure_set: RTStructureSetInformation) -> QuerySet[RTStructureROI]:
    """By number, those without contours at the end."""
    is_empty = Case(When(contour_count=0, then=Value(1)), default=Value(0))
    number = F("roi_number").asc(nulls_last=True)
    return SHOWN.filter(rt_structure_set=structure_set).order_by(is_empty, number, "pk")


def lines_of(
    structure_set: RTStructureSetInformation, rois: Sequence[RTStructureROI]
) -> list[Line]:
    """Some structures of a set, each with what is odd about it."""
    points, repeated = _points(rois), _repeated(structure_set, rois)
    # From its index, as in lists.
    slices = dict(structure_set.rois.order_by().values_list("pk", "slice_count"))
    return [
        Line(roi, roi.pk in points, roi.roi_number in repeated, slices.get(roi.pk, 0))
        for roi in rois
    ]


def _points(rois: Sequence[RTStructureROI]) -> set[int]:
    few = [roi.pk for roi in rois if 0 < roi.contour_count <= POINTS]
    short = (
        RTStructureROI.objects.filter(pk__in=few)
        .annotate(length=Length("roi_contour_data"))
        .filter(length__lte=POINTS_TEXT)
    )
    return {
        pk
        for pk, text in short.values_list("pk", "roi_contour_data")
        if {kind.type for kind in _kinds_of(text)} == {"POINT"}
    }


def _repeated(
    structure_set: RTStructureSetInformation, rois: Sequence[RTStructureROI]
) -> set[int | None]:
    numbers = {roi.roi_number for roi in rois} - {None}
    rows = RTStructureROI.objects.filter(rt_structure_set=structure_set, roi_number__in=numbers)
    counted = rows.order_by().values("roi_number").annotate(times=Count("pk"))
    return {*counted.filter(times__gt=1).values_list("roi_number", flat=True)}


@dataclass(frozen=True)
class On:
    """A series that images of a structure set are in."""

    series: DICOMSeries
    images: int


@dataclass(frozen=True)
class DrawnOn:
    """What a structure set was drawn on, as far as it is here."""

    series: list[On]  # the one with the most images first
    more: int  # series that are not among them
    images: int  # that the structure set names
    here: int
    reasons: list[str]  # in sentences: what is not here and why, and what else is odd


def drawn_on(structure_set: RTStructureSetInformation) -> DrawnOn:
    """The images that a structure set names, by their series; six queries."""
    found = summaries([structure_set.dicom_instance_id])[structure_set.dicom_instance_id]
    shown = found.series[:SERIES]
    rows = DICOMSeries.objects.in_bulk([one.series for one in shown])
    missing = (
        f"{one.count:,} {NOUNS[one.kind][one.count != 1]}: {sentence(one.reason)}"
        for one in found.missing
    )
    return DrawnOn(
        series=[On(rows[one.series], one.images) for one in shown if one.series in rows],
        more=len(found.series) - len(shown),
        images=found.images,
        here=found.here,
        reasons=[*missing, *(sentence(code) for code in found.notes)],
    )
