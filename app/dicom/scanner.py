"""The wanted elements of a DICOM header, found by walking over its bytes.

pydicom reads a header in about 0.7 ms, this in about 0.03. It raises `Unusual` at what it does
not know, which pydicom then reads. What it returns is what pydicom returns, for any bytes
whatever, unless the scan says that it `mended` something: pydicom loses what follows an element
of unknown VR, a UN of undefined length in big endian, or a delimiter that is missing.

An element with a short VR, Modality (0008,0060) with the value "CT", takes ten bytes:

    offset     0  1  2  3   4  5   6  7   8  9
    bytes     08 00 60 00  43 53  02 00  43 54
              tag          "CS"   2      "CT"
              |------ framing -------|  |value|

`_explicit` takes the framing in one go: tag 0x00600008 (see `as_read`), VR b"CS", length 2. So
the value begins at 8, and the next element at 8 + 2. A long VR, as SQ or OB, has no length at 6:
it stands in four more bytes at 8, and the value begins at 12. In implicit VR there is no VR, and
the length takes all four bytes at 4.

A walk depends on the framing alone. It returns where each framing begins (here 0) and where four
more bytes were read (here nowhere), from which `layouts` knows what headers have in common.
"""

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from copy import copy
from functools import cache
from mmap import mmap
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from app.errors import MemberFailed

Buffer = bytes | mmap
Element = tuple[bytes, bytes]  # its VR, empty in implicit VR; its value

# What is done at a wanted tag: its value is taken, whole or up to LONGEST_VALUE; the place of its
# items is taken; the walk stops before it.
WHOLE, ELEMENT, SEQUENCE, STOP = 1, 2, 3, 4
LONGEST_VALUE = 8_192  # bytes; no text that is kept and no vector needs more
Wanted = Mapping[int, tuple[int, int]]  # made by `wanted_from`

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNDEFINED = 0xFFFFFFFF
ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # in little and big endian
ITEM_GROUPS = (b"\xfe\xff", b"\xff\xfe")
SEQUENCE_DELIMITER_BYTES = b"\xfe\xff\xdd\xe0"
LONGEST_FRAMING = 12  # bytes: tag, VR, two that are reserved, a length of 32 bits
META_GROUP = 0x0002
DEEPEST = 24  # levels of nesting; pydicom gets to some 180
MOST_ENDS = 10_000  # sequences whose end is remembered
MOST_PIECES = 4_000  # of framing; a header of more is walked over each time

# PS3.5 7.1.2: the length field has 16 or 32 bits.
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
SEQUENCE_VRS = (b"SQ", b"UN")
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
KNOWN_VRS = SHORT_VRS | LONG_VRS
CAPITALS = re.compile(rb"[A-Z]{2}")
FILE_META_INFORMATION_GROUP_LENGTH = 0x00020000
META_VRS = {
    FILE_META_INFORMATION_GROUP_LENGTH: b"UL",
    0x00020002: b"UI",  # MediaStorageSOPClassUID
    0x00020003: b"UI",  # MediaStorageSOPInstanceUID
    0x00020010: b"UI",  # TransferSyntaxUID
}

# Each takes a tag as one number: see `as_read`.
_explicit = Struct("<I2sH").unpack_from
_implicit = Struct("<II").unpack_from
_length = Struct("<I").unpack_from
_forget: Callable[[int], None] = deque[int](maxlen=0).append


def as_read(tag: int) -> int:
    """A tag as its four bytes are read: one little-endian number, whose low half is the group."""
    return tag >> 16 | (tag & 0xFFFF) << 16


Unpack = Callable[[Buffer, int], tuple[Any, ...]]


def _as_in_little_endian(unpack: Unpack) -> Unpack:
    def unpacked(buffer: Buffer, position: int) -> tuple[Any, ...]:
        tag, *rest = unpack(buffer, position)
        return as_read(tag), *rest

    return unpacked


class ByteOrder(NamedTuple):
    """How framings are read."""

    explicit: Unpack  # a tag, a VR, and a length of 16 bits
    implicit: Unpack  # a tag, and a length of 32 bits
    length: Unpack  # of 32 bits


LITTLE_ENDIAN = ByteOrder(_explicit, _implicit, _length)
BIG_ENDIAN = ByteOrder(
    _as_in_little_endian(Struct(">I2sH").unpack_from),
    _as_in_little_endian(Struct(">II").unpack_from),
    Struct(">I").unpack_from,
)


def wanted_from(actions: Mapping[int, int]) -> Wanted:
    """The tags to look for, from these tags and what is done at each (WHOLE, ELEMENT ..)."""
    return {as_read(tag): (action, tag) for tag, action in actions.items()}


ITEMS_GROUP = 0xFFFE
ITEM = as_read(0xFFFEE000)
ITEM_DELIMITER = as_read(0xFFFEE00D)
SEQUENCE_DELIMITER = as_read(0xFFFEE0DD)

# Public sequences that implicit VR files commonly hold with undefined length and with sequences
# nested in them. In implicit VR only a dictionary says which values are sequences, and pydicom
# looks for the end of other values in another way.
SEQUENCE_KEYWORDS = {
    0x00041220: "DirectoryRecordSequence", 0x00080051: "IssuerOfAccessionNumberSequence",
    0x00081032: "ProcedureCodeSequence", 0x00081110: "ReferencedStudySequence",
    0x00081111: "ReferencedPerformedProcedureStepSequence", 0x00081115: "ReferencedSeriesSequence",
    0x00081140: "ReferencedImageSequence", 0x00081199: "ReferencedSOPSequence",
    0x00082112: "SourceImageSequence", 0x00082218: "AnatomicRegionSequence",
    0x00089121: "ReferencedRawDataSequence", 0x00089215: "DerivationCodeSequence",
    0x00101002: "OtherPatientIDsSequence", 0x00189346: "CTDIPhantomTypeCodeSequence",
    0x00209113: "PlanePositionSequence", 0x00209116: "PlaneOrientationSequence",
    0x00289110: "PixelMeasuresSequence", 0x00400008: "ScheduledProtocolCodeSequence",
    0x00400260: "PerformedProtocolCodeSequence", 0x00400275: "RequestAttributesSequence",
    0x00400555: "AcquisitionContextSequence", 0x0040A043: "ConceptNameCodeSequence",
    0x0040A168: "ConceptCodeSequence", 0x0040A372: "PerformedProcedureCodeSequence",
    0x0040A375: "CurrentRequestedProcedureEvidenceSequence", 0x0040A504: "ContentTemplateSequence",
    0x0040A525: "IdenticalDocumentsSequence", 0x0040A730: "ContentSequence",
    0x00620002: "SegmentSequence", 0x0062000A: "SegmentIdentificationSequence",
    0x00700001: "GraphicAnnotationSequence", 0x00880200: "IconImageSequence",
    0x30060010: "ReferencedFrameOfReferenceSequence", 0x30060012: "RTReferencedStudySequence",
    0x30060014: "RTReferencedSeriesSequence", 0x30060016: "ContourImageSequence",
    0x30060020: "StructureSetROISequence", 0x30060039: "ROIContourSequence",
    0x30060040: "ContourSequence", 0x30060080: "RTROIObservationsSequence",
    0x300A0010: "DoseReferenceSequence", 0x300A0070: "FractionGroupSequence",
    0x300A00B0: "BeamSequence", 0x300A0111: "ControlPointSequence",
    0x300A011A: "BeamLimitingDevicePositionSequence", 0x300A0180: "PatientSetupSequence",
    0x300C0002: "ReferencedRTPlanSequence", 0x300C0004: "ReferencedBeamSequence",
    0x300C0060: "ReferencedStructureSetSequence", 0x52009229: "SharedFunctionalGroupsSequence",
    0x52009230: "PerFrameFunctionalGroupsSequence",
}  # fmt: skip
SEQUENCES = frozenset(map(as_read, SEQUENCE_KEYWORDS))


class Unusual(Exception):
    """Something that is left to pydicom."""


LEFT_TO_PYDICOM = (Unusual, StructError)  # the latter where the bytes end within an element


def uid_of(value: bytes) -> str:
    """A UID without padding; as in pydicom, spaces before it are padding, too."""
    # Bytes are stripped: str.strip also takes off control characters, which makes two UIDs one.
    return value.rstrip(b"\0 ").strip().decode("latin-1")


Span = tuple[int, int]  # where something begins and ends


class Meta(NamedTuple):
    """The file meta group, PS3.10 7.1."""

    elements: Mapping[int, bytes]
    end: int  # where the dataset begins
    spans: Mapping[int, Span] = {}  # of the elements' values
    framing: Sequence[Span] = ()  # tag, VR and length of every element of the group

    def uid(self, tag: int) -> str:
        return uid_of(self.elements.get(tag, b""))


NO_META = Meta({}, 0)


class Repeated(NamedTuple):
    """What headers have in common that repeat each other's values, but for some."""

    varying: frozenset[int]  # tags
    made: dict[Hashable, Any]  # of values that do not vary, by names


class ScannedDataset:
    """The wanted elements of a dataset or of a sequence's item."""

    __slots__ = ("elements", "get", "repeated", "scan", "sequences")

    overflowed = False  # see PydicomDataset

    def __init__(
        self,
        scan: "Scan",
        elements: dict[int, Element] | None = None,
        sequences: dict[int, Span] | None = None,
        repeated: Repeated | None = None,
    ) -> None:
        self.scan = scan
        self.elements = {} if elements is None else elements
        self.sequences = {} if sequences is None else sequences  # where items begin and end
        self.repeated = repeated
        self.get = self.elements.get

    @property
    def little_endian(self) -> bool:
        return self.scan.order is LITTLE_ENDIAN

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements or tag in self.sequences

    def raw(self, tag: int) -> bytes:
        """The bytes of a wanted sequence's items."""
        start, stop = self.sequences.get(tag, (0, 0))
        return self.scan.buffer[start:stop]

    def items(self, tag: int, wanted: Wanted) -> Iterator["ScannedDataset"]:
        """The items of a wanted sequence, one after the other."""
        span = self.sequences.get(tag)
        return self.scan.items(*span, wanted) if span else iter(())

    def count(self, tag: int) -> int:
        """How many items a wanted sequence has, if all say their length, or else 0."""
        span = self.sequences.get(tag)
        return self.scan.count(*span) if span else 0

    def count_anew(self) -> None:
        """Count the items that are met from here on alone."""
        self.scan.item_count = 0

    def copy(self) -> "ScannedDataset":
        """The same dataset, with a count of items of its own that goes on from the present one."""
        return ScannedDataset(copy(self.scan), self.elements, self.sequences, self.repeated)


class Scan:
    """A walk over a header, and later over its items; it counts the items it meets."""

    searched = False  # see Walk
    mended = False  # whether it read on as pydicom does not

    def __init__(
        self, buffer: Buffer, implicit: bool, item_limit: int, order: ByteOrder = LITTLE_ENDIAN
    ) -> None:
        self.buffer = buffer
        self.implicit = implicit
        self.order = order
        self.item_limit = item_limit
        self.item_count = 0
        self.ends: dict[int, tuple[int, int]] = {}  # a sequence's start -> its end; its items
        self.unended: set[int] = set()  # where sequences end without a delimiter
        self.in_un: dict[int, tuple[bool, ByteOrder]] = {}  # one's start -> if implicit; its order
        self.spans: dict[int, Span] = {}  # of the header's wanted values
        self.add_top = self.add_nested = self.add_long_length = _forget  # see Walk

    @property
    def walk(self) -> "Callable[[ScannedDataset, int, int, Wanted, int], int]":
        # Chosen each time: a method kept in its own object would be a cycle, and keep the whole
        # buffer in memory until the garbage collector's next round.
        return self._walk_implicit if self.implicit else self._walk_explicit

    def items(self, position: int, end: int, wanted: Wanted) -> Iterator[ScannedDataset]:
        scan = self
        if position in self.in_un:
            scan = copy(self)
            scan.implicit, scan.order = self.in_un[position]
        walk = scan.walk
        while position < end:
            tag, position, stop = scan._item(position)
            if tag != ITEM:
                raise Unusual
            item = ScannedDataset(scan)
            position = walk(item, position, stop, wanted, 1)
            if position > end:
                raise Unusual
            yield item

    def count(self, position: int, end: int) -> int:
        """How many items there are, without a look into them: 0 where one says no length."""
        counting = copy(self)
        if position in self.in_un:
            return 0
        while position < end:
            tag, _, position = counting._item(position)
            if tag != ITEM or position < 0:
                return 0
        return counting.item_count - self.item_count

    def skip(self, position: int, depth: int) -> int:
        """The end of an undefined-length sequence, where its delimiter stands, if it has one.

        Items of defined length are walked through, too, since pydicom does so: where the
        length is wrong, it goes on elsewhere or fails. A sequence nested in another is met
        again when the other's items are read: then its end is known, and its items count again.
        """
        if depth > DEEPEST:
            raise Unusual
        if position in self.ends:
            stop, items = self.ends[position]
            self._count(items)
            return stop
        start, before = position, self.item_count
        walk, nothing = self.walk, ScannedDataset(self)
        while True:
            tag, value, stop = self._item(position)
            if tag == SEQUENCE_DELIMITER or (tag != ITEM and self._lacks_delimiter(position)):
                if len(self.ends) < MOST_ENDS:
                    self.ends[start] = position, self.item_count - before
                return position
            if tag != ITEM:
                raise Unusual
            position = walk(nothing, value, stop, {}, depth)

    def _lacks_delimiter(self, position: int) -> bool:
        """Whether an element stands where a sequence in explicit VR should go on or end."""
        if self.implicit or self.buffer[position + 4 : position + 6] not in KNOWN_VRS:
            return False
        self.mended = True
        self.unended.add(position)
        return True

    def _item(self, position: int) -> tuple[int, int, int]:
        """An item's or delimiter's tag, its value's start, and its end (-1: undefined length)."""
        tag, length = self.order.implicit(self.buffer, position)
        self.add_nested(position)
        if tag == ITEM:
            self.item_count += 1
            if self.item_count > self.item_limit:
                raise MemberFailed("too_many_items", limit=self.item_limit)
        position += 8
        return tag, position, -1 if length == UNDEFINED else position + length

    def _count(self, items: int) -> None:
        self.item_count += items
        if self.item_count > self.item_limit:
            raise MemberFailed("too_many_items", limit=self.item_limit)

    def _walk_explicit(
        self, dataset: ScannedDataset, position: int, end: int, wanted: Wanted, depth: int
    ) -> int:
        """Walk over one dataset; return where it ended.

        It ends at `end` exactly or, where that is -1, after an item delimiter. At the top
        (depth 0) it may also end at the Pixel Data, or with less than an element left.
        """
        buffer, elements = self.buffer, dataset.elements
        add_start = self.add_nested if depth else self.add_top
        explicit = self.order.explicit
        last = (len(buffer) if end < 0 else end) - 8
        while position <= last:
            tag, vr, length = explicit(buffer, position)
            add_start(position)
            if vr in SHORT_VRS:
                position += 8
            elif vr in LONG_VRS and (
                not length or unknown_vr(buffer, position, self.order)[0] > position + 8
            ):
                position += 8
                (length,) = self.order.length(buffer, position)
                self.add_long_length(position)
                position += 4
                is_wanted = tag in wanted and wanted[tag][0] == SEQUENCE and vr in SEQUENCE_VRS
                if is_wanted or length == UNDEFINED:
                    if tag in wanted and wanted[tag][0] == STOP:
                        return position
                    if tag in wanted and not is_wanted:
                        raise Unusual
                    over = self._over_sequence if vr == b"SQ" else self._over_no_sequence
                    position = over(dataset, tag, position, length, wanted, depth)
                    continue
            elif tag == ITEM_DELIMITER and end < 0:
                return position + 8
            elif tag & 0xFFFF == ITEMS_GROUP:
                position = self._at_wrong_delimiter(tag, position, end)
                if end < 0:
                    return position
                continue
            else:
                self.mended, vr = True, b""
                position, length = unknown_vr(buffer, position, self.order)
                if length == tag == UNDEFINED:
                    break  # these bytes fill a file's last block
                if length == UNDEFINED:
                    raise Unusual
            if tag in wanted:
                action, true_tag = wanted[tag]
                if action == STOP:
                    return position
                if action == SEQUENCE:
                    if vr:
                        raise Unusual
                    position = self._over_sequence(dataset, tag, position, length, wanted, depth)
                    continue
                size = LONGEST_VALUE if length > LONGEST_VALUE and action == ELEMENT else length
                elements[true_tag] = vr, buffer[position : position + size]
                if not depth:
                    self.spans[true_tag] = position, position + size
            position += length
        return position if position == end else self._ended(position, end, depth)

    def _walk_implicit(
        self, dataset: ScannedDataset, position: int, end: int, wanted: Wanted, depth: int
    ) -> int:
        """As _walk_explicit."""
        buffer, elements = self.buffer, dataset.elements
        add_start = self.add_nested if depth else self.add_top
        last = (len(buffer) if end < 0 else end) - 8
        while position <= last:
            tag, length = _implicit(buffer, position)
            add_start(position)
            position += 8
            if tag & 0xFFFF == ITEMS_GROUP:
                if tag == ITEM_DELIMITER and end < 0:
                    return position
                position = self._at_wrong_delimiter(tag, position - 8, end)
                if end < 0:
                    return position
                continue
            action = None
            if tag in wanted:
                action, true_tag = wanted[tag]
                if action == STOP:
                    return position
                if action != SEQUENCE:
                    if length == UNDEFINED:
                        raise Unusual
                    size = LONGEST_VALUE if length > LONGEST_VALUE and action == ELEMENT else length
                    elements[true_tag] = b"", buffer[position : position + size]
                    if not depth:
                        self.spans[true_tag] = position, position + size
            if length == tag == UNDEFINED:
                self.mended = True
                break
            if length == UNDEFINED or action == SEQUENCE:
                start = position
                position = self._over_sequence(dataset, tag, start, length, wanted, depth)
                if length == UNDEFINED and not self._ends_alike(tag, start, position - 8):
                    raise Unusual
            else:
                position += length
        return position if position == end else self._ended(position, end, depth)

    def _at_wrong_delimiter(self, tag: int, position: int, end: int) -> int:
        """Where to go on at a sequence's delimiter within one of its items.

        As a rule the item's own is missing, and this one ends both. It stands in that one's place
        where another item follows, and is one too many where no item is open.
        """
        if tag != SEQUENCE_DELIMITER or not (end < 0 or self.mended):
            raise Unusual
        self.mended = True
        after = position + 8
        return after if end >= 0 or self.buffer[after : after + 4] in ITEM_TAGS else position

    def _over_sequence(
        self, into: ScannedDataset, tag: int, position: int, length: int, wanted: Wanted, depth: int
    ) -> int:
        """Pass over a sequence, and keep its place if it is wanted; return where it ends."""
        if length != UNDEFINED:
            stop = after = position + length
        else:
            stop = self.skip(position, depth + 1)
            after = stop if stop in self.unended else stop + 8
        if tag in wanted:
            into.sequences[wanted[tag][1]] = position, stop
        return after

    def _over_no_sequence(
        self, into: ScannedDataset, tag: int, position: int, length: int, wanted: Wanted, depth: int
    ) -> int:
        """As _over_sequence, of a value of another VR that has undefined length or is wanted.

        In UN it is a sequence in implicit VR little endian, whatever the dataset is in (PS3.5
        6.2.2); some writers leave it in explicit VR.
        """
        self.searched, order = True, self.order
        if self.buffer[position - 8 : position - 6] != b"UN":
            return self._over_fragments(position)
        self.implicit = not CAPITALS.fullmatch(self.buffer[position + 12 : position + 14])
        if self.buffer[position : position + 2] == ITEM_GROUPS[0]:
            self.order = LITTLE_ENDIAN
        self.mended = self.mended or self.order is not order
        if tag in wanted:
            self.in_un[position] = self.implicit, self.order
        try:
            return self._over_sequence(into, tag, position, length, wanted, depth)
        finally:
            self.implicit, self.order = False, order

    def _over_fragments(self, position: int) -> int:
        """Pass over encapsulated data (PS3.5 A.4) or, as pydicom, up to the first delimiter."""
        if self.order is BIG_ENDIAN:
            raise Unusual
        end, framing = position, self.buffer[position : position + 8]
        while len(framing) == 8 and framing.startswith(ITEM_TAGS[0]):
            end += 8 + _length(framing, 4)[0]
            framing = self.buffer[end : end + 8]
        if not framing.startswith(SEQUENCE_DELIMITER_BYTES):
            end = self.buffer.find(SEQUENCE_DELIMITER_BYTES, position)
            if end < 0:
                raise Unusual
        return end + 8

    def _ends_alike(self, tag: int, position: int, stop: int) -> bool:
        """Whether pydicom, too, ends a sequence of undefined length at `stop`, in implicit VR.

        Of a tag that its dictionary gives another VR, it ends the value at the first delimiter.
        """
        private = tag & 1
        if private or tag in SEQUENCES:
            return True
        self.searched = True
        return self.buffer.find(SEQUENCE_DELIMITER_BYTES, position, stop) < 0 or _is_sequence(tag)

    def _ended(self, position: int, end: int, depth: int) -> int:
        if depth or position > end:
            raise Unusual
        return position


@cache
def _is_sequence(tag: int) -> bool:
    # Imported here: it costs 0.1 s, and most extractors never need it.
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    true_tag = as_read(tag)
    return dictionary_has_tag(true_tag) and dictionary_VR(true_tag) == "SQ"


class Walk(NamedTuple):
    """A header that was walked over."""

    dataset: ScannedDataset
    end: int  # where it ends, or its Pixel Data begin
    # Where the first eight bytes were read of the dataset's own elements, and of items, delimiters
    tops: Sequence[int]
    nested: Sequence[int]  # and the elements in items.
    long_lengths: Sequence[int]  # where four more bytes, a long VR's length, were read
    searched: bool  # values were searched, as for a delimiter, so more than the framing counts


def unknown_vr(buffer: Buffer, position: int, order: ByteOrder) -> Span:
    """Where the value of an element begins whose VR is unknown, and its length.

    As for dcmtk the length has 16 bits, but behind two capital letters 32, as behind all future
    VRs. What follows may show otherwise: there are 16 behind capitals, too, or 32 bits of length
    stand where the VR was left out.
    """
    _, vr, length = order.explicit(buffer, position)
    capitals = CAPITALS.fullmatch(vr) is not None
    at = position + 8 if capitals else position + 4
    (longer,) = order.length(buffer, at)
    short, long = (position + 8, length), (at + 4, longer)
    is_short, is_long = (begins_an_element(buffer, sum(span), vr) for span in (short, long))
    if is_short == is_long:
        known = vr in LONG_VRS or longer == UNDEFINED
        is_long = known or (not length and (capitals or vr[1:] < b" "))
    return long if is_long else short


def begins_an_element(buffer: Buffer, position: int, vr: bytes = b"SQ") -> bool:
    """Whether an element of known or this VR, an item or a delimiter begins, or the bytes end."""
    start = buffer[position : position + 6]
    if len(start) < 6:
        return position == len(buffer)
    return start[4:] == vr or start[4:] in KNOWN_VRS or start[:2] in ITEM_GROUPS


def read_meta(buffer: Buffer, position: int) -> Meta:
    """The file meta group, which begins at `position`.

    Where a second one follows, the first of two elements with the same tag counts.
    """
    elements: dict[int, bytes] = {}
    spans: dict[int, Span] = {}
    framing: list[Span] = []
    try:
        while True:
            tag, vr, length = _explicit(buffer, position)
            if tag & 0xFFFF != META_GROUP:
                return Meta(elements, position, spans, framing)
            true_tag, start = META_GROUP << 16 | tag >> 16, position
            position += 8
            if vr in LONG_VRS:
                (length,) = _length(buffer, position)
                position += 4
            elif vr not in SHORT_VRS and not length and vr[1:] < b" ":
                (length,) = _length(buffer, start + 4)  # in implicit VR, as a second group may be
            framing.append((start, position))
            if true_tag in META_VRS and true_tag not in elements:
                # pydicom converts these while it reads, and may fail.
                is_group_length = true_tag == FILE_META_INFORMATION_GROUP_LENGTH
                if vr != META_VRS[true_tag] or (is_group_length and length != 4):
                    raise Unusual
                elements[true_tag] = buffer[position : position + length]
                spans[true_tag] = position, position + length
            position += length
    except StructError:
        raise Unusual from None


def byte_order(buffer: Buffer, position: int, syntax: str) -> ByteOrder:
    """By the transfer syntax or, where there is none, by the group with which a dataset begins."""
    in_big = syntax == EXPLICIT_BIG_ENDIAN
    if in_big or (not syntax and buffer[position : position + 2] == b"\0\x08"):
        return BIG_ENDIAN
    return LITTLE_ENDIAN


def is_implicit(
    buffer: Buffer, position: int, syntax: str, order: ByteOrder = LITTLE_ENDIAN
) -> bool:
    """Whether a dataset is in implicit VR, by its transfer syntax and by how it begins.

    Raises
    ------
    Unusual
        The two differ, or it begins with a command set (PS3.7).
    """
    tag, vr, _ = order.explicit(buffer, position)
    group = tag & 0xFFFF
    implicit = not CAPITALS.fullmatch(vr)
    if implicit and syntax != IMPLICIT_LITTLE_ENDIAN:
        implicit = not _is_unknown_vr(buffer, position, order)
    if "\\" in syntax or group == 0:
        raise Unusual
    if syntax and implicit != (syntax == IMPLICIT_LITTLE_ENDIAN):
        raise Unusual
    if not syntax and group != 8:
        raise Unusual
    return implicit


def _is_unknown_vr(buffer: Buffer, position: int, order: ByteOrder) -> bool:
    """Whether the first element has an unknown VR, or none, and the others are in explicit VR."""
    _, vr, _ = order.explicit(buffer, position)
    end = sum(unknown_vr(buffer, position, order))
    following = buffer[end + 4 : end + 6]
    return order is BIG_ENDIAN or following in KNOWN_VRS or (following == vr and vr[1:] >= b" ")


def is_plain(buffer: Buffer, position: int) -> bool:
    """Whether the dataset begins with an element of group 8, as no deflated one can.

    Deflated, these bytes would begin with the length of a block and, inverted, again that length.
    """
    first = buffer[position : position + 4]
    return first[:2] == b"\x08\0" and first[3:] != b"\xff"


def scan(
    buffer: Buffer,
    position: int,
    implicit: bool,
    wanted: Wanted,
    item_limit: int,
    order: ByteOrder = LITTLE_ENDIAN,
) -> Walk:
    """The wanted elements of the dataset that begins at `position`.

    Raises
    ------
    Unusual, struct.error
        LEFT_TO_PYDICOM; also later, when items are read.
    MemberFailed
        too_many_items; also later.
    """
    scan = Scan(buffer, implicit, item_limit, order)
    dataset = ScannedDataset(scan)
    # Bounded, since the framing of more elements than a layout takes would fill the memory.
    tops: deque[int] = deque(maxlen=MOST_PIECES + 1)
    nested: deque[int] = deque(maxlen=MOST_PIECES + 1)
    long_lengths: deque[int] = deque(maxlen=MOST_PIECES + 1)
    scan.add_top, scan.add_nested, scan.add_long_length = (
        *(tops.append, nested.append),
        long_lengths.append,
    )
    end = scan.walk(dataset, position, len(buffer), wanted, 0)
    # A layout has no part in what is read later.
    scan.add_top = scan.add_nested = scan.add_long_length = _forget
    return Walk(dataset, end, tops, nested, long_lengths, scan.searched or scan.mended)
