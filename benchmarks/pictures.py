#!/usr/bin/env python3
"""Times pictures: decoded by a child, by transfer syntax, streamed, and drawn in a browser.

A slice is one of the CT corpus, 512 x 512 of 16 bit; `colour` is made of three of its slices, in 8
bit. Milliseconds are of the child's processor, from an open file to filtered and deflated values;
bytes are those that are sent, as a share of the stored values. A thumbnail is decoded, windowed,
shrunk and encoded by the same child. The server's slices a second are
those that a reader gets who discards them, over the loopback interface; what is drawn is counted
from the request for it, in a browser without a GPU.
"""

import argparse
import http.client
import os
import struct
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import corpora
import imagecodecs
import in_browser
import numpy as np
import pydicom
from measure import ROOT, import_archive, machine, migrate, processor_of
from pydicom.encaps import encapsulate
from served import running

sys.path.insert(0, str(ROOT))

from app.dicom import decoders  # and pydicom knows JPEG XL
from app.sandbox.pictures import Readers, Wish

SYNTAX = "1.2.840.10008.1.2"
SLICES, RUNS, AT_ONCE = 24, 3, 8
SIDE = 128  # pixels of a thumbnail
READERS = 10
ROUNDS = 5  # of an import beside them

Encode = Callable[[np.ndarray], bytes]
GREY: dict[str, tuple[str, Encode]] = {
    "JPEG lossless": ("4.70", lambda one: imagecodecs.jpeg8_encode(one, lossless=True)),
    "JPEG-LS": ("4.80", imagecodecs.jpegls_encode),
    "JPEG 2000": ("4.90", lambda one: imagecodecs.jpeg2k_encode(one, level=0, codecformat="j2k")),
    "HTJ2K": ("4.201", imagecodecs.htj2k_encode),
    "JPEG XL": ("4.110", lambda one: imagecodecs.jpegxl_encode(one, lossless=True)),
}
COLOUR: dict[str, tuple[str, Encode]] = {
    "colour, JPEG": ("4.50", lambda one: imagecodecs.jpeg8_encode(one, level=90)),
    "colour, JPEG 2000": GREY["JPEG 2000"],
}


def main() -> None:
    options = arguments()
    print(machine(), "\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        by_syntax(Path(folder))
        if not options.no_server:
            by_the_server(Path(folder), options.scale)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for what is made meanwhile")
    parser.add_argument("--no-server", action="store_true", help="the child alone")
    parser.add_argument("--scale", type=float, default=1.0, help="of the import beside readers")
    return parser.parse_args()


# The child


def by_syntax(folder: Path) -> None:
    print(
        "| transfer syntax | ms of the processor | pictures/s | % of raw | thumbnail, ms | bytes |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    readers = Readers(1)
    for name, files in made(folder):
        descriptors = [os.open(path, os.O_RDONLY) for path in files]
        readers.ask([Wish("", [0], 1)], descriptors[:1])
        child = readers.idle[0].child.pid
        used, rates, share = processor_of(child), [], 0.0
        for _ in range(RUNS):
            begun = time.monotonic()
            found = [
                picture
                for at in range(0, len(files), AT_ONCE)
                for picture in readers.ask(
                    [Wish("", [0], 1)] * len(descriptors[at : at + AT_ONCE]),
                    descriptors[at : at + AT_ONCE],
                )
            ]
            rates.append(len(found) / (time.monotonic() - begun))
            assert not any(picture.why_not for picture in found), found[0].why_not
            raw = sum(int(one.type[1]) * one.rows * one.columns for one in found)
            raw *= 3 if found[0].rendering and found[0].rendering.photometric == "RGB" else 1
            share = sum(len(one.values) for one in found) / raw
        each = (processor_of(child) - used) * 1_000 / RUNS / len(files)
        small, size = thumbnails(readers, descriptors)
        print(
            f"| {name} | {each:.1f} | {median(rates):.0f} | {100 * share:.1f} "
            f"| {small:.1f} | {size:,} |"
        )
        for descriptor in descriptors:
            os.close(descriptor)
    readers.close()


def thumbnails(readers: Readers, descriptors: list[int]) -> tuple[float, int]:
    """Milliseconds of the child's processor for a thumbnail, and how many bytes it has."""
    child = readers.idle[0].child.pid
    used, found = processor_of(child), []
    for _ in range(RUNS):
        for descriptor in descriptors:
            found += readers.ask([Wish("", [0], 1, SIDE)], [descriptor])
    assert not any(picture.why_not for picture in found), found[0].why_not
    each = (processor_of(child) - used) * 1_000 / len(found)
    return each, sum(len(one.values) for one in found) // len(found)


def made(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Files of slices in each transfer syntax."""
    native = []
    for number, (_, parts) in enumerate(corpora._objects(corpora.CORPORA["ct"], 0, SLICES)):
        native.append(folder / f"native-{number}.dcm")
        native[-1].write_bytes(b"".join(parts))
    native = native[:SLICES]
    yield "native", native
    for name, (syntax, encode) in GREY.items():
        yield (
            name,
            [
                compressed(path, number, syntax, lambda one, encode=encode: encode(one))
                for number, path in enumerate(native)
            ],
        )
    for name, (syntax, encode) in COLOUR.items():
        yield (
            name,
            [
                compressed(
                    path, number, syntax, lambda one, encode=encode: encode(coloured(one)), True
                )
                for number, path in enumerate(native)
            ],
        )


def coloured(slice_: np.ndarray) -> np.ndarray:
    grey = (slice_.astype(np.int32) - slice_.min() >> 4).clip(0, 255).astype(np.uint8)
    return np.stack([grey, np.roll(grey, 3, 0), np.roll(grey, 3, 1)], axis=2)


def compressed(
    path: Path, number: int, syntax: str, encode: Encode, is_colour: bool = False
) -> Path:
    dataset = pydicom.dcmread(path)
    packed = encode(dataset.pixel_array)
    dataset.PixelData = encapsulate([packed])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = f"{SYNTAX}.{syntax}"
    assert dataset.file_meta.TransferSyntaxUID in decoders.DECODERS
    if is_colour:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PhotometricInterpretation = "YBR_FULL_422" if syntax == "4.50" else "YBR_RCT"
    target = path.with_name(f"{syntax}-{number}-{is_colour}.dcm")
    dataset.save_as(target)
    return target


# The web server


def by_the_server(folder: Path, scale: float) -> None:
    var, series = folder / "var", "/dicom/series/1/"
    import_archive(corpora.make("ct-series", folder), migrated(var), "imported")
    import_archive(large_picture(folder), var, "imported")
    with running(var) as page:
        cookies = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
        server = Server(int(page.url.split(":")[2].split("/")[0]), cookies)
        for _ in range(3):
            server.streamed("?last=3")  # a child in each of the server's processes
        said("CT slice, % of raw, at most 40", 100 * server.share())
        first = [server.streamed("?from=75&first=75&last=75")[0] for _ in range(20)]
        said("first CT slice sent, ms", 1_000 * median(first))
        rates = [rate(server.streamed("?from=75")) for _ in range(RUNS)]
        said("slices/s streamed to one reader, at least 120", median(rates))
        in_browser.note(page)
        drawn = in_browser.first_drawn(page, series)
        said("first CT slice drawn, ms, at most 40", drawn)
        with in_browser.slow_line(page):
            drawn = in_browser.first_drawn(page, series)
        said("on 20 Mbit/s with 20 ms, ms, at most 150", drawn)
        said("slices/s scrolled, at least 60", in_browser.scrolled(page, series))
        said("redraws/s dragged, 512 x 512, at least 60", in_browser.dragged(page, series))
        large = in_browser.dragged(page, "/dicom/series/2/")
        said("redraws/s dragged, 5 Mpixel, at least 50", large)
        page.goto("about:blank")
        beside_an_import(folder, var, server, scale)


def said(what: str, value: float) -> None:
    print(f"{what}: {value:.1f}", flush=True)


def migrated(var: Path) -> Path:
    migrate(var)
    return var


def large_picture(folder: Path) -> Path:
    """A ZIP of one picture of 5 Mpixel: slices of CT beside each other."""
    slices = [one for _, one in zip(range(20), first_slices(folder), strict=False)]
    rows = [np.hstack([one.pixel_array for one in slices[at : at + 4]]) for at in range(0, 20, 4)]
    picture, frame = slices[0], np.vstack(rows)
    picture.Rows, picture.Columns = frame.shape
    picture.PixelData = frame.tobytes()
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(picture, name, pydicom.uid.generate_uid())
    picture.file_meta.MediaStorageSOPInstanceUID = picture.SOPInstanceUID
    picture.save_as(folder / "large.dcm")
    with zipfile.ZipFile(folder / "large.zip", "w") as archive:
        archive.write(folder / "large.dcm", "large.dcm")
    return folder / "large.zip"


def first_slices(folder: Path) -> Iterator[pydicom.FileDataset]:
    for path in sorted(folder.glob("native-*.dcm")):
        found = pydicom.dcmread(path)
        if "PixelData" in found:
            yield found


def beside_an_import(folder: Path, var: Path, server: "Server", scale: float) -> None:
    """Ten readers, each beside the others, and an import beside all of them; and one without."""
    times, rates = [], []
    for number in range(ROUNDS):
        archive = corpora.make("mr", folder, scale, number * corpora.CORPORA["mr"].patients)
        alone = import_archive(archive, migrated(folder / f"alone-{number}"), "imported").seconds
        over = threading.Event()
        begun = time.monotonic()
        with ThreadPoolExecutor(READERS) as pool:
            readers = [pool.submit(server.read_until, over) for _ in range(READERS)]
            try:
                beside = import_archive(archive, var, "imported").seconds
            finally:
                over.set()
            seconds = time.monotonic() - begun
            rates.append(min(one.result() for one in readers) / seconds)
        times.append(beside / alone)
    said(f"slices/s of each of {READERS} readers beside an import, at least 10", median(rates))
    said("times as long as without readers took the import, at most 1.5", median(times))
    print("from", ", ".join(f"{one:.2f}" for one in sorted(times)))


def rate(run: tuple[float, int]) -> float:
    seconds, count = run
    return count / seconds


class Server:
    """A server, as one who has signed in reads from it."""

    def __init__(self, port: int, cookies: str) -> None:
        self.port, self.headers = port, {"Cookie": cookies}

    def streamed(self, query: str) -> tuple[float, int]:
        """Seconds that an answer took, and how many pictures it had."""
        begun = time.monotonic()
        count = sum(1 for _ in self.values(query))
        return time.monotonic() - begun, count

    def share(self) -> float:
        """How large the values of a slice are as they are sent, beside what is stored."""
        sizes = [*self.values("?last=19")]
        return sum(sizes) / len(sizes) / (512 * 512 * 2)

    def read_until(self, over: threading.Event) -> int:
        """How many pictures came until it was over."""
        count = 0
        while not over.is_set():
            for _ in self.values(""):
                count += 1
                if over.is_set():
                    break
        return count

    def values(self, query: str) -> Iterator[int]:
        """How many bytes the values of each picture take, which are discarded."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"/dicom/series/1/pictures/{query}", headers=self.headers)
        answer = connection.getresponse()
        assert answer.status == http.client.OK, answer.status
        while lengths := answer.read(8):
            words, values = struct.unpack("<II", lengths)
            answer.read(words + values)
            yield values
        connection.close()


if __name__ == "__main__":
    main()
