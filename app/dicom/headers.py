"""One DICOM object's header -> records."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import islice
from struct import error as StructError
from struct import unpack_from
from typing import Generic, NamedTuple, TypeVar

from app.errors import Expected, MemberFailed, MemberSkipped

from . import scanner, text
from .layouts import Laid, Layouts
from .records import (
    Header,
    ImageRecord,
    InstanceRecord,
    Lineage,
    PatientRecord,
    ReadWarning,
    SeriesRecord,
    StructureSetRecord,
    StudyRecord,
)
from .scanner import ELEMENT, SEQUENCE, STOP, Buffer, Element, Unusual, wanted
from .structures import STRUCTURE_SET_KINDS, read_structure_set
from .values import INT32, STORABLE_UID, Attribute, Dataset, Values

SPECIFIC_CHARACTER_SET = Attribute(0x00080005, "SpecificCharacterSet", "CS", 64)
SOP_CLASS_UID = Attribute(0x00080016, "SOPClassUID", "UI")
SOP_INSTANCE_UID = Attribute(0x00080018, "SOPInstanceUID", "UI")
STUDY_DATE = Attribute(0x00080020, "StudyDate", "DA")
SERIES_DATE = Attribute(0x00080021, "SeriesDate", "DA")
STUDY_TIME = Attribute(0x00080030, "StudyTime", "TM")
ACCESSION_NUMBER = Attribute(0x00080050, "AccessionNumber", "SH", 64)
MODALITY = Attribute(0x00080060, "Modality", "CS", 16)
STUDY_DESCRIPTION = Attribute(0x00081030, "StudyDescription", "LO", 1024)
SERIES_DESCRIPTION = Attribute(0x0008103E, "SeriesDescription", "LO", 1024)
PATIENT_NAME = Attribute(0x00100010, "PatientName", "PN", 1024)
PATIENT_ID = Attribute(0x00100020, "PatientID", "LO", 256)
PATIENT_BIRTH_DATE = Attribute(0x00100030, "PatientBirthDate", "DA")
PATIENT_SEX = Attribute(0x00100040, "PatientSex", "CS", 16)
BODY_PART_EXAMINED = Attribute(0x00180015, "BodyPartExamined", "CS", 64)
SLICE_THICKNESS = Attribute(0x00180050, "SliceThickness", "DS")
PATIENT_POSITION = Attribute(0x00185100, "PatientPosition", "CS", 16)
STUDY_INSTANCE_UID = Attribute(0x0020000D, "StudyInstanceUID", "UI")
SERIES_INSTANCE_UID = Attribute(0x0020000E, "SeriesInstanceUID", "UI")
STUDY_ID = Attribute(0x00200010, "StudyID", "SH", 64)
SERIES_NUMBER = Attribute(0x00200011, "SeriesNumber", "IS")
INSTANCE_NUMBER = Attribute(0x00200013, "InstanceNumber", "IS")
IMAGE_POSITION_PATIENT = Attribute(0x00200032, "ImagePositionPatient", "DS")
IMAGE_ORIENTATION_PATIENT = Attribute(0x00200037, "ImageOrientationPatient", "DS")
FRAME_OF_REFERENCE_UID = Attribute(0x00200052, "FrameOfReferenceUID", "UI")
SLICE_LOCATION = Attribute(0x00201041, "SliceLocation", "DS")
NUMBER_OF_FRAMES = Attribute(0x00280008, "NumberOfFrames", "IS")
ROWS = Attribute(0x00280010, "Rows", "US")
COLUMNS = Attribute(0x00280011, "Columns", "US")
PIXEL_SPACING = Attribute(0x00280030, "PixelSpacing", "DS")

MEDIA_STORAGE_SOP_CLASS_UID = Attribute(0x00020002, "MediaStorageSOPClassUID", "UI")
MEDIA_STORAGE_SOP_INSTANCE_UID = Attribute(0x00020003, "MediaStorageSOPInstanceUID", "UI")
TRANSFER_SYNTAX_UID = Attribute(0x00020010, "TransferSyntaxUID", "UI")

DIRECTORY_RECORD_SEQUENCE = 0x00041220
PIXEL_MEASURES_SEQUENCE = 0x00289110
PLANE_POSITION_SEQUENCE = 0x00209113
PLANE_ORIENTATION_SEQUENCE = 0x00209116
SHARED_FUNCTIONAL_GROUPS_SEQUENCE = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE = 0x52009230

# Of those that have a value, the last counts.
FUNCTIONAL_GROUPS = {
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: "PerFrameFunctionalGroupsSequence",
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE: "SharedFunctionalGroupsSequence",
}

PATIENT = (PATIENT_NAME, PATIENT_ID, PATIENT_BIRTH_DATE, PATIENT_SEX)
STUDY = (
    *(STUDY_INSTANCE_UID, STUDY_DATE, STUDY_TIME),
    *(STUDY_DESCRIPTION, ACCESSION_NUMBER, STUDY_ID),
)
SERIES = (
    *(SERIES_INSTANCE_UID, MODALITY, SERIES_NUMBER, SERIES_DESCRIPTION),
    *(SERIES_DATE, BODY_PART_EXAMINED, FRAME_OF_REFERENCE_UID),
)
INSTANCE = (SOP_CLASS_UID, SOP_INSTANCE_UID, INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS, COLUMNS)
LINEAGE = (*PATIENT, *STUDY, *SERIES)
PLANE = (PIXEL_SPACING, SLICE_THICKNESS, IMAGE_POSITION_PATIENT, IMAGE_ORIENTATION_PATIENT)
IMAGE = (*PLANE, SLICE_LOCATION, PATIENT_POSITION)

PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double float, integer
WANTED_KINDS = (
    {a.tag: ELEMENT for a in (SPECIFIC_CHARACTER_SET, *PATIENT, *STUDY, *SERIES)}
    | {a.tag: ELEMENT for a in (*INSTANCE, *IMAGE)}
    | {DIRECTORY_RECORD_SEQUENCE: SEQUENCE}
    | dict.fromkeys(FUNCTIONAL_GROUPS, SEQUENCE)
    | STRUCTURE_SET_KINDS
    | dict.fromkeys(PIXEL_DATA, STOP)
)
WANTED = wanted(WANTED_KINDS)
WANTED_BEFORE_STRUCTURES = wanted(
    WANTED_KINDS | {tag: STOP for tag, kind in STRUCTURE_SET_KINDS.items() if kind == SEQUENCE}
)
GROUPS = (PIXEL_MEASURES_SEQUENCE, PLANE_POSITION_SEQUENCE, PLANE_ORIENTATION_SEQUENCE)
GROUPS_WANTED = wanted(dict.fromkeys(GROUPS, SEQUENCE))
PLANE_WANTED = wanted({attribute.tag: ELEMENT for attribute in PLANE})

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_ROOT = "1.2.840.10008."
STORAGE = "1.2.840.10008.5.1.4.1.1."
RT_STRUCTURE_SET = f"{STORAGE}481.3"
IMAGES = frozenset(
    STORAGE + suffix
    for suffix in (
        *("2", "2.1", "2.2"),  # CT; enhanced; legacy converted
        *("4", "4.1", "4.3", "4.4"),  # MR; enhanced; enhanced colour; legacy converted
        *("128", "128.1", "130"),  # PET; legacy converted; enhanced
    )
)
# What begins the rest of the standard's storage classes: no CT, MR or PET images, whatever their
# modality says.
OTHER_FAMILIES = frozenset(
    (
        *("1", "3", "5", "6", "7", "8", "9", "11", "12", "13", "14", "20", "30", "66", "67", "68"),
        *("77", "78", "79", "80", "81", "82", "88", "90", "91", "104", "129", "131", "200", "201"),
        *("481", "501", "601", "602"),
    )
)

DEFLATED = frozenset(
    (
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",  # JPIP, referenced
        "1.2.840.10008.1.2.4.205",  # JPIP, HTJ2K, referenced
    )
)
DEFLATED_UID = b"1.2.840.10008.1.2.1.99"
PREFIX = bytes(128) + b"DICM"
# Transfer Syntax UID: explicit VR little endian.
EXPLICIT_META = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
BULK = 2**16  # bytes; an element of more is a document or a waveform, and ends a header
LOOKED_AT = 8  # elements that must make sense in a file without prefix

Kept = TypeVar("Kept")

_layouts = Layouts()


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    header: int = 64 * 2**20  # bytes before Pixel Data, inflated
    items: int = 200_000  # items of sequences


class Found(NamedTuple):
    """One object's header, undecoded."""

    dataset: Dataset
    media_storage_class: str
    media_storage_instance: str
    transfer_syntax_uid: str
    cut: bool = False  # the file ends within its header
    error: MemberFailed | None = None  # where only what stands before structures could be read


class Kind(Enum):
    """What ICON keeps the details of."""

    IMAGE = "CT, MR or PET"
    STRUCTURE_SET = "RT Structure Set"
    OTHER = "anything else"


class Decoded(NamedTuple, Generic[Kept]):
    record: Kept
    warnings: tuple[ReadWarning, ...] = ()


STRUCTURES_LOST = Decoded(
    StructureSetRecord("", "", None, "", 0, [], [], 0, []),
    (ReadWarning("structures_unreadable"),),
)


def read_header(
    buffer: Buffer,
    *,
    limits: HeaderLimits = HeaderLimits(),
    truncated: bool = False,
    assumed_charset: str = "ISO_IR 100",
) -> Header:
    """Read the header of a DICOM object, which ends before its Pixel Data.

    Parameters
    ----------
    buffer
        The whole file or, where `truncated`, its first `limits.header` bytes.
    assumed_charset
        A defined term of Specific Character Set, for text that declares none or a wrong one.

    Raises
    ------
    MemberSkipped
        not_dicom, empty_file, dicomdir.
    MemberFailed
        uid_missing, uid_invalid, patient_id_too_long, header_damaged, header_too_large,
        too_many_items, nested_too_deeply, too_much_memory.
    """
    # pydicom promises no one exception for damage: cutting and altering small files raised
    # seven kinds, OSError among them, though nothing is read from a disk here.
    try:
        return _read_header(buffer, limits, truncated, assumed_charset)
    except Expected:
        raise
    except MemoryError:
        raise MemberFailed("too_much_memory") from None
    except Exception as damage:
        raise _damaged(damage) from damage


def _read_header(
    buffer: Buffer, limits: HeaderLimits, truncated: bool, assumed_charset: str
) -> Header:
    if len(buffer) > limits.header:
        buffer, truncated = buffer[: limits.header], True
    if not buffer:
        raise MemberSkipped("empty_file")
    if not looks_like_dicom(buffer):
        raise MemberSkipped("not_dicom")
    try:
        return _records(_scan(buffer, limits, truncated), assumed_charset)
    except (Unusual, StructError):
        return _records(_read_with_pydicom(buffer, limits, truncated), assumed_charset)


def _has_prefix(buffer: Buffer) -> bool:
    return buffer[128:132] == b"DICM"


def looks_like_dicom(buffer: Buffer) -> bool:
    """Whether a file, given whole or its beginning, has the prefix or begins with elements.

    Elements are what has ascending tags, known VRs, and lengths that fit.
    """
    return (
        _has_prefix(buffer)
        or _plausible_elements(buffer, "<", explicit=True)
        or _plausible_elements(buffer, "<", explicit=False)
        or _plausible_elements(buffer, ">", explicit=True)
    )


def _plausible_elements(buffer: Buffer, order: str, *, explicit: bool) -> bool:
    position, previous = 0, -1
    for number in range(LOOKED_AT):
        if position + 8 > len(buffer):
            return number > 0 and position == len(buffer)
        group, element = unpack_from(f"{order}HH", buffer, position)
        tag = group << 16 | element
        if tag <= previous or not (number or _begins_a_dataset(tag)):
            return False
        if previous >> 16 == 2 != group:
            return True  # what follows the file meta group may be encoded in another way
        previous = tag
        start, length = _value_span(buffer, position, order, explicit)
        if length == scanner.UNDEFINED:
            return number > 0
        if length < 0 or start + length > len(buffer):
            return number >= 3 and length >= 0
        position = start + length
    return True


def _begins_a_dataset(tag: int) -> bool:
    """A command set's length, or a group that stands first in files."""
    return tag == 0 or tag >> 16 in (2, 4, 8)


def _value_span(buffer: Buffer, position: int, order: str, explicit: bool) -> tuple[int, int]:
    """Where an element's value begins and its length; -1 where that VR does not exist."""
    if not explicit:
        return position + 8, unpack_from(f"{order}I", buffer, position + 4)[0]
    vr, length = unpack_from(f"{order}2sH", buffer, position + 4)
    if vr in scanner.SHORT:
        return position + 8, length
    if vr in scanner.LONG and position + 12 <= len(buffer):
        return position + 12, unpack_from(f"{order}I", buffer, position + 8)[0]
    return position, -1


def _scan(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> Found:
    meta, dataset = _layouts.read(buffer, limits.items) or _walked(buffer, limits, truncated)
    vr, _ = dataset.get(SPECIFIC_CHARACTER_SET.tag) or (b"", b"")
    if vr not in (b"", b"CS"):
        raise Unusual  # pydicom looks at this one element while it reads, and may fail
    return Found(
        dataset,
        meta.uid(MEDIA_STORAGE_SOP_CLASS_UID.tag),
        meta.uid(MEDIA_STORAGE_SOP_INSTANCE_UID.tag),
        meta.uid(TRANSFER_SYNTAX_UID.tag),
    )


def _walked(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> Laid:
    meta = scanner.read_meta(buffer, len(PREFIX)) if _has_prefix(buffer) else scanner.NO_META
    if meta.uid(MEDIA_STORAGE_SOP_CLASS_UID.tag) == MEDIA_STORAGE_DIRECTORY:
        raise MemberSkipped("dicomdir")
    syntax, start, data = meta.uid(TRANSFER_SYNTAX_UID.tag), meta.end, buffer
    if syntax in DEFLATED:
        data, truncated = _inflated(buffer, start, limits, truncated)
        start = 0
    implicit = scanner.is_implicit(data, start, syntax)
    walk = scanner.scan(data, start, implicit, WANTED, limits.items)
    if truncated and walk.end > len(data) - 12:
        raise _too_large(limits)
    if syntax and data is buffer:
        _layouts.learn(buffer, meta, meta.spans[TRANSFER_SYNTAX_UID.tag], walk)
    return Laid(meta, walk.dataset)


def _inflated(
    buffer: Buffer, start: int, limits: HeaderLimits, truncated: bool
) -> tuple[bytes, bool]:
    """A deflated dataset (PS3.5 A.5), and whether there is more of it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(buffer[start:], limits.header)
    except zlib.error:
        raise MemberFailed("header_damaged") from None
    if not inflater.eof and len(data) < limits.header and not truncated:
        raise MemberFailed("header_damaged")
    return data, not inflater.eof


def _read_with_pydicom(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> Found:
    # Imported here: it costs 0.1 s, and most extractors never need it.
    from . import pydicom_reader

    try:
        meta = scanner.read_meta(buffer, len(PREFIX) if _has_prefix(buffer) else 0)
    except (Unusual, StructError):
        # pydicom would inflate without a bound.
        if buffer.find(DEFLATED_UID) >= 0:
            raise MemberFailed("header_damaged") from None
        meta = None
    if meta and meta.uid(TRANSFER_SYNTAX_UID.tag) in DEFLATED:
        data, truncated = _inflated(buffer, meta.end, limits, truncated)
        data = PREFIX + EXPLICIT_META + data
    else:
        data = bytes(buffer)
    error = None
    try:
        found = pydicom_reader.read(data, WANTED, limits.items)
    except (Expected, MemoryError):
        raise
    except Exception as damage:  # as in read_header; a structure set is kept without structures
        error = _too_large(limits) if truncated else _damaged(damage)
        found = pydicom_reader.read(data, WANTED_BEFORE_STRUCTURES, limits.items)
    if truncated and not found.stopped and found.dataset.cut < BULK:
        raise _too_large(limits)
    file_meta = meta or found.file_meta
    return Found(
        found.dataset,
        file_meta.uid(MEDIA_STORAGE_SOP_CLASS_UID.tag),
        file_meta.uid(MEDIA_STORAGE_SOP_INSTANCE_UID.tag),
        file_meta.uid(TRANSFER_SYNTAX_UID.tag),
        cut=found.dataset.cut > 0 and not truncated,
        error=error,
    )


def _damaged(damage: BaseException) -> MemberFailed:
    # Where pydicom runs out of stack while it reads an item's tag, it says so by an OSError.
    cause: BaseException | None = damage
    while cause and not isinstance(cause, RecursionError):
        cause = cause.__context__
    return MemberFailed("nested_too_deeply" if cause else "header_damaged")


def _too_large(limits: HeaderLimits) -> MemberFailed:
    return MemberFailed("header_too_large", limit=f"{limits.header / 2**20:g} MB")


def _records(found: Found, assumed_charset: str) -> Header:
    dataset = found.dataset
    element = dataset.get(SPECIFIC_CHARACTER_SET.tag)
    charset = text.charset(element[1] if element else b"", assumed_charset)
    values = Values(dataset.get, charset, dataset.little_endian)
    sop_class_uid = values.uid(SOP_CLASS_UID)
    directory = MEDIA_STORAGE_DIRECTORY in (sop_class_uid, found.media_storage_class)
    if directory or DIRECTORY_RECORD_SEQUENCE in dataset:
        raise MemberSkipped("dicomdir")
    lineage = _lineage(_elements(dataset, LINEAGE), charset, dataset.little_endian)
    modality = lineage.record.series.modality
    instance = _instance(values, sop_class_uid, modality, found)
    image: ImageRecord | None = None
    structure_set: Decoded[StructureSetRecord] | None = None
    kind = _kind(sop_class_uid, modality)
    if found.error and kind != Kind.STRUCTURE_SET:
        raise found.error
    match kind:
        case Kind.IMAGE:
            image = _image(values, dataset, instance.instance_number)
        case Kind.STRUCTURE_SET:
            structure_set = _structure_set(found, charset)
    warnings = (
        *(lineage.warnings, values.warnings),
        *(structure_set.warnings if structure_set else (),),
    )
    return Header(
        lineage=lineage.record,
        instance=instance,
        image=image,
        structure_set=structure_set.record if structure_set else None,
        warnings=_each_once(warnings),
    )


def _elements(dataset: Dataset, attributes: Iterable[Attribute]) -> tuple[Element | None, ...]:
    get = dataset.get
    return tuple([get(attribute.tag) for attribute in attributes])


@lru_cache(maxsize=128)  # a series' files repeat these elements' bytes
def _lineage(
    elements: tuple[Element | None, ...], charset: text.Charset, little_endian: bool
) -> Decoded[Lineage]:
    by_tag = {a.tag: element for a, element in zip(LINEAGE, elements, strict=True)}
    values = Values(by_tag.get, charset, little_endian)
    lineage = Lineage(_patient(values), _study(values), _series(values))
    return Decoded(lineage, tuple(values.warnings))


def _patient(values: Values) -> PatientRecord:
    return PatientRecord(
        unique_patient_id=values.patient_id(PATIENT_ID),
        patient_name=values.text(PATIENT_NAME),
        patient_dob=values.date(PATIENT_BIRTH_DATE),
        patient_sex=values.text(PATIENT_SEX),
    )


def _study(values: Values) -> StudyRecord:
    return StudyRecord(
        study_instance_uid=values.identity(STUDY_INSTANCE_UID),
        study_date=values.date(STUDY_DATE),
        study_time=values.time(STUDY_TIME),
        study_description=values.text(STUDY_DESCRIPTION),
        accession_number=values.text(ACCESSION_NUMBER),
        study_id=values.text(STUDY_ID),
    )


def _series(values: Values) -> SeriesRecord:
    return SeriesRecord(
        series_instance_uid=values.identity(SERIES_INSTANCE_UID),
        modality=values.text(MODALITY),
        series_number=values.integer(SERIES_NUMBER),
        series_description=values.text(SERIES_DESCRIPTION),
        series_date=values.date(SERIES_DATE),
        body_part_examined=values.text(BODY_PART_EXAMINED),
        frame_of_reference_uid=values.uid(FRAME_OF_REFERENCE_UID),
    )


def _instance(values: Values, sop_class_uid: str, modality: str, found: Found) -> InstanceRecord:
    sop_instance_uid = values.identity(SOP_INSTANCE_UID)
    if not sop_class_uid:
        values.warn("sop_class_missing")
    if found.media_storage_instance not in ("", sop_instance_uid):
        values.warn("uid_meta_differs")
    if found.cut:
        values.warn("header_cut")
    return InstanceRecord(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=_storable(found.transfer_syntax_uid, values),
        modality=modality,
        instance_number=values.integer(INSTANCE_NUMBER),
        rows=values.integer(ROWS, INT32),
        columns=values.integer(COLUMNS, INT32),
        number_of_frames=values.integer(NUMBER_OF_FRAMES, INT32),
    )


def _storable(transfer_syntax_uid: str, values: Values) -> str:
    if transfer_syntax_uid and not STORABLE_UID.fullmatch(transfer_syntax_uid):
        values.unreadable(TRANSFER_SYNTAX_UID)
        return ""
    return transfer_syntax_uid


@lru_cache(maxsize=128)
def _kind(sop_class_uid: str, modality: str) -> Kind:
    """By SOP class, and by modality where the standard has no such class."""
    if sop_class_uid in IMAGES:
        return Kind.IMAGE
    if sop_class_uid == RT_STRUCTURE_SET:
        return Kind.STRUCTURE_SET
    if _is_other_class(sop_class_uid):
        return Kind.OTHER
    if modality in ("CT", "MR", "PT"):
        return Kind.IMAGE
    return Kind.STRUCTURE_SET if modality == "RTSTRUCT" else Kind.OTHER


def _is_other_class(sop_class_uid: str) -> bool:
    if sop_class_uid.startswith(STORAGE):
        ending = sop_class_uid.removeprefix(STORAGE)
        return ending == "4.2" or ending.split(".")[0] in OTHER_FAMILIES
    return sop_class_uid.startswith(STANDARD_ROOT)


def _image(values: Values, dataset: Dataset, instance_number: int | None) -> ImageRecord:
    plane = values
    if any(sequence in dataset for sequence in FUNCTIONAL_GROUPS):
        plane = Values(_plane_elements(dataset, values).get, values.charset, dataset.little_endian)
        plane.warnings = values.warnings
    return ImageRecord(
        instance_number=instance_number,
        slice_location=values.decimal(SLICE_LOCATION),
        slice_thickness=plane.decimal(SLICE_THICKNESS),
        pixel_spacing=plane.decimals(PIXEL_SPACING, 2),
        patient_position=values.text(PATIENT_POSITION),
        image_position_patient=plane.decimals(IMAGE_POSITION_PATIENT, 3),
        image_orientation_patient=plane.decimals(IMAGE_ORIENTATION_PATIENT, 6),
    )


def _plane_elements(dataset: Dataset, values: Values) -> dict[int, Element]:
    """The plane's elements: the image's own, else of its shared groups, else of frame one."""
    found: dict[int, Element] = {}
    for sequence, keyword in FUNCTIONAL_GROUPS.items():
        try:
            for groups in islice(dataset.items(sequence, GROUPS_WANTED), 1):
                found |= _group_elements(groups)
        except (Unusual, StructError, Expected, MemoryError):
            raise
        except Exception:  # as in read_header; the object is kept without them
            values.warn("value_unreadable", attribute=keyword)
    return found | _present(dataset)


def _group_elements(groups: Dataset) -> dict[int, Element]:
    found: dict[int, Element] = {}
    for sequence in GROUPS:
        for macro in islice(groups.items(sequence, PLANE_WANTED), 1):
            found |= _present(macro)
    return found


def _present(dataset: Dataset) -> dict[int, Element]:
    elements = {attribute.tag: dataset.get(attribute.tag) for attribute in PLANE}
    return {tag: element for tag, element in elements.items() if element and element[1]}


def _structure_set(found: Found, charset: text.Charset) -> Decoded[StructureSetRecord]:
    if found.error:
        return STRUCTURES_LOST
    try:
        record, warnings = read_structure_set(found.dataset, charset)
    except (Unusual, StructError, Expected, MemoryError):
        raise
    except Exception:  # as in read_header; the object is kept without its structures
        return STRUCTURES_LOST
    return Decoded(record, tuple(warnings))


def _each_once(groups: Iterable[Iterable[ReadWarning]]) -> list[ReadWarning]:
    found: list[ReadWarning] = []
    for warnings in filter(None, groups):
        found += [warning for warning in warnings if warning not in found]
    return found
