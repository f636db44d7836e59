"""A backup made in the middle of an import, restored elsewhere, as docs/operations.md says."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from app import tasks
from app.models import DICOMFile, DICOMInstance, Status
from tests.conftest import database_url, default_database, running_postgres, wait_until
from tests.making import faults
from tests.making.objects import zip_of


def dump(to: Path) -> None:
    """The database first."""
    if connection.vendor == "postgresql":
        run("pg_dump", "--format=custom", f"--file={to}", database_url())
        return
    name = str(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(name)) as source:
        source.execute("VACUUM INTO ?", (str(to),))


def restore(dumped: Path, url: str) -> None:
    if url.startswith("postgres"):
        run("pg_restore", f"--dbname={url}", dumped)
    else:
        Path(url.removeprefix("sqlite:///")).write_bytes(dumped.read_bytes())


def run(program: str, *arguments: object) -> None:
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))[-1]
    subprocess.run([newest / program, *map(str, arguments)], check=True)


def copy(tree: Path, to: Path) -> None:
    """The tree after it. What is moved meanwhile may be missed, of which cp complains."""
    subprocess.run(["cp", "-a", tree, to], check=False, capture_output=True)


@pytest.fixture
def elsewhere(either_url, tmp_path_factory) -> Iterator[str]:
    """The URL of another database, of the same kind as `either_url`."""
    if either_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path_factory.mktemp('elsewhere')}/icon.sqlite3"
        return
    with running_postgres() as (url, _):
        yield url


@pytest.fixture
def start_worker_on(start_worker) -> Callable:
    """Start a worker on a database and folders other than the test's own."""

    def begin(url: str, processed: Path, media: Path):
        return start_worker(
            ICON_DATABASE_URL=url,
            ICON_PROCESSED_ROOT=str(processed),
            ICON_MEDIA_ROOT=str(media),
            ICON_EXTRACTORS="1",
        )

    return begin


@pytest.mark.long
@pytest.mark.parametrize("either_url", ["sqlite", "postgresql"], indirect=True)
def test_a_backup_of_a_running_import_ends_it_elsewhere(
    either_url, elsewhere, settings, tmp_path, processed_root, media_root, upload_zip,
    broker, start_worker_on,
):  # fmt: skip
    dumped, processed, media = (tmp_path / name for name in ("dump", "restored", "restored-media"))
    with default_database(either_url):
        upload = upload_zip(zip_of(tmp_path / "many.zip", *faults.members()))
        worker = start_worker_on(either_url, processed_root, media_root)
        tasks.start([upload.pk])
        wait_until(lambda: DICOMInstance.objects.exists(), "the first batch")
        dump(dumped)
        copy(processed_root, processed)
        copy(media_root, media)
        worker.kill()
    broker.flushall()
    restore(dumped, elsewhere)
    settings.ICON_PROCESSED_ROOT, settings.MEDIA_ROOT = processed, media
    with default_database(elsewhere):
        assert DICOMFile.objects.get().processing_status == Status.IN_PROGRESS
        assert DICOMInstance.objects.count() < faults.IMAGES
        call_command("verify_catalogue", "--repair")
        call_command("verify_catalogue")
        faults.expire_leases()
        start_worker_on(elsewhere, processed, media)
        upload = DICOMFile.objects.get()
        faults.wait_for(upload, Status.COMPLETED)
        faults.assert_came_through(upload, processed)
