"""The first page, and the one of the tables behind it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from .health.disks import disks
from .models import DICOMFile, DICOMFileQuerySet
from .uploads import whose
from .uploads.forms import DICOMFileForm
from .uploads.receiving import before_sending
from .uploads.status import UploadState, fresh_states, state_of

SHOWN = 5  # uploads of a kind


@dataclass(frozen=True, slots=True)
class Line:
    """One upload, and where it stands."""

    upload: DICOMFile
    state: UploadState


@staff_member_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What can be done now, what runs, what went wrong, and what came last."""
    context: dict[str, Any] = {"title": "Home"}
    if request.user.has_perm("app.add_dicomfile"):
        context |= {"form": DICOMFileForm(), "limits": before_sending()}
    if request.user.has_perm("app.view_dicomfile"):
        context |= _uploads(request)
    return render(request, "home.html", context)


@staff_member_required
@require_safe
def administration(request: HttpRequest) -> HttpResponse:
    """Every table that this reader may see, as Django lists them."""
    return admin.site.index(request, {"title": "Administration"})


def _uploads(request: HttpRequest) -> dict[str, Any]:
    every = whose.asked_for(request).without_log().select_related("uploaded_by")
    live = every.live().in_turn()
    attention = every.needing_attention()
    running = list(live[:SHOWN])
    return {
        "running": _lines(running, fresh_states(running)),
        "running_count": live.count(),
        "status_url": _asked(running),
        "attention": _newest(attention),
        "attention_count": attention.count(),
        "last": _newest(every),
        "disks": disks(),
        "mine": whose.only_mine(request),
        "whose": whose.choices(request),
    }


def _newest(uploads: DICOMFileQuerySet) -> list[Line]:
    newest = list(uploads[:SHOWN])
    return _lines(newest, [state_of(upload) for upload in newest])


def _lines(uploads: list[DICOMFile], states: list[UploadState]) -> list[Line]:
    return [Line(upload, state) for upload, state in zip(uploads, states, strict=True)]


def _asked(uploads: list[DICOMFile]) -> str:
    query = urlencode({"upload": [upload.pk for upload in uploads]}, doseq=True)
    return f"{reverse('task_status')}?{query}"
