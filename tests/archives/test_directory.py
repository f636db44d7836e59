"""Archives and their members: `zipfile`'s view of honest ones, and one answer for the others."""

import errno
import hashlib
import io
import os
import random
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace

import pytest

from app.archives.directory import Limits, Member, looks_like_zip, open_archive
from app.archives.inflate import member_bytes, member_chunks
from app.errors import ArchiveRefused, MemberFailed, StorageFailed
from app.wording import human_size
from tests.making import hostile
from tests.making.pace import within

LIMITS = Limits()
# Reasons that are found without looking into what the member holds.
OF_THE_ARCHIVE = {
    "part_missing",
    "encrypted",
    "method_unsupported",
    "member_damaged",
    "crc_mismatch",
    "size_mismatch",
    "member_too_large",
    "too_much_memory",
}
# Where ICON reads more, or other members, than `zipfile` does; each case says why.
UNLIKE_ZIPFILE = {
    "names_in_old_code_pages",  # one is not the UTF-8 it says: zipfile refuses the archive
    "names_with_nul",  # zipfile cuts a name there, and takes one of these for a directory
    "names_that_are_empty_or_end_in_a_backslash",  # zipfile fails at the empty name
    "names_in_a_unicode_extra_field",  # one field is cut short: zipfile refuses the archive
    "entries_with_comments_and_unknown_fields",
    "directory_offset_wrong",
    "directory_size_too_large",  # zipfile goes by the size, and refuses the archive
    "directory_size_without_its_first_entry",  # zipfile does not miss it
    "last_piece_of_a_cut_archive",  # zipfile refuses the whole
    "with_another_archive_in_the_comment",
    "with_a_cut_comment",
    "with_a_comment",  # zipfile takes the comment's beginning for an end record
    "zip64_field_cut_short",
    "zip64_values_beyond_reason",
}


def zip_file(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as written:
        for name, data in members:
            written.writestr(name, data)
    return file


def one_member(data: bytes, method: int = 8, **lies: object) -> tuple[io.BytesIO, Member]:
    """An archive of one member, and that member."""
    built = hostile.Builder("one").file("one.bin", data, method=method, **lies)
    file = io.BytesIO(built.finish())
    return file, next(open_archive(file, LIMITS).members())


def descriptor(data: bytes) -> int:
    fd = os.memfd_create("archive")
    os.write(fd, data)
    return fd


def listed(names: Iterable[bytes], behind: bytes = b"") -> io.BytesIO:
    """A list of empty members, of which its end says nothing, and what stands behind them in it."""
    entries = [hostile.Entry(name, 0, 0, 0, 0, 0) for name in names]
    directory = b"".join(entry.directory_entry() for entry in entries) + behind
    return io.BytesIO(directory + hostile.end_record(0, len(directory), 0))


def some_data(size: int) -> bytes:
    """Bytes that pack about three times."""
    draw = random.Random(size)
    return bytes(draw.choices(b"\0\1\2\3\4\5", k=size))


# The directory


def assert_as_zipfile(file: io.BytesIO) -> None:
    with zipfile.ZipFile(file) as honest:
        theirs = [info for info in honest.infolist() if not info.is_dir()]
    archive = open_archive(file, LIMITS)
    ours = list(archive.members())
    assert [(i.file_size, i.compress_size, i.CRC, i.header_offset) for i in theirs] == [
        (m.size, m.packed_size, m.crc, m.offset) for m in ours
    ]
    assert archive.member_count == len(theirs)
    assert not archive.end.overflowed
    for info, member in zip(theirs, ours, strict=True):
        if info.filename.isascii() and info.filename.isprintable() and len(info.filename) < 1000:
            assert member.name == info.filename


READ = sorted(name for name, recipe in hostile.CASES.items() if not recipe.refused)
REFUSED = sorted(name for name, recipe in hostile.CASES.items() if recipe.refused)


@pytest.mark.parametrize("name", sorted(set(READ) - UNLIKE_ZIPFILE))
def test_an_archive_has_the_members_that_zipfile_sees(name):
    assert_as_zipfile(io.BytesIO(hostile.build(name).data))


@pytest.mark.parametrize("name", sorted(UNLIKE_ZIPFILE))
def test_where_it_differs_from_zipfile_every_member_is_there(name):
    case = hostile.build(name)
    assert len(list(open_archive(io.BytesIO(case.data), LIMITS).members())) == len(case.members)


@pytest.mark.parametrize("name", REFUSED)
def test_a_fraudulent_or_unreadable_archive_is_refused_with_its_reason(name):
    case = hostile.build(name)
    with pytest.raises(ArchiveRefused) as refused:
        open_archive(io.BytesIO(case.data), LIMITS)
    assert refused.value.code in case.refused
    assert refused.value.sentence


@pytest.mark.parametrize("size", [0, 1, 45, 60, 150, 5_000, 1 << 31, 0xFFFFFFFF])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("gap", [b"", b"between"])
def test_a_directory_whose_size_is_wrong_is_found_at_its_offset(size, zip64, gap):
    built = hostile.Builder("sizes")
    built.images(3)
    offset, directory = len(built.body), built.directory()
    records = hostile.end_records_64 if zip64 else hostile.end_record
    file = io.BytesIO(bytes(built.body) + directory + gap + records(3, size, offset))
    assert [hostile.sha256(data) for data in contents(file).values()] == [
        member.sha256 for member in built.members
    ]


@pytest.mark.parametrize(
    "lies",
    [
        {"size": 200, "count": 4},
        {"size": 200, "count": 2},
        {"size": 200, "shift": 1},
        {"size": 200, "prefix": b"MZ" * 40},
        {"size": 200, "shift": 1 << 31},
    ],
)
def test_a_directory_that_cannot_be_found_without_doubt_is_damaged(lies):
    built = hostile.Builder("doubt")
    built.images(3)
    with pytest.raises(ArchiveRefused, match="archive_damaged"):
        open_archive(io.BytesIO(built.finish(**lies)), LIMITS)


@pytest.mark.parametrize("offset", [1 << 62, (1 << 64) - 1])
def test_an_offset_beyond_reason_is_no_place_to_look(offset):
    built = hostile.Builder("beyond")
    built.images(3)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, 200, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    body = bytes(built.body) + built.directory()
    with pytest.raises(ArchiveRefused, match="archive_damaged"):
        open_archive(io.BytesIO(body + record + locator + hostile.end_record(3, 0, 0)), LIMITS)


def test_a_thousand_end_records_are_not_each_searched_for_their_directory():
    """Each says that the directory begins with another of its entries."""
    entries = [hostile.Entry(b"%05d" % n, 0, 0, 0, 0, 0, 0) for n in range(60_000)]
    directory = b"".join(entry.directory_entry() for entry in entries)
    ends = b"".join(hostile.end_record(59_999 - n, 1, n * 51) for n in range(2_900))
    body = directory + ends + bytes(60)

    def is_refused() -> None:
        with pytest.raises(ArchiveRefused, match="archive_damaged"):
            open_archive(io.BytesIO(body), LIMITS)

    within(2, is_refused)  # 0.1 as a rule


def test_zip64_sizes_that_a_writer_was_made_to_use_are_read():
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written,
        written.open("large.dcm", "w", force_zip64=True) as member,
    ):
        member.write(b"content")
    assert_as_zipfile(file)
    assert contents(file) == {"large.dcm": b"content"}


def test_more_members_than_the_old_end_record_can_count_are_all_there():
    file = zip_file(*((f"{number:05d}", b"") for number in range(66_000)), method=0)
    assert_as_zipfile(file)
    assert open_archive(file, LIMITS).member_count == 66_000


class Unseekable(io.RawIOBase):
    """A pipe, to which zipfile writes sizes behind the data."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.written += data
        return len(data)


def test_an_archive_that_was_streamed_is_read():
    pipe = Unseekable()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("a/1.dcm", b"one")
        written.writestr("a/2.dcm", b"two")
    file = io.BytesIO(bytes(pipe.written))
    assert_as_zipfile(file)
    assert contents(file) == {"a/1.dcm": b"one", "a/2.dcm": b"two"}


def test_a_member_beyond_4_gb_is_found():
    fd = os.memfd_create("sparse")
    hole = 5 << 30
    os.pwrite(fd, zip_file(("far.dcm", b"far away")).getvalue(), hole)
    archive = open_archive(fd, LIMITS)
    (member,) = archive.members()
    assert member.offset == hole
    assert member_bytes(fd, member, LIMITS) == b"far away"


def test_members_can_be_listed_from_a_position_on():
    file = zip_file(("folder/", b""), ("a", b"1"), ("b", b"2"), ("c", b"3"))
    archive = open_archive(file, LIMITS)
    assert [(m.index, m.name) for m in archive.members(2)] == [(2, "b"), (3, "c")]
    assert archive.member_count == 3


@pytest.mark.parametrize("count", [2_000, 30_000])
def test_a_list_that_is_kept_and_one_that_is_read_again_begin_at_any_position(count):
    archive = open_archive(listed(b"%05d" % number for number in range(count)), LIMITS)
    for start in (0, 1, 999, count - 1, count):
        assert [m.index for m in archive.members(start)] == [*range(start, count)]


@pytest.mark.parametrize(
    ("raw", "flags", "shown"),
    [
        ("Größe.dcm".encode(), 0x800, "Größe.dcm"),
        ("Größe.dcm".encode(), 0, "Größe.dcm"),
        (b"Gr\x94\xe1e.dcm", 0, "Größe.dcm"),
        (b"cut\xff.dcm", 0x800, "cut\ufffd.dcm"),
        (b"a\nb\0c\x1b[2J", 0, "a\ufffdb\ufffdc\ufffd[2J"),
        ("x\u2028y\u202ez".encode(), 0x800, "x\ufffdy\ufffdz"),
        ("a\u00a0b".encode(), 0x800, "a\u00a0b"),
        (b"-", 0, "-"),
    ],
)
def test_a_name_is_shown_on_one_line(raw, flags, shown):
    file = io.BytesIO(hostile.Builder("one").file(raw, b"", flags=flags).finish())
    assert [m.name for m in open_archive(file, LIMITS).members()] == [shown]


def test_a_unicode_path_counts_only_for_the_name_it_was_made_for():
    case = hostile.build("names_in_a_unicode_extra_field")
    names = [m.name for m in open_archive(io.BytesIO(case.data), LIMITS).members()]
    assert names == ["ä/ö.dcm", "b?.dcm", "c?.dcm"]


def test_a_long_name_is_shortened_in_its_middle():
    file = zip_file(("start" + "x" * 5_000 + "end", b""))
    (member,) = open_archive(file, LIMITS).members()
    assert len(member.name) == 1_000
    assert member.name.startswith("start")
    assert member.name.endswith("end")


def test_links_are_told_from_files():
    case = hostile.build("links")
    members = open_archive(io.BytesIO(case.data), LIMITS).members()
    assert [m.is_link for m in members] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(members=2), "too_many_members"),
        (Limits(total=2_999), "total_too_large"),
        (Limits(members=3, total=3_000), ""),
    ],
)
def test_the_limits_hold_for_all_members_together(limits, code):
    file = zip_file(("a", bytes(1_000)), ("b", bytes(1_000)), ("c", bytes(1_000)))
    if not code:
        assert open_archive(file, limits).total_size == 3_000
        return
    with pytest.raises(ArchiveRefused) as refused:
        open_archive(file, limits)
    assert refused.value.code == code


@pytest.mark.parametrize("most", [300, 900])
@pytest.mark.parametrize(
    ("name", "count"),
    [
        (lambda number: b"%d" % number, lambda most: most + 1),
        (lambda number: b"%d/" % number if number % 2 else b"%d" % number, lambda most: most + 1),
        (lambda number: b"%d" % number if number % 2 else b"%d/" % number, lambda most: most),
        (lambda number: b"%d/" % number if number > 9 else b"%d" % number, lambda most: 10),
    ],
)
def test_members_or_directories_over_the_limit_are_refused_before_what_is_behind(name, count, most):
    file = listed(map(name, range(2_000)), behind=bytes(100))
    with pytest.raises(ArchiveRefused) as refused:
        open_archive(file, Limits(members=most))
    assert refused.value.code == "too_many_members"
    assert refused.value.facts == {"count": count(most), "limit": most}
    with pytest.raises(ArchiveRefused, match="archive_damaged"):
        open_archive(file, LIMITS)


def test_what_a_zip_inside_may_hold_is_what_is_left():
    left = Limits(members=10, total=1_000, nesting=2).inside(4, 1_200)
    assert (left.members, left.total, left.nesting) == (6, 0, 1)


def test_a_lie_about_one_size_costs_neither_its_neighbours_nor_the_total():
    built = hostile.Builder("one").file("honest", bytes(1_000))
    built.file("liar", bytes(1_000)).lie(size=15_000_000_000)
    file = io.BytesIO(built.finish())
    assert open_archive(file, Limits(total=2_000)).total_size == 1_000
    assert outcomes(file) == ["", "size_mismatch"]


def test_damage_to_one_offset_or_packed_size_is_not_taken_for_fraud():
    for lies in ({"packed_size": 3_000}, {"offset": 40}):
        built = hostile.Builder("one").file("a", some_data(9_000)).file("b", some_data(9_001))
        built.lie(**lies).file("c", some_data(9_002)).file("d", some_data(9_003))
        assert outcomes(io.BytesIO(built.finish())) == ["", "member_damaged", "", ""]


@pytest.mark.parametrize("count", [1_000, 30_000])
def test_a_member_listed_a_third_time_far_behind_is_an_overlap(count):
    """In a list that is kept, and in one that is read again."""
    built = hostile.Builder("far").file("kernel", some_data(900))
    kernel = built.entries[0]
    built.entries += [replace(kernel, name=b"empty", packed_size=0, size=0)] * count + [kernel]
    file = io.BytesIO(built.finish(count=0))
    assert open_archive(file, LIMITS).member_count == count + 2
    built.entries.append(kernel)
    with pytest.raises(ArchiveRefused, match="archive_overlap"):
        open_archive(io.BytesIO(built.finish(count=0)), LIMITS)


def test_a_directory_that_is_not_in_file_order_is_read_in_its_own_order():
    built = hostile.Builder("one").file("a", b"1").file("b", b"2").file("c", b"3")
    built.entries.reverse()
    file = io.BytesIO(built.finish())
    assert list(contents(file)) == ["c", "b", "a"]


def test_the_form_tells_a_zip_by_its_content():
    assert looks_like_zip(zip_file(("a", b"")))
    for name in ("text", "nothing_at_all", "one_dicom_file", "another_kind_of_archive"):
        with pytest.raises(ArchiveRefused, match="not_a_zip"):
            looks_like_zip(io.BytesIO(hostile.build(name).data))
    with pytest.raises(ArchiveRefused, match="archive_truncated"):
        looks_like_zip(io.BytesIO(hostile.build("cut_in_half").data))


@pytest.mark.long
def test_100_000_members_cost_little_memory_and_time():
    entries = [hostile.Entry(b"%06d" % n, 0, 0, 0, 0, 0, n * 36) for n in range(100_000)]
    entries[::2] = [hostile.Entry(b"%06d" % n, 0, 0, 0, 1, 1, n * 36) for n in range(0, 100_000, 2)]
    random.Random(1).shuffle(entries)
    directory = b"".join(entry.directory_entry() for entry in entries)
    body = bytes(4_000_000)
    fd = descriptor(body + directory + hostile.end_records_64(100_000, len(directory), len(body)))
    assert within(4, lambda: count_members(fd)) == 100_000  # 0.4 as a rule
    tracemalloc.start()
    count_members(fd)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    os.close(fd)
    assert peak < 10_000_000  # bytes; 5.4 MB as a rule


def count_members(file: io.BytesIO | int) -> int:
    return sum(1 for _ in open_archive(file, LIMITS).members())


# Members


def contents(file: io.BytesIO | int) -> dict[str, bytes]:
    archive = open_archive(file, LIMITS)
    return {member.name: member_bytes(file, member, LIMITS) for member in archive.members()}


def outcomes(file: io.BytesIO | int) -> list[str]:
    """For each member the reason why it cannot be read, or ""."""
    return [outcome(file, member) for member in open_archive(file, LIMITS).members()]


def outcome(file: io.BytesIO | int, member: Member) -> str:
    try:
        for _ in member_chunks(file, member, LIMITS):
            pass
    except MemberFailed as failed:
        return failed.code
    return ""


@pytest.mark.parametrize("name", READ)
def test_each_member_is_read_or_fails_for_its_reason(name):
    case = hostile.build(name)
    file = descriptor(case.data)
    outer = [e for e in case.members if not re.search(r"\.(zip|gz)/", e.name, re.IGNORECASE)]
    for member, expected in zip(open_archive(file, LIMITS).members(), outer, strict=True):
        codes = {a.partition(":")[2] for a in expected.accepted}
        code = outcome(file, member)
        if code:
            assert code in codes
        elif codes and codes <= OF_THE_ARCHIVE:
            pytest.fail(f"{expected.name} was read")
        elif "imported" in expected.accepted:
            assert sha256(file, member) == expected.sha256
    os.close(file)


def sha256(file: io.BytesIO | int, member: Member) -> str:
    digest = hashlib.sha256()
    for chunk in member_chunks(file, member, LIMITS):
        digest.update(chunk)
    return digest.hexdigest()


@pytest.mark.parametrize("method", [0, 8, 9, 12, 14])
@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_a_member_reads_the_same_whole_and_in_chunks(method, size):
    data = some_data(size)
    packed = hostile.deflated64(data) if method == 9 and size else None
    file, member = one_member(data, method, packed=packed)
    assert member_bytes(file, member, LIMITS) == data
    chunks = list(member_chunks(file, member, LIMITS, chunk=100_000))
    assert b"".join(chunks) == data
    assert max(map(len, chunks), default=0) <= 100_000


def test_deflate64_matches_longer_than_deflate_can_say_are_read():
    data = some_data(70_000) + bytes(1_000_000) + some_data(70_000)
    file, member = one_member(data, 9, packed=hostile.deflated64(data))
    assert member_bytes(file, member, LIMITS) == data


def test_a_member_over_the_limit_is_not_read_and_the_limit_is_told():
    file, member = one_member(bytes(2_000_000))
    with pytest.raises(MemberFailed) as failed:
        member_bytes(file, member, Limits(member=1_500_000))
    assert failed.value.sentence.startswith("Larger than the limit of 1.5 MB.")


def test_an_unknown_method_is_told_by_its_number():
    file, member = one_member(b"x", 98)
    with pytest.raises(MemberFailed) as failed:
        member_bytes(file, member, LIMITS)
    assert failed.value.facts == {"method": 98}


@pytest.mark.parametrize("method", [8, 9, 12, 14])
def test_what_a_member_grows_to_is_never_held(method):
    """100 MB of zeros, declared as 1,000 bytes or as they are, in chunks of 1 MB."""
    zeros = bytes(100 << 20)
    packed = hostile.deflated64(zeros) if method == 9 else hostile.PACKERS[method](zeros)
    crc = zlib.crc32(zeros)
    del zeros
    for size in (1_000, 100 << 20):
        file, member = one_member(b"", method, packed=packed, size=size, crc=crc)
        tracemalloc.start()
        code = outcome(file, member)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 25_000_000
        assert code == ("size_mismatch" if size == 1_000 else "")


def test_a_broken_disk_is_not_a_damaged_member(tmp_path):
    """Reading a folder is an error of the system, as reading a dying disk is."""
    _, member = one_member(b"x")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(StorageFailed) as failed:
        member_bytes(fd, member, LIMITS)
    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__cause__.errno == errno.EISDIR
    os.close(fd)


# Damage


def test_an_archive_cut_at_any_byte_is_refused_or_whole():
    data = hostile.build("stored").data
    for end in range(len(data)):
        with pytest.raises(ArchiveRefused):
            open_archive(io.BytesIO(data[:end]), LIMITS)


@pytest.mark.parametrize("method", [8, 9, 12, 14])
def test_damaged_data_fail_their_member_whatever_its_decoder_raises(method):
    data = some_data(3_000) + bytes(3_000)
    packed = hostile.deflated64(data) if method == 9 else hostile.PACKERS[method](data)
    chance = random.Random(method)
    codes = set()
    for _ in range(1_500):
        broken = bytearray(packed)
        for at in [chance.randrange(len(packed) - 8), chance.randrange(16)][: chance.randint(1, 2)]:
            broken[at : at + chance.randint(0, 6)] = chance.randbytes(chance.randint(1, 4))
        if chance.random() < 0.2:
            del broken[chance.randrange(len(broken)) :]
        file, member = one_member(data, method, packed=bytes(broken))
        codes.add(outcome(file, member))
    assert "member_damaged" in codes
    assert codes <= {"", "member_damaged", "crc_mismatch", "size_mismatch", "too_much_memory"}


def test_a_damaged_end_record_never_hides_members_without_a_word():
    """Each of its bytes, set to each value that tends to matter."""
    data = hostile.build("stored").data
    for at in range(len(data) - 22, len(data)):
        for value in (0, 1, 2, 0x7F, 0xFF):
            changed = bytearray(data)
            changed[at] = value
            try:
                archive = open_archive(io.BytesIO(bytes(changed)), LIMITS)
            except ArchiveRefused:
                continue
            assert archive.member_count == 3


# Sizes in words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1_000, "1 kB"), (1_500, "1.5 kB"),
        (999_949, "999.9 kB"), (999_950, "1 MB"), (64_000_000, "64 MB"),
        (3_100_000_000, "3.1 GB"), (16_000_000_000, "16 GB"), (10**15, "1 PB"),
        (2**64 - 1, "18.4 EB"),
    ],
)  # fmt: skip
def test_a_size_is_told_in_decimal_units(size, words):
    assert human_size(size) == words
