"""System calls that Python has no function for."""

import ctypes
import mmap
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int),
    ctypes.c_long,
)

MAP_FIXED, MAP_FAILED = 0x10, ctypes.c_void_p(-1).value
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h


def call(number: int, *arguments: Any) -> int:
    """What a system call returns; -1 where it fails."""
    return int(_syscall(ctypes.c_long(number), *map(_argument, arguments)))


def prctl(option: int, argument: int) -> bool:
    """Whether it was done."""
    rest = map(ctypes.c_ulong, (argument, 0, 0, 0))
    return bool(_libc.prctl(ctypes.c_int(option), *rest) == 0)


def map_file(file: int, size: int) -> mmap.mmap:
    """The first bytes of a file as memory: read only, and no part of any later change to it.

    Python's own way keeps a duplicate of the descriptor, which a locked process cannot make.
    """
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    flags = mmap.MAP_PRIVATE | MAP_FIXED
    if _mmap(place, size, mmap.PROT_READ, flags, file, 0) == MAP_FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    return memory


def machine() -> str:
    """The architecture, as `uname -m` says."""
    return os.uname().machine


def _argument(value: Any) -> Any:
    """A whole number takes a register: ctypes would pass the lower half of it alone."""
    return ctypes.c_long(value) if isinstance(value, int) else value
