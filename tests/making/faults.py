"""What the tests of crashes, outages and races share: an upload of some seconds, and its proof."""

import ctypes
import hashlib
import os
import shutil
import sqlite3
import subprocess
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.db import connection, connections
from django.db.models.functions import Now

from app.health.verify import verify
from app.models import (
    ArchiveMember,
    Deletion,
    DerivingTurn,
    DICOMFile,
    DICOMInstance,
    ImageInformation,
    Patient,
    RTStructureROI,
    Status,
)
from tests.conftest import Service, lacking, wait_until

from .objects import ct_image, rt_structure_set, uid

PR_SET_PTRACER = 0x59616D61
IMAGES = 2_500  # five batches or more
OUTCOMES = {"imported": IMAGES + 1, "duplicate": 1, "conflict": 1, "skipped": 1, "failed": 1}


@cache
def images() -> list[bytes]:
    """Of three patients, each with four series."""
    return [
        ct_image(
            PatientID=f"P{number % 3}",
            StudyInstanceUID=uid(6, number % 3),
            SeriesInstanceUID=uid(6, number % 12),
            SOPInstanceUID=uid(6, 0, number),
        )
        for number in range(IMAGES)
    ]


def members() -> list[bytes | tuple[str, bytes]]:
    first = images()[0]
    rest = [first, first + bytes(2), ct_image(StudyInstanceUID=None), ("README.txt", b"hello")]
    return [*images(), rt_structure_set(), *rest]


@cache
def wanted() -> set[str]:
    """The SHA-256 of everything that is to be catalogued."""
    return {hashlib.sha256(data).hexdigest() for data in (*images(), rt_structure_set())}


def wait_for(upload: DICOMFile, *statuses: Status, seconds: float = 60) -> None:
    """Wait until an upload has one of these statuses; one that failed will not change."""

    def reached() -> bool:
        upload.refresh_from_db()
        if upload.processing_status in statuses:
            return True
        assert upload.processing_status != Status.FAILED, upload.processing_log_data
        return False

    wait_until(reached, f"upload {upload.pk} to be {statuses}", seconds)


def children(parent: int) -> dict[int, bytes]:
    """The command lines of the processes that a process has started."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found[int(process.name)] = (process / "cmdline").read_bytes()
    return found


def pool(worker: Service) -> list[int]:
    """Its processes for tasks: for each of them an extractor waits, or is at work."""
    return [process for process in children(worker.process.pid) if extractors_of(process)]


def extractors(worker: Service) -> dict[int, bool]:
    """Those of its processes, and whether each is at work."""
    found = {}
    for process in children(worker.process.pid):
        found |= extractors_of(process)
    return found


def extractors_of(process: int) -> dict[int, bool]:
    """Those that a process has started, and whether each is at work: it is locked in then."""
    found = {}
    for pid, command in children(process).items():
        if b"extractor" in command:
            with suppress(FileNotFoundError):  # it has ended
                found[pid] = "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    return found


def is_locked() -> bool:
    """Whether some process is writing to SQLite, so that nobody else can."""
    if connection.vendor != "sqlite":
        return False
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def in_a_copy(act: Callable[[], object]) -> int:
    """Do something in a copy of this process, which may die of it; the status it ends with."""
    return _end_of(_begin_copy(act))


def trace(act: Callable[[], object], log: Path, *options: str) -> int:
    """The same under strace, with these options; what it says of the copy's calls is in `log`.

    A program that sets itself up under strace takes three times as long.
    """
    strace = shutil.which("strace") or lacking("strace", "strace")
    begins, begin = os.pipe()
    copy = _begin_copy(lambda: _act_when_told(act, begins, begin))
    os.close(begins)
    command = [strace, "-f", "-o", log, *options, "-p", str(copy)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        said = tracer.stderr.readline()
        os.close(begin)
        status = _end_of(copy)
    assert "attached" in said, said
    return status


def _act_when_told(act: Callable[[], object], begins: int, begin: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1))  # not only a parent may trace it
    os.close(begin)
    os.read(begins, 1)
    act()


def _begin_copy(act: Callable[[], object]) -> int:
    connection.close()  # neither may speak on what the other has open
    child = os.fork()
    if not child:
        _do_and_end(act)
    return child


def _do_and_end(act: Callable[[], object]) -> None:
    """Never to be returned from: the test goes on in the other process."""
    code = 1
    try:
        act()
        connections.close_all()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end_of(copy: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


def expire_leases() -> None:
    """Let the time pass in which a run may be silent."""
    running = DICOMFile.objects.filter(processing_status=Status.IN_PROGRESS)
    running.update(lease_until=Now() - timedelta(seconds=1))


def turn() -> datetime | None:
    """Until when somebody has the turn at what is computed."""
    return DerivingTurn.objects.filter(until__gt=Now()).values_list("until", flat=True).first()


def end_turn(until: datetime | None) -> None:
    """Let the time of a turn pass whose holder is dead, and of no other."""
    DerivingTurn.objects.filter(until=until).update(until=None)


def assert_came_through(upload: DICOMFile, root: Path) -> None:
    """Nothing is lost, doubled, orphaned or stuck, as if nothing had happened."""
    upload.refresh_from_db()
    assert upload.processing_status == Status.COMPLETED, upload.failure_reason
    assert upload.outcomes == OUTCOMES
    assert ArchiveMember.objects.filter(upload=upload).count() == sum(OUTCOMES.values())
    assert set(upload.instances.values_list("sha256", flat=True)) == wanted()
    assert upload.instances.count() == len(wanted())
    assert ImageInformation.objects.filter(dicom_instance__upload=upload).count() == IMAGES
    assert RTStructureROI.objects.count() == 1
    assert len(list(root.rglob("*.dcm"))) == DICOMInstance.objects.count()
    assert not list((root / ".staging").iterdir())
    assert [violation.sentence for violation in verify()] == []


def clear(root: Path) -> None:
    """An empty catalogue, for the next round: quicker than deleting objects one by one.

    A worker that made something of the objects meanwhile would leave it behind.
    """
    turns = DerivingTurn.objects.filter(until__gt=Now())
    wait_until(lambda: not turns.exists(), "a worker's turn at what is computed")
    DICOMFile.objects.all().delete()
    Patient.objects.all().delete()
    Deletion.objects.all().delete()
    for folder in root.iterdir():
        shutil.rmtree(folder)
