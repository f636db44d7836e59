"""One member of an archive -> its bytes, whole or in chunks, never more than it declares.

ISA-L inflates twice as fast as zlib; libdeflate, which inflates a member whole, is a seventh
faster still. Every decoder here is asked for a bounded number of bytes at a time, whatever the
packed data would grow to (`zipfile` bounds Deflate only).
"""

import lzma
import struct
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from deflate import DeflateError, deflate_decompress
from isal.igzip_lib import DECOMP_DEFLATE, IgzipDecompressor, IsalError
from isal.isal_zlib import crc32

from app.errors import MemberFailed
from app.wording import human_size

from .directory import Limits, Member
from .entries import (
    AES,
    BZIP2,
    DEFLATE,
    DEFLATE64,
    FLAG_ENCRYPTED,
    LOCAL,
    LOCAL_SIGNATURE,
    LZMA,
    STORED,
    read_at,
)
from .gzipped import GZIP, gzip_chunks

FLAG_STRONG_ENCRYPTION = 0x0040

UNPACKED_CHUNK = 1 << 20  # bytes
PACKED_CHUNK = 1 << 18  # bytes
LOCAL_EXTRA = 512  # bytes; the local header's name and extra data mostly take less
LZMA_DICTIONARY = 64 << 20  # bytes; what 7-Zip uses at its highest setting
# What the decoders raise for damaged data. IsalError: Deflate. ValueError: Deflate64. OSError and
# EOFError: bzip2. LZMAError, and struct.error for properties cut short: LZMA.
DECODER_ERRORS: tuple[type[Exception], ...] = (
    IsalError,  # type: ignore[assignment]  # isal declares its class as an instance
    *(ValueError, OSError, EOFError, lzma.LZMAError, struct.error),
)


class Decoder(Protocol):
    """What bz2, lzma and ISA-L's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def member_bytes(file: int | IO[bytes], member: Member, limits: Limits) -> bytes:
    """The whole of a small member, which must be as large as it declares.

    Raises
    ------
    MemberFailed
        Encrypted, packed in an unknown way, damaged, over the limit, or not of the size and
        checksum that the archive's directory declares.
    StorageFailed
        The disk could not be read.
    """
    in_one = member.method == DEFLATE and member.size > 0
    if not in_one or member.packed_size > member.size + PACKED_CHUNK:
        return b"".join(member_chunks(file, member._replace(modulus=0), limits))
    _check_readable(member, limits)
    guess = LOCAL.size + LOCAL_EXTRA + member.packed_size
    raw = read_at(file, guess, member.offset)
    start = _data_start(raw)
    packed = memoryview(raw)[start : start + member.packed_size]
    if start + member.packed_size > guess:
        packed = memoryview(read_at(file, member.packed_size, member.offset + start))
    if len(packed) < member.packed_size:
        raise MemberFailed("member_damaged")
    try:
        data = bytes(deflate_decompress(packed, member.size))
    except DeflateError:
        # Damaged, or larger than declared: reading it in chunks finds out which.
        return b"".join(member_chunks(file, member._replace(modulus=0), limits))
    _check_end(len(data), crc32(data), True, member)
    return data


def member_chunks(
    file: int | IO[bytes], member: Member, limits: Limits, chunk: int = UNPACKED_CHUNK
) -> Iterator[bytes]:
    """A member in chunks of at most `chunk` bytes; it raises what `member_bytes` does.

    Size and checksum are checked after the last chunk: until the iterator has ended without an
    error, the chunks may be wrong. Where the declared size is not exact, a member may grow to what
    `limits` leave: to the limit of one, and by as much as all together may still become.
    """
    _check_readable(member, limits)
    most = min(limits.member, member.size + limits.total) if member.modulus else member.size
    done = 0
    for data in _unpacked(file, member, most, chunk):
        done += len(data)
        if done > most:
            raise _grown_beyond(most, member, limits)
        yield data


def _unpacked(file: int | IO[bytes], member: Member, most: int, chunk: int) -> Iterator[bytes]:
    """The bytes of a member, cut off soon after `most`, and then its checks."""
    if member.method == GZIP:
        yield from gzip_chunks(file, member.packed_size, chunk)
        return
    header = read_at(file, LOCAL.size, member.offset)
    start = member.offset + _data_start(header)
    packed = _packed(file, start, member.packed_size)
    decoder = DECODERS[member.method](member.size)
    done = checksum = 0
    for data in _expand(decoder, packed, most, chunk):
        done += len(data)
        checksum = crc32(data, checksum)
        yield data
    _check_end(done, checksum, decoder.eof or member.method == STORED, member)


def _grown_beyond(most: int, member: Member, limits: Limits) -> MemberFailed:
    if not member.modulus:
        return MemberFailed("size_mismatch")
    if most < limits.member:
        return MemberFailed("upload_grows_too_large")
    return MemberFailed("member_too_large", limit=human_size(limits.member))


def _check_readable(member: Member, limits: Limits) -> None:
    if member.flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION) or member.method == AES:
        raise MemberFailed("encrypted")
    if member.method not in DECODERS and member.method != GZIP:
        raise MemberFailed("method_unsupported", method=member.method)
    if member.offset < 0:
        raise MemberFailed("part_missing")
    if member.broken:
        raise MemberFailed("member_damaged")
    if member.size > limits.member:
        raise MemberFailed("member_too_large", limit=human_size(limits.member))


def _data_start(header: bytes) -> int:
    """Where the packed data begin, counted from the start of the local header."""
    if len(header) < LOCAL.size or not header.startswith(LOCAL_SIGNATURE):
        raise MemberFailed("member_damaged")
    *_, name_length, extra_length = LOCAL.unpack_from(header)
    return int(LOCAL.size + name_length + extra_length)


def _packed(file: int | IO[bytes], start: int, size: int) -> Iterator[bytes]:
    stop = start + size
    for at in range(start, stop, PACKED_CHUNK):
        data = read_at(file, min(PACKED_CHUNK, stop - at), at)
        if len(data) < min(PACKED_CHUNK, stop - at):
            raise MemberFailed("member_damaged")
        yield data


def _expand(decoder: Decoder, packed: Iterator[bytes], size: int, chunk: int) -> Iterator[bytes]:
    """What the packed data grow to, cut off soon after `size` bytes."""
    left = size + 1
    for data in packed:
        while left > 0:
            out = _decoded(decoder, data, min(chunk, left))
            left -= len(out)
            if out:
                yield out
            data = b""
            if decoder.eof or left <= 0:
                return
            if decoder.needs_input or not out:
                break


def _decoded(decoder: Decoder, data: bytes, max_length: int) -> bytes:
    """The decoder's next bytes; nothing is read from a disk here, so OSError is damage, too."""
    try:
        return decoder.decompress(data, max_length)
    except DECODER_ERRORS as error:
        raise MemberFailed("member_damaged") from error


def _check_end(size: int, checksum: int, ended: bool, member: Member) -> None:
    if size < member.size and not ended:
        raise MemberFailed("member_damaged")
    if (size - member.size) % member.modulus if member.modulus else size != member.size:
        raise MemberFailed("size_mismatch")
    if checksum != member.crc:
        raise MemberFailed("crc_mismatch")


class _Stored:
    """Method 0: the bytes as they are."""

    eof = False

    def __init__(self) -> None:
        self.rest = b""

    @property
    def needs_input(self) -> bool:
        return not self.rest

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        data = self.rest + data
        self.rest = data[max_length:]
        return data[:max_length]


class _Deflate64:
    """Method 9, by a library whose calls do not bound what they return.

    Deflate64 can grow 29,000 times: a call is bounded by giving it a small piece of input.
    """

    PIECE = 256  # bytes, which become at most 8 MB

    def __init__(self) -> None:
        import inflate64  # here, since it takes as long to import as everything else together

        self.inflater = inflate64.Inflater()
        self.packed = b""
        self.rest = b""

    @property
    def eof(self) -> bool:
        return not self.rest and bool(self.inflater.eof)

    @property
    def needs_input(self) -> bool:
        return not self.rest and not self.packed

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        out = [self.rest]
        length = len(self.rest)
        self.packed += data
        at = 0
        while length < max_length and at < len(self.packed) and not self.inflater.eof:
            piece = self.inflater.inflate(self.packed[at : at + self.PIECE])
            out.append(piece)
            length += len(piece)
            at += self.PIECE
        self.packed = self.packed[at:]
        whole = b"".join(out)
        self.rest = whole[max_length:]
        return whole[:max_length]


class _LZMA:
    """Method 14, APPNOTE 5.8.8: version, length of the properties, properties, raw LZMA."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.decoder: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        return self.decoder is not None and self.decoder.eof

    @property
    def needs_input(self) -> bool:
        return self.decoder is None or self.decoder.needs_input

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self.decoder is None:
            properties, data = data[4:9], data[4 + int.from_bytes(data[2:4], "little") :]
            filters = [_lzma_filter(properties, self.size)]
            self.decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        return self.decoder.decompress(data, max_length)


def _lzma_filter(properties: bytes, size: int) -> dict[str, int]:
    """LZMA's five bytes: lc, lp and pb in one, then the size of the dictionary.

    The decoder allocates the dictionary at once, and the bytes may ask for 4 GB. No member needs
    a larger one than itself.
    """
    packed, dictionary = struct.unpack("<BL", properties)
    dictionary = max(min(dictionary, size), 4096)
    if dictionary > LZMA_DICTIONARY:
        raise MemberFailed("too_much_memory")
    rest, lc = divmod(packed, 9)
    pb, lp = divmod(rest, 5)
    return {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}


DECODERS: dict[int, Callable[[int], Decoder]] = {  # by method; made from the declared size
    STORED: lambda _: _Stored(),
    DEFLATE: lambda _: IgzipDecompressor(DECOMP_DEFLATE),
    DEFLATE64: lambda _: _Deflate64(),
    BZIP2: lambda _: BZ2Decompressor(),
    LZMA: _LZMA,
}
