"""The entries of a ZIP archive's list of contents, as they stand there.

The central directory of APPNOTE.TXT, the ZIP specification, read with `struct`, in pieces.
"""

import os
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from app.errors import ArchiveRefused, disk_failure

LOCAL_SIGNATURE = b"PK\x03\x04"
ENTRY_SIGNATURE = b"PK\x01\x02"

ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
MAX_OFFSET = 1 << 62  # so that the sum of two fits where a file's offset must
ENTRY_MAX = ENTRY.size + 3 * MAX_16
DIRECTORY_PIECE = 1 << 20  # bytes that are read at a time

FLAG_ENCRYPTED = 0x0001
FLAG_DESCRIPTOR = 0x0008  # the local header's sizes are in a descriptor behind the data
FLAG_UTF8 = 0x0800
EXTRA_ZIP64 = 0x0001

STORED, DEFLATE, DEFLATE64, BZIP2, LZMA = 0, 8, 9, 12, 14  # compression methods, APPNOTE 4.4.5
AES = 99  # in a method's place: the WinZip AE-x encryption


class Entry(NamedTuple):
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


def entries(file: int | IO[bytes], start: int, stop: int) -> Iterator[Entry]:
    """Every entry of a directory, in its order."""
    at, data, pos = start, b"", 0
    unpack, fixed = ENTRY.unpack_from, ENTRY.size
    while at + pos < stop:
        if len(data) - pos < ENTRY_MAX and at + len(data) < stop:
            at, data, pos = (
                at + pos,
                read_at(file, min(DIRECTORY_PIECE, stop - at - pos), at + pos),
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
        yield Entry(
            made_by >> 8, flags, method, crc, packed_size, size, attributes, offset,
            name, extra, broken,
        )  # fmt: skip


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of an entry's extra data, each an id and bytes, up to one that is cut short."""
    pos = 0
    while pos + 4 <= len(extra):
        field_id, length = struct.unpack_from("<2H", extra, pos)
        pos += 4
        if pos + length > len(extra):
            return
        yield field_id, extra[pos : pos + length]
        pos += length


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


def file_size(file: int | IO[bytes]) -> int:
    if isinstance(file, int):
        return os.fstat(file).st_size
    return file.seek(0, os.SEEK_END)


def _zip64(extra: bytes, *values: int) -> tuple[int, int, int, bool]:
    """Size, packed size and offset, those over 32 bits taken from the ZIP64 field.

    APPNOTE 4.5.3: the field holds only the values that do not fit, in this order.
    """
    field = next((data for field_id, data in extra_fields(extra) if field_id == EXTRA_ZIP64), b"")
    wanted = values.count(MAX_32)
    if len(field) < 8 * wanted:
        return 0, 0, 0, True
    large = iter(struct.unpack_from(f"<{wanted}Q", field))
    size, packed_size, offset = (next(large) if value == MAX_32 else value for value in values)
    if max(size, packed_size, offset) > MAX_OFFSET:
        return 0, 0, 0, True
    return size, packed_size, offset, False
