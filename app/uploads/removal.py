"""Uploads and their kept archives: deleting them. What was catalogued from them stays."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from app.audit.recording import Person, because, record
from app.catalogue import filing
from app.models import DICOMFile, FileToDelete, Kind, Status
from app.wording import human_size

UNLISTED = "unlisted"  # the folder of kept archives whose uploads were deleted
STALE_UPLOAD = 600  # seconds; a transfer locks its file as soon as it is there


def delete_upload(
    upload: DICOMFile, with_archive: bool, who: Person = None, reason: str = ""
) -> bool:
    """Delete an upload's row; False while it is in progress. Catalogued objects stay."""
    # What its last run committed has only its ledger to tell where it belongs.
    filing.roll_forward(upload.pk)
    with transaction.atomic():
        idle = DICOMFile.objects.exclude(processing_status=Status.IN_PROGRESS)
        row = idle.select_for_update().filter(pk=upload.pk).first()
        if row is None:
            return False
        if row.file and with_archive:
            filing.delete_later([FileToDelete(path=row.file.path)])
        record(Kind.DELETED, who, row, because(_of_its_zip(row, with_archive), reason))
        row.delete()
    filing.unlink_pending()
    if upload.file and not with_archive:
        set_archive_aside(Path(upload.file.path))
    return True


def _of_its_zip(upload: DICOMFile, with_archive: bool) -> str:
    if not upload.file:
        return "Its ZIP was removed before."
    return "With its kept ZIP." if with_archive else f"Its kept ZIP went to “{UNLISTED}”."


def set_archive_aside(archive: Path) -> None:
    """Keep a ZIP that no upload lists any more apart from those that one lists."""
    folder: Path = settings.MEDIA_ROOT / UNLISTED
    folder.mkdir(mode=settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS, exist_ok=True)
    with suppress(FileNotFoundError):
        archive.rename(folder / archive.name)


class Unlisted(NamedTuple):
    """Kept ZIPs that no upload lists."""

    number: int
    size: int  # bytes


def unlisted() -> Unlisted:
    folder: Path = settings.MEDIA_ROOT / UNLISTED
    sizes: list[int] = []
    with suppress(FileNotFoundError), os.scandir(folder) as files:
        sizes.extend(file.stat().st_size for file in files if file.is_file(follow_symlinks=False))
    return Unlisted(len(sizes), sum(sizes))


@dataclass(frozen=True, slots=True)
class Sorted:
    """Uploads by what would become of their kept ZIPs."""

    go: list[DICOMFile]
    stay: dict[str, list[DICOMFile]]  # by the code of why


def sort_archives(uploads: Iterable[DICOMFile]) -> Sorted:
    """Which kept ZIPs nothing needs any more, and why each of the others stays."""
    found = Sorted([], {})
    for upload in uploads:
        why = why_archive_is_needed(upload)
        (found.stay.setdefault(why, []) if why else found.go).append(upload)
    return found


def remove_archives(uploads: Iterable[DICOMFile], who: Person = None) -> dict[int, str]:
    """Delete kept archives; the code of why each of the others was kept."""
    refused = {upload.pk: why for upload in uploads if (why := _remove_archive(upload.pk, who))}
    filing.unlink_pending()
    return refused


@transaction.atomic
def _remove_archive(pk: int, who: Person) -> str:
    upload = DICOMFile.objects.select_for_update().filter(pk=pk).first()
    if upload is None:
        return "upload_gone"
    if why := why_archive_is_needed(upload):
        return why
    filing.delete_later([FileToDelete(path=upload.file.path)])
    DICOMFile.objects.filter(pk=pk).update(file="")
    record(Kind.ZIP_REMOVED, who, upload, human_size(upload.size))
    return ""


def why_archive_is_needed(upload: DICOMFile) -> str:
    """The code of why its kept ZIP cannot be removed; "" where nothing needs it."""
    if not upload.file:
        return "removed_before"
    if upload.processing_status == Status.PENDING:
        return "still_to_process"
    if upload.processing_status == Status.IN_PROGRESS:
        return "in_progress"
    if upload.conflict_count:
        return "holds_conflicts"
    if upload.processing_status == Status.FAILED or upload.failed_count:
        return "holds_failures"
    return ""


def remove_stale_uploads() -> int:
    """Delete what broken transfers left in the upload folder; how many files."""
    limit = time.time() - STALE_UPLOAD
    return sum(map(_remove_unless_held, _last_written_before(limit)))


def _last_written_before(limit: float) -> Iterator[Path]:
    for file in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        with suppress(FileNotFoundError):  # a transfer has just ended
            if file.is_file() and file.stat().st_mtime < limit:
                yield file


def _remove_unless_held(file: Path) -> bool:
    """Whether it was deleted: a transfer holds the lock of its file, however slow it is."""
    with suppress(OSError), file.open("r+b") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
        return True
    return False
