"""What differs between two versions of a DICOM object: one in an archive, one in the tree.

Both are parsed in a child process, which is asked once for all pairs, and answers in their order.
It is given descriptors, and can open nothing itself.
"""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Annotated, Any

from msgspec import Meta, msgpack

from app import reasons
from app.archives.directory import Limits, Member, open_archive
from app.archives.entries import read_at
from app.archives.inflate import member_chunks
from app.dicom.attributes import (
    DATA_SET_TRAILING_PADDING,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
)
from app.dicom.records import Record, Text16, Text256
from app.errors import Expected

from .confine import HANGING_SECONDS
from .inside import open_inside, opens
from .once import answer, ask
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.differences"
# For all pairs together; those that are done by then count.
COMPARING_SECONDS = HANGING_SECONDS  # by the clock
PROCESSOR_SECONDS = 5
MEMORY = 384_000_000  # bytes of address space
WHOLE = 32_000_000  # bytes; of a larger object only the header is compared
VALUE_SHOWN = 80  # characters of a value
MOST_DIFFERENCES = 20_000
# pydicom takes some 40 us for each in either object.
MOST_ITEMS = 40_000
ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian

PIXELS = {FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA}
# How an object is written, not what it says; so are the lengths of groups.
WRITING = {DATA_SET_TRAILING_PADDING}


class Pair(Record, frozen=True):
    """A member of the archive, and the catalogued file of the same object."""

    index: int
    inner: int
    file: int  # descriptor of the catalogued one


class Pairs(Record, frozen=True):
    """What the child is asked."""

    archive: int  # file descriptor
    limits: Limits
    pairs: list[Pair]


class Difference(Record, frozen=True):
    """One attribute; a value is None where there is none, and "" where it is no text."""

    name: Text256  # as people write it: Series Description
    vr: Text16
    catalogued: Text256 | None
    new: Text256 | None


class Comparison(Record, frozen=True):
    """What differs between the two of a pair.

    `why_not` is a reason code where they could not be compared; `whole` says whether all of both
    was, or their headers alone.
    """

    differences: Annotated[list[Difference], Meta(max_length=MOST_DIFFERENCES)] = []
    whole: bool = True
    why_not: str = ""


TOO_LONG = Comparison(why_not="comparing_took_long")
NOT_READ = Comparison(why_not="comparing_failed")
TOO_COMPLEX = Comparison(why_not="too_complex_to_compare")

_comparison = msgpack.Decoder(Comparison).decode


def compare(archive: int, limits: Limits, pairs: Sequence[Pair]) -> list[Comparison]:
    """The differences of each pair, in order.

    Parameters
    ----------
    archive
        A descriptor of the archive.
    """
    orders = Pairs(archive, limits, list(pairs))
    descriptors = (archive, *(pair.file for pair in pairs))
    answers = ask(
        PROGRAM,
        orders,
        descriptors,
        seconds=COMPARING_SECONDS,
        processor=PROCESSOR_SECONDS,
        memory=MEMORY,
    )
    found = [comparison_of(one) for one in answers.frames[: len(pairs)]]
    rest = NOT_READ if answers.in_time else TOO_LONG
    return found + [rest] * (len(pairs) - len(found))


def comparison_of(body: bytes) -> Comparison:
    """An answer of the child, as far as it can be one."""
    try:
        comparison = believed(_comparison, body)
    except Unbelievable:
        return NOT_READ
    return comparison if comparison.why_not in ("", *reasons.COMPARED) else NOT_READ


# --- the child -------------------------------------------------------------------------------


def _compare(orders: Pairs) -> Iterator[Comparison]:
    return (_compared(orders, pair) for pair in orders.pairs)


def _compared(orders: Pairs, pair: Pair) -> Comparison:
    # pydicom promises no one exception for damage; whatever it is, these two are not compared.
    try:
        new = _member(orders, pair)
        catalogued = read_at(pair.file, WHOLE, 0)
        if any(_items(data) > MOST_ITEMS for data in (catalogued, new)):
            return TOO_COMPLEX
        whole = len(new) < WHOLE and len(catalogued) < WHOLE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            return Comparison(_differences(catalogued, new, whole), whole)
    except Exception:
        return NOT_READ


def _items(data: bytes) -> int:
    """How many sequence items there are, at most; asked of the bytes, not of pydicom."""
    return sum(map(data.count, ITEM_TAGS))


def _member(orders: Pairs, pair: Pair) -> bytes:
    archive = open_archive(orders.archive, orders.limits)
    member = next(archive.members(pair.index))
    numbered = _numbered(orders.archive, member, member.name, orders.limits, itertools.count())
    return next(data for number, data in numbered if number == pair.inner)


def _numbered(
    source: int | BytesIO,
    member: Member,
    name: str,
    limits: Limits,
    numbers: "itertools.count[int]",
) -> Iterator[tuple[int, bytes]]:
    """A member and, where it is an archive, its members: each with its number in the ledger."""
    number = next(numbers)
    try:
        data = _head(member_chunks(source, member, limits))
        yield number, data
        if not opens(data, name) or limits.nesting < 1:
            return
        inside = BytesIO(data)
        archive = open_inside(inside, data, name, limits)
        within = limits.inside(archive.member_count, archive.total_size)
        for inner in archive.members():
            yield from _numbered(inside, inner, inner.name, within, numbers)
    except Expected:
        return  # the ledger says of this one why it could not be read


def _head(chunks: Iterator[bytes]) -> bytes:
    taken, size = [], 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= WHOLE:
            break
    return b"".join(taken)[:WHOLE]


def _differences(catalogued: bytes, new: bytes, whole: bool) -> list[Difference]:
    import pydicom
    from pydicom.dataset import Dataset

    old, other = (
        pydicom.dcmread(BytesIO(data), force=True, stop_before_pixels=not whole)
        for data in (catalogued, new)
    )
    no_meta = Dataset()
    return [
        *_of(getattr(old, "file_meta", no_meta), getattr(other, "file_meta", no_meta)),
        *_of(old, other),
    ]


def _of(old: Any, new: Any) -> Iterator[Difference]:
    for tag in sorted({*old.keys(), *new.keys()}):
        if tag.element == 0 or tag in WRITING or _same(old, new, tag):
            continue
        has = old if tag in old else new
        yield Difference(_name(has, tag), has[tag].VR, _value(old, tag), _value(new, tag))


def _same(old: Any, new: Any, tag: Any) -> bool:
    if tag not in old or tag not in new:
        return False
    return bool(old[tag].value == new[tag].value)


def _name(dataset: Any, tag: Any) -> str:
    if tag in PIXELS:
        return "Pixel data"
    return f"Private attribute {tag}" if tag.is_private else str(dataset[tag].name)


def _value(dataset: Any, tag: Any) -> str | None:
    if tag not in dataset:
        return None
    element = dataset[tag]
    if element.VR == "SQ":
        return f"{len(element.value)} item" + ("" if len(element.value) == 1 else "s")
    if isinstance(element.value, bytes):
        return ""
    if element.VR == "UI" and element.VM == 1:
        text = str(element.value.name)
    else:
        values = element.value if element.VM > 1 else [element.value]
        text = ", ".join(str(value) for value in values if value is not None)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}…"


if __name__ == "__main__":
    answer(Pairs, _compare)
