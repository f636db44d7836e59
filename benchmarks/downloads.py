#!/usr/bin/env python3
"""Times the download of all that a catalogue holds as one ZIP, beside `cat` of the same files.

    python benchmarks/downloads.py [ct mr] [--runs 5]

Seconds are those from the request to the last byte, over the loopback interface, with the receiver
on the same processors; the files are in the page cache for both, which take turns.
"""

import argparse
import os
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from corpora import CORPORA, make
from measure import import_archive, machine, processor_of, python, sizes_of
from upload_speed import Server, running

PIECE = 1 << 20  # bytes
COLLECT = """
import django
django.setup()
from app.models import Collection, CollectionEntry, Patient
every = Collection.objects.create(name="all", is_shared=True)
for one in Patient.objects.all():
    CollectionEntry.objects.create(collection=every, patient=one)
print(every.pk)
"""


@dataclass(frozen=True)
class Received:
    seconds: float
    first: float  # seconds to the first byte
    size: int  # bytes
    processor: float  # seconds, of the server


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", default=["ct", "mr"], choices=list(CORPORA))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    arguments = parser.parse_args()
    print(machine())
    for name in arguments.archives:
        archive = make(name, arguments.folder, arguments.scale)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            compare(name, archive, Path(scratch), arguments.runs)


def compare(name: str, archive: Path, var: Path, runs: int) -> None:
    with running(var) as server, sizes_of(server.pid) as sizes:
        import_archive(archive, var, "imported")
        collection = int(python(var, "-c", COLLECT).output)
        files = sorted((var / "processed_dicom_files").rglob("*.dcm"))
        for way, query in (("", ""), (" with DICOMDIR", "?form=dicomdir")):
            path = f"/dicom/collections/{collection}/download/{query}"
            receive(server, path)  # the first brings its code into memory
            before, pairs = sizes[-1], [(receive(server, path), cat(files)) for _ in range(runs)]
            report(f"{name}{way}", pairs)
            print(f"  the server's memory: {before / 1e6:.0f} MB, {max(sizes) / 1e6:.0f} at most")


def receive(server: Server, path: str) -> Received:
    request = urllib.request.Request(f"http://{server.at}{path}")
    request.add_header("Cookie", f"sessionid={server.session}")
    used, begun, size = processor_of(server.pid), time.monotonic(), 0
    with urllib.request.urlopen(request) as answer:
        first = answer.read(1)
        to_first = time.monotonic() - begun
        size = len(first)
        while piece := answer.read(PIECE):
            size += len(piece)
    seconds = time.monotonic() - begun
    return Received(seconds, to_first, size, processor_of(server.pid) - used)


def cat(files: list[Path]) -> float:
    begun = time.monotonic()
    listed = "\0".join(map(str, files)).encode()
    with Path(os.devnull).open("wb") as nowhere:
        subprocess.run(["xargs", "-0", "cat"], input=listed, stdout=nowhere, check=True)
    return time.monotonic() - begun


def report(name: str, pairs: list[tuple[Received, float]]) -> None:
    size = pairs[0][0].size
    seconds = median(one.seconds for one, _ in pairs)
    print(
        f"{name}: {size / 1e6:.0f} MB in {seconds:.2f} s, {size / seconds / 1e6:.0f} MB/s; "
        f"first byte {max(one.first for one, _ in pairs):.2f} s at most; "
        f"cat {median(other for _, other in pairs):.2f} s"
    )
    used = median(one.processor for one, _ in pairs)
    print(f"  processor {used:.2f} s, which alone would be {size / used / 1e6:.0f} MB/s")


if __name__ == "__main__":
    main()
