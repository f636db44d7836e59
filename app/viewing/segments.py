"""The masks of a binary segmentation over a series, as the script of its page draws them.

    GET /dicom/series/<pk>/segments/<object>/?changes=3     JSON: `Drawn`

Drawn are the frames that have the very plane and matrix of an image of the series; how many of
each segment have not is said. Their bits come from `doses.frames`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from msgspec import MsgspecError, json

from app.audit.recording import record_view
from app.catalogue.completeness import each_frame
from app.catalogue.names import plain
from app.dicom.colours import rgb_of
from app.dicom.kinds import is_segmentation
from app.dicom.records import FramePlanes
from app.geometry.masks import Plane, Planes, why_not_drawn
from app.limits import looking
from app.models import DICOMSeries, ImageInformation
from app.needing import needing
from app.reasons import sentence
from app.sandbox.segments import Segment, Segmentation, read_segmentation
from app.wording import counted

from .doses import drawable
from .drawn import described, etag_of
from .pictures import SEES_ALL
from .slices import slices_of, told_if_changed

VERSION = 3  # of an answer: raise it with any change
MOST_IMAGES = 100_000  # of a series, and frames of these
MOST_DRAWN = 100_000
# Of segments that have none: told apart also by who sees few colours.
COLOURS = (
    *([230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66]),
    *([0, 114, 178], [213, 94, 0], [204, 121, 167]),
)
LIES = (
    *("dicom_instance", "dicom_instance__rows", "dicom_instance__columns"),
    *("image_position_patient", "image_orientation_patient", "pixel_spacing"),
)

_planes = json.Decoder(FramePlanes).decode


class NotDrawn(NamedTuple):
    segment: int | None  # its index; None for one that the segmentation does not describe
    words: str


class Drawn(NamedTuple):
    frame_of_reference: str
    segments: list[dict[str, Any]]  # number, name, type, colour
    frames: list[tuple[int, int, int]]  # of a mask; the segment's index; the series' slice
    left_out: list[NotDrawn]


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def segments(request: HttpRequest, pk: int, object: int) -> HttpResponseBase:
    """What of a segmentation is drawn over a series."""
    series = get_object_or_404(DICOMSeries.objects.select_related("dicom_study"), pk=pk)
    instance = drawable(object)
    is_same = instance.dicom_series.dicom_study.patient_id == series.dicom_study.patient_id
    if not (is_same and is_segmentation(instance.sop_class_uid, instance.modality)):
        raise Http404
    record_view(request.user, series, "pictures")
    etag = etag_of("segments", VERSION, instance.sha256, series.pk, series.changes)
    response = described(request, instance, etag, lambda file: _description(file, series))
    return told_if_changed(request, series) or response


def _description(file: int, series: DICOMSeries) -> dict[str, Any]:
    found = read_segmentation(file, looking())
    if code := why_not_drawn(found):
        return {"why_not": code}
    numbers = {(one.object, one.frame): at for at, one in enumerate(slices_of(series))}
    images = ((numbers[one], plane) for one, plane in _images(series) if one in numbers)
    return _drawn(found, Planes(images))._asdict()


def _drawn(found: Segmentation, images: Planes) -> Drawn:
    indices = {one.number: index for index, one in enumerate(found.segments)}
    frames: list[tuple[int, int, int]] = []
    elsewhere: Counter[int | None] = Counter()  # by segment
    for frame, mask in enumerate(found.masks):
        plane = Plane(mask.position, mask.orientation, mask.spacing, found.rows, found.columns)
        index = indices.get(mask.segment)
        over = [*images.like(plane)] if index is not None else []
        elsewhere[index] += not over
        frames += [(frame, index or 0, number) for number in over]
        if len(frames) > MOST_DRAWN:
            break
    left_out = [NotDrawn(index, _elsewhere(count)) for index, count in elsewhere.items() if count]
    names = _names(found.segments)
    described = [_segment(one, names[at], at) for at, one in enumerate(found.segments)]
    return Drawn(found.frame_of_reference, described, frames[:MOST_DRAWN], left_out)


def _elsewhere(count: int) -> str:
    frames = counted(count, "frame") + (" is" if count == 1 else " are")
    return sentence("segments_elsewhere", frames=frames)


def _names(segments: Sequence[Segment]) -> list[str]:
    """What each is called; those that are called alike with what tells them apart.

    Many programs write the meaning of a code as the label of all. What somebody has called a
    segment stands in Segment Description then.
    """
    labels = [_label(one) for one in segments]
    times = Counter(labels)
    told = [
        f"{label}: {words}" if times[label] > 1 and (words := _described(one)) else label
        for one, label in zip(segments, labels, strict=True)
    ]
    times = Counter(told)
    return [
        f"{name}, no. {one.number}" if times[name] > 1 else name
        for one, name in zip(segments, told, strict=True)
    ]


def _label(one: Segment) -> str:
    return plain(one.name) or _described(one) or f"Segment {one.number}"


def _described(one: Segment) -> str:
    return " ".join(plain(one.description).split())  # it may have several lines


def _segment(one: Segment, name: str, at: int) -> dict[str, Any]:
    kind = plain(one.type)
    return {
        "number": one.number,
        "name": name,
        "type": "" if kind == _label(one) else kind,
        "colour": rgb_of(one.lab) if one.lab else COLOURS[at % len(COLOURS)],
    }


def _images(series: DICOMSeries) -> Iterator[tuple[tuple[int, int], Plane]]:
    """Where the series' images lie, by object and frame, and the frames of enhanced ones."""
    rows = ImageInformation.objects.filter(dicom_instance__dicom_series=series).order_by()
    alone = rows.filter(frame_planes="").values_list(*LIES)[:MOST_IMAGES]
    for pk, high, wide, position, cosines, spacing in alone:
        yield (pk, 0), Plane(position, cosines, spacing, high or 0, wide or 0)
    enhanced = rows.exclude(frame_planes="").values_list("frame_planes", *LIES)
    for text, pk, high, wide, *_ in enhanced.iterator(chunk_size=1):  # each may be megabytes
        with suppress(MsgspecError):
            planes = _planes(text)
            columns = (
                planes.image_position_patient,
                planes.image_orientation_patient,
                planes.pixel_spacing,
            )
            each = zip(*(each_frame(one, planes.count) for one in columns), strict=True)
            for frame, (position, cosines, spacing) in enumerate(each):
                yield (pk, frame), Plane(position, cosines, spacing, high or 0, wide or 0)
