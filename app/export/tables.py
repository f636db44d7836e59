"""Series and objects as CSV: those below a study or a series, or those that were chosen."""

from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import F, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST, require_safe

from app.audit.recording import record_export
from app.catalogue import incomplete
from app.catalogue.cells import OBJECT, PATIENT, SERIES, SERIES_ABOVE, STUDY, Cells, of, same
from app.catalogue.collecting import NAMES, chosen
from app.catalogue.completeness import told_of_row
from app.catalogue.exporting import csv_answer, dated, rows_of
from app.models import DICOMSeries, DICOMStudy
from app.needing import needing
from app.wording import counted

from .plan import ORDER

AT_ONCE = 1_000  # rows
ABOVE_SERIES = ("app.view_dicomseries", "app.view_dicomstudy")
ABOVE_OBJECTS = (*ABOVE_SERIES, "app.view_dicominstance")


@staff_member_required
@needing(*ABOVE_SERIES)
@require_safe
def series_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The series of a study."""
    study = get_object_or_404(DICOMStudy, pk=pk)
    record_export(request.user, "the list of series", study)
    return _series(request, study.series.all(), f"study-{pk}-series.csv")


@staff_member_required
@needing(*ABOVE_SERIES)
@require_POST
def chosen_series_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The series whose keys are posted."""
    pks = chosen(request)
    record_export(request.user, f"{counted(len(pks), *NAMES['series'])} of their list")
    return _series(request, DICOMSeries.objects.filter(pk__in=pks), dated("series"))


LACKS: Cells = {
    "slices": lambda row: told_of_row(row).words,
    "gaps": lambda row: row.found.get("gap_count", 0),
    "missing slices": lambda row: row.found.get("missing", 0),
    "doubles": lambda row: row.found.get("double_count", 0),
    "missing numbers": lambda row: row.found.get("hole_count", 0),
}


@staff_member_required
@needing(*incomplete.NEEDED)
@require_safe
def incomplete_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The incomplete series, those first that came here last."""
    record_export(request.user, "the list of incomplete series")
    cells = {**of("series", _above(request)), **LACKS, **of("series", SERIES)}
    rows = incomplete.listed().order_by("-pk").iterator(AT_ONCE)
    return csv_answer(dated("incomplete-series"), cells, rows_of(cells, rows))


def _series(request: HttpRequest, rows: QuerySet[DICOMSeries], name: str) -> StreamingHttpResponse:
    rows = rows.select_related("dicom_study__patient").order_by(*ORDER)
    cells = {**_above(request), **SERIES}
    return csv_answer(name, cells, rows_of(cells, rows.defer("described").iterator(AT_ONCE)))


@staff_member_required
@needing(*ABOVE_OBJECTS)
@require_safe
def objects_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The objects of a series, with what is kept of their attributes."""
    rows = DICOMSeries.objects.select_related("dicom_study__patient")
    series = get_object_or_404(rows, pk=pk)
    record_export(request.user, "the list of objects", series)
    above = {**_above(request), **SERIES_ABOVE}
    objects = series.instances.order_by(F("instance_number").asc(nulls_last=True), "pk")
    objects = objects.select_related("image_information")
    objects = objects.defer("image_information__frame_planes", "superseded")
    cells = {**same(series, above), **OBJECT}
    name = f"series-{pk}-objects.csv"
    return csv_answer(name, cells, rows_of(cells, objects.iterator(AT_ONCE)))


def _above(request: HttpRequest) -> Cells:
    """The columns of a series' study, and of the patient for who may see patients."""
    patient = of("dicom_study.patient", PATIENT)
    return {
        **(patient if request.user.has_perm("app.view_patient") else {}),
        **of("dicom_study", STUDY),
    }
