"""What is drawn over images: doses and segmentations, made of arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.making.objects import STORAGE, secondary_capture, uid
from tests.making.pictures import native

RT_DOSE = f"{STORAGE}.481.2"
SEGMENTATION = f"{STORAGE}.66.4"
FRAME = uid(2, 9)  # of reference, as `ct_image` has it
HFS = (1, 0, 0, 0, 1, 0)
SCALING = 0.01

# Directions of rows and columns of transverse grids, by patient position; and of two others.
ORIENTATIONS = {
    "HFS": HFS,
    "HFP": (-1, 0, 0, 0, -1, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "FFDL": (0, 1, 0, 1, 0, 0),
    "FFDR": (0, -1, 0, -1, 0, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
}


def rt_dose(stored: np.ndarray[Any, Any], **keywords: Any) -> bytes:
    """A dose of stored values by plane, row and column; planes lie 2 mm from each other."""
    own = {
        "SOPClassUID": RT_DOSE,
        "Modality": "RTDOSE",
        "SeriesInstanceUID": uid(2, 6),
        "SOPInstanceUID": uid(2, 6, 1),
        "SeriesDescription": "Dose of the plan",
        "FrameOfReferenceUID": FRAME,
        "ImagePositionPatient": ["0", "0", "0"],
        "ImageOrientationPatient": [*map(str, HFS)],
        "PixelSpacing": ["2", "2"],
        "GridFrameOffsetVector": [str(2 * n) for n in range(len(stored))],
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DoseSummationType": "PLAN",
        "DoseGridScaling": str(SCALING),
    }
    return native(*stored, **(own | keywords))


def segmentation(masks: Sequence[dict[str, Any]], **keywords: Any) -> bytes:
    """A binary segmentation of masks: {"segment", "position", "bits"}, of one orientation.

    `bits` are by row and column.
    """
    bits = np.array([one["bits"] for one in masks], np.uint8)
    data = np.packbits(bits.ravel(), bitorder="little").tobytes()
    shared = {
        "PixelMeasuresSequence": [{"PixelSpacing": ["0.5", "0.75"], "SliceThickness": "3"}],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": [*map(str, HFS)]}],
    }
    own = {
        "SOPClassUID": SEGMENTATION,
        "Modality": "SEG",
        "SeriesInstanceUID": uid(2, 8),
        "SOPInstanceUID": uid(2, 8, 1),
        "SeriesDescription": "Tumour",
        "FrameOfReferenceUID": FRAME,
        "SegmentationType": "BINARY",
        "SegmentSequence": [segment(1, "Tumour")],
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": [_groups(**one) for one in masks],
        "Rows": bits.shape[1],
        "Columns": bits.shape[2],
        "NumberOfFrames": str(len(masks)),
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelData": data + b"\0" * (len(data) % 2),
    }
    return secondary_capture(**(own | keywords))


def segment(number: int, label: str, **keywords: Any) -> dict[str, Any]:
    own = {
        "SegmentNumber": number,
        "SegmentLabel": label,
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyTypeCodeSequence": [{"CodeValue": "1", "CodeMeaning": "Neoplasm"}],
        "RecommendedDisplayCIELabValue": [35000, 53000, 50000],
    }
    return own | keywords


def _groups(segment: int, position: Sequence[float], bits: Any) -> dict[str, Any]:
    return {
        "SegmentIdentificationSequence": [{"ReferencedSegmentNumber": segment}],
        "PlanePositionSequence": [{"ImagePositionPatient": [*map(str, position)]}],
    }
