"""What ICON keeps of one DICOM object: plain values, named as the models' fields are.

An absent text is "", an absent number, date or vector is None.
"""

from datetime import date, time

from msgspec import Struct

# The reading that rows stand by. Raise it whenever ICON reads better or keeps another attribute:
# `manage.py reread` then reads what was filed before. Rows of code that knew of none have 0.
READ_VERSION = 1


class Record(Struct, frozen=True, array_like=True, gc=False):
    """A value that is made, compared and sent between processes (as an array), all several times
    as fast as a dataclass; the garbage collector skips it, as it never is part of a cycle."""


class PatientRecord(Record, frozen=True):
    """Patient Module, PS3.3 C.7.1.1."""

    unique_patient_id: str  # without leading and trailing spaces; may be empty (Type 2)
    patient_name: str  # as in the file, with carets
    patient_dob: date | None
    patient_sex: str


class StudyRecord(Record, frozen=True):
    """General Study Module, PS3.3 C.7.2.1."""

    study_instance_uid: str
    study_date: date | None
    study_time: time | None
    study_description: str
    accession_number: str
    study_id: str


class SeriesRecord(Record, frozen=True):
    """General Series Module, PS3.3 C.7.3.1, and Frame of Reference Module, C.7.4.1."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    series_description: str
    series_date: date | None
    body_part_examined: str
    frame_of_reference_uid: str


class Lineage(Record, frozen=True):
    """The patient, study and series of an object; the same for all objects of a series."""

    patient: PatientRecord
    study: StudyRecord
    series: SeriesRecord
    former_ids: list[str] = []  # as ICON may have read the Patient ID's bytes earlier


class InstanceRecord(Record, frozen=True):
    """SOP Common Module, PS3.3 C.12.1, with the sizes of the Image Pixel Module, C.7.6.3."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    instance_number: int | None
    rows: int | None  # pixels
    columns: int | None  # pixels
    number_of_frames: int | None


class ImageRecord(Record, frozen=True):
    """Image Plane Module, PS3.3 C.7.6.2, or the functional groups of C.7.6.16.2."""

    instance_number: int | None
    slice_location: float | None  # mm
    slice_thickness: float | None  # mm
    pixel_spacing: list[float] | None  # [between rows, between columns], mm
    patient_position: str
    image_position_patient: list[float] | None  # [x, y, z], mm
    image_orientation_patient: list[float] | None  # six direction cosines


class ROIRecord(Record, frozen=True):
    """One item of the Structure Set ROI Sequence, joined by ROI Number: PS3.3 C.8.8.5, C.8.8.6."""

    roi_number: int | None
    roi_name: str
    rt_roi_interpreted_type: str
    roi_generation_algorithm: str
    roi_display_color: list[int] | None  # [red, green, blue], 0 to 255
    contour_count: int
    roi_contour_data: bytes  # JSON text: [{"type", "points": [x, y, z, ..] in mm, "sop"}, ..]


class StructureSetRecord(Record, frozen=True):
    """Structure Set Module, PS3.3 C.8.8.5, with its ROIs in file order."""

    structure_set_label: str = ""
    structure_set_name: str = ""
    structure_set_date: date | None = None
    approval_status: str = ""
    number_of_roi: int = 0
    referenced_frame_of_reference_uid: list[str] = []  # each once, in file order
    referenced_series_instance_uid: list[str] = []  # each once, in file order
    referenced_sop_count: int = 0  # distinct objects in the references' Contour Image Sequences
    rois: list[ROIRecord] = []


class ReadWarning(Record, frozen=True):
    """A code of reasons.WARNINGS with the facts of its sentence."""

    code: str
    facts: dict[str, str | int] = {}


class Header(Record, frozen=True):
    """One DICOM object as ICON catalogues it."""

    lineage: Lineage
    instance: InstanceRecord
    image: ImageRecord | None  # CT, MR and PET
    structure_set: StructureSetRecord | None  # RT Structure Set
    warnings: list[ReadWarning]

    @property
    def patient(self) -> PatientRecord:
        return self.lineage.patient

    @property
    def study(self) -> StudyRecord:
        return self.lineage.study

    @property
    def series(self) -> SeriesRecord:
        return self.lineage.series
