"""Everything under /dicom/ is the app's; `/` leads to the admin."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from app.accounts.passwords import change_password
from app.health.views import healthz, readyz
from app.home import administration, home

handler403 = "app.accounts.refusals.not_allowed"
handler500 = "app.health.views.failed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", RedirectView.as_view(url=static("app/icon.svg"))),
    path("healthz", healthz),
    path("readyz", readyz),
    path("admin/", home),
    path("admin/administration/", administration, name="administration"),
    path("admin/password_change/", change_password),  # before the admin's own
    path("admin/", admin.site.urls),
    path("dicom/", include("app.urls")),
]
