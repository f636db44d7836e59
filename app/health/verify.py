"""Does the catalogue tell the truth: rows against files, ledgers against their sums.

It streams: the rows in the order of their paths are merged with the tree, walked in that same
order, so that memory does not grow with the catalogue.
"""

import hashlib
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Model, QuerySet
from django.db.models.functions import Collate
from django.utils import timezone

from app.catalogue import filing
from app.errors import StorageFailed
from app.models import (
    ARCHIVES,
    LOG_LINES,
    ArchiveMember,
    CatalogueCheck,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Outcome,
    Patient,
    Status,
)
from app.reasons import sentence
from app.sandbox.wire import staged_name
from app.storage.paths import instance_path
from app.storage.staging import FOUND, STAGING, Busy, is_hash, superseded_path
from app.storage.tree import folder_of, holds, move, name_of, open_object
from app.uploads import removal
from app.uploads.restore import restore

HASHED_AT_ONCE = 64  # files that wait for the threads
FETCHED_AT_ONCE = 2_000  # rows fetched at a time
ARRIVING_SECONDS = 3_600  # that a ZIP may be there before its row is

CHECKS_KEPT = 60

UNREADABLE = -1, ""

Step = Callable[[int], None]
Checked = tuple[int, str] | None  # size and SHA-256; UNREADABLE; None where there is no file


@dataclass(frozen=True, slots=True)
class Violation:
    code: str
    subject: str  # "instance 17", or a file's path below the processed root; one line
    repaired: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.subject}: {sentence(self.code)}" + (" Repaired." * self.repaired)


def verify(repair: bool = False, step: Step = lambda count: None) -> Iterator[Violation]:
    """Check everything; each violation as it is found.

    Parameters
    ----------
    repair
        Mend what can be mended without losing anything.
    step
        Called with the number of instances that were checked since the last call.
    """
    yield from _check_staging(repair)
    yield from _check_files(repair, step)
    yield from _check_ledgers(repair)
    yield from _check_childless(repair)
    yield from _check_archives(repair)


def check_catalogue() -> CatalogueCheck:
    """Verify the catalogue and keep what was found, for staff to see in the admin."""
    check = CatalogueCheck.objects.create()
    checked: list[int] = []
    violations = verify(step=checked.append)
    check.violations = [violation.sentence for violation in islice(violations, LOG_LINES)]
    check.violation_count = len(check.violations) + sum(1 for _ in violations)
    check.instance_count = sum(checked)
    check.older_count = DICOMInstance.objects.read_by_older().count()
    check.ended_at = timezone.now()
    check.save()
    older = CatalogueCheck.objects.values_list("pk", flat=True)[CHECKS_KEPT:]
    CatalogueCheck.objects.filter(pk__in=list(older)).delete()
    return check


# --- files -----------------------------------------------------------------------------------


def _check_files(repair: bool, step: Step) -> Iterator[Violation]:
    unreadable: list[str] = []  # folders
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for path, row, checked in _hashed(threads, _merged(unreadable)):
            if row is None:
                yield from _check_unknown(path, repair)
                continue
            step(1)
            yield from _check_instance(row, checked, repair)
    yield from (Violation("folder_unreadable", _one_line(folder)) for folder in unreadable)


def _merged(unreadable: list[str]) -> Iterator[tuple[str, DICOMInstance | None]]:
    """Every path in order, with its row where there is one."""
    files, rows = _tree(settings.ICON_PROCESSED_ROOT, unreadable), _instances()
    path, row = next(files, None), next(rows, None)
    while path is not None or row is not None:
        if row is None or (path is not None and path < row.path):
            assert path is not None
            yield path, None
            path = next(files, None)
            continue
        yield row.path, row
        if path == row.path:
            path = next(files, None)
        row = next(rows, None)


def _instances() -> Iterator[DICOMInstance]:
    rows: QuerySet[DICOMInstance] = DICOMInstance.objects.select_related(
        "dicom_series__dicom_study__patient"
    )
    binary = "C" if connection.vendor == "postgresql" else "BINARY"
    return rows.order_by(Collate(F("path"), binary)).iterator(chunk_size=FETCHED_AT_ONCE)


def _tree(root: Path, unreadable: list[str], below: str = "") -> Iterator[str]:
    """The files below a folder in the order of their paths; ICON's own folders begin with "."."""
    try:
        entries = {
            entry.name + "/" * entry.is_dir(follow_symlinks=False): entry.name
            for entry in os.scandir(root / below)
            if below or not entry.name.startswith(".")
        }
    except FileNotFoundError:  # deleted meanwhile
        return
    except OSError:
        unreadable.append(below)
        return
    for key in sorted(entries):
        if key.endswith("/"):
            yield from _tree(root, unreadable, below + key)
        else:
            yield below + key


def _hashed(
    threads: ThreadPoolExecutor, merged: Iterator[tuple[str, DICOMInstance | None]]
) -> Iterator[tuple[str, DICOMInstance | None, Checked]]:
    """Sizes and SHA-256, read a little ahead by threads."""
    waiting: list[tuple[str, DICOMInstance | None, Future[Checked]]] = []
    while True:
        for path, row in islice(merged, HASHED_AT_ONCE - len(waiting)):
            waiting.append((path, row, threads.submit(_look_at, path if row else "")))
        if not waiting:
            return
        path, row, future = waiting.pop(0)
        yield path, row, future.result()


def _look_at(path: str) -> Checked:
    if not path:
        return None
    try:
        with os.fdopen(open_object(settings.ICON_PROCESSED_ROOT, path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return size, hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError:
        return UNREADABLE


def _kind(path: str) -> int | None:
    """What stands at a path, as a mode; None for nothing, or what lies behind a link."""
    with suppress(OSError), folder_of(settings.ICON_PROCESSED_ROOT, path) as folder:
        return os.stat(name_of(path), dir_fd=folder, follow_symlinks=False).st_mode
    return None


def _is_ordinary(path: str) -> bool:
    """Whether a file stands there, or nothing: no link, folder, pipe or device."""
    kind = _kind(path)
    return kind is None or stat.S_ISREG(kind)


def _check_instance(row: DICOMInstance, checked: Checked, repair: bool) -> Iterator[Violation]:
    subject = f"instance {row.pk}"
    series = row.dicom_series
    study = series.dicom_study
    place = instance_path(
        study.patient.folder,
        study.study_instance_uid,
        series.series_instance_uid,
        row.sop_instance_uid,
    )
    if row.path != place:
        yield Violation("path_wrong", subject)
    if checked != (row.size, row.sha256) and (code := _wrong_at_second_look(row)):
        yield _mend(code, subject, repair, partial(_restore, row))
    for sha256 in row.superseded:
        root = settings.ICON_PROCESSED_ROOT
        if not (is_hash(sha256) and holds(root, superseded_path(sha256))):
            yield Violation("superseded_missing", subject)


def _wrong_at_second_look(row: DICOMInstance) -> str:
    """What is wrong with a row's file, "" for nothing: a run may have been at work there."""
    now = DICOMInstance.objects.filter(pk=row.pk).first()
    if now is None:
        return ""
    checked = _look_at(now.path)
    if checked == (now.size, now.sha256):
        return ""
    if checked == UNREADABLE:
        return "file_unreadable"
    if checked:
        return "file_altered"
    return "" if _is_on_its_way(now) else "file_missing"


def _is_on_its_way(row: DICOMInstance) -> bool:
    """Whether a live run has the file in staging: its row is committed before it is published."""
    members = ArchiveMember.objects.filter(
        instance=row, sha256=row.sha256, upload__processing_status=Status.IN_PROGRESS
    )
    staging = settings.ICON_PROCESSED_ROOT / STAGING
    return any(
        any((staging / str(member.upload_id)).rglob(staged_name(member.index, member.inner)))
        for member in members
    )


def _restore(row: DICOMInstance) -> bool:
    """Read a row's file again from its kept ZIP; a link or folder in its place is set aside."""
    return (_is_ordinary(row.path) or _keep_found(row.path)) and restore(row)


def _check_unknown(path: str, repair: bool) -> Iterator[Violation]:
    """A file without a row, unless it got one, or was deleted, since the rows were read."""
    if _is_known(path) or (kind := _kind(path)) is None:
        return
    code = "link_unknown" if stat.S_ISLNK(kind) else "file_unknown"
    yield _mend(code, _one_line(path), repair, partial(_keep_found, path))


def _is_known(path: str) -> bool:
    if not path.isascii():  # no path that ICON makes; a database may not even take it
        return False
    return any(
        rows.filter(path=path).exists() for rows in (DICOMInstance.objects, FileToDelete.objects)
    )


def _keep_found(path: str) -> bool:
    """Move what stands at a path to `.found`; False where that cannot be done."""
    checked = _look_at(path)
    name = checked[1] if checked and checked != UNREADABLE else uuid.uuid4().hex
    try:
        move(settings.ICON_PROCESSED_ROOT, path, f"{FOUND}/{name}")
    except OSError:
        return False
    return True


def _one_line(path: str) -> str:
    """A path with escapes for what breaks a line or cannot be printed."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in path
    )


# --- staging, ledgers, parents ---------------------------------------------------------------


def _check_staging(repair: bool) -> Iterator[Violation]:
    folder = settings.ICON_PROCESSED_ROOT / STAGING
    for entry in sorted(folder.glob("*")):
        pk = _upload_of(entry)
        if pk is None:
            path = f"{STAGING}/{entry.name}"
            yield _mend("staging_unknown", _one_line(path), repair, partial(_keep_found, path))
        elif not DICOMFile.objects.in_progress().filter(pk=pk).exists():
            yield _mend("staging_left", f"upload {entry.name}", repair, partial(_roll_forward, pk))


def _upload_of(staging: Path) -> int | None:
    name = staging.name
    number = int(name) if name.isdecimal() and len(name) < 19 else -1
    return number if name == str(number) and staging.is_dir() else None


def _roll_forward(pk: int) -> bool:
    with suppress(Busy, StorageFailed):
        filing.roll_forward(pk)
        return True
    return False


def _check_ledgers(repair: bool) -> Iterator[Violation]:
    ended = DICOMFile.objects.exclude(processing_status=Status.IN_PROGRESS)
    for upload in ended.without_log().order_by("pk").iterator(chunk_size=FETCHED_AT_ONCE):
        rows = ArchiveMember.objects.filter(upload=upload).values_list("outcome")
        counts = dict(rows.annotate(Count("pk")).order_by())
        true = {outcome.value: counts.get(outcome.value, 0) for outcome in Outcome}
        whole = upload.processing_status == Status.COMPLETED
        if upload.outcomes != true or (whole and sum(true.values()) != upload.member_count):
            subject = f"upload {upload.pk}"
            yield _mend("ledger_wrong", subject, repair, partial(_recount, upload, true, whole))


def _recount(upload: DICOMFile, true: dict[str, int], whole: bool) -> bool:
    values: dict[str, Any] = {f"{name}_count": count for name, count in true.items()}
    if whole and sum(true.values()) != upload.member_count:
        return False  # members without a row: only reading the archive again could tell
    return bool(DICOMFile.objects.filter(pk=upload.pk).update(**values))


def _check_childless(repair: bool) -> Iterator[Violation]:
    parents: tuple[tuple[type[Model], str], ...] = (
        (DICOMSeries, "instances"),
        (DICOMStudy, "series"),
        (Patient, "studies"),
    )
    for model, children in parents:
        rows = model._default_manager.filter(**{f"{children}__isnull": True}).order_by("pk")
        for row in rows.iterator(chunk_size=FETCHED_AT_ONCE):
            name = str(model._meta.verbose_name)
            yield _mend("childless", f"{name} {row.pk}", repair, partial(_delete, row, children))


def _check_archives(repair: bool) -> Iterator[Violation]:
    """Kept ZIPs without an upload, as a kill may leave them between the file and its row."""
    arrived = filter(_has_arrived, (Path(settings.MEDIA_ROOT) / ARCHIVES).glob("*"))
    while files := {f"{ARCHIVES}/{file.name}": file for file in islice(arrived, FETCHED_AT_ONCE)}:
        listed = set(DICOMFile.objects.filter(file__in=files).values_list("file", flat=True))
        for name in sorted(files.keys() - listed):
            yield _mend("archive_unknown", name, repair, partial(_set_archive_aside, files[name]))


def _has_arrived(archive: Path) -> bool:
    with suppress(FileNotFoundError):
        return archive.stat().st_mtime < time.time() - ARRIVING_SECONDS
    return False


def _set_archive_aside(archive: Path) -> bool:
    removal.set_archive_aside(archive)
    return True


def _delete(row: Model, children: str) -> bool:
    """Delete a row that has no children, also now that it is locked."""
    with transaction.atomic():
        rows = type(row)._default_manager.select_for_update().filter(pk=row.pk)
        locked = rows.first()
        if locked and not getattr(locked, children).exists():
            locked.delete()
    return True


def _mend(code: str, subject: str, repair: bool, mend: Callable[[], bool]) -> Violation:
    return Violation(code, subject, repair and mend())
