"""Extractors that die or hang, and results in order all the same."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

import pytest

from app.archives.directory import Archive, Limits, Member, open_archive
from app.archives.entries import DEFLATE
from app.archives.gzipped import GZIP
from app.dicom.headers import HeaderLimits
from app.errors import OtherVersion, StorageFailed
from app.sandbox import ahead, confine
from app.sandbox import pool as pools
from app.sandbox.extractor import TOGETHER, together
from app.sandbox.pool import Pool, PoolSettings
from app.sandbox.wire import Extracted, Job, staged_name
from app.storage.staging import Staging
from tests.conftest import wait_until
from tests.making.archive_utility import ArchiveUtility
from tests.making.busy import beside_busy_ones
from tests.making.liar import END
from tests.making.objects import contour, ct_image, roi, rt_structure_set, uid, zip_of

LARGE = 100_000_000  # bytes; long enough to be caught in the act
SETTINGS = PoolSettings(
    extractors=2,
    member_seconds=60,
    limits=Limits(),
    header_limits=HeaderLimits(),
    assumed_charset="ISO_IR 100",
)


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), **keywords)


def large_image(number: int) -> bytes:
    return image(number) + bytes(LARGE)


def results_of(pool: Pool, archive: Archive) -> list[Extracted]:
    return list(chain.from_iterable(pool.results(archive, archive.members(), {})))


@pytest.fixture
def read(tmp_path):
    """Read a ZIP of members with a pool, while `meddle(pool)` runs in a thread beside it."""

    def run(*members, meddle=lambda pool: None, settings=SETTINGS):
        path = zip_of(tmp_path / "a.zip", *members)
        with path.open("rb") as file, Staging(tmp_path / "processed", 1, "run") as staging:
            archive = open_archive(file, Limits())
            with Pool(file.fileno(), staging, settings) as pool:
                thread = threading.Thread(target=meddle, args=(pool,))
                thread.start()
                results = results_of(pool, archive)
                thread.join()
            return results

    return run


def strike(pool: Pool, index: int, sent: signal.Signals) -> bool:
    """Signal the extractor that is in the middle of a member, and see it replaced."""
    begun = False
    end = time.monotonic() + 60
    while time.monotonic() < end and not (begun and not pool.order):
        begun = begun or bool(pool.order)
        for child in list(pool.children):
            if not child.mark.closed and child.reading[0] == index:
                os.kill(child.process.pid, sent)
                while child in pool.children:
                    time.sleep(0.01)
                return True
    return False


def test_results_come_in_directory_order(read):
    results = read(large_image(1), *(image(number) for number in range(2, 60)))
    assert [result.index for result in results] == list(range(59))
    assert all(result.header for result in results)


def many_structure_sets(rois: list, count: int) -> Iterator[bytes]:
    """Structure sets that differ in their UIDs alone: made once, since contours take long."""
    one = rt_structure_set(rois, SOPInstanceUID=uid(2, 5, 100))
    for number in range(count):
        yield one.replace(uid(2, 5, 100).encode(), uid(2, 5, 100 + number).encode())


def test_long_names_and_long_answers_do_not_wait_for_each_other(read):
    """The jobs are more than a pipe holds, and so are the answers: once each waited for ever."""
    points = [number / 8 for number in range(6_000)]
    contours = roi(1, "Heart", *[contour(*points)] * 4)
    members = [
        (f"{number:03}{'n' * 990}", one)
        for number, one in enumerate(many_structure_sets([contours], 150))
    ]
    results = []
    reading = threading.Thread(target=lambda: results.extend(read(*members)), daemon=True)
    reading.start()
    reading.join(60)
    assert [result.index for result in results] == list(range(150))


def test_a_zip_inside_is_told_of_while_it_is_read(read, tmp_path):
    """What an extractor has read of it does not gather there: it has room for a part of that."""
    points = contour(*[number / 8 for number in range(6_000)])
    structure_sets = many_structure_sets([roi(1, "Heart", *[points] * 50)], 40)
    inner = zip_of(tmp_path / "inside.zip", *structure_sets, level=1).read_bytes()
    results = read(("inside.zip", inner), settings=replace(SETTINGS, memory=180_000_000))
    assert [result.reason for result in results] == [*[""] * 40, "nested_archive"]


def grown(path: Path, limits: Limits, *members: tuple[str, bytes]) -> list[tuple[int, str]]:
    """Size and reason of each, from an archive whose numbers are told modulo 2^20."""
    settings = replace(SETTINGS, limits=limits, extractors=1)
    with (path / "a.zip").open("w+b") as file, Staging(path / "processed", 1, "run") as staging:
        archive_utility = ArchiveUtility(file, 1 << 20)
        for member in members:
            archive_utility.add(*member)
        archive_utility.finish()
        file.flush()
        archive = open_archive(file, limits, 1 << 20)
        with Pool(file.fileno(), staging, settings) as pool:
            read = results_of(pool, archive)
        assert pool.total == sum(one.size for one in read)
        for one in read:
            staged = path / "processed" / ".staging/1/run" / one.staged
            assert (staged.exists() and staged.stat().st_size > 0) == bool(one.header)
            assert not one.header or hashlib.sha256(staged.read_bytes()).hexdigest() == one.sha256
    return [(one.size, one.reason) for one in read]


def test_what_members_grow_to_beyond_what_they_declare_is_told_and_counted(tmp_path):
    one, mask, other = image(1), image(2) + bytes(9_300_000), image(3) + bytes(2_000_000)
    members = [("1", one), ("2", mask), ("3", other), ("4", bytes(5_000_000))]
    sizes = [len(data) for _, data in members]
    found = grown(tmp_path, Limits(), *members)
    assert found[:3] == [(size, "") for size in sizes[:3]]
    assert found[3] == (sizes[3] % (1 << 20), "not_dicom")  # only its beginning was unpacked


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(member=9_000_000), "member_too_large"),
        (Limits(total=9_000_000), "upload_grows_too_large"),
    ],
)
def test_a_member_grows_no_further_than_the_limits(tmp_path, limits, reason):
    mask = image(2) + bytes(9_300_000)
    size, found = grown(tmp_path, limits, ("1", image(1)), ("2", mask))[1]
    assert found == reason
    assert 7_000_000 < size < 9_000_000


def test_an_extractor_killed_once_changes_nothing(read):
    results = read(
        *(image(number) for number in range(1, 40)),
        large_image(40),
        image(41),
        meddle=lambda pool: strike(pool, 39, signal.SIGKILL),
    )
    assert [result.index for result in results] == list(range(41))
    assert {result.outcome for result in results} == {""}


def test_a_member_that_ends_its_extractor_twice_fails_alone(read):
    struck = []

    def twice(pool):
        struck.extend(strike(pool, 1, signal.SIGKILL) for _ in range(2))

    results = read(image(1), large_image(2), image(3), meddle=twice)
    assert struck == [True, True]
    assert [(result.outcome, result.reason) for result in results] == [
        ("", ""),
        ("failed", "reader_crashed"),
        ("", ""),
    ]


def test_a_member_that_hangs_twice_fails_alone(read, monkeypatch):
    monkeypatch.setattr(pools, "BYTES_PER_SECOND", LARGE * 10)

    struck = []

    def twice(pool):
        struck.extend(strike(pool, 1, signal.SIGSTOP) for _ in range(2))

    results = read(
        image(1),
        large_image(2),
        image(3),
        meddle=twice,
        settings=replace(SETTINGS, member_seconds=1),
    )
    assert struck == [True, True]
    assert [(result.outcome, result.reason) for result in results] == [
        ("", ""),
        ("failed", "reader_hung"),
        ("", ""),
    ]


@pytest.fixture
def own_disk(tmp_path) -> Iterator[Path]:
    """A small disk of the processed root's own, which can be made to stand still."""
    disk, root = tmp_path / "disk", tmp_path / "processed"
    disk.touch()
    os.truncate(disk, 2 * LARGE)
    root.mkdir()
    format_and_mount = f"mkfs.ext4 -q {disk} && mount -o loop {disk} {root}"
    if subprocess.run(format_and_mount, shell=True, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk, and not everywhere")
    yield root
    subprocess.run(["umount", root], check=True)


def test_a_slow_disk_is_not_taken_for_a_hung_extractor(own_disk, read, monkeypatch):
    monkeypatch.setattr(pools, "BYTES_PER_SECOND", LARGE * 10)
    stood = []

    def stand_still(pool):
        wait_until(lambda: list(own_disk.rglob(staged_name(1, 0))), "the large member")
        subprocess.run(["fsfreeze", "--freeze", own_disk], check=True)
        time.sleep(4)  # three seconds longer than an extractor may be silent
        subprocess.run(["fsfreeze", "--unfreeze", own_disk], check=True)
        stood.append(len(pool.deaths))

    settings = replace(SETTINGS, member_seconds=1)
    results = read(image(1), large_image(2), image(3), meddle=stand_still, settings=settings)
    assert stood == [0]
    assert {result.outcome for result in results} == {""}


def test_a_busy_machine_is_not_taken_for_a_hung_extractor(read):
    with beside_busy_ones(os.getpid(), 12):  # which its extractor shares the processor with, too
        (result,) = read(image(1), settings=replace(SETTINGS, extractors=1, member_seconds=1))
    assert result.outcome == ""


def test_extractors_that_cannot_start_end_the_run(read, monkeypatch):
    monkeypatch.setattr(pools, "IDLE_DEATHS", 4)
    with pytest.raises(pools.ExtractorsFail):
        read(image(1), settings=replace(SETTINGS, memory=1_000_000))


def test_a_tray_that_cannot_be_cleared_ends_the_run(tmp_path):
    path = zip_of(tmp_path / "a.zip", image(1))

    def read_from(file: IO[bytes], staging: Staging) -> None:
        archive = open_archive(file, Limits())
        with Pool(file.fileno(), staging, SETTINGS) as pool:
            for tray, child in enumerate(pool.children):
                child.process.kill()
                (staging.folder / str(tray)).rmdir()
                (staging.folder / str(tray)).touch()
            list(pool.results(archive, archive.members(), {}))

    folder = Staging(tmp_path / "processed", 1, "run")
    with path.open("rb") as file, folder as staging, pytest.raises(StorageFailed):
        read_from(file, staging)


@pytest.mark.parametrize("extractors", [1, 3])
def test_a_pool_that_is_resized_loses_nothing(extractors, tmp_path):
    path = zip_of(tmp_path / "a.zip", *map(image, range(100)))
    folder = Staging(tmp_path / "processed", 1, "run")
    with path.open("rb") as file, folder, Pool(file.fileno(), folder, SETTINGS) as pool:
        archive, read = open_archive(file, Limits()), []
        for results in pool.results(archive, archive.members(), {}):
            pool.resize(extractors)
            read += [result.index for result in results]
        assert len(pool.children) == extractors
    assert read == list(range(100))


def test_a_pool_of_another_version_than_its_extractors_ends_the_run(read, monkeypatch):
    monkeypatch.setattr(ahead, "VERSION", "another")
    with pytest.raises(OtherVersion):
        read(image(1))


def test_extractors_that_find_themselves_of_another_version_end_the_run(read, monkeypatch):
    started, speaks = [], ahead.version

    def version() -> str:
        """It changes when the first two have been started."""
        started.append(1)
        return "another" if len(started) <= 2 else speaks()

    monkeypatch.setattr(ahead, "VERSION", "another")
    monkeypatch.setattr(ahead, "version", version)
    with pytest.raises(OtherVersion):
        read(image(1))
    assert len(started) == 3


def test_a_large_member_streams_in_little_memory(read, tmp_path):
    data = large_image(1)
    (result,) = read(data, settings=replace(SETTINGS, memory=200_000_000))
    staged = tmp_path / "processed" / ".staging/1/run" / result.staged
    assert staged.stat().st_size == result.size == len(data)
    assert zlib.crc32(staged.read_bytes()) == zlib.crc32(data)


def test_no_extractor_outlives_its_pool(read):
    pids = []
    read(image(1), meddle=lambda pool: pids.extend(c.process.pid for c in pool.children))
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_extractors_that_wait_are_taken_and_those_that_ended_are_not(read):
    ahead.begin(2)
    pids = [begun.process.pid for begun in ahead._waiting]
    os.kill(pids[0], signal.SIGKILL)
    ahead._waiting[0].process.wait()
    used = []
    (result,) = read(
        image(1), meddle=lambda pool: used.extend(c.process.pid for c in pool.children)
    )
    assert (result.outcome, used[0]) == ("", pids[1])
    assert pids[0] not in used
    assert not ahead._waiting


def test_a_disk_that_fails_takes_no_extractor_that_waits(tmp_path):
    ahead.begin(1)
    with Staging(tmp_path / "processed", 1, "run") as staging:
        (staging.folder / "0").touch()  # where the first extractor's files would be
        with pytest.raises(StorageFailed), Pool(0, staging, SETTINGS):
            pass
    [waits] = ahead._waiting
    assert waits.process.poll() is None
    ahead._waiting.clear()
    ahead._close(waits)
    waits.process.wait(10)


def test_an_extractor_that_waits_ends_with_who_started_it():
    program = "from app.sandbox import ahead; ahead.begin(1); print(ahead._waiting[0].process.pid)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    waits = Path(f"/proc/{int(told.stdout)}/cmdline")
    wait_until(
        lambda: not waits.exists() or ahead.EXTRACTOR.encode() not in waits.read_bytes(),
        "its end",
    )


# Extractors that were taken over


@pytest.fixture
def liars(monkeypatch):
    monkeypatch.setattr(ahead, "EXTRACTOR", "tests.making.liar")


@pytest.mark.parametrize(
    "lie",
    ["a path for a hash", "another's index", "a frame without end", "no file", "half a file"],
)
def test_a_member_that_makes_its_extractor_lie_fails_alone(lie, liars, read):
    results = read(image(1), (lie, image(2)), image(3), settings=replace(SETTINGS, extractors=1))
    assert [(result.outcome, result.reason) for result in results] == [
        ("", ""),
        ("failed", "answer_impossible"),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(END, "reader_crashed"), *((lie, "answer_impossible") for lie in ("no hash", "no file"))],
)
def test_members_that_are_read_together_do_not_suffer_for_one(harm, reason, liars, read):
    members = [image(1), image(2), (harm, image(3)), ("README.txt", b"hello"), image(4), image(5)]
    results = read(*members, settings=replace(SETTINGS, extractors=1))
    assert [(one.index, one.outcome, one.reason) for one in results] == [
        *((0, "", ""), (1, "", ""), (2, "failed", reason)),
        *((3, "skipped", "not_dicom"), (4, "", ""), (5, "", "")),
    ]


def test_small_members_are_read_together_and_in_their_order():
    def job(index: int, size: int, method: int = DEFLATE, modulus: int = 0) -> Job:
        member = Member(index, "", size, size // 2, 0, method, 0, 0, 0, False, modulus)
        return Job(member, [], {}, 0, 0)

    jobs = [
        *(job(0, 1_000), job(1, TOGETHER - 1_000), job(2, 1_000)),
        *(job(3, 2 * TOGETHER), job(4, 0), job(5, 1_000, GZIP), job(6, 0, modulus=1 << 32)),
        *(job(number, 10_000) for number in range(7, 50)),
    ]
    groups = [[one.member.index for one in group] for group in together(jobs)]
    assert groups == [[0, 1], [2], [3], [4], [5], [6], [*range(7, 47)], [47, 48, 49]]


def test_who_still_holds_a_file_is_ended_before_it_is_filed(liars, tmp_path):
    path = zip_of(tmp_path / "a.zip", ("a file that it holds", image(1)), image(2))
    settings = replace(SETTINGS, extractors=1)
    with path.open("rb") as file, Staging(tmp_path / "processed", 1, "run") as staging:
        archive = open_archive(file, Limits())
        with Pool(file.fileno(), staging, settings) as pool:
            results = results_of(pool, archive)
            (holder,) = pool.children
            pool.seal(results[1:])
            assert pool.children == [holder]  # nobody holds that one
            pool.seal(results)
            assert holder.process.poll() == -signal.SIGKILL


def test_an_extractor_is_locked_in_and_has_nothing_of_its_parents_environment(read, monkeypatch):
    monkeypatch.setenv("ICON_SECRET_KEY", "secret")
    status: dict[str, str | int] = {}
    environment: set[str] = set()

    def look(pool):
        (busy,) = wait_until(
            lambda: [child for child in pool.children if child.reading[0] == 0], "a first member"
        )
        process = Path(f"/proc/{busy.process.pid}")
        status.update(line.split(":\t") for line in (process / "status").read_text().splitlines())
        status["nice"] = os.getpriority(os.PRIO_PROCESS, busy.process.pid)
        words = (process / "environ").read_text().split("\0")
        environment.update(word.partition("=")[0] for word in words if word)

    read(large_image(1), meddle=look)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["nice"] == min(os.nice(0) + confine.NICE, 19)
    assert environment - {*confine.KEPT} == {*confine.ENVIRONMENT}


def test_what_a_dead_extractor_left_of_a_member_is_deleted_at_once(read, tmp_path):
    gone = []

    def meddle(pool):
        staging = tmp_path / "processed" / ".staging"
        (file,) = wait_until(
            lambda: list(staging.rglob(staged_name(0, 0))), "the first bytes of the member"
        )
        strike(pool, 0, signal.SIGKILL)
        wait_until(lambda: not file.exists(), "its end")
        gone.append(file)

    (result,) = read(large_image(1), meddle=meddle)
    assert result.header
    assert len(gone) == 1
