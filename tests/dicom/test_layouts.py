"""A header that is laid out as another is read as if it had been walked over."""

import struct
from typing import Any

import pytest

from app.dicom import scanner
from app.dicom.attributes import TRANSFER_SYNTAX_UID
from app.dicom.headers import WANTED
from app.dicom.layouts import Layouts, ScannedHeader
from app.dicom.recognition import PREFIX
from app.dicom.scanner import Unusual
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
CASES = [
    *((objects.ct_image, way) for way in WAYS),
    # In implicit VR its undefined lengths need a look at other bytes: see the last test.
    *((objects.enhanced_ct, way) for way in WAYS[:3]),
]


def name(parameter: Any) -> str:
    return getattr(parameter, "__name__", str(parameter))


def walked(data: bytes, layouts: Layouts) -> ScannedHeader | None:
    """What the scanner finds, and teaches; None where it leaves the header to pydicom."""
    try:
        meta = scanner.read_meta(data, len(PREFIX))
        syntax = meta.uid(TRANSFER_SYNTAX_UID.tag)
        order = scanner.byte_order(data, meta.end, syntax)
        implicit = scanner.is_implicit(data, meta.end, syntax, order)
        walk = scanner.scan(data, meta.end, implicit, WANTED, ITEMS, order)
    except (Unusual, Expected, struct.error):
        return None
    layouts.learn(data, meta, meta.spans[TRANSFER_SYNTAX_UID.tag], walk)
    return ScannedHeader(meta, walk.dataset)


def found(laid: ScannedHeader | None) -> tuple[Any, ...] | None:
    if laid is None:
        return None
    meta, dataset = laid
    return (
        *(meta.elements, meta.end, dataset.elements, dataset.sequences),
        *(dataset.scan.implicit, dataset.scan.item_count, dataset.little_endian),
    )


def taught(data: bytes) -> Layouts:
    layouts = Layouts()
    for _ in range(2):
        assert walked(data, layouts)
    return layouts


@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_a_series_is_walked_over_twice_and_then_no_more(make, way):
    files = [make(InstanceNumber=number, **way) for number in range(1, 9)]
    layouts = taught(files[0])
    for data in files:
        assert found(layouts.read(data, ITEMS)) == found(walked(data, Layouts()))


@pytest.mark.parametrize(("make", "way"), CASES, ids=name)
def test_any_altered_byte_is_read_as_a_walk_reads_it_or_not_at_all(make, way):
    data = make(**way)
    layouts = taught(data)
    fitting = 0
    for at in range(len(data)):
        altered = data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :]
        laid = layouts.read(altered, ITEMS)
        if laid:
            fitting += 1
            assert found(laid) == found(walked(altered, Layouts()))
    assert 0 < fitting < len(data)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_file_cut_short_fits_no_layout(way):
    data = objects.ct_image(**way)
    layouts = taught(data)
    end = layouts.known[0].end
    assert layouts.read(data[: end + 12], ITEMS)
    assert not any(layouts.read(data[:size], ITEMS) for size in range(end + 12))


def test_a_layout_found_under_one_limit_of_items_is_not_used_under_another():
    layouts = taught(objects.ct_image(undefined_lengths=True))
    assert not layouts.read(objects.ct_image(undefined_lengths=True), ITEMS - 1)


def test_headers_that_all_differ_teach_nothing():
    layouts = Layouts()
    for length in range(2, 40, 2):
        assert walked(objects.ct_image(StudyDescription="x" * length), layouts)
    assert not layouts.known


def test_a_walk_that_looked_at_other_bytes_teaches_nothing():
    layouts = taught(objects.enhanced_ct(**WAYS[3]))
    assert not layouts.known
