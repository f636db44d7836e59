"""Does the catalogue tell the truth: rows against files, ledgers against their sums.

It streams: the rows in the order of their paths are merged with the tree, walked in that same
order, so that memory does not grow with the catalogue.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Model, QuerySet
from django.db.models.functions import Collate

from app.dicom.errors import StorageFailed
from app.dicom.paths import instance_path
from app.dicom.staging import FOUND, STAGING, Busy, file_sha256, superseded_path

from . import ingest, removal
from .models import (
    ARCHIVES,
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Outcome,
    Patient,
    Status,
)

VIOLATIONS = {
    "file_missing": "Its file is missing.",
    "file_altered": "Its file is not what was catalogued.",
    "path_wrong": "Its path is not the one its lineage gives.",
    "superseded_missing": "The file of a superseded version is missing.",
    "file_unknown": "No row knows this file.",
    "staging_left": "Its staging folder was left without a live run.",
    "ledger_wrong": "Its counts are not those of its list of files.",
    "childless": "Nothing is below it.",
    "archive_unknown": "No upload lists this ZIP.",
}
HASHED_AT_ONCE = 64  # files that wait for the threads
CHUNK = 2_000  # rows fetched at a time
ARRIVING_SECONDS = 3_600  # that a ZIP may be there before its row is

Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Violation:
    code: str
    subject: str  # "instance 17", or a file's path below the processed root
    repaired: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.subject}: {VIOLATIONS[self.code]}" + (" Repaired." * self.repaired)


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


# --- files -----------------------------------------------------------------------------------


def _check_files(repair: bool, step: Step) -> Iterator[Violation]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for path, row, checked in _hashed(threads, _merged()):
            if row is None:
                yield _mend("file_unknown", path, repair, partial(_set_aside, path))
                continue
            step(1)
            yield from _check_instance(row, checked, repair)


def _merged() -> Iterator[tuple[str, DICOMInstance | None]]:
    """Every path in order, with its row where there is one."""
    files, rows = _tree(settings.ICON_PROCESSED_ROOT), _instances()
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
    return rows.order_by(Collate(F("path"), binary)).iterator(chunk_size=CHUNK)


def _tree(root: Path, below: str = "") -> Iterator[str]:
    """The files below a folder in the order of their paths; ICON's own folders begin with "."."""
    entries = {
        entry.name + "/" * entry.is_dir(follow_symlinks=False): entry.name
        for entry in os.scandir(root / below)
        if below or not entry.name.startswith(".")
    }
    for key in sorted(entries):
        if key.endswith("/"):
            yield from _tree(root, below + key)
        else:
            yield below + key


def _hashed(
    threads: ThreadPoolExecutor, merged: Iterator[tuple[str, DICOMInstance | None]]
) -> Iterator[tuple[str, DICOMInstance | None, tuple[int, str] | None]]:
    """Sizes and SHA-256, read a little ahead by threads; None where there is no file."""
    waiting: list[tuple[str, DICOMInstance | None, Future[tuple[int, str] | None]]] = []
    while True:
        for path, row in islice(merged, HASHED_AT_ONCE - len(waiting)):
            waiting.append((path, row, threads.submit(_look_at, path if row else "")))
        if not waiting:
            return
        path, row, future = waiting.pop(0)
        yield path, row, future.result()


def _look_at(path: str) -> tuple[int, str] | None:
    file = settings.ICON_PROCESSED_ROOT / path
    if not path or file.is_symlink() or not file.is_file():
        return None
    return file.stat().st_size, file_sha256(file)


def _check_instance(
    row: DICOMInstance, checked: tuple[int, str] | None, repair: bool
) -> Iterator[Violation]:
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
    if checked != (row.size, row.sha256):
        code = "file_altered" if checked else "file_missing"
        yield _mend(code, subject, repair, partial(ingest.restore, row))
    for sha256 in row.superseded:
        if not (settings.ICON_PROCESSED_ROOT / superseded_path(sha256)).is_file():
            yield Violation("superseded_missing", subject)


def _set_aside(path: str) -> bool:
    """Keep a file that no row knows under `.found`, unless it was catalogued meanwhile."""
    if DICOMInstance.objects.filter(path=path).exists():
        return True
    root = settings.ICON_PROCESSED_ROOT
    kept = root / FOUND / file_sha256(root / path)
    kept.parent.mkdir(exist_ok=True, mode=0o750)
    (root / path).rename(kept)
    return True


# --- staging, ledgers, parents ---------------------------------------------------------------


def _check_staging(repair: bool) -> Iterator[Violation]:
    folder = settings.ICON_PROCESSED_ROOT / STAGING
    for entry in sorted(folder.glob("*")):
        pk = int(entry.name) if entry.name.isdecimal() else 0
        if not DICOMFile.objects.filter(pk=pk, processing_status=Status.IN_PROGRESS).exists():
            yield _mend("staging_left", f"upload {entry.name}", repair, partial(_roll_forward, pk))


def _roll_forward(pk: int) -> bool:
    with suppress(Busy, StorageFailed):
        ingest.roll_forward(pk)
        return True
    return False


def _check_ledgers(repair: bool) -> Iterator[Violation]:
    ended = DICOMFile.objects.exclude(processing_status=Status.IN_PROGRESS)
    for upload in ended.defer("processing_log_data").order_by("pk").iterator(chunk_size=CHUNK):
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
        for row in rows.iterator(chunk_size=CHUNK):
            name = str(model._meta.verbose_name)
            yield _mend("childless", f"{name} {row.pk}", repair, partial(_delete, row))


def _check_archives(repair: bool) -> Iterator[Violation]:
    """Kept ZIPs without an upload, as a kill may leave them between the file and its row."""
    arrived = filter(_has_arrived, (Path(settings.MEDIA_ROOT) / ARCHIVES).glob("*"))
    while files := {f"{ARCHIVES}/{file.name}": file for file in islice(arrived, CHUNK)}:
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


def _delete(row: Model) -> bool:
    row.delete()
    return True


def _mend(code: str, subject: str, repair: bool, mend: Callable[[], bool]) -> Violation:
    return Violation(code, subject, repair and mend())
