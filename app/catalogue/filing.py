"""What makes rows and files agree: a committed row gets its file, a deleted one loses it.

The commit is the commit point, and staging the log from which files follow. Paths of deleted rows
are kept in a table, in the transaction that deletes the rows; each file is unlinked while its line
there is locked, and an import that catalogues the same path takes the line out in its own
transaction.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from app.errors import StorageFailed
from app.limits import processed_root
from app.models import ArchiveMember, DICOMFile, DICOMInstance, FileToDelete, Outcome
from app.storage.staging import STAGING, Busy, Staging, staged_of
from app.storage.tree import remove_empty_folders, unlink

from .entries import Entry

UNLINKED_AT_ONCE = 500  # files unlinked in one transaction

logger = logging.getLogger(__name__)


class Version(NamedTuple):
    """A version of an instance on its way to its place."""

    instance: int
    path: str
    sha256: str
    superseded: list[str]


# --- committed rows get their files ----------------------------------------------------------


def publish(staging: Staging, entries: Sequence[Entry]) -> int:
    """Give a committed batch's files their places; how many unknown files had to make way."""
    imported = [entry for entry in entries if entry.is_imported]
    strangers = 0
    for entry in imported:
        sha256 = entry.extracted.sha256
        version = Version(entry.instance_id, entry.path, sha256, entry.superseded)
        strangers += place(staging, entry.extracted.staged, version)
    forget_deleted(
        {
            entry.instance_id: (entry.path, entry.header.instance.sop_instance_uid)
            for entry in imported
        }
    )
    return strangers


def place(staging: Staging, name: str, version: Version) -> bool:
    """Publish a staged file; True where an unknown file had to make way."""
    there = staging.publish(name, version.path, version.sha256, version.superseded)
    if not there:
        return False
    if DICOMInstance.objects.filter(pk=version.instance, sha256=there).exists():
        # Another run has replaced this version, and was faster with its file.
        staging.keep_superseded(name, version.sha256)
        return False
    staging.set_aside(version.path, there)
    staging.publish(name, version.path, version.sha256, version.superseded)
    return True


def settle(staging: Staging, upload: int) -> None:
    """Publish the staged files whose rows are committed, and delete the others.

    An extractor that died may have left a file of the same member in its tray, and one that was
    taken over of any: only the bytes tell the one that was committed.
    """
    placed: dict[int, tuple[str, str]] = {}
    for name, member in _committed(upload, staging.names()):
        instance = member.instance
        if instance is None or staging.sha256(name) != member.sha256:
            continue
        if member.sha256 == instance.sha256:
            superseded = instance.superseded
            place(staging, name, Version(instance.pk, instance.path, member.sha256, superseded))
            placed[instance.pk] = instance.path, instance.sop_instance_uid
        elif member.sha256 in instance.superseded:
            staging.keep_superseded(name, member.sha256)
    staging.clear()
    forget_deleted(placed)


def roll_forward(upload: int) -> None:
    """Publish what a dead run of an upload had committed, and clear its staging folder.

    Raises
    ------
    Busy
        A run is at work there.
    """
    with Staging(processed_root(), upload, wait=0) as staging:
        settle(staging, upload)
        staging.remove()


def roll_forward_abandoned() -> None:
    """Do so for every staging folder whose upload has no live run."""
    folder = processed_root() / STAGING
    pks = [int(entry.name) for entry in folder.glob("*") if entry.name.isdecimal()]
    running = DICOMFile.objects.in_progress().filter(pk__in=pks)
    for pk in set(pks) - set(running.values_list("pk", flat=True)):
        try:
            roll_forward(pk)
        except Busy:
            continue
        except StorageFailed as failure:
            logger.warning("Upload %s: its staging stays for now: %s", pk, failure.code)


def _committed(upload: int, names: Iterable[str]) -> list[tuple[str, ArchiveMember]]:
    """The staged files of imported members, each with its row of the ledger."""
    files = list(filter(None, map(staged_of, names)))
    members = ArchiveMember.objects.filter(
        upload=upload,
        index__in={file.member[0] for file in files},
        outcome=Outcome.IMPORTED,
        instance__isnull=False,
    )
    rows = {(row.index, row.inner): row for row in members.select_related("instance")}
    return [(file.name, rows[file.member]) for file in files if file.member in rows]


# --- deleted rows lose their files -----------------------------------------------------------


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
        delete_later(FileToDelete(path=path, sop_instance_uid=uid) for path, uid in files)
        unlink_pending()


def delete_later(files: Iterable[FileToDelete]) -> None:
    """List files to be unlinked, in the transaction that deletes their rows."""
    FileToDelete.objects.bulk_create(files, ignore_conflicts=True)


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


@transaction.atomic
def _unlink_some(after: int) -> dict[int, bool]:
    """Unlink the files of the next lines; whether each is done with, by the line's key."""
    # Nobody who holds one line waits for another here, so that no circle can form.
    unlocked = FileToDelete.objects.select_for_update(skip_locked=True)
    lines = list(unlocked.filter(pk__gt=after).order_by("pk")[:UNLINKED_AT_ONCE])
    root = processed_root()
    kept = _catalogued_again(lines)
    done = {line.pk: line.path in kept or _unlink(root, line.path) for line in lines}
    filed = [line.path for line in lines if not _is_archive(line.path)]
    for path in {path.rpartition("/")[0]: path for path in filed}.values():
        remove_empty_folders(root, path)
    FileToDelete.objects.filter(pk__in=[pk for pk, gone in done.items() if gone]).delete()
    return done


def _catalogued_again(lines: Sequence[FileToDelete]) -> set[str]:
    """The paths that a row has again."""
    uids = {line.sop_instance_uid for line in lines} - {""}
    paths = {line.path for line in lines}
    rows = DICOMInstance.objects.filter(sop_instance_uid__in=uids, path__in=paths)
    return set(rows.values_list("path", flat=True))


def _unlink(root: Path, path: str) -> bool:
    try:
        if _is_archive(path):
            Path(path).unlink(missing_ok=True)
        else:
            unlink(root, path)
    except OSError as error:
        logger.warning("A deleted object's file stays for now: %s", type(error).__name__)
        return False
    return True


def _is_archive(path: str) -> bool:
    """A kept archive's path is absolute, a filed object's lies below the root."""
    return path.startswith("/")
