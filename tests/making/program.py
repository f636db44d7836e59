"""A program for `app.sandbox.once` to ask: it does what each word says."""

import ctypes
import os
import resource
import time
from collections.abc import Iterator

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
        elif word == "die":
            os._exit(1)
        elif word == "print":
            print("a library prints this", flush=True)
            ctypes.CDLL(None).puts(b"and this")
        elif word == "memory":
            yield Reply(str(resource.getrlimit(resource.RLIMIT_AS)[0]))
        elif word == "read":
            yield Reply(os.read(asked.descriptor, 100).decode())
        else:
            yield Reply(word)


if __name__ == "__main__":
    answer(Words, work)
