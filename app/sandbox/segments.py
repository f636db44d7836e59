"""What a segmentation says of its segments and frames: PS3.3 A.51, C.8.20.

A child process reads it, by a descriptor; which images the frames lie over is looked up outside.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, msgpack

from app import reasons
from app.dicom.records import UID, Record, Text16, Text64, Text256

from .dose import Numbers, Side, numbers_in, whole_in
from .looking import NOTHING, Item, Looking, look, opened, tree_of
from .once import answer
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.segments"
MOST_ELEMENTS = 400_000
MOST_FRAMES = 20_000
MOST_SEGMENTS = 1_000
LONGEST = 1_024  # characters of a text

FRAME_OF_REFERENCE, ROWS, COLUMNS, FRAMES = 0x00200052, 0x00280010, 0x00280011, 0x00280008
SEGMENTATION_TYPE, SEGMENTS, NUMBER, LABEL = 0x00620001, 0x00620002, 0x00620004, 0x00620005
DESCRIPTION = 0x00620006
PROPERTY_TYPE, CODE_MEANING, COLOUR = 0x0062000F, 0x00080104, 0x0062000D
SHARED, PER_FRAME = 0x52009229, 0x52009230
IDENTIFICATION, REFERENCED_NUMBER = 0x0062000A, 0x0062000B
PLANE_POSITION, POSITION = 0x00209113, 0x00200032
PLANE_ORIENTATION, ORIENTATION = 0x00209116, 0x00200037
MEASURES, SPACING = 0x00289110, 0x00280030
WANTED = frozenset(
    (
        *(FRAME_OF_REFERENCE, ROWS, COLUMNS, FRAMES, SEGMENTATION_TYPE, NUMBER, LABEL),
        *(DESCRIPTION, CODE_MEANING, COLOUR, REFERENCED_NUMBER, POSITION, ORIENTATION, SPACING),
        0x00080005,
    )
)


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    looking: Looking


class Segment(Record, frozen=True):
    number: Side
    name: Text256
    description: Text256
    type: Text256  # what it is, in the words of its code
    lab: Annotated[list[int], Meta(max_length=3)]  # CIELab, each from 0 to 65535; [] for none


class Mask(Record, frozen=True):
    """A frame."""

    segment: Side  # number
    position: Numbers
    orientation: Numbers
    spacing: Numbers


class Segmentation(Record, frozen=True):
    """`why_not` says why it could not be read."""

    type: Text16 = ""
    frame_of_reference: UID = ""
    rows: Side = 0
    columns: Side = 0
    frames: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0  # as it says
    segments: Annotated[list[Segment], Meta(max_length=MOST_SEGMENTS)] = []
    masks: Annotated[list[Mask], Meta(max_length=MOST_FRAMES)] = []
    why_not: Text64 = ""


def read_segmentation(file: int, looking: Looking) -> Segmentation:
    """What the object says that a descriptor is of."""
    answers = look(PROGRAM, Asked(file, looking), [file], looking)
    for body in answers.frames[:1]:
        return segmentation_of(body)
    return Segmentation(why_not="header_unread" if answers.in_time else "header_took_long")


_segmentation = msgpack.Decoder(Segmentation).decode


def segmentation_of(body: bytes) -> Segmentation:
    """An answer of the child, as far as it can be one."""
    try:
        found = believed(_segmentation, body)
    except Unbelievable:
        return Segmentation(why_not="header_unread")
    is_known = found.why_not in ("", *reasons.LOOKING, *reasons.MASKS)
    return found if is_known else Segmentation(why_not="header_unread")


# --- the child -------------------------------------------------------------------------------


def segmentations(asked: Asked) -> Iterator[Struct]:
    try:
        yield _segmentation_in(asked)
    except MemoryError:
        yield Segmentation(why_not="header_unread")


def _segmentation_in(asked: Asked) -> Segmentation:
    top, why_not = tree_of(*opened(asked.file, asked.looking), MOST_ELEMENTS, LONGEST, WANTED)
    if why_not:
        return Segmentation(why_not=why_not)
    segments, groups = top.items.get(SEGMENTS, []), top.items.get(PER_FRAME, [])
    if len(segments) > MOST_SEGMENTS or len(groups) > MOST_FRAMES:
        return Segmentation(why_not="segments_too_many")
    shared = top.first(SHARED)
    return Segmentation(
        type=top.text(SEGMENTATION_TYPE, 16),
        frame_of_reference=top.text(FRAME_OF_REFERENCE, 128),
        rows=whole_in(top, ROWS, 65_535),
        columns=whole_in(top, COLUMNS, 65_535),
        frames=whole_in(top, FRAMES, 2**31 - 1),
        segments=[_segment(one) for one in segments],
        masks=[_mask(one, shared) for one in groups],
    )


def _segment(item: Item) -> Segment:
    lab = numbers_in(item, COLOUR, 3)
    is_colour = len(lab) == 3 and all(0 <= one <= 65_535 for one in lab)
    return Segment(
        number=whole_in(item, NUMBER, 65_535),
        name=item.text(LABEL, 256),
        description=item.text(DESCRIPTION, 256),
        type=item.first(PROPERTY_TYPE).text(CODE_MEANING, 256),
        lab=[int(one) for one in lab] if is_colour else [],
    )


def _mask(groups: Item, shared: Item) -> Mask:
    def of(macro: int) -> Item:
        own = groups.first(macro)
        return shared.first(macro) if own is NOTHING else own

    return Mask(
        segment=whole_in(of(IDENTIFICATION), REFERENCED_NUMBER, 65_535),
        position=numbers_in(of(PLANE_POSITION), POSITION, 3),
        orientation=numbers_in(of(PLANE_ORIENTATION), ORIENTATION, 6),
        spacing=numbers_in(of(MEASURES), SPACING, 2),
    )


if __name__ == "__main__":
    answer(Asked, segmentations)
