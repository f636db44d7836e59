"""Bodies in space, of which the phantom is built.

Each says of points how far they lie from its surface, in mm: negative inside, exact near the
surface. Points are patient coordinates in mm (x to the left, y to the back, z to the head; PS3.3
C.7.6.2.1.1), as arrays that broadcast against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

Array = Any  # of numpy: of floats, or one float
Point = tuple[float, float, float]
Box = tuple[Point, Point]  # the lowest and the highest corner

FAR = 1e4  # mm
NEAR = 30.0  # mm; no blur and no margin is wider
TINY = 1e-9
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Shape(Protocol):
    """A body."""

    @property
    def box(self) -> Box:
        """What holds it."""

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """How far points lie outside of it, in mm."""


@dataclass(frozen=True)
class Ellipsoid:
    """By its middle, three radii, and the directions of these."""

    middle: Point
    radii: Point
    axes: tuple[Point, Point, Point] = UPRIGHT

    @cached_property
    def box(self) -> Box:
        reach = [
            sum((axis[i] * radius) ** 2 for axis, radius in zip(self.axes, self.radii, strict=True))
            ** 0.5
            for i in range(3)
        ]
        return _around(self.middle, reach)

    def level(self, x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - self.middle[0], y - self.middle[1], z - self.middle[2]
        along = [
            (ax * dx + ay * dy + az * dz) / radius
            for (ax, ay, az), radius in zip(self.axes, self.radii, strict=True)
        ]
        return _level(along, self.radii)


@dataclass(frozen=True)
class Column:
    """Upright, of ellipses: rows of z, middle x, middle y, radius x, radius y, the lowest first."""

    rows: tuple[tuple[float, float, float, float, float], ...]

    @cached_property
    def box(self) -> Box:
        z, x, y, a, b = zip(*self.rows, strict=True)
        low = min(map(_minus, x, a)), min(map(_minus, y, b)), z[0]
        high = max(map(_plus, x, a)), max(map(_plus, y, b)), z[-1]
        return low, high

    def level(self, x: Array, y: Array, z: Array) -> Array:
        heights, *values = zip(*self.rows, strict=True)
        mx, my, a, b = (_between(z, heights, column) for column in values)
        around = _level([(x - mx) / a, (y - my) / b], (a, b))
        return np.maximum(around, np.maximum(heights[0] - z, z - heights[-1]))


@dataclass(frozen=True)
class Pipe:
    """Round, along a line of points; its radius goes from one to the other."""

    points: tuple[Point, ...]
    radius: float
    last_radius: float | None = None

    @property
    def radii(self) -> Sequence[float]:
        last = self.radius if self.last_radius is None else self.last_radius
        return [
            self.radius + (last - self.radius) * n / (len(self.points) - 1)
            for n in range(len(self.points))
        ]

    @cached_property
    def box(self) -> Box:
        reach = [max(self.radii)] * 3
        return _hull([_around(point, reach) for point in self.points])

    def level(self, x: Array, y: Array, z: Array) -> Array:
        ends = pairwise(zip(self.points, self.radii, strict=True))
        return _least([self._piece(x, y, z, *pair) for pair in ends])

    @staticmethod
    def _piece(
        x: Array, y: Array, z: Array, first: tuple[Point, float], last: tuple[Point, float]
    ) -> Array:
        (start, radius), (end, last_radius) = first, last
        way = [b - a for a, b in zip(start, end, strict=True)]
        dx, dy, dz = x - start[0], y - start[1], z - start[2]
        length = sum(part * part for part in way)
        share = np.clip((dx * way[0] + dy * way[1] + dz * way[2]) / length, 0, 1)
        dx, dy, dz = dx - share * way[0], dy - share * way[1], dz - share * way[2]
        return np.sqrt(dx * dx + dy * dy + dz * dz) - (radius + share * (last_radius - radius))


@dataclass(frozen=True)
class Slab:
    """A cuboid along the axes."""

    low: Point
    high: Point

    @cached_property
    def box(self) -> Box:
        return self.low, self.high

    def level(self, x: Array, y: Array, z: Array) -> Array:
        level = np.maximum(self.low[0] - x, x - self.high[0])
        level = np.maximum(level, np.maximum(self.low[1] - y, y - self.high[1]))
        return np.maximum(level, np.maximum(self.low[2] - z, z - self.high[2]))


@dataclass(frozen=True)
class Rib:
    """A band around a column at its surface, which falls towards the front and may end there."""

    wall: Column
    height: float  # mm, at y = 0
    slope: float  # mm of height for each mm to the back
    radii: tuple[float, float]  # mm, through the wall and along it
    front: float = -FAR  # mm, the y where it ends

    @cached_property
    def box(self) -> Box:
        (x, y, _), (x_end, y_end, _) = self.wall.box
        out, along = self.radii
        ends = [self.height + self.slope * end for end in (y - out, y_end + out)]
        low = (x - out, max(y - out, self.front), min(ends) - along)
        return low, (x_end + out, y_end + out, max(ends) + along)

    def level(self, x: Array, y: Array, z: Array) -> Array:
        out, along = self.radii
        through = self.wall.level(x, y, z) / out
        beside = (z - self.height - self.slope * y) / along
        level = (np.sqrt(through * through + beside * beside) - 1) * min(self.radii)
        return np.maximum(level, self.front - y)


@dataclass(frozen=True)
class Union:
    """All of several bodies."""

    shapes: tuple[Shape, ...]

    @cached_property
    def box(self) -> Box:
        return _hull([shape.box for shape in self.shapes])

    def level(self, x: Array, y: Array, z: Array) -> Array:
        near = [shape for shape in self.shapes if _is_near(shape, z)] or self.shapes[:1]
        return _least([shape.level(x, y, z) for shape in near])


@dataclass(frozen=True)
class Common:
    """What several bodies have in common."""

    shapes: tuple[Shape, ...]

    @cached_property
    def box(self) -> Box:
        lows, highs = zip(*(shape.box for shape in self.shapes), strict=True)
        low, high = map(max, zip(*lows, strict=True)), map(min, zip(*highs, strict=True))
        return _point(low), _point(high)

    def level(self, x: Array, y: Array, z: Array) -> Array:
        first, *others = (shape.level(x, y, z) for shape in self.shapes)
        for other in others:
            first = np.maximum(first, other)
        return first


@dataclass(frozen=True)
class Without:
    """One body without what it shares with others."""

    shape: Shape
    others: tuple[Shape, ...]

    @cached_property
    def box(self) -> Box:
        return self.shape.box

    def level(self, x: Array, y: Array, z: Array) -> Array:
        level = self.shape.level(x, y, z)
        for other in self.others:
            level = np.maximum(level, -other.level(x, y, z))
        return level


@dataclass(frozen=True)
class Grown:
    """A body with a margin around it, in mm; a negative one takes away."""

    shape: Shape
    margin: float

    @cached_property
    def box(self) -> Box:
        low, high = self.shape.box
        return _point(x - self.margin for x in low), _point(x + self.margin for x in high)

    def level(self, x: Array, y: Array, z: Array) -> Array:
        return self.shape.level(x, y, z) - self.margin


def _level(along: Sequence[Array], radii: Sequence[Array]) -> Array:
    """Of an ellipse or ellipsoid: how far outside, over how fast that grows."""
    total = sum(part * part for part in along) + TINY
    slope = sum((part / radius) ** 2 for part, radius in zip(along, radii, strict=True))
    length = np.sqrt(total)
    largest = np.maximum(radii[0], radii[1])
    return (length - 1) * length / np.sqrt(slope + TINY / largest**2)


def _between(z: Array, heights: Sequence[float], values: Sequence[float]) -> Array:
    """The value at a height: Python's number at one, so that it makes no array wider."""
    found = np.interp(z, heights, values)
    return found if np.ndim(z) else float(found)


def _is_near(shape: Shape, z: Array) -> bool:
    """Whether it can be the nearest on a slice, as far as anything is near there."""
    return np.ndim(z) > 0 or shape.box[0][2] - NEAR <= z <= shape.box[1][2] + NEAR


def _least(levels: Sequence[Array]) -> Array:
    first, *others = levels
    for other in others:
        first = np.minimum(first, other)
    return first


def _around(middle: Point, reach: Sequence[float]) -> Box:
    return _point(map(_minus, middle, reach)), _point(map(_plus, middle, reach))


def _hull(boxes: Sequence[Box]) -> Box:
    lows, highs = zip(*boxes, strict=True)
    return _point(map(min, zip(*lows, strict=True))), _point(map(max, zip(*highs, strict=True)))


def _point(values: Any) -> Point:
    x, y, z = values
    return x, y, z


def _minus(one: float, other: float) -> float:
    return one - other


def _plus(one: float, other: float) -> float:
    return one + other
