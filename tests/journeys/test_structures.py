"""Structures in a browser: from a search to an image, by keyboard, at every width."""

import re

import pytest
from playwright.sync_api import Page, expect

from app.models import RTStructureSetInformation
from tests.conftest import press_on_page
from tests.making.objects import contour, ct_image, frame_reference, roi, rt_structure_set, uid

from .test_browser import serious_findings

NAMES = (
    "Heart",
    "Lung Left",
    "<script>alert(1)</script>",
    "Ösophagus",
    64 * "W",
    "\u0642\u0644\u0628",
)
UTF_8 = {"SpecificCharacterSet": "ISO_IR 192", "charset": "utf-8"}


@pytest.fixture
def structure_set(import_zip) -> RTStructureSetInformation:
    """Many structures, of which some have no contours, on images of which one is not here."""
    sops = [uid(2, 1, n) for n in (1, 2, 3)]
    outlines = [contour(0, 0, n, 9, 0, n, 9, 9, n, sop=sop) for n, sop in enumerate(sops)]
    drawn = [roi(n, name, *outlines) for n, name in enumerate(NAMES, 1)]
    empty = [roi(n, f"Empty {n}") for n in range(7, 20)]
    import_zip(
        *(ct_image(SOPInstanceUID=sop, InstanceNumber=str(n)) for n, sop in enumerate(sops[:2], 1)),
        rt_structure_set(
            [*drawn, *empty],
            StructureSetLabel=64 * "L",
            ReferencedFrameOfReferenceSequence=[frame_reference(sops=sops)],
            **UTF_8,
        ),
    )
    return RTStructureSetInformation.objects.get()


@pytest.mark.long
def test_structures_are_found_and_followed(signed_in, live, structure_set, console_errors):
    page = signed_in
    a_search_leads_to_the_set(page, live.url)
    the_set_is_filtered_and_gone_through_by_keyboard(page)
    a_structure_leads_to_its_images(page)
    heart = structure_set.rois.get(roi_name="Heart").pk
    lists = ["structures/", f"structures/?name={heart}"]
    rows = [f"structures/{heart}/", f"structure-sets/{structure_set.pk}/?roi={heart}"]
    every_page_fits(page, live.url, [*lists, *rows])
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def a_search_leads_to_the_set(page: Page, url: str) -> None:
    page.goto(f"{url}/dicom/structures/")
    page.get_by_label("Name of the structure").fill("osoph*")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"structures/\?q=\d+$"))
    expect(page.locator(".list-count")).to_have_text("1 structure of 1 patient in 1 set")
    expect(page.locator(".col-here").last).to_have_text(re.compile("2 of 3"))
    page.get_by_role("link", name="Ösophagus", exact=True).click()
    expect(page.locator(".roi-marked")).to_contain_text("Ösophagus")
    expect(page.locator(".roi-marked")).to_be_in_viewport()


def the_set_is_filtered_and_gone_through_by_keyboard(page: Page) -> None:
    rows = page.locator(".roi:visible")
    expect(rows).to_have_count(19)
    page.wait_for_load_state()  # a script filters
    page.get_by_label("Filter structures").fill("lung LEFT")
    expect(rows).to_have_count(1)
    page.keyboard.press("Escape")
    page.get_by_label("Filter structures").fill("osophagus")
    expect(rows).to_have_count(1)
    page.get_by_label("Filter structures").fill("empty 1")
    expect(page.locator("#roi-shown")).to_have_text(re.compile(r"^\d+ of 19 structures$"))
    page.keyboard.press("ArrowDown")
    expect(rows.nth(0).locator("[data-opens]")).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1).locator("[data-opens]")).to_be_focused()
    page.get_by_label("Filter structures").fill("no such")
    expect(page.locator("#roi-none")).to_be_visible()
    page.keyboard.press("Escape")
    expect(rows).to_have_count(19)
    page.get_by_role("link", name="Heart", exact=True).click()
    expect(page.get_by_text("All structures named exactly “Heart”.")).to_be_visible()
    page.go_back()


def a_structure_leads_to_its_images(page: Page) -> None:
    page.get_by_role("link", name="images that Heart lies on").click()
    expect(page.get_by_text("2 of 3 images here.")).to_be_visible()
    press_on_page(page, "u")
    page.wait_for_url(re.compile(r"/dicom/structure-sets/\d+/$"))
    page.go_back()
    page.get_by_role("link", name="CT 2", exact=True).click()
    page.wait_for_url(re.compile(r"/dicom/objects/\d+/header/$"))


def every_page_fits(page: Page, url: str, paths: list[str]) -> None:
    for path in paths:
        page.goto(f"{url}/dicom/{path}")
        for width, scheme in ((320, "light"), (390, "dark"), (1024, "light"), (1280, "light")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            if width in (390, 1280):
                assert serious_findings(page) == [], path
