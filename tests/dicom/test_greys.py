"""What an object says of its frames is told of those of which it is true."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dicom.greys import Described
from app.dicom.pixels import Pixels
from tests.making.objects import (
    BIG_ENDIAN,
    EXPLICIT,
    JPEG_BASELINE,
    Raw,
    Writing,
    element,
    enhanced_ct,
)
from tests.making.pictures import SYNTAX, attributes_of, native, of_codestreams

FRAME = np.zeros((4, 4), np.uint8)
PLACED = {
    "ImagePositionPatient": ["1", "2", "3"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
}


@pytest.fixture
def described(tmp_path) -> Callable[[bytes], Described]:
    def described(data: bytes) -> Described:
        path = tmp_path / "object.dcm"
        path.write_bytes(data)
        with path.open("rb") as file:
            pixels = Pixels(file.fileno(), "")
            return Described(pixels)

    return described


# Places


def test_one_position_for_many_frames_is_that_of_none(described):
    found = described(native(FRAME, FRAME, **PLACED))
    assert [found.place(frame).position for frame in range(2)] == [[], []]
    assert found.place(1).orientation == [1, 0, 0, 0, 1, 0]
    place = described(native(FRAME, **PLACED, SliceThickness="2.5")).place(0)
    assert (place.position, place.thickness) == ([1, 2, 3], 2.5)
    assert described(native(FRAME, SliceThickness="-1")).place(0).thickness == 0


@pytest.mark.parametrize(
    ("centers", "widths", "found"),
    [
        (["40", "0"], ["400", "0"], [(40, 400)]),
        (["0", "-600"], ["0", "1600"], [(-600, 1600)]),
        (["0"], ["0"], []),
        (["300"], ["-5"], []),
        (["0.5"], ["0.25"], [(0.5, 0.25)]),
    ],
)
def test_a_window_without_a_width_is_none(centers, widths, found, described):
    """Nor is it one in the groups of a frame, which the object's own then stands for."""
    windows = [{"WindowCenter": "0", "WindowWidth": "0"}]
    groups = [{"FrameVOILUTSequence": windows}]
    own = {"WindowCenter": centers, "WindowWidth": widths}
    for more in ({}, {"PerFrameFunctionalGroupsSequence": groups}):
        rendering = described(native(FRAME, **own, **more)).rendering(0)
        assert [(one.center, one.width) for one in rendering.windows] == found


@pytest.mark.parametrize(
    ("offsets", "heights"),
    [
        (["0", "5", "15"], [3, 8, 18]),
        (["3", "8", "18"], [3, 8, 18]),  # in coordinates of the patient
        (["0", "-5", "-15"], [3, -2, -12]),
        (["0", "5"], [None, None, None]),  # of which plane would they be?
        (["1", "6", "16"], [None, None, None]),
        (None, [None, None, None]),
    ],
)
def test_planes_of_a_dose_lie_where_it_says_so_of_each(offsets, heights, described):
    own: dict[str, Any] = {**PLACED, "Modality": "RTDOSE", "GridFrameOffsetVector": offsets}
    found = described(native(FRAME, FRAME, FRAME, **own))
    places = [found.place(frame).position for frame in range(3)]
    assert places == [[] if z is None else [1, 2, z] for z in heights]


def test_of_frames_that_all_lie_in_one_plane_it_is_told(described):
    shared = [{"PlanePositionSequence": [{"ImagePositionPatient": ["1", "2", "4"]}]}]
    own = attributes_of(FRAME, 2) | {"PixelData": bytes(32)}
    own |= {"PerFrameFunctionalGroupsSequence": [{}, {}]}
    found = described(enhanced_ct(2, **own, **PLACED, SharedFunctionalGroupsSequence=shared))
    assert [found.place(frame).position for frame in range(2)] == [[1, 2, 4]] * 2


# Overlays


def overlaid(stored: bytes, vr: str = "OW", **keywords: Any) -> bytes:
    """An object with an overlay of 4 x 8."""
    big = keywords.get("transfer_syntax") == BIG_ENDIAN
    own: list[tuple[int, str, Any]] = [(0x10, "US", 4), (0x11, "US", 8), (0x50, "SS", [1, 1])]
    own.append((0x3000, vr, stored))
    writing = Writing(big_endian=big)
    overlay = b"".join(element(0x60000000 | tag, vr, value, writing) for tag, vr, value in own)
    data = native(FRAME, **keywords)
    place = data.index((b"\x7f\xe0\0\x10" if big else b"\xe0\x7f\x10\0") + b"OW")
    return data[:place] + overlay + data[place:]


def test_an_overlay_with_too_few_bits_costs_no_picture(described):
    assert described(overlaid(b"\x0f\xf0")).overlays(0) == []
    assert len(described(overlaid(b"\x0f\xf0\xff\0")).overlays(0)) == 1


# Spacing


@pytest.mark.parametrize(
    ("keywords", "kind"),
    [
        ({}, "detector"),
        ({"ImagerPixelSpacing": ["0.2", "0.200001"]}, "detector"),
        ({"PixelSpacing": None}, "detector"),
        ({"ImagerPixelSpacing": ["0.25", "0.25"]}, "patient"),
        ({"PixelSpacingCalibrationType": "FIDUCIAL"}, "patient"),
        ({"ImagerPixelSpacing": None}, "patient"),
        ({"Modality": "CT"}, "patient"),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None}, ""),
    ],
)
def test_a_projection_that_was_not_calibrated_is_measured_at_the_detector(
    keywords, kind, described
):
    own = {"Modality": "DX", "PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": ["0.2", "0.2"]}
    found = described(native(FRAME, **own | keywords)).rendering(0)
    assert found.spacing_kind == kind
    assert bool(found.spacing) == bool(kind)


PROPERTIES, TYPE = "FramePixelDataPropertiesSequence", "XRay3DFrameTypeSequence"
FINE, COARSE = ([{"ImagerPixelSpacing": [one] * 2}] for one in ("0.2", "0.4"))
UNEVEN = [{**FINE[0], "GeometricalProperties": "NON_UNIFORM"}]
MEASURES = [{"PixelSpacing": ["0.3", "0.3"]}]


@pytest.mark.parametrize(
    ("of_all", "of_each", "wanted"),
    [
        ({PROPERTIES: FINE}, [{}, {}], [(0.2, "detector")] * 2),
        ({}, [{PROPERTIES: FINE}, {PROPERTIES: COARSE}], [(0.2, "detector"), (0.4, "detector")]),
        ({PROPERTIES: FINE}, [{PROPERTIES: COARSE}, {}], [(0.4, "detector"), (0.2, "detector")]),
        ({}, [{PROPERTIES: FINE}, {PROPERTIES: UNEVEN}], [(0.2, "detector"), (None, "")]),
        ({PROPERTIES: FINE, "PixelMeasuresSequence": MEASURES}, [{}], [(0.3, "patient")]),
        ({PROPERTIES: UNEVEN, "PixelMeasuresSequence": MEASURES}, [{}], [(None, "")]),
        (
            {"PixelMeasuresSequence": MEASURES},
            [{TYPE: [{"VolumetricProperties": one}]} for one in ("VOLUME", "DISTORTED")],
            [(0.3, "patient"), (None, "")],
        ),
        ({}, [{}], [(None, "")]),
    ],
)
def test_what_functional_groups_say_of_spacing_is_of_their_frames(
    of_all, of_each, wanted, described
):
    own = {"Modality": "XA", "SharedFunctionalGroupsSequence": [of_all]}
    own["PerFrameFunctionalGroupsSequence"] = of_each
    found = described(native(*[FRAME] * len(of_each), **own))
    told = [found.rendering(frame) for frame in range(len(of_each))]
    assert [(one.spacing and one.spacing[0], one.spacing_kind) for one in told] == wanted


def test_pixels_whose_size_is_not_known_may_have_a_ratio(described):
    own = {"PixelSpacing": ["0.2", "0.4"], "VolumetricProperties": "DISTORTED"}
    found = described(native(FRAME, **own)).rendering(0)
    assert (found.spacing, found.aspect) == (None, [0.2, 0.4])


# Loss


@pytest.mark.parametrize(
    ("syntax", "said", "is_lossy"),
    [
        (JPEG_BASELINE, None, True),
        (f"{SYNTAX}.4.51", "00", True),
        (f"{SYNTAX}.4.70", None, False),
        (f"{SYNTAX}.4.81", None, False),
        (f"{SYNTAX}.4.91", None, False),
        (f"{SYNTAX}.4.203", "01", True),
        (EXPLICIT, "01", True),
        (EXPLICIT, None, False),
    ],
)
def test_what_was_compressed_with_loss_is_called_so(syntax, said, is_lossy, described):
    own = {"LossyImageCompression": said}
    data = native(FRAME, **own)
    if syntax != EXPLICIT:
        data = of_codestreams(syntax, [b"a stream"], FRAME, **own)
    assert described(data).rendering(0).is_lossy is is_lossy


# The order of bytes


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_words_of_either_order_are_the_same_tables_and_overlays(syntax, described):
    order = ">" if syntax == BIG_ENDIAN else "<"

    def words(values: np.ndarray, vr: str = "OW") -> Raw:
        return Raw(vr, values.view("<u2").astype(f"{order}u2").tobytes())

    wide, narrow = np.array([1, 2, 3, 4095], "<u2"), np.array([1, 2, 3, 250], "u1")
    luts = [{"LUTDescriptor": [4, 0, 12], "LUTData": words(wide, vr)} for vr in ("OW", "US")]
    luts.append({"LUTDescriptor": [4, 0, 8], "LUTData": words(narrow)})
    stored = words(np.array([0x0F, 0xF0, 0xFF, 0x01], "u1")).value
    own = {"transfer_syntax": syntax, "VOILUTSequence": luts}
    own |= {"PixelData": Raw("OW", FRAME.tobytes())}
    for level in (wide * 16, narrow):
        palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for number, colour in enumerate(("Red", "Green", "Blue")):
            name = f"{colour}PaletteColorLookupTable"
            palette[f"{name}Descriptor"] = Raw("US", [4, 0, 8 * level.itemsize])
            palette[f"{name}Data"] = words(np.roll(level, number))
        found = described(native(FRAME, **own | palette)).palette
        colours = np.frombuffer(found.colours, np.uint8).reshape(4, 3)
        eight = (level >> 8 * (level.itemsize - 1)).tolist()
        assert colours.T.tolist() == [np.roll(eight, number).tolist() for number in range(3)]
    found = described(overlaid(stored, **own))
    tables = [np.frombuffer(one.entries, "<u2").tolist() for one in found.rendering(0).voi_luts]
    assert tables == [wide.tolist(), wide.tolist(), narrow.tolist()]
    (overlay,) = found.overlays(0)
    assert zlib.decompress(overlay.bits) == b"\x0f\xf0\xff\x01"


def test_bytes_of_an_overlay_have_no_order(described):
    (found,) = described(overlaid(b"\x0f\xf0\xff\x01", "OB", transfer_syntax=BIG_ENDIAN)).overlays(
        0
    )
    assert zlib.decompress(found.bits) == b"\x0f\xf0\xff\x01"
