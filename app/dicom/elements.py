"""All elements of a DICOM object, one after the other, whatever they hold: a walk over its framing.

It goes from element to element by their lengths, into sequences, and over values without looking
at them, so that a file of any size takes no memory. What is damaged ends it: what stood before has
been told. `scanner` is another: it looks for a few elements, and is as fast as can be.
"""

import os
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple, Protocol

from . import dictionary
from .headers import DEFLATED
from .recognition import PREFIX, has_prefix
from .scanner import (
    CAPITALS,
    EXPLICIT_BIG_ENDIAN,
    ITEM_GROUPS,
    ITEM_TAGS,
    KNOWN_VRS,
    LONG_VRS,
    META_GROUP,
    SHORT_VRS,
    UNDEFINED,
    is_plain,
    uid_of,
)

PIECE = 1 << 16  # bytes that are read at once
DEEPEST = 64  # levels of sequences and items
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
FILL = 0xFFFFFFFF  # the tag that bytes look like which fill a file's last block
TRANSFER_SYNTAX_UID, PIXEL_REPRESENTATION = 0x00020010, 0x00280103
PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
LONGEST_UID = 128
LONGEST_CREATOR = 64


class Unreadable(Exception):
    """The walk cannot go on; `code` is a reason's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Source(Protocol):
    """Bytes that are read from anywhere in them."""

    size: int

    def at(self, position: int, size: int) -> bytes:
        """As many as there are, up to a size."""


class FileSource:
    """A file by its descriptor; what was read last is kept, as the next lies near it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.piece, self.start = b"", 0

    def at(self, position: int, size: int) -> bytes:
        within = position - self.start
        if within < 0 or within + size > len(self.piece):
            if size > PIECE:
                return self._read(position, size)
            self.piece, self.start, within = self._read(position, PIECE), position, 0
        return self.piece[within : within + size]

    def _read(self, position: int, size: int) -> bytes:
        pieces = []
        while size and (piece := os.pread(self.descriptor, size, position)):
            pieces.append(piece)
            position, size = position + len(piece), size - len(piece)
        return b"".join(pieces)


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def at(self, position: int, size: int) -> bytes:
        return self.data[position : position + size]


class Element(NamedTuple):
    """An element or an item, where its value lies.

    Those of the dataset have level 0; a sequence's items have one more than it, and what is in an
    item one more than that. Encapsulated data (PS3.5 A.4) have the length of all fragments.
    """

    level: int
    tag: int
    vr: str
    start: int
    length: int  # -1 where what is in it tells its end
    creator: str = ""  # of its block of private elements
    fragments: int = 0

    @property
    def is_item(self) -> bool:
        return self.tag == ITEM

    @property
    def is_sequence(self) -> bool:
        return self.vr == dictionary.SEQUENCE_VR


class _Open:
    """A dataset, sequence or item that the walk is in."""

    __slots__ = ("big", "creators", "end", "implicit", "is_sequence", "signed")

    def __init__(
        self, end: int, implicit: bool, big: bool, is_sequence: bool = False, signed: bool = False
    ) -> None:
        self.end, self.implicit, self.big = end, implicit, big  # end: -1 where a delimiter tells it
        self.is_sequence, self.signed = is_sequence, signed
        self.creators: dict[int, str] = {}  # group and block -> who reserved it


class _Framing(NamedTuple):
    tag: Struct
    short: Struct
    long: Struct


LITTLE = _Framing(Struct("<HH"), Struct("<H"), Struct("<I"))
BIG = _Framing(Struct(">HH"), Struct(">H"), Struct(">I"))


class Elements:
    """The elements of one object.

    Attributes
    ----------
    source
        Where the dataset's values are; those of the file meta group are in `file`.
    transfer_syntax
        As the file says; "" where it says nothing.
    """

    def __init__(self, file: Source, most_inflated: int) -> None:
        self.file, self.source = file, file
        self.most_inflated = most_inflated
        self.transfer_syntax = ""
        self.big_endian = False
        head = file.at(0, PIECE)
        self.first = len(PREFIX) if has_prefix(head) else 0

    def meta(self) -> Iterator[Element]:
        """The file meta group, after which the transfer syntax is known: PS3.10 7.1."""
        position = self.first
        while True:
            head = self.file.at(position, 12)
            group = int.from_bytes(head[:2], "little")
            if len(head) < 8 or group != META_GROUP:
                break
            tag = group << 16 | int.from_bytes(head[2:4], "little")
            if _has_no_vr(head):  # some write this group, too, as they write the dataset
                vr, start = dictionary.entry(tag).vr or dictionary.UNKNOWN_VR, position + 8
                (length,) = LITTLE.long.unpack_from(head, 4)
            else:
                vr, start, length = _explicit(self.file, position, head, LITTLE)
            if length == UNDEFINED:
                raise Unreadable("header_cannot_go_on")
            if tag == TRANSFER_SYNTAX_UID and not self.transfer_syntax:
                self.transfer_syntax = uid_of(self.file.at(start, min(length, LONGEST_UID)))
            yield Element(0, tag, vr, start, length)
            position = start + length
        self.first = position

    def dataset(self) -> Iterator[Element]:
        """The dataset's, after `meta` has ended.

        Raises
        ------
        Unreadable
            It is damaged or too deep; all before was yielded.
        """
        position = self.first
        if self.transfer_syntax in DEFLATED and not is_plain(self.file.at(position, 8), 0):
            self.source, position = BytesSource(self._inflated(position)), 0
        head = self.source.at(position, 8)
        self.big_endian = self.transfer_syntax == EXPLICIT_BIG_ENDIAN or (
            not self.transfer_syntax and head[:2] == b"\0\x08"
        )
        implicit = not CAPITALS.fullmatch(head[4:6])
        yield from self._walk(position, _Open(self.source.size, implicit, self.big_endian))

    def _inflated(self, position: int) -> bytes:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        packed = self.file.at(position, self.most_inflated)
        try:
            return inflater.decompress(packed, self.most_inflated)
        except zlib.error:
            raise Unreadable("header_cannot_go_on") from None

    def _walk(self, position: int, top: _Open) -> Iterator[Element]:
        source, stack = self.source, [top]
        while True:
            here = stack[-1]
            if here.end >= 0 and position >= here.end:
                if len(stack) == 1:
                    return
                stack.pop()
                continue
            head = source.at(position, 12)
            if len(head) < 8:
                if len(stack) == 1 and not head.strip(b"\0"):
                    return  # a file's last block was filled up
                raise Unreadable("header_ends_early")
            framing = BIG if here.big else LITTLE
            group, number = framing.tag.unpack_from(head)
            tag = group << 16 | number
            if group == 0xFFFE:
                (length,) = framing.long.unpack_from(head, 4)
                position += 8
                if tag == ITEM and here.is_sequence:
                    yield Element(len(stack) - 1, tag, "", position, _told(length))
                    _enter(stack, here, position, length)
                elif tag == ITEM_END and not here.is_sequence and len(stack) > 1:
                    stack.pop()
                elif tag == SEQUENCE_END and len(stack) > 1:
                    # Within an item, whose own delimiter is missing, it ends both.
                    del stack[-1 if here.is_sequence else -2 :]
                elif tag in (ITEM_END, SEQUENCE_END):
                    continue  # one too many
                else:
                    raise Unreadable("header_cannot_go_on")
                continue
            if here.is_sequence:
                if here.end >= 0 or len(stack) < 2:
                    raise Unreadable("header_cannot_go_on")
                stack.pop()  # its delimiter is missing
                continue
            if here.implicit:
                (length,) = framing.long.unpack_from(head, 4)
                start, vr = position + 8, ""
            else:
                vr, start, length = _explicit(source, position, head, framing)
            if tag == FILL and (length == UNDEFINED or here.implicit):
                return
            creator = here.creators.get(tag >> 8, "") if group & 1 and number > 0xFF else ""
            was_unknown = vr == dictionary.UNKNOWN_VR
            if not vr or was_unknown:
                vr = self._vr_of(tag, creator, length, here)
            if vr == dictionary.SEQUENCE_VR:
                yield Element(len(stack) - 1, tag, vr, start, _told(length), creator)
                like = _in_unknown(source, start, here) if was_unknown else here
                _enter(stack, like, start, length, is_sequence=True)
                position = start
                continue
            if length == UNDEFINED:
                end, size, count = self._fragments(start)
                yield Element(len(stack) - 1, tag, vr, start, size, creator, count)
                position = end
                continue
            yield Element(len(stack) - 1, tag, vr, start, length, creator)
            position = start + length
            if position > source.size:
                raise Unreadable("header_ends_early")
            if dictionary.is_creator(tag) and length <= LONGEST_CREATOR:
                name = source.at(start, length).decode("latin-1").strip(" \0")
                here.creators[(group << 8) | number] = name
            elif tag == PIXEL_REPRESENTATION:
                here.signed = source.at(start, 2) in (b"\1\0", b"\0\1")

    def _vr_of(self, tag: int, creator: str, length: int, here: _Open) -> str:
        """What the dictionaries say, where the file does not."""
        if length == UNDEFINED and tag not in PIXEL_DATA:
            return dictionary.SEQUENCE_VR
        vr = dictionary.entry(tag, creator).vr
        if vr in dictionary.PIXEL_DEPENDENT:
            return "SS" if here.signed else "US"
        return vr[-2:] or dictionary.UNKNOWN_VR  # "OB or OW" is OW: PS3.5 A.1

    def _fragments(self, position: int) -> tuple[int, int, int]:
        """Of encapsulated data the end, the bytes of all fragments, and their number."""
        size, count = 0, 0
        while True:
            head = self.source.at(position, 8)
            if len(head) < 8:
                raise Unreadable("header_ends_early")
            position += 8
            if head[:4] not in ITEM_TAGS:
                if head[2:4] in (b"\xdd\xe0", b"\xe0\xdd"):
                    return position, size, count
                raise Unreadable("header_cannot_go_on")
            (length,) = (LITTLE if head[0] == 0xFE else BIG).long.unpack_from(head, 4)
            position, size, count = position + length, size + length, count + 1


def _told(length: int) -> int:
    return -1 if length == UNDEFINED else length


def _enter(
    stack: list[_Open], like: _Open, start: int, length: int, is_sequence: bool = False
) -> None:
    if len(stack) > DEEPEST:
        raise Unreadable("header_too_deep")
    end = -1 if length == UNDEFINED else start + length
    stack.append(_Open(end, like.implicit, like.big, is_sequence, like.signed))


def _in_unknown(source: Source, start: int, here: _Open) -> _Open:
    """How a sequence is written in UN: in implicit VR little endian, says PS3.5 6.2.2."""
    head = source.at(start, 14)
    implicit = not CAPITALS.fullmatch(head[12:14])  # some writers leave them in explicit VR
    return _Open(0, implicit, here.big and head[:2] != ITEM_GROUPS[0], signed=here.signed)


def _has_no_vr(head: bytes) -> bool:
    """Whether an element is in implicit VR: no VR ends with a control character."""
    return head[5] < 0x20 and head[6:8] == b"\0\0" and head[4:8] != bytes(4)


def _explicit(
    source: Source, position: int, head: bytes, framing: _Framing
) -> tuple[str, int, int]:
    """An element's VR, where its value begins, and its length, in explicit VR: PS3.5 7.1.2."""
    vr = head[4:6]
    if vr in SHORT_VRS:
        return vr.decode(), position + 8, framing.short.unpack_from(head, 6)[0]
    if len(head) < 12:
        raise Unreadable("header_ends_early")
    if vr in LONG_VRS:
        return vr.decode(), position + 12, framing.long.unpack_from(head, 8)[0]
    # Of unknown VR: behind two capitals a length of 32 bits, as behind all future VRs, else of 16
    # bits; or one of 32 where the VR was left out. What follows it tells which.
    capitals = CAPITALS.fullmatch(vr) is not None
    short = position + 8, framing.short.unpack_from(head, 6)[0]
    long = (
        (position + 12, framing.long.unpack_from(head, 8)[0])
        if capitals
        else (position + 8, framing.long.unpack_from(head, 4)[0])
    )
    start, length = next(
        (span for span in ((long, short) if capitals else (short, long)) if _ends(source, span)),
        short,
    )
    return dictionary.UNKNOWN_VR, start, length


def _ends(source: Source, span: tuple[int, int]) -> bool:
    """Whether an element follows a value, or nothing does."""
    end = sum(span)
    following = source.at(end, 6)
    if len(following) < 6:
        return end == source.size
    return following[4:] in KNOWN_VRS or following[:2] in ITEM_GROUPS
