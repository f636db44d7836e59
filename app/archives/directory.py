"""A ZIP archive's list of contents, checked once and then streamed.

`zipfile` keeps the whole list in memory (0.75 kB a member), reads members that overlap without
an error on Python before 3.11.8, and refuses an archive for one bad entry.
"""

import re
import stat
from array import array
from binascii import crc32
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, compress, dropwhile
from operator import not_, or_
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
    Entries,
    entries,
    extra_fields,
    read_at,
)
from .overflow import counted_on, find_longer

EXTRA_UNICODE_PATH = 0x7075
UNICODE_PATH_ID = EXTRA_UNICODE_PATH.to_bytes(2, "little")

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


# Member._make without its check of the number of values, which is a third of the time.
_member = partial(tuple.__new__, Member)


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
    kept: list[Entries]  # all of a short directory, which takes as long to read as to check

    def members(self, start: int = 0) -> Iterator[Member]:
        """The members in directory order, without directories, from position `start` on."""
        found = chain.from_iterable(self._batches(start))
        return dropwhile(lambda member: member.index < start, found)

    def _batches(self, start: int) -> Iterator[Iterator[Member]]:
        """The members in batches, from that on which holds position `start`."""
        first = 0
        for batch in self.kept or _entries(self.file, self.end, self.longer, self.modulus):
            positions = range(first, first + len(batch.names))
            first = positions.stop
            if start < first:
                yield self._members(positions, batch)

    def _members(self, positions: range, batch: Entries) -> Iterator[Member]:
        prefix = self.end.prefix
        values = zip(
            positions,
            _shown_names(batch),
            batch.sizes,
            batch.packed_sizes,
            batch.crcs,
            batch.methods,
            batch.flags,
            [offset + prefix for offset in batch.offsets],
            batch.modes,
            map(or_, batch.broken, map(self.broken.__contains__, positions)),
            _moduli(batch, self.modulus),
            strict=True,
        )
        return map(_member, compress(values, map(not_, batch.are_directories)))


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
    reached: int | None = 0
    kept: list[Entries] = []
    keeps = not end.overflowed and end.stop - end.start <= KEPT_BYTES
    for batch in _entries(file, end, longer, modulus):
        more_directories = sum(batch.are_directories)
        more = len(batch.names) - more_directories
        if max(count + more, directories + more_directories) > limits.members:
            count = _count_over(limits.members, count, directories, batch)
            raise ArchiveRefused(
                "too_many_members", count=max(end.count, count), limit=limits.members
            )
        count, directories = count + more, directories + more_directories
        total += _possible_size(batch, limits)
        if reached is not None:
            reached = _reached(batch, reached)
        if keeps:
            kept.append(batch)
    if count + directories < end.count:
        raise ArchiveRefused("archive_damaged")
    if not count:
        raise ArchiveRefused("archive_empty")
    broken: frozenset[int] = frozenset()
    if reached is None:
        broken = _Spans(kept or _entries(file, end, longer, modulus)).check(file, end.prefix)
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
) -> Iterator[Entries]:
    if end.overflowed:
        return counted_on(file, end, longer, modulus)
    return entries(file, end.start, end.stop)


def _count_over(most: int, count: int, directories: int, batch: Entries) -> int:
    """How many members there are up to the entry that is one too many.

    Parameters
    ----------
    count, directories
        Before this batch.
    """
    for is_directory in batch.are_directories:
        count, directories = count + (not is_directory), directories + is_directory
        if max(count, directories) > most:
            break
    return count


def _possible_size(batch: Entries, limits: Limits) -> int:
    """The bytes that reading members can give, without those that will be refused unread.

    Where packed data cannot grow to the declared size, that member fails, and no other.
    """
    most, growth = limits.member, GROWTH
    return sum(
        [
            size
            for size, packed_size, method, flags, broken, is_directory in zip(
                batch.sizes, batch.packed_sizes, batch.methods, batch.flags, batch.broken,
                batch.are_directories, strict=True,
            )
            if size <= most and not (is_directory or broken or flags & FLAG_ENCRYPTED)
            and (method not in growth or size <= growth[method] * packed_size)
        ]
    )  # fmt: skip


def _reached(batch: Entries, reached: int) -> int | None:
    """Where the last of these ends; None where one begins before the one before it ends."""
    fixed = LOCAL.size
    for offset, packed_size, broken in zip(
        batch.offsets, batch.packed_sizes, batch.broken, strict=True
    ):
        if packed_size and not broken:
            if offset < reached:
                return None
            reached = offset + fixed + packed_size
    return reached


class _Spans:
    """The bytes of the file that each entry claims, to find those claimed twice.

    None are, where each entry begins behind the end of the one before it (see `_reached`).

    A member's span is taken without its name and extra data, whose lengths are in the local
    header alone. So it is too short by at most 128 kB, which is too little to hide a bomb in.
    """

    def __init__(self, found: Iterable[Entries]) -> None:
        self.indexes, self.starts, self.stops = array("Q"), array("Q"), array("Q")
        first = 0
        for batch in found:
            for index, offset, packed_size, broken in zip(
                range(first, first + len(batch.names)),
                batch.offsets,
                batch.packed_sizes,
                batch.broken,
                strict=True,
            ):
                if packed_size and not broken:
                    self.indexes.append(index)
                    self.starts.append(offset)
                    self.stops.append(offset + LOCAL.size + packed_size)
            first += len(batch.names)

    def check(self, file: int | IO[bytes], prefix: int) -> frozenset[int]:
        """The positions of entries that are broken; raises ArchiveRefused for fraud.

        A span that is listed twice is taken for a duplicate, three times for a bomb. Of two spans
        that overlap, one may be the result of damage: then its local header contradicts it.
        """
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


def _moduli(batch: Entries, modulus: int) -> Sequence[int]:
    """For each the modulus, where packed data of its size can become more by one than declared."""
    growth = GROWTH[DEFLATE]
    if not 0 < modulus <= growth * max(batch.packed_sizes):
        return [0] * len(batch.names)
    return [
        modulus if method == DEFLATE and size < modulus <= growth * packed_size - size else 0
        for method, size, packed_size in zip(
            batch.methods, batch.sizes, batch.packed_sizes, strict=True
        )
    ]


def _shown_names(batch: Entries) -> list[str]:
    is_plain = b"".join(batch.names).isascii() and UNICODE_PATH_ID not in b"".join(batch.extras)
    names = (
        map(bytes.decode, batch.names)
        if is_plain
        else map(_decoded_name, batch.names, batch.flags, batch.extras)
    )
    return [
        name if name.isprintable() and 0 < len(name) <= SHOWN_LENGTH else _on_one_line(name)
        for name in names
    ]


def _on_one_line(name: str) -> str:
    name = NOT_ONE_LINE.sub("\N{REPLACEMENT CHARACTER}", name)
    if len(name) > SHOWN_LENGTH:
        half = SHOWN_LENGTH // 2
        name = f"{name[: half - 1]}…{name[-half:]}"
    return name or "(no name)"


def _decoded_name(name: bytes, flags: int, extra: bytes) -> str:
    if flags & FLAG_UTF8:
        return name.decode("utf-8", "replace")
    for field_id, data in extra_fields(extra):
        # Info-ZIP's Unicode Path, APPNOTE 4.6.9: it counts only while it belongs to this name.
        if field_id == EXTRA_UNICODE_PATH and data[1:5] == crc32(name).to_bytes(4, "little"):
            return data[5:].decode("utf-8", "replace")
    try:
        return name.decode()  # macOS writes UTF-8 and does not say so
    except UnicodeDecodeError:
        return name.decode("cp437")
