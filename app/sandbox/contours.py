"""The contours of a filed structure set, to be drawn over images.

A child process (`drawing`) reads them, by a descriptor, and answers with one `Drawn`.
"""

from itertools import chain
from math import ceil
from typing import Annotated

from msgspec import Meta, msgpack

from app import reasons
from app.dicom.drawn import Drawing
from app.dicom.headers import HeaderLimits
from app.dicom.records import Facts, Record, Text64

from .confine import HANGING_SECONDS
from .once import ask
from .wire import Unbelievable, believed, check_reason

PROGRAM = "app.sandbox.drawing"
SECONDS = HANGING_SECONDS  # by the clock
PROCESSOR_SECONDS = 10.0
MEMORY = 384 << 20  # bytes of address space
MOST_ANSWERED = 48_000_000  # bytes
MOST_VALUES = 24_000_000  # bytes of points, deflated
REASONS = reasons.CONTOURS | reasons.SKIPPED | reasons.FAILED
REASONS |= {"structures_unreadable": reasons.WARNINGS["structures_unreadable"]}


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    limits: HeaderLimits
    assumed_charset: str


class Drawn(Record, frozen=True):
    """A structure set; `why_not` says why there is nothing to draw of it."""

    drawing: Drawing | None = None
    values: Annotated[bytes, Meta(max_length=MOST_VALUES)] = b""  # filtered and deflated points
    why_not: Text64 = ""
    facts: Facts = {}


def read_contours(file: int, limits: HeaderLimits, assumed_charset: str) -> Drawn:
    """What is drawn of the structure set that a descriptor is of."""
    answers = ask(
        PROGRAM,
        Asked(file, limits, assumed_charset),
        [file],
        seconds=SECONDS,
        processor=ceil(PROCESSOR_SECONDS),
        memory=MEMORY,
        most=MOST_ANSWERED,
    )
    for body in answers.frames[:1]:
        return drawn_of(body)
    return Drawn(why_not="contours_not_made" if answers.in_time else "contours_took_long")


_drawn = msgpack.Decoder(Drawn).decode


def drawn_of(body: bytes) -> Drawn:
    """An answer of the child, as far as it can be one."""
    try:
        drawn = believed(_drawn, body)
        if drawn.drawing is None:
            check_reason(REASONS, drawn.why_not, drawn.facts)
        elif drawn.why_not or not _is_sound(drawn.drawing):
            raise Unbelievable
    except Unbelievable:
        return Drawn(why_not="contours_not_made")
    return drawn


def _is_sound(drawing: Drawing) -> bool:
    """Whether its numbers fit together: a page's script relies on them."""
    lines = [line for roi in drawing.rois for line in roi.contours]
    images = [one.image for some in drawing.several for one in some]
    return (
        sum(line.points for line in lines) == drawing.points
        and max((line.type for line in lines), default=-1) < len(drawing.types)
        and max(chain(images, (line.image for line in lines)), default=-1) < len(drawing.images)
        and all(
            one.contour < len(roi.contours) and one.images < len(drawing.several)
            for roi in drawing.rois
            for one in roi.several
        )
        and all(one.code in reasons.CONTOURS for one in drawing.left_out)
    )
