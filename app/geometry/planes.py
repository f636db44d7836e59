"""Whether a stack can be cut across its slices: PS3.3 C.7.6.2.

It can where its slices are one block: of one size and one orientation, straight behind each other
and evenly apart. Anything else would show what lies beside each other where it is not.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from app.errors import Expected
from app.wording import counted, human_size, measure

from .stacks import FEWEST, SAME, Vector, axes_of, dot, is_place

EVEN = 0.01  # of their mean, by which distances may differ from it
OFF = 1e-3  # that a direction's length, and the product of two, may be off
BESIDE = 0.1  # mm that a pixel may lie beside its place in the block
VALUE = 2  # bytes of a pixel, as nearly all images have it
LARGEST = 1_000_000_000  # bytes that a browser is made to keep


class NoPlanes(Expected):
    """A stack cannot be cut across, and why not."""


class Lying(NamedTuple):
    """A slice, and what its pixels are in space."""

    rows: int | None
    columns: int | None
    spacing: Vector | None  # between rows, and between columns; mm
    position: Vector | None  # mm, three
    cosines: Vector | None  # six


class Block(NamedTuple):
    slices: int
    spacing: float  # mm, from slice to slice
    bytes: int  # of all values


def block_of(slices: Sequence[Lying]) -> Block:
    """What a stack is as one block.

    Raises
    ------
    NoPlanes
    """
    if len(slices) < FEWEST:
        raise NoPlanes("planes_few", slices=counted(len(slices), "slice"), least=FEWEST)
    if not all(is_place(one.position, one.cosines) for one in slices):
        raise NoPlanes("planes_no_place")
    if not all(_is_square(one.cosines or ()) for one in slices):
        raise NoPlanes("planes_axes")
    rows, columns = _size(slices)
    spacing = _pixels(slices, rows, columns)
    _turned(slices, rows, columns, spacing)
    distance = _straight(slices)
    size = rows * columns * len(slices) * VALUE
    if size > LARGEST:
        raise NoPlanes("planes_large", size=human_size(size), limit=human_size(LARGEST))
    return Block(len(slices), distance, size)


def _is_square(cosines: Vector) -> bool:
    row, column = cosines[:3], cosines[3:]
    off = math.hypot(*row) - 1, math.hypot(*column) - 1, dot(row, column)
    return all(abs(one) <= OFF for one in off)


def _size(slices: Sequence[Lying]) -> tuple[int, int]:
    sizes = sorted({(one.rows or 0, one.columns or 0) for one in slices})
    if len(sizes) > 1:
        (rows, columns), *_, (other_rows, other_columns) = sizes
        least, most = f"{columns} x {rows}", f"{other_columns} x {other_rows}"
        raise NoPlanes("planes_sizes", least=least, most=most)
    return sizes[0]


def _pixels(slices: Sequence[Lying], rows: int, columns: int) -> Vector:
    """The spacing of all, which differs so little that it moves no pixel."""
    known = [one.spacing for one in slices if one.spacing and len(one.spacing) == 2]
    if len(known) < len(slices) or not all(0 < side < math.inf for one in known for side in one):
        raise NoPlanes("planes_no_spacing")
    for at, count in enumerate((rows, columns)):
        sides = [one[at] for one in known]
        least, most = min(sides), max(sides)
        if (most - least) * count > BESIDE:
            raise NoPlanes("planes_pixels", least=f"{least:.5g}", most=f"{most:.5g}")
    return known[0]


def _turned(slices: Sequence[Lying], rows: int, columns: int, spacing: Vector) -> None:
    """Refuse slices that lie otherwise than the first, by more than what moves no pixel."""
    first = slices[0].cosines or ()
    sides = ((slice(0, 3), columns * spacing[1]), (slice(3, 6), rows * spacing[0]))
    turns = [
        (math.dist(first[axis], (one.cosines or ())[axis]), side)
        for one in slices
        for axis, side in sides
    ]
    if any(turn * side > BESIDE for turn, side in turns):
        most = 2 * math.asin(min(max(turn for turn, _ in turns) / 2, 1))
        raise NoPlanes("planes_turned", angle=measure(math.degrees(most)))


class _Spot(NamedTuple):
    """Where a slice's first pixel lies, by the directions of the first slice; mm."""

    along: float  # the normal
    across: float  # along a row
    down: float


def _straight(slices: Sequence[Lying]) -> float:
    """The distance from slice to slice, of such as lie behind each other."""
    spots = sorted(_spots(slices))
    distances = [after.along - before.along for before, after in pairwise(spots)]
    places = 1 + sum(distance > SAME for distance in distances)
    if places < len(slices):
        here = counted(places, "place")
        raise NoPlanes("planes_doubles", slices=counted(len(slices), "slice"), places=here)
    length = spots[-1].along - spots[0].along
    mean = length / len(distances)
    least, most = min(distances), max(distances)
    if most - mean > EVEN * mean or mean - least > EVEN * mean:
        raise NoPlanes("planes_uneven", least=measure(least), most=measure(most))
    _beside(spots, length)
    return mean


def _spots(slices: Sequence[Lying]) -> Iterator[_Spot]:
    axes = axes_of(slices[0].cosines)
    assert axes is not None
    (a, b, c), (d, e, f) = axes.normal, axes.row
    column = (b * f - c * e, c * d - a * f, a * e - b * d)
    for one in slices:
        position = one.position or ()
        yield _Spot(dot(axes.normal, position), dot(axes.row, position), dot(column, position))


def _beside(spots: Sequence[_Spot], length: float) -> None:
    """Refuse slices that lie beside the line on which most of them lie."""
    middle = [median(one.across for one in spots), median(one.down for one in spots)]
    beside = max(math.dist(one[1:], middle) for one in spots)
    if beside <= BESIDE:
        return
    first, last = spots[0], spots[-1]
    slant = [(last[at] - first[at]) / length for at in (1, 2)]
    # Those of a tilted gantry lie on one line, which is not their normal.
    from_line = max(
        math.dist(one[1:], [first[at] + slant[at - 1] * (one.along - first.along) for at in (1, 2)])
        for one in spots
    )
    if from_line <= BESIDE:
        angle = math.degrees(math.atan(math.hypot(*slant)))
        raise NoPlanes("planes_tilted", angle=f"{angle:.1f}")
    raise NoPlanes("planes_beside", beside=measure(round(beside, 2)))
