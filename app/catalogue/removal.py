"""Deleting patients, studies, series and instances: into the trash, or with their files at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce

from app.audit.recording import Person, because, record
from app.errors import Protected, StorageFailed
from app.models import (
    Deletion,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Kind,
    Patient,
    PatientIdentity,
)
from app.storage.staging import is_hash, superseded_path

from . import (
    collecting,
    completeness,
    counts,
    filing,
    identities,
    links,
    persons,
    thumbnails,
    trash,
)
from .packing import label
from .protection import refuse_protected
from .transactions import is_only_writer, lock_patients, while_heard

DELETED_AT_ONCE = 500  # instances deleted in one transaction
TRIES = 5

# How an instance reaches each of its ancestors, and what an ancestor's children are.
ANCESTORS: dict[type[models.Model], str] = {
    DICOMInstance: "pk",
    DICOMSeries: "dicom_series",
    DICOMStudy: "dicom_series__dicom_study",
    Patient: "dicom_series__dicom_study__patient",
}
# How a patient reaches each of its descendants.
DESCENDANTS: dict[type[models.Model], str] = {
    DICOMInstance: "studies__series__instances",
    DICOMSeries: "studies__series",
    DICOMStudy: "studies",
    Patient: "pk",
}
KINDS: dict[type[models.Model], str] = {
    DICOMInstance: "instances",
    DICOMSeries: "series",
    DICOMStudy: "studies",
    Patient: "patients",
}
CHILDREN: dict[type[models.Model], tuple[type[models.Model], str]] = {
    DICOMSeries: (DICOMInstance, "dicom_series"),
    DICOMStudy: (DICOMSeries, "dicom_study"),
    Patient: (DICOMStudy, "patient"),
}


def instances_of(row: models.Model) -> QuerySet[DICOMInstance]:
    """The instances of a patient, study, series, or of one instance."""
    return DICOMInstance.objects.filter(**{ANCESTORS[type(row)]: row.pk})


def delete(
    rows: models.Model | Sequence[models.Model], who: Person = None, reason: str = ""
) -> Deletion | None:
    """Delete patients, studies, series or instances, with all that is below them and their files.

    Parents that are left without children go, too. What was deleted is in the trash then, or will
    be, where it is so much that a worker moves it, or is being moved already; None where there is
    no trash, or nothing to be in it.

    Raises
    ------
    Protected
        A study of it is protected; what was deleted before somebody protected it stays so.
    StorageFailed
        The disk refuses to keep more in the trash: what is left is deleted as soon as it does.
    """
    rows = [rows] if isinstance(rows, models.Model) else list(rows)
    objects = 0
    with transaction.atomic():
        _lock_patients_of(rows)
        if under_way := trash.under_way(rows):  # somebody pressed twice
            return under_way
        for row in rows:
            refuse_protected(row)
            goes = below([row])
            objects += goes[KINDS[DICOMInstance]]
            record(Kind.DELETE_ASKED, who, row, because(f"{_in_words(goes)}.", reason))
        deletion = trash.begin(rows, who, reason) if trash.is_on() else None
        if deletion and objects > trash.MANY:
            trash.leave_to_worker(deletion)
            return deletion
    return _delete_rows(rows, deletion, who)


def go_on(deletion: Deletion) -> None:
    """Delete what is left of what somebody asked to delete; see `delete`."""
    model = next(one for one in KINDS if label(one) == deletion.table)
    rows = model._default_manager.filter(pk__in=deletion.rows).order_by("pk")
    with suppress(Protected):  # somebody has protected the rest since
        _delete_rows(list(rows), deletion, trash.who_asked(deletion))


def _delete_rows(
    rows: Sequence[models.Model], deletion: Deletion | None, who: Person
) -> Deletion | None:
    try:
        for row in rows:
            _delete_one(row, deletion, who)
        if deletion:
            deletion = trash.end_of_deleting(deletion)
    except trash.NotThere:  # somebody restores it already
        deletion = None
    except Protected:
        if deletion:
            with suppress(trash.NotThere):
                trash.end_of_deleting(deletion)
        raise
    except StorageFailed as failure:
        if deletion:
            trash.in_trouble(deletion, failure)
        raise
    filing.unlink_pending()
    return deletion


def _delete_one(row: models.Model, deletion: Deletion | None, who: Person) -> None:
    deleted = 0
    while some := _delete_some(row, deletion):
        deleted += some
    with transaction.atomic():
        if type(row) in CHILDREN:
            delete_bare(row)
        words = f"{_in_words({'instances': deleted})}."
        if deletion:  # by its number the trail tells what is restored or erased of it
            words = f"{words} In the trash as deletion {deletion.pk}."
        record(Kind.DELETED, who, row, words)


def below(rows: Sequence[models.Model]) -> dict[str, int]:
    """What goes with rows of one table: how many of each kind, and the bytes of their files."""
    model = type(rows[0])
    whole = list(KINDS)[: list(KINDS).index(model) + 1]
    counts = {KINDS[one]: Count(ANCESTORS[one], distinct=True) for one in reversed(whole)}
    return instances_below(rows).aggregate(**counts, bytes=Coalesce(Sum("size"), 0))


def instances_below(rows: Sequence[models.Model]) -> QuerySet[DICOMInstance]:
    """The instances of rows of one table, in no order."""
    pks = [row.pk for row in rows]
    instances = DICOMInstance.objects.filter(**{f"{ANCESTORS[type(rows[0])]}__in": pks})
    return instances.order_by()


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind}: {n:,}" for kind, n in counts.items())


def _delete_some(row: models.Model, deletion: Deletion | None = None) -> int:
    """Delete a chunk of the row's instances, with what is then empty; how many."""
    for _ in range(TRIES - 1):
        # Uploads that add children meanwhile make a parent undeletable, or lock in a circle.
        with suppress(IntegrityError, OperationalError):
            return _delete_chunk(row, deletion)
    return _delete_chunk(row, deletion)


@while_heard(filing.DISK_SECONDS)
def _delete_chunk(row: models.Model, deletion: Deletion | None = None) -> int:
    instances = instances_of(row)
    if deletion:
        trash.hold(deletion, Deletion.State.DELETING)
        instances = instances.filter(pk__lte=deletion.last_instance)
    patients = lock_patient(row)
    refuse_protected(row)
    # In no order, for which PostgreSQL would go through the keys of all instances there are.
    chunk: Sequence[DICOMInstance] = list(
        instances.select_for_update(of=("self",))
        .select_related("dicom_series__dicom_study")
        .order_by()[:DELETED_AT_ONCE]
    )
    if not chunk:
        return 0
    if deletion:
        chunk = trash.at_once(chunk)
    pks = [instance.pk for instance in chunk]
    series = {instance.dicom_series for instance in chunk}
    if deletion:
        filing.delete_later(trash.put(deletion, chunk))
    else:
        filing.delete_later(line for instance in chunk for line in _lines(instance))
    concerned = links.concerned(patients, pks, {one.pk for one in series})
    DICOMInstance.objects.filter(pk__in=pks).delete()
    studies = {one.dicom_study for one in series}
    _delete_childless(DICOMSeries, {one.pk for one in series}, deletion)
    _delete_childless(DICOMStudy, {one.pk for one in studies}, deletion)
    links.look_again(concerned)
    identities.forget_unused(
        [instance.identity_id for instance in chunk if instance.identity_id],
        {instance.upload_id for instance in chunk},
    )
    _delete_childless(Patient, patients, deletion)
    counts.take_away(chunk, {one.pk for one in studies}, patients)
    # Behind what holds these series: nobody keeps what was made of them before.
    thumbnails.forget(DICOMSeries.objects.filter(pk__in={one.pk for one in series}))
    return len(chunk)


def lock_patient(row: models.Model) -> set[int]:
    """Hold the patient of a row; its primary key, where the row is still there."""
    return _lock_patients_of([row])


def _lock_patients_of(rows: Sequence[models.Model]) -> set[int]:
    """Hold the patients of rows of one table, all at once and so in the order of their keys."""
    below = f"{DESCENDANTS[type(rows[0])]}__in"
    above = Patient.objects.filter(**{below: [row.pk for row in rows]})
    return {*lock_patients(above.values_list("pk", flat=True))}


def delete_bare(row: models.Model) -> None:
    """Delete a row that has nothing below it, if it is still there."""
    patients = lock_patient(row)
    refuse_protected(row)
    studies = {row.dicom_study_id} if isinstance(row, DICOMSeries) else set()
    _delete_childless(type(row), {row.pk})
    counts.sum_up((), studies, patients)


def _lines(instance: DICOMInstance) -> Iterator[FileToDelete]:
    yield FileToDelete(path=instance.path, sop_instance_uid=instance.sop_instance_uid)
    for sha256 in filter(is_hash, instance.superseded):
        yield FileToDelete(path=superseded_path(sha256))


def _delete_childless(
    model: type[models.Model], pks: set[int], deletion: Deletion | None = None
) -> None:
    child, parent = CHILDREN[model]
    children = child._default_manager.filter(**{parent: models.OuterRef("pk")})
    if model is DICOMSeries and not is_only_writer():
        # Who keeps what was made of a series holds the series first, and that then.
        held = model._default_manager.select_for_update(no_key=True).filter(pk__in=pks)
        list(held.order_by("pk").values_list("pk"))
    childless = model._default_manager.filter(~models.Exists(children), pk__in=pks)
    entries = collecting.entries_of(childless, model)
    if deletion:
        trash.keep_rows(deletion, entries)
    if model is Patient:
        if deletion:
            trash.keep_rows(deletion, persons.links_with(childless))
        PatientIdentity.objects.filter(patient__in=childless).delete()
        persons.links_with(childless).delete()
    entries.delete()
    completeness.forget(childless)
    thumbnails.forget(childless)
    # One statement: between Django's own two, an import could add a child that would go, too.
    childless._raw_delete(childless.db)
