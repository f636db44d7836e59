"""A check that somebody asks for in a browser, and what it finds."""

import pytest
from playwright.sync_api import expect

from app.health import nightly
from app.models import DICOMInstance
from tests.making.objects import ct_image, uid

from .test_browser import serious_findings


@pytest.mark.long
def test_a_check_is_watched_stopped_and_read(signed_in, live, import_zip, console_errors):
    page = signed_in
    import_zip(
        ct_image(PatientName="<b>A name that is never broken</b> " + 40 * "x"),
        ct_image(PatientID="ID2", PatientName="Müller^Hans", SOPInstanceUID=uid(2, 1, 2)),
    )
    page.locator(".site-menu.site-wide summary").click()
    page.get_by_role("link", name="Catalogue health").click()
    expect(page.get_by_text("No check has run yet.")).to_be_visible()
    the_page_is_for_everybody(page)
    page.get_by_role("button", name="Check now").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped at 0 %")).to_be_visible()
    the_page_is_for_everybody(page)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    DICOMInstance.objects.update(size=1)
    nightly.go_on()
    expect(page.get_by_text("wrong", exact=False).first).to_be_visible()
    the_page_is_for_everybody(page)
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def the_page_is_for_everybody(page) -> None:
    """At both widths, with axe."""
    page.wait_for_load_state()
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
