"""A program that has been taken over: what it tries from inside the lock, and what it can do.

Started as every child is; it locks itself in, tries each attack, and says as JSON how it ended:
"done", or the name of the error. Each would do something, or at least succeed, without the lock.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pydicom

from app.sandbox.calls import PR_SET_PDEATHSIG, call, machine, map_file
from app.sandbox.confine import confine, lock, take_stdout

HERE = 0 if machine() == "x86_64" else 1  # which of two numbers of a system call is this machine's
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
CODE = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20 (getpid); int 0x80; ret


class World:
    """What the child was given, and what it is after."""

    def __init__(self, given: dict) -> None:
        self.parent: int = given["parent"]
        self.archive: int = given["archive"]  # descriptors
        self.folder: int = given["folder"]
        self.tray: int = given["tray"]
        self.mark: int = given["mark"]
        self.secret: str = given["secret"]  # paths
        self.broker: str = given["broker"]
        self.port: int = given["port"]
        self.code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code.write(CODE)
        self.own = os.open("0-0.dcm", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=self.tray)
        os.write(self.own, bytes(4096))

    def at(self, name: str, flags: int) -> int:
        return os.open(name, flags, 0o640, dir_fd=self.tray)

    def both(self, change: Callable[..., None], name: str, other: str) -> None:
        change(name, other, src_dir_fd=self.tray, dst_dir_fd=self.tray)


def system(*numbers: int) -> Callable[..., int]:
    """A system call by its numbers on x86_64 and aarch64."""

    def made(*arguments: object) -> int:
        result = call(numbers[HERE], *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return result

    return made


unshare = system(272, 97)
ptrace = system(101, 117)
process_vm_readv = system(310, 270)
process_vm_writev = system(311, 271)
bpf = system(321, 280)
io_uring_setup = system(425, 425)
userfaultfd = system(323, 282)
perf_event_open = system(298, 241)
add_key = system(248, 217)
pidfd_open = system(434, 434)
mount = system(165, 40)
name_to_handle_at = system(303, 264)
clone3 = system(435, 435)
prctl = system(157, 167)
execveat = system(322, 281)
seccomp = system(317, 277)
fsopen = system(430, 430)
inotify_init1 = system(294, 26)
io_setup = system(206, 0)
pkey_alloc = system(330, 289)
setns = system(308, 268)
chroot = system(161, 51)
setuid = system(105, 146)
sched_setaffinity = system(203, 122)
fchmod = system(91, 52)
flock = system(73, 32)
setxattr = system(188, 5)
splice = system(275, 76)
sendfile = system(40, 71)
copy_file_range = system(326, 285)
memfd_secret = system(447, 447)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PTRACE_ATTACH, PTRACE_TRACEME = 16, 0
F_SETLEASE_OF_OTHERS, TIOCSTI = 1024, 0x5412


def _connect(family: int, address: object) -> None:
    socket.socket(family).connect(address)


def _send(port: int) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))


def _environment(process: int | str) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


def _watch_performance() -> None:
    attributes = struct.pack("IIQ", 1, 112, 1)  # a software clock
    perf_event_open(ctypes.create_string_buffer(attributes, 112), 0, -1, -1, 0)


def _take_handle() -> None:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
    name_to_handle_at(-100, b"/", handle, ctypes.byref(ctypes.c_int()), 0)


def _run() -> None:
    # Without `subprocess`, which would fork first.
    os.execve("/bin/sh", ["sh", "-c", "exit 7"], {})


def _run_from_memory(world: World) -> None:
    program = os.memfd_create("program")
    os.write(program, b"#!/bin/sh\n")
    execveat(program, b"", None, None, 0x1000)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _memory_of(pid: int, call_: Callable[..., int]) -> None:
    local, there = ctypes.create_string_buffer(8), ctypes.c_uint64(id(pid))
    iovec = struct.Struct("PN")
    mine = ctypes.create_string_buffer(iovec.pack(ctypes.addressof(local), 8))
    other = ctypes.create_string_buffer(iovec.pack(ctypes.addressof(there), 8))
    call_(pid, mine, 1, other, 1, 0)


def _map(file: int, flags: int, prot: int) -> None:
    # Python's own way would duplicate the descriptor first.
    system(9, 222)(None, 4096, prot, flags, file, 0)


def _make_code() -> None:
    memory = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    system(10, 226)(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC)


def _raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * hard, 2 * hard))


def _large_file(world: World) -> None:
    os.pwrite(world.own, b"x", 100_000_000)


def _many_files(world: World) -> None:
    taken = []
    try:
        for _ in range(100):
            taken.append(world.at("0-0.dcm", os.O_RDONLY))
    finally:
        for file in taken:
            os.close(file)


ATTACKS: dict[str, Callable[[World], object]] = {
    "read a file": lambda world: Path(world.secret).read_text(),
    "write a file": lambda world: os.open(world.secret, os.O_WRONLY),
    "empty a file": lambda world: os.truncate(world.secret, 0),
    "list a folder": lambda world: [*Path("/").iterdir()],
    "read the parent's environment": lambda world: _environment(world.parent),
    "read its own environment": lambda world: _environment("self"),
    "open the parent's memory": lambda world: os.open(f"/proc/{world.parent}/mem", os.O_RDWR),
    "open its own memory": lambda world: os.open("/proc/self/mem", os.O_RDWR),
    "read a neighbour's file": lambda world: world.at("../1/5-0.dcm", os.O_RDONLY),
    "alter a neighbour's file": lambda world: world.at("../1/5-0.dcm", os.O_WRONLY),
    "make a file beside its folder": lambda world: world.at("../x", NEW),
    "make a file by the upload's folder": lambda world: os.open("1/x", NEW, dir_fd=world.folder),
    "make a file without a name": lambda world: world.at(".", os.O_TMPFILE | os.O_RDWR),
    "alter what it has finished": lambda world: world.at("0-0.dcm", os.O_WRONLY),
    "empty what it has finished": lambda world: world.at("0-0.dcm", os.O_RDONLY | os.O_TRUNC),
    "append to what it has finished": lambda world: world.at("0-0.dcm", os.O_WRONLY | os.O_APPEND),
    "write over what it has finished": lambda world: world.at("0-0.dcm", os.O_WRONLY | os.O_CREAT),
    "share memory with a file": lambda world: _map(
        world.own, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
    ),
    "share memory with a file to read": lambda world: _map(
        world.own, mmap.MAP_SHARED, mmap.PROT_READ
    ),
    "rename a file out": lambda world: world.both(os.rename, "0-0.dcm", "../out"),
    "rename a file": lambda world: world.both(os.rename, "0-0.dcm", "1-0.dcm"),
    "link a file out": lambda world: world.both(os.link, "0-0.dcm", "../out"),
    "delete a file": lambda world: os.unlink("0-0.dcm", dir_fd=world.tray),
    "make a link": lambda world: os.symlink(world.secret, "link", dir_fd=world.tray),
    "make a folder": lambda world: os.mkdir("folder", dir_fd=world.tray),
    "make a pipe": lambda world: os.mkfifo("pipe", dir_fd=world.tray),
    "change a file's mode": lambda world: Path(world.secret).chmod(0o666),
    "change the archive's mode": lambda world: fchmod(world.archive, 0o666),
    "change a file's owner": lambda world: os.chown(world.secret, os.getuid(), os.getgid()),
    "change a file's time": lambda world: os.utime(world.secret, (0, 0)),
    "mark a file": lambda world: setxattr(world.secret.encode(), b"user.x", b"1", 1, 0),
    "write into the archive": lambda world: os.write(world.archive, b"x"),
    "cut the shared memory": lambda world: os.ftruncate(world.mark, 0),
    "let go of the upload": lambda world: flock(world.folder, fcntl.LOCK_UN),
    "move a descriptor": lambda world: os.dup(world.own),
    "move a descriptor by another call": lambda world: fcntl.fcntl(world.own, fcntl.F_DUPFD, 50),
    "lease a file": lambda world: fcntl.fcntl(world.own, F_SETLEASE_OF_OTHERS, fcntl.F_RDLCK),
    "write a file that is too large": _large_file,
    "open too many files": _many_files,
    "connect to a port": lambda world: _connect(socket.AF_INET, ("127.0.0.1", world.port)),
    "send a datagram": lambda world: _send(world.port),
    "connect to the broker": lambda world: _connect(socket.AF_UNIX, world.broker),
    "connect to an abstract socket": lambda world: _connect(socket.AF_UNIX, f"\0{world.broker}"),
    "make a pair of sockets": lambda world: socket.socketpair(),
    "fork": lambda world: _fork(),
    "clone": lambda world: clone3(ctypes.create_string_buffer(88), 88),
    "start a thread": lambda world: threading.Thread(target=time.sleep, args=(0,)).start(),
    "run a program": lambda world: _run(),
    "run a program from memory": _run_from_memory,
    "signal the parent": lambda world: os.kill(world.parent, 0),
    "signal all": lambda world: os.kill(-1, 0),
    "trace the parent": lambda world: ptrace(PTRACE_ATTACH, world.parent, None, None),
    "be traced": lambda world: ptrace(PTRACE_TRACEME, 0, None, None),
    "read the parent's memory": lambda world: _memory_of(world.parent, process_vm_readv),
    "write the parent's memory": lambda world: _memory_of(world.parent, process_vm_writev),
    "outlive the parent": lambda world: prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0),
    "hold the parent": lambda world: pidfd_open(world.parent, 0),
    "enter a user namespace": lambda world: unshare(CLONE_NEWUSER),
    "enter a network namespace": lambda world: unshare(CLONE_NEWNET),
    "enter another namespace": lambda world: setns(world.folder, 0),
    "load a BPF program": lambda world: bpf(0, ctypes.create_string_buffer(72), 72),
    "set up io_uring": lambda world: io_uring_setup(1, ctypes.create_string_buffer(120)),
    "set up asynchronous writes": lambda world: io_setup(1, ctypes.byref(ctypes.c_ulong(0))),
    "handle page faults": lambda world: userfaultfd(1),
    "watch performance": lambda world: _watch_performance(),
    "add a key": lambda world: add_key(b"user", b"icon-test", b"x", 1, -3),
    "mount": lambda world: mount(b"none", b"/nowhere", b"tmpfs", 0, None),
    "open a file system": lambda world: fsopen(b"tmpfs", 0),
    "take a handle": lambda world: _take_handle(),
    "change the root": lambda world: chroot(b"/"),
    "watch files": lambda world: inotify_init1(0),
    "add a filter": lambda world: seccomp(1, 0, None),
    "become another user": lambda world: setuid(os.getuid()),
    "take another processor": lambda world: sched_setaffinity(0, 8, struct.pack("Q", 1)),
    "guard memory by keys": lambda world: pkey_alloc(0, 0),
    "splice": lambda world: splice(0, None, 1, None, 1, 0),
    "send a file": lambda world: sendfile(1, world.own, None, 0),
    "copy between files": lambda world: copy_file_range(world.own, None, world.own, None, 0, 0),
    "hide memory": lambda world: memfd_secret(0),
    "type into a terminal": lambda world: fcntl.ioctl(0, TIOCSTI, b"x"),
    "make memory that is writable and code": lambda world: _map(
        -1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ),
    "turn memory into code": lambda world: _make_code(),
    "raise a limit": lambda world: _raise_limit(),
    "go before others": lambda world: os.nice(-5),
}


def _old_calls(world: World) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(world.code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


FATAL: dict[str, Callable[[World], object]] = {
    "make a call of another architecture": _old_calls,
    "make a call of x32": lambda world: call(0x40000000 | 39),
}


# --- what must work ---------------------------------------------------------------------------


UNREADABLE = "this user may not read Python's own files"


def _import(*names: str) -> str:
    if not os.access(os.__file__, os.R_OK):
        return UNREADABLE
    for name in names:
        __import__(name)
    return "done"


def _make_file(world: World) -> None:
    file = world.at("7-0.dcm", NEW)
    os.write(file, b"whole")
    os.ftruncate(file, 3)
    os.close(file)
    file = world.at("7-0.dcm", os.O_RDONLY)
    assert map_file(file, 3)[:] == b"who"


def _memory_file() -> None:
    file = os.memfd_create("member")
    os.write(file, b"x")
    assert os.pread(file, 1, 0) == b"x"


def _read_archive(world: World) -> None:
    assert os.pread(world.archive, 7, 0) == b"archive"


WORKS: dict[str, Callable[[World], object]] = {
    "read the archive": _read_archive,
    "make a file": _make_file,
    "make a file in memory": lambda world: _memory_file(),
    "see when it is": lambda world: (time.time(), time.sleep(0.001)),
    "parse": lambda world: bool(pydicom.Dataset().to_json()),
    "import pydicom's parts": lambda world: _import("pydicom.fileset", "pydicom.sr", "pydicom.uid"),
    "import decoders": lambda world: _import("inflate64", "lzma", "bz2", "zlib"),
    "import the standard library": lambda world: _import("decimal", "sqlite3", "xml.dom.minidom"),
}


def tried(attack: Callable[[World], object], world: World) -> str:
    try:
        result = attack(world)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except RuntimeError as error:  # no thread can be started
        return str(error)
    except ValueError as error:  # a limit cannot be raised
        return str(error)
    return result if attack in WORKS.values() and isinstance(result, str) else "done"


def main() -> None:
    answers = take_stdout()
    given = json.loads(sys.stdin.buffer.readline())
    if given["user"] is not None:
        os.setgroups([])
        os.setresgid(given["user"], given["user"], given["user"])
        os.setresuid(given["user"], given["user"], given["user"])
    confine(500_000_000, given["parent"])
    world = World(given)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    lock(write=[world.tray], largest=1_000_000)
    if given["fatal"]:
        FATAL[given["fatal"]](world)
    works = {name: tried(work, world) for name, work in WORKS.items()}
    attacks = {name: tried(ATTACKS[name], world) for name in ATTACKS}
    os.write(answers, json.dumps({"works": works, "attacks": attacks}).encode())


if __name__ == "__main__":
    main()
