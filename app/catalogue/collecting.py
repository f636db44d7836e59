"""Collections: selections of patients, studies and series, with a name to come back to."""

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.db import transaction
from django.db.models import Count, Model, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from app.audit.recording import record_export
from app.models import COLLECTED, Collection, CollectionEntry, DICOMSeries, DICOMStudy, Patient
from app.needing import needing
from app.reasons import sentence
from app.spreadsheets import Cell
from app.wording import counted

from .addresses import BEFORE, is_key, key_in
from .cells import Cells, moment
from .exporting import csv_answer, dated, rows_of
from .names import person_name, sex_name
from .thumbnails import note_series, note_studies
from .transactions import lock_patients

MOST_ENTRIES = 10_000  # in one collection
MOST_AT_ONCE = 1_000  # rows that are put in or taken out
SHOWN = 100  # on one page
CHUNK = 500  # rows of a spreadsheet that are read at once
NAMES = {"patient": ("patient",), "study": ("study", "studies"), "series": ("series", "series")}
PATIENT_OF = {"patient": "pk", "study": "patient", "series": "dicom_study__patient"}
# How a series reaches what can be put into a collection.
ABOVE_SERIES = {"patient": "dicom_study__patient", "study": "dicom_study", "series": "pk"}
WITH_PATIENT = ("patient", "study__patient", "series__dicom_study__patient")
WITH_PICTURE = (*WITH_PATIENT, "series__thumbnail")

NEEDED = (
    *("app.view_patient", "app.view_dicomstudy", "app.view_dicomseries", "app.keep_collections"),
)

may_keep = needing(*NEEDED)


class CollectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A collection's name, what it is for, and who sees it."""

    class Meta:
        model = Collection
        fields = ("name", "note", "is_shared")
        labels = {
            "name": "Name",
            "note": "What it is for",
            "is_shared": "Share it with all staff, who may then look at it",
        }
        widgets = {"note": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, data: Any = None, instance: Collection | None = None) -> None:
        super().__init__(data, instance=instance, label_suffix="")
        self.fields["name"].error_messages["required"] = sentence("collection_unnamed")
        self.fields["name"].widget.attrs |= {"autocomplete": "off", "class": "form-control"}
        self.fields["note"].widget.attrs["class"] = "form-control"
        self.fields["is_shared"].widget.attrs["class"] = "form-check-input"


@staff_member_required
@may_keep
@require_http_methods(["GET", "HEAD", "POST"])
def collection_list(request: HttpRequest) -> HttpResponse:
    """One's own collections and those that are shared; a new one is made by its name."""
    form = CollectionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("collection", _made(request, form).pk)
    seen = _with_counts(request)
    mine = [one for one in seen if one.owner_id == request.user.pk]
    shared = [one for one in seen if one.owner_id != request.user.pk]
    context = {"title": "Collections", "form": form, "mine": mine, "shared": shared}
    status = 400 if form.errors else 200
    return render(request, "catalogue/collections.html", context, status=status)


@staff_member_required
@may_keep
@require_safe
def collections_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The list of collections as a spreadsheet."""
    record_export(request.user, "the list of collections")
    rows = _with_counts(request).iterator(CHUNK)
    return csv_answer(dated("collections"), CSV_COLLECTION, rows_of(CSV_COLLECTION, rows))


def _with_counts(request: HttpRequest) -> QuerySet[Collection]:
    """The collections that this reader sees, with what is in each, by name."""
    kinds = {f"{kind}_count": Count(f"entries__{kind}") for kind in COLLECTED}
    return Collection.objects.seen_by(request.user).annotate(**kinds).order_by("name", "pk")


@staff_member_required
@may_keep
@require_http_methods(["GET", "HEAD", "POST"])
def collection(request: HttpRequest, pk: int) -> HttpResponse:
    """What is in a collection; its owner changes its name, and who sees it."""
    row = _seen(request, pk)
    may_change = row.may_be_changed_by(request.user)
    form = CollectionForm(instance=row) if may_change else None
    if request.method == "POST":
        form = _rename(request, pk)
        if form.is_valid():
            messages.success(request, sentence("collection_changed"))
            return redirect("collection", pk)
    entries, older = _page(request, row)
    note_series(request, [one.series for one in entries if one.series])
    note_studies(request, [one.study for one in entries if one.study])
    context = {
        "title": "Collection",
        "collection": row,
        "form": form,
        "may_change": may_change,
        "entries": entries,
        "older": older,
        "counts": _counts(row),
        "holds": series_in(row).aggregate(objects=Sum("instance_count"), size=Sum("total_size")),
    }
    status = 400 if form and form.errors else 200
    return render(request, "catalogue/collection.html", context, status=status)


@transaction.atomic
def _rename(request: HttpRequest, pk: int) -> CollectionForm:
    """Save what is posted of a collection, if it can be."""
    form = CollectionForm(request.POST, instance=_changed(request, str(pk)))
    if form.is_valid():
        form.save()
    return form


@staff_member_required
@may_keep
@require_POST
def collect(request: HttpRequest) -> HttpResponse:
    """Put patients, studies or series into a collection, which may be a new one."""
    kind, given = request.POST.get("kind", ""), chosen(request)
    if kind not in COLLECTED or not given:
        raise BadRequest
    with transaction.atomic():
        pks = _held(kind, given)
        if not pks:
            messages.error(request, sentence("chosen_gone"))
            return redirect("collection_list")
        if request.POST.get("collection"):
            row = _changed(request, request.POST["collection"])
        else:
            form = CollectionForm({"name": request.POST.get("name", "")})
            if not form.is_valid():
                messages.error(request, sentence("collection_unnamed"))
                return redirect("collection_list")
            row = _made(request, form)
        before = row.entries.count()
        if before + len(pks) > MOST_ENTRIES:
            messages.error(request, sentence("collection_full", limit=f"{MOST_ENTRIES:,}"))
            return redirect("collection", row.pk)
        _put_in(row, kind, pks, request.user.get_username())
        added = row.entries.count() - before
    words = f"{counted(added, *NAMES[kind])} added"
    if there := len(pks) - added:
        words += f"; {counted(there, *NAMES[kind])} of these {'was' if there == 1 else 'were'}"
        words += " in it already"
    if gone := len(given) - len(pks):
        words += f"; {counted(gone, *NAMES[kind])} {'is' if gone == 1 else 'are'} not here any more"
    messages.success(request, f"{words}.")
    return redirect("collection", row.pk)


@staff_member_required
@may_keep
@require_POST
def take_out(request: HttpRequest, pk: int) -> HttpResponse:
    """Take entries out of a collection; what they name stays in the catalogue."""
    with transaction.atomic():
        row = _changed(request, str(pk))
        removed, _ = row.entries.filter(pk__in=chosen(request, "entry")).delete()
        row.save(update_fields=["changed_at"])
    messages.success(request, f"{counted(removed, 'entry', 'entries')} taken out.")
    return redirect("collection", pk)


@staff_member_required
@may_keep
@require_POST
def delete_collection(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a collection; what is in it stays in the catalogue."""
    with transaction.atomic():
        _changed(request, str(pk)).delete()
    messages.success(request, sentence("collection_deleted"))
    return redirect("collection_list")


@staff_member_required
@may_keep
@require_safe
def collection_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The list of a collection as a spreadsheet: its patients, studies and series."""
    row = _seen(request, pk)
    record_export(request.user, "the list of a collection", row)
    return csv_answer(f"collection-{pk}.csv", CSV_HEADINGS, _csv_rows(row))


def series_in(row: Collection) -> QuerySet[DICOMSeries]:
    """The series that a collection names, and those below what it names; each once."""
    return series_of(row.entries.all())


def series_of(entries: QuerySet[CollectionEntry]) -> QuerySet[DICOMSeries]:
    """The series that these entries name, and those below what they name; each once."""
    wanted = Q()
    for kind, above in ABOVE_SERIES.items():
        named = entries.filter(**{f"{kind}__isnull": False}).order_by()
        wanted |= Q(**{f"{above}__in": named.values(kind)})
    return DICOMSeries.objects.filter(wanted)


def own_collections(person: User) -> QuerySet[Collection]:
    """Those that a person can put something into, the last used first."""
    return Collection.objects.filter(owner=person.pk).order_by("-changed_at")[:50]


# --- one collection ----------------------------------------------------------------------------


def _seen(request: HttpRequest, pk: int) -> Collection:
    """One that this reader may see; of others nobody is told that they are there."""
    return get_object_or_404(Collection.objects.seen_by(request.user), pk=pk)


def _changed(request: HttpRequest, pk: str) -> Collection:
    """One that this reader may change, held until the caller's transaction ends."""
    if not is_key(pk):
        raise BadRequest
    row = get_object_or_404(Collection.objects.seen_by(request.user).select_for_update(), pk=pk)
    if not row.may_be_changed_by(request.user):
        raise Http404
    return row


def _made(request: HttpRequest, form: CollectionForm) -> Collection:
    form.instance.owner = request.user
    form.instance.owner_name = request.user.get_username()
    row: Collection = form.save()
    return row


def chosen(request: HttpRequest, of: str = "row") -> set[int]:
    """The posted keys."""
    return {int(one) for one in request.POST.getlist(of)[:MOST_AT_ONCE] if is_key(one)}


def _held(kind: str, pks: set[int]) -> list[int]:
    """Those of these rows that are there, and stay until the caller's transaction ends."""
    rows = COLLECTED[kind]._default_manager.filter(pk__in=pks).order_by("pk")
    lock_patients({*rows.values_list(PATIENT_OF[kind], flat=True)})
    return list(rows.values_list("pk", flat=True))


def _put_in(row: Collection, kind: str, pks: Sequence[int], who: str) -> None:
    entries = (CollectionEntry(collection=row, added_by=who, **{f"{kind}_id": pk}) for pk in pks)
    CollectionEntry.objects.bulk_create(entries, ignore_conflicts=True)
    row.save(update_fields=["changed_at"])


def _page(request: HttpRequest, row: Collection) -> tuple[list[CollectionEntry], int | None]:
    """The newest entries, or those before one; and before which the next page begins."""
    entries = row.entries.select_related(*WITH_PICTURE).order_by("-pk")
    if before := key_in(request.GET, BEFORE):
        entries = entries.filter(pk__lt=before)
    shown = list(entries[: SHOWN + 1])
    return shown[:SHOWN], shown[SHOWN - 1].pk if len(shown) > SHOWN else None


def _counts(row: Collection) -> str:
    counts = row.entries.aggregate(**{kind: Count(kind) for kind in COLLECTED})
    return ", ".join(counted(n, *NAMES[kind]) for kind, n in counts.items() if n)


# --- as a spreadsheet --------------------------------------------------------------------------

CSV_COLLECTION: Cells = {
    "collection": lambda row: row.name,
    "note": lambda row: row.note,
    "owner": lambda row: row.owner_name,
    "shared with all staff": lambda row: "yes" if row.is_shared else "no",
    "patients": lambda row: row.patient_count,
    "studies": lambda row: row.study_count,
    "series": lambda row: row.series_count,
    "made": lambda row: moment(row.created_at),
    "changed": lambda row: moment(row.changed_at),
}
CSV_HEADINGS = (
    *("What", "Patient ID", "Name", "Birth date", "Sex", "Study date", "Study description"),
    *("Accession number", "Study UID", "Modality", "Series number", "Series description"),
    *("Series UID", "Studies", "Series", "Objects", "Images", "Bytes", "Added", "Added by"),
)


def _csv_rows(row: Collection) -> Iterator[Sequence[Cell]]:
    entries = row.entries.select_related(*WITH_PATIENT).order_by("pk")
    for entry in entries.iterator(chunk_size=CHUNK):
        series = entry.series
        study = series.dicom_study if series else entry.study
        patient = study.patient if study else entry.patient
        assert patient
        counted_row: Any = series or study or patient
        yield [
            entry.kind,
            *(patient.unique_patient_id, person_name(patient.patient_name)),
            *(patient.patient_dob, sex_name(patient.patient_sex)),
            *_of_study(study),
            *_of_series(series, study or patient),
            patient.study_count if entry.kind == "patient" else None,
            study.series_count if study and entry.kind == "study" else None,
            *(counted_row.instance_count, counted_row.image_count, counted_row.total_size),
            *(moment(entry.added_at), entry.added_by),
        ]


def _of_study(study: DICOMStudy | None) -> Sequence[Cell]:
    if study is None:
        return [None] * 4
    return [
        *(study.study_date, study.study_description),
        *(study.accession_number, study.study_instance_uid),
    ]


def _of_series(series: DICOMSeries | None, above: DICOMStudy | Patient) -> Sequence[Cell]:
    if series is None:
        return [above.modalities, None, None, None]
    return [
        *(series.modality, series.series_number),
        *(series.series_description, series.series_instance_uid),
    ]


def entries_of(rows: QuerySet[Any], model: type[Model]) -> QuerySet[CollectionEntry]:
    """The entries that name rows of a table: they go with them."""
    field = next(name for name, kind in COLLECTED.items() if kind is model)
    return CollectionEntry.objects.filter(Q(**{f"{field}__in": rows}))
