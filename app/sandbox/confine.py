"""How a child process begins: what its parent gives it, and how it locks itself in.

Every program that looks into other people's bytes is started here: the extractors, which a pool
keeps busy, and whatever `once` asks a single question. Before it sees the first of those bytes it
limits itself (`confine`) and gives up, for good, whatever it will not need (`lock`). All of this
works without root, in a container, and on kernels that can do a part of it: see `lacking`.
"""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import landlock, seccomp
from .calls import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    import subprocess

# All that a child has of its parent's environment, which holds keys and passwords: what Python
# may need to start, where the site has set it.
KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives a member's memory back to the system and fetches it again for the next one,
    # page fault by page fault: 0.15 s of 1 s on CT images. Let it keep up to 64 MB.
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}
NICE = 10
# Who gives way may wait for long: so it is its time on a processor that each program's limit is of,
# and by the clock only one that hangs is ended. Beside five busy processes on two cores programs
# took 14 to 29 s, which take 0.5 s on an idle machine.
HANGING_SECONDS = 300.0
FILES = 64  # that are open at once
APP = __file__.rpartition("/sandbox/")[0]
PROJECT = APP.rpartition("/")[0]
# Where else a module that is imported later finds the system's libraries.
LIBRARIES = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", f"{sys.base_prefix}/lib"),
    *("/etc/ld.so.cache", "/dev/null", "/dev/urandom"),
)
LAYERS = {"no_landlock": landlock.abi, "no_seccomp": seccomp.is_known}


def start_program(
    module: str, descriptors: Sequence[int], *arguments: str
) -> "subprocess.Popen[bytes]":
    """Start a module as a program, with pipes to and from it and these open descriptors."""
    # Here, since every child imports this module, and has no use for it: 2 MB in each.
    import subprocess

    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what libraries say there may quote a patient
        pass_fds=descriptors,
        cwd=PROJECT,
        env=kept | ENVIRONMENT,
    )


def waited(pid: int) -> float:
    """Seconds, in all, that a process could have run and others had the processor."""
    from pathlib import Path  # here, as `subprocess`

    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:  # it has ended, or the kernel does not count them
        return 0.0


def lacking() -> list[str]:
    """The codes of the layers that a child goes without, since the kernel here lacks them."""
    return [code for code, is_there in LAYERS.items() if not is_there()]


# --- in the child ----------------------------------------------------------------------------


def take_stdout() -> int:
    """The descriptor to answer on; nothing that a library prints may mix with the answers."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def confine(memory: int, parent: int, processor: int = 0) -> None:
    """Limit this process, and let it end with its parent.

    Parameters
    ----------
    memory
        Bytes of address space.
    processor
        Seconds of processor time after which it is ended (SIGXCPU); 0 for any number.
    """
    _limit(resource.RLIMIT_AS, memory)
    if processor:
        _limit(resource.RLIMIT_CPU, processor, at_last=processor + 1)  # SIGKILL then
    _limit(resource.RLIMIT_CORE, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()
    # Its parent, the only one that files and commits, goes first, and so does the web server.
    os.nice(NICE)


def lock(
    read: Sequence[int] = (),
    write: Sequence[int] = (),
    largest: int = 0,
    files: int = FILES,
    receives: bool = False,
) -> None:
    """Give up, for good, all but open descriptors, Python's modules and these folders.

    A layer that the kernel lacks is left out. What maps shared memory does so before.

    Parameters
    ----------
    read, write
        Descriptors of folders whose files may be read, and in which new ones may be made.
    largest
        Bytes that a file may have.
    files
        How many may be open.
    receives
        Whether descriptors come with what it is asked; that is who makes pictures.
    """
    if not receives:
        # pydicom imports it wherever it is installed: 10 MB and 0.1 s, for who has no use for it.
        sys.modules.setdefault("numpy", None)  # type: ignore[arg-type]
    _limit(resource.RLIMIT_NOFILE, files)
    _limit(resource.RLIMIT_FSIZE, largest)
    _limit(resource.RLIMIT_NPROC, 0)
    if prctl(PR_SET_NO_NEW_PRIVS, 1):
        landlock.restrict([*_modules(), *LIBRARIES, *read], write)
        seccomp.restrict(makes_files=bool(write), receives=receives)


def _limit(which: int, most: int, at_last: int | None = None) -> None:
    """Set both of a limit's values, of which the second, for good, may be less already."""
    _, hard = resource.getrlimit(which)
    at_last = most if at_last is None else at_last
    if hard != resource.RLIM_INFINITY:
        at_last = min(at_last, hard)
    resource.setrlimit(which, (min(most, at_last), at_last))


def _modules() -> list[str]:
    """Where modules are found; of the project's own folder, which may hold all data, only `app`."""
    return [APP, *(path for path in sys.path if path and not f"{PROJECT}/".startswith(f"{path}/"))]
