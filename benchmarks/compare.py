#!/usr/bin/env python3
"""Times ICON beside other programs on the same archives, in turn, and prints a table.

    python benchmarks/compare.py ct mr
    export ICON_DATABASE_URL=postgres://user@/postgres
    python benchmarks/compare.py mr --tools icon icon-postgresql
    python benchmarks/compare.py ct mr --against HEAD~20

A warm-up round, then the rounds that count; in each, every archive meets every tool once, in a
new folder, with the archive in the page cache. A ratio is the median of the rounds' ratios. What
a run wrote is emptied after it, and left there. Run it as root where you can: then caches are
dropped before each run. With ICON_DATABASE_URL, ICON is timed on that PostgreSQL server, too.

With --against, ICON is timed beside the ICON of a commit instead, with the same interpreter and
packages: at least 15 pairs, and more while an interval is wider than 0.04. Printed is the median of
the pairs' ratios with its interval (95 %, by order statistics).
"""

import argparse
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median

import corpora
import trees
from measure import (
    SERVER,
    Timed,
    empty,
    folder_of_runs,
    import_archive,
    machine,
    migrate,
    new_database,
    settle,
    timed,
)

HERE = Path(__file__).resolve().parent
Cell = tuple[str, str]  # corpus, tool
Runs = dict[Cell, list[Timed]]


def unzip(archive: Path, folder: Path) -> Timed:
    return timed(["unzip", "-q", archive, "-d", folder])


def bsdtar(archive: Path, folder: Path) -> Timed:
    return timed(["bsdtar", "-xf", archive, "-C", folder])


def orthanc(archive: Path, folder: Path) -> Timed:
    alone = ["unshare", "--map-root-user", "--net"]
    run = timed([*alone, sys.executable, HERE / "orthanc.py", archive, folder])
    result = json.loads(run.output)
    if result["stored"] != members(archive):
        raise RuntimeError(f"Orthanc stored {result['stored']} of {members(archive)}.")
    return replace(run, seconds=result["seconds"])


def icon(archive: Path, folder: Path) -> Timed:
    migrate(folder)
    return import_archive(archive, folder, "imported")


def icon_again(archive: Path, folder: Path) -> Timed:
    """The second import of an archive, all of which is catalogued."""
    icon(archive, folder)
    settle(archive)
    return import_archive(archive, folder, "duplicate")


def icon_postgresql(archive: Path, folder: Path) -> Timed:
    with new_database("import") as url:
        migrate(folder, url)
        return import_archive(archive, folder, "imported", url)


TOOLS: dict[str, Callable[[Path, Path], Timed]] = {
    "unzip": unzip,
    "bsdtar": bsdtar,
    "orthanc": orthanc,
    "icon": icon,
    "icon-again": icon_again,
    "icon-postgresql": icon_postgresql,
}
HEADINGS = (
    *("archive", "files", "program", "seconds", "lowest to highest", "of unzip"),
    *("ms a file", "peak MB", "whole command, s"),
)
NEEDS = {"unzip": ["unzip"], "bsdtar": ["bsdtar"], "orthanc": ["Orthanc", "unshare", "ip"]}


@dataclass(frozen=True)
class Figure:
    """One run against another: seconds for each file, or peak memory."""

    what: str
    of: Cell
    against: Cell
    limit: float
    memory: bool = False


FIGURES = (
    Figure("CT: ICON, of unzip", ("ct", "icon"), ("ct", "unzip"), 0.40),
    Figure("CT: ICON, of Orthanc", ("ct", "icon"), ("ct", "orthanc"), 0.20),
    Figure("MR: ICON, of unzip", ("mr", "icon"), ("mr", "unzip"), 0.80),
    Figure("MR: ICON, of Orthanc", ("mr", "icon"), ("mr", "orthanc"), 0.08),
    Figure("MR: implicit VR, of explicit", ("mr-implicit", "icon"), ("mr", "icon"), 1.1),
    Figure("CT: PostgreSQL, of SQLite", ("ct", "icon-postgresql"), ("ct", "icon"), 1.4),
    Figure("MR: PostgreSQL, of SQLite", ("mr", "icon-postgresql"), ("mr", "icon"), 1.4),
    Figure("CT: again, of the first time", ("ct", "icon-again"), ("ct", "icon"), 1.0),
    Figure("MR: again, of the first time", ("mr", "icon-again"), ("mr", "icon"), 1.0),
    Figure("time for each of 50,000, of 10,000", ("mr-50000", "icon"), ("mr", "icon"), 1.1),
    Figure("time for each of 100,000, of 10,000", ("mr-100000", "icon"), ("mr", "icon"), 1.1),
    Figure("memory for 50,000, of 10,000", ("mr-50000", "icon"), ("mr", "icon"), 1.3, memory=True),
    Figure("memory, 100,000 of 10,000", ("mr-100000", "icon"), ("mr", "icon"), 1.3, memory=True),
    Figure("memory for four times the CT", ("ct-large", "icon"), ("ct", "icon"), 1.1, memory=True),
    Figure("memory for 4 GB in one, of CT", ("single", "icon"), ("ct", "icon"), 1.1, memory=True),
)  # fmt: skip


def main() -> None:
    options = arguments()
    if options.against:
        print("\n".join(against(options)))
        return
    archives = {name: corpora.make(name, options.folder, options.scale) for name in options.corpora}
    runs: Runs = {(name, tool): [] for name in archives for tool in options.tools}
    scratch = folder_of_runs(options.folder)
    for number in range(options.runs + 1):
        for (name, tool), before in runs.items():
            print(f"round {number}: {tool} on {name}", file=sys.stderr)
            run = measured(tool, archives[name], scratch / f"{name}-{tool}-{number}")
            if number:  # the first is the warm-up
                before.append(run)
    counts = {name: members(archive) for name, archive in archives.items()}
    if options.json:
        print(json.dumps(report(runs, counts), indent=1))
    else:
        print("\n".join(table(runs, counts, options)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="*", default=["ct", "mr"], metavar="CORPUS")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, help="default: those installed")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--against", metavar="REV", help="a commit whose ICON to time beside this")
    parser.add_argument("--pairs", type=int, default=15, help="with --against; the least")
    parser.add_argument("--most", type=int, default=60, help="with --against; pairs of one archive")
    parser.add_argument("--scale", type=float, default=1.0, help="0.02 takes seconds")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    parser.add_argument("--json", action="store_true", help="every run, instead of the tables")
    options = parser.parse_args()
    if unknown := set(options.corpora) - set(corpora.CORPORA):
        parser.error(
            f"no such corpus: {', '.join(unknown)}; there are {', '.join(corpora.CORPORA)}"
        )
    options.tools = options.tools or [tool for tool in TOOLS if installed(tool)]
    return options


def against(options: argparse.Namespace) -> Iterator[str]:
    yield f"{machine()}, {date.today()}; this tree of that of {options.against}, in turn\n"
    yield "| archive | pairs | time | processor time | peak memory | seconds, before and after |"
    yield "| --- | ---: | --- | --- | --- | --- |"
    for name, pairs in trees.compare(
        options.corpora, options.folder, options.scale, options.against, options.pairs, options.most
    ):
        ratios = [trees.ratio(pairs, figure) for figure in ("seconds", "processor", "peak")]
        cells = [f"{one.median:.3f} ({one.low:.3f} to {one.high:.3f})" for one in ratios]
        before = median(pair.before.seconds for pair in pairs)
        after = median(pair.after.seconds for pair in pairs)
        yield f"| {name} | {len(pairs)} | {' | '.join(cells)} | {before:.2f}, {after:.2f} |"


def installed(tool: str) -> bool:
    if tool == "icon-postgresql":
        return bool(SERVER)
    return all(shutil.which(program) for program in NEEDS.get(tool, []))


def measured(tool: str, archive: Path, folder: Path) -> Timed:
    """One run in a new folder, with the archive and the tool's own code in the page cache."""
    tiny = corpora.make("mr", archive.parent, scale=0.01)
    settle(archive)
    for used, part in ((tiny, folder / "warm"), (archive, folder / "out")):
        part.mkdir(parents=True)
        run = TOOLS[tool](used, part)
    empty(folder)
    return run


def members(archive: Path) -> int:
    with zipfile.ZipFile(archive) as opened:
        return len(opened.infolist())


def table(runs: Runs, counts: dict[str, int], options: argparse.Namespace) -> Iterator[str]:
    yield f"{machine()}, {date.today()}; medians of {options.runs} runs in turn\n"
    columns = "archive | files | program | seconds | lowest to highest | of unzip | ms a file"
    yield f"| {columns} | peak MB | whole command, s |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for (name, tool), timings in runs.items():
        seconds = [run.seconds for run in timings]
        unzipped = runs.get((name, "unzip"))
        share = f"{ratio(timings, unzipped):.2f}" if unzipped else ""
        yield (
            f"| {name} | {counts[name]:,} | {tool} | {median(seconds):.2f} | {min(seconds):.2f} to "
            f"{max(seconds):.2f} | {share} | {median(seconds) / counts[name] * 1000:.3f} | "
            f"{median(run.peak for run in timings) / 1e6:.0f} | "
            f"{median(run.whole for run in timings):.2f} |"
        )
    yield "\n| figure | measured | to reach |\n| --- | ---: | ---: |"
    for figure, value in figures(runs, counts):
        yield f"| {figure.what} | {value:.2f} | {figure.limit:g} |"


def figures(runs: Runs, counts: dict[str, int]) -> Iterator[tuple[Figure, float]]:
    for figure in FIGURES:
        if figure.of in runs and figure.against in runs:
            of, against = runs[figure.of], runs[figure.against]
            size = 1.0 if figure.memory else counts[figure.against[0]] / counts[figure.of[0]]
            yield figure, ratio(of, against, memory=figure.memory) * size


def ratio(of: list[Timed], against: list[Timed], *, memory: bool = False) -> float:
    """The median over the rounds of one run against another in the same round."""
    if memory:
        return median(a.peak / b.peak for a, b in zip(of, against, strict=True))
    return median(a.seconds / b.seconds for a, b in zip(of, against, strict=True))


def report(runs: Runs, counts: dict[str, int]) -> dict[str, object]:
    return {
        "machine": machine(),
        "date": str(date.today()),
        "runs": [
            {"corpus": name, "tool": tool, "files": counts[name]} | asdict(run)
            for (name, tool), timings in runs.items()
            for run in timings
        ],
        "figures": [
            asdict(figure) | {"measured": value} for figure, value in figures(runs, counts)
        ],
    }


if __name__ == "__main__":
    main()
