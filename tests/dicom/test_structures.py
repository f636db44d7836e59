"""One RT Structure Set -> ROIs and contours, as planning systems write it."""

import json
import random
import struct
from datetime import date
from io import BytesIO

import pydicom
import pytest

from app.dicom import headers, text
from app.dicom import structures as readers
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.records import StructureSetRecord
from app.dicom.scanner import LEFT_TO_PYDICOM
from app.dicom.structures import read_structure_set
from app.errors import MemberFailed
from tests.making import objects
from tests.making.objects import Raw, contour, frame_reference, roi, rt_structure_set, uid

WAYS = (
    {},
    {"undefined_lengths": True},
    {"transfer_syntax": objects.IMPLICIT},
    {"transfer_syntax": objects.IMPLICIT, "undefined_lengths": True},
    {"transfer_syntax": objects.BIG_ENDIAN},
    {"prefix": False},
    objects.LEFT_TO_PYDICOM,
)


def structures(data: bytes) -> StructureSetRecord:
    record = read_header(data).structure_set
    assert record is not None
    return record


def warned(data: bytes) -> dict[str, object]:
    """Warning codes, each with its count or attribute."""
    return {
        warning.code: warning.facts.get("count", warning.facts.get("attribute"))
        for warning in read_header(data).warnings
    }


def contours(record: StructureSetRecord, number: int = 0) -> list[dict[str, object]]:
    """What the JSON text of a ROI's contours says."""
    found = json.loads(record.rois[number].roi_contour_data)
    assert record.rois[number].contour_count == len(found)
    return found


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_structure_set_becomes_a_record(way):
    record = structures(rt_structure_set(["Heart", "Lung"], **way))
    assert record.structure_set_label == "Plan1"
    assert record.structure_set_name == "First plan"
    assert record.structure_set_date == date(2024, 3, 13)
    assert record.approval_status == "UNAPPROVED"
    assert record.number_of_roi == 2
    assert record.referenced_frame_of_reference_uid == [uid(2, 9)]
    assert record.referenced_series_instance_uid == [uid(2, 1)]
    assert record.referenced_sop_count == 1
    heart = record.rois[0]
    assert heart.roi_number == 1
    assert heart.roi_name == "Heart"
    assert heart.rt_roi_interpreted_type == "ORGAN"
    assert heart.roi_generation_algorithm == "MANUAL"
    assert heart.roi_display_color == [255, 0, 10]
    assert contours(record) == [
        {
            "type": "CLOSED_PLANAR",
            "points": [0, 0, 5, 10, 0, 5, 0, 10, 5],
            "sop": uid(2, 1, 1),
        }
    ]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_everything_that_it_refers_to_is_listed_once(way):
    frames = [
        {"ReferencedSOPInstanceUID": uid(5), "ReferencedFrameNumber": number}
        for number in ("2", ["3", "2"], "x", "0", None)
    ]
    drawn = contour(1, 2, 3) | {"ContourImageSequence": frames}
    unread = contour(1, 2, 3, sop=uid(6)) | {"ContourData": "1\\2\\x"}
    references = [
        frame_reference(sops=[uid(2, 1, 1), uid(2, 1, 2), ""]),
        frame_reference(frame=uid(8), sops=[uid(2, 1, 2), "not a\tUID"]),
    ]
    data = rt_structure_set(
        [roi(1, "A", drawn, drawn), roi(2, "B", unread)],
        ReferencedFrameOfReferenceSequence=references,
        **way,
    )
    record = structures(data)
    assert [(one.kind, one.uid, one.frame_number) for one in record.references] == [
        *(("frame", uid(2, 9), 0), ("study", uid(2), 0), ("series", uid(2, 1), 0)),
        *(("image", uid(2, 1, 1), 0), ("image", uid(2, 1, 2), 0), ("image", "", 0)),
        ("frame", uid(8), 0),
        *(("image", uid(5), 2), ("image", uid(5), 3), ("image", uid(5), 0)),
        ("image", uid(6), 0),
    ]
    assert record.referenced_sop_count == 2
    assert [one.slice_count for one in record.rois] == [3, 0]
    attributes = {one.facts.get("attribute") for one in read_header(data).warnings}
    assert {"ReferencedSOPInstanceUID", "ReferencedFrameNumber"} <= attributes


def test_more_references_than_can_be_kept_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr(readers, "MOST_REFERENCES", 4)
    data = rt_structure_set(
        ReferencedFrameOfReferenceSequence=[frame_reference(sops=[uid(n) for n in range(9)])]
    )
    assert [one.uid for one in structures(data).references] == [
        uid(2, 9),
        uid(2),
        uid(2, 1),
        uid(0),
    ]
    assert structures(data).referenced_sop_count == 9
    assert "references_left_out" in warned(data)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_numbers_are_those_that_pydicom_reads(way):
    written = ["-1.50", "20", "+.5", "5.", "007", "1e2", "-0", "0.25", "1E-3", "12.5", "-3.75", "9"]
    data = rt_structure_set([roi(1, "A", contour(*written))], **way)
    dataset = pydicom.dcmread(BytesIO(data), force=True)
    expected = dataset.ROIContourSequence[0].ContourSequence[0].ContourData
    [found] = contours(structures(data))
    assert found["points"] == [float(number) for number in expected]


@pytest.mark.parametrize(
    "written",
    [
        *("1.0\\.5\\2", "1.\\2\\3", "01\\2\\3", "-01.5\\3\\2", "00\\1\\2", "-.5\\1\\2", "+1\\2\\3"),
        *("1 \\ 2\\3", "1e5\\2\\3", "-0.0\\0\\0", "0.10\\0\\1E+02", "123456789012345678\\1\\2"),
        *("1.5\\2.5\\3.5\\4.5\\5.5\\3.5", "1.5\\2.5\\3.5\\4.5\\5.5\\6.5", "1.5\\2.5\\03.5"),
    ],
)
def test_every_way_to_write_a_decimal_becomes_json(written):
    item = contour() | {"ContourData": written}
    [found] = contours(structures(rt_structure_set([roi(1, "A", item)])))
    assert [float(number) for number in found["points"]] == [
        float(number) for number in written.split("\\")
    ]


@pytest.mark.parametrize(
    "broken",
    [
        *(
            "1\\2\\x",
            "1\\2\\NaN",
            "1\\2\\Infinity",
            "1\\2\\1e999",
            "1\\2",
            "1\\2\\3\\4",
            "1-2\\3\\4",
        ),
        *("--1\\2\\3", "1.2.3\\4\\5", "\\1\\2\\3", "1\\2\\3\\\\", "1\\\\2", "-\\1\\2", "1\\2\\"),
        *(b"\xff\\1\\2", "9" * 400 + "\\1\\2", "1\\2\\" * 99 + "9" * 400 + ".5\\1\\2"),
        *('"1"\\2\\3', "[1]\\2\\3", "{}\\2\\3", "null\\2\\3", "true\\2\\3", "1],[2\\3\\4"),
    ],
)
@pytest.mark.parametrize("way", [{}, objects.LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_a_broken_contour_is_left_out_and_the_others_stay(broken, way):
    good = contour(1, 2, 3)
    data = rt_structure_set([roi(1, "A", contour() | {"ContourData": broken}, good)], **way)
    assert [found["points"] for found in contours(structures(data))] == [[1, 2, 3]]
    assert warned(data) == {"contour_unreadable": 1}


@pytest.mark.parametrize("written", ["1\\2\\3\\", "1\\2\\3\\ ", "+1\\2.\\3\\", b"1\\2\\3 \\\0"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_contour_that_ends_in_a_separator_is_kept_with_a_warning(written, way):
    item = contour(1, 2, 3) | {"ContourData": written}
    data = rt_structure_set([roi(1, "A", contour(4, 5, 6), item, contour(7, 8, 9))], **way)
    points = [found["points"] for found in contours(structures(data))]
    assert points == [[4, 5, 6], [1, 2, 3], [7, 8, 9]]
    assert warned(data) == {"contour_separator_last": 1}


def test_binary_numbers_end_in_any_byte():
    numbers = struct.pack("<3f", 1, 2, struct.unpack("<f", b"\0\0\0\x5c")[0])
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3) | {"ContourData": Raw("FL", numbers)})])
    assert warned(data) == {}


@pytest.mark.parametrize("written", ["1,5\\2,5\\3,5", "-0,5\\1\\2", "1,5\\2\\3\\", "1,2\\3,4"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_contours_with_decimal_commas_are_left_out_and_counted(written, way):
    item = contour(1, 2, 3) | {"ContourData": written}
    data = rt_structure_set([roi(1, "A", item, contour(4, 5, 6), item)], **way)
    assert [found["points"] for found in contours(structures(data))] == [[4, 5, 6]]
    assert warned(data) == {"contour_decimal_commas": 2}


def test_warnings_of_contours_name_the_rois_that_they_are_of():
    item = contour(1, 2, 3) | {"ContourData": "1,5\\2,5\\3,5"}
    rois = [roi(number, str(number), item) for number in (4, 2, 9, 1, 7, 8)]
    warnings = read_header(rt_structure_set([roi(3, "C", contour(1, 2, 3)), *rois])).warnings
    assert {warning.code: warning.facts for warning in warnings} == {
        "roi_without_contours": {"count": 6},
        "contour_decimal_commas": {"count": 6, "rois": "4, 2, 9, 1, 7, …"},
    }


@pytest.mark.parametrize(
    ("said", "differ"),
    [
        *(("2", 0), (" +2 ", 0), (None, 0), ("", 0), ("x", 0)),
        *(("1", 1), ("3", 1), ("3222", 1), ("0", 1)),
    ],
)
@pytest.mark.parametrize("points", [["1", "2", "3"], ["+1", ".5", "3."]], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_points_of_a_contour_are_counted_against_what_the_file_says(said, differ, points, way):
    item = contour(*points * 2) | {"NumberOfContourPoints": said}
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3), item), roi(2, "B", item)], **way)
    assert len(contours(structures(data))) == 2
    assert warned(data) == {"contour_points_differ": 2 * differ} if differ else not warned(data)


def test_an_empty_contour_that_should_have_points_is_counted():
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3) | {"ContourData": ""})])
    assert warned(data) == {"contour_points_differ": 1}


def test_differences_in_both_directions_do_not_cancel_out():
    short = contour(1, 2, 3) | {"NumberOfContourPoints": "2"}
    long = contour(1, 2, 3, 4, 5, 6) | {"NumberOfContourPoints": "1"}
    data = rt_structure_set([roi(1, "A", short, long, contour(7, 8, 9))])
    assert warned(data) == {"contour_points_differ": 2}
    assert len(contours(structures(data))) == 3


@pytest.mark.parametrize("said", ["as it was", "3", None])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("points", [4_400, 5_200, 6_001, 7_003, 12_000])
def test_a_contour_whose_length_overflowed_its_16_bits_says_so(points, undefined, said):
    """What is read of it may be whole points; the rest passes for elements, or for damage."""
    chance = random.Random(points)
    written = b"\\".join(b"%.1f" % chance.uniform(-900, 900) for _ in range(3 * points))
    written += b" " * (len(written) % 2)
    said = str(points) if said == "as it was" else said
    item = contour(1, 2, 3) | {"NumberOfContourPoints": said, "ContourData": Raw("UT", written)}
    rois = [roi(1, "A", contour(4, 5, 6), item), roi(2, "B", contour(7, 8, 9))]
    data = rt_structure_set(rois, undefined_lengths=undefined)
    at = data.index(b"UT\0\0" + struct.pack("<I", len(written)))
    # A length of 16 bits takes four bytes less, which stand behind the value instead.
    length = struct.pack("<H", len(written) % 2**16)
    data = data[:at] + b"DS" + length + written + b"    " + data[at + 8 + len(written) :]
    assert read_header(data).instance.sop_instance_uid == uid(2, 5, 1)
    told = {"contour_points_differ", "contour_unreadable", "structures_unreadable"}
    assert told & {*warned(data)}


WRITTEN = (
    *("1\\2\\3", "-0.5\\0\\1e2\\4\\5\\6", "+1\\2\\3", "1.50\\2.0\\3", "", " ", "1 \\ 2\\3", "7"),
    *(
        "1\\2\\x",
        "1\\2\\",
        "\\1\\2",
        "1\\2\\3]",
        "1,2\\3\\4\\5",
        "1]}\\2\\3",
        "0\\0\\00",
        "9" * 301,
    ),
    *(
        "9" * 400 + "\\1\\2",
        "1\\2\\" + "9" * 300,
        "9" * 300 + "\\1\\2",
        "1\\2\\3\\" * 50 + "4\\5\\6",
    ),
)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_many_contours_are_read_as_each_of_them_alone(way):
    """Also where the one beside it, or most, or none of them are plain numbers."""
    chance = random.Random(1)
    plain = contour(1, 2, 3, sop=uid(2, 1, 1))
    uncounted = contour() | {"NumberOfContourPoints": None}
    strange = [uncounted | {"ContourData": written} for written in WRITTEN]
    strange += [
        {},
        contour(kind=None) | {"ContourData": None},
        plain | {"ContourData": Raw("OB", b"1\\2\\3")},
    ]
    some = [*strange, *[plain] * 100, *chance.choices(strange, k=20), *[plain] * 100, strange[2]]
    some += [chance.choice([*strange, *[plain] * 20]) for _ in range(200)]
    alone = [
        structures(rt_structure_set([roi(1, "A", one)], **way)).rois[0].roi_contour_data[1:-1]
        for one in some
    ]
    data = rt_structure_set([roi(1, "A", *some)], **way)
    [found] = structures(data).rois
    assert found.roi_contour_data == b"[%b]" % b",".join(filter(None, alone))
    assert found.contour_count == len(list(filter(None, alone)))
    with_commas = some.count(uncounted | {"ContourData": "1,2\\3\\4\\5"})
    assert warned(data) == {
        "contour_unreadable": alone.count(b"") - with_commas,
        "contour_decimal_commas": with_commas,
    }


@pytest.mark.parametrize("way", WAYS[:4], ids=str)
def test_items_count_each_time_they_are_walked_through(way):
    """However they are passed over when they are met again."""
    some = [contour(n, n, n, sop=uid(2, 1, n + 1)) for n in range(100)]
    data = rt_structure_set([roi(1, "A", *some), roi(2, "B", *some)], **way)
    # Four of references, two of ROIs, contours and observations each; an image once for both.
    least = 4 + 2 + 2 + 200 + 100 + 2
    if way.get("undefined_lengths"):
        # Once more all to find where they end, and again with each that they are nested in.
        least += (4 + 3 + 2 + 1) + 2 + (2 + 200 + 200) + (200 + 200) + 200 + 2
    assert read_header(data, limits=HeaderLimits(items=least))
    with pytest.raises(MemberFailed, match="too_many_items"):
        read_header(data, limits=HeaderLimits(items=least - 1))


def with_a_reference_for_pydicom_alone() -> bytes:
    """A set whose first contour refers to an image by an element that the scanner cannot read."""
    some = [contour(1, 2, 3, sop="1.2.3.4"), *[contour(1, 2, 3)] * 50]
    data = rt_structure_set([roi(1, "A", *some)])
    at = data.index(b"1.2.3.4") - 8
    return data[:at] + struct.pack("<HHI", 0xFFFE, 0xE000, 8) + data[at + 8 :]


def test_what_is_wrong_first_counts_though_later_contours_are_walked_through_before():
    """A reference that only pydicom can read; it counts fewer items than the scanner does."""
    data = with_a_reference_for_pydicom_alone()
    record = read_header(data, limits=HeaderLimits(items=51)).structure_set
    assert record is not None
    assert len(contours(record)) == 51


def second_readings(raw: headers.RawHeader) -> int:
    """How often the contours had to be read again, one by one."""
    readings: list[bool] = []
    charset = text.charset(b"ISO_IR 100", "ISO_IR 100")
    try:
        read_structure_set(raw.elements, charset, lambda: readings.append(True))
    except (*LEFT_TO_PYDICOM, MemberFailed):
        assert readings
    return len(readings)


ORDINARY = {
    "one": [roi(1, "A", objects.TRIANGLE)],
    "several": [roi(n, f"R{n}", *[objects.TRIANGLE] * n) for n in range(1, 9)],
    "empty": [roi(1, "A"), roi(2, "B", ContourSequence=None), roi(3, "C", objects.TRIANGLE)],
    "point": [roi(1, "A", contour(1, 2, 3, kind="POINT"), contour(1, 2, 3, kind="POINT"))],
    "numbers": [roi(1, "A", contour("+1.5", "2e1", "-0", ".5", "5.", "007"), objects.TRIANGLE)],
    "without images": [roi(1, "A", contour(1, 2, 3), contour(4, 5, 6))],
    "long": [roi(1, "A", contour(*range(9_000), sop=uid(2, 1, 1)), objects.TRIANGLE)],
    "a thousand": [roi(1, "A", *[contour(n, 2, 3, sop=uid(2, 1, n)) for n in range(1_000)])],
}


@pytest.mark.parametrize("way", WAYS[:4], ids=str)
@pytest.mark.parametrize("rois", ORDINARY.values(), ids=ORDINARY)
def test_the_contours_of_ordinary_sets_are_read_once(rois, way):
    data = rt_structure_set(rois, **way)
    assert second_readings(headers._scan(data, HeaderLimits(), False)) == 0
    assert second_readings(headers._read_with_pydicom(data, HeaderLimits(), False)) == 0


def test_contours_are_read_again_where_one_of_a_batch_is_wrong():
    data = with_a_reference_for_pydicom_alone()
    assert second_readings(headers._scan(data, HeaderLimits(items=51), False)) == 1
    data = rt_structure_set([roi(1, "A", *[objects.TRIANGLE] * 3)])
    at = data.rindex(struct.pack("<HH2s", 0x3006, 0x0016, b"SQ"))  # begins the last contour
    for length in (3, 0xFFFF):
        lying = data[: at - 4] + struct.pack("<I", length) + data[at:]
        assert second_readings(headers._scan(lying, HeaderLimits(), False)) == 1


@pytest.mark.parametrize(
    ("end", "kept"), [("", 1), ("\\", 1), ("\\\\", 0), ("\\1", 0), ("\\x\\1\\2", 0)]
)
def test_a_contour_of_megabytes_is_read_as_a_short_one_is(end, kept):
    item = contour() | {"ContourData": "\\".join(["+1.5", "2", "-.5"] * 150_000) + end}
    data = rt_structure_set([roi(1, "A", item)], transfer_syntax=objects.IMPLICIT)
    found = [one["points"] for one in contours(structures(data))]
    assert found == [[1.5, 2.0, -0.5] * 150_000] * kept


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSEDPLANAR_XOR", ""])
def test_every_geometric_type_is_kept(kind):
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3, kind=kind))])
    assert [found["type"] for found in contours(structures(data))] == [kind]
    assert warned(data) == {}


def test_a_contour_without_type_image_or_data_is_kept():
    data = rt_structure_set([roi(1, "A", contour(kind=None) | {"ContourData": ""}, {})])
    assert contours(structures(data)) == [{"type": "", "points": [], "sop": ""}] * 2
    assert warned(data) == {}


def test_what_looks_like_json_in_a_type_or_uid_stays_text():
    item = contour(1, 2, 3, kind='"}],[\\', sop='1"2')
    [found] = contours(structures(rt_structure_set([roi(1, "A", item)])))
    assert found["sop"] == '1"2'
    assert found["points"] == [1, 2, 3]


def test_rois_without_contours_are_kept_with_a_warning():
    empty = roi(2, "B", ContourSequence=None)
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3)), empty, roi(3, "C")])
    assert [found.contour_count for found in structures(data).rois] == [1, 0, 0]
    assert warned(data) == {"roi_without_contours": 2}


def test_rois_that_the_contour_sequence_does_not_name_are_kept():
    data = rt_structure_set(["A", "B"], ROIContourSequence=None)
    record = structures(data)
    assert [found.roi_name for found in record.rois] == ["A", "B"]
    assert record.rois[0].roi_contour_data == b"[]"
    assert record.rois[0].roi_display_color is None
    assert warned(data) == {"roi_without_contours": 2}


def test_contours_are_joined_by_number_not_by_position():
    triangles = [contour(number, number, number) for number in range(3)]
    items = [
        {"ReferencedROINumber": str(number), "ContourSequence": [triangles[number]]}
        for number in (2, 1, 0)
    ]
    record = structures(
        rt_structure_set([roi(n, str(n)) for n in range(3)], ROIContourSequence=items)
    )
    for number in range(3):
        assert contours(record, number)[0]["points"] == [number] * 3


def test_two_contour_items_of_one_roi_are_put_together():
    items = [{"ReferencedROINumber": "1", "ContourSequence": [contour(n, n, n)]} for n in range(2)]
    data = rt_structure_set(["A"], ROIContourSequence=items)
    assert [found["points"] for found in contours(structures(data))] == [[0] * 3, [1] * 3]


def test_of_two_rois_with_one_number_the_first_gets_the_contours():
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3)), roi(1, "B")])
    record = structures(data)
    assert [found.roi_name for found in record.rois] == ["A", "B"]
    assert [found.contour_count for found in record.rois] == [1, 0]
    assert warned(data) == {"roi_number_repeated": 2, "roi_without_contours": 1}


def test_two_rois_with_one_name_stay_two():
    record = structures(rt_structure_set(["A", "A"]))
    assert [found.roi_number for found in record.rois] == [1, 2]


@pytest.mark.parametrize("number", ["9", None, "x"])
def test_contours_of_a_roi_that_is_not_defined_are_a_warning(number):
    items = [
        {"ReferencedROINumber": "1", "ContourSequence": [contour(1, 2, 3)]},
        {"ReferencedROINumber": number, "ContourSequence": [contour(4, 5, 6)]},
    ]
    data = rt_structure_set(["A"], ROIContourSequence=items)
    assert structures(data).number_of_roi == 1
    assert warned(data)["contours_without_roi"] == 1


def test_a_roi_without_number_is_kept_without_contours():
    record = structures(rt_structure_set([roi(None, "A", contour(1, 2, 3))]))
    assert record.rois[0].roi_name == "A"
    assert record.rois[0].roi_number is None
    assert record.rois[0].contour_count == 0


def test_roi_number_zero_is_a_number():
    data = rt_structure_set([roi(0, "A", contour(1, 2, 3)), roi(0, "B")])
    assert structures(data).rois[0].contour_count == 1
    assert warned(data)["roi_number_repeated"] == 2


def test_no_roi_at_all_is_no_error():
    for rois in ([], None):
        data = rt_structure_set([], StructureSetROISequence=rois, ROIContourSequence=rois)
        assert structures(data).number_of_roi == 0
        assert warned(data) == {}


def test_every_frame_and_series_referred_to_is_read():
    references = [
        frame_reference(uid(1), uid(1, 1), [uid(1, 1, 1), uid(1, 1, 2)]),
        frame_reference(uid(2), uid(2, 1), [uid(2, 1, 1), uid(1, 1, 1)]),
        frame_reference(uid(1), uid(1, 1), []),
    ]
    record = structures(rt_structure_set([], ReferencedFrameOfReferenceSequence=references))
    assert record.referenced_frame_of_reference_uid == [uid(1), uid(2)]
    assert record.referenced_series_instance_uid == [uid(1, 1), uid(2, 1)]
    assert record.referenced_sop_count == 3


def test_a_set_without_references_has_the_frames_of_its_rois():
    record = structures(rt_structure_set(["A"], ReferencedFrameOfReferenceSequence=None))
    assert record.referenced_frame_of_reference_uid == [uid(2, 9)]
    assert record.referenced_series_instance_uid == []
    assert record.referenced_sop_count == 0


@pytest.mark.parametrize("color", ["255\\0", "256\\0\\0", "-1\\0\\0", "red"])
def test_a_broken_colour_is_left_empty_with_a_warning(color):
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3), ROIDisplayColor=color)])
    assert structures(data).rois[0].roi_display_color is None
    assert warned(data) == {"value_unreadable": "ROIDisplayColor"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a\0b", "a b"),
        ("", ""),
        ("../../x", "../../x"),
        ("n" * 2_000, "n" * 1024),
        (b"Proth\xe8se", "Prothèse"),
    ],
)
def test_a_roi_name_is_safe_text(name, expected):
    assert structures(rt_structure_set([roi(1, name)])).rois[0].roi_name == expected


def test_an_item_with_a_character_set_of_its_own_is_read_with_it():
    definition = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ROINumber": "1",
        "ROIName": "Prothèse".encode(),
    }
    record = structures(rt_structure_set([], StructureSetROISequence=[definition]))
    assert record.rois[0].roi_name == "Prothèse"


def test_a_set_whose_structures_are_damaged_is_kept_without_them():
    data = rt_structure_set(["Heart"], undefined_lengths=True)
    header = read_header(data[: data.index(b"CLOSED_PLANAR") + 4])
    assert header.instance.sop_instance_uid == uid(2, 5, 1)
    assert header.structure_set is not None
    assert header.structure_set.rois == []
    assert [warning.code for warning in header.warnings] == ["structures_unreadable"]


def test_of_a_set_cut_short_what_is_there_is_kept():
    second = roi(2, "B", contour(1, 2, 3), contour("4.25", "5.25", "6.25"))
    data = rt_structure_set([roi(1, "A", contour(1, 2, 3)), second])
    header = read_header(data[: data.index(b"6.25") + 2])
    assert header.structure_set is not None
    assert [found.roi_name for found in header.structure_set.rois] == ["A", "B"]
    assert header.structure_set.rois[0].contour_count == 1
    assert b"6." not in b"".join(found.roi_contour_data for found in header.structure_set.rois)
    assert "header_cut" in [warning.code for warning in header.warnings]


def test_sequences_under_another_vr_leave_the_object_as_it_is():
    header = read_header(rt_structure_set(["Heart"], ROIContourSequence=Raw("OB", b"nonsense")))
    assert header.structure_set is not None
    assert [found.roi_name for found in header.structure_set.rois] == ["Heart"]


def test_sequences_of_unknown_vr_are_read():
    explicit = rt_structure_set(["Heart"])
    item = (
        struct.pack("<HHI", 0xFFFE, 0xE000, 8 + 2) + struct.pack("<HHI", 0x3006, 0x0022, 2) + b"1 "
    )
    data = rt_structure_set(["Heart"], StructureSetROISequence=Raw("UN", item))
    assert data != explicit
    assert [found.roi_number for found in structures(data).rois] == [1]


def test_five_thousand_rois_are_read():
    record = structures(rt_structure_set([f"ROI{number}" for number in range(5_000)]))
    assert record.number_of_roi == 5_000
    assert all(found.contour_count == 1 for found in record.rois)
