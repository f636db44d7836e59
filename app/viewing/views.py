"""Looking into a filed object."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from app.models import DICOMInstance


@staff_member_required
@permission_required("app.view_dicominstance", raise_exception=True)
@require_safe
def header(request: HttpRequest, pk: int) -> HttpResponse:
    """All attributes of one object."""
    rows = DICOMInstance.objects.select_related("dicom_series__dicom_study__patient")
    row = get_object_or_404(rows, pk=pk)
    patient = row.dicom_series.dicom_study.patient
    context = {"title": "Header", "instance": row, "patient": patient}
    return render(request, "viewing/header.html", context)
