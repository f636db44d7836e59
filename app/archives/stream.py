"""Members -> a ZIP that is sent while it is made, stored, and of a length that is known before.

What was read whole before it is sent has its CRC-32 in front of it. What is only read once, while
it is sent, has it in a data descriptor behind (APPNOTE 4.3.9); its sizes, which are known, stand in
front all the same, so that who unpacks a stream finds where stored bytes end. Whoever reads the
list of contents, as nearly all do, finds everything there.
"""

import struct
from collections.abc import Iterator
from datetime import datetime
from typing import IO, NamedTuple

from .ends import END, END64, END64_SIGNATURE, END_SIGNATURE, LOCATOR, LOCATOR_SIGNATURE
from .entries import (
    ENTRY,
    ENTRY_SIGNATURE,
    EXTRA_ZIP64,
    FLAG_DESCRIPTOR,
    FLAG_UTF8,
    LOCAL,
    LOCAL_SIGNATURE,
    MAX_16,
    MAX_32,
    STORED,
)

DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
DESCRIPTOR, DESCRIPTOR64 = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")
VERSION, VERSION64 = 20, 45  # that is needed to unpack it
UNIX = 3 << 8
ORDINARY_FILE = 0o100644 << 16  # of Unix: its owner writes it, all read it
PIECE = 1 << 18  # bytes


class Length:
    """How long a ZIP of such members will be."""

    def __init__(self) -> None:
        self._offset = self._entries = self._count = 0

    def add(self, name: int, size: int, described: bool) -> None:
        """One more member: the length of its name, its size, whether a descriptor follows it."""
        self._entries += ENTRY.size + name + _entry_extra(size, self._offset)
        self._offset += _overhead(name, size, described) + size
        self._count += 1

    @property
    def total(self) -> int:
        return self._offset + self._entries + _end_size(self._offset, self._entries, self._count)


class Stream:
    """A ZIP that is being written; who writes it sends what each method returns, in order.

    Parameters
    ----------
    directory
        An empty file, where the list of contents waits until the end.
    modified
        What every member is dated by; a ZIP's times have no zone.
    """

    def __init__(self, directory: IO[bytes], modified: datetime) -> None:
        self._directory = directory
        self._date = (max(modified.year - 1980, 0) << 9) + (modified.month << 5) + modified.day
        self._time = (modified.hour << 11) + (modified.minute << 5) + modified.second // 2
        self._open: _Open | None = None
        self._entries = self._count = 0
        self.offset = 0  # bytes sent, once what was returned is

    def begin(self, name: str, size: int, crc: int | None = None) -> bytes:
        """What stands before a member's bytes; `end_member` follows them.

        Parameters
        ----------
        crc
            None where it is known behind them only.
        """
        assert self._open is None
        encoded = name.encode()
        flags = (0 if crc is not None else FLAG_DESCRIPTOR) | (0 if name.isascii() else FLAG_UTF8)
        self._open = _Open(encoded, size, flags, self.offset, crc)
        is_large = size >= MAX_32
        extra = struct.pack("<2H2Q", EXTRA_ZIP64, 16, size, size) if is_large else b""
        shown = min(size, MAX_32)
        header = LOCAL.pack(
            LOCAL_SIGNATURE, VERSION64 if is_large else VERSION, flags, STORED, self._time,
            self._date, crc or 0, shown, shown, len(encoded), len(extra),
        )  # fmt: skip
        self.offset += len(header) + len(encoded) + len(extra) + size
        return header + encoded + extra

    def end_member(self, crc: int) -> bytes:
        """What stands behind a member's bytes, of which there were as many as was said."""
        assert self._open is not None
        member, self._open = self._open, None
        self._note(member, crc)
        if member.crc is not None:
            return b""
        pack = DESCRIPTOR64 if member.size >= MAX_32 else DESCRIPTOR
        self.offset += pack.size
        return pack.pack(DESCRIPTOR_SIGNATURE, crc, member.size, member.size)

    def room(self, total: int, *names: str) -> int:
        """How many bytes members of these names may have together in a ZIP of some length."""
        used = self.offset + self._entries + END.size + END64.size + LOCATOR.size
        around = sum(LOCAL.size + ENTRY.size + 2 * len(name.encode()) for name in names)
        return total - used - around

    def end(self, total: int | None = None) -> Iterator[bytes]:
        """The list of contents; nulls stand before it where the whole is to be of some length."""
        assert self._open is None
        offset = total - self._entries - END.size if total else self.offset
        is_large = _is_large(offset, self._entries, self._count)
        if total and is_large:
            offset -= END64.size + LOCATOR.size
        while self.offset < offset:
            piece = bytes(min(offset - self.offset, PIECE))
            self.offset += len(piece)
            yield piece
        self._directory.seek(0)
        while piece := self._directory.read(PIECE):
            yield piece
        yield _end(self.offset, self._entries, self._count, is_large)

    def _note(self, member: "_Open", crc: int) -> None:
        values = [one for one in (member.size, member.size, member.offset) if one >= MAX_32]
        extra = b""
        if values:
            extra = struct.pack(f"<2H{len(values)}Q", EXTRA_ZIP64, 8 * len(values), *values)
        size = min(member.size, MAX_32)
        version = VERSION64 if values else VERSION
        entry = ENTRY.pack(
            ENTRY_SIGNATURE, UNIX | version, version, member.flags, STORED, self._time, self._date,
            crc, size, size, len(member.name), len(extra), 0, 0, 0, ORDINARY_FILE,
            min(member.offset, MAX_32),
        )  # fmt: skip
        self._directory.write(entry + member.name + extra)
        self._entries += len(entry) + len(member.name) + len(extra)
        self._count += 1


class _Open(NamedTuple):
    """The member whose bytes are being sent."""

    name: bytes
    size: int
    flags: int
    offset: int
    crc: int | None


def _overhead(name: int, size: int, described: bool) -> int:
    """What stands around a member's bytes."""
    is_large = size >= MAX_32
    descriptor = (DESCRIPTOR64 if is_large else DESCRIPTOR).size if described else 0
    return LOCAL.size + name + (20 if is_large else 0) + descriptor


def _entry_extra(size: int, offset: int) -> int:
    large = 2 * (size >= MAX_32) + (offset >= MAX_32)
    return 4 + 8 * large if large else 0


def _is_large(offset: int, entries: int, count: int) -> bool:
    return count >= MAX_16 or offset >= MAX_32 or entries >= MAX_32


def _end_size(offset: int, entries: int, count: int) -> int:
    return END.size + (END64.size + LOCATOR.size if _is_large(offset, entries, count) else 0)


def _end(offset: int, entries: int, count: int, is_large: bool) -> bytes:
    end64 = b""
    if is_large:
        end64 = END64.pack(
            END64_SIGNATURE, END64.size - 12, UNIX | VERSION64, VERSION64, 0, 0, count, count,
            entries, offset,
        ) + LOCATOR.pack(LOCATOR_SIGNATURE, 0, offset + entries, 1)  # fmt: skip
    return end64 + END.pack(
        END_SIGNATURE, 0, 0, min(count, MAX_16), min(count, MAX_16), min(entries, MAX_32),
        MAX_32 if is_large else offset, 0,
    )  # fmt: skip
