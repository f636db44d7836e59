"""A dose as it is drawn over images: where its grid lies, and what it is a dose of."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from app.dicom.doses import FARTHEST, MOST_PLANES, NoGrid, normal_of, offsets_of
from app.sandbox.dose import DoseHeader

MOST_VALUES = 64_000_000  # of a grid: a browser needs four bytes for each
LEAST_SIDE = 2  # points in each direction, between which there is a dose
GRAY, RELATIVE = "GY", "RELATIVE"
# What is to be named on a picture, since it is not the dose of one whole plan: PS3.3 C.8.8.3.
TYPES = {"PHYSICAL": "", "EFFECTIVE": "effective dose", "ERROR": "difference between doses"}
SUMMATIONS = {
    "PLAN": "",
    "MULTI_PLAN": "of several plans",
    "PLAN_OVERVIEW": "of several plans",
    "FRACTION": "of one fraction group",
    "FRACTION_SESSION": "of one session of a fraction group",
    "BEAM": "of one or more beams",
    "BEAM_SESSION": "of one session of some beams",
    "BRACHY": "of one or more applications",
    "BRACHY_SESSION": "of one session of some applications",
    "CONTROL_POINT": "of parts of a beam",
    "RECORD": "of what was recorded",
}


class Dose(NamedTuple):
    """Lengths are in mm, along the patient's axes."""

    frame_of_reference: str
    position: list[float]  # of the first value
    orientation: list[float]  # direction cosines of a row and of a column
    spacing: list[float]  # between rows, and between columns
    rows: int
    columns: int
    frames: int
    offsets: list[float]  # of each frame from the first, along row x column
    scaling: float  # a stored value x scaling is a dose
    unit: str  # "Gy"; "" where it is relative
    type: str
    summation: str
    words: str  # what is to be named wherever it is drawn; "" of a plan's physical dose in Gy


def dose_of(header: DoseHeader) -> Dose:
    """What is drawn of a dose.

    Raises
    ------
    NoGrid
    """
    if header.why_not:
        raise NoGrid(header.why_not)
    if not header.has_grid:
        raise NoGrid("dose_without_grid")
    spacing = header.spacing
    is_spaced = len(spacing) == 2 and all(0 < one <= FARTHEST for one in spacing)
    if not (header.frame_of_reference and is_spaced):
        raise NoGrid("dose_not_placed")
    if header.rows * header.columns * header.frames > MOST_VALUES:
        raise NoGrid("dose_too_large")
    if header.frames > MOST_PLANES:
        raise NoGrid("dose_planes")
    normal_of(header.position, header.orientation)
    if min(header.rows, header.columns, header.frames) < LEAST_SIDE:
        raise NoGrid("dose_is_flat")
    offsets = offsets_of(header.position, header.orientation, header.offsets, header.frames)
    if header.unit not in (GRAY, RELATIVE):
        raise NoGrid("dose_without_unit")
    scaling = header.scaling[0] if header.scaling else 0.0
    if not 0 < scaling < math.inf:
        raise NoGrid("dose_not_scaled")
    return Dose(
        frame_of_reference=header.frame_of_reference,
        position=header.position,
        orientation=header.orientation,
        spacing=spacing,
        rows=header.rows,
        columns=header.columns,
        frames=header.frames,
        offsets=offsets,
        scaling=scaling,
        unit="Gy" if header.unit == GRAY else "",
        type=header.type,
        summation=header.summation,
        words=_first_letter_large(", ".join(_words(header))),
    )


def _words(header: DoseHeader) -> Iterator[str]:
    if header.unit == RELATIVE:
        yield "relative dose, not in Gy"
    kind = TYPES.get(header.type, "kind of dose not said")
    of = SUMMATIONS.get(header.summation, "not said of what it is the sum")
    yield from filter(None, (kind, of))


def _first_letter_large(words: str) -> str:
    return words[:1].upper() + words[1:]
