"""What an RTDOSE says of its grid: PS3.3 C.8.8.3. A child process reads it, by a descriptor.

It says what stands in the header; whether that is a grid, `app.dicom.doses` knows, which is asked
outside the child.
"""

import math
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, msgpack

from app import reasons
from app.dicom.doses import MOST_PLANES
from app.dicom.elements import PIXEL_DATA
from app.dicom.records import UID, Record, Text16, Text64

from .looking import Item, Looking, look, opened, tree_of
from .once import answer
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.dose"
MOST_ELEMENTS = 200_000
LONGEST = 17 * MOST_PLANES  # characters of Grid Frame Offset Vector
FRAME_OF_REFERENCE, POSITION, ORIENTATION = 0x00200052, 0x00200032, 0x00200037
SPACING, ROWS, COLUMNS, FRAMES = 0x00280030, 0x00280010, 0x00280011, 0x00280008
OFFSETS, SCALING, UNITS = 0x3004000C, 0x3004000E, 0x30040002
TYPE, SUMMATION = 0x30040004, 0x3004000A
WANTED = frozenset(
    (
        *(FRAME_OF_REFERENCE, POSITION, ORIENTATION, SPACING, ROWS, COLUMNS, FRAMES),
        *(OFFSETS, SCALING, UNITS, TYPE, SUMMATION, 0x00080005),
    )
)

Numbers = Annotated[list[float], Meta(max_length=6)]
Side = Annotated[int, Meta(ge=0, le=65_535)]


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    looking: Looking


class DoseHeader(Record, frozen=True):
    """As it stands there; what cannot be read as numbers is empty."""

    has_grid: bool = False  # pixel data
    frame_of_reference: UID = ""
    position: Numbers = []
    orientation: Numbers = []
    spacing: Numbers = []
    rows: Side = 0
    columns: Side = 0
    frames: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    offsets: Annotated[list[float], Meta(max_length=MOST_PLANES)] = []
    scaling: Numbers = []
    unit: Text16 = ""
    type: Text16 = ""
    summation: Text64 = ""
    why_not: Text64 = ""  # it could not be read


def read_dose(file: int, looking: Looking) -> DoseHeader:
    """What the object says that a descriptor is of."""
    answers = look(PROGRAM, Asked(file, looking), [file], looking)
    for body in answers.frames[:1]:
        return dose_of(body)
    return DoseHeader(why_not="header_unread" if answers.in_time else "header_took_long")


_dose = msgpack.Decoder(DoseHeader).decode


def dose_of(body: bytes) -> DoseHeader:
    """An answer of the child, as far as it can be one."""
    try:
        found = believed(_dose, body)
    except Unbelievable:
        return DoseHeader(why_not="header_unread")
    is_known = found.why_not in ("", *reasons.LOOKING)
    return found if is_known else DoseHeader(why_not="header_unread")


# --- the child -------------------------------------------------------------------------------


def doses(asked: Asked) -> Iterator[DoseHeader]:
    try:
        yield _dose_in(asked)
    except MemoryError:
        yield DoseHeader(why_not="header_unread")


def _dose_in(asked: Asked) -> DoseHeader:
    top, why_not = tree_of(*opened(asked.file, asked.looking), MOST_ELEMENTS, LONGEST, WANTED)
    return DoseHeader(
        has_grid=any(tag in top.texts for tag in PIXEL_DATA),
        frame_of_reference=top.text(FRAME_OF_REFERENCE, 128),
        position=numbers_in(top, POSITION, 3),
        orientation=numbers_in(top, ORIENTATION, 6),
        spacing=numbers_in(top, SPACING, 2),
        rows=whole_in(top, ROWS, 65_535),
        columns=whole_in(top, COLUMNS, 65_535),
        frames=whole_in(top, FRAMES, 2**31 - 1) if top.text(FRAMES) else 1,
        offsets=numbers_in(top, OFFSETS, MOST_PLANES),
        scaling=numbers_in(top, SCALING, 1),
        unit=top.text(UNITS, 16),
        type=top.text(TYPE, 16),
        summation=top.text(SUMMATION, 64),
        why_not=why_not,
    )


def numbers_in(item: Item, tag: int, most: int) -> list[float]:
    """An attribute's numbers; [] where one is none, or where there are too many."""
    texts = item.texts.get(tag, "").split("\\")
    if len(texts) > most:
        return []
    try:
        found = [float(one) for one in texts if "_" not in one]
    except ValueError:
        return []
    return found if len(found) == len(texts) and all(map(math.isfinite, found)) else []


def whole_in(item: Item, tag: int, most: int) -> int:
    """A whole number; 0 where there is none, or a larger one."""
    found = numbers_in(item, tag, 1)
    return int(found[0]) if found and 0 <= found[0] <= most else 0


if __name__ == "__main__":
    answer(Asked, doses)
