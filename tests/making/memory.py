"""How much memory an import takes: this process's growth, and its extractors."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05


@dataclass
class Memory:
    peak: int = 0  # bytes


@contextlib.contextmanager
def peak_memory() -> Iterator[Memory]:
    """Sample the proportional set size of the extractors, and what this process grew by."""
    memory, over = Memory(), threading.Event()
    before = proportional_set_size(os.getpid())

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            own = proportional_set_size(os.getpid()) - before
            memory.peak = max(memory.peak, own + sum(map(proportional_set_size, extractors())))

    thread = threading.Thread(target=sample)
    thread.start()
    yield memory
    over.set()
    thread.join()


def extractors() -> list[int]:
    """The extractors that this process has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"app.sandbox.extractor" in _command(pid)]


def proportional_set_size(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _command(pid: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
