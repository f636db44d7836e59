"""What is told of a structure set besides its points: records that a page's script is sent.

The points are whole hundredths of a millimetre: all x, then all y, then all z.
"""

from typing import Annotated, NamedTuple

from msgspec import Meta

from .pictures import Named
from .records import UID, Color, Count, Number, Text64, Text1024

MOST_POINTS = 1_000_000
MOST_CONTOURS = 100_000
MOST_ROIS = 10_000

Index = Annotated[int, Meta(ge=-1, lt=2**31)]


class Line(NamedTuple):
    """A contour, whose points are so many of the next ones."""

    type: Count
    points: Count
    image: Index  # -1: it names none
    frame: Count  # from 1; 0: the whole object


class ROI(Named, frozen=True):
    number: Number | None
    name: Text1024
    type: Text64
    algorithm: Text64
    colour: Color | None
    frame_of_reference: UID
    contours: Annotated[list[Line], Meta(max_length=MOST_CONTOURS)]


class Omitted(Named, frozen=True):
    """How many of a ROI's contours are not drawn, and why."""

    roi: Number | None
    code: Text64
    count: Count


class Drawing(Named, frozen=True):
    """All of a structure set that is drawn."""

    points: Annotated[int, Meta(ge=0, le=MOST_POINTS)]
    frames_of_reference: Annotated[list[UID], Meta(max_length=MOST_ROIS)]
    types: Annotated[list[Text64], Meta(max_length=MOST_CONTOURS)]
    images: Annotated[list[UID], Meta(max_length=MOST_CONTOURS)]  # that contours name
    rois: Annotated[list[ROI], Meta(max_length=MOST_ROIS)]
    left_out: Annotated[list[Omitted], Meta(max_length=4 * MOST_ROIS)]
