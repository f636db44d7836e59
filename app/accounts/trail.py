"""The audit trail in the admin: to read, for who may."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from app.catalogue.admin import local_time
from app.catalogue.cells import moment
from app.catalogue.exporting import ExportedList
from app.catalogue.lookups import OfferedLookups
from app.models import AuditEntry, Kind


class KindFilter(admin.SimpleListFilter):
    title = "what"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return sorted(Kind.choices, key=lambda choice: str(choice[1]))

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class WhoFilter(admin.SimpleListFilter):
    """By the account's number: it stays when the account is called otherwise, or is gone."""

    title = "who"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        entries = AuditEntry.objects.filter(who_id__isnull=False).order_by()
        last = entries.values("who_id").annotate(last=Max("pk")).values("last")
        people = AuditEntry.objects.filter(pk__in=last).values_list("who_id", "who")
        return sorted(((str(pk), name) for pk, name in people), key=lambda one: one[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> Any:
        offered = {pk for pk, _ in self.lookup_choices}
        return queryset.filter(who_id=self.value()) if self.value() in offered else queryset


class Trail(ChangeList):
    """A page of the list, whose entries know which of their things are still there."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        know_what_is_left(self.result_list)


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportedList, OfferedLookups, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("when", "by", "what", "on", "words")
    list_display_links = None
    list_filter = (KindFilter, WhoFilter, "at")
    linked = ("table__exact", "row__exact")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    fields = ("when", "by", "what", "on", "words")
    readonly_fields = fields
    csv_cells = {
        "when": lambda entry: moment(entry.at),
        "who": lambda entry: _who(entry),
        "what": lambda entry: entry.kind_label,
        "on what": lambda entry: "" if entry.row is None else _name(entry),
        "words": lambda entry: entry.words,
    }

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Trail

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Audit trail", **(extra_context or {})})

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404  # an entry has none

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    @admin.display(description="when")
    def when(self, entry: AuditEntry) -> str:
        return local_time(entry.at)

    @admin.display(description="who")
    def by(self, entry: AuditEntry) -> SafeString | str:
        return format_html("<bdi>{}</bdi>", who) if (who := _who(entry)) else "-"

    @admin.display(description="what")
    def what(self, entry: AuditEntry) -> str:
        return entry.kind_label

    @admin.display(description="on what")
    def on(self, entry: AuditEntry) -> SafeString | str:
        if entry.row is None:
            return "-"
        if getattr(entry, "is_left", False) and (url := _address(entry)):
            return format_html('<a href="{}">{}</a>', url, _name(entry))
        return _name(entry)


def _who(entry: AuditEntry) -> str:
    """Who did it; "" where nobody known."""
    if entry.who_id is None:
        return "" if entry.kind == Kind.SIGN_IN_FAILED else "ICON"
    return entry.who


def know_what_is_left(entries: Iterable[AuditEntry]) -> None:
    """Tell entries whether their things are still there, with one query for each table."""
    entries = [entry for entry in entries if entry.row is not None]
    left = {
        table: set(
            apps.get_model(table)
            ._default_manager.filter(pk__in={one.row for one in entries if one.table == table})
            .values_list("pk", flat=True)
        )
        for table in {entry.table for entry in entries}
        if _is_known(table)
    }
    for entry in entries:
        entry.is_left = entry.row in left.get(entry.table, ())  # type: ignore[attr-defined]


def _is_known(table: str) -> bool:
    """Whether this version of ICON still has the table."""
    try:
        apps.get_model(table)
    except (LookupError, ValueError):
        return False
    return True


def _address(entry: AuditEntry) -> str:
    try:
        return reverse(f"admin:{entry.table.replace('.', '_')}_change", args=[entry.row])
    except NoReverseMatch:
        return ""


def _name(entry: AuditEntry) -> str:
    if not _is_known(entry.table):
        return f"{entry.table} {entry.row}"
    return f"{capfirst(str(apps.get_model(entry.table)._meta.verbose_name))} {entry.row}"
