#!/usr/bin/env python3
"""Times an import into a catalogue that is full beside one into an empty one, and ICON's lists.

    python benchmarks/grown.py --instances 1000000

The full catalogue is made once, out of rows alone; each import gets a copy of it. With
ICON_DATABASE_URL it does the same on that PostgreSQL server, as a superuser, in its stead.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from statistics import median

import corpora
from measure import (
    SERVER,
    Timed,
    empty,
    import_archive,
    machine,
    migrate,
    new_database,
    python,
    settle,
)

HERE = Path(__file__).resolve().parent
SMALL = 1_000  # instances, in the catalogue whose lists need as many queries as a full one's
LIMIT_RATIO, LIMIT_MS = 1.2, 300


@contextmanager
def catalogue(var: Path, instances: int) -> Iterator[str]:
    """The URL of a catalogue with so many instances, "" where it is SQLite in its folder."""
    with ExitStack() as stack:
        url = stack.enter_context(new_database(var.name)) if SERVER else ""
        migrate(var, url)
        if instances:
            python(var, HERE / "fill.py", str(instances), database_url=url)
        yield url


def imported(archive: Path, var: Path, full: Path, full_url: str) -> Timed:
    """Import into a copy of a catalogue, which is in the page cache as a busy one would be."""
    var.mkdir()
    with ExitStack() as stack:
        url = ""
        if SERVER:
            template = full_url.rpartition("/")[2].partition("?")[0]
            url = stack.enter_context(new_database(var.name, template))
            settle(archive)
            prewarm(url)
        else:
            copy = shutil.copy(full / "icon.sqlite3", var)
            settle(archive, Path(copy))
        warm = var / "warm"
        with catalogue(warm, 0) as warm_url:
            import_archive(corpora.make("mr", archive.parent, 0.01), warm, "imported", warm_url)
        run = import_archive(archive, var, "imported", url)
    empty(var)
    return run


def prewarm(url: str) -> None:
    """Read the database's tables and indexes into memory."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        connection.execute(
            "SELECT sum(pg_prewarm(oid::regclass, 'read')) FROM pg_class "
            "WHERE relkind IN ('r', 'i') AND relname LIKE 'app\\_%'"
        )


def listed(var: Path, url: str) -> dict[str, dict[str, float]]:
    return json.loads(python(var, HERE / "pages.py", database_url=url).output)


def main() -> None:
    options = arguments()
    archive = corpora.make(options.corpus, options.folder, options.scale)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        variants = {}
        for name, instances in ("empty", 0), ("few", SMALL), ("full", options.instances):
            print(f"making the {name} catalogue", file=sys.stderr)
            var = scratch / name
            variants[name] = (var, stack.enter_context(catalogue(var, instances)))
        runs: dict[str, list[Timed]] = {"empty": [], "full": []}
        for number in range(options.runs + 1):
            for name, timings in runs.items():
                print(f"round {number}: into the {name} catalogue", file=sys.stderr)
                run = imported(archive, scratch / f"{name}_{number}", *variants[name])
                if number:  # the first is the warm-up
                    timings.append(run)
        lists = {name: listed(*variants[name]) for name in ("few", "full")}
    print("\n".join(tables(options, runs, lists)))


def tables(options, runs, lists) -> Iterator[str]:
    ratio = median(
        full.seconds / empty.seconds
        for full, empty in zip(runs["full"], runs["empty"], strict=True)
    )
    database = "PostgreSQL" if SERVER else "SQLite"
    yield f"{machine()}, {date.today()}; {database}; {options.instances:,} instances\n"
    yield "| catalogue | import, seconds | peak MB |\n| --- | ---: | ---: |"
    for name, timings in runs.items():
        seconds = median(run.seconds for run in timings)
        yield f"| {name} | {seconds:.2f} | {median(run.peak for run in timings) / 1e6:.0f} |"
    yield f"\nThe full one takes {ratio:.2f} of the empty one's time; at most {LIMIT_RATIO}.\n"
    yield f"| list | queries with {SMALL:,} | with all | ms, p95; at most {LIMIT_MS} |"
    yield "| --- | ---: | ---: | ---: |"
    few, full = (list(lists[name].items()) for name in ("few", "full"))
    for (_, small), (page, large) in zip(few, full, strict=True):
        yield f"| {page} | {small['queries']} | {large['queries']} | {large['ms']:.0f} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--corpus", choices=corpora.CORPORA, default="mr")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the corpus")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
