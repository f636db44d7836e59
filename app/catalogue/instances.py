"""Instances of a batch, and what ICON keeps of each kind: images, structure sets."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from msgspec import structs

from app.dicom.records import (
    READ_VERSION,
    ImageRecord,
    InstanceRecord,
    Reference,
    ROIRecord,
    StructureSetRecord,
)
from app.folding import folded
from app.models import (
    DICOMInstance,
    FileToDelete,
    ImageInformation,
    Outcome,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.storage.staging import superseded_path

from . import links
from .bulk import Columns, next_keys
from .entries import IMPORTED, Branch, Entry, Source
from .sql import ask, marks, table

InstanceKey = tuple[str, int]  # SOP Instance UID, primary key of the series


class NewROI(NamedTuple):
    structure_set: int
    record: ROIRecord

    @property
    def search_text(self) -> str:
        return folded(self.record.roi_name)


INSTANCE_COLUMNS = Columns(  # of an `Entry`, as the next
    DICOMInstance,
    {
        "id": "instance",
        "dicom_series": "branch.series_id",
        "identity": "branch.identity_id",
        "path": "path",
        "size": "extracted.size",
        "sha256": "extracted.sha256",
        "read_version": "read_version",
        "upload": "upload",
        "created_at": "filed_at",  # its default in the database takes SQLite 0.7 us a row
    },
    InstanceRecord,
    "extracted.header.instance",
)
IMAGE_COLUMNS = Columns(
    ImageInformation, {"dicom_instance": "instance"}, ImageRecord, "extracted.header.image"
)
ROI_COLUMNS = Columns(
    RTStructureROI,
    {"rt_structure_set": "structure_set", "search_text": "search_text"},
    ROIRecord,
    "record",
    is_long=True,
)

_uid = attrgetter("header.instance.sop_instance_uid")


@dataclass(frozen=True, slots=True)
class Catalogued:
    """What the catalogue holds of an instance."""

    pk: int
    sha256: str
    superseded: list[str]
    upload: int | None
    identity: int | None


def settle_former_ids(entries: list[Entry]) -> list[Entry]:
    """Settle what is catalogued under an earlier reading of its Patient ID; the other entries.

    These very bytes are already here, though the bytes of the ID are read otherwise today: no
    patient doubles because ICON reads better than it did.
    """
    read_anew = [entry for entry in entries if entry.header.lineage.former_ids]
    if not read_anew:
        return entries
    known = {
        (*uids, sha256, patient): pk
        for *uids, sha256, patient, pk in DICOMInstance.objects.filter(
            sop_instance_uid__in={entry.header.instance.sop_instance_uid for entry in read_anew}
        ).values_list(
            "dicom_series__dicom_study__study_instance_uid",
            "dicom_series__series_instance_uid",
            "sop_instance_uid",
            "sha256",
            "dicom_series__dicom_study__patient__unique_patient_id",
            "pk",
        )
    }
    for entry in read_anew:
        header = entry.header
        uids = (
            header.study.study_instance_uid,
            header.series.series_instance_uid,
            header.instance.sop_instance_uid,
        )
        for former in header.lineage.former_ids:
            if pk := known.get((*uids, entry.extracted.sha256, former)):
                entry.instance = pk
                entry.outcome, entry.reason = Outcome.DUPLICATE.value, "same_bytes"
    return [entry for entry in entries if not entry.outcome]


def write_instances(source: Source, branches: Iterable[Branch], entries: Sequence[Entry]) -> None:
    """Decide each entry's outcome; of two copies in one batch the first is imported."""
    series = [entry.branch.series_id for entry in entries]
    keys: list[InstanceKey] = [*zip(map(_uid, entries), series, strict=True)]
    new_series = {branch.series_id for branch in branches if branch.is_new}
    known = _catalogued({key for key in keys if key[1] not in new_series})
    first: dict[InstanceKey, Entry] = {}
    for key, entry in zip(keys, entries, strict=True):
        if key not in known:
            first.setdefault(key, entry)
    _insert(first)
    for key, entry in zip(keys, entries, strict=True):
        if first.get(key) is entry:
            entry.outcome = IMPORTED
        else:
            known[key] = _compare(source, entry, known.get(key) or _as_catalogued(first[key]))


def write_details(entries: list[Entry]) -> None:
    """What is kept of images and structure sets, beyond their instances."""
    images = [entry for entry in entries if entry.header.image]
    if images:
        IMAGE_COLUMNS.insert(images)
    _write_structure_sets(entries)


def references_of(entries: Iterable[Entry]) -> dict[int, Sequence[Reference]]:
    """What a batch's structure sets refer to, by the primary keys of their instances."""
    return {
        entry.instance: structure_set.references
        for entry in entries
        if (structure_set := entry.header.structure_set)
    }


def own_fields(structure_set: StructureSetRecord) -> dict[str, object]:
    """A structure set's own fields: all but its ROIs and references."""
    others = ("rois", "references")
    names = (name for name in structure_set.__struct_fields__ if name not in others)
    return {name: getattr(structure_set, name) for name in names}


def _catalogued(keys: Collection[InstanceKey]) -> dict[InstanceKey, Catalogued]:
    if not keys:
        return {}
    columns = "sop_instance_uid, dicom_series_id, id, sha256, superseded, upload_id, identity_id"
    select = f"SELECT {columns} FROM {table(DICOMInstance)}"
    uids = {uid for uid, _ in keys}
    rows = ask(f"{select} WHERE sop_instance_uid IN ({marks(uids)})", uids)
    return {
        (uid, series): Catalogued(pk, sha256, json.loads(superseded), upload, identity)
        for uid, series, pk, sha256, superseded, upload, identity in rows
        if (uid, series) in keys
    }


def _insert(entries: Mapping[InstanceKey, Entry]) -> None:
    """Make the new instances, and give their entries the primary keys.

    The keys were looked up in this transaction. Where another upload wrote one of them since,
    which only PostgreSQL allows, this raises IntegrityError, and the caller's next try finds it.
    """
    if not entries:
        return
    new = [entries[key] for key in sorted(entries)]
    for entry, pk in zip(new, next_keys(DICOMInstance, len(new)), strict=True):
        entry.instance = pk
    _take_back_deletions(entry.path for entry in new)
    INSTANCE_COLUMNS.insert(new)


def _take_back_deletions(paths: Iterable[str]) -> None:
    """What is catalogued again is not to be deleted any more; see `filing`."""
    if ask(f"SELECT 1 FROM {table(FileToDelete)} LIMIT 1"):
        FileToDelete.objects.filter(path__in=[*paths]).delete()


def _as_catalogued(entry: Entry) -> Catalogued:
    """What the catalogue holds of an instance that this batch has made."""
    identity = entry.branch.identity_id
    return Catalogued(entry.instance, entry.extracted.sha256, [], entry.upload, identity)


def _compare(source: Source, entry: Entry, row: Catalogued) -> Catalogued:
    """Settle an entry against what is catalogued; what is catalogued then."""
    entry.instance = row.pk
    if row.sha256 == entry.extracted.sha256:
        entry.outcome, entry.reason = Outcome.DUPLICATE.value, "same_bytes"
    # Of two copies in one archive the first stays, unless somebody asked for these versions.
    elif (source.use or (source.replace and row.upload != source.upload)) and _replace(
        source, entry, row
    ):
        entry.outcome = IMPORTED
        superseded = [*row.superseded, row.sha256]
        entry.superseded = superseded
        entry.replaced_identity, entry.replaced_upload = row.identity, row.upload
        return Catalogued(
            *(row.pk, entry.extracted.sha256, superseded),
            *(source.upload, entry.branch.identity_id),
        )
    else:
        entry.outcome, entry.reason = Outcome.CONFLICT.value, "other_bytes"
    return row


def _replace(source: Source, entry: Entry, row: Catalogued) -> bool:
    """Let an entry take the place of the catalogued version; False where that has changed."""
    replaced = DICOMInstance.objects.filter(pk=row.pk, sha256=row.sha256).update(
        **structs.asdict(entry.header.instance),
        size=entry.extracted.size,
        sha256=entry.extracted.sha256,
        superseded=[*row.superseded, row.sha256],
        read_version=READ_VERSION,
        identity_id=entry.branch.identity_id,
        upload_id=source.upload,
    )
    if replaced:
        _take_back_deletions([superseded_path(row.sha256)])
        ImageInformation.objects.filter(dicom_instance=row.pk).delete()
        RTStructureSetInformation.objects.filter(dicom_instance=row.pk).delete()
        links.forget([row.pk])
    return bool(replaced)


def _write_structure_sets(entries: list[Entry]) -> None:
    found = [
        (entry.instance, structure_set)
        for entry in entries
        if (structure_set := entry.header.structure_set)
    ]
    if not found:
        return
    made = RTStructureSetInformation.objects.bulk_create(
        RTStructureSetInformation(dicom_instance_id=instance, **own_fields(structure_set))
        for instance, structure_set in found
    )
    ROI_COLUMNS.insert(
        NewROI(row.pk, roi)  # one at a time, since each may hold megabytes
        for (_, structure_set), row in zip(found, made, strict=True)
        for roi in structure_set.rois
    )
