"""Deleting: rows first, files after, also when killed in between.

The paths of deleted rows are kept in a table, in the transaction that deletes the rows; each
file is unlinked while its line there is locked, and an import that catalogues the same path
takes the line out in its own transaction.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce

from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Patient,
    Status,
)
from app.storage.staging import Busy, superseded_path

logger = logging.getLogger(__name__)

CHUNK = 500  # instances deleted in one transaction, and files unlinked
TRIES = 5
UNLISTED = "unlisted"  # the folder of kept archives whose uploads were deleted

# How an instance reaches each of its ancestors, and what an ancestor's children are.
ANCESTORS: dict[type[models.Model], str] = {
    DICOMInstance: "pk",
    DICOMSeries: "dicom_series",
    DICOMStudy: "dicom_series__dicom_study",
    Patient: "dicom_series__dicom_study__patient",
}
KINDS: dict[type[models.Model], str] = {
    DICOMInstance: "instances",
    DICOMSeries: "series",
    DICOMStudy: "studies",
    Patient: "patients",
}
CHILDREN: dict[type[models.Model], tuple[type[models.Model], str]] = {
    DICOMSeries: (DICOMInstance, "dicom_series"),
    DICOMStudy: (DICOMSeries, "dicom_study"),
    Patient: (DICOMStudy, "patient"),
}


def instances_of(row: models.Model) -> QuerySet[DICOMInstance]:
    """The instances of a patient, study, series, or of one instance."""
    return DICOMInstance.objects.filter(**{ANCESTORS[type(row)]: row.pk})


def delete(row: models.Model) -> None:
    """Delete a patient, study, series or instance, with all that is below it and its files.

    Parents that are left without children go, too.
    """
    while _delete_some(row):
        pass
    if type(row) in CHILDREN:
        _delete_childless(type(row), {row.pk})
    unlink_pending()


def below(rows: Sequence[models.Model]) -> dict[str, int]:
    """What goes with rows of one table: how many of each kind, and the bytes of their files."""
    model = type(rows[0])
    pks = [row.pk for row in rows]
    instances = DICOMInstance.objects.filter(**{f"{ANCESTORS[model]}__in": pks})
    whole = list(KINDS)[: list(KINDS).index(model) + 1]
    counts = {KINDS[one]: Count(ANCESTORS[one], distinct=True) for one in reversed(whole)}
    return instances.aggregate(**counts, bytes=Coalesce(Sum("size"), 0))


def delete_upload(upload: DICOMFile, with_archive: bool) -> bool:
    """Delete an upload's row; False while it is in progress. Catalogued objects stay."""
    from app.uploads import ingest

    try:
        # What its last run committed has only its ledger to tell where it belongs.
        ingest.roll_forward(upload.pk)
    except Busy:
        return False
    with transaction.atomic():
        idle = DICOMFile.objects.exclude(processing_status=Status.IN_PROGRESS)
        row = idle.select_for_update().filter(pk=upload.pk).first()
        if row is None:
            return False
        if row.file and with_archive:
            _note([FileToDelete(path=row.file.path)])
        row.delete()
    unlink_pending()
    if upload.file and not with_archive:
        set_archive_aside(Path(upload.file.path))
    return True


def set_archive_aside(archive: Path) -> None:
    """Keep a ZIP that no upload lists any more apart from those that one lists."""
    folder: Path = settings.MEDIA_ROOT / UNLISTED
    folder.mkdir(mode=settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS, exist_ok=True)
    with suppress(FileNotFoundError):
        archive.rename(folder / archive.name)


def remove_archives(uploads: Iterable[DICOMFile]) -> dict[int, str]:
    """Delete kept archives; why each of the others was kept."""
    refused = {upload.pk: why for upload in uploads if (why := _remove_archive(upload.pk))}
    unlink_pending()
    return refused


@transaction.atomic
def _remove_archive(pk: int) -> str:
    upload = DICOMFile.objects.select_for_update().filter(pk=pk).first()
    if upload is None:
        return "This upload is no longer here."
    if why := _why_archive_is_needed(upload):
        return why
    _note([FileToDelete(path=upload.file.path)])
    DICOMFile.objects.filter(pk=pk).update(file="")
    return ""


def _why_archive_is_needed(upload: DICOMFile) -> str:
    if not upload.file:
        return "It was removed before."
    if upload.processing_status == Status.PENDING:
        return "It is still to be processed."
    if upload.processing_status == Status.IN_PROGRESS:
        return "It is being processed."
    if upload.conflict_count:
        return "Some of its objects are in conflict with the catalogue, and only it has them."
    if upload.processing_status == Status.FAILED or upload.failed_count:
        return "Not everything in it could be stored, and only it has the rest."
    return ""


def unlink_pending() -> int:
    """Unlink the files of deleted rows; how many. What the disk refuses waits for the sweep."""
    unlinked = last = 0
    while FileToDelete.objects.filter(pk__gt=last).exists():
        done = _unlink_some(after=last)
        if not done:  # others are at it
            break
        unlinked += sum(done.values())
        last = max(done)
    return unlinked


def forget_deleted(published: Mapping[int, tuple[str, str]]) -> None:
    """Take published files back out of the tree whose rows were deleted in the meantime.

    Parameters
    ----------
    published
        Path and SOP Instance UID by the primary key of the instance.
    """
    if not published:
        return
    rows = DICOMInstance.objects.all()
    if max(published) - min(published) < 2 * len(published):  # quicker, for what is all new
        rows = rows.filter(pk__range=(min(published), max(published)))
    else:
        rows = rows.filter(pk__in=published)
    gone = published.keys() - set(rows.values_list("pk", flat=True))
    if gone:
        files = (published[pk] for pk in gone)
        _note(FileToDelete(path=path, sop_instance_uid=uid) for path, uid in files)
        unlink_pending()


def _delete_some(row: models.Model) -> int:
    """Delete a chunk of the row's instances, with what is then empty; how many."""
    for _ in range(TRIES - 1):
        # Uploads that add children meanwhile make a parent undeletable, or lock in a circle.
        with suppress(IntegrityError, OperationalError):
            return _delete_chunk(row)
    return _delete_chunk(row)


@transaction.atomic
def _delete_chunk(row: models.Model) -> int:
    chunk = list(
        instances_of(row)
        .select_for_update(of=("self",))
        .select_related("dicom_series__dicom_study")
        .order_by("pk")[:CHUNK]
    )
    _note(line for instance in chunk for line in _lines(instance))
    DICOMInstance.objects.filter(pk__in=[instance.pk for instance in chunk]).delete()
    series = {instance.dicom_series for instance in chunk}
    studies = {one.dicom_study for one in series}
    _delete_childless(DICOMSeries, {one.pk for one in series})
    _delete_childless(DICOMStudy, {one.pk for one in studies})
    _delete_childless(Patient, {one.patient_id for one in studies})
    return len(chunk)


def _lines(instance: DICOMInstance) -> Iterator[FileToDelete]:
    yield FileToDelete(path=instance.path, sop_instance_uid=instance.sop_instance_uid)
    for sha256 in instance.superseded:
        yield FileToDelete(path=superseded_path(sha256))


def _note(lines: Iterable[FileToDelete]) -> None:
    FileToDelete.objects.bulk_create(lines, ignore_conflicts=True)


def _delete_childless(model: type[models.Model], pks: set[int]) -> None:
    child, parent = CHILDREN[model]
    children = child._default_manager.filter(**{parent: models.OuterRef("pk")})
    childless = model._default_manager.filter(~models.Exists(children), pk__in=pks)
    # One statement: between Django's own two, an import could add a child that would go, too.
    childless._raw_delete(childless.db)


@transaction.atomic
def _unlink_some(after: int) -> dict[int, bool]:
    """Unlink the files of the next lines; whether each is done with, by the line's key."""
    # Nobody who holds one line waits for another here, so that no circle can form.
    unlocked = FileToDelete.objects.select_for_update(skip_locked=True)
    lines = list(unlocked.filter(pk__gt=after).order_by("pk")[:CHUNK])
    root: Path = settings.ICON_PROCESSED_ROOT
    kept = _catalogued(lines)
    done = {line.pk: line.path in kept or _unlink(root / line.path) for line in lines}
    for folder in {Path(line.path).parent for line in lines}:
        if not folder.is_absolute():  # as a kept archive's is
            _remove_empty_folders(root, folder)
    FileToDelete.objects.filter(pk__in=[pk for pk, gone in done.items() if gone]).delete()
    return done


def _unlink(file: Path) -> bool:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("A deleted object's file stays for now: %s", type(error).__name__)
        return False
    return True


def _catalogued(lines: Sequence[FileToDelete]) -> set[str]:
    """The paths that a row has again."""
    uids = {line.sop_instance_uid for line in lines} - {""}
    paths = {line.path for line in lines}
    rows = DICOMInstance.objects.filter(sop_instance_uid__in=uids, path__in=paths)
    return set(rows.values_list("path", flat=True))


def _remove_empty_folders(root: Path, folder: Path) -> None:
    with suppress(OSError):
        for below in (folder, *folder.parents[:-1]):
            (root / below).rmdir()
