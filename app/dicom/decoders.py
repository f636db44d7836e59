"""imagecodecs as a plugin of pydicom's decoders, for the frames of every transfer syntax.

Each codec is a library of its own, which imagecodecs loads when it is first asked for. Only what
decodes pixels imports this, in a locked child: numpy comes with it.
"""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from pydicom._uid_dict import UID_dictionary
from pydicom.pixels.decoders import base
from pydicom.uid import UID

from .codestreams import Size, jpeg, jpeg_2000, jpeg_xl, said

PLUGIN = "imagecodecs"

JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
RLE = "1.2.840.10008.1.2.5"
# pydicom 3.0 does not know these: PS3.6 table A-1.
JPEG_XL = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}

Array = np.ndarray[Any, Any]
Runner = base.DecodeRunner
# What a plugin of pydicom must have.
DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = {}


def is_available(uid: str) -> bool:
    return uid in CODECS


def size_of(frame: bytes, transfer_syntax: str) -> Size | None:
    """What a compressed frame says of itself; None where it says nothing that can be read."""
    return said(SIZES[transfer_syntax], frame)


def decode_frame(frame: bytes, runner: Runner) -> bytes:
    """A frame's samples, colour by pixel; the runner is told how they lie."""
    samples = CODECS[runner.transfer_syntax](frame, runner)
    if samples.size != runner.rows * runner.columns * runner.samples_per_pixel:
        raise ValueError
    runner.set_option("bits_allocated", 8 * samples.dtype.itemsize)
    return samples.tobytes()


def _jpeg_size(frame: bytes) -> Size | None:
    found = jpeg(frame)
    return found.size if found else None


def _jpeg(frame: bytes, runner: Runner) -> Array:
    """JPEG with or without loss, of 8 to 16 bit.

    Whether colours are YCbCr says the header, which pydicom has corrected by a JFIF mark; or an
    Adobe mark. Left to itself the codec would guess. What was compressed without loss, or in 12
    bit, it cannot convert: then pydicom does.
    """
    if runner.samples_per_pixel != 3:
        return imagecodecs.jpeg8_decode(frame)
    runner.set_option("planar_configuration", 0)
    is_lossy = runner.transfer_syntax in (JPEG_BASELINE, JPEG_EXTENDED)
    is_rgb = not runner.photometric_interpretation.startswith("YBR")
    found = jpeg(frame)
    if is_lossy and found and (not is_rgb or found.is_adobe_ycc):
        runner.set_option("photometric_interpretation", "RGB")
        return imagecodecs.jpeg8_decode(frame, colorspace="YCBCR", outcolorspace="RGB")
    return imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")


def _jpeg_ls(frame: bytes, runner: Runner) -> Array:
    samples = imagecodecs.jpegls_decode(frame)
    if samples.ndim == 3:
        runner.set_option("planar_configuration", int(samples.shape[0] == 3 != samples.shape[2]))
    return samples


def _jpeg_2000(frame: bytes, runner: Runner) -> Array:
    """By OpenJPEG, HTJ2K too: OpenJPH does not clamp lossy colours at the ends of their range."""
    samples = imagecodecs.jpeg2k_decode(frame)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    return samples


def _jpeg_xl(frame: bytes, runner: Runner) -> Array:
    """Colours come as RGB, whatever they were stored as."""
    samples = imagecodecs.jpegxl_decode(frame)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
        runner.set_option("photometric_interpretation", "RGB")
    return samples


def _rle(frame: bytes, runner: Runner) -> Array:
    """Its room is made here, and a segment that would go beyond it is an error."""
    dtype = np.dtype(f"<u{runner.bits_allocated // 8}")
    samples = bytearray(int(runner.frame_length(unit="bytes")))
    runner.set_option("planar_configuration", 1)
    return np.frombuffer(imagecodecs.dicomrle_decode(frame, dtype, out=samples), dtype)


_J2K, _JPEGS = (90, 91, 201, 202, 203), (50, 51, 57, 70)
CODECS: dict[str, Callable[[bytes, Runner], Array]] = {
    RLE: _rle,
    **{f"1.2.840.10008.1.2.4.{number}": _jpeg for number in _JPEGS},
    **{f"1.2.840.10008.1.2.4.{number}": _jpeg_ls for number in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{number}": _jpeg_2000 for number in _J2K},
    **dict.fromkeys(JPEG_XL, _jpeg_xl),
}
SIZES: dict[str, Callable[[bytes], Size | None]] = {
    **{f"1.2.840.10008.1.2.4.{number}": _jpeg_size for number in (*_JPEGS, 80, 81)},
    **{f"1.2.840.10008.1.2.4.{number}": jpeg_2000 for number in _J2K},
    **dict.fromkeys(JPEG_XL, jpeg_xl),
}


def _decoders() -> dict[str, base.Decoder]:
    """pydicom's decoders with the plugin, by transfer syntax."""
    for uid, name in JPEG_XL.items():
        UID_dictionary.setdefault(uid, (name, "Transfer Syntax", "", "", ""))
    found = {}
    for uid in CODECS:
        decoder = base.Decoder(UID(uid)) if uid in JPEG_XL else base.get_decoder(uid)
        decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))
        found[uid] = decoder
    return found


DECODERS = _decoders()
