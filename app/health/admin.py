"""What the nightly check found, in the admin."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from app.catalogue.admin import CatalogueAdmin
from app.models import CatalogueCheck


@admin.register(CatalogueCheck)
class CatalogueCheckAdmin(CatalogueAdmin):
    list_display = ("started_at", "ended_at", "instance_count", "violation_count")
    list_filter = ("started_at",)
    fields = ("started_at", "ended_at", "instance_count", "violation_count", "found")
    readonly_fields = fields

    @admin.display(description="what was found")
    def found(self, check: CatalogueCheck) -> SafeString | str:
        if not check.violations:
            return "Nothing is wrong." if check.ended_at else "The check has not ended."
        return format_html_join("", "<div>{}</div>", ((line,) for line in check.violations))
