"""The program that reads contours, given what is made to harm it: a sentence each time."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from app.dicom.drawn import ROI, Drawing, Line, OnImage, Several
from app.dicom.headers import HeaderLimits
from app.reasons import sentence
from app.sandbox import contours
from app.sandbox.contours import Drawn, drawn_of, read_contours
from tests.making.objects import IMPLICIT, contour, roi, rt_structure_set, uid
from tests.making.pace import within

SECONDS = 2.0
MANY = 4_000_000
LONG = pytest.mark.long


@contextmanager
def opened(path: Path, data: bytes) -> Iterator[int]:
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def read(tmp_path):
    def read(data: bytes) -> Drawn:
        with opened(tmp_path / "set.dcm", data) as file:
            return read_contours(file, HeaderLimits(), "ISO_IR 100")

    return read


def of(*contours: dict[str, Any], **keywords: Any) -> bytes:
    """A structure set of one ROI, in a syntax that has room for long contours."""
    return rt_structure_set([roi(1, "Heart", *contours)], transfer_syntax=IMPLICIT, **keywords)


def written(numbers: bytes, times: int) -> dict[str, Any]:
    return contour() | {"ContourData": numbers * (times - 1) + numbers.rstrip(b"\\")}


def processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("contours", "said"),
    [
        pytest.param([written(b"1\\2\\3\\", MANY)], "has 4,000,000 points", id="points"),
        pytest.param(
            [written(b"+1\\2\\3\\", MANY)], "has 4,000,000 points", id="odd points", marks=LONG
        ),
        pytest.param(
            [written(b"1e308\\2\\3\\", MANY)], "has 4,000,000 points", id="large points", marks=LONG
        ),
        pytest.param([written(b"1\\2\\3\\", 500)] * 2_001, "has 1,000,500 points", id="in parts"),
        pytest.param(
            [contour(1, 2, 3)] * 100_001, "has 100,001 contours", id="contours", marks=LONG
        ),
    ],
)
def test_what_is_too_much_is_counted_and_refused(contours, said, read):
    data = of(*contours)
    found = within(SECONDS, lambda: read(data), processor_time)
    assert said in sentence(found.why_not, **found.facts)
    assert "that ICON draws" in sentence(found.why_not, **found.facts)
    assert not found.drawing


@LONG
@pytest.mark.parametrize("undefined_lengths", [False, True])
@pytest.mark.parametrize("one", [contour(1, 2, 3), {}])
def test_contours_are_counted_through_all_rois(one, undefined_lengths, read):
    rois = [roi(number, "Heart", *[one] * 60_000) for number in (1, 2)]
    data = rt_structure_set(rois, undefined_lengths=undefined_lengths)
    found = within(SECONDS, lambda: read(data), processor_time)
    assert (found.why_not, found.facts["count"]) == ("contours_too_many", "120,000")


@LONG
@pytest.mark.parametrize("times", [999_000, 500])
@pytest.mark.parametrize(
    ("numbers", "points"),
    [
        (b"1.25\\-2\\3\\", 999_000),
        (b"-123.4567890123\\" * 3, 999_000),
        (b"+123.4567890123\\" * 3, 999_000),
        (b"1.234567890E+02\\" * 3, 999_000),
        (b".5\\5.\\01.5\\", 999_000),
        (b"1e308\\2\\3\\", 0),
    ],
)
def test_a_million_points_are_drawn_or_left_out_however_they_are_written(
    numbers, points, times, read
):
    data = of(*[written(numbers, times)] * (999_000 // times))
    found = within(SECONDS, lambda: read(data), processor_time)
    assert found.drawing
    assert found.drawing.points == points
    assert left_out(found) == ([] if points else [("contours_far", 999_000 // times)])


def test_rois_are_counted_too(read):
    definitions = [{"ROINumber": number} for number in range(10_001)]
    data = rt_structure_set([], StructureSetROISequence=definitions)
    assert read(data).facts == {"count": "10,001", "limit": "10,000"}


def left_out(found: Drawn) -> list[tuple[str, int]]:
    assert found.drawing
    return [(one.code, one.count) for one in found.drawing.left_out]


def test_rubbish_costs_itself(read):
    lying = contour(1, 2, 3, 4, 5, 6) | {"NumberOfContourPoints": "4000000"}
    lying["ContourGeometricType"] = "X" * 70
    found = read(of(written(b"NaN\\1\\2\\", 300_000), contour(1, 2), lying, contour(b"\xff", 1, 2)))
    assert found.drawing
    assert found.drawing.types == ["X" * 64]
    assert found.drawing.rois[0].contours == [Line(0, 2, -1, 0)]
    assert left_out(found) == [("contours_unread", 3)]


def test_a_file_that_ends_in_a_number_is_drawn_up_to_there_or_said_to_be_unread(read):
    """What a cut file has of a ROI's contours is read as an import reads it: whose they are, stands
    behind them."""
    data = rt_structure_set(
        [roi(number, "Heart", contour(*range(300))) for number in (1, 2)],
        transfer_syntax=IMPLICIT,
    )
    found = read(data[: data.rindex(b"\\150\\") + 2])
    assert found.drawing
    assert [len(one.contours) for one in found.drawing.rois] == [1, 0]
    assert left_out(found)[0] == ("contours_cut", 0)
    data = of(contour(*range(300)), undefined_lengths=True)
    assert read(data[: data.rindex(b"\\150\\") + 2]).why_not == "structures_unreadable"


def test_no_object_is_an_answer_too(read):
    assert read(b"").why_not == "empty_file"
    assert read(b"rubbish").why_not == "not_dicom"


def test_too_little_time_or_memory_is_a_sentence(read, monkeypatch):
    data = of(written(b"+1.5\\2\\3\\", 900_000))
    with monkeypatch.context() as patch:
        patch.setattr(contours, "SECONDS", 0.01)
        assert read(data).why_not == "contours_took_long"
    monkeypatch.setattr(contours, "MEMORY", 120 << 20)
    assert read(data).why_not in ("too_much_memory", "contours_not_made")


LINES = [Line(0, 3, 0, 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"points": 2},
        {"types": []},
        {"images": []},
        {"points": -1},
        {"rois": [["unlike"]]},
        {"several": [[(0, 0), (1, 0)]]},
        {"several": []},
        {"rois": [ROI(1, "A", "", "", None, "", LINES, [(1, 0)])]},
    ],
)
def test_what_does_not_fit_together_is_not_believed(changes):
    def answer(**changes: Any) -> bytes:
        one = ROI(1, "A", "", "", None, "", LINES, [Several(0, 0)])
        whole = {
            "points": 3,
            "frames_of_reference": [],
            "types": ["POINT"],
            "images": [uid(1)],
            "several": [[OnImage(0, 0), OnImage(0, 2)]],
            "rois": [one],
            "left_out": [],
        }
        return msgpack.encode([whole | changes, b"values", "", {}])

    assert isinstance(drawn_of(answer()).drawing, Drawing)
    assert drawn_of(answer(**changes)) == Drawn(why_not="contours_not_made")
    for why_not, facts in (("no_such_code", {}), ("points_too_many", {}), ("", {})):
        body = msgpack.encode([None, b"", why_not, facts])
        assert drawn_of(body) == Drawn(why_not="contours_not_made")
