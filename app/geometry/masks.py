"""Which images the frames of a segmentation lie over: those of the very same plane and matrix.

A mask of another matrix would have to be resampled, and would then say of pixels what nobody has
said of them.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from app.sandbox.segments import Segmentation

BINARY = "BINARY"
SAME = 0.01  # mm, of each coordinate of the first pixel; writers round to 6 digits and more
ALIKE = 1e-4  # of direction cosines; of spacings as a part of them: a tenth of a pixel in 1,000
FARTHEST = 1e6  # mm


def why_not_drawn(found: Segmentation) -> str:
    """Why nothing of a segmentation is drawn, as a reason's code; "" where its masks may be."""
    if found.why_not:
        return found.why_not
    if found.type and found.type != BINARY:
        return "segments_not_binary"
    is_told = found.frame_of_reference and found.segments and found.masks
    return "" if is_told and found.frames == len(found.masks) else "segments_not_told"


class Plane(NamedTuple):
    position: Sequence[float] | None  # mm, of the first pixel's centre
    orientation: Sequence[float] | None  # six direction cosines
    spacing: Sequence[float] | None  # mm, between rows, and between columns
    rows: int
    columns: int

    @property
    def is_told(self) -> bool:
        """Whether it says where it lies, and where each of its pixels does."""
        lengths = [len(part or ()) for part in self[:3]]
        if lengths != [3, 6, 2]:
            return False
        assert self.position
        return all(abs(one) <= FARTHEST for one in self.position)  # which NaN is not


class Planes:
    """Images, or frames of some, by the planes that they lie in."""

    def __init__(self, images: Iterable[tuple[Hashable, Plane]]) -> None:
        self.cells: dict[Hashable, list[tuple[Any, Plane]]] = {}
        for key, plane in images:
            if plane.is_told:
                self.cells.setdefault(_cell(plane.position or ()), []).append((key, plane))

    def like(self, plane: Plane) -> Iterator[Any]:
        """The keys of those that have this plane and matrix."""
        if not plane.is_told:
            return
        near = ({round(one - SAME), round(one + SAME)} for one in plane.position or ())
        for cell in product(*near):
            for key, other in self.cells.get(cell, ()):
                if are_same(plane, other):
                    yield key


def are_same(one: Plane, other: Plane) -> bool:
    """Whether each pixel of the one lies where the same pixel of the other does."""
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and _differ(one.position, other.position) <= SAME
        and _differ(one.orientation, other.orientation) <= ALIKE
        and all(
            abs(a - b) <= ALIKE * abs(a)
            for a, b in zip(one.spacing or (), other.spacing or (), strict=True)
        )
    )


def _cell(position: Sequence[float]) -> Hashable:
    return tuple(round(one) for one in position)


def _differ(one: Sequence[float] | None, other: Sequence[float] | None) -> float:
    return max(abs(a - b) for a, b in zip(one or (), other or (), strict=True))
