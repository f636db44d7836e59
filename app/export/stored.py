"""A stored object on its way out: only bytes that have the SHA-256 of its row are sent whole.

A small object is read and hashed before anything of it is sent, one up to HASHED_FIRST from the
disk and then again from memory, where it still is. A larger one is hashed while it is sent, and its
last piece waits for that.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isal import isal_zlib

from app.errors import Expected
from app.limits import processed_root
from app.models import ArchiveMember, DICOMInstance
from app.storage.staging import staged_paths
from app.storage.tree import open_object

HASHED_FIRST = 64_000_000  # bytes
PIECE = 1 << 20


class LeftOut(Expected):
    """An object is not sent, and why."""


class Altered(Exception):
    """What was sent of an object is not what is catalogued: nothing more may follow."""


@dataclass(slots=True)
class Stored:
    """An open object; where its CRC-32 is known, it was hashed."""

    file: int  # descriptor
    size: int
    sha256: str
    crc: int | None
    data: bytes | None = None  # all of it, where it is small

    def pieces(self) -> Iterator[bytes]:
        """Its bytes; with the last piece its CRC-32 is known.

        Raises
        ------
        Altered
            They are not those of its row; the last piece was not given.
        """
        if self.data is not None:
            yield self.data
            return
        digest, crc, left = hashlib.sha256(), 0, self.size
        os.lseek(self.file, 0, os.SEEK_SET)
        while left:
            try:
                piece = _read(self.file, min(left, PIECE))
            except OSError as error:
                raise Altered from error
            left -= len(piece)
            crc = isal_zlib.crc32(piece, crc)
            if self.crc is None:
                digest.update(piece)
            if not left:
                self._check(crc, digest.hexdigest())
            yield piece

    def _check(self, crc: int, sha256: str) -> None:
        if self.crc is None and sha256 == self.sha256:
            self.crc = crc
        elif self.crc != crc:
            raise Altered

    def close(self) -> None:
        os.close(self.file)


def open_stored(row: DICOMInstance) -> Stored:
    """An object, to be closed.

    Raises
    ------
    LeftOut
        file_missing, file_unreadable, file_altered.
    """
    try:
        return _opened(row, open_object(processed_root(), row.path))
    except LeftOut as why:
        error = why
    except FileNotFoundError:
        error = LeftOut("file_missing")
    except OSError:
        error = LeftOut("file_unreadable")
    # Its row may be committed, and its file not yet in its place.
    if staged := _staged(row):
        return staged
    raise error


def _staged(row: DICOMInstance) -> Stored | None:
    """An object whose file an import is about to give its place."""
    members = ArchiveMember.objects.filter(instance=row.pk, sha256=row.sha256)
    for upload, index, inner in members.values_list("upload", "index", "inner"):
        for path in staged_paths(processed_root(), upload, (index, inner)):
            if found := _at(row, path):
                return found
    return None


def _at(row: DICOMInstance, path: Path) -> Stored | None:
    try:
        return _opened(row, open_object(processed_root(), str(path.relative_to(processed_root()))))
    except (OSError, LeftOut):
        return None


def _opened(row: DICOMInstance, file: int) -> Stored:
    stored = Stored(file, row.size, row.sha256, None)
    try:
        if os.fstat(file).st_size != row.size:
            raise Altered
        if row.size <= HASHED_FIRST:
            _hash(stored)
    except Altered as why:
        stored.close()
        raise LeftOut("file_altered") from why
    except BaseException:
        stored.close()
        raise
    return stored


def _hash(stored: Stored) -> None:
    """Read an object whole; a small one is kept.

    Raises
    ------
    Altered
    """
    digest, crc, left, piece = hashlib.sha256(), 0, stored.size, b""
    while left:
        piece = _read(stored.file, min(left, PIECE))
        left -= len(piece)
        digest.update(piece)
        crc = isal_zlib.crc32(piece, crc)
    if digest.hexdigest() != stored.sha256:
        raise Altered
    stored.crc = crc
    if stored.size <= PIECE:
        stored.data = piece


def _read(file: int, size: int) -> bytes:
    """The next bytes of a file, which has as many.

    Raises
    ------
    Altered
        It has not.
    """
    piece = os.read(file, size)
    if not piece:
        raise Altered
    return piece
