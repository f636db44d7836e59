"""The wanted elements of a DICOM header, found by walking over its bytes.

pydicom reads a header in about 0.7 ms, this in about 0.03. It knows explicit and implicit VR
little endian with a file meta group, and raises `Unusual` at anything it does not understand,
which pydicom then reads. What it returns is what pydicom returns, for any bytes whatever.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from .errors import MemberFailed

Buffer = bytes | mmap
Element = tuple[str, bytes]  # its VR, "" in implicit VR; its value

ELEMENT, SEQUENCE, STOP = 1, 2, 3  # what to do with a wanted tag
Wanted = Mapping[int, int]

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_DELIMITER = 0xFFFEE00D
SEQUENCE_DELIMITER = 0xFFFEE0DD
SEQUENCE_DELIMITER_BYTES = b"\xfe\xff\xdd\xe0"
DEEPEST = 24  # levels of nesting; pydicom gets to some 180

# PS3.5 7.1.2: the length field has 16 or 32 bits.
SHORT = {
    vr.encode(): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT"),
        *("PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
LONG = {
    vr.encode(): vr
    for vr in (
        *("OB", "OD", "OF", "OL", "OV", "OW"),
        *("SQ", "SV", "UC", "UN", "UR", "UT", "UV"),
    )
}

# Public sequences that implicit VR files commonly hold with undefined length and with sequences
# nested in them. In implicit VR only a dictionary tells a sequence from another value, and
# pydicom looks for the end of another value in another way.
SEQUENCES = frozenset(
    (
        *(0x00041220, 0x00080051, 0x00081032, 0x00081110, 0x00081111, 0x00081115, 0x00081140),
        *(0x00081199, 0x00082112, 0x00082218, 0x00083010, 0x00089121, 0x00089215, 0x00101002),
        *(0x00189346, 0x00209113, 0x00209116, 0x00289110, 0x00400008, 0x00400260, 0x00400275),
        *(0x00400555, 0x0040A043, 0x0040A168, 0x0040A372, 0x0040A375, 0x0040A504, 0x0040A525),
        *(0x0040A730, 0x0062000A, 0x00620002, 0x00700001, 0x00880200, 0x30060010, 0x30060012),
        *(0x30060014, 0x30060016, 0x30060020, 0x30060039, 0x30060040, 0x30060080, 0x300A0010),
        *(0x300A0070, 0x300A00B0, 0x300A0111, 0x300A011A, 0x300A0180, 0x300C0002, 0x300C0004),
        *(0x300C0060, 0x52009229, 0x52009230),
    )
)

_explicit = Struct("<HH2sH").unpack_from
_implicit = Struct("<HHI").unpack_from
_length = Struct("<I").unpack_from


class Unusual(Exception):
    """Something that is left to pydicom."""


class Meta(NamedTuple):
    """The file meta group, PS3.10 7.1."""

    elements: Mapping[int, Element]
    end: int  # where the dataset begins

    def uid(self, tag: int) -> str:
        return self.elements.get(tag, ("", b""))[1].rstrip(b"\0 ").decode("latin-1")


@dataclass(slots=True)
class Dataset:
    """The wanted elements of a dataset or of a sequence's item."""

    scan: "Scan"
    elements: dict[int, Element] = field(default_factory=dict)
    sequences: dict[int, tuple[int, int]] = field(default_factory=dict)  # first and last byte
    little_endian: bool = True

    def get(self, tag: int) -> Element | None:
        return self.elements.get(tag)

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements or tag in self.sequences

    def items(self, tag: int, wanted: Wanted) -> Iterator["Dataset"]:
        """The items of a wanted sequence, one after the other."""
        span = self.sequences.get(tag)
        return self.scan.items(*span, wanted) if span else iter(())


class Scan:
    """One walk over a header, which counts the sequence items it meets."""

    def __init__(self, buffer: Buffer, implicit: bool, item_limit: int) -> None:
        self.buffer = buffer
        self.walk = self._walk_implicit if implicit else self._walk_explicit
        self.item_limit = item_limit
        self.item_count = 0

    def items(self, position: int, end: int, wanted: Wanted) -> Iterator[Dataset]:
        while position < end:
            tag, position, stop = self._item(position)
            if tag != ITEM:
                raise Unusual
            item = Dataset(self)
            position = self.walk(item, position, stop, wanted, 1)
            if position > end:
                raise Unusual
            yield item

    def skip(self, position: int, depth: int) -> int:
        """The end of an undefined-length sequence, where its delimiter stands.

        Items of defined length are walked through, too, since pydicom does: where their
        length lies, it goes on elsewhere or fails.
        """
        if depth > DEEPEST:
            raise Unusual
        while True:
            tag, value, stop = self._item(position)
            if tag == SEQUENCE_DELIMITER:
                return position
            if tag != ITEM:
                raise Unusual
            position = self.walk(Dataset(self), value, stop, {}, depth)

    def _item(self, position: int) -> tuple[int, int, int]:
        """The tag of what begins here, where its value begins, and where that ends; -1: open."""
        group, element, length = _implicit(self.buffer, position)
        tag = group << 16 | element
        if tag == ITEM:
            self.item_count += 1
            if self.item_count > self.item_limit:
                raise MemberFailed("too_many_items", limit=self.item_limit)
        position += 8
        return tag, position, -1 if length == UNDEFINED else position + length

    def _walk_explicit(
        self, found: Dataset, position: int, end: int, wanted: Wanted, depth: int
    ) -> int:
        """Walk over one dataset; return where it ended.

        It ends at `end` exactly or, where that is -1, after an item delimiter. At the top
        (depth 0) it may also end at the Pixel Data, or with less than an element left.
        """
        buffer, elements = self.buffer, found.elements
        open_end = end < 0
        last = len(buffer) - 8 if open_end else end - 8
        while position <= last:
            group, element, vr, length = _explicit(buffer, position)
            tag = group << 16 | element
            name = SHORT.get(vr)
            position += 8
            if name is None:
                name = LONG.get(vr)
                if name is None:
                    if open_end and tag == ITEM_DELIMITER:
                        return position
                    raise Unusual
                (length,) = _length(buffer, position)
                position += 4
                if name == "SQ" or length == UNDEFINED:
                    if wanted.get(tag) == STOP:
                        return position
                    position = self._over_sequence(
                        found, tag, name, position, length, wanted, depth
                    )
                    continue
            if tag in wanted:
                if wanted[tag] == ELEMENT:
                    elements[tag] = name, buffer[position : position + length]
                elif wanted[tag] == STOP:
                    return position
                else:
                    raise Unusual
            position += length
        return self._ended(position, end, depth)

    def _walk_implicit(
        self, found: Dataset, position: int, end: int, wanted: Wanted, depth: int
    ) -> int:
        """As _walk_explicit."""
        buffer, elements = self.buffer, found.elements
        open_end = end < 0
        last = len(buffer) - 8 if open_end else end - 8
        while position <= last:
            group, element, length = _implicit(buffer, position)
            tag = group << 16 | element
            position += 8
            kind = wanted.get(tag)
            if group == 0xFFFE:
                if open_end and tag == ITEM_DELIMITER:
                    return position
                raise Unusual
            if kind == STOP:
                return position
            if length == UNDEFINED or kind == SEQUENCE:
                position = self._over_sequence(found, tag, "", position, length, wanted, depth)
                continue
            if kind is not None:
                elements[tag] = "", buffer[position : position + length]
            position += length
        return self._ended(position, end, depth)

    def _over_sequence(
        self,
        found: Dataset,
        tag: int,
        vr: str,
        position: int,
        length: int,
        wanted: Wanted,
        depth: int,
    ) -> int:
        """Note a wanted sequence; return where it ends."""
        kind = wanted.get(tag)
        if vr not in ("SQ", "") or kind == ELEMENT:
            raise Unusual
        if length != UNDEFINED:
            stop = after = position + length
        else:
            stop = self.skip(position, depth + 1)
            after = stop + 8
            if not vr and not self._surely_sequence(tag, position, stop):
                raise Unusual
        if kind == SEQUENCE:
            found.sequences[tag] = position, stop
        return after

    def _surely_sequence(self, tag: int, position: int, stop: int) -> bool:
        """Whether pydicom would find the same end, also if its dictionary knew no sequence here."""
        private = tag >> 16 & 1
        if private or tag in SEQUENCES:
            return True
        return self.buffer.find(SEQUENCE_DELIMITER_BYTES, position, stop) < 0

    def _ended(self, position: int, end: int, depth: int) -> int:
        at_top = depth == 0 and position <= end
        if not at_top and position != end:
            raise Unusual
        return position


def read_meta(buffer: Buffer, position: int) -> Meta:
    """The file meta group, which begins at `position`."""
    found: dict[int, Element] = {}
    try:
        while True:
            group, element, vr, length = _explicit(buffer, position)
            if group != 2:
                return Meta(found, position)
            position += 8
            if vr not in SHORT:
                if vr not in LONG:
                    raise Unusual
                (length,) = _length(buffer, position)
                position += 4
            if element in (2, 3, 0x10):
                found[group << 16 | element] = (
                    vr.decode(),
                    buffer[position : position + length],
                )
            position += length
    except StructError:
        raise Unusual from None


def scan(
    buffer: Buffer, position: int, implicit: bool, wanted: Wanted, item_limit: int
) -> tuple[Dataset, int]:
    """The wanted elements of the dataset that begins at `position`, and where they end.

    Raises
    ------
    Unusual
        Here or later, when items are read.
    MemberFailed
        too_many_items, here or later.
    """
    looks_implicit = not all(0x41 <= byte <= 0x5A for byte in buffer[position + 4 : position + 6])
    if looks_implicit != implicit or len(buffer) - position < 8:
        raise Unusual
    if buffer[position : position + 2] == b"\0\0":  # a command set, PS3.7
        raise Unusual
    dataset = Dataset(Scan(buffer, implicit, item_limit))
    try:
        end = dataset.scan.walk(dataset, position, len(buffer), wanted, 0)
    except StructError:
        raise Unusual from None
    return dataset, end
