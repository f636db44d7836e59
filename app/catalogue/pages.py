"""The pages of one patient, one study, one series."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from app.models import DICOMSeries, DICOMStudy, Patient


@staff_member_required
@permission_required("app.view_patient", raise_exception=True)
@require_safe
def patient(request: HttpRequest, pk: int) -> HttpResponse:
    """One patient's studies."""
    row = get_object_or_404(Patient, pk=pk)
    return render(request, "catalogue/patient.html", {"title": "Patient", "patient": row})


@staff_member_required
@permission_required("app.view_dicomstudy", raise_exception=True)
@require_safe
def study(request: HttpRequest, pk: int) -> HttpResponse:
    """One study's series."""
    row = get_object_or_404(DICOMStudy.objects.select_related("patient"), pk=pk)
    context = {"title": "Study", "study": row, "patient": row.patient}
    return render(request, "catalogue/study.html", context)


@staff_member_required
@permission_required("app.view_dicomseries", raise_exception=True)
@require_safe
def series(request: HttpRequest, pk: int) -> HttpResponse:
    """One series' objects."""
    rows = DICOMSeries.objects.select_related("dicom_study__patient")
    row = get_object_or_404(rows, pk=pk)
    context = {"title": "Series", "series": row, "patient": row.dicom_study.patient}
    return render(request, "catalogue/series.html", context)
