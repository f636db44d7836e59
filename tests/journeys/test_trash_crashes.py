"""Kills and disk errors while something goes to the trash, comes back, or is erased.

Some points by default; `python3 run.py test -m long` takes every one: each statement, and each of
Python's calls that change the disk. `-m crash` takes every system call, too, by strace, and says
with `-rP` how many points each call had.
"""

import errno
import hashlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from app.catalogue import filing, removal, restoring, trash, unfinished
from app.errors import NotRecorded, StorageFailed
from app.health.verify import verify
from app.models import Deletion, DICOMInstance, FileToDelete, Patient, TrashedObject
from app.storage.staging import superseded_path
from tests.conftest import wait_until
from tests.making.faults import in_a_copy, trace
from tests.making.objects import ct_image, rt_structure_set, uid

pytestmark = pytest.mark.database

KILLED = 9
DISK = ("os.link", "os.remove", "os.mkdir", "os.rmdir", "os.rename")
MEMBERS = [*(ct_image(SOPInstanceUID=uid(4, n)) for n in range(5)), rt_structure_set()]
NEWER = ct_image(SOPInstanceUID=uid(4, 0), PatientPosition="FFS")
MANY = 1_000  # more points than there are

Act = Callable[[], object]
Fault = Callable[[Act, int], bool]  # do something with one at a step; whether it came to that


class Faults:
    """What is counted, and what happens at one of them."""

    left = MANY
    happens: Callable[[], None] | None = None

    @classmethod
    def count(cls) -> None:
        if cls.happens is None:
            return
        cls.left -= 1
        if cls.left == 0:
            cls.happens()


sys.addaudithook(lambda event, arguments: event in DISK and Faults.count())


@contextmanager
def fault(at: int, happens: Callable[[], None]) -> Iterator[None]:
    Faults.left, Faults.happens = at, happens
    try:
        yield
    finally:
        Faults.happens = None


def killed(act: Act, at: int) -> bool:
    """Do something in a process that dies at its so many-th step; False where it has fewer."""

    def die() -> None:
        with fault(at, lambda: os._exit(KILLED)), connection.execute_wrapper(_counting):
            act()

    code = in_a_copy(die)
    assert code in (0, KILLED)
    return code == KILLED


def _counting(execute, sql, parameters, many, context):
    Faults.count()
    result = execute(sql, parameters, many, context)
    Faults.count()
    return result


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 2)
    monkeypatch.setattr(trash, "AT_ONCE", 2)
    monkeypatch.setattr(restoring, "AT_ONCE", 2)


@pytest.fixture
def filled(import_zip, settings, processed_root) -> Callable[[], set[int]]:
    """Fill the catalogue, with one version that was replaced; the keys of its objects."""

    def fill() -> set[int]:
        import_zip(*MEMBERS)
        settings.ICON_ON_CONFLICT = "replace"
        import_zip(NEWER)
        settings.ICON_ON_CONFLICT = "keep"
        return {*DICOMInstance.objects.values_list("pk", flat=True)}

    return fill


def delete() -> None:
    removal.delete(list(Patient.objects.all()), reason="Test")


def restore() -> None:
    for deletion in Deletion.objects.all():
        restoring.restore(deletion)


def erase() -> None:
    for deletion in Deletion.objects.all():
        trash.erase(deletion, reason="Test")


def go_on() -> None:
    """What a worker does once nobody has been at it for a while."""
    Deletion.objects.update(changed_at=timezone.now() - timedelta(hours=1))
    # PostgreSQL takes a moment to see that a process is gone and to let go of its rows.
    wait_until(_is_done, "it to be finished")


def _is_done() -> bool:
    filing.unlink_pending()
    unfinished.go_on()
    idle = Deletion.objects.exclude(state=Deletion.State.THERE)
    return not (idle.exists() or FileToDelete.objects.exists())


def assert_whole(keys: set[int], root: Path, tidy: bool = True) -> tuple[set[int], set[int]]:
    """Each object is whole in the catalogue or whole in the trash: which are where."""
    here, gone = {}, {}
    for one in DICOMInstance.objects.all():
        here[one.pk] = {one.path: one.sha256} | {superseded_path(x): x for x in one.superseded}
    for one in TrashedObject.objects.all():
        at = f".trash/{one.deletion_id}/{one.instance}"
        gone[one.instance] = {at: one.sha256} | {f"{at}-{x}": x for x in one.superseded}
    assert not here.keys() & gone.keys()
    assert here.keys() | gone.keys() <= keys
    wanted = {path: x for one in (*here.values(), *gone.values()) for path, x in one.items()}
    there = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }
    assert wanted.items() <= there.items()
    if tidy:
        assert wanted == there
        assert [one.sentence for one in verify()] == []
    return set(here), set(gone)


def go_and_come(keys: set[int], root: Path, at: int, fault: Fault = killed) -> bool:
    """Delete and restore everything, each with a fault at a step; whether it came to that."""
    met = fault(delete, at)
    here, gone = assert_whole(keys, root, tidy=False)
    assert here | gone == keys
    go_on()
    here, gone = assert_whole(keys, root)
    assert (here, gone) in ((set(), keys), (keys, set()))
    if here:
        delete()
    met |= fault(restore, at)
    here, gone = assert_whole(keys, root, tidy=False)
    assert here | gone == keys
    go_on()
    here, gone = assert_whole(keys, root)
    assert (here, gone) in ((set(), keys), (keys, set()))
    restore()
    assert assert_whole(keys, root) == (keys, set())
    return met


def go_for_good(keys: set[int], root: Path, at: int, fault: Fault = killed) -> bool:
    """Delete everything, and erase it with a fault at a step."""
    delete()
    met = fault(erase, at)
    assert_whole(keys, root, tidy=False)
    go_on()
    here, gone = assert_whole(keys, root)
    assert not here
    assert gone in (set(), keys)
    erase()
    assert assert_whole(keys, root) == (set(), set())
    return met


@pytest.mark.parametrize(
    "at", [90, *(pytest.param(at, marks=pytest.mark.long) for at in (30, 170))]
)
def test_a_kill_on_the_way_leaves_every_object_whole(at, filled, processed_root):
    assert go_and_come(filled(), processed_root, at)


def test_a_kill_while_something_is_erased_erases_all_or_nothing(filled, processed_root):
    assert go_for_good(filled(), processed_root, 30)


@pytest.mark.long
def test_no_kill_on_the_way_takes_an_object_apart(filled, processed_root):
    keys, at = filled(), 1
    while go_and_come(keys, processed_root, at):
        at += 1
    print(at, "points")


@pytest.mark.long
def test_no_kill_while_something_is_erased_leaves_a_part(filled, processed_root):
    at = 1
    while go_for_good(filled(), processed_root, at):
        at += 1
    print(at, "points")


# Disk errors


def fails(act: Act, at: int, number: int) -> bool:
    """Do something while the disk refuses one call; whether it came to that."""

    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    with fault(at, refuse), suppress(StorageFailed):
        act()
    return Faults.left <= 0


def refused(keys: set[int], root: Path, at: int, number: int) -> bool:
    met = fails(delete, at, number)
    assert_whole(keys, root, tidy=False)
    go_on()
    assert assert_whole(keys, root) == (set(), keys)
    met |= fails(restore, at, number)
    assert_whole(keys, root, tidy=False)
    go_on()
    assert assert_whole(keys, root) == (keys, set())
    return met


def refused_for_good(keys: set[int], root: Path, at: int, number: int) -> bool:
    delete()
    met = fails(erase, at, number)
    go_on()
    assert assert_whole(keys, root) == (set(), set())
    return met


ERRORS = (errno.ENOSPC, errno.EIO)


@pytest.mark.parametrize(
    ("at", "number"), [(8, errno.EIO), pytest.param(1, errno.ENOSPC, marks=pytest.mark.long)]
)
def test_a_disk_error_on_the_way_leaves_every_object_whole(at, number, filled, processed_root):
    assert refused(filled(), processed_root, at, number)


@pytest.mark.long
@pytest.mark.parametrize("number", ERRORS)
def test_no_disk_error_on_the_way_takes_an_object_apart(number, filled, processed_root):
    keys, at = filled(), 1
    while refused(keys, processed_root, at, number):
        at += 1
    print(at, "points")


@pytest.mark.long
@pytest.mark.parametrize("number", ERRORS)
def test_no_disk_error_while_something_is_erased_leaves_a_part(number, filled, processed_root):
    at = 1
    while refused_for_good(filled(), processed_root, at, number):
        at += 1
    print(at, "points")


# The same at the system calls, injected by strace: also at those of SQLite

OF_DATABASE = {
    "sqlite": ("pwrite64", "fdatasync", "unlink", "ftruncate", "fchown"),
    "postgresql": ("sendto",),
}[connection.vendor]
OF_FILES = ("linkat", "unlinkat", "mkdirat", "fsync")
# All that changes something; `openat` and `write` do where files are copied.
CHANGING = (
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("rename", "renameat", "renameat2", "truncate", "ftruncate", "fallocate", "pwrite64"),
    *("pwritev", "fsync", "fdatasync", "sync_file_range", "syncfs", "fchmod", "fchmodat", "fchown"),
    *("fchownat", "copy_file_range", "sendfile", "sendto", "sendmsg"),
)
KILL, FULL, BROKEN = "signal=SIGKILL", "error=ENOSPC", "error=EIO"
POINTS = [
    *((call, KILL) for call in (*OF_DATABASE, *OF_FILES)),
    *((call, error) for call in OF_FILES for error in (FULL, BROKEN)),
    *((call, FULL) for call in OF_DATABASE if call != "sendto"),  # it is no disk
]
COPIED = [
    *(("write", what) for what in (KILL, FULL, BROKEN)),
    *((call, what) for call in ("renameat", "fsync") for what in (KILL, FULL)),
    ("openat", FULL),
]
# What the disk's refusal is told as; SQLite has errors of its own, and the audit trail has one.
TOLD = (StorageFailed, DatabaseError, NotRecorded)


@pytest.fixture
def strace(tmp_path) -> Callable[..., str]:
    """Do something in a process of its own; what strace says of its calls."""

    def run(act: Act, call: str, what: str = "", at: int = 0) -> str:
        log = tmp_path / "strace.log"
        options = ["-e", f"trace={call}"]
        if what:
            options += ["-e", f"inject={call}:{what}:when={at}"]
        assert trace(lambda: do_or_be_told(act), log, *options) in (0, -signal.SIGKILL)
        return log.read_text()

    return run


def do_or_be_told(act: Act) -> None:
    with suppress(*TOLD):
        act()
    with suppress(*TOLD):
        connections.close_all()


@pytest.fixture
def traced(strace) -> Callable[[Act, str, str, int], bool]:
    """The same with a fault injected; whether it was met."""

    def run(act: Act, call: str, what: str, at: int) -> bool:
        said = strace(act, call, what, at)
        # A call that is not returned from was killed.
        return bool(re.search(r"INJECTED|= \?$", said, re.MULTILINE))

    return run


def at_every_point(step: Callable[[int], bool], *name: str) -> None:
    at = 1
    while step(at):
        at += 1
    print(*name, at - 1, "points")


@pytest.mark.long
@pytest.mark.parametrize(("call", "what"), [("unlinkat", KILL), ("linkat", BROKEN)])
def test_a_fault_at_a_system_call_leaves_every_object_whole(
    call, what, filled, processed_root, traced
):
    def fault(act: Act, at: int) -> bool:
        return traced(act, call, what, at)

    keys = filled()
    assert go_and_come(keys, processed_root, 3, fault)
    go_for_good(keys, processed_root, 3, fault)


@pytest.mark.crash
def test_no_call_that_changes_something_is_left_out(filled, strace):
    filled()
    said = "".join(strace(act, ",".join(CHANGING)) for act in (delete, restore, delete, erase))
    made = set(re.findall(r"^[0-9]+ +([a-z0-9_]+)\(", said, re.MULTILINE))
    assert {*OF_FILES} <= made <= {*OF_DATABASE, *OF_FILES}


@pytest.mark.crash
@pytest.mark.parametrize(("call", "what"), POINTS)
def test_no_fault_at_a_system_call_takes_an_object_apart(
    call, what, filled, processed_root, traced
):
    def fault(act: Act, at: int) -> bool:
        return traced(act, call, what, at)

    keys = filled()
    at_every_point(lambda at: go_and_come(keys, processed_root, at, fault), call, what)
    delete()
    erase()
    at_every_point(lambda at: go_for_good(filled(), processed_root, at, fault), "erasing")


@pytest.mark.crash
@pytest.mark.parametrize(("call", "what"), COPIED)
def test_no_fault_while_files_are_copied_takes_an_object_apart(
    call, what, filled, processed_root, traced, monkeypatch
):
    def refuse(*paths, **folders) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def fault(act: Act, at: int) -> bool:
        return traced(act, call, what, at)

    keys = filled()
    monkeypatch.setattr(os, "link", refuse)
    at_every_point(lambda at: go_and_come(keys, processed_root, at, fault), call, what)
