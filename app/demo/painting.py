"""The phantom as a scanner would show it: slices of values, with noise."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .phantom import BODY, FAT, SKIN, STRUCTURES, THICK, Structure
from .shapes import Array, Box, Point


@dataclass(frozen=True)
class Grid:
    """Where the slices of a series lie: transverse ones, one behind the other."""

    columns: int
    rows: int
    slices: int
    pixel_spacing: tuple[float, float]  # mm, from row to row and from column to column
    step: float  # mm from one slice to the next
    first: Point  # the centre of the first pixel of the first slice

    @property
    def spacing(self) -> float:
        """The wider of both, in mm."""
        return max(self.pixel_spacing)

    @property
    def x(self) -> Array:
        """Of each column."""
        return (self.first[0] + self.pixel_spacing[1] * np.arange(self.columns))[np.newaxis, :]

    @property
    def y(self) -> Array:
        """Of each row."""
        return (self.first[1] + self.pixel_spacing[0] * np.arange(self.rows))[:, np.newaxis]

    @property
    def z(self) -> list[float]:
        """Of each slice."""
        return [self.first[2] + self.step * number for number in range(self.slices)]

    def points(self, rows: slice, columns: slice) -> tuple[Array, Array]:
        """x and y of some pixels, as exact as painting needs them."""
        return self.x[:, columns].astype(np.float32), self.y[rows].astype(np.float32)

    def around(self, box: Box, z: float, margin: float) -> tuple[slice, slice] | None:
        """The rows and columns that a box with a margin has on a slice at z, if it has any."""
        (x, y, low), (x_end, y_end, high) = box
        if not low - margin <= z <= high + margin:
            return None
        below, beside = self.pixel_spacing
        rows = _run(y - margin, y_end + margin, self.first[1], below, self.rows)
        columns = _run(x - margin, x_end + margin, self.first[0], beside, self.columns)
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _run(low: float, high: float, first: float, spacing: float, count: int) -> slice:
    start = math.floor((low - first) / spacing)
    stop = math.ceil((high - first) / spacing) + 1
    return slice(max(start, 0), min(max(stop, 0), count))


def grid_around(middle: Point, size: Point, columns: int, rows: int, slices: int) -> Grid:
    """A grid whose pixels and slices fill a cuboid: its edges are their edges."""
    steps = size[0] / columns, size[1] / rows, size[2] / slices
    counts = (columns, rows, slices)
    x, y, z = (
        mid - step * (count - 1) / 2 for mid, step, count in zip(middle, steps, counts, strict=True)
    )
    return Grid(columns, rows, slices, (steps[1], steps[0]), steps[2], (x, y, z))


def painted(
    grid: Grid,
    z: float,
    value_of: Callable[[Structure], float | None],
    blur: float,
    around: Array = 0.0,
) -> Array:
    """One slice of the phantom, in what is around it, with edges that are so many mm wide."""
    picture = np.full((grid.rows, grid.columns), around, np.float32)
    window = grid.around(BODY.box, z, blur)
    assert window is not None
    rows, columns = window
    level = BODY.level(*grid.points(rows, columns), z)
    inside = np.zeros_like(picture)
    skin, fat = value_of(SKIN) or 0.0, value_of(FAT) or 0.0
    inside[window] = skin + covered(level + THICK, blur) * (fat - skin)
    over(inside, grid, z, STRUCTURES, value_of, blur)
    picture[window] += covered(level, blur) * (inside[window] - picture[window])
    return picture


def over(
    picture: Array,
    grid: Grid,
    z: float,
    structures: Iterable[Structure],
    value_of: Callable[[Structure], float | None],
    blur: float,
) -> Array:
    """A slice with each structure painted over those before it."""
    for structure in structures:
        value = value_of(structure)
        if value is None:
            continue
        for body in structure.bodies:
            window = grid.around(body.box, z, blur)
            if window is None:
                continue
            part = picture[window]
            level = body.level(*grid.points(*window), z)
            part += covered(level, blur) * (value - part)
    return picture


def covered(level: Array, blur: float) -> Array:
    """How much of a pixel belongs to a body, whose surface is so far away."""
    return np.clip(0.5 - level / blur, 0, 1)


class Noise:
    """Like a normal distribution, and the same on every machine: sums of random bytes."""

    DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)  # of the sum of four bytes

    def __init__(self, seed: int) -> None:
        self.source = np.random.PCG64(seed)

    def of(self, shape: tuple[int, int]) -> Array:
        """With mean 0 and deviation 1."""
        count = math.prod(shape)
        words = self.source.random_raw((count + 1) // 2).view(np.uint8)[: 4 * count]
        sums = np.full(count, -4 * 127.5, np.float32)
        for part in range(4):
            sums += words[part::4]
        return (sums / self.DEVIATION).reshape(shape)
