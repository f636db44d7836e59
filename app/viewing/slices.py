"""The slices of a series, which are its images' frames, in the order in which they lie."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import F
from msgspec import MsgspecError, json

from app.catalogue.below import LONGEST_SORTED, MOST_SLICES, geometry_of, in_order
from app.dicom.orientation import common_normal
from app.dicom.records import FramePlanes
from app.models import DICOMInstance, DICOMSeries, ImageInformation

_planes = json.Decoder(FramePlanes).decode


class Slice(NamedTuple):
    object: int  # primary key
    frame: int  # from 0
    path: str
    sha256: str
    transfer_syntax: str


def slices_of(series: DICOMSeries) -> list[Slice]:
    """All slices along the normal that the images share; else by the objects' numbers."""
    rows = DICOMInstance.objects.filter(dicom_series=series, rows__isnull=False)
    rows = rows.order_by(F("instance_number").asc(nulls_last=True), "pk")
    columns = ("pk", "number_of_frames", "size", "path", "sha256", "transfer_syntax_uid")
    images = {row[0]: row for row in rows.values_list(*columns)[:MOST_SLICES]}
    has_frames = any((count or 1) > 1 for _, count, *_ in images.values())
    planes = _frame_planes(series) if has_frames else {}
    is_sorted = series.instance_count <= LONGEST_SORTED
    found: list[Slice] = []
    for pk in in_order(series, geometry_of(series).normal) if is_sorted else images:
        if pk not in images:
            continue
        _, count, size, *file = images[pk]
        # How many there are is the file's word, but each takes a byte of it.
        for frame in _frames(min(count or 1, size), planes.get(pk, "")):
            if len(found) == MOST_SLICES:
                return found
            found.append(Slice(pk, frame, *file))
    return found


def _frame_planes(series: DICOMSeries) -> dict[int, str]:
    rows = ImageInformation.objects.filter(
        dicom_instance__dicom_series=series, dicom_instance__number_of_frames__gt=1
    )
    return dict(rows.values_list("dicom_instance", "frame_planes"))


def _frames(count: int, planes: str) -> Iterator[int]:
    """The frames of one image along their normal, where that and their places are known."""
    frames = range(min(count, MOST_SLICES))
    try:
        found = _planes(planes) if planes else None
    except MsgspecError:
        found = None
    if found is None or found.count != count or not found.image_position_patient:
        return iter(frames)
    cosines = found.image_orientation_patient
    normal = common_normal(cosines.values if cosines else [])
    places, shared = found.image_position_patient.values, found.image_position_patient.frames
    positions = [places[number] for number in shared] if shared else places
    if normal is None or len(positions) != count or None in positions:
        return iter(frames)
    along = [
        sum(n * x for n, x in zip(normal, position or (), strict=False)) for position in positions
    ]
    return iter(sorted(frames, key=lambda frame: (round(along[frame], 3), frame)))
