"""Kill -9 at random moments: a worker's processes, extractors, the broker, everything at once.

Kills of extractors by default, 50 of a worker's processes with `-m long`; `python3 run.py test
-m crash` has 1,000 of the whole worker, with its broker now and then, in ten parts: about an hour.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from app import tasks
from app.models import DICOMFile, Status, WorkerSeen
from app.uploads import ingest, progress
from tests.conftest import Service, begin, wait_until
from tests.making import faults
from tests.making.objects import zip_of

pytestmark = pytest.mark.usefixtures("two_extractors")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return zip_of(tmp_path_factory.mktemp("archive") / "many.zip", *faults.members())


@pytest.fixture
def strike(upload_zip, archive, processed_root) -> Callable[..., None]:
    """Strike so many runs at random moments, and prove every upload that came through."""

    def struck(times: int, longest: float, kill: Callable[[], object]) -> None:
        while times:
            faults.clear(processed_root)
            upload = upload_zip(archive)
            tasks.start([upload.pk])
            while times and is_under_way(upload):
                time.sleep(random.uniform(0, longest))
                times -= is_running(upload)
                turn = faults.turn()
                kill()
                faults.end_turn(turn)
                faults.expire_leases()
                tasks.sweep()
            faults.wait_for(upload, Status.COMPLETED)
            faults.assert_came_through(upload, processed_root)

    return struck


def is_under_way(upload: DICOMFile) -> bool:
    """Wait for the next run; False where the last one came to the end."""

    def is_decided() -> bool:
        upload.refresh_from_db()
        assert upload.processing_status != Status.FAILED, upload.processing_log_data
        # Five runs in a row that file nothing are an upload's end, and right so.
        worn = upload.attempts >= 3
        return upload.processing_status == Status.COMPLETED or (is_running(upload) and not worn)

    wait_until(is_decided, "a run")
    return upload.processing_status != Status.COMPLETED


def is_running(upload: DICOMFile) -> bool:
    upload.refresh_from_db()
    return upload.processing_status == Status.IN_PROGRESS


PARTS = [(100, "valkey", "sqlite"), (100, "redis", "postgresql")]  # of the thousand


def kill_all(pids) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.long
def test_kills_of_the_processes_of_a_worker_lose_nothing(start_worker, strike):
    worker = start_worker(ICON_EXTRACTORS="1")
    strike(50, 0.4, lambda: kill_all(faults.children(worker.process.pid)))
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("times", "mortal_broker", "either_database"),
    [
        pytest.param(3, "valkey", "sqlite", marks=pytest.mark.long),
        *[pytest.param(*part, marks=pytest.mark.crash) for part in 5 * PARTS],
    ],
    indirect=["mortal_broker", "either_database"],
)
def test_kills_of_the_worker_and_the_broker_lose_nothing(
    times, either_database, mortal_broker, broker, start_worker, strike
):
    workers = [start_worker("-c", "1") for _ in range(2)]
    kills = 0

    def kill() -> None:
        nonlocal kills
        kills += 1
        at_work = [worker for worker in workers if any(faults.extractors(worker).values())]
        killed = at_work or workers
        for worker in killed:
            worker.kill()
        if kills % 10 == 1:
            mortal_broker.kill()
            begin(mortal_broker, broker)
        for worker in killed:
            worker.start()

    strike(times, 1.2, kill)


@pytest.fixture
def slow_to_say_that_it_is_here(transactional_db) -> Iterator[None]:
    """A worker takes minutes to write that it is here, and nobody else can write meanwhile."""
    table = WorkerSeen._meta.db_table
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TRIGGER slow AFTER INSERT ON {table} BEGIN"
            f" SELECT count(*) FROM ({count} SELECT i FROM n); END"
        )
    yield
    end_slowness()


def end_slowness() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER IF EXISTS slow")


@pytest.mark.long
def test_processes_that_begin_while_their_worker_writes_can_write(
    slow_to_say_that_it_is_here, start_worker, upload_zip, archive
):
    worker = start_worker()
    wait_until(faults.is_locked, "the worker to write")
    killed = faults.pool(worker)
    kill_all(killed)
    wait_until(lambda: len({*faults.pool(worker)} - {*killed}) == 2, "a new pool")
    assert faults.is_locked()
    kill_all(caretakers(worker))
    end_slowness()
    upload = upload_zip(archive)
    tasks.start([upload.pk])
    faults.wait_for(upload, Status.COMPLETED)


def caretakers(worker: Service) -> list[int]:
    started = faults.children(worker.process.pid)
    return [pid for pid, command in started.items() if b"caretaker" in command]


def test_what_looks_after_uploads_is_there_once_and_ends_with_its_worker(start_worker):
    worker = start_worker("-c", "1")
    wait_until(lambda: WorkerSeen.objects.exists(), "the worker to say that it is here")
    killed = caretakers(worker)
    kill_all(killed)
    [caretaker] = wait_until(lambda: [*{*caretakers(worker)} - {*killed}], "another")
    os.kill(worker.process.pid, signal.SIGKILL)
    wait_until(lambda: b"caretaker" not in command_of(caretaker), "its end")


def command_of(pid: int) -> bytes:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_extractors_wait_for_an_upload_and_again_for_the_next(start_worker, upload_zip, archive):
    worker = start_worker("-c", "1", ICON_EXTRACTORS="2")
    wait_until(lambda: len(faults.extractors(worker)) == 2, "extractors")
    waiting = faults.extractors(worker)
    assert not any(waiting.values())
    upload = upload_zip(archive)
    tasks.start([upload.pk])
    faults.wait_for(upload, Status.COMPLETED)

    def are_others() -> bool:
        there = faults.extractors(worker)
        return len(there) == 2 and not {*waiting} & {*there}

    wait_until(are_others, "two others, and none of the first")


def test_kills_of_extractors_change_no_outcome(upload_zip, archive, processed_root, monkeypatch):
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.05)
    upload = upload_zip(archive)
    kills = []
    at_work: set[int] = set()

    def kill_one(percent: int, step: str) -> None:
        """One that has been at work since the last report: not one that reads a member again."""
        before = at_work.copy()
        at_work.clear()
        at_work.update(pid for pid, works in faults.extractors_of(os.getpid()).items() if works)
        if at_work & before and len(kills) < 6:
            kills.append(random.choice(sorted(at_work & before)))
            kill_all(kills[-1:])

    assert ingest.run_upload(upload.pk, report=kill_one)
    assert len(kills) > 3
    faults.assert_came_through(upload, processed_root)
