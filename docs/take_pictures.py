#!/usr/bin/env python3
"""Takes the README's pictures of the demo, into docs/pictures: invented patients only.

Run it with the Python of .venv, where a change shows on one of these pages.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1280


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as var,
        demo(Path(var)) as (series, password),
        sync_playwright() as playwright,
    ):
        binary = next(filter(None, map(shutil.which, BROWSERS)))
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=binary, args=arguments)
        page = browser.new_page()
        sign_in(page, series, password)
        for name, (height, show) in SHOWN.items():
            page.set_viewport_size({"width": WIDTH, "height": height})
            show(page, series)
            take(page, name)
        browser.close()


@contextmanager
def demo(var: Path) -> Iterator[tuple[str, str]]:
    """A demo of its own: the address of its CT, and its user's password."""
    command = [sys.executable, "-u", ROOT / "manage.py", "demo", "--port", "0"]
    environment = os.environ | {"ICON_VAR": str(var)}
    icon = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert icon.stdout
    try:
        said = ""
        for line in icon.stdout:
            said += line
            if found := re.search(r"^Pictures: (\S+)", line):
                yield found[1], re.search(r"with the password (\S+)", said)[1]
                break
    finally:
        icon.send_signal(signal.SIGINT)
        icon.communicate()


def sign_in(page: Page, address: str, password: str) -> None:
    page.goto(address)
    page.fill("#id_username", "demo")
    page.fill("#id_password", password)
    page.click("[type=submit]")


def result(page: Page, series: str) -> None:
    page.goto(f"{site(series)}/dicom/result/1/")


def studies(page: Page, series: str) -> None:
    page.goto(f"{site(series)}/dicom/studies/")


def study(page: Page, series: str) -> None:
    page.goto(series)
    page.click("main a[href*='/dicom/studies/']")


def picture(page: Page, series: str) -> None:
    page.goto(series.partition("?")[0])
    page.wait_for_load_state("networkidle")
    page.get_by_label("Structure set").select_option(index=1)
    page.click("[data-over=list] >> text=GTV")
    page.focus("[data-part=canvas]")
    page.keyboard.press("2")  # the file's own window for lungs
    page.evaluate("scrollTo(0, 0)")


def planes(page: Page, series: str) -> None:
    picture(page, series)
    page.locator(".over-doses select").select_option(index=1)
    page.click("text=Three planes")
    page.wait_for_selector("text=Back to the slices")
    page.click("[data-over=list] >> text=GTV")
    page.focus("[data-part=canvas]")
    page.keyboard.press("1")
    page.evaluate("scrollTo(0, 0)")


def structures(page: Page, series: str) -> None:
    page.goto(series)
    page.click("a[href*='/dicom/structure-sets/']")


# By name: how high the window is, and what leads there.
SHOWN = {
    "1-result": (760, result),
    "2-studies": (560, studies),
    "3-study": (760, study),
    "4-picture": (1016, picture),
    "5-planes": (1100, planes),
    "6-structures": (760, structures),
}


def site(address: str) -> str:
    return address.partition("/dicom/")[0]


def take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # for what fades in
    shown = imagecodecs.png_decode(page.screenshot())[..., :3]
    # In 52 steps a colour, which shows in no picture and makes the file smaller by a third.
    steps = (np.rint(shown / 5) * 5).astype(np.uint8)
    path = PICTURES / f"{name}.png"
    path.write_bytes(imagecodecs.png_encode(steps, level=9))
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
