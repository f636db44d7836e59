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

MOST_IMAGES = 16  # of a contour

Index = Annotated[int, Meta(ge=-1, lt=2**31)]


class Line(NamedTuple):
    """A contour, whose points are so many of the next ones."""

    type: Count
    points: Count
    image: Index  # the first that it names; -1: it names none
    frame: Count  # from 1; 0: the whole object


class OnImage(NamedTuple):
    """An image that a contour names, as `Line` has it."""

    image: Count
    frame: Count


Together = Annotated[list[OnImage], Meta(max_length=MOST_IMAGES)]


class Several(NamedTuple):
    """A contour that names several images."""

    contour: Count  # its number in the ROI's
    images: Count  # the number of these in `Drawing.several`


class ROI(Named, frozen=True):
    number: Number | None
    name: Text1024
    type: Text64
    algorithm: Text64
    colour: Color | None
    frame_of_reference: UID
    contours: Annotated[list[Line], Meta(max_length=MOST_CONTOURS)]
    several: Annotated[list[Several], Meta(max_length=MOST_CONTOURS)] = []


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
    images: Annotated[list[UID], Meta(max_length=MOST_IMAGES * MOST_CONTOURS)]
    several: Annotated[list[Together], Meta(max_length=MOST_CONTOURS)]  # that contours name
    rois: Annotated[list[ROI], Meta(max_length=MOST_ROIS)]
    left_out: Annotated[list[Omitted], Meta(max_length=4 * MOST_ROIS)]
