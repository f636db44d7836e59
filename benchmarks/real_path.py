#!/usr/bin/env python3
"""Times the whole way of an archive: sent by a browser, Process Now, a worker, the end.

    python benchmarks/real_path.py ct mr

In each round, in turn and each in a new folder: `unzip`, `manage.py import_archive`, and an ICON of
its own (`manage.py up`) to which Chromium uploads the archive. What the button Process Now sends is
sent when Chromium rests, which else takes 0.3 s of the processors that ICON has. Of it two times
are told: from the claim to the end status, as of `import_archive`, and from the button to the end
status. Chromium, unzip and the packages of requirements-dev.txt must be installed.
"""

import argparse
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import corpora
from compare import unzip
from measure import empty, folder_of_runs, import_archive, machine, migrate, settle
from playwright.sync_api import Page
from served import running, upload

WAYS = ("unzip", "import_archive", "worker", "from the button")
LONGEST = 600  # seconds
QUIET = 6  # looks, half a second apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="*", default=["ct", "mr"], metavar="CORPUS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="0.02 takes seconds")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    options = parser.parse_args()
    print(f"{machine()}; medians of {options.rounds} rounds\n")
    print("| archive | way | seconds | lowest to highest | of unzip |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in options.corpora:
        archive = corpora.make(name, options.folder, options.scale)
        # Of other objects: so that worker and code are warm, and nothing of the archive is known.
        tiny = corpora.make("mr" if name.startswith("ct") else "ct", options.folder, scale=0.02)
        rounds = []
        scratch = folder_of_runs(options.folder)
        for number in range(options.rounds + 1):
            print(f"round {number} of {name}", file=sys.stderr)
            rounds.append(one_round(archive, tiny, scratch / str(number)))
        del rounds[0]  # the warm-up
        for way in WAYS:
            seconds = [one[way] for one in rounds]
            share = median(one[way] / one["unzip"] for one in rounds)
            reach = f"{min(seconds):.2f} to {max(seconds):.2f}"
            print(f"| {name} | {way} | {median(seconds):.2f} | {reach} | {share:.2f} |")


def one_round(archive: Path, tiny: Path, folder: Path) -> dict[str, float]:
    folders = {way: folder / way for way in ("unzip", "import_archive", "served")}
    for path in folders.values():
        path.mkdir(parents=True)
    settle(archive)
    seconds = {"unzip": unzip(archive, folders["unzip"]).seconds}
    empty(folders["unzip"])
    var = folders["import_archive"]
    migrate(var)
    import_archive(tiny, var, "imported")
    settle(archive)
    seconds["import_archive"] = import_archive(archive, var, "imported").seconds
    empty(var)
    with running(folders["served"]) as page:
        process(page, folders["served"], tiny)
        wait_until_quiet(folders["served"])
        worker, whole = process(page, folders["served"], archive)
    empty(folders["served"])
    return seconds | {"worker": worker, "from the button": whole}


def process(page: Page, var: Path, archive: Path) -> tuple[float, float]:
    """Upload an archive, send what Process Now sends; the seconds of its run, and of all."""
    upload(page, archive)
    settle(*var.glob("media/archives/*"))
    button = page.get_by_role("button", name="Process Now").first
    form = "button => [button.formAction, button.form.elements.csrfmiddlewaretoken.value]"
    address, token = button.evaluate(form)
    page.goto("about:blank")  # whoever presses it has a processor of his own
    pressed = datetime.now(UTC)
    page.request.post(
        address,
        form={"csrfmiddlewaretoken": token},
        headers={"Referer": address},
        max_redirects=0,
    )
    begun, ended = end_of(var)
    return (ended - begun).total_seconds(), (ended - pressed).total_seconds()


def wait_until_quiet(var: Path) -> None:
    """Until nothing is made any more of what was imported."""
    turn = "SELECT count(*) FROM app_derivingturn WHERE until IS NOT NULL"
    quiet = 0
    while quiet < QUIET:
        time.sleep(0.5)
        with closing(sqlite3.connect(f"file:{var}/icon.sqlite3?mode=ro", uri=True)) as database:
            quiet = 0 if database.execute(turn).fetchone()[0] else quiet + 1


def end_of(var: Path) -> tuple[datetime, datetime]:
    """When the newest upload was begun and completed."""
    last = "SELECT processing_status, date_processing_started, date_processing_completed"
    for _ in range(LONGEST * 5):
        with closing(sqlite3.connect(f"file:{var}/icon.sqlite3?mode=ro", uri=True)) as database:
            status, *times = database.execute(
                f"{last} FROM app_dicomfile ORDER BY id DESC LIMIT 1"
            ).fetchone()
        if status == "completed":
            begun, ended = (datetime.fromisoformat(at).replace(tzinfo=UTC) for at in times)
            return begun, ended
        if status == "failed":
            break
        time.sleep(0.2)
    raise RuntimeError(f"The import ended otherwise: {status}")


if __name__ == "__main__":
    main()
