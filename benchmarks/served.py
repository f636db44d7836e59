"""ICON as its users meet it: `manage.py up` on a data folder of its own, and a browser."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import ROOT, migrate, python
from playwright.sync_api import Page, sync_playwright

USER, PORT_WAIT = "benchmark", 60  # seconds
LIST = re.compile(r"/admin/app/dicomfile/(\?.*)?$")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
            # Its profile stays: ext4 without a journal makes files slowly after many were deleted.
            browser = playwright.chromium.launch_persistent_context(
                var / "browser", executable_path=binary, args=arguments, base_url=url
            )
            yield sign_in(browser.new_page(), password)
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


def upload(page: Page, archive: Path) -> None:
    """Send an archive, to be processed once the button in its row of the list is pressed."""
    page.goto("/admin/app/dicomfile/add/")
    page.set_input_files("#id_file", archive)
    page.uncheck("[name=process]")
    page.click("[name=_save]")
    page.wait_for_url(LIST)


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
