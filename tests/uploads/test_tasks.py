"""Uploads through a real broker and a real worker."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings as project
from django.db.models.functions import Now

from app import tasks
from app.health.derived import KINDS
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Status
from app.uploads import claims
from tests.conftest import START_SECONDS, free_port, wait_until
from tests.making.faults import extractors, wait_for
from tests.making.objects import ct_image, rt_structure_set, uid


def images(count: int) -> list[bytes]:
    return [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(count)]


def is_sound() -> bool:
    return list(verify()) == []


def test_a_worker_runs_what_was_started_each_once(upload_zip, worker):
    what_was_started(upload_zip)
    what_a_batch_can_queue(upload_zip)
    what_a_message_names_that_comes_twice(upload_zip)


def what_was_started(upload_zip) -> None:
    upload = upload_zip(*images(3), rt_structure_set())
    assert tasks.start([upload.pk]) == tasks.Started(queued=[upload.pk])
    wait_for(upload, Status.COMPLETED)
    assert upload.outcomes["imported"] == 4
    assert upload.task_id
    assert is_sound()
    wait_until(lambda: all(kind.numbers().made for kind in KINDS), "what is derived")


def what_a_batch_can_queue(upload_zip) -> None:
    uploads = [upload_zip(ct_image(SOPInstanceUID=uid(9, n))) for n in range(3)]
    pks = [upload.pk for upload in uploads]
    assert tasks.process_multiple_dicom_files(pks) == pks
    for upload in uploads:
        wait_for(upload, Status.COMPLETED)
    assert tasks.process_multiple_dicom_files(pks) == []


def what_a_message_names_that_comes_twice(upload_zip) -> None:
    upload = upload_zip(*(ct_image(SOPInstanceUID=uid(8, n)) for n in range(3)))
    claims.queue([upload.pk])
    for _ in range(5):
        tasks.process_dicom_file_task.delay(upload.pk)
    wait_for(upload, Status.COMPLETED)
    time.sleep(1)
    upload.refresh_from_db()
    assert len(openings(upload)) == 1
    assert upload.outcomes["imported"] == 3


def openings(upload: DICOMFile) -> list[str]:
    lines = [line["message"] for line in upload.processing_log_data]
    return [line for line in lines if "the archive" in line]


def test_a_message_that_the_broker_hands_out_again_runs_once(slow_upload, start_worker):
    """As it does with one whose task takes longer than the visibility timeout."""
    upload = slow_upload
    worker = start_worker(ICON_EXTRACTORS="1")
    tasks.start([upload.pk])
    wait_until(lambda: DICOMInstance.objects.exists(), "the first batch")
    with current_app.connection_for_read(transport_options={"visibility_timeout": 0}) as broker:
        restore = broker.default_channel.qos.restore_visible

        def came_again() -> bool:
            restore(interval=1)  # which does nothing while the worker itself is at it
            return worker.output.count(" received") >= 2

        wait_until(came_again, "the message to come again")
    wait_for(upload, Status.COMPLETED)
    assert len(openings(upload)) == 1
    assert upload.outcomes["imported"] == 150
    assert is_sound()


def test_only_what_the_broker_has_lost_is_sent_again(upload_zip, broker):
    uploads = [upload_zip(ct_image()) for _ in range(3)]
    tasks.start([upload.pk for upload in uploads])
    for times in range(3):  # however long they wait
        DICOMFile.objects.update(sent_at=Now() - 2 * claims.RESEND)
        assert tasks.sweep() == 0, times
    assert broker.llen("celery") == 3
    broker.flushall()
    assert tasks.sweep() == 3
    assert broker.llen("celery") == 3


START = """
import sys, time, django
django.setup()
from app import tasks
begun = time.monotonic()
print(tasks.start([int(sys.argv[1])]))
print(time.monotonic() - begun)
"""


def test_without_a_broker_an_upload_is_queued_at_once(upload_zip, environment):
    upload = upload_zip(ct_image())
    nowhere = {"ICON_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}
    done = subprocess.run(
        [sys.executable, "-c", START, str(upload.pk)],
        env=os.environ | environment | nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    started, seconds = done.stdout.splitlines()
    assert started == str(tasks.Started(queued=[upload.pk], broker_away=True))
    assert float(seconds) < 4  # nobody waits for the broker to come back
    upload.refresh_from_db()
    assert upload.status_label == "Queued"


def test_a_worker_finds_what_the_broker_never_heard_of(upload_zip, start_worker):
    upload = upload_zip(ct_image())
    claims.queue([upload.pk])
    start_worker()
    wait_for(upload, Status.COMPLETED)


def test_cancel_stops_a_run_and_process_now_goes_on(slow_upload, start_worker):
    upload = slow_upload
    worker = start_worker(ICON_EXTRACTORS="1")
    tasks.start([upload.pk])
    wait_until(lambda: DICOMInstance.objects.exists(), "the first batch")
    for extractor, is_at_work in extractors(worker).items():
        if is_at_work:
            os.kill(extractor, signal.SIGSTOP)  # the run does not end before it looks up
    begun = time.monotonic()
    claims.cancel([upload.pk])
    wait_for(upload, Status.PENDING, Status.COMPLETED)
    assert time.monotonic() - begun < 5
    assert upload.status_label.startswith("Stopped")
    assert is_sound()
    tasks.start([upload.pk])
    wait_for(upload, Status.COMPLETED)
    assert upload.outcomes["imported"] == 150
    assert is_sound()


def test_a_worker_that_shuts_down_hands_its_upload_on(slow_upload, start_worker):
    upload = slow_upload
    first = start_worker(ICON_EXTRACTORS="1")
    tasks.start([upload.pk])
    wait_until(lambda: DICOMInstance.objects.exists(), "the first batch")
    first.stop(signal.SIGTERM, START_SECONDS)
    upload.refresh_from_db()
    assert upload.status_label == "Queued"
    assert upload.outcomes["imported"] < 150
    start_worker()
    wait_for(upload, Status.COMPLETED)
    assert upload.outcomes["imported"] == 150
    assert is_sound()


def test_a_worker_hands_on_what_it_cannot_run_since_another_version_was_installed(
    upload_zip, start_worker, tmp_path
):
    installed = tmp_path / "installed"
    for name in ("app", "icon"):
        shutil.copytree(project.BASE_DIR / name, installed / name)
    shutil.copy(project.BASE_DIR / "manage.py", installed)
    upload = upload_zip(*images(3))
    old = start_worker(under=["env", "-C", str(installed)])
    with (installed / "app/sandbox/wire.py").open("a") as wire:
        wire.write("# another version\n")
    tasks.start([upload.pk])
    assert old.process.wait(START_SECONDS) == 0
    assert "Another version of ICON is installed" in old.output
    upload.refresh_from_db()
    assert upload.status_label == "Queued"
    assert "Another version" in upload.processing_log_data[-1]["message"]
    start_worker(under=["env", "-C", str(installed)])
    wait_for(upload, Status.COMPLETED)
    assert upload.imported_count == 3


def test_a_small_upload_does_not_wait_for_two_large_ones(upload_zip, slow_zip, start_worker):
    large = [upload_zip(slow_zip) for _ in range(2)]
    DICOMFile.objects.update(size=claims.LARGE)
    start_worker(ICON_EXTRACTORS="1")
    tasks.start([upload.pk for upload in large])
    wait_until(lambda: DICOMFile.objects.in_progress().count() == 2, "both")
    small = upload_zip(ct_image(PatientID="P2"))
    tasks.start([small.pk])
    wait_for(small, Status.COMPLETED)
    assert DICOMFile.objects.in_progress().exists()
    logs = DICOMFile.objects.filter(pk__in=[upload.pk for upload in large])
    told = [line["message"] for log in logs for line in log.processing_log_data]
    assert [line for line in told if "gives way" in line]


@pytest.mark.long
def test_an_upload_survives_the_death_of_its_worker(slow_upload, start_worker, processed_root):
    upload = slow_upload
    first = start_worker(ICON_EXTRACTORS="1")
    tasks.start([upload.pk])
    wait_until(lambda: DICOMInstance.objects.exists(), "the first batch")
    first.kill()
    wait_until(lambda: not orphans(), "the extractors to end")
    start_worker()
    wait_for(upload, Status.COMPLETED, seconds=90)
    assert upload.outcomes["imported"] == upload.member_count == 150
    assert is_sound()
    assert not list((processed_root / ".staging").iterdir())


def orphans() -> list[str]:
    """Extractors whose parent is gone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"app.sandbox.extractor" in (process / "cmdline").read_bytes():
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                found += [process.name] if parent == "1" else []
        except OSError:
            continue
    return found


def test_the_sweep_rolls_forward_what_a_dead_run_had_committed(upload_zip, processed_root):
    upload = upload_zip(ct_image())
    left = processed_root / ".staging" / str(upload.pk)
    left.mkdir(parents=True)
    (left / "0-0.part").write_bytes(b"rubbish")
    tasks.sweep()
    assert not left.exists()


@pytest.mark.django_db(transaction=True)
def test_a_task_for_an_upload_that_is_gone_does_nothing():
    assert tasks.process_dicom_file_task.apply((0,)).get() is False


LATE_BEAT = """
import os, time
from celery import beat
from celery.__main__ import main

def run(self, run=beat._Process.run):
    print("beat is", os.getpid(), flush=True)
    time.sleep(4)  # it has not set its own answer to signals yet
    run(self)

beat._Process.run = run
main()
"""


def test_a_process_that_a_stopping_worker_had_just_made_ends_with_it(start, environment, broker):
    command = [sys.executable, "-c", LATE_BEAT, "-A", "icon", "worker", "-B", "--without-mingle"]
    worker = start("worker", command, environment)
    wait_until(lambda: worker.says("beat is"), "beat")
    beat = re.search(r"beat is (\d+)", worker.output)[1]
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(START_SECONDS) == 0
    wait_until(lambda: not Path("/proc", beat).exists(), "beat to end")
