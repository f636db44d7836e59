"""The lists of the catalogue's pages: studies and patients."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from app.audit.recording import record_export
from app.models import DICOMStudy, Patient
from app.needing import needing
from app.wording import counted

from .addresses import adding, changing, first_page, without
from .asking import asked_of, chips, found_by
from .cells import BELOW_PATIENT, PATIENT, STUDY_ALONE, Cells, of
from .collecting import MOST_AT_ONCE, NEEDED, chosen
from .completeness import note_incomplete
from .exporting import csv_answer, dated, rows_of
from .filters import (
    ATTENTION,
    FLAG,
    INCOMPLETE,
    OF_SERIES,
    SINCE,
    SLICES,
    UNTIL,
    Filters,
    filters_of,
    may_tell,
    presets,
    values_of_series,
)
from .paging import Order, every, page_of, total_of
from .searches import back_to, is_over
from .thumbnails import note_studies

MODALITIES_SHOWN = 6  # beside each other; the others are folded
SORT = "sort"  # in an address: a key of `sortings`, with "-" turned round


@dataclass(frozen=True, slots=True)
class Sorting:
    """One way to sort a list, and how it and the other way round are said."""

    order: Order
    words: str
    turned_words: str


def by_letters(column: str, what: str) -> Sorting:
    return Sorting(Order(column, is_text=True), f"{what}, A to Z", f"{what}, Z to A")


def by_number(column: str, what: str) -> Sorting:
    return Sorting(Order(column, descending=True), f"{what}, most first", f"{what}, fewest first")


def by_day(column: str, what: str) -> Sorting:
    order = Order(column, descending=True, is_time=True)
    return Sorting(order, f"{what}, newest first", f"{what}, oldest first")


ADDED = Sorting(
    Order("last_added_at", descending=True, is_time=True, by_age=True),
    "added, newest first",
    "added, oldest first",
)
SIZE = Sorting(Order("total_size", descending=True), "size, largest first", "size, smallest first")


@dataclass(frozen=True, slots=True)
class Column:
    heading: str
    name: str  # of its class in the page
    sort: str = ""  # a key of `sortings`; "" where the list is not sorted by it


@dataclass(frozen=True, slots=True)
class Table:
    """What is listed, and how."""

    one: str
    many: str
    csv_name: str  # of the address of its CSV
    rows: QuerySet[Any]
    shown: QuerySet[Any]  # with what a page needs of each row
    day: str  # the column that days are asked of
    day_words: str
    to_patient: str  # the way to a patient's columns
    from_series: str  # the way from a series to its row
    columns: tuple[Column, ...]
    sortings: Mapping[str, Sorting]  # the first unless another is asked for
    cells: Cells  # of a CSV
    patient_cells: Cells

    @property
    def first_sort(self) -> str:
        return next(iter(self.sortings))


STUDIES = Table(
    one="study",
    many="studies",
    csv_name="study_csv",
    rows=DICOMStudy.objects.all(),
    shown=DICOMStudy.objects.select_related("patient", "protection"),
    day="study_date",
    day_words="study date",
    to_patient="patient__",
    from_series="dicom_study",
    columns=(
        Column("Patient", "patient", "patient"),
        Column("Study", "study", "date"),
        Column("Modalities", "modalities"),
        Column("Series", "series", "series"),
        Column("Images", "images", "images"),
        Column("Size", "size", "size"),
        Column("Note", "note"),
        Column("Added", "added", "added"),
    ),
    sortings={
        "added": ADDED,
        "date": by_day("study_date", "study date"),
        "patient": by_letters("patient__patient_name", "name of the patient"),
        "series": by_number("series_count", "series"),
        "images": by_number("image_count", "images"),
        "size": SIZE,
    },
    patient_cells=of("patient", PATIENT),
    cells=STUDY_ALONE,
)

PATIENTS = Table(
    one="patient",
    many="patients",
    csv_name="patient_csv",
    rows=Patient.objects.all(),
    shown=Patient.objects.all(),
    day="last_study_date",
    day_words="last study",
    to_patient="",
    from_series="dicom_study__patient",
    columns=(
        Column("Name", "name", "name"),
        Column("ID", "id", "id"),
        Column("Born", "born", "born"),
        Column("Sex", "sex"),
        Column("Studies", "studies", "studies"),
        Column("Last study", "last", "date"),
        Column("Modalities", "modalities"),
        Column("Size", "size", "size"),
        Column("Note", "note"),
    ),
    sortings={
        "added": ADDED,
        "date": by_day("last_study_date", "last study"),
        "name": by_letters("patient_name", "name"),
        "id": by_letters("unique_patient_id", "ID"),
        "born": Sorting(
            Order("patient_dob", descending=True), "born, youngest first", "born, oldest first"
        ),
        "studies": by_number("study_count", "studies"),
        "size": SIZE,
    },
    patient_cells=PATIENT,
    cells=BELOW_PATIENT,
)


@staff_member_required
@needing("app.view_dicomstudy")
@require_safe
def study_list(request: HttpRequest) -> HttpResponse:
    """The studies that the address asks for, what was added last first."""
    return _page(request, STUDIES, "catalogue/studies.html", note_incomplete)


@staff_member_required
@needing("app.view_patient")
@require_safe
def patient_list(request: HttpRequest) -> HttpResponse:
    """The patients that the address asks for, to whom something was added last first."""
    return _page(request, PATIENTS, "catalogue/patients.html")


@staff_member_required
@needing("app.view_dicomstudy")
@require_http_methods(["GET", "HEAD", "POST"])
def study_csv(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """All studies that the address asks for, or those whose keys are posted, as CSV."""
    return _csv(request, STUDIES)


@staff_member_required
@needing("app.view_patient")
@require_http_methods(["GET", "HEAD", "POST"])
def patient_csv(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """All patients that the address asks for, or those whose keys are posted, as CSV."""
    return _csv(request, PATIENTS)


def _page(
    request: HttpRequest,
    table: Table,
    template: str,
    note: Callable[[list[Any]], None] | None = None,
) -> HttpResponse:
    filters = filters_of(request)
    rows = _found(request, table, filters)
    sorting = _Sorted.of(request, table)
    total = total_of(rows)
    page = page_of(rows, sorting.order, request.GET, table.shown)
    if note and may_tell(request):
        note(page.rows)
    if table is STUDIES:
        note_studies(request, page.rows)
    asked = [*chips(request), *filters.chips(request, table.day_words)]
    context = {
        "title": table.many.capitalize(),
        "table": table,
        "may_collect": request.user.has_perms(NEEDED),
        "most_chosen": MOST_AT_ONCE,
        "total_words": total.words(table.one, table.many),
        "is_empty": not (total.number or asked),
        "page": page,
        "chips": asked,
        "all_query": _all(request),
        "csv_name": table.csv_name,
        "csv_query": first_page(request.GET).urlencode(),
        "headings": list(sorting.headings()),
        "sortings": list(sorting.ways()),
        "sorted_words": sorting.words,
        "filters": filters,
        "attention_query": _attention(request, filters),
        "incomplete_query": _incomplete(request, filters),
        "modalities": _modalities(request, rows),
        "presets": presets(request, timezone.localdate()),
        "kept": _besides(request, SINCE, UNTIL),
        "of_series": values_of_series(request, filters),
        "kept_besides_series": _besides(request, *(one.name for one in OF_SERIES)),
    }
    return render(request, template, context)


def _found(request: HttpRequest, table: Table, filters: Filters) -> QuerySet[Any]:
    rows = found_by(request, table.rows.all())
    return filters.narrow(rows, table.day, table.to_patient, table.from_series)


def _all(request: HttpRequest) -> str:
    """The query of the address that asks for nothing, but sorted alike."""
    sort = request.GET.get(SORT, "")
    return f"{SORT}={sort}" if sort.replace("-", "").isalpha() else ""


def _attention(request: HttpRequest, filters: Filters) -> str | None:
    """The query that asks for what needs attention, or no longer; None for who may not see it."""
    if not request.user.has_perm("app.view_patient"):
        return None
    return changing(request.GET, **{FLAG: "" if filters.attention else ATTENTION})


def _incomplete(request: HttpRequest, filters: Filters) -> str | None:
    """The query that asks for what has incomplete series, or no longer; None for who may not."""
    if not may_tell(request):
        return None
    return changing(request.GET, **{SLICES: "" if filters.incomplete else INCOMPLETE})


def _besides(request: HttpRequest, *fields: str) -> list[tuple[str, str]]:
    """What a form with these fields passes on of the address."""
    address = first_page(request.GET)
    pairs = ((name, value) for name, values in address.lists() for value in values)
    return [(name, value) for name, value in pairs if name not in fields]


# --- modalities ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A modality, how many rows have it among those that are found, and who asks for it."""

    name: str
    count: int
    query: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Choices:
    first: list[Choice]
    others: list[Choice]


def _modalities(request: HttpRequest, rows: QuerySet[Any]) -> Choices:
    counts: Counter[str] = Counter()
    for together, count in rows.order_by().values_list("modalities").annotate(count=Count("*")):
        for one in filter(None, together.split(", ")):
            counts[one] += count
    chosen = asked_of(request).modalities
    counts.update(dict.fromkeys(chosen, 0))
    most = sorted(counts, key=lambda one: (one not in chosen, -counts[one], one))
    every = [_choice(request, one, counts[one], one in chosen) for one in most]
    return Choices(every[:MODALITIES_SHOWN], every[MODALITIES_SHOWN:])


def _choice(request: HttpRequest, name: str, count: int, is_on: bool) -> Choice:
    turned = without if is_on else adding
    return Choice(name, count, turned(request.GET, "modality", name), is_on)


# --- sorting ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heading:
    column: Column
    query: str | None  # that sorts by it; None where nothing does
    aria_sort: str  # "" where the list is sorted by another


@dataclass(frozen=True, slots=True)
class Way:
    """To sort the list."""

    words: str
    query: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class _Sorted:
    request: HttpRequest
    table: Table
    key: str
    is_turned: bool

    @classmethod
    def of(cls, request: HttpRequest, table: Table) -> "_Sorted":
        asked = request.GET.get(SORT, "")
        key = asked.removeprefix("-")
        if key not in table.sortings or not _may_sort(request, key):
            return cls(request, table, table.first_sort, False)
        return cls(request, table, key, asked.startswith("-"))

    @property
    def order(self) -> Order:
        order = self.table.sortings[self.key].order
        return order.turned() if self.is_turned else order

    @property
    def words(self) -> str:
        sorting = self.table.sortings[self.key]
        return sorting.turned_words if self.is_turned else sorting.words

    def ways(self) -> Iterator[Way]:
        for key, sorting in self.table.sortings.items():
            if _may_sort(self.request, key):
                is_on = key == self.key
                yield Way(sorting.words, self._query(key, False), is_on and not self.is_turned)
                yield Way(sorting.turned_words, self._query(key, True), is_on and self.is_turned)

    def headings(self) -> Iterator[Heading]:
        for column in self.table.columns:
            if not _may_sort(self.request, column.name):
                continue
            is_on = column.sort == self.key
            query = self._query(column.sort, is_on and not self.is_turned) if column.sort else None
            direction = "descending" if self.order.descending else "ascending"
            yield Heading(column, query, direction if is_on else "")

    def _query(self, key: str, is_turned: bool) -> str:
        value = f"-{key}" if is_turned else key
        return changing(self.request.GET, **{SORT: "" if value == self.table.first_sort else value})


def _may_sort(request: HttpRequest, name: str) -> bool:
    """Whether somebody may see what a column shows, and so the order that it gives."""
    return name != "patient" or bool(request.user.has_perm("app.view_patient"))


# --- CSV -------------------------------------------------------------------------------------


def _asked_for(request: HttpRequest, table: Table) -> QuerySet[Any]:
    """What the address asks for, which is written down."""
    filters = filters_of(request)
    asked = [*chips(request), *filters.chips(request, table.day_words)]
    record_export(request.user, f"the list of {table.many}", filters=len(asked))
    return _found(request, table, filters)


def _chosen(request: HttpRequest, table: Table) -> QuerySet[Any]:
    """The rows whose keys are posted, which is written down."""
    pks = chosen(request)
    record_export(request.user, f"{counted(len(pks), table.one, table.many)} of their list")
    return table.rows.filter(pk__in=pks)


def _csv(request: HttpRequest, table: Table) -> HttpResponse | StreamingHttpResponse:
    if request.method != "POST" and is_over(request):
        return back_to(f"{table.one}_list", request)
    rows = _chosen(request, table) if request.method == "POST" else _asked_for(request, table)
    knows_patients = request.user.has_perm("app.view_patient")
    cells = {**(table.patient_cells if knows_patients else {}), **table.cells}
    found = every(rows, _Sorted.of(request, table).order, table.shown)
    return csv_answer(dated(table.many), cells, rows_of(cells, found))
