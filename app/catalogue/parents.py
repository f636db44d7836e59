"""Patients, studies and series of a batch: found or made, and what they are known by."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from unicodedata import normalize

from django.db.models import Model

from app.dicom.attributes import PATIENT, SERIES, STUDY
from app.dicom.records import READ_VERSION, PatientRecord, ReadWarning
from app.models import DICOMSeries, DICOMStudy, Patient

from .entries import Branch, Entry

# What a record and its row have in common: a new attribute is copied unasked.
IDENTITY = [name for name in PATIENT if name != "unique_patient_id"]
STUDY_DESCRIPTION = [name for name in STUDY if name != "study_instance_uid"]
SERIES_DESCRIPTION = [name for name in SERIES if name != "series_instance_uid"]

Row = TypeVar("Row", bound=Model)
Key = tuple[Any, ...]


def mark(started: datetime) -> str:
    """When an upload was started, and by which reading its headers are known; marks sort so."""
    return f"{started.isoformat()} {READ_VERSION:03}"


def find_parents(branches: list[Branch], started: str) -> None:
    """Give each branch its rows, made where they are missing."""
    _find_patients(branches)
    _find_studies(branches, started)
    _find_series(branches, started)


def describe(branches: list[Branch], entries: list[Entry], started: str) -> None:
    """Write what a batch's headers say of its patients, studies and series.

    Parameters
    ----------
    entries
        All of the batch; those that differ from their patient are warned.
    started
        The upload's `mark`.
    """
    _identify(branches, entries)
    imported = [entry for entry in entries if entry.is_imported]
    _describe({entry.branch: None for entry in imported}, started)
    _warn_of_shared_studies(imported)


def describe_again(branches: Sequence[Branch], started: str, in_order: bool) -> None:
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
    _merge(
        [(branch.patient, branch.lineage.patient) for branch in branches if _is_patient(branch)],
        lambda row, record: _identify_again(row, record, in_order),
    )
    _describe([branch for branch in branches if _is_series(branch)], started)


def _find_patients(branches: list[Branch]) -> None:
    wanted: dict[Key, Patient] = {}
    for branch in branches:
        record = branch.lineage.patient
        row = Patient(folder=branch.folder, unique_patient_id=record.unique_patient_id)
        _fill_identity(row, record)
        wanted.setdefault((branch.folder,), row)
    found, _ = _ensure(wanted, "folder")
    for branch in branches:
        branch.patient = found[(branch.folder,)]


def _find_studies(branches: list[Branch], started: str) -> None:
    wanted: dict[Key, DICOMStudy] = {}
    for branch in branches:
        patient, record = branch.patient.pk, branch.lineage.study
        row = DICOMStudy(patient_id=patient, study_instance_uid=record.study_instance_uid)
        _fill_description(row, record, STUDY_DESCRIPTION, started)
        wanted.setdefault((patient, record.study_instance_uid), row)
    found, _ = _ensure(wanted, "patient_id", "study_instance_uid")
    for branch in branches:
        branch.study = found[branch.patient.pk, branch.lineage.study.study_instance_uid]


def _find_series(branches: list[Branch], started: str) -> None:
    wanted: dict[Key, DICOMSeries] = {}
    for branch in branches:
        study, record = branch.study.pk, branch.lineage.series
        row = DICOMSeries(dicom_study_id=study, series_instance_uid=record.series_instance_uid)
        _fill_description(row, record, SERIES_DESCRIPTION, started)
        wanted.setdefault((study, record.series_instance_uid), row)
    found, new = _ensure(wanted, "dicom_study_id", "series_instance_uid")
    for branch in branches:
        key = branch.study.pk, branch.lineage.series.series_instance_uid
        branch.series, branch.is_new = found[key], key in new
        branch.series_id = branch.series.pk


def _ensure(wanted: Mapping[Key, Row], *fields: str) -> tuple[dict[Key, Row], set[Key]]:
    """The rows with these keys, made where they are missing, and the keys that were."""
    model = type(next(iter(wanted.values())))
    found = _find(model, wanted.keys(), fields)
    # In key order, so that uploads which share parents cannot wait for each other in a circle.
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        model._default_manager.bulk_create([wanted[key] for key in missing], ignore_conflicts=True)
        found |= _find(model, missing, fields)
    return found, set(missing)


def _find(model: type[Row], keys: Collection[Key], fields: Sequence[str]) -> dict[Key, Row]:
    values = {f"{name}__in": {key[at] for key in keys} for at, name in enumerate(fields)}
    rows = model._default_manager.filter(**values)
    found = {tuple(getattr(row, name) for name in fields): row for row in rows}
    return {key: found[key] for key in keys if key in found}


# --- what a patient is known by --------------------------------------------------------------


def _identify(branches: list[Branch], entries: list[Entry]) -> None:
    """Give patients their name, birth date and sex, and warn where an upload differs."""
    _merge([(branch.patient, branch.lineage.patient) for branch in branches], _fill_identity)
    warnings = {branch: _identity_warnings(branch) for branch in branches}
    flagged = {branch.patient.pk for branch, found in warnings.items() if found}
    if flagged:
        Patient.objects.filter(pk__in=flagged, identity_differs=False).update(identity_differs=True)
        for entry in entries:
            entry.warnings += warnings[entry.branch]


def _identity_warnings(branch: Branch) -> list[ReadWarning]:
    return [
        ReadWarning("patient_differs", {"attribute": PATIENT[name].keyword})
        for name in _differences(branch.patient, branch.lineage.patient)
    ]


def _fill_identity(row: Patient, record: PatientRecord) -> bool:
    """The first value that is not empty stays."""
    changed = False
    for name in IDENTITY:
        value = getattr(record, name)
        if value and not getattr(row, name):
            setattr(row, name, value)
            row.read_versions[name] = READ_VERSION
            changed = True
    return changed


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


def _identify_again(row: Patient, record: PatientRecord, in_order: bool) -> bool:
    """The first value stays; but what an older version read makes way for the first of this one."""
    changed = False
    for name in IDENTITY if in_order or not row.identity_differs else ():
        value = getattr(record, name)
        if value and row.read_versions.get(name, 0) < READ_VERSION:
            setattr(row, name, value)
            row.read_versions[name] = READ_VERSION
            changed = True
    changed |= _fill_identity(row, record)
    if not row.identity_differs and _differences(row, record):
        row.identity_differs = changed = True
    return changed


def _differences(row: Patient, record: PatientRecord) -> list[str]:
    return [name for name in IDENTITY if _differ(getattr(row, name), getattr(record, name))]


def _differ(ours: str | date | None, theirs: str | date | None) -> bool:
    if not theirs:
        return False
    if isinstance(ours, str) and isinstance(theirs, str):
        return any(
            one != other
            for one, other in zip(_groups(ours), _groups(theirs), strict=False)
            if one and other
        )
    return ours != theirs


def _groups(value: str) -> list[str]:
    """A name's alphabetic, ideographic and phonetic group, PS3.5 6.2.1; of other texts the one.

    Writing a name in capitals, its letters composed or decomposed, or its empty last components,
    makes no other person; nor does a group that only one of two names has.
    """
    text = normalize("NFC", value).casefold()
    return [group.rstrip("^ ") for group in text.split("=")]


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


def _merge(pairs: list[tuple[Row, Any]], fill: Callable[[Row, Any], bool]) -> None:
    """Fill rows from records in order; those that change are locked, filled anew and saved."""
    changed = {row.pk: type(row) for row, record in pairs if fill(row, record)}
    if not changed:
        return
    model = next(iter(changed.values()))
    in_order = model._default_manager.select_for_update(no_key=True).order_by("pk")
    locked = in_order.in_bulk(changed)
    for row, record in pairs:
        if row.pk in locked:
            fill(locked[row.pk], record)
    for pk in sorted(locked):
        locked[pk].save()


def _warn_of_shared_studies(entries: list[Entry]) -> None:
    uids = {entry.branch.study.study_instance_uid for entry in entries}
    patients: dict[str, set[int]] = {}
    for uid, patient in DICOMStudy.objects.filter(study_instance_uid__in=uids).values_list(
        "study_instance_uid", "patient_id"
    ):
        patients.setdefault(uid, set()).add(patient)
    shared = {uid for uid, owners in patients.items() if len(owners) > 1}
    if not shared:
        return
    DICOMStudy.objects.filter(study_instance_uid__in=shared, uid_shared=False).update(
        uid_shared=True
    )
    for entry in entries:
        if entry.branch.study.study_instance_uid in shared:
            entry.warnings.append(ReadWarning("study_shared"))
