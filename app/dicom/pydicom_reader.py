"""What `scanner` gives, by pydicom: slower, for whatever the scanner does not understand."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial, read_sequence_item
from pydicom.tag import BaseTag

from app.errors import MemberFailed

from .scanner import LONG, LONGEST, STOP, UNDEFINED, WHOLE, Element, Wanted, uid_of

Found = TypeVar("Found")

ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
CHARACTER_SET_TAGS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")
UNPRINTABLE = re.compile(rb"[^ -~]")

# Its messages quote values, and a value can identify a patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


class CountedItems(BytesIO):
    """Bytes that stop being read where too many sequence items were.

    pydicom looks a character set up while it reads, and gives a file up for a NUL in its name:
    what cannot be in a name is read as spaces.
    """

    def __init__(self, data: bytes, limit: int) -> None:
        super().__init__(data)
        self.limit = self.left = limit
        self.names_charset = False  # what is read next

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.names_charset:
            data = UNPRINTABLE.sub(b" ", data)
        self.names_charset = size == 8 and _announces_charset(data)
        if size == 8 and data[:4] in ITEM_TAGS:
            self.left -= 1
            if self.left < 0:
                raise EOFError
        return data


def _announces_charset(header: bytes) -> bool:
    """Whether the value of Specific Character Set comes next, not the rest of a long length."""
    return header[:4] in CHARACTER_SET_TAGS and header[4:6] not in LONG


class Dataset:
    """The elements of a pydicom dataset as they stand in the file."""

    def __init__(self, dataset: pydicom.Dataset, wanted: Wanted, item_limit: int) -> None:
        self.dataset = dataset
        self.kinds = {tag: kind for kind, tag in wanted.values()}
        self.item_limit = item_limit
        self.little_endian = dataset.original_encoding[1] is not False

    def __contains__(self, tag: int) -> bool:
        return BaseTag(tag) in self.dataset

    def get(self, tag: int) -> Element | None:
        element = self._element(tag)
        if element is None:
            return None
        if not isinstance(element, RawDataElement):
            return _converted(element)
        if _is_cut(element):
            return None
        longest = None if self.kinds.get(tag) == WHOLE else LONGEST
        return (element.VR or "").encode(), (element.value or b"")[:longest]

    def raw(self, tag: int) -> bytes:
        """The bytes of a sequence's items; b"" where pydicom has read them already."""
        element = self._element(tag)
        value = element.value if isinstance(element, RawDataElement) else None
        return value or b""

    def items(self, tag: int, wanted: Wanted) -> Iterator["Dataset"]:
        """The items of a sequence, one after the other."""
        element = self._element(tag)
        if element is None or element.VR not in (None, "SQ", "UN"):
            return
        found = self._raw_items(element) if isinstance(element, RawDataElement) else element.value
        for item in found:
            yield Dataset(item, wanted, self.item_limit)

    def _raw_items(self, element: RawDataElement) -> Iterator[pydicom.Dataset]:
        value = element.value or b""
        stream = CountedItems(value, self.item_limit)
        while stream.tell() < len(value):
            item = _quietly(
                lambda: read_sequence_item(
                    stream, element.is_implicit_VR, element.is_little_endian, "iso8859"
                ),
                stream,
            )
            if item is None:  # a delimiter
                return
            yield item

    def copy(self) -> "Dataset":
        return self  # it counts items anew in each sequence

    def uid(self, tag: int) -> str:
        element = self.get(tag)
        return uid_of(element[1]) if element else ""

    @property
    def cut(self) -> int:
        """The length that an element claims within which the file ends; 0 where none does."""
        elements: list[Any] = [self._element(tag) for tag in self.dataset.keys()]  # noqa: SIM118
        return sum(element.length for element in elements if _is_cut(element))

    def _element(self, tag: int) -> Any:
        """An element as it stands in the file: pydicom would convert an empty one."""
        return self.dataset.get_item(BaseTag(tag), keep_deferred=True)


def _is_cut(element: Any) -> bool:
    """Whether the file ends within an element's value."""
    return (
        isinstance(element, RawDataElement)
        and element.length != UNDEFINED
        and len(element.value or b"") < element.length
    )


def _converted(element: Any) -> Element | None:
    """An element that pydicom has converted already: a character set, a UID of the meta group."""
    value = element.value
    if element.VR not in ("CS", "UI") or value is None:
        return None
    text = value if isinstance(value, str) else "\\".join(value)
    return element.VR.encode(), text.encode("latin-1", errors="replace")


def _quietly(read: Callable[[], Found], stream: CountedItems) -> Found:
    """What `read` reads from the stream, without warnings, which quote values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    finally:
        if stream.left < 0:  # pydicom takes what the stream raised for another kind of end
            raise MemberFailed("too_many_items", limit=stream.limit) from None


class Read(NamedTuple):
    dataset: Dataset
    file_meta: Dataset
    stopped: bool  # at a tag that says so


def read(data: bytes, wanted: Wanted, item_limit: int) -> Read:
    """The dataset of a file, up to a wanted tag that says stop, and its file meta group."""
    stops = {tag for kind, tag in wanted.values() if kind == STOP}
    last = 0

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal last
        last = tag
        return tag in stops

    stream = CountedItems(data, item_limit)
    found = _quietly(lambda: read_partial(stream, stop, force=True), stream)
    return Read(
        Dataset(found, wanted, item_limit),
        Dataset(found.file_meta, {}, item_limit),
        last in stops,
    )
