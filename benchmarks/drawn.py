#!/usr/bin/env python3
"""Times what is drawn over pictures: 25 ROIs on 80 slices, each contour of 120 points.

Milliseconds of the program are from its start to its answer; those of the server are of a whole
answer over the loopback interface, once the contours are kept.
"""

import argparse
import http.client
import json
import os
import struct
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from statistics import median

import corpora
from measure import ROOT, import_archive, machine, migrate
from served import running

sys.path.insert(0, str(ROOT))

from app.dicom.headers import HeaderLimits
from app.sandbox.contours import read_contours

CORPUS = corpora.Corpus("ct", images=80, rois=25)
POINTS = CORPUS.rois * CORPUS.contours * CORPUS.points
RUNS = 21
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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for what is made meanwhile")
    return parser.parse_args()


def said(what: str, value: float) -> None:
    print(f"{what}: {value:,.1f}", flush=True)


def structure_set() -> bytes:
    *_, (_, parts) = corpora._objects(CORPUS, 0, CORPUS.images)
    return b"".join(parts)


def archive(folder: Path) -> Path:
    path = folder / "drawn.zip"
    with zipfile.ZipFile(path, "w") as found:
        corpora._write(found, CORPUS, 1)
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


if __name__ == "__main__":
    main()
