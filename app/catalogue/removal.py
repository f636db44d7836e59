"""Deleting patients, studies, series and instances: rows first, files after, as `filing` says."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce

from app.audit.recording import Person, because, record
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Kind,
    Patient,
    PatientIdentity,
)
from app.storage.staging import is_hash, superseded_path

from . import collecting, completeness, counts, filing, identities, links, persons
from .protection import refuse_protected
from .transactions import lock_patients

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


def delete(row: models.Model, who: Person = None, reason: str = "") -> None:
    """Delete a patient, study, series or instance, with all that is below it and its files.

    Parents that are left without children go, too.

    Raises
    ------
    Protected
        A study of it is protected; what was deleted before somebody protected it stays so.
    """
    with transaction.atomic():
        lock_patient(row)
        refuse_protected(row)
        record(Kind.DELETE_ASKED, who, row, because(f"{_in_words(below([row]))}.", reason))
    deleted = 0
    while some := _delete_some(row):
        deleted += some
    with transaction.atomic():
        if type(row) in CHILDREN:
            delete_bare(row)
        record(Kind.DELETED, who, row, f"{_in_words({'instances': deleted})}.")
    filing.unlink_pending()


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


def _delete_some(row: models.Model) -> int:
    """Delete a chunk of the row's instances, with what is then empty; how many."""
    for _ in range(TRIES - 1):
        # Uploads that add children meanwhile make a parent undeletable, or lock in a circle.
        with suppress(IntegrityError, OperationalError):
            return _delete_chunk(row)
    return _delete_chunk(row)


@transaction.atomic
def _delete_chunk(row: models.Model) -> int:
    patients = lock_patient(row)
    refuse_protected(row)
    # In no order, for which PostgreSQL would go through the keys of all instances there are.
    chunk = list(
        instances_of(row)
        .select_for_update(of=("self",))
        .select_related("dicom_series__dicom_study")
        .order_by()[:DELETED_AT_ONCE]
    )
    filing.delete_later(line for instance in chunk for line in _lines(instance))
    pks = [instance.pk for instance in chunk]
    series = {instance.dicom_series for instance in chunk}
    concerned = links.concerned(patients, pks, {one.pk for one in series})
    DICOMInstance.objects.filter(pk__in=pks).delete()
    studies = {one.dicom_study for one in series}
    _delete_childless(DICOMSeries, {one.pk for one in series})
    _delete_childless(DICOMStudy, {one.pk for one in studies})
    links.look_again(concerned)
    identities.forget_unused(
        [instance.identity_id for instance in chunk if instance.identity_id],
        {instance.upload_id for instance in chunk},
    )
    _delete_childless(Patient, patients)
    counts.take_away(chunk, {one.pk for one in studies}, patients)
    return len(chunk)


def lock_patient(row: models.Model) -> set[int]:
    """Hold the patient of a row; its primary key, where the row is still there."""
    above = Patient.objects.filter(**{DESCENDANTS[type(row)]: row.pk})
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


def _delete_childless(model: type[models.Model], pks: set[int]) -> None:
    child, parent = CHILDREN[model]
    children = child._default_manager.filter(**{parent: models.OuterRef("pk")})
    childless = model._default_manager.filter(~models.Exists(children), pk__in=pks)
    if model is Patient:
        PatientIdentity.objects.filter(patient__in=childless).delete()
        persons.links_with(childless).delete()
    collecting.entries_of(childless, model).delete()
    completeness.forget(childless)
    # One statement: between Django's own two, an import could add a child that would go, too.
    childless._raw_delete(childless.db)
