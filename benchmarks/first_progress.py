#!/usr/bin/env python3
"""Times what a person waits for after Process Now: until the progress page shows progress.

    python benchmarks/first_progress.py

It starts ICON with `manage.py up` on a data folder of its own, signs in with Chromium, uploads
the MR corpus, presses the button, and looks at the page until the bar has left 0 %; several times.
Chromium and the packages of requirements-dev.txt must be installed.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import corpora
from measure import ROOT, machine, migrate, python
from playwright.sync_api import Page, sync_playwright

RUNS = 10
USER, PORT_WAIT = "benchmark", 60  # seconds
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOWN = "() => Number(document.querySelector('[data-field=percent]')?.textContent) > 0"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    folder = parser.parse_args().folder
    archive = corpora.make("mr", folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, running(Path(scratch)) as page:
        seconds = [until_shown(page, archive) for _ in range(RUNS + 1)][1:]
    print(f"{machine()}\nProcess Now to the first progress shown, {RUNS} times:")
    print(f"median {median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")


@contextmanager
def running(var: Path) -> Iterator[Page]:
    """A page of a browser that is signed in to an ICON of its own."""
    migrate(var)
    password, url = secrets.token_urlsafe(), f"http://127.0.0.1:{free_port()}"
    os.environ |= {"DJANGO_SUPERUSER_PASSWORD": password}
    named = ["--username", USER, "--email", "benchmark@localhost"]
    python(var, ROOT / "manage.py", "createsuperuser", "--noinput", *named)
    command = [sys.executable, ROOT / "manage.py", "up", "--port", url.rpartition(":")[2]]
    icon = subprocess.Popen(
        command, env=os.environ | {"ICON_VAR": str(var)}, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(url)
        with sync_playwright() as playwright:
            binary = next(filter(None, map(shutil.which, BROWSERS)))
            arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=binary, args=arguments)
            yield sign_in(browser.new_page(base_url=url), password)
            browser.close()
    finally:
        icon.send_signal(signal.SIGINT)
        icon.wait()


def sign_in(page: Page, password: str) -> Page:
    page.goto("/admin/")
    page.fill("#id_username", USER)
    page.fill("#id_password", password)
    page.click("[type=submit]")
    return page


def until_shown(page: Page, archive: Path) -> float:
    """Upload an archive, and time the button; the import is then left to end."""
    page.goto("/admin/app/dicomfile/add/")
    page.set_input_files("#id_file", archive)
    page.click("[name=_save]")
    page.wait_for_url("**/admin/app/dicomfile/")
    begun = time.monotonic()
    page.get_by_role("button", name="Process Now").first.click()
    page.wait_for_url("**/dicom/progress/*")
    page.wait_for_function(SHOWN, polling=10)
    seconds = time.monotonic() - begun
    page.get_by_role("link", name="Open result").wait_for()
    return seconds


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    end = time.monotonic() + PORT_WAIT
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
