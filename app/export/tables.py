"""What lies below a study or a series as CSV: words instead of codes, UIDs as columns."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import F, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from app.audit.recording import record_export
from app.catalogue import incomplete
from app.catalogue.completeness import told_of_row
from app.catalogue.lists import PATIENT_CELLS
from app.dicom.modalities import modality_name
from app.dicom.terms import uid_name
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    SeriesCompleteness,
)
from app.needing import needing
from app.spreadsheets import Cell, csv_lines

AT_ONCE = 1_000  # rows
ABOVE_SERIES = ("app.view_dicomseries", "app.view_dicomstudy")
ABOVE_OBJECTS = (*ABOVE_SERIES, "app.view_dicominstance")

Cells = Mapping[str, Callable[[Any], Cell]]


def _image(cell: Callable[[ImageInformation], Cell]) -> Callable[[DICOMInstance], Cell]:
    """A cell of what is known of images alone; empty of all others."""

    def of(row: DICOMInstance) -> Cell:
        image = getattr(row, "image_information", None)
        return cell(image) if image else None

    return of


def _part(values: list[float] | None, number: int) -> float | None:
    return values[number] if values else None


def _added(row: DICOMInstance | DICOMSeries) -> Cell:
    added = row.created_at if isinstance(row, DICOMInstance) else row.last_added_at
    return timezone.localtime(added).isoformat(" ", "seconds") if added else None


STUDY: Cells = {
    "study date": lambda study: study.study_date,
    "study description": lambda study: study.study_description,
    "accession number": lambda study: study.accession_number,
    "study instance UID": lambda study: study.study_instance_uid,
}
SERIES: Cells = {
    "series number": lambda series: series.series_number,
    "modality": lambda series: series.modality,
    "modality in words": lambda series: modality_name(series.modality),
    "series description": lambda series: series.series_description,
    "series date": lambda series: series.series_date,
    "body part": lambda series: series.body_part_examined,
    "institution": lambda series: series.institution_name,
    "manufacturer": lambda series: series.manufacturer,
    "model": lambda series: series.manufacturer_model_name,
    "station": lambda series: series.station_name,
    "images": lambda series: series.image_count,
    "objects": lambda series: series.instance_count,
    "size (bytes)": lambda series: series.total_size,
    "added": _added,
    "series instance UID": lambda series: series.series_instance_uid,
    "frame of reference UID": lambda series: series.frame_of_reference_uid,
}
OBJECT: Cells = {
    "instance number": lambda row: row.instance_number,
    "modality": lambda row: row.modality,
    "what it is": lambda row: uid_name(row.sop_class_uid),
    "written as": lambda row: uid_name(row.transfer_syntax_uid),
    "rows": lambda row: row.rows,
    "columns": lambda row: row.columns,
    "frames": lambda row: row.number_of_frames,
    "slice location (mm)": _image(lambda image: image.slice_location),
    "slice thickness (mm)": _image(lambda image: image.slice_thickness),
    "spacing between slices (mm)": _image(lambda image: image.spacing_between_slices),
    "row spacing (mm)": _image(lambda image: _part(image.pixel_spacing, 0)),
    "column spacing (mm)": _image(lambda image: _part(image.pixel_spacing, 1)),
    "x (mm)": _image(lambda image: _part(image.image_position_patient, 0)),
    "y (mm)": _image(lambda image: _part(image.image_position_patient, 1)),
    "z (mm)": _image(lambda image: _part(image.image_position_patient, 2)),
    "patient position": _image(lambda image: image.patient_position),
    "image type": _image(lambda image: image.image_type),
    "acquisition number": _image(lambda image: image.acquisition_number),
    "acquisition date": _image(lambda image: image.acquisition_date),
    "acquisition time": _image(lambda image: image.acquisition_time),
    "echo time (ms)": _image(lambda image: image.echo_time),
    "trigger time (ms)": _image(lambda image: image.trigger_time),
    "temporal position": _image(lambda image: image.temporal_position_identifier),
    "b-value (s/mm2)": _image(lambda image: image.diffusion_b_value),
    "size (bytes)": lambda row: row.size,
    "SHA-256": lambda row: row.sha256,
    "added": _added,
    "SOP instance UID": lambda row: row.sop_instance_uid,
    "SOP class UID": lambda row: row.sop_class_uid,
    "transfer syntax UID": lambda row: row.transfer_syntax_uid,
}
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
    of_patient = PATIENT_CELLS if request.user.has_perm("app.view_patient") else {}
    cells = {
        **_through(lambda row: row.series.dicom_study.patient, of_patient),
        **_through(lambda row: row.series.dicom_study, STUDY),
        **LACKS,
        **_through(lambda row: row.series, SERIES),
    }
    rows = incomplete.listed().order_by("-pk")
    return _answer(rows, {}, cells, f"incomplete-series-{timezone.localdate()}.csv")


def _through(way: Callable[[SeriesCompleteness], Any], cells: Cells) -> Cells:
    """Cells of what is over a row."""
    return {heading: _of(way, cell) for heading, cell in cells.items()}


def _of(
    way: Callable[[SeriesCompleteness], Any], cell: Callable[[Any], Cell]
) -> Callable[[SeriesCompleteness], Cell]:
    return lambda row: cell(way(row))


@staff_member_required
@needing(*ABOVE_SERIES)
@require_safe
def series_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The series of a study."""
    study = get_object_or_404(DICOMStudy.objects.select_related("patient"), pk=pk)
    record_export(request.user, "the list of series", study)
    rows = study.series.order_by(F("series_number").asc(nulls_last=True), "pk")
    above = {**_of_patient(request, study), **_fixed(STUDY, study)}
    return _answer(rows.defer("described"), above, SERIES, f"study-{pk}-series.csv")


@staff_member_required
@needing(*ABOVE_OBJECTS)
@require_safe
def objects_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The objects of a series, with what is kept of their attributes."""
    rows = DICOMSeries.objects.select_related("dicom_study__patient")
    series = get_object_or_404(rows, pk=pk)
    study = series.dicom_study
    record_export(request.user, "the list of objects", series)
    above = {
        **_of_patient(request, study),
        **_fixed(STUDY, study),
        "series description": series.series_description,
        "series instance UID": series.series_instance_uid,
    }
    objects = series.instances.order_by(F("instance_number").asc(nulls_last=True), "pk")
    objects = objects.select_related("image_information")
    objects = objects.defer("image_information__frame_planes", "superseded")
    return _answer(objects, above, OBJECT, f"series-{pk}-objects.csv")


def _of_patient(request: HttpRequest, study: DICOMStudy) -> dict[str, Cell]:
    """The patient's columns, for who may see patients."""
    return _fixed(PATIENT_CELLS, study.patient) if request.user.has_perm("app.view_patient") else {}


def _fixed(cells: Cells, row: Any) -> dict[str, Cell]:
    return {heading: cell(row) for heading, cell in cells.items()}


def _answer(
    rows: QuerySet[Any], above: Mapping[str, Cell], cells: Cells, name: str
) -> StreamingHttpResponse:
    lines = csv_lines([*above, *cells], _lines(rows, above, cells))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _lines(rows: QuerySet[Any], above: Mapping[str, Cell], cells: Cells) -> Iterator[list[Cell]]:
    first = list(above.values())
    for row in rows.iterator(AT_ONCE):
        yield [*first, *(cell(row) for cell in cells.values())]
