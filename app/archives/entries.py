"""The entries of a ZIP archive's list of contents, as they stand there.

The central directory of APPNOTE.TXT, the ZIP specification, read with `struct`, in pieces.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import add
from typing import IO, NamedTuple

from app.errors import ArchiveRefused, disk_failure

LOCAL_SIGNATURE = b"PK\x03\x04"
ENTRY_SIGNATURE = b"PK\x01\x02"

ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
# Of an entry: its signature, and the lengths of its name, extra data and comment.
EXTENT = struct.Struct("<4s24x3H")
# The rest that is read: of the version made by and of the external attributes the upper half.
READ = struct.Struct("<5xB2x2H4x3L2H8xHL")

MAX_16 = 0xFFFF
MAX_32 = 0xFFFFFFFF
MAX_OFFSET = 1 << 62  # so that the sum of two fits where a file's offset must
ENTRY_MAX = ENTRY.size + 3 * MAX_16
DIRECTORY_PIECE = 1 << 20  # bytes that are read at a time
# Bytes of entries that make a batch: so few entries that Python's garbage collector does not go
# through them while they are read, which would take a tenth longer.
BATCH = 1 << 15

FLAG_ENCRYPTED = 0x0001
FLAG_DESCRIPTOR = 0x0008  # the local header's sizes are in a descriptor behind the data
FLAG_UTF8 = 0x0800
EXTRA_ZIP64 = 0x0001

UNIX_MAKERS = (3, 19)  # Unix and macOS put the file's mode into the external attributes

STORED, DEFLATE, DEFLATE64, BZIP2, LZMA = 0, 8, 9, 12, 14  # compression methods, APPNOTE 4.4.5
AES = 99  # in a method's place: the WinZip AE-x encryption


class Entry(NamedTuple):
    """One entry of the directory as it stands there, but for sizes and offset from ZIP64."""

    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    mode: int  # Unix mode, or 0
    offset: int
    name: bytes
    extra: bytes
    broken: bool
    is_directory: bool


class Entries(NamedTuple):
    """Entries that follow each other, by columns: of each field of an Entry the values of all.

    What is done with all of them takes less than half of the time, done with a column at a time.
    """

    flags: Sequence[int]
    methods: Sequence[int]
    crcs: Sequence[int]
    packed_sizes: Sequence[int]
    sizes: Sequence[int]
    modes: Sequence[int]
    offsets: Sequence[int]
    names: Sequence[bytes]
    extras: Sequence[bytes]
    broken: Sequence[bool]
    are_directories: Sequence[bool]

    def one_by_one(self) -> Iterator[Entry]:
        return map(Entry._make, zip(*self, strict=True))


def entries(file: int | IO[bytes], start: int, stop: int) -> Iterator[Entries]:
    """Every entry of a directory, in its order, by batches.

    Raises
    ------
    ArchiveRefused
        After the entries before it: one is cut short, or is none.
    """
    while start < stop:
        piece = read_at(file, min(DIRECTORY_PIECE, stop - start), start)
        places, end = _places(piece, 0, BATCH)
        if not places:
            raise ArchiveRefused("archive_damaged")
        while places:
            yield _columns(piece, places)
            places, end = _places(piece, end, BATCH)
        start += end


def first_entry(file: int | IO[bytes], start: int, stop: int) -> Entry:
    """The first entry of a directory; raises ArchiveRefused as `entries` does."""
    piece = read_at(file, min(ENTRY_MAX, stop - start), start)
    places, _ = _places(piece, 0, 1)
    if not places:
        raise ArchiveRefused("archive_damaged")
    return next(_columns(piece, places).one_by_one())


def _places(piece: bytes, pos: int, within: int) -> tuple[list[int], int]:
    """Where whole entries begin, one behind the other from `pos` on, and where the last ends.

    Parameters
    ----------
    within
        Bytes from `pos` on, in which they begin.
    """
    places: list[int] = []
    append, unpack = places.append, EXTENT.unpack_from
    signature, fixed, length = ENTRY_SIGNATURE, ENTRY.size, len(piece)
    last = min(pos + within - 1, length - fixed)
    while pos <= last:
        begins, name_length, extra_length, comment_length = unpack(piece, pos)
        end = pos + fixed + name_length + extra_length + comment_length
        if begins != signature or end > length:
            break
        append(pos)
        pos = end
    return places, pos


def _columns(piece: bytes, places: list[int]) -> Entries:
    """The entries that begin at these places."""
    (
        makers, flags, methods, crcs, packed_sizes, sizes, name_lengths, extra_lengths,
        attributes, offsets,
    ) = zip(*map(READ.unpack_from, repeat(piece), places), strict=True)  # fmt: skip
    starts = [place + ENTRY.size for place in places]
    stops = list(map(add, starts, name_lengths))
    names = [piece[start:stop] for start, stop in zip(starts, stops, strict=True)]
    extras = [
        piece[stop : stop + length] if length else b""
        for stop, length in zip(stops, extra_lengths, strict=True)
    ]
    broken: Sequence[bool] = (False,) * len(places)
    if MAX_32 in sizes or MAX_32 in packed_sizes or MAX_32 in offsets:
        sizes, packed_sizes, offsets, broken = zip(
            *map(_zip64, extras, sizes, packed_sizes, offsets), strict=True
        )
    modes = [
        attribute if maker in UNIX_MAKERS else 0
        for maker, attribute in zip(makers, attributes, strict=True)
    ]
    are_directories = [name[-1:] == b"/" and b"\0" not in name for name in names]
    return Entries(
        flags, methods, crcs, packed_sizes, sizes, modes, offsets, names, extras, broken,
        are_directories,
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
