"""What a worker does besides its tasks: it sweeps, sends messages, and goes on with the trash.

In a process of its own. The worker's main process forks whenever one of its pool has died, and what
is forked while a thread there writes to SQLite finds the database locked for as long as it lives:
SQLite keeps the locks of a process in its memory, and a copy of that holds them, too
(https://www.sqlite.org/howtocorrupt.html, on connections that are carried across a fork).
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from billiard import Process
from celery import bootsteps
from django.db import DatabaseError, InterfaceError, connection, connections

from icon.processes import child_of_this

from . import tasks
from .catalogue import unfinished
from .health import nightly, probes
from .telling import sending

LOOK = 1.0  # seconds between looks at whether the process is there
ROUND = 10.0  # seconds between the rounds of what it does
# To which the worker, whose copy the process is, has answers of its own.
WORKERS_SIGNALS = (
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
)

logger = logging.getLogger(__name__)


class Caretaker(bootsteps.StartStopStep):
    """The process, as a part of its worker: where it has died, another takes its place."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.process: Process | None = None
        self.is_over = False

    def start(self, worker: Any) -> None:
        self.tend()

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        hub.call_repeatedly(LOOK, self.tend)

    def tend(self) -> None:
        if self.is_over or (self.process is not None and self.process.is_alive()):
            return
        connections.close_all()  # what this process has open is not to be carried across
        prepare = child_of_this(signal.SIGKILL)
        self.process = Process(target=_take_care, args=(prepare,), name="caretaker", daemon=True)
        self.process.start()

    def stop(self, worker: Any) -> None:
        """Kill it: whatever it is at is as safe from that as from a failing power supply."""
        self.is_over = True
        if self.process is not None and self.process.pid:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.join()

    def terminate(self, worker: Any) -> None:
        self.stop(worker)


# --- in the process --------------------------------------------------------------------------


def _take_care(prepare: Callable[[], None]) -> None:
    prepare()
    for sent in WORKERS_SIGNALS:
        signal.signal(sent, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
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
