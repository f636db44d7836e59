"""What differs between two versions of a DICOM object: one in an archive, one in the tree.

Both are parsed in a child process, under limits of its own, as every member is: see `extractor`.

    stdin    one frame with the orders
    stdout   one frame for each pair, in their order
"""

import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec import msgpack

from app.archives.directory import Limits, Member, open_archive
from app.archives.inflate import member_chunks
from app.dicom.records import Record
from app.errors import Expected

from .extractor import confine, is_archive
from .wire import LENGTH

SECONDS = 15.0  # for all pairs together; those that are done by then are told
MEMORY = 1_000_000_000  # bytes of address space
WHOLE = 32_000_000  # bytes; of a larger object only the header is compared
SHOWN = 80  # characters of a value
BASE = Path(__file__).resolve().parents[2]

PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
# Lengths of groups, and padding: how an object is written, not what it says.
WRITING = {0xFFFCFFFC}


class Pair(Record, frozen=True):
    """A member of the archive, and the catalogued file of the same object."""

    index: int
    inner: int
    path: str


class Orders(Record, frozen=True):
    archive: int  # file descriptor
    parent: int  # process
    limits: Limits
    pairs: list[Pair]


class Difference(Record, frozen=True):
    """One attribute; a value is None where there is none, and "" where it is no text."""

    name: str  # as people write it: Series Description
    vr: str
    catalogued: str | None
    new: str | None


class Comparison(Record, frozen=True):
    """What differs between the two of a pair.

    `why_not` is a sentence where they could not be compared; `whole` says whether all of both
    was, or their headers alone.
    """

    differences: list[Difference] = []
    whole: bool = True
    why_not: str = ""


TOO_LONG = Comparison(why_not="Comparing took too long.")
UNREADABLE = Comparison(why_not="One of the two could not be read.")

_told = msgpack.Decoder(Comparison).decode
_orders = msgpack.Decoder(Orders).decode


def compare(archive: int, limits: Limits, pairs: Sequence[Pair]) -> list[Comparison]:
    """The differences of each pair, in order.

    Parameters
    ----------
    archive
        A descriptor of the archive.
    """
    orders = Orders(archive, os.getpid(), limits, list(pairs))
    child = subprocess.Popen(
        [sys.executable, "-m", "app.sandbox.differences"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what libraries say there may quote a patient
        pass_fds=(archive,),
        cwd=BASE,
    )
    rest = UNREADABLE
    try:
        output, _ = child.communicate(msgpack.encode(orders), SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
        rest = TOO_LONG
    found = list(itertools.islice(_frames(output), len(pairs)))
    return found + [rest] * (len(pairs) - len(found))


def _frames(output: bytes) -> Iterator[Comparison]:
    start = 0
    while len(output) - start >= LENGTH.size:
        (length,) = LENGTH.unpack_from(output, start)
        start += LENGTH.size
        if len(output) - start < length:
            return
        yield _told(output[start : start + length])
        start += length


# --- the child -------------------------------------------------------------------------------


def main() -> None:
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may mix with the messages
    orders = _orders(sys.stdin.buffer.read())
    confine(MEMORY, orders.parent)
    for pair in orders.pairs:
        body = msgpack.encode(_compared(orders, pair))
        messages.write(LENGTH.pack(len(body)) + body)
        messages.flush()


def _compared(orders: Orders, pair: Pair) -> Comparison:
    # pydicom promises no one exception for damage; whatever it is, these two are not compared.
    try:
        new = _member(orders, pair)
        with Path(pair.path).open("rb") as file:
            catalogued = file.read(WHOLE)
        whole = len(new) < WHOLE and len(catalogued) < WHOLE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            return Comparison(_differences(catalogued, new, whole), whole)
    except Exception:
        return UNREADABLE


def _member(orders: Orders, pair: Pair) -> bytes:
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
    """A member and, where it is a ZIP, its members: each with its number in the ledger."""
    number = next(numbers)
    try:
        data = _head(member_chunks(source, member, limits))
        yield number, data
        if not is_archive(data, name) or limits.nesting < 1:
            return
        inside = BytesIO(data)
        archive = open_archive(inside, limits)
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
        return str(element.value.name)
    values = element.value if element.VM > 1 else [element.value]
    text = ", ".join(str(value) for value in values if value is not None)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


if __name__ == "__main__":
    main()
