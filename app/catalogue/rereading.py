"""Filed objects that were read again -> their rows, by the rules of an import.

Nothing moves: keys, UIDs, paths and the ledger stay as they are.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeVar

from django.db import transaction
from django.db.models import F, Model
from msgspec import structs

from app.dicom.records import READ_VERSION, Header, Lineage, ROIRecord
from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    ImageInformation,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.sandbox.wire import Extracted

from . import counts, identities, links
from .entries import IMPORTED, Branch, Entry
from .instances import ROI_COLUMNS, NewROI, own_fields, references_of, write_details
from .parents import describe_again, mark
from .transactions import lock_patients

Detail = TypeVar("Detail", ImageInformation, RTStructureSetInformation)

COUNTED = {"rows"}  # attributes of an object that its series counts
LOST = "structures_unreadable"  # the warning of a structure set that is read without its ROIs


class Reread(NamedTuple):
    """A filed object as it was read again."""

    instance: int
    sha256: str  # of the bytes that were read
    started: datetime  # its upload
    header: Header


@transaction.atomic
def write_again(batch: Sequence[Reread], in_order: bool) -> list[int]:
    """Write what was read again; the instances that would lose their ROIs, which stay as they are.

    What was deleted or replaced since, or is about to be, is passed over.

    Parameters
    ----------
    in_order
        As `parents.describe_again` has it.
    """
    pks = [one.instance for one in batch]
    held = lock_patients(_patients(pks))
    rows = _locked(pks)
    there = [one for one in batch if _is_still_there(one, rows)]
    losing = _losing_rois(there)
    kept = [one for one in there if one.instance not in losing]
    counted = {
        rows[one.instance].dicom_series_id
        for one in kept
        if _take_over(rows[one.instance], _own_values(one.header)) & COUNTED
    }
    _describe(kept, rows, in_order)
    _write_details(kept)
    written = DICOMInstance.objects.filter(pk__in=[one.instance for one in kept])
    written.update(read_version=READ_VERSION)
    _link(kept, rows)
    _settle([rows[one.instance] for one in kept])
    series = DICOMSeries.objects.filter(pk__in={rows[one.instance].dicom_series_id for one in kept})
    series.update(changes=F("changes") + 1)
    counts.sum_up(counted, {*series.values_list("dicom_study", flat=True)}, held)
    return sorted(losing)


def _patients(pks: Sequence[int]) -> set[int]:
    rows = DICOMInstance.objects.filter(pk__in=pks)
    return {*rows.values_list("dicom_series__dicom_study__patient", flat=True)}


def _locked(pks: Sequence[int]) -> dict[int, DICOMInstance]:
    """The rows but for those that somebody has locked, to replace or delete them.

    Nobody who holds one waits for another here, so that no circle can form.
    """
    unlocked = DICOMInstance.objects.select_for_update(no_key=True, skip_locked=True)
    return {row.pk: row for row in unlocked.filter(pk__in=pks).order_by("pk")}


def _is_still_there(one: Reread, rows: Mapping[int, DICOMInstance]) -> bool:
    row = rows.get(one.instance)
    return row is not None and row.sha256 == one.sha256


def _losing_rois(batch: Sequence[Reread]) -> set[int]:
    """Those that have ROIs, and are read without them now: a lower limit may be to blame."""
    unread = {
        one.instance
        for one in batch
        if any(warning.code == LOST for warning in one.header.warnings)
    }
    rois = RTStructureROI.objects.filter(rt_structure_set__dicom_instance__in=unread)
    return set(rois.values_list("rt_structure_set__dicom_instance", flat=True)) if unread else set()


def _own_values(header: Header) -> dict[str, object]:
    """What an instance's row takes over: its UID is its place."""
    values: dict[str, object] = structs.asdict(header.instance)
    del values["sop_instance_uid"]
    return values


def _take_over(row: Model, values: Mapping[str, object]) -> set[str]:
    """Save those of the values that the row has otherwise; their names."""
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    if changed:
        row.save(update_fields=changed)
    return {*changed}


# --- patients, studies and series ------------------------------------------------------------


def _describe(batch: Sequence[Reread], rows: Mapping[int, DICOMInstance], in_order: bool) -> None:
    """What hangs over the objects is theirs by their rows, whatever their headers say now."""
    series = DICOMSeries.objects.select_related("dicom_study__patient").in_bulk(
        {rows[one.instance].dicom_series_id for one in batch}
    )
    for started, group in groupby(batch, attrgetter("started")):
        branches: dict[object, Branch] = {}
        below: dict[Branch, list[DICOMInstance]] = {}
        for one in group:
            instance = rows[one.instance]
            row, lineage = series[instance.dicom_series_id], one.header.lineage
            # A series' objects repeat what they hang under.
            key = row.pk, lineage.patient, lineage.study, lineage.series
            if key not in branches:
                branches[key] = _branch(row, lineage)
            below.setdefault(branches[key], []).append(instance)
        upload = next(iter(below.values()))[0].upload_id
        describe_again(list(branches.values()), mark(started), in_order, upload)
        for branch, instances in below.items():
            _identify(branch, instances)


def _identify(branch: Branch, instances: Sequence[DICOMInstance]) -> None:
    """Give objects the identity that they are read with; none where they name another patient."""
    changed = [one for one in instances if one.identity_id != branch.identity_id]
    if not changed or not branch.identity_id:
        return
    former = {one.identity_id for one in changed if one.identity_id}
    uploads = {one.upload_id for one in instances if one.upload_id}
    for one in changed:
        one.identity_id = branch.identity_id
    written = DICOMInstance.objects.filter(pk__in=[one.pk for one in changed])
    written.update(identity=branch.identity)
    if branch.identity.is_open:
        DICOMFile.objects.filter(pk__in=uploads).update(asks_identity=True)
    identities.forget_unused(former, uploads)


def _settle(instances: Sequence[DICOMInstance]) -> None:
    """Of patients that were flagged, it may now be known that nothing is to be asked."""
    patients = Patient.objects.filter(
        studies__series__in={one.dicom_series_id for one in instances}, identity_differs=True
    ).exclude(identities__is_open=True)
    if flagged := set(patients.values_list("pk", flat=True)):
        identities.settle(flagged)


def _branch(series: DICOMSeries, lineage: Lineage) -> Branch:
    study = series.dicom_study
    branch = Branch(lineage, study.patient.folder, path="")
    branch.patient, branch.study, branch.series = study.patient, study, series
    return branch


# --- images and structure sets ---------------------------------------------------------------


def _write_details(batch: Sequence[Reread]) -> None:
    pks = [one.instance for one in batch]
    images = _by_instance(ImageInformation, pks)
    structure_sets = _by_instance(RTStructureSetInformation, pks)
    missing = []
    for one in batch:
        image, structure_set = one.header.image, one.header.structure_set
        image_row, structure_row = images.get(one.instance), structure_sets.get(one.instance)
        if image and image_row:
            _take_over(image_row, structs.asdict(image))
        elif structure_set and structure_row:
            _take_over(structure_row, own_fields(structure_set))
            _take_over_rois(structure_row, structure_set.rois)
        else:
            missing.append(one)
            for other in filter(None, (image_row, structure_row)):
                other.delete()
    write_details([_entry(one) for one in missing])


def _link(batch: Sequence[Reread], rows: Mapping[int, DICOMInstance]) -> None:
    pks = [one.instance for one in batch]
    references = references_of(map(_entry, batch))
    links.forget([pk for pk in pks if pk not in references])
    links.settle(_patients(pks), pks, {rows[pk].dicom_series_id for pk in pks})
    links.write_again(references)


def _by_instance(model: type[Detail], pks: Sequence[int]) -> dict[int, Detail]:
    rows = model._default_manager.defer(None).filter(dicom_instance__in=pks)
    return {row.dicom_instance_id: row for row in rows}


def _take_over_rois(structure_set: RTStructureSetInformation, rois: Sequence[ROIRecord]) -> None:
    """ROIs are known by their place in the file; where there are more or fewer, all are new."""
    rows = list(structure_set.rois.order_by("pk"))
    if len(rows) == len(rois):
        for row, record in zip(rows, rois, strict=True):
            contours = record.roi_contour_data.decode()
            _take_over(row, structs.asdict(record) | {"roi_contour_data": contours})
        return
    structure_set.rois.all().delete()
    ROI_COLUMNS.insert(NewROI(structure_set.pk, roi) for roi in rois)


def _entry(one: Reread) -> Entry:
    """What an import would have made of it."""
    extracted = Extracted(0, 0, "", 0, one.sha256, "", "", header=one.header)
    return Entry(0, None, extracted, one.header, IMPORTED, "", "", (), one.instance)
