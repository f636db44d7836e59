"""One DICOM object's header -> records."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from struct import error as StructError
from typing import Generic, NamedTuple, TypeVar

from app.errors import Expected, MemberFailed, MemberSkipped

from . import scanner, text
from .attributes import (
    DIRECTORY_RECORD_SEQUENCE,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    IMAGE,
    INSTANCE,
    MEDIA_STORAGE_SOP_CLASS_UID,
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    PATIENT,
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    PIXEL_DATA,
    PIXEL_MEASURES_SEQUENCE,
    PLANE,
    PLANE_ORIENTATION_SEQUENCE,
    PLANE_POSITION_SEQUENCE,
    SERIES,
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY,
    TRANSFER_SYNTAX_UID,
    Attribute,
)
from .kinds import MEDIA_STORAGE_DIRECTORY, Kind, kind_of
from .layouts import Laid, Layouts
from .recognition import PREFIX, has_prefix, looks_like_dicom
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
from .values import STORABLE_UID, Dataset, Values, fields_of

# Of those that have a value, the last counts.
FUNCTIONAL_GROUPS = {
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: "PerFrameFunctionalGroupsSequence",
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE: "SharedFunctionalGroupsSequence",
}

PATIENT_FIELDS = fields_of(PATIENT)
STUDY_FIELDS = fields_of(STUDY)
SERIES_FIELDS = fields_of(SERIES)
INSTANCE_FIELDS = fields_of(INSTANCE)
IMAGE_FIELDS = fields_of(IMAGE)
LINEAGE = (*PATIENT.values(), *STUDY.values(), *SERIES.values())

WANTED_KINDS = (
    {attribute.tag: ELEMENT for attribute in (*LINEAGE, *INSTANCE.values(), *IMAGE.values())}
    | {a.tag: ELEMENT for a in (SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID)}
    | {DIRECTORY_RECORD_SEQUENCE: SEQUENCE}
    | dict.fromkeys(FUNCTIONAL_GROUPS, SEQUENCE)
    | STRUCTURE_SET_KINDS
    | dict.fromkeys((FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA), STOP)
)
WANTED = wanted(WANTED_KINDS)
WANTED_BEFORE_STRUCTURES = wanted(
    WANTED_KINDS | {tag: STOP for tag, kind in STRUCTURE_SET_KINDS.items() if kind == SEQUENCE}
)
GROUPS = (PIXEL_MEASURES_SEQUENCE, PLANE_POSITION_SEQUENCE, PLANE_ORIENTATION_SEQUENCE)
GROUPS_WANTED = wanted(dict.fromkeys(GROUPS, SEQUENCE))
PLANE_WANTED = wanted({attribute.tag: ELEMENT for attribute in PLANE})

DEFLATED = frozenset(
    (
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",  # JPIP, referenced
        "1.2.840.10008.1.2.4.205",  # JPIP, HTJ2K, referenced
    )
)
DEFLATED_UID = b"1.2.840.10008.1.2.1.99"
# Transfer Syntax UID: explicit VR little endian.
EXPLICIT_META = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
BULK = 2**16  # bytes; an element of more is a document or a waveform, and ends a header

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


class Decoded(NamedTuple, Generic[Kept]):
    record: Kept
    warnings: tuple[ReadWarning, ...] = ()


STRUCTURES_LOST = Decoded(StructureSetRecord(), (ReadWarning("structures_unreadable"),))


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
    meta = scanner.read_meta(buffer, len(PREFIX)) if has_prefix(buffer) else scanner.NO_META
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
        meta = scanner.read_meta(buffer, len(PREFIX) if has_prefix(buffer) else 0)
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
    kind = kind_of(sop_class_uid, modality)
    if found.error and kind != Kind.STRUCTURE_SET:
        raise found.error
    match kind:
        case Kind.IMAGE:
            image = _image(values, dataset)
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
    lineage = Lineage(
        PatientRecord(**values.fields(PATIENT_FIELDS)),
        StudyRecord(**values.fields(STUDY_FIELDS)),
        SeriesRecord(**values.fields(SERIES_FIELDS)),
    )
    return Decoded(lineage, tuple(values.warnings))


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
        **values.fields(INSTANCE_FIELDS),
    )


def _storable(transfer_syntax_uid: str, values: Values) -> str:
    if transfer_syntax_uid and not STORABLE_UID.fullmatch(transfer_syntax_uid):
        values.unreadable(TRANSFER_SYNTAX_UID)
        return ""
    return transfer_syntax_uid


def _image(values: Values, dataset: Dataset) -> ImageRecord:
    if any(sequence in dataset for sequence in FUNCTIONAL_GROUPS):
        plane, own = _plane_elements(dataset, values), dataset.get
        values = values.over(lambda tag: plane.get(tag) or own(tag))
    return ImageRecord(**values.fields(IMAGE_FIELDS))


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
