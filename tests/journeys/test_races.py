"""Many runs at once over uploads that share patients, studies, series and instances.

A few uploads in threads by default, on PostgreSQL, and with `-m long` on SQLite;
`python3 run.py test -m crash` gives 50 to the processes of a real worker, ten rounds on each
database.
"""

import hashlib
import http.client
import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as project
from django.db import connection
from django.urls import reverse

from app import tasks
from app.catalogue import removal
from app.catalogue.rereading import Reread, write_again
from app.dicom.headers import read_header
from app.health.verify import verify
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Outcome,
    Patient,
    Status,
)
from app.uploads import batches, claims, ingest
from tests.conftest import locks
from tests.making import faults
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.usefixtures("two_extractors")

RUNS = 8  # at once
PRESSES = 20  # of Process Now at once
PATIENTS, STUDIES, SERIES, IMAGES = 3, 2, 2, 10  # each below the one before
CSRF = "a" * 32


def image(patient: int, study: int, series: int, number: int, **keywords) -> bytes:
    return ct_image(
        PatientID=f"P{patient}",
        StudyInstanceUID=uid(patient, study),
        SeriesInstanceUID=uid(patient, study, series),
        SOPInstanceUID=uid(patient, study, series, number),
        **keywords,
    )


SHARED = [
    image(patient, study, series, number)
    for patient in range(PATIENTS)
    for study in range(STUDIES)
    for series in range(SERIES)
    for number in range(IMAGES)
]


def members(number: int) -> list[bytes]:
    """Half of what all share, what only this upload has, and its version of one object."""
    chance = random.Random(number)
    own = [
        # They describe the patient, study and series that all share in a way of their own.
        image(
            *(chance.randrange(count) for count in (PATIENTS, STUDIES, SERIES)),
            1_000 + 10 * number + one,
            PatientName=f"Nobody^{number}",
            StudyDescription=f"Study as in {number}",
            SeriesDescription=f"Series as in {number}",
        )
        for one in range(5)
    ]
    contested = image(0, 0, 0, 999, InstanceNumber=str(number))
    together = [*chance.sample(SHARED, len(SHARED) // 2), *own, contested]
    chance.shuffle(together)
    return together


def assert_all_is_exact(uploads: Sequence[DICOMFile]) -> None:
    brought = [members(number) for number in range(len(uploads))]
    sums = Counter(hashlib.sha256(data).hexdigest() for one in brought for data in one)
    contested = len(uploads)  # versions of one object, the first of which is imported
    imported = len(sums) - contested + 1
    for upload in uploads:
        upload.refresh_from_db()
        assert upload.processing_status == Status.COMPLETED, upload.failure_reason
    outcomes = Counter(ArchiveMember.objects.values_list("outcome", flat=True))
    assert outcomes == {
        Outcome.IMPORTED: imported,
        Outcome.CONFLICT: contested - 1,
        Outcome.DUPLICATE: sums.total() - len(sums),
    }
    assert DICOMInstance.objects.count() == ImageInformation.objects.count() == imported
    assert {row.sha256 for row in DICOMInstance.objects.all()} <= sums.keys()
    assert Patient.objects.count() == PATIENTS
    assert DICOMStudy.objects.count() == PATIENTS * STUDIES
    assert DICOMSeries.objects.count() == PATIENTS * STUDIES * SERIES
    assert [violation.sentence for violation in verify()] == []


def run(pk: int) -> bool:
    try:
        return ingest.run_upload(pk)
    finally:
        connection.close()


def deadlocks() -> int:
    """How many the database has had to break."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return cursor.fetchone()[0]


@locks
@pytest.mark.database
def test_runs_at_once_over_shared_objects_are_exact(upload_zip, settings, monkeypatch):
    settings.ICON_EXTRACTORS = 1
    monkeypatch.setattr(batches, "MOST_MEMBERS", 10)
    uploads = [upload_zip(*members(number)) for number in range(2 * RUNS)]
    before = deadlocks()
    with ThreadPoolExecutor(RUNS) as threads:
        assert all(threads.map(run, [upload.pk for upload in uploads]))
    assert deadlocks() == before
    assert_all_is_exact(uploads)


@pytest.mark.crash
def test_the_processes_of_a_worker_over_shared_objects_are_exact(
    either_database, start_worker, upload_zip, processed_root
):
    start_worker("-c", str(RUNS), ICON_EXTRACTORS="1")
    for _ in range(10):
        faults.clear(processed_root)
        uploads = [upload_zip(*members(number)) for number in range(50)]
        before = deadlocks()
        tasks.start([upload.pk for upload in uploads])
        for upload in uploads:
            faults.wait_for(upload, Status.COMPLETED, seconds=300)
        assert deadlocks() == before
        assert_all_is_exact(uploads)


@locks
@pytest.mark.database
def test_reading_again_beside_imports_and_deletions_tells_no_old_tale(
    upload_zip, import_zip, settings, monkeypatch, processed_root
):
    settings.ICON_EXTRACTORS, settings.ICON_ON_CONFLICT = 1, "replace"
    monkeypatch.setattr(batches, "MOST_MEMBERS", 10)
    import_zip(*SHARED)
    renewed = [
        image(0, study, 0, number, InstanceNumber=str(version), Rows=version)
        for version in range(100, 103)
        for study in range(STUDIES)
        for number in range(IMAGES)
    ]
    uploads = [upload_zip(*renewed) for _ in range(2)]
    over, before = threading.Event(), deadlocks()
    with ThreadPoolExecutor(4) as threads:
        reading = [threads.submit(read_again, processed_root, over) for _ in range(2)]
        runs = [threads.submit(run, upload.pk) for upload in uploads]
        removal.delete(Patient.objects.get(unique_patient_id="P2"))
        assert all(one.result() for one in runs)
        over.set()
        assert all(one.result() for one in reading)
    assert deadlocks() == before
    assert [violation.sentence for violation in verify()] == []
    for row in DICOMInstance.objects.select_related("image_information"):
        header = read_header((processed_root / row.path).read_bytes())
        told = row.instance_number, row.rows, row.image_information.instance_number
        assert told == (header.instance.instance_number, header.instance.rows, told[0])
    assert DICOMInstance.objects.filter(rows__gte=100).count() == STUDIES * IMAGES


def read_again(root: Path, over: threading.Event) -> int:
    """Read all that is filed again and again; how many objects were read."""
    count = 0
    try:
        while not over.is_set():
            batch = []
            for row in DICOMInstance.objects.order_by("pk"):
                with suppress(FileNotFoundError):
                    data = (root / row.path).read_bytes()
                    sha256 = hashlib.sha256(data).hexdigest()
                    batch.append(Reread(row.pk, sha256, row.created_at, read_header(data)))
            claims.patiently(partial(write_again, batch, in_order=True))
            count += len(batch)
        return count
    finally:
        connection.close()


# Process Now


@pytest.mark.database
def test_of_many_presses_at_once_one_queues_an_upload(upload_zip):
    upload = upload_zip(ct_image())
    gate = threading.Barrier(PRESSES)

    def press(number: int) -> list[int]:
        gate.wait()
        try:
            return claims.queue([upload.pk])[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(PRESSES) as threads:
        queued = list(threads.map(press, range(PRESSES)))
    assert sorted(queued) == [[]] * (PRESSES - 1) + [[upload.pk]]


@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.crash)])
def test_of_many_presses_in_browsers_one_starts_a_run(
    rounds, live, staff_client, broker, upload_zip
):
    for _ in range(rounds):
        broker.flushall()
        upload = upload_zip(ct_image())
        with ThreadPoolExecutor(PRESSES) as threads:
            gate = threading.Barrier(PRESSES)
            pressed = [
                threads.submit(post, live, staff_client, upload, gate) for _ in range(PRESSES)
            ]
        assert [one.result() for one in pressed] == [302] * PRESSES
        assert broker.llen("celery") == 1
        upload.refresh_from_db()
        assert upload.status_label == "Queued"


def post(live, client, upload: DICOMFile, gate: threading.Barrier) -> int:
    """Press Process Now as a browser does; the status of the answer."""
    session = client.cookies[project.SESSION_COOKIE_NAME].value
    headers = {"Cookie": f"sessionid={session}; csrftoken={CSRF}", "X-CSRFToken": CSRF}
    browser = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=30)
    gate.wait()
    browser.request("POST", reverse("process_dicom_file", args=[upload.pk]), headers=headers)
    status = browser.getresponse().status
    browser.close()
    return status
