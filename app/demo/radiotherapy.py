"""What radiotherapy made of the phantom: structures, a plan with seven beams, and their dose."""

import math

import numpy as np
from pydicom.uid import RTDoseStorage, RTPlanStorage, RTStructureSetStorage

from .contours import contours
from .identity import Attributes, Series, decimal, reference, uid, written
from .images import TRANSVERSE, Stack, frame_of_reference, numbers_near
from .painting import Grid, grid_around
from .phantom import BODY, ISOCENTRE, ROIS, Structure
from .shapes import Array, Shape

STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, retired: PS3.3 C.8.8.5
PRESCRIBED = 60.0  # Gy
FRACTIONS = 30
ANGLES = (0, 51, 103, 154, 206, 257, 309)  # degrees of the gantry
RADIUS = 38.0  # mm, of the fields, which are round: the PTV's, and their penumbra's
PENUMBRA = 7.0  # mm
WEAKER = 0.0046  # of a beam, for each mm
SCATTERED = 0.035  # of the dose, everywhere near
POINT = len(ROIS) + 1  # the number of the isocentre's ROI


# --- structures ------------------------------------------------------------------------------


def structure_set(series: Series, stack: Stack) -> bytes:
    study = series.study
    images = [
        reference(stack.sop_class, stack.series.uid_of(n + 1)) for n in range(stack.grid.slices)
    ]
    frame = frame_of_reference(study)["FrameOfReferenceUID"]
    attributes = {
        **series.attributes(1),
        "OperatorsName": "",
        "StructureSetLabel": "Thorax demo",
        "StructureSetName": "Invented structures of the phantom",
        "StructureSetDate": study.date,
        "StructureSetTime": series.time,
        "ReferencedFrameOfReferenceSequence": [
            {
                "FrameOfReferenceUID": frame,
                "RTReferencedStudySequence": [
                    {
                        **reference(STUDY_COMPONENT, study.uid),  # type: ignore[arg-type]
                        "RTReferencedSeriesSequence": [
                            {
                                "SeriesInstanceUID": stack.series.uid,
                                "ContourImageSequence": images,
                            }
                        ],
                    }
                ],
            }
        ],
        "StructureSetROISequence": [
            {
                "ROINumber": str(number),
                "ReferencedFrameOfReferenceUID": frame,
                "ROIName": name,
                "ROIGenerationAlgorithm": "AUTOMATIC",
            }
            for number, name, *_ in _rois()
        ],
        "ROIContourSequence": [
            *(_drawn(number, roi, stack) for number, roi in enumerate(ROIS, 1)),
            _isocentre(stack),
        ],
        "RTROIObservationsSequence": [
            {
                "ObservationNumber": str(number),
                "ReferencedROINumber": str(number),
                "RTROIInterpretedType": kind,
                "ROIInterpreter": "",
            }
            for number, _, kind in _rois()
        ],
        "ApprovalStatus": "UNAPPROVED",
    }
    return written(RTStructureSetStorage, attributes)


def _rois() -> list[tuple[int, str, str]]:
    """Number, name and interpreted type of each."""
    drawn = [(number, roi.name, roi.kind) for number, roi in enumerate(ROIS, 1)]
    return [*drawn, (POINT, "Isocentre", "ISOCENTER")]


def _drawn(number: int, roi: Structure, stack: Stack) -> Attributes:
    return {
        "ROIDisplayColor": [str(part) for part in roi.colour or ()],
        "ReferencedROINumber": str(number),
        "ContourSequence": [
            _contour(stack, at, "CLOSED_PLANAR", outline.tolist(), z)
            for at, z in enumerate(stack.grid.z, 1)
            for outline in contours(roi.outline, stack.grid, z)
        ],
    }


def _isocentre(stack: Stack) -> Attributes:
    x, y, z = ISOCENTRE
    [nearest] = numbers_near(stack, [z])
    return {
        "ROIDisplayColor": ["0", "255", "255"],
        "ReferencedROINumber": str(POINT),
        "ContourSequence": [_contour(stack, nearest, "POINT", [[x, y]], z)],
    }


def _contour(stack: Stack, at: int, kind: str, outline: list[list[float]], z: float) -> Attributes:
    height = decimal(z)
    text = "\\".join(f"{x:.2f}\\{y:.2f}\\{height}" for x, y in outline)
    return {
        "ContourImageSequence": [reference(stack.sop_class, stack.series.uid_of(at))],
        "ContourGeometricType": kind,
        "NumberOfContourPoints": str(len(outline)),
        "ContourData": text,
    }


# --- the plan --------------------------------------------------------------------------------


def plan(series: Series, structures: Series) -> bytes:
    attributes = {
        **series.attributes(1),
        "OperatorsName": "",
        **frame_of_reference(series.study),
        "RTPlanLabel": "Seven beams",
        "RTPlanName": "Invented plan for the phantom",
        "RTPlanDate": series.study.date,
        "RTPlanTime": series.time,
        "RTPlanGeometry": "PATIENT",
        "PlanIntent": "RESEARCH",
        "ReferencedStructureSetSequence": [reference(RTStructureSetStorage, structures.uid_of(1))],
        "DoseReferenceSequence": [
            {
                "DoseReferenceNumber": "1",
                "DoseReferenceUID": uid(series.uid, "dose reference"),
                "DoseReferenceStructureType": "VOLUME",
                "DoseReferenceDescription": "PTV",
                "DoseReferenceType": "TARGET",
                "ReferencedROINumber": str(1 + [roi.name for roi in ROIS].index("PTV")),
                "TargetPrescriptionDose": decimal(PRESCRIBED),
            }
        ],
        "PatientSetupSequence": [
            {"PatientSetupNumber": "1", "PatientPosition": "HFS", "SetupTechnique": "ISOCENTRIC"}
        ],
        "FractionGroupSequence": [
            {
                "FractionGroupNumber": "1",
                "NumberOfFractionsPlanned": str(FRACTIONS),
                "NumberOfBeams": str(len(ANGLES)),
                "NumberOfBrachyApplicationSetups": "0",
                "ReferencedBeamSequence": [
                    {
                        "ReferencedBeamNumber": str(number),
                        "BeamDose": decimal(round(PRESCRIBED / FRACTIONS / len(ANGLES), 6)),
                        "BeamMeterset": "48",
                    }
                    for number, _ in enumerate(ANGLES, 1)
                ],
            }
        ],
        "BeamSequence": [_beam(number, angle) for number, angle in enumerate(ANGLES, 1)],
        "ApprovalStatus": "UNAPPROVED",
    }
    return written(RTPlanStorage, attributes)


def _beam(number: int, angle: int) -> Attributes:
    jaws = ("ASYMX", "ASYMY")
    start = {
        "ControlPointIndex": "0",
        "CumulativeMetersetWeight": "0",
        "NominalBeamEnergy": "6",
        "DoseRateSet": "600",
        "BeamLimitingDevicePositionSequence": [
            {
                "RTBeamLimitingDeviceType": jaw,
                "LeafJawPositions": [decimal(-RADIUS), decimal(RADIUS)],
            }
            for jaw in jaws
        ],
        "GantryAngle": str(angle),
        "GantryRotationDirection": "NONE",
        "BeamLimitingDeviceAngle": "0",
        "BeamLimitingDeviceRotationDirection": "NONE",
        "PatientSupportAngle": "0",
        "PatientSupportRotationDirection": "NONE",
        "TableTopEccentricAngle": "0",
        "TableTopEccentricRotationDirection": "NONE",
        "TableTopVerticalPosition": "",
        "TableTopLongitudinalPosition": "",
        "TableTopLateralPosition": "",
        "IsocenterPosition": [decimal(part) for part in ISOCENTRE],
    }
    return {
        "BeamNumber": str(number),
        "BeamName": f"Gantry {angle}",
        "BeamType": "STATIC",
        "RadiationType": "PHOTON",
        "TreatmentMachineName": "Demo",
        "PrimaryDosimeterUnit": "MU",
        "SourceAxisDistance": "1000",
        "TreatmentDeliveryType": "TREATMENT",
        "ReferencedPatientSetupNumber": "1",
        "BeamLimitingDeviceSequence": [
            {"RTBeamLimitingDeviceType": jaw, "NumberOfLeafJawPairs": "1"} for jaw in jaws
        ],
        "NumberOfWedges": "0",
        "NumberOfCompensators": "0",
        "NumberOfBoli": "0",
        "NumberOfBlocks": "0",
        "FinalCumulativeMetersetWeight": "1",
        "NumberOfControlPoints": "2",
        "ControlPointSequence": [
            start,
            {"ControlPointIndex": "1", "CumulativeMetersetWeight": "1"},
        ],
    }


# --- the dose --------------------------------------------------------------------------------


def dose(series: Series, plans: Series, structures: Series, coarser: int) -> bytes:
    grid = dose_grid(coarser)
    gray = planned_dose(grid)
    scaling = f"{float(gray.max()) / (2**32 - 1):.9e}"
    stored = np.rint(np.minimum(gray / float(scaling), 2**32 - 1)).astype("<u4")
    attributes = {
        **series.attributes(1),
        "OperatorsName": "",
        **frame_of_reference(series.study),
        "ContentDate": series.study.date,
        "ContentTime": series.time,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": str(grid.slices),
        "FrameIncrementPointer": 0x3004000C,  # Grid Frame Offset Vector
        "Rows": grid.rows,
        "Columns": grid.columns,
        "BitsAllocated": 32,
        "BitsStored": 32,
        "HighBit": 31,
        "PixelRepresentation": 0,
        "PixelSpacing": [decimal(spacing) for spacing in grid.pixel_spacing],
        "ImagePositionPatient": [decimal(part) for part in grid.first],
        "ImageOrientationPatient": TRANSVERSE,
        "SliceThickness": "",
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DoseSummationType": "PLAN",
        "DoseComment": "Invented: painted, not calculated",
        "GridFrameOffsetVector": [decimal(grid.step * n) for n in range(grid.slices)],
        "DoseGridScaling": scaling,
        "TissueHeterogeneityCorrection": "IMAGE",
        "ReferencedRTPlanSequence": [reference(RTPlanStorage, plans.uid_of(1))],
        "PixelData": stored.tobytes(),
        **histograms(structures, grid, gray),
    }
    return written(RTDoseStorage, attributes)


def dose_grid(coarser: int) -> Grid:
    """Wider than the body, and around the beams: its points lie between those of the images."""
    middle, size = (0.0, 10.0, 3.0), (390.0, 270.0, 150.0)
    return grid_around(middle, size, 130 // coarser, 90 // coarser, 60 // coarser)


def planned_dose(grid: Grid) -> Array:
    """In Gy, by slice, row and column; 100 % of what was prescribed at the isocentre."""
    x, y, z = grid.x[np.newaxis], grid.y[np.newaxis], np.array(grid.z)[:, np.newaxis, np.newaxis]
    dx, dy, dz = (part - mid for part, mid in zip((x, y, z), ISOCENTRE, strict=True))
    beams = sum(_beam_dose(dx, dy, dz, math.radians(angle)) for angle in ANGLES) / len(ANGLES)
    apart = np.sqrt(dx * dx + dy * dy + dz * dz)
    relative = (1 - SCATTERED) * beams + SCATTERED / (1 + (apart / 60) ** 2)
    return PRESCRIBED * relative * (_by_slice(BODY, grid) < 0)


def _beam_dose(dx: Array, dy: Array, dz: Array, angle: float) -> Array:
    """Of one round beam: full within, falling off at its edge, weaker the deeper it comes."""
    towards = (-math.sin(angle), math.cos(angle))  # of a gantry at 0 it comes from the front
    deep = dx * towards[0] + dy * towards[1]
    beside = dx * towards[1] - dy * towards[0]
    edge = np.clip((RADIUS + PENUMBRA / 2 - np.sqrt(beside**2 + dz**2)) / PENUMBRA, 0, 1)
    return edge * edge * (3 - 2 * edge) * np.exp(-WEAKER * deep)


def _by_slice(shape: Shape, grid: Grid) -> Array:
    return np.array([shape.level(grid.x, grid.y, z) for z in grid.z])


def histograms(structures: Series, grid: Grid, gray: Array) -> Attributes:
    """RT DVH Module, PS3.3 C.8.8.4, of what the grid holds whole."""
    chosen = [n for n, roi in enumerate(ROIS, 1) if roi.name in ("GTV", "CTV", "PTV")]
    return {
        "ReferencedStructureSetSequence": [reference(RTStructureSetStorage, structures.uid_of(1))],
        "DVHSequence": [_histogram(n, ROIS[n - 1].outline, grid, gray) for n in chosen],
    }


def _histogram(number: int, shape: Shape, grid: Grid, gray: Array) -> Attributes:
    inside = gray[_by_slice(shape, grid) < 0]
    voxel = grid.step * math.prod(grid.pixel_spacing) / 1000  # ml
    bins = range(math.ceil(float(gray.max())) + 1)
    volumes = [float((inside >= low).sum()) * voxel for low in bins]
    return {
        "DVHReferencedROISequence": [
            {"ReferencedROINumber": str(number), "DVHROIContributionType": "INCLUDED"}
        ],
        "DVHType": "CUMULATIVE",
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DVHDoseScaling": "1",
        "DVHVolumeUnits": "CM3",
        "DVHNumberOfBins": str(len(volumes)),
        "DVHData": [part for volume in volumes for part in ("1", decimal(round(volume, 4)))],
        "DVHMinimumDose": decimal(round(float(inside.min(initial=math.inf)), 3))
        if len(inside)
        else "0",
        "DVHMaximumDose": decimal(round(float(inside.max(initial=0)), 3)),
        "DVHMeanDose": decimal(round(float(inside.mean()), 3)) if len(inside) else "0",
    }
