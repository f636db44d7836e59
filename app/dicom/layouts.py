"""Headers that repeat an earlier one but for some values, as those of a series do.

A walk over a header depends on its transfer syntax and its framing alone: the tags, VRs and
lengths, as drawn in `scanner`. So where the bytes up to a value are those of a header that was
walked over, the value is where it was there; and where it may be longer or shorter, its length
says where the walk would go on. What is between such values is compared in one piece:

    ... 08 00 18 00 "UI" | 24 00 | 1.2.3.4 ... | 08 00 20 00 "DA" 08 00 20260114 ... | ...
    the same             | length| another     | the same, framing and values        |

This takes a tenth of the time of a walk, and what was made of the values in between is there. Most
headers are as long as one before, value by value: all that is the same is then compared at once.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
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
Contents = Mapping[int, bytes]  # of values, by their places among the values of a layout
Key = tuple[bytes, ...]  # of a series: the values that it shares

MOST_LAYOUTS, MOST_SERIES, MOST_SHAPES = 8, 32, 4  # series of each layout, shapes of each series
COMPARED = 256  # bytes; a longer value that is not wanted is passed over
MOST_COMPARED = 1 << 15  # bytes of a header, each of which is kept for each series
PREFIX_AT = 128  # where "DICM" stands
SHORT_FRAMING = 8  # bytes: tag, VR and a length of two
LAST_LENGTH = 4  # bytes: of the Pixel Data, at which a walk ends however long they are
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


class Stretch(NamedTuple):
    """Bytes that headers repeat, and the value behind them."""

    same: bytes
    size: int  # of these bytes
    length_of: LengthOf | None  # reads how long the value is; None where all are of one length
    skipped: int  # bytes: that length or, where all are of one length, the value
    longest: int  # bytes that a value may have


class Pattern:
    """A header but for some of its values, in which others may differ from it.

    Parameters
    ----------
    spans
        Where the values are in this header.
    """

    def __init__(
        self, buffer: Buffer, values: Iterable[Value], spans: Iterable[Span], end: int
    ) -> None:
        self.stretches: list[Stretch] = []
        at = PREFIX_AT
        for value, (start, stop) in zip(values, spans, strict=True):
            length_of, size = _reading(value.length)
            same = buffer[at : start - size]
            longest = LONGEST_VALUE if value.tag else UNDEFINED
            stretch = Stretch(same, len(same), length_of, size or stop - start, longest)
            self.stretches.append(stretch)
            at = stop
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
        enough = stop + LAST_LENGTH + LONGEST_FRAMING <= len(buffer)
        if buffer[position:stop] != self.last or not enough:
            return None
        return found


@cache
def _reading(length: str) -> tuple[LengthOf | None, int]:
    """What reads a length of this format, and the bytes that it takes."""
    form = Struct(length)
    return (form.unpack_from if form.size else None), form.size


class Shape:
    """Headers of a pattern whose values are as long as those of one of them.

    Parameters
    ----------
    spans
        Where its values are in the buffer.
    taken
        The places of the values that are to be read among these.
    meta_end
        Where the file meta group ends.
    """

    def __init__(
        self,
        pattern: Pattern,
        buffer: Buffer,
        spans: Iterable[Span],
        taken: Collection[int],
        meta_end: int,
    ) -> None:
        self.meta_end = meta_end
        same, values = [], []
        at = PREFIX_AT
        for n, (start, stop) in enumerate(spans):
            same.append(f"{start - at}s{stop - start}x")
            values.append(f"{start - at}x{stop - start}{'s' if n in taken else 'x'}")
            at = stop
        self.last, self.last_at, self.end = pattern.last, at, at + len(pattern.last)
        self.least = self.end + LAST_LENGTH + LONGEST_FRAMING  # as for a pattern
        self.unpack_same = Struct("".join(same)).unpack_from
        self.unpack_values = Struct("".join(values)).unpack_from
        self.same = self.unpack_same(buffer, PREFIX_AT)

    def values(self, buffer: Buffer) -> tuple[bytes, ...] | None:
        """These values in another header; None where more of it differs, or any length."""
        # First what hardly any header of another shape has there.
        if buffer[self.last_at : self.end] != self.last or len(buffer) < self.least:
            return None
        if self.unpack_same(buffer, PREFIX_AT) != self.same:
            return None
        return self.unpack_values(buffer, PREFIX_AT)


class Series:
    """A header, and in what those of its series differ from it.

    Parameters
    ----------
    spans
        Where the values are in which headers of its layout differ.
    contents
        Those of them that are compared.
    """

    def __init__(
        self, layout: "Layout", buffer: Buffer, spans: Sequence[Span], contents: Contents
    ) -> None:
        self.layout, self.contents = layout, contents
        self.elements, self.in_meta = layout.elements.copy(), dict(layout.meta.elements)
        for at, content in contents.items():
            tag = layout.values[at].tag
            if tag in self.elements:
                self.elements[tag] = self.elements[tag][0], content
            elif tag:
                self.in_meta[tag] = content
        numbers = [n for n, at in enumerate(layout.differing) if at in layout.varying]
        varying = [layout.values[layout.differing[n]] for n in numbers]
        spans_here = [spans[n] for n in numbers]
        end = (spans[-1][1] if spans else PREFIX_AT) + len(layout.pattern.last)
        self.pattern = Pattern(buffer, varying, spans_here, end)
        # The file meta group stands before the dataset, and so do its values.
        self.taken = [n for n, value in enumerate(varying) if value.tag]
        tags = [varying[n].tag for n in self.taken]
        self.tags_in_meta = [tag for tag in tags if tag in self.in_meta]
        self.tags = tags[len(self.tags_in_meta) :]
        self.vrs = [self.elements[tag][0] for tag in self.tags]
        self.repeated = Repeated(frozenset(tags), {})
        self.shapes: deque[Shape] = deque(maxlen=MOST_SHAPES)
        self.shapes.appendleft(self._shape(buffer, spans_here))

    def read(self, buffer: Buffer) -> ScannedHeader | None:
        """What a walk would find in a header; None where that is of another series."""
        for shape in self.shapes:
            values = shape.values(buffer)
            if values is not None:
                if shape is not self.shapes[0]:
                    self.shapes.remove(shape)
                    self.shapes.appendleft(shape)
                return self._header(shape, values)
        spans = self.pattern.spans(buffer)
        if spans is None:
            return None
        shape = self._shape(buffer, spans)
        self.shapes.appendleft(shape)
        return self._header(shape, shape.unpack_values(buffer, PREFIX_AT))

    def _shape(self, buffer: Buffer, spans: Sequence[Span]) -> Shape:
        taken = [buffer[start:stop] for start, stop in (spans[n] for n in self.taken)]
        meta_end = self.layout.end_of(self._in_meta(taken))
        return Shape(self.pattern, buffer, spans, self.taken, meta_end)

    def _header(self, shape: Shape, values: Sequence[bytes]) -> ScannedHeader:
        elements = self.elements.copy()
        found = zip(self.vrs, values[len(self.tags_in_meta) :], strict=True)
        elements.update(zip(self.tags, found, strict=True))
        dataset = ScannedDataset(self.layout.scan, elements, repeated=self.repeated)
        return ScannedHeader(Meta(self._in_meta(values), shape.meta_end), dataset)

    def _in_meta(self, values: Sequence[bytes]) -> dict[int, bytes]:
        return {**self.in_meta, **dict(zip(self.tags_in_meta, values, strict=False))}


class Layout:
    """Headers that are laid out as one that was walked over.

    Those of one series, which share the values of some tags, differ in fewer values than those of
    several. So each is compared with the series of the one before it and, where it is of another,
    with what all have in common.
    """

    def __init__(self, buffer: Buffer, meta: Meta, walk: Walk, shared: Collection[int]) -> None:
        self.scan, self.shared = _without_bytes(walk.dataset.scan), shared
        self.meta, self.elements = meta, walk.dataset.elements.copy()
        self.values = [*_values(buffer, meta, walk)]
        self.contents = {
            at: buffer[value.start : value.stop]
            for at, value in enumerate(self.values)
            if value.is_compared
        }
        self.spans = [(value.start, value.stop) for value in self.values]
        self.end = walk.end - _last_length(walk)
        framing = Pattern(buffer, self.values, self.spans, self.end)
        self.framing = [stretch.same for stretch in framing.stretches]
        self.size = sum(map(len, (*self.framing, *self.contents.values())))
        # The places of the values in which headers differ, and of those that do within a series.
        self.differing = [at for at in range(len(self.values)) if at not in self.contents]
        self.varying = {*self.differing}

    def is_like(self, other: "Layout") -> bool:
        """Whether both have the same elements, which may be of other lengths."""
        return self.framing == other.framing and self.scan.item_limit == other.scan.item_limit

    def learn_from(self, other: "Layout") -> None:
        """Take over what is known of headers like this one, and see how it differs from those."""
        differing = {*self.differing, *other.differing}
        for at in self.contents.keys() - other.contents.keys():
            del self.contents[at]  # it is longer there
        changed = _changed(self.contents, other.contents)
        key = tuple(self.contents[other.differing[n]] for n in other.keyed)
        others = changed - {*other.differing}
        if key in other.series and not any(self.values[at].tag in self.shared for at in others):
            mate = {**other.contents, **other.series[key].contents}
            self.varying |= _changed(self.contents, mate)
        self.varying |= other.varying
        self.differing = sorted(differing | changed)

    def settle(self, buffer: Buffer) -> None:
        """Begin to read headers like this one, with which the buffer begins."""
        spans = [self.spans[at] for at in self.differing]
        differing = [self.values[at] for at in self.differing]
        self.pattern = Pattern(buffer, differing, spans, self.end)
        self.keyed = [n for n, value in enumerate(differing) if value.tag in self.shared]
        self.series: dict[Key, Series] = {}
        self.last = self._series(buffer, spans)

    def read(self, buffer: Buffer, item_limit: int) -> ScannedHeader | None:
        """What a walk would find in a header; None where that has to be walked over."""
        if item_limit != self.scan.item_limit:
            return None
        return self.last.read(buffer) or self._read_in_another_series(buffer)

    def end_of(self, in_meta: Mapping[int, bytes]) -> int:
        """Where a file meta group ends, of which one UID may be longer or shorter."""
        tag = MEDIA_STORAGE_SOP_INSTANCE_UID.tag
        return self.meta.end + len(in_meta.get(tag, b"")) - len(self.meta.elements.get(tag, b""))

    def _read_in_another_series(self, buffer: Buffer) -> ScannedHeader | None:
        spans = self.pattern.spans(buffer)
        if spans is None:
            return None
        known = self.series.get(self._key(buffer, spans))
        if known and (header := known.read(buffer)):
            self.last = known
            return header
        self.last = self._series(buffer, spans)
        return self.last.read(buffer)

    def _series(self, buffer: Buffer, spans: Sequence[Span]) -> Series:
        """That of a header; where it is known, it varies in more than was known."""
        contents = {
            at: buffer[start:stop]
            for at, (start, stop) in zip(self.differing, spans, strict=True)
            if at in self.contents
        }
        key = self._key(buffer, spans)
        if before := self.series.pop(key, None):
            self.varying |= _changed(contents, before.contents)
        self.series[key] = series = Series(self, buffer, spans, contents)
        if len(self.series) > MOST_SERIES:
            del self.series[next(iter(self.series))]
        return series

    def _key(self, buffer: Buffer, spans: Sequence[Span]) -> Key:
        return tuple([buffer[spans[n][0] : spans[n][1]] for n in self.keyed])


def _changed(contents: Contents, before: Contents) -> set[int]:
    return {at for at, content in contents.items() if content != before[at]}


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
        if layout.size > MOST_COMPARED:
            return
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


def _last_length(walk: Walk) -> int:
    """The bytes of the last length; two in explicit VR, unless it stands in four more."""
    is_short = not walk.dataset.scan.implicit and walk.end - walk.tops[-1] == SHORT_FRAMING
    return 2 if is_short else LAST_LENGTH


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
