#!/usr/bin/env python3
"""Times what a person waits for after Process Now: until the progress page shows progress.

    python benchmarks/first_progress.py

It starts ICON with `manage.py up` on a data folder of its own, signs in with Chromium, uploads
the MR corpus, presses the button, and looks at the page until the bar has left 0 %; several times.
Chromium and the packages of requirements-dev.txt must be installed.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import corpora
from measure import machine
from playwright.sync_api import Page
from served import running, upload

RUNS = 10
SHOWN = "() => Number(document.querySelector('[data-field=percent]')?.textContent) > 0"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    folder = parser.parse_args().folder
    archive = corpora.make("mr", folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, running(Path(scratch)) as page:
        # Each under a name of its own: ICON asks before it takes an upload that it knows.
        names = [Path(scratch) / f"mr-{number}.zip" for number in range(RUNS + 1)]
        for name in names:
            name.hardlink_to(archive)
        seconds = [until_shown(page, name) for name in names][1:]
    print(f"{machine()}\nProcess Now to the first progress shown, {RUNS} times:")
    print(f"median {median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")


def until_shown(page: Page, archive: Path) -> float:
    """Upload an archive, and time the button; the import is then left to end."""
    upload(page, archive)
    begun = time.monotonic()
    page.get_by_role("button", name="Process Now").first.click()
    page.wait_for_url("**/dicom/progress/*")
    while not page.evaluate(SHOWN):  # the page's policy forbids Playwright's own waiting for code
        time.sleep(0.01)
    seconds = time.monotonic() - begun
    page.get_by_role("link", name="Result").first.wait_for()
    return seconds


if __name__ == "__main__":
    main()
