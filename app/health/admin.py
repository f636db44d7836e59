"""What the nightly check found, and what Celery ran, in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django_celery_results.admin import GroupResultAdmin, TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult

from app.catalogue.admin import CatalogueAdmin
from app.catalogue.lookups import OfferedLookups
from app.catalogue.searches import PostedSearch
from app.models import CatalogueCheck, Patient
from app.reasons import sentence
from app.uploads import removal
from app.wording import counted, human_size

admin.site.unregister((TaskResult, GroupResult))


@admin.register(CatalogueCheck)
class CatalogueCheckAdmin(CatalogueAdmin):
    above = (Patient,)  # a file without a row may lie in the folder of a patient's ID
    list_display = ("started_at", "ended_at", "instance_count", "violation_count", "older_count")
    list_filter = ("started_at",)
    fields = ("started_at", "ended_at", "instance_count", "violation_count", "found", "older")
    readonly_fields = fields

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"unlisted": unlisted_zips(), **(extra_context or {})}
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


def unlisted_zips() -> str:
    """What to do about kept ZIPs that no upload lists; "" where there are none."""
    count, size = removal.unlisted()
    if not count:
        return ""
    return sentence("unlisted_zips", count=f"{count:,}", size=human_size(size))


@admin.register(TaskResult)
class ICONTaskResultAdmin(PostedSearch, OfferedLookups, TaskResultAdmin):
    pass


@admin.register(GroupResult)
class ICONGroupResultAdmin(PostedSearch, OfferedLookups, GroupResultAdmin):
    pass
