"""Out of the trash: objects with their rows and keys, as they were.

Each ends as restored, as already here (the very bytes came back meanwhile, and what the trash has
goes), or as a conflict (other bytes came: the catalogue's stay, and the trash's, too).
"""

from collections.abc import Collection as Keys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

from app.audit.recording import Person, record
from app.dicom.records import Reference
from app.limits import processed_root
from app.models import (
    ArchiveMember,
    Collection,
    CollectionEntry,
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Kind,
    Link,
    Patient,
    PatientIdentity,
    SamePerson,
    TrashedObject,
    TrashedRow,
)
from app.storage.staging import is_hash, superseded_path
from app.storage.trash import TrashFolder, sync_folders, trashed_name

from . import counts, identities, links, trash
from .filing import DISK_SECONDS
from .identities import ANSWER
from .packing import (
    BELOW,
    MEMBERS,
    Rows,
    Values,
    copy_long_columns_back,
    from_text,
    label,
    to_text,
    write,
)
from .transactions import lock_patients, while_heard
from .trash import AT_ONCE, NotThere, State

TRIES = 5


@dataclass(slots=True)
class Restored:
    """What became of a deletion's objects."""

    restored: int = 0
    already_here: int = 0
    conflicts: int = 0


def restore(deletion: Deletion, who: Person = None) -> Restored | None:
    """Restore what a deletion holds; None where it is just being erased, or restored already."""
    return go_on(deletion, who) if ask_to_restore(deletion, who) else None


@transaction.atomic
def ask_to_restore(deletion: Deletion, who: Person) -> bool:
    """Say that it is to be restored; whoever comes to it does so."""
    if not trash.set_state(deletion, State.RESTORING, State.THERE, State.DELETING):
        return False
    record(Kind.RESTORE_ASKED, who, deletion, trash.in_words(deletion))
    deletion.objects_in_it.filter(is_conflict=True).update(is_conflict=False)
    Deletion.objects.filter(pk=deletion.pk).update(conflict_count=0)
    return True


def go_on(deletion: Deletion, who: Person = None) -> Restored | None:
    """Restore what is left of it; None where something else is done with it by now."""
    whole = Restored()
    with suppress(NotThere):
        while some := _restore_some(deletion):
            whole.restored += some.restored
            whole.already_here += some.already_here
            whole.conflicts += some.conflicts
        _end(deletion, who, whole)
        trash.tidy(deletion)
        return whole
    return None


def _restore_some(deletion: Deletion) -> Restored | None:
    for _ in range(TRIES - 1):
        # An import may make a parent that was not there, or lock in a circle.
        with suppress(IntegrityError, OperationalError):
            return _restore_chunk(deletion)
    return _restore_chunk(deletion)


@while_heard(DISK_SECONDS)
def _restore_chunk(deletion: Deletion) -> Restored | None:
    trash.hold(deletion, State.RESTORING)
    waiting = deletion.objects_in_it.filter(is_conflict=False).order_by("pk")
    some = trash.at_once(list(waiting[:AT_ONCE]))
    chunk = [_Object(one, from_text(one.rows)) for one in some]
    if not chunk:
        return None
    over = _Over(deletion, {one.row["dicom_series_id"] for one in chunk})
    known = _catalogued(chunk, over.series)
    new = [one for one in chunk if one.key(over.series) not in known]
    here = [(one, known[one.key(over.series)]) for one in chunk if one not in new]
    again = [(one, there) for one, there in here if there.sha256 == one.trashed.sha256]
    conflicts = [one for one, there in here if there.sha256 != one.trashed.sha256]
    _write(deletion, new, over)
    _hang_on_again(deletion, over)
    if new:
        _know_again(over, new)
    _join(deletion, again)
    _leave(deletion, conflicts)
    trash.forget(deletion, [one.trashed for one in (*new, *(one for one, _ in again))])
    return Restored(len(new), len(again), len(conflicts))


@dataclass(eq=False, slots=True)
class _Object:
    trashed: TrashedObject
    rows: Rows
    row: Values = field(init=False)  # the instance's

    def __post_init__(self) -> None:
        (self.row,) = self.rows[label(DICOMInstance)]

    def key(self, series: Mapping[int, int]) -> tuple[str, int]:
        return self.trashed.sop_instance_uid, series[self.row["dicom_series_id"]]


def _catalogued(
    chunk: Sequence[_Object], series: Mapping[int, int]
) -> dict[tuple[str, int], DICOMInstance]:
    rows = DICOMInstance.objects.select_for_update().filter(
        sop_instance_uid__in={one.trashed.sop_instance_uid for one in chunk},
        dicom_series__in=series.values(),
    )
    return {(row.sop_instance_uid, row.dicom_series_id): row for row in rows.order_by("pk")}


# --- what is over the objects ----------------------------------------------------------------


class _Over:
    """The series of a chunk, its studies and patients: those of the catalogue, or made again.

    A row has its former key, or it is the one that an import has made meanwhile of the same UID.
    The patients are held.
    """

    def __init__(self, deletion: Deletion, series: Keys[int]) -> None:
        self.deletion = deletion
        rows = self._kept(DICOMSeries, series)
        studies = self._kept(DICOMStudy, {row["dicom_study_id"] for row in rows})
        patients = self._kept(Patient, {row["patient_id"] for row in studies})
        self.made: dict[type[models.Model], set[int]] = {}
        self.renewed: set[int] = set()  # patients that have an identity again
        self.patients = self._found(Patient, patients, "folder")
        held = lock_patients(self.patients.values())
        if len(held) < len(set(self.patients.values())):
            raise IntegrityError("A patient was deleted since it was looked up")
        _lead(studies, "patient_id", self.patients)
        self.studies = self._found(DICOMStudy, studies, "patient_id", "study_instance_uid")
        _lead(rows, "dicom_study_id", self.studies)
        self.series = self._found(DICOMSeries, rows, "dicom_study_id", "series_instance_uid")
        self._keep_described(DICOMStudy, studies, self.studies)
        self._keep_described(DICOMSeries, rows, self.series)

    def _kept(self, model: type[models.Model], pks: Keys[int]) -> list[Values]:
        return kept_rows(self.deletion, model, row__in=pks)

    def _found(
        self, model: type[models.Model], rows: Sequence[Values], *fields: str
    ) -> dict[int, int]:
        """By former key the key in the catalogue."""
        wanted = {f"{name}__in": {row[name] for row in rows} for name in fields}
        there = model._default_manager.filter(**wanted).values_list("pk", *fields)
        known = {tuple(key): pk for pk, *key in there}
        new = [row for row in rows if tuple(row[name] for name in fields) not in known]
        write(model, without_strangers(model, new))
        self.made[model] = {row["id"] for row in new}
        keys = {row["id"]: tuple(row[name] for name in fields) for row in rows}
        return {pk: known.get(key, pk) for pk, key in keys.items()}

    def _keep_described(self, model: Any, rows: Sequence[Values], keys: Mapping[int, int]) -> None:
        """Of what describes a row that an import has made anew, the newest stays."""
        anew = {keys[row["id"]]: row for row in rows if keys[row["id"]] != row["id"]}
        for row in model._default_manager.filter(pk__in=anew).order_by("pk"):
            kept = anew[row.pk]
            names = {
                name
                for name, mark in kept["described"].items()
                if row.described.get(name, "") < mark and name in kept
            }
            for name in names:
                setattr(row, name, model._meta.get_field(name).to_python(kept[name]))
                row.described[name] = kept["described"][name]
            if names:
                row.save()


def kept_rows(deletion: Deletion, model: type[models.Model], **which: Any) -> list[Values]:
    rows = TrashedRow.objects.filter(deletion=deletion.pk, table=label(model), **which)
    return [from_text(text) for text in rows.order_by("row").values_list("values", flat=True)]


def _lead(rows: Iterable[Values], column: str, keys: Mapping[int, int]) -> None:
    for row in rows:
        row[column] = keys[row[column]]


def without_strangers(model: type[models.Model], rows: Sequence[Values]) -> Sequence[Values]:
    """Rows without the keys of what has gone meanwhile: uploads, accounts."""
    fields: list[Any] = [one for one in model._meta.concrete_fields if one.remote_field]
    for one in fields:
        named = {row[one.attname] for row in rows if row.get(one.attname)}
        if not (one.null and one.db_constraint and named):
            continue
        there = one.related_model._default_manager.filter(pk__in=named)
        gone = named - set(there.values_list("pk", flat=True))
        for row in rows:
            if row.get(one.attname) in gone:
                row[one.attname] = None
    return rows


# --- the three ways --------------------------------------------------------------------------


def _write(deletion: Deletion, objects: Sequence[_Object], over: _Over) -> None:
    """Write objects again, with all below them, and give their files their places."""
    if not objects:
        return
    pks = [one.row["id"] for one in objects]
    known = _write_identities(deletion, objects, over)
    for one in objects:
        one.row["dicom_series_id"] = over.series[one.row["dicom_series_id"]]
        one.row["identity_id"] = known.get(one.row["identity_id"])
    write(DICOMInstance, without_strangers(DICOMInstance, [one.row for one in objects]))
    for model in BELOW:
        write(model, [row for one in objects for row in one.rows.get(label(model), ())])
    copy_long_columns_back([one.trashed.pk for one in objects])
    for one in objects:
        _take_over_ledger(one, one.row["id"])
    series, studies, patients = (
        set(keys.values()) for keys in (over.series, over.studies, over.patients)
    )
    counts.sum_up(series, studies, patients)
    links.settle(patients, pks, series)
    links.write({one.row["id"]: _references(one) for one in objects})
    _mark_shared(studies)
    folder = TrashFolder(processed_root(), deletion.pk)
    _give(folder, [file for one in objects for file in _files(one, one.row["path"])])


def _write_identities(
    deletion: Deletion, objects: Sequence[_Object], over: _Over
) -> dict[int | None, int]:
    """By former key the identity in the catalogue, written again where it has gone."""
    rows = kept_rows(deletion, PatientIdentity, row__in={one.row["identity_id"] for one in objects})
    _lead(rows, "patient_id", over.patients)
    there = PatientIdentity.objects.filter(patient__in={row["patient_id"] for row in rows})
    known = {(one.patient_id, one.digest): one.pk for one in there}
    new = [row for row in rows if (row["patient_id"], row["digest"]) not in known]
    write(PatientIdentity, without_strangers(PatientIdentity, new))
    over.renewed = {row["patient_id"] for row in new}
    found: dict[int | None, int] = {}
    for row in rows:
        found[row["id"]] = known.get((row["patient_id"], row["digest"])) or row["id"]
    return found


def _know_again(over: _Over, objects: Sequence[_Object]) -> None:
    """See what patients are known by, and what is asked of them, that have identities again.

    The first that an ID came with is what the catalogue knows its patient by; where an import has
    made the patient anew meanwhile, what that brought stays.
    """
    former = {pk for pk, now in over.patients.items() if pk == now}
    identities.settle(over.renewed & former - over.made[Patient])
    for patient in Patient.objects.filter(pk__in=over.renewed).order_by("pk"):
        mine = list(patient.identities.order_by("pk"))
        if patient.pk not in former:
            for one in mine:
                identities.fill(patient, one)
            patient.save()
        if not patient.identity_answer:
            others = [one.pk for one in mine if identities.differences(patient, one)]
            if others:
                identities.ask(others, [patient.pk])
    _ask_of_uploads(objects)


def _ask_of_uploads(objects: Sequence[_Object]) -> None:
    """Their uploads ask again whether an ID is one person, where nobody has said so."""
    pks = {one.row["identity_id"] for one in objects}
    asked = PatientIdentity.objects.filter(pk__in=pks, is_open=True).values_list("pk", flat=True)
    asking = set(asked)
    uploads = {one.row["upload_id"] for one in objects if one.row["identity_id"] in asking}
    DICOMFile.objects.filter(pk__in=uploads - {None}).update(asks_identity=True)


def _references(one: _Object) -> list[Reference]:
    return [
        Reference(link["kind"], link["target_uid"], link["frame_number"])
        for link in one.rows.get(label(Link), ())
    ]


def _mark_shared(studies: Keys[int]) -> None:
    """Mark studies whose UID is under another patient, too, and those."""
    rows = DICOMStudy.objects.filter(pk__in=studies)
    uids = set(rows.values_list("study_instance_uid", flat=True))
    others = DICOMStudy.objects.filter(study_instance_uid__in=uids, uid_shared=False)
    alike = DICOMStudy.objects.filter(study_instance_uid=OuterRef("study_instance_uid"))
    others.filter(Exists(alike.exclude(patient=OuterRef("patient")))).update(uid_shared=True)


def _take_over_ledger(one: _Object, instance: int) -> None:
    lines = [line["id"] for line in one.rows.get(MEMBERS, ())]
    ArchiveMember.objects.filter(pk__in=lines, instance=None).update(instance=instance)


def _join(deletion: Deletion, objects: Sequence[tuple[_Object, DICOMInstance]]) -> None:
    """Give what is here already the ledger and the replaced versions of what was deleted."""
    folder = TrashFolder(processed_root(), deletion.pk)
    for one, there in objects:
        _take_over_ledger(one, there.pk)
        older = [sha256 for sha256 in one.trashed.superseded if sha256 not in there.superseded]
        if older:
            there.superseded = [*older, *there.superseded]
            there.save(update_fields=["superseded"])
            _give(folder, [*_files(one, "")])


def _leave(deletion: Deletion, objects: Sequence[_Object]) -> None:
    """Leave what is here with other bytes in the trash."""
    pks = [one.trashed.pk for one in objects]
    TrashedObject.objects.filter(pk__in=pks).update(is_conflict=True)
    Deletion.objects.filter(pk=deletion.pk).update(
        conflict_count=F("conflict_count") + len(pks), changed_at=Now()
    )
    for one in objects:
        one.trashed.is_conflict = True


# --- files -----------------------------------------------------------------------------------


class _File(NamedTuple):
    name: str  # in the trash
    path: str
    sha256: str


def _files(one: _Object, path: str) -> Iterator[_File]:
    """Its files: the object's own, where it has a path, and its replaced versions."""
    instance, superseded = one.trashed.instance, one.trashed.superseded
    if path and one.trashed.has_file:
        yield _File(trashed_name(instance), path, one.trashed.sha256)
    for sha256 in filter(is_hash, superseded):
        yield _File(trashed_name(instance, sha256), superseded_path(sha256), sha256)


def _give(folder: TrashFolder, files: Sequence[_File]) -> None:
    # First, since whoever is just unlinking one of these holds its line.
    FileToDelete.objects.filter(path__in=[file.path for file in files]).delete()
    given = [file.path for file in files if folder.give(*file)]
    if settings.ICON_FSYNC != "off":
        sync_folders(folder.root, given)


# --- what hung on patients, studies and series -----------------------------------------------


def _hang_on_again(deletion: Deletion, over: _Over) -> None:
    """Put rows back into collections, and say again what was said of patients."""
    keys = {"patient_id": over.patients, "study_id": over.studies, "series_id": over.series}
    for row in kept_rows(deletion, CollectionEntry):
        (column,) = (name for name in keys if row[name])
        if row[column] in keys[column] and _is_there(Collection, row["collection_id"]):
            row[column] = keys[column][row[column]]
            known = CollectionEntry.objects.filter(
                **{"collection": row["collection_id"], column: row[column]}
            )
            if not known.exists():
                write(CollectionEntry, [row])
    for row in kept_rows(deletion, SamePerson):
        _say_same_person(deletion, row, over)
    for row in kept_rows(deletion, Patient, row__in=over.patients):
        if row.get("identity_answer"):
            without_strangers(Patient, [row])
            unanswered = Patient.objects.filter(pk=over.patients[row["id"]], identity_answer="")
            columns = [*ANSWER[:1], "identity_answered_by_id", *ANSWER[2:]]
            unanswered.update(**{name: row.get(name) for name in columns})


def _say_same_person(deletion: Deletion, row: Values, over: _Over) -> None:
    """Say it again; where the other is still in the trash, leave it to who restores that one."""
    sides = ("first_id", "second_id")
    now = {side: _patient_now(deletion, row[side], over) for side in sides}
    lacking = [row[side] for side in sides if now[side] is None]
    row |= {side: pk for side, pk in now.items() if pk}
    if lacking:
        _leave_to_other(deletion, row, lacking)
        return
    row["first_id"], row["second_id"] = sorted(row[side] for side in sides)
    if not SamePerson.objects.filter(first=row["first_id"], second=row["second_id"]).exists():
        write(SamePerson, [row])


def _patient_now(deletion: Deletion, pk: int, over: _Over) -> int | None:
    """The key of a patient in the catalogue, who may have been restored with an earlier chunk."""
    here = over.patients.get(pk, pk)
    if _is_there(Patient, here):
        return here
    folders = [row["folder"] for row in kept_rows(deletion, Patient, row=pk)]
    return Patient.objects.filter(folder__in=folders).values_list("pk", flat=True).first()


def _leave_to_other(deletion: Deletion, row: Values, patients: Sequence[int]) -> None:
    """Keep a row with other deletions, which hold these patients."""
    others = TrashedRow.objects.filter(table=label(Patient), row__in=patients)
    for pk in others.exclude(deletion=deletion.pk).values_list("deletion", flat=True):
        TrashedRow.objects.bulk_create(
            [
                TrashedRow(
                    deletion_id=pk,
                    table=label(SamePerson),
                    row=row["id"],
                    patient=0,
                    values=to_text(row),
                )
            ],
            ignore_conflicts=True,
        )


def _is_there(model: type[models.Model], pk: int) -> bool:
    return model._default_manager.filter(pk=pk).exists()


# --- the end ---------------------------------------------------------------------------------


@transaction.atomic
def _end(deletion: Deletion, who: Person, whole: Restored) -> None:
    """Forget a deletion, unless something stays in the trash."""
    trash.hold(deletion, State.RESTORING)
    if deletion.objects_in_it.exists():
        trash.set_state(deletion, State.THERE, State.RESTORING)
    else:
        trash.forget_whole(deletion)
    words = (
        f"Restored: {whole.restored:,}. Already here: {whole.already_here:,}. "
        f"In conflict: {whole.conflicts:,}."
    )
    record(Kind.RESTORED, who, deletion, words)
