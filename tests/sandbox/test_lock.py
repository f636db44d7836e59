"""A program that was taken over can do no harm from inside the lock, as root or not."""

import errno
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings as project

from app.sandbox import confine, seccomp
from app.sandbox.confine import start_program
from app.sandbox.pool import new_mark
from tests.conftest import lacking, outside, wait_until
from tests.making import attacks
from tests.making.attacks import ATTACKS, FATAL, WORKS
from tests.making.objects import ct_image, uid

# What the kernel answers for the lock; and what Python makes of two of these.
REFUSALS = {
    *("EACCES", "EPERM", "ENOSYS", "EAGAIN", "EINVAL", "ENOTTY", "EBADF", "EFBIG", "EMFILE"),
    *("can't start new thread", "not allowed to raise maximum limit"),
}
ALONE = os.getuid() != 0  # there is no root to be


@dataclass
class Prison:
    """A child in its tray, with a neighbour's beside it, and things to steal around it."""

    folder: Path
    user: int | None  # None for whoever runs the tests

    def child(self, fatal: str = "") -> subprocess.Popen[bytes]:
        """Start it, and tell it what it needs to know."""
        self.folder.chmod(0o711)
        secret, upload = self.folder / "secret", self.folder / "upload"
        secret.write_text("secret")
        (self.folder / "archive").write_bytes(b"archive")
        for tray in ("0", "1"):
            (upload / tray).mkdir(parents=True)
        (upload / "1" / "5-0.dcm").write_bytes(b"neighbour's")
        if self.user is not None:
            for path in (secret, upload, *upload.rglob("*")):
                os.chown(path, self.user, self.user)
        files = [os.open(self.folder / "archive", os.O_RDONLY), os.open(upload, os.O_RDONLY)]
        files += [os.open(upload / "0", os.O_RDONLY), new_mark()]
        child = start_program("tests.making.attacks", files)
        given = dict(zip(("archive", "folder", "tray", "mark"), files, strict=True))
        given |= {"user": self.user, "parent": os.getpid(), "fatal": fatal, "secret": str(secret)}
        child.stdin.write(json.dumps(given | self.doors()).encode() + b"\n")
        child.stdin.close()
        for file in files:
            os.close(file)
        return child

    def doors(self) -> dict[str, str | int]:
        """Where others listen."""
        broker = str(self.folder / "broker")
        self.listening = [socket.create_server(("127.0.0.1", 0))]
        for address in (broker, f"\0{broker}"):
            self.listening.append(socket.socket(socket.AF_UNIX))
            self.listening[-1].bind(address)
            self.listening[-1].listen()
        Path(broker).chmod(0o777)
        return {"broker": broker, "port": self.listening[0].getsockname()[1]}

    def close(self) -> None:
        for listener in self.listening:
            listener.close()

    @property
    def untouched(self) -> bool:
        """Whether all is as it was, but for what the child may make."""
        files = {str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file()}
        tray = {"upload/0/0-0.dcm", "upload/0/7-0.dcm"}
        return (
            files == {"secret", "archive", "upload/1/5-0.dcm"} | tray
            and (self.folder / "secret").read_text() == "secret"
            and (self.folder / "upload/1/5-0.dcm").read_bytes() == b"neighbour's"
            and (self.folder / "upload/0/0-0.dcm").read_bytes() == bytes(4096)
        )


def users() -> list[int | None]:
    return [None] if ALONE else [None, pwd.getpwnam("nobody").pw_uid]


@pytest.fixture(scope="module", params=users(), ids=["whoever tests", "nobody"][: len(users())])
def user(request) -> int | None:
    if confine.lacking():
        lacking("Landlock or seccomp", "linux-image-amd64")
    return request.param


@pytest.fixture
def prison(user) -> Iterator[Prison]:
    # Not below pytest's folders, into which no other user may look.
    prison = Prison(Path(tempfile.mkdtemp(prefix="icon-prison-")), user)
    yield prison
    prison.close()
    shutil.rmtree(prison.folder)


@pytest.fixture(scope="module")
def tried(user) -> Iterator[dict[str, dict[str, str]]]:
    """How each attack ended, and whether the child's own work went on."""
    prison = Prison(Path(tempfile.mkdtemp(prefix="icon-prison-")), user)
    child = prison.child()
    output = child.stdout.read()
    child.stdout.close()
    prison.close()
    assert child.wait() == 0
    yield json.loads(output) | {"untouched": prison.untouched}
    shutil.rmtree(prison.folder)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_locked_child_cannot(name, tried):
    assert tried["attacks"][name] in REFUSALS


@pytest.mark.parametrize("name", WORKS)
def test_a_locked_child_can(name, tried):
    assert tried["works"][name] in ("done", attacks.UNREADABLE)


def test_what_a_locked_child_tried_has_changed_nothing(tried):
    assert tried["untouched"]


@pytest.mark.skipif(attacks.machine() != "x86_64", reason="only x86_64 has other sets of calls")
@pytest.mark.parametrize("name", FATAL)
def test_a_locked_child_ends_when_it_tries_to(name, prison):
    child = prison.child(fatal=name)
    assert child.stdout.read() == b""
    child.stdout.close()
    # Without the 32-bit calls in the kernel, there is nobody to refuse one.
    assert child.wait() in (-signal.SIGSYS, -signal.SIGSEGV)


# The filter, on a machine that runs it as the kernel does


def verdict(
    machine: str,
    number: int,
    *arguments: int,
    mark: int | None = None,
    makes_files: bool = True,
    receives: bool = False,
) -> int | str:
    """What the filter says of a call: "allow", "kill", or the number of an error."""
    this = seccomp.ARCHITECTURES[machine]
    words = {0: number, 4: this.mark if mark is None else mark}
    for at, argument in enumerate((*arguments, *[0] * (6 - len(arguments)))):
        words[16 + 8 * at], words[20 + 8 * at] = argument & 0xFFFFFFFF, argument >> 32 & 0xFFFFFFFF
    steps, at, held = seccomp.program(this, 77, makes_files, receives), 0, 0
    jumps = {
        seccomp.EQUAL: lambda k: held == k,
        seccomp.AT_LEAST: lambda k: held >= k,
        seccomp.ANY_BIT: lambda k: bool(held & k),
    }
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == seccomp.LOAD:
            held = words[operand]
        elif code == seccomp.AND:
            held &= operand
        elif code == seccomp.RETURN:
            known = {seccomp.ALLOW: "allow", seccomp.KILL_PROCESS: "kill"}
            return known.get(operand, operand & 0xFFFF)
        else:
            at += if_true if jumps[code](operand) else if_false


X86, ARM = "x86_64", "aarch64"
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@pytest.mark.parametrize(
    ("machine", "call", "expected"),
    [
        *((X86, (0,), "allow"), (ARM, (63,), "allow")),  # read
        *((X86, (63,), "allow"), (ARM, (0,), errno.ENOSYS)),  # uname; io_setup
        *((X86, (257, 3, 1, os.O_RDONLY), "allow"), (ARM, (56, 3, 1, os.O_RDONLY), "allow")),
        *((X86, (257, 3, 1, NEW), "allow"), (ARM, (56, 3, 1, NEW), "allow")),
        *(
            (X86, (257, 3, 1, os.O_RDWR), errno.EACCES),
            (ARM, (56, 3, 1, os.O_WRONLY), errno.EACCES),
        ),
        (ARM, (56, 3, 1, os.O_RDWR | os.O_TMPFILE), errno.EACCES),
        (ARM, (56, 3, 1, os.O_TRUNC), errno.EACCES),
        *((X86, (41,), errno.EACCES), (ARM, (198,), errno.EACCES)),  # socket
        *((X86, (56,), errno.EAGAIN), (ARM, (220,), errno.EAGAIN)),  # clone
        *((X86, (435,), errno.ENOSYS), (ARM, (435,), errno.ENOSYS)),  # clone3
        *((X86, (9, 0, 1, 3, 0x22), "allow"), (ARM, (222, 0, 1, 3, 0x22), "allow")),  # mmap
        *((X86, (9, 0, 1, 5, 2), "allow"), (ARM, (222, 0, 1, 5, 2), "allow")),  # a library
        *((X86, (9, 0, 1, 7, 0x22), errno.EACCES), (ARM, (222, 0, 1, 7, 2), errno.EACCES)),
        *((X86, (9, 0, 1, 5, 0x22), errno.EACCES), (ARM, (222, 0, 1, 1, 1), errno.EACCES)),
        *((X86, (9, 0, 1, 1, 3), errno.EACCES), (ARM, (226, 0, 1, 5), errno.EACCES)),
        *((X86, (302, 0, 7, 0), "allow"), (ARM, (261, 0, 7, 0), "allow")),  # prlimit64
        *((X86, (302, 0, 7, 1 << 40), errno.EPERM), (ARM, (261, 1, 7, 0), errno.EPERM)),
        *((X86, (234, 77), "allow"), (ARM, (131, 78), errno.EPERM)),  # tgkill
        *((X86, (72, 3, 1), "allow"), (ARM, (25, 3, 4), "allow")),  # fcntl
        *((X86, (72, 3, 0), errno.EINVAL), (ARM, (25, 3, 1030), errno.EINVAL)),
        *((X86, (72, 3, 1024), errno.EINVAL), (ARM, (25, 3, 5), errno.EINVAL)),
        *((X86, (16, 0, 0x5401), "allow"), (ARM, (29, 0, 0x5412), errno.ENOTTY)),  # ioctl
        (X86, (0x40000000,), "kill"),
    ],
)
def test_the_filter_says_of_a_call(machine, call, expected):
    assert verdict(machine, *call) == expected


@pytest.mark.parametrize("call", [(32,), (72, 3, 0), (72, 3, 1030)])
def test_who_makes_no_file_may_duplicate_descriptors(call):
    assert verdict(X86, *call, makes_files=False) == "allow"
    assert verdict(X86, *call) in (errno.EMFILE, errno.EINVAL)


@pytest.mark.parametrize(("machine", "receive", "send"), [(X86, 47, 46), (ARM, 212, 211)])
def test_who_is_given_descriptors_may_receive_them_and_hand_none_on(machine, receive, send):
    assert verdict(machine, receive, makes_files=False) == errno.ENOSYS
    assert verdict(machine, receive, makes_files=False, receives=True) == "allow"
    assert verdict(machine, send, makes_files=False, receives=True) == errno.ENOSYS


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_a_call_of_another_architecture_ends_the_process(machine):
    assert verdict(machine, 0, mark=0x40000003) == "kill"


# On a kernel that cannot do all of it


def as_if_without(layers: str, *command: str, **variables: str) -> str:
    """What a command says on a kernel that lacks these layers."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.making.older_kernel", layers, sys.executable, *command],
        env=(outside() if not variables else os.environ) | variables,
        cwd=project.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("layer", ["landlock", "seccomp"])
def test_what_a_kernel_lacks_is_found_out(layer):
    code = "from app.sandbox.confine import lacking; print(lacking())"
    assert as_if_without(layer, "-c", code).strip() == f"['no_{layer}']"


IMPORT = """
import sys, django
django.setup()
from django.core.checks import run_checks
from django.test import Client
from django.contrib.auth import get_user_model
from app.uploads import ingest
ingest.run_upload(int(sys.argv[1]))
print([found.id for found in run_checks()])
page = Client(headers={"host": "localhost"})
page.force_login(get_user_model().objects.get())
print(page.get("/admin/").content.decode())
"""


def test_an_older_kernel_imports_all_the_same_and_it_is_said(upload_zip, environment, staff_user):
    upload = upload_zip(*(ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(3)))
    said = as_if_without("landlock,seccomp", "-c", IMPORT, str(upload.pk), **environment)
    upload.refresh_from_db()
    assert upload.outcomes["imported"] == 3
    ids, _, page = said.partition("\n")
    assert ids == "['icon.W003', 'icon.W004']"
    assert "does not offer Landlock" in page
    assert "does not offer seccomp" in page


def test_a_worker_says_in_its_log_what_its_kernel_lacks(start_worker):
    older = [sys.executable, "-m", "tests.making.older_kernel", "landlock"]
    worker = start_worker("-c", "1", under=older)
    wait_until(lambda: worker.says("does not offer Landlock"), "the warning")
    assert "does not offer seccomp" not in worker.output
