#!/usr/bin/env python3
"""Times what is drawn over pictures: 25 ROIs on 80 slices, each contour of 120 points; and a dose.

Milliseconds of the program are from its start to its answer; those of the server are of a whole
answer over the loopback interface, once the contours are kept; those of the main thread are of its
processor, what is spent on the same slices without contours taken off.
"""

import argparse
import http.client
import json
import os
import random
import struct
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

import corpora
import in_browser
import numpy as np
from measure import ROOT, import_archive, machine, migrate
from playwright.sync_api import Page
from served import running

sys.path.insert(0, str(ROOT))

from app.dicom.headers import HeaderLimits
from app.sandbox.contours import read_contours

CORPUS = corpora.Corpus("ct", images=80, rois=25)
POINTS = CORPUS.rois * CORPUS.contours * CORPUS.points
RUNS = 21
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
GRID = (120, 100, 120)  # planes, rows and columns of a dose,
SPACING = 2.5, 4.0, 3.0  # mm between them
SERIES = 1


def main() -> None:
    options = arguments()
    print(machine(), "\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, var = Path(name), Path(name) / "var"
        by_the_program(folder)
        migrate(var)
        import_archive(archive(folder), var, "imported")
        with running(var) as page:
            cookies = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
            by_the_server(int(page.url.split(":")[2].split("/")[0]), cookies)
            in_browser.note(page)
            by_the_browser(page)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for what is made meanwhile")
    return parser.parse_args()


def said(what: str, value: float) -> None:
    print(f"{what}: {value:,.1f}", flush=True)


def structure_set() -> bytes:
    *_, (_, parts) = corpora._objects(CORPUS, 0, CORPUS.images)
    return b"".join(parts)


def dose() -> bytes:
    """A grid over the middle of the images, highest in its middle."""
    elements = corpora._series(CORPUS, 0, study(), 0)
    elements = {tag: elements[tag] for tag in elements if tag >> 16 in (0x0008, 0x0010, 0x0020)}
    planes, rows, columns = (
        np.linspace(-1, 1, count).reshape([-1 if axis == at else 1 for axis in range(3)])
        for at, count in enumerate(GRID)
    )
    values = np.uint16(60_000 * np.exp(-2 * (planes**2 + rows**2 + columns**2)))
    corner = [-(count - 1) * each / 2 for count, each in zip(GRID, SPACING, strict=True)][::-1]
    offsets = (f"{SPACING[0] * number:g}" for number in range(GRID[0]))
    elements |= {
        0x00080016: ("UI", DOSE),
        0x00080018: ("UI", f"{study()}.98.1"),
        0x00080060: ("CS", "RTDOSE"),
        0x0008103E: ("LO", "Dose"),
        0x0020000E: ("UI", f"{study()}.98"),
        0x00200032: ("DS", "\\".join(f"{one:g}" for one in corner)),
        0x00200037: ("DS", r"1\0\0\0\1\0"),
        0x00280002: ("US", "1"),
        0x00280004: ("CS", "MONOCHROME2"),
        0x00280008: ("IS", str(GRID[0])),
        0x00280010: ("US", str(GRID[1])),
        0x00280011: ("US", str(GRID[2])),
        0x00280030: ("DS", rf"{SPACING[1]:g}\{SPACING[2]:g}"),
        0x00280100: ("US", "16"),
        0x00280101: ("US", "16"),
        0x00280102: ("US", "15"),
        0x00280103: ("US", "0"),
        0x30040002: ("CS", "GY"),
        0x30040004: ("CS", "PHYSICAL"),
        0x3004000A: ("CS", "PLAN"),
        0x3004000C: ("DS", "\\".join(offsets)),
        0x3004000E: ("DS", "0.001"),
        0x7FE00010: ("OW", values.tobytes()),
    }
    return corpora.dicom_file(elements, corpora.EXPLICIT)


def study() -> str:
    return corpora._uid(random.Random(f"{CORPUS.kind} 0"))


def archive(folder: Path) -> Path:
    path = folder / "drawn.zip"
    with zipfile.ZipFile(path, "w") as found:
        corpora._write(found, CORPUS, 1)
        found.writestr("dose.dcm", dose())
    return path


def by_the_program(folder: Path) -> None:
    path = folder / "structures.dcm"
    path.write_bytes(structure_set())
    descriptor, times = os.open(path, os.O_RDONLY), []
    for _ in range(RUNS):
        begun = time.monotonic()
        found = read_contours(descriptor, HeaderLimits(), "ISO_IR 100")
        times.append(time.monotonic() - begun)
    os.close(descriptor)
    assert found.drawing, found.why_not
    assert found.drawing.points == POINTS
    said("contours read and packed by a program that is started for it, ms", 1_000 * median(times))


def by_the_server(port: int, cookies: str) -> None:
    def get(address: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", address, headers={"Cookie": cookies})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == http.client.OK, answer.status
        connection.close()
        return body

    def timed(address: str) -> float:
        begun = time.monotonic()
        get(address)
        return 1_000 * (time.monotonic() - begun)

    over = f"/dicom/series/{SERIES}/over/"
    (listed,) = json.loads(get(over))["structure_sets"]
    for _ in range(4):  # each of the server's processes has its own code to load
        body = get(listed["url"])
    words, values = struct.unpack_from("<II", body)
    said(f"bytes of {POINTS:,} points, at most 600,000", len(body))
    said("of these, words", words)
    assert len(body) == 8 + words + values
    said("what can be drawn over a series, ms", median(timed(over) for _ in range(RUNS)))
    said(
        "contours that are kept, ms, at most 60", median(timed(listed["url"]) for _ in range(RUNS))
    )


def by_the_browser(page: Page) -> None:
    series, slices = f"/dicom/series/{SERIES}/", CORPUS.images - 1
    first = in_browser.first_outlines(page, series)
    said("structure set to first contours on screen, ms, at most 300", first)
    in_browser.opened(page, series)
    without = in_browser.main_thread(page, slices)
    page.evaluate(in_browser.CHOSEN, [in_browser.STRUCTURES, in_browser.OUTLINES])
    for what in "made", "kept":
        more = in_browser.main_thread(page, slices) - without
        said(f"contours that are {what}, ms of the main thread a slice, at most 6", more)
    rate = in_browser.slices_a_second(page, slices)
    said("slices/s scrolled with contours, at least 60", rate)
    in_browser.choose_dose(page)
    said("colours of a dose on a slice, ms, at most 6", in_browser.washed(page, slices))
    rate = in_browser.slices_a_second(page, slices)
    said("slices/s scrolled with contours and dose, at least 30", rate)
    said("reformatted plane, ms, at most 5", in_browser.cut(page, slices // 2))


if __name__ == "__main__":
    main()
