"""One DICOM object's header -> records."""

import zlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from msgspec import structs

from app.errors import Expected, MemberFailed, MemberSkipped

from . import scanner, text
from .attributes import (
    ACQUISITION_DATE_TIME,
    DIRECTORY_RECORD_SEQUENCE,
    DOUBLE_FLOAT_PIXEL_DATA,
    EFFECTIVE_ECHO_TIME,
    FLOAT_PIXEL_DATA,
    IMAGE,
    IN_EACH_IMAGE,
    INSTANCE,
    INSTANCE_NUMBER,
    MEDIA_STORAGE_SOP_CLASS_UID,
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    PATIENT,
    PIXEL_DATA,
    REPEATED,
    SERIES,
    SIZES,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY,
    TRANSFER_SYNTAX_UID,
)
from .damage import Damage, as_damage_to_a_part, damage_by
from .frames import FUNCTIONAL_GROUPS, frame_planes, grouped, has_groups
from .kinds import MEDIA_STORAGE_DIRECTORY, Kind, kind_of
from .layouts import Layouts
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
from .scanner import ELEMENT, LEFT_TO_PYDICOM, SEQUENCE, STOP, Buffer, Element, Unusual, wanted_from
from .structures import STRUCTURE_SET_ACTIONS, read_structure_set
from .values import STORABLE_UID, Elements, Values, fields_of

PATIENT_FIELDS = fields_of(PatientRecord, PATIENT)
STUDY_FIELDS = fields_of(StudyRecord, STUDY)
SERIES_FIELDS = fields_of(SeriesRecord, SERIES)
SIZE_FIELDS = fields_of(InstanceRecord, SIZES, after=5)  # UIDs, modality and number
# After the instance number.
IN_EACH_IMAGE_FIELDS = fields_of(ImageRecord, IN_EACH_IMAGE, after=1)
REPEATED_FIELDS = fields_of(ImageRecord, REPEATED, after=1 + len(IN_EACH_IMAGE))
REPEATED_TAGS = tuple(attribute.tag for attribute in REPEATED.values())
LINEAGE = (*PATIENT.values(), *STUDY.values(), *SERIES.values())
LINEAGE_TAGS = tuple(attribute.tag for attribute in LINEAGE)
# What `Common` and the repeated fields of an image are made of.
COMMON = (
    *(*LINEAGE, *SIZES.values(), SPECIFIC_CHARACTER_SET, SOP_CLASS_UID),
    *(MEDIA_STORAGE_SOP_CLASS_UID, TRANSFER_SYNTAX_UID),
)
COMMON_TAGS = frozenset(attribute.tag for attribute in COMMON)
OF_REPEATED = frozenset((*REPEATED_TAGS, SPECIFIC_CHARACTER_SET.tag))

ACTIONS = (
    {attribute.tag: ELEMENT for attribute in (*LINEAGE, *INSTANCE.values(), *IMAGE.values())}
    | {a.tag: ELEMENT for a in (SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID)}
    | {ACQUISITION_DATE_TIME.tag: ELEMENT}
    | {DIRECTORY_RECORD_SEQUENCE: SEQUENCE}
    | dict.fromkeys(FUNCTIONAL_GROUPS, SEQUENCE)
    | STRUCTURE_SET_ACTIONS
    | dict.fromkeys((FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA), STOP)
)
WANTED = wanted_from(ACTIONS)
WANTED_BEFORE_STRUCTURES = wanted_from(
    ACTIONS | {tag: STOP for tag, action in STRUCTURE_SET_ACTIONS.items() if action == SEQUENCE}
)

DEFLATED = frozenset(
    (
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",  # JPIP, referenced
        "1.2.840.10008.1.2.4.205",  # JPIP, HTJ2K, referenced
    )
)
DEFLATED_UID = b"1.2.840.10008.1.2.1.99"
# A file meta group of one element, the Transfer Syntax UID: explicit VR little endian.
EXPLICIT_META = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
BULK = 2**16  # bytes; a larger element is a document or a waveform, and the last of a header

Kept = TypeVar("Kept")
Made = TypeVar("Made")

_layouts = Layouts(COMMON_TAGS)


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    header: int = 64 * 2**20  # bytes before Pixel Data, inflated
    items: int = 1_000_000  # items of sequences


class FileMeta(Protocol):
    """A file meta group, by whichever reader."""

    def uid(self, tag: int) -> str: ...


class RawHeader(NamedTuple):
    """One object's header, undecoded."""

    elements: Elements
    meta: FileMeta
    undeflated: bool = False  # its transfer syntax says that it is deflated
    cut: bool = False  # the file ends within its header
    error: MemberFailed | None = None  # why only what precedes structures could be read


class WithWarnings(NamedTuple, Generic[Kept]):
    record: Kept
    warnings: tuple[ReadWarning, ...] = ()


class Common(NamedTuple):
    """What the objects of a series have in common."""

    charset: text.Charset
    lineage: WithWarnings[Lineage]
    sop_class_uid: str
    transfer_syntax_uid: str
    kind: Kind
    sizes: Sequence[int | None]  # rows, columns, frames
    warnings: Sequence[ReadWarning]  # but those of the lineage


STRUCTURES_LOST = WithWarnings(StructureSetRecord(), (ReadWarning("structures_unreadable"),))


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
    return read_with(
        buffer, lambda raw: _records(raw, assumed_charset), limits=limits, truncated=truncated
    )


def read_with(
    buffer: Buffer,
    make: Callable[[RawHeader], Made],
    *,
    limits: HeaderLimits,
    truncated: bool,
) -> Made:
    """What is made of the header of a DICOM object; it is made twice where pydicom has to read it.

    The parameters, and what is raised, are those of `read_header`.
    """
    # Broad, since pydicom promises no one exception for damage: cutting and altering small files
    # raised seven kinds, OSError among them, though nothing is read from a disk here.
    try:
        return _read_with(buffer, make, limits, truncated)
    except Expected:
        raise
    except MemoryError:
        raise MemberFailed("too_much_memory") from None
    except Exception as error:
        raise damage_by(error) from error


def _read_with(
    buffer: Buffer, make: Callable[[RawHeader], Made], limits: HeaderLimits, truncated: bool
) -> Made:
    if len(buffer) > limits.header:
        buffer, truncated = buffer[: limits.header], True
    if not buffer:
        raise MemberSkipped("empty_file")
    if not looks_like_dicom(buffer):
        raise MemberSkipped("not_dicom")
    try:
        return make(_scan(buffer, limits, truncated))
    except LEFT_TO_PYDICOM:
        return make(_read_with_pydicom(buffer, limits, truncated))


def _scan(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> RawHeader:
    if laid := _layouts.read(buffer, limits.items):
        return RawHeader(laid.dataset, laid.meta)
    return _walked(buffer, limits, truncated)


def _walked(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> RawHeader:
    meta = scanner.read_meta(buffer, len(PREFIX)) if has_prefix(buffer) else scanner.NO_META
    if meta.uid(MEDIA_STORAGE_SOP_CLASS_UID.tag) == MEDIA_STORAGE_DIRECTORY:
        raise MemberSkipped("dicomdir")
    syntax, start, data = meta.uid(TRANSFER_SYNTAX_UID.tag), meta.end, buffer
    if syntax in DEFLATED:
        data, truncated = _inflated(buffer, start, limits, truncated)
        start = 0
    order = scanner.byte_order(data, start, syntax)
    implicit = scanner.is_implicit(data, start, syntax, order)
    walk = scanner.scan(data, start, implicit, WANTED, limits.items, order)
    if truncated and walk.end > len(data) - scanner.LONGEST_FRAMING:
        raise _too_large(limits)
    vr, _ = walk.dataset.get(SPECIFIC_CHARACTER_SET.tag) or (b"", b"")
    if vr not in (b"", b"CS"):
        raise Unusual  # pydicom uses this one element while it reads, and may fail
    if syntax and data is buffer:
        _layouts.learn(buffer, meta, walk)
    return RawHeader(walk.dataset, meta, _is_undeflated(buffer, meta))


def _is_undeflated(buffer: Buffer, meta: scanner.Meta) -> bool:
    """Whether a dataset is not deflated that should be."""
    return meta.uid(TRANSFER_SYNTAX_UID.tag) in DEFLATED and scanner.is_plain(buffer, meta.end)


def _inflated(
    buffer: Buffer, start: int, limits: HeaderLimits, truncated: bool
) -> tuple[bytes, bool]:
    """A dataset that should be deflated (PS3.5 A.5), and whether there is more of it."""
    if scanner.is_plain(buffer, start):
        return buffer[start:], truncated
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(buffer[start:], limits.header)
    except zlib.error:
        raise MemberFailed("header_damaged") from None
    if not inflater.eof and len(data) < limits.header and not truncated:
        raise MemberFailed("header_damaged")
    return data, not inflater.eof


def _read_with_pydicom(buffer: Buffer, limits: HeaderLimits, truncated: bool) -> RawHeader:
    # Imported here: it costs 0.1 s, and most extractors never need it.
    from . import pydicom_reader

    try:
        meta = scanner.read_meta(buffer, len(PREFIX) if has_prefix(buffer) else 0)
    except LEFT_TO_PYDICOM:
        # Left to pydicom, a deflated dataset would be inflated without a bound.
        if buffer.find(DEFLATED_UID) >= 0:
            raise MemberFailed("header_damaged") from None
        meta = None
    data, truncated = _for_pydicom(buffer, meta, limits, truncated)
    error: MemberFailed | None = None
    try:
        found = pydicom_reader.read(data, WANTED, limits.items)
    except Damage as damage:  # a structure set is kept without its structures
        error = _too_large(limits) if truncated else damage
        found = pydicom_reader.read(data, WANTED_BEFORE_STRUCTURES, limits.items)
    if truncated and not found.stopped and found.dataset.cut < BULK:
        raise _too_large(limits)
    return RawHeader(
        found.dataset,
        meta or found.file_meta,
        undeflated=meta is not None and _is_undeflated(buffer, meta),
        cut=found.dataset.cut > 0 and not truncated,
        error=error,
    )


def _for_pydicom(
    buffer: Buffer, meta: scanner.Meta | None, limits: HeaderLimits, truncated: bool
) -> tuple[bytes, bool]:
    """A file of the dataset, inflated, and its Transfer Syntax UID; whether there is more of it."""
    if meta is None:
        return bytes(buffer), truncated
    if meta.uid(TRANSFER_SYNTAX_UID.tag) in DEFLATED:
        data, truncated = _inflated(buffer, meta.end, limits, truncated)
        return PREFIX + EXPLICIT_META + data, truncated
    start, stop = meta.spans.get(TRANSFER_SYNTAX_UID.tag, (8, 0))
    return b"".join((PREFIX, buffer[start - 8 : stop], memoryview(buffer)[meta.end :])), truncated


def _too_large(limits: HeaderLimits) -> MemberFailed:
    return MemberFailed("header_too_large", limit=f"{limits.header / 2**20:g} MB")


def charset_of(elements: Elements, assumed_charset: str) -> text.Charset:
    element = elements.get(SPECIFIC_CHARACTER_SET.tag)
    return text.charset(element[1] if element else b"", assumed_charset)


def _records(raw: RawHeader, assumed_charset: str) -> Header:
    elements = raw.elements
    common = _once(
        *(elements, COMMON_TAGS, ("common", assumed_charset)),
        lambda: _common(raw, assumed_charset),
    )
    values = Values(elements.get, common.charset, elements.little_endian)
    values.warnings += common.warnings
    instance = _instance(values, common, raw)
    image: ImageRecord | None = None
    structure_set: WithWarnings[StructureSetRecord] | None = None
    if raw.error and common.kind != Kind.STRUCTURE_SET:
        raise raw.error
    match common.kind:
        case Kind.IMAGE:
            image = _image(values, elements, instance.instance_number)
        case Kind.STRUCTURE_SET:
            structure_set = _structure_set(raw, common.charset)
    warnings = (
        *(common.lineage.warnings, values.warnings),
        *(structure_set.warnings if structure_set else (),),
    )
    return Header(
        lineage=common.lineage.record,
        instance=instance,
        image=image,
        structure_set=structure_set.record if structure_set else None,
        warnings=_each_once(warnings),
    )


def _once(
    elements: Elements, tags: frozenset[int], name: Hashable, make: Callable[[], Made]
) -> Made:
    """What is made of these elements, or was made of them when headers before had the same."""
    repeated = elements.repeated
    if repeated is None:
        return make()
    if (before := repeated.made.get(name)) is not None:
        return cast(Made, before)
    made = make()
    if repeated.varying.isdisjoint(tags):
        repeated.made[name] = made
    return made


def _common(raw: RawHeader, assumed_charset: str) -> Common:
    elements, get = raw.elements, raw.elements.get
    charset = charset_of(elements, assumed_charset)
    values = Values(get, charset, elements.little_endian)
    sop_class_uid = values.uid(SOP_CLASS_UID)
    classes = sop_class_uid, raw.meta.uid(MEDIA_STORAGE_SOP_CLASS_UID.tag)
    if MEDIA_STORAGE_DIRECTORY in classes or DIRECTORY_RECORD_SEQUENCE in elements:
        raise MemberSkipped("dicomdir")
    if not sop_class_uid:
        values.warn("sop_class_missing")
    lineage = _lineage(tuple(map(get, LINEAGE_TAGS)), charset, elements.little_endian)
    kind = kind_of(sop_class_uid, lineage.record.series.modality)
    syntax = _storable(raw.meta.uid(TRANSFER_SYNTAX_UID.tag), values)
    sizes = values.fields(SIZE_FIELDS)
    return Common(charset, lineage, sop_class_uid, syntax, kind, sizes, values.warnings)


@lru_cache(maxsize=128)  # a series' files repeat these bytes, and share one object: see `wire`
def _lineage(
    elements: tuple[Element | None, ...], charset: text.Charset, little_endian: bool
) -> WithWarnings[Lineage]:
    by_tag = dict(zip(LINEAGE_TAGS, elements, strict=True))
    values = Values(by_tag.get, charset, little_endian)
    lineage = Lineage(
        PatientRecord(*values.fields(PATIENT_FIELDS)),
        StudyRecord(*values.fields(STUDY_FIELDS)),
        SeriesRecord(*values.fields(SERIES_FIELDS)),
        values.former_ids(PATIENT["unique_patient_id"]),
    )
    return WithWarnings(lineage, tuple(values.warnings))


def _instance(values: Values, common: Common, raw: RawHeader) -> InstanceRecord:
    sop_instance_uid = values.identity(SOP_INSTANCE_UID)
    if raw.meta.uid(MEDIA_STORAGE_SOP_INSTANCE_UID.tag) not in ("", sop_instance_uid):
        values.warn("uid_meta_differs")
    if raw.undeflated:
        values.warn("not_deflated")
    if raw.cut:
        values.warn("header_cut")
    return InstanceRecord(
        sop_instance_uid,
        common.sop_class_uid,
        common.transfer_syntax_uid,
        common.lineage.record.series.modality,
        values.integer(INSTANCE_NUMBER),
        *common.sizes,
    )


def _storable(transfer_syntax_uid: str, values: Values) -> str:
    if transfer_syntax_uid and not STORABLE_UID.fullmatch(transfer_syntax_uid):
        values.unreadable(TRANSFER_SYNTAX_UID)
        return ""
    return transfer_syntax_uid


def _image(values: Values, elements: Elements, instance_number: int | None) -> ImageRecord:
    planes, echo_time = "", None
    if has_groups(elements):
        found, own = grouped(elements, values), elements.get
        values = values.over(lambda tag: found.get(tag) or own(tag))
        planes = frame_planes(elements, values)
        echo_time = values.decimal(EFFECTIVE_ECHO_TIME)
        repeated, warnings = _repeated_of(values)
    else:
        of = "repeated", values.charset
        repeated, warnings = _once(elements, OF_REPEATED, of, lambda: _repeated_of(values))
    values.warnings += warnings
    in_each = values.fields(IN_EACH_IMAGE_FIELDS)
    image = ImageRecord(*(instance_number, *in_each, *repeated, planes))
    if image.echo_time is None and echo_time is not None:
        image = structs.replace(image, echo_time=echo_time)
    if image.acquisition_date or image.acquisition_time:
        return image
    if moment := values.moment(ACQUISITION_DATE_TIME):
        image = structs.replace(image, acquisition_date=moment[0], acquisition_time=moment[1])
    return image


def _repeated_of(values: Values) -> WithWarnings[list[Any]]:
    elements = tuple(map(values.get, REPEATED_TAGS))
    return _repeated(elements, values.charset, values.little_endian)


@lru_cache(maxsize=512)
def _repeated(
    elements: tuple[Element | None, ...], charset: text.Charset, little_endian: bool
) -> WithWarnings[list[Any]]:
    by_tag = dict(zip(REPEATED_TAGS, elements, strict=True))
    values = Values(by_tag.get, charset, little_endian)
    return WithWarnings(values.fields(REPEATED_FIELDS), tuple(values.warnings))


def _structure_set(raw: RawHeader, charset: text.Charset) -> WithWarnings[StructureSetRecord]:
    if raw.error:
        return STRUCTURES_LOST
    try:
        with as_damage_to_a_part:
            record, warnings = read_structure_set(raw.elements, charset)
    except Damage:
        return STRUCTURES_LOST
    return WithWarnings(record, tuple(warnings))


def _each_once(groups: Iterable[Iterable[ReadWarning]]) -> list[ReadWarning]:
    found: list[ReadWarning] = []
    for warnings in filter(None, groups):
        found += [warning for warning in warnings if warning not in found]
    return found
