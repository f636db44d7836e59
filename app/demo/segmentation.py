"""The tumour and what is dead in it as masks over the CT: a binary segmentation, PS3.3 A.51."""

from typing import NamedTuple

import numpy as np
from pydicom.uid import SegmentationStorage

from .identity import Attributes, Series, code, decimal, reference, uid, written
from .images import TRANSVERSE, Stack, frame_of_reference
from .phantom import GTV, NECROSIS
from .shapes import Array, Shape


class Segment(NamedTuple):
    label: str
    shape: Shape
    type: dict[str, str]  # a code
    colour: tuple[int, int, int]  # CIELab, each from 0 to 65535: PS3.3 C.10.7.1.1


SEGMENTS = (
    Segment("Tumour", GTV, code("108369006", "SCT", "Neoplasm"), (45_000, 20_046, 43_176)),
    Segment("Necrosis", NECROSIS, code("6574001", "SCT", "Necrosis"), (26_214, 42_148, 16_448)),
)
CATEGORY = code("49755003", "SCT", "Morphologically Altered Structure")


class Mask(NamedTuple):
    segment: int  # from 1
    image: int  # of the stack, from 1
    bits: Array


def segmentation(series: Series, stack: Stack) -> bytes:
    masks = [one for number, _ in enumerate(SEGMENTS, 1) for one in _masks(number, stack)]
    grid = stack.grid
    images = sorted({one.image for one in masks})
    bits = np.packbits(np.array([one.bits for one in masks]).ravel(), bitorder="little").tobytes()
    organization = uid(series.uid, "dimensions")
    attributes = {
        **series.attributes(1),
        **frame_of_reference(series.study),
        "DeviceSerialNumber": "DEMO",
        "ImageType": ["DERIVED", "PRIMARY"],
        "ContentDate": series.study.date,
        "ContentTime": series.time,
        "ContentLabel": "TUMOUR",
        "ContentDescription": "Invented: painted, not found",
        "ContentCreatorName": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": str(len(masks)),
        "Rows": grid.rows,
        "Columns": grid.columns,
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelRepresentation": 0,
        "LossyImageCompression": "00",
        "SegmentationType": "BINARY",
        "SegmentSequence": [_segment(*one) for one in enumerate(SEGMENTS, 1)],
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": organization}],
        "DimensionIndexSequence": [
            {
                "DimensionOrganizationUID": organization,
                "DimensionIndexPointer": pointer,
                "FunctionalGroupPointer": group,
            }
            for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
        ],
        "ReferencedSeriesSequence": [
            {
                "SeriesInstanceUID": stack.series.uid,
                "ReferencedInstanceSequence": [
                    reference(stack.sop_class, stack.series.uid_of(number)) for number in images
                ],
            }
        ],
        "SharedFunctionalGroupsSequence": [
            {
                "PixelMeasuresSequence": [
                    {
                        "SliceThickness": decimal(grid.step),
                        "SpacingBetweenSlices": decimal(grid.step),
                        "PixelSpacing": [decimal(spacing) for spacing in grid.pixel_spacing],
                    }
                ],
                "PlaneOrientationSequence": [{"ImageOrientationPatient": TRANSVERSE}],
            }
        ],
        "PerFrameFunctionalGroupsSequence": [
            _groups(one, images.index(one.image) + 1, stack) for one in masks
        ],
        "PixelData": bits + b"\0" * (len(bits) % 2),
    }
    return written(SegmentationStorage, attributes)


def _masks(number: int, stack: Stack) -> list[Mask]:
    """Those of a segment's that are not empty."""
    grid, shape = stack.grid, SEGMENTS[number - 1].shape
    found = [
        Mask(number, image, (shape.level(grid.x, grid.y, z) < 0).astype(np.uint8))
        for image, z in enumerate(grid.z, 1)
        if grid.around(shape.box, z, grid.spacing)
    ]
    return [one for one in found if one.bits.any()]


def _segment(number: int, segment: Segment) -> Attributes:
    return {
        "SegmentNumber": number,
        "SegmentLabel": segment.label,
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "Phantom",
        "SegmentedPropertyCategoryCodeSequence": [CATEGORY],
        "SegmentedPropertyTypeCodeSequence": [segment.type],
        "RecommendedDisplayCIELabValue": list(segment.colour),
    }


def _groups(mask: Mask, place: int, stack: Stack) -> Attributes:
    x, y, _ = stack.grid.first
    image = reference(stack.sop_class, stack.series.uid_of(mask.image))
    purpose = code("121322", "DCM", "Source image for image processing operation")
    return {
        "FrameContentSequence": [{"DimensionIndexValues": [mask.segment, place]}],
        "PlanePositionSequence": [
            {
                "ImagePositionPatient": [
                    decimal(part) for part in (x, y, stack.grid.z[mask.image - 1])
                ]
            }
        ],
        "SegmentIdentificationSequence": [{"ReferencedSegmentNumber": mask.segment}],
        "DerivationImageSequence": [
            {
                "DerivationCodeSequence": [code("113076", "DCM", "Segmentation")],
                "SourceImageSequence": [{**image, "PurposeOfReferenceCodeSequence": [purpose]}],
            }
        ],
    }
