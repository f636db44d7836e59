#!/usr/bin/env python3
"""Times the download of all that a catalogue holds as one ZIP, beside `cat` of the same files.

    python benchmarks/downloads.py [ct mr] [--runs 5]
    python benchmarks/downloads.py --gigabytes 20

Seconds are those from the request to the last byte, over the loopback interface, with the receiver
on the same processors; the files are in the page cache for both, which take turns.

With `--gigabytes` the files are sparse: half of them in objects of 33 MB, which are hashed before
they are sent, half in one object, which is hashed meanwhile. What was received is then read by
unzip, bsdtar, 7-Zip and Python, and the DICOMDIR by dcmdump and pydicom, as far as they are here.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

from corpora import make
from measure import ROOT, import_archive, machine, processor_of, python, sizes_of
from pydicom import dcmread
from upload_speed import Server, running

sys.path.insert(0, str(ROOT))

from tests.making.objects import ct_image, uid, zip_of

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

WAYS = (("", ""), (" with DICOMDIR", "?form=dicomdir"))
SMALL = 33_000_000  # bytes
UNPACKERS = (["unzip", "-tqq"], ["bsdtar", "-xOf"], ["7z", "t"])
ENLARGE = """
import hashlib, sys
import django
django.setup()
from app.limits import processed_root
from app.models import DICOMInstance
small, large = map(int, sys.argv[1:])
for row in DICOMInstance.objects.order_by("pk"):
    with (processed_root() / row.path).open("r+b") as file:
        row.size, large = large or small, 0
        file.truncate(row.size)
        row.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    row.save()
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
    parser.add_argument("archives", nargs="*", default=["ct", "mr"], metavar="CORPUS")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--gigabytes", type=float, help="of sparse files, in place of archives")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    arguments = parser.parse_args()
    print(machine())
    if arguments.gigabytes:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            sparse(arguments.gigabytes, Path(scratch), arguments.runs)
        return
    for name in arguments.archives:
        archive = make(name, arguments.folder, arguments.scale)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            compare(name, archive, Path(scratch), arguments.runs)


def compare(name: str, archive: Path, var: Path, runs: int) -> None:
    with running(var) as server, sizes_of(server.pid) as sizes:
        import_archive(archive, var, "imported")
        collection = int(python(var, "-c", COLLECT).output)
        for way, query in WAYS:
            path = f"/dicom/collections/{collection}/download/{query}"
            receive(server, path)  # the first brings its code into memory
            timed(f"{name}{way}", server, path, sizes, files_of(var), runs)


def timed(
    name: str, server: Server, path: str, sizes: list[int], files: list[Path], runs: int
) -> None:
    before, pairs = sizes[-1], [(receive(server, path), cat(files)) for _ in range(runs)]
    report(name, pairs)
    print(f"  the server's memory: {before / 1e6:.0f} MB, {max(sizes) / 1e6:.0f} at most")


def files_of(var: Path) -> list[Path]:
    return sorted((var / "processed_dicom_files").rglob("*.dcm"))


def sparse(gigabytes: float, scratch: Path, runs: int) -> None:
    """Time the download of large sparse files, and have what was received read by others."""
    many, var = round(gigabytes * 0.5e9 / SMALL), scratch / "var"
    images = [ct_image(SOPInstanceUID=uid(2, 1, n), InstanceNumber=n) for n in range(many + 1)]
    with running(var) as server, sizes_of(server.pid) as sizes:
        import_archive(zip_of(scratch / "images.zip", *images), var, "imported")
        collection = int(python(var, "-c", COLLECT).output)
        path = f"/dicom/collections/{collection}/download/"
        for _, query in WAYS:
            receive(server, path + query)
        python(var, "-c", ENLARGE, str(SMALL), str(round(gigabytes * 0.5e9)))
        for way, query in WAYS:
            name = f"{gigabytes:g} GB, {many} objects and 1{way}"
            timed(name, server, path + query, sizes, files_of(var), runs)
            read_by_others(server, path + query, scratch / "received.zip")


def read_by_others(server: Server, path: str, archive: Path) -> None:
    with archive.open("wb") as file:
        receive(server, path, file)
        file.truncate()
    with zipfile.ZipFile(archive) as opened:
        if "DICOMDIR" in opened.namelist():
            read_directory(Path(opened.extract("DICOMDIR", archive.parent)))
            return
    for command in (*UNPACKERS, [sys.executable, "-m", "zipfile", "-t"]):
        if shutil.which(command[0]):
            begun = time.monotonic()
            subprocess.run([*command, archive], check=True, stdout=subprocess.DEVNULL)
            name = Path(command[0]).name
            print(f"  read whole by {name} in {time.monotonic() - begun:.0f} s")


def read_directory(path: Path) -> None:
    records = dcmread(path).DirectoryRecordSequence
    print(f"  DICOMDIR read by pydicom: {len(records)} records")
    if shutil.which("dcmdump"):
        subprocess.run(["dcmdump", "-q", path], check=True, stdout=subprocess.DEVNULL)
        print("  DICOMDIR read by dcmdump")


def receive(server: Server, path: str, file: IO[bytes] | None = None) -> Received:
    """All that is sent; kept in a file, as sparse as it is, where one is given."""
    request = urllib.request.Request(f"http://{server.at}{path}")
    request.add_header("Cookie", f"sessionid={server.session}")
    used, begun, size = processor_of(server.pid), time.monotonic(), 0
    with urllib.request.urlopen(request) as answer:
        piece = answer.read(1)
        to_first = time.monotonic() - begun
        while piece:
            size += len(piece)
            if file and piece.count(0) == len(piece):
                file.seek(len(piece), os.SEEK_CUR)
            elif file:
                file.write(piece)
            piece = answer.read(PIECE)
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
