"""Is everything there that ICON needs to work: looked at for whoever watches over it.

Each part is looked at by a thread of its own, one at a time, so that a part that hangs (a database
whose machine is gone, a network file system) costs one thread, and a question only seconds.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from app.models import WorkerSeen
from app.storage.staging import free_bytes

PATIENCE = 3.0  # seconds that a part may take
FRESH = 2.0  # seconds that an answer is given again, however many ask
WORKER_SECONDS = 60
LEAST_FREE = 100_000_000  # bytes, without which nothing can be stored

logger = logging.getLogger(__name__)


def worker_is_here() -> None:
    """Say so; each worker does, several times a minute."""
    here = WorkerSeen(pk=1, seen_at=Now())
    WorkerSeen.objects.bulk_create(
        [here], update_conflicts=True, unique_fields=["id"], update_fields=["seen_at"]
    )


def worker_was_seen() -> bool:
    """Whether one said so of late."""
    since = Now() - timedelta(seconds=WORKER_SECONDS)
    return WorkerSeen.objects.filter(seen_at__gt=since).exists()


def not_ready() -> list[str]:
    """The names of the parts that ICON lacks."""
    for part in PARTS:
        part.begin()
    deadline = time.monotonic() + PATIENCE
    return [part.name for part in PARTS if not part.is_fine(deadline)]


@dataclass
class Part:
    """What ICON needs, and whether it was there when it was last looked at."""

    name: str
    look: Callable[[], bool]
    fine: bool = True
    begun: float = 0.0
    thread: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Look, unless somebody does, or just did."""
        with self.lock:
            hangs = self.thread is not None and self.thread.is_alive()
            if hangs or (self.thread and time.monotonic() - self.begun < FRESH):
                return
            self.begun = time.monotonic()
            self.thread = threading.Thread(target=self._look, name=self.name, daemon=True)
            self.thread.start()

    def is_fine(self, deadline: float) -> bool:
        assert self.thread
        self.thread.join(max(0.0, min(deadline, self.begun + PATIENCE) - time.monotonic()))
        return self.fine and not self.thread.is_alive()

    def _look(self) -> None:
        fine, why = False, ""
        try:
            fine = self.look()
        except (Error, OSError, KombuError, RedisError) as error:
            why = f" ({type(error).__name__})"
        finally:
            connection.close()
            if fine != self.fine:  # not at every probe
                logger.warning("%s: %s%s", "Ready again" if fine else "Not ready", self.name, why)
            self.fine = fine


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _broker() -> bool:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0)
        return bool(broker.default_channel.client.ping())  # type: ignore[attr-defined]


def _storage() -> bool:
    for root in _roots():
        with tempfile.TemporaryFile(prefix=".probe-", dir=root) as file:
            file.write(b"?")
    return True


def _room() -> bool:
    return all(free_bytes(root) >= LEAST_FREE for root in _roots())


def _roots() -> tuple[Path, Path]:
    return Path(settings.MEDIA_ROOT), settings.ICON_PROCESSED_ROOT


PARTS = (
    Part("database", _database),
    Part("broker", _broker),
    Part("storage", _storage),
    Part("free disk", _room),
    Part("worker", worker_was_seen),
)
