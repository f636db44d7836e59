"""The check of every night: slow, behind every import, and to be stopped at any moment.

First goes what has been in the trash for its days. It runs in a process of its own, which a worker
starts, and takes none of the worker's places for imports. Where it was stopped, by whatever, it
goes on: how far it came is in its row.
"""

import signal
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from app.catalogue import trash
from app.catalogue.search import forget_deleted
from app.models import LOG_LINES, CatalogueCheck, DICOMFile, DICOMInstance
from icon.processes import child_of_this

from .verify import Violation, objects_to_check, verify

LEASE = timedelta(seconds=60)  # after which another worker takes over
LOOK = 2.0  # seconds between looks at whether an import needs the machine
SLACK = 1.0  # seconds that reading may make up for
CHECKS_KEPT = 60


class LostCheck(Exception):
    """Another process goes on with this check."""


def begin() -> int:
    """Begin a check, unless the last one has yet to end and goes on; its primary key."""
    with transaction.atomic():
        list(CatalogueCheck.objects.select_for_update().values("pk")[:1])  # one begins at a time
        return _begin()


def _begin() -> int:
    last = CatalogueCheck.objects.first()
    if last is None or last.ended_at:
        last = CatalogueCheck.objects.create()
        older = CatalogueCheck.objects.values_list("pk", flat=True)[CHECKS_KEPT:]
        CatalogueCheck.objects.filter(pk__in=list(older)).delete()
    CatalogueCheck.objects.filter(pk=last.pk).update(stopped_at=None)
    return last.pk


@transaction.atomic
def stop() -> CatalogueCheck | None:
    """Stop the check that is under way, for `begin` to go on with it; None where none is."""
    last = CatalogueCheck.objects.values("pk")[:1]
    under_way = CatalogueCheck.objects.filter(pk__in=last, ended_at=None, stopped_at=None)
    stopped = under_way.select_for_update().first()
    if stopped:
        # Whoever is at it finds that another run, nobody's, has it.
        under_way.update(stopped_at=Now(), run_id="", lease_until=None)
    return stopped


def tend(process: "subprocess.Popen[bytes] | None") -> "subprocess.Popen[bytes] | None":
    """Start a process where a check waits for one; the process that this worker has, if any."""
    if process is not None and process.poll() is None:
        return process
    if not _waiting().exists():
        return None
    program = str(settings.BASE_DIR / "manage.py")
    command = [sys.executable, program, "verify_catalogue", "--nightly"]
    prepare = child_of_this(signal.SIGTERM)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=prepare)


def go_on() -> CatalogueCheck | None:
    """Bring the last check to its end; None where none waits, or another process took it over."""
    run_id = uuid.uuid4().hex
    if not _waiting().update(run_id=run_id, lease_until=Now() + LEASE):
        return None
    check = CatalogueCheck.objects.filter(run_id=run_id).first()
    if check is None:
        return None  # stopped at this very moment
    run = _Run(check)
    place = check.part, check.reached
    try:
        for _ in trash.erase_due():
            run.pace(0)
        run.write(expected_count=objects_to_check())
        for violation in verify(step=run.step, pace=run.pace, begin=place, reached=run.reached):
            run.found(violation)
        forget_deleted()
        older = DICOMInstance.objects.read_by_older().count()
        run.write(**run.counts(), older_count=older, ended_at=Now(), run_id="", lease_until=None)
    except LostCheck:
        return None
    check.refresh_from_db()
    return check


def _waiting() -> QuerySet[CatalogueCheck]:
    """The last check, where it has yet to end and nobody is at it."""
    last = CatalogueCheck.objects.values("pk")[:1]
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    return CatalogueCheck.objects.filter(free, pk__in=last, ended_at=None, stopped_at=None)


class _Run:
    """One process's turn at a check."""

    def __init__(self, check: CatalogueCheck) -> None:
        self.check, self.run_id = check, check.run_id
        self.looked = -LOOK
        self.due = 0.0  # when reading may go on

    def step(self, count: int) -> None:
        self.check.instance_count += count

    def found(self, violation: Violation) -> None:
        self.check.violation_count += 1
        if len(self.check.violations) < LOG_LINES:
            self.check.violations.append(violation.sentence)

    def reached(self, part: str, last: str) -> None:
        self.write(**self.counts(), part=part, reached=last, lease_until=Now() + LEASE)

    def counts(self) -> dict[str, Any]:
        check = self.check
        names = ("instance_count", "violation_count", "violations")
        return {name: getattr(check, name) for name in names}

    def pace(self, count: int) -> None:
        """Take the time that so many bytes may take, and wait while imports do."""
        now = time.monotonic()
        if now - self.looked >= LOOK:
            self._give_way()
        if settings.ICON_VERIFY_PACE:
            self.due = max(self.due, now - SLACK) + count / settings.ICON_VERIFY_PACE
            time.sleep(max(0.0, self.due - time.monotonic()))

    def _give_way(self) -> None:
        self.write(lease_until=Now() + LEASE)
        while DICOMFile.objects.live().exists():
            time.sleep(LOOK)
            self.write(lease_until=Now() + LEASE)
        self.looked = time.monotonic()

    def write(self, **values: Any) -> None:
        rows = CatalogueCheck.objects.filter(pk=self.check.pk, run_id=self.run_id)
        if not rows.update(**values):
            raise LostCheck
