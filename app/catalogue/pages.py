"""The pages of one patient, one study, one series."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Model, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from app.audit.recording import record_view
from app.models import DICOMInstance, DICOMSeries, DICOMStudy, Patient
from app.needing import needing

from . import below, persons
from .addresses import AFTER, BEFORE
from .collecting import MOST_AT_ONCE, NEEDED
from .comparison import comparison_of
from .completeness import told_of
from .links import used_by
from .origins import member_names, origins_from, origins_of
from .pictured import pictured
from .thumbnails import note_series

STRUCTURE_SETS = "app.view_rtstructuresetinformation"


@staff_member_required
@needing("app.view_patient")
@require_safe
def patient(request: HttpRequest, pk: int) -> HttpResponse:
    """One patient's studies."""
    row = get_object_or_404(Patient, pk=pk)
    record_view(request.user, row)
    context = {"title": "Patient", "patient": row, "delete": _delete_url(request, row)}
    if row.identity_differs or row.identity_answer:
        context["comparison"] = comparison_of(row)
    others = persons.others_of(row)
    if request.user.has_perms(("app.view_dicomstudy", "app.view_dicomseries")):
        context |= {"others": others, "others_studies": persons.studies_of(others)}
        page = below.studies_of(row, request.GET)
        cards = below.cards_of(page.rows)
        note_series(request, (one for card in cards for one in card.marks))
        context |= {"page": page, "cards": cards}
        context |= row.studies.aggregate(series_count=Sum("series_count"))
    if request.user.has_perm("app.view_dicomfile"):
        objects = DICOMInstance.objects.filter(dicom_series__dicom_study__patient=row)
        context["origins"] = origins_of(objects)
    return render(request, "catalogue/patient.html", context)


@staff_member_required
@needing("app.view_dicomstudy")
@require_safe
def study(request: HttpRequest, pk: int) -> HttpResponse:
    """One study's series."""
    rows = DICOMStudy.objects.select_related("patient", "protection")
    row = get_object_or_404(rows, pk=pk)
    record_view(request.user, row)
    context: dict[str, Any] = {"title": "Study", "study": row, "patient": row.patient}
    context["delete"] = _delete_url(request, row)
    if request.user.has_perm("app.view_dicomseries"):
        context |= _series_of(request, row)
    if request.user.has_perm("app.view_dicomfile"):
        context["origins"] = origins_of(DICOMInstance.objects.filter(dicom_series__dicom_study=row))
    return render(request, "catalogue/study.html", context)


def _series_of(request: HttpRequest, study: DICOMStudy) -> dict[str, Any]:
    """What hangs below a study: images, what radiotherapy made of them, other series."""
    page = below.series_of(study, request.GET)
    note_series(request, page.rows)
    may_see = request.user.has_perm(STRUCTURE_SETS)
    uses = used_by([one.pk for one in page.rows]) if may_see else {}
    sets = below.structure_sets_of(study) if may_see else []
    here = below.sorted_out(page.rows, uses)
    planned = below.objects_of(here.radiotherapy)
    return {
        "page": page,
        "may_collect": request.user.has_perms(NEEDED),
        "most_chosen": MOST_AT_ONCE,
        "here": here,
        "used": any(row.used_by for row in here.images),
        "judged": any(row.told.words for row in here.images),
        "sets": sets,
        "missing": None if study.image_count else below.missing_images(sets),
        "planned": planned[: below.LISTED],
        "more_planned": len(planned) > below.LISTED,
    }


@staff_member_required
@needing("app.view_dicomseries")
@require_safe
def series(request: HttpRequest, pk: int) -> HttpResponse:
    """One series' objects."""
    rows = DICOMSeries.objects.select_related("dicom_study__patient", "thumbnail")
    row = get_object_or_404(rows, pk=pk)
    record_view(request.user, row)
    note_series(request, [row])
    geometry, made = below.geometry_of(row), below.made_of(row)
    told = told_of([row])[row.pk]
    context = {
        "title": "Series",
        "series": row,
        "study": row.dicom_study,
        "patient": row.dicom_study.patient,
        "geometry": geometry,
        "made": made,
        "told": told,
        "delete": _delete_url(request, row),
    }
    if request.user.has_perm(STRUCTURE_SETS):
        context["uses"] = used_by([row.pk])[row.pk]
    if request.user.has_perm("app.view_dicominstance"):
        context |= _objects_of(request, row, geometry, told.marks)
        if request.user.has_perm("app.view_patient"):  # pixels may name who they are of
            context["pictured"] = pictured(row, told, request.GET)
    if request.user.has_perm("app.view_dicomfile"):
        context["origins"] = origins_from(made.uploads)
    return render(request, "catalogue/series.html", context)


def _objects_of(
    request: HttpRequest,
    series: DICOMSeries,
    geometry: below.Geometry,
    marks: Mapping[int, str],
) -> dict[str, Any]:
    """The objects of a series, each with what its file is called in its ZIP."""
    found = below.objects_along(series, geometry.normal, request.GET)
    rows = found.page.rows
    names = member_names(rows) if request.user.has_perm("app.view_dicomfile") else {}
    return {
        "page": found.page,
        "objects": [
            (one, found.positions[one.pk], names.get(one.pk, ""), marks.get(one.pk, ""))
            for one in rows
        ],
        "marked": any(one.pk in marks for one in rows),
        "is_open": any(name in request.GET for name in (AFTER, BEFORE, below.AT)),
        "along": any(found.positions[one.pk] is not None for one in rows),
        "framed": any(one.number_of_frames for one in rows),
    }


def _delete_url(request: HttpRequest, row: Model) -> str:
    """Where it is asked before a row is deleted; "" for who may not delete it."""
    if not admin.site.get_model_admin(type(row)).has_delete_permission(request, row):
        return ""
    return reverse(f"admin:app_{row._meta.model_name}_delete", args=[row.pk])
