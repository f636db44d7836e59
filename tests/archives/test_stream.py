"""ZIPs that are sent while they are made."""

import io
import os
import shutil
import subprocess
import zipfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from app.archives.directory import Limits, open_archive
from app.archives.stream import Length, Stream

AT = datetime(2026, 11, 28, 19, 30, 10)
LIMITS = Limits(members=100_000, total=10**12, member=10**12, nesting=1)
GB = 1 << 30


class One(NamedTuple):
    name: str
    size: int
    described: bool = False  # its CRC-32 stands behind it

    @property
    def data(self) -> bytes:
        return (self.name.encode() * self.size)[: self.size]


SOME = [One("a/1.dcm", 10), One("Müller/2.dcm", 100_000, True), One("a/3.dcm", 0), One("日本", 5)]


def written(path: Path, members: list[One], gap: int = 0, sparse: bool = False) -> Path:
    """A ZIP of these; with `sparse` their bytes are holes, and their checksums wrong."""
    stream, length = Stream(io.BytesIO(), AT), Length()
    with path.open("wb") as file:
        for one in members:
            length.add(len(one.name.encode()), one.size, one.described)
            data = b"" if sparse else one.data
            crc = zlib.crc32(data)
            file.write(stream.begin(one.name, one.size, None if one.described else crc))
            file.seek(one.size, os.SEEK_CUR) if sparse else file.write(data)
            file.write(stream.end_member(crc))
        for piece in stream.end(length.total + gap if gap else None):
            file.write(piece)
    assert path.stat().st_size == length.total + gap
    return path


@pytest.mark.parametrize("gap", [0, 1_000_000])
def test_unpackers_read_it_whole(tmp_path, gap):
    path = written(tmp_path / "some.zip", SOME, gap)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [one.name for one in SOME]
        assert [archive.read(one.name) for one in SOME] == [one.data for one in SOME]
        assert archive.infolist()[0].date_time == (2026, 11, 28, 19, 30, 10)
    with path.open("rb") as file:
        assert [(one.name, one.size) for one in open_archive(file, LIMITS).members()] == [
            (one.name, one.size) for one in SOME
        ]
    for command in (["unzip", "-tq"], ["bsdtar", "-tf"], ["7z", "t"]):
        if shutil.which(command[0]):
            subprocess.run([*command, path], check=True, capture_output=True)


def test_what_has_its_checksum_behind_it_says_its_size_in_front(tmp_path):
    head = written(tmp_path / "one.zip", [One("1.dcm", 10, True)]).read_bytes()[:30]
    assert head[6] & 8
    assert head[14:26] == bytes(4) + bytes([10, 0, 0, 0]) * 2


@pytest.mark.parametrize(
    "members",
    [
        [One("large", 5 * GB), One("behind", 7)],
        [One("large", 5 * GB, True), One("behind", 7, True)],
        [One("at the limit", 0xFFFFFFFF), One("behind", 7)],
        [One("just below it", 0xFFFFFFFE - 43), One("behind", 7)],
        [One("half", 3 * GB), One("the rest", 3 * GB), One("last", 1)],
    ],
)
def test_more_than_4_gb_are_told_as_zip64(tmp_path, members):
    path = written(tmp_path / "large.zip", members, sparse=True)
    with zipfile.ZipFile(path) as archive:
        found = [(one.filename, one.file_size) for one in archive.infolist()]
        assert found == [(one.name, one.size) for one in members]
        for one in archive.infolist():  # its local header is where the list says
            archive.open(one).close()
    with path.open("rb") as file:
        assert not open_archive(file, LIMITS).broken


@pytest.mark.parametrize("gap", [900, 927, 1_000])
def test_nulls_that_reach_up_to_4_gb_keep_the_length_that_was_told(tmp_path, gap):
    members = [One("most of it", 0xFFFFFFFF - 1_000), One("behind", 7)]
    path = written(tmp_path / "large.zip", members, gap, sparse=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [one.name for one in members]
    with path.open("rb") as file:
        assert not open_archive(file, LIMITS).broken


def test_more_than_65535_members_are_told_as_zip64(tmp_path):
    path = written(tmp_path / "many.zip", [One(f"{n}", 0) for n in range(65_536)])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 65_536
