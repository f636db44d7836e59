"""One RT Structure Set -> its ROIs and contours: PS3.3 A.19, C.8.8.5, C.8.8.6 and C.8.8.8.

Contours are numbers written as text. As a rule they become JSON without being converted, so that
a structure set of 5 MB takes some ten milliseconds instead of a second.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from struct import calcsize
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from app.errors import MemberFailed

from . import text
from .attributes import (
    CONTOUR_DATA,
    CONTOUR_GEOMETRIC_TYPE,
    CONTOUR_IMAGE_SEQUENCE,
    CONTOUR_SEQUENCE,
    FRAME_OF_REFERENCE_UID,
    NUMBER_OF_CONTOUR_POINTS,
    REFERENCED_FRAME_NUMBER,
    REFERENCED_FRAME_OF_REFERENCE_SEQUENCE,
    REFERENCED_FRAME_OF_REFERENCE_UID,
    REFERENCED_ROI_NUMBER,
    REFERENCED_SOP_INSTANCE_UID,
    ROI_CONTOUR_SEQUENCE,
    ROI_DISPLAY_COLOR,
    ROI_GENERATION_ALGORITHM,
    ROI_NAME,
    ROI_NUMBER,
    RT_REFERENCED_SERIES_SEQUENCE,
    RT_REFERENCED_STUDY_SEQUENCE,
    RT_ROI_INTERPRETED_TYPE,
    RT_ROI_OBSERVATIONS_SEQUENCE,
    SERIES_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STRUCTURE_SET,
    STRUCTURE_SET_ROI_SEQUENCE,
)
from .records import (
    MOST_REFERENCES,
    ReadWarning,
    Reference,
    ReferenceKind,
    ROIRecord,
    StructureSetRecord,
)
from .scanner import ELEMENT, LEFT_TO_PYDICOM, SEQUENCE, WHOLE, Element, wanted_from
from .values import BINARY, WHITESPACE, Elements, Values, fields_of, numbers_of

STRUCTURE_SET_FIELDS = fields_of(StructureSetRecord, STRUCTURE_SET)
STRUCTURE_SET_ACTIONS = {attribute.tag: ELEMENT for attribute in STRUCTURE_SET.values()} | {
    REFERENCED_FRAME_OF_REFERENCE_SEQUENCE: SEQUENCE,
    STRUCTURE_SET_ROI_SEQUENCE: SEQUENCE,
    ROI_CONTOUR_SEQUENCE: SEQUENCE,
    RT_ROI_OBSERVATIONS_SEQUENCE: SEQUENCE,
}
FRAME_WANTED = wanted_from(
    {FRAME_OF_REFERENCE_UID.tag: ELEMENT, RT_REFERENCED_STUDY_SEQUENCE: SEQUENCE}
)
STUDY_WANTED = wanted_from(
    {REFERENCED_SOP_INSTANCE_UID.tag: ELEMENT, RT_REFERENCED_SERIES_SEQUENCE: SEQUENCE}
)
SERIES_WANTED = wanted_from({SERIES_INSTANCE_UID.tag: ELEMENT, CONTOUR_IMAGE_SEQUENCE: SEQUENCE})
REFERENCE_WANTED = wanted_from(
    {REFERENCED_SOP_INSTANCE_UID.tag: ELEMENT, REFERENCED_FRAME_NUMBER.tag: ELEMENT}
)
ROI_WANTED = wanted_from({
    SPECIFIC_CHARACTER_SET.tag: ELEMENT, ROI_NUMBER.tag: ELEMENT, ROI_NAME.tag: ELEMENT,
    REFERENCED_FRAME_OF_REFERENCE_UID.tag: ELEMENT, ROI_GENERATION_ALGORITHM.tag: ELEMENT,
})  # fmt: skip
OBSERVATION_WANTED = wanted_from({
    SPECIFIC_CHARACTER_SET.tag: ELEMENT, REFERENCED_ROI_NUMBER.tag: ELEMENT,
    RT_ROI_INTERPRETED_TYPE.tag: ELEMENT,
})  # fmt: skip
ROI_CONTOUR_WANTED = wanted_from({
    REFERENCED_ROI_NUMBER.tag: ELEMENT, ROI_DISPLAY_COLOR.tag: ELEMENT, CONTOUR_SEQUENCE: SEQUENCE,
})  # fmt: skip
GEOMETRIC_TYPE, NUMBER_OF_POINTS = CONTOUR_GEOMETRIC_TYPE.tag, NUMBER_OF_CONTOUR_POINTS.tag
DATA = CONTOUR_DATA.tag
CONTOUR_WANTED = wanted_from({
    GEOMETRIC_TYPE: ELEMENT, NUMBER_OF_POINTS: ELEMENT, DATA: WHOLE,
    CONTOUR_IMAGE_SEQUENCE: SEQUENCE,
})  # fmt: skip

NUMBERS_PIECE = 1 << 18  # bytes of written numbers that are converted at a time
BATCH_CONTOURS = 64
BATCH_BYTES = 1 << 16  # so few are still in the processor's cache for the next look at them
# What can end a batch but not what precedes it: either reader's errors, and too little memory.
BATCH_ERRORS = (*LEFT_TO_PYDICOM, MemberFailed, MemoryError)
TO_COMMAS = bytes.maketrans(b"\\", b",")
# Numbers are plain where they are JSON as they stand. All other JSON begins with one of the first
# four of these, or holds an "e". An exponent may make a number infinite, and so may 309 digits.
NOT_PLAIN = (b'"', b"[", b"{", b"n", b"e", b"E", b",")
LONGEST_NUMBER = 300  # characters
ROIS_NAMED = 5
LOOKED_AT = 3 * 10  # numbers that tell in which plane a contour lies
OBLIQUE = -1
LONGEST_TYPE = CONTOUR_GEOMETRIC_TYPE.longest
SHORT_NUMBERS = re.compile(rb"(?s:.{0,%d}\\){1,1000}" % LONGEST_NUMBER)
DECIMAL_COMMA = re.compile(rb"[0-9],[0-9]")
NO_VALUE = b"", b""
check_json = msgspec.json.Decoder(msgspec.Raw).decode
integers_of_json = msgspec.json.Decoder(list[int]).decode


class Refers(NamedTuple):
    """One thing that a structure set refers to, in the order of a `Reference`."""

    kind: ReferenceKind
    uid: str
    frame_number: int = 0


Plane = tuple[int, float]  # which of x, y and z is the same for all points, and what it is in mm


@dataclass(slots=True)
class OfROI:
    """What the ROI Contour Sequence has for one ROI."""

    color: list[int] | None = None
    odd: Counter[str] = field(default_factory=Counter)  # contours, by their warning's code

    def begins(self, item: Elements) -> bool:
        """Whether the contours of an item of the sequence are read: it is asked before they are."""
        return True

    def takes(self, batch: Sequence[Elements]) -> bool:
        """Whether these contours are read at all: it is asked before their numbers are."""
        return True

    def add(self, geometric_type: bytes, numbers: Any, images: "Images") -> None:
        """A contour, whose numbers are whole points, or none at all.

        They are JSON's between commas, or where they are not plain as `read_odd` gives them.
        """
        raise NotImplementedError

    def read_odd(self, element: Element, little_endian: bool) -> Any:
        """Numbers that are not plain, as `len` counts them, or else JSON's between commas.

        Raises
        ------
        ValueError
        """
        return _json_numbers(element, little_endian)


@dataclass(slots=True)
class Contours(OfROI):
    """What is kept of it."""

    count: int = 0
    slices: set[Refers | Plane] = field(default_factory=set)
    parts: list[bytes] = field(default_factory=list)  # of JSON text

    def add(self, geometric_type: bytes, numbers: bytes, images: "Images") -> None:
        self.count += 1
        if numbers:
            self.slices.update(images.all or [_plane(numbers, self.count)])
        self.parts += (
            _before_numbers(geometric_type, b"," if self.parts else b""),
            numbers,
            images.json,
        )


Kept = TypeVar("Kept", bound=OfROI)
ByROI = dict[int | None, Kept]  # by ROI number


@dataclass(slots=True)
class References:
    """What a structure set refers to, each once, in file order."""

    found: dict[Refers, None] = field(default_factory=dict)
    objects: set[str] = field(default_factory=set)  # that its references name, not its contours
    left_out: bool = False

    def add(self, one: Refers) -> None:
        if len(self.found) < MOST_REFERENCES:
            self.found[one] = None
        elif one not in self.found:
            self.left_out = True

    def uids(self, kind: str) -> list[str]:
        return [one.uid for one in self.found if one.kind == kind and one.uid]


class Images(NamedTuple):
    """The images of a contour."""

    json: bytes  # the first one's UID, behind the contour's numbers
    all: tuple[Refers, ...]
    first: Refers | None  # that has a UID


NO_IMAGES = Images(b'],"sop":""}', (), None)


def read_structure_set(
    elements: Elements, charset: text.Charset, on_second_reading: Callable[[], None] = lambda: None
) -> tuple[StructureSetRecord, list[ReadWarning]]:
    """The structures of an RT Structure Set, and warnings of what was lost.

    `on_second_reading` is called when contours have to be read again: see `_contours_by_roi`.
    """
    read = read_rois(elements, charset, Contours, on_second_reading)
    values, references, rois, contours, types = read
    record = StructureSetRecord(  # type: ignore[misc]  # those of attributes are the first alone
        *values.fields(STRUCTURE_SET_FIELDS),
        number_of_roi=len(rois),
        referenced_frame_of_reference_uid=references.uids("frame"),
        referenced_series_instance_uid=references.uids("series"),
        referenced_sop_count=len(references.objects),
        rois=_joined(rois, contours, types),
        references=[Reference(*one) for one in references.found],
    )
    if references.left_out:
        values.warn("references_left_out", limit=MOST_REFERENCES)
    _warn_of_losses(values, rois, contours, record)
    return record, values.warnings


class Read(NamedTuple, Generic[Kept]):
    """What a structure set says of its ROIs, before it is put together."""

    values: Values  # of the whole set, with its warnings
    references: References
    rois: list["Definition"]
    contours: ByROI[Kept]
    types: dict[int | None, str]


def read_rois(
    elements: Elements,
    charset: text.Charset,
    keep: Callable[[], Kept],
    on_second_reading: Callable[[], None] = lambda: None,
) -> Read[Kept]:
    """The ROIs of an RT Structure Set, of each of which `keep` takes the contours.

    `on_second_reading` is called when contours have to be read again, by others that `keep` makes:
    see `_contours_by_roi`.
    """
    values = Values(elements.get, charset, elements.little_endian)
    references = _references(elements, values)
    rois = [
        _roi(item, values, references)
        for item in elements.items(STRUCTURE_SET_ROI_SEQUENCE, ROI_WANTED)
    ]
    contours = _contours_by_roi(elements, values, references, keep, on_second_reading)
    return Read(values, references, rois, contours, _types_by_roi(elements, values))


def _of_item(item: Elements, parent: Values) -> Values:
    """The values of a sequence's item; their warnings are kept with those of the whole set."""
    own = item.get(SPECIFIC_CHARACTER_SET.tag)
    charset = text.charset(own[1], parent.charset.assumed_term) if own else None
    values = Values(item.get, charset or parent.charset, item.little_endian)
    values.warnings = parent.warnings
    return values


def _references(elements: Elements, values: Values) -> References:
    found = References()
    for frame in elements.items(REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, FRAME_WANTED):
        found.add(Refers("frame", _of_item(frame, values).uid(FRAME_OF_REFERENCE_UID)))
        for study in frame.items(RT_REFERENCED_STUDY_SEQUENCE, STUDY_WANTED):
            found.add(Refers("study", _of_item(study, values).uid(REFERENCED_SOP_INSTANCE_UID)))
            for series in study.items(RT_REFERENCED_SERIES_SEQUENCE, SERIES_WANTED):
                found.add(Refers("series", _of_item(series, values).uid(SERIES_INSTANCE_UID)))
                for image in _images(series, values):
                    found.add(image)
                    found.objects |= {image.uid} - {""}
    return found


def _images(elements: Elements, values: Values) -> Iterator[Refers]:
    """The images that the items of a Contour Image Sequence name, or those of their frames."""
    for reference in elements.items(CONTOUR_IMAGE_SEQUENCE, REFERENCE_WANTED):
        item = values.over(reference.get)
        uid = item.uid(REFERENCED_SOP_INSTANCE_UID)
        for number in _frame_numbers(reference, item):
            yield Refers("image", uid, number)


def _frame_numbers(reference: Elements, item: Values) -> Sequence[int]:
    element = reference.get(REFERENCED_FRAME_NUMBER.tag)
    if element is None:
        return (0,)
    try:
        numbers = numbers_of(element, REFERENCED_FRAME_NUMBER.vr, reference.little_endian)
        if all(number and number in REFERENCED_FRAME_NUMBER.within for number in numbers):
            return [int(number) for number in numbers] or (0,)
    except ValueError:
        pass
    item.unreadable(REFERENCED_FRAME_NUMBER)
    return (0,)


class Definition(NamedTuple):
    """One item of the Structure Set ROI Sequence."""

    number: int | None
    name: str
    algorithm: str
    frame_of_reference: str


def _roi(item: Elements, parent: Values, references: References) -> Definition:
    values = _of_item(item, parent)
    frame = values.uid(REFERENCED_FRAME_OF_REFERENCE_UID)
    if frame:
        references.add(Refers("frame", frame))
    return Definition(
        number=values.integer(ROI_NUMBER),
        name=values.text(ROI_NAME),
        algorithm=values.text(ROI_GENERATION_ALGORITHM),
        frame_of_reference=frame,
    )


def _types_by_roi(elements: Elements, parent: Values) -> dict[int | None, str]:
    """ROI number -> interpreted type, that of the first observation that has one."""
    types: dict[int | None, str] = {}
    for item in elements.items(RT_ROI_OBSERVATIONS_SEQUENCE, OBSERVATION_WANTED):
        values = _of_item(item, parent)
        number = values.integer(REFERENCED_ROI_NUMBER)
        interpreted = values.text(RT_ROI_INTERPRETED_TYPE)
        types[number] = types.get(number) or interpreted
    return types


def _contours_by_roi(
    elements: Elements,
    parent: Values,
    references: References,
    keep: Callable[[], Kept],
    on_second_reading: Callable[[], None],
) -> ByROI[Kept]:
    """The contours of each ROI, read in batches, which is faster, or else again one by one.

    Of several errors in a file, the first counts. But a batch is walked over before the references
    of its first contour are read, and so may meet a later error first.
    """
    untouched = elements.copy()
    with suppress(*BATCH_ERRORS):
        return _contours(elements, parent, references, keep, BATCH_CONTOURS)
    # The error is gone here, and with it the memory of all that was read until then.
    on_second_reading()
    return _contours(untouched, parent, references, keep, 1)


def _contours(
    elements: Elements,
    parent: Values,
    references: References,
    keep: Callable[[], Kept],
    batch_size: int,
) -> ByROI[Kept]:
    by_roi: ByROI[Kept] = {}
    known: dict[bytes, Images] = {}
    for item in elements.items(ROI_CONTOUR_SEQUENCE, ROI_CONTOUR_WANTED):
        values = _of_item(item, parent)
        number = values.integer(REFERENCED_ROI_NUMBER)
        contours = by_roi[number] if number in by_roi else by_roi.setdefault(number, keep())
        contours.color = contours.color or values.integers(ROI_DISPLAY_COLOR)
        if not contours.begins(item):
            continue
        for batch in _batches(item.items(CONTOUR_SEQUENCE, CONTOUR_WANTED), batch_size):
            if not contours.takes(batch):
                continue
            for contour, numbers in zip(batch, _numbers_of_each(batch, contours), strict=True):
                images = _images_of(contour, values, references, known)
                if numbers is not None:
                    contours.add(_geometric_type(contour), numbers, images)
    return by_roi


def _batches(contours: Iterator[Elements], batch_size: int) -> Iterator[list[Elements]]:
    """So many contours at a time, or fewer where they are long."""
    batch: list[Elements] = []
    size = 0
    for contour in contours:
        batch.append(contour)
        element = contour.get(DATA)
        size += len(element[1]) if element else 0
        if len(batch) == batch_size or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _numbers_of_each(batch: Sequence[Elements], of_roi: OfROI) -> Sequence[Any]:
    """Each Contour Data as `OfROI.add` takes it; None where it is not whole points."""
    elements = [contour.get(DATA) or NO_VALUE for contour in batch]
    plain = _plain_numbers(elements)
    if plain and _are_as_many_as_said(plain, batch):
        return plain
    numbers = plain or [_numbers_in(*each, of_roi) for each in zip(elements, batch, strict=True)]
    return [_whole_points(*each, of_roi.odd) for each in zip(numbers, elements, batch, strict=True)]


def _numbers_in(element: Element, contour: Elements, of_roi: OfROI) -> Any:
    if plain := _plain_numbers([element]):
        return plain[0]
    try:
        return of_roi.read_odd(element, contour.little_endian)
    except ValueError:
        return None


def _are_as_many_as_said(numbers: Sequence[bytes], batch: Sequence[Elements]) -> bool:
    """Whether each contour has as many points as its Number of Contour Points says."""
    said = [(contour.get(NUMBER_OF_POINTS) or NO_VALUE)[1] for contour in batch]
    try:
        commas = [3 * points - 1 for points in integers_of_json(b"[%b]" % b",".join(said))]
    except msgspec.DecodeError:
        return False
    return commas == [written.count(b",") for written in numbers]


def points_in(contour: Elements) -> int:
    """How many points a contour seems to have, without a look at its numbers."""
    vr, written = contour.get(DATA) or NO_VALUE
    if vr in BINARY:
        return len(written) // (3 * calcsize("=" + BINARY[vr]))
    return (written.count(b"\\") + 1) // 3


def _whole_points(numbers: Any, element: Element, contour: Elements, odd: Counter[str]) -> Any:
    """The numbers, if they are whole points; what is odd about them is counted."""
    count = 0 if numbers is None else count_of(numbers)
    is_text = element[0] not in BINARY
    if numbers is None or count % 3:
        with_commas = is_text and DECIMAL_COMMA.search(element[1])
        odd["contour_decimal_commas" if with_commas else "contour_unreadable"] += 1
        return None
    odd["contour_separator_last"] += is_text and _ends_in_separator(element[1])
    as_said = _points_said(contour) in (None, count // 3) and not contour.overflowed
    odd["contour_points_differ"] += not as_said
    return numbers


def count_of(numbers: Any) -> int:
    if isinstance(numbers, bytes):
        return numbers.count(b",") + 1 if numbers else 0
    return len(numbers)


def _points_said(contour: Elements) -> int | float | None:
    element = contour.get(NUMBER_OF_POINTS) or NO_VALUE
    with suppress(ValueError):
        numbers = numbers_of(element, NUMBER_OF_CONTOUR_POINTS.vr, contour.little_endian)
        return numbers[0] if len(numbers) == 1 else None
    return None


def _ends_in_separator(written: bytes) -> bool:
    return written[-8:].rstrip(WHITESPACE).endswith(b"\\")


def _geometric_type(contour: Elements) -> bytes:
    return (contour.get(GEOMETRIC_TYPE) or NO_VALUE)[1][:LONGEST_TYPE]


@lru_cache(maxsize=1024)
def _before_numbers(geometric_type: bytes, comma: bytes) -> bytes:
    return b'%b{"type":%b,"points":[' % (comma, json.dumps(type_of(geometric_type)).encode())


def _images_of(
    contour: Elements, values: Values, references: References, known: dict[bytes, Images]
) -> Images:
    """A contour's images, read once for all that refer to them alike."""
    if CONTOUR_IMAGE_SEQUENCE not in contour:
        return NO_IMAGES
    reference = contour.raw(CONTOUR_IMAGE_SEQUENCE)
    images = known.get(reference)
    if images is None:
        found = tuple(_images(contour, values))
        for one in found:
            references.add(one)
        first = next((one for one in found if one.uid), None)
        uid = msgspec.json.encode(first.uid if first else "")
        images = Images(b'],"sop":%b}' % uid, found, first)
        if reference:
            known[reference] = images
    return images


def _plane(numbers: bytes, count: int) -> Plane:
    """The plane in which a contour's first points lie; one of its own where it is oblique."""
    first = numbers.split(b",", LOOKED_AT)[:LOOKED_AT]
    for axis in (2, 1, 0):
        values = {round(float(number), 2) for number in first[axis::3]}
        if len(values) == 1:
            return axis, values.pop()
    return OBLIQUE, count


def _plain_numbers(elements: Sequence[Element]) -> list[bytes] | None:
    """The numbers as they stand, but between commas; None where not all of them are plain.

    Numbers are plain together exactly where each is: so many contours are checked in one go.
    """
    stripped = [value.strip(WHITESPACE) for _, value in elements]
    written = [value.translate(TO_COMMAS) for value in stripped]
    if _is_plain(b"\\".join(filter(None, stripped))) and _is_json(b",".join(filter(None, written))):
        return written
    return None


def _json_numbers(element: Element, little_endian: bool) -> bytes:
    """Contour Data as JSON's numbers between commas.

    Raises
    ------
    ValueError
        It cannot be read.
    """
    # DS (PS3.5 6.2) allows +1.5, .5, 5. and 01.5, which JSON does not.
    converted = []
    for piece in pieces_of(element):
        numbers = numbers_of((element[0], piece), "DS", little_endian)
        converted.append(",".join(map(repr, map(float, numbers))).encode())
    return b",".join(converted)


def pieces_of(element: Element) -> Iterator[bytes]:
    """Written numbers, some thousands at a time: as Python's they take ten times the memory.

    Raises
    ------
    ValueError
        There is one between two backslashes that is none.
    """
    vr, data = element
    if vr not in BINARY:
        data = data.strip(WHITESPACE)
        data = data[:-1] if _ends_in_separator(data) else data
    start = 0
    while vr not in BINARY and (stop := data.find(b"\\", start + NUMBERS_PIECE)) >= 0:
        yield data[start:stop]
        start = stop + 1
        if start == len(data):
            raise ValueError  # a backslash and nothing behind it
    yield data[start:]


def _is_plain(data: bytes) -> bool:
    """Whether JSON values between backslashes are all numbers, none of them too long."""
    for mark in NOT_PLAIN:
        if mark in data:
            return False
    position = 0
    while len(data) - position > LONGEST_NUMBER:
        short = SHORT_NUMBERS.match(data, position)
        if short is None:
            return False
        position = short.end()
    return True


def _is_json(written: bytes) -> bool:
    try:
        check_json(b"[%b]" % written)
    except msgspec.DecodeError:
        return False
    return True


def type_of(written: bytes) -> str:
    """A geometric type without padding and control characters."""
    return text.clean(written.rstrip(b"\0 ").decode("latin-1"))


def each_with_its_own(
    rois: Iterable[Definition], contours: Mapping[int | None, Kept], keep: Callable[[], Kept]
) -> Iterator[tuple[Definition, Kept]]:
    """The ROIs with their contours; of two with the same number, the first gets them."""
    left = {number: found for number, found in contours.items() if number is not None}
    for roi in rois:
        found = None if roi.number is None else left.pop(roi.number, None)
        yield roi, found or keep()


def _joined(
    rois: list[Definition], contours: ByROI[Contours], types: Mapping[int | None, str]
) -> list[ROIRecord]:
    records = []
    for roi, found in each_with_its_own(rois, contours, Contours):
        records.append(
            ROIRecord(
                roi_number=roi.number,
                roi_name=roi.name,
                rt_roi_interpreted_type=types.get(roi.number, "") if roi.number is not None else "",
                roi_generation_algorithm=roi.algorithm,
                roi_display_color=found.color,
                contour_count=found.count,
                slice_count=len(found.slices),
                roi_contour_data=b"".join((b"[", *found.parts, b"]")),
            )
        )
        found.parts.clear()  # they are as many megabytes again
    return records


def _warn_of_losses(
    values: Values,
    rois: list[Definition],
    contours: ByROI[Contours],
    record: StructureSetRecord,
) -> None:
    numbers = Counter(roi.number for roi in rois if roi.number is not None)
    counts = {
        "roi_without_contours": sum(not roi.contour_count for roi in record.rois),
        "roi_number_repeated": sum(
            n for number, n in numbers.items() if number is not None and n > 1
        ),
        "contours_without_roi": sum(number not in numbers for number in contours),
    }
    for code, count in counts.items():
        if count:
            values.warn(code, count=count)
    odd: Counter[str] = sum((found.odd for found in contours.values()), Counter())
    for code, count in odd.items():
        if count:
            values.warn(code, count=count, rois=_numbers_with(code, contours))


def _numbers_with(code: str, contours: ByROI[Contours]) -> str:
    """The numbers of the ROIs of which contours are odd, as far as they are few."""
    numbers = ["none" if n is None else str(n) for n, found in contours.items() if found.odd[code]]
    return ", ".join([*numbers[:ROIS_NAMED], *["…"] * (len(numbers) > ROIS_NAMED)])
