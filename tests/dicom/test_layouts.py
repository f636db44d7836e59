"""A header that is laid out as another is read as if it had been walked over."""

import itertools
import random
import struct
from collections.abc import Iterable
from typing import Any

import pytest

from app.dicom import headers, scanner
from app.dicom.attributes import TRANSFER_SYNTAX_UID
from app.dicom.headers import COMMON_TAGS, WANTED, read_header
from app.dicom.layouts import (
    AT_FIRST,
    MOST_LAYOUTS,
    MOST_SERIES,
    MOST_SHAPES,
    ONE_IN,
    Layout,
    Layouts,
    ScannedHeader,
)
from app.dicom.recognition import PREFIX
from app.dicom.scanner import Unusual, Walk
from app.errors import Expected
from tests.making import objects

ITEMS = 1_000
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"undefined_lengths": True},
    {"transfer_syntax": objects.IMPLICIT},
    {"transfer_syntax": objects.IMPLICIT, "undefined_lengths": True},
    {"transfer_syntax": objects.BIG_ENDIAN},
)
CASES = [(make, way) for make in (objects.mr_image, objects.secondary_capture) for way in WAYS]
OPTIONAL = (
    *("StudyDescription", "SeriesDescription", "InstitutionName", "StationName"),
    *("BodyPartExamined", "ProtocolName", "SoftwareVersions", "OperatorsName"),
)


def name(parameter: Any) -> str:
    return getattr(parameter, "__name__", str(parameter))


def walk_over(data: bytes) -> tuple[scanner.Meta, Walk]:
    meta = scanner.read_meta(data, len(PREFIX))
    syntax = meta.uid(TRANSFER_SYNTAX_UID.tag)
    order = scanner.byte_order(data, meta.end, syntax)
    implicit = scanner.is_implicit(data, meta.end, syntax, order)
    return meta, scanner.scan(data, meta.end, implicit, WANTED, ITEMS, order)


def walked(data: bytes, layouts: Layouts) -> ScannedHeader | None:
    """What the scanner finds, and teaches; None where it leaves the header to pydicom."""
    try:
        meta, walk = walk_over(data)
    except (Unusual, Expected, struct.error):
        return None
    layouts.learn(data, meta, walk)
    return ScannedHeader(meta, walk.dataset)


def found(laid: ScannedHeader | None) -> tuple[Any, ...] | None:
    if laid is None:
        return None
    meta, dataset = laid
    return (
        *(meta.elements, meta.end, dataset.elements, dataset.sequences),
        *(dataset.scan.implicit, dataset.scan.item_count, dataset.little_endian),
    )


def new() -> Layouts:
    return Layouts(COMMON_TAGS)


def taught(files: Iterable[bytes]) -> Layouts:
    layouts = new()
    for data in files:
        assert layouts.read(data, ITEMS) or walked(data, layouts)
    return layouts


def series(make: Any, way: dict[str, Any], count: int = 4, **keywords: Any) -> list[bytes]:
    return [
        make(
            SOPInstanceUID=f"1.2.3.{10**number}",
            InstanceNumber=8 + number,
            ContentTime=f"1015{number:02}" + ".5" * (number % 2),
            **(way | keywords),
        )
        for number in range(count)
    ]


def agree(data: bytes, layouts: Layouts) -> bool:
    """Whether a layout reads a header, which it then does as a walk."""
    laid = layouts.read(data, ITEMS)
    if laid is not None:
        assert found(laid) == found(walked(data, new()))
    return laid is not None


@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_once_it_is_known_what_varies_a_series_is_walked_over_no_more(make, way):
    files = series(make, way, count=10)
    layouts = taught(files[:4])
    assert all(agree(data, layouts) for data in files)


@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_so_are_other_series_once_it_is_known_in_what_they_differ(make, way):
    several = [
        series(make, way, SeriesInstanceUID=f"1.9.{10**at}", SeriesDescription="y" * at)
        for at in range(1, 5)
    ]
    layouts = taught([*several[0], *several[1]])
    for files in (several[2], several[3], several[0], *zip(*several, strict=True)):
        assert all(agree(data, layouts) for data in files)
    assert len(layouts.known) == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_images_of_several_sizes_are_laid_out_alike(way):
    several = [
        series(objects.mr_image, way, SeriesInstanceUID=f"1.9.{side}", **square(side))
        for side in (4, 8, 16)
    ]
    layouts = taught([*several[0], *several[1]])
    assert all(agree(data, layouts) for files in zip(*several, strict=True) for data in files)
    assert len(layouts.known) == 1


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_of_very_many_lengths_the_recent_ones_are_remembered(way):
    def with_uid_of(digits: int, number: int) -> bytes:
        return objects.mr_image(SOPInstanceUID=f"1.2.3.{10**digits + number}", **way)

    lengths = range(2, 2 + 4 * MOST_SHAPES, 2)
    layouts = taught([with_uid_of(digits, 0) for digits in lengths[:3]])
    for number, digits in enumerate([*lengths, *lengths], start=1):
        assert agree(with_uid_of(digits, number), layouts)
    shapes = layouts.known[0].last.shapes
    before = {*shapes}
    assert len(before) == MOST_SHAPES
    for number, digits in enumerate([*lengths[-MOST_SHAPES:]] * 2, start=50):
        assert agree(with_uid_of(digits, number), layouts)
        assert {*shapes} == before


def square(side: int) -> dict[str, Any]:
    return {"Rows": side, "Columns": side, "PixelData": bytes(2 * side * side)}


def test_of_very_many_series_the_recent_ones_are_remembered():
    layouts = new()
    for number in range(3 * MOST_SERIES):
        for data in series(objects.ct_image, {}, SeriesInstanceUID=f"1.9.{number}"):
            assert agree(data, layouts) or walked(data, layouts)
    (layout,) = layouts.known
    assert len(layout.series) == MOST_SERIES


@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_any_altered_byte_is_read_as_a_walk_reads_it_or_not_at_all(make, way):
    files = series(make, way)
    data, fitting = files[-1], 0
    for at in range(len(data)):
        altered = data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :]
        fitting += agree(altered, taught(files))
    assert 0 < fitting < len(data)


@pytest.mark.parametrize("growth", [-2, 2, 300, 9_000])
@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_so_is_a_value_of_another_length(make, way, growth):
    files = series(make, way)
    fitting = sum(agree(altered, taught(files)) for altered in resized(files[-1], growth))
    assert fitting >= (growth < 9_000)


def resized(data: bytes, growth: int) -> Iterable[bytes]:
    """The object with one value or the other of the dataset longer or shorter."""
    _, walk = walk_over(data)
    tops = sorted(walk.tops)
    for start in tops[:-1]:
        is_long = start + 8 in walk.long_lengths
        at = start + (8 if is_long else 4 if walk.dataset.scan.implicit else 6)
        size = 2 if at == start + 6 else 4
        order = "little" if walk.dataset.little_endian else "big"
        length = int.from_bytes(data[at : at + size], order) + growth
        if 0 <= length < 1 << 8 * size:
            stop = at + size + length - growth
            value = (data[at + size : stop] + b"1" * max(growth, 0))[:length]
            yield data[:at] + length.to_bytes(size, order) + value + data[stop:]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_file_cut_short_fits_no_layout(way):
    files = series(objects.ct_image, way)
    layouts, data = taught(files), files[-1]
    end = walk_over(data)[1].end
    assert agree(data[: end + 12], layouts)
    assert not any(layouts.read(data[:size], ITEMS) for size in range(end + 12))


def test_a_layout_found_under_one_limit_of_items_is_not_used_under_another():
    files = series(objects.ct_image, {"undefined_lengths": True})
    assert not taught(files).read(files[-1], ITEMS - 1)


def test_a_long_value_that_nobody_wants_is_not_compared():
    files = [
        objects.ct_image(AdditionalPatientHistory=f"{number}" * 400 * number)
        for number in range(1, 6)
    ]
    layouts = taught(files[:2])
    assert all(agree(data, layouts) for data in files)


class Counted(Layouts):
    learnt = 0

    def _add(self, layout: Layout, buffer: scanner.Buffer) -> None:
        super()._add(layout, buffer)
        self.learnt += 1


def test_a_header_of_very_many_values_is_not_kept():
    value = struct.pack("<2sH", b"LO", 16) + b"x" * 16
    many = b"".join(struct.pack("<HH", 0x0009, 0x1000 + n) + value for n in range(2_000))
    data = objects.ct_image()
    at = data.index(struct.pack("<HH2s", 0x0010, 0x0010, b"PN"))
    assert not taught([data[:at] + many + data[at:]] * 3).known


def test_headers_that_all_differ_are_seldom_learnt():
    layouts = Counted(COMMON_TAGS)
    rounds = [*itertools.combinations(OPTIONAL, 4)] * 4
    for present in rounds:
        data = objects.ct_image(**(dict.fromkeys(OPTIONAL) | dict.fromkeys(present, "x")))
        assert agree(data, layouts) or walked(data, layouts)
    assert layouts.learnt <= AT_FIRST + len(rounds) / ONE_IN
    assert len(layouts.known) <= MOST_LAYOUTS


def test_a_walk_that_looked_at_other_bytes_teaches_nothing():
    odd = {"ReferencedPatientPhotoSequence": [{"ReferencedSOPInstanceUID": "1.2"}]}
    assert not taught(series(objects.ct_image, WAYS[3], **odd)).known


def test_a_header_with_sequences_that_are_wanted_teaches_nothing():
    assert not taught(series(objects.enhanced_ct, {})).known


def test_one_with_a_wanted_value_that_is_cut_off_teaches_nothing():
    assert not taught(series(objects.ct_image, {}, StudyDescription="x" * 9_000)).known


def test_records_are_those_of_a_walk_whatever_was_read_before(monkeypatch):
    """Files of several patients and series, in any order: nothing of one is said of another."""
    files = [
        data
        for at, charset in enumerate(("ISO_IR 100", "ISO_IR 192", "ISO_IR 101", "ISO_IR 100"))
        for echo in range(1, 2 + at)
        for data in series(
            objects.mr_image,
            {"SpecificCharacterSet": charset, "PatientName": f"M\u00fcller^{at % 3}"},
            count=5,
            SeriesInstanceUID=f"1.9.{at}",
            EchoTime=str(echo),
            Rows=4 + at % 2,
        )
    ]

    def alone(data: bytes) -> Any:
        monkeypatch.setattr(headers, "_layouts", new())
        return read_header(data)

    expected = {data: alone(data) for data in files}
    monkeypatch.setattr(headers, "_layouts", new())
    order = random.Random(7)
    for _ in range(20):
        order.shuffle(files)
        assert all(read_header(data) == expected[data] for data in files)
