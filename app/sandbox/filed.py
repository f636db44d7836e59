"""The headers of filed objects, read again by a child process from descriptors of their files.

It is asked once for some hundreds of files, of which it has descriptors and no paths.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from math import ceil
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, msgpack

from app import reasons
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.records import Facts, Header, Record
from app.errors import Expected

from .once import Answers, answer, ask
from .wire import Unbelievable, believed, check_reason

if TYPE_CHECKING:
    from .pool import PoolSettings  # of which a child has no use

PROGRAM = "app.sandbox.filed"
PIECE = 1 << 18  # bytes that are read at once
ANSWERED = 128_000_000  # bytes; a text may be longer as MessagePack than in its file
REASONS = reasons.SKIPPED | reasons.FAILED
REASONS |= {"file_unreadable": reasons.VIOLATIONS["file_unreadable"]}


class Files(Record, frozen=True):
    """What the child is asked."""

    descriptors: list[int]
    header_limits: HeaderLimits
    assumed_charset: str


class Reading(Record, frozen=True):
    """One file as it was read; `reason` says why it has no header."""

    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""  # of the whole file
    header: Header | None = None
    reason: str = ""  # a code
    facts: Facts = {}


_reading = msgpack.Decoder(Reading).decode


def read_filed(
    descriptors: Sequence[int], settings: "PoolSettings", seconds: float
) -> list[Reading]:
    """What is read in each file. One that ends its reader is read once more, alone.

    Parameters
    ----------
    seconds
        That reading all of them may take.
    """
    found: list[Reading] = []
    while len(found) < len(descriptors):
        found += _readings_in(_ask(descriptors[len(found) :], settings, seconds).frames)
        if len(found) < len(descriptors):
            found.append(_read_alone(descriptors[len(found)], settings, seconds))
    return found


def _read_alone(descriptor: int, settings: "PoolSettings", seconds: float) -> Reading:
    answers = _ask([descriptor], settings, seconds)
    for reading in _readings_in(answers.frames):
        return reading
    return Reading(reason="reader_crashed" if answers.in_time else "reader_hung")


def _ask(descriptors: Sequence[int], settings: "PoolSettings", seconds: float) -> Answers:
    return ask(
        PROGRAM,
        Files(list(descriptors), settings.header_limits, settings.assumed_charset),
        descriptors,
        seconds=seconds,
        processor=ceil(seconds),
        memory=settings.memory,
        most=ANSWERED,
    )


def _readings_in(frames: Iterable[bytes]) -> Iterator[Reading]:
    """The answers, up to one that is none: its reader is not itself any more."""
    with suppress(Unbelievable):
        for frame in frames:
            reading = believed(_reading, frame)
            if reading.header is None:
                check_reason(REASONS, reading.reason, reading.facts)
            yield reading


# --- the child -------------------------------------------------------------------------------


def _readings(files: Files) -> Iterator[Reading]:
    for number, descriptor in enumerate(files.descriptors):
        with FileIO(descriptor, closefd=False) as file:
            reading = _read(file, files)
        if number and reading.reason == "too_much_memory":
            os._exit(1)  # what others left may be to blame: a fresh child reads it alone
        yield reading


def _read(file: FileIO, files: Files) -> Reading:
    try:
        file.seek(0)  # whoever had the descriptor before may have left it elsewhere
        head = _at_most(file, files.header_limits.header)
        digest, truncated = hashlib.sha256(head), False
        while piece := file.read(PIECE):
            digest.update(piece)
            truncated = True
    except OSError:
        return Reading(reason="file_unreadable")
    try:
        header = read_header(
            head,
            limits=files.header_limits,
            truncated=truncated,
            assumed_charset=files.assumed_charset,
        )
    except Expected as why:
        return Reading(digest.hexdigest(), None, why.code, why.facts)
    return Reading(digest.hexdigest(), header)


def _at_most(file: FileIO, size: int) -> bytes:
    """The next bytes of a file, as many as there are up to a size."""
    pieces = []
    while size and (piece := file.read(min(size, PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


if __name__ == "__main__":
    answer(Files, _readings)
