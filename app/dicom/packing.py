"""Numbers as they are sent to a page: filtered, and deflated; `app.sandbox.pictures` says how.

Only a child imports this: it brings numpy.
"""

import zlib
from typing import Any

import numpy as np
from isal import isal_zlib

Array = np.ndarray[Any, Any]


def packed(values: Array) -> bytes:
    """Made anew for each that asks."""
    return isal_zlib.compress(_filtered(values), 1)


def packed_once(values: Array) -> bytes:
    """In fewer bytes and more time, to be kept."""
    return zlib.compress(_filtered(values).data, 9)


def _filtered(values: Array) -> Array:
    size = values.dtype.itemsize
    words = values.view(f"u{size}")
    if values.ndim == 3:
        words = words.transpose(2, 0, 1).copy()
        words[0] -= words[1]
        words[2] -= words[1]
    words = words.ravel()
    steps = words.copy()
    steps[1:] -= words[:-1]
    if size == 1:
        return steps
    signs = (steps.view(f"i{size}") >> (8 * size - 1)).view(f"u{size}")
    steps <<= 1
    steps ^= signs
    return np.ascontiguousarray(steps.view(np.uint8).reshape(-1, size).T)
