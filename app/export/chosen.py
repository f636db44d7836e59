"""What somebody downloads: a row of the catalogue with all that is below it, or several."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Model, QuerySet, Sum
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from app.catalogue.collecting import ABOVE_SERIES, NAMES, chosen, series_in, series_of
from app.models import COLLECTED, Collection, CollectionEntry, DICOMSeries, DICOMStudy, Patient
from app.wording import counted

from .names import patient_folder

ENTRY = "entry"  # of a collection: what is posted in place of rows


@dataclass(frozen=True, slots=True)
class Chosen:
    """Series to be downloaded."""

    row: Model | None  # that they are below; None of a selection
    series: QuerySet[DICOMSeries]
    words: str  # for the audit trail
    plain_name: str  # of the file, without the patient's
    patient: Patient | None = None  # whose all of it is

    def file_name(self, named: bool) -> str:
        if named and self.patient:
            return f"{patient_folder(self.patient, 1, True)} {self.plain_name}"
        return self.plain_name

    def totals(self) -> tuple[int, int]:
        """How many objects, and the bytes of their files, as series know them."""
        sums = self.series.aggregate(objects=Sum("instance_count"), size=Sum("total_size"))
        return sums["objects"] or 0, sums["size"] or 0


def of_series(request: HttpRequest, pk: int) -> Chosen:
    rows = DICOMSeries.objects.select_related("dicom_study__patient")
    row = get_object_or_404(rows, pk=pk)
    return _below(row, "series", row.dicom_study.patient)


def of_study(request: HttpRequest, pk: int) -> Chosen:
    row = get_object_or_404(DICOMStudy.objects.select_related("patient"), pk=pk)
    return _below(row, "study", row.patient)


def of_patient(request: HttpRequest, pk: int) -> Chosen:
    row = get_object_or_404(Patient, pk=pk)
    return _below(row, "patient", row)


def of_collection(request: HttpRequest, pk: int) -> Chosen:
    row = get_object_or_404(Collection.objects.seen_by(request.user), pk=pk)
    return Chosen(row, series_in(row), "", f"collection-{pk}.zip")


KINDS: dict[str, Callable[[HttpRequest, int], Chosen]] = {
    "series": of_series,
    "study": of_study,
    "patient": of_patient,
    "collection": of_collection,
}


def of_selection(request: HttpRequest) -> Chosen:
    """The patients, studies or series whose keys are posted, or those of entries of a collection.

    Raises
    ------
    Http404
        There are none of these, or entries of several collections.
    """
    kind = request.POST.get("kind", "")
    if kind == ENTRY:
        return _of_entries(request)
    if kind not in COLLECTED:
        raise Http404
    rows = COLLECTED[kind]._default_manager.filter(pk__in=chosen(request)).order_by("pk")
    pks = list(rows.values_list("pk", flat=True))
    if not pks:
        raise Http404
    many = counted(len(pks), *NAMES[kind])
    words = f"{many}, numbers {', '.join(map(str, pks))}"
    return Chosen(None, _series(kind, pks), words, f"{many.replace(' ', '-')}.zip")


def _of_entries(request: HttpRequest) -> Chosen:
    seen = CollectionEntry.objects.filter(
        collection__in=Collection.objects.seen_by(request.user), pk__in=chosen(request, ENTRY)
    )
    number = seen.count()
    if not number:
        raise Http404
    collections = Collection.objects.filter(entries__in=seen).distinct()
    if len(collections) != 1:  # what is written down names one
        raise Http404
    words = counted(number, "entry", "entries")
    return Chosen(
        collections[0], series_of(seen), f"{words} of it", f"{words.replace(' ', '-')}.zip"
    )


def _below(row: Model, kind: str, patient: Patient) -> Chosen:
    return Chosen(row, _series(kind, [row.pk]), "", f"{kind}-{row.pk}.zip", patient)


def _series(kind: str, pks: list[int]) -> QuerySet[DICOMSeries]:
    return DICOMSeries.objects.filter(**{f"{ABOVE_SERIES[kind]}__in": pks})
