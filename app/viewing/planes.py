"""Whether a stack of a series can be shown in three planes, as its page asks before it offers them.

    GET /dicom/series/<pk>/planes/?changes=3&stack=0

Stacks are numbered from 0, as the page was told them. The answer is JSON: `Told`. What the planes
are made of are the slices' pictures, which the page has anyhow.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from msgspec import MsgspecError, Struct, json

from app.audit.recording import record_view
from app.catalogue.addresses import key_in
from app.catalogue.completeness import each_frame
from app.catalogue.stacks import Slice, Stack, stacks_of
from app.dicom.records import FramePlanes
from app.geometry.planes import Block, Lying, NoPlanes, block_of
from app.geometry.stacks import FEWEST
from app.models import DICOMSeries, ImageInformation
from app.needing import needing
from app.wording import counted

from .drawn import answered, etag_of
from .slices import told_if_changed

VERSION = 1  # of the answer: raise it with any change
SEES_ALL = ("app.view_dicominstance", "app.view_patient")

SIZE = ("dicom_instance__rows", "dicom_instance__columns", "pixel_spacing")
LIES = ("image_position_patient", "image_orientation_patient")
MOST = 5_000  # slices, which are all looked at
OWN_GRIDS = {"RTDOSE": "planes_dose", "SEG": "planes_masks"}  # by modality
NOWHERE = Lying(None, None, None, None, None)

_planes = json.Decoder(FramePlanes).decode


class Told(Struct):
    slices: int = 0
    spacing: float = 0.0  # mm, from slice to slice
    bytes: int = 0  # of memory that the page takes, where a value has two
    why_not: str = ""  # a reason's code, with its sentence
    why: str = ""


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def planes(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Whether a stack can be shown in three planes."""
    series = get_object_or_404(DICOMSeries, pk=pk)
    record_view(request.user, series, "pictures")
    stacks = stacks_of(series)
    stack = key_in(request.GET, "stack") or 0
    told = _told(series, stacks[stack] if stack < len(stacks) else Stack("", []))
    if changed := told_if_changed(request, series):
        return changed
    content = json.encode(told)
    # Of the answer itself, which may change though no file does: when rows are read anew.
    return answered(request, content, etag_of("planes", VERSION, content.decode()))


def _told(series: DICOMSeries, stack: Stack) -> Told:
    try:
        block = _block(series, stack.slices)
    except NoPlanes as refusal:
        return Told(why_not=refusal.code, why=refusal.sentence)
    return Told(block.slices, block.spacing, block.bytes)


def _block(series: DICOMSeries, slices: Sequence[Slice]) -> Block:
    if code := OWN_GRIDS.get(series.modality):
        raise NoPlanes(code)
    if len(slices) > MOST:
        raise NoPlanes("planes_many", slices=counted(len(slices), "slice"), most=f"{MOST:,}")
    lying = dict(_lying(series, {one.object for one in slices}))
    # Where others lie is read with their pictures, and not kept.
    if len(slices) >= FEWEST and lying.keys().isdisjoint(slices):
        raise NoPlanes("planes_other")
    return block_of([lying.get(one, NOWHERE) for one in slices])


def _lying(series: DICOMSeries, objects: set[int]) -> Iterator[tuple[Slice, Lying]]:
    """Where images of a series lie, and frames of enhanced ones."""
    images = ImageInformation.objects.filter(dicom_instance__dicom_series=series).order_by()
    columns = ("dicom_instance", *SIZE, *LIES)
    for pk, *lies in images.filter(frame_planes="").values_list(*columns):
        if pk in objects:
            yield Slice(pk, 0), Lying(*lies)
    enhanced = images.exclude(frame_planes="").values_list("frame_planes", *columns)
    for text, pk, *lies in enhanced.iterator(chunk_size=1):  # each may be megabytes
        if pk in objects:
            with suppress(MsgspecError):
                yield from _frames(pk, Lying(*lies), _planes(text))


def _frames(pk: int, image: Lying, frames: FramePlanes) -> Iterator[tuple[Slice, Lying]]:
    places = zip(
        each_frame(frames.pixel_spacing, frames.count),
        each_frame(frames.image_position_patient, frames.count),
        each_frame(frames.image_orientation_patient, frames.count),
        strict=True,
    )
    for frame, (spacing, position, cosines) in enumerate(places):
        size = spacing or image.spacing
        yield Slice(pk, frame), Lying(image.rows, image.columns, size, position, cosines)
