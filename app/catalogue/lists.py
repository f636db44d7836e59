"""The lists of the catalogue's pages: studies and patients."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@staff_member_required
@permission_required("app.view_dicomstudy", raise_exception=True)
@require_safe
def study_list(request: HttpRequest) -> HttpResponse:
    """Every study, the newest first."""
    return render(request, "catalogue/studies.html", {"title": "Studies"})


@staff_member_required
@permission_required("app.view_patient", raise_exception=True)
@require_safe
def patient_list(request: HttpRequest) -> HttpResponse:
    """Every patient, the newest first."""
    return render(request, "catalogue/patients.html", {"title": "Patients"})
