"""System calls that Python has no function for."""

import ctypes
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h


def call(number: int, *arguments: Any) -> int:
    """What a system call returns; -1 where it fails."""
    return int(_syscall(ctypes.c_long(number), *map(_argument, arguments)))


def prctl(option: int, argument: int) -> bool:
    """Whether it was done."""
    rest = map(ctypes.c_ulong, (argument, 0, 0, 0))
    return bool(_libc.prctl(ctypes.c_int(option), *rest) == 0)


def machine() -> str:
    """The architecture, as `uname -m` says."""
    return os.uname().machine


def _argument(value: Any) -> Any:
    """A whole number takes a register: ctypes would pass the lower half of it alone."""
    return ctypes.c_long(value) if isinstance(value, int) else value
