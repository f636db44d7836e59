"""The lists of studies and patients in a browser: with the mouse, by keyboard, at every width."""

import re
from datetime import date

import pytest
from playwright.sync_api import Locator, Page, expect

from app.models import DICOMStudy, Patient
from tests.conftest import press_on_page

from .test_browser import serious_findings

NAMES = (
    "Müller^Anna", "<script>alert(1)</script>^X", "\u202eturned^Name", "", "محمد^علي",
    "Featherstonehaugh^Wilhelmina Charlotte Augusta", 300 * "W",
)  # fmt: skip
LISTS = ("studies", "patients")
WIDTHS = (320, 390, 768, 1024, 1280)


@pytest.fixture
def sixty(transactional_db) -> list[DICOMStudy]:
    """Studies of as many patients, of whom some have no ID and some may be two people."""
    patients = Patient.objects.bulk_create(
        Patient(
            unique_patient_id=f"ID{n}" + 60 * (n % 9 == 1) * "9" if n % 7 else "", folder=f"{n}",
            patient_name=NAMES[n % len(NAMES)], patient_dob=date(1950, 1, 1 + n % 28),
            patient_sex="F", study_count=1, last_study_date=date(2024, 1, 1 + n % 28),
            modalities="CT, RTSTRUCT", identity_differs=n % 5 == 2,
            identity_answer="two" if n % 5 == 3 else "",
        )
        for n in range(60)
    )  # fmt: skip
    return DICOMStudy.objects.bulk_create(
        DICOMStudy(
            patient=patient, study_instance_uid=f"1.{n}", study_date=date(2024, 1, 1 + n % 28),
            study_description=f"Study {n} {NAMES[n % len(NAMES)]}", accession_number=16 * "9",
            uid_shared=n % 5 == 2, series_count=3, image_count=1966, total_size=935_000_000,
            modalities="CT, MR, PT, RTDOSE, RTPLAN, RTSTRUCT",
        )
        for n, patient in enumerate(patients)
    )  # fmt: skip


@pytest.mark.long
def test_the_lists_are_for_everybody(signed_in, live, sixty, console_errors):
    page = signed_in
    for name in LISTS:
        page.goto(f"{live.url}/dicom/{name}/")
        rows_are_about_as_high_as_two_lines(page)
        # Some of each kind, since axe looks at every row.
        page.goto(f"{live.url}/dicom/{name}/?from=2024-01-01&to=2024-01-05")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                if width in (390, 1280):
                    assert serious_findings(page) == []
        assert page.locator("main script").count() == 0
    filters_are_folded_in_a_narrow_window(page, live.url)
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    the_mouse_leads_down_from_anywhere_in_a_row(page, live.url, sixty)
    the_keyboard_leads_through_the_lists(page, live.url, sixty)
    chosen_rows_go_into_a_collection(page, live.url)


def chosen_rows_go_into_a_collection(page: Page, url: str) -> None:
    page.goto(f"{url}/dicom/studies/")
    press_on_page(page, "j", "x", "j", "x")
    bar = page.locator("#chosen")
    expect(bar).to_contain_text("2 studies, 3,932 images, 1.9 GB")
    bar.get_by_label("Name of a new collection").fill("Trial <b>")
    bar.get_by_role("button", name="Add to collection").click()
    expect(page.get_by_role("heading", name="Trial <b>")).to_be_visible()
    expect(page.get_by_text("2 studies added.")).to_be_visible()
    collection = page.url
    for at in (collection, f"{url}/dicom/collections/"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(at)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, at
            assert serious_findings(page) == []
    page.goto(f"{url}/dicom/studies/")
    expect(bar).to_be_hidden()  # what was added is chosen no more
    page.locator(".col-box input").first.check()
    expect(bar.get_by_label("Collection", exact=True)).to_have_value(re.compile("[0-9]+"))
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_be_hidden()
    chosen_rows_are_kept_while_pages_are_turned(page, bar)


def chosen_rows_are_kept_while_pages_are_turned(page: Page, bar: Locator) -> None:
    box = page.locator(".col-box input").first
    key = box.get_attribute("value")
    box.check()
    page.get_by_role("link", name="Older").click()
    expect(bar).to_contain_text("1 study, none of them on this page")
    press_on_page(page, "j", "x")
    expect(bar).to_contain_text("2 studies, 1 of them on this page")
    kept = page.evaluate("Object.entries(sessionStorage)")
    assert [[re.sub("[0-9]+", "1", text) for text in one] for one in kept] == [
        ["chosen-study-1", '["1","1"]']
    ]
    page.go_back()
    expect(page.locator(f".col-box input[value='{key}']")).to_be_checked()
    expect(bar).to_contain_text("2 studies, 1 of them on this page")
    bar.get_by_role("button", name="Add to collection").click()
    expect(page.get_by_text("1 study added; 1 study of these was in it already")).to_be_visible()
    page.go_back()
    expect(bar).to_be_hidden()
    box.check()
    expect(bar).to_be_visible()
    page.evaluate("document.querySelector('form[action$=\"/logout/\"]').requestSubmit()")
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    page.wait_for_function("() => sessionStorage.length === 0")


def rows_are_about_as_high_as_two_lines(page: Page) -> None:
    heights = page.evaluate(
        "() => [...document.querySelectorAll('[data-row]')].map((row) => row.offsetHeight)"
    )
    assert len(heights) == 50
    assert max(heights) <= 80


def filters_are_folded_in_a_narrow_window(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{url}/dicom/studies/?flag=attention&from=2024-01-01")
    page.get_by_text("Filters (2)").click()
    page.get_by_role("link", name="Needs attention", exact=True).click()
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    page.get_by_role("link", name="Leave out study date from 1 Jan 2024").click()
    expect(page.get_by_text("60 studies")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 800})


def the_mouse_leads_down_from_anywhere_in_a_row(
    page: Page, url: str, studies: list[DICOMStudy]
) -> None:
    page.goto(f"{url}/dicom/studies/")
    newest = studies[-1]
    first = page.locator("[data-row]").first
    first.locator(".col-size").click()
    expect(page).to_have_url(f"{url}/dicom/studies/{newest.pk}/")
    page.go_back()
    first.locator(".col-patient a").click()
    expect(page).to_have_url(f"{url}/dicom/patients/{newest.patient_id}/")
    page.go_back()
    page.get_by_text("Sorted by added, newest first").click()
    page.get_by_role("link", name="Study date, oldest first").click()
    expect(first.locator(".col-study")).to_contain_text("1 Jan 2024")
    page.get_by_role("link", name="Next").or_(page.get_by_role("link", name="Newer")).click()
    expect(page.locator("[data-row]")).to_have_count(10)
    page.get_by_role("link", name="Older").click()
    expect(first.locator(".col-study")).to_contain_text("1 Jan 2024")


def the_keyboard_leads_through_the_lists(page: Page, url: str, studies: list[DICOMStudy]) -> None:
    page.goto(f"{url}/dicom/studies/")
    press_on_page(page, "j", "ArrowDown", "j", "k")
    second = studies[-2]
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{url}/dicom/studies/{second.pk}/")
    press_on_page(page, "u")
    expect(page).to_have_url(f"{url}/dicom/patients/{second.patient_id}/")
    press_on_page(page, "u")
    expect(page).to_have_url(f"{url}/dicom/patients/")
    press_on_page(page, "?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Next row")
    expect(keys).not_to_contain_text("One level up")
    page.keyboard.press("j")  # of the page behind it, which waits
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)
    expect(page.locator("[data-row] :focus")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("juk?")
    expect(page.locator("#search-site")).to_have_value("juk?")
    expect(page).to_have_url(re.compile("/dicom/patients/$"))
