"""Downloads through a browser and a real web server: whole, broken off, killed."""

import http.client
import io
import os
import signal
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db.models.functions import Now
from django.urls import reverse
from playwright.sync_api import expect

from app.models import AuditEntry, DICOMInstance, DICOMStudy, Download, Kind, Patient
from app.wording import human_size
from tests.conftest import press_on_page, wait_until
from tests.export.test_downloads import alter, enlarge, hashes, stored
from tests.making.objects import ct_image, rt_structure_set, uid

from .test_browser import serious_findings


def images(count: int, **keywords) -> list[bytes]:
    return [
        ct_image(SOPInstanceUID=uid(2, 1, n), InstanceNumber=n, **keywords) for n in range(count)
    ]


def hashes_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return hashes(archive.read(name) for name in archive.namelist() if name.endswith(".dcm"))


def test_a_download_is_chosen_and_saved(import_zip, signed_in, live, console_errors):
    import_zip(*images(3, PatientName="Doe^Jane"), rt_structure_set(["Heart"]))
    page = signed_in
    patient = Patient.objects.get()
    page.goto(live.url + reverse("patient", args=[patient.pk]))
    press_on_page(page, "d")
    expect(page.locator("[data-download][open]")).to_be_visible()
    assert serious_findings(page) == []
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {human_size(patient.total_size)}").click()
    assert download.value.suggested_filename == f"patient-{patient.pk}.zip"
    assert hashes_in(download.value.path()) == stored()
    page.goto(live.url + reverse("study_list"))
    expect(page.get_by_role("button", name="CSV")).to_be_hidden()
    page.get_by_label("Choose").check()
    page.locator(".download summary").click()
    page.set_viewport_size({"width": 390, "height": 800})
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks
    page.get_by_label("Name and ID in names of folders").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist()[0].startswith("Doe, Jane (")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.path().read_text("utf-8-sig").count("\n") == 2
    assert console_errors == []
    series_are_chosen(page, live.url)
    console_errors.clear()  # of axe, as above, and of what was refused
    wait_until(lambda: not Download.objects.exists(), "the ends of the downloads")


def series_are_chosen(page, url: str) -> None:
    """Two series of a study, by the keys, on the page of the study; and from a collection."""
    study = DICOMStudy.objects.get()
    page.goto(url + reverse("study", args=[study.pk]))
    page.locator("[data-row] [data-opens]").first.focus()
    press_on_page(page, "x")
    page.get_by_label("Choose RTSTRUCT").check()
    expect(page.get_by_role("status")).to_have_text(
        f"2 series, 3 images, {human_size(study.total_size)}"
    )
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.reload()
    expect(page.locator(".col-box input:checked")).to_have_count(2)
    page.evaluate("delete Element.prototype.checkVisibility")  # as Safari before 17.4
    press_on_page(page, "d")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "2-series.zip"
    assert hashes_in(download.value.path()) == stored()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.path().read_text("utf-8-sig").count("\n") == 3
    page.get_by_label("Name of a new collection").fill("Two series")
    page.get_by_role("button", name="Add to collection").click()
    page.get_by_text("Download the ticked").press("Enter")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(page.locator("main")).to_contain_text("Nothing was ticked.")
    page.get_by_role("link", name="Back", exact=True).click()
    page.get_by_text("Download the ticked").press("Enter")
    page.get_by_role("row", name="CT Thorax").get_by_role("checkbox").check()
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "1-entry.zip"
    assert len(hashes_in(download.value.path())) == 3


@pytest.fixture
def begun(live, staff_client):
    """Begin a download: the connection, and its answer, of which nothing was read so far."""
    session = staff_client.cookies["sessionid"].value

    def begin(name: str, pk: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=30)
        connection.request(
            "GET", reverse(name, args=[pk]), headers={"Cookie": f"sessionid={session}"}
        )
        return connection, connection.getresponse()

    return begin


def ends() -> list[str]:
    entries = AuditEntry.objects.filter(kind=Kind.DOWNLOAD_ENDED)
    return [
        words.partition(",")[0] for words in entries.order_by("pk").values_list("words", flat=True)
    ]


def test_what_is_not_whole_is_seen_to_be_broken(import_zip, begun, processed_root):
    import_zip(*images(2))
    row, _ = DICOMInstance.objects.order_by("instance_number")
    enlarge(row, processed_root)
    connection, answer = begun("download_series", row.dicom_series_id)
    body = answer.read()
    assert len(body) == int(answer.headers["Content-Length"])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert hashes(archive.read(name) for name in archive.namelist()) == stored()
    connection.close()
    wait_until(ends, "the end of the first download")  # before the next one's
    alter(row, processed_root)
    for name, pk in (("download_series", row.dicom_series_id), ("download_object", row.pk)):
        connection, answer = begun(name, pk)
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        connection.close()
    wait_until(lambda: len(ends()) == 3, "the ends of three downloads")
    assert ends() == ["Whole", *["Broken off: Its file is not what was catalogued."] * 2]
    connection, answer = begun("download_series", row.dicom_series_id)
    answer.read(1_000_000)
    answer.close()
    connection.close()  # as a browser that is told to stop
    wait_until(lambda: len(ends()) == 4, "the end of what is not read")
    assert ends()[-1] == "Broken off"
    assert not Download.objects.exists()


def most_memory(live) -> int:
    """Bytes of memory that the server's processes have had at most, each by itself."""
    found = 0
    for child in live.children:
        status = Path(f"/proc/{child}/status").read_text()
        found += int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return found


def received(answer: http.client.HTTPResponse, first: bytes, path: Path) -> Path:
    """A download whose first bytes were read, in a file that is as sparse as what was sent."""
    with path.open("wb") as file:
        file.write(first)
        while piece := answer.read(1_000_000):
            if piece.count(0) == len(piece):
                file.seek(len(piece), os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate()
    return path


@pytest.mark.long
def test_gigabytes_begin_at_once_and_take_no_memory(
    import_zip, begun, live, processed_root, tmp_path
):
    """Two, of objects that are hashed before they are sent and of one that is not."""
    import_zip(*images(31))
    row, *others = DICOMInstance.objects.order_by("instance_number")
    connection, answer = begun("download_series", row.dicom_series_id)
    answer.read()
    connection.close()
    before = most_memory(live)
    enlarge(row, processed_root, 1_000_000_000)
    for other in others:
        enlarge(other, processed_root, 33_000_000)
    at = time.monotonic()
    connection, answer = begun("download_series", row.dicom_series_id)
    first = answer.read(1)
    assert time.monotonic() - at < 1
    path = received(answer, first, tmp_path / "large.zip")
    connection.close()
    assert most_memory(live) - before < 20_000_000
    assert path.stat().st_size == int(answer.headers["Content-Length"])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sum(one.file_size for one in archive.infolist()) == 1_000_000_000 + 30 * 33_000_000
    wait_until(lambda: ends() == ["Whole"] * 2, "the ends of two downloads")


@pytest.mark.long
def test_a_killed_server_s_places_are_free_again(import_zip, begun, live, processed_root):
    import_zip(*images(1))
    row = DICOMInstance.objects.get()
    enlarge(row, processed_root)
    unread = [begun("download_object", row.pk) for _ in range(3)]
    assert [answer.status for _, answer in unread] == [200, 200, 429]
    server = live.service.process.pid
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    for connection, _ in unread:
        connection.close()
    live.wait()
    lent = Download.objects.filter(taken_until__gt=Now())
    assert lent.count() == 2
    wait_until(lambda: not lent.exists(), "the end of what nobody renews", 200)
    assert ends() == []
    connection, answer = begun("download_object", row.pk)
    assert answer.status == 200
    assert len(answer.read()) == row.size
    connection.close()
    wait_until(lambda: len(ends()) == 3, "the ends of three downloads")
    assert ends() == [*["Cut off: its server stopped"] * 2, "Whole"]
