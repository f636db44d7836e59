"""The files of thumbnails: `.thumbnails/<thousand>/<series>-<changes>.jpg` below the root.

They can be made again: nothing waits for the disk to have them, and whoever reads one looks whether
it is whole.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .tree import folder_of, name_of, open_object

FOLDER = ".thumbnails"
BLOCK = 4096  # bytes: what a file takes of a disk at least


def thumbnail_path(series: int, changes: int) -> str:
    """Where the thumbnail of a series lies that was made after so many changes of it."""
    return f"{FOLDER}/{series // 1000}/{series}-{changes}.jpg"


def taken_by(data: bytes) -> int:
    """Bytes of the disk."""
    return -(-len(data) // BLOCK) * BLOCK


def write_thumbnail(root: Path, path: str, data: bytes) -> None:
    """Write a file, or write it anew.

    Raises
    ------
    OSError
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with folder_of(root, path, make=True) as folder:
        file = os.open(name_of(path), flags, 0o640, dir_fd=folder)
        with os.fdopen(file, "wb", buffering=0) as target:
            target.write(data)


def read_thumbnail(root: Path, path: str, most: int) -> bytes:
    """What a file holds, up to so many bytes; nothing where it is not there."""
    try:
        file = open_object(root, path)
    except FileNotFoundError:
        return b""
    with os.fdopen(file, "rb", buffering=0) as source:
        return source.read(most) or b""


def thumbnail_files(root: Path) -> Iterator[str]:
    """What lies among the thumbnails."""
    for folder, _, names in os.walk(root / FOLDER):
        below = Path(folder).relative_to(root)
        yield from (f"{below}/{name}" for name in sorted(names))


def remove_thumbnails(root: Path) -> None:
    """Remove all; one that is written meanwhile may stay, and is written over some time."""
    shutil.rmtree(root / FOLDER, ignore_errors=True)
