"""The add page in a real browser: several ZIPs, each with its own row and its own fate."""

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.models import DICOMFile
from tests.conftest import wait_until
from tests.making.objects import ct_image, uid, zip_of

from .test_browser import serious_findings, sign_in

DROP = """([name, bytes]) => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([new Uint8Array(bytes)], name));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
}"""


@pytest.fixture
def zips(tmp_path) -> list[Path]:
    return [zip_of(tmp_path / f"scan{n}.zip", ct_image(SOPInstanceUID=uid(4, n))) for n in range(2)]


@pytest.fixture
def large_zip(tmp_path) -> Path:
    """Larger than what is on its way between a browser and a server."""
    stored = ("zeros", bytes(200_000_000))
    return zip_of(tmp_path / "large.zip", stored, compression=zipfile.ZIP_STORED)


@pytest.fixture
def adding(signed_in, live, transactional_db, media_root):
    signed_in.goto(f"{live.url}/admin/app/dicomfile/add/")
    signed_in.uncheck("#id_process")
    return signed_in


def upload(page, *paths) -> None:
    page.set_input_files("#id_file", paths)
    page.get_by_role("button", name="Upload").click()


def row(page, name: str):
    return page.locator(".sending li").filter(has_text=name)


LIST = "**/admin/app/dicomfile/?these=*"


def test_several_zips_are_uploaded_and_listed(adding, zips):
    upload(adding, *zips)
    adding.wait_for_url(LIST)
    expect(adding.get_by_text("2 uploads received. Press Process Now")).to_be_visible()
    for path in zips:
        expect(adding.get_by_role("link", name=path.name, exact=True)).to_be_visible()
    assert {one.original_name for one in DICOMFile.objects.all()} == {p.name for p in zips}


def test_the_first_page_takes_zips_as_well(adding, live, zips):
    adding.goto(f"{live.url}/admin/")
    upload(adding, *zips)
    adding.wait_for_url(LIST)
    assert {one.original_name for one in DICOMFile.objects.all()} == {p.name for p in zips}


def test_they_are_processed_unless_that_is_switched_off_which_is_remembered(adding, worker, zips):
    box = adding.get_by_label("Process as soon as each is uploaded")
    adding.reload()
    expect(box).not_to_be_checked()
    box.check()
    expect(adding.get_by_role("button", name="Upload")).to_be_disabled()
    upload(adding, *zips)
    adding.wait_for_url(re.compile(r"/dicom/progress/\?upload=\d+&upload=\d+$"))
    for badge in adding.locator("[data-field=status]").all():
        expect(badge).to_have_text("Completed")
    adding.go_back()
    adding.reload()
    expect(box).to_be_checked()
    adding.set_input_files("#id_file", zips)
    expect(row(adding, "scan0.zip")).to_contain_text("by staff: Completed. Open its result")
    expect(adding.get_by_role("button", name="Upload")).to_be_disabled()
    adding.get_by_role("button", name="Send it again scan0.zip").click()
    adding.get_by_role("button", name="Upload").click()
    expect(adding.get_by_text("1 of 2 uploaded.")).to_be_visible()
    assert DICOMFile.objects.count() == 3


def test_what_is_no_zip_is_refused_before_it_is_sent(adding, zips, tmp_path, console_errors):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.zip"
    hostile.write_bytes(b"hello" * 100)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(zips[1].read_bytes()[:-30])
    upload(adding, hostile, cut, zips[0])
    expect(row(adding, hostile.name)).to_contain_text("This is not a ZIP archive.")
    expect(row(adding, "cut.zip")).to_contain_text("The ZIP is incomplete")
    expect(adding.get_by_text("1 uploaded", exact=True)).to_be_visible()
    expect(row(adding, "scan0.zip")).to_be_hidden()
    expect(adding.get_by_text("1 of 3 uploaded.")).to_be_visible()
    assert DICOMFile.objects.get().original_name == "scan0.zip"
    assert serious_findings(adding) == []
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    adding.get_by_role("link", name="Show them in the list").click()
    adding.wait_for_url(LIST)


def test_the_server_s_own_limit_is_told_by_the_server(
    start_live, page, staff_user, large_zip, console_errors
):
    live = start_live(ICON_MAX_UPLOAD="10MB")
    sign_in(page, live.url)
    page.goto(f"{live.url}/admin/app/dicomfile/add/")
    # As where the limit was lowered after this page was loaded.
    page.evaluate("document.getElementById('adding').dataset.maxUpload = '300000000'")
    upload(page, large_zip)
    expect(row(page, "large.zip")).to_contain_text("A ZIP may have up to 10 MB.")
    console_errors.clear()  # the browser told of it, too


def test_a_lost_connection_leaves_nothing_and_all_goes_on_when_it_is_back(
    adding, zips, media_root, console_errors
):
    adding.set_input_files("#id_file", zips)
    adding.context.set_offline(True)
    adding.get_by_role("button", name="Upload").click()
    expect(row(adding, "scan0.zip")).to_contain_text("The connection was lost.")
    expect(row(adding, "scan1.zip")).to_contain_text("Ready")
    expect(adding.get_by_text("It goes on by itself")).to_be_visible()
    console_errors.clear()  # the browser told of it
    assert not DICOMFile.objects.exists()
    assert not [path for path in media_root.rglob("*") if path.is_file()]
    adding.context.set_offline(False)
    adding.wait_for_url(LIST)
    assert DICOMFile.objects.count() == 2


def slowly(page, path: Path) -> None:
    """Send a large ZIP so slowly that it is still on its way when something happens to it."""
    network = page.context.new_cdp_session(page)
    speed = {"downloadThroughput": -1, "uploadThroughput": 5_000_000}  # bytes per second
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **speed})
    upload(page, path)
    expect(row(page, path.name)).to_contain_text(re.compile(r"[0-9] % · .*B/s · .* left"))


def wait_until_nothing_is_left(page, media_root) -> None:
    def left() -> list[Path]:
        page.wait_for_timeout(100)  # the browser goes on meanwhile
        return [path for path in media_root.rglob("*") if path.is_file()]

    wait_until(lambda: not left(), "no file")
    assert not DICOMFile.objects.exists()


def test_an_upload_that_is_cancelled_leaves_nothing(adding, large_zip, media_root):
    slowly(adding, large_zip)
    expect(adding.locator("#sending-total")).to_contain_text(re.compile(r"^Sending 1 of 1 · \d+ %"))
    expect(adding.get_by_label("Process as soon")).to_be_disabled()
    wait_until(lambda: [path for path in media_root.rglob("*") if path.is_file()], "its file")
    row(adding, "large.zip").get_by_role("button", name="Cancel large.zip").click()
    expect(row(adding, "large.zip")).to_have_count(0)
    wait_until_nothing_is_left(adding, media_root)


def test_a_tab_that_is_closed_warns_and_leaves_nothing(adding, large_zip, media_root):
    other = adding.context.new_page()
    slowly(adding, large_zip)
    asked = []
    adding.on("dialog", lambda dialog: asked.append(dialog.type) or dialog.accept())
    with adding.expect_event("close"):
        adding.close(run_before_unload=True)
    assert asked == ["beforeunload"]
    wait_until_nothing_is_left(other, media_root)


def test_a_zip_can_be_dropped_and_taken_out_again(adding, zips):
    for path in zips:
        adding.evaluate(DROP, [path.name, list(path.read_bytes())])
    adding.get_by_role("button", name="Remove scan0.zip").click()
    adding.get_by_role("button", name="Upload").click()
    adding.wait_for_url(LIST)
    assert DICOMFile.objects.get().original_name == "scan1.zip"


def test_who_was_signed_out_is_told_before_anything_is_sent_and_goes_on(adding, live, zips):
    adding.set_input_files("#id_file", zips)
    adding.context.clear_cookies(name="sessionid")
    sent = []
    adding.on("request", lambda request: request.method == "POST" and sent.append(request.url))
    adding.get_by_role("button", name="Upload").click()
    expect(row(adding, "scan0.zip")).to_contain_text("You were signed out")
    assert sent == []
    tab = adding.context.new_page()
    sign_in(tab, live.url)
    adding.get_by_role("button", name="Try 2 again").click()
    adding.wait_for_url(LIST)
    assert DICOMFile.objects.count() == 2


def test_without_javascript_it_is_the_ordinary_form(browser, live, staff_user, zips):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live.url)
    page.goto(f"{live.url}/admin/app/dicomfile/add/")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Choose a ZIP first.")).to_be_visible()
    page.get_by_label("Process as soon as each is uploaded").uncheck()
    upload(page, zips[0])
    expect(page.get_by_text("Press Process Now to process it.")).to_be_visible()
    context.close()
