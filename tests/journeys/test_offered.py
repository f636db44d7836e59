"""More than is listed at once can be drawn over a series: it is said, and listed when asked for."""

from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from app.models import DICOMSeries, RTStructureSetInformation
from app.viewing.over import MOST
from tests.making.drawn import FRAME, rt_dose, segmentation
from tests.making.objects import contour, frame_reference, roi, rt_structure_set, uid

from .test_browser import serious_findings
from .test_doses import BLOCK, SIDE, slices
from .test_outlines import row_of, square

COUNT = MOST + 2
NOUNS = ("structure set", "segmentation", "dose")


def of_each() -> list[bytes]:
    """Structure sets that share the frame of reference alone, segmentations and doses."""
    points = contour(*(f"{one:g}" for one in square((-5, -15, 3), 20).ravel()))
    there = [frame_reference(FRAME, uid(7), [])]
    mask = {"segment": 1, "position": (-31, -29, 3), "bits": np.ones((2, 2))}
    found = []
    for n in range(1, COUNT + 1):
        own: dict[str, Any] = {"ReferencedFrameOfReferenceSequence": there}
        own |= {"SOPInstanceUID": uid(2, 5, n), "StructureSetLabel": f"Set {n}"}
        found.append(rt_structure_set([roi(1, "Ring", points)], **own))
        uids = {"SeriesInstanceUID": uid(2, 6), "SOPInstanceUID": uid(2, 6, n)}
        found.append(rt_dose(np.ones((2, SIDE, SIDE), np.uint16), **uids, InstanceNumber=str(n)))
        uids = {"SeriesInstanceUID": uid(2, 8), "SOPInstanceUID": uid(2, 8, n)}
        found.append(segmentation([mask], **uids, InstanceNumber=str(n)))
    return found


def test_what_a_long_list_leaves_out_is_said_and_listed(
    signed_in, live, import_zip, console_errors
):
    import_zip(*slices(1, BLOCK), *of_each())
    page, series = signed_in, DICOMSeries.objects.get(modality="CT")
    first = RTStructureSetInformation.objects.get(structure_set_label="Set 1").dicom_instance_id
    page.goto(f"{live.url}/dicom/series/{series.pk}/")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for noun in NOUNS:
            expect(line_of(page, noun)).to_contain_text(f"2 more {noun}s are not listed here.")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_findings(page) == []
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    for noun in NOUNS:
        choice = choice_of(page, noun)
        choice.select_option(index=2)
        chosen = choice.input_value()
        line_of(page, noun).get_by_role("button", name="List all").press("Enter")
        expect(choice.locator("option")).to_have_count(COUNT + 1)
        expect(choice).to_be_focused()
        expect(choice).to_have_value(chosen)
        expect(line_of(page, noun)).to_be_hidden()
    choice_of(page, "structure set").select_option(label="Set 1, 13 Mar 2024")
    expect(row_of(page, "Ring")).to_be_visible()
    page.wait_for_url(f"**/?set={first}")
    page.reload()
    expect(row_of(page, "Ring")).to_be_visible()
    expect(choice_of(page, "structure set").locator("option")).to_have_count(MOST + 1)
    expect(line_of(page, "structure set")).to_be_visible()
    it_is_asked_for_again_where_the_connection_breaks_off(page)
    console_errors.clear()


def choice_of(page: Page, noun: str) -> Any:
    return page.get_by_role("combobox", name=noun.capitalize(), exact=True)


def line_of(page: Page, noun: str) -> Any:
    lines = page.locator("[data-over=unlisted]")
    return lines.nth(NOUNS.index(noun))


def it_is_asked_for_again_where_the_connection_breaks_off(page: Page) -> None:
    page.route("**/over/**", lambda route: route.abort())
    button = line_of(page, "dose").get_by_role("button", name="List all")
    button.click()
    said = page.locator("[data-over=state]")
    expect(said).to_have_text("The connection broke off: reload the page.")
    expect(choice_of(page, "dose").locator("option")).to_have_count(MOST + 1)
    page.unroute("**/over/**")
    button.click()
    expect(choice_of(page, "dose").locator("option")).to_have_count(COUNT + 1)
    expect(said).to_be_hidden()
