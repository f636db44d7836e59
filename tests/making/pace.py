"""Bounds on the time that work takes, whatever the speed of the machine just now.

A machine that others share is up to twice as slow within minutes, and work that disturbs only ever
adds. Where something exceeds its bound, a fixed piece of work is measured beside it: by as much as
that takes longer than in a good minute, the bound is larger. One of three tries has to keep it.
"""

import json
import time
import zlib
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")

TRIES = 3
GOOD = 0.026  # seconds that the fixed work takes in a good minute of an AMD EPYC with two cores


def within(
    seconds: float, work: Callable[[], Made], clock: Callable[[], float] = time.process_time
) -> Made:
    """What the work makes, in less than so many seconds of a good minute."""
    taken: list[float] = []
    while len(taken) < TRIES:
        begun = clock()
        made = work()
        taken.append(clock() - begun)
        if taken[-1] < seconds or taken[-1] < seconds * slowness():
            return made
    raise AssertionError(f"took {taken} s, and not {seconds}; the machine's factor: {slowness()}")


def slowness() -> float:
    """How many times slower the machine is now than in a good minute, at least 1."""
    begun = time.process_time()
    _fixed_work()
    return max(1.0, (time.process_time() - begun) / GOOD)


def _fixed_work() -> None:
    """Some of what Python and memory do in all the work that is bounded."""
    found: dict[bytes, bytes] = {}
    for number in range(10_000):
        word = b"%d" % (number % 3_000)
        found[word] = found.get(word, b"")[-20:] + word
    text = json.dumps([word.decode() for word in found.values()] * 8).encode()
    assert json.loads(zlib.decompress(zlib.compress(text)))
