"""What is told of a picture besides its stored values: records that a page's painter is sent.

All of one object's frames mostly have the same `Rendering`: how stored values become greys or
colours, PS3.3 C.7.6.3, C.11.1 and C.11.2. Where each frame lies is its `Place`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .records import UID, Text16, Text64, Text1024

MOST_WINDOWS = 50
MOST_TABLES = 20
MOST_REGIONS = 50
MOST_OVERLAYS = 16
LARGEST_TABLE = 65_536  # entries

SMALLEST, LARGEST = -(2**31), 2**32 - 1
Whole = Annotated[int, Meta(ge=SMALLEST, le=LARGEST)]
Side = Annotated[int, Meta(ge=1, le=65_535)]
Table = Annotated[bytes, Meta(max_length=2 * LARGEST_TABLE)]
Colours = Annotated[bytes, Meta(max_length=3 * LARGEST_TABLE)]
Pair = Annotated[list[float], Meta(min_length=2, max_length=2)]
Floats = Annotated[list[float], Meta(max_length=6)]
# What the values of a frame are, as numpy calls it.
Type = Literal["u1", "i1", "u2", "i2", "u4", "i4", "f4"]
SpacingKind = Literal["", "patient", "detector"]


class Named(Struct, frozen=True, gc=False):
    """A value that is sent with the names of its fields: as JSON a page's script reads it."""


class Window(Named, frozen=True):
    center: float
    width: float
    explanation: Text64 = ""


class Lut(Named, frozen=True):
    """A table from a whole number to another: PS3.3 C.11.1.1."""

    first: Whole  # that has the first entry; smaller ones have it, too
    bits: Annotated[int, Meta(ge=1, le=16)]  # of an entry
    entries: Table  # unsigned, of 16 bit, little endian
    explanation: Text64 = ""


class Palette(Named, frozen=True):
    """The colours of stored values: PS3.3 C.7.6.3.1.5."""

    first: Whole
    colours: Colours  # red, green, blue, of 8 bit each


class Region(Named, frozen=True):
    """A part of an ultrasound image that is calibrated in cm: PS3.3 C.8.5.5."""

    left: Whole
    top: Whole
    right: Whole
    bottom: Whole
    across: float  # cm of a pixel
    down: float


class Overlay(Named, frozen=True):
    """Bits that lie over a picture: PS3.3 C.9.2."""

    rows: Side
    columns: Side
    top: Whole  # 1 is the picture's first row
    left: Whole
    label: Text64
    bits: Annotated[bytes, Meta(max_length=1 << 23)]  # row after row, from the lowest, deflated


class Rendering(Named, frozen=True):
    """How stored values become greys or colours, and what a pixel is in space.

    A stored value v stands for slope * v + intercept, or for its entry of `modality_lut`; of
    that a window or one of `voi_luts` makes a grey, which MONOCHROME1 inverts at last. RGB has
    `bits` for each colour, and is shown as it is.
    """

    photometric: Literal["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"]
    bits: Annotated[int, Meta(ge=1, le=64)]  # stored
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    windows: Annotated[list[Window], Meta(max_length=MOST_WINDOWS)] = []
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"
    voi_luts: Annotated[list[Lut], Meta(max_length=MOST_TABLES)] = []
    palette: Palette | None = None
    # Stored values from the one to the other stand for no tissue: PS3.3 C.7.5.1.1.2.
    padding: Annotated[list[float], Meta(max_length=2)] = []
    unit: Text64 = ""  # of what a stored value stands for: HU, or PET's Units; "" where unknown
    spacing: Pair | None = None  # mm between rows, and between columns
    spacing_kind: SpacingKind = ""  # in the patient, or at the detector
    aspect: Pair | None = None  # of a pixel's height and width, where there is no spacing
    regions: Annotated[list[Region], Meta(max_length=MOST_REGIONS)] = []
    frame_rate: float | None = None  # frames a second, at which they are to be played
    is_lossy: bool = False
    image_type: Text1024 = ""
    modality: Text16 = ""


class Place(Named, frozen=True):
    """Where a frame lies in the patient: PS3.3 C.7.6.2."""

    position: Floats = []  # x, y, z of the first pixel, mm
    orientation: Floats = []  # direction cosines of a row and of a column
    letters: Text64 = ""  # Patient Orientation, where there are no cosines
    is_quadruped: bool = False  # whose sides have other letters
    frame_of_reference: UID = ""  # its UID, as this object says
    thickness: float = 0.0  # mm; 0 where it is not said
