"""How a child process begins: what its parent gives it, and the limits that it sets itself.

Every program that looks into other people's bytes is started here, and begins by confining itself:
the extractors, which a pool keeps busy, and whatever `once` asks a single question.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    # Where Python may not keep what it compiled, each child takes 25 ms more to start.
    "PYTHONDONTWRITEBYTECODE": "",
    # glibc gives a member's memory back to the system and fetches it again for the next one,
    # page fault by page fault: 0.15 s of 1 s on CT images. Let it keep up to 64 MB.
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start_program(module: str, descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start a module as a program, with pipes to and from it and these open descriptors."""
    # Here, since every child imports this module, and has no use for those: 2 MB in each.
    import subprocess
    from pathlib import Path

    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what libraries say there may quote a patient
        pass_fds=descriptors,
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | ENVIRONMENT,
    )


# --- in the child ----------------------------------------------------------------------------


def take_stdout() -> int:
    """The descriptor to answer on; nothing that a library prints may mix with the answers."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def confine(memory: int, parent: int) -> None:
    """Limit this process, and let it end with its parent.

    Parameters
    ----------
    memory
        Bytes of address space.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()
