"""The broker or the database goes away in mid-import, and comes back.

A few seconds, once, by default; `python3 run.py test -m crash` takes half a minute of each,
20 times, at random moments.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings as project
from django.db import OperationalError, connection

from app import tasks
from app.management.commands.up import broker_command
from app.models import DICOMFile, Status
from tests import faults
from tests.conftest import Service, answers, lacking, running_postgres, wait_until
from tests.objects import ct_image, uid, zip_of

once_or_often = pytest.mark.parametrize(
    ("times", "seconds"), [(1, 4), pytest.param(20, 30, marks=pytest.mark.crash)]
)
BACK_SECONDS = 60  # within which everything goes on by itself


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return zip_of(tmp_path_factory.mktemp("archive") / "many.zip", *faults.members())


def start_and_reach(upload: DICOMFile, moment: float) -> None:
    """Start an upload and wait until it is so many seconds under way."""
    assert tasks.start([upload.pk]) == tasks.Started(queued=[upload.pk])
    faults.wait_for(upload, Status.IN_PROGRESS)
    time.sleep(moment)


def is_running(upload: DICOMFile) -> bool:
    upload.refresh_from_db()
    return upload.processing_status == Status.IN_PROGRESS


# The broker


@pytest.fixture(params=["valkey", "redis"])
def mortal_broker(request, valkey, broker, tmp_path) -> Iterator[Service]:
    """The embedded broker, or a Redis server in its place."""
    if request.param == "valkey":
        yield valkey
        return
    binary = shutil.which("redis-server") or lacking("Redis server", "redis-server")
    valkey.stop()
    path = Path(project.CELERY_BROKER_URL.removeprefix("redis+socket://"))
    options = broker_command(path, tmp_path / "redis")[1:]
    service = Service([binary, *options], tmp_path / "redis.log")
    begin(service, broker)
    yield service
    service.stop()
    begin(valkey, broker)


def begin(service: Service, client: redis.Redis) -> None:
    service.start()
    wait_until(lambda: answers(client), "the broker")


@once_or_often
def test_an_import_comes_through_an_outage_of_the_broker(
    times, seconds, mortal_broker, broker, start_worker, upload_zip, archive, processed_root
):
    start_worker()
    for _ in range(times):
        faults.clear()
        upload = upload_zip(archive)
        start_and_reach(upload, random.uniform(0, 1))
        mortal_broker.kill()
        during = upload_zip(ct_image(PatientID="P9", SOPInstanceUID=uid(8)))
        begun = time.monotonic()
        assert tasks.start([during.pk]).broker_away
        assert time.monotonic() - begun < 3
        time.sleep(seconds)
        begin(mortal_broker, broker)
        faults.wait_for(during, Status.COMPLETED, BACK_SECONDS)
        faults.wait_for(upload, Status.COMPLETED, BACK_SECONDS)
        faults.assert_came_through(upload, processed_root)


# The database


@pytest.fixture(params=["sqlite", "postgresql"])
def outage(request, transactional_db, tmp_path) -> Iterator[Callable[[float], None]]:
    """Take the database away for so many seconds."""
    if request.param == "postgresql":
        with running_postgres() as (url, server), faults.default_database(url):
            yield lambda seconds: stop_for(server, seconds)
    else:
        with faults.default_database(f"sqlite:///{tmp_path}/icon.sqlite3"):
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


@once_or_often
def test_an_import_comes_through_an_outage_of_the_database(
    times, seconds, outage, start_worker, upload_zip, archive, processed_root
):
    worker = start_worker()
    for _ in range(times):
        faults.clear()
        upload = upload_zip(archive)
        start_and_reach(upload, random.uniform(0, 1))
        outage(seconds)
        faults.wait_for(upload, Status.COMPLETED, BACK_SECONDS)
        faults.assert_came_through(upload, processed_root)
        assert worker.process.poll() is None
