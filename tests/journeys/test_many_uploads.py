"""Sixty ZIPs at once are an ordinary day: sent, watched, and looked through in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from app.models import DICOMFile, Status
from tests.making.objects import ct_image, uid, zip_of

from .test_browser import serious_findings

# Of 100,000 files, with a name that nothing breaks.
LARGE = {
    "original_name": "W" * 60 + ".zip", "file": "x", "size": 52_345_678_901, "percent": 43,
    "member_count": 100_000, "imported_count": 12_345, "duplicate_count": 12_345,
    "conflict_count": 12_345, "skipped_count": 12_345, "failed_count": 12_345,
}  # fmt: skip


def small_zip(folder, number: int, good: bool):
    """One image, and where it is not good another that cannot be stored, or nothing of DICOM."""
    image = ct_image(SOPInstanceUID=uid(7, number), PatientID=f"ID{number % 7}")
    bad = [("notes.txt", b"hello")] if number % 2 else [image, ct_image(StudyInstanceUID=None)]
    return zip_of(folder / f"export-{number:02}.zip", *([image] if good else bad))


COUNT, BAD = 63, 8


@pytest.mark.long
def test_many_are_sent_watched_and_looked_through(
    signed_in, live, worker, tmp_path, console_errors
):
    page = signed_in
    page.goto(f"{live.url}/admin/app/dicomfile/add/")
    zips = [small_zip(tmp_path, number, number >= BAD) for number in range(COUNT)]
    page.set_input_files("#id_file", zips)
    assert page.locator("#sending li").first.bounding_box()["height"] <= 48
    page.get_by_role("button", name=f"Upload {COUNT} ZIPs").click()
    page.wait_for_url(re.compile(r"/dicom/progress/\?upload="), timeout=60_000)
    rows = page.locator(".upload-row")
    expect(rows).to_have_count(COUNT)
    line = page.get_by_role("navigation", name="Show only some")
    expect(line.get_by_text(f"{COUNT - BAD} fine")).to_be_visible(timeout=120_000)
    expect(line.get_by_role("link")).to_have_text(
        [f"{BAD // 2} failed", re.compile(f"^{BAD // 2} needs? attention"), f"{COUNT - BAD} fine"]
    )
    assert page.evaluate("document.documentElement.scrollHeight") <= 5_000
    expect(rows.first.locator("[data-field=status]")).to_have_text("Failed")
    expect(rows.last.locator("[data-field=status]")).to_have_text("Completed")
    line.get_by_text("failed").click()
    expect(page.locator(".upload-row:visible")).to_have_count(BAD // 2)
    page.reload()
    expect(page.locator(".upload-row:visible")).to_have_count(BAD // 2)
    line.get_by_text("failed").click()
    expect(page.locator(".upload-row:visible")).to_have_count(COUNT)
    page.goto(f"{live.url}/admin/app/dicomfile/")
    page.get_by_role("link", name=f"Needs attention ({BAD})").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(BAD)
    first = page.get_by_role("row").filter(has_text="export-01.zip")
    expect(first).to_contain_text("The ZIP holds no DICOM files.")
    first.get_by_role("button", name=re.compile("^Seen")).click()
    expect(page.get_by_role("link", name=f"Needs attention ({BAD - 1})")).to_be_visible()
    expect(page.get_by_text("export-01.zip")).to_have_count(0)
    assert serious_findings(page) == []
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


def test_no_daily_page_is_wider_than_its_window(signed_in, live, transactional_db):
    page = signed_in
    running = {"processing_status": Status.IN_PROGRESS, "stage": "process"}
    ended = {"processing_status": Status.COMPLETED, "stored_words": "12,345 images of 12 patients"}
    for values in (running, ended, {"processing_status": Status.FAILED}, {}, {}):
        DICOMFile.objects.create(**LARGE | values)
    pks = list(DICOMFile.objects.values_list("pk", flat=True))
    asked = ["&".join(f"upload={pk}" for pk in some) for some in (pks[-2:], pks)]
    paths = [f"/dicom/progress/?{one}" for one in asked]
    paths += [f"/admin/app/dicomfile/{more}" for more in ("", "?tab=attention", "add/")]
    wide = []
    for path in paths:
        page.goto(live.url + path)
        for width in (320, 390, 768, 1024):
            page.set_viewport_size({"width": width, "height": 800})
            found = page.evaluate("document.documentElement.scrollWidth")
            inside = page.evaluate(
                "[...document.querySelectorAll('.results, .upload, .upload-row')]"
                ".some((one) => one.scrollWidth > one.clientWidth)"
            )
            if found > width or inside:
                wide.append(f"{path} at {width}: {found}")
    assert "\n".join(wide) == ""
