"""What makes rows and files agree: a committed row gets its file, a deleted one loses it.

The commit is the commit point, and staging the log from which files follow. Two processes may
settle one folder at once, or one settle what the other is publishing: each step can be taken twice,
and a file that is gone was seen to. Paths of deleted rows
are kept in a table, in the transaction that deletes the rows; each file is unlinked while its line
there is locked, and an import that catalogues the same path takes the line out in its own
transaction.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from app.errors import StorageFailed
from app.limits import processed_root
from app.models import ArchiveMember, DICOMFile, DICOMInstance, FileToDelete, Outcome
from app.storage.staging import (
    RESTORING,
    Staging,
    is_held,
    staged_of,
    staged_runs,
    staged_uploads,
)
from app.storage.tree import remove_empty_folders, unlink

from .entries import Entry, imported_of
from .sql import ask, table
from .transactions import while_heard

UNLINKED_AT_ONCE = 500  # files unlinked in one transaction
DISK_SECONDS = 300.0  # that a transaction may take for what it does with files

logger = logging.getLogger(__name__)


class Version(NamedTuple):
    """A version of an instance on its way to its place."""

    instance: int
    path: str
    sha256: str
    superseded: Sequence[str]


# --- committed rows get their files ----------------------------------------------------------


def publish(staging: Staging, entries: Sequence[Entry]) -> int:
    """Give a committed batch's files their places; how many unknown files had to make way."""
    imported = {entry.extracted.staged: entry for entry in imported_of(entries)}
    others = staging.publish_all(
        {
            name: (entry.path, entry.extracted.sha256, entry.superseded)
            for name, entry in imported.items()
        }
    )
    strangers = sum(_make_way(staging, name, _version(imported[name])) for name in others)
    if not _are_there([entry.instance for entry in imported.values()]):
        forget_deleted(
            {
                entry.instance: (entry.path, entry.header.instance.sop_instance_uid)
                for entry in imported.values()
            }
        )
    return strangers


def _version(entry: Entry) -> Version:
    return Version(entry.instance, entry.path, entry.extracted.sha256, entry.superseded)


def place(staging: Staging, name: str, version: Version) -> bool:
    """Publish a staged file; True where an unknown file had to make way."""
    there = staging.publish(name, version.path, version.sha256, version.superseded)
    return bool(there) and _make_way(staging, name, version)


@while_heard(DISK_SECONDS)
def _make_way(staging: Staging, name: str, version: Version) -> bool:
    """Publish a staged file where another stands; True where that was an unknown one.

    The row is locked meanwhile: nobody else puts aside what stands there, nor replaces it.
    """
    rows = DICOMInstance.objects.select_for_update().filter(pk=version.instance)
    row = rows.first()
    if row and row.sha256 != version.sha256:
        # Another run has replaced this version, and was faster with its file.
        staging.keep_superseded(name, version.sha256)
        return False
    if not row and DICOMInstance.objects.filter(path=version.path).exists():
        # The object was deleted, and catalogued anew with other bytes.
        staging.discard(name)
        return False
    superseded = row.superseded if row else version.superseded
    there = staging.publish(name, version.path, version.sha256, superseded)
    if there:
        staging.set_aside(version.path, there)
        staging.publish(name, version.path, version.sha256, superseded)
    return bool(there)


def settle(staging: Staging, upload: int) -> None:
    """Publish the staged files whose rows are committed, and delete the others.

    An extractor that died may have left a file of the same member in its tray, one that was taken
    over of any, and a run that another followed of what that one committed: only the bytes tell.

    Raises
    ------
    StorageFailed
        A file cannot be read, or not be given its place.
    """
    names = staging.names()
    committed: dict[str, ArchiveMember] = {}
    for name, member in _committed(upload, names) if names else ():
        with _unless_gone(staging, [name]):
            if staging.sha256(name) == member.sha256:
                committed[name] = member
    placed: dict[int, tuple[str, str]] = {}
    for name in _made_durable(staging, list(committed)):
        with _unless_gone(staging, [name]):
            if instance := _settle_one(staging, name, committed[name]):
                placed[instance.pk] = instance.path, instance.sop_instance_uid
    staging.clear()
    forget_deleted(placed)


def _made_durable(staging: Staging, names: list[str]) -> list[str]:
    """Make staged files durable; those that nobody else has seen to meanwhile."""
    while names:
        with _unless_gone(staging, names):
            staging.sync(settings.ICON_FSYNC, names)
            return names
        there = set(staging.names())
        names = [name for name in names if name in there]
    return names


@contextmanager
def _unless_gone(staging: Staging, names: Iterable[str]) -> Iterator[None]:
    """Pass over a failure where one of these files is gone: somebody else saw to it."""
    try:
        yield
    except StorageFailed:
        if set(names) <= set(staging.names()):
            raise


def _settle_one(staging: Staging, name: str, member: ArchiveMember) -> DICOMInstance | None:
    """Do with a committed file what the rows say; the instance whose file it became."""
    instance = member.instance
    if instance and member.sha256 == instance.sha256:
        version = Version(instance.pk, instance.path, member.sha256, instance.superseded)
        place(staging, name, version)
        return instance
    if instance and member.sha256 in instance.superseded:
        staging.keep_superseded(name, member.sha256)
    return None


def roll_forward(upload: int, mine: str | None = None) -> None:
    """Publish what dead runs of an upload had committed, and clear their staging folders.

    While a run has the upload, nobody else touches them: it did so itself as it began.

    Parameters
    ----------
    mine
        The run that asks, whose own folder is left alone.
    """
    root = processed_root()
    # First the folders, then who holds the row: a run makes its folder once it has the row, and
    # one that has lost the row never has it again. So where nobody else holds it now, all others
    # that have a folder are over for good.
    runs = staged_runs(root, upload)
    holders = DICOMFile.objects.filter(pk=upload).values_list("run_id", flat=True)
    if holders.first() not in (None, "", mine):
        return
    for run in runs - {mine}:
        if run.startswith(RESTORING) and is_held(root, upload, run):
            continue
        with Staging(root, upload, run) as staging:
            settle(staging, upload)
            staging.remove()


def roll_forward_abandoned() -> None:
    """Do so for every upload that has staging folders."""
    for pk in staged_uploads(processed_root()):
        try:
            roll_forward(pk)
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
    if _are_there(published):
        return
    rows = DICOMInstance.objects.filter(pk__in=published)
    if gone := published.keys() - set(rows.values_list("pk", flat=True)):
        files = (published[pk] for pk in gone)
        delete_later(FileToDelete(path=path, sop_instance_uid=uid) for path, uid in files)
        unlink_pending()


def _are_there(instances: Collection[int]) -> bool:
    """Whether the rows of these instances are; only of new ones is it ever said."""
    if not instances:
        return True
    first, last = min(instances), max(instances)
    if last - first >= len(instances):
        return False
    # Without a gap between them, counting them is enough.
    sql = f"SELECT COUNT(*) FROM {table(DICOMInstance)} WHERE id BETWEEN %s AND %s"
    [(count,)] = ask(sql, (first, last))
    return bool(count == len(instances))


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


@while_heard(DISK_SECONDS)
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
