"""The scanner and pydicom give the very same records, for whole files and for damaged ones.

But where the scanner mended something, it read on behind what pydicom cannot pass: an element of
unknown VR, or an item that its sequence's delimiter ends. There pydicom loses what follows, dcmtk
does not, and the tests of these kinds (in test_headers) say what is right.
"""

import json
import struct
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.valuerep import DA, TM

from app.dicom import headers, scanner
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.recognition import looks_like_dicom
from app.dicom.records import Header, StructureSetRecord
from app.dicom.scanner import LONGEST_FRAMING, Unusual
from app.errors import Expected
from tests.making import objects
from tests.making.fuzz import MAKERS, PYDICOM_DATA, SCANNED, damaged_objects
from tests.making.objects import Raw

LIMITS = HeaderLimits()


def pydicom_files() -> list[Path]:
    files = [path for path in PYDICOM_DATA.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix not in (".py", ".pyc", ".json"))


def outcome(read: Callable[[], Header]) -> Header | tuple[str, dict[str, Any]]:
    """The header, or the expected error; pydicom's own errors count as damage, as they do."""
    try:
        return read()
    except Expected as error:
        return error.code, error.facts
    except (Unusual, struct.error):
        raise
    except Exception:
        return "header_damaged", {}


def fast(data: bytes) -> Header:
    return headers._records(headers._scan(data, LIMITS, False), "ISO_IR 100")


def slow(data: bytes) -> Header:
    return headers._records(headers._read_with_pydicom(data, LIMITS, False), "ISO_IR 100")


def assert_same_or_unusual(data: bytes) -> bool:
    """Whether the scanner read it and mended nothing; then pydicom gives the same."""
    try:
        raw = headers._scan(data, LIMITS, False)
        quick = outcome(lambda: headers._records(raw, "ISO_IR 100"))
        if raw.elements.scan.mended:
            return False
    except (Unusual, struct.error):
        return False
    except Expected as error:
        quick = error.code, error.facts
    assert quick == outcome(lambda: slow(data))
    return True


@pytest.mark.parametrize("path", pydicom_files(), ids=lambda path: path.name)
def test_the_scanner_reads_pydicoms_own_files_as_pydicom_does(path):
    assert_same_or_unusual(path.read_bytes())


@pytest.mark.parametrize("way", SCANNED, ids=str)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_the_scanner_reads_generated_files_as_pydicom_does(make, way):
    assert assert_same_or_unusual(make(**way))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_the_scanner_leaves_what_it_does_not_know(make):
    assert not assert_same_or_unusual(make(**objects.LEFT_TO_PYDICOM))


def delimited(tag: int, vr: str, value: bytes) -> bytes:
    """An element of undefined length, in explicit VR."""
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, 2**32 - 1) + value + END


ITEM = bytes.fromhex("FE FF 00 E0 FF FF FF FF")
ITEM_END = bytes.fromhex("FE FF 0D E0 00 00 00 00")
END = bytes.fromhex("FE FF DD E0 00 00 00 00")
IN_IMPLICIT = struct.pack("<HHI", 9, 0x1011, 2) + b"x "
IN_EXPLICIT = struct.pack("<HH2sH", 9, 0x1011, b"LO", 2) + b"x "
NESTED = struct.pack("<HHI", 9, 0x1012, 2**32 - 1) + ITEM + IN_IMPLICIT + ITEM_END + END
FRAGMENT = bytes.fromhex("FE FF 00 E0 04 00 00 00 08 00 05 00")
GROUPS_OF_A_FRAME = (  # with the frame's own item 14 items
    *("FrameContent", "PlanePosition", "PlaneOrientation", "PixelMeasures", "FrameAnatomy"),
    *("FrameVOILUT", "PixelValueTransformation", "MREcho", "MRModifier", "MRAverages"),
    *("MRDiffusion", "MRImageFrameType", "MRReceiveCoil"),
)
UNDEFINED_LENGTHS = {
    "UN": delimited(0x00091010, "UN", 2 * (ITEM + IN_IMPLICIT + ITEM_END)),
    "UN, nested": delimited(0x00091010, "UN", ITEM + NESTED + IN_IMPLICIT + ITEM_END),
    "UN, empty": delimited(0x00091010, "UN", b""),
    "UN, an empty item": delimited(0x00091010, "UN", ITEM + ITEM_END),
    "UN, in explicit VR": delimited(0x00091010, "UN", ITEM + IN_EXPLICIT + ITEM_END),
    "UN in SQ": delimited(
        0x00091010,
        "SQ",
        ITEM + delimited(0x00091011, "UN", ITEM + IN_IMPLICIT + ITEM_END) + ITEM_END,
    ),
    "OB, fragments": delimited(0x00091010, "OB", FRAGMENT[:8] + bytes(4) + FRAGMENT),
    "OB, no fragments": delimited(0x00091010, "OB", b"no fragment"),
    "OB, a fragment of a wrong length": delimited(0x00091010, "OB", FRAGMENT[:-1]),
    "OW, empty": delimited(0x00091010, "OW", b""),
}


@pytest.mark.parametrize("odd", UNDEFINED_LENGTHS.values(), ids=UNDEFINED_LENGTHS)
def test_values_of_undefined_length_that_are_no_sequences_are_passed_over(odd):
    data = objects.ct_image()
    at = data.index(struct.pack("<HH", 0x10, 0x10))  # Patient's Name
    assert assert_same_or_unusual(data[:at] + odd + data[at:])
    assert fast(data[:at] + odd + data[at:]) == fast(data)


def test_a_value_of_undefined_length_without_an_end_is_left():
    data = objects.ct_image(PixelData=None, after=delimited(0x7FE10010, "OB", b"no end")[:-8])
    assert not assert_same_or_unusual(data)


@pytest.mark.parametrize("keyword", ["Shared", "PerFrame"])
def test_functional_groups_in_un_are_read_as_pydicom_does(keyword):
    """As a system writes them that does not know enhanced objects."""
    keyword += "FunctionalGroupsSequence"
    position = [{"ImagePositionPatient": ["1", "2", "3"]}]
    groups = [{"PlanePositionSequence": position}, {"PlanePositionSequence": position}]
    data = objects.enhanced_ct(**{keyword: Raw("UN", groups)})
    assert assert_same_or_unusual(data)
    image = fast(data).image
    assert image is not None
    assert image.image_position_patient == [1, 2, 3]


def test_contours_in_un_are_read_as_pydicom_does():
    contours = [objects.contour(1, 2, 3), objects.contour(4, 5, 6)]
    item = {"ReferencedROINumber": 1, "ContourSequence": contours}
    plain = objects.rt_structure_set([objects.roi(1, "A")], ROIContourSequence=[item])
    data = objects.rt_structure_set([objects.roi(1, "A")], ROIContourSequence=Raw("UN", [item]))
    assert assert_same_or_unusual(data)
    assert fast(data).structure_set == fast(plain).structure_set


@pytest.mark.parametrize("transfer_syntax", [objects.EXPLICIT, objects.IMPLICIT])
def test_sequences_nested_in_each_frames_groups_are_passed_over(transfer_syntax):
    """Also in implicit VR, where only a dictionary knows the outer one for a sequence."""
    anatomy = [{"AnatomicRegionSequence": [{"CodeValue": "T-D3000"}]}]
    frames = [{"FrameAnatomySequence": anatomy, "MREchoSequence": [{}]} for _ in range(3)]
    data = objects.enhanced_ct(
        PerFrameFunctionalGroupsSequence=frames,
        transfer_syntax=transfer_syntax,
        undefined_lengths=True,
    )
    assert assert_same_or_unusual(data)


def many_frames(frames: int) -> bytes:
    """An enhanced object with 14 items for each frame, behind a private UN of undefined length."""
    frame = {f"{name}Sequence": [{}] for name in GROUPS_OF_A_FRAME}
    data = objects.enhanced_ct(
        PerFrameFunctionalGroupsSequence=[frame], undefined_lengths=True, PixelData=None
    )
    at = data.index(struct.pack("<HH", 0x5200, 0x9230)) + LONGEST_FRAMING
    data = data[:at] + data[at : -len(END)] * frames + END
    at = data.index(struct.pack("<HH", 0x10, 0x10))  # Patient's Name
    return data[:at] + UNDEFINED_LENGTHS["UN"] + data[at:]


def test_hundreds_of_thousands_of_items_are_read_by_the_scanner():
    walk = headers._walked(many_frames(15_000), LIMITS, False).elements.scan
    assert walk.item_count > 15_000 * 14


def test_items_take_no_memory():
    data = many_frames(3_000)
    tracemalloc.start()
    fast(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_the_element_drawn_in_the_scanner_is_read_as_drawn():
    drawn = bytes.fromhex("08 00 60 00 43 53 02 00 43 54")
    wanted = scanner.wanted_from({0x00080060: scanner.ELEMENT})
    walk = scanner.scan(drawn, 0, False, wanted, 0)
    assert walk.dataset.elements == {0x00080060: (b"CS", b"CT")}
    assert walk.dataset.scan.spans == {0x00080060: (8, 10)}
    assert [[*walk.tops], [*walk.nested], [*walk.long_lengths], walk.end] == [[0], [], [], 10]


def test_each_sequence_and_meta_element_of_the_scanner_is_in_pydicoms_dictionary():
    for tag, keyword in scanner.SEQUENCE_KEYWORDS.items():
        assert (keyword_for_tag(tag), dictionary_VR(tag)) == (keyword, "SQ")
    for tag, vr in scanner.META_VRS.items():
        assert dictionary_VR(tag) == vr.decode()


@pytest.mark.parametrize("group", [0x0008, 0x0009, 0x0020])
def test_an_undefined_length_in_implicit_vr_ends_where_it_ends_for_pydicom(group):
    """Also of a tag that the dictionary gives another VR, with a sequence nested in its item."""
    item, open_end = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF), 0xFFFFFFFF
    ends = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    nested = struct.pack("<HHI", 0x0008, 0x1140, open_end) + item + ends
    for tag in (0x1199, 0x3010, 0x1030):  # a sequence, a UID and a text, if of group 8
        odd = struct.pack("<HHI", group, tag, open_end) + item + nested + ends
        for make in (objects.ct_image, objects.rt_structure_set):
            data = make(transfer_syntax=objects.IMPLICIT)
            at = data.index(struct.pack("<HHI", 0x0010, 0x0010, 12))
            assert_same_or_unusual(data[:at] + odd + data[at:])


def test_the_scanner_reads_most_of_pydicoms_own_files():
    readable = [path.read_bytes() for path in pydicom_files()]
    readable = [data for data in readable if looks_like_dicom(data)]
    assert sum(map(assert_same_or_unusual, readable)) > len(readable) * 0.7


def plain(value: Any) -> str:
    """pydicom's value as one text."""
    if value is None:
        return ""
    many = isinstance(value, pydicom.multival.MultiValue)
    return "\\".join(map(str, value)) if many else str(value)


def whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def assert_equals_pydicom(header: Header, dataset: pydicom.Dataset) -> None:
    assert header.study.study_instance_uid == dataset.StudyInstanceUID
    assert header.series.series_instance_uid == dataset.SeriesInstanceUID
    assert header.instance.sop_instance_uid == dataset.SOPInstanceUID
    assert header.instance.sop_class_uid == dataset.get("SOPClassUID", "")
    patient, study, series = header.patient, header.study, header.series
    assert patient.unique_patient_id == plain(dataset.get("PatientID")).strip("\0 ")
    assert patient.patient_name == plain(dataset.get("PatientName"))
    assert patient.patient_sex == plain(dataset.get("PatientSex"))
    assert patient.patient_dob == DA(dataset.get("PatientBirthDate"))
    assert study.study_date == DA(dataset.get("StudyDate"))
    assert study.study_time == TM(dataset.get("StudyTime"))
    assert study.study_description == plain(dataset.get("StudyDescription"))
    assert study.accession_number == plain(dataset.get("AccessionNumber"))
    assert study.study_id == plain(dataset.get("StudyID"))
    assert series.modality == plain(dataset.get("Modality"))
    assert series.series_description == plain(dataset.get("SeriesDescription"))
    assert series.body_part_examined == plain(dataset.get("BodyPartExamined"))
    assert series.frame_of_reference_uid == plain(dataset.get("FrameOfReferenceUID"))
    assert series.series_number == whole(dataset.get("SeriesNumber"))
    assert series.series_date == DA(dataset.get("SeriesDate"))
    assert series.institution_name == plain(dataset.get("InstitutionName"))
    assert series.manufacturer == plain(dataset.get("Manufacturer"))
    assert series.manufacturer_model_name == plain(dataset.get("ManufacturerModelName"))
    assert series.station_name == plain(dataset.get("StationName"))
    assert series.units == plain(dataset.get("Units"))
    assert header.instance.instance_number == whole(dataset.get("InstanceNumber"))
    assert header.instance.rows == whole(dataset.get("Rows"))
    assert header.instance.columns == whole(dataset.get("Columns"))
    assert header.instance.number_of_frames == whole(dataset.get("NumberOfFrames"))
    if header.image and "SharedFunctionalGroupsSequence" not in dataset:
        assert_image_equals_pydicom(header, dataset)
    if header.structure_set:
        assert_structures_equal_pydicom(header.structure_set, dataset)


def assert_image_equals_pydicom(header: Header, dataset: pydicom.Dataset) -> None:
    image = header.image
    assert image is not None
    assert image.patient_position == plain(dataset.get("PatientPosition"))
    assert image.slice_location == dataset.get("SliceLocation")
    assert image.slice_thickness == (dataset.get("SliceThickness") or None)
    assert image.pixel_spacing == dataset.get("PixelSpacing")
    assert image.image_position_patient == dataset.get("ImagePositionPatient")
    assert image.image_orientation_patient == dataset.get("ImageOrientationPatient")
    assert image.image_type == plain(dataset.get("ImageType"))
    assert image.acquisition_number == whole(dataset.get("AcquisitionNumber"))
    assert image.acquisition_date == DA(dataset.get("AcquisitionDate"))
    assert image.acquisition_time == TM(dataset.get("AcquisitionTime"))
    assert image.echo_time == dataset.get("EchoTime")
    assert image.trigger_time == dataset.get("TriggerTime")
    assert image.temporal_position_identifier == whole(dataset.get("TemporalPositionIdentifier"))
    assert image.diffusion_b_value == dataset.get("DiffusionBValue")
    assert image.stack_id == plain(dataset.get("StackID"))
    assert image.spacing_between_slices == dataset.get("SpacingBetweenSlices")
    assert image.rescale_type == plain(dataset.get("RescaleType"))


def assert_structures_equal_pydicom(record: StructureSetRecord, dataset: pydicom.Dataset) -> None:
    assert record.structure_set_label == plain(dataset.get("StructureSetLabel"))
    assert record.structure_set_name == plain(dataset.get("StructureSetName"))
    assert record.structure_set_date == DA(dataset.get("StructureSetDate"))
    assert record.approval_status == plain(dataset.get("ApprovalStatus"))
    assert record.number_of_roi == len(dataset.StructureSetROISequence)
    for roi, item in zip(record.rois, dataset.StructureSetROISequence, strict=True):
        assert roi.roi_number == item.ROINumber
        assert roi.roi_name == plain(item.ROIName)
        assert roi.roi_generation_algorithm == plain(item.get("ROIGenerationAlgorithm"))
    by_number = {item.ReferencedROINumber: item for item in dataset.ROIContourSequence}
    for roi in record.rois:
        item = by_number[roi.roi_number]
        assert roi.roi_display_color == list(item.ROIDisplayColor)
        for found, contour in zip(
            json.loads(roi.roi_contour_data), item.get("ContourSequence", ()), strict=True
        ):
            assert found["type"] == contour.ContourGeometricType
            assert found["points"] == [float(number) for number in contour.ContourData]


def comparable_files() -> list[Path]:
    """pydicom's files whose every attribute pydicom itself can convert."""
    unlike = ("ExplVR_BigEnd.dcm", "badVR.dcm")  # 14:04:38 as a time, 1A as a number
    return [path for path in pydicom_files() if path.name not in unlike]


@pytest.mark.filterwarnings("ignore")  # pydicom's, of these files
@pytest.mark.parametrize("path", comparable_files(), ids=lambda path: path.name)
def test_every_value_of_pydicoms_own_files_equals_pydicoms_attribute(path):
    data = path.read_bytes()
    header = outcome(lambda: read_header(data))
    if not isinstance(header, Header):
        assert header[0] in ("not_dicom", "dicomdir", "uid_missing")
        return
    dataset = pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=True)
    assert_equals_pydicom(header, dataset)


@pytest.mark.parametrize("way", SCANNED, ids=str)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_value_of_generated_files_equals_pydicoms_attribute(make, way):
    data = make(**way)
    assert_equals_pydicom(read_header(data), pydicom.dcmread(BytesIO(data), force=True))


def test_most_of_pydicoms_own_files_are_kept():
    outcomes = [
        outcome(lambda path=path: read_header(path.read_bytes())) for path in pydicom_files()
    ]
    assert sum(isinstance(header, Header) for header in outcomes) >= 160


# Damage


CONTOURS = [
    objects.contour(*[number] * points, kind=kind, sop=objects.uid(2, 1, number))
    for number, points, kind in ((1, 3, "POINT"), (2, 6, "CLOSED_PLANAR"), (30, 6, "POINT"))
]


@pytest.mark.parametrize(
    "way",
    [SCANNED[0], *(pytest.param(way, marks=pytest.mark.long) for way in SCANNED[1:4])],
    ids=str,
)
def test_contours_beside_one_with_any_byte_altered_are_read_as_pydicom_reads_them(way):
    rois = [objects.roi(1, "A", *CONTOURS * 2, CONTOURS[0], *CONTOURS)]
    data = objects.rt_structure_set(rois, **way)
    # From the fifth contour's points to the seventh's.
    start = data.index(b"2\\2\\2\\2\\2\\2", data.index(b"2\\2\\2\\2\\2\\2") + 1)
    stop = data.index(b"1\\1\\1", start)
    read = []
    for at in range(start, stop):
        for byte in (0, 0xFF, data[at] ^ 1, data[at] + 2 & 0xFF, ord("\\")):
            changed = data[:at] + bytes([byte]) + data[at + 1 :]
            read.append(assert_same_or_unusual(changed))
        read.append(assert_same_or_unusual(data[:at]))
        read.append(assert_same_or_unusual(data[:at] + data[at + 1 :]))
        read.append(assert_same_or_unusual(data[:at] + b"\0" + data[at:]))
    assert sum(read) > 100


UNLIKE = (
    *({}, {"ContourData": ""}, {"ContourData": None}, {"ContourGeometricType": None}),
    *(
        {"ContourData": objects.Raw("OB", b"1\\2\\3 ")},
        {"ContourData": objects.Raw("UT", b"1\\2\\3")},
    ),
    *({"ContourData": objects.Raw("FL", struct.pack("<3f", 1.5, 2, 3))}, {"ContourNumber": "1"}),
    *(
        {"SpecificCharacterSet": "ISO_IR 192"},
        {"AttachedContours": "1"},
        {"ContourImageSequence": []},
    ),
    *({"ContourImageSequence": None}, {"DoubleFloatRealWorldValueFirstValueMapped": 1.5}),
)


@pytest.mark.parametrize("way", SCANNED[:4], ids=str)
@pytest.mark.parametrize("unlike", UNLIKE, ids=str)
def test_a_contour_unlike_the_others_is_read_as_pydicom_reads_it(unlike, way):
    some = [*CONTOURS, CONTOURS[1] | unlike] * 3
    assert_same_or_unusual(objects.rt_structure_set([objects.roi(1, "A", *some)], **way))


def test_the_scanner_reads_damaged_files_as_pydicom_does_or_leaves_them():
    read = [assert_same_or_unusual(data) for data in damaged_objects(10_000, 1, SCANNED)]
    assert sum(read) > 2_000
