"""One look: the same header, colours and widths on ICON's own pages and in the admin."""

from collections.abc import Iterable

from playwright.sync_api import Page, expect

from app.models import DICOMFile
from tests.conftest import press_on_page
from tests.making.objects import ct_image, rt_structure_set

from .test_browser import sign_in

PAGES = (
    "/admin/", "/admin/administration/", "/dicom/progress/", "/admin/app/dicomfile/",
    "/admin/app/dicomfile/add/", "/admin/app/patient/", "/admin/app/dicomstudy/",
    "/admin/app/dicominstance/", "/admin/app/rtstructureroi/?q=e", "/admin/auth/user/add/",
    "/dicom/patients/", "/dicom/studies/",
)  # fmt: skip
HEADER = """() => {
  const header = document.querySelector("header.site-header");
  const links = [...header.querySelectorAll(".site-wide.site-links a")];
  return {
    height: header.getBoundingClientRect().height,
    left: header.querySelector(".site-mark").getBoundingClientRect().left,
    links: links.map((link) => link.textContent),
    page: getComputedStyle(document.body).backgroundColor,
    heading: getComputedStyle(document.querySelector("h1")).fontSize,
    theme: document.documentElement.dataset.bsTheme,
  };
}"""
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll(".results")]
  .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.className)"""
IN_THE_HEADER = "() => { const at = document.activeElement; return at.closest('.site-header') ? \
at.getBoundingClientRect().left : null; }"


def test_every_page_has_one_header_and_fits_every_width(signed_in, live, import_zip):
    long = {
        "PatientName": "Featherstonehaugh^Wilhelmina Charlotte",
        "StudyDescription": 9 * "word ",
    }
    upload = import_zip(ct_image(**long), rt_structure_set(["Heart"], **long), ("a.txt", b"x"))
    DICOMFile.objects.update(original_name="Export of the planning system " + 60 * "x" + ".zip")
    the_keyboard_goes_through_the_header_as_the_eye_does(signed_in, live.url)
    the_header_is_one_in_the_colours_that_were_chosen(signed_in, live.url)
    no_page_scrolls_sideways(signed_in, live.url, (*PAGES, f"/dicom/result/{upload.pk}/"))


def the_header_is_one_in_the_colours_that_were_chosen(page: Page, url: str) -> None:
    page.goto(f"{url}/dicom/patients/")
    expect(page.locator(".site-wide [aria-current=page]")).to_have_text("Patients")
    page.locator("details.site-wide summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    press_on_page(page, "Escape")
    expect(page.get_by_role("button", name="Dark")).to_be_hidden()
    press_on_page(page, "/")
    expect(page.locator("#search-site")).to_be_focused()
    seen = {}
    for path in (*PAGES[:4], *PAGES[-2:]):
        page.goto(url + path)
        seen[path] = page.evaluate(HEADER)
    first = seen["/admin/"]
    assert first["links"] == ["Uploads", "Progress", "Patients", "Studies", "Structures"]
    assert (first["height"], first["theme"]) == (56, "dark")
    assert list(seen.values()) == [first] * len(seen)


def the_keyboard_goes_through_the_header_as_the_eye_does(page: Page, url: str) -> None:
    places = []
    page.goto(f"{url}/admin/app/patient/")
    page.keyboard.press("Tab")  # to the way past the header
    for _ in range(9):
        page.keyboard.press("Tab")
        places.append(page.evaluate(IN_THE_HEADER))
    assert None not in places
    assert places == sorted(places)
    page.keyboard.press("Tab")
    assert page.evaluate(IN_THE_HEADER) is None


def no_page_scrolls_sideways(page: Page, url: str, paths: Iterable[str]) -> None:
    for path in paths:
        page.goto(url + path)
        for width in (320, 390, 768, 1024):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(TOO_WIDE) == [], (path, width)


def test_a_narrow_window_has_one_menu_that_needs_no_scripts(browser, live, staff_user):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    sign_in(page, live.url)
    for path in ("/admin/app/patient/", "/dicom/progress/"):
        page.goto(live.url + path)
        page.locator("summary", has_text="Menu").click()
        expect(page.get_by_role("link", name="Structures")).to_be_visible()
        expect(page.get_by_role("link", name="Administration")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out. Sign in again.")).to_be_visible()
    context.close()
