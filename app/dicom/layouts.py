"""Headers that repeat an earlier one but for some values, as those of a series do.

A walk over a header depends on its transfer syntax and its framing alone: the tags, VRs and
lengths, as drawn in `scanner`. So where the bytes up to a value are those of a header that was
walked over, the value is where it was there; and where it may be longer or shorter, its length
says where the walk would go on. What is between such values is compared in one piece:

    ... 08 00 18 00 "UI" | 24 00 | 1.2.3.4 ... | 08 00 20 00 "DA" 08 00 20260114 ... | ...
    the same             | length| another     | the same, framing and values        |

This takes a tenth of the time of a walk, and what was made of the values in between is there.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from struct import Struct, calcsize
from typing import NamedTuple

from .attributes import MEDIA_STORAGE_SOP_INSTANCE_UID
from .scanner import (
    LITTLE_ENDIAN,
    LONGEST_FRAMING,
    LONGEST_VALUE,
    MOST_PIECES,
    UNDEFINED,
    Buffer,
    Meta,
    Repeated,
    Scan,
    ScannedDataset,
    Span,
    Walk,
)

LengthOf = Callable[[Buffer, int], tuple[int]]

MOST_LAYOUTS = 8
COMPARED = 256  # bytes; a longer value that is not wanted is passed over
PREFIX_AT = 128  # where "DICM" stands
# To learn a header takes as long as some walks: so one is learnt for so many headers.
ONE_IN, AT_FIRST = 8, 8


class ScannedHeader(NamedTuple):
    """A header whose elements were found, by a walk or by a layout."""

    meta: Meta
    dataset: ScannedDataset


class Value(NamedTuple):
    """Where a value of a header is, wanted or not."""

    start: int
    stop: int
    tag: int  # if it is wanted, or 0
    length: str  # the format of the length before it; "" where only a value of this length will do

    @property
    def is_compared(self) -> bool:
        return self.tag > 0 or self.stop - self.start <= COMPARED

    def at(self, span: Span) -> "Value":
        return Value(*span, self.tag, self.length)


class Stretch(NamedTuple):
    """Bytes that headers repeat, and the value behind them."""

    same: bytes
    size: int  # of these bytes
    length_of: LengthOf | None  # reads how long the value is; None where all are of one length
    skipped: int  # bytes: that length or, where all are of one length, the value
    longest: int  # bytes that a value may have


class Pattern:
    """A header but for some of its values, in which others may differ from it."""

    def __init__(self, buffer: Buffer, values: Sequence[Value], end: int) -> None:
        self.stretches: list[Stretch] = []
        at = PREFIX_AT
        for value in values:
            length = Struct(value.length)
            same = buffer[at : value.start - length.size]
            self.stretches.append(
                Stretch(
                    same,
                    len(same),
                    length.unpack_from if length.size else None,
                    length.size or value.stop - value.start,
                    LONGEST_VALUE if value.tag else UNDEFINED,
                )
            )
            at = value.stop
        self.last = buffer[at:end]

    def spans(self, buffer: Buffer) -> list[Span] | None:
        """Where these values are in another header; None where more of that differs."""
        found = []
        position = PREFIX_AT
        for same, size, length_of, skipped, longest in self.stretches:
            start = position + size
            if buffer[position:start] != same:
                return None
            position = start + skipped
            if length_of:
                if position > len(buffer):
                    return None
                (length,) = length_of(buffer, start)
                if length > longest:
                    return None
                start, position = position, position + length
            found.append((start, position))
        stop = position + len(self.last)
        # Behind it there is enough for the header not to be cut short.
        if buffer[position:stop] != self.last or stop + LONGEST_FRAMING > len(buffer):
            return None
        return found


class Layout:
    """Headers that are laid out as one that was walked over.

    Those of one series, which share the values of some tags, differ in fewer values than those of
    several. So each is compared with one of the series before it and, where it is of another,
    with what all have in common.
    """

    def __init__(self, buffer: Buffer, meta: Meta, walk: Walk, shared: Collection[int]) -> None:
        self.scan, self.shared, self.end = _without_bytes(walk.dataset.scan), shared, walk.end
        self.in_meta, self.meta_end = dict(meta.elements), meta.end
        self.elements = walk.dataset.elements.copy()
        self.values = [*_values(buffer, meta, walk)]
        self.contents = [
            buffer[value.start : value.stop] if value.is_compared else b"" for value in self.values
        ]
        framing = Pattern(buffer, self.values, self.end)
        self.framing = [stretch.same for stretch in framing.stretches]
        # By their places among the values: those that differ in other headers, and of these those
        # that do so within a series.
        self.differing = {at for at, value in enumerate(self.values) if not value.is_compared}
        self.varying = {*self.differing}

    def is_like(self, other: "Layout") -> bool:
        """Whether both have the same elements, which may be of other lengths."""
        return self.framing == other.framing and self.scan.item_limit == other.scan.item_limit

    def learn_from(self, other: "Layout") -> None:
        """Take over what is known of headers like this one, and see how they differ."""
        self.differing |= other.differing
        self.varying |= other.varying
        self._compare(dict(enumerate(other.contents)))

    def settle(self, buffer: Buffer) -> None:
        """Begin to read headers like this one, with which the buffer begins."""
        self.ordered = sorted(self.differing)
        values = [self.values[at] for at in self.ordered]
        self.of_all = Pattern(buffer, values, self.end)
        self._begin_series(buffer, values, self.end)

    def read(self, buffer: Buffer, item_limit: int) -> ScannedHeader | None:
        """What a walk would find in a header; None where that has to be walked over."""
        if item_limit != self.scan.item_limit:
            return None
        spans = self.of_series.spans(buffer)
        if spans is None:
            spans = self.of_all.spans(buffer)
            if spans is None:
                return None
            self._go_on(buffer, spans)
            spans = self.spans
        elements = self.elements.copy()
        for at, tag, vr in self.taken:
            start, stop = spans[at]
            elements[tag] = vr, buffer[start:stop]
        dataset = ScannedDataset(self.scan, elements, repeated=self.repeated)
        return ScannedHeader(self._meta(buffer, spans), dataset)

    def _meta(self, buffer: Buffer, spans: Sequence[Span]) -> Meta:
        in_meta, end = self.in_meta, self.meta_end
        if self.taken_in_meta:
            in_meta = in_meta.copy()
            for at, tag in self.taken_in_meta:
                start, stop = spans[at]
                in_meta[tag] = buffer[start:stop]
            end += stop - self.spans[at][1]
        return Meta(in_meta, end)

    def _compare(self, contents: Mapping[int, bytes]) -> None:
        """See which values of another header differ."""
        other = {at for at, content in contents.items() if content != self.contents[at]}
        self.differing |= other
        if not any(self.values[at].tag in self.shared for at in other):
            self.varying |= other

    def _go_on(self, buffer: Buffer, spans: Sequence[Span]) -> None:
        """Begin with another series, whose values are here that differ from others'."""
        found = dict(zip(self.ordered, spans, strict=True))
        compared = {
            at: buffer[start:stop]
            for at, (start, stop) in found.items()
            if self.values[at].is_compared
        }
        self._compare(compared)
        for at, content in compared.items():
            self.contents[at] = content
        values = [self.values[at].at(span) for at, span in found.items()]
        end = (spans[-1][1] if spans else PREFIX_AT) + len(self.of_all.last)
        self._begin_series(buffer, values, end)

    def _begin_series(self, buffer: Buffer, values: Sequence[Value], end: int) -> None:
        for value in values:
            content = buffer[value.start : value.stop]
            if value.tag in self.in_meta:
                self.in_meta[value.tag] = content
            elif value.tag:
                self.elements[value.tag] = self.elements[value.tag][0], content
        varying = [v for at, v in zip(self.ordered, values, strict=True) if at in self.varying]
        self.of_series = Pattern(buffer, varying, end)
        self.spans = [(value.start, value.stop) for value in varying]
        wanted = [(at, value.tag) for at, value in enumerate(varying) if value.tag]
        self.taken_in_meta = [(at, tag) for at, tag in wanted if tag in self.in_meta]
        self.taken = [(at, t, self.elements[t][0]) for at, t in wanted if t in self.elements]
        self.repeated = Repeated(frozenset(tag for _, tag in wanted), {})


class Layouts:
    """The layouts of recent headers.

    Parameters
    ----------
    shared
        The tags of what all objects of a series have in common.
    """

    def __init__(self, shared: Collection[int]) -> None:
        self.shared = shared
        self.known: deque[Layout] = deque(maxlen=MOST_LAYOUTS)
        self.counts: deque[tuple[int, int, int]] = deque(maxlen=MOST_LAYOUTS)
        self.credit = AT_FIRST * ONE_IN

    def read(self, buffer: Buffer, item_limit: int) -> ScannedHeader | None:
        self.credit += 1
        for layout in self.known:
            if found := layout.read(buffer, item_limit):
                return found
        return None

    def learn(self, buffer: Buffer, meta: Meta, walk: Walk) -> None:
        """Remember a header that was walked over, where another had as many elements."""
        counts = len(walk.tops), len(walk.nested), len(walk.long_lengths)
        if not _is_plain(buffer, walk) or sum(counts) > MOST_PIECES:
            return
        if counts in self.counts and self.credit >= ONE_IN:
            self.credit = min(self.credit, AT_FIRST * ONE_IN) - ONE_IN
            self._add(Layout(buffer, meta, walk, self.shared), buffer)
        self.counts.append(counts)

    def _add(self, layout: Layout, buffer: Buffer) -> None:
        for other in [*self.known]:
            if other.is_like(layout):
                layout.learn_from(other)
                self.known.remove(other)
        layout.settle(buffer)
        self.known.appendleft(layout)


def _is_plain(buffer: Buffer, walk: Walk) -> bool:
    """Whether framing and length alone say where the walk went, and short values were wanted."""
    cut_short = walk.end + LONGEST_FRAMING > len(buffer)
    spans = walk.dataset.scan.spans.values()
    long = any(stop - start >= LONGEST_VALUE for start, stop in spans)
    return not (walk.searched or walk.dataset.sequences or cut_short or long)


def _without_bytes(scan: Scan) -> Scan:
    """For datasets without sequences, whose bytes nobody asks for."""
    bare = Scan(b"", scan.implicit, scan.item_limit, scan.order)
    bare.item_count = scan.item_count
    return bare


def _values(buffer: Buffer, meta: Meta, walk: Walk) -> Iterator[Value]:
    """All values of a header, in their order."""
    scan = walk.dataset.scan
    wanted = {start: tag for tag, (start, _) in (*meta.spans.items(), *scan.spans.items())}
    long, tops = {*walk.long_lengths}, {*walk.tops}
    framing = [*meta.framing]
    for start in sorted([*walk.tops, *walk.nested]):
        framing.append((start, start + (12 if start + 8 in long else 8)))
    for (before, start), (stop, _) in pairwise(framing):
        tag, length = wanted.get(start, 0), ""
        if tag == MEDIA_STORAGE_SOP_INSTANCE_UID.tag:
            length = "<H"
        # The first element's length may be why the dataset was taken for explicit VR.
        elif before in tops and before > meta.end:
            length = _length(buffer[before:start], stop - start, scan)
        yield Value(start, stop, tag, length)


def _length(framing: bytes, size: int, scan: Scan) -> str:
    """The format of the length of an element of the dataset itself, which may be another."""
    is_long = len(framing) == LONGEST_FRAMING
    if is_long and any(framing[6:8]):  # reserved; they have no part in any length
        return ""
    order = "<" if scan.order is LITTLE_ENDIAN else ">"
    form = order + ("I" if is_long or scan.implicit else "H")
    says = Struct(form).unpack_from(framing, len(framing) - calcsize(form))
    return form if says == (size,) else ""
