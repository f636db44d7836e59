"""What the nightly check found, and what Celery ran, in the admin."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django_celery_results.admin import GroupResultAdmin, TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult

from app.catalogue.admin import CatalogueAdmin
from app.catalogue.lookups import OfferedLookups
from app.catalogue.searches import PostedSearch
from app.models import CatalogueCheck, Patient
from app.reasons import sentence
from app.wording import counted

admin.site.unregister((TaskResult, GroupResult))


@admin.register(CatalogueCheck)
class CatalogueCheckAdmin(CatalogueAdmin):
    above = (Patient,)  # a file without a row may lie in the folder of a patient's ID
    list_display = ("started_at", "ended_at", "instance_count", "violation_count", "older_count")
    list_filter = ("started_at",)
    fields = ("started_at", "ended_at", "instance_count", "violation_count", "found", "older")
    readonly_fields = fields

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


@admin.register(TaskResult)
class ICONTaskResultAdmin(PostedSearch, OfferedLookups, TaskResultAdmin):
    pass


@admin.register(GroupResult)
class ICONGroupResultAdmin(PostedSearch, OfferedLookups, GroupResultAdmin):
    pass
