"""Does the catalogue tell the truth: rows against files, ledgers against their sums.

It goes through rows by their primary keys and through the tree folder by folder, some hundreds at
a time: neither memory nor the database's temporary files grow with the catalogue, and it can be
stopped and go on anywhere.
"""

import hashlib
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Model, QuerySet

from app.catalogue import counts, filing, links, thumbnails, trash
from app.catalogue.identities import forget_unused, without_objects
from app.catalogue.removal import delete_bare, lock_patient
from app.catalogue.transactions import lock_patients
from app.errors import Protected, StorageFailed
from app.models import (
    ARCHIVES,
    ArchiveMember,
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Link,
    Outcome,
    Patient,
    PatientIdentity,
    Status,
    TrashedObject,
)
from app.reasons import sentence
from app.rt import contours
from app.storage.paths import instance_path
from app.storage.staging import (
    FOUND,
    STAGING,
    is_hash,
    staged_paths,
    staged_upload,
    staged_uploads,
    superseded_path,
)
from app.storage.thumbnails import thumbnail_files
from app.storage.trash import TRASH, TrashFolder, trash_folders, trashed_name, trashed_path
from app.storage.tree import folder_of, holds, move, name_of, open_object, unlink
from app.uploads import removal
from app.uploads.restore import restore

from .probes import worker_was_seen

AT_ONCE = 500  # rows or files
READ_AT_ONCE = 1 << 20  # bytes
ARRIVING_SECONDS = 3_600  # that a ZIP may be there before its row is
SWEPT_SECONDS = 30.0  # within which workers clear what a run has left
LOOK = 0.5  # seconds between looks at whether they have

UNREADABLE = -1, ""

Row = TypeVar("Row", bound=Model)

Step = Callable[[int], None]
Pace = Callable[[int], None]  # told of bytes that were read; takes its time
Reached = Callable[[str, str], None]  # a part, and the last thing in it that was checked
Checked = tuple[int, str] | None  # size and SHA-256; UNREADABLE; None where there is no file
Look = Callable[[Sequence[str]], Iterable[Checked]]


@dataclass(frozen=True, slots=True)
class Violation:
    code: str
    subject: str  # "instance 17", or a file's path below the processed root; one line
    repaired: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.subject}: {sentence(self.code)}" + (" Repaired." * self.repaired)


def verify(
    repair: bool = False,
    step: Step = lambda count: None,
    pace: Pace | None = None,
    begin: tuple[str, str] = ("", ""),
    reached: Reached = lambda part, last: None,
) -> Iterator[Violation]:
    """Check everything; each violation as it is found.

    Parameters
    ----------
    repair
        Mend what can be mended without losing anything.
    step
        Called with the number of objects that were checked since the last call, of
        `objects_to_check`.
    pace
        Called with the bytes that were read since the last call; files are then read one by one.
        Without it they are read as fast as the machine can.
    begin
        What `reached` was last told of by a check that was stopped: this one goes on there.
    reached
        Called with a part of the check, and what in it was checked last.
    """
    wait = pace or (lambda count: None)
    parts: dict[str, Callable[[str], Iterator[Violation]]] = {
        "staging": lambda last: _check_staging(repair, wait),
        # Before the next: a stranger, or a link, may stand in the way of a row's file.
        "tree": lambda last: _check_tree(last, repair, wait, reached),
        "instances": lambda last: _check_instances(last, repair, step, pace, reached),
        "ledgers": lambda last: _check_ledgers(repair, wait),
        "childless": lambda last: _check_childless(repair, wait),
        "identities": lambda last: _check_identities(repair, wait),
        # Behind what deletes rows that links may lead to.
        "links": lambda last: _check_links(last, repair, wait, reached),
        "counts": lambda last: _check_counts(repair, wait),
        "archives": lambda last: _check_archives(repair),
        "trash": lambda last: _check_trash(last, repair, step, pace, reached),
        "thumbnails": lambda last: _clear_derived(wait),
    }
    names, (first, last) = list(parts), begin
    for name in names[names.index(first) if first else 0 :]:
        after = last if name == first else ""
        reached(name, after)
        yield from parts[name](after)


def objects_to_check() -> int:
    """How many objects have a file that is read, in the catalogue and in the trash."""
    return DICOMInstance.objects.count() + TrashedObject.objects.count()


# --- files -----------------------------------------------------------------------------------


def _check_instances(
    last: str, repair: bool, step: Step, pace: Pace | None, reached: Reached
) -> Iterator[Violation]:
    rows: QuerySet[DICOMInstance] = DICOMInstance.objects.select_related(
        "dicom_series__dicom_study__patient", "identity"
    )
    with _looking(pace) as look:
        for page in _pages(rows, int(last or 0)):
            for row, checked in zip(page, look([row.path for row in page]), strict=True):
                step(1)
                yield from _check_instance(row, checked, repair)
            reached("instances", str(page[-1].pk))


@contextmanager
def _looking(pace: Pace | None) -> Iterator[Look]:
    """How files are looked at: at a pace one by one, else as many at once as there are cores."""
    look = partial(_look_at, pace=pace)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        yield lambda paths: map(look, paths) if pace else threads.map(look, paths)


def _pages(rows: QuerySet[Row], after: int = 0) -> Iterator[list[Row]]:
    """Rows in the order of their primary keys, some at a time."""
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        yield page
        after = page[-1].pk


def _check_tree(last: str, repair: bool, pace: Pace, reached: Reached) -> Iterator[Violation]:
    """Files that no row knows, patient by patient."""
    unreadable: list[str] = []  # folders
    for top in _entries(settings.ICON_PROCESSED_ROOT, "", unreadable):
        if top <= last:
            continue
        files = _files(settings.ICON_PROCESSED_ROOT, top, unreadable)
        while paths := list(islice(files, AT_ONCE)):
            pace(0)
            for path in _unknown(paths):
                yield from _check_unknown(path, repair)
        yield from (Violation("folder_unreadable", _one_line(folder)) for folder in unreadable)
        unreadable.clear()
        if top.isascii():  # as are all that ICON makes
            reached("tree", top)


def _files(root: Path, path: str, unreadable: list[str]) -> Iterator[str]:
    """The files at or below a path, in order."""
    if not path.endswith("/"):
        yield path
        return
    for below in _entries(root, path, unreadable):
        yield from _files(root, below, unreadable)


def _entries(root: Path, folder: str, unreadable: list[str]) -> list[str]:
    """What is in a folder, in order; folders end with "/", and at the top ICON's own are left out.

    They begin with ".".
    """
    try:
        return sorted(
            folder + entry.name + "/" * entry.is_dir(follow_symlinks=False)
            for entry in os.scandir(root / folder)
            if folder or not entry.name.startswith(".")
        )
    except FileNotFoundError:  # deleted meanwhile
        return []
    except OSError:
        unreadable.append(folder)
        return []


def _unknown(paths: list[str]) -> list[str]:
    """Those that no row knows. The rows are read after the files, so none came in between."""
    known = _found_by_index(paths)
    left = [path for path in paths if path not in known]
    asked = [path for path in left if path.isascii()]
    if asked:  # hardly ever: this reads the whole table
        known |= set(DICOMInstance.objects.filter(path__in=asked).values_list("path", flat=True))
    return [path for path in left if path not in known]


def _found_by_index(paths: list[str]) -> set[str]:
    """The paths whose rows an index finds, by the UID or the patient's folder in the path."""
    asked = [path for path in paths if path.isascii()]  # a database may not even take others
    uids = {PurePath(path).stem for path in asked}
    rows = DICOMInstance.objects.filter(sop_instance_uid__in=uids, path__in=asked)
    known = {*rows.values_list("path", flat=True)}
    odd = [path for path in asked if path not in known]
    if odd:  # a UID that breaks the standard's rule is written otherwise in a path
        folders = {PurePath(path).parts[0] for path in odd}
        rows = DICOMInstance.objects.filter(
            dicom_series__dicom_study__patient__folder__in=folders, path__in=odd
        )
        known |= {*rows.values_list("path", flat=True)}
    return known | {*FileToDelete.objects.filter(path__in=odd).values_list("path", flat=True)}


def _look_at(path: str, pace: Pace | None = None) -> Checked:
    try:
        with os.fdopen(open_object(settings.ICON_PROCESSED_ROOT, path), "rb", 0) as file:
            size = os.fstat(file.fileno()).st_size
            if pace is None:
                return size, hashlib.file_digest(file, "sha256").hexdigest()
            return size, _sha256(file, pace)
    except FileNotFoundError:
        return None
    except OSError:
        return UNREADABLE


def _sha256(file: IO[bytes], pace: Pace) -> str:
    digest = hashlib.sha256()
    while piece := file.read(READ_AT_ONCE):
        digest.update(piece)
        pace(len(piece))
    return digest.hexdigest()


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
    if row.identity_id and (row.identity is None or row.identity.patient_id != study.patient_id):
        yield _mend("identity_wrong", subject, repair, partial(_forget_identity, row))
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
    root = settings.ICON_PROCESSED_ROOT
    return any(
        any(staged_paths(root, member.upload_id, (member.index, member.inner)))
        for member in members
    )


def _restore(row: DICOMInstance) -> bool:
    """Read a row's file again from its kept ZIP; a link or folder in its place is set aside."""
    return (_is_ordinary(row.path) or _keep_found(row.path)) and restore(row)


def _forget_identity(row: DICOMInstance) -> bool:
    """Let `reread` tell it anew."""
    rows = DICOMInstance.objects.filter(pk=row.pk, identity=row.identity_id)
    return bool(rows.update(identity=None, read_version=0))


def _check_unknown(path: str, repair: bool) -> Iterator[Violation]:
    """A file without a row, unless it got one, or was deleted, since it was looked for.

    What is restored from the trash has its file before its row is committed.
    """
    if Deletion.objects.filter(state=Deletion.State.RESTORING).exists():
        return
    if path in _found_by_index([path]) or (kind := _kind(path)) is None:
        return
    code = "link_unknown" if stat.S_ISLNK(kind) else "file_unknown"
    yield _mend(code, _one_line(path), repair, partial(_keep_found, path))


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


def _check_staging(repair: bool, pace: Pace) -> Iterator[Violation]:
    folder = settings.ICON_PROCESSED_ROOT / STAGING
    for entry in sorted(folder.glob("*")):
        if staged_upload(entry) is None:
            path = f"{STAGING}/{entry.name}"
            yield _mend("staging_unknown", _one_line(path), repair, partial(_keep_found, path))
    for pk in _left_by_workers(pace):
        yield _mend("staging_left", f"upload {pk}", repair, partial(_roll_forward, pk))


def _left_by_workers(pace: Pace) -> list[int]:
    """Uploads whose staging is there without a live run, and stays where workers are at work.

    A run that has lost its upload leaves its folder to their sweep, which comes every 10 s.
    """
    deadline = time.monotonic() + SWEPT_SECONDS
    while (left := _without_run()) and time.monotonic() < deadline and worker_was_seen():
        pace(0)
        time.sleep(LOOK)
    return left


def _without_run() -> list[int]:
    staged = staged_uploads(settings.ICON_PROCESSED_ROOT)
    live = DICOMFile.objects.in_progress().filter(pk__in=staged).values_list("pk", flat=True)
    return sorted({*staged} - {*live})


def _roll_forward(pk: int) -> bool:
    with suppress(StorageFailed):
        filing.roll_forward(pk)
    return pk not in staged_uploads(settings.ICON_PROCESSED_ROOT)


def _check_ledgers(repair: bool, pace: Pace) -> Iterator[Violation]:
    ended = DICOMFile.objects.exclude(processing_status=Status.IN_PROGRESS)
    for upload in chain.from_iterable(_pages(ended.without_log())):
        pace(0)
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


def _check_childless(repair: bool, pace: Pace) -> Iterator[Violation]:
    parents: tuple[tuple[type[Model], str], ...] = (
        (DICOMSeries, "instances"),
        (DICOMStudy, "series"),
        (Patient, "studies"),
    )
    for model, children in parents:
        rows = model._default_manager.all()
        for page in _pages(rows.only("pk")):
            pace(0)
            here = rows.filter(pk__in=[row.pk for row in page])
            for row in here.filter(**{f"{children}__isnull": True}).order_by("pk"):
                name = f"{model._meta.verbose_name} {row.pk}"
                yield _mend("childless", name, repair, partial(_delete, row))


def _check_identities(repair: bool, pace: Pace) -> Iterator[Violation]:
    for page in _pages(PatientIdentity.objects.only("pk")):
        pace(0)
        here = PatientIdentity.objects.filter(pk__in=[row.pk for row in page])
        for row in without_objects(here).only("pk", "patient").order_by("pk"):
            yield _mend("identity_unused", f"identity {row.pk}", repair, partial(_forget, row))


def _forget(identity: PatientIdentity) -> bool:
    with transaction.atomic():
        lock_patients([identity.patient_id])
        forget_unused([identity.pk], [])
    return True


def _check_counts(repair: bool, pace: Pace) -> Iterator[Violation]:
    for level in counts.LEVELS:
        for page in _pages(level.model._default_manager.only("pk")):
            pace(0)
            rows = {row.pk: row for row in page}
            for pk in counts.wrong(level, rows):
                # An import may have been between what is said and what is true.
                with transaction.atomic():
                    lock_patient(rows[pk])
                    is_wrong = bool(counts.wrong(level, [pk]))
                    if is_wrong and repair:
                        level.write([pk])
                if is_wrong:
                    name = f"{level.model._meta.verbose_name} {pk}"
                    yield Violation("counts_wrong", name, repair)


def _check_links(last: str, repair: bool, pace: Pace, reached: Reached) -> Iterator[Violation]:
    for page in _pages(Link.objects.only("pk"), int(last or 0)):
        pace(0)
        if stale := links.stale([row.pk for row in page]):
            for source in _stale_at_second_look(stale, repair):
                yield Violation("links_wrong", f"instance {source}", repair)
        reached("links", str(page[-1].pk))


@transaction.atomic
def _stale_at_second_look(rows: Sequence[links.Row], repair: bool) -> list[int]:
    """The sources of links that are wrong also while nobody writes, which are then mended."""
    lock_patients({row.patient for row in rows})
    wrong = links.stale([row.pk for row in rows])
    if repair:
        links.write_aims(wrong)
    return sorted({row.source for row in wrong})


def _check_trash(
    last: str, repair: bool, step: Step, pace: Pace | None, reached: Reached
) -> Iterator[Violation]:
    """Files of what is in the trash, and what lies there besides."""
    with _looking(pace) as look:
        for page in _pages(TrashedObject.objects.defer("rows"), int(last or 0)):
            for one, checked in zip(page, look([_path_in_trash(one) for one in page]), strict=True):
                step(1)
                yield from _check_trashed(one, checked)
            reached("trash", str(page[-1].pk))
    wait = pace or (lambda count: None)
    for deletion in chain.from_iterable(_pages(Deletion.objects.all())):
        wait(0)
        if trash.miscounted(deletion) and deletion.state == Deletion.State.THERE:
            subject = f"deletion {deletion.pk}"
            yield _mend("trash_counts_wrong", subject, repair, partial(trash.recount, deletion))
    for path in _strangers_in_trash(settings.ICON_PROCESSED_ROOT):
        wait(0)
        yield _mend("trash_unknown", _one_line(path), repair, partial(_keep_found, path))


def _path_in_trash(trashed: TrashedObject) -> str:
    return trashed_path(trashed.deletion_id, trashed_name(trashed.instance))


def _check_trashed(trashed: TrashedObject, checked: Checked) -> Iterator[Violation]:
    subject = f"object {trashed.instance} of deletion {trashed.deletion_id}"
    codes = [_wrong_in_trash(trashed, checked)] if trashed.has_file else []
    codes += ["superseded_missing" for sha256 in trashed.superseded if not _has(trashed, sha256)]
    for code in filter(None, codes):
        # It may have been restored, or erased, since its row was read.
        if TrashedObject.objects.filter(pk=trashed.pk).exists():
            yield Violation(code, subject)


def _has(trashed: TrashedObject, superseded: str) -> bool:
    """Whether the trash has the file of a replaced version."""
    path = trashed_path(trashed.deletion_id, trashed_name(trashed.instance, superseded))
    return is_hash(superseded) and holds(settings.ICON_PROCESSED_ROOT, path)


def _wrong_in_trash(trashed: TrashedObject, checked: Checked) -> str:
    if checked == (trashed.size, trashed.sha256):
        return ""
    if checked is None:
        return "trash_file_missing"
    return "file_unreadable" if checked == UNREADABLE else "trash_file_altered"


def _strangers_in_trash(root: Path) -> Iterator[str]:
    """What lies in the trash without a row; not in the folders in which somebody is at work."""
    for folder in trash_folders(root):
        pk = int(folder) if folder.isdecimal() and len(folder) < 19 else 0
        deletion = Deletion.objects.filter(pk=pk).first()
        if deletion and deletion.state != Deletion.State.THERE:
            continue
        names = TrashFolder(root, pk).names() if str(pk) == folder else None
        if names is None:
            yield f"{TRASH}/{folder}"
        else:
            yield from (f"{TRASH}/{folder}/{name}" for name in trash.strangers(pk, names))


def _clear_derived(pace: Pace) -> Iterator[Violation]:
    """Remove thumbnails without a row, as a kill may leave them: they are nobody's data.

    And what was made of rows that code from before its table deleted.
    """
    thumbnails.forget_gone()
    contours.forget_gone()
    root = settings.ICON_PROCESSED_ROOT
    arrived = (path for path in thumbnail_files(root) if _has_arrived(root / path))
    while paths := list(islice(arrived, AT_ONCE)):
        pace(0)
        for path in thumbnails.strangers(paths):
            with suppress(OSError):
                unlink(root, path)
    return iter(())


def _check_archives(repair: bool) -> Iterator[Violation]:
    """Kept ZIPs without an upload, as a kill may leave them between the file and its row."""
    arrived = filter(_has_arrived, (Path(settings.MEDIA_ROOT) / ARCHIVES).glob("*"))
    while files := {f"{ARCHIVES}/{file.name}": file for file in islice(arrived, AT_ONCE)}:
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
    """Delete a row that has no children, also now that it is locked; a protected study stays."""
    try:
        with transaction.atomic():
            delete_bare(row)
    except Protected:
        return False
    return True


def _mend(code: str, subject: str, repair: bool, mend: Callable[[], bool]) -> Violation:
    return Violation(code, subject, repair and mend())
