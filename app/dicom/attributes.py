"""The attributes that ICON keeps, by the field that keeps each, and the sequences it looks into.

To keep one more: a line here, and a field of that name in the record and in the model. How an
attribute is read follows from its VR: see `values.Values.fields`.
"""

from typing import NamedTuple

INT32 = range(2**31)
INT64 = range(-(2**63), 2**63)


class Attribute(NamedTuple):
    """A data element as PS3.6 has it, and how much of it a field takes."""

    tag: int
    keyword: str
    vr: str
    longest: int = 0  # characters of a text
    values: int = 1  # how many numbers it has, if it is not empty
    within: range = INT64  # what an integer may be


SPECIFIC_CHARACTER_SET = Attribute(0x00080005, "SpecificCharacterSet", "CS", 64)
SOP_CLASS_UID = Attribute(0x00080016, "SOPClassUID", "UI")
SOP_INSTANCE_UID = Attribute(0x00080018, "SOPInstanceUID", "UI")
SERIES_INSTANCE_UID = Attribute(0x0020000E, "SeriesInstanceUID", "UI")
FRAME_OF_REFERENCE_UID = Attribute(0x00200052, "FrameOfReferenceUID", "UI")

MEDIA_STORAGE_SOP_CLASS_UID = Attribute(0x00020002, "MediaStorageSOPClassUID", "UI")
MEDIA_STORAGE_SOP_INSTANCE_UID = Attribute(0x00020003, "MediaStorageSOPInstanceUID", "UI")
TRANSFER_SYNTAX_UID = Attribute(0x00020010, "TransferSyntaxUID", "UI")

PATIENT = {
    "unique_patient_id": Attribute(0x00100020, "PatientID", "LO", 256),
    "patient_name": Attribute(0x00100010, "PatientName", "PN", 1024),
    "patient_dob": Attribute(0x00100030, "PatientBirthDate", "DA"),
    "patient_sex": Attribute(0x00100040, "PatientSex", "CS", 16),
    "issuer_of_patient_id": Attribute(0x00100021, "IssuerOfPatientID", "LO", 256),
}
STUDY = {
    "study_instance_uid": Attribute(0x0020000D, "StudyInstanceUID", "UI"),
    "study_date": Attribute(0x00080020, "StudyDate", "DA"),
    "study_time": Attribute(0x00080030, "StudyTime", "TM"),
    "study_description": Attribute(0x00081030, "StudyDescription", "LO", 1024),
    "accession_number": Attribute(0x00080050, "AccessionNumber", "SH", 64),
    "study_id": Attribute(0x00200010, "StudyID", "SH", 64),
}
SERIES = {
    "series_instance_uid": SERIES_INSTANCE_UID,
    "modality": Attribute(0x00080060, "Modality", "CS", 16),
    "series_number": Attribute(0x00200011, "SeriesNumber", "IS"),
    "series_description": Attribute(0x0008103E, "SeriesDescription", "LO", 1024),
    "series_date": Attribute(0x00080021, "SeriesDate", "DA"),
    "body_part_examined": Attribute(0x00180015, "BodyPartExamined", "CS", 64),
    "frame_of_reference_uid": FRAME_OF_REFERENCE_UID,
    "institution_name": Attribute(0x00080080, "InstitutionName", "LO", 256),
    "manufacturer": Attribute(0x00080070, "Manufacturer", "LO", 256),
    "manufacturer_model_name": Attribute(0x00081090, "ManufacturerModelName", "LO", 256),
    "station_name": Attribute(0x00081010, "StationName", "SH", 64),
    "units": Attribute(0x00541001, "Units", "CS", 64),
}
INSTANCE_NUMBER = Attribute(0x00200013, "InstanceNumber", "IS")
SIZES = {
    "rows": Attribute(0x00280010, "Rows", "US", within=INT32),
    "columns": Attribute(0x00280011, "Columns", "US", within=INT32),
    "number_of_frames": Attribute(0x00280008, "NumberOfFrames", "IS", within=INT32),
}
# Without the UIDs and the modality: `headers._instance` reads those.
INSTANCE = {"instance_number": INSTANCE_NUMBER} | SIZES
IN_EACH_IMAGE = {
    "slice_location": Attribute(0x00201041, "SliceLocation", "DS"),
    "image_position_patient": Attribute(0x00200032, "ImagePositionPatient", "DS", values=3),
    "acquisition_number": Attribute(0x00200012, "AcquisitionNumber", "IS"),
    "acquisition_time": Attribute(0x00080032, "AcquisitionTime", "TM"),
    "trigger_time": Attribute(0x00181060, "TriggerTime", "DS"),
    "temporal_position_identifier": Attribute(0x00200100, "TemporalPositionIdentifier", "IS"),
}
# Images of a series mostly repeat these, or have few different ones.
REPEATED = {
    "slice_thickness": Attribute(0x00180050, "SliceThickness", "DS"),
    "pixel_spacing": Attribute(0x00280030, "PixelSpacing", "DS", values=2),
    "patient_position": Attribute(0x00185100, "PatientPosition", "CS", 16),
    "image_orientation_patient": Attribute(0x00200037, "ImageOrientationPatient", "DS", values=6),
    "image_type": Attribute(0x00080008, "ImageType", "CS", 256),
    "acquisition_date": Attribute(0x00080022, "AcquisitionDate", "DA"),
    "echo_time": Attribute(0x00180081, "EchoTime", "DS"),
    "diffusion_b_value": Attribute(0x00189087, "DiffusionBValue", "FD"),
    "stack_id": Attribute(0x00209056, "StackID", "SH", 64),
    "spacing_between_slices": Attribute(0x00180088, "SpacingBetweenSlices", "DS"),
    "rescale_type": Attribute(0x00281054, "RescaleType", "LO", 64),
}
IMAGE = IN_EACH_IMAGE | REPEATED
# Where an acquisition's date and time do not stand by themselves.
ACQUISITION_DATE_TIME = Attribute(0x0008002A, "AcquisitionDateTime", "DT")
# What enhanced MR images have instead of an echo time, PS3.3 C.8.13.5.4.
EFFECTIVE_ECHO_TIME = Attribute(0x00189082, "EffectiveEchoTime", "FD")
# What enhanced images have in their functional groups, PS3.3 C.7.6.16.2: of each of their frames,
FRAME = {
    field: IMAGE[field]
    for field in (
        *("image_position_patient", "image_orientation_patient", "pixel_spacing"),
        *("slice_thickness", "spacing_between_slices", "stack_id"),
    )
} | {
    "in_stack_position_number": Attribute(0x00209057, "InStackPositionNumber", "UL"),
    "temporal_position_index": Attribute(0x00209128, "TemporalPositionIndex", "UL"),
    "diffusion_b_value": IMAGE["diffusion_b_value"],
}
# and of an image as a whole, those of its first frame.
GROUPED = tuple(IMAGE[field] for field in (*(IMAGE.keys() & FRAME.keys()), "rescale_type"))
STRUCTURE_SET = {
    "structure_set_label": Attribute(0x30060002, "StructureSetLabel", "SH", 64),
    "structure_set_name": Attribute(0x30060004, "StructureSetName", "LO", 1024),
    "structure_set_date": Attribute(0x30060008, "StructureSetDate", "DA"),
    "approval_status": Attribute(0x300E0002, "ApprovalStatus", "CS", 16),
}

DIRECTORY_RECORD_SEQUENCE = 0x00041220
PIXEL_MEASURES_SEQUENCE = 0x00289110
PLANE_POSITION_SEQUENCE = 0x00209113
PLANE_ORIENTATION_SEQUENCE = 0x00209116
FRAME_CONTENT_SEQUENCE = 0x00209111
MR_ECHO_SEQUENCE = 0x00189114
MR_DIFFUSION_SEQUENCE = 0x00189117
PIXEL_VALUE_TRANSFORMATION_SEQUENCE = 0x00289145
SHARED_FUNCTIONAL_GROUPS_SEQUENCE = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE = 0x52009230
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010
DATA_SET_TRAILING_PADDING = 0xFFFCFFFC

# A structure set's sequences, and what is in them.

REFERENCED_FRAME_OF_REFERENCE_SEQUENCE = 0x30060010
STRUCTURE_SET_ROI_SEQUENCE = 0x30060020
ROI_CONTOUR_SEQUENCE = 0x30060039
RT_ROI_OBSERVATIONS_SEQUENCE = 0x30060080

RT_REFERENCED_STUDY_SEQUENCE = 0x30060012
RT_REFERENCED_SERIES_SEQUENCE = 0x30060014
CONTOUR_IMAGE_SEQUENCE = 0x30060016
REFERENCED_SOP_INSTANCE_UID = Attribute(0x00081155, "ReferencedSOPInstanceUID", "UI")
REFERENCED_FRAME_NUMBER = Attribute(0x00081160, "ReferencedFrameNumber", "IS", within=INT32)

ROI_NUMBER = Attribute(0x30060022, "ROINumber", "IS")
REFERENCED_FRAME_OF_REFERENCE_UID = Attribute(0x30060024, "ReferencedFrameOfReferenceUID", "UI")
ROI_NAME = Attribute(0x30060026, "ROIName", "LO", 1024)
ROI_GENERATION_ALGORITHM = Attribute(0x30060036, "ROIGenerationAlgorithm", "CS", 64)

REFERENCED_ROI_NUMBER = Attribute(0x30060084, "ReferencedROINumber", "IS")
RT_ROI_INTERPRETED_TYPE = Attribute(0x300600A4, "RTROIInterpretedType", "CS", 64)

ROI_DISPLAY_COLOR = Attribute(0x3006002A, "ROIDisplayColor", "IS", values=3, within=range(256))
CONTOUR_SEQUENCE = 0x30060040
CONTOUR_GEOMETRIC_TYPE = Attribute(0x30060042, "ContourGeometricType", "CS", 64)
NUMBER_OF_CONTOUR_POINTS = Attribute(0x30060046, "NumberOfContourPoints", "IS")
CONTOUR_DATA = Attribute(0x30060050, "ContourData", "DS")
