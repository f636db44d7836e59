"""Objects with pictures in them, native and compressed, made of arrays."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom

from tests.making.objects import Raw, secondary_capture

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SYNTAX = "1.2.840.10008.1.2"
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

# How a frame is compressed, by transfer syntax; all of it without loss.
ENCODERS = {
    f"{SYNTAX}.4.57": lambda frame: imagecodecs.jpeg8_encode(frame, lossless=True, predictor=4),
    f"{SYNTAX}.4.70": lambda frame: imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1),
    f"{SYNTAX}.4.80": imagecodecs.jpegls_encode,
    f"{SYNTAX}.4.90": lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", level=0),
    f"{SYNTAX}.4.201": imagecodecs.htj2k_encode,
    f"{SYNTAX}.4.202": imagecodecs.htj2k_encode,
    f"{SYNTAX}.4.110": lambda frame: imagecodecs.jpegxl_encode(frame, lossless=True),
    f"{SYNTAX}.8.1": lambda frame: _deflated(frame.tobytes()),
}


def _deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


def item(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


def encapsulated(fragments: Sequence[bytes], table: bytes = b"") -> bytes:
    """Compressed pixel data, PS3.5 A.4, of which the first item is a table of offsets."""
    items = b"".join(map(item, (table, *fragments)))
    return struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + items + END


def attributes_of(frame: np.ndarray[Any, Any], frames: int = 1) -> dict[str, Any]:
    """The attributes of an image of such frames."""
    samples = frame.shape[2] if frame.ndim == 3 else 1
    bits = 8 * frame.dtype.itemsize
    return {
        "Rows": frame.shape[0],
        "Columns": frame.shape[1],
        "NumberOfFrames": str(frames),
        "SamplesPerPixel": samples,
        "PlanarConfiguration": 0 if samples > 1 else None,
        "PhotometricInterpretation": "RGB" if samples > 1 else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(frame.dtype.kind == "i"),
    }


def native(*frames: np.ndarray[Any, Any], **keywords: Any) -> bytes:
    """An object whose pixel data are not compressed."""
    data = b"".join(frame.tobytes() for frame in frames)
    data += b"\0" * (len(data) % 2)
    own = attributes_of(frames[0], len(frames)) | {"PixelData": Raw("OW", data)}
    return secondary_capture(**(own | keywords))


def compressed(
    syntax: str, *frames: np.ndarray[Any, Any], encode: Any = None, **keywords: Any
) -> bytes:
    """An object whose frames are compressed, each in a fragment of its own."""
    encode = encode or ENCODERS[syntax]
    return of_codestreams(syntax, [encode(frame) for frame in frames], frames[0], **keywords)


def of_codestreams(
    syntax: str,
    codestreams: Sequence[bytes],
    frame: np.ndarray[Any, Any],
    table: bytes = b"",
    **keywords: Any,
) -> bytes:
    """An object with these fragments, whose header is of such a frame."""
    own = attributes_of(frame, len(codestreams)) | {"PixelData": None}
    own |= {"after": encapsulated(codestreams, table), "transfer_syntax": syntax}
    return secondary_capture(**(own | keywords))


def lying(syntax: str, rows: int = 65_535, columns: int = 65_535) -> bytes:
    """A codestream that says it is larger than its header's 64 x 64, and holds next to nothing."""
    frame = bytearray(ENCODERS[syntax](np.zeros((64, 64), np.uint8)))
    if syntax in (f"{SYNTAX}.4.90", f"{SYNTAX}.4.201"):
        frame[8:16] = frame[24:32] = struct.pack(">II", columns, rows)  # the image, and its tiles
    else:
        at = next(n for n in range(len(frame)) if frame[n] == 0xFF and frame[n + 1] in (0xC3, 0xF7))
        frame[at + 5 : at + 9] = struct.pack(">HH", rows, columns)
    return bytes(frame)
