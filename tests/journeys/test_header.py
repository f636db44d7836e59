"""Looking into objects with a browser: filtering, folding, comparing, a report, a PDF."""

from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from app.models import DICOMInstance
from tests.conftest import press_on_page
from tests.making.objects import ct_image, encapsulated_pdf, structured_report, uid

from .test_browser import serious_findings

PDF = (
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R /OpenAction 4 0 R >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] >>\nendobj\n"
    b"4 0 obj\n<< /S /JavaScript /JS (try { this.submitForm\\('/js'\\) } catch \\(e\\) {}"
    b" try { this.getURL\\('/js'\\) } catch \\(e\\) {} app.alert\\('it ran'\\);) >>\nendobj\n"
    b"trailer\n<< /Size 5 /Root 1 0 R >>\n%%EOF\n"
)
NESTED = [{"RequestedProcedureID": "R1", "ScheduledProtocolCodeSequence": [{"CodeValue": "C1"}]}]
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.long
def test_looking_into_objects(signed_in, live, import_zip, console_errors):
    import_zip(
        *(
            ct_image(
                SOPInstanceUID=uid(2, 1, n),
                InstanceNumber=str(n),
                ImageComments="<i>x</i> " * n * 60,
                RequestAttributesSequence=NESTED,
            )
            for n in (1, 2)
        ),
        structured_report(SOPInstanceUID=uid(2, 4, 1), SeriesInstanceUID=uid(2, 4)),
        encapsulated_pdf(PDF, SOPInstanceUID=uid(2, 3, 1), SeriesInstanceUID=uid(2, 3)),
    )
    page = signed_in
    page.goto(live.url + address("header", 2, 1, 2))
    rows_are_filtered_while_somebody_types(page)
    a_sequence_is_folded_by_its_button(page)
    values_are_copied_by_their_buttons(page)
    words_are_searched_on_the_server(page)
    a_switch_shows_what_differs(page)
    page.get_by_role("link", name="CT 1", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("CT 1: header")
    press_on_page(page, "u")
    page.wait_for_url("**/dicom/series/*/")
    pages = [live.url + address("header", 2, 1, 2)]
    pages += [f"{pages[0]}?differs=1", live.url + address("document", 2, 4, 1)]
    no_page_is_too_wide_or_hard_to_use(page, pages)
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    a_pdf_opens_and_its_scripts_reach_nothing(page, live.url + address("header", 2, 3, 1))


def address(name: str, *numbers: int) -> str:
    pk = DICOMInstance.objects.get(sop_instance_uid=uid(*numbers)).pk
    return reverse(name, args=[pk])


def rows_are_filtered_while_somebody_types(page: Page) -> None:
    rows = page.locator("#attributes tbody tr:visible")
    everything = rows.count()
    press_on_page(page, "/")
    expect(page.locator("#attribute-filter")).to_be_focused()
    for words, found in (("PatientName", 1), ("0010,0020", 1), ("scheduled value", 0), ("c1", 5)):
        page.fill("#attribute-filter", words)
        expect(rows).to_have_count(found)
    expect(page.locator("#attribute-count")).to_contain_text(f"1 of {everything} rows")
    page.fill("#attribute-filter", "")
    expect(rows).to_have_count(everything)


def a_sequence_is_folded_by_its_button(page: Page) -> None:
    inner = page.get_by_text("Requested Procedure ID")
    button = page.get_by_role("button", name="Items of Request Attributes Sequence")
    button.press("Enter")
    expect(inner).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.press("Enter")
    expect(inner).to_be_visible()
    page.get_by_text("characters, show").click()
    expect(page.locator("details[open] .long")).to_contain_text("<i>x</i> <i>x</i>")


def values_are_copied_by_their_buttons(page: Page) -> None:
    """Through the clipboard, and where a browser lends it to no page, by selecting."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.emulate_media(reduced_motion="reduce")  # else it is still scrolling to a button
    for is_lent in (True, False):
        if not is_lent:
            page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        for name, value in (
            ("Patient's Name", "Nobody^Nemo"),
            ("SOP Class UID", "1.2.840.10008.5.1.4.1.1.2"),
            ("Image Comments", ("<i>x</i> " * 120).strip()),
        ):
            button = page.get_by_role("button", name=f"Copy {name}", exact=True)
            button.focus()
            at = page.evaluate("scrollY")
            page.keyboard.press("Enter")
            expect(page.get_by_text(f"Copied {name}")).to_have_attribute("role", "status")
            expect(button).to_be_focused()
            assert page.evaluate("scrollY") == at
            assert clipboard(page) == value
    no_copies = page.get_by_role("row", name="Request Attributes Sequence")
    expect(no_copies.get_by_role("button", name="Copy Request")).to_have_count(0)


def clipboard(page: Page) -> str:
    """What is in it: what the keys for it paste into a field."""
    page.evaluate(
        """() => {
            const pasted = document.body.appendChild(document.createElement("textarea"));
            pasted.id = "pasted";
            pasted.focus({ preventScroll: true });
        }"""
    )
    page.keyboard.press("Control+V")
    text = page.input_value("#pasted")
    page.evaluate("document.getElementById('pasted').remove()")
    return text


def words_are_searched_on_the_server(page: Page) -> None:
    page.fill("#attribute-filter", "nemo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Clear")).to_be_visible()
    expect(page.locator("#attributes tbody tr")).to_have_count(1)
    assert "nemo" not in page.url
    page.get_by_role("link", name="Clear").click()
    expect(page.get_by_role("link", name="Clear")).to_have_count(0)


def a_switch_shows_what_differs(page: Page) -> None:
    page.wait_for_load_state()  # it is sent by a script
    page.get_by_label("Differs from previous image").check()
    page.wait_for_url("**differs=1")
    names = page.locator("#attributes tbody th").all_inner_texts()
    assert "Instance Number" in names
    assert "Patient's Name" not in names


def no_page_is_too_wide_or_hard_to_use(page: Page, addresses: list[str]) -> None:
    for one in addresses:
        page.goto(one)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
            assert serious_findings(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert not page.evaluate(TOO_WIDE), one
        page.set_viewport_size({"width": 1280, "height": 800})


def a_pdf_opens_and_its_scripts_reach_nothing(page: Page, header: str) -> None:
    """A message box shows that they run, in the viewer's own process; no request comes of it."""
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto(header)
    with page.expect_event("dialog") as shown:
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("link", name="Open the PDF").click()
    assert shown.value.message == "it ran"
    assert "/js" not in asked
    page.goto(header)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the PDF").click()
    assert saved.value.suggested_filename.startswith("document-")
