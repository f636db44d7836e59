"""Kills and disk errors at the system calls that change something, injected by strace.

A few points of each call by default. `python3 run.py test -m crash` takes every point of a
whole import, for each call and each error, and the kills on PostgreSQL, too; it runs for an hour
or so, and says with `-rP` how many points each call had.
"""

import contextlib
import hashlib
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
from django.conf import settings as project
from django.db.models.functions import Now

from app import tasks
from app.catalogue import filing, removal
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Patient, Status
from app.sandbox.wire import staged_name
from app.storage.staging import superseded_path
from app.uploads import batches, claims, ingest, progress
from tests.conftest import lacking, process
from tests.making.faults import trace
from tests.making.objects import ct_image, rt_structure_set, uid, zip_of

RUN_ID = f"{7:032x}"
IMAGES = [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(40)]
LARGE = ct_image(SOPInstanceUID=uid(2, 1, 40), after=bytes(9_000_000))  # it streams, in chunks
OTHERS = (IMAGES[0], ("README.txt", b"hello"))
MEMBERS = [*IMAGES, rt_structure_set(), *OTHERS, LARGE]
WANTED = {hashlib.sha256(data).hexdigest() for data in (*IMAGES, rt_structure_set(), LARGE)}
OUTCOMES = {"imported": 42, "duplicate": 1, "conflict": 0, "skipped": 1, "failed": 0}

# What an import changes the disk with, and `sendto`, with which it speaks to PostgreSQL.
ERRORS = ("openat", "write", "linkat", "unlinkat", "mkdir", "mkdirat", "rmdir", "pwrite64",
          "fdatasync", "syncfs")  # fmt: skip
KILLS = (*ERRORS, "sendto")
STAGED_ONLY = ("openat", "write")  # what else does these has nothing to do with the import
# The last, where every extractor was killed at its first call: no member could be read.
FAILURES = ("disk_full", "disk_error", "disk_read_only", "nothing_stored")
CRASH, LONG = pytest.mark.crash, pytest.mark.long
OFTEN = ("write", "linkat", "fdatasync")  # at a later point, too
# A later point, which every import of these members comes to.
LATER = {"mkdir": 5, "mkdirat": 3, "rmdir": 2, "fdatasync": 6, "syncfs": 3}
# At its first staged file every extractor would die, which takes minutes.
SOME = [
    *((call, 2 if call in STAGED_ONLY else 1) for call in ERRORS),
    *((call, LATER.get(call, 17)) for call in OFTEN),
    *(pytest.param(call, LATER.get(call, 17), marks=LONG) for call in ERRORS if call not in OFTEN),
    *(
        pytest.param(call, 2, marks=LONG)
        for call in ERRORS
        if call not in STAGED_ONLY and LATER.get(call) != 2
    ),
]
OFTEN_ERRORS = [
    *((call, "ENOSPC") for call in (*OFTEN, "mkdirat", "openat")),
    *(("linkat", "EIO"), ("syncfs", "EROFS")),
]
SOME_ERRORS = [
    pytest.param(call, error, marks=() if (call, error) in OFTEN_ERRORS else LONG)
    for call in ERRORS
    for error in ("ENOSPC", "EIO", "EROFS")
]


@pytest.fixture
def run_with(processed_root, tmp_path):
    """Run an upload in a process of its own, with a fault injected; whether it was met."""

    def run(upload: DICOMFile, fault: str) -> bool:
        call = fault.partition(":")[0]
        log = tmp_path / "strace.log"
        options = ["-e", f"trace={call}", "-e", f"inject={fault}"]
        if call in STAGED_ONLY:
            options += staged_only(str(processed_root), upload.pk)
        trace(lambda: run_upload(upload.pk), log, *options)
        # A call that is not returned from was killed; extractors are also killed at the end.
        return bool(re.search(r"INJECTED|= \?$", log.read_text(), re.MULTILINE))

    return run


def run_upload(pk: int) -> None:
    """Its one extractor makes all its calls: a second would count its own."""
    batches.MOST_MEMBERS = 15
    uuid.uuid4 = lambda: uuid.UUID(int=7)
    ingest.run_upload(pk)


def staged_only(root: str, upload: int) -> list[str]:
    """Options that narrow strace to calls about what an upload stages."""
    folder = f"{root}/.staging/{upload}/{RUN_ID}"
    trays = [f"{folder}/{tray}" for tray in range(2)]  # of the extractor, and of the next
    names = [staged_name(index, 0) for index in range(len(MEMBERS))]
    # The folder above, from which that of the run is opened, by its descriptor.
    paths = (f"{root}/.staging/{upload}", folder, *trays)
    paths += tuple(f"{tray}/{name}" for tray in trays for name in names)
    return [option for path in paths for option in ("-P", path)]


def go_on(upload: DICOMFile) -> None:
    """What happens next: the sweep takes a dead run's upload, or somebody presses Process Now."""
    DICOMFile.objects.filter(pk=upload.pk, processing_status=Status.IN_PROGRESS).update(
        lease_until=Now() - timedelta(seconds=1)
    )
    upload.refresh_from_db()
    if upload.processing_status == Status.FAILED:
        assert upload.failure_reason in FAILURES
    claims.queue([upload.pk])
    upload.refresh_from_db()
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


@pytest.mark.parametrize(("call", "at"), SOME)
def test_a_kill_loses_nothing(call, at, run_with, upload_zip, processed_root):
    upload = upload_zip(*MEMBERS)
    met = run_with(upload, f"{call}:signal=SIGKILL:when={at}")
    assert met
    assert_nothing_is_lost(upload, processed_root)


@pytest.mark.parametrize(("call", "error"), SOME_ERRORS)
def test_a_disk_error_loses_nothing(call, error, run_with, upload_zip, processed_root):
    upload = upload_zip(*MEMBERS)
    assert run_with(upload, f"{call}:error={error}:when={min(5, LATER.get(call, 5))}")
    assert_nothing_is_lost(upload, processed_root)


# Other versions take the place of the catalogued ones

OLD = [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(12)]
NEW = [ct_image(SOPInstanceUID=uid(2, 1, number), PatientPosition="FFS") for number in range(12)]
SOME_SWAPS = (("renameat", 3), ("linkat", 8), ("unlinkat", 1))
SWAPS = ("linkat", "renameat", "unlinkat", "pwrite64", "fdatasync", "syncfs", "rmdir")


@pytest.fixture(params=["asked for", "by setting"])
def swap(request, import_zip, upload_zip, run_with, processed_root, settings):
    """Replace catalogued versions in a run that is killed, and prove what came of it."""

    def swapped(kill: str) -> bool:
        clear()
        import_zip(*OLD)
        upload = upload_zip(*NEW)
        if request.param == "by setting":
            settings.ICON_ON_CONFLICT = "replace"
        else:
            process(upload)
            claims.queue([upload.pk], use_versions=True)
        met = run_with(upload, kill)
        go_on(upload)
        settings.ICON_ON_CONFLICT = "keep"
        assert_swapped(upload, processed_root)
        return met

    return swapped


def assert_swapped(upload: DICOMFile, root) -> None:
    upload.refresh_from_db()
    assert upload.outcomes["imported"] == len(NEW)
    for row in DICOMInstance.objects.all():
        number = int(row.sop_instance_uid.rpartition(".")[2])
        (old,) = row.superseded
        assert (root / row.path).read_bytes() == NEW[number]
        assert (root / superseded_path(old)).read_bytes() == OLD[number]
    assert len(list(root.rglob("*.dcm"))) == len(OLD) + len(NEW)
    assert [violation.sentence for violation in verify()] == []


@pytest.mark.parametrize(
    ("call", "at", "swap"),
    [
        *((call, at, "asked for") for call, at in SOME_SWAPS),
        (*SOME_SWAPS[0], "by setting"),
        *(pytest.param(*point, "by setting", marks=LONG) for point in SOME_SWAPS[1:]),
    ],
    indirect=["swap"],
)
def test_a_kill_while_versions_are_replaced_keeps_both(call, at, swap):
    assert swap(f"{call}:signal=SIGKILL:when={at}")


@pytest.mark.crash
@pytest.mark.parametrize("call", SWAPS)
def test_no_kill_while_versions_are_replaced_loses_any(call, swap):
    points = itertools.takewhile(
        lambda at: swap(f"{call}:signal=SIGKILL:when={at}"), itertools.count(1)
    )
    print(f"{len(list(points))} points")


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
    monkeypatch.setattr(batches, "MOST_MEMBERS", 5)
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
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


# Power loss: what was synced is there, and of what came after, any part


@pytest.fixture
def half_done(upload_zip, monkeypatch) -> DICOMFile:
    """An upload whose run ended at once, after some batches, with more of it staged."""
    monkeypatch.setattr(batches, "MOST_MEMBERS", 7)
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    upload = upload_zip(*MEMBERS)

    def cut(percent: int, step: str) -> None:
        if DICOMInstance.objects.count() >= 20:
            raise claims.LostRun

    assert ingest.run_upload(upload.pk, report=cut)
    assert 20 <= DICOMInstance.objects.count() < len(WANTED)
    upload.refresh_from_db()
    return upload


def lose_links(upload: DICOMFile, root, chance: random.Random) -> None:
    """Of what the last batches published: a link with its unlink, or the unlink alone."""
    staging = root / ".staging" / str(upload.pk) / upload.run_id
    for member in upload.members.filter(outcome="imported").select_related("instance"):
        staged = staging / "0" / staged_name(member.index, 0)
        final = root / member.instance.path
        lost = chance.choice(("nothing", "link", "unlink"))
        if lost != "nothing":
            os.link(final, staged)
        if lost == "link":
            final.unlink()
    for folder in sorted(root.glob("ID1/**/"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()  # it was made for links that are lost


def lose_unsynced(upload: DICOMFile, root, chance: random.Random) -> None:
    """Of staged files without a row: their names, their ends, or their bytes."""
    known = {staged_name(index, 0) for index in upload.members.values_list("index", flat=True)}
    for staged in (root / ".staging" / str(upload.pk)).rglob("*.dcm"):
        if staged.name not in known:
            lost = chance.choice(("nothing", "name", "end", "bytes", "rename"))
            if lost == "name":
                staged.unlink()
            elif lost == "end":
                os.truncate(staged, staged.stat().st_size // 2)
            elif lost == "bytes":
                staged.write_bytes(bytes(staged.stat().st_size))
            elif lost == "rename":
                staged.rename(staged.with_suffix(".part"))


@pytest.mark.parametrize(
    "seed",
    [
        *range(2),
        *(pytest.param(seed, marks=LONG) for seed in range(2, 5)),
        *(pytest.param(seed, marks=CRASH) for seed in range(5, 200)),
    ],
)
def test_a_power_loss_in_mid_import_loses_nothing(seed, half_done, processed_root):
    chance = random.Random(seed)
    lose_links(half_done, processed_root, chance)
    lose_unsynced(half_done, processed_root, chance)
    assert_nothing_is_lost(half_done, processed_root)


def test_a_power_loss_before_the_end_status_loses_nothing(import_zip, processed_root):
    upload = import_zip(*MEMBERS)
    DICOMFile.objects.filter(pk=upload.pk).update(
        processing_status=Status.IN_PROGRESS, stage="cleanup", run_id="dead"
    )
    assert_nothing_is_lost(upload, processed_root)


def test_the_sweep_publishes_what_a_power_loss_took_from_a_stopped_upload(
    half_done, processed_root
):
    lose_links(half_done, processed_root, random.Random(0))
    DICOMFile.objects.filter(pk=half_done.pk).update(
        processing_status=Status.PENDING, stopped=True, run_id="", lease_until=None
    )
    tasks.sweep()
    assert list(verify()) == []
    assert not list((processed_root / ".staging").iterdir())


@pytest.mark.parametrize("lost", ["all", "rename", "unlink"])
def test_a_power_loss_while_a_version_is_replaced_keeps_both(
    lost, import_zip, processed_root, settings
):
    """After the commit come the link that keeps the old file, the rename of the new, the unlink."""
    old, new = ct_image(), ct_image(PatientPosition="FFS")
    import_zip(old)
    settings.ICON_ON_CONFLICT = "replace"
    upload = import_zip(new)
    row = DICOMInstance.objects.get()
    staging = processed_root / ".staging" / str(upload.pk)
    final, kept = processed_root / row.path, processed_root / superseded_path(row.superseded[0])
    staging.mkdir(parents=True)
    (staging / "0-0.dcm").write_bytes(new)
    if lost != "unlink":
        final.unlink()
        os.link(kept, final)
    if lost == "all":
        kept.unlink()
    filing.roll_forward(upload.pk)
    assert (final.read_bytes(), kept.read_bytes()) == (new, old)
    assert list(verify()) == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_staged_files_of_a_member_the_one_that_was_committed_is_published(
    order, import_zip, processed_root
):
    """Of an extractor that died, and of the next; or of one that was taken over."""
    upload = import_zip(IMAGES[0])
    file = processed_root / DICOMInstance.objects.get().path
    staging = processed_root / ".staging" / str(upload.pk) / "run"
    trays = [staging / str(tray) for tray in order]
    for tray in trays:
        tray.mkdir(parents=True)
    file.rename(trays[0] / "0-0.dcm")
    (trays[1] / "0-0.dcm").write_bytes(IMAGES[1])
    filing.roll_forward(upload.pk)
    assert file.read_bytes() == IMAGES[0]
    assert not list((processed_root / ".staging").iterdir())
    assert list(verify()) == []


RUN = """
import sys, django
django.setup()
from app.uploads import batches, ingest
batches.MOST_MEMBERS = 15
ingest.run_upload(int(sys.argv[1]))
"""
TRACED = "write,writev,pwrite64,linkat,unlinkat,syncfs,fdatasync,rmdir"


def test_nothing_is_unlinked_before_it_is_safe_elsewhere(environment, upload_zip, tmp_path):
    """Bytes, their row, their file, the end of their staged name: each durable before the next.

    So no power loss can leave a row whose file is neither in the tree nor in staging.
    """
    strace = shutil.which("strace") or lacking("strace", "strace")
    log, upload = tmp_path / "strace.log", upload_zip(*MEMBERS)
    traced = [strace, "-f", "-y", "-s", "0", "--seccomp-bpf", "-e", f"trace={TRACED}", "-o", log]
    subprocess.run(
        [*traced, sys.executable, "-c", RUN, str(upload.pk)],
        env=os.environ | environment,
        cwd=project.BASE_DIR,
        check=True,
    )
    calls = log.read_text().splitlines()
    syncs, commits = places(calls, r" syncfs\("), places(calls, r" fdatasync\(.*-wal>")
    links = places(calls, r' linkat\(.*?"\d+/(\d+)-0\.dcm"')
    written = places(calls, r" write\(.*/\.staging/\d+/\w+/\d+/(\d+)-0\.")
    unlinked = places(calls, r' unlinkat\(.*"\d+/(\d+)-0\.dcm"')
    assert len(links) == len(WANTED)
    for member, link in links.items():
        synced = next(at for at in syncs.values() if at > written[member])
        assert synced < next(at for at in commits.values() if at > synced) < link
        assert link < unlinked[member]
    removed = places(calls, r" rmdir\(.*/\.staging/(\d+)/")
    assert max(links.values()) < max(syncs.values()) < min(removed.values())


def places(calls: list[str], pattern: str) -> dict[str, int]:
    """Where calls stand: by the member they are about, else each by its own line."""
    found = ((at, re.search(pattern, call)) for at, call in enumerate(calls))
    return {match[1] if match.groups() else str(at): at for at, match in found if match}


@pytest.mark.crash
@pytest.mark.parametrize("call", KILLS)
def test_no_kill_at_any_point_loses_anything(
    call, either_database, run_with, upload_zip, processed_root
):
    for at in itertools.count(1):
        clear()
        upload = upload_zip(*MEMBERS)
        met = run_with(upload, f"{call}:signal=SIGKILL:when={at}")
        assert_nothing_is_lost(upload, processed_root)
        if not met:
            break
    print(f"{at - 1} points")


@pytest.mark.crash
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize("call", ERRORS)
def test_no_disk_error_at_any_point_loses_anything(
    call, error, run_with, upload_zip, processed_root
):
    for at in itertools.count(1):
        clear()
        upload = upload_zip(*MEMBERS)
        met = run_with(upload, f"{call}:error={error}:when={at}+")
        assert_nothing_is_lost(upload, processed_root)
        if not met:
            break
    print(f"{at - 1} points")


def clear() -> None:
    for patient in Patient.objects.all():
        removal.delete(patient)
    DICOMFile.objects.all().delete()


def test_a_kept_zip_is_durable_before_its_row_is_there(environment, tmp_path):
    strace = shutil.which("strace") or lacking("strace", "strace")
    archive, log = zip_of(tmp_path / "a.zip", IMAGES[0]), tmp_path / "strace.log"
    manage = [sys.executable, "manage.py", "import_archive", str(archive)]
    traced = [strace, "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(log)]
    subprocess.run(
        [*traced, *manage],
        env=os.environ | environment,
        cwd=project.BASE_DIR,
        capture_output=True,
        check=True,
    )
    synced = log.read_text().splitlines()
    kept = next(at for at, line in enumerate(synced) if "/archives/" in line and ".zip" in line)
    folder = next(at for at, line in enumerate(synced) if line.rstrip().endswith("/archives>) = 0"))
    row = next(at for at, line in enumerate(synced) if "sqlite3" in line)
    assert kept < folder < row
