"""Archives made to break an importer, each with what may come of it.

Every case is one function below, whose docstring says what is wrong with the archive. The bytes
are written here from the ground up, ZIP and DICOM alike, because a library writes only what it
thinks is legal. The same name always gives the same bytes.

    for name in CASES:
        case = build(name)
        ...upload case.data, after the cases in case.after...
        assert status in case.statuses
        assert all(want.allows(outcome, reason) for each member)
"""

import bz2
import gzip
import hashlib
import io
import lzma
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache

import inflate64

# DICOM

CT = "1.2.840.10008.5.1.4.1.1.2"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

LONG_LENGTHS = {"OB", "OW", "SQ", "UN", "UT"}  # explicit VRs with a length of four bytes
UNDEFINED = 0xFFFFFFFF

ATTRIBUTES = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "StudyTime": (0x00080030, "TM"),
    "AccessionNumber": (0x00080050, "SH"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "StudyDescription": (0x00081030, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ReferencedSOPClassUID": (0x00081150, "UI"),
    "ReferencedSOPInstanceUID": (0x00081155, "UI"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "PatientSex": (0x00100040, "CS"),
    "SliceThickness": (0x00180050, "DS"),
    "PatientPosition": (0x00185100, "CS"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "StudyID": (0x00200010, "SH"),
    "SeriesNumber": (0x00200011, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "FrameOfReferenceUID": (0x00200052, "UI"),
    "SliceLocation": (0x00201041, "DS"),
    "ImageComments": (0x00204000, "LT"),
    "SamplesPerPixel": (0x00280002, "US"),
    "PhotometricInterpretation": (0x00280004, "CS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
    "BitsStored": (0x00280101, "US"),
    "HighBit": (0x00280102, "US"),
    "PixelRepresentation": (0x00280103, "US"),
    "ContentSequence": (0x0040A730, "SQ"),
    "TextValue": (0x0040A160, "UT"),
    "StructureSetLabel": (0x30060002, "SH"),
    "ReferencedFrameOfReferenceSequence": (0x30060010, "SQ"),
    "RTReferencedStudySequence": (0x30060012, "SQ"),
    "RTReferencedSeriesSequence": (0x30060014, "SQ"),
    "ContourImageSequence": (0x30060016, "SQ"),
    "StructureSetROISequence": (0x30060020, "SQ"),
    "ROINumber": (0x30060022, "IS"),
    "ReferencedFrameOfReferenceUID": (0x30060024, "UI"),
    "ROIName": (0x30060026, "LO"),
    "ROIGenerationAlgorithm": (0x30060036, "CS"),
    "ROIDisplayColor": (0x3006002A, "IS"),
    "ROIContourSequence": (0x30060039, "SQ"),
    "ContourSequence": (0x30060040, "SQ"),
    "ContourGeometricType": (0x30060042, "CS"),
    "NumberOfContourPoints": (0x30060046, "IS"),
    "ContourData": (0x30060050, "DS"),
    "ReferencedROINumber": (0x30060084, "IS"),
    "PixelData": (0x7FE00010, "OW"),
}

IMAGE = {
    "SOPClassUID": CT,
    "StudyDate": "20240131",
    "StudyTime": "101500",
    "AccessionNumber": "A1",
    "Modality": "CT",
    "StudyDescription": "made to break",
    "PatientName": "Made^Up",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "SeriesNumber": "1",
    "SliceLocation": "1.5",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 4,
    "Columns": 4,
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
    "PixelData": bytes(range(32)),
}

Value = str | bytes | int | list["Attributes"] | None
Attributes = dict[str, Value]


def uid(*parts: object) -> str:
    """A UID made from any text, PS3.5 B.2."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


def element(tag: int, vr: str, value: Value, syntax: str = EXPLICIT, length: int = -1) -> bytes:
    """One data element, PS3.5 7.1; `length` is a lie about the value's length."""
    data = value_bytes(value, syntax)
    data += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(data) % 2)
    length = len(data) if length < 0 else length
    order = ">" if syntax == BIG_ENDIAN else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", length) + data
    if vr in LONG_LENGTHS:
        return head + vr.encode() + struct.pack(order + "HI", 0, length) + data
    return head + vr.encode() + struct.pack(order + "H", length & 0xFFFF) + data


def value_bytes(value: Value, syntax: str) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, int):
        return struct.pack(order + "H", value)
    if isinstance(value, list):
        return b"".join(
            struct.pack(order + "HHI", 0xFFFE, 0xE000, len(item)) + item
            for item in (dataset(attributes, syntax) for attributes in value)
        )
    return value or b""


def dataset(attributes: Attributes, syntax: str = EXPLICIT, extra: bytes = b"") -> bytes:
    """Elements in tag order, without those that are None; `extra` goes before the pixels."""
    elements = sorted((*ATTRIBUTES[k], v) for k, v in attributes.items() if v is not None)
    early = [element(tag, vr, v, syntax) for tag, vr, v in elements if tag < 0x7FE00010]
    late = [element(tag, vr, v, syntax) for tag, vr, v in elements if tag >= 0x7FE00010]
    return b"".join(early) + extra + b"".join(late)


def file_meta(syntax: str | None, sop_class: Value, sop_instance: Value, lie: int = 0) -> bytes:
    """PS3.10 7.1, with the preamble; `lie` is added to the group's length."""
    group = element(0x00020001, "OB", b"\0\1")
    group += element(0x00020002, "UI", sop_class) + element(0x00020003, "UI", sop_instance)
    if syntax:
        group += element(0x00020010, "UI", syntax)
    group += element(0x00020012, "UI", uid("implementation"))
    length = struct.pack("<I", len(group) + lie)
    return bytes(128) + b"DICM" + element(0x00020000, "UL", length) + group


def dicom_file(
    attributes: Attributes, syntax: str = EXPLICIT, extra: bytes = b"", tail: bytes = b""
) -> bytes:
    """An object in the DICOM File Format; `extra` goes before its pixels, `tail` to its end."""
    meta = file_meta(syntax, attributes.get("SOPClassUID"), attributes.get("SOPInstanceUID"))
    known = syntax if syntax in (IMPLICIT, BIG_ENDIAN) else EXPLICIT
    data = dataset(attributes, known, extra) + tail
    if syntax == DEFLATED:
        data = deflated(data)
        data += b"\0" * (len(data) % 2)
    return meta + data


def encapsulated(frame: bytes) -> bytes:
    """Compressed pixel data, PS3.5 A.4: an empty offset table and one frame."""
    frame += b"\0" * (len(frame) % 2)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    items += struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame
    return element(0x7FE00010, "OB", items + sequence_end(), length=UNDEFINED)


def sequence_end() -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def nested_sequences(levels: int) -> bytes:
    """Content Sequences of undefined length, each in the item of the one before."""
    start = element(0x0040A730, "SQ", b"", length=UNDEFINED)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    return start * levels + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + sequence_end()) * levels


# Compression


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def deflated_zeros(count: int, head: bytes = b"") -> tuple[bytes, int]:
    """`head` and `count` zero bytes, packed, and their CRC; never held unpacked."""
    piece, crc = bytes(1 << 20), zlib.crc32(head)
    for _ in range(count >> 20):
        crc = zlib.crc32(piece, crc)
    rest = bytes(count % (1 << 20))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    # What follows such a flush refers to nothing before it, and so may stand there any times.
    packed += (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)) * (count >> 20)
    return packed + packer.compress(rest) + packer.flush(), zlib.crc32(rest, crc)


def deflate_blocks(data: bytes) -> bytes:
    """Deflate without compression (RFC 1951 3.2.4), which is also Deflate64."""
    pieces = [data[at : at + 65535] for at in range(0, len(data), 65535)] or [b""]
    blocks = [quote(piece) for piece in pieces[:-1]]
    return b"".join([*blocks, quote(pieces[-1], last=True)])


def deflated64(data: bytes) -> bytes:
    """Deflate64 with matches longer and further back than Deflate can say."""
    packer = inflate64.Deflater()
    packed: bytes = packer.deflate(data) + packer.flush()
    return packed


def quote(data: bytes, last: bool = False) -> bytes:
    """A stored block of Deflate: a header of five bytes that makes `data` part of the output."""
    return struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data


def lzma_packed(data: bytes, dictionary: int = 1 << 16) -> bytes:
    """ZIP's method 14; `dictionary` is what it asks of the reader, in bytes."""
    filters = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << 16}]
    raw = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    return struct.pack("<BBHBL", 9, 20, 5, 93, dictionary) + raw


def bzip2_zeros(count: int) -> tuple[bytes, int]:
    packer, crc, packed = bz2.BZ2Compressor(), 0, []
    for at in range(0, count, 1 << 20):
        piece = bytes(min(1 << 20, count - at))
        packed.append(packer.compress(piece))
        crc = zlib.crc32(piece, crc)
    return b"".join([*packed, packer.flush()]), crc


STORED, DEFLATE, DEFLATE64, BZIP2, LZMA, AES = 0, 8, 9, 12, 14, 99
PACKERS = {
    DEFLATE: deflated,
    DEFLATE64: deflate_blocks,
    BZIP2: bz2.compress,
    LZMA: lzma_packed,
}

# ZIP

UTF8, DESCRIPTOR, ENCRYPTED, STRONGLY_ENCRYPTED = 0x800, 8, 1, 0x40
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
DIRECTORY_ENTRY = struct.Struct("<4s6H3L5H2L")
END_RECORD = struct.Struct("<4s4H2LH")
MAX_32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """What a directory says of one member; any of it may be a lie."""

    name: bytes
    method: int
    flags: int
    crc: int
    packed_size: int
    size: int
    offset: int = 0
    mode: int = 0
    extra: bytes = b""
    date: tuple[int, int] = (0x5820, 0x5000)  # MS-DOS date and time
    comment: bytes = b""

    def local_header(self, name: bytes, extra: bytes) -> bytes:
        sizes = (self.crc, self.packed_size, self.size)
        if self.flags & DESCRIPTOR:
            sizes = (0, 0, 0)
        clipped = [min(value, MAX_32) for value in sizes]
        day, time = self.date
        head = (b"PK\3\4", 20, self.flags, self.method, time, day)
        return LOCAL_HEADER.pack(*head, *clipped, len(name), len(extra)) + name + extra

    def directory_entry(self) -> bytes:
        clipped = [min(value, MAX_32) for value in (self.packed_size, self.size, self.offset)]
        extra = self.extra or zip64_extra(self.size, self.packed_size, self.offset)
        lengths = (len(self.name), len(extra), len(self.comment))
        day, time = self.date
        head = (b"PK\1\2", 0x0314, 20, self.flags, self.method, time, day, self.crc)
        tail = (*lengths, 0, 0, self.mode << 16, clipped[2])
        packed = DIRECTORY_ENTRY.pack(*head, clipped[0], clipped[1], *tail)
        return packed + self.name + extra + self.comment


def zip64_extra(*values: int) -> bytes:
    large = [value for value in values if value >= MAX_32]
    return struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""


def end_record(
    count: int, size: int, offset: int, comment: bytes = b"", disk: int = 0, lie: int | None = None
) -> bytes:
    length = len(comment) if lie is None else lie
    counts = [min(count, 0xFFFF)] * 2
    return END_RECORD.pack(b"PK\5\6", disk, disk, *counts, size, offset, length) + comment


def end_records_64(count: int, size: int, offset: int, prefix: int = 0) -> bytes:
    """The ZIP64 end record, its locator, and an end record that says to look there."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, offset + size + prefix, 1)
    return record + locator + end_record(0xFFFF, MAX_32, MAX_32)


# What may come of an archive

IMPORTED, DUPLICATE, CONFLICT = "imported", "duplicate", "conflict"
NOT_DICOM, SYSTEM = "skipped:not_dicom", "skipped:system_file"


@dataclass(frozen=True)
class Expected:
    """What may become of one member: "imported", or "failed:crc_mismatch" with the reason."""

    name: str
    accepted: tuple[str, ...]
    sha256: str  # of the bytes that must be on disk if it is imported

    def allows(self, outcome: str, reason: str) -> bool:
        return outcome in self.accepted or f"{outcome}:{reason}" in self.accepted


@dataclass(frozen=True)
class Hostile:
    """An archive, and what may come of it."""

    name: str
    data: bytes
    after: tuple[str, ...]  # cases to upload before, into the same catalogue
    statuses: tuple[str, ...]  # of the upload, in the end
    refused: tuple[str, ...]  # the code, where the archive is refused as a whole
    members: tuple[Expected, ...]  # in ledger order; empty where it is refused
    patients: int | None  # how many the catalogue holds after it, where that is the point


@dataclass
class Builder:
    """Writes an archive and its expectations side by side."""

    name: str
    body: bytearray = field(default_factory=bytearray)
    entries: list[Entry] = field(default_factory=list)
    members: list[Expected] = field(default_factory=list)
    written: bytes | None = None

    def attributes(self, **changes: Value) -> Attributes:
        """A CT image; the study and series belong to the case, the SOP Instance is a new one."""
        number = len(self.members) + 1
        own: Attributes = {
            "SOPInstanceUID": uid(self.name, number),
            "PatientID": f"ID-{self.name}"[:60],
            "StudyInstanceUID": uid(self.name, "study", changes.get("PatientID", "")),
            "SeriesInstanceUID": uid(self.name, "series", changes.get("PatientID", "")),
            "InstanceNumber": str(number),
        }
        return {**IMAGE, **own, **changes}

    def image(self, name: str | bytes = "", accept: str = IMPORTED, **changes: Value) -> "Builder":
        return self.file(name, dicom_file(self.attributes(**changes)), accept)

    def images(self, count: int) -> None:
        for _ in range(count):
            self.image()

    def file(
        self,
        name: str | bytes,
        data: bytes,
        accept: str = NOT_DICOM,
        method: int = DEFLATE,
        packed: bytes | None = None,
        local_name: bytes | None = None,
        local_extra: bytes = b"",
        behind: bytes = b"",
        **lies: object,
    ) -> "Builder":
        """Add a member; `lies` replace what its entry should say, `behind` follows its data."""
        name = name or f"DICOM/IM{len(self.members) + 1:04d}"
        packed = PACKERS.get(method, bytes)(data) if packed is None else packed
        entry = self.entry(name, data, packed, method, lies)
        local_name = entry.name if local_name is None else local_name
        self.body += entry.local_header(local_name, local_extra) + packed + behind
        self.entries.append(entry)
        if not entry.name.endswith(b"/") or b"\0" in entry.name:
            self.expect(entry.name.decode("utf-8", "replace"), accept, data)
        return self

    def entry(
        self, name: str | bytes, data: bytes, packed: bytes, method: int, lies: dict
    ) -> Entry:
        raw = name.encode() if isinstance(name, str) else name
        told = {
            "flags": 0 if isinstance(name, bytes) or name.isascii() else UTF8,
            "crc": zlib.crc32(data),
            "packed_size": len(packed),
            "size": len(data),
            "offset": len(self.body),
        }
        return Entry(raw, method, **{**told, **lies})

    def expect(self, name: str, accept: str, data: bytes = b"") -> None:
        self.members.append(Expected(name, tuple(accept.split()), sha256(data)))

    def lie(self, **lies: object) -> "Builder":
        """Change what the directory says of the last member; its local header stays."""
        self.entries[-1] = replace(self.entries[-1], **lies)
        return self

    def directory(self) -> bytes:
        return b"".join(entry.directory_entry() for entry in self.entries)

    def finish(
        self, prefix: bytes = b"", tail: bytes = b"", shift: int = 0, **lies: object
    ) -> bytes:
        """The whole archive; `lies` go to the end record, `shift` to the directory's place."""
        directory = self.directory()
        told = {"count": len(self.entries), "size": len(directory), **lies}
        end = end_record(offset=len(self.body) + shift, **told)
        self.written = prefix + bytes(self.body) + directory + end + tail
        return self.written

    def finish_64(self, prefix: bytes = b"") -> None:
        directory = self.directory()
        ends = end_records_64(len(self.entries), len(directory), len(self.body))
        self.written = prefix + bytes(self.body) + directory + ends


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Recipe:
    write: Callable[[Builder], None]
    statuses: tuple[str, ...]
    refused: tuple[str, ...]
    after: tuple[str, ...]
    patients: int | None


CASES: dict[str, Recipe] = {}


def case(
    status: str = "completed",
    refused: str = "",
    after: Iterable[str] = (),
    patients: int | None = None,
) -> Callable[[Callable[[Builder], None]], Callable[[Builder], None]]:
    """Register a case. `status` and `refused` may list several, separated by spaces."""

    def register(write: Callable[[Builder], None]) -> Callable[[Builder], None]:
        statuses = ("failed",) if refused else tuple(status.split())
        CASES[write.__name__] = Recipe(
            write, statuses, tuple(refused.split()), tuple(after), patients
        )
        return write

    return register


@cache
def build(name: str) -> Hostile:
    recipe = CASES[name]
    builder = Builder(name)
    recipe.write(builder)
    data = builder.finish() if builder.written is None else builder.written
    members = () if recipe.refused else tuple(builder.members)
    return Hostile(
        name, data, recipe.after, recipe.statuses, recipe.refused, members, recipe.patients
    )


# Names of members


@case()
def names_that_climb(b: Builder) -> None:
    """Names that lead out of the folder. A name is a label: the place comes from the UIDs."""
    for name in (
        "../../../../../../escape.dcm", "..\\..\\..\\escape.dcm", "/escape.dcm", "C:\\escape.dcm",
        "//server/share/escape.dcm", "a/../../escape.dcm", "..", ".", "~/escape.dcm",
        "%2e%2e%2fescape.dcm",
    ):  # fmt: skip
        b.image(name)


@case()
def names_with_nul(b: Builder) -> None:
    """Programs in C end a name at its NUL, others do not; one such name ends in a slash."""
    b.image(b"ok.dcm\0/../../escape.dcm").image(b"ok.dcm\0/").image(b"\0").image(b"folder/\0x")


@case()
def names_of_60_kb(b: Builder) -> None:
    """Longer than a file's name or path may be."""
    b.image("d" * 250 + "/" + "n" * 60_000 + ".dcm").image("n" * 65_535).image("/" * 5_000 + "x")


@case()
def names_in_old_code_pages(b: Builder) -> None:
    """Shift-JIS, Windows-1251, broken UTF-8 with the flag, UTF-8 without it."""
    b.image(b"\x8a\xb3\x8e\xd2/\x89\xe6\x91\x9c.dcm").image(b"\xcf\xe0\xf6\xe8\xe5\xed\xf2.dcm")
    data = dicom_file(b.attributes())
    b.file(b"broken\xff\xfe\xc3.dcm", data, IMPORTED, flags=UTF8)
    b.image("Größe.dcm".encode())


@case()
def names_in_a_unicode_extra_field(b: Builder) -> None:
    """Info-ZIP's Unicode Path: one that belongs to the name, one that does not, one cut short."""
    for name, checked in ((b"a?.dcm", b"a?.dcm"), (b"b?.dcm", b"other")):
        path = struct.pack("<BL", 1, zlib.crc32(checked)) + "ä/ö.dcm".encode()
        field_ = struct.pack("<HH", 0x7075, len(path)) + path
        b.file(name, dicom_file(b.attributes()), IMPORTED, extra=field_)
    b.file(b"c?.dcm", dicom_file(b.attributes()), IMPORTED, extra=b"\x75\x70\xff\xff\1")


@case()
def names_that_are_not_one_line(b: Builder) -> None:
    """A forged line of a log, terminal escapes, line and paragraph separators, reversed text."""
    b.image("a\nERROR forged line imported=99\r\n.dcm").image("\x1b[2J\x1b[31mred.dcm")
    b.image("invoice\u202emcd.exe").image("x\u2028y\u2029z\x85\x9bw").image("\ufeffbom\x7f\x00")
    b.image(b"lone\xed\xa0\x80surrogate.dcm")


@case()
def names_in_html(b: Builder) -> None:
    b.image("<img src=x onerror=alert(1)>.dcm").image("{{ 7*7 }}{% debug %}.dcm")
    b.file("<script>alert(document.cookie)</script>.txt", b"text\n")
    b.file('"><svg onload=alert(1)>.txt', b"text\n").file("'; DROP TABLE app_x;--", b"text\n")


@case()
def names_that_are_formulas(b: Builder) -> None:
    """A spreadsheet that opens the exported ledger must not calculate them."""
    for name in ("=cmd|' /C calc'!A0.dcm", "@SUM(1+1).dcm", "+1.dcm", "-1.dcm", "\t=1.dcm"):
        b.image(name)


@case()
def names_that_windows_reserves(b: Builder) -> None:
    for name in ("CON", "NUL.dcm", "aux.dcm", "end.dcm.", "end.dcm ", "a:b.dcm", " ", "COM1"):
        b.image(name)


@case()
def names_that_are_empty_or_end_in_a_backslash(b: Builder) -> None:
    """`zipfile` cannot even ask whether a member without a name is a directory."""
    b.image("-").lie(name=b"")
    b.image("folder\\").file("empty\\", b"", "skipped:empty_file")


@case()
def names_that_differ_in_case_or_not_at_all(b: Builder) -> None:
    """Read by name, one of two members with the same name is lost."""
    b.image("S/A.dcm").image("s/a.DCM").image("same.dcm").image("same.dcm")
    twice = dicom_file(b.attributes())
    b.file("copy.dcm", twice, IMPORTED).file("copy.dcm", twice, DUPLICATE)
    b.image("both").image("both/inside.dcm")


@case()
def names_that_the_local_header_contradicts(b: Builder) -> None:
    """The directory says ok.dcm; the local header a path that climbs, one longer, one shorter."""
    for local in (b"../../../escape.dcm", b"", b"n" * 5_000):
        b.file("ok.dcm", dicom_file(b.attributes()), IMPORTED, local_name=local)


@case()
def links(b: Builder) -> None:
    """Symbolic links; the last one's text is a whole DICOM object."""
    for name, target in (("passwd.dcm", b"/etc/passwd"), ("up.dcm", b"../../"), ("self", b"self")):
        b.file(name, target, "skipped:link", mode=0o120777)
    b.file("object.dcm", dicom_file(b.attributes()), "skipped:link", mode=0o120777)
    b.images(2)


@case()
def modes_of_devices(b: Builder) -> None:
    """A pipe, devices, a socket, a folder, a set-user-ID program: bytes all the same."""
    for mode in (0o010644, 0o020666, 0o060666, 0o140777, 0o040755, 0o104755):
        b.file(f"{mode:o}.dcm", dicom_file(b.attributes()), IMPORTED, mode=mode)


@case()
def directories(b: Builder) -> None:
    """Entries for folders, one of which carries data, and sixty levels of them."""
    b.file("dir/", b"", method=STORED).file("dir/data/", b"not empty", method=STORED)
    b.image("dir/" + "x/" * 60 + "a.dcm")


# The archive's structure


@case(refused="archive_empty")
def no_members(b: Builder) -> None:
    pass


@case(refused="archive_empty")
def only_directories(b: Builder) -> None:
    b.file("a/", b"", method=STORED).file("a/b/", b"", method=STORED)


@case(refused="not_a_zip")
def text(b: Builder) -> None:
    b.written = b"Dear colleague, the images follow by post.\n" * 50


@case(refused="not_a_zip")
def nothing_at_all(b: Builder) -> None:
    b.written = b""


@case(refused="not_a_zip")
def one_dicom_file(b: Builder) -> None:
    b.written = dicom_file(b.attributes())


@case(refused="not_a_zip")
def another_kind_of_archive(b: Builder) -> None:
    """gzip; the form and the task must both tell it from a ZIP by content."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    b.written = packer.compress(b"x" * 5_000) + packer.flush()


@case(refused="archive_truncated")
def cut_in_half(b: Builder) -> None:
    b.images(5)
    b.written = b.finish()[: len(b.body) // 2]


@case(refused="archive_truncated")
def cut_in_the_directory(b: Builder) -> None:
    b.images(5)
    b.written = b.finish()[: len(b.body) + 60]


@case(refused="archive_truncated")
def cut_in_the_end_record(b: Builder) -> None:
    b.images(5)
    b.written = b.finish()[:-10]


@case(refused="archive_truncated")
def cut_behind_a_stored_zip(b: Builder) -> None:
    """The end record that is found belongs to a ZIP inside: reading that would lose the rest."""
    inner = Builder("inner")
    inner.images(1)
    b.images(3)
    b.file("inner.zip", inner.finish(), method=STORED)
    b.written = bytes(b.body)


@case(refused="archive_damaged")
def directory_overwritten(b: Builder) -> None:
    b.images(5)
    data = bytearray(b.finish())
    data[len(b.body) + 70 : len(b.body) + 170] = bytes(100)
    b.written = bytes(data)


@case(refused="archive_damaged")
def directory_shorter_than_counted(b: Builder) -> None:
    """The end record counts five entries where three are: two were lost."""
    b.images(3)
    b.finish(count=5)


@case()
def directory_longer_than_counted(b: Builder) -> None:
    b.images(3)
    b.finish(count=1)


@case()
def directory_offset_wrong(b: Builder) -> None:
    """The end record points 5,000 bytes too far; the members' own offsets are right."""
    b.images(3)
    b.finish(shift=5_000)


@case()
def directory_size_too_large(b: Builder) -> None:
    """76 bytes more than the directory has, whose offset is right."""
    b.images(3)
    b.finish(size=len(b.directory()) + 76)


@case()
def directory_size_without_its_first_entry(b: Builder) -> None:
    """So it ends as it should, and begins with an entry: one file would be lost."""
    b.images(3)
    b.finish(size=len(b.directory()) - len(b.entries[0].directory_entry()))


@case(refused="archive_damaged")
def directory_size_and_offset_wrong(b: Builder) -> None:
    b.images(3)
    b.finish(size=len(b.directory()) + 76, shift=-5)


@case(refused="archive_split")
def last_part_of_a_split_archive(b: Builder) -> None:
    b.images(2)
    b.finish(disk=3)


@case(refused="archive_split")
def first_part_of_a_split_archive(b: Builder) -> None:
    b.images(2)
    b.written = b"PK\7\x08" + bytes(b.body)


@case()
def last_piece_of_a_cut_archive(b: Builder) -> None:
    """An archive cut into pieces of equal size: the last one begins within a member."""
    b.image(accept="failed:part_missing").image(accept="failed:part_missing")
    b.images(2)
    b.written = b.finish()[b.entries[1].offset + 50 :]


@case()
def behind_a_program(b: Builder) -> None:
    """A self-extracting archive: the offsets count from the ZIP, not from the file."""
    b.images(3)
    b.finish(prefix=b"MZ" + bytes(510))


@case()
def before_padding(b: Builder) -> None:
    b.images(3)
    b.finish(tail=bytes(2_048))


@case()
def with_a_comment(b: Builder) -> None:
    """Text that begins as an end record does."""
    b.images(3)
    b.finish(comment=b"PK\5\6 is how an end record begins. " * 40)


@case()
def with_a_cut_comment(b: Builder) -> None:
    b.images(3)
    b.finish(comment=b"short", lie=60_000)


@case()
def with_another_archive_in_the_comment(b: Builder) -> None:
    """Two end records: readers that look for the last one see other members."""
    other = Builder("other")
    other.images(1)
    b.images(2)
    b.finish(comment=other.finish())


@case()
def zip64_throughout(b: Builder) -> None:
    b.images(3)
    b.finish_64()


@case()
def zip64_behind_a_program(b: Builder) -> None:
    b.images(3)
    b.finish_64(prefix=b"MZ" + bytes(510))


@case(refused="archive_damaged")
def zip64_record_missing(b: Builder) -> None:
    b.images(3)
    b.finish_64()
    b.written = b.written.replace(b"PK\6\6", b"PK\0\0")


@case()
def zip64_field_cut_short(b: Builder) -> None:
    """One entry needs 64-bit values that its extra field does not hold; the others are well."""
    b.images(2)
    field_ = struct.pack("<HH", 1, 16) + b"ab"
    b.file("x.dcm", dicom_file(b.attributes()), "failed:member_damaged", extra=field_, size=MAX_32)


@case()
def zip64_values_beyond_reason(b: Builder) -> None:
    """Sizes and an offset of 2**63 and 2**64 - 1: no arithmetic may overflow."""
    b.images(2)
    for lies in ({"size": 2**64 - 1}, {"packed_size": 2**63}, {"offset": 2**64 - 1}):
        b.image(accept="failed:member_damaged").lie(**lies)


@case()
def sizes_behind_the_data(b: Builder) -> None:
    """Streamed: as macOS and web portals write, with and without the descriptor's signature."""
    for signature in (b"PK\7\x08", b""):
        data = dicom_file(b.attributes())
        sizes = struct.pack("<3L", zlib.crc32(data), len(deflated(data)), len(data))
        b.file("", data, IMPORTED, flags=DESCRIPTOR, behind=signature + sizes)


@case()
def stored(b: Builder) -> None:
    for _ in range(3):
        b.file("", dicom_file(b.attributes()), IMPORTED, method=STORED)


@case()
def packed_in_every_way(b: Builder) -> None:
    for method in (STORED, DEFLATE, DEFLATE64, BZIP2, LZMA):
        b.file("", dicom_file(b.attributes()), IMPORTED, method=method)
    pixels = hashlib.shake_256(b"pixels").digest(40_000) * 2 + bytes(120_000)
    data = dicom_file(b.attributes(Rows=200, Columns=500, PixelData=pixels))
    b.file("", data, IMPORTED, DEFLATE64, deflated64(data))


@case()
def packed_in_unknown_ways(b: Builder) -> None:
    """Shrunk, imploded, Zstandard, XZ, JPEG, PPMd, and a number that nobody uses."""
    b.images(1)
    for method in (1, 6, 93, 95, 96, 98, 777):
        accept = "failed:method_unsupported"
        b.file(f"{method}.dcm", dicom_file(b.attributes()), accept, method=method)


def encrypt(b: Builder, flags: int = ENCRYPTED, method: int = DEFLATE) -> None:
    data = dicom_file(b.attributes())
    noise = hashlib.shake_256(data).digest(len(data) + 12)
    b.file("", data, "failed:encrypted", method, noise, flags=flags)


@case()
def encrypted_one_of_three(b: Builder) -> None:
    b.images(2)
    encrypt(b)


@case(status="failed")
def encrypted_throughout(b: Builder) -> None:
    """With the old cipher, WinZip's AES, and PKWARE's strong encryption."""
    encrypt(b)
    encrypt(b, method=AES)
    encrypt(b, flags=ENCRYPTED | STRONGLY_ENCRYPTED)


@case()
def checksum_wrong(b: Builder) -> None:
    b.images(4)
    for method in (STORED, DEFLATE, DEFLATE64, BZIP2, LZMA):
        b.file("", dicom_file(b.attributes()), "failed:crc_mismatch", method, crc=12345)


@case()
def size_larger_than_the_data(b: Builder) -> None:
    b.images(2)
    for method in (STORED, DEFLATE, DEFLATE64, BZIP2):
        data = dicom_file(b.attributes())
        for size in (len(data) + 1, 3_900_000_000):
            b.file("", data, "failed:size_mismatch", method, size=size)
    data = dicom_file(b.attributes())
    b.file("", data, "failed:member_damaged failed:size_mismatch", LZMA, size=len(data) + 1)


@case()
def size_smaller_than_the_data(b: Builder) -> None:
    b.images(2)
    for method in (STORED, DEFLATE, DEFLATE64, BZIP2, LZMA):
        data = dicom_file(b.attributes())
        for size in (len(data) - 1, 100, 0):
            b.file("", data, "failed:size_mismatch", method, size=size)


@case()
def size_over_the_limit(b: Builder) -> None:
    """It declares a terabyte. It alone fails; the total counts what could be read."""
    b.images(2)
    b.image(accept="failed:member_too_large").lie(size=10**12)


@case()
def packed_size_into_the_next_members(b: Builder) -> None:
    """One entry's packed size is damaged; its own local header tells. The next are well."""
    b.images(2)
    b.image(accept="failed:member_damaged").lie(packed_size=1_000)
    b.images(2)


@case()
def packed_size_short(b: Builder) -> None:
    b.images(2)
    for method in (DEFLATE, BZIP2, LZMA):
        accept = "failed:member_damaged failed:size_mismatch"
        b.file("", dicom_file(b.attributes()), accept, method, packed_size=50)
    b.file("", dicom_file(b.attributes()), "failed:size_mismatch", STORED, packed_size=50)


@case()
def offset_elsewhere(b: Builder) -> None:
    """Beyond the end of the file, and into the middle of another member's data."""
    b.images(2)
    for offset in (4_000_000_000, 200):
        b.file("", dicom_file(b.attributes()), "failed:member_damaged", offset=offset)


@case()
def local_header_destroyed(b: Builder) -> None:
    b.image(accept="failed:member_damaged")
    b.body[:4] = bytes(4)
    b.images(2)


@case()
def packed_data_are_noise(b: Builder) -> None:
    b.images(1)
    for method in (DEFLATE, DEFLATE64, BZIP2, LZMA):
        data = dicom_file(b.attributes())
        accept = "failed:member_damaged failed:size_mismatch failed:crc_mismatch"
        accept += " failed:too_much_memory"
        b.file("", data, accept, method, hashlib.shake_256(data).digest(500))


@case()
def packed_data_end_early(b: Builder) -> None:
    b.images(1)
    for method in (DEFLATE, DEFLATE64, BZIP2, LZMA):
        data = dicom_file(b.attributes())
        b.file("", data, "failed:member_damaged", method, PACKERS[method](data)[:-30])


@case()
def dates_that_never_were(b: Builder) -> None:
    for date in ((0xFFE0, 0xFFFF), (0, 0), (0xFFFF, 0xBF7D)):
        b.file("", dicom_file(b.attributes()), IMPORTED, date=date)


@case()
def entries_with_comments_and_unknown_fields(b: Builder) -> None:
    field_ = struct.pack("<HH", 0xCAFE, 60_000) + bytes(60_000)
    b.file("", dicom_file(b.attributes()), IMPORTED, extra=field_, comment=b"c" * 65_000)
    b.file("", dicom_file(b.attributes()), IMPORTED, local_extra=field_[:-1])
    b.images(1)


@case()
def thousands_of_empty_members(b: Builder) -> None:
    b.images(3)
    for number in range(3_000):
        b.file(f"{number:04x}", b"", "skipped:empty_file", STORED)


# Bombs


@case()
def one_member_listed_twice(b: Builder) -> None:
    """Odd, but met in the field, and no bomb."""
    b.images(2)
    b.entries.append(b.entries[0])
    b.members.append(replace(b.members[0], accepted=(DUPLICATE,)))


@case(refused="archive_overlap")
def one_member_listed_thrice(b: Builder) -> None:
    b.images(2)
    b.entries += [b.entries[0]] * 2


@case(refused="archive_overlap")
def one_kernel_listed_2000_times(b: Builder) -> None:
    """Every entry is the same 8 MB of zeros: 16 GB from 100 kB."""
    zeros, crc = deflated_zeros(8 << 20)
    b.file("kernel", b"", packed=zeros, crc=crc, size=8 << 20)
    b.entries *= 2_000


@case(refused="archive_overlap")
def quoted_overlap(b: Builder) -> None:
    """Each member's Deflate data quote the next local header, and all end in one kernel."""
    output = bytes(1 << 20)
    packed = deflated(output)
    for number in range(200):
        entry = Entry(b"%03d" % number, DEFLATE, 0, zlib.crc32(output), len(packed), len(output))
        header = entry.local_header(entry.name, b"")
        b.entries.append(replace(entry, offset=-len(header + packed)))  # from the end, for now
        b.body[:] = header + packed
        packed, output = quote(header) + packed, header + output
    b.entries = [replace(entry, offset=len(b.body) + entry.offset) for entry in b.entries]


@case(refused="archive_overlap")
def extra_field_overlap(b: Builder) -> None:
    """The extra field of each local header hides the next local headers; all share one kernel."""
    kernel, crc = deflated_zeros(4 << 20)
    for number in range(300):
        entry = Entry(b"%03d" % number, DEFLATE, 0, crc, len(kernel), 4 << 20)
        hidden = struct.pack("<HH", 0xCAFE, len(b.body)) + b.body if b.body else b""
        b.body[:] = entry.local_header(entry.name, hidden)
        b.entries.append(replace(entry, offset=37 * (299 - number)))
    b.body += kernel


@case()
def flat_bomb(b: Builder) -> None:
    """500 MB of zeros, which are not DICOM."""
    packed, crc = deflated_zeros(500 << 20)
    b.file("zeros.dcm", b"", NOT_DICOM, packed=packed, crc=crc, size=500 << 20)
    b.images(2)


@case()
def flat_bomb_in_every_way(b: Builder) -> None:
    """60 MB of zeros in each method that packs well, all of it declared."""
    b.images(1)
    zeros = bytes(60 << 20)
    for method in (BZIP2, LZMA):
        b.file(f"{method}.bin", zeros, NOT_DICOM, method)


@case()
def bomb_that_declares_little(b: Builder) -> None:
    """100 MB from a few hundred bytes, declared as 1,000 bytes: `zipfile` inflates it whole."""
    b.images(1)
    packed, crc = bzip2_zeros(100 << 20)
    b.file("bz2.dcm", b"", "failed:size_mismatch", BZIP2, packed, crc=crc, size=1_000)
    packed = lzma_packed(bytes(100 << 20))
    b.file("lzma.dcm", b"", "failed:size_mismatch", LZMA, packed, size=1_000)
    packed, crc = deflated_zeros(100 << 20)
    for method in (DEFLATE, DEFLATE64):
        b.file("flate.dcm", b"", "failed:size_mismatch", method, packed, crc=crc, size=1_000)


@case()
def large_image_of_zeros(b: Builder) -> None:
    """An honest object that packs a thousand times: no rule on the ratio may refuse its 300 MB."""
    size = 300 << 20
    head = dicom_file(b.attributes(PixelData=None))
    head += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, size)
    packed, crc = deflated_zeros(size, head)
    b.file("mask.dcm", b"", IMPORTED, packed=packed, crc=crc, size=len(head) + size)
    digest = hashlib.sha256(head)
    for _ in range(300):
        digest.update(bytes(1 << 20))
    b.members[-1] = replace(b.members[-1], sha256=digest.hexdigest())


@case()
def lzma_dictionary_of_4_gb(b: Builder) -> None:
    """The decoder would allocate it; a member of 900 bytes needs none of it."""
    data = dicom_file(b.attributes())
    b.file("", data, IMPORTED, LZMA, lzma_packed(data, dictionary=MAX_32))
    b.images(1)


@case(refused="total_too_large")
def totals_beyond_reason(b: Builder) -> None:
    """Each member could be as large as it says; together they declare 240 GB."""
    for number in range(16):
        b.file(f"{number}.dcm", b"zeros", method=BZIP2, size=15_000_000_000)


@case()
def zip_in_the_zip(b: Builder) -> None:
    inner = Builder("inner of " + b.name)
    inner.images(2)
    inner.file("notes.txt", b"text\n")
    b.images(1)
    b.file("inner.zip", inner.finish(), "skipped:nested_archive")
    for member in inner.members:
        b.members.append(replace(member, name=f"inner.zip/{member.name}"))


@case()
def zips_in_zips_in_zips(b: Builder) -> None:
    """Four levels of eight: the second level is not opened."""
    data = Builder("").file("0.dll", bytes(1 << 20)).finish()
    for _ in range(3):
        level = Builder("")
        for number in range(8):
            level.file(f"{number}.zip", data)
        data = level.finish()
    b.images(1)
    b.file("deep.zip", data, "skipped:nested_archive")
    for number in range(8):
        b.expect(f"deep.zip/{number}.zip", "skipped:nested_too_deep")


@case()
def zips_in_the_zip_that_cannot_be_read(b: Builder) -> None:
    """Cut short, without files, with an overlap."""
    b.images(1)
    for name in ("cut_in_half", "only_directories", "one_member_listed_thrice"):
        b.file(f"{name}.zip", build(name).data, "failed:nested_refused")


@case()
def zip_in_the_zip_with_bad_members(b: Builder) -> None:
    b.images(1)
    for name in ("checksum_wrong", "encrypted_one_of_three"):
        inner = build(name)
        b.file(f"{name}.zip", inner.data, "skipped:nested_archive")
        for member in inner.members:
            b.members.append(replace(member, name=f"{name}.zip/{member.name}"))


@case()
def objects_packed_with_gzip(b: Builder) -> None:
    """As public collections ship them: in one piece or two, with more behind, and damaged."""
    b.images(1)
    for name in ("one.dcm.gz", "two.dcm.gz", "zeros.DCM.GZ", "rubbish.gz"):
        data = dicom_file(b.attributes())
        pieces = (data[:500], data[500:]) if name.startswith("two") else (data,)
        packed = b"".join(gzip.compress(piece, mtime=0) for piece in pieces)
        behind = {"z": bytes(600), "r": b"rubbish"}.get(name[0], b"")
        gzip_file(b, name, packed + behind, IMPORTED, data)
    packed = gzip.compress(dicom_file(b.attributes()), mtime=0)
    for name, broken in (("cut.gz", packed[:-3]), ("crc.gz", packed[:-8] + bytes(8))):
        gzip_file(b, name, broken, "failed:gzip_damaged")
    b.file("image.nii.gz", gzip.compress(bytes(9_000), mtime=0), "skipped:gzip_not_dicom")
    larger = gzip.compress(b"n" * 5_000 + random.Random(1).randbytes(9_000_000), 0, mtime=0)
    b.file("larger.nii.gz", larger, "skipped:gzip_not_dicom")


def gzip_file(b: Builder, name: str, packed: bytes, accept: str, data: bytes = b"") -> None:
    b.file(name, packed, "skipped:nested_archive")
    b.expect(f"{name}/{name[:-3]}", accept, data)


@case()
def gzip_files_that_grow_or_hide(b: Builder) -> None:
    """100 MB of zeros, an object before 20,000 empty pieces, and what lies too deep."""
    b.images(1)
    zeros = io.BytesIO()
    with gzip.GzipFile(fileobj=zeros, mode="w", compresslevel=1, mtime=0) as written:
        for _ in range(100):
            written.write(bytes(1 << 20))
    b.file("zeros.dcm.gz", zeros.getvalue(), "skipped:gzip_not_dicom")
    data = dicom_file(b.attributes())
    packed = gzip.compress(data, mtime=0)
    gzip_file(b, "pieces.dcm.gz", packed + 20_000 * gzip.compress(b"", mtime=0), IMPORTED, data)
    gzip_file(b, "twice.dcm.gz.gz", gzip.compress(packed, mtime=0), "skipped:nested_too_deep")
    inner = Builder("").file("deep.dcm.gz", packed).finish()
    gzip_file(b, "inner.zip.gz", gzip.compress(inner, mtime=0), "skipped:nested_too_deep")
    b.file("inner.zip", inner, "skipped:nested_archive")
    b.expect("inner.zip/deep.dcm.gz", "skipped:nested_too_deep")


# DICOM


@case()
def found_by_content(b: Builder) -> None:
    """DICOM under any name; what only has its name is not."""
    for name in ("a.IMA", "b.dicom", "c.txt", "d.jpg", "e.001", "f", ".hidden", "g.zip"):
        b.image(name)
    for name, data in (
        ("t.dcm", b"hello"), ("h.dcm", b"<html>" * 90), ("p.dcm", b"%PDF-1.4" + bytes(300)),
        ("j.dcm", b"\xff\xd8\xff\xe0" + bytes(300)), ("z.dcm", bytes(5_000)),
    ):  # fmt: skip
        b.file(name, data, NOT_DICOM)
    b.file("e.dcm", b"", "skipped:empty_file")


@case(status="failed")
def nothing_but_other_files(b: Builder) -> None:
    b.file("letter.txt", b"text\n").file("photo.jpg", b"\xff\xd8\xff" + bytes(99))


@case()
def patient_cd(b: Builder) -> None:
    """A directory file, a viewer, and images without an extension."""
    directory = b.attributes(SOPClassUID="1.2.840.10008.1.3.10", PixelData=None)
    b.file("DICOMDIR", dicom_file(directory), "skipped:dicomdir")
    b.file("DIRFILE", dicom_file(directory), "skipped:dicomdir")
    b.file("VIEWER/RUN.EXE", b"MZ" + bytes(300), SYSTEM)
    b.file("AUTORUN.INF", b"[autorun]\r\nopen=VIEWER\\RUN.EXE\r\n", SYSTEM)
    b.file("INDEX.HTM", b"<html><script>alert(1)</script></html>")
    b.images(3)


@case()
def system_files(b: Builder) -> None:
    """What macOS and Windows leave in every folder."""
    b.file("__MACOSX/S/._IM1.dcm", b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(80), SYSTEM)
    b.file("S/.DS_Store", b"\0\0\0\1Bud1" + bytes(60), SYSTEM)
    b.file("Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(60), SYSTEM)
    b.file("S/desktop.ini", b"[x]\r\n", SYSTEM)
    b.file("S\\Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(60), SYSTEM)
    b.file("__MACOSX\\S\\._IM1.dcm", b"\0\5\x16\7\0\2\0\0" + bytes(80), SYSTEM)
    b.images(1)


@case()
def archives_of_other_kinds(b: Builder) -> None:
    """What may hold images, and is no ZIP."""
    for start in (b"\x1f\x8b\x08\0", b"BZh9", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\1\0"):
        b.file("", start + bytes(600), "skipped:other_archive")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as written:
        written.addfile(tarfile.TarInfo("IM0001"), io.BytesIO())
    b.file("images.tar", tar.getvalue(), "skipped:other_archive")
    b.file("larger.gz", b"\x1f\x8b\x08\0" + bytes(9_000_000), "skipped:other_archive")
    b.file("driver.cab", b"\x1f\x8b\x08\0" + bytes(60), SYSTEM)
    b.images(1)


def in_syntax(b: Builder, syntax: str, accept: str = IMPORTED) -> None:
    b.file("", dicom_file(b.attributes(), syntax), accept)


@case()
def every_encoding(b: Builder) -> None:
    for syntax in (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN):
        in_syntax(b, syntax)


@case()
def compressed_pixels_of_rubbish(b: Builder) -> None:
    """JPEG to MPEG-4, and a private syntax: importing must not decode pixels."""
    for syntax in ("4.50", "4.70", "4.80", "4.90", "4.91", "4.201", "5", "4.102"):
        frame = encapsulated(b"\xff\xd8rubbish\xff\xd9")
        attributes = b.attributes(PixelData=None)
        b.file("", dicom_file(attributes, "1.2.840.10008.1.2." + syntax, tail=frame), IMPORTED)
    attributes = b.attributes(PixelData=None)
    b.file("", dicom_file(attributes, uid("private"), tail=encapsulated(b"\1\2")), IMPORTED)


@case()
def jpeg_2000_of_a_billion_columns(b: Builder) -> None:
    sizes = struct.pack(">8L", *[0x7FFFFFFF] * 2, 0, 0, *[0x7FFFFFFF] * 2, 0, 0)
    frame = b"\xff\x4f\xff\x51\0\x29\0\0" + sizes + b"\0\1\7\1\1\xff\xd9"
    attributes = b.attributes(PixelData=None, Rows=65535, Columns=65535)
    syntax = "1.2.840.10008.1.2.4.90"
    b.file("", dicom_file(attributes, syntax, tail=encapsulated(frame)), IMPORTED)


@case()
def without_preamble(b: Builder) -> None:
    """As old scanners and planning systems write; once with the file meta and once without."""
    accept = "imported failed:header_damaged"
    b.file("bare", dataset(b.attributes(), IMPLICIT), accept)
    b.file("bare", dataset(b.attributes(), EXPLICIT), accept)
    b.file("meta", dicom_file(b.attributes())[132:], accept)
    b.images(1)


@case()
def transfer_syntax_wrong_or_missing(b: Builder) -> None:
    accept = "imported failed:header_damaged failed:uid_missing"
    one, two, three = (b.attributes(SOPInstanceUID=uid(b.name, n)) for n in range(3))
    b.file("says implicit", meta_of(one, IMPLICIT) + dataset(one, EXPLICIT), accept)
    b.file("says explicit", meta_of(two, EXPLICIT) + dataset(two, IMPLICIT), accept)
    b.file("says nothing", meta_of(three, None) + dataset(three, EXPLICIT), accept)
    b.images(1)


def meta_of(attributes: Attributes, syntax: str | None, lie: int = 0) -> bytes:
    sop_class, sop_instance = attributes.get("SOPClassUID"), attributes.get("SOPInstanceUID")
    return file_meta(syntax, sop_class, sop_instance, lie)


@case()
def file_meta_length_wrong(b: Builder) -> None:
    for lie in (8, -8, 100_000):
        attributes = b.attributes()
        data = meta_of(attributes, EXPLICIT, lie) + dataset(attributes)
        b.file("", data, "imported failed:header_damaged failed:uid_missing")
    b.images(1)


@case()
def file_meta_names_another_object(b: Builder) -> None:
    attributes = b.attributes()
    meta = file_meta(EXPLICIT, CT, uid("another"))
    b.file("", meta + dataset(attributes), IMPORTED)


@case()
def headers_cut_short(b: Builder) -> None:
    """Whole in the ZIP, cut in DICOM: inside a value, and inside an element's own header."""
    whole = dicom_file(b.attributes())
    at = whole.index(b"Made^Up")
    for end in (at + 3, at - 3, 132, 140, 200):
        accept = "failed:header_damaged failed:uid_missing skipped:not_dicom"
        b.file("", whole[:end], accept)
    b.images(1)


@case()
def pixels_cut_short(b: Builder) -> None:
    whole = dicom_file(b.attributes())
    b.file("", whole[:-10], "imported failed:header_damaged")
    b.images(1)


@case()
def files_shorter_than_a_preamble(b: Builder) -> None:
    b.images(1)
    for size in (1, 127, 128, 131, 132):
        b.file(f"{size}.dcm", bytes(size), "skipped:not_dicom failed:header_damaged")


@case()
def lengths_beyond_the_file(b: Builder) -> None:
    """A value that claims 4 GB and one that swallows the UIDs behind it."""
    accept = "imported failed:header_damaged failed:uid_missing failed:too_much_memory"
    early = element(0x00080001, "UN", b"abcd", length=0xFFFFFFF0)
    attributes = b.attributes()
    b.file("", meta_of(attributes, EXPLICIT) + early + dataset(attributes), accept)
    attributes = b.attributes()
    late = element(0x00291010, "UN", b"abcd", length=0x7FFFFFFF)
    b.file("", dicom_file(attributes, extra=late), accept)
    b.images(1)


@case()
def elements_that_no_standard_knows(b: Builder) -> None:
    for vr in (b"ZZ", b"\0\0", b"??"):
        odd = struct.pack("<HH2sH", 0x0029, 0x1001, vr, 4) + b"abcd"
        accept = "imported failed:header_damaged"
        b.file("", dicom_file(b.attributes(), extra=odd), accept)
    again = element(0x0020000D, "UI", uid("another study"))
    b.file("", dicom_file(b.attributes(), extra=again), "imported failed:header_damaged")
    b.images(1)


@case()
def padding_behind_the_pixels(b: Builder) -> None:
    """Data Set Trailing Padding, and zeros that are no element at all: stored byte for byte."""
    b.file("", dicom_file(b.attributes(), tail=element(0xFFFCFFFC, "OB", bytes(9_000))), IMPORTED)
    b.file("", dicom_file(b.attributes()) + bytes(1_001), IMPORTED)


@case()
def dicom_and_zip_at_once(b: Builder) -> None:
    """It begins as DICOM and ends as a ZIP does: what it begins with, it is."""
    inner = Builder("inner").file("evil.dcm", b"x").finish()
    b.file("both.dcm", dicom_file(b.attributes()) + inner, IMPORTED)


@case()
def uids_missing(b: Builder) -> None:
    """The three without which an object has no place; two of them absent, and empty."""
    b.images(1)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        for value in (None, "", "\0", "  "):
            b.image(f"{keyword}.dcm", "failed:uid_missing", **{keyword: value})
    b.image("SOPInstanceUID.dcm", "failed:uid_missing", SOPInstanceUID="")


@case()
def sop_instance_uid_only_in_the_file_meta(b: Builder) -> None:
    attributes = b.attributes()
    data = meta_of(attributes, EXPLICIT) + dataset({**attributes, "SOPInstanceUID": None})
    b.file("", data, "imported failed:uid_missing")
    b.images(1)


@case()
def uids_that_are_paths(b: Builder) -> None:
    """Digits and dots are not enough to be safe. Each gets a folder or a file of its own."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        for value in ("..", ".", ".1", "1..2", "1/2", "../..", "/etc", "1.2/", "..\\x", "-rf"):
            b.image(f"{keyword}.dcm", "imported failed:uid_invalid", **{keyword: value})


@case()
def uids_that_break_the_rule(b: Builder) -> None:
    """As met in the field: words, hexadecimal digits, leading zeros, 65 characters."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        for value in ("REM SAMPLES 1", "0123456789abcdef" * 4, "1.02.003", "1." + "2" * 63):
            b.image(f"{keyword}.dcm", **{keyword: value})


@case()
def uids_that_cannot_be_stored(b: Builder) -> None:
    b.images(1)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        for value in ("1." + "2" * 199, "1.2\0.3", "1.2\n3", "1.2\x1b[31m"):
            accept = "failed:uid_invalid"
            b.image(f"{keyword}.dcm", accept, **{keyword: value})


@case()
def values_where_one_belongs(b: Builder) -> None:
    b.image(Modality="CT\\MR").image(SeriesNumber="1\\2").image(PatientName="A^B\\C^D")
    two = f"{uid(1)}\\{uid(2)}"
    b.image(accept="imported failed:uid_invalid", StudyInstanceUID=two)


@case()
def dates_and_times_that_are_not(b: Builder) -> None:
    for date, time in (
        ("20231301", "256199"), ("00000000", "240000"), ("2023.01.05", "10:15:00"), ("NOW", "x"),
        ("20230101-20230131", "-"), ("99999999", "999999.999999"), ("\0" * 8, "\0" * 6),
    ):  # fmt: skip
        b.image(StudyDate=date, PatientBirthDate=date, StudyTime=time)


@case()
def numbers_that_are_not(b: Builder) -> None:
    """What JSON, PostgreSQL or 32 bits cannot hold."""
    for number in (
        "NaN", "Infinity", "-inf", "1e999", "--5", "1.23456789012345678901234", "0x10", "1_000",
        "01160501010100", "9" * 400, "\u00b2",
    ):  # fmt: skip
        b.image(SliceLocation=number, SliceThickness=number, InstanceNumber=number)
        b.image(SeriesNumber=number, PixelSpacing=f"{number}\\1", ImagePositionPatient=number)


@case()
def objects_that_are_no_images(b: Builder) -> None:
    for kind, modality in (
        ("88.11", "SR"), ("104.1", "DOC"), ("88.59", "KO"), ("11.1", "PR"), ("9.1.1", "ECG"),
        ("481.5", "RTPLAN"), ("481.2", "RTDOSE"),
    ):  # fmt: skip
        sop_class = f"1.2.840.10008.5.1.4.1.1.{kind}"
        b.image(SOPClassUID=sop_class, Modality=modality, Rows=None, Columns=None, PixelData=None)
    b.image(SOPClassUID=uid("unknown class"), Modality="ZZ").image(SOPClassUID=None)


@case()
def items_without_end(b: Builder) -> None:
    """2,000,000 empty items in one sequence, packed a thousand times: gigabytes to a parser."""
    attributes = b.attributes(PixelData=None)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    start = element(0x0040A730, "SQ", b"", length=UNDEFINED)
    data = dicom_file(attributes, extra=start + item * 2_000_000 + sequence_end())
    b.file("items.dcm", data, "failed:too_many_items imported")
    b.images(1)


@case()
def sequences_within_sequences(b: Builder) -> None:
    """40 levels are an honest report; thousands overflow a parser that calls itself."""
    b.file("40.dcm", dicom_file(b.attributes(), extra=nested_sequences(40)), IMPORTED)
    for levels in (200, 5_000, 50_000):
        data = dicom_file(b.attributes(), extra=nested_sequences(levels))
        accept = "failed:nested_too_deeply failed:header_damaged imported"
        b.file(f"{levels}.dcm", data, accept)


@case()
def sequences_left_open(b: Builder) -> None:
    start = element(0x0040A730, "SQ", b"", length=UNDEFINED)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    data = dicom_file(b.attributes(PixelData=None), extra=start * 3)
    b.file("", data, "imported failed:header_damaged")
    b.images(1)


@case()
def thousands_of_private_elements(b: Builder) -> None:
    private = b"".join(element(0x00290000 | n, "LO", "x") for n in range(0x1000, 0xFA00))
    b.file("", dicom_file(b.attributes(), extra=private), IMPORTED)


@case()
def deflated_data_set_of_600_mb(b: Builder) -> None:
    """Zero pixels under the deflated transfer syntax: pydicom inflates them at once."""
    size = 600 << 20
    attributes = b.attributes(PixelData=None)
    head = dataset(attributes) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, size)
    data = meta_of(attributes, DEFLATED) + deflated_zeros(size, head)[0]
    accept = "imported failed:header_too_large failed:header_damaged failed:too_much_memory"
    b.file("", data, accept)
    b.images(1)


@case()
def deflated_header_of_600_mb(b: Builder) -> None:
    """The zeros come before the UIDs, in one private element."""
    size = 600 << 20
    attributes = b.attributes()
    head = dataset({"SOPClassUID": CT}) + struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, size)
    data = meta_of(attributes, DEFLATED) + deflated_zeros(size, head)[0]
    accept = "failed:header_too_large failed:header_damaged failed:too_much_memory"
    b.file("", data, accept + " failed:uid_missing")
    b.images(1)


# Identity


@case(patients=6)
def patient_ids_that_look_alike_when_cleaned(b: Builder) -> None:
    """Six patients stay six, and six folders."""
    for patient_id in ("A/B", "A_B", "A:B", "A*B", "A B", "A?B"):
        b.image(PatientID=patient_id)


@case()
def patient_ids_that_are_paths(b: Builder) -> None:
    for patient_id in (
        "../../../../../../escape", "..", ".", "/", "/etc", "~root", "..\\..\\x", "%2e%2e%2f",
        "./.", "...", "-rf", ".hidden", ".staging", ".found", "no-id~0123456789abcdef",
    ):  # fmt: skip
        b.image(PatientID=patient_id)


@case(patients=6)
def patient_ids_that_windows_reserves(b: Builder) -> None:
    for patient_id in ("CON", "NUL", "aux.", "x.", "COM1.dcm", "LPT9"):
        b.image(PatientID=patient_id)


@case(patients=1)
def patient_ids_with_padding(b: Builder) -> None:
    """Leading and trailing spaces are not significant, PS3.5 6.2."""
    for number, patient_id in enumerate(("P124", "P124 ", " P124", "P124\0")):
        b.image(PatientID=patient_id, StudyInstanceUID=uid(b.name, number))


@case()
def patient_ids_with_control_characters(b: Builder) -> None:
    """PostgreSQL refuses a NUL inside a text, and with it the whole statement."""
    for patient_id in ("A\nB", "A\tB", "A\x1b[31mB", "A\0B", "A\x7fB"):
        b.image(accept="imported", PatientID=patient_id)
    b.images(1)


@case()
def patient_id_of_10_kb(b: Builder) -> None:
    b.image(accept="failed:patient_id_too_long imported", PatientID="X" * 10_000)
    b.images(1)


@case()
def patient_ids_in_forms_of_unicode(b: Builder) -> None:
    """Composed and decomposed, full-width digits, a joiner that nobody sees."""
    for text in ("caf\u00e9", "cafe\u0301", "\uff11\uff12", "12", "1\u200d2"):
        b.image(PatientID=text.encode(), SpecificCharacterSet="ISO_IR 192")


@case(patients=7)
def patient_ids_that_look_like_none(b: Builder) -> None:
    """A label for the absent ID must not swallow a real one; two studies without one stay two."""
    for patient_id in ("UNKNOWN", "None", "null", "nan", "unknown_patient"):
        b.image(PatientID=patient_id)
    b.image(PatientID="", StudyInstanceUID=uid("first"))
    b.image(PatientID=None, StudyInstanceUID=uid("second"))


@case(patients=2)
def one_study_under_two_patients(b: Builder) -> None:
    """The same UIDs down to the instance: B's image must never hang under A."""
    same = {
        "StudyInstanceUID": uid(b.name, "study"), "SeriesInstanceUID": uid(b.name, "series"),
        "SOPInstanceUID": uid(b.name, "instance"),
    }  # fmt: skip
    b.image(PatientID="A", PatientName="A^A", **same)
    b.image(PatientID="B", PatientName="B^B", **same)


@case(patients=1)
def one_series_in_two_studies(b: Builder) -> None:
    b.image().image(StudyInstanceUID=uid(b.name, "another study"))
    b.image(SOPInstanceUID=uid(b.name, 1), SeriesInstanceUID=uid(b.name, "another series"))


@case(patients=1)
def one_id_with_two_names(b: Builder) -> None:
    b.image(PatientName="Anna^A").image(PatientName="Berta^B", PatientBirthDate="19800202")


@case()
def one_instance_twice(b: Builder) -> None:
    data, other = dicom_file(b.attributes()), dicom_file(b.attributes(InstanceNumber="9"))
    b.file("a/1.dcm", data, IMPORTED).file("b/1.dcm", data, DUPLICATE)
    b.file("c/1.dcm", other, CONFLICT)


@case()
def uploaded_before(b: Builder) -> None:
    b.images(3)


@case(after=["uploaded_before"])
def the_same_again(b: Builder) -> None:
    b.name = "uploaded_before"
    for number in range(3):
        b.image(f"again{number}.dcm", DUPLICATE)


@case(status="failed", after=["uploaded_before"])
def other_versions_of_the_same(b: Builder) -> None:
    """The first stays; nothing is overwritten and nothing looks like success."""
    b.name = "uploaded_before"
    for _ in range(3):
        b.image(accept=CONFLICT, PixelData=bytes(32))


@case(after=["uploaded_before"])
def other_versions_and_a_new_one(b: Builder) -> None:
    b.name = "uploaded_before"
    for _ in range(3):
        b.image(accept=CONFLICT, PixelData=bytes([1]) * 32)
    b.images(1)


# Text

MARKUP = "<script>alert('pn')</script>^<img src=x onerror=alert(1)>"


@case()
def markup_in_every_text(b: Builder) -> None:
    b.image(PatientName=MARKUP, PatientID="<b>1</b>").image(StudyDescription="<svg/onload=x()>")
    b.image(SeriesDescription='"><script>alert(2)</script>', Manufacturer="</textarea>")
    b.image(AccessionNumber="'onmouseover='x", Modality="<B>", StudyID="{{ 7*7 }}")


@case()
def formulas_in_every_text(b: Builder) -> None:
    for text_ in ("=cmd|'/C calc'!A0", "@SUM(1)", "+1+1", "-2+3", "\t=1", "\r=1"):
        b.image(PatientName=text_, StudyDescription=text_, PatientID=text_.strip())


@case()
def text_that_other_languages_run(b: Builder) -> None:
    for text_ in (
        "'; DROP TABLE x;--", "{{7*7}}{% debug %}", "%s %(x)s {0} {x.__class__}",
        "${jndi:ldap://x/a}", "null", "\\N", "$(reboot)", "`reboot`",
    ):  # fmt: skip
        b.image(PatientName=text_, SeriesDescription=text_)


@case()
def text_in_many_character_sets(b: Builder) -> None:
    for charset, name in (
        ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
        ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
        ("ISO_IR 144", "Иванов^Иван".encode("iso8859_5")),
        ("ISO_IR 126", "Διονυσιος".encode("iso8859_7")),
        ("ISO_IR 192", b"bad\xff\xfeutf8^\xc3"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"cut\x1b$B;3"),
        ("NO_SUCH_SET", b"\xe4\xf6\xfc"),
        (None, b"\xe4\xf6\xfc"),
    ):
        b.image(SpecificCharacterSet=charset, PatientName=name, StudyDescription=name)


@case()
def text_that_plays_with_unicode(b: Builder) -> None:
    for text_ in (
        "\u202eevil\u202c", "Z\u0300\u0301\u0302" * 200, "\U0001f9d1\u200d\u2695\ufe0f^Doc",
        "\ufeffBOM", "\ufdd0\ufffe", "a\u2028b",
    ):  # fmt: skip
        b.image(SpecificCharacterSet="ISO_IR 192", PatientName=text_.encode())


@case()
def text_of_megabytes(b: Builder) -> None:
    """It must reach neither the database nor the log."""
    long = element(0x0040A160, "UT", b"u" * (8 << 20))
    b.file("", dicom_file(b.attributes(ImageComments="c" * 60_000), extra=long), IMPORTED)
    b.image(PatientName="N" * 60_000, StudyDescription="D" * 60_000, StudyID="S" * 60_000)


# Structure sets


def structure_set(b: Builder, rois: list[Attributes], **changes: Value) -> bytes:
    """A structure set whose ROI `n` has the contours of `rois[n - 1]["ContourSequence"]`."""
    numbered = [{"ROINumber": str(n), **roi} for n, roi in enumerate(rois, start=1)]
    inner = ("ContourSequence", "ReferencedROINumber", "ROIDisplayColor")
    sequence = [{k: v for k, v in roi.items() if k not in inner} for roi in numbered]
    contours = [
        {"ROIDisplayColor": "255\\0\\0", "ReferencedROINumber": roi["ROINumber"], "ContourSequence":
         roi.get("ContourSequence", [contour()])} for roi in numbered
    ]  # fmt: skip
    own: Attributes = {
        "SOPClassUID": STRUCTURE_SET,
        "Modality": "RTSTRUCT",
        "StructureSetLabel": "SET",
        "StructureSetROISequence": sequence,
        "ROIContourSequence": contours,
        **dict.fromkeys(("Rows", "Columns", "PixelData", "SliceLocation")),
        **changes,
    }
    return dicom_file(b.attributes(**own))


def contour(points: str = "1\\2\\3\\4\\5\\6\\7\\8\\9", kind: str = "CLOSED_PLANAR") -> Attributes:
    count = str(len(points.split("\\")) // 3)
    return {
        "ContourGeometricType": kind, "NumberOfContourPoints": count, "ContourData": points,
    }  # fmt: skip


@case()
def structure_set_before_its_images(b: Builder) -> None:
    b.file("A.dcm", structure_set(b, [{"ROIName": "GTV"}]), IMPORTED)
    b.image("Z.dcm")
    b.file("lonely.dcm", structure_set(b, [{"ROIName": "X"}], PatientID="ELSE"), IMPORTED)


@case()
def structure_sets_without_rois(b: Builder) -> None:
    b.file("", structure_set(b, [], StructureSetROISequence=None), IMPORTED)
    b.file("", structure_set(b, [], ROIContourSequence=None), IMPORTED)
    b.file("", structure_set(b, [{"ROIName": "A"}], ROIContourSequence=None), IMPORTED)
    b.file("", structure_set(b, [{"ROIName": "A"}], Modality="CT"), IMPORTED)
    b.file("", structure_set(b, [{"ROIName": "A"}], StructureSetROISequence=None), IMPORTED)


@case()
def roi_names_and_numbers(b: Builder) -> None:
    """Markup, 500 characters, nothing, a NUL; numbers twice, absent, and no numbers at all."""
    names = (MARKUP, "n" * 500, "", "a\0b", "../../x", "=1+1", None)
    b.file("", structure_set(b, [{"ROIName": name} for name in names]), IMPORTED)
    numbers = ("1", "1", "", None, "x", "99999999999999", "-1", "1.5")
    b.file("", structure_set(b, [{"ROINumber": number} for number in numbers]), IMPORTED)


@case()
def contours_of_rubbish(b: Builder) -> None:
    """Broken numbers, two numbers in place of three, every geometry, an empty contour."""
    rubbish = ("1\\2\\x", "NaN\\1\\2", "1e999\\0\\0", "1\\2", "", "\\\\\\", "+1.5\\.5\\5.", "]}")
    broken = [contour(points) for points in rubbish]
    kinds = [contour(kind=kind) for kind in ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", "?", "")]
    rois: list[Attributes] = [{"ContourSequence": broken}, {"ContourSequence": kinds}]
    b.file("", structure_set(b, [*rois, {"ContourSequence": []}]), IMPORTED)


@case()
def structure_set_of_5000_rois(b: Builder) -> None:
    b.file("", structure_set(b, [{"ROIName": f"ROI {n}"} for n in range(5_000)]), IMPORTED)


@case()
def structure_set_uploaded_before(b: Builder) -> None:
    b.file("", structure_set(b, [{"ROIName": "A"}, {"ROIName": "B"}]), IMPORTED)


@case(status="failed", after=["structure_set_uploaded_before"])
def structure_set_with_other_rois(b: Builder) -> None:
    """As planning systems export again under the same UID: two ROIs stay two, not five."""
    b.name = "structure_set_uploaded_before"
    b.file("", structure_set(b, [{"ROIName": name} for name in "CDE"]), CONFLICT)


# Mixtures


@case()
def the_first_member_is_bad(b: Builder) -> None:
    b.image(accept="failed:crc_mismatch").lie(crc=7)
    b.images(5)


@case(status="failed")
def every_member_is_bad(b: Builder) -> None:
    for crc in range(4):
        b.image(accept="failed:crc_mismatch").lie(crc=crc)


@case()
def one_in_a_hundred_is_bad(b: Builder) -> None:
    for number in range(500):
        if number % 100 == 50:
            b.image(accept="failed:crc_mismatch").lie(crc=number)
        else:
            b.image(SeriesInstanceUID=uid(b.name, number % 7))
