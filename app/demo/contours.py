"""A body's outlines on the slices of a grid, as a planning system would have drawn them.

Each runs through the points where the surface crosses the rows and columns of pixel centres, so
that it tells those inside from those outside as the phantom does. What it passes straight by is
left out.
"""

from collections.abc import Iterator

import numpy as np

from .painting import Grid
from .shapes import Array, Shape

# Of a square of four neighbours, by which are inside: 1 for the upper left, 2 upper right, 4 lower
# right, 8 lower left. The outline enters and leaves by these sides, the inside to its left.
TOP, RIGHT, BOTTOM, LEFT = range(4)
PASSAGES = {
    1: [(LEFT, TOP)], 2: [(TOP, RIGHT)], 3: [(LEFT, RIGHT)], 4: [(RIGHT, BOTTOM)],
    5: [(LEFT, TOP), (RIGHT, BOTTOM)], 6: [(TOP, BOTTOM)], 7: [(LEFT, BOTTOM)],
    8: [(BOTTOM, LEFT)], 9: [(BOTTOM, TOP)], 10: [(TOP, RIGHT), (BOTTOM, LEFT)],
    11: [(BOTTOM, RIGHT)], 12: [(RIGHT, LEFT)], 13: [(RIGHT, TOP)], 14: [(TOP, LEFT)],
}  # fmt: skip
PASSES, STRAIGHT = 6, 0.05  # mm that the last of so many passes may move the outline
FEWEST = 4  # points; a smaller piece is not drawn


def contours(shape: Shape, grid: Grid, z: float) -> list[Array]:
    """The outlines on a slice: points (x, y) of each, in mm, the last not the first again."""
    window = grid.around(shape.box, z, 2 * grid.spacing)
    if window is None:
        return []
    x, y = grid.x[0, window[1]], grid.y[window[0], 0]
    level = shape.level(x[np.newaxis, :], y[:, np.newaxis], z)
    outlines = (straightened(outline) for outline in _outlines(level, x, y))
    return [outline for outline in outlines if len(outline) >= FEWEST]


def straightened(outline: Array) -> Array:
    """Without the points that lie between their neighbours, but for some hundredths of a mm."""
    for _ in range(PASSES):
        before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)
        way, off = after - before, outline - before
        across = np.abs(way[:, 0] * off[:, 1] - way[:, 1] * off[:, 0])
        is_between = across <= STRAIGHT * np.hypot(way[:, 0], way[:, 1])
        is_between[::2] = False  # of neighbours, one stays
        outline = outline[~is_between]
    return outline


def _outlines(level: Array, x: Array, y: Array) -> Iterator[Array]:
    """Follow the sides between pixels inside and outside from square to square."""
    way = dict(_ways(level < 0))
    points = _crossings(level, x, y)
    while way:
        first, side = way.popitem()
        outline = [points[first], points[side]]
        while (side := way.pop(side)) != first:
            outline.append(points[side])
        yield np.array(outline)


def _ways(inside: Array) -> Iterator[tuple[int, int]]:
    """From which side of a square the outline goes on to which, as numbers of sides."""
    kinds = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, 1:] + 8 * inside[1:, :-1]
    rows, columns = np.nonzero(kinds % 15)
    at = rows * inside.shape[1] + columns
    upright = inside.size  # the numbers of sides to the left begin there
    sides = np.array((at, upright + at + 1, at + inside.shape[1], upright + at)).T.tolist()
    for kind, beside in zip(kinds[rows, columns].tolist(), sides, strict=True):
        for start, end in PASSAGES[kind]:
            yield beside[start], beside[end]


def _crossings(level: Array, x: Array, y: Array) -> dict[int, tuple[float, float]]:
    """Where the surface crosses the sides between neighbours, by the numbers of these."""
    inside, columns = level < 0, level.shape[1]
    row, column = np.nonzero(inside[:, :-1] != inside[:, 1:])
    share = _share(level[row, column], level[row, column + 1])
    across = x[column] + share * (x[column + 1] - x[column])
    points = _numbered(row * columns + column, across, y[row])
    row, column = np.nonzero(inside[:-1] != inside[1:])
    share = _share(level[row, column], level[row + 1, column])
    down = y[row] + share * (y[row + 1] - y[row])
    return points | _numbered(level.size + row * columns + column, x[column], down)


def _share(one: Array, other: Array) -> Array:
    return one / (one - other)


def _numbered(numbers: Array, x: Array, y: Array) -> dict[int, tuple[float, float]]:
    points = zip(x.tolist(), y.tolist(), strict=True)
    return dict(zip(numbers.tolist(), points, strict=True))
