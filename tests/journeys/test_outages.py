"""The broker or the database goes away in mid-import, and comes back.

A few seconds, once, by default; `python3 run.py test -m crash` takes half a minute of each,
20 times, at random moments, and of the databases a few seconds at many more moments.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.db import OperationalError, connection

from app import tasks
from app.catalogue.transactions import while_heard
from app.models import DICOMFile, Status
from app.uploads import batches, claims, ingest, progress
from tests.conftest import Service, begin, default_database, running_postgres, wait_until
from tests.making import faults
from tests.making.objects import ct_image, uid, zip_of

pytestmark = pytest.mark.usefixtures("two_extractors")

BACK_SECONDS = 60  # within which everything goes on by itself


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return zip_of(tmp_path_factory.mktemp("archive") / "many.zip", *faults.members())


@pytest.fixture
def start_amid(upload_zip, archive, processed_root) -> Callable[[], DICOMFile]:
    """Start an upload, and return at a random moment of its run."""

    def start() -> DICOMFile:
        for _ in range(10):
            faults.clear(processed_root)
            upload = upload_zip(archive)
            if is_amid(upload):
                return upload
        pytest.fail("This machine is so fast that every run was over too soon")

    return start


def is_amid(upload: DICOMFile) -> bool:
    tasks.start([upload.pk])
    wait_until(lambda: status_of(upload) != Status.PENDING, "the run")
    time.sleep(random.uniform(0, 0.6))
    return status_of(upload) == Status.IN_PROGRESS


def status_of(upload: DICOMFile) -> str:
    upload.refresh_from_db()
    return upload.processing_status


# The broker


@pytest.mark.parametrize(
    ("mortal_broker", "times", "seconds"),
    [
        ("valkey", 1, 3),
        pytest.param("valkey", 20, 30, marks=pytest.mark.crash),
        pytest.param("redis", 20, 30, marks=pytest.mark.crash),
    ],
    indirect=["mortal_broker"],
)
def test_an_import_comes_through_an_outage_of_the_broker(
    times, seconds, mortal_broker, broker, start_worker, start_amid, upload_zip, processed_root
):
    start_worker()
    for _ in range(times):
        upload = start_amid()
        mortal_broker.kill()
        during = upload_zip(ct_image(PatientID="P9", SOPInstanceUID=uid(8)))
        begun = time.monotonic()
        assert tasks.start([during.pk]).broker_away
        assert time.monotonic() - begun < 3  # nobody waits for it to come back
        time.sleep(seconds)
        begin(mortal_broker, broker)
        faults.wait_for(during, Status.COMPLETED, seconds=BACK_SECONDS)
        faults.wait_for(upload, Status.COMPLETED, seconds=BACK_SECONDS)
        faults.assert_came_through(upload, processed_root)


# The database


@pytest.fixture
def outage(request, transactional_db, tmp_path) -> Iterator[Callable[[float], None]]:
    """Take the database away for so many seconds."""
    if request.param == "postgresql":
        with running_postgres() as (url, server), default_database(url):
            yield lambda seconds: stop_for(server, seconds)
    else:
        with default_database(f"sqlite:///{tmp_path}/icon.sqlite3"):
            yield hold_for


def stop_for(server: Service, seconds: float) -> None:
    """Stop PostgreSQL as `pg_ctl stop -m immediate` does: it has to recover when it starts."""
    server.process.send_signal(signal.SIGQUIT)
    server.process.wait(30)
    time.sleep(seconds)
    server.start()
    connection.close()

    def answers_again() -> bool:
        try:
            connection.ensure_connection()
        except OperationalError:
            return False
        return True

    wait_until(answers_again, "PostgreSQL")


HOLD = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN EXCLUSIVE")
time.sleep(float(sys.argv[2]))
"""


def hold_for(seconds: float) -> None:
    """Hold SQLite's lock, so that nobody else can write."""
    name = str(connection.settings_dict["NAME"])
    subprocess.run([sys.executable, "-c", HOLD, name, str(seconds)], check=True)


@pytest.mark.parametrize(
    ("outage", "times", "seconds"),
    [
        ("postgresql", 1, 3),
        pytest.param("sqlite", 1, 3, marks=pytest.mark.long),
        *(
            pytest.param(kind, *part, marks=pytest.mark.crash)
            for kind in ("sqlite", "postgresql")
            for part in ((20, 30), (70, 3))
        ),
    ],
    indirect=["outage"],
)
def test_an_import_comes_through_an_outage_of_the_database(
    times, seconds, outage, start_worker, start_amid, processed_root
):
    worker = start_worker()
    for _ in range(times):
        upload = start_amid()
        outage(seconds)
        faults.wait_for(upload, Status.COMPLETED, seconds=BACK_SECONDS)
        faults.assert_came_through(upload, processed_root)
        assert worker.process.poll() is None


@pytest.mark.long
def test_a_row_that_a_silent_host_holds_is_free_when_its_lease_is_over(postgres, upload_zip):
    """It fell asleep between two statements of a transaction, and its connection stays open."""
    with default_database(postgres):
        upload = upload_zip(ct_image())
        run = claims.claim(upload.pk)

        @while_heard(1)
        def write() -> None:
            run.write(percent=20)
            with psycopg.connect(connection.connection.info.dsn) as other:
                other.execute("SET lock_timeout = '10s'")
                other.execute("UPDATE app_dicomfile SET run_id = 'next'")
            run.write(percent=30)

        with pytest.raises(claims.LostRun):
            claims.patiently(write)
        upload.refresh_from_db()
        assert (upload.run_id, upload.percent) == ("next", 0)


STEPS = ("Reading the ZIP", "0 of 2 files", "1 of 2 files", "Making the files", "Writing")


def test_a_run_that_loses_its_connection_goes_on(postgres, upload_zip, monkeypatch):
    """At any step, not only while a batch is written."""
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    monkeypatch.setattr(batches, "MOST_MEMBERS", 1)
    with default_database(postgres):
        for number, at in enumerate(STEPS):
            upload = upload_zip(*(ct_image(SOPInstanceUID=uid(7, number, n)) for n in range(2)))
            steps = []

            def cut(percent: int, step: str, at: str = at, steps: list[str] = steps) -> None:
                if step.startswith(at) and at not in steps:
                    steps.append(at)
                    lose_connection()

            assert ingest.run_upload(upload.pk, report=cut)
            upload.refresh_from_db()
            assert (upload.processing_status, upload.imported_count) == (Status.COMPLETED, 2), at
            assert steps == [at]


@pytest.mark.parametrize("at", ["before", "after", "between"])
def test_a_claim_that_loses_its_connection_is_made(at, postgres, upload_zip):
    """Before the row is taken, after that, and before it is said that it is."""
    lost = []

    def lose(execute, sql, *rest):
        if lost or not sql.startswith("UPDATE"):
            return execute(sql, *rest)
        lost.append(at)
        done = None if at == "before" else execute(sql, *rest)
        lose_connection()
        return done if at == "after" else execute(sql, *rest)

    with default_database(postgres):
        upload = upload_zip(ct_image())
        with connection.execute_wrapper(lose):
            run = claims.claim(upload.pk, "task")
        assert lost == [at]
        upload.refresh_from_db()
        assert run
        assert (upload.run_id, upload.task_id) == (run.run_id, "task")
        assert claims.claim(upload.pk) is None


def test_a_run_whose_server_goes_away_after_the_ledger_was_read_goes_on(
    postgres, upload_zip, monkeypatch
):
    """Closing the server's cursor is then what fails."""
    close, lost = psycopg.ServerCursor.close, []

    def lose(cursor: psycopg.ServerCursor) -> None:
        if not lost:
            lost.append(cursor)
            lose_connection_of_another(cursor.connection)
        close(cursor)

    monkeypatch.setattr(psycopg.ServerCursor, "close", lose)
    with default_database(postgres):
        upload = upload_zip(ct_image())
        assert ingest.run_upload(upload.pk)
        upload.refresh_from_db()
    lost[0].close()
    assert (upload.processing_status, upload.imported_count) == (Status.COMPLETED, 1)


def test_a_batch_whose_commit_got_no_answer_is_noted_as_any_other(
    postgres, upload_zip, monkeypatch
):
    """The server commits and goes away: the ledger has the batch, and so has the log."""
    lose_answer(monkeypatch)
    with default_database(postgres):
        kept = ct_image(SOPInstanceUID=uid(9, 1), SOPClassUID=None)
        upload = upload_zip(kept, ct_image(StudyInstanceUID=None))
        with connection.execute_wrapper(watch_batches):
            assert ingest.run_upload(upload.pk)
        upload.refresh_from_db()
        lines = {line["level"]: line["message"] for line in upload.processing_log_data}
    assert committed == ["lost"]
    assert (upload.imported_count, upload.failed_count) == (1, 1)
    assert "SOP Class UID is missing" in lines["warning"]
    assert "Study Instance UID is missing" in lines["error"]


committed: list[str] = []  # what became of the commit of a batch


def watch_batches(execute, sql, *rest):
    if "warning_count" in sql and sql.startswith("UPDATE") and not committed:
        committed.append("next")
    return execute(sql, *rest)


def lose_answer(monkeypatch) -> None:
    """Let the connection go right after the commit of the first batch."""
    committed.clear()
    commit = psycopg.Connection.commit

    def commit_and_lose(kept: psycopg.Connection) -> None:
        commit(kept)
        if committed == ["next"]:
            committed[:] = ["lost"]
            lose_connection_of_another(kept)
            raise psycopg.OperationalError

    monkeypatch.setattr(psycopg.Connection, "commit", commit_and_lose)


def lose_connection_of_another(kept: psycopg.Connection) -> None:
    with psycopg.connect(kept.info.dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [kept.info.backend_pid])


def lose_connection() -> None:
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
