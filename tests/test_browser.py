"""What a person does and sees: a real browser, the real server, a real worker."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app import tasks
from app.models import Status
from icon.settings import CDN_SCRIPTS, CDN_STYLES
from tests.conftest import wait_until
from tests.objects import ct_image, uid, zip_of

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
VENDOR = Path(__file__).parents[1] / "static" / "vendor"


def images(count: int, *, study: int = 1) -> list[bytes]:
    return [
        ct_image(
            StudyInstanceUID=uid(study),
            SeriesInstanceUID=uid(study, 1),
            SOPInstanceUID=uid(study, 1, number),
        )
        for number in range(count)
    ]


def add_upload(page, url: str, path: Path) -> None:
    page.goto(f"{url}/admin/app/dicomfile/add/")
    page.set_input_files("#id_file", path)
    page.click("[name=_save]")


def test_a_new_user_s_whole_journey(signed_in, live, worker, tmp_path):
    page = signed_in
    page.click("text=Uploads")
    page.click("text=Add DICOM file")
    path = zip_of(tmp_path / "export.zip", *images(3), ("README.txt", b"hello"))
    page.set_input_files("#id_file", path)
    page.click("[name=_save]")
    expect(page.get_by_text("Press Process Now to process it.")).to_be_visible()
    page.get_by_role("button", name="Process Now: export.zip").click()
    page.wait_for_url("**/dicom/progress/?upload=*")
    card = page.locator("article.upload")
    expect(card.locator("[data-field=status]")).to_have_text("Completed")
    expect(card.locator("[data-outcome=imported]")).to_have_text("3")
    expect(card.locator("[data-outcome=skipped]")).to_have_text("1")
    card.get_by_role("link", name="Open result").click()
    expect(page.get_by_text("All 3 DICOM objects are in the archive")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("README.txt"))).to_contain_text("Not DICOM.")


def test_three_uploads_by_the_bulk_action(signed_in, live, worker, tmp_path, browser):
    page = signed_in
    for number in range(3):
        path = zip_of(tmp_path / f"ct{number}.zip", *images(5, study=number + 1))
        add_upload(page, live.url, path)
    page.check("#action-toggle")
    page.select_option("select[name=action]", label="Process selected DICOM files")
    page.click("button[name=index]")
    page.wait_for_url(re.compile(r"progress/\?upload=\d+&upload=\d+&upload=\d+$"))
    expect(page.locator("article.upload")).to_have_count(3)
    for card in page.locator("article.upload").all():
        expect(card.locator("[data-field=status]")).to_have_text("Completed")
    bookmark = page.url
    page.goto(f"{live.url}/admin/")
    page.goto(bookmark)
    expect(page.locator("article.upload")).to_have_count(3)
    expect(page).to_have_title(re.compile("3/3|Progress"))


def test_the_bar_never_falls_and_every_stage_is_seen(signed_in, live, start_worker, slow_upload):
    page = signed_in
    start_worker(ICON_EXTRACTORS="1")
    page.goto(f"{live.url}/dicom/progress/?upload={slow_upload.pk}")
    page.get_by_role("button", name=re.compile("Process Now")).click()
    card = page.locator("article.upload")
    expect(card.locator("[data-field=status]")).to_have_text("In Progress")
    percents, stages = [], set()
    while card.locator("[data-field=status]").inner_text() == "In Progress":
        percents.append(int(card.locator("[data-field=percent]").inner_text()))
        stages |= {
            stage.get_attribute("data-stage")
            for stage in card.locator(".stage-current, .stage-done").all()
        }
        page.wait_for_timeout(250)
    expect(card.locator("[data-field=status]")).to_have_text("Completed", timeout=60_000)
    stages |= {stage.get_attribute("data-stage") for stage in card.locator(".stage-done").all()}
    assert percents == sorted(percents)
    assert len(set(percents)) > 3
    assert stages == {"initialize", "extract", "process", "cleanup", "finalize"}


def test_the_page_reconnects_when_the_server_was_away(
    signed_in, live, start_worker, slow_upload, console_errors
):
    page = signed_in
    start_worker(ICON_EXTRACTORS="1")
    tasks.start([slow_upload.pk])
    page.goto(f"{live.url}/dicom/progress/?upload={slow_upload.pk}")
    live.stop()
    expect(page.locator("[data-field=connection]")).to_contain_text("econnecting")
    live.start()
    card = page.locator("article.upload")
    expect(card.locator("[data-field=status]")).to_have_text("Completed", timeout=60_000)
    expect(page.locator("[data-field=connection]")).to_be_empty()
    console_errors.clear()  # the browser told of the connections that it could not make


def test_a_reload_and_a_second_browser_show_the_same(
    signed_in, live, start_worker, slow_upload, browser
):
    page = signed_in
    start_worker(ICON_EXTRACTORS="1")
    tasks.start([slow_upload.pk])
    url = f"{live.url}/dicom/progress/?upload={slow_upload.pk}"
    page.goto(url)
    expect(page.locator("[data-field=status]")).to_have_text("In Progress")
    page.reload()
    second = browser.new_context(storage_state=page.context.storage_state())
    other = second.new_page()
    other.goto(url)
    for one in (page, other):
        expect(one.locator("[data-field=status]")).to_have_text("Completed", timeout=60_000)
        expect(one.locator("[data-outcome=imported]")).to_have_text("150")
    second.close()


def test_a_failing_archive_says_what_to_do(signed_in, live, worker, upload_zip):
    page = signed_in
    upload = upload_zip(("notes.txt", b"hello"))
    tasks.start([upload.pk])
    page.goto(f"{live.url}/dicom/progress/?upload={upload.pk}")
    expect(page.locator("[data-field=status]")).to_have_text("Failed")
    expect(page.locator("[data-field=message]")).to_have_text("The ZIP holds no DICOM files.")
    page.get_by_role("link", name="Open result").click()
    expect(page.get_by_role("heading", name=re.compile("Processing failed"))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Process again"))).to_be_visible()


def test_the_keyboard_alone_is_enough(signed_in, live, worker, upload_zip):
    page = signed_in
    upload = upload_zip(*images(2))
    page.goto(f"{live.url}/admin/app/dicomfile/")
    page.get_by_role("button", name=re.compile("Process Now")).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/dicom/progress/?upload=*")
    expect(page.locator("[data-field=status]")).to_have_text("Completed")
    page.get_by_role("link", name="Open result").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dicom/result/{upload.pk}/")


# Bootstrap from the CDN, and without it


def colour_of_a_button(page) -> str:
    return page.evaluate(
        "getComputedStyle(document.querySelector('.btn-outline-secondary')).borderTopLeftRadius"
    )


def sign_in(page, url: str) -> None:
    page.goto(f"{url}/admin/login/")
    page.fill("#id_username", "staff")
    page.fill("#id_password", "staff-password")
    page.click("[type=submit]")
    page.wait_for_url(f"{url}/admin/")


def local_copy(url: str) -> Path:
    return next(VENDOR.rglob(url.partition("?")[0].rpartition("/")[2]))


@pytest.mark.parametrize("reachable", [True, False])
def test_the_page_is_dressed_with_and_without_the_cdn(
    reachable, page, staff_user, start_live, console_errors
):
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if not reachable:
            return route.abort()
        return route.fulfill(
            path=local_copy(route.request.url), headers={"Access-Control-Allow-Origin": "*"}
        )

    page.route("https://cdn.jsdelivr.net/**", answer)
    live = start_live(ICON_CDN="1")
    sign_in(page, live.url)
    page.goto(f"{live.url}/dicom/progress/")
    wait_until(lambda: colour_of_a_button(page) != "0px", "Bootstrap's look", 10)
    assert set(asked) >= {*CDN_STYLES[:1], *CDN_SCRIPTS}
    if not reachable:
        console_errors.clear()  # the browser told of what it could not load


# For everybody


def serious_findings(page) -> list[str]:
    # The strict policy lets no script in but ICON's own, so axe runs through the debugger.
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_finding(
    colours, page, live, staff_user, import_zip, console_errors
):
    page.emulate_media(color_scheme=colours)
    page.goto(f"{live.url}/admin/login/")
    found = serious_findings(page)
    sign_in(page, live.url)
    done, failed = import_zip(*images(2)), import_zip(("a.txt", b"x"))
    assert failed.processing_status == Status.FAILED
    for path in (
        "/admin/",
        "/admin/app/dicomfile/",
        "/admin/app/dicomfile/add/",
        f"/dicom/progress/?upload={done.pk}&upload={failed.pk}",
        f"/dicom/result/{done.pk}/",
        f"/dicom/result/{failed.pk}/",
    ):
        page.goto(live.url + path)
        found += serious_findings(page)
    assert "\n".join(found) == ""
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_window(width, page, live, staff_user, import_zip):
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, live.url)
    done = import_zip(("a very long folder name/" * 8 + "IM1", images(1)[0]))
    for path in (f"/dicom/progress/?upload={done.pk}", f"/dicom/result/{done.pk}/"):
        page.goto(live.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
