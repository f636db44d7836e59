"""Lists as CSV: the answer that is sent row by row, and how each list of the admin has its own."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from app.audit.recording import record_export
from app.spreadsheets import Cell, csv_lines

from .cells import Cells
from .paging import Order, every
from .searches import back_to, is_over, keys_of

AT_ONCE = 500  # rows
LONG = ("described", "search_text")
NO_FILTERS = (ALL_VAR, ORDER_VAR, PAGE_VAR)  # in the address of an admin's list


def csv_answer(
    name: str, headings: Iterable[str], rows: Iterable[Sequence[Cell]]
) -> StreamingHttpResponse:
    """A file of CSV, called `name`, which is made while it is sent.

    A name tells nothing of a patient or of what was asked for: files lie about in folders.
    """
    lines = csv_lines(headings, rows)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def rows_of(cells: Cells, rows: Iterable[Any]) -> Iterator[list[Cell]]:
    return ([cell(row) for cell in cells.values()] for row in rows)


def dated(name: str) -> str:
    """The file's name for the list of `name`, as it is today."""
    return f"{name}-{timezone.localdate()}.csv"


class ExportedList:
    """For a ModelAdmin, in front of it: its list as CSV, as far as its address narrows it.

    `csv_cells` are the columns, `csv_related` what they need beside what the list needs, and
    `csv_without` columns of these that are long, and are not read.
    """

    csv_cells: Cells = {}
    csv_related: tuple[str, ...] = ()
    csv_without: tuple[str, ...] = ()

    def get_csv_cells(self, request: HttpRequest) -> Cells:
        return self.csv_cells

    def get_urls(self: Any) -> list[Any]:
        view = self.admin_site.admin_view(require_safe(self.csv_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_csv"
        return [path("list.csv", view, name=name), *super().get_urls()]  # type: ignore[misc]

    def changelist_view(
        self: Any, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_csv")
        context = {"csv_address": address, **(extra_context or {})}
        return super().changelist_view(request, context)  # type: ignore[misc,no-any-return]

    def csv_view(self: Any, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """What the list shows, all of it, as CSV; nothing where its search is over."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if is_over(request):
            page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return back_to(page, request)
        try:
            changes: ChangeList = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            raise BadRequest from None
        shown = self.get_queryset(request).order_by()
        if not shown.query.select_related:
            shown = changes.apply_select_related(shown)
        shown = shown.select_related(*self.csv_related) if self.csv_related else shown
        shown = shown.defer(*self.csv_without, *_long_columns(shown))
        many = str(self.opts.verbose_name_plural)
        filters = [one for one, value in request.GET.items() if value and one not in NO_FILTERS]
        record_export(request.user, f"the list of {many}", filters=len(filters))
        cells = self.get_csv_cells(request)
        return csv_answer(dated(slugify(many)), cells, rows_of(cells, _every(changes, shown)))


def _every(changes: ChangeList, shown: QuerySet[Any]) -> Iterator[Any]:
    """All rows of a list in its order, some at a time: nothing is held open while they are sent."""
    rows = changes.queryset
    order = {*rows.query.order_by}
    if order in ({"pk"}, {"-pk"}) and not changes.query:
        yield from every(rows, Order("pk", descending=order == {"-pk"}), shown)
        return
    # A search, or a sorting, costs as much for some rows as for all.
    pks = keys_of(rows)
    for start in range(0, len(pks), AT_ONCE):
        some = pks[start : start + AT_ONCE]
        found = shown.in_bulk(some)
        yield from (found[pk] for pk in some if pk in found)


def _long_columns(rows: QuerySet[Any]) -> list[str]:
    """The columns of a table, and of what comes with its rows, that no list shows."""
    related = rows.query.select_related
    return [*_long_of(rows.model, related if isinstance(related, dict) else {})]


def _long_of(model: Any, related: dict[str, Any], way: str = "") -> Iterator[str]:
    own = {field.name for field in model._meta.concrete_fields}
    yield from (f"{way}{name}" for name in LONG if name in own)
    for name, further in related.items():
        yield from _long_of(model._meta.get_field(name).related_model, further, f"{way}{name}__")
