"""Stored values come out exactly, in every transfer syntax, and no room is made unasked."""

import hashlib
import os
import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from app.dicom.pixels import MOST_BYTES, NoPicture, Pixels
from tests.making.hostile import nested_sequences
from tests.making.objects import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    Raw,
    Writing,
    ct_image,
    secondary_capture,
)
from tests.making.pictures import (
    ENCODERS,
    SYNTAX,
    WHEEL,
    attributes_of,
    compressed,
    encapsulated,
    lying,
    native,
    of_codestreams,
)

# As in a child: pydicom's warnings quote values.
pytestmark = pytest.mark.filterwarnings("ignore")

Array = np.ndarray[Any, Any]
# The beginning of the SHA-256 of all frames of pydicom's compressed files, as other decoders than
# those here give them.
BY_OTHERS = {
    # GDCM, OpenJPEG by pylibjpeg, Pillow
    "693_J2KI.dcm": "f249f833d5e3cbc3",
    "GDCMJ2K_TextGBR.dcm": "bea5673fdd49313f",
    "J2K_pixelrep_mismatch.dcm": "1296350a0006ef69",
    "JPEG2000.dcm": "0b1224a6dcd0dceb",
    "MR_small_jp2klossless.dcm": "88617aaa46138fb1",
    "SC_rgb_gdcm_KY.dcm": "169e619557b12114",
    "examples_jpeg2k.dcm": "e16892020c73095e",
    # GDCM, CharLS by pyjpegls
    "JPEGLSNearLossless_08.dcm": "9eb46aa86c342094",
    "JPEGLSNearLossless_16.dcm": "f929318278115ce9",
    "MR_small_jpeg_ls_lossless.dcm": "88617aaa46138fb1",
    "SC_rgb_jls_lossy_line.dcm": "bd5344c0a46bc6c0",
    "SC_rgb_jls_lossy_sample.dcm": "bd5344c0a46bc6c0",
    # GDCM, Pillow
    "SC_jpeg_no_color_transform.dcm": "be7aa556b206ac44",
    "SC_jpeg_no_color_transform_2.dcm": "334275c10bc60e80",
    "SC_rgb_dcmtk_+eb+cr.dcm": "e414aaca68669516",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": "e0b1a561989d6f71",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm": "ddb100d8f45a7fbf",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "e0b1a561989d6f71",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm": "ddb100d8f45a7fbf",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": "ddb100d8f45a7fbf",
    "SC_rgb_jpeg.dcm": "be7aa556b206ac44",
    "SC_rgb_jpeg_app14_dcmd.dcm": "334275c10bc60e80",
    "SC_rgb_jpeg_dcmtk.dcm": "ddb100d8f45a7fbf",
    "SC_rgb_jpeg_lossy_gdcm.dcm": "e42f7896adb9411a",
    "SC_rgb_small_odd_jpeg.dcm": "f750a80478763f97",
    "examples_ybr_color.dcm": "7275d2af634281c8",
    # GDCM
    "SC_rgb_jpeg_gdcm.dcm": "169e619557b12114",
    # pydicom
    "MR_small_RLE.dcm": "88617aaa46138fb1",
    "SC_rgb_rle.dcm": "169e619557b12114",
    "SC_rgb_rle_16bit.dcm": "36de0258708d3af7",
    "SC_rgb_rle_16bit_2frame.dcm": "d7e2338dd240b58c",
    "SC_rgb_rle_2frame.dcm": "026dac3bc332e46b",
    "SC_rgb_rle_32bit.dcm": "1a243c9351e3a9ae",
    "SC_rgb_rle_32bit_2frame.dcm": "3caa80cc3032f745",
    "rtdose_rle.dcm": "e30a4288ac229022",
    "rtdose_rle_1frame.dcm": "67f96b3373d7acf1",
}
GE = "1.2.840.113619.5.2"
GREY = (np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) * 21) % 4096
COLOUR = np.stack([np.roll(GREY.astype(np.uint8), shift) for shift in (0, 3, 7)], axis=2)


@pytest.fixture
def opened(tmp_path) -> Callable[..., Pixels]:
    """An object's pixels, of its bytes."""
    descriptors = []

    def opened(data: bytes, transfer_syntax: str = "") -> Pixels:
        path = tmp_path / f"{len(descriptors)}.dcm"
        path.write_bytes(data)
        descriptors.append(os.open(path, os.O_RDONLY))
        return Pixels(descriptors[-1], transfer_syntax)

    yield opened
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.fixture
def frames_of(opened) -> Callable[..., list[Array]]:
    def frames_of(data: bytes, transfer_syntax: str = "") -> list[Array]:
        pixels = opened(data, transfer_syntax)
        return [pixels.frame(number) for number in range(pixels.frames)]

    return frames_of


@pytest.fixture
def refused(opened) -> Callable[..., str]:
    """The code by which a frame is refused."""

    def refused(data: bytes, frame: int = 0, transfer_syntax: str = "") -> str:
        with pytest.raises(NoPicture) as why:
            opened(data, transfer_syntax).frame(frame)
        return why.value.code

    return refused


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_file_meta_group_in_implicit_vr_hides_no_picture(syntax, frames_of):
    data = native(GREY, transfer_syntax=syntax, meta_writing=Writing(implicit=True))
    for start in (0, 132):  # also without preamble and prefix
        (frame,) = frames_of(data[start:])
        np.testing.assert_array_equal(frame, GREY)


@pytest.mark.parametrize("name", BY_OTHERS)
def test_what_other_decoders_give_comes_out(name, frames_of):
    digest = hashlib.sha256()
    for frame in frames_of((WHEEL / name).read_bytes()):
        digest.update(np.ascontiguousarray(frame).astype(frame.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:16] == BY_OTHERS[name]


def test_what_is_not_compressed_comes_out_as_by_pydicom(frames_of):
    compared = 0
    for path in sorted(WHEEL.rglob("*")):
        if not path.is_file() or path.name in BY_OTHERS:
            continue
        try:
            dataset = pydicom.dcmread(path)
            if dataset.file_meta.TransferSyntaxUID.is_compressed:
                continue
            expected = dataset.pixel_array
        except (AttributeError, InvalidDicomError, ValueError):
            continue  # not DICOM, no picture, or one of which a part is missing
        found = frames_of(path.read_bytes())
        assert (np.stack(found).reshape(expected.shape) == expected).all(), path.name
        compared += 1
    assert compared >= 50


@pytest.mark.parametrize("syntax", ENCODERS)
def test_what_was_compressed_without_loss_comes_out(syntax, frames_of):
    frames = [GREY, np.flipud(GREY).copy(), np.fliplr(GREY).copy()]
    for frame, found in zip(frames, frames_of(compressed(syntax, *frames)), strict=True):
        assert (found == frame).all()
    colours = [COLOUR, COLOUR[::-1].copy()]
    for frame, found in zip(colours, frames_of(compressed(syntax, *colours)), strict=True):
        assert (found == frame).all()


@pytest.mark.parametrize("syntax", ["4.57", "4.70", "4.80", "4.90", "8.1"])
def test_negative_values_come_out(syntax, frames_of):
    frame = GREY.astype(np.int16) - 1_000
    syntax = f"{SYNTAX}.{syntax}"
    # Only JPEG 2000 knows of signs.
    stored = frame if syntax == f"{SYNTAX}.4.90" else frame.view(np.uint16)
    (found,) = frames_of(compressed(syntax, stored, PixelRepresentation=1))
    assert found.dtype == np.int16
    assert (found == frame).all()


def test_twelve_bits_with_loss_come_out_nearly(frames_of):
    smooth = (np.add.outer(np.arange(64), np.arange(48)) * 30).astype(np.uint16)

    def encode(frame: Array) -> bytes:
        return imagecodecs.jpeg8_encode(frame, level=100, bitspersample=12)

    data = compressed(f"{SYNTAX}.4.51", smooth, encode=encode, BitsStored=12, HighBit=11)
    (found,) = frames_of(data)
    assert np.abs(found.astype(int) - smooth).max() <= 8


@pytest.mark.parametrize("syntax", ["4.111", "4.112", "4.91", "4.203"])
def test_colours_with_loss_come_out_nearly_at_the_ends_of_their_range_too(syntax, frames_of):
    """OpenJPH, which also decodes HTJ2K, lets saturated colours wrap."""
    frame = np.zeros((64, 48, 3), np.uint8)
    frame[16:, :, 0] = frame[:, 24:, 1] = 255
    encode = {
        "4.111": lambda one: imagecodecs.jpegxl_encode(one, level=95),
        "4.112": lambda one: imagecodecs.jpegxl_encode(one, level=95),
        "4.91": lambda one: imagecodecs.jpeg2k_encode(one, level=40, codecformat="j2k"),
        "4.203": lambda one: imagecodecs.htj2k_encode(one, level=0.005, reversible=False),
    }[syntax]
    photometric = "YBR_ICT" if syntax == "4.91" else "RGB"
    data = compressed(
        f"{SYNTAX}.{syntax}", frame, encode=encode, PhotometricInterpretation=photometric
    )
    (found,) = frames_of(data)
    away = np.abs(found.astype(int) - frame)
    assert away.max() < 128
    assert away.mean() < 4


@pytest.mark.parametrize(("photometric", "is_jfif"), [("RGB", False), ("YBR_FULL", True)])
def test_whether_a_jpeg_is_rgb_the_header_says_unless_it_is_jfif(photometric, is_jfif, frames_of):
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[:] = (200, 40, 90)

    def encode(one: Array) -> bytes:
        stored = "YCBCR" if is_jfif else "RGB"
        return imagecodecs.jpeg8_encode(one, level=100, colorspace="RGB", outcolorspace=stored)

    said = photometric if not is_jfif else "RGB"
    data = compressed(JPEG_BASELINE, frame, encode=encode, PhotometricInterpretation=said)
    (found,) = frames_of(data)
    assert np.abs(found.astype(int) - frame).max() <= 3


# Native


@pytest.mark.parametrize("syntax", [IMPLICIT, DEFLATED, BIG_ENDIAN])
def test_native_values_come_out_in_every_order_of_bytes(syntax, frames_of):
    big = syntax == BIG_ENDIAN
    frames = [GREY, GREY[::-1].copy()]
    stored = b"".join(one.astype(">u2" if big else "<u2").tobytes() for one in frames)
    found = frames_of(
        native(*frames, transfer_syntax=syntax, PixelData=Raw("OW", stored)),
    )
    assert all((one == frame).all() for one, frame in zip(found, frames, strict=True))


def test_an_object_without_file_meta_is_read_by_the_syntax_that_is_known(frames_of):
    (found,) = frames_of(native(GREY, prefix=False), "1.2.840.10008.1.2.1")
    assert (found == GREY).all()
    data = compressed(f"{SYNTAX}.4.80", GREY, prefix=False)
    (found,) = frames_of(data, f"{SYNTAX}.4.80")
    assert (found == GREY).all()


def test_bytes_in_words_of_the_other_order_come_out_also_of_odd_frames(frames_of):
    frames = [np.arange(15, dtype=np.uint8).reshape(3, 5) + 20 * number for number in range(3)]
    data = b"".join(frame.tobytes() for frame in frames) + b"\0"
    swapped = np.frombuffer(data, "u2").byteswap().tobytes()
    found = frames_of(native(*frames, transfer_syntax=BIG_ENDIAN, PixelData=Raw("OW", swapped)))
    assert all((one == frame).all() for one, frame in zip(found, frames, strict=True))


def test_single_bits_come_out_where_a_frame_begins_within_a_byte(frames_of):
    frames = np.arange(3 * 15).reshape(3, 3, 5) % 3 == 1
    data = np.packbits(frames.ravel(), bitorder="little").tobytes()
    own = attributes_of(frames[0].astype(np.uint8), 3)
    own |= {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": Raw("OB", data)}
    assert (np.stack(frames_of(secondary_capture(**own))) == frames).all()


def test_bits_that_are_not_stored_are_not_looked_at(frames_of):
    """Some writers keep an overlay in them: PS3.5 8.1.1."""
    (found,) = frames_of(native(GREY | 0xF000, BitsStored=12, HighBit=11))
    assert (found == GREY).all()


def test_floats_come_out(frames_of):
    frame = np.linspace(-1e300, 1e300, 12).reshape(3, 4)
    own = attributes_of(frame) | {"PixelData": None, "PixelRepresentation": None}
    (found,) = frames_of(ct_image(**own, DoubleFloatPixelData=Raw("OD", frame.tobytes())))
    assert (found == frame).all()


def test_pixels_of_the_other_order_that_only_ge_writes_come_out(frames_of):
    stored = Raw("OW", GREY.astype(">u2").tobytes())
    (found,) = frames_of(native(GREY, PixelData=stored, meta={"TransferSyntaxUID": GE}))
    assert (found == GREY).all()


def test_ybr_is_converted_and_what_cannot_be_is_refused(frames_of, refused):
    grey = np.repeat(COLOUR[:, :, :1], 3, axis=2)
    ybr = np.stack([grey[:, :, 0], *[np.full(grey.shape[:2], 128, np.uint8)] * 2], axis=2)
    (found,) = frames_of(native(ybr, PhotometricInterpretation="YBR_FULL"))
    assert (found == grey).all()
    assert refused(native(ybr, PhotometricInterpretation="HSV")) == "picture_unsupported"


@pytest.mark.parametrize("stored", [0, 17, 300])
def test_bits_stored_that_cannot_be_are_all_that_there_are(stored, frames_of):
    (found,) = frames_of(native(GREY, BitsStored=stored))
    assert (found == GREY).all()


# Fragments


def codestreams(count: int) -> tuple[list[Array], list[bytes]]:
    frames = [np.roll(GREY, number) for number in range(count)]
    return frames, [ENCODERS[f"{SYNTAX}.4.80"](frame) for frame in frames]


def halved(data: bytes) -> list[bytes]:
    middle = len(data) // 4 * 2
    return [data[:middle], data[middle:]]


@pytest.mark.parametrize("how", ["a table", "a long table", "no table", "one frame"])
def test_frames_in_several_fragments_are_put_together(how, frames_of):
    frames, packed = codestreams(1 if how == "one frame" else 3)
    pieces = [piece for one in packed for piece in halved(one)]
    starts, position = [], 0
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            starts.append(position)
        position += 8 + len(piece) + len(piece) % 2
    table = struct.pack(f"<{len(starts)}I", *starts) if how == "a table" else b""
    long = struct.pack(f"<{len(starts)}Q", *starts) if how == "a long table" else None
    data = of_codestreams(
        f"{SYNTAX}.4.80",
        pieces,
        GREY,
        table=table,
        NumberOfFrames=str(len(frames)),
        ExtendedOffsetTable=long,
    )
    found = frames_of(data)
    assert len(found) == len(frames)
    assert all((one == frame).all() for one, frame in zip(found, frames, strict=True))


# What is refused


@pytest.mark.parametrize("syntax", ["4.57", "4.70", "4.80", "4.90", "4.201"])
def test_a_frame_that_says_it_is_larger_than_the_header_says_is_not_decoded(syntax, refused):
    syntax = f"{SYNTAX}.{syntax}"
    data = of_codestreams(syntax, [lying(syntax)], np.zeros((64, 64), np.uint8))
    assert refused(data) == "picture_unlike_header"


def test_a_jpeg_xl_of_another_size_is_not_decoded(refused):
    for frame in (np.zeros((64, 48), np.uint8), np.zeros((300, 77), np.uint8)):
        packed = ENCODERS[f"{SYNTAX}.4.110"](frame)
        data = of_codestreams(f"{SYNTAX}.4.110", [packed], np.zeros((64, 64), np.uint8))
        assert refused(data) == "picture_unlike_header"


@pytest.mark.parametrize(("rows", "columns"), [(65_535, 65_535), (46_341, 46_341)])
def test_a_frame_of_more_than_so_many_bytes_is_not_read(rows, columns, refused):
    assert rows * columns > MOST_BYTES
    assert refused(native(GREY, Rows=rows, Columns=columns)) == "picture_too_large"


def test_a_picture_of_less_than_no_rows_is_refused(refused):
    assert refused(native(GREY, Rows=Raw("SS", -64))) == "picture_damaged"


def test_a_million_frames_that_are_not_there_are_not_counted(opened):
    pixels = opened(native(GREY, GREY, NumberOfFrames="1000000"))
    assert pixels.frames == 2
    with pytest.raises(NoPicture, match="picture_cut"):
        pixels.frame(2)
    with pytest.raises(NoPicture, match="no_such_frame"):
        pixels.frame(1_000_000)
    pixels = opened(compressed(f"{SYNTAX}.4.80", GREY, GREY, NumberOfFrames="1000000"))
    assert pixels.frames == 2


@pytest.mark.parametrize(
    ("syntax", "code"),
    [
        *((f"4.{number}", "picture_unsupported") for number in (53, 55)),
        *((f"4.{number}", "picture_video") for number in ("100", "102.1", "104", "108")),
        *((f"4.{number}", "picture_damaged") for number in (50, 57, 80, 90, 201, 110)),
        *(("5", "picture_damaged"), ("8.1", "picture_damaged")),
    ],
)
def test_what_no_decoder_takes_is_refused_by_its_reason(syntax, code, refused):
    assert refused(of_codestreams(f"{SYNTAX}.{syntax}", [b"rubbish!"], GREY)) == code


def test_what_is_inflated_ends_with_the_frame(opened):
    packed = ENCODERS[f"{SYNTAX}.8.1"](np.zeros(50_000_000, np.uint8))
    assert len(packed) < 100_000
    assert not opened(of_codestreams(f"{SYNTAX}.8.1", [packed], GREY)).frame(0).any()


def test_a_header_that_cannot_be_read_says_so(refused):
    data = native(GREY)
    place = data.index(b"\x28\0\2\0US")  # before Samples per Pixel
    assert refused(data[:place] + nested_sequences(5_000) + data[place:]) == "header_unread"


def test_an_object_that_is_no_picture_says_so(refused):
    assert refused(secondary_capture(PixelData=None, Rows=None)) == "no_picture"
    assert refused(native(GREY, Rows=0)) == "picture_damaged"
    assert refused(b"Readme. " * 100) == "no_picture"
    whole = native(GREY)
    assert refused(whole[:-100]) == "picture_cut"
    cut = encapsulated([ENCODERS[f"{SYNTAX}.4.80"](GREY)])[:-100]
    own = attributes_of(GREY) | {"PixelData": None, "transfer_syntax": f"{SYNTAX}.4.80"}
    assert refused(secondary_capture(**own, after=cut)) == "picture_cut"
