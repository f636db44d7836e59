"""What `scanner` finds, found by pydicom: slower, for whatever the scanner does not know."""

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

from .damage import as_damage, as_damage_to_a_part
from .scanner import LONG_VRS, LONGEST_VALUE, STOP, UNDEFINED, WHOLE, Element, Wanted, uid_of

Result = TypeVar("Result")

ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
CHARACTER_SET_TAGS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")
MOST_ITEMS = 200_000  # each takes pydicom some 1.6 kB and more than ten times the scanner's time
NUMBERS = b"0123456789+-.eE\\ "
UNPRINTABLE = re.compile(rb"[^ -~]")

# pydicom's messages quote values, and a value can identify a patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


class CountedItems(BytesIO):
    """Bytes for pydicom to read, which end after too many sequence items.

    pydicom looks up the character set while it reads, and fails at a NUL in its name: here
    bytes that cannot be in such a name are read as spaces.
    """

    def __init__(self, data: bytes, limit: int) -> None:
        super().__init__(data)
        self.limit = self.left = min(limit, MOST_ITEMS)
        self.charset_is_next = False  # whether the next read gets the value of a character set

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.charset_is_next:
            data = UNPRINTABLE.sub(b" ", data)
        self.charset_is_next = size == 8 and _announces_charset(data)
        if size == 8 and data[:4] in ITEM_TAGS:
            self.left -= 1
            if self.left < 0:
                raise EOFError
        return data


def _announces_charset(header: bytes) -> bool:
    """Whether the value of Specific Character Set comes next: not a long VR's length, and not
    the next element, as where the value is empty."""
    empty = header[6:] == b"\0\0" and (header[4:6].isalpha() or header[4:6] == b"\0\0")
    return header[:4] in CHARACTER_SET_TAGS and header[4:6] not in LONG_VRS and not empty


class PydicomDataset:
    """The elements of a pydicom dataset as they stand in the file."""

    repeated = None  # nothing is known of what it has in common with others

    def __init__(self, dataset: pydicom.Dataset, wanted: Wanted, item_limit: int) -> None:
        self.dataset = dataset
        self.actions = {tag: action for action, tag in wanted.values()}
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
        longest = None if self.actions.get(tag) == WHOLE else LONGEST_VALUE
        return (element.VR or "").encode(), (element.value or b"")[:longest]

    def raw(self, tag: int) -> bytes:
        """The bytes of a sequence's items; b"" where pydicom has read them already."""
        element = self._element(tag)
        value = element.value if isinstance(element, RawDataElement) else None
        return value or b""

    def items(self, tag: int, wanted: Wanted) -> Iterator["PydicomDataset"]:
        """The items of a sequence, one after the other."""
        element = self._element(tag)
        if element is None or element.VR not in (None, "SQ", "UN"):
            return
        is_raw = isinstance(element, RawDataElement)
        with as_damage_to_a_part:
            for item in self._raw_items(element) if is_raw else element.value:
                yield PydicomDataset(item, wanted, self.item_limit)

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

    def count(self, tag: int) -> int:
        return 0  # it is not known before they are read

    def copy(self) -> "PydicomDataset":
        return self  # items are counted from zero in each sequence

    def count_anew(self) -> None: ...

    def uid(self, tag: int) -> str:
        element = self.get(tag)
        return uid_of(element[1]) if element else ""

    @property
    def overflowed(self) -> bool:
        """Whether written numbers go on where elements should begin."""
        elements = self.dataset.keys()
        return not all(tag.to_bytes(4, "big").strip(NUMBERS) for tag in elements)

    @property
    def cut(self) -> int:
        """The declared length of the element in whose value the file ends; 0 if there is none."""
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
    """What pydicom has converted already: the character set, or a UID of the file meta group."""
    value = element.value
    if element.VR not in ("CS", "UI") or value is None:
        return None
    text = value if isinstance(value, str) else "\\".join(value)
    return element.VR.encode(), text.encode("latin-1", errors="replace")


def _quietly(read: Callable[[], Result], stream: CountedItems) -> Result:
    """What `read` reads from the stream, without pydicom's warnings, which quote values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    finally:
        if stream.left < 0:  # pydicom may have taken the EOFError for the file's end
            raise MemberFailed("too_many_items", limit=stream.limit) from None


class PydicomHeader(NamedTuple):
    dataset: PydicomDataset
    file_meta: PydicomDataset
    stopped: bool  # before a tag that is wanted as STOP


def read(data: bytes, wanted: Wanted, item_limit: int) -> PydicomHeader:
    """The dataset of a file, up to a tag that is wanted as STOP, and its file meta group."""
    stops = {tag for action, tag in wanted.values() if action == STOP}
    last = 0

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal last
        last = tag
        return tag in stops

    stream = CountedItems(data, item_limit)
    with as_damage:
        dataset = _quietly(lambda: read_partial(stream, stop, force=True), stream)
    return PydicomHeader(
        PydicomDataset(dataset, wanted, item_limit),
        PydicomDataset(dataset.file_meta, {}, item_limit),
        last in stops,
    )
