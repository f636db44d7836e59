#!/usr/bin/env python3
"""Times pictures: decoded by a child, by transfer syntax, and streamed by the web server.

A slice is one of the CT corpus, 512 x 512 of 16 bit; `colour` is made of three of its slices, in 8
bit. Milliseconds are of the child's processor, from an open file to filtered and deflated values;
bytes are those that are sent, as a share of the stored values. The server's slices a second are
those that a reader gets who discards them, over the loopback interface.
"""

import argparse
import http.client
import os
import re
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import corpora
import imagecodecs
import numpy as np
import pydicom
from measure import ROOT, import_archive, machine, migrate, processor_of, python
from pydicom.encaps import encapsulate
from served import free_port, wait_for

sys.path.insert(0, str(ROOT))

from app.dicom import decoders  # and pydicom knows JPEG XL
from app.sandbox.pictures import Readers, Wish

SYNTAX = "1.2.840.10008.1.2"
SLICES, RUNS, AT_ONCE = 24, 3, 8
READERS = 10

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
            by_the_server(Path(folder))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="for what is made meanwhile")
    parser.add_argument("--no-server", action="store_true", help="the child alone")
    return parser.parse_args()


# The child


def by_syntax(folder: Path) -> None:
    print("| transfer syntax | ms of the processor | pictures/s | % of raw |")
    print("| --- | ---: | ---: | ---: |")
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
        print(f"| {name} | {each:.1f} | {median(rates):.0f} | {100 * share:.1f} |")
        for descriptor in descriptors:
            os.close(descriptor)
    readers.close()


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


def by_the_server(folder: Path) -> None:
    var = folder / "var"
    migrate(var)
    import_archive(corpora.make("ct-series", folder), var, "imported")
    password, port = secrets.token_urlsafe(), free_port()
    os.environ |= {"DJANGO_SUPERUSER_PASSWORD": password}
    named = ["--username", "benchmark", "--email", "benchmark@localhost"]
    python(var, ROOT / "manage.py", "createsuperuser", "--noinput", *named)
    command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(port)]
    environment = os.environ | {"ICON_VAR": str(var)}
    icon = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}")
        cookies = sign_in(port, password)
        for _ in range(3):
            streamed(port, cookies, "?last=3")  # a child in each of the server's processes
        first = sorted(streamed(port, cookies, "?from=75&first=75&last=75")[0] for _ in range(20))
        print(f"\nfirst slice: median {first[10] * 1000:.0f} ms, longest {first[-1] * 1000:.0f}")
        rates = [count / seconds for seconds, count in one_after_the_other(port, cookies)]
        print(f"one reader: {median(rates):.0f} slices/s")
        with ThreadPoolExecutor(READERS) as pool:
            rates = [*pool.map(lambda _: rate(streamed(port, cookies, "")), range(READERS))]
        print(f"{READERS} readers at once: {min(rates):.0f} to {max(rates):.0f} slices/s each")
    finally:
        icon.send_signal(signal.SIGINT)
        icon.wait()


def one_after_the_other(port: int, cookies: str) -> Iterator[tuple[float, int]]:
    for _ in range(RUNS):
        yield streamed(port, cookies, "?from=75")


def rate(run: tuple[float, int]) -> float:
    seconds, count = run
    return count / seconds


def sign_in(port: int, password: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/admin/login/")
    answer = connection.getresponse()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
    assert token
    form = urlencode(
        {"username": "benchmark", "password": password, "csrfmiddlewaretoken": token[1]}
    )
    cookies = _cookies(answer)
    headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
    headers["Referer"] = f"http://127.0.0.1:{port}/admin/login/"
    connection.request("POST", "/admin/login/", form, headers)
    answer = connection.getresponse()
    assert answer.status == http.client.FOUND, answer.status
    return _cookies(answer)


def _cookies(answer: http.client.HTTPResponse) -> str:
    return "; ".join(one.split(";")[0] for one in answer.headers.get_all("Set-Cookie") or ())


def streamed(port: int, cookies: str, query: str) -> tuple[float, int]:
    """Seconds that an answer took, and how many pictures it had."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.monotonic()
    connection.request("GET", f"/dicom/series/1/pictures/{query}", headers={"Cookie": cookies})
    answer = connection.getresponse()
    assert answer.status == http.client.OK, answer.status
    count = 0
    while lengths := answer.read(8):
        answer.read(sum(struct.unpack("<II", lengths)))
        count += 1
    return time.monotonic() - begun, count


if __name__ == "__main__":
    main()
