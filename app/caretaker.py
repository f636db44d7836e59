"""What a worker does besides its tasks: it sweeps, sends messages, and goes on with the trash.

In a program of its own. The worker's main process forks whenever one of its pool has died, and what
is forked while a thread there writes to SQLite finds the database locked for as long as it lives:
SQLite keeps the locks of a process in its memory, and a copy of that holds them, too
(https://www.sqlite.org/howtocorrupt.html, on connections that are carried across a fork).
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from . import tasks
from .catalogue import unfinished
from .health import nightly, probes
from .telling import sending

ROUND = 10.0  # seconds between the rounds of what it does
PAUSE = 2.0  # seconds before one that has died is started again

logger = logging.getLogger(__name__)


class Caretaker(bootsteps.StartStopStep):
    """The program, as a part of its worker: where it has died, it is started again."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.process: subprocess.Popen[bytes] | None = None
        self.is_over = threading.Event()
        self.starts = threading.Lock()
        self.thread = threading.Thread(target=self._keep, name="caretaker", daemon=True)

    def start(self, worker: Any) -> None:
        self.thread.start()

    def stop(self, worker: Any) -> None:
        """Kill it: whatever it is at is as safe from that as from a failing power supply."""
        with self.starts:
            self.is_over.set()
        if self.process is not None:
            self.process.kill()
        if self.thread.is_alive():
            self.thread.join(PAUSE)  # one that waits for a dead disk ends when that is back

    def terminate(self, worker: Any) -> None:
        self.stop(worker)

    def _keep(self) -> None:
        while not self.is_over.is_set():
            try:
                self._have_one()
            except OSError as error:  # the machine has no memory for it, or no number
                logger.warning("The caretaker cannot be started: %s", type(error).__name__)
            self.is_over.wait(PAUSE)

    def _have_one(self) -> None:
        """Start it, and wait until it has ended."""
        with self.starts:
            if self.is_over.is_set():
                return
            self.process = _start()
        self.process.wait()


def _start() -> "subprocess.Popen[bytes]":
    program = str(settings.BASE_DIR / "manage.py")
    level = logging.getLogger().level
    return subprocess.Popen(
        [sys.executable, program, "caretaker", str(os.getpid()), str(level)],
        stdin=subprocess.DEVNULL,
        # It inherits none in any case. Told to close them, Python forks by itself, with a pipe of
        # its own that a process of the pool, forked at that moment, would keep open.
        close_fds=False,
    )


def take_care() -> None:
    """All of it, for ever."""
    # Apart from the sweep: a mail server may take its time, and so do 100,000 files.
    for name, work in (("telling", sending.send_due), ("trash", unfinished.go_on)):
        threading.Thread(target=_do_for_ever, args=(name, work), name=name, daemon=True).start()
    _sweep_for_ever()


def _sweep_for_ever() -> None:
    check = None
    while True:
        try:
            probes.worker_is_here()
            tasks.sweep()
            check = nightly.tend(check)
        except (DatabaseError, InterfaceError) as error:
            # Leases ran on while the database was away: let their owners renew them first.
            logger.warning("Sweep missed: %s", type(error).__name__)
            time.sleep(ROUND)
        # A bug in one round must not end the safety net; it is reported each time.
        except Exception:
            logger.exception("Sweep failed")
        finally:
            connection.close()
        time.sleep(ROUND)


def _do_for_ever(name: str, work: Callable[[], object]) -> None:
    while True:
        try:
            work()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The thread of %s waits: %s", name, type(error).__name__)
        # A bug in one round must not end the thread; it is reported each time.
        except Exception:
            logger.exception("The thread of %s failed", name)
        finally:
            connection.close()
        time.sleep(ROUND)
