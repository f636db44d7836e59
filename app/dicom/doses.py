"""Where the planes of a dose's grid lie: RT Dose Module, PS3.3 C.8.8.3.2.

Of one that is not as the standard has it nothing is guessed: a dose that is drawn in a wrong place
looks as good as one that is drawn in the right one.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from app.errors import Expected

MOST_PLANES = 10_000
SAME = 0.01  # mm
UNIT = 1e-3  # that a direction's length, and the product of two, may be off
FARTHEST = 1e6  # mm; no scanner's room is a kilometre wide
CLOSEST = 1e-3  # mm between planes


class NoGrid(Expected):
    """There is no grid to draw; the code says why."""


def offsets_of(
    position: Sequence[float],
    orientation: Sequence[float],
    vector: Sequence[float],
    planes: int,
) -> list[float]:
    """How far each plane lies from the first, in mm along row x column.

    Parameters
    ----------
    position, orientation
        Image Position and Orientation (Patient) of the first plane.
    vector
        Grid Frame Offset Vector: relative where it begins with 0; where it begins with the z of
        the position, and planes are transverse, the z of each.

    Raises
    ------
    NoGrid
    """
    normal = normal_of(position, orientation)
    if not 0 < planes == len(vector) <= MOST_PLANES:
        raise NoGrid("dose_offsets")
    if not all(abs(one) <= FARTHEST for one in vector):  # which NaN is not
        raise NoGrid("dose_offsets")
    first = vector[0]
    if abs(first) <= SAME:
        direction = 1.0
    elif abs(normal[2]) > 1 - UNIT and abs(first - position[2]) <= SAME:
        direction = math.copysign(1.0, normal[2])
    else:
        raise NoGrid("dose_offsets")
    offsets = [direction * (one - first) for one in vector]
    steps = [after - before for before, after in pairwise(offsets)]
    rises = all(step > CLOSEST for step in steps)
    if not (rises or all(step < -CLOSEST for step in steps)):
        raise NoGrid("dose_offsets")
    return offsets


def normal_of(
    position: Sequence[float], orientation: Sequence[float]
) -> tuple[float, float, float]:
    """What stands upright on the planes: row x column.

    Raises
    ------
    NoGrid
    """
    if len(position) != 3 or len(orientation) != 6:
        raise NoGrid("dose_not_placed")
    if not all(abs(one) <= FARTHEST for one in position):
        raise NoGrid("dose_not_placed")
    row, column = orientation[:3], orientation[3:]
    products = (_dot(row, row) - 1, _dot(column, column) - 1, _dot(row, column))
    if not all(abs(one) <= UNIT for one in products):
        raise NoGrid("dose_axes")
    (a, b, c), (d, e, f) = row, column
    return b * f - c * e, c * d - a * f, a * e - b * d


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
