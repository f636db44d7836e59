"""What `scanner` gives, by pydicom: slower, for whatever the scanner does not understand."""

import logging
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial, read_sequence
from pydicom.tag import BaseTag

from .errors import MemberFailed
from .scanner import LONGEST, STOP, UNDEFINED, WHOLE, Element, Wanted

ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian

# Its messages quote values, and a value can identify a patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


class CountedItems(BytesIO):
    """Bytes that stop being read where too many sequence items were."""

    def __init__(self, data: bytes, limit: int) -> None:
        super().__init__(data)
        self.left = limit

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size == 8 and data[:4] in ITEM_TAGS:
            self.left -= 1
            if self.left < 0:
                raise EOFError
        return data


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
        element: Any = self.dataset.get_item(BaseTag(tag), keep_deferred=True)
        if element is None:
            return None
        if not isinstance(element, RawDataElement):
            return _converted(element)
        if _is_cut(element):
            return None
        longest = None if self.kinds.get(tag) == WHOLE else LONGEST
        return (element.VR or "").encode(), (element.value or b"")[:longest]

    def items(self, tag: int, wanted: Wanted) -> Iterator["Dataset"]:
        """The items of a sequence, one after the other."""
        for item in self._sequence(tag):
            yield Dataset(item, wanted, self.item_limit)

    def _sequence(self, tag: int) -> Any:
        element: Any = self.dataset.get_item(BaseTag(tag), keep_deferred=True)
        if element is None or (element.VR not in (None, "SQ", "UN")):
            return ()
        if not isinstance(element, RawDataElement):
            return element.value
        value = element.value or b""
        return _read(
            lambda data: read_sequence(
                data, element.is_implicit_VR, element.is_little_endian, len(value), "iso8859"
            ),
            value,
            self.item_limit,
        )

    def uid(self, tag: int) -> str:
        element = self.get(tag)
        return element[1].rstrip(b"\0 ").decode("latin-1") if element else ""

    @property
    def cut(self) -> bool:
        """Whether the file ends within an element."""
        return any(map(_is_cut, self.dataset.elements()))


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


def _read(how: Any, data: bytes, item_limit: int) -> Any:
    stream = CountedItems(data, item_limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return how(stream)
    except (EOFError, OSError):
        if stream.left < 0:
            raise MemberFailed("too_many_items", limit=item_limit) from None
        raise


def read(data: bytes, wanted: Wanted, item_limit: int) -> tuple[Dataset, Dataset]:
    """The dataset of a file, up to a wanted tag that says stop, and its file meta group."""
    stops = {tag for kind, tag in wanted.values() if kind == STOP}
    found = _read(
        lambda stream: read_partial(stream, lambda tag, vr, length: tag in stops, force=True),
        data,
        item_limit,
    )
    return Dataset(found, wanted, item_limit), Dataset(found.file_meta, {}, item_limit)
