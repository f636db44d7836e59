"""Two hosts share a disk on which one does not see the other's locks, as on NFS.

A run is stopped with its extractors, as a host that sleeps; another takes its upload over, and in
the midst of that the first wakes, and does not know. `python3 run.py test -m crash` stops it at
more points, and does it with two real workers, 20 times on each database.
"""

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as project

from app import tasks
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Status
from app.uploads import batches, ingest, progress
from tests.conftest import START_SECONDS, Service, locks, wait_until
from tests.making import faults
from tests.making.objects import ct_image, uid, zip_of

pytestmark = pytest.mark.usefixtures("two_extractors")

CRASH = pytest.mark.crash
IMAGES = [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(100)]

# It stops itself and its extractors at one of its calls that change the disk.
SLEEPER = """
import fcntl, os, signal, sys, django
django.setup()
from app.uploads import batches, ingest
fcntl.flock = lambda *arguments: None
batches.MOST_MEMBERS = 10
call, left = getattr(os, sys.argv[2]), int(sys.argv[3])

def sleeps(*arguments, **keywords):
    global left
    left -= 1
    if not left:
        os.killpg(0, signal.SIGSTOP)
    return call(*arguments, **keywords)

setattr(os, sys.argv[2], sleeps)
ingest.run_upload(int(sys.argv[1]))
"""


@pytest.fixture
def no_locks(monkeypatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)


@pytest.fixture
def fall_asleep(environment, tmp_path) -> Callable[..., subprocess.Popen]:
    """Run an upload in a process of its own, to where it stops itself."""

    def begin(upload: DICOMFile, call: str, at: int) -> subprocess.Popen:
        begun = subprocess.Popen(
            [sys.executable, "-c", SLEEPER, str(upload.pk), call, str(at)],
            env=os.environ | environment,
            cwd=project.BASE_DIR,
            start_new_session=True,
        )
        wait_until(lambda: state_of(begun) in "TZ", "the first run to fall asleep")
        assert state_of(begun) == "T"
        return begun

    return begin


def state_of(process: subprocess.Popen) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.database
@pytest.mark.parametrize(
    ("call", "at"),
    [
        pytest.param("link", 25, marks=locks),  # it publishes its third batch
        *(pytest.param("link", at, marks=CRASH) for at in (1, 2, 10, 11, 12, 99, 100)),
        *(pytest.param("unlink", at, marks=CRASH) for at in (1, 2, 10, 11, 99, 100)),
        *(pytest.param("mkdir", at, marks=CRASH) for at in (1, 2, 3, 4, 5)),
        *(pytest.param("rmdir", at, marks=CRASH) for at in (1, 2)),
    ],
)
def test_a_run_that_wakes_when_another_has_its_upload_changes_nothing(
    call, at, fall_asleep, no_locks, upload_zip, processed_root, monkeypatch
):
    monkeypatch.setattr(batches, "MOST_MEMBERS", 10)
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    upload = upload_zip(*IMAGES)
    sleeper = fall_asleep(upload, call, at)
    faults.expire_leases()

    def wake(percent: int, step: str) -> None:
        """Where there is something left to read, in the midst of it."""
        if percent >= 60 and sleeper.poll() is None:
            os.killpg(sleeper.pid, signal.SIGCONT)
            assert sleeper.wait(START_SECONDS) == 0

    assert ingest.run_upload(upload.pk, report=wake)
    assert sleeper.poll() == 0
    tasks.sweep()
    upload.refresh_from_db()
    assert (upload.processing_status, upload.imported_count) == (Status.COMPLETED, len(IMAGES))
    assert [violation.sentence for violation in verify()] == []
    assert not list((processed_root / ".staging").iterdir())


WORKER = """
import fcntl
from celery.__main__ import main
fcntl.flock = lambda *arguments: None
main()
"""


@pytest.fixture
def workers(either_database, environment, start, broker) -> list[Service]:
    """Two workers without locks."""
    options = ["-A", "icon", "worker", "-l", "info", "--without-mingle", "-n"]
    command = [sys.executable, "-c", WORKER, *options]
    both = [start(name, [*command, f"{name}@localhost"], environment) for name in ("a", "b")]
    for worker in both:
        wait_until(lambda worker=worker: worker.says(" ready."), "the worker")
    return both


@CRASH
def test_workers_of_two_hosts_keep_apart(workers, upload_zip, tmp_path, processed_root):
    archive = zip_of(tmp_path / "many.zip", *faults.members())
    for _ in range(20):
        upload, sleeper = fallen_asleep(workers, upload_zip, archive, processed_root)
        lost = upload.run_id
        faults.expire_leases()
        wait_until(lambda: run_of(upload) not in ("", lost), "the other worker to take over", 120)  # noqa: B023
        time.sleep(random.uniform(0, 0.8))
        os.killpg(sleeper.process.pid, signal.SIGCONT)
        faults.wait_for(upload, Status.COMPLETED)
        wait_until(lambda: not list((processed_root / ".staging").iterdir()), "the sweep")
        faults.assert_came_through(upload, processed_root)


def fallen_asleep(workers, upload_zip, archive, root) -> tuple[DICOMFile, Service]:
    """An upload in mid-import, and the worker that has it, stopped with all its processes."""
    for _ in range(10):
        faults.clear(root)
        upload = upload_zip(archive)
        tasks.start([upload.pk])
        most = random.uniform(0, faults.IMAGES * 0.8)
        wait_until(lambda: DICOMInstance.objects.count() > most, "some batches")  # noqa: B023
        (sleeper,) = filter(has_extractors, workers)
        os.killpg(sleeper.process.pid, signal.SIGSTOP)
        if run_of(upload) and not faults.is_locked():
            return upload, sleeper
        os.killpg(sleeper.process.pid, signal.SIGCONT)
        faults.wait_for(upload, Status.COMPLETED)
    pytest.fail("Every run was over too soon, or stopped with the database locked")


def run_of(upload: DICOMFile) -> str:
    upload.refresh_from_db()
    return upload.run_id


def has_extractors(worker: Service) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = os.getpgid(int(process.name)) == worker.process.pid
            if ours and b"app.sandbox.extractor" in (process / "cmdline").read_bytes():
                return True
    return False
