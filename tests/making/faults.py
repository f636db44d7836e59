"""What the tests of crashes, outages and races share: an upload of some seconds, and its proof."""

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path

from django.db import connection, connections
from django.db.models.functions import Now

from app.health.verify import verify
from app.models import (
    ArchiveMember,
    Deletion,
    DICOMFile,
    DICOMInstance,
    ImageInformation,
    Patient,
    RTStructureROI,
    Status,
)
from tests.conftest import wait_until

from .objects import ct_image, rt_structure_set, uid

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


def in_a_copy(act: Callable[[], object]) -> int:
    """Do something in a copy of this process, which may die of it; the status it ends with."""
    return end_of(begin_copy(act))


def begin_copy(act: Callable[[], object]) -> int:
    """Begin to do something in a copy of this process; its id."""
    connection.close()  # neither may speak on what the other has open
    child = os.fork()
    if not child:
        _do_and_end(act)
    return child


def end_of(copy: int) -> int:
    """The status that a copy of this process ends with."""
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


def _do_and_end(act: Callable[[], object]) -> None:
    """Never to be returned from: the test goes on in the other process."""
    code = 1
    try:
        act()
        connections.close_all()
        code = 0
    finally:
        os._exit(code)


def expire_leases() -> None:
    """Let the time pass in which a run may be silent."""
    running = DICOMFile.objects.filter(processing_status=Status.IN_PROGRESS)
    running.update(lease_until=Now() - timedelta(seconds=1))


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
    """An empty catalogue, for the next round: quicker than deleting objects one by one."""
    DICOMFile.objects.all().delete()
    Patient.objects.all().delete()
    Deletion.objects.all().delete()
    for folder in root.iterdir():
        shutil.rmtree(folder)
