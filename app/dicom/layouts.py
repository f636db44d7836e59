"""Headers that are laid out as an earlier one was, as most files of a series are.

A walk over a header depends on its transfer syntax and its framing alone: the tags, VRs and
lengths, as drawn in `scanner`. Where another header has the same of both in the same places, its
values are in the same places, too. To compare them takes a tenth of the time of a walk.
"""

from collections import deque
from itertools import compress, count
from operator import ne
from struct import Struct
from typing import NamedTuple

from .scanner import (
    LONGEST_FRAMING,
    MOST_PIECES,
    Buffer,
    Element,
    Meta,
    Scan,
    ScannedDataset,
    Span,
    Walk,
)

MOST_LAYOUTS = 8
PREFIX_SPAN = 128, 132  # where "DICM" stands


class ScannedHeader(NamedTuple):
    """A header whose elements were found, by a walk or by a layout."""

    meta: Meta
    dataset: ScannedDataset


class Layout:
    """Where the wanted values of a header are, and the framing on which that depends."""

    def __init__(self, buffer: Buffer, meta: Meta, syntax: Span, walk: Walk) -> None:
        dataset, scan = walk.dataset, walk.dataset.scan
        self.meta_tags, self.meta_end = [*meta.spans], meta.end
        self.meta_values = Struct(_format([*meta.spans.values()])).unpack_from
        self.implicit, self.order, self.item_limit = scan.implicit, scan.order, scan.item_limit
        self.item_count = scan.item_count
        self.tags = sorted(dataset.elements, key=scan.spans.__getitem__)
        self.vrs = [dataset.elements[tag][0] for tag in self.tags]
        self.values = Struct(_format([scan.spans[tag] for tag in self.tags])).unpack_from
        self.before = self.values(buffer), dataset.elements
        self.sequences = dataset.sequences
        self.end = walk.end
        last = max(walk.starts)
        self.last, self.last_framing = slice(last, last + 8), buffer[last : last + 8]
        spans = [PREFIX_SPAN, *meta.framing, syntax]
        spans += [(start, start + 8) for start in walk.starts]
        spans += [(start, start + 4) for start in walk.long_lengths]
        self.unpack = Struct(_format(sorted(spans))).unpack_from
        self.framing = self.unpack(buffer)

    def fits(self, buffer: Buffer, item_limit: int) -> bool:
        return (
            buffer[self.last] == self.last_framing  # where most others differ
            and len(buffer) >= self.end + LONGEST_FRAMING  # so that the header is not cut short
            and item_limit == self.item_limit
            and self.unpack(buffer) == self.framing
        )

    def read(self, buffer: Buffer) -> ScannedHeader:
        meta = dict(zip(self.meta_tags, self.meta_values(buffer), strict=True))
        scan = Scan(buffer, self.implicit, self.item_limit, self.order)
        scan.item_count = self.item_count
        dataset = ScannedDataset(scan)
        dataset.sequences = self.sequences
        self._fill(dataset.elements, self.values(buffer))
        return ScannedHeader(Meta(meta, self.meta_end), dataset)

    def _fill(self, elements: dict[int, Element], values: tuple[bytes, ...]) -> None:
        """Most are those of the header before: what is the very same object is compared at once."""
        values_before, elements_before = self.before
        elements.update(elements_before)
        for at in compress(count(), map(ne, values, values_before)):
            elements[self.tags[at]] = self.vrs[at], values[at]
        self.before = values, elements


class Layouts:
    """The layouts of recent headers; one is learnt when a header ends where another did."""

    def __init__(self) -> None:
        self.known: deque[Layout] = deque(maxlen=MOST_LAYOUTS)
        self.ends: deque[int] = deque(maxlen=MOST_LAYOUTS)

    def read(self, buffer: Buffer, item_limit: int) -> ScannedHeader | None:
        for layout in self.known:
            if layout.fits(buffer, item_limit):
                return layout.read(buffer)
        return None

    def learn(self, buffer: Buffer, meta: Meta, syntax: Span, walk: Walk) -> None:
        """Remember a header that was walked over; its Transfer Syntax UID stands at `syntax`."""
        pieces = len(walk.starts) + len(walk.long_lengths)
        cut_short = walk.end + LONGEST_FRAMING > len(buffer)
        if walk.searched or cut_short or pieces > MOST_PIECES:
            return
        if walk.end in self.ends:
            self.known.appendleft(Layout(buffer, meta, syntax, walk))
        self.ends.append(walk.end)


def _format(spans: list[Span]) -> str:
    """A format of `struct` that takes these bytes and passes over what is between them."""
    parts, position = ["<"], 0
    for start, stop in spans:
        parts.append(f"{start - position}x{stop - start}s")
        position = stop
    return "".join(parts)
