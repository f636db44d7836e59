"""Files that are read by their descriptors: one that ends its reader costs only itself."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from app.dicom.headers import HeaderLimits
from app.sandbox import filed
from app.sandbox.filed import Reading, read_filed
from tests.making.objects import ct_image, uid
from tests.sandbox.test_pool import SETTINGS


@pytest.fixture
def read(tmp_path) -> Iterator:
    """Read files of these bytes; a number is a descriptor."""
    with ExitStack() as opened:

        def run(*contents: bytes | int, seconds: float = 30, **changed) -> list[Reading]:
            descriptors = []
            for number, content in enumerate(contents):
                if isinstance(content, bytes):
                    file = tmp_path / str(number)
                    file.write_bytes(content)
                    content = opened.enter_context(file.open("rb")).fileno()
                descriptors.append(content)
            return read_filed(descriptors, replace(SETTINGS, **changed), seconds)

        yield run


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), **keywords)


def test_each_file_is_read_to_its_end_and_its_header_known(read):
    data = image(2) + bytes(1_000_000)
    found = read(image(1), data, b"no DICOM", header_limits=HeaderLimits(header=4_000))
    assert [one.reason for one in found] == ["", "", "not_dicom"]
    assert found[1].header.instance.sop_instance_uid == uid(2, 1, 2)
    assert found[1].sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_that_hangs_its_reader_costs_only_itself(read):
    with Path("/dev/zero").open("rb") as endless:
        found = read(image(1), endless.fileno(), image(3), seconds=2)
    assert [one.reason for one in found] == ["", "reader_hung", ""]


def test_a_file_that_ends_its_reader_costs_only_itself(read):
    """For what it would hold, a reader has too little memory left, also alone."""
    found = read(image(1), image(2) + bytes(90_000_000), image(3), memory=150_000_000)
    assert [one.reason for one in found] == ["", "reader_crashed", ""]


def test_readers_that_cannot_start_are_said_of_each_file(read, monkeypatch):
    monkeypatch.setattr(filed, "PROGRAM", "tests.no_such_program")
    found = read(image(1), image(2))
    assert [one.reason for one in found] == ["reader_crashed"] * 2
