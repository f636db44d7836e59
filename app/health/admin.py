"""What the nightly check found, and what Celery ran, in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django_celery_results.admin import GroupResultAdmin, TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult

from app.catalogue.admin import CatalogueAdmin
from app.catalogue.cells import moment
from app.catalogue.exporting import ExportedList
from app.catalogue.lookups import OfferedLookups
from app.catalogue.searches import PostedSearch
from app.models import CatalogueCheck, Patient
from app.reasons import sentence
from app.wording import counted

from .disks import unlisted_words

SWEEP = "app.tasks.sweep"

admin.site.unregister((TaskResult, GroupResult))


@admin.register(CatalogueCheck)
class CatalogueCheckAdmin(CatalogueAdmin):
    above = (Patient,)  # a file without a row may lie in the folder of a patient's ID
    list_display = ("started_at", "ended_at", "instance_count", "violation_count", "older_count")
    list_filter = ("started_at",)
    fields = ("started_at", "ended_at", "instance_count", "violation_count", "found", "older")
    readonly_fields = fields
    csv_cells = {
        "started": lambda check: moment(check.started_at),
        "ended": lambda check: moment(check.ended_at),
        "instances": lambda check: check.instance_count,
        "wrong": lambda check: check.violation_count,
        "read by an older version": lambda check: check.older_count,
        "what was found": lambda check: " ".join(check.violations),
    }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"unlisted": unlisted_words(), **(extra_context or {})}
        )

    @admin.display(description="what was found")
    def found(self, check: CatalogueCheck) -> SafeString | str:
        if not check.violations:
            return "Nothing is wrong." if check.ended_at else "The check has not ended."
        return format_html_join("", "<div>{}</div>", ((line,) for line in check.violations))

    @admin.display(description="read by an older version")
    def older(self, check: CatalogueCheck) -> str:
        if not check.older_count:
            return "Nothing."
        return sentence("read_by_older", objects=counted(check.older_count, "object"))


class ReadOnlyResults(ExportedList, PostedSearch, OfferedLookups, admin.ModelAdmin):  # type: ignore[type-arg]
    """What Celery keeps of its tasks: to look at."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404  # nobody types in it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TaskResult)
class ICONTaskResultAdmin(ReadOnlyResults, TaskResultAdmin):
    csv_cells = {
        "task": lambda task: task.task_name,
        "ID": lambda task: task.task_id,
        "status": lambda task: task.status.capitalize(),
        "worker": lambda task: task.worker,
        "created": lambda task: moment(task.date_created),
        "done": lambda task: moment(task.date_done),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskResult]:
        """Without the sweep, which runs each minute and leaves nothing to read."""
        return super().get_queryset(request).exclude(task_name=SWEEP)


@admin.register(GroupResult)
class ICONGroupResultAdmin(ReadOnlyResults, GroupResultAdmin):
    csv_cells = {
        "ID": lambda group: group.group_id,
        "created": lambda group: moment(group.date_created),
        "done": lambda group: moment(group.date_done),
    }
