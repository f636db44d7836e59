"""`run.py demo`: where it may run, what it says, and what it brings."""

import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse
from playwright.sync_api import expect

from app.demo.archive import write_archive
from app.management.commands.demo import ELSEWHERE, Command, mark_of, refusal
from app.models import DICOMInstance, DICOMSeries, DICOMStudy, Outcome
from tests.conftest import Service, wait_until

BANNER = "Demo data: invented patients"
PICTURES = "Pictures: "
SIGN_IN = "Sign in as demo with the password "
# Something is drawn: bone, in the middle of the picture's lower half.
BRIGHT = """() => {
  const canvas = document.querySelector("[data-part=canvas]");
  const [x, y] = [canvas.width / 2, canvas.height / 2].map(Math.round);
  const { data } = canvas.getContext("2d").getImageData(x, y, 1, y);
  return data.some((value, at) => at % 4 === 0 && value > 240);
}"""
PARTS = ("app", "icon", "static", "templates")
FILES = ("run.py", "manage.py", "gunicorn.conf.py", "requirements.txt")


def test_all_that_it_brings_is_imported_without_a_warning_and_found(
    import_zip, staff_client, settings, tmp_path
):
    with (tmp_path / "demo.zip").open("xb") as file:
        write_archive(file, coarser=8)
    imported = import_zip(tmp_path / "demo.zip")
    assert imported.outcomes[Outcome.IMPORTED] == imported.member_count == 43
    assert imported.warning_count == 0
    settings.ICON_DEMO = True
    study = DICOMStudy.objects.get(series__modality="RTDOSE")
    page = staff_client.get(reverse("study", args=[study.pk])).content.decode()
    assert "15 of 15 images here" in page
    assert page.count(BANNER) == 1
    report, letter = (DICOMInstance.objects.get(dicom_series__modality=m) for m in ("SR", "DOC"))
    page = staff_client.get(reverse("document", args=[report.pk])).content.decode()
    assert "software phantom" in page
    pdf = staff_client.get(reverse("pdf", args=[letter.pk]))
    assert b"".join(pdf).startswith(b"%PDF-1.4")
    settings.ICON_DEMO = False
    ct = DICOMSeries.objects.get(modality="CT")
    assert BANNER not in staff_client.get(reverse("series", args=[ct.pk])).content.decode()


@pytest.fixture
def nothing_set(monkeypatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_nothing_of_the_demo_goes_elsewhere(monkeypatch, tmp_path, name):
    assert refusal(tmp_path) == ""
    monkeypatch.setenv(name, "postgres://icon@db.example.org/icon")
    assert refusal(tmp_path).startswith(f"{name} is set, and the demo keeps")
    assert "example.org" not in refusal(tmp_path)


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize(
    "name",
    ["icon.sqlite3", "broker", "log", "media/a.zip", "processed_dicom_files/1/2/3.dcm"],
)
def test_other_data_is_not_the_demo_s(tmp_path, name):
    for folder in ("media/tmp", "processed_dicom_files"):  # as every command makes them
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "up.lock").touch()  # of a start that found no free port
    assert refusal(tmp_path) == ""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    mark_of(tmp_path).touch()  # a kill may leave it empty
    assert refusal(tmp_path).startswith(f"The data in {tmp_path} is not the demo's.")
    mark_of(tmp_path).write_text("secret")
    assert refusal(tmp_path) == ""


@pytest.mark.usefixtures("nothing_set")
def test_a_folder_is_the_demo_s_only_once_it_has_a_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        service = Service(
            [sys.executable, "manage.py", "demo", "--port", port],
            tmp_path / "log of the test",
            {"ICON_VAR": str(tmp_path)},
            clean=True,
        )
        service.start()
        assert service.process.wait(60) == 1
    assert service.output.startswith("ICON cannot listen on")
    assert not mark_of(tmp_path).exists()
    assert refusal(tmp_path) == ""


def test_an_upload_that_was_deleted_is_not_followed(db):
    command = Command()
    command.upload = 7
    command.look_on("http://localhost/")
    assert command.upload is None


def test_a_refusal_is_a_sentence(tmp_path):
    (tmp_path / "broker").mkdir()
    service = Service(
        [sys.executable, "manage.py", "demo"],
        tmp_path / "log",
        {"ICON_VAR": str(tmp_path)},
        clean=True,
    )
    service.start()
    assert service.process.wait(60) == 1
    [line] = service.output.splitlines()
    assert line.startswith(f"CommandError: The data in {tmp_path} is not the demo's.")
    assert not mark_of(tmp_path).exists()


def test_the_archive_can_be_written_by_itself_and_replaces_nothing(tmp_path, capsys):
    path = tmp_path / "demo.zip"
    call_command("make_demo_archive", path, "--coarser", "8")
    assert capsys.readouterr().out.startswith(f"{path}: 43 objects of two invented patients, ")
    with pytest.raises(CommandError, match="is there already"):
        call_command("make_demo_archive", path)


# --- the whole -------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path) -> Path:
    """What git would bring, with the packages that are installed here."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in PARTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project.BASE_DIR / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copy(project.BASE_DIR / name, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def begun(clone: Path, log: Path) -> Service:
    command = [sys.executable, str(clone / "run.py"), "demo", "--port", "0"]
    service = Service(command, log, clean=True)
    service.start()
    wait_until(lambda: service.says(PICTURES), "the demo's pictures", 180)
    return service


def said(service: Service, start: str) -> str:
    """What a line of its output says after its beginning."""
    [line] = [line for line in service.output.splitlines() if line.startswith(start)]
    return line.removeprefix(start)


@pytest.mark.long
def test_a_fresh_clone_shows_pictures_and_goes_on_with_them(clone, page, tmp_path):
    first = begun(clone, tmp_path / "first.log")
    try:
        assert "281 objects imported." in first.output
        [archive] = (clone / "var-demo" / "media" / "archives").iterdir()
        assert archive.stat().st_size < 20_000_000
        see_a_picture(page, first)
    finally:
        first.stop(signal.SIGINT, 30)
    second = begun(clone, tmp_path / "second.log")
    try:
        assert "Making" not in second.output
        assert said(second, SIGN_IN) == said(first, SIGN_IN)
        assert said(second, PICTURES).split("/")[3:] == said(first, PICTURES).split("/")[3:]
    finally:
        second.stop(signal.SIGINT, 30)
    assert not (clone / "var").exists()


def see_a_picture(page, service: Service) -> None:
    address = said(service, PICTURES)
    page.goto(address)
    page.fill("[name=username]", "demo")
    page.fill("[name=password]", said(service, SIGN_IN))
    page.click("[type=submit]")
    expect(page.get_by_text(BANNER)).to_be_visible()
    page.wait_for_function(BRIGHT)
    expect(page.locator(".viewer-lines [data-roi]").first).to_be_attached()
