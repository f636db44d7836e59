"""The first page, and the one of the tables behind it."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@staff_member_required
@require_safe
def administration(request: HttpRequest) -> HttpResponse:
    """Every table that this reader may see, as Django lists them."""
    return admin.site.index(request, {"title": "Administration"})
