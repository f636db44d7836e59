"""A series in three planes: what somebody points at in one is under the crosshair in the others."""

import re
from itertools import pairwise, product
from typing import Any

import imagecodecs
import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from app.models import DICOMInstance, DICOMSeries
from tests.conftest import wait_until
from tests.making.objects import contour, ct_image, roi, rt_structure_set, uid
from tests.making.pictures import attributes_of

from .test_browser import serious_findings
from .test_pictures import wait_for_a_frame

COLUMNS, ROWS, SLICES = 40, 32, 12
SPACE = 40  # px: more than is between parts of a page
# By hand: the centre of voxel (i, j, k) lies at x = i - 20, y = 0.8 j - 12, z = 2 k + 50.
VOXEL = 30, 5, 9
# Of stage, where that voxel is seen, as SVG has it: an axial pixel is 1 mm wide and 0.8 high.
SEEN = [
    (30.5, 5.5),  # in its slice
    (30.5, 5.0),  # coronal: 24 rows of 1 mm, from z 72.5 down, and z is 68
    (5.5, 6.25),  # sagittal: 30 rows of 0.8 mm, from z 72.6 down
]
CENTRE = """(n) => {
  const [, path] = document.querySelectorAll(".viewer-stage")[n].querySelectorAll("path");
  const [, y] = /^M0 ([\\d.]+)H/.exec(path.getAttribute("d"));
  const [, x] = /M([\\d.]+) 0V/.exec(path.getAttribute("d"));
  return [Number(x), Number(y)];
}"""
# A place of a stage's picture on the page, from what lies over it.
ON_PAGE = """([n, x, y]) => {
  const lines = document.querySelectorAll(".viewer-lines")[n];
  const { left, top, width, height } = lines.getBoundingClientRect();
  const [, , columns, rows] = lines.getAttribute("viewBox").split(" ").map(Number);
  return [left + (x / columns) * width, top + (y / rows) * height];
}"""
GREY = """([n, x, y]) => {
  const canvas = document.querySelectorAll(".viewer-canvas")[n];
  const { left, top, width } = canvas.getBoundingClientRect();
  const at = [x - left, y - top].map((one) => Math.floor((one * canvas.width) / width));
  return canvas.getContext("2d").getImageData(...at, 1, 1).data[0];
}"""


# The corners of what is drawn for a structure, as SVG has them.
OUTLINED = """(n) => {
  const paths = document.querySelectorAll(".viewer-lines")[n].querySelectorAll("path");
  const isDrawn = (one) => !one.closest(".viewer-crosshair") && one.getAttribute("d");
  return [...paths].filter(isDrawn).flatMap((one) => {
    const each = one.getTotalLength() / 2000;
    const at = Array.from({ length: 2001 }, (_, part) => one.getPointAtLength(part * each));
    return at.map(({ x, y }) => [x, y]);
  });
}"""


def value(i: float, j: float, k: float) -> float:
    return 2 * i + 3 * j + 10 * k


def slice_of(k: int, **keywords: Any) -> bytes:
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    frame = value(columns, rows, k).astype(np.int16)
    own = attributes_of(frame) | {
        "PixelData": frame.tobytes(),
        "SOPInstanceUID": uid(2, 1, k),
        "InstanceNumber": str(k),
        "ImagePositionPatient": ["-20", "-12", str(50 + 2 * k)],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": ["0.8", "1"],
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RescaleType": "HU",
        "WindowCenter": ["150", "500"],
        "WindowWidth": ["300", "1000"],
    }
    return ct_image(**(own | keywords))


@pytest.fixture
def opened(signed_in, live, import_zip):
    """The page of a series of such slices, with its button for three planes."""

    def open_(*others: bytes, slices: range = range(SLICES)) -> Page:
        import_zip(*map(slice_of, slices), *others)
        series = DICOMSeries.objects.get(modality="CT")
        signed_in.emulate_media(reduced_motion="reduce")  # pages scroll at once
        signed_in.goto(f"{live.url}/dicom/series/{series.pk}/")
        return signed_in

    return open_


def part(page: Page, name: str):
    return page.locator(f"#viewer [data-part={name}]").first


def stage(page: Page, number: int):
    return page.locator(".viewer-stage").nth(number)


def point_at(page: Page, number: int, x: float, y: float) -> list[float]:
    at = page.evaluate(ON_PAGE, [number, x, y])
    page.mouse.move(*at)
    return at


def names(page: Page):
    return page.locator(".viewer-stage [data-part=name]")


def test_what_is_pointed_at_in_one_plane_is_found_in_the_others(opened):
    page = opened()
    page.get_by_role("button", name="Three planes (30.7 kB)").click()
    expect(part(page, "point")).to_have_text("x 0.0, y 0.8, z 62.0 mm")
    expect(names(page)).to_have_text(["Axial 7 of 12", "Coronal 17 of 32", "Sagittal 21 of 40"])
    boxes = [stage(page, n).bounding_box() for n in range(3)]
    assert len({round(box["y"]) for box in boxes}) == 1
    assert {round(box["width"] - box["height"]) for box in boxes} == {0}
    letters = [[stage(page, n).locator(f"[data-part={edge}]").inner_text()
                for edge in ("left", "top")] for n in range(3)]  # fmt: skip
    assert letters == [["R", "A"], ["R", "H"], ["A", "H"]]
    every_stage_has_the_voxel_that_is_clicked(page)
    the_crosshair_is_dragged_in_any_plane(page)
    keys_move_the_plane_that_has_the_focus(page)
    one_window_is_for_all(page)
    a_distance_is_measured_in_any_plane(page)
    all_planes_are_saved(page)
    page.keyboard.press("Escape")
    expect(page.locator(".viewer-stage")).to_have_count(1)
    expect(page.get_by_role("button", name="Three planes (30.7 kB)")).to_be_enabled()
    expect(part(page, "drags")).to_have_value("window")
    expect(page.locator(".viewer-crosshair")).to_have_count(0)


def every_stage_has_the_voxel_that_is_clicked(page: Page) -> None:
    i, j, _ = VOXEL
    stage(page, 0).locator("canvas").first.press("End")
    stage(page, 0).locator("canvas").first.press("ArrowUp")
    stage(page, 0).locator("canvas").first.press("ArrowUp")
    page.mouse.click(*point_at(page, 0, i + 0.9, j + 0.1))
    expect(part(page, "point")).to_have_text("x 10.0, y -8.0, z 68.0 mm")
    expect(part(page, "place")).to_have_text("10 of 12 · z 68 mm")
    expect(names(page)).to_have_text(["Axial 10 of 12", "Coronal 6 of 32", "Sagittal 31 of 40"])
    wait_for_a_frame(page)
    np.testing.assert_allclose([page.evaluate(CENTRE, n) for n in range(3)], SEEN)
    # Of the pixel that lies there: its centre may lie elsewhere along z.
    for number, z in ((0, 68), (1, 68.5), (2, 67.8)):
        x, y = SEEN[number]
        at = point_at(page, number, x, y - 0.1 * (number == 1))
        wanted = round(value(i, j, (z - 50) / 2))
        said = re.compile(rf"^{wanted} HU.* 10\.0, -8\.0, {z:.1f} mm$")
        expect(part(page, "value")).to_have_text(said)
        # Of a window from 0 to 300; smoothed where a pixel of the picture takes several.
        assert abs(page.evaluate(GREY, [number, *at]) - wanted / 299 * 255) <= 4
    page.get_by_role("button", name="Crosshair").click()
    expect(page.locator(".viewer-crosshair:not([hidden])")).to_have_count(0)
    page.get_by_role("button", name="Crosshair").click()


def the_crosshair_is_dragged_in_any_plane(page: Page) -> None:
    point_at(page, 1, *SEEN[1])
    page.mouse.down()
    point_at(page, 1, 3.5, 24 - 0.5)  # beyond the last slice, where it still is seen
    page.mouse.up()
    expect(part(page, "point")).to_have_text("x -17.0, y -8.0, z 50.0 mm")
    expect(part(page, "place")).to_have_text("1 of 12 · z 50 mm")
    page.mouse.click(*point_at(page, 2, 31.5, 30 - 6.25))
    expect(part(page, "point")).to_have_text("x -17.0, y 12.8, z 54.0 mm")


def keys_move_the_plane_that_has_the_focus(page: Page) -> None:
    sagittal = page.get_by_role("img", name="Sagittal plane")
    for key, number in (("Home", 1), ("ArrowDown", 2), ("PageDown", 12), ("End", 40)):
        sagittal.press(key)
        expect(stage(page, 2).locator("[data-part=name]")).to_have_text(f"Sagittal {number} of 40")
    expect(part(page, "point")).to_have_text("x 19.0, y 12.8, z 54.0 mm")
    stage(page, 1).hover()
    page.mouse.wheel(0, -120)
    expect(stage(page, 1).locator("[data-part=name]")).to_have_text("Coronal 31 of 32")
    part(page, "slider").fill("5")
    expect(part(page, "point")).to_have_text("x 19.0, y 12.0, z 60.0 mm")


def one_window_is_for_all(page: Page) -> None:
    wait_for_a_frame(page)
    before = [shown(page, number) for number in range(3)]
    page.get_by_role("img", name="Coronal plane").press("2")
    expect(part(page, "center")).to_have_value("500")
    wait_for_a_frame(page)
    after = [shown(page, number) for number in range(3)]
    assert all(one > other > 0 for one, other in zip(before, after, strict=True))


def a_distance_is_measured_in_any_plane(page: Page) -> None:
    page.get_by_label("Dragging changes").select_option("a distance")
    # Of 3 times 1 and 5 times 0.8 mm, and of 3 times and 4 times 0.8 mm.
    for number, end, words in ((0, (13.5, 10.5), "5.0 mm"), (2, (13.5, 9.5), "4.0 mm")):
        point_at(page, number, 10.5, 5.5)
        page.mouse.down()
        point_at(page, number, *end)
        page.mouse.up()
        expect(stage(page, number).locator(".viewer-length")).to_have_text(words)
    expect(page.locator(".viewer-length").filter(visible=True)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".viewer-length").filter(visible=True)).to_have_count(0)
    expect(names(page).nth(2)).to_be_visible()
    page.get_by_label("Dragging changes").select_option("the crosshair")


def all_planes_are_saved(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename.endswith("-planes.png")
    picture = imagecodecs.png_decode(download.value.path().read_bytes())
    sides = [round(stage(page, n).bounding_box()["width"]) for n in range(3)]
    assert picture.shape[:2] == (sides[0], sum(sides))
    for number in range(3):
        box = stage(page, number).bounding_box()
        x, y = page.evaluate(ON_PAGE, [number, 3.5, 3.5])
        left = sum(sides[:number]) + x - box["x"]
        seen = picture[int(y - box["y"]), int(left), 0]
        assert abs(int(seen) - page.evaluate(GREY, [number, x, y])) <= 1


def shown(page: Page, number: int) -> int:
    x, y = page.evaluate(ON_PAGE, [number, 12.5, 12.5])
    return page.evaluate(GREY, [number, x, y])


def test_nothing_is_empty_below_planes(opened):
    page = opened(a_box())
    page.get_by_role("button", name=re.compile("^Three planes")).click()
    expect(names(page)).to_have_count(3)
    (_, planes), (_, help_), strip, below, over, facts, side = ends_of(page)
    assert 0 < below[0] - planes < SPACE > strip[0] - help_ > 0
    assert strip[1] <= below[1]
    assert 0 < facts[0] - below[1] < SPACE > side[0] - over[1] > 0
    page.get_by_label("Structure set").select_option(index=1)
    expect(page.get_by_role("button", name="Box", exact=True)).to_be_visible()
    _, _, _, below, over, facts, side = ends_of(page)
    assert 0 < facts[0] - below[1] < SPACE > side[0] - max(over[1], below[1]) > 0
    page.set_viewport_size({"width": 1000, "height": 800})
    planes, _, _, *others = ends_of(page)
    for one, after in pairwise((planes, *others)):
        assert 0 <= after[0] - one[1] < SPACE


def ends_of(page: Page) -> list[tuple[float, float]]:
    """Where parts of the page begin and end, from above."""
    parts = (".viewer-stages", ".viewer-help", "#strip", ".viewer-below", "#over")
    facts, side = ".side-box:has(#facts-heading)", ".side"
    boxes = [page.locator(one).bounding_box() for one in (*parts, facts, side)]
    return [(box["y"], box["y"] + box["height"]) for box in boxes]


@pytest.mark.long
def test_planes_wait_for_all_slices_and_say_why_they_cannot_be(
    opened, processed_root, console_errors
):
    coronal = {"ImageOrientationPatient": ["1", "0", "0", "0", "0", "-1"]}
    page = opened(
        a_box(),
        *(
            slice_of(100 + n, **coronal, ImagePositionPatient=["0", str(y), "0"])
            for n, y in enumerate((0, 2, 4, 9))
        ),
    )
    button = page.get_by_role("button", name=re.compile("^Three planes"))
    the_page_is_for_everybody(page, button)
    a_structure_is_found_in_all_planes(page, button)
    fingers_move_the_crosshair(page, button)
    planes_come_though_there_is_room_for_few_slices(page, button)
    another_stack_ends_them(page, button)
    somebody_cancels_it_in_between(page, button)
    (processed_root / DICOMInstance.objects.get(instance_number=3).path).unlink()
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.reload()
    button.click()
    expect(part(page, "planes-words")).to_have_text(
        re.compile("^Slice 4 has no picture, so there are no planes: Its file cannot be read.")
    )
    expect(button).to_be_enabled()  # it may be there again
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def the_page_is_for_everybody(page: Page, button: Any) -> None:
    for width, scheme in product((390, 1280), ("dark", "light")):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        assert serious_findings(page) == []
        button.press("Enter")
        expect(names(page)).to_have_text(["Axial 7 of 12", "Coronal 17 of 32", "Sagittal 21 of 40"])
        assert page.evaluate("document.documentElement.scrollWidth") == width
        boxes = [stage(page, n).bounding_box() for n in range(3)]
        assert len({round(box["x"]) for box in boxes}) == (1 if width == 390 else 3)
        assert serious_findings(page) == []
        page.get_by_role("button", name="Back to the slices").press("Enter")
        expect(button).to_be_focused()


def a_box() -> bytes:
    """A structure: x from 4 to 12, y from -6.4 to 1.6, on the slices at z from 56 to 66."""
    corners = ((4, -6.4), (12, -6.4), (12, 1.6), (4, 1.6))
    squares = [
        contour(*(one for x, y in corners for one in (x, y, 50 + 2 * k)), sop=uid(2, 1, k))
        for k in range(3, 9)
    ]
    return rt_structure_set([roi(1, "Box", *squares)])


def a_structure_is_found_in_all_planes(page: Page, button: Any) -> None:
    """By its name; and where planes cut it, in mm from the corner of the picture."""
    page.reload()
    button.click()
    page.get_by_label("Structure set").select_option(index=1)
    page.get_by_role("button", name="Box", exact=True).click()
    expect(part(page, "point")).to_have_text("x 8.0, y -2.4, z 62.0 mm")
    expect(names(page)).to_have_text(["Axial 7 of 12", "Coronal 13 of 32", "Sagittal 29 of 40"])
    wait_for_a_frame(page)
    # Half a slice beyond the first and the last, at z 67 and 55.
    for number, (x, y) in enumerate([
        ((24.5, 32.5), (7.5, 17.5)),
        ((24.5, 32.5), (6.0, 18.0)),
        ((7.5, 17.5), (7.5, 22.5)),
    ]):  # fmt: skip
        found = np.array(page.evaluate(OUTLINED, number))
        np.testing.assert_allclose([found.min(0), found.max(0)], np.transpose([x, y]), atol=0.02)
    page.get_by_label("Structure set").select_option(index=0)  # else a reload leads to it again
    expect(page.get_by_role("button", name="Box", exact=True)).to_be_hidden()


def fingers_move_the_crosshair(page: Page, button: Any) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    button.click()
    expect(part(page, "drags")).to_have_value("crosshair")
    coronal = page.get_by_role("img", name="Coronal plane")
    coronal.scroll_into_view_if_needed()
    start, end = (page.evaluate(ON_PAGE, [1, x, y]) for x, y in ((10.5, 12.5), (30.5, 5)))
    touch(devtools, [start], [end])
    expect(part(page, "point")).to_have_text("x 10.0, y 0.8, z 68.0 mm")
    before = stage(page, 1).locator("svg").bounding_box()["width"]
    x, y = page.evaluate(ON_PAGE, [1, 20, 12])
    near, far = ([[x - by, y], [x + by, y]] for by in (20, 60))
    touch(devtools, near, far)
    wait_until(lambda: widths(page)[1] > 1.5 * before, "the picture to be larger")
    assert {widths(page)[0], widths(page)[2]} == {before}
    expect(part(page, "point")).to_have_text(re.compile("^x "))
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(stage(page, 1).locator("svg")).to_have_css("width", f"{before:g}px")
    page.get_by_role("button", name="Back to the slices").click()
    expect(part(page, "drags")).to_have_value("slices")
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.set_viewport_size({"width": 1280, "height": 800})


def widths(page: Page) -> list[float]:
    return [stage(page, n).locator("svg").bounding_box()["width"] for n in range(3)]


def touch(devtools: Any, start: list[Any], end: list[Any]) -> None:
    for kind, fingers in (("touchStart", start), ("touchMove", end), ("touchEnd", [])):
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(fingers)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def planes_come_though_there_is_room_for_few_slices(page: Page, button: Any) -> None:
    """The worker keeps two slices; the planes keep all, and let them go at the end."""

    def with_less_room(route: Route) -> None:
        response = route.fetch()
        script = response.text()
        assert "256 << 20" in script
        route.fulfill(response=response, body=script.replace("256 << 20", "3000"))

    page.context.route("**/worker*.js", with_less_room)
    page.reload()
    button.click()
    expect(names(page)).to_have_text(["Axial 7 of 12", "Coronal 17 of 32", "Sagittal 21 of 40"])
    first = stage(page, 0).locator("canvas").first
    for key, z in (("Home", 50), ("End", 72)):
        first.press(key)
        expect(part(page, "place")).to_have_text(re.compile(f"z {z} mm$"))
    first.press("Escape")
    first.press("Home")
    expect(part(page, "place")).to_have_text("1 of 12 · z 50 mm")
    page.context.unroute("**/worker*.js")


def another_stack_ends_them(page: Page, button: Any) -> None:
    page.reload()
    button.click()
    expect(names(page)).to_have_count(3)
    stage(page, 1).locator("canvas").first.press(".")
    expect(names(page)).to_have_count(1)
    expect(button).to_be_disabled()
    expect(part(page, "planes-words")).to_have_text("The slices are not evenly spaced: 2 to 5 mm.")
    stage(page, 0).locator("canvas").first.press(",")
    expect(button).to_be_enabled()
    expect(part(page, "planes-words")).to_have_text("")


def somebody_cancels_it_in_between(page: Page, button: Any) -> None:
    """While all pictures but the first are on their way."""
    held: list[Route] = []

    def but_for_one(route: Route) -> None:
        if "from=6&" not in route.request.url:
            held.append(route)
        else:
            address = re.sub(r"first=\d+&last=\d+", "first=6&last=6", route.request.url)
            route.continue_(url=address)

    page.context.route("**/pictures/?*", but_for_one)
    page.reload()
    for way_out in ("Cancel", "Escape", "another stack"):
        button.click()
        expect(part(page, "planes-came")).to_have_text("1 of 12 slices")
        expect(button).to_be_disabled()
        if way_out == "Cancel":
            page.get_by_role("button", name="Cancel").click()
        else:
            first = stage(page, 0).locator("canvas").first
            first.press("Escape" if way_out == "Escape" else ".")
        expect(part(page, "planes-came")).to_be_empty()
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert held
    page.context.unroute("**/pictures/?*")
