"""A program for `app.sandbox.once` to ask: it does what each word says."""

import ctypes
import os
import resource
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from app.dicom.records import Record
from app.sandbox.once import answer


class Words(Record, frozen=True):
    words: list[str]
    descriptor: int


class Reply(Record, frozen=True):
    text: str


def work(asked: Words) -> Iterator[Struct]:
    for word in asked.words:
        if word == "sleep":
            time.sleep(60)
        elif word == "when":  # by a clock that all processes share
            yield Reply(str(time.monotonic()))
        elif word == "hang up":
            os.close(_answers())
            time.sleep(60)
        elif word == "die":
            os._exit(1)
        elif word == "print":
            print("a library prints this", flush=True)
            ctypes.CDLL(None).puts(b"and this")
        elif word == "memory":
            yield Reply(str(resource.getrlimit(resource.RLIMIT_AS)[0]))
        elif word == "work":
            while True:
                pass
        elif word == "for ever":
            while True:
                os.write(_answers(), b"\1" * 10_000)
        elif word == "announce":
            os.write(_answers(), b"\xff\xff\xff\xff" + bytes(10))
        elif word == "open":
            yield Reply(_open())
        elif word == "pydicom":
            yield Reply(_import_pydicom())
        elif word == "read":
            yield Reply(os.read(asked.descriptor, 100).decode())
        else:
            yield Reply(word)


def _answers() -> int:
    """The descriptor that answers go to: the one pipe besides those of the start."""
    return next(fd for fd in range(3, 64) if _is_pipe(fd))


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _open() -> str:
    try:
        return Path("/etc/passwd").read_text()
    except OSError as error:
        return type(error).__name__


def _import_pydicom() -> str:
    import pydicom

    return "with numpy" if pydicom.config.have_numpy else "without numpy"


if __name__ == "__main__":
    answer(Words, work)
