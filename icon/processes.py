"""Child processes that are looked after, and do not outlive their parent."""

import contextlib
import ctypes
import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

PR_SET_PDEATHSIG = 1  # linux/prctl.h

LIBC = ctypes.CDLL(None)

STEADY_SECONDS = 60  # after which a child counts as healthy
LONGEST_PAUSE = 30  # seconds between two starts of a child that keeps failing
LOG_BYTES = 10_000_000


def child_of_this(sent: signal.Signals) -> Callable[[], None]:
    """What a child of this process calls first (`preexec_fn`), to end with its parent.

    The kernel sends the child this signal when the parent dies, however that dies.
    """
    parent = os.getpid()

    def prepare() -> None:
        end_with_parent(parent, sent)

    return prepare


def end_with_parent(parent: int, sent: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies, however that dies."""
    LIBC.prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


@dataclass
class Child:
    """A process in a session of its own, started again whenever it ends."""

    name: str
    command: Sequence[str]
    keep: Sequence[int] = ()  # descriptors it inherits
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float | None = None  # when it is started again

    @property
    def log(self) -> Path:
        return Path(settings.ICON_VAR, "log", f"{self.name.split()[0]}.log")

    def start(self) -> None:
        self.log.parent.mkdir(mode=0o750, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.keep,
                start_new_session=True,
                preexec_fn=child_of_this(signal.SIGTERM),
            )
        self.started, self.due = time.monotonic(), None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tend(self, tell: Callable[[str], object]) -> None:
        """Notice that it ended; start it again, after a pause that grows with each failure."""
        now = time.monotonic()
        keep_short(self.log)
        if self.running:
            return
        if self.due is None:
            self.send(signal.SIGKILL)
            self.failures = 1 if now - self.started > STEADY_SECONDS else self.failures + 1
            pause = min(2 ** (self.failures - 1), LONGEST_PAUSE)
            self.due = now + pause
            tell(f"The {self.name} stopped; it starts again in {pause} s. Its log: {self.log}")
        elif now >= self.due:
            self.start()

    def send(self, sent: signal.Signals) -> None:
        """Signal the process while it runs; SIGKILL goes to all that it started, too."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sent is signal.SIGKILL:
                os.killpg(self.process.pid, sent)
            else:
                self.process.send_signal(sent)


def stop(children: Sequence[Child], seconds: float) -> None:
    """Stop them together and warmly; whatever is left after so many seconds is killed."""
    end = time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C: do not wait
        for child in children:
            child.send(signal.SIGTERM)
        while any(child.running for child in children) and time.monotonic() < end:
            time.sleep(0.05)
    for child in children:
        child.send(signal.SIGKILL)


def keep_short(log: Path) -> None:
    """Set the lines of a log that has grown long aside, over those set aside before.

    The file stays: those who write hold it open, and append to it wherever it ends. What they
    write between the two last lines here is lost.
    """
    if not log.exists() or log.stat().st_size <= LOG_BYTES:
        return
    with log.open("r+b") as lines:
        with contextlib.suppress(OSError), log.with_suffix(".log.1").open("wb") as aside:
            shutil.copyfileobj(lines, aside)  # as far as the disk has room for it
        lines.truncate(0)


def collect_seldom() -> None:
    """Spare the garbage collector a process's code, and most of what an import makes.

    Looking through both takes 0.1 s of an import of 10,000 files, and finds nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000)
