"""Files whose framing is odd: nothing behind it is lost, and the reason is never untrue."""

import struct

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from app.dicom import headers, scanner
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.records import Header
from tests.making import objects
from tests.making.objects import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    LEFT_TO_PYDICOM,
    ODD_ITEM,
    Raw,
    contour,
    ct_image,
    enhanced_ct,
    roi,
    rt_structure_set,
    structured_report,
    uid,
)

# Of every shape but two capitals.
NO_VRS = (
    *(b"  ", b"--", b"??", b"re", b"Lo", b"0A", b"L ", b" L", b"ox"),
    *(b"\0\0", b"\1\2", b"\x7f\x7f", b"\xff\xfe"),
)
CAPITALS = (b"OX", b"XY", b"ZZ")
SYNTAXES = (EXPLICIT, BIG_ENDIAN)
MAKERS = (ct_image, enhanced_ct, structured_report, rt_structure_set)
PATIENTS_NAME, STUDY_INSTANCE_UID, ROWS = 0x00100010, 0x0020000D, 0x00280010


def codes(header: Header) -> list[str]:
    return [warning.code for warning in header.warnings]


def order(syntax: str) -> str:
    return ">" if syntax == BIG_ENDIAN else "<"


def tag_bytes(tag: int, syntax: str = EXPLICIT) -> bytes:
    return struct.pack(f"{order(syntax)}HH", tag >> 16, tag & 0xFFFF)


def short(vr: bytes, value: bytes, syntax: str = EXPLICIT, tag: int = 0x00091001) -> bytes:
    """An element whose length has 16 bits, whatever its VR."""
    return tag_bytes(tag, syntax) + vr + struct.pack(f"{order(syntax)}H", len(value)) + value


def long(vr: bytes, value: bytes, syntax: str = EXPLICIT) -> bytes:
    """An element whose length has 32 bits, whatever its VR."""
    length = struct.pack(f"{order(syntax)}HI", 0, len(value))
    return tag_bytes(0x00091001, syntax) + vr + length + value


def before(tag: int, data: bytes, odd: bytes, syntax: str = EXPLICIT) -> bytes:
    at = data.index(tag_bytes(tag, syntax), 132)
    return data[:at] + odd + data[at:]


def places(data: bytes, syntax: str) -> list[int]:
    """Where elements begin, in items of undefined length, too, or where such items end."""
    meta = scanner.read_meta(data, 132)
    byte_order = scanner.byte_order(data, meta.end, syntax)
    walk = scanner.scan(data, meta.end, False, headers.WANTED, HeaderLimits().items, byte_order)
    delimiters = (tag_bytes(0xFFFEE00D), tag_bytes(0xFFFEE00D, BIG_ENDIAN))
    starts = sorted([*walk.tops, *walk.nested])
    no_items = (at for at in starts if data[at : at + 2] not in scanner.ITEM_GROUPS)
    return [*no_items, *(at for at in starts if data[at : at + 4] in delimiters)]


# Unknown VRs


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_nothing_is_lost_behind_an_element_of_unknown_vr_wherever_it_stands(make, syntax):
    plain = make(transfer_syntax=syntax, undefined_lengths=True)
    expected = read_header(plain)
    odd = [short(vr, b"abcd", syntax) for vr in (*NO_VRS, *CAPITALS)]
    odd += [long(vr, b"ISOCTLO ", syntax) for vr in CAPITALS]
    for at in places(plain, syntax):
        for element in odd:
            assert read_header(plain[:at] + element + plain[at:]) == expected


@pytest.mark.parametrize(
    "value", [b"", b"ab", b"1.2.3.4\0", b"x" * 300, bytes(64), b"ISOCTLO " * 2]
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_elements_of_unknown_vr_may_be_several_and_of_any_length(value, syntax):
    plain = ct_image(transfer_syntax=syntax)
    expected = read_header(plain)
    for vr in (*NO_VRS, *CAPITALS):
        some = short(vr, value, syntax) + short(vr, value, syntax, 0x00091002)
        for tag in (PATIENTS_NAME, STUDY_INSTANCE_UID, ROWS):
            assert read_header(before(tag, plain, some, syntax)) == expected


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("keyword", ["PatientID", "StudyDate", "SliceThickness", "Rows"])
def test_an_attribute_of_unknown_vr_is_read_as_the_dictionary_has_it(keyword, syntax):
    plain = ct_image(transfer_syntax=syntax)
    tag = tag_for_keyword(keyword)
    assert tag is not None
    at = plain.index(tag_bytes(tag, syntax) + dictionary_VR(tag).encode()) + 4
    for vr in (*NO_VRS, *CAPITALS):
        assert read_header(plain[:at] + vr + plain[at + 2 :]) == read_header(plain)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("tag", [0x30060020, 0x30060039])
def test_structures_in_a_sequence_of_unknown_vr_are_read(tag, syntax):
    plain = rt_structure_set(["Heart", "Lung"], transfer_syntax=syntax)
    at = plain.index(tag_bytes(tag, syntax) + b"SQ")
    (length,) = struct.unpack_from(f"{order(syntax)}I", plain, at + 8)
    items = plain[at + 12 : at + 12 + length]
    for vr in NO_VRS:
        odd = short(vr, items, syntax, tag)
        assert read_header(plain[:at] + odd + plain[at + 12 + length :]) == read_header(plain)


@pytest.mark.parametrize("length", [8, 64, 0x2020, 0x3030])
def test_an_element_without_vr_has_a_length_of_32_bits(length):
    plain = ct_image()
    odd = tag_bytes(0x00091001) + struct.pack("<I", length) + b"x" * length
    assert read_header(before(PATIENTS_NAME, plain, odd)) == read_header(plain)


def test_a_vr_of_32_bits_may_have_a_length_of_16():
    plain = ct_image()
    for vr in (b"SV", b"OV", b"UC"):
        odd = short(vr, bytes(8))
        assert read_header(before(PATIENTS_NAME, plain, odd)) == read_header(plain)


@pytest.mark.parametrize("vr", NO_VRS)
def test_an_unknown_vr_does_no_harm_to_a_file_without_prefix(vr):
    plain = ct_image(prefix=False)
    first = short(vr, b"abcd", tag=0x00080001)
    assert read_header(first + plain) == read_header(plain)
    at = plain.index(tag_bytes(PATIENTS_NAME))
    assert read_header(plain[:at] + short(vr, b"abcd") + plain[at:]) == read_header(plain)


@pytest.mark.parametrize("undefined", [False, True])
def test_items_in_implicit_vr_within_explicit_vr_are_no_elements_of_unknown_vr(undefined):
    writing = objects.Writing(implicit=True, undefined=undefined)
    for text in ("x", "ISO TIME CS UI " * 700):  # as long as two letters are, if read as a length
        items = [{"CodeValue": "1", "CodeMeaning": text}, {"PatientID": "ANOTHER"}, {}]
        odd = b"".join(objects._item(item, writing) for item in items)
        plain = ct_image()
        data = before(PATIENTS_NAME, plain, long(b"SQ", odd))
        assert read_header(data) == read_header(plain)


# UN in big endian


ROIS = [roi(1, "A", objects.TRIANGLE, contour(1, 2, 3)), roi(2, "B", contour("+1", "2.", ".5"))]
STRUCTURES = {
    "ReferencedFrameOfReferenceSequence": [objects.frame_reference()],
    "StructureSetROISequence": [objects._definition(one) for one in ROIS],
    "ROIContourSequence": [objects._roi_contour(one) for one in ROIS],
    "RTROIObservationsSequence": [objects._observation(one) for one in ROIS],
}


def defined(items: list[objects.Attributes]) -> Raw:
    """A sequence as UN of defined length."""
    return Raw("UN", objects._encoded("SQ", items, objects.Writing(implicit=True)))


@pytest.mark.parametrize(
    "un", [lambda items: Raw("UN", items), defined], ids=["undefined", "defined"]
)
@pytest.mark.parametrize("undefined_lengths", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_sequences_in_un_are_in_implicit_vr_little_endian(syntax, undefined_lengths, un):
    way = {"transfer_syntax": syntax, "undefined_lengths": undefined_lengths}
    expected = read_header(rt_structure_set(ROIS, **way))
    inner = [
        objects._roi_contour(one) | {"ContourSequence": un(one["ContourSequence"])} for one in ROIS
    ]
    private = [{"CodeValue": "1"}, {"ConceptNameCodeSequence": [{"CodeValue": "2"}]}, {}]
    for odd in (
        *({keyword: un(items)} for keyword, items in STRUCTURES.items()),
        {keyword: un(items) for keyword, items in STRUCTURES.items()},
        {"ROIContourSequence": inner},
        *({"SourceImageSequence": un(private)}, {"SourceImageSequence": un([])}),
        {"RequestAttributesSequence": [{"ScheduledProtocolCodeSequence": un(private)}]},
    ):
        assert read_header(rt_structure_set(ROIS, **way, **odd)) == expected


def test_numbers_beside_a_un_in_big_endian_stay_in_big_endian():
    groups = [{"PlanePositionSequence": Raw("UN", [{"ImagePositionPatient": ["1", "2", "3"]}])}]
    data = enhanced_ct(transfer_syntax=BIG_ENDIAN, PerFrameFunctionalGroupsSequence=groups)
    header = read_header(data)
    assert (header.instance.rows, header.instance.columns) == (2, 3)
    assert header.image is not None
    assert header.image.image_position_patient == [1, 2, 3]


# A second file meta group


SECOND_GROUPS = {
    "older": objects.elements({"TransferSyntaxUID": IMPLICIT, "ImplementationClassUID": uid(3)}),
    "whole": objects.element(0x00020000, "UL", 60)
    + objects.elements({"MediaStorageSOPInstanceUID": uid(7), "TransferSyntaxUID": BIG_ENDIAN}),
    "deflated": objects.elements({"TransferSyntaxUID": objects.DEFLATED}),
    "of another object": objects.elements(
        {"MediaStorageSOPClassUID": objects.MEDIA_STORAGE_DIRECTORY, "TransferSyntaxUID": uid(9)}
    ),
    "implicit": objects.elements(
        {"MediaStorageSOPClassUID": uid(8), "TransferSyntaxUID": IMPLICIT},
        objects.Writing(implicit=True),
    ),
    "implicit with its length": objects.elements(
        {"FileMetaInformationGroupLength": 30, "TransferSyntaxUID": IMPLICIT},
        objects.Writing(implicit=True),
    ),
    "of unknown VR": short(b"--", b"abcd", tag=0x00020100),
}


@pytest.mark.parametrize("second", SECOND_GROUPS.values(), ids=SECOND_GROUPS)
@pytest.mark.parametrize(
    "way",
    [
        *({}, LEFT_TO_PYDICOM, {"transfer_syntax": IMPLICIT}, {"transfer_syntax": BIG_ENDIAN}),
        *({"transfer_syntax": objects.DEFLATED}, {"transfer_syntax": objects.JPEG_BASELINE}),
    ],
    ids=str,
)
def test_a_second_file_meta_group_is_passed_over(second, way):
    plain = ct_image(**way)
    (length,) = struct.unpack_from("<I", plain, 140)
    at = 144 + length
    for start in (0, 132):  # also without preamble and prefix
        expected = read_header(plain[start:])
        assert expected.instance.transfer_syntax_uid == way.get("transfer_syntax", EXPLICIT)
        for group in (second, plain[132:at]):
            for _ in range(3):  # also by a layout
                assert read_header(plain[start:at] + group + plain[at:]) == expected


# What is not as the file says


@pytest.mark.parametrize("odd", [b"", ODD_ITEM], ids=["scanner", "pydicom"])
@pytest.mark.parametrize("make", [ct_image, enhanced_ct, rt_structure_set])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_only_claims_to_be_deflated_is_read_as_it_is_with_a_warning(make, odd, syntax):
    claim = {"TransferSyntaxUID": objects.DEFLATED}
    data = before(PATIENTS_NAME, make(transfer_syntax=syntax, meta=claim), odd)
    for _ in range(3):
        header = read_header(data)
        assert codes(header) == ["not_deflated"]
        assert header.instance.transfer_syntax_uid == objects.DEFLATED
        expected = read_header(make())
        assert (header.lineage, header.image) == (expected.lineage, expected.image)
        assert header.structure_set == expected.structure_set


ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, number, 0) for number in (0xE00D, 0xE0DD))


def of_codes(*ends: bytes, implicit: bool) -> bytes:
    """A sequence of undefined length: items that each end in these bytes, and its own end."""
    writing = objects.Writing(implicit=implicit)
    start = struct.pack("<HHI", 0xFFFE, 0xE000, objects.UNDEFINED)
    item = start + objects.elements({"CodeValue": "99", "CodingSchemeDesignator": "99X"}, writing)
    head = struct.pack("<HH", 0x0008, 0x1032) + (b"" if implicit else b"SQ\0\0")
    items = b"".join(item + end for end in ends[:-1])
    return head + struct.pack("<I", objects.UNDEFINED) + items + ends[-1]


@pytest.mark.parametrize("implicit", [False, True])
def test_an_item_may_end_in_its_sequences_delimiter_alone(implicit):
    plain = ct_image(transfer_syntax=IMPLICIT if implicit else EXPLICIT)
    for ends in (
        *((ITEM_END, SEQUENCE_END), (b"", SEQUENCE_END), (SEQUENCE_END, SEQUENCE_END)),
        *((ITEM_END, b"", SEQUENCE_END), (ITEM_END, SEQUENCE_END, SEQUENCE_END)),
        (SEQUENCE_END, SEQUENCE_END, SEQUENCE_END),
    ):
        data = before(PATIENTS_NAME, plain, of_codes(*ends, implicit=implicit))
        assert read_header(data) == read_header(plain)


def test_a_sequence_may_lack_its_delimiter():
    plain = ct_image()
    for ends in ((b"",), (ITEM_END, b""), (ITEM_END, ITEM_END, b"")):
        data = before(PATIENTS_NAME, plain, of_codes(*ends, implicit=False))
        assert read_header(data) == read_header(plain)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_structures_whose_last_items_end_in_their_sequences_delimiters_alone_are_read(syntax):
    plain = rt_structure_set(["A", "B"], undefined_lengths=True, transfer_syntax=syntax)
    data = plain.replace(ITEM_END + SEQUENCE_END, SEQUENCE_END)
    assert data != plain
    assert read_header(data) == read_header(plain)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("filling", [b"\xff" * 64, b"\xff" * 12, bytes(64)])
def test_what_fills_a_files_last_block_is_no_part_of_it(filling, syntax):
    plain = rt_structure_set(["A", "B"], transfer_syntax=syntax)
    assert read_header(plain + filling) == read_header(plain)
