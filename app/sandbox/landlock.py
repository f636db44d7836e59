"""Landlock: of all files a locked process can open only those below certain folders.

As linux/landlock.h and the kernel's userspace-api/landlock.rst have it. What an older kernel does
not know is left out: the number of its interface (ABI) says what it knows.
"""

import ctypes
import os
import stat
from collections.abc import Iterable

from .calls import call

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every architecture
ASK_FOR_ABI = 1  # a flag of CREATE_RULESET
PATH_BENEATH = 1  # a kind of rule

WRITE_FILE, READ_FILE, READ_DIR, MAKE_REG, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 8, 1 << 14
OF_A_FILE = WRITE_FILE | READ_FILE | TRUNCATE
READS = READ_FILE | READ_DIR
MAKES = MAKE_REG | WRITE_FILE | READ_FILE | TRUNCATE
# How many rights to files an ABI knows, from 0, which is none: REFER came with 2, TRUNCATE with 3,
# IOCTL_DEV with 5.
FILE_RIGHTS = (0, 13, 14, 15, 15, 16)
NET_SINCE, BIND_AND_CONNECT_TCP = 4, 3
SCOPES_SINCE, ABSTRACT_SOCKETS_AND_SIGNALS = 6, 3


class RulesetAttr(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """The version of the interface; 0 where this kernel has none, or it is switched off."""
    return max(call(CREATE_RULESET, None, 0, ASK_FOR_ABI), 0)


def restrict(readable: Iterable[str | int], writable: Iterable[int]) -> bool:
    """Leave this process these files and folders; False where the kernel cannot.

    Parameters
    ----------
    readable
        Paths, or descriptors of folders; what is not there is left out.
    writable
        Descriptors of folders in which files may be made, written and read.
    """
    version = abi()
    if not version:
        return False
    handled, size = _handled(version)
    ruleset = call(CREATE_RULESET, ctypes.byref(handled), size, 0)
    if ruleset < 0:
        return False
    try:
        for folder in readable:
            _allow(ruleset, folder, READS & handled.fs)
        for folder in writable:
            _allow(ruleset, folder, MAKES & handled.fs)
        return call(RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _handled(version: int) -> tuple[RulesetAttr, int]:
    """All that this version can refuse, and how many bytes of the structure it knows."""
    rights = FILE_RIGHTS[min(version, len(FILE_RIGHTS) - 1)]
    handled = RulesetAttr((1 << rights) - 1, 0, 0)
    size = 8
    if version >= NET_SINCE:
        handled.net, size = BIND_AND_CONNECT_TCP, 16
    if version >= SCOPES_SINCE:
        handled.scoped, size = ABSTRACT_SOCKETS_AND_SIGNALS, 24
    return handled, size


def _allow(ruleset: int, place: str | int, access: int) -> None:
    if isinstance(place, int):
        _add_rule(ruleset, place, access)
        return
    try:
        fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _add_rule(ruleset, fd, access)
    finally:
        os.close(fd)


def _add_rule(ruleset: int, fd: int, access: int) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        access &= OF_A_FILE  # it takes no other right
    rule = PathBeneathAttr(access, fd)
    call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
