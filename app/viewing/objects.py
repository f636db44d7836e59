"""What a page says of one object besides what is in it: what it is, where it came from, its
neighbours."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet
from django.urls import reverse

from app.catalogue.origins import member_names
from app.dicom.kinds import ENCAPSULATED_PDF, is_report
from app.dicom.terms import uid_name
from app.models import DICOMFile, DICOMInstance, DICOMSeries, Patient

MOST_UIDS = 1_000  # of one page that are looked for


@dataclass(frozen=True, slots=True)
class About:
    """One object, as its page names it."""

    instance: DICOMInstance
    sop_class: str  # by its name, where the standard has one
    transfer_syntax: str
    file_name: str
    upload: DICOMFile | None
    member: str  # what it is called in the ZIP
    previous: DICOMInstance | None  # in the series
    next: DICOMInstance | None

    @property
    def is_report(self) -> bool:
        return is_report(self.instance.sop_class_uid, self.instance.modality)

    @property
    def is_pdf(self) -> bool:
        return self.instance.sop_class_uid == ENCAPSULATED_PDF


def about(instance: DICOMInstance) -> About:
    return About(
        instance,
        uid_name(instance.sop_class_uid),
        uid_name(instance.transfer_syntax_uid),
        instance.path.rpartition("/")[2],
        instance.upload,
        member_names([instance]).get(instance.pk, ""),
        before(instance, of_series(instance)),
        _after(instance, of_series(instance)),
    )


def of_series(instance: DICOMInstance) -> QuerySet[DICOMInstance]:
    return DICOMInstance.objects.filter(dicom_series=instance.dicom_series_id)


def images_of_series(instance: DICOMInstance) -> QuerySet[DICOMInstance]:
    """Those that have pixels."""
    return of_series(instance).filter(rows__isnull=False)


def before(instance: DICOMInstance, among: QuerySet[DICOMInstance]) -> DICOMInstance | None:
    """The one before it by instance number, or else by when it came; without number come last."""
    number = instance.instance_number
    if number is None:
        earlier = Q(instance_number__isnull=False) | Q(pk__lt=instance.pk)
    else:
        earlier = Q(instance_number__lt=number) | Q(instance_number=number, pk__lt=instance.pk)
    order = (F("instance_number").desc(nulls_first=True), "-pk")
    return among.filter(earlier).order_by(*order).first()


def _after(instance: DICOMInstance, among: QuerySet[DICOMInstance]) -> DICOMInstance | None:
    number = instance.instance_number
    later = Q(instance_number__isnull=True)
    if number is None:
        later &= Q(pk__gt=instance.pk)
    else:
        later |= Q(instance_number__gt=number) | Q(instance_number=number, pk__gt=instance.pk)
    order = (F("instance_number").asc(nulls_last=True), "pk")
    return among.filter(later).order_by(*order).first()


def addresses(uids: Iterable[str], patient: Patient) -> dict[str, str]:
    """Where the pages are of this patient's studies, series and objects with these UIDs."""
    wanted = sorted({*uids})[:MOST_UIDS]
    if not wanted:
        return {}
    studies = patient.studies.filter(study_instance_uid__in=wanted)
    series = DICOMSeries.objects.filter(dicom_study__patient=patient)
    series = series.filter(series_instance_uid__in=wanted)
    objects = DICOMInstance.objects.filter(dicom_series__dicom_study__patient=patient)
    objects = objects.filter(sop_instance_uid__in=wanted)
    found: dict[str, str] = {}
    pages: tuple[tuple[str, QuerySet[Any], str], ...] = (
        ("study", studies, "study_instance_uid"),
        ("series", series, "series_instance_uid"),
        ("header", objects, "sop_instance_uid"),
    )
    for page, rows, uid in pages:
        for key, pk in rows.order_by("pk").values_list(uid, "pk"):
            found.setdefault(key, reverse(page, args=[pk]))
    return found
