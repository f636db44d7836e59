"""One question to a program in a child process: orders in, frames of answers back, within a time.

stdin    two frames of `wire`: the terms, then the orders
stdout   one frame for each answer, as soon as it is known
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct, msgpack

from app.dicom.records import Record

from .confine import FILES, confine, lock, start_program, take_stdout
from .wire import Outbox, Unbelievable, frame, frames

Asked = TypeVar("Asked", bound=Struct)

ANSWER_BYTES = 16_000_000  # of all answers together, unless more is asked for
READ_BYTES = 1 << 20
ENDING_SECONDS = 2.0  # that a program may still be there after its last answer


class Terms(Record, frozen=True):
    """What every program is sent first."""

    parent: int  # process
    memory: int  # bytes of address space
    processor: int  # seconds of it
    files: int  # that may be open at once


class Answers(NamedTuple):
    frames: list[bytes]  # of MessagePack
    in_time: bool  # else the program was ended, and these are what came until then


def ask(
    module: str,
    orders: Struct,
    descriptors: Sequence[int],
    *,
    seconds: float,
    processor: int,
    memory: int,
    most: int = ANSWER_BYTES,
) -> Answers:
    """What a program answers.

    Parameters
    ----------
    descriptors
        Those that the orders name; the program has no others, and can open nothing.
    seconds
        After which it is ended, as on a machine that has no time for it.
    processor
        Seconds of processor time after which it is ended.
    memory
        Bytes of address space that it may use.
    most
        Bytes that it may answer, after which it is ended, too.
    """
    terms = Terms(os.getpid(), memory, processor, FILES + len(descriptors))
    child = start_program(module, descriptors)
    try:
        output, in_time = _talk(child, frame(terms) + frame(orders), seconds, most)
        if not in_time or len(output) > most:
            child.kill()
    except BaseException:
        child.kill()
        raise
    finally:
        ended_by = -_end_of(child)
        for pipe in (child.stdin, child.stdout):
            assert pipe
            pipe.close()
    return Answers(_bodies(output, most), in_time and ended_by != signal.SIGXCPU)


def answer(kind: type[Asked], work: Callable[[Asked], Iterator[Struct]]) -> None:
    """The program's side: read the orders, under the terms, and send what `work` yields."""
    with os.fdopen(take_stdout(), "wb") as answers:
        first, second = map(bytes, frames(bytearray(sys.stdin.buffer.read())))
        terms = msgpack.decode(first, type=Terms)
        confine(terms.memory, terms.parent, terms.processor)
        lock(files=terms.files)
        for one in work(msgpack.decode(second, type=kind)):
            answers.write(frame(one))
            answers.flush()


def _end_of(child: "subprocess.Popen[bytes]") -> int:
    """How a program ended; one that will say nothing more, and stays, is ended."""
    try:
        return child.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _talk(
    child: "subprocess.Popen[bytes]", question: bytes, seconds: float, most: int
) -> tuple[bytearray, bool]:
    """What the child says until it ends, or has said too much; and whether it ended in time."""
    assert child.stdin
    assert child.stdout
    deadline = time.monotonic() + seconds
    outbox, output = Outbox(child.stdin.fileno()), bytearray()
    outbox.put(question)
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        while len(output) <= most:
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                return output, False
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    outbox.send()
                    if not outbox.size:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                    continue
                data = os.read(child.stdout.fileno(), READ_BYTES)
                if not data:
                    return output, True
                output += data
    return output, True


def _bodies(output: bytearray, most: int) -> list[bytes]:
    """The whole frames of an output, up to one that cannot be."""
    bodies: list[bytes] = []
    try:
        bodies.extend(map(bytes, frames(output, most)))
    except Unbelievable:
        return bodies
    return bodies
