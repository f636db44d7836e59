"""seccomp: which system calls a locked process can make, as a filter that the kernel runs.

Besides what would lead out of the process, it refuses what would let a file be altered once it is
written: a file can be opened for writing only by who makes it, there is no second thread, no
memory that is shared with a file, and no way to hand a descriptor on. So a file of which a locked
process has no descriptor is out of its reach; and where it may make files, a descriptor keeps its
number, so that nobody who looks for one can miss it.

The numbers are those of x86_64 and aarch64 (asm/unistd.h), the filter's language is classic BPF
(linux/filter.h, linux/seccomp.h).
"""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .calls import call, machine

SET_MODE_FILTER, GET_ACTION_AVAIL = 1, 2
# Without this flag kernels before 5.16 also switch off a part of the processor's foresight
# (Speculative Store Bypass), for all that such a process does.
SPEC_ALLOW = 4

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

# Where seccomp_data has what is looked at.
NUMBER, ARCHITECTURE_MARK, ARGUMENTS = 0, 4, 16
X32 = 0x40000000  # begins the numbers of x86_64's second set of calls

LOAD, AND, RETURN = 0x20, 0x54, 0x06
EQUAL, AT_LEAST, ANY_BIT = 0x15, 0x35, 0x45

TCGETS = 0x5401
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
PR_SET_NAME, PR_SET_VMA = 15, 0x53564D41
MAP_TYPE = 0x0F
O_TMPFILE = 0o20000000  # without O_DIRECTORY
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | O_TMPFILE
NEW_FILE = os.O_CREAT | os.O_EXCL

INSTRUCTION = struct.Struct("=HBBI")
Instruction = tuple[int, int, int, int]  # code, skip where true, skip where false, operand
Program = list[Instruction]


class Architecture(NamedTuple):
    """An architecture, as a filter sees it."""

    mark: int  # AUDIT_ARCH_*
    seccomp: int  # the number of that call
    column: int  # of the numbers below


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 317, 0),
    "aarch64": Architecture(0xC00000B7, 277, 1),
}
# Found by running every decoder. None: the architecture has no such call.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "pread64": (17, 67), "pwrite64": (18, 68), "close": (3, 57), "lseek": (8, 62),
    "ftruncate": (77, 46), "memfd_create": (319, 279),
    "fstat": (5, 80), "newfstatat": (262, 79), "stat": (4, None), "lstat": (6, None),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17),
    "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "select": (23, None), "pselect6": (270, 72), "poll": (7, None), "ppoll": (271, 73),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, None),
    "getrandom": (318, 278), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
# Of who is given descriptors with what it is asked: recvmsg.
RECEIVING = ((47, 212),)
# What libraries try and can do without: an error that they know. Any other call has ENOSYS, after
# which the C library takes an older one; clone3, whose flags no filter sees, is among those.
REFUSED: dict[str, tuple[int | None, int | None, int]] = {
    "socket": (41, 198, errno.EACCES),
    "connect": (42, 203, errno.EACCES),
    "kill": (62, 129, errno.EPERM),
    "setpriority": (141, 140, errno.EACCES),
    "execve": (59, 221, errno.EACCES),
    "execveat": (322, 281, errno.EACCES),
    "clone": (56, 220, errno.EAGAIN),  # as where no more threads and processes are allowed
    "fork": (57, None, errno.EAGAIN),
    "vfork": (58, None, errno.EAGAIN),
}


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def is_known() -> bool:
    """Whether this kernel runs filters, and this architecture's calls are known here."""
    this = ARCHITECTURES.get(machine())
    if this is None:
        return False
    action = ctypes.c_uint32(KILL_PROCESS)
    return call(this.seccomp, GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0


def restrict(makes_files: bool, receives: bool = False) -> bool:
    """Leave this process the calls above, for good; False where the kernel cannot.

    It must be a process without a second thread that can gain no privileges.
    """
    this = ARCHITECTURES.get(machine())
    if this is None:
        return False
    return load(this, program(this, os.getpid(), makes_files, receives))


def load(this: Architecture, steps: Program) -> bool:
    """Whether the kernel has taken a filter."""
    packed = b"".join(INSTRUCTION.pack(*step) for step in steps)
    pointer = ctypes.byref(Filter(len(steps), packed))
    return any(
        call(this.seccomp, SET_MODE_FILTER, flags, pointer) == 0 for flags in (SPEC_ALLOW, 0)
    )


def program(this: Architecture, pid: int, makes_files: bool, receives: bool = False) -> Program:
    """The filter for a process: a call's number, then maybe its arguments, to an action."""
    steps: Program = [
        (LOAD, 0, 0, ARCHITECTURE_MARK),
        (EQUAL, 1, 0, this.mark),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, KILL_PROCESS),
    ]
    for numbers, then in _looked_at(pid, makes_files):
        steps += only_for(numbers[this.column], then)
    for numbers in (*ALLOWED.values(), *(RECEIVING if receives else ())):
        steps += only_for(numbers[this.column], [allow()])
    for *numbers, error in REFUSED.values():
        steps += only_for(numbers[this.column], [fail(error)])
    return [*steps, fail(errno.ENOSYS)]


def _looked_at(pid: int, makes_files: bool) -> Iterable[tuple[Sequence[int | None], Program]]:
    """The calls that depend on their arguments, with what decides."""
    yield (2, None), _open(flags=1)
    yield (257, 56), _open(flags=2)  # openat
    yield (9, 222), _mmap()
    yield (10, 226), [_low(2), (ANY_BIT, 0, 1, mmap.PROT_EXEC), fail(errno.EACCES), allow()]
    yield (16, 29), _only([TCGETS], argument=1, error=errno.ENOTTY)  # ioctl
    yield (72, 25), _fcntl(moves=not makes_files)
    yield (32, 23), [fail(errno.EMFILE) if makes_files else allow()]  # dup
    yield (157, 167), _only([PR_SET_NAME, PR_SET_VMA], argument=0, error=errno.EINVAL)  # prctl
    yield (302, 261), _prlimit()
    yield (234, 131), _only([pid], argument=0, error=errno.EPERM)  # tgkill


def _open(flags: int) -> Program:
    """To read, or to make a file: what is there already cannot be opened for writing."""
    return [
        *(_low(flags), (AND, 0, 0, TO_WRITE), (EQUAL, 0, 1, 0), allow()),
        *(_low(flags), (AND, 0, 0, NEW_FILE | O_TMPFILE), (EQUAL, 0, 1, NEW_FILE), allow()),
        fail(errno.EACCES),
    ]


def _mmap() -> Program:
    """No memory that is writable and code, no code but a file's, no file's memory but private."""
    return [
        *(_low(2), (ANY_BIT, 0, 5, mmap.PROT_EXEC)),  # else to the flags
        *((ANY_BIT, 0, 1, mmap.PROT_WRITE), fail(errno.EACCES)),
        *(_low(3), (ANY_BIT, 0, 1, mmap.MAP_ANONYMOUS), fail(errno.EACCES)),
        *(_low(3), (ANY_BIT, 0, 1, mmap.MAP_ANONYMOUS), allow()),
        *((AND, 0, 0, MAP_TYPE), (EQUAL, 0, 1, mmap.MAP_PRIVATE), allow()),
        fail(errno.EACCES),
    ]


def _fcntl(moves: bool) -> Program:
    """To read and set a descriptor's flags, and maybe to duplicate it."""
    commands = [F_GETFD, F_SETFD, F_GETFL, F_SETFL]
    duplicates = [F_DUPFD, F_DUPFD_CLOEXEC] if moves else []
    return _only([*commands, *duplicates], argument=1, error=errno.EINVAL)


def _prlimit() -> Program:
    """To read its own limits: neither a process nor a new limit is given."""
    steps: Program = []
    for half in (_low(0), _low(2), _high(2)):
        steps += half, (EQUAL, 1, 0, 0), fail(errno.EPERM)
    return [*steps, allow()]


def _only(values: Iterable[int], argument: int, error: int) -> Program:
    steps = [_low(argument)]
    for value in values:
        steps += (EQUAL, 0, 1, value), allow()
    return [*steps, fail(error)]


def only_for(number: int | None, then: Program) -> Program:
    """What is done for this call alone; every way through `then` ends in an action."""
    return [] if number is None else [(EQUAL, 0, len(then), number), *then]


def _low(argument: int) -> Instruction:
    return LOAD, 0, 0, ARGUMENTS + 8 * argument


def _high(argument: int) -> Instruction:
    return LOAD, 0, 0, ARGUMENTS + 8 * argument + 4


def allow() -> Instruction:
    return RETURN, 0, 0, ALLOW


def fail(error: int) -> Instruction:
    return RETURN, 0, 0, ERRNO | error
