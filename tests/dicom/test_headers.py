"""One DICOM object's header -> records: what is taken, how it is read, and what is refused."""

import gzip
import json
import mmap
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import pytest

import app.dicom.pydicom_reader  # noqa: F401 - so that no test measures what importing it takes
from app.dicom.attributes import IMAGE
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.recognition import looks_like_dicom
from app.dicom.records import Header
from app.errors import MemberFailed, MemberSkipped
from tests.making import objects
from tests.making.objects import (
    LEFT_TO_PYDICOM,
    ODD_ITEM,
    Raw,
    ct_image,
    dicom_file,
    dicomdir,
    element,
    enhanced_ct,
    mr_image,
    pet_image,
    rt_structure_set,
    secondary_capture,
    structured_report,
    uid,
)
from tests.making.pace import within

WAYS = (
    {},
    {"transfer_syntax": objects.IMPLICIT},
    {"transfer_syntax": objects.BIG_ENDIAN},
    {"transfer_syntax": objects.DEFLATED},
    {"transfer_syntax": None},
    {"prefix": False},
    {"prefix": False, "transfer_syntax": objects.IMPLICIT},
    {"prefix": False, "transfer_syntax": objects.BIG_ENDIAN},
    LEFT_TO_PYDICOM,
)


def codes(header: Header) -> list[str]:
    return [warning.code for warning in header.warnings]


def unreadable(header: Header) -> list[object]:
    """The attributes that could not be read."""
    found = [warning for warning in header.warnings if warning.code == "value_unreadable"]
    return [warning.facts["attribute"] for warning in found]


def refusal(data: bytes, **arguments: object) -> MemberFailed:
    with pytest.raises(MemberFailed) as caught:
        read_header(data, **arguments)
    assert caught.value.sentence
    return caught.value


# What is kept


def test_a_ct_image_becomes_records():
    header = read_header(ct_image())
    assert header.patient.unique_patient_id == "ID1"
    assert header.patient.patient_name == "Nobody^Nemo"
    assert header.patient.patient_dob == date(1970, 1, 2)
    assert header.patient.patient_sex == "O"
    assert header.study.study_instance_uid == uid(2)
    assert header.study.study_date == date(2024, 3, 11)
    assert header.study.study_time == time(10, 11, 12, 500_000)
    assert header.study.study_description == "Planning"
    assert header.study.accession_number == "A1"
    assert header.study.study_id == "S1"
    assert header.series.series_instance_uid == uid(2, 1)
    assert header.series.modality == "CT"
    assert header.series.series_number == 3
    assert header.series.series_description == "Thorax"
    assert header.series.series_date == date(2024, 3, 12)
    assert header.series.body_part_examined == "CHEST"
    assert header.series.frame_of_reference_uid == uid(2, 9)
    assert header.instance.sop_instance_uid == uid(2, 1, 1)
    assert header.instance.sop_class_uid == objects.CT_IMAGE
    assert header.instance.transfer_syntax_uid == objects.EXPLICIT
    assert header.instance.modality == "CT"
    assert header.instance.instance_number == 7
    assert (header.instance.rows, header.instance.columns) == (2, 3)
    assert header.instance.number_of_frames is None
    assert header.structure_set is None
    assert header.warnings == []


def test_an_images_geometry_is_read():
    image = read_header(ct_image()).image
    assert image is not None
    assert image.instance_number == 7
    assert image.slice_location == -30.25
    assert image.slice_thickness == 3
    assert image.pixel_spacing == [0.5, 0.75]
    assert image.patient_position == "HFS"
    assert image.image_position_patient == [-10.5, 20, -30.25]
    assert image.image_orientation_patient == [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("make", [mr_image, pet_image, enhanced_ct])
def test_other_image_classes_have_image_details(make):
    assert read_header(make()).image is not None


@pytest.mark.parametrize("make", [secondary_capture, structured_report])
def test_other_objects_have_no_details(make):
    header = read_header(make())
    assert header.image is None
    assert header.structure_set is None
    assert header.warnings == []


def test_a_secondary_capture_of_a_ct_is_no_ct_image():
    assert read_header(secondary_capture(Modality="CT")).image is None


@pytest.mark.parametrize("sop_class", [None, "1.2.3.4", f"{objects.STORAGE}.2.99", "A CLASS"])
def test_the_modality_decides_where_the_standard_has_no_such_class(sop_class):
    assert read_header(ct_image(SOPClassUID=sop_class)).image is not None
    assert read_header(rt_structure_set(SOPClassUID=sop_class)).structure_set is not None


def test_the_class_decides_where_the_modality_says_something_else():
    assert read_header(rt_structure_set(Modality="CT")).structure_set is not None
    assert read_header(ct_image(Modality="SR")).image is not None


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("make", [ct_image, enhanced_ct, rt_structure_set, structured_report])
def test_every_encoding_gives_the_same_records(make, way):
    plain, other = read_header(make()), read_header(make(**way))
    assert other.patient == plain.patient
    assert other.study == plain.study
    assert other.series == plain.series
    assert other.image == plain.image
    assert other.structure_set == plain.structure_set
    assert other.warnings == plain.warnings


def test_a_label_that_names_the_wrong_encoding_does_no_harm():
    meta = {"TransferSyntaxUID": objects.IMPLICIT}
    assert read_header(ct_image(meta=meta)).image == read_header(ct_image()).image


@pytest.mark.parametrize("syntax", [objects.JPEG_BASELINE, "1.2.840.10008.1.2.5", "1.2.3.4.5"])
def test_the_transfer_syntax_is_kept_whatever_it_is(syntax):
    pixels = Raw("OB", b"not a picture")
    header = read_header(ct_image(transfer_syntax=syntax, PixelData=pixels))
    assert header.instance.transfer_syntax_uid == syntax


def test_what_follows_the_pixel_data_is_not_read():
    after = element(0x00100020, "LO", "OTHER ")
    assert read_header(ct_image(after=after)).patient.unique_patient_id == "ID1"


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_end_the_header_too(keyword):
    values = {"PixelData": None, keyword: bytes(8)}
    after = element(0x7FE00010, "SQ", [{"PatientID": "X"}])
    assert read_header(ct_image(after=after, **values)).patient.unique_patient_id == "ID1"


def test_a_mapped_file_is_read_like_bytes(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(ct_image())
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert read_header(mapped) == read_header(ct_image())
    path.write_bytes(ct_image(**LEFT_TO_PYDICOM))
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        assert read_header(mapped) == read_header(ct_image(**LEFT_TO_PYDICOM))


def test_the_usual_file_is_read_without_pydicom():
    program = (
        "import sys; from app.dicom.headers import read_header; "
        "read_header(sys.stdin.buffer.read()); "
        "print([name for name in ('pydicom', 'numpy', 'django') if name in sys.modules])"
    )
    for data in (ct_image(), rt_structure_set(), enhanced_ct(transfer_syntax=objects.IMPLICIT)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=data,
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert done.stdout.strip() == b"[]"


# Enhanced multi-frame


def test_an_enhanced_image_takes_its_geometry_from_shared_groups_and_the_first_frame():
    header = read_header(enhanced_ct(frames=3))
    assert header.instance.number_of_frames == 3
    assert header.image is not None
    assert header.image.slice_thickness == 2
    assert header.image.pixel_spacing == [0.5, 0.5]
    assert header.image.image_position_patient == [-1, -2, 0]
    assert header.image.image_orientation_patient == [1, 0, 0, 0, 1, 0]
    assert header.image.slice_location is None


def test_shared_groups_come_before_the_first_frames():
    measures = [{"SliceThickness": "2", "PixelSpacing": ["0.5", "0.5"]}]
    other = [{"SliceThickness": "9", "PixelSpacing": ["9", "9"]}]
    data = enhanced_ct(
        SharedFunctionalGroupsSequence=[{"PixelMeasuresSequence": measures}],
        PerFrameFunctionalGroupsSequence=[{"PixelMeasuresSequence": other}],
    )
    image = read_header(data).image
    assert image is not None
    assert image.slice_thickness == 2


def test_groups_of_frames_alone_are_enough():
    measures = [{"SliceThickness": "9", "PixelSpacing": ["9", "8"]}]
    data = enhanced_ct(
        SharedFunctionalGroupsSequence=None,
        PerFrameFunctionalGroupsSequence=[{"PixelMeasuresSequence": measures}],
    )
    image = read_header(data).image
    assert image is not None
    assert image.pixel_spacing == [9, 8]


def test_empty_groups_leave_the_geometry_empty():
    data = enhanced_ct(SharedFunctionalGroupsSequence=[], PerFrameFunctionalGroupsSequence=[{}])
    header = read_header(data)
    assert header.image is not None
    assert header.image.pixel_spacing is None
    assert header.warnings == []


@pytest.mark.parametrize(
    "way",
    [{}, {"transfer_syntax": objects.IMPLICIT}, LEFT_TO_PYDICOM],
    ids=["scanner", "implicit", "pydicom"],
)
def test_an_enhanced_image_s_echo_time_is_the_effective_one(way):
    def echo_time(shared: float | str | None, frame: float | None = None, **own: str):
        echoes = [{"MREchoSequence": [{"EffectiveEchoTime": one}]} for one in (shared, frame)]
        data = enhanced_ct(
            SharedFunctionalGroupsSequence=echoes[:1] if shared is not None else None,
            PerFrameFunctionalGroupsSequence=echoes[1:] if frame is not None else [{}],
            **(own | way),
        )
        return read_header(data).image.echo_time

    assert echo_time(4.5) == 4.5
    assert echo_time(None, 92.0) == 92
    assert echo_time(4.5, 92.0) == 4.5
    assert echo_time(0.0) == 0
    assert echo_time(4.5, EchoTime="7") == 7
    assert echo_time(None) is None


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_broken_groups_do_not_cost_the_object(way):
    groups = Raw("SQ", [{"PixelMeasuresSequence": Raw("SQ", [{"PixelSpacing": "1"}])}])
    data = enhanced_ct(SharedFunctionalGroupsSequence=groups, **way)
    at = data.index(struct.pack("<HH2sH", 0x0028, 0x9110, b"SQ", 0)) + 12
    header = read_header(data[:at] + b"\xff" + data[at + 1 :])
    assert header.image is not None
    assert header.image.pixel_spacing is None
    assert header.image.image_position_patient == [-1, -2, 0]


@pytest.mark.parametrize("undefined", [False, True])
def test_four_thousand_frames_take_no_time(undefined):
    data = enhanced_ct(frames=4_000, undefined_lengths=undefined)
    read_header(data)
    within(0.5, lambda: read_header(data))


# Identity


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize("value", [None, "", b"\0\0", b"  "])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_an_object_without_its_uids_is_refused_by_name(keyword, value, way):
    error = refusal(ct_image(**{keyword: value}, **way))
    assert error.code == "uid_missing"
    assert error.facts == {"attribute": keyword}


def test_the_file_metas_uid_does_not_stand_in_for_the_objects():
    error = refusal(ct_image(SOPInstanceUID=None, meta={"MediaStorageSOPInstanceUID": uid(7)}))
    assert error.code == "uid_missing"


def test_the_objects_own_uid_counts_where_the_file_meta_has_another():
    header = read_header(ct_image(meta={"MediaStorageSOPInstanceUID": uid(7)}))
    assert header.instance.sop_instance_uid == uid(2, 1, 1)
    assert codes(header) == ["uid_meta_differs"]


@pytest.mark.parametrize(
    "value", ["REM SAMPLES 1", "a" * 64, "1.2.03", "..", ".", ".1", "1..2", "1/2", "1" * 128]
)
def test_a_uid_that_breaks_the_rule_is_kept_with_a_warning(value):
    header = read_header(ct_image(StudyInstanceUID=value))
    assert header.study.study_instance_uid == value
    [warning] = header.warnings
    assert warning.code == "uid_nonstandard"
    assert warning.facts == {"attribute": "StudyInstanceUID"}


@pytest.mark.parametrize(
    "value", ["1" * 129, "1.2\\1.3", b"1.2\n3", b"1.2\x003", b"1.\xe9", b"1.2\x7f", "1" * 40_000]
)
def test_a_uid_that_cannot_be_stored_is_refused(value):
    error = refusal(ct_image(SeriesInstanceUID=value))
    assert error.code == "uid_invalid"
    assert error.facts == {"attribute": "SeriesInstanceUID"}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_control_character_is_no_padding_of_a_uid(way):
    data = ct_image(StudyInstanceUID=b"\x1f2.25.1", **way)
    assert refusal(data).code == "uid_invalid"


def test_padding_is_no_part_of_a_uid():
    header = read_header(ct_image(StudyInstanceUID=b" 1.2.3 \0", SOPClassUID=b"1.2.4\0\0 "))
    assert header.study.study_instance_uid == "1.2.3"
    assert header.instance.sop_class_uid == "1.2.4"


def test_uids_of_unknown_vr_are_read_as_uids():
    header = read_header(ct_image(StudyInstanceUID=Raw("UN", b"1.2.3\0")))
    assert header.study.study_instance_uid == "1.2.3"


def test_a_missing_class_is_a_warning():
    header = read_header(ct_image(SOPClassUID=None))
    assert header.instance.sop_class_uid == ""
    assert codes(header) == ["sop_class_missing"]


@pytest.mark.parametrize("keyword", ["SOPClassUID", "FrameOfReferenceUID"])
def test_another_uid_that_cannot_be_stored_is_left_out(keyword):
    assert keyword in unreadable(read_header(ct_image(**{keyword: "1.2\\1.3"})))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" P1 ", "P1"),
        (b"\0P1\0\0", "P1"),
        (b"A\\B", "A\\B"),
        (b"A \\B", "A \\B"),
        (b"../../x", "../../x"),
        (b"X" * 256, "X" * 256),
        (b"<b>", "<b>"),
        (b"M\xfcller", "Müller"),
    ],
)
def test_a_patient_id_is_kept_without_its_padding(value, expected):
    header = read_header(ct_image(PatientID=value))
    assert header.patient.unique_patient_id == expected
    assert header.warnings == []


@pytest.mark.parametrize("value", [None, b"", b"  ", b"\0\0"])
def test_an_empty_patient_id_is_a_warning(value):
    header = read_header(ct_image(PatientID=value))
    assert header.patient.unique_patient_id == ""
    assert codes(header) == ["patient_id_empty"]


@pytest.mark.parametrize("value", ["X" * 257, "X" * 10_000, "X" * 60_000])
def test_a_patient_id_that_is_too_long_is_refused(value):
    error = refusal(ct_image(PatientID=value))
    assert error.code == "patient_id_too_long"
    assert error.facts == {"limit": 256}


@pytest.mark.parametrize(
    ("charset", "value", "expected", "warned"),
    [
        *((charset, "Größe-77".encode(), "Größe-77", True) for charset in (None, "", "ISO_IR 6")),
        *((charset, "患者82".encode(), "患者82", True) for charset in (None, "ISO_IR 100")),
        ("ISO_IR 192", "患者82".encode(), "患者82", False),
        ("KLINGON", "Größe-77".encode(), "Größe-77", True),
        ("ISO_IR 100", "Šimůnek-1".encode(), "Šimůnek-1", True),
        *(
            (charset, b"\x8aim\x965", "Šim\u20135", True)
            for charset in (None, "ISO_IR 100", "ISO_IR 192")
        ),
        ("ISO_IR 101", b"\x8aim\xb3", "Šimł", True),
        *((charset, b"\x8a\xb3\x8e\xd2", "Š³ŽÒ", True) for charset in (None, "ISO_IR 100")),
        *((charset, b"\x8a\xb3\x8e\xd2", "患者", False) for charset in ("ISO_IR 13", "SHIFT_JIS")),
        ("ISO_IR 192", b"M\xfcller", "Müller", True),
        ("GB18030", b"A\xff1", "Aÿ1", True),
    ],
)
@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_a_patient_id_is_kept_by_the_best_reading_of_its_bytes(
    charset, value, expected, warned, way
):
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientID=value, **way))
    assert header.patient.unique_patient_id == expected
    assert codes(header) == ["charset_guessed"] * warned


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"A\nB", "A<U+000A>B"),
        (b"A\tB", "A<U+0009>B"),
        (b"A\x1b[31mB", "A<U+001B>[31mB"),
        (b"A\0B", "A<U+0000>B"),
        (b"A\x7fB", "A<U+007F>B"),
        (b"A\x81B", "A<U+0081>B"),
        (b"A\x1b$B\xff", "A<U+001B>$Bÿ"),
    ],
)
def test_a_control_character_within_a_patient_id_is_kept_as_its_number(value, expected):
    header = read_header(ct_image(PatientID=value))
    assert header.patient.unique_patient_id == expected
    assert "patient_id_controls" in codes(header)


@pytest.mark.parametrize("value", [b"P1\r\n", b"P1\n", b"\tP1 ", b"P1\0\r"])
def test_space_of_any_kind_around_a_patient_id_is_padding(value):
    header = read_header(ct_image(PatientID=value))
    assert header.patient.unique_patient_id == "P1"
    assert header.warnings == []


@pytest.mark.parametrize("charset", [None, "ISO_IR 100", "ISO_IR 192", "GB18030", "ISO 2022 IR 87"])
def test_patient_ids_that_are_broken_in_different_ways_stay_different(charset):
    broken = [b"A%cB" % byte for byte in (*range(1, 32), *range(127, 256))]
    broken += [b"A\x1b$B%cB" % byte for byte in range(128, 256)]
    read = {
        read_header(
            ct_image(SpecificCharacterSet=charset, PatientID=value)
        ).patient.unique_patient_id
        for value in broken
    }
    assert len(read) == len(broken)


def test_ids_that_are_both_broken_utf8_stay_two_ids():
    first, second = (
        read_header(ct_image(SpecificCharacterSet="ISO_IR 192", PatientID=value))
        for value in (b"M\xfcller", b"M\xf6ller")
    )
    assert first.patient.unique_patient_id != second.patient.unique_patient_id
    assert codes(first) == ["charset_guessed"]


def test_a_patient_id_of_unknown_vr_is_read_as_text():
    header = read_header(ct_image(PatientID=Raw("UN", b"P1 ")))
    assert header.patient.unique_patient_id == "P1"


def test_of_two_elements_with_one_tag_the_last_counts():
    twice = ct_image(dataset=None)
    first = element(0x00100020, "LO", "ID1 ")
    data = twice.replace(first, first + element(0x00100020, "LO", "ID2 "))
    assert data != twice
    assert read_header(data).patient.unique_patient_id == "ID2"


# Optional attributes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240229", date(2024, 2, 29)),
        ("1994.11.05", date(1994, 11, 5)),
        (b"20240229  ", date(2024, 2, 29)),
        (b"20240229\0", date(2024, 2, 29)),
        ("20240229101530", date(2024, 2, 29)),
        ("20240229101530.000000", date(2024, 2, 29)),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_read(value, expected):
    header = read_header(ct_image(StudyDate=value))
    assert header.study.study_date == expected
    assert header.warnings == []


@pytest.mark.parametrize(
    "value",
    [
        *("20230229", "20231301", "00000000", "99999999", "0", "2024", "NOW", "UNKNOWN"),
        *("2024-01-05", "20230101-20230131", "20240101\\20240102", "1994.1105", "+1230101"),
        *("9b2e1fd0-0b5c-4c3d-8f7a-3d6f0e1a2b3c", b"2024\xb2\xb2\xb2\xb2", b"2024010\n"),
    ],
)
def test_a_broken_date_is_left_empty_with_a_warning(value):
    header = read_header(ct_image(PatientBirthDate=value))
    assert header.patient.patient_dob is None
    assert unreadable(header) == ["PatientBirthDate"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10", time(10)),
        ("1011", time(10, 11)),
        ("101112", time(10, 11, 12)),
        ("101112.1", time(10, 11, 12, 100_000)),
        ("101112.123456", time(10, 11, 12, 123_456)),
        ("101112.1234567", time(10, 11, 12, 123_456)),
        ("101112.", time(10, 11, 12)),
        ("10:11:12", time(10, 11, 12)),
        ("10:11", time(10, 11)),
        ("235960", time(23, 59, 59)),
        (b"101112 \0", time(10, 11, 12)),
        (None, None),
    ],
)
def test_a_time_is_read(value, expected):
    header = read_header(ct_image(StudyTime=value))
    assert header.study.study_time == expected
    assert header.warnings == []


@pytest.mark.parametrize("value", ["256199", "240000", "-", "x", "1", "10:1112", "101112-101113"])
def test_a_broken_time_is_left_empty_with_a_warning(value):
    header = read_header(ct_image(StudyTime=value))
    assert header.study.study_time is None
    assert unreadable(header) == ["StudyTime"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7),
        (" +7 ", 7),
        ("-1", -1),
        ("007", 7),
        ("1.0", 1),
        ("1e3", 1000),
        ("01160501010100", 1160501010100),
        ("9223372036854775807", 2**63 - 1),
        ("", None),
        (None, None),
        (Raw("US", 7), 7),
        (Raw("UN", b"7 "), 7),
        (Raw("FD", 7.0), 7),
    ],
)
def test_an_integer_is_read(value, expected):
    header = read_header(ct_image(InstanceNumber=value))
    assert header.instance.instance_number == expected
    assert header.warnings == []


@pytest.mark.parametrize(
    "value",
    [
        *("1.5", "1A", "1\\2", "9223372036854775808", "1_000", "--5", "NaN", "1e999", "9" * 5_000),
        *(b"\xb2", Raw("US", b"\1"), Raw("FD", float("nan")), Raw("OB", b"7 ")),
    ],
)
def test_a_broken_integer_is_left_empty_with_a_warning(value):
    header = read_header(ct_image(SeriesNumber=value))
    assert header.series.series_number is None
    assert unreadable(header) == ["SeriesNumber"]


@pytest.mark.parametrize("value", ["3000000000", "-1"])
def test_a_number_of_frames_that_no_column_takes_is_left_empty(value):
    header = read_header(ct_image(NumberOfFrames=value))
    assert header.instance.number_of_frames is None
    assert unreadable(header) == ["NumberOfFrames"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("3", 3.0), (" +1.5e1", 15.0), (".5", 0.5), ("5.", 5.0), (b"2.5\0", 2.5), ("0", 0.0)),
        *(("", None), (None, None), (Raw("FD", 1.25), 1.25), (Raw("FL", 0.5), 0.5)),
    ],
)
def test_a_decimal_is_read(value, expected):
    header = read_header(ct_image(SliceThickness=value))
    assert header.image is not None
    assert header.image.slice_thickness == expected
    assert header.warnings == []


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-inf", "1e999", "--5", "1,5", "3 mm", "1\\2", "1_0", b"\xff"]
)
def test_a_broken_decimal_is_left_empty_with_a_warning(value):
    header = read_header(ct_image(SliceThickness=value))
    assert header.image is not None
    assert header.image.slice_thickness is None
    assert unreadable(header) == ["SliceThickness"]


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("PixelSpacing", ["1", "1", "1"]),
        ("PixelSpacing", ["1"]),
        ("PixelSpacing", ["1", ""]),
        ("ImagePositionPatient", ["1", "2"]),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "1"]),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "1", "NaN"]),
    ],
)
def test_a_vector_of_another_length_is_left_empty_with_a_warning(keyword, values):
    header = read_header(ct_image(**{keyword: values}))
    assert unreadable(header) == [keyword]


def test_a_broken_attribute_is_named_once():
    header = read_header(ct_image(InstanceNumber="x"))
    assert unreadable(header) == ["InstanceNumber"]


# Text


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("Modality", "CT\\MR", "CT\\MR"),
        ("StudyDescription", b"A \\B ", "A\\B"),
        ("StudyDescription", b" A\0", " A"),
        ("PatientName", b"A^B==", "A^B"),
        ("PatientName", b"A^B\\C^D ", "A^B\\C^D"),
        ("PatientSex", "?", "?"),
    ],
)
def test_text_is_as_pydicom_gives_it(keyword, value, expected):
    header = read_header(ct_image(**{keyword: value}))
    fields = {
        "Modality": header.series.modality,
        "StudyDescription": header.study.study_description,
        "PatientName": header.patient.patient_name,
        "PatientSex": header.patient.patient_sex,
    }
    assert fields[keyword] == expected


@pytest.mark.parametrize("value", [b"A\0B", b"A\x1bB\x07", b"A\nB\tC", b"A\x85B", b"\x7f\x1f"])
@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 87", "GB18030"])
def test_no_control_character_gets_into_text(value, charset):
    header = read_header(ct_image(SpecificCharacterSet=charset, StudyDescription=value))
    text = header.study.study_description
    assert all(character >= " " and not "\x7f" <= character <= "\x9f" for character in text)


def test_no_half_of_a_surrogate_pair_gets_into_text():
    halves = (b"\xed\xa0\x80", b"\xed\xb0\x80")
    for charset in ("ISO_IR 192", "GB18030", "ISO 2022 IR 149"):
        for value in halves:
            header = read_header(ct_image(SpecificCharacterSet=charset, StudyDescription=value))
            header.study.study_description.encode("utf-8")


def test_long_text_is_shortened_with_a_warning():
    header = read_header(ct_image(StudyID="x" * 65, SeriesDescription="y" * 60_000))
    assert header.study.study_id == "x" * 64
    assert header.series.series_description == "y" * 1024
    shortened = {warning.facts["attribute"]: warning.facts["limit"] for warning in header.warnings}
    assert shortened == {"StudyID": 64, "SeriesDescription": 1024}


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO-IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO_IR_100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
        ("ISO_IR 126", b"\xc4\xe9\xef", "Διο"),
        ("ISO_IR 127", "قباني".encode("iso8859_6"), "قباني"),
        ("ISO_IR 138", "שרון".encode("iso8859_8"), "שרון"),
        ("ISO_IR 144", b"\xbb\xee\xda", "Люк"),
        ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
        ("ISO_IR 166", b"\xb9\xd2\xc2", "นาย"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東"),
        ("GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东".encode("gbk"), "Wang^XiaoDong=王^小东"),
        ("utf-8", "Ünal".encode(), "Ünal"),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        ("\\ISO 2022 IR 159", b"\x1b$(D\x30\x22\x1b(B", "丄"),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            "Hong^Gildong=洪^吉洞",
        ),
        (
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东",
        ),
        (
            "ISO 2022 IR 100\\ISO 2022 IR 144",
            b"Dionisios=\x1b-L\xbb\xee\xda",
            "Dionisios=Люк",
        ),
    ],
)
@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_names_are_read_in_every_character_set(charset, value, expected, way):
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientName=value, **way))
    assert header.patient.patient_name == expected
    assert header.warnings == []


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        # PS3.5 6.1.2.5.3: the first set comes back at the separators of a name.
        (
            "ISO 2022 IR 100\\ISO 2022 IR 149",
            b"\xe7^\x1b$)C\xa4\xba^\xe7",
            "ç^ㅊ^ç",
        ),
        (
            "ISO 2022 IR 100\\ISO 2022 IR 149",
            b"Fran\xe7ois=\x1b$)C\xc8\xab\xb1\xe6\xb5\xbf=Fran\xe7ois",
            "François=홍길동=François",
        ),
        ("ISO 2022 IR 100\\ISO 2022 IR 126", b"\x1b-F\xc4\xe9\xef^\xc4neas", "Διο^Äneas"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xbb\xee\xda\\\xc4neas", "Люк\\Äneas"),
        ("ISO 2022 IR 144\\ISO 2022 IR 58", b"\x1b$)A\xd5\xc5=\xbb\xee\xda", "张=Люк"),
        # Two bytes to a character, of which one may look like a separator.
        ("ISO 2022 IR 100\\ISO 2022 IR 87", b"\x1b$B=UB@^\xc4\x1b$B;3", "春太^Ä山"),
        ("\\ISO 2022 IR 87", b"\x1b$B=U^2\x1b(B^\x1b$B;3\x1b(B", "春涓^山"),
    ],
)
@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_the_first_character_set_comes_back_at_a_separator_of_a_name(charset, value, expected, way):
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientName=value, **way))
    assert header.patient.patient_name == expected
    assert header.warnings == []


def test_in_other_texts_the_first_character_set_comes_back_at_a_backslash_alone():
    charset = "ISO 2022 IR 100\\ISO 2022 IR 126"
    value = b"\x1b-F\xc4=\xeb^\xf0\\\xc4"
    header = read_header(ct_image(SpecificCharacterSet=charset, StudyDescription=value))
    assert header.study.study_description == "Δ=λ^π\\Ä"


def test_a_set_that_is_not_announced_again_is_guessed_where_the_first_is_ascii():
    name = b"Hong=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7"
    header = read_header(ct_image(SpecificCharacterSet="\\ISO 2022 IR 149", PatientName=name))
    assert header.patient.patient_name == "Hong=洪^吉洞"
    assert codes(header) == ["charset_guessed"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b"\x1b$B|b66\x1b(B^\x1b$BB@O:\x1b(B", "髙橋^太郎"),
        (b"\x1b$B-j\x1b(B^\x1b$BynB@\x1b(B", "㈱^寬太"),
    ],
)
def test_letters_that_manufacturers_added_to_a_japanese_set_are_read(name, read):
    header = read_header(ct_image(SpecificCharacterSet="\\ISO 2022 IR 87", PatientName=name))
    assert header.patient.patient_name == read
    assert codes(header) == ["charset_guessed"]


@pytest.mark.parametrize(
    "charset", [None, "", "ISO_IR 6", "ISO 2022 IR 6", "KLINGON", "ISO_IR 100"]
)
@pytest.mark.parametrize("name", ["Müller^Jörg", "Dvořák^Ján", "Дмитрий", "王^小東", "山田^太郎"])
def test_utf8_is_known_where_it_is_not_declared(charset, name):
    data = ct_image(SpecificCharacterSet=charset, PatientName=name.encode())
    for assumed in ("ISO_IR 100", "ISO_IR 13"):
        header = read_header(data, assumed_charset=assumed)
        assert header.patient.patient_name == name
        assert codes(header) == ["charset_guessed"]


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 101", "PÓŁ"), ("ISO_IR 144", "ЯД"), ("GB18030", "模"), ("ISO_IR 126", "ΓΈ")],
)
def test_what_is_declared_and_only_looks_like_utf8_stays_what_it_is(charset, name):
    codec = {"ISO_IR 101": "iso8859_2", "ISO_IR 144": "iso8859_5", "ISO_IR 126": "iso8859_7"}
    value = name.encode(codec.get(charset, charset))
    assert value.decode() != name
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientName=value))
    assert header.patient.patient_name == name
    assert header.warnings == []


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        *((term, "gb2312", "王^小东") for term in ("GB2312", "GB 2312", "ISO_IR 58", "EUC-CN")),
        *((term, "euc_kr", "홍^길동") for term in ("EUC-KR", "ISO_IR 149", "KS_C_5601", "euc_kr")),
        *((term, "cp949", "김^똠") for term in ("CP949", "UHC", "EUC-KR")),
        *((term, "big5", "王^小東") for term in ("BIG5", "Big-5", "CP950")),
        *((term, "shift_jis", "山田^太郎") for term in ("SHIFT_JIS", "Shift-JIS", "SJIS", "CP932")),
        *((term, "cp932", "髙橋") for term in ("Windows-31J", "MS932", "SHIFT_JIS")),
        ("EUC-JP", "euc_jp", "山田^太郎"),
        *(("KOI8-R", "koi8_r", "Иванов^Пётр"), ("KOI8-U", "koi8_u", "Їжак")),
        *((f"CP{page}", f"cp{page}", "Иванов") for page in (855, 866, 1251)),
        *((f"CP{page}", f"cp{page}", "Müller") for page in (437, 850, 852, 858, 1252)),
        *(("CP874", "cp874", "นาย"), ("TIS-620", "tis_620", "นาย"), ("CP936", "gbk", "陶喆")),
        *(("windows-1250", "cp1250", "Šimůnek"), ("ISO-8859-16", "iso8859_16", "Țurcanu")),
    ],
)
def test_the_name_of_a_codec_is_understood_as_a_character_set(charset, codec, name):
    value = name.encode(codec)
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientName=value))
    assert header.patient.patient_name == name
    assert {*codes(header)} <= {"charset_guessed"}


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 101", "ISO_IR 144", None, "ISO_IR 192"])
def test_letters_of_windows_are_read_where_iso_8859_has_control_characters(charset):
    value = b"\x8aimek^\x8eofie\x96A"
    header = read_header(ct_image(SpecificCharacterSet=charset, PatientName=value))
    assert header.patient.patient_name == "Šimek^Žofie\u2013A"
    assert codes(header) == ["charset_guessed"]


def test_a_control_character_that_vanishes_from_a_text_is_a_warning():
    header = read_header(ct_image(StudyDescription=b"A\x81B"))
    assert header.study.study_description == "A B"
    assert codes(header) == ["charset_guessed"]


@pytest.mark.parametrize("charset", [None, "", "ISO_IR 6", "KLINGON", b"\xff\xfe", "rot13"])
def test_an_undeclared_character_set_is_the_assumed_one_with_a_warning(charset):
    data = ct_image(SpecificCharacterSet=charset, PatientName=b"\xbb\xee\xda")
    header = read_header(data)
    assert header.patient.patient_name == "»îÚ"
    assert codes(header) == ["charset_guessed"]
    assert read_header(data, assumed_charset="ISO_IR 144").patient.patient_name == "Люк"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_nul_in_the_character_sets_name_does_not_cost_the_object(way):
    data = ct_image(SpecificCharacterSet=b"ISO_IR\0 192", PatientName=b"M\xc3\xbcller", **way)
    assert read_header(data).patient.patient_name == "Müller"


def test_ascii_text_needs_no_character_set():
    assert read_header(ct_image(SpecificCharacterSet=None)).warnings == []


def test_bytes_that_the_declared_character_set_does_not_have_are_guessed():
    header = read_header(ct_image(SpecificCharacterSet="ISO_IR 192", PatientName=b"M\xfcller"))
    assert header.patient.patient_name == "Müller"
    assert codes(header) == ["charset_guessed"]


# Files that are not, or not quite, DICOM


@pytest.mark.parametrize(
    "data",
    [
        b"hello\n",
        b"hello, this is text. " * 100,
        b"<!DOCTYPE html><html>" + bytes(300),
        b"%PDF-1.4\n" + bytes(300),
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(300),
        b"PK\3\4" + bytes(300),
        b"MZ\x90\0" + bytes(300),
        json.dumps({"PatientID": "A"}).encode(),
        gzip.compress(ct_image()),
        zlib.compress(ct_image()),
        bytes(1),
        bytes(127),
        bytes(131),
        bytes(100_000),
        b"\xff" * 1_000,
        b"\x08\0",
        b"\x08\0\x05\0" + bytes(200),
        b"\x08\0\x05\0CS",
        bytes(range(256)) * 10,
        b"\x02\0\0\0" + b"\x01" * 500,
    ],
)
def test_other_files_are_not_taken_for_dicom(data):
    with pytest.raises(MemberSkipped) as caught:
        read_header(data)
    assert caught.value.code == "not_dicom"
    assert not looks_like_dicom(data)


def test_an_empty_file_is_skipped():
    with pytest.raises(MemberSkipped) as caught:
        read_header(b"")
    assert caught.value.code == "empty_file"


@pytest.mark.parametrize("way", WAYS[:5], ids=str)
def test_a_directory_is_skipped_under_any_name(way):
    with pytest.raises(MemberSkipped) as caught:
        read_header(dicomdir(**way))
    assert caught.value.code == "dicomdir"


def test_a_directory_is_known_by_its_records():
    with pytest.raises(MemberSkipped) as caught:
        read_header(dicomdir(meta={"MediaStorageSOPClassUID": None}))
    assert caught.value.code == "dicomdir"


def test_a_small_object_without_prefix_is_found():
    attributes = {"SOPClassUID": objects.CT_IMAGE, "SOPInstanceUID": uid(1)}
    attributes |= {"StudyInstanceUID": uid(2), "SeriesInstanceUID": uid(3)}
    for syntax in (objects.IMPLICIT, objects.EXPLICIT, objects.BIG_ENDIAN):
        data = dicom_file(attributes, prefix=False, transfer_syntax=syntax)
        assert read_header(data).instance.sop_instance_uid == uid(1)


def test_a_file_meta_group_without_preamble_is_found():
    assert read_header(ct_image()[132:]).instance.sop_instance_uid == uid(2, 1, 1)


@pytest.mark.parametrize("size", [132, 140, 144, 200])
def test_a_file_of_little_more_than_the_prefix_is_refused(size):
    assert refusal(ct_image()[:size]).code in ("uid_missing", "header_damaged")


def test_a_file_cut_before_its_uids_is_refused():
    data = ct_image()
    assert refusal(data[: data.index(b"Nemo")]).code == "uid_missing"


def test_a_file_cut_within_a_uid_is_refused():
    data = ct_image()
    cut = data.index(element(0x0020000E, "UI", uid(2, 1))) + 14
    assert refusal(data[:cut]).code == "uid_missing"


def test_a_file_cut_within_its_header_is_kept_with_a_warning():
    data = ct_image()
    header = read_header(data[: data.index(b"MONOCHROME2") + 3])
    assert codes(header) == ["header_cut"]


def test_a_file_cut_within_its_pixels_is_read_as_usual():
    assert read_header(ct_image()[:-5]) == read_header(ct_image())


# Limits


def peak_of(work: Callable[[], object]) -> int:
    """How many bytes of memory Python asks for at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_deflated_bomb_is_inflated_up_to_the_limit_only():
    bomb = element(0x00420011, "OB", bytes(40 * 2**20))
    data = ct_image(transfer_syntax=objects.DEFLATED, dataset=bomb)
    assert len(data) < 100_000
    assert peak_of(lambda: refusal(data, limits=HeaderLimits(header=2**20))) < 10 * 2**20


def test_a_deflated_object_that_pydicom_reads_keeps_its_file_meta():
    plain = objects.elements({"SOPInstanceUID": uid(1), "StudyInstanceUID": uid(2)}) + ODD_ITEM
    plain += objects.elements({"SeriesInstanceUID": uid(3)})
    meta = {"MediaStorageSOPInstanceUID": uid(9)}
    header = read_header(ct_image(transfer_syntax=objects.DEFLATED, dataset=plain, meta=meta))
    assert header.instance.transfer_syntax_uid == objects.DEFLATED
    assert "uid_meta_differs" in codes(header)


@pytest.mark.parametrize("written", [" {}", "{} ", "\n{}"])
def test_a_padded_transfer_syntax_is_inflated_within_the_limit_too(written):
    bomb = zlib.compress(element(0x00420011, "OB", bytes(40 * 2**20)), wbits=-15)
    meta = {"TransferSyntaxUID": written.format(objects.DEFLATED)}
    data = ct_image(dataset=bomb, meta=meta)
    assert peak_of(lambda: refusal(data, limits=HeaderLimits(header=2**20))) < 10 * 2**20


def test_the_pixels_of_a_deflated_object_are_not_needed():
    pixels = Raw("OW", bytes(4 * 2**20))
    data = ct_image(transfer_syntax=objects.DEFLATED, PixelData=pixels)
    header = read_header(data, limits=HeaderLimits(header=2**20))
    assert header.image == read_header(ct_image()).image


def test_a_deflated_object_cut_short_is_refused():
    data = ct_image(transfer_syntax=objects.DEFLATED)
    assert refusal(data[:-20]).code == "header_damaged"


def test_a_deflated_object_without_a_readable_file_meta_is_refused():
    data = ct_image(transfer_syntax=objects.DEFLATED)
    damaged = data.replace(b"\2\0\2\0UI", b"\2\0\2\0Z?")
    assert damaged != data
    assert refusal(damaged).code == "header_damaged"


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize("undefined", [True, False])
def test_too_many_items_are_refused(way, undefined):
    items = [{} for _ in range(2_001)]
    data = rt_structure_set(ROIContourSequence=items, undefined_lengths=undefined, **way)
    error = refusal(data, limits=HeaderLimits(items=2_000))
    assert error.code == "too_many_items"
    assert error.facts == {"limit": 2_000}


@pytest.mark.long  # fewer are refused each time, above
def test_millions_of_empty_items_are_refused_at_once():
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2_000_000
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    sequence = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + items + end
    data = ct_image(PixelData=None, after=sequence)
    odd = ct_image(PixelData=None, after=ODD_ITEM + sequence)
    codes = within(10, lambda: [refusal(data).code, refusal(odd).code])
    assert codes == ["too_many_items"] * 2


def nested(levels: int) -> bytes:
    begin = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    begin += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return begin * levels + end * levels


def test_forty_levels_of_sequences_are_read():
    assert read_header(ct_image(PixelData=None, after=nested(40))).warnings == []


def test_thousands_of_levels_of_sequences_are_refused():
    assert refusal(ct_image(PixelData=None, after=nested(5_000))).code == "nested_too_deeply"


def test_too_deep_a_nesting_is_named_wherever_the_stack_ends():
    data = ct_image(PixelData=None, after=nested(400))

    def refused_below(frames: int) -> str:
        return refused_below(frames - 1) if frames else refusal(data).code

    assert {refused_below(frames) for frames in range(60)} == {"nested_too_deeply"}


@pytest.mark.parametrize("odd", [b"", ODD_ITEM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize("cut", range(3_000, 3_010))
def test_a_header_larger_than_the_limit_is_refused(cut, odd):
    notes = [element(0x00190000 | number, "LO", "x" * 64) for number in range(0x1000, 0x1100)]
    data = structured_report(ContentSequence=None, after=odd + b"".join(notes))
    error = refusal(data, limits=HeaderLimits(header=cut))
    assert error.code == "header_too_large"


def test_structures_larger_than_the_limit_are_left_out():
    data = rt_structure_set([str(number) for number in range(200)], undefined_lengths=True)
    header = read_header(data, limits=HeaderLimits(header=20_000))
    assert header.structure_set is not None
    assert header.structure_set.rois == []
    assert codes(header) == ["structures_unreadable"]


def test_bulk_beyond_the_limit_is_no_part_of_the_header():
    document = {"SOPClassUID": objects.ENCAPSULATED_PDF, "EncapsulatedDocument": bytes(100_000)}
    data = secondary_capture(PixelData=None, Modality="DOC", **document)
    header = read_header(data[:50_000], limits=HeaderLimits(header=50_000), truncated=True)
    assert header.instance.sop_class_uid == objects.ENCAPSULATED_PDF
    assert header.warnings == []
    assert read_header(data, limits=HeaderLimits(header=50_000)) == header


def test_running_out_of_memory_is_a_failed_member():
    program = (
        "import resource, sys; from app.dicom.headers import read_header; "
        "from app.errors import Expected; import app.dicom.pydicom_reader; "
        "data = sys.stdin.buffer.read(); used = int(open('/proc/self/statm').read().split()[0]);"
        "most = used * 4096 + (16 << 20); resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "try: read_header(data)\n"
        "except Expected as error: print(error.code)"
    )
    data = ct_image(PixelData=None, after=ODD_ITEM + element(0x00420011, "OB", bytes(40 << 20)))
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == b"too_much_memory"


def test_a_refusal_quotes_nothing_from_the_file():
    error = refusal(ct_image(StudyInstanceUID="SECRET\\SECRET", PatientName="SECRET"))
    assert "SECRET" not in error.sentence
    assert "SECRET" not in str(error)


def test_pydicoms_warnings_do_not_reach_anyone(recwarn, caplog):
    odd = LEFT_TO_PYDICOM | {"SpecificCharacterSet": "SECRET", "PatientName": b"\xff"}
    read_header(ct_image(**odd))
    assert [str(warning.message) for warning in recwarn] == []
    assert caplog.text == ""


# Equipment and acquisition


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
def test_equipment_and_acquisition_are_kept(way):
    header = read_header(mr_image(**way))
    series, image = header.series, header.image
    assert (series.institution_name, series.manufacturer) == ("Hospital", "Maker")
    assert (series.manufacturer_model_name, series.station_name) == ("Model 1", "Room 2")
    assert series.units == "BQML"
    assert image is not None
    assert image.image_type == "ORIGINAL\\PRIMARY\\AXIAL"
    assert (image.acquisition_number, image.temporal_position_identifier) == (4, 2)
    assert image.acquisition_date == date(2024, 3, 13)
    assert image.acquisition_time == time(10, 11, 12, 250_000)
    assert (image.echo_time, image.trigger_time) == (12.5, 430)
    assert (image.diffusion_b_value, image.spacing_between_slices) == (1000, 3.3)
    assert (image.stack_id, image.rescale_type) == ("A", "US")
    assert header.warnings == []


BROKEN = {
    "AcquisitionNumber": "four",
    "AcquisitionDate": "yesterday",
    "AcquisitionTime": "2561",
    "EchoTime": "12,5",
    "TriggerTime": Raw("OB", b"1234"),
    "TemporalPositionIdentifier": "1.5",
    "DiffusionBValue": Raw("FD", b"1000"),
    "SpacingBetweenSlices": "inf",
}


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize("keyword", BROKEN)
def test_a_broken_value_of_an_acquisition_is_left_empty_with_a_warning(keyword, way):
    header = read_header(mr_image(**{keyword: BROKEN[keyword]}, **way))
    field = next(name for name, one in IMAGE.items() if one.keyword == keyword)
    assert getattr(header.image, field) is None
    warned = [warning.facts for warning in header.warnings]
    assert warned == [{"attribute": keyword}]


NO_DAY = {"AcquisitionDate": None, "AcquisitionTime": None}


@pytest.mark.parametrize("way", [{}, LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize(
    ("written", "day", "hour"),
    [
        ("20240311101112.5", date(2024, 3, 11), time(10, 11, 12, 500_000)),
        ("20240311101112+0130", date(2024, 3, 11), time(10, 11, 12)),
        ("20240311", date(2024, 3, 11), None),
        ("", None, None),
    ],
)
def test_an_acquisition_s_date_and_time_may_be_given_as_one(written, day, hour, way):
    header = read_header(mr_image(**NO_DAY, AcquisitionDateTime=written, **way))
    assert header.image is not None
    assert (header.image.acquisition_date, header.image.acquisition_time) == (day, hour)
    assert header.warnings == []


@pytest.mark.parametrize("written", ["202403", "20240399", "2024031199", "x"])
def test_a_date_and_time_that_cannot_be_read_is_named_in_a_warning(written):
    header = read_header(mr_image(**NO_DAY, AcquisitionDateTime=written))
    assert header.image is not None
    assert header.image.acquisition_date is None
    assert [one.facts for one in header.warnings] == [{"attribute": "AcquisitionDateTime"}]


def test_a_date_that_stands_by_itself_comes_before_date_and_time_in_one():
    image = read_header(mr_image(AcquisitionDateTime="20010101")).image
    assert image is not None
    assert image.acquisition_date == date(2024, 3, 13)
