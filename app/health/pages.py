"""Catalogue health: what the last check found, a check that is asked for, what fills the disks.

Each figure is a column of one row, or a sum over a table that is small however many objects there
are.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from django.contrib.admin.views.decorators import staff_member_required
from django.db import transaction
from django.db.models import Count, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from app.audit.recording import record
from app.catalogue import trash_pages
from app.models import (
    CatalogueCheck,
    DerivedCount,
    DICOMFile,
    DICOMInstance,
    Kind,
    Patient,
    VolumeOfDay,
)
from app.needing import needing
from app.reasons import sentence
from app.telling.sending import troubles
from app.uploads import volumes
from app.wording import counted

from . import nightly
from .derived import KINDS
from .disks import disks, unlisted_words
from .progress import state_of

LARGEST = 10  # patients
DAYS = 30  # of which it is shown how much came
BAR, HEIGHT = 10, 60  # of the chart: how wide a day is, and how high the highest
VIOLATIONS = 20  # that are shown at once
LOOKED_AT = 10_000  # objects, of which it is seen whether an older version read them

# What is found names files, and thereby patients.
may_look = needing("app.view_cataloguecheck", "app.view_patient")


@staff_member_required
@may_look
@require_safe
def catalogue_health(request: HttpRequest) -> HttpResponse:
    check = CatalogueCheck.objects.first()
    ended = CatalogueCheck.objects.filter(ended_at__isnull=False).first()
    violations = ended.violations if ended else []
    older = _older(ended)
    days = volumes.last_days(timezone.localdate(), DAYS)
    context: dict[str, Any] = {
        "title": "Catalogue health",
        **_derived(),
        "days": days,
        "bars": bars(days),
        "chart_width": BAR * len(days),
        "check": check,
        "state": state_of(check),
        "ended": ended,
        "first": violations[:VIOLATIONS],
        "more": violations[VIOLATIONS:],
        "disks": disks(),
        "largest": Patient.objects.filter(total_size__gt=0).order_by("-total_size", "pk")[:LARGEST],
        "kept": _kept(),
        "trash": trash_pages.whole(),
        "mending": sentence("mend_violations"),
        "unlisted_words": unlisted_words(),
        "troubles": troubles(),
        "older": older,
        "older_words": sentence("read_by_older", objects=counted(older, "object")),
    }
    return render(request, "health/catalogue_health.html", context)


@staff_member_required
@may_look
@require_safe
def check_status(request: HttpRequest) -> JsonResponse:
    return JsonResponse(asdict(state_of(CatalogueCheck.objects.first())))


@staff_member_required
@may_look
@require_POST
def check_catalogue(request: HttpRequest) -> HttpResponse:
    """Begin a check, or go on with one that was stopped; a worker is at it within seconds."""
    with transaction.atomic():
        before = state_of(CatalogueCheck.objects.first())
        pk = nightly.begin()
        if not before.live:
            record(Kind.CHECK_ASKED, request.user, CatalogueCheck(pk=pk))
    return redirect("catalogue_health")


@staff_member_required
@may_look
@require_POST
def stop_check(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        stopped = nightly.stop()
        if stopped:
            record(Kind.CHECK_STOPPED, request.user, stopped)
    return redirect("catalogue_health")


def _derived() -> dict[str, Any]:
    """Of each kind what was counted of it last, and since when all of that is so."""
    counts = DerivedCount.objects.in_bulk()
    return {
        "derived": [(kind.words, counts.get(kind.name)) for kind in KINDS],
        "derived_at": min((one.counted_at for one in counts.values()), default=None),
    }


def _kept() -> dict[str, int]:
    """How many kept ZIPs uploads list, and their bytes."""
    listed = DICOMFile.objects.exclude(file="").order_by()
    return listed.aggregate(number=Count("pk"), size=Coalesce(Sum("size"), 0))


def _older(ended: CatalogueCheck | None) -> int:
    """Objects that an older version read: as the last check counted, or of the first ones."""
    first = DICOMInstance.objects.order_by("pk").values("pk")[:LOOKED_AT]
    of_first = DICOMInstance.objects.read_by_older().filter(pk__in=first).count()
    return max(ended.older_count if ended and of_first else 0, of_first)


class Bar(NamedTuple):
    """One day in the chart: where it stands, and how high it is for what came."""

    x: int
    files: int
    instances: int

    @property
    def files_y(self) -> int:
        return HEIGHT + 1 - self.files

    @property
    def instances_y(self) -> int:
        return HEIGHT + 1 - self.instances


def bars(days: Sequence[VolumeOfDay]) -> list[Bar]:
    """The days of which anything came, against the highest."""
    most = max((day.files for day in days), default=0)
    return [
        Bar(at * BAR, _high(day.files, most), _high(day.instances, most))
        for at, day in enumerate(days)
        if day.files
    ]


def _high(number: int, most: int) -> int:
    """At least a line where there is anything."""
    return max(round(HEIGHT * min(number, most) / most), 1) if number else 0
