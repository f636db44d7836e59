"""The pages of structures: of the whole archive, and of one structure set."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from app.models import RTStructureSetInformation


@staff_member_required
@permission_required("app.view_rtstructureroi", raise_exception=True)
@require_safe
def structure_list(request: HttpRequest) -> HttpResponse:
    """Structures over the whole archive, by their names."""
    return render(request, "rt/structures.html", {"title": "Structures"})


@staff_member_required
@permission_required("app.view_rtstructuresetinformation", raise_exception=True)
@require_safe
def structure_set(request: HttpRequest, pk: int) -> HttpResponse:
    """One structure set and its ROIs."""
    rows = RTStructureSetInformation.objects.select_related(
        "dicom_instance__dicom_series__dicom_study__patient"
    )
    row = get_object_or_404(rows, pk=pk)
    patient = row.dicom_instance.dicom_series.dicom_study.patient
    context = {"title": "Structure set", "structure_set": row, "patient": patient}
    return render(request, "rt/structure_set.html", context)
