#!/usr/bin/env python3
"""Makes the archives that the benchmarks import. Standard library only.

The same name and scale always give the same members, byte for byte. Nothing in them is about
anybody: the anatomy is ellipses, the grain is a random number generator's.
"""

import argparse
import math
import random
import struct
import zipfile
from array import array
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

Value = str | bytes | list["Elements"]
Elements = dict[int, tuple[str, Value]]  # tag -> VR and value

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
MULTIFRAME = "1.2.840.10008.5.1.4.1.1.7.3"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
SHARED = (Path(__file__).parent / "headers.txt").read_text()

BINARY = {"US": "H", "SS": "h", "UL": "I", "FD": "d"}
LONG = {"OB", "OW", "SQ", "UN", "UT"}
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
GRAIN = 1 << 20  # samples of noise, of which every image takes a window


@dataclass(frozen=True)
class Corpus:
    """What one archive holds, and how much of it."""

    kind: str
    patients: int = 1
    series: int = 1  # for each patient
    images: int = 1  # for each series; frames where the kind is multiframe
    transfer_syntax: str = EXPLICIT
    rois: int = 0
    contours: int = 80  # for each ROI
    points: int = 120  # for each contour


MR_SERIES = 100  # images
CORPORA = {
    "ct": Corpus("ct", patients=10, images=150, rois=25),
    "ct-large": Corpus("ct", patients=40, images=150, rois=25),
    "ct-series": Corpus("ct", images=150),
    "mr": Corpus("mr", patients=20, series=5, images=MR_SERIES),
    "mr-implicit": Corpus("mr", 20, 5, MR_SERIES, transfer_syntax=IMPLICIT),
    "mr-50000": Corpus("mr", patients=100, series=5, images=MR_SERIES),
    "mr-100000": Corpus("mr", patients=200, series=5, images=MR_SERIES),
    # As near to 4 GiB as one Pixel Data can be: its length has 32 bits.
    "single": Corpus("multiframe", images=8_191),
}


def make(name: str, folder: Path, scale: float = 1.0, first: int = 0) -> Path:
    """The archive of that name in the folder, of patients from a number on; made unless there."""
    of = f"-from-{first}" if first else ""
    path = folder / (f"{name}{of}.zip" if scale == 1 else f"{name}{of}-{scale:g}.zip")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            _write(archive, CORPORA[name], scale, first)
        draft.rename(path)
    return path


def _write(archive: zipfile.ZipFile, corpus: Corpus, scale: float, first: int = 0) -> None:
    images = max(1, round(corpus.images * scale))
    for patient in range(first, first + corpus.patients):
        for name, parts in _objects(corpus, patient, images):
            member = zipfile.ZipInfo(f"DICOM/{name}", (2024, 1, 1, 12, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=corpus.kind == "multiframe") as stream:
                for part in parts:
                    stream.write(part)


def _objects(corpus: Corpus, patient: int, images: int) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each object of a patient: its name in the archive, and its bytes in parts."""
    chance = random.Random(f"{corpus.kind} {patient}")
    study = _uid(chance)
    first = f"P{patient:04}/S00"
    if corpus.kind == "multiframe":
        yield f"{first}/0001.dcm", _multiframe(chance, study, images)
        return
    for series in range(corpus.series):
        elements = _series(corpus, patient, study, series)
        for number in range(images):
            parts = _image(corpus, chance, elements, number, images)
            yield f"P{patient:04}/S{series:02}/{number + 1:04}.dcm", parts
    if corpus.rois:
        data = structure_set(corpus, patient, study, images, undefined=patient % 2 == 1)
        yield f"P{patient:04}/RS/0001.dcm", iter((data,))


def _series(corpus: Corpus, patient: int, study: str, series: int) -> Elements:
    """The elements that all images of a series share."""
    return _headers(corpus.kind) | {
        0x00080016: ("UI", CT_IMAGE if corpus.kind == "ct" else MR_IMAGE),
        0x00080050: ("SH", f"A{patient:07}"),
        0x0008103E: ("LO", f"Sequence {series + 1} of the phantom"),
        0x00100010: ("PN", f"Phantom^Number {patient}"),
        0x00100020: ("LO", f"PHANTOM{patient:05}"),
        0x0020000D: ("UI", study),
        0x0020000E: ("UI", f"{study}.{series + 1}"),
        0x00200011: ("IS", str(series + 1)),
        0x00200052: ("UI", f"{study}.0"),
    }


def _image(
    corpus: Corpus, chance: random.Random, series: Elements, number: int, images: int
) -> Iterator[bytes]:
    size, spacing = (512, 0.9765625) if corpus.kind == "ct" else (64, 3.75)
    corner = -size * spacing / 2
    position = -images * 1.5 + number * 3.0
    instance = f"{series[0x0020000E][1]}.{number + 1}"
    elements = series | {
        0x00080018: ("UI", instance),
        0x00080032: ("TM", f"12{number // 60 % 60:02}{number % 60:02}.{number % 1000:03}000"),
        0x00200013: ("IS", str(number + 1)),
        0x00200032: ("DS", rf"{corner:.4f}\{corner:.4f}\{position:.1f}"),
        0x00201041: ("DS", f"{position:.1f}"),
        0x00280010: ("US", str(size)),
        0x00280011: ("US", str(size)),
        0x00280030: ("DS", rf"{spacing}\{spacing}"),
    }
    yield dicom_file(elements, corpus.transfer_syntax)
    pixels = _pixels(chance, corpus.kind, number % 5)
    yield _head(0x7FE00010, "OW", len(pixels), corpus.transfer_syntax == EXPLICIT) + pixels


def _multiframe(chance: random.Random, study: str, frames: int) -> Iterator[bytes]:
    elements = _series(CORPORA["ct"], 0, study, 0) | {
        0x00080016: ("UI", MULTIFRAME),
        0x00080018: ("UI", f"{study}.1.1"),
        0x00200013: ("IS", "1"),
        0x00280008: ("IS", str(frames)),
        0x00280010: ("US", "512"),
        0x00280011: ("US", "512"),
    }
    yield dicom_file(elements, EXPLICIT)
    yield _head(0x7FE00010, "OW", frames * 512 * 512 * 2, explicit=True)
    for frame in range(frames):
        yield _pixels(chance, "ct", frame % 5)


def structure_set(
    corpus: Corpus, patient: int, study: str, images: int, *, undefined: bool
) -> bytes:
    """An RT Structure Set on the patient's first series, with lengths defined or undefined."""
    chance = random.Random(f"structures {patient}")
    shared = _series(corpus, patient, study, 0)
    elements = {tag: shared[tag] for tag in shared if tag >> 16 in (0x0008, 0x0010, 0x0020)}
    rois = range(1, corpus.rois + 1)
    elements |= {
        0x00080016: ("UI", STRUCTURE_SET),
        0x00080018: ("UI", f"{study}.99.1"),
        0x00080060: ("CS", "RTSTRUCT"),
        0x0020000E: ("UI", f"{study}.99"),
        0x30060002: ("SH", "Plan 1"),
        0x30060008: ("DA", "20240101"),
        0x30060009: ("TM", "120000"),
        0x30060010: ("SQ", [_frame_of_reference(study, images)]),
        0x30060020: ("SQ", [_roi(number, study) for number in rois]),
        0x30060039: ("SQ", [_roi_contour(corpus, chance, n, study, images) for n in rois]),
        0x30060080: ("SQ", [_observation(number) for number in rois]),
        0x300E0002: ("CS", "UNAPPROVED"),
    }
    return dicom_file(elements, corpus.transfer_syntax, undefined=undefined)


def _frame_of_reference(study: str, images: int) -> Elements:
    references: list[Elements] = [_reference(study, number) for number in range(images)]
    series: Elements = {0x0020000E: ("UI", f"{study}.1"), 0x30060016: ("SQ", references)}
    whole: Elements = {
        0x00081150: ("UI", "1.2.840.10008.3.1.2.3.1"),
        0x00081155: ("UI", study),
        0x30060014: ("SQ", [series]),
    }
    return {0x00200052: ("UI", f"{study}.0"), 0x30060012: ("SQ", [whole])}


def _reference(study: str, number: int) -> Elements:
    return {0x00081150: ("UI", CT_IMAGE), 0x00081155: ("UI", f"{study}.1.{number + 1}")}


def _roi(number: int, study: str) -> Elements:
    return {
        0x30060022: ("IS", str(number)),
        0x30060024: ("UI", f"{study}.0"),
        0x30060026: ("LO", f"Organ {number}"),
        0x30060036: ("CS", "SEMIAUTOMATIC"),
    }


def _roi_contour(
    corpus: Corpus, chance: random.Random, number: int, study: str, images: int
) -> Elements:
    return {
        0x3006002A: ("IS", rf"{number * 9 % 256}\{number * 37 % 256}\{number * 71 % 256}"),
        0x30060040: (
            "SQ",
            [
                _contour(corpus, chance, study, place % images, images)
                for place in range(corpus.contours)
            ],
        ),
        0x30060084: ("IS", str(number)),
    }


def _contour(
    corpus: Corpus, chance: random.Random, study: str, number: int, images: int
) -> Elements:
    x, y, radius = chance.uniform(-90, 90), chance.uniform(-90, 90), chance.uniform(15, 70)
    z = -images * 1.5 + number * 3.0
    turn = math.tau / corpus.points
    points = (
        rf"{x + radius * math.cos(turn * point):.3f}\{y + radius * math.sin(turn * point):.3f}"
        rf"\{z:.1f}"
        for point in range(corpus.points)
    )
    return {
        0x30060016: ("SQ", [_reference(study, number)]),
        0x30060042: ("CS", "CLOSED_PLANAR"),
        0x30060046: ("IS", str(corpus.points)),
        0x30060050: ("DS", "\\".join(points)),
    }


def _observation(number: int) -> Elements:
    return {
        0x30060082: ("IS", str(number)),
        0x30060084: ("IS", str(number)),
        0x300600A4: ("CS", "ORGAN"),
        0x300600A6: ("PN", ""),
    }


@cache
def _headers(kind: str) -> Elements:
    """What headers.txt gives for a kind: what scanners write beside what ICON reads."""
    elements: Elements = {}
    for line in SHARED.splitlines():
        kinds, tag, vr, *value = line.split(maxsplit=3)
        if kinds in (kind, "all"):
            text = value[0] if value else ""
            elements[int(tag, 16)] = (vr, bytes(int(text)) if vr in ("OB", "UN") else text)
    return elements


# The DICOM File Format, PS3.10 Section 7, and the encodings of PS3.5 Section 7


def dicom_file(elements: Elements, transfer_syntax: str, *, undefined: bool = False) -> bytes:
    meta: Elements = {
        0x00020001: ("OB", b"\0\1"),
        0x00020002: elements[0x00080016],
        0x00020003: elements[0x00080018],
        0x00020010: ("UI", transfer_syntax),
        0x00020012: ("UI", "2.25.313957112385474712233445566778899001122"),
        0x00020013: ("SH", "PHANTOM 1"),
    }
    rest = encode(meta, explicit=True)
    length = struct.pack("<I", len(rest))
    group = _head(0x00020000, "UL", len(length), explicit=True) + length
    dataset = encode(elements, explicit=transfer_syntax == EXPLICIT, undefined=undefined)
    return bytes(128) + b"DICM" + group + rest + dataset


def encode(elements: Elements, *, explicit: bool, undefined: bool = False) -> bytes:
    return b"".join(_element(tag, *elements[tag], explicit, undefined) for tag in sorted(elements))


def _element(tag: int, vr: str, value: Value, explicit: bool, undefined: bool) -> bytes:
    if isinstance(value, list):
        return _sequence(tag, value, explicit, undefined)
    if isinstance(value, str):
        return _text(tag, vr, value, explicit)
    return _head(tag, vr, len(value), explicit) + value


def _sequence(tag: int, items: list[Elements], explicit: bool, undefined: bool) -> bytes:
    datasets = [encode(item, explicit=explicit, undefined=undefined) for item in items]
    if undefined:
        body = b"".join(
            _delimiter(ITEM, UNDEFINED) + dataset + _delimiter(ITEM_END) for dataset in datasets
        )
        head = _head(tag, "SQ", UNDEFINED, explicit)
        return head + body + _delimiter(SEQUENCE_END)
    body = b"".join(_delimiter(ITEM, len(dataset)) + dataset for dataset in datasets)
    return _head(tag, "SQ", len(body), explicit) + body


def _delimiter(tag: int, length: int = 0) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)


@lru_cache(maxsize=4096)
def _text(tag: int, vr: str, value: str, explicit: bool) -> bytes:
    if vr in BINARY:
        kind = BINARY[vr]
        number = float(value) if vr == "FD" else int(value)
        data = struct.pack(f"<{kind}", number)
    else:
        data = value.encode("ascii")
        data += b"" if len(data) % 2 == 0 else b"\0" if vr == "UI" else b" "
    return _head(tag, vr, len(data), explicit) + data


def _head(tag: int, vr: str, length: int, explicit: bool) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if not explicit:
        return struct.pack("<HHI", group, number, length)
    if vr in LONG:
        return struct.pack("<HH2sHI", group, number, vr.encode(), 0, length)
    return struct.pack("<HH2sH", group, number, vr.encode(), length)


def _uid(chance: random.Random) -> str:
    return f"2.25.{chance.getrandbits(127)}"


# Pixels. An image is one integer of 16-bit lanes: to add two is to add every sample at once.


def _pixels(chance: random.Random, kind: str, shape: int) -> bytes:
    """Anatomy under a window of grain that no other image has."""
    anatomy, where = _anatomy(kind, shape)
    size = _size(kind) ** 2 * 2  # bytes
    start = chance.randrange(GRAIN * 2 - size) & ~1
    grain = int.from_bytes(_grain(kind)[start : start + size], "little")
    return (anatomy + (grain & where)).to_bytes(size, "little")


def _size(kind: str) -> int:
    return 512 if kind == "ct" else 64


@cache
def _grain(kind: str) -> bytes:
    """Noise of a spread with which Deflate packs an image as it packs a scanner's."""
    chance = random.Random(f"grain {kind}")
    spread = 20 if kind == "ct" else 26
    return array(
        "H", (max(0, min(240, round(chance.gauss(120, spread)))) for _ in range(GRAIN))
    ).tobytes()


@cache
def _anatomy(kind: str, shape: int) -> tuple[int, int]:
    """Smooth ellipses, and a mask of the samples that have grain."""
    size = _size(kind)
    values, mask = array("H"), array("H")
    for row in range(size):
        for column in range(size):
            x, y = 2 * column / size - 1, 2 * row / size - 1
            # Beyond a CT's field of view there is nothing, not even noise.
            seen = kind != "ct" or x * x + y * y < 0.95
            values.append(_tissue(x, y, shape) if seen else 0)
            mask.append(0xFFFF if seen else 0)
    return int.from_bytes(values.tobytes(), "little"), int.from_bytes(mask.tobytes(), "little")


def _tissue(x: float, y: float, shape: int) -> int:
    """A sample of the phantom at x and y, both from -1 to 1."""
    body = (x / (0.78 + shape * 0.02)) ** 2 + (y / (0.58 + shape * 0.02)) ** 2
    if body > 1:
        return 40
    if x * x + (y - 0.36) ** 2 < 0.012:  # the spine
        return 1_700
    if ((abs(x) - 0.36) / 0.25) ** 2 + (y / 0.34) ** 2 < 1:  # the lungs
        return 180 + int(60 * y)
    return 1_000 + int(50 * math.cos(4 * x + shape) * math.cos(3 * y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CORPORA), metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    parser.add_argument("--scale", type=float, default=1.0, help="0.02 takes seconds")
    options = parser.parse_args()
    for name in options.names:
        if name not in CORPORA:
            parser.error(f"{name} is none of {', '.join(CORPORA)}")
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(make, name, options.folder, options.scale) for name in options.names]
        for job in jobs:
            path = job.result()
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
