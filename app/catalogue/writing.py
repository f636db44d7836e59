"""A batch of extracted members -> rows: patients, studies, series, instances, details, ledger.

Everything here runs inside one transaction of the caller's, with a handful of statements for a
batch, never one for each member.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeVar

from django.db import connection, models
from django.utils import timezone
from msgspec import json, structs

from app.dicom.records import (
    Header,
    ImageRecord,
    InstanceRecord,
    Lineage,
    PatientRecord,
    ReadWarning,
    ROIRecord,
    SeriesRecord,
    StructureSetRecord,
    StudyRecord,
)
from app.models import (
    ArchiveMember,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    ImageInformation,
    Outcome,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.reasons import sentence
from app.sandbox.wire import Extracted
from app.storage.paths import instance_path, patient_folder
from app.storage.staging import superseded_path

# What a record and its row have in common: a new attribute is copied unasked.
IDENTITY = PatientRecord.__struct_fields__[1:]
STUDY = StudyRecord.__struct_fields__[1:]
SERIES = SeriesRecord.__struct_fields__[1:]
INSTANCE = InstanceRecord.__struct_fields__
IMAGE = ImageRecord.__struct_fields__
STRUCTURE_SET = StructureSetRecord.__struct_fields__[:-1]
ROI = ROIRecord.__struct_fields__
KEYWORDS = {
    "patient_name": "PatientName",
    "patient_dob": "PatientBirthDate",
    "patient_sex": "PatientSex",
}
LEDGER = ("upload", "index", "inner", "name", "size", "sha256", "outcome", "reason", "detail",
          "instance")  # fmt: skip
to_json = json.Encoder().encode
DETAIL_LENGTH = 1_000
NAME_LENGTH = 1_024

Row = TypeVar("Row", bound=models.Model)
Key = tuple[Any, ...]
InstanceKey = tuple[Any, ...]  # SOP Instance UID, primary key of the series
Names = Sequence[str]
Rows = Iterable[Sequence[Any]]


@dataclass(slots=True, eq=False)
class Branch:
    """What members of a batch hang under: their lineage, and its rows."""

    lineage: Lineage
    folder: str  # the patient's, which is the patient's key
    patient: Patient = field(init=False)
    study: DICOMStudy = field(init=False)
    series: DICOMSeries = field(init=False)
    is_new: bool = False  # the series was not there before this batch


@dataclass(slots=True, eq=False)
class Entry:
    """One member on its way into the catalogue, and what became of it."""

    extracted: Extracted
    outcome: str
    reason: str
    facts: dict[str, str | int]
    warnings: list[ReadWarning] = field(default_factory=list)
    instance_id: int = 0  # 0 where it became none
    branch: Branch = field(init=False)
    path: str = ""  # where its lineage files it
    superseded: list[str] = field(default_factory=list)

    @property
    def header(self) -> Header:
        assert self.extracted.header
        return self.extracted.header

    @property
    def detail(self) -> str:
        if not (self.reason or self.warnings):
            return ""
        told = [(self.reason, self.facts)] if self.reason else []
        told += [(warning.code, warning.facts) for warning in self.warnings]
        return " ".join(sentence(code, **facts) for code, facts in told)[:DETAIL_LENGTH]


@dataclass(frozen=True, slots=True)
class Source:
    """The upload that a batch comes from."""

    upload: int
    started: datetime
    replace: bool  # other bytes of a catalogued object take its place
    use: bool = False  # so do other bytes of what this very upload brought


@dataclass(frozen=True, slots=True)
class Catalogued:
    """What the catalogue holds of an instance."""

    pk: int
    sha256: str
    superseded: list[str]
    upload: int | None


class Vanished(Exception):
    """An object was deleted that a member of the batch was a duplicate of."""


def duplicates(batch: Sequence[Extracted]) -> set[str]:
    """The staged names of those whose very bytes are catalogued at this moment."""
    uids = {one.header.instance.sop_instance_uid for one in batch if one.header}
    rows = DICOMInstance.objects.filter(sop_instance_uid__in=uids)
    known = set(rows.values_list("sop_instance_uid", "sha256"))
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
    entries = [_entry(extracted) for extracted in batch]
    headed = [entry for entry in entries if entry.extracted.header]
    if headed:
        _catalogue(source, headed)
    if any(e.outcome == Outcome.IMPORTED and e.extracted.staged in without_bytes for e in headed):
        raise Vanished
    _write_ledger(source.upload, entries)
    return entries


def _entry(extracted: Extracted) -> Entry:
    warnings = list(extracted.header.warnings) if extracted.header else []
    return Entry(extracted, extracted.outcome, extracted.reason, extracted.facts, warnings)


def _catalogue(source: Source, entries: list[Entry]) -> None:
    branches = _branches(entries)
    started = source.started.isoformat()
    _find_patients(branches)
    _find_studies(branches, started)
    _find_series(branches, started)
    _write_instances(source, entries)
    imported = [entry for entry in entries if entry.outcome == Outcome.IMPORTED]
    _identify(branches, entries)
    _describe({entry.branch: None for entry in imported}, started)
    _warn_of_shared_studies(imported)
    _write_images(imported)
    _write_structure_sets(imported)


# --- patients, studies, series ---------------------------------------------------------------


def _branches(entries: list[Entry]) -> list[Branch]:
    """The branches of a batch, in the order of their first members.

    What an extractor sends of one series in a row shares its lineage, which is looked at once.
    """
    branches: dict[int, Branch] = {}
    for entry in entries:
        lineage = entry.header.lineage
        branch = branches.get(id(lineage))
        if branch is None:
            folder = patient_folder(
                lineage.patient.unique_patient_id, lineage.study.study_instance_uid
            )
            branch = branches[id(lineage)] = Branch(lineage, folder)
        entry.branch = branch
        entry.path = _path(entry)
    return list(branches.values())


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
        _fill_description(row, record, STUDY, started)
        wanted.setdefault((patient, record.study_instance_uid), row)
    found, _ = _ensure(wanted, "patient_id", "study_instance_uid")
    for branch in branches:
        branch.study = found[branch.patient.pk, branch.lineage.study.study_instance_uid]


def _find_series(branches: list[Branch], started: str) -> None:
    wanted: dict[Key, DICOMSeries] = {}
    for branch in branches:
        study, record = branch.study.pk, branch.lineage.series
        row = DICOMSeries(dicom_study_id=study, series_instance_uid=record.series_instance_uid)
        _fill_description(row, record, SERIES, started)
        wanted.setdefault((study, record.series_instance_uid), row)
    found, new = _ensure(wanted, "dicom_study_id", "series_instance_uid")
    for branch in branches:
        key = branch.study.pk, branch.lineage.series.series_instance_uid
        branch.series, branch.is_new = found[key], key in new


def _ensure(wanted: dict[Key, Row], *fields: str) -> tuple[dict[Key, Row], set[Key]]:
    """The rows with these keys, made where they are missing, and the keys that were."""
    model = type(next(iter(wanted.values())))
    found = _find(model, wanted, fields)
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


def _identify(branches: list[Branch], entries: list[Entry]) -> None:
    """Give patients their name, birth date and sex, and tell where an upload differs."""
    _merge([(branch.patient, branch.lineage.patient) for branch in branches], _fill_identity)
    told = {branch: _identity_warnings(branch) for branch in branches}
    flagged = {branch.patient.pk for branch, warnings in told.items() if warnings}
    if flagged:
        Patient.objects.filter(pk__in=flagged, identity_differs=False).update(identity_differs=True)
        for entry in entries:
            entry.warnings += told[entry.branch]


def _identity_warnings(branch: Branch) -> list[ReadWarning]:
    return [
        ReadWarning("patient_differs", {"attribute": attribute})
        for attribute in _differences(branch.patient, branch.lineage.patient)
    ]


def _fill_identity(row: Patient, record: PatientRecord) -> bool:
    """The first value that is not empty stays."""
    changed = False
    for name in IDENTITY:
        value = getattr(record, name)
        if value and not getattr(row, name):
            setattr(row, name, value)
            changed = True
    return changed


def _differences(row: Patient, record: PatientRecord) -> list[str]:
    return [
        KEYWORDS[name]
        for name in IDENTITY
        if getattr(record, name)
        and _comparable(getattr(record, name)) != _comparable(getattr(row, name))
    ]


def _comparable(value: str | date) -> str | date:
    """Writing a name in capitals, or its empty last components, makes no other person."""
    return value.casefold().rstrip("^ ") if isinstance(value, str) else value


def _describe(branches: Iterable[Branch], started: str) -> None:
    """Descriptive attributes take the newest value: of the upload that was started last."""
    _merge(
        [(branch.study, branch.lineage.study) for branch in branches],
        lambda row, record: _fill_description(row, record, STUDY, started),
    )
    _merge(
        [(branch.series, branch.lineage.series) for branch in branches],
        lambda row, record: _fill_description(row, record, SERIES, started),
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


# --- instances and their details -------------------------------------------------------------


def _write_instances(source: Source, entries: list[Entry]) -> None:
    """Decide each entry's outcome; of two copies in one batch the first is imported."""
    keys: dict[Entry, InstanceKey] = {
        entry: (entry.header.instance.sop_instance_uid, entry.branch.series.pk) for entry in entries
    }
    known = _catalogued({key for entry, key in keys.items() if not entry.branch.is_new})
    first: dict[InstanceKey, Entry] = {}
    for entry, key in keys.items():
        if key not in known:
            first.setdefault(key, entry)
    made = _insert_instances(source, first)
    for entry, key in keys.items():
        if key in made and first[key] is entry:
            _import(entry, made[key])
            known[key] = Catalogued(made[key], entry.extracted.sha256, [], source.upload)
        else:
            known[key] = _compare(source, entry, known[key])


def _catalogued(keys: Collection[InstanceKey]) -> dict[InstanceKey, Catalogued]:
    if not keys:
        return {}
    rows = DICOMInstance.objects.filter(sop_instance_uid__in={uid for uid, _ in keys}).values_list(
        "sop_instance_uid", "dicom_series_id", "pk", "sha256", "superseded", "upload_id"
    )
    return {
        (uid, series): Catalogued(*values) for uid, series, *values in rows if (uid, series) in keys
    }


def _insert_instances(source: Source, entries: dict[InstanceKey, Entry]) -> dict[InstanceKey, int]:
    """The primary keys of the new instances.

    The keys were looked up in this transaction. Where another upload wrote one of them since,
    which only PostgreSQL allows, this raises IntegrityError, and the caller's next try finds it.
    """
    if not entries:
        return {}
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    pks = _next_keys(DICOMInstance, len(entries))
    made = dict(zip(sorted(entries), pks, strict=True))
    rows = [
        (
            pk,
            *structs.astuple(entries[key].header.instance),
            key[1],
            entries[key].path,
            entries[key].extracted.size,
            entries[key].extracted.sha256,
            "[]",
            source.upload,
            now,
        )
        for key, pk in made.items()
    ]
    names = ("id", *INSTANCE, "dicom_series", "path", "size", "sha256", "superseded", "upload",
             "created_at")  # fmt: skip
    _take_back_deletions([entry.path for entry in entries.values()])
    _insert(DICOMInstance, names, rows)
    return made


def _take_back_deletions(paths: list[str]) -> None:
    """What is catalogued again is not to be deleted any more; see `removal`."""
    if FileToDelete.objects.exists():
        FileToDelete.objects.filter(path__in=paths).delete()


def _path(entry: Entry) -> str:
    header = entry.header
    return instance_path(
        entry.branch.folder,
        header.study.study_instance_uid,
        header.series.series_instance_uid,
        header.instance.sop_instance_uid,
    )


def _import(entry: Entry, pk: int) -> None:
    entry.outcome, entry.instance_id = Outcome.IMPORTED, pk


def _compare(source: Source, entry: Entry, row: Catalogued) -> Catalogued:
    """Settle an entry against what is catalogued; what is catalogued then."""
    entry.instance_id = row.pk
    if row.sha256 == entry.extracted.sha256:
        entry.outcome, entry.reason = Outcome.DUPLICATE, "same_bytes"
    # Of two copies in one archive the first stays, unless somebody asked for these versions.
    elif (source.use or (source.replace and row.upload != source.upload)) and _replace(
        source, entry, row
    ):
        _import(entry, row.pk)
        entry.superseded = [*row.superseded, row.sha256]
        return Catalogued(row.pk, entry.extracted.sha256, entry.superseded, source.upload)
    else:
        entry.outcome, entry.reason = Outcome.CONFLICT, "other_bytes"
    return row


def _replace(source: Source, entry: Entry, row: Catalogued) -> bool:
    """Let an entry take the place of the catalogued version; False where that has changed."""
    replaced = DICOMInstance.objects.filter(pk=row.pk, sha256=row.sha256).update(
        **{name: getattr(entry.header.instance, name) for name in INSTANCE},
        size=entry.extracted.size,
        sha256=entry.extracted.sha256,
        superseded=[*row.superseded, row.sha256],
        upload_id=source.upload,
    )
    if replaced:
        _take_back_deletions([superseded_path(row.sha256)])
        ImageInformation.objects.filter(dicom_instance=row.pk).delete()
        RTStructureSetInformation.objects.filter(dicom_instance=row.pk).delete()
    return bool(replaced)


def _write_images(entries: list[Entry]) -> None:
    rows = [
        (entry.instance_id, *_plain(image)) for entry in entries if (image := entry.header.image)
    ]
    _insert(ImageInformation, ("dicom_instance", *IMAGE), rows)


def _write_structure_sets(entries: list[Entry]) -> None:
    with_structures = [entry for entry in entries if entry.header.structure_set]
    if not with_structures:
        return
    made = RTStructureSetInformation.objects.bulk_create(
        RTStructureSetInformation(
            dicom_instance_id=entry.instance_id,
            **{name: getattr(entry.header.structure_set, name) for name in STRUCTURE_SET},
        )
        for entry in with_structures
    )
    rows = (  # one at a time, since each may hold megabytes
        (row.pk, *_plain(roi))
        for entry, row in zip(with_structures, made, strict=True)
        if entry.header.structure_set
        for roi in entry.header.structure_set.rois
    )
    _insert(RTStructureROI, ("rt_structure_set", *ROI), rows)


# --- the ledger ------------------------------------------------------------------------------


def _write_ledger(upload: int, entries: list[Entry]) -> None:
    rows = [
        (
            upload,
            entry.extracted.index,
            entry.extracted.inner,
            entry.extracted.name[:NAME_LENGTH],
            entry.extracted.size,
            entry.extracted.sha256,
            str(entry.outcome),
            entry.reason or (entry.warnings[0].code if entry.warnings else ""),
            entry.detail,
            entry.instance_id or None,
        )
        for entry in entries
    ]
    _insert(ArchiveMember, LEDGER, rows)


def _plain(record: ImageRecord | ROIRecord) -> list[Any]:
    """A record's values as the database driver takes them: vectors as JSON, contours as text."""
    values = [to_json(v) if type(v) is list else v for v in structs.astuple(record)]
    return [value.decode() if type(value) is bytes else value for value in values]


def _insert(model: type[models.Model], names: Names, rows: Rows) -> None:
    """Insert plain values without building objects: 30 us a row through the ORM, 6 without."""
    if connection.vendor == "postgresql":
        _copy(model, names, rows)
        return
    with connection.cursor() as cursor:
        cursor.executemany(_insert_sql(model, tuple(names)), rows)  # type: ignore[arg-type]


def _copy(model: type[models.Model], names: Names, rows: Rows) -> None:
    """PostgreSQL's way to insert many rows: ten times as fast as INSERT through Django."""
    table = connection.ops.quote_name(model._meta.db_table)
    sql = f"COPY {table} ({_columns(model, names)}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as copy:
        for row in rows:
            copy.write_row(row)


def _next_keys(model: type[models.Model], count: int) -> Iterable[int]:
    """Primary keys that nobody else gets."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            sequence = "SELECT pg_get_serial_sequence(%s, 'id')"  # looked up once, not each time
            sql = f"SELECT nextval(({sequence})) FROM generate_series(1, %s)"
            cursor.execute(sql, [table, count])
            return [pk for (pk,) in cursor.fetchall()]
        # Nobody else writes during this transaction.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        (last,) = cursor.fetchone() or (0,)
        return range(last + 1, last + 1 + count)


@lru_cache(64)
def _insert_sql(model: type[models.Model], names: tuple[str, ...]) -> str:
    values = ", ".join(["%s"] * len(names))
    table = connection.ops.quote_name(model._meta.db_table)
    return f"INSERT INTO {table} ({_columns(model, names)}) VALUES ({values})"


def _columns(model: type[models.Model], names: Sequence[str]) -> str:
    return ", ".join(connection.ops.quote_name(_column(model, name)) for name in names)


def _column(model: type[models.Model], name: str) -> str:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    assert field.column
    return field.column
