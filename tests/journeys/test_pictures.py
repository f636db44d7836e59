"""The pictures of a series in a browser: their greys as PS3.3 C.11 has them, and the way there."""

import re
from base64 import b64encode
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from django.db.models import F
from playwright.sync_api import Page, Route, expect

from app.dicom.pixels import Pixels
from app.models import DICOMSeries
from app.viewing.slices import slices_of
from tests.conftest import wait_until
from tests.making.objects import CT_IMAGE, Raw, ct_image, element, structured_report, uid
from tests.making.pictures import WHEEL, attributes_of, native

from .test_browser import serious_findings

SIDE, CANVAS = 32, 640
ROOM = "90"  # bytes: for two slices as they are sent
READ = """([columns, rows]) => {
  const canvas = document.querySelector("[data-part=canvas]");
  const [left, top] = [canvas.width - columns, canvas.height - rows].map((n) => Math.round(n / 2));
  const { data } = canvas.getContext("2d").getImageData(left, top, columns, rows);
  return data.join();
}"""
FIRST_PIXEL = "() => [...document.querySelector('[data-part=canvas]').getContext('2d')\
.getImageData(320, 320, 1, 1).data]"


# --- what PS3.3 says ----------------------------------------------------------------------------


def windowed(x: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, from 0 to 1."""
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (x - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    below, above = x <= center - width / 2, x > center + width / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (x - center) / width + 0.5
    return np.select([below, above], [0.0, 1.0], between)


def greys(shown: np.ndarray, photometric: str) -> np.ndarray:
    inverted = 1 - shown if photometric == "MONOCHROME1" else shown
    return np.floor(inverted * 255 + 0.5)


def looked_up(x: np.ndarray, first: int, entries: np.ndarray) -> np.ndarray:
    return entries[np.clip(x.astype(float) - first, 0, len(entries) - 1).astype(int)]


# --- objects, and what is to be seen ------------------------------------------------------------


def ramp(kind: str, bits: int) -> np.ndarray:
    low = -(1 << (bits - 1)) if kind.startswith("i") else 0
    return np.linspace(low, low + (1 << bits) - 1, SIDE * SIDE).astype(kind).reshape(SIDE, SIDE)


def lut(first: int, bits: int, entries: np.ndarray) -> dict[str, Any]:
    return {
        "LUTDescriptor": Raw("SS" if first < 0 else "US", np.array(
            [len(entries), first, bits], "<i2" if first < 0 else "<u2").tobytes()),
        "LUTData": Raw("OW", entries.astype("<u2").tobytes()),
    }  # fmt: skip


def windows() -> list[tuple[bytes, list[np.ndarray]]]:
    """Every function, monochrome, depth and sign, each with three windows."""
    made = []
    functions, monochromes = ("LINEAR", "LINEAR_EXACT", "SIGMOID"), ("MONOCHROME1", "MONOCHROME2")
    depths = (("u1", 8, 1.0, 0.0), ("u2", 12, 2.5, -1024.0), ("i2", 16, 0.01, 0.3))
    for function, photometric, (kind, bits, slope, intercept) in product(
        functions, monochromes, depths
    ):
        frame = ramp(kind, bits)
        x = frame * np.float64(slope) + intercept
        middle, range_ = round(float(x.mean()), 1), max(round(float(np.ptp(x)) / 3), 4)
        chosen = [(middle, range_), (middle - range_ / 2, 2 * range_), (middle, 1)]
        keywords = {
            "PhotometricInterpretation": photometric,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "RescaleSlope": str(slope),
            "RescaleIntercept": str(intercept),
            "WindowCenter": [str(center) for center, _ in chosen],
            "WindowWidth": [str(width) for _, width in chosen],
            "VOILUTFunction": function,
        }
        expected = [greys(windowed(x, *one, function), photometric) for one in chosen]
        made.append((frame, keywords, expected))
    return made


def tables() -> list[Any]:
    """A table of the modality below a window, a table of the VOI, and one below the other."""
    frame = ramp("u2", 12)
    curve = np.round(4095 * np.sqrt(np.arange(4000) / 3999))
    voi = np.round(255 * (np.arange(300) / 299) ** 2)
    window = {"WindowCenter": "2000", "WindowWidth": "3000"}
    by_modality = looked_up(frame, 100, curve)
    plain = {"BitsStored": 12, "HighBit": 11}
    return [
        (frame, plain | window | {"ModalityLUTSequence": [lut(100, 12, curve)]},
         [greys(windowed(by_modality, 2000, 3000, "LINEAR"), "MONOCHROME2")]),
        (frame, plain | {"VOILUTSequence": [lut(1000, 8, voi)]},
         [greys(looked_up(frame, 1000, voi) / 255, "MONOCHROME2")]),
        (frame, plain | {"ModalityLUTSequence": [lut(0, 12, curve)],
                         "VOILUTSequence": [lut(1500, 8, voi)],
                         "PhotometricInterpretation": "MONOCHROME1"},
         [greys(looked_up(looked_up(frame, 0, curve), 1500, voi) / 255, "MONOCHROME1")]),
        (ramp("u1", 8), {}, [ramp("u1", 8)]),
    ]  # fmt: skip


def overlaid() -> tuple[np.ndarray, dict[str, Any], list[np.ndarray]]:
    """An overlay that begins a row above and a column left of its image."""
    bits = np.random.default_rng(1).integers(0, 2, (8, 16), np.uint8)
    own = [element(0x60000010, "US", 8), element(0x60000011, "US", 16)]
    own += [element(0x60000050, "SS", [0, 0])]
    own += [element(0x60003000, "OW", np.packbits(bits, bitorder="little").tobytes())]
    frame = ramp("u1", 8)
    wanted = frame.copy()
    wanted[:7, :15][bits[1:, 1:] == 1] = 255
    return frame, {"overlay": b"".join(own)}, [wanted]


def colours() -> list[Any]:
    grey = ramp("u1", 8)
    frame = np.stack([grey, grey[::-1], np.roll(grey, 5)], axis=2)
    return [(frame, {}, [frame])]


def made(frame: np.ndarray, keywords: dict[str, Any], number: int) -> bytes:
    own = dict(keywords)
    overlay = own.pop("overlay", b"")
    own |= {"SOPInstanceUID": uid(2, 1, number), "InstanceNumber": str(number)}
    data = native(frame, **own)
    place = data.index(b"\xe0\x7f\x10\0OW")
    return data[:place] + overlay + data[place:]


@pytest.mark.long
def test_greys_are_those_of_the_standard(signed_in, live, import_zip):
    cases = [*windows(), *tables(), overlaid(), *colours()]
    import_zip(*(made(*case[:2], number) for number, case in enumerate(cases, 1)))
    page = signed_in
    page.goto(f"{live.url}/dicom/series/{DICOMSeries.objects.get().pk}/")
    page.get_by_role("button", name="1:1").click()
    canvas = page.locator("[data-part=canvas]")
    canvas.press("Home")
    differences = []
    for number, (_, _, expected) in enumerate(cases, 1):
        expect(page.locator("[data-part=place]")).to_have_text(f"{number} of {len(cases)}")
        for key, wanted in enumerate(expected, 1):
            page.keyboard.press(str(key))
            differences.append(np.abs(seen(page, wanted) - wanted).max())
        page.keyboard.press("1")
        page.keyboard.press("ArrowDown")
    assert len(differences) >= 58
    assert max(differences) <= 1
    assert sum(one == 0 for one in differences) / len(differences) >= 0.95
    small_pictures_are_painted_alike(page)


# A slice comes of every second row first, as on a slow line, then whole: what its small picture
# shows in the middle of the left and of the right half, and in the overlay at the top.
SMALL = """async ({ type, halves, rendering, side }) => {
  const { Strip } = await import("/static/app/viewing/strip.js");
  const { everyNth } = await import("/static/app/viewing/greys.js");
  const planes = halves[0].length;
  const values = new globalThis[`${type}Array`](planes * side * side);
  for (let at = 0; at < values.length; at++) {
    const [plane, column] = [Math.floor(at / side ** 2), at % side];
    values[at] = halves[column < side / 2 ? 0 : 1][plane];
  }
  const told = { slice: 0, rows: side, columns: side, whole_rows: side, whole_columns: side, step: 1, scale: 1 };
  Object.assign(told, { type: type === "Float32" ? "f4" : "u1", lowest: 0, highest: 255 });
  const overlay = { rows: 16, columns: side, top: 1, left: 1, bits: new Uint8Array(2 * side).fill(255) };
  const whole = { told, values, overlays: [overlay] };
  const strip = new Strip(document.createElement("div"), () => {});
  strip.begin({ first: 0, count: 2 });
  const brush = strip.buttons.get(0).querySelector("canvas").getContext("2d");
  return [{ ...everyNth(whole, 2), overlays: [] }, whole].map((slice) => {
    strip.paint(slice, rendering, { center: 127.5, width: 255, function: "LINEAR_EXACT" });
    const shown = [[32, 64], [96, 64], [64, 0]].map((at) => [...brush.getImageData(...at, 1, 1).data.slice(0, 3)]);
    return [...shown, strip.lacks.has(0)];
  });
}"""  # noqa: E501
RED, LIME, BLACK, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 255, 255]
BY_RULE = {"slope": 1, "intercept": 0, "modality_lut": None, "padding": [], "spacing": None}
COLOURS = {"first": 3, "colours": b64encode(bytes(RED + LIME)).decode()}
IN_SMALL = [
    ("Uint8", [[0], [255]], {"photometric": "MONOCHROME2"}, [BLACK, WHITE]),
    ("Float32", [[255], [0]], {"photometric": "MONOCHROME1"}, [BLACK, WHITE]),
    ("Uint8", [RED, LIME], {"photometric": "RGB", "bits": 8}, [RED, LIME]),
    ("Uint8", [[3], [4]], {"photometric": "PALETTE COLOR", "palette": COLOURS}, [RED, LIME]),
]


def small_pictures_are_painted_alike(page: Page) -> None:
    """Greys, colours and overlays, also of pictures that are much larger than these."""
    for (kind, halves, rendering, wanted), side in product(IN_SMALL, (128, 1536)):
        asked = {"type": kind, "halves": halves, "rendering": BY_RULE | rendering, "side": side}
        first, then = page.evaluate(SMALL, asked)
        assert (first[:2], first[3]) == (wanted, True), (rendering, side)
        assert then == [*wanted, WHITE, False], (rendering, side)


def wait_for_a_frame(page: Page) -> None:
    """Until all that was asked for is drawn: in the next frame, which the one after it ends."""
    page.evaluate(
        "() => new Promise((on) => requestAnimationFrame(() => requestAnimationFrame(on)))"
    )


def seen(page: Page, wanted: np.ndarray) -> np.ndarray:
    """What is on the canvas, once that is drawn: grey where it is to be grey."""
    expect(page.get_by_role("button", name="Save PNG")).to_be_enabled()  # all of it is there
    wait_for_a_frame(page)
    rows, columns = (min(side, CANVAS) for side in wanted.shape[:2])
    text = page.evaluate(READ, [columns, rows])
    pixels = np.fromstring(text, int, sep=",").reshape(rows, columns, 4)[..., :3]
    if wanted.ndim == 3:
        return pixels
    assert np.ptp(pixels, axis=2).max() == 0
    return pixels[..., 0]


def of_a_file(path: Path, syntax: str, frame: int) -> np.ndarray | None:
    """What PS3.3 says of a frame's stored values; None where it is not asked."""
    with path.open("rb") as file:
        pixels = Pixels(file.fileno(), syntax)
        values, dataset = pixels.frame(frame), pixels.dataset
    spacing = dataset.get("PixelSpacing") or dataset.get("PixelAspectRatio") or [1, 1]
    if spacing[0] != spacing[1] or "ModalityLUTSequence" in dataset:
        return None
    if values.ndim == 3:
        return values if values.itemsize == 1 else None
    photometric, center = dataset.PhotometricInterpretation, dataset.get("WindowCenter")
    if not photometric.startswith("MONO") or center is None:
        return None
    width, function = dataset.WindowWidth, dataset.get("VOILUTFunction", "LINEAR")
    first = [float(np.atleast_1d(one)[0]) for one in (center, width)]
    slope, intercept = (
        float(dataset.get(f"Rescale{one}", end)) for one, end in (("Slope", 1), ("Intercept", 0))
    )
    return greys(windowed(values * slope + intercept, *first, function), photometric)


@pytest.mark.long
def test_every_file_of_pydicom_gives_a_picture_or_a_sentence(
    signed_in, live, import_zip, processed_root
):
    paths = [path for path in sorted(WHEEL.rglob("*")) if path.is_file()]
    import_zip(*((f"{number}.dcm", path.read_bytes()) for number, path in enumerate(paths)))
    page, compared = signed_in, []
    for series in DICOMSeries.objects.all():
        slices = slices_of(series)
        if not slices:
            continue
        page.goto(f"{live.url}/dicom/series/{series.pk}/")
        page.get_by_role("button", name="1:1").click()
        page.locator("[data-part=canvas]").press("Home")
        page.keyboard.press("o")
        for number, one in enumerate(slices[:3], 1):
            said = re.compile(rf"^{number} of {len(slices)}(?!.*loading)")
            expect(place(page)).to_have_text(said)
            if page.locator("[data-part=why]").is_hidden():
                path = processed_root / one.path
                wanted = of_a_file(path, one.transfer_syntax, one.frame)
                if wanted is not None:
                    compared.append((one.path, np.abs(seen(page, wanted) - middle(wanted)).max()))
            else:
                assert page.locator("[data-part=why]").inner_text().endswith(".")
            page.keyboard.press("ArrowDown")
    assert len(compared) >= 20
    assert [one for one in compared if one[1] > 1] == []


def middle(wanted: np.ndarray) -> np.ndarray:
    """What of a picture fits on the canvas."""
    rows, columns = (max(round((side - CANVAS) / 2), 0) for side in wanted.shape[:2])
    return wanted[rows : rows + CANVAS, columns : columns + CANVAS]


# --- a journey ----------------------------------------------------------------------------------


def slice_of(number: int, **keywords: Any) -> bytes:
    frame = np.full((64, 64), 10 * number, np.int16)
    own = attributes_of(frame) | {
        "PixelData": frame.tobytes(),
        "SOPInstanceUID": uid(2, 1, number),
        "InstanceNumber": str(number),
        "ImagePositionPatient": ["-32", "-32", str(number - 0.5)],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": ["1", "1"],
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "WindowCenter": ["100", "50"],
        "WindowWidth": ["200", "20"],
        "WindowCenterWidthExplanation": ["WIDE", "<b>NARROW"],
    }
    return ct_image(**(own | keywords))


@pytest.mark.long
def test_somebody_looks_through_a_series(signed_in, live, import_zip, console_errors):
    cut = {"PixelData": b"\0" * 8}
    import_zip(*(slice_of(number, **(cut if number == 3 else {})) for number in range(24)))
    page, address = signed_in, f"{live.url}/dicom/series/{DICOMSeries.objects.get().pk}/"
    page.goto(address)
    expect(place(page)).to_have_text("13 of 24 · z 11.5 mm")
    expect(page.locator("[data-part=loaded]")).to_have_text("")
    expect(page.get_by_text("Not for diagnosis")).to_be_visible()
    every_means_changes_the_slice(page)
    a_picture_that_cannot_be_made_is_a_sentence(page)
    the_window_is_chosen_and_dragged(page)
    the_value_under_the_pointer_is_said(page)
    a_row_selects_its_slice(page)
    fingers_scroll_a_narrow_page(page)
    page.goto(address)
    page.goto(f"{live.url}/dicom/patients/")  # while its pictures come
    page.goto(address)
    expect(place(page)).to_have_text("13 of 24 · z 11.5 mm")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert serious_findings(page) == []
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def place(page: Page):
    return page.locator("[data-part=place]")


def every_means_changes_the_slice(page: Page) -> None:
    canvas, slider = page.locator("[data-part=canvas]"), page.get_by_label("Slice", exact=True)
    assert canvas.bounding_box()["width"] == canvas.bounding_box()["height"] == 640
    for key, number in (
        ("Home", 1), ("ArrowDown", 2), ("ArrowRight", 3), ("PageDown", 13), ("ArrowUp", 12),
        ("PageUp", 2), ("End", 24), ("ArrowLeft", 23),
    ):  # fmt: skip
        canvas.press(key)
        expect(place(page)).to_have_text(f"{number} of 24 · z {number - 1.5:g} mm")
    canvas.hover()
    page.mouse.wheel(0, -120)
    expect(place(page)).to_have_text(re.compile("^22 of"))
    page.mouse.wheel(0, 120)
    expect(place(page)).to_have_text(re.compile("^23 of"))
    slider.fill("9")
    expect(place(page)).to_have_text(re.compile("^10 of"))
    assert [page.locator(f"[data-part={edge}]").inner_text() for edge in ("left", "top")] == [
        "R",
        "A",
    ]
    expect(page.locator("[data-part=scale]")).to_have_text("20 mm")


def a_picture_that_cannot_be_made_is_a_sentence(page: Page) -> None:
    canvas, why = page.locator("[data-part=canvas]"), page.locator("[data-part=why]")
    page.get_by_label("Slice", exact=True).fill("3")
    expect(why).to_have_text("The file ends before this picture does.")
    canvas.press("ArrowDown")
    expect(why).to_be_hidden()
    expect(place(page)).to_have_text("5 of 24 · z 3.5 mm")


def the_window_is_chosen_and_dragged(page: Page) -> None:
    canvas, chosen = page.locator("[data-part=canvas]"), page.locator("[data-part=window]")
    center, width = page.get_by_label("Centre"), page.get_by_label("Width")
    names = page.locator("[data-part=window] option").all_text_contents()
    assert names[:3] == ["WIDE (100, 200)", "<b>NARROW (50, 20)", "Abdomen (40, 400)"]
    expect(center).to_have_value("100")
    wait_for_a_frame(page)
    before = page.evaluate(FIRST_PIXEL)
    canvas.press("2")
    expect(width).to_have_value("20")
    chosen.select_option("Lung (-600, 1500)")
    expect(center).to_have_value("-600")
    canvas.press("0")
    expect(center).to_have_value("100")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 425, box["y"] + 250, steps=3)
    page.mouse.up()
    expect(center).to_have_value("60")
    expect(width).to_have_value("300")
    expect(chosen).to_have_value("own")
    wait_for_a_frame(page)
    assert page.evaluate(FIRST_PIXEL) != before
    page.get_by_role("button", name="Reset").click()
    expect(width).to_have_value("200")
    page.get_by_role("button", name="Invert").click()
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"() => ({FIRST_PIXEL})()[0] === {255 - before[0]}")
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(f"() => ({FIRST_PIXEL})()[0] === {before[0]}")


def the_value_under_the_pointer_is_said(page: Page) -> None:
    canvas, value = page.locator("[data-part=canvas]"), page.locator("[data-part=value]")
    canvas.hover(position={"x": 25, "y": 15})
    expect(value).to_have_text("40 HU · column 3, row 2 · -30.0, -31.0, 3.5 mm")
    canvas.press("ArrowDown")  # while the pointer rests
    expect(value).to_have_text("50 HU · column 3, row 2 · -30.0, -31.0, 4.5 mm")
    canvas.press("ArrowUp")
    expect(value).to_have_text("40 HU · column 3, row 2 · -30.0, -31.0, 3.5 mm")
    page.get_by_role("button", name="1:1").click()
    canvas.hover(position={"x": 290.5, "y": 289.9})
    expect(value).to_have_text("40 HU · column 3, row 2 · -30.0, -31.0, 3.5 mm")
    canvas.hover(position={"x": 200, "y": 300})
    expect(value).to_have_text("")
    page.get_by_role("button", name="Fit").click()


def a_row_selects_its_slice(page: Page) -> None:
    page.locator("#objects > summary").click()
    row = page.locator("#objects tbody tr").nth(6)
    row.locator(".col-size").click()
    expect(place(page)).to_have_text("7 of 24 · z 5.5 mm")
    expect(row).to_have_class("is-shown")
    expect(page.locator("[data-part=canvas]")).to_be_in_viewport()


def fingers_scroll_a_narrow_page(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(page.url.partition("#")[0])  # a page that is reloaded scrolls to where it was
    expect(place(page)).to_have_text("13 of 24 · z 11.5 mm")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.get_by_label("Dragging changes")).to_have_value("slices")
    box = page.locator("[data-part=canvas]").bounding_box()
    assert box["width"] == box["height"] == 358
    x, y = box["x"] + 100, box["y"] + 100
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y + 36}]),
        ("touchEnd", []),
    ):
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(place(page)).to_have_text("16 of 24 · z 14.5 mm")
    said = page.locator("[data-part=value]")
    expect(said).to_have_text(re.compile("^150 HU · column 18, row 25"))  # also without a finger
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.set_viewport_size({"width": 1280, "height": 800})


# --- stacks, and what else is done with them ----------------------------------------------------

NAME = "Doe, Jane"


def echo_of(number: int, echo: float, z: float) -> bytes:
    own = {"EchoTime": str(echo), "PatientName": "Doe^Jane"}
    return slice_of(number, Modality="MR", ImagePositionPatient=["-32", "-32", str(z)], **own)


def clip() -> bytes:
    """Eight frames of ultrasound, a quarter of which is calibrated."""
    region = {"PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    region |= {"PhysicalDeltaX": 0.1, "PhysicalDeltaY": 0.1, "RegionLocationMinX0": 0}
    region |= {"RegionLocationMinY0": 0, "RegionLocationMaxX1": 31, "RegionLocationMaxY1": 31}
    own = {"SequenceOfUltrasoundRegions": [region], "Modality": "US", "FrameTime": "40"}
    own |= {"SeriesInstanceUID": uid(7), "SOPInstanceUID": uid(7, 1), "PatientName": "Doe^Jane"}
    frames = [np.full((64, 64), 30 * number, np.uint8) for number in range(8)]
    return native(*frames, PixelSpacing=["1", "1"], **own)


def cut_clip() -> bytes:
    """Twenty frames, by its header."""
    own = {"SOPInstanceUID": uid(4, 1, 1), "SeriesInstanceUID": uid(4, 1), "Modality": "XA"}
    frames = [np.full((64, 64), number, np.uint8) for number in range(5)]
    return native(*frames, NumberOfFrames="20", **own)


def of_an_animal() -> bytes:
    own = {"AnatomicalOrientationType": "QUADRUPED", "PatientOrientation": ["L", "F"]}
    own |= {"ImagerPixelSpacing": ["1", "1"], "Modality": "DX", "PatientName": "Doe^Jane"}
    frame = np.zeros((64, 64), np.uint8)
    return native(frame, SeriesInstanceUID=uid(9), SOPInstanceUID=uid(9, 1), **own)


def key_object(sop_instance_uid: str) -> bytes:
    one = {"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": sop_instance_uid}
    item = {"RelationshipType": "CONTAINS", "ValueType": "IMAGE", "ReferencedSOPSequence": [one]}
    return structured_report(
        Modality="KO",
        SeriesInstanceUID=uid(8),
        SOPInstanceUID=uid(8, 1),
        PatientName="Doe^Jane",
        ConceptNameCodeSequence=[{"CodeValue": "113000", "CodeMeaning": "Of Interest"}],
        ContentSequence=[item],
    )


def test_somebody_chooses_a_stack_plays_it_and_saves_what_is_seen(
    signed_in, live, import_zip, processed_root, console_errors
):
    places = [(echo, z) for echo in (4.6, 9.2) for z in range(12) if (echo, z) != (4.6, 5)]
    import_zip(
        *(echo_of(n, *one) for n, one in enumerate(places)),
        *(clip(), cut_clip(), of_an_animal(), key_object(uid(2, 1, 10))),
    )
    page, series = signed_in, DICOMSeries.objects.get(modality="MR")
    last = processed_root / slices_of(series)[-1].path
    last.rename(last.with_suffix(".away"))
    page.goto(f"{live.url}/dicom/series/{series.pk}/")
    a_stack_is_chosen(page)
    a_gap_is_marked(page)
    small_pictures_lead_to_slices(page)
    slices_are_played(page)
    what_is_seen_is_saved(page, series.pk)
    what_lies_over_a_picture_moves_with_it(page)
    a_distance_is_measured(page)
    what_lies_over_a_picture_is_saved(page)
    a_failure_in_passing_is_asked_for_again(page, last)
    on_a_slow_line_less_comes_first(page)
    what_has_no_room_is_not_asked_for_again(page)
    a_series_that_has_changed_is_to_be_reloaded(page, series)
    ultrasound = DICOMSeries.objects.get(modality="US")
    page.goto(f"{live.url}/dicom/series/{ultrasound.pk}/")
    expect(page.locator("[data-part=scale]")).to_have_text("10 mm")
    box = page.locator("[data-part=scale]").bounding_box()
    stage = page.locator("[data-part=canvas]").bounding_box()
    assert box["x"] + box["width"] < stage["x"] + 320
    assert box["y"] + box["height"] < stage["y"] + 320
    expect(page.get_by_label("slices a second")).to_have_value("25")
    a_region_has_its_own_scale(page)
    page.goto(f"{live.url}/dicom/series/{DICOMSeries.objects.get(modality='XA').pk}/")
    what_is_sought_beyond_the_end_says_why(page)
    page.goto(f"{live.url}/dicom/series/{DICOMSeries.objects.get(modality='DX').pk}/")
    expect(page.locator("[data-part=scale]")).to_have_text("20 mm at the detector")
    words_of_a_short_scale_are_all_seen(page)
    assert page.locator("[data-part=left]").inner_text() == ""
    drag_a_distance(page, (100, 100), (130, 140))
    expect(length(page)).to_have_text("5.0 mm at the detector")
    expect(page.get_by_role("button", name="Play")).to_be_hidden()
    assert [one for one in console_errors if "409 (Conflict)" not in one] == []
    console_errors.clear()  # the browser says of a series that has changed, or does not


# From the stage's right side to the words' right end.
BESIDE_WORDS = """() => {
  const [scale, canvas] = ["scale", "canvas"].map((part) => document.querySelector(`[data-part=${part}]`));
  const words = document.createRange();
  words.selectNodeContents(scale);
  const { left, right, width } = words.getBoundingClientRect();
  const stage = canvas.getBoundingClientRect();
  return { from: left - stage.left, to: stage.right - right, isLonger: width > scale.clientWidth };
}"""  # noqa: E501


def words_of_a_short_scale_are_all_seen(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    wait_until(lambda: page.evaluate(BESIDE_WORDS)["isLonger"], "a scale shorter than its words")
    seen = page.evaluate(BESIDE_WORDS)
    assert seen["to"] >= 10
    assert seen["from"] >= 10
    page.set_viewport_size({"width": 1280, "height": 800})


def a_stack_is_chosen(page: Page) -> None:
    stack = page.locator("[data-part=stack]")
    names = page.locator("[data-part=stack] option").all_text_contents()
    assert names == ["Echo 1, 4.6 ms, 11 slices", "Echo 2, 9.2 ms, 12 slices"]
    expect(place(page)).to_have_text("7 of 12 · z 6 mm")  # of the longest
    stack.select_option("Echo 1, 4.6 ms, 11 slices")
    expect(place(page)).to_have_text("6 of 11 · z 6 mm")
    canvas = page.locator("[data-part=canvas]")
    canvas.press("End")
    expect(place(page)).to_have_text("11 of 11 · z 11 mm")
    canvas.press(".")
    expect(stack).to_have_value("1")
    expect(place(page)).to_have_text("12 of 12")  # whose file is not there
    canvas.press("Home")
    canvas.press(",")
    expect(place(page)).to_have_text("1 of 11 · z 0 mm")


HOW_FAR_BELOW = """() => {
    const [canvas, play] = ["canvas", "play"].map((part) =>
        document.querySelector(`[data-part=${part}]`).getBoundingClientRect());
    return Math.round(play.top - canvas.top);
}"""


def a_gap_is_marked(page: Page) -> None:
    expect(page.locator(".viewer-mark-gap")).to_have_count(1)
    expect(page.locator(".viewer-mark-key")).to_have_count(1)
    page.get_by_role("link", name="1 slice of 1 mm is missing").click()
    expect(place(page)).to_have_text("5 of 11 · z 4 mm")
    canvas, note = page.locator("[data-part=canvas]"), page.locator("[data-part=note]")
    expect(note).to_have_text("1 slice missing behind it")
    there = page.evaluate(HOW_FAR_BELOW)
    canvas.press("ArrowDown")
    expect(note).to_be_hidden()
    assert page.evaluate(HOW_FAR_BELOW) == there  # where Pause is while slices are played
    canvas.press("End")
    expect(note).to_have_text("Key object: Of Interest")
    assert page.evaluate(HOW_FAR_BELOW) == there


ARE_PAINTED = """() => [...document.querySelectorAll(".strip canvas")].every((canvas) => {
    const [, , , opaque] = canvas.getContext("2d").getImageData(64, 64, 1, 1).data;
    return opaque === 255;
})"""


def small_pictures_lead_to_slices(page: Page) -> None:
    small = page.locator(".strip button")
    expect(small).to_have_count(8)  # of 11
    wait_until(lambda: page.evaluate(ARE_PAINTED), "the small pictures")
    small.nth(2).click()
    expect(place(page)).to_have_text("4 of 11 · z 3 mm")
    expect(small.nth(2)).to_have_attribute("aria-current", "true")
    expect(page.locator(".strip [aria-current]")).to_have_count(1)


def slices_are_played(page: Page) -> None:
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # not by itself
    page.get_by_label("slices a second").fill("40")
    page.locator("[data-part=canvas]").press("End")
    page.locator("[data-part=canvas]").press(" ")
    pause = page.get_by_role("button", name="Pause")
    expect(place(page)).to_have_text(re.compile("^[1-5] of 11"))  # from the first again
    pause.click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def what_is_seen_is_saved(page: Page, series: int) -> None:
    page.locator("[data-part=canvas]").press("Home")
    expect(place(page)).to_have_text("1 of 11 · z 0 mm")
    for is_named in (False, True):
        page.get_by_label("with name and ID").set_checked(is_named)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save PNG").click()
        assert download.value.suggested_filename == f"picture-{series}-stack-1-1.png"
        picture = imagecodecs.png_decode(download.value.path().read_bytes())
        assert picture.shape[:2] == (CANVAS, CANVAS)
        assert (picture[590:640, :150] > 250).any()  # what it is not for
        assert (picture[:40, :150] > 250).any() == is_named


LAID_OVER = """async () => {
  const { viewer } = await import(document.querySelector("script[src*=picture]").src);
  window.drawn = 0;
  viewer.addLayer({
    draw(stage) {
      window.drawn++;
      stage.wash().fillRect(1, 0, 1, 1);
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", "M1,2H3V4");
      stage.group(this).replaceChildren(path);
    },
    told: (stage, point) => point.map((one) => one.toFixed(2)).join("/"),
  });
}"""
OVER = """() => {
  const canvas = document.querySelector(".viewer-over");
  const { data } = canvas.getContext("2d").getImageData(0, 0, 3, 1);
  const { width } = canvas.getBoundingClientRect();
  return [canvas.width, canvas.height, width, data[3], data[7], data[11]];
}"""

PLACE = """() => {
  const [path, stage] = [".viewer-lines path", ".viewer-canvas"].map((one) =>
    document.querySelector(one).getBoundingClientRect());
  return [path.x - stage.x, path.y - stage.y, path.width];
}"""


def what_lies_over_a_picture_moves_with_it(page: Page) -> None:
    canvas = page.locator("[data-part=canvas]")
    page.evaluate(LAID_OVER)
    path = page.locator(".viewer-lines path")
    expect(path).to_be_visible()
    lies_at(page, 10, 20, 20)
    assert page.evaluate(OVER) == [64, 64, 640, 0, 255, 0]
    canvas.press("+")
    canvas.press("Shift+ArrowUp")
    lies_at(page, 1 * 12.5 - 80, 2 * 12.5 - 80 + 40, 25)
    canvas.hover(position={"x": 12.5 * 10.4 - 80, "y": 12.5 * 8.4 - 80 + 40})
    said = page.locator("[data-part=value]")
    expect(said).to_contain_text(" column 11, row 9 · ")
    expect(said).to_contain_text(re.compile(" · 9.90/7.90$"))
    assert page.evaluate("window.drawn") == 1  # though the picture lies elsewhere
    canvas.press("ArrowDown")
    page.wait_for_function("() => window.drawn === 2")
    canvas.press("f")


def lies_at(page: Page, *wanted: float) -> None:
    """In the next frame, or the one after."""
    is_there = f"(wanted) => ({PLACE})().every((one, n) => Math.abs(one - wanted[n]) <= 0.5)"
    page.wait_for_function(is_there, arg=[*wanted])


def drag_a_distance(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """With a pointer, from and to places of the canvas."""
    page.get_by_label("Dragging changes").select_option("a distance")
    page.locator("[data-part=canvas]").hover(position={"x": start[0], "y": start[1]})
    page.mouse.down()
    page.locator("[data-part=canvas]").hover(position={"x": end[0], "y": end[1]}, force=True)
    page.mouse.up()


def length(page: Page):
    return page.locator(".viewer-length")


def a_distance_is_measured(page: Page) -> None:
    canvas = page.locator("[data-part=canvas]")
    expect(place(page)).to_have_text("2 of 11 · z 1 mm")
    drag_a_distance(page, (105, 105), (405, 505))
    expect(length(page)).to_have_text("50.0 mm")
    line = page.locator(".viewer-measured")
    ends = [float(one) for one in re.findall(r"[\d.]+", line.get_attribute("d"))]
    assert ends == pytest.approx([10.5, 10.5, 40.5, 50.5], abs=0.1)
    canvas.press("ArrowDown")
    expect(length(page)).to_be_hidden()
    canvas.press("d")
    canvas.press("d")  # it is chosen: a line by keyboard
    expect(length(page)).to_be_focused()
    expect(line).to_have_attribute("d", "M24.5,32.5L40.5,32.5")
    for key in ("ArrowRight", "Shift+ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    expect(length(page)).to_have_text("18.0 mm")
    assert length(page).get_attribute("aria-valuetext") == "18.0 mm"
    page.keyboard.press("Escape")
    expect(length(page)).to_be_hidden()
    expect(canvas).to_be_focused()
    expect(place(page)).to_have_text("3 of 11 · z 2 mm")


def a_region_has_its_own_scale(page: Page) -> None:
    drag_a_distance(page, (105, 105), (205, 105))
    expect(length(page)).to_have_text("10.0 mm")
    drag_a_distance(page, (105, 105), (405, 105))
    expect(length(page)).to_have_text("no length here")


CLINICAL = """async () => {
  const { viewer } = await import(document.querySelector("script[src*=picture]").src);
  const layer = viewer.layers.at(-1);
  layer.isClinical = true;
  layer.named = () => "Of one beam";
  layer.draw = (stage) => {
    stage.wash().fillStyle = "#0f0";
    stage.wash().fillRect(32, 0, 1, 64);
    const group = stage.group(layer);
    group.style.opacity = 0.5;
    const [path] = group.children;
    path.setAttribute("d", "M0,32.5H64");
    path.style.stroke = "#f00";
    path.style.strokeWidth = "4px";
  };
  viewer.redraw();
}"""


def what_is_sought_beyond_the_end_says_why(page: Page) -> None:
    """Also where that is sought before an answer has come: all of it is about the slice before."""
    why = page.locator("[data-part=why]")
    expect(why).to_have_text("The file ends before this picture does.")
    held: list[Route] = []
    page.route("**/pictures/?**", lambda one: one.continue_() if held else held.append(one))
    page.reload()
    expect(place(page)).to_have_text("11 of 20 · loading")
    while not held:
        page.wait_for_timeout(10)
    page.locator("[data-part=canvas]").press("ArrowDown")
    held[0].continue_()
    expect(place(page)).to_have_text("12 of 20")
    expect(why).to_have_text("The file ends before this picture does.")
    expect(page.locator("[data-part=loaded]")).to_have_text("")  # there is no more
    page.unroute("**/pictures/?**")


def what_lies_over_a_picture_is_saved(page: Page) -> None:
    clinical = page.get_by_text("Not for clinical use")
    expect(clinical.filter(visible=True)).to_have_count(0)
    page.evaluate(CLINICAL)
    expect(clinical.filter(visible=True)).to_have_count(2)  # in the title's line, at the picture
    page.get_by_label("with name and ID").uncheck()
    page.evaluate("delete Element.prototype.checkVisibility")  # as Safari before 17.4
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    picture = imagecodecs.png_decode(download.value.path().read_bytes()).astype(int)
    grey = picture[200, 200, 0]
    assert picture[200, [310, 325, 340]].tolist() == [[grey] * 3, [0, 255, 0], [grey] * 3]
    half = (grey + 255) // 2, grey // 2
    rows = picture[[322, 323, 325, 326, 327], 200]
    assert np.abs(rows[[0, 4]] - grey).max() == 0
    assert np.abs(rows[1:4] - [half[0], half[1], half[1]]).max() <= 2
    assert (picture[575:640, :150] > 250).any()
    assert (picture[600:618, 8:90] > 250).any()  # what is named


def a_failure_in_passing_is_asked_for_again(page: Page, path: Path) -> None:
    page.locator("[data-part=stack]").select_option("Echo 2, 9.2 ms, 12 slices")
    page.locator("[data-part=canvas]").press("End")
    why = page.locator("[data-part=why]")
    expect(why).to_contain_text("Its file cannot be read")
    expect(page.get_by_role("link", name="Download the object")).to_have_attribute(
        "href", re.compile(r"/dicom/objects/\d+/download/")
    )
    path.with_suffix(".away").rename(path)
    page.get_by_role("button", name="Try again").click()
    expect(why).to_be_hidden()
    expect(place(page)).to_have_text("12 of 12 · z 11 mm")


def on_a_slow_line_less_comes_first(page: Page) -> None:
    page.evaluate("() => sessionStorage.setItem('icon-line-speed', '8000000')")
    asked: list[str] = []
    page.on("request", lambda one: "pictures/?" in one.url and asked.append(one.url))
    page.reload()
    expect(place(page)).to_have_text("7 of 12 · z 6 mm")
    expect(page.locator("[data-part=loaded]")).to_have_text("")
    expect(page.get_by_role("button", name="Save PNG")).to_be_enabled()  # all of it is there
    assert asked[0].endswith("from=17&first=15&last=19&step=4")
    assert not any("step" in one for one in asked[1:])
    whole = re.compile(r"pictures/\?(?!.*step)")
    page.route(whole, lambda _: None)  # it does not come
    page.reload()
    so_far = re.compile("^every fourth row and column so far · [1-5] of 12 loaded$")
    expect(page.locator("[data-part=loaded]")).to_have_text(so_far)
    page.unroute(whole)


def what_has_no_room_is_not_asked_for_again(page: Page) -> None:
    """Though there is room for two slices alone."""

    def with_less_room(route: Route) -> None:
        response = route.fetch()
        script = response.text()
        assert "256 << 20" in script
        route.fulfill(response=response, body=script.replace("256 << 20", ROOM))

    page.evaluate("() => sessionStorage.clear()")
    page.context.route("**/worker*.js", with_less_room)
    asked: list[str] = []
    page.on("request", lambda one: "pictures/?" in one.url and asked.append(one.url))
    page.reload()
    expect(place(page)).to_have_text("7 of 12 · z 6 mm")
    expect(page.locator("[data-part=loaded]")).to_have_text(re.compile("^[12] of 12 loaded$"))
    page.locator("[data-part=canvas]").press("Home")
    expect(place(page)).to_have_text("1 of 12 · z 0 mm")
    page.locator("[data-part=canvas]").press("End")
    expect(place(page)).to_have_text("12 of 12 · z 11 mm")
    expect(page.locator("[data-part=loaded]")).to_have_text(re.compile("^[12] of 12 loaded$"))
    assert len(asked) <= 8
    page.context.unroute("**/worker*.js")


def a_series_that_has_changed_is_to_be_reloaded(page: Page, series: DICOMSeries) -> None:
    DICOMSeries.objects.filter(pk=series.pk).update(changes=F("changes") + 1)
    page.locator("[data-part=canvas]").press(",")  # to a stack that has not come
    why = page.locator("[data-part=why]")
    expect(why).to_have_text("The series has changed: reload the page.")
    page.reload()
    expect(place(page)).to_have_text("7 of 12 · z 6 mm")
    expect(why).to_be_hidden()
