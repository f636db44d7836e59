"""The pages of structures: of the whole archive, of one structure set, of one structure."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from app.audit.recording import record_export, record_search, record_view
from app.catalogue import asking, near
from app.catalogue.addresses import key_in
from app.catalogue.cells import PATIENT, SET_UIDS, STRUCTURE, STRUCTURE_SET, STUDY, Cells, of, same
from app.catalogue.exporting import csv_answer, dated, rows_of
from app.catalogue.names import approval_name
from app.catalogue.searches import back_to, is_over
from app.models import RTStructureROI, RTStructureSetInformation
from app.needing import needing
from app.wording import counted

from . import finding, names, searching, sets
from .finding import TO_PATIENT, Found, places_of, with_sets
from .images import MOST, drawn, images, images_here
from .searching import Search, search_of, understood

FREQUENT = 24  # names that are offered before a search
ROIS = 500  # of a structure set, on one page
IMAGES = 100  # of a structure, on one page
MAY_SEE = "app.view_rtstructureroi"
SEES_PICTURES = ("app.view_dicominstance", "app.view_patient")  # pixels may name who they are of
MAY_SEE_SET = "app.view_rtstructuresetinformation"


@staff_member_required
@needing(MAY_SEE)
@require_http_methods(["GET", "HEAD", "POST"])
def structure_list(request: HttpRequest) -> HttpResponse:
    """Structures over the whole archive, by their names; before a search, the names there are."""
    if request.method == "POST":
        asked = understood(request.POST.get("q", ""))
        record_search(request.user, f"structures, by {asked.kinds}")
        return redirect(
            f"{reverse('structure_list')}?{asking.address_for(request, asked)}".rstrip("?")
        )
    search = search_of(request)
    context = {"title": "Structures", "search": search}
    context |= _results(request, search) if search.is_one else _offers()
    return render(request, "rt/structures.html", context)


def _offers() -> dict[str, Any]:
    frequent = names.frequent(FREQUENT)
    return {"frequent": frequent, "examples": names.examples(frequent)}


def _results(request: HttpRequest, search: Search) -> dict[str, Any]:
    everything = Found(search.found)
    found = everything.narrowed(search.narrowed)
    page = found.page(request.GET)
    is_unknown = search.asked.words and not everything.read
    return {
        "found": found,
        "everything": everything,
        "count_words": _count_words(found),
        "chips": searching.chips(search, everything),
        "page": page,
        "structures": with_sets(page.rows),
        "understood": asking.chips(request) if search.asked.others else [],
        "near": near.names(request, search.asked, [near.STRUCTURES]) if is_unknown else [],
    }


def _count_words(found: Found) -> str:
    """ "21 structures of 19 patients in 20 sets"; of very many, only that they are."""
    words = found.total.words("structure", "structures")
    if found.total.is_more:
        return words
    patients, in_sets = counted(found.patients(), "patient"), counted(len(found.sets), "set")
    return f"{words} of {patients} in {in_sets}"


@staff_member_required
@needing(MAY_SEE)
@require_safe
def structure_csv(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """All that a search has found as CSV, row by row, and never the contours."""
    if is_over(request):  # a name that stands beside it would be all that is asked for
        return back_to("structure_list", request)
    search = search_of(request)
    if not search.is_one:
        return redirect("structure_list")
    record_export(request.user, "the list of structures", filters=search.filters)
    cells = {**CSV_STRUCTURE}
    if request.user.has_perm(MAY_SEE_SET):
        cells |= CSV_SET
    if request.user.has_perms(("app.view_patient", "app.view_dicomstudy")):
        cells |= CSV_PATIENT
    return csv_answer(dated("structures"), cells, rows_of(cells, finding.every(search.rows())))


CSV_STRUCTURE: Cells = {**of("roi", STRUCTURE), "slices": lambda one: one.slices}
CSV_SET: Cells = {
    **of("structure_set", STRUCTURE_SET),
    "images named": lambda one: one.images.images,
    "images here": lambda one: one.images.here,
    **of("structure_set", SET_UIDS),
}
# Of these no more than `finding.ABOVE` reads.
CSV_PATIENT: Cells = {
    **of("patient", {name: PATIENT[name] for name in ("patient ID", "patient name")}),
    **of("study", {name: STUDY[name] for name in STUDY if name != "accession number"}),
}
CSV_LINE: Cells = {
    **of("roi", STRUCTURE),
    "slices": lambda line: line.slices,
    "colour (red, green, blue)": lambda line: line.roi.rgb,
    "state": lambda line: line.state,
}


@staff_member_required
@needing(MAY_SEE_SET)
@require_safe
def structure_set(request: HttpRequest, pk: int) -> HttpResponse:
    """One structure set and its structures."""
    context = {"title": "Structure set", **_above(pk)}
    row = context["structure_set"]
    record_view(request.user, row)
    context["approval"] = approval_name(row.approval_status)
    context["drawn_on"] = sets.drawn_on(row)
    if request.user.has_perm(MAY_SEE):
        marked = key_in(request.GET, "roi")
        page = _page_with(sets.rois_of(row), marked, request.GET.get("page"))
        lines = sets.lines_of(row, page.object_list)
        context |= {"page": page, "lines": lines, "marked": marked}
        if request.user.has_perms(SEES_PICTURES):
            context["picture"] = _picture(row, context["drawn_on"])
        context["empty_count"] = sets.rois_of(row).filter(contour_count=0).count()
    return render(request, "rt/structure_set.html", context)


def _picture(row: RTStructureSetInformation, on: sets.DrawnOn) -> dict[str, Any]:
    """What the page's script is told: the series that has most of the images, if any is here."""
    series = next((one.series for one in on.series if one.series.image_count), None)
    if series is None:
        return {"series": None}
    changes = f"?changes={series.changes}"
    return {
        "series": series,
        "contours": reverse("series_contours", args=[series.pk, row.dicom_instance_id]) + changes,
        "pictures": reverse("series_pictures", args=[series.pk]) + changes,
    }


@staff_member_required
@needing(MAY_SEE_SET, MAY_SEE)
@require_safe
def structure_set_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The structures of one structure set as CSV."""
    row = _above(pk)["structure_set"]
    record_export(request.user, "the list of structures", row)
    above = {**STRUCTURE_SET, **SET_UIDS}
    if request.user.has_perms(("app.view_patient", "app.view_dicomstudy")):
        study = "dicom_instance.dicom_series.dicom_study"
        above |= {**of(f"{study}.patient", PATIENT), **of(study, STUDY)}
    cells = {**CSV_LINE, **same(row, above)}
    lines = _lines(row, sets.rois_of(row).iterator(ROIS))
    return csv_answer(f"structure-set-{pk}.csv", cells, rows_of(cells, lines))


def _lines(
    structure_set: RTStructureSetInformation, rois: Iterator[RTStructureROI]
) -> Iterator[sets.Line]:
    while some := [*islice(rois, ROIS)]:
        yield from sets.lines_of(structure_set, some)


def _page_with(rois: QuerySet[RTStructureROI], marked: int | None, number: str | None) -> Any:
    """The page of a set's structures that is asked for, or that on which one of them stands."""
    pages = Paginator(rois, ROIS)
    if number is None and marked is not None and pages.num_pages > 1:
        keys = [*rois.values_list("pk", flat=True)]
        return pages.get_page(keys.index(marked) // ROIS + 1 if marked in keys else 1)
    return pages.get_page(number)


@staff_member_required
@needing(MAY_SEE)
@require_safe
def structure(request: HttpRequest, pk: int) -> HttpResponse:
    """One structure, and the images that its contours lie on."""
    row = get_object_or_404(finding.SHOWN, pk=pk)
    if not (place := places_of([pk]).get(pk)):
        raise Http404  # deleted since
    context = {
        "title": "Structure",
        "roi": row,
        **_above(place.structure_set),
        "slices": place.slices,
    }
    record_view(request.user, context["structure_set"])
    if request.user.has_perm("app.view_dicominstance"):
        on = drawn(pk)
        patient = context["patient"].pk
        page = Paginator([*on.on][:MOST], IMAGES).get_page(request.GET.get("page"))
        context |= {
            "drawn": on,
            "here": len(images_here([*on.on][:MOST], patient)),
            "page": page,
            "images": images(on.on, [*page.object_list], patient),
        }
    return render(request, "rt/structure.html", context)


def _above(structure_set: int) -> dict[str, Any]:
    """A structure set by its key, and what stands above it."""
    rows = RTStructureSetInformation.objects.select_related(TO_PATIENT)
    row = get_object_or_404(rows, pk=structure_set)
    series = row.dicom_instance.dicom_series
    study = series.dicom_study
    return {"structure_set": row, "series": series, "study": study, "patient": study.patient}
