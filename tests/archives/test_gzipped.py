"""gzip files: what gzip reads of them, within limits, and one answer for damage."""

import gzip
import io
import random
import struct
import tracemalloc
import zlib

import pytest

from app.archives.directory import Limits
from app.archives.gzipped import gzip_beginning, gzip_chunks, open_gzip
from app.archives.inflate import member_chunks
from app.errors import ArchiveRefused, MemberFailed

LIMITS = Limits()
DATA = random.Random(1).randbytes(40_000) + bytes(300_000)
PACKED = gzip.compress(DATA, mtime=0)


def content(packed: bytes, limits: Limits = LIMITS) -> bytes:
    file = io.BytesIO(packed)
    (member,) = open_gzip(file, "a.gz", limits).members()
    return b"".join(member_chunks(file, member, limits))


def refusal(packed: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(MemberFailed) as failed:
        content(packed, limits)
    assert failed.value.sentence
    return failed.value.code


def with_fields(flags: int, padding: int) -> bytes:
    """A gzip file whose header has the optional fields of RFC 1952 that its flags name."""
    header = b"\x1f\x8b\x08" + struct.pack("<BLBB", flags, 0, 0, 3)
    if flags & 4:
        header += struct.pack("<H", padding) + bytes(padding)
    if flags & 8:
        header += b"other name" * (padding // 10) + b"\0"
    if flags & 16:
        header += b"comment\0"
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + PACKED[10:]


@pytest.mark.parametrize("behind", [b"", bytes(3), bytes(70_000), b"rubbish", b"\x1f", b"\0\0PK"])
def test_what_stands_behind_does_not_count(behind):
    assert content(PACKED + behind) == DATA


@pytest.mark.parametrize("between", [0, 1, 600, 65_530, 65_536])
def test_several_pieces_are_one_file(between):
    """Zeros may stand between them, as a tape leaves them."""
    assert content(PACKED + bytes(between) + PACKED + PACKED) == 3 * DATA


@pytest.mark.parametrize("flags", range(0, 32, 2))
@pytest.mark.parametrize("padding", [10, 65_500])
def test_fields_of_the_header_are_passed_over(flags, padding):
    packed = with_fields(flags, padding)
    assert content(packed) == DATA
    assert content(PACKED + packed) == 2 * DATA


def test_chunks_are_as_small_as_asked_for():
    file = io.BytesIO(PACKED + PACKED)
    chunks = list(gzip_chunks(file, 2 * len(PACKED), 1_000))
    assert b"".join(chunks) == 2 * DATA
    assert max(map(len, chunks)) <= 1_000


def test_what_is_cut_short_is_damaged():
    for end in (*range(3, 40), 10_000, len(PACKED) - 8, len(PACKED) - 1):
        assert refusal(PACKED[:end]) == "gzip_damaged"
        assert refusal(PACKED + PACKED[:end]) == "gzip_damaged"


@pytest.mark.parametrize("at", [-8, -1, 30_000, 15])
def test_a_checksum_or_a_size_that_does_not_fit_is_damage(at):
    broken = bytearray(PACKED)
    broken[at] ^= 1
    assert refusal(bytes(broken)) == "gzip_damaged"


def test_limits_count_what_comes_out():
    assert refusal(PACKED, Limits(member=339_999)) == "member_too_large"
    assert refusal(PACKED, Limits(total=339_999)) == "upload_grows_too_large"
    assert content(PACKED, Limits(member=340_000, total=340_000)) == DATA
    with pytest.raises(ArchiveRefused, match="too_many_members"):
        content(PACKED, Limits(members=0))


def test_what_it_grows_to_is_never_held():
    zeros = gzip.compress(bytes(50 << 20), mtime=0)
    file = io.BytesIO(zeros)
    (member,) = open_gzip(file, "a.gz", LIMITS).members()
    tracemalloc.start()
    size = sum(map(len, member_chunks(file, member, LIMITS)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 50 << 20
    assert peak < 5_000_000


def test_its_beginning_is_read_as_far_as_it_is_whole():
    assert gzip_beginning(PACKED, 4_096)[:4_096] == DATA[:4_096]
    assert gzip_beginning(PACKED[:3_000], 4_096) in DATA
    assert len(gzip_beginning(PACKED[:3_000], 4_096)) > 2_000
    assert gzip_beginning(b"\x1f\x8b\x08" + bytes(99), 4_096) == b""
    assert len(gzip_beginning(PACKED[:10] + b"\xff" * 99, 4_096)) == 0


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("S/1.dcm.gz", "1.dcm"),
        ("S\\1.DCM.GZ", "1.DCM"),
        ("IM0001", "IM0001"),
        ("S/.gz", ".gz"),
        ("a.tgz", "a.tgz"),
    ],
)
def test_its_member_is_called_as_it_is_without_the_ending(outer, inner):
    (member,) = open_gzip(io.BytesIO(PACKED), outer, LIMITS).members()
    assert member.name == inner
