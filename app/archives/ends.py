"""Where a ZIP archive's list of contents stands, from the record at its end."""

import struct
from dataclasses import dataclass
from typing import IO

from app.errors import ArchiveRefused

from .entries import (
    ENTRY,
    ENTRY_SIGNATURE,
    EXTENT,
    LOCAL_SIGNATURE,
    MAX_16,
    file_size,
    first_entry,
    read_at,
)

END_SIGNATURE = b"PK\x05\x06"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"
SPLIT_SIGNATURE = b"PK\x07\x08"  # begins the first part of a split archive, APPNOTE 8.5.3

END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
END_WINDOW = END.size + MAX_16  # the end record and the longest comment
MODULUS = 1 << 32  # of what numbers without ZIP64 can say
MOST_ENTRIES = 1_000_000  # that are looked at to find a directory


@dataclass(frozen=True, slots=True)
class End:
    """Where the directory is, from the end record, and what that says of it."""

    start: int  # of the directory, from the start of the file
    stop: int
    prefix: int  # bytes to add to every offset: what stands before the archive
    count: int  # entries, as declared
    is_64: bool  # a ZIP64 record says so
    overflowed: bool  # its offset lacks a multiple of 2^32, as it may without a ZIP64 record


def find_end(file: int | IO[bytes], modulus: int = MODULUS) -> End:
    """The last end record that fits the file.

    Bytes may follow it (a medium's padding), and its signature may by chance stand in the
    comment: a record that fits no directory is passed over.
    """
    size = file_size(file)
    base = max(size - END_WINDOW, 0)
    tail = read_at(file, size - base, base)
    refused: ArchiveRefused | None = None
    at = len(tail)
    while (at := tail.rfind(END_SIGNATURE, 0, at)) >= 0:
        if len(tail) - at < END.size:
            continue
        try:
            # Only the last is worth a search: each further one would cost another.
            return _end_at(file, base + at, tail[at : at + END.size], modulus, refused is None)
        except ArchiveRefused as error:
            refused = refused or error
    raise refused or ArchiveRefused(_why_without_end(file))


def _why_without_end(file: int | IO[bytes]) -> str:
    start = read_at(file, 4, 0)
    if start == SPLIT_SIGNATURE:
        return "archive_split"
    return "archive_truncated" if start == LOCAL_SIGNATURE else "not_a_zip"


def _end_at(file: int | IO[bytes], at: int, record: bytes, modulus: int, searching: bool) -> End:
    _, disk, directory_disk, _, count, size, offset, _ = END.unpack(record)
    stop = at
    end64 = _end64_before(file, at)
    if end64 is not None:
        stop, (disk, directory_disk, count, size, offset) = end64
    if disk or directory_disk:
        raise ArchiveRefused("archive_split")
    start = stop - size
    is_there = _is_entry(file, start)
    if searching and start != offset < stop and _is_entry(file, offset):
        found = _end_of_entries(file, offset, stop, count)
        if found == stop or (found and not is_there):
            start, stop, is_there = offset, found, True
    if not is_there and (size or count):
        raise ArchiveRefused("archive_damaged")
    lacks = start - offset
    overflowed = is_there and end64 is None and lacks > 0 and lacks % modulus == 0
    prefix = _true_prefix(file, start, stop, lacks, overflowed) if is_there else 0
    if prefix > 0 and read_at(file, 4, 0) == LOCAL_SIGNATURE:
        # What begins the file is another archive, cut short: this one is a member of it, or stands
        # in its comment.
        raise ArchiveRefused("archive_truncated")
    return End(start, stop, prefix, count, end64 is not None, overflowed and not prefix)


def _is_entry(file: int | IO[bytes], place: int) -> bool:
    return place >= 0 and read_at(file, 4, place) == ENTRY_SIGNATURE


def _end_of_entries(file: int | IO[bytes], start: int, stop: int, count: int) -> int:
    """Where the entries from `start` on end, if they are as many as declared; else 0.

    So the directory is found where its size is declared wrong.
    """
    place = start
    for _ in range(min(count, MOST_ENTRIES)):
        entry = read_at(file, ENTRY.size, place)
        if len(entry) < ENTRY.size or not entry.startswith(ENTRY_SIGNATURE):
            return 0
        _, *lengths = EXTENT.unpack_from(entry)
        place += ENTRY.size + sum(lengths)
    return 0 if place > stop or _is_entry(file, place) else place


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


def _true_prefix(
    file: int | IO[bytes], start: int, stop: int, prefix: int, overflowed: bool
) -> int:
    """How much to add to the entries' offsets.

    As a rule it is `prefix`, by which the directory itself is displaced. Where the directory's
    declared offset is wrong, it is 0, if the first entry's local header is found with that.
    """
    first = first_entry(file, start, stop)
    for candidate in (0, prefix) if overflowed else (prefix, 0):
        place = first.offset + candidate
        if 0 <= place < start and read_at(file, 4, place) == LOCAL_SIGNATURE:
            return candidate
    return prefix
