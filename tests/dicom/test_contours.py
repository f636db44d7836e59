"""What is drawn of a structure set is what an import keeps of it, however it is written."""

import json
import random
import struct
import zlib

import msgspec
import numpy as np
import pytest

from app.dicom.contours import read_drawing
from app.dicom.headers import HeaderLimits, read_header
from tests.dicom.test_structures import WAYS
from tests.making.objects import IMPLICIT, TRIANGLE, Raw, contour, roi, rt_structure_set, uid


def drawn(data: bytes):
    how = HeaderLimits()
    return read_drawing(data, limits=how, truncated=False, assumed_charset="ISO_IR 100")


def unpacked(values: bytes, points: int) -> np.ndarray:
    split = np.frombuffer(zlib.decompress(values), np.uint8).reshape(4, -1)
    steps = np.ascontiguousarray(split.T).view("<u4").ravel()
    differences = (steps >> 1) ^ (0 - (steps & 1))
    values = np.cumsum(differences, dtype=np.uint32).astype(np.uint32)
    return values.view(np.int32).reshape(3, points).T


def written_oddly(chance: random.Random):
    numbers = [f"{chance.choice('+-')}{chance.randrange(300)}.{chance.choice(['', '5', '125'])}"
               for _ in range(3 * chance.randrange(1, 9))]  # fmt: skip
    return contour(*numbers, kind=chance.choice(["POINT", "OPEN_PLANAR"]), sop=uid(2, 1, 1))


def sets() -> dict[str, list]:
    chance = random.Random(1)
    binary = contour() | {"ContourData": Raw("FD", [1.25, -2.5, 3.0]), "NumberOfContourPoints": "1"}
    plain = [contour(*(n / 4 for n in range(3 * count)), sop=uid(2, 1, count)) for count in (2, 70)]
    odd = [written_oddly(chance) for _ in range(200)]
    forms = ["1e2", "-1.5E-1", " 2.5 ", "3\0", "\t4", ".5", "6.", "007", "1_0", "nan", "inf"]
    forms += ["1e400", "1 2", "+", "0x1", "1e", "--1", "1\x1c", ""]
    notations = [contour("1", form, "+3") for form in forms]
    empty, half, large = contour(), contour(1, 2), contour("1e9", 1, 2)
    return {
        "plain": [roi(1, "A", *plain), roi(2, "B"), roi(3, "C", *plain)],
        "odd": [roi(4, "A", *odd[:90], *plain), roi("x", "B", *plain), roi(5, "C", *odd[90:])],
        "broken": [roi(1, "A", plain[0], half, empty, plain[1]), roi(1, "B", plain[0])],
        "far": [roi(1, "A", large, plain[0], contour("inf", 1, 2)), roi(2, "B", large)],
        "notations": [roi(1, "A", *notations, plain[0]), roi(2, "B", *notations[:8])],
        "binary": [roi(1, "A", binary, plain[0])],
        "none": [],
    }


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_is_drawn_is_what_is_kept(way):
    for rois in sets().values():
        compare(rt_structure_set(rois, **way))


def test_long_contours_are_drawn_as_they_are_kept():
    ends = ("+1\\2\\3", "1\\2\\3", "1\\2\\3\\", "1\\2\\x", "1\\2\\1e9")
    long = [contour() | {"ContourData": "1.25\\-2\\3\\" * 30_000 + end} for end in ends]
    short = [contour(1, 2, 3), contour("+1", 2, 3)]
    rois = [roi(1, "A", *short, *long, *short), roi(2, "B", *short)]
    compare(rt_structure_set(rois, transfer_syntax=IMPLICIT))


def ring(z: int) -> dict:
    angles = np.arange(100) * 2 * np.pi / 100
    points = np.stack([50 * np.cos(angles), 40 * np.sin(angles), 0 * angles + 3 * z], axis=1)
    return contour(*(f"{one:.2f}" for one in points.ravel()), sop=uid(2, 1, z))


def noise() -> dict:
    chance = random.Random(1)
    return contour(*(f"{chance.randrange(1, 10)}e{chance.randrange(7)}" for _ in range(15_000)))


@pytest.mark.parametrize(
    ("rois", "most"),
    [
        ([roi(n, f"ROI {n}", *map(ring, range(40))) for n in range(5)], 0.03),
        ([roi(1, "A", noise())], 0.8),
        ([roi(1, "A", *[contour(1, 2, 3, kind="POINT")] * 1000)], 0.3),
        ([roi(n, '"' * 64) for n in range(500)], 1.3),
    ],
    ids=["contours", "noise", "points", "names"],
)
def test_what_is_kept_takes_no_more_than_its_object(rois, most):
    data = rt_structure_set(rois)
    drawing, values = drawn(data)
    assert len(msgspec.json.encode(drawing)) + len(values) < most * len(data)


@pytest.mark.parametrize("length", [3, 0xFFFF])
def test_what_has_to_be_read_again_is_drawn_once(length):
    data = rt_structure_set([roi(1, "A", *[TRIANGLE] * 3)])
    at = data.rindex(struct.pack("<HH2s", 0x3006, 0x0016, b"SQ"))  # begins the last contour
    compare(data[: at - 4] + struct.pack("<I", length) + data[at:])


def compare(data: bytes) -> None:
    record = read_header(data).structure_set
    assert record
    drawing, values = drawn(data)
    at, points = 0, unpacked(values, drawing.points)
    assert len(drawing.rois) == len(record.rois)
    for one, kept in zip(drawing.rois, record.rois, strict=True):
        assert [one.number, one.name, one.type, one.algorithm, one.colour] == [
            *(kept.roi_number, kept.roi_name, kept.rt_roi_interpreted_type),
            *(kept.roi_generation_algorithm, kept.roi_display_color),
        ]
        wanted = [each for each in json.loads(kept.roi_contour_data) if is_near(each)]
        assert len(one.contours) == len(wanted)
        for line, each in zip(one.contours, wanted, strict=True):
            assert drawing.types[line.type] == each["type"]
            assert (drawing.images[line.image] if line.image >= 0 else "") == each["sop"]
            expected = np.reshape(each["points"], (-1, 3)) * 100
            np.testing.assert_allclose(points[at : at + line.points], expected, atol=0.51)
            at += line.points
    assert at == drawing.points


def is_near(contour: dict) -> bool:
    return len(contour["points"]) > 0 and max(map(abs, contour["points"])) <= 1e7
