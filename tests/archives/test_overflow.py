"""ZIPs whose numbers ran over, as macOS's Archive Utility writes them, and those that look alike.

A small modulus makes small archives; where nothing has to be inflated, sparse files have the
sizes of real ones.
"""

import io
import os
import random
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.archives.directory import Limits, Member, open_archive
from app.archives.inflate import member_bytes, member_chunks
from app.errors import ArchiveRefused, MemberFailed
from tests.making import hostile
from tests.making.archive_utility import ArchiveUtility

LIMITS = Limits()
MODULUS = 1 << 20
GIB = 1 << 30


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def written(*members: tuple[str, bytes], modulus: int = MODULUS, **lies: int) -> io.BytesIO:
    file = io.BytesIO()
    archive = ArchiveUtility(file, modulus)
    for name, data in members:
        archive.add(name, data)
    archive.finish(**lies)
    return file


def contents(file: io.BytesIO, modulus: int = MODULUS) -> list[tuple[str, bytes]]:
    members = open_archive(file, LIMITS, modulus).members()
    return [(one.name, b"".join(member_chunks(file, one, LIMITS))) for one in members]


def refusal(file: io.BytesIO | int, modulus: int = MODULUS) -> ArchiveRefused:
    with pytest.raises(ArchiveRefused) as refused:
        open_archive(file, LIMITS, modulus)
    return refused.value


@contextmanager
def sparse() -> Iterator[tuple[int, io.BufferedRandom]]:
    """A file in memory that may be larger than memory, where most of it is holes."""
    fd = os.memfd_create("sparse")
    with os.fdopen(fd, "w+b") as file:
        yield fd, file


def places(file: io.BytesIO | int, modulus: int = 1 << 32) -> list[tuple[str, int, int]]:
    members = open_archive(file, LIMITS, modulus).members()
    return [(member.name, member.offset, member.packed_size) for member in members]


def test_offsets_that_fall_are_counted_on():
    members = [(f"{number}.dcm", noise(300_000 + number)) for number in range(9)]
    file = written(*members)
    with zipfile.ZipFile(file) as other, pytest.raises(zipfile.BadZipFile):
        [other.read(info) for info in other.infolist()]
    assert contents(file) == members


def test_members_over_4_gb_are_followed_to_their_ends():
    sizes = (100_000, 1_500_000, 200_000, 3_400_000, 90_000, MODULUS)
    members = [(f"{size}.dcm", noise(size)) for size in sizes]
    assert contents(written(*members)) == members
    assert contents(written(*reversed(members))) == [*reversed(members)]


def test_a_member_that_packs_well_grows_to_its_true_size():
    members = [("a.dcm", noise(1_000)), ("mask.dcm", bytes(3_300_000)), ("b.dcm", noise(999))]
    file = written(*members)
    assert contents(file) == members
    archive = open_archive(file, LIMITS, MODULUS)
    assert [(one.size, one.modulus) for one in archive.members()] == [
        (1_000, 0), (3_300_000 % MODULUS, MODULUS), (999, 0)
    ]  # fmt: skip


def test_folders_and_empty_files_lie_between_members_over_4_gb():
    members = [("a/", b""), ("a/1.dcm", noise(2_200_000)), ("a/empty", b""), ("b", noise(900_000))]
    assert contents(written(*members)) == [members[1], members[2], members[3]]


@pytest.mark.parametrize("seed", range(40))
def test_any_mixture_is_read_to_the_byte(seed):
    draw = random.Random(seed)
    modulus = 20_000
    members = []
    for number in range(draw.randrange(1, 12)):
        size = draw.choice((0, 1, 700, 19_999, 20_000, 20_001, 66_000, draw.randrange(90_000)))
        data = draw.randbytes(size) if draw.random() < 0.7 else bytes(size)
        members.append((f"{number}/{'n' * draw.randrange(1, 60)}", data))
    assert contents(written(*members, modulus=modulus), modulus) == members


def test_more_than_65_535_members_are_all_there():
    file = written(*((f"{number:05d}", b"") for number in range(66_000)), modulus=1 << 32)
    assert open_archive(file, LIMITS).member_count == 66_000


def test_an_archive_of_the_real_size_is_found_out():
    with sparse() as (fd, file):
        archive = ArchiveUtility(file)
        archive.add("first.dcm", b"near")
        archive.add_hole("3.dcm", 3 * GIB)
        archive.add_hole("2.dcm", 2 * GIB)
        archive.add("behind.dcm", b"behind 5 GB")
        archive.add_hole("9.dcm", 9 * GIB)
        archive.add("last.dcm", b"far away")
        archive.finish()
        file.flush()
        assert places(fd) == [truth[:3] for truth in archive.truth]
        members = {one.name: one for one in open_archive(fd, LIMITS).members()}
        assert member_bytes(fd, members["behind.dcm"], LIMITS) == b"behind 5 GB"
        assert member_bytes(fd, members["last.dcm"], LIMITS) == b"far away"


# What only looks alike


def test_a_huge_zip64_archive_is_no_such_archive():
    """Members and directory beyond 4 GB, and one of a multiple of it: all exact."""
    built = hostile.Builder("huge")
    with sparse() as (fd, file):
        for number, size in enumerate((4 * GIB, 5 * GIB, 1_000)):
            entry = hostile.Entry(b"%d.dcm" % number, 0, 0, 0, size, size, file.tell())
            file.write(entry.local_header(entry.name, b""))
            file.seek(size, os.SEEK_CUR)
            built.entries.append(entry)
        start = file.tell()
        directory = built.directory()
        file.write(directory + hostile.end_records_64(3, len(directory), start))
        file.flush()
        archive = open_archive(fd, LIMITS)
        assert not archive.end.overflowed
        assert [one.modulus for one in archive.members()] == [0, 0, 0]
        with zipfile.ZipFile(file) as other:
            assert places(fd) == [
                (one.filename, one.header_offset, one.compress_size) for one in other.infolist()
            ]


def test_an_archive_behind_a_program_of_4_gb_is_no_such_archive():
    built = hostile.Builder("behind")
    built.image().image()
    file = io.BytesIO(built.finish(prefix=b"MZ" + bytes(MODULUS - 2)))
    archive = open_archive(file, LIMITS, MODULUS)
    assert (archive.end.prefix, archive.end.overflowed) == (MODULUS, False)
    assert [hostile.sha256(data) for _, data in contents(file)] == [
        one.sha256 for one in built.members
    ]


def test_a_large_member_of_an_ordinary_archive_must_be_as_large_as_it_says():
    """It could have run over, and has not: what it lacks is no multiple of the modulus."""
    packed, crc = hostile.deflated_zeros(3_000_000)
    built = hostile.Builder("one").file("a", b"", packed=packed, crc=crc, size=600_000)
    file = io.BytesIO(built.finish())
    (member,) = open_archive(file, LIMITS, MODULUS).members()
    assert member.modulus == MODULUS
    assert outcome(file, member) == "size_mismatch"
    built.lie(size=3_000_000 % MODULUS)
    file = io.BytesIO(built.finish())
    assert contents(file) == [("a", bytes(3_000_000))]


# Fraud and damage


def outcome(file: io.BytesIO, member: Member, limits: Limits = LIMITS) -> str:
    """The reason why a member cannot be read, or ""."""
    try:
        for _ in member_chunks(file, member, limits):
            pass
    except MemberFailed as failed:
        return failed.code
    return ""


def test_what_cannot_be_told_without_doubt_is_refused_with_a_way_out():
    """A gap that no writer leaves: a member may begin anywhere in it."""
    file = io.BytesIO()
    archive = ArchiveUtility(file, MODULUS)
    archive.add("a", noise(900_000))
    file.seek(500_000, os.SEEK_CUR)
    archive.add("b", noise(900_000))
    archive.finish()
    refused = refusal(file)
    assert refused.code == "archive_overflowed"
    assert "macOS" in refused.sentence
    assert "ditto -c -k" in refused.sentence


def test_overlapping_members_are_not_taken_for_counted_on():
    """One kernel listed many times, in an archive that is long enough to have run over."""
    file = io.BytesIO()
    archive = ArchiveUtility(file, MODULUS)
    archive.add("a", bytes(900_000))
    archive.entries *= 50
    file.seek(2 * MODULUS)
    archive.finish()
    assert refusal(file).code == "archive_overflowed"


def test_a_member_that_reaches_into_the_next_is_not_read():
    """Its descriptor, and what follows that, would be read twice."""
    file = io.BytesIO()
    archive = ArchiveUtility(file, MODULUS)
    for name in ("a", "b", "c", "d"):
        archive.add(name, noise(500_000))
    first = bytearray(archive.entries[0])
    first[20:24] = (700_000).to_bytes(4, "little")  # its packed size
    archive.entries[0] = bytes(first)
    archive.finish()
    assert refusal(file).code == "archive_overflowed"


def test_a_local_header_of_another_name_ends_no_member():
    """What a member holds may look like the next local header, where that could stand."""
    file = io.BytesIO()
    archive = ArchiveUtility(file, MODULUS)
    archive.add("a", noise(1_500_000))
    archive.add("b", noise(1_000))
    _, offset, _, _ = archive.truth[1]
    archive.finish()
    data = bytearray(file.getvalue())
    data[offset - MODULUS : offset - MODULUS + 31] = data[offset : offset + 30] + b"c"
    ((_, first, _), (_, second, _)) = places(io.BytesIO(data), MODULUS)
    assert (first, second) == (0, offset)


def test_a_damaged_member_costs_only_itself():
    members = [(f"{number}.dcm", noise(400_000 + number)) for number in range(6)]
    data = bytearray(written(*members).getvalue())
    data[1_300_000:1_300_100] = bytes(100)
    file = io.BytesIO(data)
    codes = [outcome(file, member) for member in open_archive(file, LIMITS, MODULUS).members()]
    assert codes == ["", "", "", "crc_mismatch", "", ""]


def test_limits_count_what_members_grow_to():
    file = written(("a.dcm", bytes(3_300_000)))
    (member,) = open_archive(file, LIMITS, MODULUS).members()
    assert outcome(file, member, Limits(member=2_000_000)) == "member_too_large"
    assert outcome(file, member, Limits(total=2_000_000)) == "upload_grows_too_large"
    left = 3_300_000 - member.size
    assert outcome(file, member, Limits(total=left - 1)) == "upload_grows_too_large"
    assert sum(map(len, member_chunks(file, member, Limits(total=left)))) == 3_300_000
