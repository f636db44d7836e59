"""The contours of a structure set as a page's script gets them, kept and gone with their object."""

import zlib
from struct import Struct
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from msgspec import json

from app.models import (
    DICOMInstance,
    DICOMSeries,
    RTStructureROI,
    RTStructureSetInformation,
)
from tests.making.objects import contour, ct_image, roi, rt_structure_set, uid

pytestmark = pytest.mark.django_db

LENGTHS = Struct("<II")
SOPS = [uid(2, 1, number) for number in (1, 2, 3)]


def images(*numbers: int, **keywords: Any) -> list[bytes]:
    return [ct_image(SOPInstanceUID=SOPS[number - 1], **keywords) for number in numbers]


def ct() -> DICOMSeries:
    return DICOMSeries.objects.filter(modality="CT").order_by("pk")[0]


def url(series: DICOMSeries | None = None) -> str:
    structure_set = RTStructureSetInformation.objects.order_by("pk")[0]
    numbers = [(series or ct()).pk, structure_set.dicom_instance_id]
    return reverse("series_contours", args=numbers)


@pytest.fixture
def get(staff_client):
    """The words and the points, in mm, of the answer."""

    def get(series: DICOMSeries | None = None) -> tuple[dict[str, Any], np.ndarray]:
        data = staff_client.get(url(series)).content
        words, values = LENGTHS.unpack_from(data)
        assert LENGTHS.size + words + values == len(data)
        told = json.decode(data[LENGTHS.size : LENGTHS.size + words])
        return told, points_of(data[LENGTHS.size + words :], told)

    return get


def points_of(packed: bytes, told: dict[str, Any]) -> np.ndarray:
    """The points as a page's script has them: rows of x, y and z."""
    if not told["points"]:
        return np.zeros((0, 3))
    split = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1)
    steps = np.ascontiguousarray(split.T).view("<u4").ravel()
    differences = (steps >> 1) ^ (0 - (steps & 1))
    values = np.cumsum(differences, dtype=np.uint32).astype(np.uint32).view(np.int32)
    return values.reshape(3, told["points"]).T * told["unit"]


def test_rois_come_with_their_contours_and_points_come_exactly(get, import_zip):
    outer = contour("-0.005", "10.125", "5", "+1.5", ".5", "5.", "01.25", "-300", "5", sop=SOPS[0])
    point = contour(1, 2, 3, kind="POINT", sop=SOPS[2])
    free = contour(0, 0, 7, 1, 0, 7, 1, 1, 7)
    rois = [
        roi(7, "Heart", outer, free, ROIDisplayColor=[1, 2, 3]),
        roi(2, "Void"),
        roi(3, "Isocentre", point, ROIDisplayColor=None, RTROIInterpretedType="ISOCENTER"),
        roi(7, "Twice"),
    ]
    import_zip(*images(1, 2), rt_structure_set(rois))
    told, points = get()
    assert (told["why_not"], told["why"], told["left_out"]) == ("", "", [])
    assert told["frames_of_reference"] == [uid(2, 9)]
    own = DICOMInstance.objects.filter(dicom_series=ct()).order_by("sop_instance_uid")
    assert told["slices"] == [[one.pk, 0] for one in own]
    assert told["types"] == ["CLOSED_PLANAR", "POINT"]
    first = DICOMInstance.objects.get(sop_instance_uid=SOPS[0]).pk
    assert told["images"] == [[first, True], [0, False]]
    pages = [reverse("structure", args=[one.pk]) for one in RTStructureROI.objects.order_by("pk")]
    shown = ("number", "name", "type", "algorithm", "colour", "page", "contours")
    assert [[one[name] for name in shown] for one in told["rois"]] == [
        [7, "Heart", "ORGAN", "MANUAL", [1, 2, 3], pages[0], [[0, 3, 0, 0], [0, 3, -1, 0]]],
        [2, "Void", "ORGAN", "MANUAL", [255, 0, 10], pages[1], []],
        [3, "Isocentre", "ISOCENTER", "MANUAL", None, pages[2], [[1, 1, 1, 0]]],
        [7, "Twice", "ORGAN", "MANUAL", None, pages[3], []],
    ]
    assert {one["frame_of_reference"] for one in told["rois"]} == {uid(2, 9)}
    expected = [(-0.0, 10.12, 5), (1.5, 0.5, 5), (1.25, -300, 5)]
    expected += [(0, 0, 7), (1, 0, 7), (1, 1, 7), (1, 2, 3)]
    np.testing.assert_allclose(points, expected, atol=1e-9)
    assert points.min() == -300
