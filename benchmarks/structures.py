#!/usr/bin/env python3
"""Times the reading of one RT Structure Set of 5 MB beside pydicom's ContourData.

Both are read with an extractor's settings of the allocator. Read and stored is what its contours
add to an import: that of a ZIP with nothing else in it, less that of the same structure set
without ROIs.
"""

import argparse
import io
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import corpora
import pydicom
from measure import ROOT, import_archive, machine, migrate, settle

sys.path.insert(0, str(ROOT))

from app.dicom.headers import read_header
from app.sandbox.confine import ENVIRONMENT

RUNS = 7
ROIS = 25


def main() -> None:
    options = arguments()
    if not ENVIRONMENT.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)
    print(machine(), "\n")
    print("| structure set | MB | read_header, ms | ContourData, ms | read and stored, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, undefined in ("defined lengths", False), ("undefined lengths", True):
        data = one(0, undefined=undefined)
        read = milliseconds(lambda data=data: read_header(data))
        contours = milliseconds(lambda data=data: contour_data(data), runs=3)
        stored = read_and_stored(undefined, options.folder)
        size = len(data) / 1e6
        print(f"| {name} | {size:.1f} | {read:.1f} | {contours:.0f} | {stored:.1f} |")


def one(patient: int, *, undefined: bool, rois: int = ROIS) -> bytes:
    corpus = corpora.Corpus("ct", rois=rois)
    study = f"2.25.{patient + 1}"
    return corpora.structure_set(corpus, patient, study, 150, undefined=undefined)


def contour_data(data: bytes) -> int:
    dataset = pydicom.dcmread(io.BytesIO(data))
    return sum(
        len(contour.ContourData)
        for roi in dataset.ROIContourSequence
        for contour in roi.ContourSequence
    )


def milliseconds(call: Callable[[], object], runs: int = RUNS) -> float:
    def once() -> float:
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun

    return median(once() for _ in range(runs)) * 1000


def read_and_stored(undefined: bool, folder: Path) -> float:
    """Milliseconds that the contours of one structure set add to an import."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[int, list[float]] = {ROIS: [], 0: []}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        var = Path(scratch) / "var"
        migrate(var)
        for run in range(RUNS + 1):
            for rois, times in seconds.items():
                archive = Path(scratch) / f"{run}-{rois}.zip"
                with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
                    patient = 2 * run + (rois > 0)
                    opened.writestr("RS.dcm", one(patient, undefined=undefined, rois=rois))
                settle(archive)
                times.append(import_archive(archive, var, "imported").seconds)
    many, none = (median(times[1:]) for times in seconds.values())  # the first is a warm-up
    return (many - none) * 1000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
