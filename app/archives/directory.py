"""A ZIP archive's list of contents, checked once and then streamed.

`zipfile` keeps the whole list in memory (0.75 kB a member), reads members that overlap without
an error on Python before 3.11.8, and refuses an archive for one bad entry.
"""

import re
import stat
from array import array
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, NamedTuple

from app.errors import ArchiveRefused
from app.wording import human_size

from .ends import MODULUS, End, find_end
from .entries import (
    DEFLATE,
    FLAG_DESCRIPTOR,
    FLAG_ENCRYPTED,
    FLAG_UTF8,
    LOCAL,
    LOCAL_SIGNATURE,
    MAX_32,
    STORED,
    Entry,
    entries,
    extra_fields,
    read_at,
)
from .overflow import counted_on, find_longer

EXTRA_UNICODE_PATH = 0x7075
UNICODE_PATH_ID = EXTRA_UNICODE_PATH.to_bytes(2, "little")
UNIX_MAKERS = (3, 19)  # Unix and macOS put the file's mode into the external attributes

# How many times larger the packed data can become; Deflate makes 258 bytes of 2 bits.
GROWTH = {STORED: 1, DEFLATE: 1032}
MAX_BROKEN = 1000  # with more, damage cannot be distinguished from fraud

KEPT_BYTES = 1 << 20  # of a directory; in memory they become six times as many
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
    modulus: int  # its size may be larger by a multiple of this; 0 where it is exact

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose directory was read and not refused. The caller closes the file."""

    file: int | IO[bytes]
    end: End
    member_count: int  # without directories
    total_size: int  # bytes, unpacked, of the members whose declared size is possible
    broken: frozenset[int]  # positions whose entry and local header contradict each other
    modulus: int  # of what the directory can say; 0 with ZIP64, where it can say all
    longer: dict[int, int]  # by position: what packed sizes lack, where the directory overflowed
    kept: list[Entry]  # all of a short directory, which takes as long to read as to check

    def members(self, start: int = 0) -> Iterator[Member]:
        """The members in directory order, without directories, from position `start` on."""
        prefix, broken, modulus = self.end.prefix, self.broken, self.modulus
        found = self.kept or _entries(self.file, self.end, self.longer, modulus)
        for index, entry in enumerate(found):
            if index >= start and not entry.is_directory:
                yield _member(index, entry, prefix, entry.broken or index in broken, modulus)


def open_archive(file: int | IO[bytes], limits: Limits, modulus: int = MODULUS) -> Archive:
    """Read and check the directory of an archive; its members' data are not touched.

    Parameters
    ----------
    file
        A descriptor, or a file open for reading in binary and seekable.
    modulus
        Of the numbers in a directory without ZIP64 records.

    Raises
    ------
    ArchiveRefused
        Not a ZIP, cut short, split, damaged, empty, over a limit, or with overlapping members.
    StorageFailed
        The disk could not be read.
    """
    end = find_end(file, modulus)
    modulus = 0 if end.is_64 else modulus
    longer = find_longer(file, end, modulus, 2 * limits.members) if end.overflowed else {}
    if longer is None:
        raise ArchiveRefused("archive_overflowed")
    count = total = directories = 0
    spans = _Spans()
    kept: list[Entry] = []
    keeps = not end.overflowed and end.stop - end.start <= KEPT_BYTES
    for index, entry in enumerate(_entries(file, end, longer, modulus)):
        spans.add(index, entry)
        if keeps:
            kept.append(entry)
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
    return Archive(file, end, count, total, broken, modulus, longer, kept)


def looks_like_zip(file: int | IO[bytes]) -> bool:
    """True where the file ends as a ZIP does; the cheap check for the upload form.

    Raises
    ------
    ArchiveRefused
        It does not: not_a_zip, archive_truncated, archive_split or archive_damaged.
    """
    find_end(file)
    return True


def _entries(
    file: int | IO[bytes], end: End, longer: dict[int, int], modulus: int
) -> Iterator[Entry]:
    if end.overflowed:
        return counted_on(file, end, longer, modulus)
    return entries(file, end.start, end.stop)


class _Spans:
    """The bytes of the file that each entry claims, to find those claimed twice.

    A member's span is taken without its name and extra data, whose lengths are in the local
    header alone. So it is too short by at most 128 kB, which is too little to hide a bomb in.
    """

    def __init__(self) -> None:
        self.indexes, self.starts, self.stops = array("Q"), array("Q"), array("Q")
        self.reached = 0
        self.in_order = True

    def add(self, index: int, entry: Entry) -> None:
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


def _possible_size(entry: Entry, limits: Limits) -> int:
    """The bytes that reading a member can give; 0 for one that will be refused unread.

    Where packed data cannot grow to the declared size, that member fails, and no other.
    """
    if entry.broken or entry.flags & FLAG_ENCRYPTED or entry.size > limits.member:
        return 0
    growth = GROWTH.get(entry.method)
    return entry.size if growth is None or entry.size <= growth * entry.packed_size else 0


def _member(index: int, entry: Entry, prefix: int, broken: bool, modulus: int) -> Member:
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
        modulus if entry.packed_size << 11 > modulus > 0 and _may_be_longer(entry, modulus) else 0,
    )


def _may_be_longer(entry: Entry, modulus: int) -> bool:
    """Whether packed data of this size can become more by a modulus than is declared."""
    grown = GROWTH[DEFLATE] * entry.packed_size
    return entry.method == DEFLATE and entry.size < modulus <= grown - entry.size


def _shown_name(entry: Entry) -> str:
    plain = entry.name.isascii() and UNICODE_PATH_ID not in entry.extra
    name = entry.name.decode() if plain else _decoded_name(entry)
    if not name.isprintable():
        name = NOT_ONE_LINE.sub("\N{REPLACEMENT CHARACTER}", name)
    if len(name) > SHOWN_LENGTH:
        half = SHOWN_LENGTH // 2
        name = f"{name[: half - 1]}…{name[-half:]}"
    return name or "(no name)"


def _decoded_name(entry: Entry) -> str:
    if entry.flags & FLAG_UTF8:
        return entry.name.decode("utf-8", "replace")
    for field_id, data in extra_fields(entry.extra):
        # Info-ZIP's Unicode Path, APPNOTE 4.6.9: it counts only while it belongs to this name.
        if field_id == EXTRA_UNICODE_PATH and data[1:5] == crc32(entry.name).to_bytes(4, "little"):
            return data[5:].decode("utf-8", "replace")
    try:
        return entry.name.decode()  # macOS writes UTF-8 and does not say so
    except UnicodeDecodeError:
        return entry.name.decode("cp437")
