"""Downloads on their way: the pieces that are sent, and what is written down at the end.

A ZIP keeps to the length that was told, whatever is left out of it: nulls, which unpackers pass
over, stand for that before the list of contents, and for what a DICOMDIR needs less than it may.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from tempfile import SpooledTemporaryFile

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Model
from isal import isal_zlib

from app.archives.stream import Length, Stream
from app.audit.recording import Person, insert
from app.catalogue.transactions import give_back_connection
from app.models import DICOMInstance, Kind
from app.reasons import sentence
from app.wording import counted, human_size

from .media import DICOMDIR, Directory
from .places import Place
from .plan import Folder
from .stored import HASHED_FIRST, Altered, LeftOut, Stored, open_stored

TOGETHER = 1 << 18  # bytes that small pieces are gathered to
LOOKED_UP = 200  # rows at once
IN_MEMORY = 4_000_000  # bytes of a list of contents; what is longer waits on the disk
NOTE, MEDIA_NOTE = "What was left out.txt", "LEFTOUT.TXT"
LISTED = 100_000  # left out objects at most that the note names

logger = logging.getLogger(__name__)


class BrokenOff(Exception):
    """A download ends before its end, so that whoever receives it sees that it is not whole."""


class Sending(ABC):
    """A download: an iterator for a streaming response, which closes it at the end in any case."""

    def __init__(self, place: Place, who: Person, of: Model | None) -> None:
        self._place, self._who, self._of = place, who, of
        self._sent = self._objects = 0
        self._ended = "Broken off"
        self._is_closed = False
        self._opened = ExitStack()  # what is closed at the end

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in gathered(self._pieces()):
                self._place.renew()
                yield piece
                self._sent += len(piece)
        except Altered:
            self._ended = f"Broken off: {sentence('file_altered')}"
            logger.error("A download was broken off: a stored file is not what was catalogued")
            raise BrokenOff from None

    @abstractmethod
    def _pieces(self) -> Iterator[bytes]:
        """All that is sent; `_ended` is said at the end."""

    def close(self) -> None:
        """Write the end down, and give the place back: once."""
        if self._is_closed:
            return
        self._is_closed = True
        self._opened.close()
        words = f"{self._ended}, {counted(self._objects, 'object')}, {human_size(self._sent)} sent."
        try:
            with transaction.atomic():
                if self._place.give_back():
                    insert(Kind.DOWNLOAD_ENDED, self._who, self._of, words)
        except (DatabaseError, InterfaceError) as error:
            logger.error("A download's end was not written down: %s", type(error).__name__)


class SendingObject(Sending):
    """One object as it is."""

    def __init__(self, place: Place, who: Person, of: Model, stored: Stored) -> None:
        super().__init__(place, who, of)
        self._stored = stored
        self._opened.callback(stored.close)

    def _pieces(self) -> Iterator[bytes]:
        yield from self._stored.pieces()
        self._objects, self._ended = 1, "Whole"


class SendingZip(Sending):
    """The objects of folders, as a ZIP.

    Parameters
    ----------
    total
        Its length, where that was told; see `length_of`.
    directory
        Of all that is in it, where it shall have a DICOMDIR.
    """

    def __init__(
        self,
        place: Place,
        who: Person,
        of: Model | None,
        folders: Iterator[Folder],
        at: datetime,
        total: int | None = None,
        directory: Directory | None = None,
    ) -> None:
        super().__init__(place, who, of)
        self._folders, self._total, self._media = folders, total, directory
        if directory:
            self._opened.callback(directory.close)
        contents = self._opened.enter_context(SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
        self._zip = Stream(contents, at)
        self._lines: list[str] = []
        self._missing = 0  # objects that were left out
        self._said: list[str] = []  # what else the note says

    def _pieces(self) -> Iterator[bytes]:
        for folder in self._folders:
            yield from self._of_folder(folder)
        yield from self._dicomdir()
        yield from self._note()
        yield from self._zip.end(self._total)
        self._ended = "Whole"
        if self._missing:
            self._ended = f"Whole but for {counted(self._missing, 'object')} left out"

    def _of_folder(self, folder: Folder) -> Iterator[bytes]:
        for first in range(0, len(folder.pks), LOOKED_UP):
            pks = folder.pks[first : first + LOOKED_UP]
            rows = DICOMInstance.objects.only("path", "size", "sha256").in_bulk(list(pks))
            give_back_connection()  # to send these may take minutes
            for number, pk in enumerate(pks, first):
                yield from self._of_object(folder.file(number), rows.get(pk), folder.sizes[number])

    def _of_object(self, name: str, row: DICOMInstance | None, size: int) -> Iterator[bytes]:
        try:
            stored = _open(row, size)
        except LeftOut as why:
            self._leave_out(name, why)
            return
        try:
            yield self._zip.begin(name, size, stored.crc)
            yield from stored.pieces()
            assert stored.crc is not None
            yield self._zip.end_member(stored.crc)
            self._objects += 1
            if self._media:
                self._media.add(name, stored)
        finally:
            stored.close()

    def _leave_out(self, name: str, why: LeftOut) -> None:
        self._missing += 1
        if len(self._lines) < LISTED:
            self._lines.append(f"{name}: {why.sentence}")

    def _dicomdir(self) -> Iterator[bytes]:
        if not (self._media and self._objects):
            return
        made = self._media.made()
        if self._media.lines:
            self._said = ["", sentence("dicomdir_lacks_some"), *self._media.lines]
        if made and len(made) + len(self._note_text()) <= self._room():
            yield from self._file(DICOMDIR, made)
        else:
            self._said = [sentence("dicomdir_failed")]

    def _room(self) -> int:
        """Bytes that are left for a DICOMDIR and a note in the length that was told."""
        assert self._total is not None  # what can have a DICOMDIR is few enough
        return self._zip.room(self._total, DICOMDIR, MEDIA_NOTE)

    def _note(self) -> Iterator[bytes]:
        """What was left out and why, as a last file; nothing where nothing was."""
        if text := self._note_text():
            yield from self._file(MEDIA_NOTE if self._media else NOTE, text)

    def _note_text(self) -> bytes:
        left_out = [sentence("left_out"), *self._lines] if self._missing else []
        lines = left_out + self._said
        return "\r\n".join([*lines, ""]).encode() if lines else b""

    def _file(self, name: str, data: bytes) -> Iterator[bytes]:
        crc = isal_zlib.crc32(data)
        yield self._zip.begin(name, len(data), crc)
        yield data
        yield self._zip.end_member(crc)


def length_of(folders: Sequence[Folder]) -> int:
    """How long the ZIP of these is, with all that is planned: with a DICOMDIR, at most."""
    length = Length()
    for folder in folders:
        for number, size in enumerate(folder.sizes):
            length.add(len(folder.file(number).encode()), size, size > HASHED_FIRST)
    if any(folder.as_on_media for folder in folders):
        length.add(len(DICOMDIR), sum(folder.records for folder in folders), False)
        length.add(len(MEDIA_NOTE), 0, False)
    return length.total


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces that are worth sending."""
    waiting = bytearray()
    for piece in pieces:
        if len(piece) < TOGETHER:
            waiting += piece
        if waiting and (len(waiting) >= TOGETHER or len(piece) >= TOGETHER):
            yield bytes(waiting)
            waiting.clear()
        if len(piece) >= TOGETHER:
            yield piece
    if waiting:
        yield bytes(waiting)


def _open(row: DICOMInstance | None, size: int) -> Stored:
    """An object as it was planned.

    Raises
    ------
    LeftOut
        object_deleted, object_replaced, or as `open_stored`.
    """
    if row is None:
        raise LeftOut("object_deleted")
    if row.size != size:
        raise LeftOut("object_replaced")
    return open_stored(row)
