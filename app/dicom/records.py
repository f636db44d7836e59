"""What ICON keeps of one DICOM object: plain values, named as the models' fields are.

An absent text is "", an absent number, date or vector is None. How long a text and how large a
number may be is checked where a record arrives from a process that reads other people's bytes.
"""

from datetime import date, time
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

Text16 = Annotated[str, Meta(max_length=16)]
Text64 = Annotated[str, Meta(max_length=64)]
Text256 = Annotated[str, Meta(max_length=256)]
Text1024 = Annotated[str, Meta(max_length=1024)]
UID = Annotated[str, Meta(max_length=128)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Neither infinite nor NaN, which compares with nothing.
Decimal = Annotated[float, Meta(ge=-1.7976931348623157e308, le=1.7976931348623157e308)]
Pair = Annotated[list[Decimal], Meta(min_length=2, max_length=2)]
Point = Annotated[list[Decimal], Meta(min_length=3, max_length=3)]
Cosines = Annotated[list[Decimal], Meta(min_length=6, max_length=6)]
Shade = Annotated[int, Meta(ge=0, le=255)]
Color = Annotated[list[Shade], Meta(min_length=3, max_length=3)]
Facts = Annotated[dict[str, str | Number], Meta(max_length=8)]
MOST_ITEMS = 1_000_000  # of any one object; a short text may stand for many of them
MOST_REFERENCES = 100_000  # of any one object; each becomes a row
Readings = Annotated[list[Text256], Meta(max_length=100)]
UIDs = Annotated[list[UID], Meta(max_length=MOST_ITEMS)]

LONGEST_PLANES = 8_000_000  # characters; of 100,000 frames that have nothing in common some 6
FramesText = Annotated[str, Meta(max_length=LONGEST_PLANES)]
Value = TypeVar("Value")

# The reading that rows stand by. Raise it whenever ICON reads better or keeps another attribute:
# `manage.py reread` then reads what was filed before. Rows of code that knew of none have 0.
READ_VERSION = 5


class Record(Struct, frozen=True, array_like=True, gc=False):
    """A value that is made, compared and sent between processes (as an array), all several times
    as fast as a dataclass; the garbage collector skips it, as it never is part of a cycle."""


class PatientRecord(Record, frozen=True):
    """Patient Module, PS3.3 C.7.1.1."""

    unique_patient_id: Text256  # without leading and trailing spaces; may be empty (Type 2)
    patient_name: Text1024  # as in the file, with carets
    patient_dob: date | None
    patient_sex: Text16
    issuer_of_patient_id: Text256


class StudyRecord(Record, frozen=True):
    """General Study Module, PS3.3 C.7.2.1."""

    study_instance_uid: UID
    study_date: date | None
    study_time: time | None
    study_description: Text1024
    accession_number: Text64
    study_id: Text64


class SeriesRecord(Record, frozen=True):
    """General Series Module, PS3.3 C.7.3.1, Frame of Reference Module, C.7.4.1, General Equipment
    Module, C.7.5.1, and PET Series Module, C.8.9.1, where Units stand."""

    series_instance_uid: UID
    modality: Text16
    series_number: Number | None
    series_description: Text1024
    series_date: date | None
    body_part_examined: Text64
    frame_of_reference_uid: UID
    institution_name: Text256
    manufacturer: Text256
    manufacturer_model_name: Text256
    station_name: Text64
    units: Text64


class Lineage(Record, frozen=True):
    """The patient, study and series of an object; the same for all objects of a series."""

    patient: PatientRecord
    study: StudyRecord
    series: SeriesRecord
    former_ids: Readings = []  # as ICON may have read the Patient ID's bytes earlier


class InstanceRecord(Record, frozen=True):
    """SOP Common Module, PS3.3 C.12.1, with the sizes of the Image Pixel Module, C.7.6.3."""

    sop_instance_uid: UID
    sop_class_uid: UID
    transfer_syntax_uid: UID
    modality: Text16
    instance_number: Number | None
    rows: Count | None  # pixels
    columns: Count | None  # pixels
    number_of_frames: Count | None


class InFrames(Struct, Generic[Value], frozen=True, omit_defaults=True):
    """An attribute in every frame of an image: the distinct values, in the order of their frames.

    `values` has one that all frames share, or one for each frame; else `frames` has, for each
    frame, the index of its value. A frame without the attribute has None.
    """

    values: list[Value | None]
    frames: list[Count] = []


class FramePlanes(Struct, frozen=True, omit_defaults=True):
    """Where the frames of an enhanced image lie; what no frame has is left out."""

    count: Count  # frames
    image_position_patient: InFrames[Point] | None = None
    image_orientation_patient: InFrames[Cosines] | None = None
    pixel_spacing: InFrames[Pair] | None = None
    slice_thickness: InFrames[Decimal] | None = None
    spacing_between_slices: InFrames[Decimal] | None = None
    stack_id: InFrames[Text64] | None = None
    in_stack_position_number: InFrames[Number] | None = None
    temporal_position_index: InFrames[Number] | None = None
    diffusion_b_value: InFrames[Decimal] | None = None


class ImageRecord(Record, frozen=True):
    """Image Plane Module, PS3.3 C.7.6.2, or the functional groups of C.7.6.16.2; and what tells the
    images of one series apart: General Image, C.7.6.1, General Acquisition, C.7.10.1, and the CT
    and MR modules, C.8.2.1 and C.8.3.1."""

    instance_number: Number | None
    slice_location: Decimal | None  # mm
    image_position_patient: Point | None  # [x, y, z], mm
    acquisition_number: Number | None
    acquisition_time: time | None
    trigger_time: Decimal | None  # ms
    temporal_position_identifier: Number | None
    slice_thickness: Decimal | None  # mm
    pixel_spacing: Pair | None  # [between rows, between columns], mm
    patient_position: Text16
    image_orientation_patient: Cosines | None  # six direction cosines
    image_type: Text256  # ORIGINAL\PRIMARY\AXIAL
    acquisition_date: date | None
    echo_time: Decimal | None  # ms
    diffusion_b_value: Decimal | None  # s/mm2
    stack_id: Text64
    spacing_between_slices: Decimal | None  # mm
    rescale_type: Text64
    frame_planes: FramesText = ""  # JSON of `FramePlanes`, where it has functional groups


class ROIRecord(Record, frozen=True):
    """One item of the Structure Set ROI Sequence, joined by ROI Number: PS3.3 C.8.8.5, C.8.8.6."""

    roi_number: Number | None
    roi_name: Text1024
    rt_roi_interpreted_type: Text64
    roi_generation_algorithm: Text64
    roi_display_color: Color | None  # [red, green, blue], 0 to 255
    contour_count: Count
    slice_count: Count  # distinct images that its contours name, or else distinct planes
    roi_contour_data: bytes  # JSON text: [{"type", "points": [x, y, z, ..] in mm, "sop"}, ..]


ReferenceKind = Literal["frame", "study", "series", "image"]


class Reference(Record, frozen=True):
    """What an object refers to, as `models.Link` keeps it."""

    kind: ReferenceKind
    uid: UID  # "" where the item is there and its UID is not
    frame_number: Count = 0  # of an image; 0: the whole object


References = Annotated[list[Reference], Meta(max_length=MOST_REFERENCES)]


class StructureSetRecord(Record, frozen=True):
    """Structure Set Module, PS3.3 C.8.8.5, with its ROIs in file order."""

    structure_set_label: Text64 = ""
    structure_set_name: Text1024 = ""
    structure_set_date: date | None = None
    approval_status: Text16 = ""
    number_of_roi: Count = 0
    referenced_frame_of_reference_uid: UIDs = []  # each once, in file order
    referenced_series_instance_uid: UIDs = []  # each once, in file order
    referenced_sop_count: Count = 0  # distinct objects in the references' Contour Image Sequences
    rois: Annotated[list[ROIRecord], Meta(max_length=MOST_ITEMS)] = []
    references: References = []  # each once, in file order


class ReadWarning(Record, frozen=True):
    """A code of reasons.WARNINGS with the facts of its sentence."""

    code: str
    facts: Facts = {}


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
