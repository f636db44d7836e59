"""An upload that a disk does not take: a sentence, and nothing kept."""

import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import reverse

from app.models import DICOMFile
from app.reasons import sentence
from app.uploads import receiving
from tests.conftest import default_database
from tests.making.objects import ct_image, zip_of

ADD = reverse("admin:app_dicomfile_add")
TOO_LITTLE = "too little for this ZIP of 3 MB"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    small = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a failed connection stays open


@pytest.fixture
def disk(media_root, processed_root):
    """The media root, on a disk of 4 MB of its own."""
    with small_disk(media_root, "4m"):
        (media_root / "tmp").mkdir()
        yield media_root


@pytest.fixture
def send(staff_client, tmp_path) -> Callable:
    """Send a ZIP of 3 MB; `amid` is called once, when more than 1 MB of it was read."""
    path = zip_of(tmp_path / "a.zip", ct_image(), ("noise", os.urandom(3_000_000)))

    class Body(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            if self.tell() > 1_000_000 and acts:
                acts.pop()()
            return super().read(size)

    acts: list[Callable[[], object]] = []

    def begin(amid: Callable[[], object] = lambda: None, accept: str = "application/json"):
        acts[:] = [amid]
        with path.open("rb") as file:
            body = encode_multipart(BOUNDARY, {"file": file})
        return staff_client.generic(
            "POST", ADD, headers={"Accept": accept},
            **{"CONTENT_TYPE": MULTIPART_CONTENT, "CONTENT_LENGTH": str(len(body))},
            **{"wsgi.input": Body(body)},
        )  # fmt: skip

    return begin


def zips(root: Path) -> list[Path]:
    return list(root.rglob("*.zip"))


def fill(disk: Path, size: int) -> None:
    (disk / "another").write_bytes(bytes(size))


def test_a_disk_without_room_is_told_before_the_transfer(disk, send):
    fill(disk, 2_000_000)
    answer = send(lambda: pytest.fail("the body was read"))
    assert answer.status_code == 413
    assert TOO_LITTLE in answer.json()["errors"][0]


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_disk_that_fills_in_mid_transfer_is_told(disk, send, accept):
    answer = send(lambda: fill(disk, 2_000_000), accept)
    assert answer.status_code == 507
    assert TOO_LITTLE in answer.content.decode()
    assert zips(disk) == []
    assert not DICOMFile.objects.exists()
    (disk / "another").unlink()
    assert send().status_code == 200
    assert DICOMFile.objects.count() == 1


def test_a_disk_that_others_fill_is_seen_before_it_is_full(disk, send, monkeypatch):
    monkeypatch.setattr(receiving, "LOOK", 1_500_000)
    free = []

    def leave_less_than_the_rest() -> None:
        fill(disk, 1_500_000)
        free.append(receiving.free_bytes(disk))

    answer = send(leave_less_than_the_rest)
    assert answer.status_code == 507
    assert TOO_LITTLE in answer.json()["errors"][0]
    assert free[0] > 1_000_000
    assert zips(disk) == []


def test_a_file_that_cannot_be_written_is_told(media_root, processed_root, send):
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, kept[1]))
    try:
        answer = send()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert (answer.status_code, answer.json()) == (
        507, {"errors": [sentence("upload_not_written")]}
    )  # fmt: skip
    assert zips(media_root) == []


def test_a_file_that_gets_no_place_is_told(media_root, processed_root, send, caplog):
    (media_root / "archives").write_bytes(b"in the way of the folder")
    answer = send()
    assert (answer.status_code, answer.json()) == (
        507, {"errors": [sentence("upload_not_written")]}
    )  # fmt: skip
    assert zips(media_root) == []
    assert not DICOMFile.objects.exists()
    assert "An upload was not kept: FileExistsError" in caplog.messages


def test_a_copy_that_fills_the_disk_is_told_and_not_kept(disk, transactional_db, tmp_path, capsys):
    fill(disk, 2_000_000)
    path = zip_of(tmp_path / "a.zip", ct_image(), ("noise", os.urandom(3_000_000)))
    with pytest.raises(CommandError):
        call_command("import_archive", path)
    assert sentence("copy_filled_disk") in capsys.readouterr().out
    assert zips(disk) == []


@pytest.fixture
def with_database(tmp_path) -> Iterator[Path]:
    """A disk of 64 MB that has the database."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "64m"), default_database(f"sqlite:///{folder}/icon.sqlite3"):
        yield folder


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_page_says_that_the_disk_of_the_database_is_full(accept, transactional_db, with_database):
    client = Client(raise_request_exception=False, headers={"Accept": accept})
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(ADD).status_code == 200
    connection.close()
    with pytest.raises(OSError, match="No space left"):
        fill(with_database, 70_000_000)
    answer = client.get(ADD)
    assert answer.status_code == 507
    assert sentence("database_disk_full") in unescape(answer.content.decode())
    (with_database / "another").unlink()
    assert client.get(ADD).status_code == 200
