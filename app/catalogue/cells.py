"""What a spreadsheet says of each row of a table: words instead of codes, UIDs as columns."""

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.utils import timezone

from app.dicom.modalities import modality_name
from app.dicom.terms import uid_name
from app.models import DICOMInstance, ImageInformation
from app.spreadsheets import Cell

from .names import approval_name, person_name, sex_name

Cells = Mapping[str, Callable[[Any], Cell]]  # by heading


def of(path: str, cells: Cells) -> Cells:
    """The cells of a row by way of those that it leads to."""
    above = attrgetter(path)

    def by_way(cell: Callable[[Any], Cell]) -> Callable[[Any], Cell]:
        return lambda row: cell(above(row))

    return {heading: by_way(cell) for heading, cell in cells.items()}


def same(row: Any, cells: Cells) -> Cells:
    """The cells of one row, for each of many that have it in common."""
    return {heading: _always(cell(row)) for heading, cell in cells.items()}


def _always(value: Cell) -> Callable[[Any], Cell]:
    return lambda row: value


def moment(time: datetime | None) -> Cell:
    """A time in the reader's zone."""
    return timezone.localtime(time).isoformat(" ", "seconds") if time else None


def _part(values: list[float] | None, number: int) -> float | None:
    return values[number] if values else None


PATIENT: Cells = {
    "patient ID": lambda patient: patient.unique_patient_id,
    "patient name": lambda patient: person_name(patient.patient_name),
    "birth date": lambda patient: patient.patient_dob,
    "sex": lambda patient: sex_name(patient.patient_sex),
}
BELOW_PATIENT: Cells = {
    "studies": lambda patient: patient.study_count,
    "last study": lambda patient: patient.last_study_date,
    "modalities": lambda patient: patient.modalities,
    "images": lambda patient: patient.image_count,
    "objects": lambda patient: patient.instance_count,
    "size (bytes)": lambda patient: patient.total_size,
    "added": lambda patient: moment(patient.last_added_at),
}
STUDY: Cells = {
    "study date": lambda study: study.study_date,
    "study description": lambda study: study.study_description,
    "accession number": lambda study: study.accession_number,
    "study instance UID": lambda study: study.study_instance_uid,
}
STUDY_ALONE: Cells = {
    "study date": lambda study: study.study_date,
    "study time": lambda study: study.study_time,
    "description": lambda study: study.study_description,
    "accession number": lambda study: study.accession_number,
    "study ID": lambda study: study.study_id,
    "study instance UID": lambda study: study.study_instance_uid,
    "modalities": lambda study: study.modalities,
    "series": lambda study: study.series_count,
    "images": lambda study: study.image_count,
    "objects": lambda study: study.instance_count,
    "size (bytes)": lambda study: study.total_size,
    "added": lambda study: moment(study.last_added_at),
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
    "added": lambda series: moment(series.last_added_at),
    "series instance UID": lambda series: series.series_instance_uid,
    "frame of reference UID": lambda series: series.frame_of_reference_uid,
}
SERIES_ABOVE: Cells = {name: SERIES[name] for name in ("series description", "series instance UID")}
IMAGE: Cells = {
    "slice location (mm)": lambda image: image.slice_location,
    "slice thickness (mm)": lambda image: image.slice_thickness,
    "spacing between slices (mm)": lambda image: image.spacing_between_slices,
    "row spacing (mm)": lambda image: _part(image.pixel_spacing, 0),
    "column spacing (mm)": lambda image: _part(image.pixel_spacing, 1),
    "x (mm)": lambda image: _part(image.image_position_patient, 0),
    "y (mm)": lambda image: _part(image.image_position_patient, 1),
    "z (mm)": lambda image: _part(image.image_position_patient, 2),
    "patient position": lambda image: image.patient_position,
    "image type": lambda image: image.image_type,
    "acquisition number": lambda image: image.acquisition_number,
    "acquisition date": lambda image: image.acquisition_date,
    "acquisition time": lambda image: image.acquisition_time,
    "echo time (ms)": lambda image: image.echo_time,
    "trigger time (ms)": lambda image: image.trigger_time,
    "temporal position": lambda image: image.temporal_position_identifier,
    "b-value (s/mm2)": lambda image: image.diffusion_b_value,
}


def _if_image(cell: Callable[[ImageInformation], Cell]) -> Callable[[DICOMInstance], Cell]:
    """A cell of what is known of images alone; empty of all other objects."""

    def of_object(row: DICOMInstance) -> Cell:
        image = getattr(row, "image_information", None)
        return cell(image) if image else None

    return of_object


OBJECT: Cells = {
    "instance number": lambda row: row.instance_number,
    "modality": lambda row: row.modality,
    "what it is": lambda row: uid_name(row.sop_class_uid),
    "written as": lambda row: uid_name(row.transfer_syntax_uid),
    "rows": lambda row: row.rows,
    "columns": lambda row: row.columns,
    "frames": lambda row: row.number_of_frames,
    **{heading: _if_image(cell) for heading, cell in IMAGE.items()},
    "size (bytes)": lambda row: row.size,
    "SHA-256": lambda row: row.sha256,
    "added": lambda row: moment(row.created_at),
    "SOP instance UID": lambda row: row.sop_instance_uid,
    "SOP class UID": lambda row: row.sop_class_uid,
    "transfer syntax UID": lambda row: row.transfer_syntax_uid,
}
STRUCTURE: Cells = {
    "structure": lambda roi: roi.roi_name,
    "ROI number": lambda roi: roi.roi_number,
    "type": lambda roi: roi.rt_roi_interpreted_type,
    "generation": lambda roi: roi.roi_generation_algorithm,
    "contours": lambda roi: roi.contour_count,
}
STRUCTURE_SET: Cells = {
    "structure set": lambda row: row.structure_set_label,
    "set name": lambda row: row.structure_set_name,
    "set date": lambda row: row.structure_set_date,
    "approval": lambda row: approval_name(row.approval_status),
}
SET_UIDS: Cells = {
    "SOP instance UID of the set": lambda row: row.dicom_instance.sop_instance_uid,
    "series instance UID of the set": (
        lambda row: row.dicom_instance.dicom_series.series_instance_uid
    ),
}
