"""A gzip file (RFC 1952) as an archive of one member, whose size nobody knows before its end.

As gzip does, several gzip members behind each other are one file, and zeros or other bytes behind
them do not count. Checksum and size stand behind each, and zlib checks both. (ISA-L, which is
faster, misreads headers that are cut between two pieces.)
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from app.errors import ArchiveRefused, MemberFailed

from .directory import Limits, Member
from .entries import file_size, read_at

GZIP_SIGNATURE = b"\x1f\x8b\x08"  # and its one compression method, Deflate
GZIP = -1  # in a compression method's place
WITH_HEADER = 31  # zlib's word for gzip
PACKED_PIECE = 1 << 16  # bytes
STEP = 256  # bytes


@dataclass(frozen=True, slots=True)
class Gzip:
    """A gzip file where an archive is asked for its members."""

    member: Member
    member_count: int = 1
    total_size: int = 0  # bytes, as declared: unknown

    def members(self) -> Iterator[Member]:
        yield self.member


def open_gzip(file: int | IO[bytes], name: str, limits: Limits) -> Gzip:
    """A gzip file, its member called as the file is, without ".gz".

    The name that it may hold itself is left alone: it may be an older one, or somebody else's.

    Raises
    ------
    ArchiveRefused
        The upload may hold no more members.
    """
    if limits.members < 1:
        raise ArchiveRefused("too_many_members", count=1, limit=0)
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = last[:-3] if last.lower().endswith(".gz") else last
    member = Member(
        index=0,
        name=plain or last,
        size=0,
        packed_size=file_size(file),
        crc=0,
        method=GZIP,
        flags=0,
        offset=0,
        mode=0,
        broken=False,
        modulus=1,  # so it may have any size
    )
    return Gzip(member)


def gzip_beginning(packed: bytes, size: int) -> bytes:
    """Up to `size` of the first bytes in a gzip file; fewer where it is damaged before."""
    decoder = zlib.decompressobj(WITH_HEADER)
    found = b""
    with suppress(zlib.error):
        while len(found) < size and (more := decoder.decompress(packed, STEP)):
            found += more
            packed = decoder.unconsumed_tail
    return found


def gzip_chunks(file: int | IO[bytes], size: int, chunk: int) -> Iterator[bytes]:
    """What a gzip file of `size` bytes holds, in chunks of at most `chunk` bytes.

    Raises
    ------
    MemberFailed
        gzip_damaged.
    """
    decoder = None
    packed = b""
    for at in range(0, size, PACKED_PIECE):
        packed += read_at(file, min(PACKED_PIECE, size - at), at)
        while True:
            if decoder is None:
                packed = packed.lstrip(b"\0")
                if len(packed) < len(GZIP_SIGNATURE):
                    break
                if not packed.startswith(GZIP_SIGNATURE):
                    return
                decoder = zlib.decompressobj(WITH_HEADER)
            try:
                data = decoder.decompress(packed, chunk)
            except zlib.error as error:
                raise MemberFailed("gzip_damaged") from error
            if data:
                yield data
            packed = decoder.unused_data or decoder.unconsumed_tail
            if decoder.eof:
                decoder = None
            elif not data:
                break
    if decoder is not None:
        raise MemberFailed("gzip_damaged")
