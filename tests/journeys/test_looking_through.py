"""From a patient to one object, with the mouse and by keyboard, at both widths, light and dark."""

import re
from itertools import product

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.derived import making
from app.health.derived import KINDS
from app.models import DICOMSeries, Patient
from tests.conftest import press_on_page
from tests.making.objects import ct_image, mr_image, rt_structure_set, structured_report, uid
from tests.making.pictures import attributes_of

from .test_browser import serious_findings

# Radio buttons of one name are one stop, and have the arrow keys.
FOCUSED = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const is_seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
  const alike = at.type === "radio" ? `input[type=radio][name="${at.name}"]` : "";
  const stops = alike ? document.querySelectorAll(alike).length : 1;
  return at.closest("main") && is_seen ? stops : 0;
}"""
GREY = np.full((64, 64), 900, np.int16)
HOSTILE = "<script>alert(1)</script> of a word that is never broken " + 60 * "W"
LONG = {"PatientName": "Featherstonehaugh^Wilhelmina Charlotte", "StudyDescription": HOSTILE}


@pytest.mark.long
def test_a_patient_is_looked_through_down_to_its_objects(
    signed_in, live, import_zip, console_errors
):
    slices = [
        ct_image(
            SOPInstanceUID=uid(2, 1, n), InstanceNumber=str(n), SeriesDescription=HOSTILE,
            ImagePositionPatient=["0", "0", str(-n)], **LONG,
        )
        for n in range(1, 6)
    ]  # fmt: skip
    many = [
        mr_image(
            SeriesInstanceUID=uid(3, n), StudyInstanceUID=uid(3), SeriesNumber=str(n),
            **LONG, **(attributes_of(GREY) | {"PixelData": GREY.tobytes()} if n == 1 else {}),
        )
        for n in range(1, 9)
    ]  # fmt: skip
    report = structured_report(SeriesInstanceUID=uid(2, 7), SOPInstanceUID=uid(2, 7, 1), **LONG)
    other = ct_image(SOPInstanceUID=uid(9), PatientName="Someone^Else")
    import_zip(
        *slices, rt_structure_set(["Heart"], **LONG), report, *many, other,
        (f"{HOSTILE}.dcm", ct_image(SOPInstanceUID=uid(2, 1, 6), **LONG)),
    )  # fmt: skip
    page, patient = signed_in, Patient.objects.get()
    images = DICOMSeries.objects.get(series_instance_uid=uid(2, 1))
    for path in (
        *(f"patients/{patient.pk}/", f"studies/{images.dicom_study_id}/"),
        f"series/{images.pk}/?after=0",  # with its objects unfolded
    ):
        page.goto(f"{live.url}/dicom/{path}")
        the_page_is_for_everybody(page)
    thumbnails_lie_over_their_marks(page, f"{live.url}/dicom/patients/{patient.pk}/")
    making.take_turn(KINDS)
    incomplete_series_lead_to_the_place(page, live.url)
    somebody_says_what_to_be_told_of(page, live.url)
    the_patient_leads_to_a_series_in_one_step(page, f"{live.url}/dicom/patients/{patient.pk}/")
    the_series_leads_to_each_of_its_objects(page)
    the_keys_lead_up_and_down_again(page)
    the_series_goes_to_the_trash_and_comes_back(page, f"{live.url}/dicom/series/{images.pk}/")
    a_study_is_protected_by_keyboard(page, f"{live.url}/dicom/studies/{images.dicom_study_id}/")
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def the_page_is_for_everybody(page: Page) -> None:
    """At both widths, light and dark, with axe; nothing of a file is taken for markup."""
    page.wait_for_load_state()
    for width, scheme in product((390, 1280), ("dark", "light")):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
        assert serious_findings(page) == []
    assert page.locator("main script").count() == 0


def thumbnails_lie_over_their_marks(page: Page, address: str) -> None:
    """What has none shows its mark; boxes are as large with as without."""
    page.goto(address)
    images = page.locator(".marks img")
    for number in range(images.count()):
        images.nth(number).scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.marks img')].every(i => i.complete)"
    )
    widths = images.evaluate_all("(all) => all.map((one) => one.naturalWidth)")
    assert {*widths} == {4, 96}  # of pixels that are 1.5 times as wide as high
    boxes = page.locator(".marks .picture").evaluate_all(
        "(all) => all.map((one) => [one.offsetWidth, one.offsetHeight].join())"
    )
    assert {*boxes} == {"96,96"}


def incomplete_series_lead_to_the_place(page: Page, url: str) -> None:
    page.goto(f"{url}/dicom/studies/?slices=incomplete")
    page.get_by_role("link", name=re.compile("^All incomplete series")).press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Incomplete series")
    the_page_is_for_everybody(page)
    press_on_page(page, "j", "Enter")
    expect(page).to_have_url(re.compile(r"/dicom/series/\d+/$"))
    page.go_back()
    page.get_by_role("link", name="1 double").press("Enter")
    expect(page).to_have_url(re.compile(r"/dicom/series/\d+/\?at=(\d+)#object-\1$"))


def somebody_says_what_to_be_told_of(page: Page, url: str) -> None:
    page.goto(f"{url}/dicom/tell-me/")
    the_page_is_for_everybody(page)
    the_keyboard_reaches_every_control(page)


def a_study_is_protected_by_keyboard(page: Page, address: str) -> None:
    page.goto(f"{address}protect/")
    the_page_is_for_everybody(page)
    the_keyboard_reaches_every_control(page)
    page.get_by_label(re.compile("^Why")).fill("Asked for by the department")
    page.keyboard.press("Enter")
    expect(page).to_have_url(address)
    the_page_is_for_everybody(page)
    page.goto(f"{address}protect/")
    the_page_is_for_everybody(page)


def the_keyboard_reaches_every_control(page: Page) -> None:
    """By Tab alone, each seen to have the focus."""
    controls = page.locator("main").locator("a, button, input:not([type=hidden]), select, textarea")
    wanted = sum(one.is_visible() and one.is_enabled() for one in controls.all())
    page.evaluate("document.querySelector('main').focus()")
    reached = 0
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached += page.evaluate(FOCUSED)
    assert reached == wanted, page.url


def the_patient_leads_to_a_series_in_one_step(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name=re.compile("^CT ")).click()
    expect(page).to_have_url(re.compile(r"/dicom/series/\d+/$"))


def the_series_leads_to_each_of_its_objects(page: Page) -> None:
    rows = page.locator("#objects tbody tr")
    expect(rows.first).to_be_hidden()
    page.get_by_text(re.compile("^All .* (images|objects)$")).press("Enter")
    expect(rows).to_have_count(7)
    expect(rows.first).to_contain_text("-30.25 mm")  # not the first by its number
    rows.nth(2).get_by_role("link", name="Header of no. 5").press("Enter")
    expect(page).to_have_url(re.compile(r"/dicom/objects/\d+/header/$"))
    page.go_back()


def the_keys_lead_up_and_down_again(page: Page) -> None:
    for above in ("studies", "patients"):
        press_on_page(page, "u")
        expect(page).to_have_url(re.compile(rf"/dicom/{above}/\d+/$"))
    for below in ("studies", "series"):
        press_on_page(page, "j", "Enter")
        expect(page).to_have_url(re.compile(rf"/dicom/{below}/\d+/$"))


def the_series_goes_to_the_trash_and_comes_back(page: Page, address: str) -> None:
    delete_it(page, address)
    the_page_is_for_everybody(page)  # with the message
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page).to_have_url(address)
    expect(page.get_by_text("Restored: 7 objects.")).to_be_visible()
    delete_it(page, address)
    page.get_by_role("link", name="In the trash").click()
    the_page_is_for_everybody(page)
    page.get_by_role("link", name="Erase…").click()
    the_page_is_for_everybody(page)
    page.get_by_role("link", name="Trash", exact=True).first.click()
    the_page_is_for_everybody(page)
    page.get_by_role("button", name=re.compile("^Restore")).press("Enter")
    expect(page).to_have_url(address)


def delete_it(page: Page, address: str) -> None:
    page.goto(address)
    page.locator(".side-more summary", has_text=re.compile("^More$")).click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label(re.compile("^Why")).fill("By mistake")
    page.get_by_role("button", name="Yes, delete it").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
