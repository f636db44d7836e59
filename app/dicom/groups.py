"""The functional groups of an object's frames, PS3.3 C.7.6.16, found and each read when asked for.

An object may have tens of thousands of frames, and in each frame's groups tens of elements:
pydicom takes seconds for all of them, and a picture needs those of one. Where an item ends its
length tells, or a walk over its elements, which reads no values.
"""

from collections.abc import Sequence
from io import BytesIO
from struct import Struct
from struct import error as StructError
from typing import overload

from pydicom import Dataset
from pydicom.filereader import read_dataset

from .damage import Damage, as_damage
from .scanner import LONG_VRS, SHORT_VRS, UNDEFINED

PER_FRAME_GROUPS = 0x52009230
LONGEST = 64 << 20  # bytes of all groups
STEPS = (1 << 20, 1 << 23, LONGEST)  # bytes that are looked at, where no length is told
DEEPEST = 20  # sequences in sequences
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SEQUENCE = b"SQ"

Span = tuple[int, int]


class NotFound(Exception):
    """Where the groups lie cannot be told by their lengths."""


class Groups(Sequence[Dataset]):
    """Those of each frame, in order; one that is damaged is empty."""

    def __init__(self, data: bytes, spans: list[Span], implicit: bool, big_endian: bool) -> None:
        self.data, self.spans = data, spans
        self.implicit, self.big_endian = implicit, big_endian
        self.last: tuple[int, Dataset] | None = None  # a picture asks for its own several times

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, at: int) -> Dataset: ...
    @overload
    def __getitem__(self, at: slice) -> list[Dataset]: ...
    def __getitem__(self, at: int | slice) -> Dataset | list[Dataset]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        if self.last is None or self.last[0] != at:
            self.last = at, self._read(*self.spans[at])
        return self.last[1]

    def _read(self, start: int, end: int) -> Dataset:
        try:
            with as_damage:
                item = BytesIO(self.data[start:end])
                return read_dataset(item, self.implicit, not self.big_endian)
        except Damage:
            return Dataset()


def walked(data: bytes, length: int, implicit: bool, big_endian: bool) -> tuple[list[Span], int]:
    """Where the items' contents lie of a sequence that `data` begin with, and its end.

    Parameters
    ----------
    length
        Of the sequence, or UNDEFINED.

    Raises
    ------
    NotFound
    """
    try:
        return _Walk(data, implicit, big_endian).sequence(0, length, 0)
    except StructError:
        raise NotFound from None


class _Walk:
    def __init__(self, data: bytes, implicit: bool, big_endian: bool) -> None:
        order = ">" if big_endian else "<"
        self.data, self.implicit = data, implicit
        self.head = Struct(f"{order}HHI").unpack_from
        self.short = Struct(f"{order}H").unpack_from
        self.long = Struct(f"{order}I").unpack_from

    def sequence(self, position: int, length: int, depth: int) -> tuple[list[Span], int]:
        if depth > DEEPEST:
            raise NotFound
        spans: list[Span] = []
        end = position + length
        while length == UNDEFINED or position < end:
            group, number, size = self.head(self.data, position)
            tag, start = group << 16 | number, position + 8
            if tag == SEQUENCE_END and length == UNDEFINED:
                return spans, start
            if tag != ITEM:
                raise NotFound
            if size == UNDEFINED:
                stop = self.item(start, depth)
                position = stop + 8
            else:
                position = stop = start + size
            spans.append((start, stop))
        if position != end or end > len(self.data):
            raise NotFound
        return spans, position

    def item(self, position: int, depth: int) -> int:
        """Where an item's delimiter is."""
        data = self.data
        while True:
            group, number, length = self.head(data, position)
            if group << 16 | number == ITEM_END:
                return position
            position += 8
            vr = SEQUENCE if self.implicit else data[position - 4 : position - 2]
            if not self.implicit:
                if vr in SHORT_VRS:
                    (length,) = self.short(data, position - 2)
                elif vr in LONG_VRS:
                    (length,) = self.long(data, position)
                    position += 4
                else:
                    raise NotFound
            if length != UNDEFINED:
                position += length
            elif vr == SEQUENCE:
                position = self.sequence(position, length, depth + 1)[1]
            else:
                raise NotFound
