"""Patients, studies and series of a batch: found or made, and what they are known by."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError
from django.db.models import Model

from app.dicom.attributes import PATIENT, SERIES, STUDY
from app.dicom.records import READ_VERSION, PatientRecord, ReadWarning
from app.models import DICOMSeries, DICOMStudy, Patient, PatientIdentity

from . import identities, sql
from .bulk import create
from .entries import Branch, Entry
from .identities import IDENTITY
from .transactions import is_only_writer, lock_patients

# What a record and its row have in common: a new attribute is copied unasked.
STUDY_DESCRIPTION = [name for name in STUDY if name != "study_instance_uid"]
SERIES_DESCRIPTION = [name for name in SERIES if name != "series_instance_uid"]

Row = TypeVar("Row", bound=Model)
Key = tuple[Any, ...]


def mark(started: datetime) -> str:
    """When an upload was started, and by which reading its headers are known; marks sort so."""
    return f"{started.isoformat()} {READ_VERSION:03}"


def find_parents(branches: list[Branch], started: str, upload: int) -> None:
    """Give each branch its rows, made where they are missing."""
    patients = _find_patients(branches)
    _find_identities(branches, upload, patients)
    studies = _find_studies(branches, started, patients)
    _find_series(branches, started, studies)


def describe(
    branches: list[Branch],
    entries: Sequence[Entry],
    imported: Mapping[Branch, Sequence[Entry]],
    started: str,
) -> None:
    """Write what a batch's headers say of its patients, studies and series.

    Parameters
    ----------
    entries
        All of the batch; those that differ from their patient are warned.
    imported
        Those that were, by their branches.
    started
        The upload's `mark`.
    """
    _identify(branches, entries, imported)
    _describe(imported, started)
    _warn_of_shared_studies(imported)


def describe_again(
    branches: Sequence[Branch], started: str, in_order: bool, upload: int | None
) -> None:
    """Write what headers that were read again say of the rows over them.

    Where they name another patient, study or series now, they have no say in it.

    Parameters
    ----------
    started
        The `mark` of the upload that they came with.
    in_order
        Whether all that an older version read is read again, in the order in which it came. Else
        nobody knows whose name comes first where one ID has two.
    """
    _identify_again([branch for branch in branches if _is_patient(branch)], in_order, upload)
    _describe([branch for branch in branches if _is_series(branch)], started)


def _find_patients(branches: list[Branch]) -> set[int]:
    """Those that were made, and have nothing below them for certain."""

    def make(branch: Branch) -> Patient:
        record = branch.lineage.patient
        row = Patient(folder=branch.folder, unique_patient_id=record.unique_patient_id)
        _fill_identity(row, record)
        return row

    keys: dict[Branch, Key] = {branch: (branch.folder,) for branch in branches}
    found, new = _ensure(Patient, keys, make, "folder")
    if not is_only_writer():
        found = _held(found)
    for branch, key in keys.items():
        branch.patient = found[key]
    return _bare(found, new)


def _held(patients: Mapping[Key, Patient]) -> dict[Key, Patient]:
    there = lock_patients([patient.pk for patient in patients.values()])
    if len(there) < len(patients):
        raise IntegrityError("A patient was deleted since it was looked up")
    return {key: there[patient.pk] for key, patient in patients.items()}


def _find_identities(
    branches: Sequence[Branch], upload: int | None, bare: Collection[int] = ()
) -> None:
    def make(branch: Branch) -> PatientIdentity:
        patient, digest = keys[branch]
        return PatientIdentity(
            patient_id=patient,
            digest=digest,
            first_upload_id=upload,
            **{name: getattr(branch.lineage.patient, name) for name in IDENTITY},
        )

    keys: dict[Branch, Key] = {
        branch: (branch.patient.pk, identities.digest(branch.lineage.patient))
        for branch in branches
    }
    found, new = _ensure(PatientIdentity, keys, make, "patient_id", "digest", bare=bare)
    for branch, key in keys.items():
        branch.identity, branch.has_new_identity = found[key], key in new
        branch.identity_id = branch.identity.pk


def _find_studies(branches: list[Branch], started: str, bare: Collection[int]) -> set[int]:
    def make(branch: Branch) -> DICOMStudy:
        patient, uid = keys[branch]
        row = DICOMStudy(patient_id=patient, study_instance_uid=uid)
        _fill_description(row, branch.lineage.study, STUDY_DESCRIPTION, started)
        return row

    keys: dict[Branch, Key] = {
        branch: (branch.patient.pk, branch.lineage.study.study_instance_uid) for branch in branches
    }
    found, new = _ensure(DICOMStudy, keys, make, "patient_id", "study_instance_uid", bare=bare)
    for branch, key in keys.items():
        branch.study = found[key]
    return _bare(found, new)


def _find_series(branches: list[Branch], started: str, bare: Collection[int]) -> None:
    def make(branch: Branch) -> DICOMSeries:
        study, uid = keys[branch]
        row = DICOMSeries(dicom_study_id=study, series_instance_uid=uid)
        _fill_description(row, branch.lineage.series, SERIES_DESCRIPTION, started)
        return row

    keys: dict[Branch, Key] = {
        branch: (branch.study.pk, branch.lineage.series.series_instance_uid) for branch in branches
    }
    found, new = _ensure(
        DICOMSeries, keys, make, "dicom_study_id", "series_instance_uid", bare=bare
    )
    for branch, key in keys.items():
        branch.series, branch.is_new = found[key], key in new
        branch.series_id = branch.series.pk


def _ensure(
    model: type[Row],
    keys: Mapping[Branch, Key],
    make: Callable[[Branch], Row],
    *fields: str,
    bare: Collection[int] = (),
) -> tuple[dict[Key, Row], set[Key]]:
    """The rows with these keys, made where they are missing, and the keys that were.

    Parameters
    ----------
    make
        A row of a key's first branch.
    bare
        Parents, named by the first part of a key, that have no such row for certain.
    """
    first: dict[Key, Branch] = {}
    for branch, key in keys.items():
        first.setdefault(key, branch)
    found = _find(model, [key for key in first if key[0] not in bare], fields)
    # In key order, so that uploads which share parents cannot wait for each other in a circle.
    missing = sorted(first.keys() - found.keys())
    rows = [make(first[key]) for key in missing]
    if missing and is_only_writer():
        create(rows)
        found |= zip(missing, rows, strict=True)
    elif missing:
        model._default_manager.bulk_create(rows, ignore_conflicts=True)
        found |= _find(model, missing, fields)
    return found, set(missing)


def _bare(found: Mapping[Key, Model], new: Collection[Key]) -> set[int]:
    return {found[key].pk for key in new} if is_only_writer() else set()


def _find(model: type[Row], keys: Collection[Key], fields: Sequence[str]) -> dict[Key, Row]:
    if not keys:
        return {}
    values = {name: {key[at] for key in keys} for at, name in enumerate(fields)}
    rows = sql.find(model, values)
    found = {tuple(getattr(row, name) for name in fields): row for row in rows}
    return {key: found[key] for key in keys if key in found}


# --- what a patient is known by --------------------------------------------------------------


def _identify(
    branches: list[Branch],
    entries: Sequence[Entry],
    imported: Mapping[Branch, Sequence[Entry]],
) -> None:
    """Give patients what they are known by, and ask where a batch's objects differ from it."""
    used = {branch.identity_id for branch in imported}
    _keep_identities(branches, used)
    _fill_patients(branches, _fill_identity)
    warnings = _judge(branches, used)
    for entry in entries if any(warnings.values()) else ():
        entry.warnings = [*entry.warnings, *warnings[entry.branch]]
    replacing = [entry for some in imported.values() for entry in some if entry.superseded]
    replaced = {entry.replaced_identity for entry in replacing} - {None} - used
    if replaced:
        uploads = {entry.replaced_upload for entry in replacing}
        identities.forget_unused([pk for pk in replaced if pk], uploads)


def _keep_identities(branches: Iterable[Branch], used: set[int]) -> None:
    """Hold on to those that the batch's objects have, and let go of those made for no object."""
    if not is_only_writer():
        there = identities.lock(used)
        if len(there) < len(used):
            raise IntegrityError("An identity was deleted since it was looked up")
        for branch in branches:
            branch.identity = there.get(branch.identity_id, branch.identity)
    made = {branch.identity_id for branch in branches if branch.has_new_identity}
    if for_nothing := made - used:
        identities.without_objects(PatientIdentity.objects.filter(pk__in=for_nothing)).delete()


def _judge(branches: Sequence[Branch], used: Collection[int]) -> dict[Branch, list[ReadWarning]]:
    """Open the identities that are new and differ; the warnings of each branch."""
    differing = [branch for branch in branches if _is_to_be_judged(branch)]
    patients = {branch.patient.pk for branch in differing}
    settled = identities.settled_of(patients) if differing else {}
    made = {branch.identity_id for branch in branches if branch.has_new_identity}
    warnings: dict[Branch, list[ReadWarning]] = {branch: [] for branch in branches}
    for branch in differing:
        known = [one for one in settled[branch.patient.pk] if one.pk not in made]
        names = identities.unheard(branch.patient, branch.lineage.patient, known)
        warnings[branch] = [
            ReadWarning("patient_differs", {"attribute": PATIENT[name].keyword}) for name in names
        ]
        branch.identity.is_open |= bool(names) and branch.has_new_identity
    asked = [one for one in branches if one.identity.is_open and one.identity_id in used]
    renamed = {
        one.patient.pk
        for one in branches
        if one.has_new_identity
        and one.identity_id in used
        and one.identity.patient_name != one.patient.patient_name
    }
    if renamed:
        identities.find_by_new_names(renamed)
    if asked:
        identities.ask(
            {branch.identity_id for branch in asked}, {branch.patient.pk for branch in asked}
        )
    return warnings


def _is_to_be_judged(branch: Branch) -> bool:
    """Whether its values differ, and nobody has said what to think of that."""
    if not (branch.has_new_identity or branch.identity.is_open):
        return False
    return bool(identities.differences(branch.patient, branch.lineage.patient))


def _fill_patients(
    branches: Sequence[Branch], fill: Callable[[Patient, PatientRecord], bool]
) -> None:
    changed = _merge([(branch.patient, branch.lineage.patient) for branch in branches], fill)
    for branch in branches:
        branch.patient = changed.get(branch.patient.pk, branch.patient)


def _fill_identity(row: Patient, record: PatientRecord) -> bool:
    """The first value that is not empty stays; what differs from it gives nothing."""
    given = identities.fill(row, record)
    row.read_versions |= dict.fromkeys(given, READ_VERSION)
    return bool(given)


def _is_patient(branch: Branch) -> bool:
    """Whether the patient's ID is what its bytes are read as, or may have been read as earlier."""
    read = branch.lineage.patient.unique_patient_id, *branch.lineage.former_ids
    return branch.patient.unique_patient_id in read


def _is_series(branch: Branch) -> bool:
    study, series = branch.lineage.study, branch.lineage.series
    return (branch.study.study_instance_uid, branch.series.series_instance_uid) == (
        study.study_instance_uid,
        series.series_instance_uid,
    )


def _identify_again(branches: Sequence[Branch], in_order: bool, upload: int | None) -> None:
    if not branches:
        return
    _fill_patients(branches, lambda row, record: _fill_identity_again(row, record, in_order))
    _find_identities(branches, upload)
    used = {branch.identity_id for branch in branches}
    _keep_identities(branches, used)
    _judge(branches, used)


def _fill_identity_again(row: Patient, record: PatientRecord, in_order: bool) -> bool:
    """The first value stays; but what an older version read makes way for the first of this one."""
    read = [name for name in IDENTITY if row.read_versions.get(name, 0) == READ_VERSION]
    changed = False
    # Nothing of what differs from what this version has read: it may be another person's.
    if (in_order or not row.identity_differs) and not {*read} & {
        *identities.differences(row, record)
    }:
        for name in IDENTITY:
            if name not in read and (value := getattr(record, name)):
                setattr(row, name, value)
                row.read_versions[name] = READ_VERSION
                changed = True
    return _fill_identity(row, record) or changed


# --- what studies and series are described by ------------------------------------------------


def _describe(branches: Iterable[Branch], started: str) -> None:
    """Descriptive attributes take the newest value: of the upload that was started last."""
    _merge(
        [(branch.study, branch.lineage.study) for branch in branches],
        lambda row, record: _fill_description(row, record, STUDY_DESCRIPTION, started),
    )
    _merge(
        [(branch.series, branch.lineage.series) for branch in branches],
        lambda row, record: _fill_description(row, record, SERIES_DESCRIPTION, started),
    )


def _fill_description(
    row: DICOMStudy | DICOMSeries, record: Any, names: Sequence[str], started: str
) -> bool:
    changed = False
    for name in names:
        value = getattr(record, name)
        # Within an upload the first stays: members come in directory order.
        if value not in ("", None) and row.described.get(name, "") < started:
            setattr(row, name, value)
            row.described[name] = started
            changed = True
    return changed


def _merge(pairs: list[tuple[Row, Any]], fill: Callable[[Row, Any], bool]) -> dict[int, Row]:
    """Fill rows from records in order; those that change are locked, filled anew and saved."""
    changed = {row.pk: type(row) for row, record in pairs if fill(row, record)}
    if not changed:
        return {}
    model = next(iter(changed.values()))
    in_order = model._default_manager.select_for_update(no_key=True).order_by("pk")
    locked = in_order.in_bulk(changed)
    for row, record in pairs:
        if row.pk in locked:
            fill(locked[row.pk], record)
    for pk in sorted(locked):
        locked[pk].save()
    return locked


def _warn_of_shared_studies(imported: Mapping[Branch, Iterable[Entry]]) -> None:
    if not imported:
        return
    uids = {branch.study.study_instance_uid for branch in imported}
    patients: dict[str, set[int]] = {}
    for uid, patient in _patients_of_studies(uids):
        patients.setdefault(uid, set()).add(patient)
    shared = {uid for uid, owners in patients.items() if len(owners) > 1}
    if not shared:
        return
    DICOMStudy.objects.filter(study_instance_uid__in=shared, uid_shared=False).update(
        uid_shared=True
    )
    for branch, entries in imported.items():
        for entry in entries if branch.study.study_instance_uid in shared else ():
            entry.warnings = [*entry.warnings, ReadWarning("study_shared")]


def _patients_of_studies(uids: Collection[str]) -> Iterable[tuple[str, int]]:
    select = f"SELECT study_instance_uid, patient_id FROM {sql.table(DICOMStudy)}"
    return sql.ask(f"{select} WHERE study_instance_uid IN ({sql.marks(uids)})", uids)
