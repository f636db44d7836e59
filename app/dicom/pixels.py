"""The pictures of one object: stored values, exactly, and what turns them into greys or colours.

An object is opened by its descriptor; its header is read, its frames are found and not read. Then
each frame is read and decoded by itself, after its size was looked at: what would take too much
memory, or is not what the header says, is refused before any room is made for it.

Only a locked child imports this: it brings numpy, pydicom and the decoders.
"""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from struct import Struct
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import (
    ExplicitVRBigEndianDecoder,
    ExplicitVRLittleEndianDecoder,
)

from app.errors import Expected

from .damage import Damage, as_damage
from .decoders import DECODERS, PLUGIN, RLE, SIZES, size_of
from .elements import PIXEL_DATA, BytesSource, Elements, FileSource, Source, Unreadable
from .groups import LONGEST, PER_FRAME_GROUPS, STEPS, Groups, NotFound, walked
from .headers import DEFLATED
from .scanner import CAPITALS, EXPLICIT_BIG_ENDIAN, LONG_VRS, UNDEFINED

Array = np.ndarray[Any, Any]

MOST_BYTES = 64 << 20  # of one frame, decoded; with all that is made of it, 384 MiB
MOST_PACKED = 256 << 20  # bytes of one frame as it lies in the file, and of a deflated object
MOST_FRAGMENTS = 200_000
MOST_FRAMES = 1_000_000
ITEM, END = 0xFFFEE000, 0xFFFEE0DD
LOSSLESS_END = b"\xff\xd9"  # of a JPEG, and of a JPEG 2000 codestream
END_WITHIN = 10  # bytes

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
# Little endian, but for the pixels: GE's own.
BIG_ENDIAN_PIXELS = (EXPLICIT_BIG_ENDIAN, "1.2.840.113619.5.2")
# The latter two where some other codec than JPEG 2000 left out its transformation.
RGB = ("RGB", "YBR_RCT", "YBR_ICT")
VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
FLOATS = {0x7FE00008: ("FloatPixelData", 32), 0x7FE00009: ("DoubleFloatPixelData", 64)}

_item = Struct("<HHI")
_offset = Struct("<I")
_long_offset = Struct("<Q")


class NoPicture(Expected):
    """There is no picture to show; the code says why."""


class Pixels:
    """One object's pixel data.

    Attributes
    ----------
    dataset
        All that stands before the pixel data, but for `groups`.
    groups
        The functional groups of each frame.
    frames
        How many there are, which is at most how many the header says.
    """

    def __init__(self, file: int, transfer_syntax: str) -> None:
        self.file = FileSource(file)
        self.source: Source = self.file
        self.transfer_syntax = transfer_syntax
        self.groups: Sequence[Dataset] = ()
        self.dataset = self._header()
        self.image = Image(self.dataset, self.tag)
        self.fragments: list[tuple[int, int]] = []
        self.starts: list[int] = []  # of frames, by fragments
        if self.length != UNDEFINED:
            self.frames = self._native_frames()
        else:
            self._find_fragments()
            self.starts = self._frame_starts()
            self.frames = len(self.starts)

    def frame(self, number: int) -> Array:
        """A frame's stored values, counted from 0: (rows, columns), or (rows, columns, 3).

        Raises
        ------
        NoPicture, MemoryError
        """
        if not 0 <= number < self.frames:
            raise NoPicture("picture_cut" if number < self.image.frames else "no_such_frame")
        try:
            with as_damage:
                samples = self._frame(number)
                return samples.astype(samples.dtype.newbyteorder("="), copy=False)
        except Damage as damage:
            raise NoPicture("picture_damaged") from damage

    def _frame(self, number: int) -> Array:
        image = self.image
        if self.length != UNDEFINED:
            if image.bits_allocated == 1:
                return self._bits(number)
            return self._native(self._native_bytes(number))
        packed = self._packed(number)
        if self.transfer_syntax == DEFLATED_FRAMES:
            return self._native(_inflated(packed, image.frame_bytes))
        if self.transfer_syntax in SIZES:
            said = size_of(packed, self.transfer_syntax)
            if said is None:
                raise NoPicture("picture_damaged")
            if said[:2] != (image.rows, image.columns) or said.samples not in (0, image.samples):
                raise NoPicture("picture_unlike_header")
        return self._decoded(packed)

    # --- what is where -----------------------------------------------------------------------

    def _header(self) -> Dataset:
        """What stands before the pixel data; these are then found."""
        elements = Elements(self.file, MOST_PACKED)
        try:
            for _ in elements.meta():
                pass
        except Unreadable as why:
            raise NoPicture(why.code) from None
        self.transfer_syntax = elements.transfer_syntax or self.transfer_syntax
        position = elements.first
        if self.transfer_syntax in DEFLATED and self.transfer_syntax.endswith(".99"):
            with suppress(zlib.error):
                packed = self.file.at(position, min(self.file.size, MOST_PACKED))
                self.source = BytesSource(_inflated(packed, MOST_PACKED))
                position = 0
        head = self.source.at(position, 8)
        if len(head) < 8:
            raise NoPicture("no_picture")
        self.big_endian = self.transfer_syntax == EXPLICIT_BIG_ENDIAN or (
            not self.transfer_syntax and head[:2] == b"\0\x08"
        )
        implicit = not CAPITALS.fullmatch(head[4:6])
        found = Found()
        stream: Any = Stream(self.source, position)
        try:
            with as_damage:
                dataset = self._read(stream, implicit, found.is_pixel_data_or_groups)
                if found.groups:
                    self._find_groups(stream, implicit, found)
                    dataset.update(self._read(stream, implicit, found.is_pixel_data))
                    self.groups = self.groups or [
                        *items(dataset, "PerFrameFunctionalGroupsSequence")
                    ]
        except Damage as damage:
            raise NoPicture("header_unread") from damage
        if not found.tag:
            raise NoPicture("no_picture")
        self.tag, self.length = found.tag, found.length
        self.start = stream.tell() + (8 if implicit or found.vr.encode() not in LONG_VRS else 12)
        self.words = not implicit and found.vr == "OW"
        return dataset

    def _read(self, stream: Any, implicit: bool, stop_when: Callable[..., bool]) -> Dataset:
        return read_dataset(stream, implicit, not self.big_endian, stop_when=stop_when)

    def _find_groups(self, stream: "Stream", implicit: bool, found: "Found") -> None:
        """Pass over the groups that a stream is at, unless only pydicom can tell where they end."""
        start, length = stream.tell() + (8 if implicit else 12), found.groups
        if length != UNDEFINED and length > LONGEST:
            return
        for size in STEPS if length == UNDEFINED else (length,):
            data = self.source.at(start, max(min(size, self.source.size - start), 0))
            with suppress(NotFound):
                spans, end = walked(data, length, implicit, self.big_endian)
                self.groups = Groups(data[:end], spans, implicit, self.big_endian)
                stream.seek(start + end)
                return

    def _native_frames(self) -> int:
        if self.transfer_syntax in VIDEO or self.transfer_syntax in DECODERS:
            raise NoPicture("picture_damaged")
        there: int = min(self.source.size - self.start, self.length)
        return min(self.image.frames, there * 8 // self.image.frame_bits)

    def _find_fragments(self) -> None:
        """Where each fragment lies: PS3.5 A.4. The first item is the table of offsets."""
        if self.transfer_syntax.startswith(VIDEO):
            raise NoPicture("picture_video")
        if self.transfer_syntax not in DECODERS and self.transfer_syntax != DEFLATED_FRAMES:
            raise NoPicture("picture_unsupported")
        position, size = self.start, self.source.size
        while position + 8 <= size and len(self.fragments) <= MOST_FRAGMENTS:
            group, number, length = _item.unpack(self.source.at(position, 8))
            position += 8
            if group << 16 | number != ITEM or position + length > size:
                break
            self.fragments.append((position, length))
            position += length
        if not self.fragments:
            raise NoPicture("picture_cut")
        self.table = self.fragments.pop(0)

    def _frame_starts(self) -> list[int]:
        """The first fragment of each frame, as far as can be told."""
        frames, fragments = self.image.frames, self.fragments
        if frames == 1:
            return [0] if fragments else []
        if frames == len(fragments):
            return [*range(frames)]
        places = {start - 8: number for number, (start, _) in enumerate(fragments)}
        first = self.table[0] + self.table[1]
        for offsets in (self._extended_offsets(), self._offsets()):
            found = [places.get(first + offset) for offset in offsets[:frames]]
            if len(found) > 1 and None not in found and found == sorted(set(found)):  # type: ignore[type-var]
                return [number for number in found if number is not None]
        if len(fragments) < frames:
            return [*range(len(fragments))]
        ends = [number + 1 for number in range(len(fragments)) if self._ends_frame(number)]
        return [0, *ends][:frames] if fragments else []

    def _offsets(self) -> list[int]:
        start, length = self.table
        data = self.source.at(start, min(length, 4 * self.image.frames))
        return [offset for (offset,) in _offset.iter_unpack(data[: len(data) & ~3])]

    def _extended_offsets(self) -> list[int]:
        data = self.dataset.get("ExtendedOffsetTable") or b""
        return [offset for (offset,) in _long_offset.iter_unpack(data[: len(data) & ~7])]

    def _ends_frame(self, number: int) -> bool:
        start, length = self.fragments[number]
        last = min(length, END_WITHIN)
        return LOSSLESS_END in self.source.at(start + length - last, last)

    # --- a frame's bytes ---------------------------------------------------------------------

    def _packed(self, number: int) -> bytes:
        first = self.starts[number]
        after = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.fragments)
        fragments = self.fragments[first:after]
        if sum(length for _, length in fragments) > MOST_PACKED:
            raise NoPicture("picture_too_large")
        return b"".join(self.source.at(start, length) for start, length in fragments)

    def _native_bytes(self, number: int) -> bytes:
        size = self.image.frame_bytes
        start = number * size
        swap = self.big_endian and self.words and self.image.bits_allocated == 8
        if not swap:
            return self.source.at(self.start + start, size)
        # Bytes in words of the other order, of which a frame may begin in the middle.
        odd = start % 2
        data = self.source.at(self.start + start - odd, size + odd + (size + odd) % 2)
        return np.frombuffer(data, "u2").byteswap().tobytes()[odd : odd + size]

    def _bits(self, number: int) -> Array:
        """A frame of single bits, which need not begin with a byte: PS3.5 8.1.1."""
        image = self.image
        first, count = number * image.frame_bits, image.frame_bits
        start, end = first // 8, (first + count + 7) // 8
        data = np.frombuffer(self.source.at(self.start + start, end - start), np.uint8)
        if self.big_endian and self.words:
            data = data[: len(data) & ~1].view("u2").byteswap().view(np.uint8)
        bits = np.unpackbits(data, bitorder="little")[first % 8 :][:count]
        return bits.reshape(image.rows, image.columns)

    # --- by pydicom --------------------------------------------------------------------------

    def _native(self, data: bytes) -> Array:
        big = self.transfer_syntax in BIG_ENDIAN_PIXELS
        decoder = ExplicitVRBigEndianDecoder if big else ExplicitVRLittleEndianDecoder
        samples, found = decoder.as_array(data, index=0, validate=False, **self.image.options())
        return _in_rgb(samples, found)

    def _decoded(self, packed: bytes) -> Array:
        decoder = DECODERS[self.transfer_syntax]
        frame = b"".join(
            (_item.pack(0xFFFE, 0xE000, 0), _item.pack(0xFFFE, 0xE000, len(packed)), packed)
        )
        # What lies in segments that are not quite as they should be, only pydicom takes.
        plugins = (PLUGIN, "pydicom") if self.transfer_syntax == RLE else (PLUGIN,)
        for plugin in plugins:
            with suppress(RuntimeError):  # what pydicom makes of any error of a decoder
                samples, found = decoder.as_array(
                    frame, index=0, decoding_plugin=plugin, **self.image.options()
                )
                return _in_rgb(samples, found)
        raise NoPicture("picture_damaged")


class Image:
    """What the header says of all frames: PS3.3 C.7.6.3."""

    def __init__(self, dataset: Dataset, tag: int) -> None:
        self.keyword, bits = FLOATS.get(tag, ("PixelData", 0))
        self.rows = whole(dataset, "Rows")
        self.columns = whole(dataset, "Columns")
        self.samples = whole(dataset, "SamplesPerPixel", 1)
        self.bits_allocated = bits or whole(dataset, "BitsAllocated")
        self.bits_stored = bits or whole(dataset, "BitsStored", self.bits_allocated)
        if not 0 < self.bits_stored <= self.bits_allocated:
            self.bits_stored = self.bits_allocated
        self.is_signed = whole(dataset, "PixelRepresentation") == 1
        self.planar = whole(dataset, "PlanarConfiguration")
        self.frames = min(max(whole(dataset, "NumberOfFrames", 1), 1), MOST_FRAMES)
        colour = "RGB" if self.samples == 3 else "MONOCHROME2"
        self.photometric = text(dataset, "PhotometricInterpretation").upper() or colour
        if self.samples not in (1, 3) or min(self.rows, self.columns) < 1:
            raise NoPicture("picture_damaged")
        if self.bits_allocated not in (1, 8, 16, 32, 64) or (
            self.bits_allocated == 1 and self.samples > 1
        ):
            raise NoPicture("picture_damaged")
        self.frame_bits: int = self.rows * self.columns * self.samples * self.bits_allocated
        if self.photometric == "YBR_FULL_422" and self.samples == 3:
            self.frame_bits = self.frame_bits // 3 * 2
        if self.rows * self.columns * self.samples * max(self.bits_allocated // 8, 1) > MOST_BYTES:
            raise NoPicture("picture_too_large")

    @property
    def frame_bytes(self) -> int:
        return (self.frame_bits + 7) // 8

    def options(self) -> dict[str, Any]:
        """As pydicom's decoders take it."""
        options = {
            "rows": self.rows,
            "columns": self.columns,
            "number_of_frames": 1,
            "samples_per_pixel": self.samples,
            "bits_allocated": self.bits_allocated,
            "bits_stored": self.bits_stored,
            "photometric_interpretation": self.photometric,
            "pixel_keyword": self.keyword,
            "planar_configuration": self.planar,
        }
        if self.keyword == "PixelData":
            options["pixel_representation"] = int(self.is_signed)
        return options


class Found:
    """Where pydicom met the pixel data."""

    def __init__(self) -> None:
        self.tag, self.vr, self.length = 0, "", 0
        self.groups = 0  # length of the functional groups of all frames

    def is_pixel_data(self, tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXEL_DATA:
            self.tag, self.vr, self.length = int(tag), vr or "", length
        return tag in PIXEL_DATA

    def is_pixel_data_or_groups(self, tag: int, vr: str | None, length: int) -> bool:
        if tag == PER_FRAME_GROUPS and vr in (None, "SQ"):
            self.groups = length
            return length > 0
        return self.is_pixel_data(tag, vr, length)


class Stream:
    """A source as a file for pydicom: room is made for what is there, not for what is said."""

    def __init__(self, source: Source, position: int) -> None:
        self.source, self.position = source, position

    def read(self, size: int) -> bytes:
        data = self.source.at(self.position, max(min(size, self.source.size - self.position), 0))
        self.position += len(data)
        return data

    def tell(self) -> int:
        return self.position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> None:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.source.size}
        self.position = max(origin[whence] + position, 0)


def whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """A whole number; the default where there is none that can be read."""
    found = numbers(dataset, keyword)
    return int(found[0]) if found else default


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The finite numbers of an attribute; none where one of them cannot be read."""
    try:
        with as_damage:
            value = dataset.get(keyword)
            if value is None or value == "":
                return []
            values = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
            found = [float(one) for one in values]
    except Damage:
        return []
    return found if np.isfinite(found).all() else []


def text(dataset: Dataset, keyword: str) -> str:
    """A text, of several values with backslashes; "" where it cannot be read."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> list[str]:
    try:
        with as_damage:
            value = dataset.get(keyword)
            if value is None or isinstance(value, bytes):
                return []
            values = [value] if isinstance(value, str) else list(value)
            return [str(one).strip(" \0") for one in values]
    except Damage:
        return []


def _in_rgb(samples: Array, found: dict[str, Any]) -> Array:
    """Samples that pydicom gave, unless these are colours that it cannot convert."""
    if samples.ndim == 3 and found["photometric_interpretation"] not in RGB:
        raise NoPicture("picture_unsupported")
    return samples


def _inflated(packed: bytes, most: int) -> bytes:
    """The beginning of what is deflated, without a header: PS3.5 A.5, A.4.13."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)


def items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a sequence; none where it cannot be read."""
    with suppress(Damage), as_damage:
        yield from dataset.get(keyword) or ()
