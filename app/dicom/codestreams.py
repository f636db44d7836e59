"""How large a compressed frame says it is, read before any of it is decoded.

A decoder makes room for what the frame itself says, which need not be what the header says. Read
here are T.81 (JPEG), T.87 (JPEG-LS), T.800 (JPEG 2000, HTJ2K) and ISO/IEC 18181 (JPEG XL).
"""

from collections.abc import Callable, Iterator
from struct import Struct, error
from typing import NamedTuple, TypeVar

Found = TypeVar("Found")


class Size(NamedTuple):
    rows: int
    columns: int
    samples: int  # 0 where it is not looked at


START_OF_SCAN, APP14 = 0xDA, 0xEE
# Markers that begin a frame, of which the last is JPEG-LS's: T.81 table B.1, T.87 C.1.1.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
JXL = b"\0\0\0\x0cJXL \r\n\x87\n"
J2K_START = b"\xff\x4f\xff\x51"  # SOC, then SIZ
JXL_START = b"\xff\x0a"
SIZ = Struct(">IIII")  # Xsiz, Ysiz, XOsiz, YOsiz
# Bits of a size that is no multiple of 8, and width by height: ISO/IEC 18181-1 annex D.2.
JXL_BITS, JXL_RATIOS = (9, 13, 18, 30), ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))

_short = Struct(">H")
_sides = Struct(">HH")
_long = Struct(">I")
_longer = Struct(">Q")


class Jpeg(NamedTuple):
    size: Size
    is_adobe_ycc: bool  # APP14 says that colours were transformed


def jpeg(frame: bytes) -> Jpeg | None:
    """What a JPEG or JPEG-LS stream says before its first scan; None where it is none."""
    size, is_ycc = None, False
    for marker, start, end in _segments(frame):
        if marker in FRAMES:
            rows, columns = _sides.unpack_from(frame, start + 1)
            size = Size(rows, columns, frame[start + 5])
            break
        if marker == APP14 and frame.startswith(b"Adobe", start) and end - start >= 12:
            is_ycc = frame[start + 11] == 1
    return Jpeg(size, is_ycc) if size else None


def jpeg_2000(frame: bytes) -> Size | None:
    """The size that a JPEG 2000 codestream has, alone or in a file; None where there is none."""
    start = _in_boxes(frame, JP2, (b"jp2c",))
    if start is None or frame[start : start + 4] != J2K_START:
        return None
    right, bottom, left, top = SIZ.unpack_from(frame, start + 8)
    (samples,) = _short.unpack_from(frame, start + 40)
    return Size(bottom - top, right - left, samples)


def jpeg_xl(frame: bytes) -> Size | None:
    """The size that a JPEG XL codestream has, alone or in a file; None where there is none."""
    start = _in_boxes(frame, JXL, (b"jxlc", b"jxlp"))
    if start is None:
        return None
    if frame[start : start + 2] != JXL_START:
        start += 4  # the number of a part
    if frame[start : start + 2] != JXL_START:
        return None
    bits = _Bits(frame[start + 2 : start + 18])
    is_small = bits.take(1)
    rows = _jxl_side(bits, is_small)
    ratio = bits.take(3)
    if ratio:
        width, height = JXL_RATIOS[ratio - 1]
        return Size(rows, rows * width // height, 0)
    return Size(rows, _jxl_side(bits, is_small), 0)


def _jxl_side(bits: "_Bits", is_small: int) -> int:
    return (bits.take(5) + 1) * 8 if is_small else bits.take(JXL_BITS[bits.take(2)]) + 1


class _Bits:
    """Bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self.left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        found = self.left & ((1 << count) - 1)
        self.left >>= count
        return found


def _segments(frame: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment before the first scan, and where what it holds begins and ends."""
    if frame[:2] != b"\xff\xd8":
        return
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            return
        marker = frame[position + 1]
        if marker == 0xFF or marker in ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        end = position + 2 + _short.unpack_from(frame, position + 2)[0]
        if marker == START_OF_SCAN or end > len(frame):
            return
        yield marker, position + 4, end
        position = end


def _in_boxes(frame: bytes, signature: bytes, kinds: tuple[bytes, ...]) -> int | None:
    """Where a codestream begins: at once, or in the first box of one of these kinds."""
    if not frame.startswith(signature):
        return 0
    position = 0
    while position + 8 <= len(frame):
        (length,) = _long.unpack_from(frame, position)
        kind, header = frame[position + 4 : position + 8], 8
        if length == 1:
            length, header = _longer.unpack_from(frame.ljust(position + 16), position + 8)[0], 16
        if kind in kinds:
            return position + header
        if length < header:
            return None
        position += length
    return None


def said(read: Callable[[bytes], Found | None], frame: bytes) -> Found | None:
    """What one of the functions above reads; None also where the frame ends too early."""
    try:
        return read(frame)
    except (error, IndexError):
        return None
