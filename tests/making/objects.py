"""DICOM objects and ZIPs, made in memory, about nobody.

An object is made of attributes by keyword: `ct_image(PatientID="A", StudyDate=None)` replaces
one and leaves one out. A value may be text, a number, a list of them, bytes (which stand in the
file as they are), a list of dicts (a sequence's items), or `Raw`, which also says the VR. Names
in lower case say how the file is written; see `dicom_file`.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

STORAGE = "1.2.840.10008.5.1.4.1.1"
CT_IMAGE = f"{STORAGE}.2"
ENHANCED_CT = f"{STORAGE}.2.1"
MR_IMAGE = f"{STORAGE}.4"
PET_IMAGE = f"{STORAGE}.128"
SECONDARY_CAPTURE = f"{STORAGE}.7"
STRUCTURED_REPORT = f"{STORAGE}.88.11"
RT_STRUCTURE_SET = f"{STORAGE}.481.3"
RT_PLAN = f"{STORAGE}.481.5"
ENCAPSULATED_PDF = f"{STORAGE}.104.1"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

UNDEFINED = 0xFFFFFFFF
LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}

Attributes = Mapping[str, Any]


class Raw(NamedTuple):
    """A value with a VR that is not the dictionary's."""

    vr: str
    value: Any


class Writing(NamedTuple):
    """How elements are written."""

    implicit: bool = False
    big_endian: bool = False
    undefined: bool = False  # sequences and their items have undefined length
    charset: str = "latin-1"  # of text; bytes stand as they are


PLAINLY = Writing()


def uid(*numbers: int) -> str:
    """A UID that no real object has."""
    return ".".join(map(str, (2, 25, 543, *numbers)))


def element(tag: int, vr: str, value: Any, writing: Writing = PLAINLY) -> bytes:
    """One data element: PS3.5 7.1."""
    data = _encoded(vr, value, writing)
    length = UNDEFINED if vr == "SQ" and writing.undefined else len(data)
    order = ">" if writing.big_endian else "<"
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if writing.implicit:
        return start + struct.pack(f"{order}I", length) + data
    start += vr.encode()
    if vr == "UN" and isinstance(value, list):  # a sequence: PS3.5 6.2.2
        length = UNDEFINED
    if vr in LONG_VRS:
        return start + struct.pack(f"{order}HI", 0, length) + data
    return start + struct.pack(f"{order}H", length) + data


def _encoded(vr: str, value: Any, writing: Writing) -> bytes:
    if vr == "UN" and isinstance(value, list):
        return _encoded("SQ", value, Writing(implicit=True, undefined=True))
    if vr == "SQ":
        return b"".join(_item(item, writing) for item in value) + (
            _delimiter(0xE0DD, writing) if writing.undefined else b""
        )
    if isinstance(value, bytes):
        return value
    values = value if isinstance(value, list) else [value]
    if vr in BINARY:
        order = ">" if writing.big_endian else "<"
        return struct.pack(f"{order}{len(values)}{BINARY[vr]}", *values)
    text = "\\".join(map(str, values)).encode(writing.charset)
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


def _item(attributes: Attributes, writing: Writing) -> bytes:
    data = elements(attributes, writing)
    order = ">" if writing.big_endian else "<"
    length = UNDEFINED if writing.undefined else len(data)
    end = _delimiter(0xE00D, writing) if writing.undefined else b""
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, length) + data + end


def _delimiter(number: int, writing: Writing) -> bytes:
    return struct.pack(">HHI" if writing.big_endian else "<HHI", 0xFFFE, number, 0)


def elements(attributes: Attributes, writing: Writing = PLAINLY) -> bytes:
    """Data elements in ascending order; those whose value is None are left out."""
    parts = {}
    for keyword, value in attributes.items():
        if value is None:
            continue
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        vr, value = value if isinstance(value, Raw) else (dictionary_VR(tag)[:2], value)
        parts[tag] = element(tag, vr, value, writing)
    return b"".join(parts[tag] for tag in sorted(parts))


def dicom_file(
    attributes: Attributes,
    *,
    transfer_syntax: str | None = EXPLICIT,
    prefix: bool = True,
    meta: Attributes | None = None,
    meta_writing: Writing = PLAINLY,
    undefined_lengths: bool = False,
    charset: str = "latin-1",
    dataset: bytes | None = None,
    after: bytes = b"",
) -> bytes:
    """A file in the DICOM File Format: PS3.10 7.

    Parameters
    ----------
    transfer_syntax
        Also the way the dataset is written; None leaves the element out.
    prefix
        False leaves out the preamble, the prefix and the file meta group.
    meta
        Replaces elements of the file meta group.
    meta_writing
        How the file meta group is written: what the standard does not allow, too.
    charset
        Python's codec for text values.
    dataset
        Elements to write instead of the attributes'.
    after
        Bytes that follow the dataset.
    """
    writing = Writing(
        implicit=transfer_syntax == IMPLICIT,
        big_endian=transfer_syntax == BIG_ENDIAN,
        undefined=undefined_lengths,
        charset=charset,
    )
    if dataset is None:
        dataset = elements(attributes, writing)
    if not prefix:
        return dataset + after
    group = {
        "MediaStorageSOPClassUID": attributes.get("SOPClassUID"),
        "MediaStorageSOPInstanceUID": attributes.get("SOPInstanceUID"),
        "TransferSyntaxUID": transfer_syntax,
        "ImplementationClassUID": uid(1),
    }
    if transfer_syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-15)
        dataset = deflater.compress(dataset) + deflater.flush()
    written = elements(group | dict(meta or {}), meta_writing)
    length = element(0x00020000, "UL", len(written), meta_writing)
    return bytes(128) + b"DICM" + length + written + dataset + after


# How to write an object that the scanner leaves to pydicom: with an item that is in no sequence.
ODD_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd"
LEFT_TO_PYDICOM: dict[str, Any] = {"PixelData": None, "after": ODD_ITEM}


PATIENT: Attributes = {
    "PatientName": "Nobody^Nemo",
    "PatientID": "ID1",
    "PatientBirthDate": "19700102",
    "PatientSex": "O",
}
STUDY: Attributes = {
    "StudyInstanceUID": uid(2),
    "StudyDate": "20240311",
    "StudyTime": "101112.5",
    "StudyDescription": "Planning",
    "AccessionNumber": "A1",
    "StudyID": "S1",
}
IDENTITY: Attributes = {
    "SpecificCharacterSet": "ISO_IR 100",
    **PATIENT,
    **STUDY,
    "SeriesInstanceUID": uid(2, 1),
    "SOPInstanceUID": uid(2, 1, 1),
    "SeriesNumber": "3",
    "InstanceNumber": "7",
}
SERIES: Attributes = {
    "SeriesDescription": "Thorax",
    "SeriesDate": "20240312",
    "BodyPartExamined": "CHEST",
    "FrameOfReferenceUID": uid(2, 9),
}
PLANE: Attributes = {
    "SliceThickness": "3",
    "PixelSpacing": ["0.5", "0.75"],
    "ImagePositionPatient": ["-10.5", "20", "-30.25"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
}
EQUIPMENT: Attributes = {
    "InstitutionName": "Hospital",
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Model 1",
    "StationName": "Room 2",
    "Units": "BQML",
}
ACQUISITION: Attributes = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "AcquisitionNumber": "4",
    "AcquisitionDate": "20240313",
    "AcquisitionTime": "101112.25",
    "EchoTime": "12.5",
    "TriggerTime": "430",
    "TemporalPositionIdentifier": "2",
    "DiffusionBValue": 1000.0,
    "StackID": "A",
    "SpacingBetweenSlices": "3.3",
    "RescaleType": "US",
}
PIXELS: Attributes = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 3,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "PixelData": Raw("OW", bytes(range(12))),
}


def made_of(*groups: Attributes, keywords: Attributes) -> bytes:
    """A file of several groups of attributes; keywords replace them or say how to write it."""
    attributes: dict[str, Any] = {}
    for group in groups:
        attributes |= group
    how = {name: value for name, value in keywords.items() if name[0].islower()}
    attributes |= {name: value for name, value in keywords.items() if name not in how}
    return dicom_file(attributes, **how)


def ct_image(**keywords: Any) -> bytes:
    own = {"SOPClassUID": CT_IMAGE, "Modality": "CT", "SliceLocation": "-30.25"}
    own |= {"PatientPosition": "HFS"}
    return made_of(IDENTITY, SERIES, PLANE, PIXELS, own, keywords=keywords)


def mr_image(**keywords: Any) -> bytes:
    own = {"SOPClassUID": MR_IMAGE, "Modality": "MR", **EQUIPMENT, **ACQUISITION}
    return ct_image(**own | keywords)


def pet_image(**keywords: Any) -> bytes:
    own = {"SOPClassUID": PET_IMAGE, "Modality": "PT", **EQUIPMENT, **ACQUISITION}
    return ct_image(**own | keywords)


def secondary_capture(**keywords: Any) -> bytes:
    own = {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "OT"}
    return made_of(IDENTITY, PIXELS, own, keywords=keywords)


def structured_report(**keywords: Any) -> bytes:
    heading = {
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
        "ContentSequence": [
            {"RelationshipType": "CONTAINS", "ValueType": "TEXT", "TextValue": "Nothing found."}
        ],
    }
    own = {"SOPClassUID": STRUCTURED_REPORT, "Modality": "SR"}
    return made_of(IDENTITY, heading, own, keywords=keywords)


def encapsulated_pdf(document: bytes, **keywords: Any) -> bytes:
    own = {
        "SOPClassUID": ENCAPSULATED_PDF,
        "Modality": "DOC",
        "EncapsulatedDocument": document + b"\0" * (len(document) % 2),
        "EncapsulatedDocumentLength": len(document),
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
    }
    return made_of(IDENTITY, own, keywords=keywords)


def enhanced_ct(frames: int = 3, **keywords: Any) -> bytes:
    """A multi-frame CT whose geometry stands in functional groups, shared and per frame."""
    shared = {
        "PixelMeasuresSequence": [{"SliceThickness": "2", "PixelSpacing": ["0.5", "0.5"]}],
        "PlaneOrientationSequence": [
            {"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]},
        ],
    }
    own = {
        "SOPClassUID": ENHANCED_CT,
        "Modality": "CT",
        "NumberOfFrames": str(frames),
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": [
            {
                "FrameContentSequence": [{"StackID": "1", "InStackPositionNumber": number + 1}],
                "PlanePositionSequence": [{"ImagePositionPatient": ["-1", "-2", str(number)]}],
            }
            for number in range(frames)
        ],
        "PixelData": Raw("OW", bytes(12 * frames)),
    }
    return made_of(IDENTITY, SERIES, PIXELS, own, keywords=keywords)


def contour(
    *points: float | str, kind: str | None = "CLOSED_PLANAR", sop: str | None = None
) -> dict[str, Any]:
    """An item of the Contour Sequence."""
    images = [{"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": sop}]
    return {
        "ContourImageSequence": images if sop else None,
        "ContourGeometricType": kind,
        "NumberOfContourPoints": str(len(points) // 3),
        "ContourData": list(points),
    }


TRIANGLE = contour(0, 0, 5, 10, 0, 5, 0, 10, 5, sop=uid(2, 1, 1))


def roi(
    number: int | str | None, name: Any = "", *contours: Any, **keywords: Any
) -> dict[str, Any]:
    """A ROI: what its items in the three sequences of a structure set hold."""
    return {
        "ROINumber": number,
        "ROIName": name,
        "ROIGenerationAlgorithm": "MANUAL",
        "RTROIInterpretedType": "ORGAN",
        "ROIDisplayColor": [255, 0, 10],
        "ContourSequence": list(contours),
    } | keywords


def rt_structure_set(rois: Sequence[Any] = ("Heart",), **keywords: Any) -> bytes:
    """A structure set of ROIs, each given by `roi` or as a name, which gets one triangle."""
    full = [
        entry if isinstance(entry, dict) else roi(number, entry, TRIANGLE)
        for number, entry in enumerate(rois, 1)
    ]
    own = {
        "SOPClassUID": RT_STRUCTURE_SET,
        "Modality": "RTSTRUCT",
        "SeriesInstanceUID": uid(2, 5),
        "SOPInstanceUID": uid(2, 5, 1),
        "StructureSetLabel": "Plan1",
        "StructureSetName": "First plan",
        "StructureSetDate": "20240313",
        "ReferencedFrameOfReferenceSequence": [frame_reference()],
        "StructureSetROISequence": [_definition(one) for one in full],
        "ROIContourSequence": [_roi_contour(one) for one in full],
        "RTROIObservationsSequence": [_observation(one) for one in full],
        "ApprovalStatus": "UNAPPROVED",
    }
    return made_of(IDENTITY, own, keywords=keywords)


def frame_reference(
    frame: str = uid(2, 9), series: str = uid(2, 1), sops: Sequence[str] = (uid(2, 1, 1),)
) -> dict[str, Any]:
    """An item of the Referenced Frame of Reference Sequence."""
    images = [{"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": s} for s in sops]
    referenced = {"SeriesInstanceUID": series, "ContourImageSequence": images or None}
    study = {
        "ReferencedSOPInstanceUID": STUDY["StudyInstanceUID"],
        "RTReferencedSeriesSequence": [referenced],
    }
    return {"FrameOfReferenceUID": frame, "RTReferencedStudySequence": [study]}


def _definition(one: Attributes) -> dict[str, Any]:
    return {
        "ROINumber": one["ROINumber"],
        "ReferencedFrameOfReferenceUID": one.get("ReferencedFrameOfReferenceUID", uid(2, 9)),
        "ROIName": one["ROIName"],
        "ROIGenerationAlgorithm": one["ROIGenerationAlgorithm"],
    }


def _roi_contour(one: Attributes) -> dict[str, Any]:
    return {
        "ReferencedROINumber": one["ROINumber"],
        "ROIDisplayColor": one["ROIDisplayColor"],
        "ContourSequence": one["ContourSequence"],
    }


def _observation(one: Attributes) -> dict[str, Any]:
    return {
        "ObservationNumber": "1",
        "ReferencedROINumber": one["ROINumber"],
        "RTROIInterpretedType": one["RTROIInterpretedType"],
    }


def dicomdir(**keywords: Any) -> bytes:
    own = {
        "SOPClassUID": None,
        "FileSetID": "MEDIUM",
        "DirectoryRecordSequence": [{"DirectoryRecordType": "PATIENT", "PatientID": "ID1"}],
    }
    meta = {
        "MediaStorageSOPClassUID": MEDIA_STORAGE_DIRECTORY,
        "MediaStorageSOPInstanceUID": uid(4),
    }
    return made_of(own, keywords={"meta": meta} | keywords)


def zip_of(
    path: Path,
    *members: bytes | tuple[str, bytes],
    compression: int = zipfile.ZIP_DEFLATED,
    level: int | None = None,
) -> Path:
    """Write a ZIP of members, which are named IM0001.dcm and so on unless they have a name."""
    with zipfile.ZipFile(path, "w", compression, compresslevel=level) as archive:
        for number, member in enumerate(members, 1):
            named = member if isinstance(member, tuple) else (f"IM{number:04}.dcm", member)
            archive.writestr(*named)
    return path
