"""Who runs an upload: queue, claim, lease, heartbeat, cancel, sweep.

The row is the truth and the broker only a doorbell: whoever is told of an upload, once or five
times, gets to run it only by the one UPDATE in `claim`, and every later write is conditional on
the run id that it set. Times are the database's, so that workers' clocks do not matter.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Now

from app.audit.recording import Person, insert, record
from app.errors import StorageFailed
from app.models import ArchiveMember, DICOMFile, DICOMFileQuerySet, Kind, Outcome, Stage, Status
from app.models.uploads import TO_BE_DECIDED
from app.reasons import sentence
from app.telling.noting import note_end

from .log import Log

LEASE = timedelta(seconds=30)
HEARTBEAT = 10.0  # seconds between renewals of the lease
LOOK = 0.5  # seconds between looks at whether somebody pressed Cancel
MAX_ATTEMPTS = 5
RESEND = timedelta(seconds=60)  # after which a queued upload's message may be lost
PATIENCE = 300.0  # seconds that a run waits for its database
LARGE = 200_000_000  # bytes of a ZIP, which others need not wait for
# That a smaller one waits, as it does where no worker is free, before a large one gives way.
SMALL_WAITS = timedelta(seconds=1)
SHUTS_DOWN = "Stopped: the worker shuts down"

# How SQLite's error names and PostgreSQL's SQLSTATEs begin where the disk is to blame.
DATABASE_DISK_ERRORS = (
    ("SQLITE_FULL", "disk_full"),
    ("SQLITE_READONLY", "disk_read_only"),
    ("SQLITE_IOERR", "disk_error"),
    ("53100", "disk_full"),
    ("58030", "disk_error"),
)

logger = logging.getLogger(__name__)
T = TypeVar("T")


class LostRun(Exception):
    """Another run has taken over: this one writes nothing more."""


class Stopped(Exception):
    """A run is to end early, and why; `handed_on` where it is to go on by itself later."""

    def __init__(self, why: str, handed_on: bool) -> None:
        super().__init__(why)
        self.why = why
        self.handed_on = handed_on


@dataclass(slots=True)
class Run:
    """One run of one upload, which holds its row."""

    upload: int
    run_id: str
    started: datetime
    log: Log
    shutting_down: Callable[[], bool] = bool  # whether the worker is asked to stop
    may_give_way: bool = False  # a large one, in a worker
    stage: Stage = Stage.INITIALIZE
    cancelled: threading.Event = field(default_factory=threading.Event)
    gives_way: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)

    def write(self, stage: Stage | None = None, message: str = "", **values: Any) -> None:
        """Change the upload's row, with a line of the log, if it is still this run's.

        Raises
        ------
        LostRun
            It is not.
        """
        self.stage = stage or self.stage
        if message:
            self.note(message)
        values |= {"stage": self.stage, "updated_at": Now()}
        if not self._rows().update(**{"processing_log_data": self.log.lines, **values}):
            raise LostRun

    def note(self, message: str, level: str = "info") -> None:
        """Add a line to the log, to be written with the next change of the row."""
        self.log.add(self.stage, message, level)

    def end(self, status: Status, message: str = "", **values: Any) -> None:
        """The last write: give the row back."""
        with transaction.atomic():
            self.write(
                message=message,
                processing_status=status,
                run_id="",
                lease_until=None,
                cancel_requested=False,
                **values,
            )
            if words := _how_it_ended(status, message, values):
                insert(Kind.ENDED, on=DICOMFile(pk=self.upload), words=words)
            if status in (Status.COMPLETED, Status.FAILED):
                note_end(self.upload)

    def check(self) -> None:
        """Raise what ends a run from outside: LostRun or Stopped."""
        if self.lost.is_set():
            raise LostRun
        if self.cancelled.is_set():
            raise Stopped("Stopped", handed_on=False)
        if self.shutting_down():
            raise Stopped(SHUTS_DOWN, handed_on=True)
        if self.gives_way.is_set():
            raise Stopped(sentence("gives_way"), handed_on=True)

    def renew(self) -> None:
        if not self._rows().update(lease_until=Now() + LEASE):
            self.lost.set()

    def confirm(self) -> None:
        """Renew the lease, and see that the row is still this run's.

        Raises
        ------
        LostRun
            It is not.
        """
        self.renew()
        if self.lost.is_set():
            raise LostRun

    def look(self) -> None:
        asked = self._rows().values_list("cancel_requested", flat=True).first()
        if asked is None:
            self.lost.set()
        elif asked:
            self.cancelled.set()
        if self.may_give_way and self._is_in_the_way():
            self.gives_way.set()

    def _is_in_the_way(self) -> bool:
        """Whether a small upload waits, and of several large ones this was the last to start."""
        # Told of that long ago: while the broker is away, no worker can begin it.
        waiting = DICOMFile.objects.queued().filter(sent_at__lt=Now() - SMALL_WAITS)
        if not waiting.filter(size__lt=LARGE).exists():
            return False
        running = _large_in_workers().order_by("run_started_at", "pk").values_list("pk", flat=True)
        return len(running) > 1 and list(running)[-1] == self.upload

    def _rows(self) -> QuerySet[DICOMFile]:
        return DICOMFile.objects.filter(pk=self.upload, run_id=self.run_id)


def _how_it_ended(status: Status, message: str, values: Mapping[str, Any]) -> str:
    """In words; "" where another worker goes on."""
    if status == Status.FAILED:
        return f"Failed: {values.get('failure_detail', '')}"
    if status == Status.PENDING:
        return "Stopped." if values.get("stopped") else ""
    return message


# --- by hand ---------------------------------------------------------------------------------


def queue(
    pks: Iterable[int],
    use_versions: bool = False,
    series: Collection[int] | None = None,
    who: Person = None,
) -> tuple[list[int], dict[int, str]]:
    """Queue what can be started: the uploads queued, and the code of why each other was not.

    With `use_versions`, the conflicting members of ended uploads are read again, too, and
    take the place of the catalogued versions: all, or those of some series alone, and then nothing
    else is read. The series 0 is what was deleted since.
    """
    queued: list[int] = []
    refused: dict[int, str] = {}
    for pk in pks:
        with transaction.atomic():
            why = _queue_one(pk, use_versions, series)
            if not why:
                kind = Kind.VERSIONS_CHOSEN if use_versions else Kind.STARTED
                record(kind, who, DICOMFile(pk=pk))
        if why:
            refused[pk] = why
        else:
            queued.append(pk)
    return queued, refused


def _queue_one(pk: int, use_versions: bool, series: Collection[int] | None) -> str:
    upload = DICOMFile.objects.select_for_update().filter(pk=pk).first()
    if upload is None:
        return "upload_gone"
    if why := upload.refusal(use_versions):
        return why
    values: dict[str, Any] = {}
    if upload.processing_status != Status.PENDING:
        members = _to_read_again(upload, use_versions, series)
        if series is not None and not members.exists():
            return "nothing_in_conflict"
        values = _forget(upload, members) | {"use_versions": use_versions}
        if series is None:
            values["passing_count"] = 0
    DICOMFile.objects.filter(pk=pk).update(
        processing_status=Status.PENDING,
        queued_at=Now(),
        sent_at=None,
        stopped=False,
        attempts=0,
        cancel_requested=False,
        seen_at=None,
        seen_by=None,
        updated_at=Now(),
        **values,
    )
    return ""


def _to_read_again(
    upload: DICOMFile, use_versions: bool, series: Collection[int] | None
) -> QuerySet[ArchiveMember]:
    """Ledger rows of members to be read again: what failed and, with `use_versions`, conflicts."""
    if series is not None:
        conflicts = upload.members.filter(outcome=Outcome.CONFLICT)
        deleted_since = Q(instance=None) if 0 in series else Q()
        return conflicts.filter(Q(instance__dicom_series__in=series) | deleted_since)
    outcomes = [Outcome.FAILED, *([Outcome.CONFLICT] if use_versions else [])]
    return upload.members.filter(outcome__in=outcomes)


def _forget(upload: DICOMFile, members: QuerySet[ArchiveMember]) -> dict[str, Any]:
    """Delete ledger rows whose members are to be read again; the upload's new values.

    An archive inside whose members are among them is opened again, so its own row goes too.
    """
    reopened = set(members.filter(inner__gt=0).values_list("index", flat=True))
    upload.members.filter(reason="nested_archive", index__in=reopened).delete()
    members.delete()
    counts = dict(upload.members.values_list("outcome").annotate(Count("pk")).order_by())
    return {
        **{f"{outcome.value}_count": counts.get(outcome.value, 0) for outcome in Outcome},
        "processing_log_data": Log(upload.processing_log_data).closed(),
        "percent": 0,
        "stage": "",
        "failure_reason": "",
        "failure_detail": "",
        "date_processing_started": None,
        "date_processing_completed": None,
    }


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a wish to stop uploads: those that it concerned."""

    taken_out: list[int] = field(default_factory=list)  # of the queue
    stopping: list[int] = field(default_factory=list)  # at the next batch

    def __bool__(self) -> bool:
        return bool(self.taken_out or self.stopping)


def cancel(pks: Iterable[int], who: Person = None) -> Cancelled:
    """Take queued uploads out of the queue, and ask running ones to stop."""
    cancelled = Cancelled()
    for pk in pks:
        _cancel_one(pk, who, cancelled)
    return cancelled


@transaction.atomic
def _cancel_one(pk: int, who: Person, cancelled: Cancelled) -> None:
    rows = DICOMFile.objects.filter(pk=pk)
    if rows.queued().update(queued_at=None, stopped=True, updated_at=Now()):
        cancelled.taken_out.append(pk)
        record(Kind.STOPPED, who, DICOMFile(pk=pk), "It was queued.")
    elif rows.in_progress().update(cancel_requested=True, updated_at=Now()):
        cancelled.stopping.append(pk)
        record(Kind.STOPPED, who, DICOMFile(pk=pk), "It was running.")


@transaction.atomic
def see(pk: int, user: AbstractBaseUser) -> str:
    """Mark an upload as looked at, for all; the code of why it was not."""
    rows = DICOMFile.objects.filter(pk=pk)
    if rows.filter(TO_BE_DECIDED).exists():
        return "to_be_decided"
    if not rows.needing_attention().update(seen_at=Now(), seen_by=user, updated_at=Now()):
        return "nothing_to_see"
    record(Kind.SEEN, user, DICOMFile(pk=pk))
    return ""


# --- by a worker -----------------------------------------------------------------------------


def turns() -> list[int]:
    """Queued uploads in the order in which they start: the one that waits longest first.

    But of large ones only one goes before the small ones that wait, be it in progress already.
    """
    uploads = (DICOMFile.objects.queued() | _large_in_workers()).in_turn()
    rows = list(uploads.values_list("pk", "size", "processing_status"))
    goes_first = all(status == Status.PENDING for _, _, status in rows)
    first, later = [], []
    for pk, size, status in rows:
        if status == Status.PENDING and (size < LARGE or goes_first):
            first.append(pk)
            goes_first = goes_first and size < LARGE
        elif status == Status.PENDING:
            later.append(pk)
    return first + later


def whose_turn(pk: int) -> Iterator[int]:
    """What to run when told of this upload: those to be tried, until one can be claimed.

    A message says that there is something to do, not what. One whose upload is not queued may be
    about an upload that nobody has queued, or whose run has died.
    """
    queued = DICOMFile.objects.queued().filter(pk=pk)
    if not patiently(queued.exists):
        yield pk
    tried: set[int] = set()
    while left := [one for one in patiently(turns) if one not in tried]:
        tried.add(left[0])
        yield left[0]


def _large_in_workers() -> DICOMFileQuerySet:
    """Large uploads that a worker runs, and not a command."""
    return DICOMFile.objects.in_progress().filter(size__gte=LARGE).exclude(task_id="")


def claim(pk: int, task_id: str = "", shutting_down: Callable[[], bool] = bool) -> Run | None:
    """Take an upload, if it waits to be run or its run has died; None where somebody else has it.

    A stopped upload is only taken once it was queued again: a late message starts nothing.
    A database that goes away meanwhile is waited for, as in `patiently`.
    """
    run_id = uuid.uuid4().hex
    if not patiently(lambda: _take(pk, run_id, task_id)):
        return None
    upload = patiently(lambda: DICOMFile.objects.get(pk=pk))
    assert upload.date_processing_started
    log = Log(upload.processing_log_data)
    may_give_way = bool(task_id) and upload.size >= LARGE
    return Run(pk, run_id, upload.date_processing_started, log, shutting_down, may_give_way)


def _take(pk: int, run_id: str, task_id: str) -> bool:
    waits = Q(processing_status=Status.PENDING) & (Q(queued_at__isnull=False) | Q(stopped=False))
    abandoned = Q(
        processing_status=Status.IN_PROGRESS, lease_until__lt=Now(), cancel_requested=False
    )
    taken = DICOMFile.objects.filter(waits | abandoned, pk=pk, attempts__lt=MAX_ATTEMPTS).update(
        processing_status=Status.IN_PROGRESS,
        run_id=run_id,
        run_started_at=Now(),
        done_before_run=sum((F(f"{outcome.value}_count") for outcome in Outcome), Value(0)),
        task_id=task_id,
        lease_until=Now() + LEASE,
        attempts=F("attempts") + 1,
        cancel_requested=False,
        stage=Stage.INITIALIZE,
        date_processing_started=Coalesce("date_processing_started", Now()),
        updated_at=Now(),
    )
    # The database may have gone away after it took the row, and before it said so.
    return bool(taken) or DICOMFile.objects.filter(pk=pk, run_id=run_id).exists()


class Heartbeat:
    """A thread that renews a run's lease, and hears of Cancel and of a lost lease."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()

    def _beat(self) -> None:
        try:
            self._look_until_over()
        finally:
            connection.close()

    def _look_until_over(self) -> None:
        renewed = time.monotonic()
        while not self.over.wait(LOOK):
            try:
                self.run.look()
                if time.monotonic() - renewed >= HEARTBEAT:
                    self.run.renew()
                    renewed = time.monotonic()
            except (DatabaseError, InterfaceError) as error:
                # The run itself waits for the database; the next round finds it back.
                logger.warning("Heartbeat missed: %s", type(error).__name__)
                connection.close()


EXPIRED = Q(lease_until__lt=Now())
FREED: dict[str, Any] = {"run_id": "", "lease_until": None, "updated_at": Now()}


def sweep() -> list[int]:
    """Queue uploads whose run has died, and say which uploads a worker should be told of."""
    release_expired()
    return unsent()


def release_expired() -> list[int]:
    """Take uploads from runs whose lease has run out; those that are queued to go on."""
    expired = DICOMFile.objects.in_progress().filter(EXPIRED)
    pks = list(expired.values_list("pk", flat=True))
    why = sentence("too_many_attempts", count=MAX_ATTEMPTS)
    _end(
        expired.filter(attempts__gte=MAX_ATTEMPTS, cancel_requested=False),
        f"Failed: {why}",
        processing_status=Status.FAILED,
        failure_reason="too_many_attempts",
        failure_detail=why,
        date_processing_completed=Now(),
        queued_at=None,
    )
    back: dict[str, Any] = {"processing_status": Status.PENDING, "sent_at": None}
    # Somebody pressed Cancel, and the run died before it saw that.
    _end(
        expired.filter(cancel_requested=True),
        "Stopped.",
        stopped=True,
        queued_at=None,
        cancel_requested=False,
        attempts=0,
        **back,
    )
    expired.update(queued_at=Coalesce("queued_at", Now()), **back, **FREED)
    return list(
        DICOMFile.objects.queued().filter(pk__in=pks).in_turn().values_list("pk", flat=True)
    )


@transaction.atomic
def _end(uploads: DICOMFileQuerySet, words: str, **values: Any) -> None:
    """Change the rows of uploads whose run has died for good, and write down how they ended."""
    pks = list(uploads.select_for_update().values_list("pk", flat=True))
    DICOMFile.objects.filter(pk__in=pks).update(**values, **FREED)
    for pk in pks:
        insert(Kind.ENDED, on=DICOMFile(pk=pk), words=words)
        if values["processing_status"] == Status.FAILED:
            note_end(pk)


def unsent() -> list[int]:
    """Queued uploads of which the broker does not know."""
    return _pks(DICOMFile.objects.queued().filter(sent_at__isnull=True))


def overdue() -> list[int]:
    """Queued uploads of which the broker was told long ago: it may have lost the message."""
    return _pks(DICOMFile.objects.queued().filter(sent_at__lt=Now() - RESEND))


def _pks(uploads: DICOMFileQuerySet) -> list[int]:
    return list(uploads.in_turn().values_list("pk", flat=True))


def mark_sent(pks: Iterable[int]) -> None:
    DICOMFile.objects.filter(pk__in=list(pks)).update(sent_at=Now())


def patiently(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Do database work, waiting for a database that is away or busy.

    Raises
    ------
    StorageFailed
        The database's own disk is full or broken, which waiting does not mend.
    OperationalError, InterfaceError
        It stayed away longer than `patience` seconds.
    """
    deadline, pause = time.monotonic() + patience, 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if code := disk_reason(error):
                raise StorageFailed(code) from error
            if time.monotonic() + pause > deadline:
                raise
            logger.warning("Waiting for the database: %s", type(error).__name__)
        time.sleep(pause)
        pause = min(pause * 2, 5.0)
        close_old_connections()


def disk_reason(error: Exception) -> str:
    """The reason code where a database error is one of its disk; else ""."""
    cause = error.__cause__
    name = getattr(cause, "sqlite_errorname", "") or getattr(cause, "sqlstate", "") or ""
    return next((code for start, code in DATABASE_DISK_ERRORS if name.startswith(start)), "")
