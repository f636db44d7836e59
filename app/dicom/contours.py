"""The contours of one RT Structure Set, to be drawn: whole hundredths of a millimetre.

They are read as an import reads them (`structures`); what is not finite, or lies further away than
any patient, is left out and counted. Nothing is made room for before it is known how much it is.

Only a child imports this: it brings numpy.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, compress, groupby
from math import isfinite
from typing import Any

import numpy as np
from msgspec import DecodeError, json

from app.errors import Expected

from .attributes import CONTOUR_SEQUENCE
from .damage import Damage, as_damage_to_a_part
from .drawn import (
    MOST_CONTOURS,
    MOST_IMAGES,
    MOST_POINTS,
    MOST_ROIS,
    ROI,
    Drawing,
    Line,
    Omitted,
    OnImage,
    Several,
)
from .headers import HeaderLimits, RawHeader, charset_of, read_with
from .packing import packed_once
from .scanner import Buffer, Element
from .structures import (
    TO_COMMAS,
    Definition,
    Images,
    OfROI,
    Read,
    Refers,
    count_of,
    each_with_its_own,
    pieces_of,
    points_in,
    read_rois,
    type_of,
)
from .values import BINARY, NOT_NUMBERS, WHITESPACE, Elements

PIECE = 1 << 18  # bytes of written numbers that are converted together
FARTHEST = 10_000_000.0  # mm, along each axis
IN_A_MILLIMETRE = 100
FAR = "contours_far"
UNREAD = ("contour_unreadable", "contour_decimal_commas")

# What is left of them `float` takes exactly where they are DS.
ALIKE = bytes.maketrans(b"\0E", b" e")
OF_NUMBERS = b"0123456789+-.e\\" + WHITESPACE
# JSON's reader takes a fifth of the time of `float`, but a hundredfold near 1e308.
SIGN_OF_NONE = re.compile(rb"\+(?![0-9])")
LARGE_EXPONENT = re.compile(rb"e[+-]?[0-9]{3}")
Array = Any  # of numpy

_numbers = json.Decoder(list[float]).decode


class NotDrawn(Expected):
    """None of it is drawn; the code says why."""


def read_drawing(
    buffer: Buffer, *, limits: HeaderLimits, truncated: bool, assumed_charset: str
) -> tuple[Drawing, bytes]:
    """What is drawn of a structure set, and its points: all x, all y, all z, as they are sent.

    Raises
    ------
    NotDrawn
    MemberSkipped, MemberFailed
        As `read_header`.
    """
    return read_with(
        buffer, lambda raw: _drawing(raw, assumed_charset), limits=limits, truncated=truncated
    )


class Canvas:
    """What is drawn of all ROIs together, as far as that is not too much."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.points = self.contours = 0
        self.types: dict[bytes, int] = {}
        self.images: dict[str, int] = {}
        self.several: dict[tuple[Refers, ...], int] = {}  # that contours name together

    def keep(self) -> "Drawn":
        return Drawn(canvas=self)

    def image(self, uid: str) -> int:
        return self.images.setdefault(uid, len(self.images))

    def line(self, kind: bytes, points: int, images: Images) -> tuple[Line, int | None]:
        """A contour, and the number in `several` of the images that it names, if several."""
        number = self.types.setdefault(kind, len(self.types))
        first, several = images.first, None
        if len(images.all) > 1:
            several = self.several.setdefault(images.all[:MOST_IMAGES], len(self.several))
        if first is None:
            return Line(number, points, -1, 0), several
        return Line(number, points, self.image(first.uid), first.frame_number), several

    def together(self) -> list[list[OnImage]]:
        """The images of `several`."""
        return [
            [OnImage(self.image(one.uid), one.frame_number) for one in some if one.uid]
            for some in self.several
        ]

    @property
    def is_full(self) -> bool:
        return self.points > MOST_POINTS or self.contours > MOST_CONTOURS

    def check(self, rois: int) -> None:
        """
        Raises
        ------
        NotDrawn
        """
        if rois > MOST_ROIS:
            raise NotDrawn("rois_too_many", count=f"{rois:,}", limit=f"{MOST_ROIS:,}")
        if self.contours > MOST_CONTOURS:
            count, limit = f"{self.contours:,}", f"{MOST_CONTOURS:,}"
            raise NotDrawn("contours_too_many", count=count, limit=limit)
        if self.points > MOST_POINTS:
            count, limit = f"{self.points:,}", f"{MOST_POINTS:,}"
            raise NotDrawn("points_too_many", count=count, limit=limit)


@dataclass(slots=True)
class Drawn(OfROI):
    """The contours of one ROI."""

    canvas: Canvas = field(default_factory=Canvas)
    lines: list[Line] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)  # arrays of points
    several: list[Several] = field(default_factory=list)
    waiting: list[tuple[Line, int | None, bytes | list[float]]] = field(default_factory=list)
    size: int = 0  # bytes or numbers of these

    def begins(self, item: Elements) -> bool:
        """Whether there is room for its contours; where there is none, they are only counted."""
        canvas, count = self.canvas, item.count(CONTOUR_SEQUENCE)
        if canvas.contours + count <= MOST_CONTOURS:
            return True
        canvas.contours += count
        return False

    def takes(self, batch: Sequence[Elements]) -> bool:
        """Whether there is room for them; where there is none, they are only counted."""
        canvas = self.canvas
        canvas.contours += len(batch)
        if canvas.contours <= MOST_CONTOURS:
            canvas.points += sum(map(points_in, batch))
        return not canvas.is_full

    def read_odd(self, element: Element, little_endian: bool) -> list[float] | Array:
        vr, written = element
        if vr in BINARY:
            numbers = _binary(vr, written, little_endian)
            return numbers if len(written) > PIECE else numbers.tolist()
        if len(written) <= PIECE:
            return [number for piece in pieces_of(element) for number in _written(vr, piece)]
        return np.concatenate([np.array(_written(vr, piece)) for piece in pieces_of(element)])

    def add(
        self, geometric_type: bytes, numbers: bytes | list[float] | Array, images: Images
    ) -> None:
        points = count_of(numbers) // 3
        if not points:
            return  # there is nothing to draw
        line, several = self.canvas.line(geometric_type, points, images)
        if isinstance(numbers, bytes) and len(numbers) > PIECE:
            numbers = np.concatenate([np.array(_floats(piece)) for piece in _pieces(numbers)])
        if not isinstance(numbers, (bytes, list)):
            self.convert()
            self.keep([line], [several], numbers)
            return
        self.waiting.append((line, several, numbers))
        self.size += len(numbers)
        if self.size > PIECE:
            self.convert()

    def convert(self) -> None:
        """Keep what waits."""
        if not self.waiting:
            return
        lines, several, waiting = zip(*self.waiting, strict=True)
        self.waiting, self.size = [], 0
        numbers: list[float] = []
        for kind, some in groupby(waiting, key=type):
            if kind is bytes:
                numbers += _floats(b",".join(some))
            else:
                numbers += chain.from_iterable(some)
        self.keep(lines, several, np.array(numbers))

    def keep(self, lines: Sequence[Line], several: Sequence[int | None], numbers: Array) -> None:
        """Keep contours, without those that lie too far away."""
        points = np.array([line.points for line in lines])
        starts = 3 * (np.cumsum(points) - points)
        is_near = np.maximum.reduceat(np.abs(numbers), starts) <= FARTHEST
        if not is_near.all():
            self.odd[FAR] += int(len(lines) - is_near.sum())
            numbers = numbers[np.repeat(is_near, 3 * points)]
            lines, several = [*compress(lines, is_near)], [*compress(several, is_near)]
        self.several += [
            Several(number, some)
            for number, some in enumerate(several, len(self.lines))
            if some is not None
        ]
        self.lines += lines
        hundredths = np.rint(numbers * IN_A_MILLIMETRE).astype(np.int32)
        self.parts.append(hundredths.reshape(-1, 3))


def _floats(plain: bytes) -> list[float]:
    return _numbers(b"[%b]" % plain)


def _pieces(plain: bytes) -> Iterator[bytes]:
    start = 0
    while (stop := plain.find(b",", start + PIECE)) >= 0:
        yield plain[start:stop]
        start = stop + 1
    yield plain[start:]


def _written(vr: bytes, written: bytes) -> list[float]:
    """What `numbers_of` makes of numbers as DS has them, in a quarter of the time."""
    written = written.translate(ALIKE)
    if vr in NOT_NUMBERS or written.translate(None, OF_NUMBERS):
        raise ValueError
    if not SIGN_OF_NONE.search(written) and not LARGE_EXPONENT.search(written):
        with suppress(DecodeError):
            return _floats(written.removeprefix(b"+").replace(b"\\+", b",").translate(TO_COMMAS))
    numbers = [*map(float, written.split(b"\\"))] if written.strip() else []
    if not all(map(isfinite, numbers)):
        raise ValueError
    return numbers


def _binary(vr: bytes, value: bytes, little_endian: bool) -> Array:
    numbers = np.frombuffer(value, ("<" if little_endian else ">") + BINARY[vr]).astype(float)
    if not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _drawing(raw: RawHeader, assumed_charset: str) -> tuple[Drawing, bytes]:
    if raw.error:
        raise NotDrawn("structures_unreadable")
    canvas = Canvas()
    charset = charset_of(raw.elements, assumed_charset)
    try:
        with as_damage_to_a_part:
            read = read_rois(raw.elements, charset, canvas.keep, canvas.begin)
    except Damage:
        raise NotDrawn("structures_unreadable") from None
    canvas.check(len(read.rois))
    pairs = [*each_with_its_own(read.rois, read.contours, canvas.keep)]
    for _, drawn in pairs:
        drawn.convert()
    parts = [part for _, drawn in pairs for part in drawn.parts]
    points = np.concatenate(parts) if parts else np.zeros((0, 3), np.int32)
    rois = [_roi(roi, drawn, read) for roi, drawn in pairs]
    together = canvas.together()
    drawing = Drawing(
        len(points),
        [*dict.fromkeys(filter(None, (roi.frame_of_reference for roi in rois)))],
        [type_of(one) for one in canvas.types],
        [*canvas.images],
        together,
        rois,
        [*_left_out(read, raw.cut)],
    )
    return drawing, packed_once(np.ascontiguousarray(points.T))


def _roi(roi: Definition, drawn: Drawn, read: Read[Drawn]) -> ROI:
    frames = read.references.uids("frame")
    # Where it names none itself it lies where the whole set does, if that is one place.
    frame = roi.frame_of_reference or (frames[0] if len(frames) == 1 else "")
    kind = read.types.get(roi.number, "") if roi.number is not None else ""
    known = roi.number, roi.name, kind, roi.algorithm, drawn.color, frame
    return ROI(*known, drawn.lines, drawn.several)


def _left_out(read: Read[Drawn], is_cut: bool) -> Iterator[Omitted]:
    if is_cut:
        yield Omitted(None, "contours_cut", 0)
    defined = {roi.number for roi in read.rois} - {None}
    for number, drawn in read.contours.items():
        odd: Counter[str] = drawn.odd
        if unread := sum(odd[code] for code in UNREAD):
            yield Omitted(number, "contours_unread", unread)
        if odd[FAR]:
            yield Omitted(number, FAR, odd[FAR])
        if number not in defined:
            drawn.convert()
            if drawn.lines:
                yield Omitted(number, "contours_of_no_roi", len(drawn.lines))
