"""Series of images of the phantom: CT, MR and PET in one frame of reference, and a radiograph."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    JPEGLSLossless,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from .identity import Series, Study, code, decimal, uid, written
from .painting import Grid, Noise, grid_around, over, painted
from .phantom import AIR, COUCH, Structure
from .shapes import Array

THREADS = 2  # numpy lets them run at once
TRANSVERSE = ["1", "0", "0", "0", "1", "0"]
SUPINE = {
    "PatientOrientationCodeSequence": [
        {
            **code("102538003", "SCT", "recumbent"),
            "PatientOrientationModifierCodeSequence": [code("40199007", "SCT", "supine")],
        }
    ],
    "PatientGantryRelationshipCodeSequence": [code("102540008", "SCT", "headfirst")],
}
LOWEST = -1024  # HU that a stored 0 stands for
BECQUEREL = 2740.0  # in each ml, at a standardized uptake value of 1
FULL_SCALE = 32767
WATER = 0.0195  # 1/mm, that weakens a ray


@dataclass(frozen=True)
class Stack:
    """A series of slices, and where they lie."""

    series: Series
    sop_class: UID
    grid: Grid

    def placed(self, number: int) -> dict[str, Any]:
        """What is said of one slice's place, and of its pixels: PS3.3 C.7.6.2 and C.7.6.3."""
        grid = self.grid
        x, y, _ = grid.first
        z = grid.z[number - 1]
        return {
            **self.series.attributes(number),
            **frame_of_reference(self.series.study),
            "ContentDate": self.series.study.date,
            "ContentTime": self.series.time,
            "AcquisitionDate": self.series.study.date,
            "AcquisitionTime": self.series.time,
            "AcquisitionNumber": "1",
            "PatientPosition": "HFS",
            "BodyPartExamined": "CHEST",
            "ImagePositionPatient": [decimal(x), decimal(y), decimal(z)],
            "ImageOrientationPatient": TRANSVERSE,
            "SliceLocation": decimal(z),
            "SliceThickness": decimal(grid.step),
            "SpacingBetweenSlices": decimal(grid.step),
            "PixelSpacing": [decimal(spacing) for spacing in grid.pixel_spacing],
        }


def frame_of_reference(study: Study) -> dict[str, Any]:
    """One for all that lies where the phantom lies: what is not of one machine is registered."""
    return {
        "FrameOfReferenceUID": uid(study.of.id, "frame of reference"),
        "PositionReferenceIndicator": "",
    }


def pixels(stored: Array, bits: int) -> dict[str, Any]:
    """Image Pixel Module, PS3.3 C.7.6.3, of whole numbers in 16 bits."""
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.astype(stored.dtype.newbyteorder("<")).tobytes(),
    }


def packed(stored: Array) -> dict[str, Any]:
    """The same, in a JPEG-LS stream without loss: half as large as Deflate makes it.

    Stored are as many bits as the stream says, which this encoder writes for all of the type's.
    """
    stream = bytes(imagecodecs.jpegls_encode(stored))
    return {**pixels(stored, 8 * stored.itemsize), "PixelData": encapsulate([stream])}


# --- CT --------------------------------------------------------------------------------------


def ct_stack(study: Study, coarser: int) -> Stack:
    series = Series(study, 2, "CT", "Planning CT of the thorax", "100500", "Phantom CT")
    middle, size = (0.0, 20.0, 0.0), (500.0, 500.0, 360.0)
    grid = grid_around(middle, size, 512 // coarser, 512 // coarser, 120 // coarser)
    return Stack(series, CTImageStorage, grid)


def ct_images(stack: Stack) -> Iterator[bytes]:
    with ThreadPoolExecutor(THREADS) as threads:
        yield from threads.map(lambda n: ct_image(stack, n), range(1, stack.grid.slices + 1))


def ct_image(stack: Stack, number: int) -> bytes:
    stored = np.clip(hounsfield(stack.grid, number) - LOWEST, 0, 4095)
    attributes = {
        **stack.placed(number),
        **packed(np.rint(stored).astype(np.uint16)),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "RescaleIntercept": str(LOWEST),
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "KVP": "120",
        "XRayTubeCurrent": "180",
        "ExposureTime": "500",
        "ConvolutionKernel": "DEMO",
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": "500",
        "GantryDetectorTilt": "0",
        "TableHeight": "142",
        "WindowCenter": ["40", "-600", "400"],
        "WindowWidth": ["400", "1500", "1800"],
        "WindowCenterWidthExplanation": ["Soft tissue", "Lung", "Bone"],
    }
    return written(stack.sop_class, attributes, JPEGLSLossless)


def hounsfield(grid: Grid, number: int) -> Array:
    z, blur = grid.z[number - 1], 1.5 * grid.spacing
    couch = over(np.full((grid.rows, grid.columns), AIR, np.float32), grid, z, COUCH, _hu, blur)
    values = painted(grid, z, _hu, blur, couch)
    # Least in air, as scanners' corrections leave it: it is most of a slice, and of its size.
    return values + Noise(number).of(values.shape) * np.interp(
        values, [-990, -850, 0], [0.25, 3.5, 6]
    )


def _hu(structure: Structure) -> float | None:
    return structure.hu


# --- MR --------------------------------------------------------------------------------------


def mr_stack(study: Study, weighting: str, coarser: int) -> Stack:
    number = {"T1": 2, "T2": 3}[weighting]
    series = Series(
        study, number, "MR", f"{weighting} transverse, registered to CT", "143000", "Phantom MR"
    )
    grid = grid_around((0.0, 20.0, 20.0), (400.0, 400.0, 240.0), 256 // coarser, 256 // coarser,
                       40 // coarser)  # fmt: skip
    return Stack(series, MRImageStorage, grid)


def mr_images(stack: Stack, weighting: str) -> Iterator[bytes]:
    with ThreadPoolExecutor(THREADS) as threads:
        numbers = range(1, stack.grid.slices + 1)
        yield from threads.map(lambda n: mr_image(stack, weighting, n), numbers)


def mr_image(stack: Stack, weighting: str, number: int) -> bytes:
    grid = stack.grid
    values = painted(
        grid,
        grid.z[number - 1],
        lambda structure: structure.t1 if weighting == "T1" else structure.t2,
        1.5 * grid.spacing,
        around=4.0,
    )
    # The coil in front of the chest hears best what is near to it.
    values = values * (1.15 - (grid.y + 100) / 800)
    noise = Noise(10_000 * stack.series.number + number).of(values.shape)
    stored = np.rint(np.clip(np.abs(values + 5 * noise), 0, 4095)).astype(np.uint16)
    attributes = {
        **stack.placed(number),
        **pixels(stored, 12),
        "ImageType": ["DERIVED", "SECONDARY", "OTHER"],
        "DerivationDescription": "Registered to the frame of reference of the planning CT",
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": "620" if weighting == "T1" else "4200",
        "EchoTime": "12" if weighting == "T1" else "96",
        "EchoTrainLength": "1" if weighting == "T1" else "16",
        "MagneticFieldStrength": "1.5",
        "FlipAngle": "90",
        "WindowCenter": "350",
        "WindowWidth": "700",
    }
    return written(stack.sop_class, attributes)


# --- PET -------------------------------------------------------------------------------------


def pet_stack(study: Study, coarser: int) -> Stack:
    series = Series(study, 3, "PT", "PET, FDG, attenuation corrected", "102000", "Phantom PET")
    grid = grid_around((0.0, 20.0, 0.0), (512.0, 512.0, 360.0), 128 // coarser, 128 // coarser,
                       72 // coarser)  # fmt: skip
    return Stack(series, PositronEmissionTomographyImageStorage, grid)


def pet_images(stack: Stack) -> Iterator[bytes]:
    for number in range(1, stack.grid.slices + 1):
        yield pet_image(stack, number)


def pet_image(stack: Stack, number: int) -> bytes:
    activity = activity_of(stack.grid, number)
    # Each slice uses all of the 15 bits, as scanners have it: its slope is its own.
    slope = decimal(max(float(activity.max()), 1.0) / FULL_SCALE)
    stored = np.rint(np.clip(activity / float(slope), 0, FULL_SCALE)).astype(np.int16)
    attributes = {
        **stack.placed(number),
        **pixels(stored, 16),
        **SUPINE,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "RescaleIntercept": "0",
        "RescaleSlope": slope,
        "Units": "BQML",
        "CountsSource": "EMISSION",
        "CollimatorType": "",
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "NumberOfSlices": stack.grid.slices,
        "ImageIndex": number,
        "CorrectedImage": ["DECY", "ATTN", "SCAT", "DTIM", "RANSNG", "NORM"],
        "RandomsCorrectionMethod": "SING",
        "AttenuationCorrectionMethod": "measured, CT",
        "ScatterCorrectionMethod": "model based",
        "DecayCorrection": "START",
        "DecayFactor": "1",
        "ReconstructionMethod": "painted",
        "FrameReferenceTime": "0",
        "ActualFrameDuration": "120000",
        "LossyImageCompression": "00",
        "RadiopharmaceuticalInformationSequence": [
            {
                "Radiopharmaceutical": "Fluorodeoxyglucose F18",
                "RadiopharmaceuticalStartTime": "092000",
                "RadionuclideTotalDose": "300000000",
                "RadionuclideHalfLife": "6586.2",
                "RadionuclidePositronFraction": "0.967",
                "RadionuclideCodeSequence": [code("77004003", "SCT", "^18^Fluorine")],
                "RadiopharmaceuticalCodeSequence": [
                    code("35321007", "SCT", "Fluorodeoxyglucose F^18^")
                ],
            }
        ],
        "WindowCenter": decimal(2.5 * BECQUEREL),
        "WindowWidth": decimal(5 * BECQUEREL),
    }
    return written(stack.sop_class, attributes)


def activity_of(grid: Grid, number: int) -> Array:
    """Activity in Bq/ml: as blurred as a scanner sees it, and as uneven as few counts are."""
    values = painted(grid, grid.z[number - 1], lambda structure: structure.suv, 7.0, around=0.02)
    noise = Noise(1_000_000 + number).of(values.shape)
    noise = (
        noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))
    ) / 2
    return np.clip(values + 0.12 * np.sqrt(values) * noise, 0, None) * BECQUEREL


# --- a radiograph ----------------------------------------------------------------------------


def radiograph_series(study: Study) -> Series:
    return Series(study, 1, "CR", "Chest radiograph, pa", study.time, "Phantom X-ray")


def weakening(coarser: int) -> Array:
    """How much rays that cross the phantom from back to front lose: by height and by column."""
    columns, rows, slices = 400 // coarser, 56, 180 // coarser
    grid = grid_around((0.0, 20.0, 0.0), (400.0, 280.0, 360.0), columns, rows, slices)
    twice = np.repeat([_rays(grid, z) for z in reversed(grid.z)], 2, axis=0)  # the head is above
    return (twice[:-1] + twice[1:]) / 2  # as many rows as columns for each mm


def _rays(grid: Grid, z: float) -> Array:
    values = painted(grid, z, _hu, 3.0, around=AIR)
    return (values / 1000 + 1).sum(axis=0) * WATER * grid.pixel_spacing[0]


def radiograph(series: Series, weakened: Array, seed: int) -> bytes:
    """As film shows it: white where little is left of the rays."""
    grey = weakened + 0.03 * Noise(seed).of(weakened.shape)
    stored = np.rint(np.interp(grey, [0, float(weakened.max())], [100, 4000])).astype(np.uint16)
    attributes = {
        **series.attributes(1),
        **pixels(stored, 12),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [decimal(400 / weakened.shape[1])] * 2,
        "ContentDate": series.study.date,
        "ContentTime": series.time,
        "AcquisitionNumber": "1",
        "KVP": "125",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "WindowCenter": "2100",
        "WindowWidth": "3600",
    }
    return written(ComputedRadiographyImageStorage, attributes)


def numbers_near(stack: Stack, heights: Sequence[float]) -> list[int]:
    """The slices that lie nearest to these heights."""
    return [
        1 + min(range(stack.grid.slices), key=lambda n: abs(stack.grid.z[n] - height))
        for height in heights
    ]
