"""What is drawn over images: doses and binary segmentations, as a page's script is sent them."""

import os
import zlib
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from app.dicom.colours import rgb_of
from app.models import AuditEntry, DICOMInstance, DICOMSeries, Kind
from app.sandbox.dose import DoseHeader, dose_of
from app.sandbox.segments import Segmentation, segmentation_of
from tests.making.drawn import FRAME, HFS, rt_dose, segment, segmentation
from tests.making.objects import Raw, ct_image, enhanced_ct, uid
from tests.making.pictures import attributes_of

from .test_pictures import records

STORED = (np.arange(3 * 4 * 5, dtype=np.uint32) * 70_000).reshape(3, 4, 5)
BITS = np.eye(2, 3, dtype=np.uint8)  # as `ct_image` has rows and columns
Z = (-30.25, -27.25, -24.25)


def of(*numbers: int) -> int:
    return DICOMInstance.objects.get(sop_instance_uid=uid(*numbers)).pk


def images() -> list[bytes]:
    return [
        ct_image(
            SOPInstanceUID=uid(2, 1, n),
            InstanceNumber=str(n),
            ImagePositionPatient=["-10.5", "20", str(z)],
        )
        for n, z in enumerate(Z, 1)
    ]


@pytest.fixture
def get(staff_client):
    def get(name: str, *args: int, **address: Any):
        return staff_client.get(reverse(name, args=args), address)

    return get


# Doses


def test_a_dose_is_described_and_its_frames_are_sent(get, import_zip, staff_client):
    import_zip(rt_dose(STORED), ct_image())
    pk = of(2, 6, 1)
    answer = get("dose", pk)
    assert answer.json() == {
        "frame_of_reference": FRAME,
        "position": [0, 0, 0],
        "orientation": [*HFS],
        "spacing": [2, 2],
        "rows": 4,
        "columns": 5,
        "frames": 3,
        "offsets": [0, 2, 4],
        "scaling": 0.01,
        "unit": "Gy",
        "type": "PHYSICAL",
        "summation": "PLAN",
        "words": "",
        "why_not": "",
        "why": "",
    }
    again = {"HTTP_IF_NONE_MATCH": answer["ETag"]}
    assert staff_client.get(reverse("dose", args=[pk]), **again).status_code == 304
    over = get("series_over", DICOMSeries.objects.get(modality="CT").pk).json()
    assert [(one["object"], one["bytes"]) for one in over["doses"]] == [(pk, STORED.nbytes)]
    sent = [*records(get("frames", pk).getvalue())]
    assert [told.get("slice") for told, _ in sent] == [0, 1, 2, None]
    found = np.array([values_of(*one) for one in sent[:-1]])
    np.testing.assert_array_equal(found, STORED)
    one = [*records(get("frames", pk, first=1, last=1).getvalue())]
    assert [told.get("slice") for told, _ in one] == [1, None]
    looked = AuditEntry.objects.filter(kind=Kind.VIEWED).values_list("row", flat=True)
    assert sorted(looked) == sorted(DICOMSeries.objects.values_list("pk", flat=True))


def values_of(told: dict[str, Any], packed: bytes) -> np.ndarray[Any, Any]:
    """Stored values of 32 bit, without what lies in `values.js`."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1).astype(np.uint64)
    steps = sum(plane << np.uint64(8 * at) for at, plane in enumerate(planes))
    signs = np.where(steps & 1, ~(steps >> 1), steps >> 1)
    return (np.cumsum(signs, dtype=np.uint64) & 0xFFFFFFFF).reshape(told["rows"], -1)


HOSTILE = (
    ("dose_offsets", {"GridFrameOffsetVector": ["0", "2", "1e308"]}),
    ("dose_offsets", {"GridFrameOffsetVector": ["0", "2", "NaN"]}),
    ("dose_offsets", {"GridFrameOffsetVector": ["0", "two", "4"]}),
    ("dose_planes", {"NumberOfFrames": "65535", "Rows": 10, "Columns": 10}),
    ("dose_too_large", {"NumberOfFrames": "65535", "Rows": 120, "Columns": 100}),
    ("dose_offsets", {"GridFrameOffsetVector": Raw("UN", b"0\\" * 2_000_000)}),
    ("dose_not_placed", {"ImagePositionPatient": ["0", "0", "1e308"]}),
    ("dose_not_scaled", {"DoseGridScaling": "1e-999"}),
    ("dose_without_grid", {"PixelData": None}),
    (
        "dose_planes",
        {"NumberOfFrames": "60000000", "Rows": 1, "Columns": 1, "PixelData": bytes(7_500_000)},
    ),
    ("dose_planes", {"NumberOfFrames": "60000000", "Rows": None}),
)


def worked() -> float:
    """Seconds of a processor that this process has had, and its children that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def test_a_dose_that_is_made_to_harm_costs_a_sentence(get, import_zip):
    own = ({"SOPInstanceUID": uid(2, 6, at)} for at, _ in enumerate(HOSTILE))
    these = [rt_dose(STORED, **one[1], **two) for one, two in zip(HOSTILE, own, strict=True)]
    import_zip(ct_image(), *these)
    for at, (code, _) in enumerate(HOSTILE):
        begun = worked()
        found = get("dose", of(2, 6, at)).json()
        assert worked() - begun < 2
        assert (found["why_not"], "." in found["why"], found.get("frames")) == (code, True, None)
    too_many, none = b"10,000 planes", b"no grid of doses"
    for at, said in ((4, b"64 million"), (9, too_many), (10, none)):
        answer = get("frames", of(2, 6, at), first=0, last=0)
        assert (answer.status_code, said in answer.content) == (413, True)
    assert get("dose", of(2, 1, 1)).status_code == 404
    assert get("frames", of(2, 1, 1)).status_code == 404


def test_doses_of_one_series_are_told_apart(get, import_zip):
    beams = [rt_dose(STORED, SOPInstanceUID=uid(2, 6, n), InstanceNumber=str(n)) for n in (1, 2)]
    import_zip(ct_image(), *beams)
    over = get("series_over", DICOMSeries.objects.get(modality="CT").pk).json()
    assert {one["words"] for one in over["doses"]} == {f"Dose of the plan, no. {n}" for n in (1, 2)}


def test_a_dose_whose_file_is_gone_says_so_and_is_asked_for_again(get, import_zip, processed_root):
    import_zip(rt_dose(STORED))
    (processed_root / DICOMInstance.objects.get().path).unlink()
    answer = get("dose", of(2, 6, 1))
    assert answer.json()["why_not"] == "object_gone"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("answer", [b"\xc1", b"\x07", b"\x81\xa1a\x01", b"\x91\xc3"])
def test_an_answer_that_cannot_be_is_not_believed(answer):
    assert dose_of(answer) in (DoseHeader(why_not="header_unread"), DoseHeader(has_grid=True))
    assert segmentation_of(answer) == Segmentation(why_not="header_unread")


# Segmentations


def masks(*places: tuple[int, float]) -> list[dict[str, Any]]:
    return [
        {"segment": number, "position": (-10.5, 20, z), "bits": BITS} for number, z in places
    ]  # fmt: skip


def test_masks_lie_over_the_images_of_the_very_same_plane(get, import_zip):
    places = [(1, Z[1]), (2, Z[0] + 0.009), (1, Z[2] + 0.02), (3, Z[0])]
    named = [segment(1, "Tumour"), segment(2, "", RecommendedDisplayCIELabValue=None)]
    import_zip(*images(), segmentation(masks(*places), SegmentSequence=named))
    series = DICOMSeries.objects.get(modality="CT")
    found = get("series_segments", series.pk, of(2, 8, 1)).json()
    assert found["frames"] == [[0, 0, 1], [1, 1, 0]]
    assert [(one["number"], one["name"]) for one in found["segments"]] == [
        (1, "Tumour"),
        (2, "Segment 2"),
    ]
    assert found["segments"][0]["colour"] == rgb_of([35000, 53000, 50000])
    words = "1 frame is not drawn: no image here has the very same plane, rows and columns."
    assert found["left_out"] == [[0, words], [None, words]]
    assert found["frame_of_reference"] == FRAME
    stale = get("series_segments", series.pk, of(2, 8, 1), changes=series.changes + 1)
    assert stale.status_code == 409


def test_segments_that_are_called_alike_are_told_apart(get, import_zip):
    neoplasm = "Neoplasm"  # the meaning of their code, too
    named = [
        segment(1, neoplasm, SegmentDescription="GTV\r\nby hand"),
        segment(2, neoplasm, SegmentDescription="GTV by a program"),
        segment(3, neoplasm),
        segment(4, neoplasm),
        segment(5, "Heart", SegmentDescription="not said, since one alone is called so"),
        segment(6, "", SegmentDescription="Lung"),
        segment(7, ""),
    ]
    import_zip(*images()[:1], segmentation(masks((1, Z[0])), SegmentSequence=named))
    series = DICOMSeries.objects.get(modality="CT")
    found = get("series_segments", series.pk, of(2, 8, 1)).json()["segments"]
    assert [(one["name"], one["type"]) for one in found] == [
        ("Neoplasm: GTV by hand", ""),
        ("Neoplasm: GTV by a program", ""),
        ("Neoplasm, no. 3", ""),
        ("Neoplasm, no. 4", ""),
        ("Heart", neoplasm),
        ("Lung", neoplasm),
        ("Segment 7", neoplasm),
    ]


LIES = {"PlaneOrientationSequence": [{"ImageOrientationPatient": [*map(str, HFS)]}]}


def test_other_masks_are_not_drawn_and_cost_a_sentence(get, import_zip):
    fractions = {"SegmentationType": "FRACTIONAL", "SOPInstanceUID": uid(2, 8, 2)}
    larger = {"Rows": 3, "Columns": 2}
    import_zip(
        *images()[:1], *(segmentation(masks((1, Z[0])), **one) for one in (larger, fractions))
    )
    series = DICOMSeries.objects.get(modality="CT")
    found = get("series_segments", series.pk, of(2, 8, 2)).json()
    assert found.keys() == {"why_not", "why"}
    assert "fraction or a label" in found["why"]
    found = get("series_segments", series.pk, of(2, 8, 1)).json()
    assert (found["why_not"], found["frames"]) == ("", [])
    assert found["left_out"][0][1].startswith("1 frame is not drawn: ")


def test_masks_lie_over_frames_of_enhanced_images(get, import_zip):
    bits = np.ones((2, 3), np.uint8)
    shared = [{"PixelMeasuresSequence": [{"PixelSpacing": ["0.5", "0.5"]}], **LIES}]
    own = attributes_of(np.zeros((2, 3), np.uint16), 3) | {"PixelData": bytes(36)}
    mask = {"segment": 1, "position": (-1, -2, 1), "bits": bits}
    import_zip(enhanced_ct(3, **own), segmentation([mask], SharedFunctionalGroupsSequence=shared))
    series = DICOMSeries.objects.get(modality="CT")
    found = get("series_segments", series.pk, of(2, 8, 1)).json()
    assert found["frames"] == [[0, 0, 1]]
    sent = [*records(get("frames", of(2, 8, 1)).getvalue())]
    steps = np.frombuffer(zlib.decompress(sent[0][1]), np.uint8)
    assert steps.cumsum(dtype=np.uint8).tolist() == [1] * 6


def test_a_segmentation_of_another_patient_is_not_there(get, import_zip):
    import_zip(*images()[:1], segmentation(masks((1, Z[0])), PatientID="ID2", PatientName="B"))
    series = DICOMSeries.objects.get(modality="CT")
    assert get("series_segments", series.pk, of(2, 8, 1)).status_code == 404
    assert get("series_segments", series.pk, of(2, 1, 1)).status_code == 404


@pytest.mark.parametrize(
    ("lab", "rgb"),
    [
        ((0, 32_896, 32_896), [0, 0, 0]),
        ((65_535, 32_896, 32_896), [255, 255, 255]),
        # The screen's red and blue under D50: (54.29, 80.81, 69.89) and (29.57, 68.30, -112.03).
        ((35_579, 53_664, 50_858), [255, 0, 0]),
        ((19_379, 50_449, 4_104), [0, 0, 255]),
    ],
)  # fmt: skip
def test_a_colour_in_cielab_is_the_screen_s(lab, rgb):
    assert max(abs(a - b) for a, b in zip(rgb_of(lab), rgb, strict=True)) <= 2
