"""`manage.py import_archive`: the same import, from the terminal."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.utils import timezone

from app.catalogue import filing
from app.health.verify import verify
from app.management.commands.import_archive import keep_copy
from app.models import AuditEntry, DICOMFile, DICOMInstance, Kind, Status
from app.storage.staging import Staging
from app.uploads import abandoned, batches, claims, ingest
from tests.conftest import wait_until
from tests.making import faults
from tests.making.objects import ct_image, uid, zip_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def storage(processed_root, media_root):
    """Storage of the test's own."""


def test_it_prints_one_object_for_each_archive(tmp_path, capsys):
    good = zip_of(tmp_path / "good.zip", ct_image(), ("README", b"hello"))
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"no ZIP")
    with pytest.raises(CommandError) as ended:
        call_command("import_archive", good, bad, tmp_path / "missing.zip", "--json")
    assert ended.value.returncode == 1
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["file"] == str(good)
    assert first["status"] == "completed"
    assert first["outcomes"] == {
        "imported": 1, "duplicate": 0, "conflict": 0, "skipped": 1, "failed": 0,
    }  # fmt: skip
    assert first["seconds"] > 0
    assert first["reason"] == ""
    assert second["status"] == third["status"] == "failed"
    assert "not a ZIP" in second["reason"]
    assert third["reason"] == "The file cannot be read or copied."


def test_it_keeps_a_copy_like_an_upload(tmp_path, media_root):
    path = zip_of(tmp_path / "a.zip", ct_image())
    call_command("import_archive", path)
    upload = DICOMFile.objects.get()
    assert upload.original_name == "a.zip"
    with upload.file.open() as kept:
        assert kept.read() == path.read_bytes()
    assert DICOMInstance.objects.count() == 1
    told = AuditEntry.objects.filter(table="app.dicomfile", row=upload.pk).order_by("pk")
    assert list(told.values_list("kind", flat=True)) == [Kind.UPLOADED, Kind.ENDED]


@contextlib.contextmanager
def without_tables():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE app_dicomfile RENAME TO away")
        yield
        cursor.execute("ALTER TABLE away RENAME TO app_dicomfile")


def test_it_leaves_no_copy_where_the_row_cannot_be_written(tmp_path, media_root):
    path = zip_of(tmp_path / "a.zip", ct_image())
    with without_tables(), pytest.raises(DatabaseError):
        keep_copy(path)
    assert list((media_root / "archives").iterdir()) == []


def test_it_leaves_no_copy_where_copying_fails(media_root):
    broken = Path("/proc/self/mem")  # which can be opened, and not read at its start
    with pytest.raises(OSError, match="Input/output error"):
        keep_copy(broken)
    assert list((media_root / "archives").iterdir()) == []


def test_it_leaves_no_copy_where_it_is_told_to_end(environment, tmp_path, media_root):
    source = tmp_path / "slow.zip"
    os.mkfifo(source)
    command = [sys.executable, "manage.py", "import_archive", str(source)]
    process = subprocess.Popen(command, env=os.environ | environment, cwd=project.BASE_DIR)
    with source.open("wb", 0) as slow:
        slow.write(bytes(100_000))
        wait_until(lambda: list((media_root / "archives").glob("*.zip")), "the copy")
        process.terminate()
        with contextlib.suppress(BrokenPipeError):
            while process.poll() is None:
                slow.write(bytes(100_000))
    assert process.wait() == 128 + signal.SIGTERM
    assert list((media_root / "archives").iterdir()) == []


def test_it_ends_well_where_every_archive_completed(tmp_path, capsys):
    call_command("import_archive", zip_of(tmp_path / "a.zip", ct_image()))
    assert "completed" in capsys.readouterr().out


@pytest.fixture
def died(upload_zip, monkeypatch) -> DICOMFile:
    """An upload whose run was killed right after a commit: rows, and files still staged."""
    upload = upload_zip(*(ct_image(SOPInstanceUID=uid(8, number)) for number in range(6)))
    monkeypatch.setattr(batches, "MOST_MEMBERS", 3)
    with monkeypatch.context() as patch:

        def die(*arguments: object) -> None:
            raise claims.LostRun  # which leaves everything as it is

        patch.setattr(filing, "publish", die)
        assert ingest.run_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.processing_status == Status.IN_PROGRESS
    assert [violation.code for violation in verify()].count("file_missing") == 0  # a live run's
    assert DICOMInstance.objects.count() == 3
    return upload


def lease_ends_in(upload: DICOMFile, seconds: float) -> None:
    DICOMFile.objects.filter(pk=upload.pk).update(lease_until=Now() + timedelta(seconds=seconds))


def test_it_finishes_what_a_killed_import_left(died, tmp_path):
    lease_ends_in(died, 2)
    begun = timezone.now()
    call_command("import_archive", zip_of(tmp_path / "b.zip", ct_image(SOPInstanceUID=uid(8, 0))))
    died.refresh_from_db()
    waited = died.run_started_at - begun
    assert 1 < waited.total_seconds() < 20  # it waited for the lease, and no new one's 30 s
    assert (died.processing_status, died.imported_count) == (Status.COMPLETED, 6)
    second = DICOMFile.objects.exclude(pk=died.pk).get()
    assert (second.processing_status, second.duplicate_count) == (Status.COMPLETED, 1)
    assert list(verify()) == []


def test_what_is_here_already_is_filed_before_an_import_says_so(died, upload_zip):
    lease_ends_in(died, 1)
    again = upload_zip(*(ct_image(SOPInstanceUID=uid(8, number)) for number in range(3)))
    assert ingest.run_upload(again.pk)
    again.refresh_from_db()
    assert (again.processing_status, again.duplicate_count) == (Status.COMPLETED, 3)
    root = Path(project.ICON_PROCESSED_ROOT)
    assert all((root / instance.path).is_file() for instance in DICOMInstance.objects.all())
    died.refresh_from_db()
    assert died.status_label == "Queued"


def test_a_live_run_is_left_alone(upload_zip, tmp_path, processed_root):
    upload = upload_zip(ct_image(SOPInstanceUID=uid(8, 1)))
    run = claims.claim(upload.pk)
    with Staging(processed_root, upload.pk, run.run_id) as staging:
        staging.show_life()
        call_command("import_archive", zip_of(tmp_path / "b.zip", ct_image()))
    upload.refresh_from_db()
    assert upload.processing_status == Status.IN_PROGRESS


@pytest.mark.parametrize(
    "kills",
    [pytest.param(1, marks=pytest.mark.long), pytest.param(40, marks=pytest.mark.crash)],
)
def test_after_a_kill_the_next_import_leaves_a_sound_catalogue(
    kills, environment, tmp_path, processed_root
):
    """Killed at random moments, with all its processes, and run again."""
    archive = zip_of(tmp_path / "many.zip", *faults.members())
    command = [sys.executable, "manage.py", "import_archive", str(archive)]
    for _ in range(kills):
        faults.clear(processed_root)
        killed = subprocess.Popen(command, env=os.environ | environment, start_new_session=True)
        wait_until(lambda: DICOMFile.objects.in_progress().exists(), "the import to begin")
        time.sleep(random.uniform(0, 1.0))
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        faults.expire_leases()
        done = subprocess.run(command, env=os.environ | environment, check=False)
        assert done.returncode == 0
        assert not DICOMFile.objects.in_progress().exists()
        assert DICOMInstance.objects.count() == len(faults.wanted())
        assert [violation.sentence for violation in verify()] == []


def test_a_run_that_renews_its_lease_is_alive_also_where_its_lock_is_not_seen(upload_zip):
    upload = upload_zip(ct_image())
    run = claims.claim(upload.pk)

    def renew() -> None:
        run.renew()
        connection.close()

    threading.Timer(0.5, renew).start()
    begun = time.monotonic()
    assert abandoned.take_back() == []
    assert time.monotonic() - begun < 10  # the lease is 30 s
    upload.refresh_from_db()
    assert (upload.processing_status, upload.run_id) == (Status.IN_PROGRESS, run.run_id)
