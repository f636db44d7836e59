"""A small picture of a frame, with the window, the overlays and the ratio that a page first shows.

`static/app/viewing/greys.js` says the same of a whole frame; here a few samples of each small pixel
are enough.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .pictures import Lut, Overlay, Palette, Rendering, Window

Array = np.ndarray[Any, Any]
Shape = Callable[[Array], Array]  # from what stored values stand for to 0 to 1

SAMPLES = 2  # of a small pixel, along each of its sides
MOST_DISTORTED = 64.0  # how many times as high as wide a pixel may be, or as wide as high
FEW = 4096  # values, all of which are looked at for percentiles; of more every 16th


def small_picture(
    values: Array, rendering: Rendering, scale: float, overlays: Sequence[Overlay], side: int
) -> Array:
    """A square of greys (side, side), or of colours (side, side, 3), of 8 bit.

    Parameters
    ----------
    values
        Stored values of a frame: (rows, columns), or (rows, columns, 3).
    scale
        By which they are multiplied.
    side
        Rows and columns at most; a smaller frame is not enlarged.
    """
    height, width = _size(values.shape[0], values.shape[1], rendering, side)
    down, across = _samples(values.shape[0], height), _samples(values.shape[1], width)
    samples = values[down][:, across]
    if rendering.photometric == "RGB":
        painted = _colours(samples, rendering.bits)
    elif rendering.palette:
        painted = _of_palette(samples, rendering.palette)
    else:
        painted = _greys(samples, _first_window(values, rendering, scale), rendering, scale)
    for overlay in overlays:
        painted[_covered(overlay, values.shape, len(down), len(across))] = 255
    parts = [
        painted[row::SAMPLES, column::SAMPLES].astype(np.uint16)
        for row in range(SAMPLES)
        for column in range(SAMPLES)
    ]
    half = SAMPLES * SAMPLES // 2
    return _squared((sum(parts[1:], parts[0]) + half) // (SAMPLES * SAMPLES))


def _squared(painted: Array) -> Array:
    """With black beside it, or above and below."""
    side = max(painted.shape[:2])
    square = np.zeros((side, side, *painted.shape[2:]), np.uint8)
    top, left = ((side - one) // 2 for one in painted.shape[:2])
    square[top : top + painted.shape[0], left : left + painted.shape[1]] = painted
    return square


def _size(rows: int, columns: int, rendering: Rendering, side: int) -> tuple[int, int]:
    """Rows and columns of the small picture, in the true ratio; never larger than the frame."""
    tall, wide = rendering.spacing or rendering.aspect or (1.0, 1.0)
    ratio = min(max(tall / wide, 1 / MOST_DISTORTED), MOST_DISTORTED)
    height, width = rows * max(ratio, 1.0), columns * max(1 / ratio, 1.0)
    by = min(side / max(height, width), 1.0)
    return max(round(height * by), 1), max(round(width * by), 1)


def _samples(count: int, pixels: int) -> Array:
    """The rows, or columns, of a frame that are looked at for so many pixels."""
    places = (np.arange(pixels * SAMPLES) + 0.5) * (count / (pixels * SAMPLES))
    return places.astype(np.intp)


# --- greys and colours: PS3.3 C.11.1, C.11.2 and C.7.6.3.1 -----------------------------------


def _colours(samples: Array, bits: int) -> Array:
    if bits == 8:
        return samples.astype(np.uint8)
    most = 2**bits - 1
    return _rounded(samples * (255 / most))


def _of_palette(samples: Array, palette: Palette) -> Array:
    colours = np.frombuffer(palette.colours, np.uint8).reshape(-1, 3)
    at = samples.astype(np.int64) - palette.first
    found: Array = colours[at.clip(0, len(colours) - 1)]
    return found


def _greys(samples: Array, shape: Shape, rendering: Rendering, scale: float) -> Array:
    greys = shape(_meaning(rendering, scale)(samples.astype(np.float64)))
    if rendering.photometric == "MONOCHROME1":
        greys = 1 - greys
    return _rounded(np.nan_to_num(greys) * 255)


def _rounded(levels: Array) -> Array:
    rounded: Array = np.floor(levels + 0.5).clip(0, 255).astype(np.uint8)
    return rounded


def _meaning(rendering: Rendering, scale: float) -> Shape:
    """From stored values to what they stand for."""
    if rendering.modality_lut:
        return _looker(rendering.modality_lut)
    slope, intercept = rendering.slope, rendering.intercept
    return lambda values: slope * (values * scale) + intercept


def _looker(lut: Lut) -> Shape:
    """The entry of a table for each number; the first and the last stand for all beyond."""
    entries = np.frombuffer(lut.entries, "<u2")

    def look(numbers: Array) -> Array:
        at = np.nan_to_num(np.floor(numbers) - lut.first).clip(0, len(entries) - 1)
        found: Array = entries[at.astype(np.intp)].astype(np.float64)
        return found

    return look


def _first_window(values: Array, rendering: Rendering, scale: float) -> Shape:
    """The file's first window, else its first table; else one that is chosen."""
    if rendering.windows:
        return _window(rendering.windows[0], rendering.function)
    if rendering.voi_luts:
        lut = rendering.voi_luts[0]
        look, most = _looker(lut), 2**lut.bits - 1
        return lambda numbers: np.minimum(look(numbers) / most, 1)
    if rendering.bits > 8 or rendering.modality_lut or values.dtype.kind == "f":
        return _window(_percentiles(values, rendering, scale), "LINEAR_EXACT")
    lowest = -(2 ** (rendering.bits - 1)) if values.dtype.kind == "i" else 0
    ends = [
        rendering.slope * one + rendering.intercept
        for one in (lowest, lowest + 2**rendering.bits - 1)
    ]
    return _window(Window(sum(ends) / 2, abs(ends[1] - ends[0])), "LINEAR_EXACT")


def _window(window: Window, function: str) -> Shape:
    center, width = window.center, window.width
    if function == "SIGMOID":
        width = width if width > 0 else 5e-324
        return lambda x: 1 / (1 + np.exp(-4 * (x - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, max(width, 1) - 1
    width = max(width, 0)
    if not width:  # a threshold
        return lambda x: (x > center).astype(np.float64)
    return lambda x: ((x - center) / width + 0.5).clip(0, 1)


def _percentiles(values: Array, rendering: Rendering, scale: float) -> Window:
    """From the 1st to the 99.5th percentile of every 16th value."""
    some = values.ravel()
    some = some[:: 16 if len(some) > FEW else 1]
    if values.dtype.kind == "f":
        some = some[np.isfinite(some)]
    if rendering.padding:
        low, high = rendering.padding[0], rendering.padding[-1]
        some = some[(some < low) | (some > high)]
    if not len(some):
        return Window(0.5, 1.0)
    numbers = np.sort(_meaning(rendering, scale)(some.astype(np.float64)))
    low, high = (
        float(numbers[min(math.floor(part * len(numbers)), len(numbers) - 1)])
        for part in (0.01, 0.995)
    )
    return Window((low + high) / 2, high - low or abs(high) / 1000 or 1.0)


def _covered(overlay: Overlay, shape: tuple[int, ...], rows: int, columns: int) -> Array:
    """Which of so many rows and columns of samples an overlay's bits lie over.

    A sample is, where any pixel is that it stands for: a thin line stays one.
    """
    packed = np.frombuffer(zlib.decompress(overlay.bits), np.uint8)
    bits = np.unpackbits(packed, count=overlay.rows * overlay.columns, bitorder="little")
    over = np.zeros(shape[:2], bool)
    top, left = overlay.top - 1, overlay.left - 1
    within = bits.reshape(overlay.rows, overlay.columns)[max(-top, 0) :, max(-left, 0) :]
    part = over[max(top, 0) :, max(left, 0) :]
    height, width = (min(pair) for pair in zip(part.shape, within.shape, strict=True))
    part[:height, :width] = within[:height, :width]
    first = np.arange(rows) * shape[0] // rows, np.arange(columns) * shape[1] // columns
    by_rows = np.logical_or.reduceat(over, first[0], axis=0)
    found: Array = np.logical_or.reduceat(by_rows, first[1], axis=1)
    return found
