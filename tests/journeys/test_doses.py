"""Doses and masks over a series' pictures, as somebody chooses them; read back from the page."""

import re
from itertools import combinations

import numpy as np
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Page, expect

from app.models import DICOMSeries
from tests.making.drawn import HFS, rt_dose, segment, segmentation
from tests.making.objects import contour, ct_image, roi, rt_structure_set, uid
from tests.making.pictures import attributes_of

from .test_browser import serious_findings
from .test_outlines import row_of, square
from .test_pictures import wait_for_a_frame

SIDE, EACH = 32, 2.0  # pixels, mm
FIRST = (-31.0, -29.0)  # x and y of the first pixel
HEIGHTS = (0.0, 3.0, 6.0, 40.0, 9.0)  # of slices: the last but one is above the dose,
STRANGE = 9.0  # and that one lies in another frame of reference
BLOCK = (0.0, 3.0, 6.0, 9.0, 12.0)  # of slices that planes are cut across
READ = """() => {
  const over = document.querySelector("[data-part=over]");
  const { width, height } = over;
  const { data } = over.getContext("2d").getImageData(0, 0, width, height);
  return {
    isHidden: over.hidden,
    alphas: over.hidden ? [] : [...data].filter((_, at) => at % 4 === 3),
    paths: [...document.querySelectorAll("[data-part=lines] .isodose")].map(
      (one) => one.getAttribute("d") ?? ""),
    label: document.querySelector(".viewer-dose")?.textContent,
  };
}"""


def slices(series: int = 1, heights: tuple[float, ...] = HEIGHTS) -> list[bytes]:
    frame = np.full((SIDE, SIDE), 900, np.int16)
    return [
        ct_image(
            SOPInstanceUID=uid(2, series, n), SeriesInstanceUID=uid(2, series),
            InstanceNumber=str(n), PixelData=frame.tobytes(),
            PixelSpacing=[str(EACH)] * 2, ImagePositionPatient=[*map(str, (*FIRST, z))],
            **({"FrameOfReferenceUID": uid(5)} if z == STRANGE and heights == HEIGHTS else {}),
            **attributes_of(frame),
        )
        for n, z in enumerate(heights, 1)
    ]  # fmt: skip


def dose_at(x, y, z):
    return 30 + 0.5 * x + 0.25 * y + z


def doses() -> list[bytes]:
    """A plan's, which is linear; a relative difference of beams; misplaced and strange ones."""
    z, y, x = np.meshgrid(np.arange(-3, 13, 3), np.arange(-20, 21, 4), np.arange(-20, 21, 5),
                          indexing="ij")  # fmt: skip
    stored = np.rint(dose_at(x, y, z) * 1000).astype(np.uint32)
    lies = {"ImagePositionPatient": ["-20", "-20", "-3"], "PixelSpacing": ["4", "5"]}
    lies |= {"GridFrameOffsetVector": [str(3 * n) for n in range(len(stored))]}
    lies |= {"DoseGridScaling": "0.001"}
    beam = {"DoseUnits": "RELATIVE", "DoseType": "ERROR", "DoseSummationType": "BEAM"}
    lost = {"GridFrameOffsetVector": ["0", "NaN", *"23456"]}
    return [
        rt_dose(stored, **lies | {"SeriesDate": "20240304"}),
        rt_dose(stored.astype(np.int32) - 20_000, **lies | beam, SOPInstanceUID=uid(2, 6, 2)),
        rt_dose(stored, **lies | lost, SOPInstanceUID=uid(2, 6, 3)),
        rt_dose(
            stored,
            **lies,
            SOPInstanceUID=uid(2, 7, 1),
            SeriesInstanceUID=uid(2, 7),
            FrameOfReferenceUID=uid(5),
            SeriesDescription="Strange",
        ),
    ]


def masks() -> bytes:
    """Two segments: of the one two slices have a part, of the other one has none of it."""
    bits = np.zeros((SIDE, SIDE), np.uint8)
    small = bits.copy()
    bits[5:9, 7:20], small[7:12, 18:22] = 1, 1
    shared = {
        "PixelMeasuresSequence": [{"PixelSpacing": [str(EACH)] * 2}],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": [*map(str, HFS)]}],
    }
    found = [
        {"segment": number, "position": (*FIRST, z), "bits": one}
        for number, z, one in ((1, 3.0, bits), (1, 6.0, bits), (2, 3.0, small), (2, 77.0, small))
    ]
    named = [
        segment(1, "Tumour", RecommendedDisplayCIELabValue=[35_579, 53_664, 50_858]),
        segment(2, "<i>Edge</i>", RecommendedDisplayCIELabValue=[65_535, 32_896, 32_896]),
        segment(3, "Nowhere"),
    ]
    return segmentation(found, SegmentSequence=named, SharedFunctionalGroupsSequence=[shared])


def outlines() -> bytes:
    """A ROI around both segments, a small one in the first, and one without contours."""
    ring, seed = square((-5, -15, 3), 40), square((-15, -17, 3), 4)
    rois = [
        roi(number, name, *(contour(*(f"{one:g}" for one in found.ravel()), sop=uid(2, 1, 2)),))
        for number, name, found in ((1, "Ring", ring), (2, "Seed", seed))
    ]
    return rt_structure_set([roi(4, "Void"), *rois], StructureSetLabel="Thorax")


def test_a_dose_is_looked_at_over_the_images(signed_in, live, import_zip, console_errors):
    import_zip(*slices(), *slices(3, BLOCK), *doses(), masks(), outlines())
    page = signed_in
    series = {one.series_instance_uid: one.pk for one in DICOMSeries.objects.all()}
    page.goto(f"{live.url}/dicom/series/{series[uid(2, 1)]}/")
    choice, state = (
        page.get_by_role("combobox", name="Dose", exact=True),
        page.locator(".over-doses [data-over=said]"),
    )
    page.locator("canvas[data-part=canvas]").press("Home")
    choice.select_option(index=3)
    expect(page.get_by_label("Isodoses, in % of the grid's maximum")).to_be_visible()
    highest = dose_at(20, 20, 12)
    expect(page.locator("[data-dose=highest]")).to_have_text(
        f"{highest:.2f} Gy, the grid's maximum"
    )
    expect(page.locator("[data-dose=below]")).to_be_hidden()
    # It is asked for again where a slice lies elsewhere.
    expect(choice.locator("option")).to_have_count(5)
    expect(choice.locator("option").nth(4)).to_have_text("Strange")
    expect(choice).to_have_value(choice.locator("option").nth(3).get_attribute("value") or "")
    the_wash_lies_where_the_dose_is(page, 0.0, highest / 10)
    expect(page.locator(".viewer-warning")).to_have_text("Not for clinical use")
    expect(page.locator("#clinical")).to_be_visible()
    page.locator("[data-dose=threshold]").fill("40")
    page.get_by_label("Unit of the least dose").select_option("gray")
    expect(page.locator("[data-dose=threshold]")).to_have_value(f"{0.4 * highest:g}")
    page.locator("[data-dose=threshold]").fill("28.1")
    page.locator("canvas[data-part=canvas]").press("ArrowDown")
    the_wash_lies_where_the_dose_is(page, 3.0, 28.1)
    the_lines_lie_where_the_dose_is(page, 3.0, highest)
    the_lines_say_what_they_are(page, 3.0, highest)
    the_pointer_tells_the_dose(page, 3.0, highest)
    page.get_by_role("checkbox", name=re.compile("^50 %: ")).uncheck()
    page.wait_for_function(
        "() => !document.querySelectorAll('[data-part=lines] .isodose')[4].getAttribute('d')"
    )
    page.get_by_label("Isodoses, in % of the grid's maximum").uncheck()
    page.get_by_label("Colours", exact=True).uncheck()
    page.wait_for_function("() => document.querySelector('[data-part=over]').hidden")
    wait_for_a_frame(page)
    assert not any(page.evaluate(READ)["paths"])
    expect(page.locator(".viewer-label").filter(visible=True)).to_have_count(0)
    expect(page.get_by_role("checkbox", name=re.compile("^50 %: "))).to_be_disabled()
    page.get_by_label("Colours", exact=True).check()
    assert serious_findings(page) == []
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    where_it_does_not_belong_nothing_is_drawn(page, state)
    others_are_named_and_refused(page, choice, state)
    masks_lie_over_their_slices(page)
    structures_and_segments_are_one_list(page)
    console_errors.clear()
    page.goto(f"{live.url}/dicom/series/{series[uid(2, 3)]}/")
    it_lies_over_three_planes(page, highest)
    who_may_not_see_structures_has_the_segments(page)


def the_wash_lies_where_the_dose_is(page: Page, z: float, threshold: float) -> None:
    row, column = np.mgrid[:SIDE, :SIDE]
    x, y = FIRST[0] + EACH * column, FIRST[1] + EACH * row
    dose = dose_at(x, y, z)
    inside = (abs(x) <= 20) & (abs(y) <= 20)
    assert 0 < (inside & (dose < threshold)).sum() < inside.sum() or threshold < 10
    wanted = (inside & (dose >= threshold)).astype(int)
    page.wait_for_function(f"(wanted) => {{ const now = ({READ})(); return !now.isHidden && "
                           "now.alphas.map((one) => (one > 0 ? 1 : 0)).join('') === wanted; }",
                           arg="".join(map(str, wanted.ravel())))  # fmt: skip


def the_lines_lie_where_the_dose_is(page: Page, z: float, highest: float) -> None:
    paths = page.evaluate(READ)["paths"]
    assert [*map(bool, paths)] == [True, False, False, True, True, False, False]
    for percent, path in ((80, paths[3]), (50, paths[4])):
        points = np.array([[*map(float, one.split())] for one in re.split("[ML]", path)[1:]])
        column, row = points.T - 0.5
        dose = dose_at(FIRST[0] + EACH * column, FIRST[1] + EACH * row, z)
        a_pixel = EACH * np.hypot(0.5, 0.25)
        assert np.abs(dose - percent / 100 * highest).max() < 0.05 * a_pixel, percent
        assert np.ptp(points, axis=0).max() > 3


def the_lines_say_what_they_are(page: Page, z: float, highest: float) -> None:
    short, long = (page.evaluate(READ)["paths"][at] for at in (3, 4))
    assert length_of(short) * 640 / SIDE < 160 < length_of(long) * 640 / SIDE
    label = page.locator(".viewer-label").filter(visible=True)
    expect(label).to_have_text(["50 %"])
    left, top, colour = label.evaluate(
        "({ style: { left, top, color } }) => [parseFloat(left), parseFloat(top), color]"
    )
    column, row = np.array((left, top)) * SIDE / 640 - 0.5
    dose = dose_at(FIRST[0] + EACH * column, FIRST[1] + EACH * row, z)
    assert abs(dose - highest / 2) < 0.05 * EACH
    assert colour == "rgb(255, 95, 168)"
    page.set_viewport_size({"width": 220, "height": 800})  # where this one is short, too
    expect(label).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 720})
    expect(label).to_have_count(1)


def length_of(path: str) -> float:
    points = np.array([[*map(float, one.split())] for one in re.split("[ML]", path)[1:]])
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def the_pointer_tells_the_dose(page: Page, z: float, highest: float) -> None:
    at = 640 // SIDE
    column, row = 20, 12
    stage = page.locator("canvas[data-part=canvas]")
    x, y = FIRST[0] + EACH * column, FIRST[1] + EACH * row
    dose = dose_at(x, y, z)
    words = f"{dose:.2f} Gy ({100 * dose / highest:.1f} % of the grid's maximum)"
    # Wherever on a pixel: as its value, the dose is that of the place that is told with it.
    for part in (0.1, 0.5, 0.9):
        stage.hover(position={"x": at * (column + part), "y": at * (row + part)})
        expect(page.locator("[data-part=value]")).to_contain_text(words)
        expect(page.locator("[data-part=value]")).to_contain_text(f"{x:.1f}, {y:.1f}, {z:.1f} mm")
    stage.hover(position={"x": at * 2, "y": at * 2})
    expect(page.locator("[data-part=value]")).to_contain_text("no dose here")


def where_it_does_not_belong_nothing_is_drawn(page: Page, state) -> None:
    stage = page.locator("canvas[data-part=canvas]")
    stage.press("End")
    expect(state).to_have_text("The dose's grid does not reach this picture.")
    wait_for_a_frame(page)
    assert page.evaluate(READ) | {"label": ""} == {
        "isHidden": True, "alphas": [], "paths": [""] * 7, "label": "",
    }  # fmt: skip
    stage.press("ArrowUp")
    expect(state).to_contain_text("in another frame of reference")
    wait_for_a_frame(page)
    assert page.evaluate(READ)["isHidden"]
    expect(page.locator("[data-part=value]")).not_to_contain_text("dose")
    expect(page.locator(".viewer-dose")).to_be_hidden()
    choice = page.get_by_role("combobox", name="Dose", exact=True)
    choice.select_option(label="Strange")
    expect(page.locator(".viewer-dose")).to_be_visible()
    choice.select_option(index=3)
    stage.press("Home")
    expect(state).to_be_hidden()


def others_are_named_and_refused(page: Page, choice, state) -> None:
    choice.select_option(index=2)
    named = "Relative dose, not in Gy, difference between doses, of one or more beams"
    expect(page.locator("[data-dose=words]")).to_have_text(named)
    expect(page.locator(".viewer-dose")).to_have_text(
        f"{named} · Dose: 100 % = 37.00 relative, the grid's maximum"
    )
    expect(page.get_by_text("Below zero nothing is coloured.")).to_be_visible()
    page.locator("canvas[data-part=canvas]").hover(position={"x": 320, "y": 320})
    expect(page.locator("[data-part=value]")).to_contain_text(re.compile(r"· \d+\.\d\d relative$"))
    choice.select_option(index=1)
    expect(state).to_contain_text("cannot be told for certain")
    expect(page.locator("[data-dose=how]")).to_be_hidden()
    wait_for_a_frame(page)
    assert page.evaluate(READ)["isHidden"]
    choice.select_option(index=0)
    expect(state).to_be_hidden()
    page.route("**/frames/**", lambda _: None)  # it comes when nobody waits for it any more
    choice.select_option(index=3)
    expect(state).to_contain_text("Loading Dose")
    choice.select_option(index=0)
    expect(state).to_be_hidden()
    page.unroute("**/frames/**")
    page.route("**/frames/**", lambda route: route.fulfill(body=""))  # cut off
    choice.select_option(index=3)
    expect(state).to_have_text("The connection broke off.")
    page.unroute("**/frames/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("[data-dose=how]")).to_be_visible()
    choice.select_option(index=0)


COLOURS = """() => {
  const over = document.querySelector("[data-part=over]");
  if (over.hidden) return "hidden";
  const { data } = over.getContext("2d").getImageData(0, 0, over.width, over.height);
  return [[6, 8], [8, 19], [10, 20], [9, 8], [5, 6]].map(([row, column]) => {
    const at = 4 * (row * over.width + column);
    return [...data.slice(at, at + 4)].join();
  }).join(" ");
}"""


def masks_lie_over_their_slices(page: Page) -> None:
    """Of five pixels one is of the first alone, one of both, one of the second alone."""
    stage = page.locator("canvas[data-part=canvas]")
    page.get_by_label("Segmentation").select_option(index=1)
    page.get_by_label("Fill").fill("100")
    expect(row_of(page, "Edge").locator(".over-notes")).to_have_text(
        "1 frame is not drawn: no image here has the very same plane, rows and columns."
    )
    page.get_by_role("button", name="Tumour", exact=True).click()
    expect(page.locator("[data-part=place]")).to_contain_text("z 6 mm")
    red, white, clear = "255,0,0,255", "255,255,255,255", "0,0,0,0"
    see(page, f"{red} {red} {clear} {clear} {clear}")
    page.get_by_role("button", name="<i>Edge</i>", exact=True).click()
    expect(page.locator("[data-part=place]")).to_contain_text("z 3 mm")
    see(page, f"{red} {white} {white} {clear} {clear}")
    at = 640 // SIDE
    stage.hover(position={"x": at * 19.5, "y": at * 8.5})
    expect(page.locator("[data-part=value]")).to_contain_text("Tumour, <i>Edge</i>")
    expect(page.get_by_role("button", name="Nowhere")).to_be_disabled()
    expect(row_of(page, "Nowhere")).to_contain_text("No mask over a picture of this series.")
    page.get_by_role("checkbox", name="Show <i>Edge</i>").uncheck()
    see(page, f"{red} {red} {clear} {clear} {clear}")
    for least in ("40", "0"):  # a mask has no outline
        page.get_by_label("Fill").fill(least)
        page.wait_for_function(f"() => ({COLOURS})().includes(',102 ')")
    stage.press("Home")
    see(page, "hidden")
    page.get_by_label("Segmentation").select_option(index=0)
    expect(page.locator("[data-over=shown]")).to_be_hidden()


LEGENDS = """async () => {
  const { viewer } = await import(document.querySelector("script[src*=picture]").src);
  return viewer.layers.flatMap((layer) => layer.legend?.(viewer.stages[0]) ?? []);
}"""


def fills_leave_a_dose_as_it_is(page: Page) -> None:
    """They are not drawn over its colours, and below its lines; a PNG names what is drawn."""
    fills, said = page.locator(".roi-solid"), page.get_by_text("Contours are not filled while")
    dose = page.get_by_role("combobox", name="Dose", exact=True)
    expect(fills).to_have_count(2)
    dose.select_option(index=3)
    expect(said).to_be_visible()
    expect(fills).to_have_count(0)
    page.get_by_label("Colours", exact=True).uncheck()
    page.get_by_label("Isodoses, in % of the grid's maximum").check()
    expect(fills).to_have_count(2)
    expect(said).to_be_hidden()
    page.wait_for_function("() => document.querySelectorAll('.isodose')[3].getAttribute('d')")
    wait_for_a_frame(page)
    assert page.evaluate(LEGENDS) == [
        ["Isodoses"], ["80 %", "#fe6100"],
        ["Ring", "rgb(255,0,10)"], ["Seed", "rgb(255,0,10)"],
    ]  # fmt: skip
    page.get_by_label("Colours", exact=True).check()
    dose.select_option(index=0)


def structures_and_segments_are_one_list(page: Page) -> None:
    stage, place = page.locator("canvas[data-part=canvas]"), page.locator("[data-part=place]")
    names = page.locator(".over-list li:visible .over-name")
    page.get_by_label("Segmentation").select_option(index=1)
    expect(names).to_have_text(["Tumour", "<i>Edge</i>", "Nowhere"])
    page.get_by_label("Fill").fill("100")
    page.get_by_role("checkbox", name="Show <i>Edge</i>").uncheck()
    page.get_by_label("Structure set").select_option(index=1)
    expect(names).to_have_text(["Ring", "Seed", "Void", "Tumour", "<i>Edge</i>", "Nowhere"])
    expect(page.get_by_role("checkbox", name="Show <i>Edge</i>")).not_to_be_checked()
    expect(row_of(page, "Tumour")).to_contain_text("segment")
    assert serious_findings(page) == []
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.get_by_role("checkbox", name="Show <i>Edge</i>")).to_be_checked()
    page.get_by_role("button", name="Seed", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?set=\d+&roi=2$"))
    expect(page.locator(".viewer-lines [data-roi]")).to_have_count(2)
    marked = page.locator(".over-list .is-marked")
    for key, name in (("n", "Tumour"), ("n", "<i>Edge</i>"), ("n", "Ring"), ("p", "<i>Edge</i>")):
        stage.press(key)
        expect(marked.locator(".over-name")).to_have_text(name)
    expect(page).to_have_url(re.compile(r"\?set=\d+$"))
    expect(place).to_contain_text("z 3 mm")
    at = 640 // SIDE
    for column, row, name in (
        (14.5, 6.5, "Tumour"),
        (19.5, 8.5, "<i>Edge</i>"),
        (8.5, 6.5, "Seed"),
    ):
        stage.click(position={"x": at * column, "y": at * row})  # the smallest that lies there
        expect(marked.locator(".over-name")).to_have_text(name)
        expect(page.locator(".over-list .is-pointed .over-name")).to_have_text(name)
    expect(page.locator("[data-part=value]")).to_contain_text("Tumour · Seed")
    fills_leave_a_dose_as_it_is(page)
    drawn = page.locator(".viewer-lines [data-roi]")
    page.get_by_role("button", name="Only Tumour").click()
    expect(drawn).to_have_count(0)
    expect(marked.locator(".over-name")).to_have_text("Tumour")
    red, clear = "255,0,0,255", "0,0,0,0"
    see(page, f"{red} {red} {clear} {clear} {clear}")
    page.get_by_role("button", name="Only Seed").click()
    expect(drawn).to_have_count(1)
    see(page, "hidden")
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Hide all").click()
    expect(drawn).to_have_count(0)
    see(page, "hidden")
    expect(page.locator("#clinical")).to_be_hidden()
    stage.press("c")
    expect(drawn).to_have_count(2)
    page.get_by_role("button", name="None", exact=True).click()
    expect(drawn).to_have_count(0)
    see(page, "hidden")
    page.get_by_label("Find a structure").fill("segment")
    expect(names).to_have_text(["Tumour", "<i>Edge</i>", "Nowhere"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(marked.locator(".over-name")).to_have_text("<i>Edge</i>")
    page.get_by_label("Find a structure").press("Escape")
    page.get_by_label("Structure set").select_option(index=0)
    expect(names).to_have_text(["Tumour", "<i>Edge</i>", "Nowhere"])
    expect(marked.locator(".over-name")).to_have_text("<i>Edge</i>")
    page.get_by_label("Segmentation").select_option(index=0)


def who_may_not_see_structures_has_the_segments(page: Page) -> None:
    user = User.objects.get()
    seen = Permission.objects.filter(codename__startswith="view_", content_type__app_label="app")
    user.user_permissions.set(seen.exclude(codename="view_rtstructureroi"))
    User.objects.update(is_superuser=False)
    page.reload()
    page.get_by_label("Segmentation").select_option(index=1)
    expect(page.locator(".over-list .over-name")).to_have_text(["Tumour", "<i>Edge</i>", "Nowhere"])
    expect(page.get_by_label("Structure set")).to_have_count(0)


def see(page: Page, colours: str) -> None:
    wanted = colours.replace("255,0,0", "25[0-5],[0-4],[0-9]")
    page.wait_for_function(
        f"(wanted) => new RegExp(`^${{wanted}}$`).test(({COLOURS})())", arg=wanted
    )


PLANES = """async () => {
  const { viewer } = await import(document.querySelector("script[src*=picture]").src);
  return viewer.stages.map(({ plane, over, element, lines, box }) => ({
    box,
    ...plane,
    alphas: [...over.getContext("2d").getImageData(0, 0, over.width, over.height).data]
      .filter((_, at) => at % 4 === 3),
    label: element.querySelector(".viewer-dose")?.textContent,
    isHidden: over.hidden,
    line: lines.querySelectorAll(".isodose")[4]?.getAttribute("d"),
  }));
}"""


def it_lies_over_three_planes(page: Page, highest: float) -> None:
    page.get_by_role("button", name=re.compile("^Three planes")).click()
    expect(page.get_by_role("img", name="Sagittal plane")).to_be_visible()
    masks_lie_over_three_planes(page)
    page.get_by_label("Segmentation").select_option(index=0)
    page.get_by_role("combobox", name="Dose", exact=True).select_option(index=3)
    page.locator("[data-dose=threshold]").fill("50")
    expect(page.locator(".viewer-dose")).to_have_count(3)
    page.wait_for_function(f"async () => (await ({PLANES})()).every(({{ line }}) => line)")
    wait_for_a_frame(page)
    planes = page.evaluate(PLANES)
    assert len({tuple(np.abs(np.cross(one["row"], one["column"]))) for one in planes}) == 3
    for one in planes:
        x, y, z = points_of(one, *pixels_of(one))
        inside = (abs(x) <= 20) & (abs(y) <= 20) & (z >= -3) & (z <= 12)
        wanted = inside & (dose_at(x, y, z) >= highest / 2)
        assert wanted.any()
        assert (np.array(one["alphas"]) > 0).tolist() == wanted.ravel().tolist()
        points = np.array([[*map(float, p.split())] for p in re.split("[ML]", one["line"])[1:]])
        dose = dose_at(*points_of(one, *(points.T - 0.5)))
        assert np.abs(dose - highest / 2).max() < 0.05 * max(one["spacing"])
        assert one["label"] == "Dose: 100 % = 57.00 Gy, the grid's maximum"


LABELS = """() => [...document.querySelectorAll(".viewer-stage")].map((stage) => {
  const seen = (one) => one.textContent.endsWith(" %") && one.checkVisibility();
  const lines = [...stage.querySelectorAll(".isodose")].slice(1);
  return {
    lines: lines.filter((one) => one.getAttribute("d")).length,
    boxes: [...stage.querySelectorAll(".viewer-label")].filter(seen).map((one) => {
      const { left, right, top, bottom } = one.getBoundingClientRect();
      return [left, right, top, bottom];
    }),
  };
})"""


def test_words_on_steep_isodoses_stand_clear_of_each_other(signed_in, live, import_zip):
    heights = tuple(3.0 * n for n in range(13))
    z, y, x = np.meshgrid(3 * np.arange(13), np.arange(-30, 31, 2), np.arange(-30, 31, 2),
                          indexing="ij")  # fmt: skip
    away = np.sqrt(x**2 + y**2 + (z - 18) ** 2)
    stored = np.rint(6000 / (1 + np.exp(away - 12))).astype(np.uint16)
    import_zip(
        *slices(1, heights),
        rt_dose(
            stored,
            ImagePositionPatient=["-30", "-30", "0"],
            GridFrameOffsetVector=[str(3 * n) for n in range(13)],
        ),
    )
    page, series = signed_in, DICOMSeries.objects.get(modality="CT")
    page.goto(f"{live.url}/dicom/series/{series.pk}/")
    page.get_by_role("button", name=re.compile("^Three planes")).click()
    choice = page.get_by_role("combobox", name="Dose", exact=True)
    counts = []
    for width, letters in ((1280, 16), (1280, 24), (390, 16)):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("(size) => document.documentElement.style.fontSize = `${size}px`", letters)
        choice.select_option(index=0)
        page.wait_for_function(f"() => ({LABELS})().every(({{ boxes }}) => !boxes.length)")
        choice.select_option(index=1)
        expect(page.locator(".viewer-dose").filter(visible=True)).to_have_count(3)
        page.wait_for_function(f"() => ({LABELS})().every(({{ boxes }}) => boxes.length)")
        wait_for_a_frame(page)
        planes = page.evaluate(LABELS)
        assert [one["lines"] for one in planes] == [6] * 3
        for one in planes:
            for first, second in combinations(one["boxes"], 2):
                assert apart(first, second) >= letters / 2, (width, letters, first, second)
        counts.append(sum(len(one["boxes"]) for one in planes))
    assert max(counts) == 18 > min(counts)  # some are left out where there is no room


def apart(one: list[float], other: list[float]) -> float:
    """Between two boxes, in px; less than 0 where one lies over the other."""
    across = max(one[0], other[0]) - min(one[1], other[1])
    down = max(one[2], other[2]) - min(one[3], other[3])
    return max(across, down)


def pixels_of(plane) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of all pixels."""
    rows, columns = np.mgrid[: plane["rows"], : plane["columns"]]
    return columns, rows


def points_of(plane, columns, rows) -> np.ndarray:
    """x, y and z of pixels in the patient."""
    origin, row, column = (np.array(plane[name]) for name in ("origin", "row", "column"))
    down, across = plane["spacing"]
    found = origin + columns[..., None] * across * row + rows[..., None] * down * column
    return np.moveaxis(found, -1, 0)


def masks_lie_over_three_planes(page: Page) -> None:
    """The crosshair is moved to where two planes cut through masks."""
    page.get_by_label("Segmentation").select_option(index=1)
    page.get_by_role("button", name="<i>Edge</i>", exact=True).click()
    page.evaluate("scrollTo(0, 0)")
    stage = page.locator("canvas[data-part=canvas]").first
    each = stage.bounding_box()["width"] / SIDE
    stage.click(position={"x": 18.5 * each, "y": 7.5 * each})
    page.wait_for_function(f"async () => !(await ({PLANES})()).some(({{ isHidden }}) => isHidden)")
    wait_for_a_frame(page)
    bits = np.zeros((len(BLOCK), SIDE, SIDE), bool)
    bits[1:3, 5:9, 7:20] = bits[1, 7:12, 18:22] = True
    for one in page.evaluate(PLANES):
        x, y, z = points_of(one, *pixels_of(one))
        column, row = ((of - first) / EACH for of, first in zip((x, y), FIRST, strict=True))
        slice_ = np.clip(np.floor(z / 3 + 0.5), 0, len(BLOCK) - 1)
        column, row, slice_ = (np.rint(part).astype(int) for part in (column, row, slice_))
        wanted = bits[slice_, row, column]
        assert wanted.any()
        assert (np.array(one["alphas"]) > 0).tolist() == wanted.ravel().tolist()
    # Of both segments, the second has fewer pixels of each plane that is cut.
    for number, one in enumerate(page.evaluate(PLANES)[1:], 1):
        away = np.subtract((FIRST[0] + 18 * EACH, FIRST[1] + 7 * EACH, 3), one["origin"])
        column, row = (
            np.dot(away, one[name]) / step
            for name, step in zip(("row", "column"), one["spacing"][::-1], strict=True)
        )
        left, top, width, height = one["box"]
        at = {
            "x": left + (column + 0.5) / one["columns"] * width,
            "y": top + (row + 0.5) / one["rows"] * height,
        }
        page.locator("canvas[data-part=canvas]").nth(number).hover(position=at)
        expect(page.locator(".over-list .is-pointed .over-name")).to_have_text("<i>Edge</i>")
        expect(page.locator("[data-part=value]").first).to_contain_text("Tumour, <i>Edge</i>")
    page.get_by_role("button", name="Tumour", exact=True).click()
    middle = re.compile(r"^x -5\.0, y -1[57]\.0, z 6\.0 mm$")
    expect(page.locator("[data-part=point]")).to_have_text(middle)
