"""One timed run: a settled machine, a process, its seconds and its memory."""

import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")  # a second
CAN_DROP_CACHES = os.geteuid() == 0
SERVER = os.getenv("ICON_DATABASE_URL", "")  # PostgreSQL, where this user may make databases


@dataclass(frozen=True)
class Timed:
    seconds: float  # the work itself
    whole: float  # seconds, from the start of the process to its end
    peak: int  # bytes: proportional set sizes of the process and its descendants, summed
    output: str = ""
    processor: float = 0.0  # seconds of it, of the process and its descendants


def timed(command: list[str | Path], **options: Any) -> Timed:
    """Run a command to its end, which has to be a success."""
    begun, used = time.monotonic(), processor_of_children()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    with sizes_of(process.pid) as sizes:
        output, _ = process.communicate()
        whole = time.monotonic() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Timed(whole, whole, max(sizes), output, processor_of_children() - used)


@contextlib.contextmanager
def sizes_of(pid: int) -> Iterator[list[int]]:
    """A list that grows meanwhile: the memory of a process and its descendants, in bytes."""
    over, sizes = threading.Event(), [0]

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            sizes.append(sum(map(_proportional_set_size, tree_of(pid))))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield sizes
    finally:
        over.set()
        sampler.join()


def processor_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_of(pid: int) -> float:
    """Seconds of the processor that a running process and its descendants have used."""
    used = 0
    for one in tree_of(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, fields[11:13]))  # utime, stime
    return used / TICKS


def tree_of(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they still run."""
    with contextlib.suppress(OSError):
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        yield pid
        for child in children:
            yield from tree_of(child)


def _proportional_set_size(pid: int) -> int:
    with contextlib.suppress(OSError):  # it has ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def settle(*files: Path) -> None:
    """Write out what is dirty, and have nothing but these files in memory."""
    os.sync()
    if CAN_DROP_CACHES:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    for file in files:
        with file.open("rb") as stream:
            while stream.read(1 << 20):
                pass


def folder_of_runs(folder: Path) -> Path:
    """A new folder for what is written; it stays there, emptied: see `empty`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=folder, prefix="runs-"))


def empty(folder: Path) -> None:
    """Give back the room of what is there, and delete nothing, for the sake of the runs to come.

    ext4 without a journal passes over the inodes of files that were deleted in the last minute, or
    in the last six where their block of the inode table is dirty, one by one, for each new file
    (`recently_deleted` in the kernel's fs/ext4/ialloc.c): 10,000 of them took 1.2 to 4.5 s after a
    delete, else 0.26.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)


# ICON


def manage(var: Path, *arguments: str | Path, database_url: str = "", tree: Path = ROOT) -> Timed:
    return python(var, tree / "manage.py", *arguments, database_url=database_url, tree=tree)


def python(var: Path, *command: str | Path, database_url: str = "", tree: Path = ROOT) -> Timed:
    """Run a script on ICON with its defaults, and with a data folder of its own.

    `tree` is the checkout whose code runs, as a rule this one.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ICON_")}
    environment |= {"ICON_VAR": str(var), "ICON_FSYNC": "batch"}
    environment |= {"PYTHONDONTWRITEBYTECODE": ""}  # or each run compiles what changed anew
    if database_url:
        environment["ICON_DATABASE_URL"] = database_url
    return timed([sys.executable, *command], env=environment, cwd=tree)


def migrate(var: Path, database_url: str = "", tree: Path = ROOT) -> None:
    manage(var, "migrate", "-v", "0", database_url=database_url, tree=tree)


def import_archive(
    archive: Path, var: Path, outcome: str, database_url: str = "", tree: Path = ROOT
) -> Timed:
    """Import an archive, all of whose members must end in this outcome.

    The seconds are from the claim to the end status: what a worker that runs already needs.
    """
    command = ("import_archive", archive, "--json")
    run = manage(var, *command, database_url=database_url, tree=tree)
    result = json.loads(run.output)
    others = sum(count for name, count in result["outcomes"].items() if name != outcome)
    if result["status"] != "completed" or others:
        raise RuntimeError(f"The import of {archive.name} went otherwise: {run.output}")
    return replace(run, seconds=result["seconds"])


@contextlib.contextmanager
def new_database(name: str, template: str = "template0") -> Iterator[str]:
    """The URL of a new PostgreSQL database, dropped afterwards."""
    import psycopg

    name = f"icon_benchmark_{os.getpid()}_{name}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield urlunsplit(urlsplit(SERVER)._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def machine() -> str:
    """What the figures were measured on, in one line."""
    cpu = memory = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = f"{int(line.split()[1]) / 1024**2:.0f} GB"
    cores = len(os.sched_getaffinity(0))
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{cpu}, {cores} cores, {memory}, {versions}"
