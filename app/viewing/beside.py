"""Two series of one patient, side by side."""

from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from app.audit.recording import record_view
from app.catalogue.completeness import told_of
from app.catalogue.pictured import pictured
from app.catalogue.thumbnails import note_series
from app.models import DICOMSeries
from app.needing import needing


@staff_member_required
@needing("app.view_dicomseries", "app.view_dicominstance", "app.view_patient")
@require_safe
def beside(request: HttpRequest, pk: int, other: int) -> HttpResponse:
    """The pictures of two series, which are moved together where they lie in one place."""
    rows = DICOMSeries.objects.select_related("dicom_study__patient", "thumbnail")
    one = get_object_or_404(rows, pk=pk)
    patient = one.dicom_study.patient
    pair = [one, get_object_or_404(rows, pk=other, dicom_study__patient=patient)]
    for series in pair:
        record_view(request.user, series)
    note_series(request, pair)
    told = told_of(pair)
    sides: list[dict[str, Any]] = [
        {"series": series, "pictured": pictured(series, told[series.pk], request.GET)}
        for series in pair
    ]
    context = {
        "title": "Two series",
        "patient": patient,
        "series": one,
        "sides": sides,
        "are_pictured": all(side["pictured"].count for side in sides),
    }
    return render(request, "viewing/beside.html", context)
