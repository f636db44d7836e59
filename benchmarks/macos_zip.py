#!/usr/bin/env python3
"""Imports a ZIP of over 4 GB as macOS's Archive Utility writes it: without ZIP64 records.

Two of its five objects are larger than 4 GB: one is packed as it is, so that the offsets behind it
run over, too; one packs a thousand times. The archive is a sparse file; what is filed takes 8.6 GB.
"""

import argparse
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measure import ROOT, import_archive, machine, migrate

sys.path.insert(0, str(ROOT))

from tests.making.archive_utility import ArchiveUtility
from tests.making.objects import ct_image, uid

PIXELS = 0xFFFFFFFE  # bytes, the most that one Pixel Data can have; with its header, over 4 GiB
CHUNK = 1 << 20  # bytes


def main() -> None:
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        archive, var = Path(scratch) / "macos.zip", Path(scratch) / "var"
        write(archive)
        migrate(var)
        run = import_archive(archive, var, "imported")
        size = archive.stat().st_size / 1e9
    print(machine(), "\n")
    print(f"{size:.2f} GB, 5 objects, 2 of them over 4 GiB: all imported, read to their checksums")
    print(f"{run.seconds:.1f} s, {run.peak / 1e6:.0f} MB at most")


def write(path: Path) -> None:
    with path.open("wb") as file:
        archive = ArchiveUtility(file)
        archive.add("DICOM/", b"")
        archive.add("DICOM/1.dcm", image(1))
        archive.add_sparse("DICOM/large.dcm", large_head(2), PIXELS)
        archive.add("DICOM/2.dcm", image(3))
        archive.add("DICOM/mask.dcm", large(4), level=1)
        archive.add("DICOM/3.dcm", image(5))
        archive.finish()


def image(number: int) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number))


def large_head(number: int) -> bytes:
    """An image up to its pixels."""
    head = ct_image(SOPInstanceUID=uid(2, 1, number), PixelData=None)
    return head + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, PIXELS)


def large(number: int) -> Iterator[bytes]:
    yield large_head(number)
    for left in range(PIXELS, 0, -CHUNK):
        yield bytes(min(left, CHUNK))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
