"""One question to a program in a child process: orders in, frames of answers back, within a time.

stdin    two frames of `wire`: the terms, then the orders
stdout   one frame for each answer, as soon as it is known
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct, msgpack

from app.dicom.records import Record

from .confine import confine, start_program, take_stdout
from .wire import frame, frames

Asked = TypeVar("Asked", bound=Struct)


class Terms(Record, frozen=True):
    """What every program is sent first."""

    parent: int  # process
    memory: int  # bytes of address space


class Answers(NamedTuple):
    frames: list[bytes]  # of MessagePack
    in_time: bool  # else the program was ended, and these are what came until then


def ask(
    module: str, orders: Struct, descriptors: Sequence[int], *, seconds: float, memory: int
) -> Answers:
    """What a program answers.

    Parameters
    ----------
    descriptors
        Those that the orders name; the program has no others.
    seconds
        After which it is ended.
    memory
        Bytes of address space that it may use.
    """
    terms = Terms(os.getpid(), memory)
    child = start_program(module, descriptors)
    in_time = True
    try:
        output, _ = child.communicate(frame(terms) + frame(orders), seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
        in_time = False
    return Answers([bytes(body) for body in frames(bytearray(output))], in_time)


def answer(kind: type[Asked], work: Callable[[Asked], Iterator[Struct]]) -> None:
    """The program's side: read the orders, under the terms, and send what `work` yields."""
    with os.fdopen(take_stdout(), "wb") as answers:
        first, second = map(bytes, frames(bytearray(sys.stdin.buffer.read())))
        terms = msgpack.decode(first, type=Terms)
        confine(terms.memory, terms.parent)
        for one in work(msgpack.decode(second, type=kind)):
            answers.write(frame(one))
            answers.flush()
