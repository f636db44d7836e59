"""Kills and disk errors at the system calls that change something, injected by strace.

A few points of each call by default. `python3 run.py test -m crash` takes every point of a
whole import, for each call and each error; it runs for an hour or so.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings as project
from django.db.models.functions import Now

from app import claims, ingest, removal
from app.models import DICOMFile, DICOMInstance, Patient, Status
from tests.conftest import lacking, process
from tests.objects import ct_image, rt_structure_set, uid

RUN = """
import sys, django
django.setup()
from app import ingest
ingest.BATCH_MEMBERS = 15
ingest.run_upload(int(sys.argv[1]))
"""
IMAGES = [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(40)]
MEMBERS = [*IMAGES, rt_structure_set(), IMAGES[0], ("README.txt", b"hello")]
WANTED = {hashlib.sha256(data).hexdigest() for data in (*IMAGES, rt_structure_set())}
OUTCOMES = {"imported": 41, "duplicate": 1, "conflict": 0, "skipped": 1, "failed": 0}

KILLS = ("linkat", "unlinkat", "renameat", "mkdir", "rmdir", "pwrite64", "fdatasync", "syncfs")
ERRORS = ("linkat", "unlinkat", "renameat", "mkdir", "pwrite64", "syncfs")
SOME = (1, 2, 17)
EVERY = range(1, 400)


@pytest.fixture
def run_with(environment, tmp_path):
    """Run an upload in a process of its own, with a fault injected; whether it was met."""
    strace = shutil.which("strace") or lacking("strace", "strace")

    def run(upload: DICOMFile, fault: str) -> bool:
        call = fault.partition(":")[0]
        log = tmp_path / "strace.log"
        traced = [strace, "-f", "--seccomp-bpf", "-e", f"trace={call}", "-e", f"inject={fault}"]
        subprocess.run(
            [*traced, "-o", log, sys.executable, "-c", RUN, str(upload.pk)],
            env=os.environ | environment,
            cwd=project.BASE_DIR,
            capture_output=True,
            check=False,
            timeout=120,
        )
        text = log.read_text()
        return "INJECTED" in text or "killed by SIGKILL" in text

    return run


def go_on(upload: DICOMFile) -> None:
    """What happens next: the sweep takes a dead run's upload, or somebody presses Process Now."""
    DICOMFile.objects.filter(pk=upload.pk, processing_status=Status.IN_PROGRESS).update(
        lease_until=Now() - timedelta(seconds=1)
    )
    upload.refresh_from_db()
    if upload.processing_status == Status.FAILED:
        assert upload.failure_reason in ("disk_full", "disk_error", "disk_read_only")
        claims.queue([upload.pk])
    if upload.processing_status != Status.COMPLETED:
        process(upload)


def assert_nothing_is_lost(upload: DICOMFile, root) -> None:
    go_on(upload)
    upload.refresh_from_db()
    assert upload.outcomes == OUTCOMES
    assert set(DICOMInstance.objects.values_list("sha256", flat=True)) == WANTED
    assert DICOMInstance.objects.count() == len(WANTED)
    assert len(list(root.rglob("*.dcm"))) == len(WANTED)
    assert not list((root / ".staging").iterdir())


@pytest.mark.parametrize("at", SOME)
@pytest.mark.parametrize("call", KILLS)
def test_a_kill_loses_nothing(call, at, run_with, upload_zip, processed_root):
    upload = upload_zip(*MEMBERS)
    run_with(upload, f"{call}:signal=SIGKILL:when={at}")
    assert_nothing_is_lost(upload, processed_root)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("call", ERRORS)
def test_a_disk_error_loses_nothing(call, error, run_with, upload_zip, processed_root):
    upload = upload_zip(*MEMBERS)
    run_with(upload, f"{call}:error={error}:when=5")
    assert_nothing_is_lost(upload, processed_root)


@pytest.fixture
def small_disk(processed_root):
    """Mount the processed root on a disk of its own, of so many bytes."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")

    def mount(size: int) -> None:
        how = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"]
        subprocess.run(["mount", *how, processed_root], check=True)

    yield mount
    if os.path.ismount(processed_root) and subprocess.run(["umount", processed_root]).returncode:
        subprocess.run(["umount", "-l", processed_root], check=True)
        pytest.fail("something still holds the disk")


def remount(root, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", root], check=True)


def test_a_full_disk_stops_the_run_and_one_press_resumes_it(
    small_disk, upload_zip, processed_root, monkeypatch
):
    """The room that was checked at the start is taken by somebody else in the meantime."""
    monkeypatch.setattr(ingest, "BATCH_MEMBERS", 5)
    monkeypatch.setattr(ingest, "REPORT_SECONDS", 0)
    small_disk(210_000_000)
    data = [ct_image(SOPInstanceUID=uid(3, n), after=bytes(1_000_000)) for n in range(200)]
    upload = upload_zip(*data)
    ingest.run_upload(upload.pk, report=lambda percent, step: fill(processed_root, percent))
    upload.refresh_from_db()
    assert upload.failure_reason == "disk_full"
    assert "MB more are needed" in upload.failure_detail
    assert upload.failed_count == 0
    (processed_root / ".filler").unlink()
    claims.queue([upload.pk])
    process(upload)
    assert upload.outcomes["imported"] == 200


def fill(root, percent: int) -> None:
    """Take all the room that is left."""
    if percent > 10 and not (root / ".filler").exists():
        with contextlib.suppress(OSError), (root / ".filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(1_000_000)):
                pass


def test_a_read_only_disk_stops_the_run_and_one_press_resumes_it(
    small_disk, upload_zip, processed_root
):
    small_disk(11_000_000)
    remount(processed_root, "ro")
    upload = upload_zip(ct_image())
    ingest.run_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.failure_reason == "disk_read_only"
    remount(processed_root, "rw")
    claims.queue([upload.pk])
    process(upload)
    assert upload.outcomes["imported"] == 1


@pytest.mark.crash
@pytest.mark.parametrize("call", KILLS)
def test_no_kill_at_any_point_loses_anything(call, run_with, upload_zip, processed_root):
    for at in EVERY:
        clear()
        upload = upload_zip(*MEMBERS)
        met = run_with(upload, f"{call}:signal=SIGKILL:when={at}")
        assert_nothing_is_lost(upload, processed_root)
        if not met:
            break


@pytest.mark.crash
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("call", ERRORS)
def test_no_disk_error_at_any_point_loses_anything(
    call, error, run_with, upload_zip, processed_root
):
    for at in EVERY:
        clear()
        upload = upload_zip(*MEMBERS)
        met = run_with(upload, f"{call}:error={error}:when={at}+")
        assert_nothing_is_lost(upload, processed_root)
        if not met:
            break


def clear() -> None:
    for patient in Patient.objects.all():
        removal.delete(patient)
    DICOMFile.objects.all().delete()
