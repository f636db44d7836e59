"""Finding a patient, a study and a structure from the header, by keyboard and on a phone."""

import re

from playwright.sync_api import Page, expect

from tests.conftest import press_on_page
from tests.making.objects import ct_image, rt_structure_set, uid

from .test_browser import serious_findings

HOSTILE = "<b>Planning</b> of a word that is never broken " + 30 * "x"


def test_half_a_name_without_its_accent_leads_to_the_patient(
    signed_in, live, import_zip, console_errors
):
    mueller = {"PatientID": "0041", "PatientName": "Müller^Hans", "StudyDescription": HOSTILE}
    other = {"PatientID": "7", "PatientName": "Huber^Eva", "StudyInstanceUID": uid(4)}
    import_zip(
        ct_image(**mueller),
        rt_structure_set(["Heart"], **mueller, SeriesInstanceUID=uid(2, 2), SOPInstanceUID=uid(8)),
        ct_image(**other, SeriesInstanceUID=uid(4, 1), SOPInstanceUID=uid(4, 1, 1)),
    )
    page = signed_in
    search_for(page, "mull")
    expect(page.locator(".found-tabs [aria-current]")).to_have_text("1 patient")
    press_on_page(page, "Escape")
    page.get_by_role("link", name="1 study").click()
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
    the_page_is_for_everybody(page)
    page.get_by_role("link", name="Müller, Hans").click()
    expect(page).to_have_title(re.compile("^Patient"))

    search_for(page, "heartt ct")
    expect(page.locator(".asked bdi")).to_have_text(["“heartt”", "modality CT"])
    the_page_is_for_everybody(page)
    page.get_by_role("button", name="Heart", exact=True).click()
    expect(page.locator(".found-tabs [aria-current]")).to_have_text("1 structure")
    expect(page.locator("#search-site")).to_have_value("Heart CT")
    page.get_by_role("link", name="Leave out “Heart”").click()
    expect(page.locator(".found-tabs a")).to_have_text(["2 studies", "2 patients"])
    expect(page).to_have_url(re.compile(r"/dicom/search/\?modality=CT$"))

    search_for(page, "0041")
    expect(page).to_have_url(re.compile(r"/dicom/patients/\d+/$"))
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def search_for(page: Page, words: str) -> None:
    """By keyboard alone."""
    press_on_page(page, "/")
    field = page.locator("#search-site")
    expect(field).to_be_focused()
    field.fill(words)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def the_page_is_for_everybody(page: Page) -> None:
    """At both widths, with axe."""
    page.wait_for_load_state()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
