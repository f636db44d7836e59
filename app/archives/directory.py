"""A ZIP archive's list of contents, checked once and then streamed.

`zipfile` keeps the whole list in memory (0.75 kB a member), reads members that overlap without
an error on Python before 3.11.8, and refuses an archive for one bad entry. This reads the list
(the central directory of APPNOTE.TXT, the ZIP specification) with `struct`, in pieces.
"""

import os
import re
import stat
import struct
from array import array
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, NamedTuple

from app.errors import ArchiveRefused, disk_failure
from app.wording import human_size

LOCAL_SIGNATURE = b"PK\x03\x04"
ENTRY_SIGNATURE = b"PK\x01\x02"
END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"
SPLIT_SIGNATURE = b"PK\x07\x08"  # begins the first part of a split archive, APPNOTE 8.5.3

END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
MAX_OFFSET = 1 << 62  # so that the sum of two fits where a file's offset must
END_WINDOW = END.size + MAX_16  # the end record and the longest comment
ENTRY_MAX = ENTRY.size + 3 * MAX_16
DIRECTORY_PIECE = 1 << 20  # bytes that are read at a time

FLAG_ENCRYPTED = 0x0001
FLAG_DESCRIPTOR = 0x0008  # the local header's sizes are in a descriptor behind the data
FLAG_UTF8 = 0x0800
EXTRA_ZIP64 = 0x0001
EXTRA_UNICODE_PATH = 0x7075
UNICODE_PATH_ID = EXTRA_UNICODE_PATH.to_bytes(2, "little")
UNIX_MAKERS = (3, 19)  # Unix and macOS put the file's mode into the external attributes

STORED, DEFLATE, DEFLATE64, BZIP2, LZMA = 0, 8, 9, 12, 14  # compression methods, APPNOTE 4.4.5
AES = 99  # in a method's place: the WinZip AE-x encryption
# How many times larger the packed data can become; Deflate makes 258 bytes of 2 bits.
GROWTH = {STORED: 1, DEFLATE: 1032}
MAX_BROKEN = 1000  # with more, damage cannot be distinguished from fraud

SHOWN_LENGTH = 1000  # characters of a name that are shown
NOT_ONE_LINE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an upload may hold, all depths together; sizes in bytes, unpacked."""

    members: int = 500_000
    total: int = 200_000_000_000
    member: int = 16_000_000_000
    nesting: int = 1  # levels of ZIPs inside ZIPs that are opened

    def inside(self, members: int, total: int) -> "Limits":
        """The limits for a ZIP inside, after so many members and bytes were taken."""
        return replace(
            self,
            members=max(self.members - members, 0),
            total=max(self.total - total, 0),
            nesting=self.nesting - 1,
        )


class Member(NamedTuple):
    """One file in an archive, as the archive's directory describes it.

    A named tuple, because building one costs a third of a frozen dataclass.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index; position in the directory, from 0; directories count
    name: str  # for people: one line, at most SHOWN_LENGTH characters
    size: int  # bytes, unpacked, as declared
    packed_size: int  # bytes
    crc: int  # CRC-32 of the unpacked bytes, as declared
    method: int  # compression method, APPNOTE 4.4.5
    flags: int  # general purpose bits, APPNOTE 4.4.4
    offset: int  # of the local header, from the start of the file
    mode: int  # Unix mode, or 0
    broken: bool  # its entry in the directory contradicts itself or its local header

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class End:
    """Where the directory is, from the end record, and what that says of it."""

    start: int  # of the directory, from the start of the file
    stop: int
    prefix: int  # bytes to add to every offset: what stands before the archive
    count: int  # entries, as declared


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose directory was read and not refused. The caller closes the file."""

    file: int | IO[bytes]
    end: End
    member_count: int  # without directories
    total_size: int  # bytes, unpacked, of the members whose declared size is possible
    broken: frozenset[int]  # positions whose entry and local header contradict each other

    def members(self, start: int = 0) -> Iterator[Member]:
        """The members in directory order, without directories, from position `start` on."""
        prefix, broken = self.end.prefix, self.broken
        for index, entry in enumerate(_entries(self.file, self.end)):
            if index >= start and not entry.is_directory:
                yield _member(index, entry, prefix, entry.broken or index in broken)


def open_archive(file: int | IO[bytes], limits: Limits) -> Archive:
    """Read and check the directory of an archive; its members' data are not touched.

    Parameters
    ----------
    file
        A descriptor, or a file open for reading in binary and seekable.

    Raises
    ------
    ArchiveRefused
        Not a ZIP, cut short, split, damaged, empty, over a limit, or with overlapping members.
    StorageFailed
        The disk could not be read.
    """
    end = _find_end(file)
    count = total = directories = 0
    spans = _Spans()
    for index, entry in enumerate(_entries(file, end)):
        spans.add(index, entry)
        if entry.is_directory:
            directories += 1
        else:
            count += 1
            total += _possible_size(entry, limits)
        if max(count, directories) > limits.members:
            raise ArchiveRefused(
                "too_many_members", count=max(end.count, count), limit=limits.members
            )
    if count + directories < end.count:
        raise ArchiveRefused("archive_damaged")
    if not count:
        raise ArchiveRefused("archive_empty")
    broken = spans.check(file, end.prefix)
    if total > limits.total:
        raise ArchiveRefused(
            "total_too_large", size=human_size(total), limit=human_size(limits.total)
        )
    return Archive(file, end, count, total, broken)


def looks_like_zip(file: int | IO[bytes]) -> bool:
    """True where the file ends as a ZIP does; the cheap check for the upload form.

    Raises
    ------
    ArchiveRefused
        It does not: not_a_zip, archive_truncated, archive_split or archive_damaged.
    """
    _find_end(file)
    return True


def read_at(file: int | IO[bytes], size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset` on; fewer only at the end of the file.

    Raises
    ------
    StorageFailed
        The disk could not be read.
    """
    try:
        if not isinstance(file, int):
            file.seek(offset)
            return file.read(size)
        data = os.pread(file, size, offset)
        # One call returns at most 2 GB, and less where a signal or the file system says so.
        while len(data) < size and (more := os.pread(file, size - len(data), offset + len(data))):
            data += more
        return data
    except OSError as error:
        raise disk_failure(error) from error


class _Entry(NamedTuple):
    """One entry of the directory as it stands there, but for sizes and offset from ZIP64."""

    maker: int
    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    attributes: int
    offset: int
    name: bytes
    extra: bytes
    broken: bool

    @property
    def is_directory(self) -> bool:
        return self.name.endswith(b"/") and b"\0" not in self.name


def _file_size(file: int | IO[bytes]) -> int:
    if isinstance(file, int):
        return os.fstat(file).st_size
    return file.seek(0, os.SEEK_END)


def _find_end(file: int | IO[bytes]) -> End:
    """The last end record that fits the file.

    Bytes may follow it (a medium's padding), and its signature may by chance stand in the
    comment: a record that fits no directory is passed over.
    """
    file_size = _file_size(file)
    base = max(file_size - END_WINDOW, 0)
    tail = read_at(file, file_size - base, base)
    refused: ArchiveRefused | None = None
    at = len(tail)
    while (at := tail.rfind(END_SIGNATURE, 0, at)) >= 0:
        if len(tail) - at < END.size:
            continue
        try:
            return _end_at(file, base + at, tail[at : at + END.size])
        except ArchiveRefused as error:
            refused = refused or error
    raise refused or ArchiveRefused(_why_without_end(file))


def _why_without_end(file: int | IO[bytes]) -> str:
    start = read_at(file, 4, 0)
    if start == SPLIT_SIGNATURE:
        return "archive_split"
    return "archive_truncated" if start == LOCAL_SIGNATURE else "not_a_zip"


def _end_at(file: int | IO[bytes], at: int, record: bytes) -> End:
    _, disk, directory_disk, _, count, size, offset, _ = END.unpack(record)
    stop = at
    end64 = _end64_before(file, at)
    if end64 is not None:
        stop, (disk, directory_disk, count, size, offset) = end64
    if disk or directory_disk:
        raise ArchiveRefused("archive_split")
    start = stop - size
    if start < 0 or (size and read_at(file, 4, start) != ENTRY_SIGNATURE):
        raise ArchiveRefused("archive_damaged")
    prefix = _true_prefix(file, start, stop, start - offset) if size else 0
    if prefix > 0 and read_at(file, 4, 0) == LOCAL_SIGNATURE:
        # What begins the file is another archive, cut short: this one is a member of it, or stands
        # in its comment.
        raise ArchiveRefused("archive_truncated")
    return End(start, stop, prefix, count)


def _end64_before(file: int | IO[bytes], at: int) -> tuple[int, tuple[int, ...]] | None:
    """Where the ZIP64 end record stands that belongs to the end record at `at`, and its values."""
    if at < LOCATOR.size:
        return None
    signature, _, offset, disks = LOCATOR.unpack(read_at(file, LOCATOR.size, at - LOCATOR.size))
    if signature != LOCATOR_SIGNATURE:
        return None
    if disks > 1:
        raise ArchiveRefused("archive_split")
    # After a prefix the declared offset is too small; as a rule the record stands right before.
    for place in (at - LOCATOR.size - END64.size, offset):
        if 0 <= place <= at - LOCATOR.size - END64.size:
            values = END64.unpack(read_at(file, END64.size, place))
            if values[0] == END64_SIGNATURE:
                return place, (values[4], values[5], *values[7:])
    raise ArchiveRefused("archive_damaged")


def _true_prefix(file: int | IO[bytes], start: int, stop: int, prefix: int) -> int:
    """How much to add to the entries' offsets.

    As a rule it is `prefix`, by which the directory itself is displaced. Where the directory's
    declared offset is wrong, it is 0, if the first entry's local header is found with that.
    """
    first = next(_entries(file, End(start, min(stop, start + ENTRY_MAX), 0, 1)))
    for candidate in (prefix, 0):
        place = first.offset + candidate
        if 0 <= place < start and read_at(file, 4, place) == LOCAL_SIGNATURE:
            return candidate
    return prefix


def _entries(file: int | IO[bytes], end: End) -> Iterator[_Entry]:
    """Every entry of the directory, in its order."""
    at, data, pos = end.start, b"", 0
    unpack, fixed = ENTRY.unpack_from, ENTRY.size
    while at + pos < end.stop:
        if len(data) - pos < ENTRY_MAX and at + len(data) < end.stop:
            at, data, pos = (
                at + pos,
                read_at(file, min(DIRECTORY_PIECE, end.stop - at - pos), at + pos),
                0,
            )
        if len(data) - pos < fixed:
            raise ArchiveRefused("archive_damaged")
        (
            signature, made_by, _, flags, method, _, _, crc, packed_size, size,
            name_length, extra_length, comment_length, _, _, attributes, offset,
        ) = unpack(data, pos)  # fmt: skip
        name_end = pos + fixed + name_length
        extra_end = name_end + extra_length
        name = data[pos + fixed : name_end]
        extra = data[name_end:extra_end]
        pos = extra_end + comment_length
        if signature != ENTRY_SIGNATURE or pos > len(data):
            raise ArchiveRefused("archive_damaged")
        broken = False
        if MAX_32 in (size, packed_size, offset):
            size, packed_size, offset, broken = _zip64(extra, size, packed_size, offset)
        yield _Entry(
            made_by >> 8, flags, method, crc, packed_size, size, attributes, offset,
            name, extra, broken,
        )  # fmt: skip


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of an entry's extra data, each an id and bytes, up to one that is cut short."""
    pos = 0
    while pos + 4 <= len(extra):
        field_id, length = struct.unpack_from("<2H", extra, pos)
        pos += 4
        if pos + length > len(extra):
            return
        yield field_id, extra[pos : pos + length]
        pos += length


def _zip64(extra: bytes, *values: int) -> tuple[int, int, int, bool]:
    """Size, packed size and offset, those over 32 bits taken from the ZIP64 field.

    APPNOTE 4.5.3: the field holds only the values that do not fit, in this order.
    """
    field = next((data for field_id, data in _extra_fields(extra) if field_id == EXTRA_ZIP64), b"")
    wanted = values.count(MAX_32)
    if len(field) < 8 * wanted:
        return 0, 0, 0, True
    large = iter(struct.unpack_from(f"<{wanted}Q", field))
    size, packed_size, offset = (next(large) if value == MAX_32 else value for value in values)
    if max(size, packed_size, offset) > MAX_OFFSET:
        return 0, 0, 0, True
    return size, packed_size, offset, False


class _Spans:
    """The bytes of the file that each entry claims, to find those claimed twice.

    A member's span is taken without its name and extra data, whose lengths are in the local
    header alone. So it is too short by at most 128 kB, which is too little to hide a bomb in.
    """

    def __init__(self) -> None:
        self.indexes, self.starts, self.stops = array("Q"), array("Q"), array("Q")
        self.reached = 0
        self.in_order = True

    def add(self, index: int, entry: _Entry) -> None:
        if not entry.packed_size or entry.broken:
            return
        stop = entry.offset + LOCAL.size + entry.packed_size
        if entry.offset < self.reached:
            self.in_order = False
        self.reached = stop
        self.indexes.append(index)
        self.starts.append(entry.offset)
        self.stops.append(stop)

    def check(self, file: int | IO[bytes], prefix: int) -> frozenset[int]:
        """The positions of entries that are broken; raises ArchiveRefused for fraud.

        A span that is listed twice is taken for a duplicate, three times for a bomb. Of two spans
        that overlap, one may be the result of damage: then its local header contradicts it.
        """
        if self.in_order:
            return frozenset()
        broken: set[int] = set()
        last, repeats = -1, 0
        for at in sorted(range(len(self.starts)), key=self.starts.__getitem__):
            if last >= 0 and self.starts[at] < self.stops[last]:
                same = self._span(at) == self._span(last)
                repeats = repeats + 1 if same else 0
                if same and repeats == 1:
                    continue
                if not self._is_borne_out(at, file, prefix):
                    broken.add(self.indexes[at])
                    continue
                if self._is_borne_out(last, file, prefix) or len(broken) >= MAX_BROKEN:
                    raise ArchiveRefused("archive_overlap")
                broken.add(self.indexes[last])
            last, repeats = at, 0
        return frozenset(broken)

    def _span(self, at: int) -> tuple[int, int]:
        return self.starts[at], self.stops[at]

    def _is_borne_out(self, at: int, file: int | IO[bytes], prefix: int) -> bool:
        """Whether a local header stands there and does not contradict the packed size."""
        place = self.starts[at] + prefix
        header = read_at(file, LOCAL.size, place) if place >= 0 else b""
        if len(header) < LOCAL.size or not header.startswith(LOCAL_SIGNATURE):
            return False
        _, _, flags, _, _, _, _, packed_size, _, _, _ = LOCAL.unpack(header)
        claimed = self.stops[at] - self.starts[at] - LOCAL.size
        return bool(flags & FLAG_DESCRIPTOR) or packed_size in (claimed, MAX_32)


def _possible_size(entry: _Entry, limits: Limits) -> int:
    """The bytes that reading a member can give; 0 for one that will be refused unread.

    Where packed data cannot grow to the declared size, that member fails, and no other.
    """
    if entry.broken or entry.flags & FLAG_ENCRYPTED or entry.size > limits.member:
        return 0
    growth = GROWTH.get(entry.method)
    return entry.size if growth is None or entry.size <= growth * entry.packed_size else 0


def _member(index: int, entry: _Entry, prefix: int, broken: bool) -> Member:
    return Member(
        index,
        _shown_name(entry),
        entry.size,
        entry.packed_size,
        entry.crc,
        entry.method,
        entry.flags,
        entry.offset + prefix,
        entry.attributes >> 16 if entry.maker in UNIX_MAKERS else 0,
        broken,
    )


def _shown_name(entry: _Entry) -> str:
    plain = entry.name.isascii() and UNICODE_PATH_ID not in entry.extra
    name = entry.name.decode() if plain else _decoded_name(entry)
    if not name.isprintable():
        name = NOT_ONE_LINE.sub("\N{REPLACEMENT CHARACTER}", name)
    if len(name) > SHOWN_LENGTH:
        half = SHOWN_LENGTH // 2
        name = f"{name[: half - 1]}…{name[-half:]}"
    return name or "(no name)"


def _decoded_name(entry: _Entry) -> str:
    if entry.flags & FLAG_UTF8:
        return entry.name.decode("utf-8", "replace")
    for field_id, data in _extra_fields(entry.extra):
        # Info-ZIP's Unicode Path, APPNOTE 4.6.9: it counts only while it belongs to this name.
        if field_id == EXTRA_UNICODE_PATH and data[1:5] == crc32(entry.name).to_bytes(4, "little"):
            return data[5:].decode("utf-8", "replace")
    try:
        return entry.name.decode()  # macOS writes UTF-8 and does not say so
    except UnicodeDecodeError:
        return entry.name.decode("cp437")
