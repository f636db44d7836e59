"""The list of series that are incomplete: what is missing, and the way to the place."""

from typing import NamedTuple

from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from app.models import DICOMSeries, SeriesCompleteness
from app.needing import needing
from app.reasons import sentence

from . import collecting
from .completeness import Told, incomplete, told_of_row
from .paging import ROWS, Order, page_of, total_of

NEEDED = ("app.view_dicomseries", "app.view_dicomstudy")
NEWEST_FIRST = Order("pk", descending=True, is_time=True)


class Line(NamedTuple):
    series: DICOMSeries
    told: Told


def listed() -> QuerySet[SeriesCompleteness]:
    """The rows of the list, with what is over them."""
    return incomplete().select_related("series__dicom_study__patient")


@staff_member_required
@needing(*NEEDED)
@require_safe
def incomplete_list(request: HttpRequest) -> HttpResponse:
    """The incomplete series, those first that came here last."""
    rows = incomplete()
    page = page_of(rows, NEWEST_FIRST, request.GET, listed(), ROWS)
    context = {
        "title": "Incomplete series",
        "total_words": total_of(rows).words("series", "series"),
        "page": page,
        "may_collect": request.user.has_perms(collecting.NEEDED),
        "most_chosen": collecting.MOST_AT_ONCE,
        "none": sentence("no_incomplete_series"),
        "lines": [Line(row.series, told_of_row(row)) for row in page.rows],
    }
    return render(request, "catalogue/incomplete.html", context)
