"""Small pictures have the greys and colours of PS3.3, the file's first window, and its ratio."""

from typing import Any

import numpy as np
import pytest

from app.dicom.greys import Described
from app.dicom.pixels import Pixels
from app.dicom.shrinking import small_picture
from tests.journeys.test_pictures import colours, made, overlaid, tables, windows
from tests.making.objects import Raw, element
from tests.making.pictures import WHEEL, native

BLACK, WHITE = 0, 255


@pytest.fixture
def painted(tmp_path):
    """The small picture of an object's frame."""

    def painted(data: bytes, side: int = 128, frame: int = 0) -> np.ndarray:
        path = tmp_path / "object.dcm"
        path.write_bytes(data)
        with path.open("rb") as file:
            pixels = Pixels(file.fileno(), "")
            described = Described(pixels)
            values, rendering = pixels.frame(frame), described.rendering(frame)
        return small_picture(values, rendering, 1.0, described.overlays(frame), side)

    return painted


def test_its_greys_are_those_of_the_standard(painted):
    cases = [*windows(), *tables(), overlaid(), *colours()]
    for number, (frame, keywords, expected) in enumerate(cases):
        found = painted(made(frame, keywords, number))
        assert np.abs(found.astype(int) - expected[0]).max() <= 1, keywords


def test_thin_lines_of_an_overlay_are_seen_in_it(painted):
    """A line one pixel wide in a picture sixteen times as large, wherever it lies."""
    for column in range(504, 520, 5):
        bits = np.zeros((512, 1024), np.uint8)
        bits[:, column] = 1
        own = [element(0x60000010, "US", 512), element(0x60000011, "US", 1024)]
        own += [element(0x60000050, "SS", [513, 1])]  # of the lower half
        own += [element(0x60003000, "OW", np.packbits(bits, bitorder="little").tobytes())]
        frame = np.zeros((1024, 1024), np.uint8)
        found = painted(made(frame, {"overlay": b"".join(own)}, 1), side=64)
        lit = np.argwhere(found >= 127)
        assert {row for row, _ in lit} == {*range(32, 64)}, column
        assert {place for _, place in lit} == {column // 16}, column


def test_a_palette_is_looked_up(painted):
    found = painted((WHEEL / "examples_palette.dcm").read_bytes())
    assert found.shape == (128, 128, 3)
    assert np.ptp(found.astype(int), axis=2).max() > 50


def halves(rows: int, columns: int, kind: type = np.uint8) -> np.ndarray:
    """Black, then white from the middle column on."""
    frame = np.zeros((rows, columns), kind)
    frame[:, columns // 2 :] = 255
    return frame


@pytest.mark.parametrize(
    ("rows", "columns", "keywords", "size"),
    [
        (64, 64, {}, (64, 64)),  # not enlarged
        (512, 256, {}, (128, 64)),
        (256, 256, {"PixelSpacing": ["2", "1"]}, (128, 64)),
        (256, 256, {"PixelAspectRatio": ["1", "2"]}, (64, 128)),
        (40, 40, {"PixelSpacing": ["2", "1"]}, (80, 40)),  # no pixel of it is lost
        (256, 256, {"PixelSpacing": ["1e300", "1e-300"]}, (128, 2)),
        (1, 3000, {}, (1, 128)),
    ],
)
def test_a_picture_keeps_its_true_ratio_in_a_black_square(rows, columns, keywords, size, painted):
    found = painted(native(halves(rows, columns), **keywords))
    side = max(size)
    assert found.shape == (side, side)
    top, left = ((side - one) // 2 for one in size)
    inner = found[top : top + size[0], left : left + size[1]]
    assert (inner[:, : size[1] // 2] == BLACK).all()
    assert (inner[:, size[1] // 2 :] == WHITE).all()
    assert found.sum() == inner.sum()


def test_what_says_no_window_is_shown_by_percentiles_without_its_padding(painted):
    frame = np.full((100, 100), -2000, np.int16)
    frame[20:80, 20:80] = np.linspace(100, 300, 3600).reshape(60, 60)
    padding = {"PixelPaddingValue": Raw("SS", np.int16(-2000).tobytes())}
    found = painted(native(frame, **padding))
    assert found[21, 50] < 10
    assert found[78, 50] > 245
    assert 110 < found[50, 50] < 145
    # With it among what is seen, the rest is nearly white.
    assert painted(native(frame))[21, 50] > 200


@pytest.mark.parametrize(
    "frame",
    [
        np.full((9, 9), np.nan, np.float32),
        np.array([[np.inf, -np.inf], [np.nan, 1.0]], np.float32),
        np.zeros((1, 1), np.int16),
    ],
)
def test_values_that_are_no_numbers_cost_no_picture(frame, painted):
    keywords: dict[str, Any] = {}
    if frame.dtype.kind == "f":
        keywords = {"PixelData": None, "FloatPixelData": Raw("OF", frame.tobytes())}
        keywords |= {"BitsStored": None, "HighBit": None, "PixelRepresentation": None}
    assert painted(native(frame, **keywords)).shape == frame.shape


def test_a_middle_frame_has_its_own_picture(painted):
    frames = [np.full((8, 8), level, np.uint8) for level in (0, 100, 200)]
    assert (painted(native(*frames), frame=1) == 100).all()
