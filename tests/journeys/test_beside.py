"""Two series side by side in a browser: what is shown in one is found in the other."""

import re
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from app.models import DICOMSeries
from tests.making.objects import ct_image, structured_report, uid

from .test_browser import serious_findings
from .test_pictures import slice_of, wait_for_a_frame

CORONAL = ["1", "0", "0", "0", "0", "-1"]
NAMED = {"PatientName": "Featherstonehaugh^Wilhelmina"}


def of_a_series(number: int, z: list[float], **keywords: Any) -> list[bytes]:
    own: dict[str, Any] = {"Modality": "MR", "SeriesInstanceUID": uid(5, number), **NAMED}
    return [
        slice_of(n, **(own | {"SOPInstanceUID": uid(5, number, n), **at(one)} | keywords))
        for n, one in enumerate(z)
    ]


def at(z: float) -> dict[str, Any]:
    return {"ImagePositionPatient": ["-32", "-32", str(z)], "SeriesDescription": "Linked <b>"}


def coronal() -> bytes:
    """At y = -12, from z = 5 downwards and x = -20 to the left."""
    own = {"ImageOrientationPatient": CORONAL, "ImagePositionPatient": ["-20", "-12", "5"]}
    own |= {"SeriesInstanceUID": uid(6), "SOPInstanceUID": uid(6, 1)}
    return slice_of(1, Modality="MR", SeriesDescription="Coronal", **own, **NAMED)


def test_two_series_are_looked_through_side_by_side(signed_in, live, import_zip, console_errors):
    import_zip(
        *of_a_series(1, [0, 2, 4, 6, 8, 10, 12], Modality="CT"),
        *of_a_series(2, [3, 4, 5, 6, 7, 8]),
        *of_a_series(3, [3, 4], FrameOfReferenceUID=uid(1), SeriesDescription="Elsewhere"),
        coronal(),
        structured_report(SeriesInstanceUID=uid(7), SOPInstanceUID=uid(7, 1), **NAMED),
        ct_image(SOPInstanceUID=uid(9), PatientName="Someone^Else", PatientID="Other"),
    )
    page = signed_in
    a_slice_is_found_by_those_beside_it(page)
    keys = {one.series_instance_uid: one.pk for one in DICOMSeries.objects.all()}
    first = f"{live.url}/dicom/series/{keys[uid(5, 1)]}/beside/"
    the_series_page_leads_to_it(page, first.removesuffix("beside/"))
    each_leads_the_other(page)
    they_are_unlinked(page)
    the_page_is_for_everybody(page)
    page.goto(f"{first}{keys[uid(5, 3)]}/")
    expect(page.locator("#link")).to_contain_text("They do not share a frame of reference")
    expect(page.get_by_role("switch", name="Linked")).to_be_disabled()
    expect(page.get_by_role("switch", name="Linked")).not_to_be_checked()
    page.locator("[data-part=canvas]").first.press("Home")
    page.locator(".up a").click()
    expect(place(page, 0)).to_have_text("1 of 7 · z 0 mm")
    page.goto(f"{first}{keys[uid(6)]}/")
    a_line_shows_where_the_other_lies(page)
    page.goto(f"{first}{keys[uid(7)]}/")
    expect(page.get_by_text("This series has no pictures.")).to_be_visible()
    expect(page.get_by_role("switch", name="Linked")).to_be_disabled()
    other = DICOMSeries.objects.get(dicom_study__patient__unique_patient_id="Other")
    assert page.request.get(f"{first}{other.pk}/").status == 404
    without_scripts = page.request.get(f"{first}{keys[uid(5, 2)]}/").text()
    for key in (keys[uid(5, 1)], keys[uid(5, 2)]):
        assert f'src="/dicom/series/{key}/thumbnail/' in without_scripts
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


NEAREST = """async (cases) => {
  const { nearest } = await import("/static/app/viewing/link.js");
  const [row, column, normal] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  return cases.map(([come, at, last, thickness]) => {
    const slices = come.map(([slice, z]) => ({
      slice,
      plane: z === null ? null : { origin: [0, 0, z], row, column, normal, spacing: [1, 1], frame: "1", thickness },
    }));
    const found = nearest(slices, "1", [5, 5, at], { shown: 0, stack: { first: 0, last } });
    return found.why ?? found.slice;
  });
}"""  # noqa: E501


def a_slice_is_found_by_those_beside_it(page: Page) -> None:
    """By their numbers in the stack: what has come so far may be far apart."""
    begun = [[0, 0], [1, 3], [2, 6], [10, 30], [100, 300]]
    cases = [
        (begun, 200, 100, 0),
        (begun, 4, 100, 0),
        (begun, 31, 100, 0),
        (begun, 31, 100, 3),
        ([*begun, [99, 297]], 200, 100, 0),
        ([*begun, [99, 297]], 301, 100, 0),
        ([[0, 0], [1, 0], [2, 3]], 1, 5, 0),  # two in one place
        ([[1, 0], [2, 3]], 1, 5, 0),
        ([[0, 0], [1, 3], [2, None]], 4, 5, 0),  # beside one that lies nowhere
        ([[0, 7]], 7, 0, 0),
    ]
    assert page.evaluate(NEAREST, cases) == [
        *("loading", 1, "loading", 10, "loading", 100, 0, "loading", 1, 0),
    ]


def the_series_page_leads_to_it(page: Page, address: str) -> None:
    page.goto(address)
    expect(place(page, 0)).to_have_text("4 of 7 · z 6 mm")
    page.locator("[data-part=canvas]").press("ArrowDown")
    expect(place(page, 0)).to_have_text("5 of 7 · z 8 mm")
    other = page.get_by_label("Beside it")
    expect(other.locator("option")).to_have_count(3)
    names = other.locator("option").all_text_contents()
    assert [one.partition(",")[0] for one in names] == [
        *("MR Coronal", "MR Linked <b>", "MR Elsewhere"),
    ]
    assert ["not linked" in one for one in names] == [False, False, True]
    other.select_option(names[1])
    page.get_by_role("link", name="Show side by side").click()
    expect(place(page, 0)).to_have_text("5 of 7 · z 8 mm")
    page.locator("[data-part=canvas]").first.press("ArrowUp")


def place(page: Page, number: int) -> Locator:
    return page.locator("[data-part=place]").nth(number)


def each_leads_the_other(page: Page) -> None:
    one, other = page.locator("[data-part=canvas]").all()
    away = page.locator("[data-link=away]").nth(1)
    expect(place(page, 0)).to_have_text("4 of 7 · z 6 mm")
    expect(place(page, 1)).to_have_text("4 of 6 · z 6 mm")
    one.press("PageUp")
    expect(place(page, 0)).to_have_text("1 of 7 · z 0 mm")
    expect(away).to_have_text("No slice here")
    one.press("ArrowDown")
    one.press("ArrowDown")
    expect(place(page, 1)).to_have_text("2 of 6 · z 4 mm")
    expect(away).to_have_text("")
    other.press("ArrowDown")
    expect(place(page, 1)).to_have_text("3 of 6 · z 5 mm")
    expect(place(page, 0)).to_have_text("3 of 7 · z 4 mm")  # half a spacing away
    other.press("ArrowDown")
    expect(place(page, 0)).to_have_text("4 of 7 · z 6 mm")
    assert page.locator("[data-part=window]").first.input_value() == "said 0"
    one.press("2")
    expect(page.get_by_label("Width").first).to_have_value("20")
    expect(page.get_by_label("Width").nth(1)).to_have_value("200")


def they_are_unlinked(page: Page) -> None:
    page.get_by_role("switch", name="Linked").uncheck()
    page.locator("[data-part=canvas]").first.press("Home")
    expect(place(page, 0)).to_have_text("1 of 7 · z 0 mm")
    expect(place(page, 1)).to_have_text("4 of 6 · z 6 mm")
    page.get_by_role("switch", name="Linked").check()
    expect(page.locator("[data-link=away]").nth(1)).to_have_text("No slice here")


def the_page_is_for_everybody(page: Page) -> None:
    page.wait_for_load_state()
    for width, scheme in product((390, 1280), ("dark", "light")):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []


def a_line_shows_where_the_other_lies(page: Page) -> None:
    one = page.locator("[data-part=canvas]").first
    one.press("End")  # z = 12, above the coronal plane
    expect(place(page, 0)).to_have_text("7 of 7 · z 12 mm")
    line, other = page.locator("#first .viewer-crossing"), page.locator("#second .viewer-crossing")
    expect(line).to_have_count(0)
    one.press("Home")
    expect(line).to_have_count(1)
    expect(other).to_have_attribute("d", re.compile(",5.5$"))
    wait_for_a_frame(page)
    # Pixels of 1 mm, of which the first one's centre lies at x = y = -32, and at x = -20, z = 5.
    assert ends(line) == [[-20.5 + 32.5, -12 + 32.5], [43.5 + 32.5, -12 + 32.5]]
    assert ends(other) == [[-32.5 + 20.5, 5 + 0.5], [31.5 + 20.5, 5 + 0.5]]


def ends(line: Locator) -> list[Any]:
    text = line.get_attribute("d") or ""
    numbers = [round(float(one), 6) for one in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]
    return [pytest.approx(one) for one in sorted([numbers[:2], numbers[2:]])]
