"""A busy machine, for one process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def beside_busy_ones(pid: int, count: int = 1) -> Iterator[None]:
    """Has the process share one processor with others that use all of it."""
    shared = {min(os.sched_getaffinity(0))}
    loop = f"import os; os.sched_setaffinity(0, {shared})\nprint(flush=True)\nwhile True: pass"
    with ExitStack() as stack:
        for _ in range(count):
            started = subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE)
            busy = stack.enter_context(started)
            stack.callback(busy.kill)
            assert busy.stdout
            busy.stdout.readline()
        stack.callback(os.sched_setaffinity, pid, os.sched_getaffinity(pid))
        os.sched_setaffinity(pid, shared)
        yield
