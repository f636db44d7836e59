"""A batch of extracted members -> rows: patients, studies, series, instances, details, ledger.

Everything here runs inside one transaction of the caller's, with a handful of statements for a
batch, never one for each member.
"""

from collections.abc import Collection, Sequence

from app.models import ArchiveMember, DICOMInstance, DICOMSeries
from app.sandbox.wire import Extracted

from . import counts, links, thumbnails
from .bulk import Columns
from .entries import Branch, Entry, Source, branches_of, by_branch, entries_of, imported_of
from .instances import references_of, settle_former_ids, write_details, write_instances
from .parents import describe, find_parents, mark
from .sql import ask, marks, table

LEDGER_COLUMNS = Columns(  # of an `Entry`
    ArchiveMember,
    {
        "upload": "upload",
        "index": "extracted.index",
        "inner": "extracted.inner",
        "name": "name",
        "size": "extracted.size",
        "sha256": "extracted.sha256",
        "outcome": "outcome",
        "reason": "code",
        "detail": "detail",
        "instance": "instance",
    },
)


class Vanished(Exception):
    """An object was deleted that a member of the batch was a duplicate of."""


def duplicates(batch: Sequence[Extracted]) -> set[str]:
    """The staged names of those whose very bytes are catalogued at this moment."""
    uids = {one.header.instance.sop_instance_uid for one in batch if one.header}
    if not uids:
        return set()
    select = f"SELECT sop_instance_uid, sha256 FROM {table(DICOMInstance)}"
    known = {*ask(f"{select} WHERE sop_instance_uid IN ({marks(uids)})", uids)}
    return {
        one.staged
        for one in batch
        if one.header and (one.header.instance.sop_instance_uid, one.sha256) in known
    }


def write(
    source: Source, batch: Sequence[Extracted], without_bytes: Collection[str] = ()
) -> list[Entry]:
    """Catalogue a batch, in its order; the caller's transaction makes it so.

    Parameters
    ----------
    without_bytes
        Staged names of members whose bytes were let go of, as `duplicates`.

    Raises
    ------
    Vanished
        One of those is no duplicate any more.
    """
    entries = entries_of(source.upload, batch)
    with_header = [entry for entry in entries if entry.header]
    if under_own_id := settle_former_ids(with_header):
        _catalogue(source, under_own_id)
    if without_bytes and any(
        entry.extracted.staged in without_bytes for entry in imported_of(with_header)
    ):
        raise Vanished
    for entry in entries:
        if entry.reason or entry.warnings:
            entry.explain()
    LEDGER_COLUMNS.insert(entries)
    return entries


def asks_identity(entries: Sequence[Entry]) -> bool:
    """Whether a batch brought objects whose patient's ID came with another identity before."""
    return any(branch.identity.is_open for branch in by_branch(imported_of(entries)))


def _catalogue(source: Source, entries: list[Entry]) -> None:
    branches = branches_of(entries)
    started = mark(source.started)
    find_parents(branches, started, source.upload)
    write_instances(source, branches, entries)
    imported = imported_of(entries)
    added = by_branch(imported)
    describe(branches, entries, added, started)
    write_details(imported)
    _link(imported, added)
    counts.add(added)
    if replaced := {entry.branch.series_id for entry in imported if entry.superseded}:
        thumbnails.forget(DICOMSeries.objects.filter(pk__in=replaced))


def _link(imported: Sequence[Entry], branches: Collection[Branch]) -> None:
    """Close what waited for a batch's objects, and link what they refer to."""
    links.settle(
        {branch.patient.pk for branch in branches},
        [entry.instance for entry in imported],
        {branch.series_id for branch in branches},
    )
    links.write(references_of(imported))
