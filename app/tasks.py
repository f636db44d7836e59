"""Celery's side: start uploads, run one, and queue those again whose worker died."""

import logging
import mmap
import os
import signal
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from celery import Task, current_app, shared_task
from celery.signals import (
    task_postrun,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)
from celery_progress.backend import ProgressRecorder
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError, InterfaceError, transaction
from kombu.exceptions import OperationalError as BrokerAway

from .accounts import throttle
from .audit.recording import Person
from .catalogue import filing
from .derived import making
from .errors import OtherVersion
from .export import places
from .health import nightly
from .health.derived import KINDS
from .reasons import sentence
from .sandbox import ahead
from .sandbox.confine import lacking
from .telling import sending
from .uploads import claims, ingest, removal

LAST = 9  # of the priorities that Redis knows; uploads are sent with 0, the first

logger = logging.getLogger(__name__)


@shared_task(bind=True)
def process_dicom_file_task(self: "Task[[int], bool]", dicom_file_id: int) -> bool:
    """Run this upload, or the one whose turn it is; False where there is nothing to do."""
    recorder = ProgressRecorder(self)

    def report(percent: int, step: str) -> None:
        try:
            recorder.set_progress(percent, 100, description=step)
        except (DatabaseError, InterfaceError) as error:
            # The run waits for its database by itself; a missed report is only that.
            logger.warning("Progress not reported: %s", type(error).__name__)

    try:
        ran = ingest.run_next(dicom_file_id, self.request.id or "", report, shutting_down)
    except OtherVersion:
        _end_worker()
        return False
    if ran:
        _send_unsent()  # it may have been handed on
        if not making.is_behind_imports():
            _send_derive()
    return ran


@shared_task
def process_multiple_dicom_files(dicom_file_ids: list[int]) -> list[int]:
    """Queue one `process_dicom_file_task` for each upload; the ids that were queued."""
    return start(dicom_file_ids).queued


@shared_task
def sweep() -> int:
    """Look after uploads whose process died, and tell workers what waits."""
    queued = claims.sweep() + _lost()
    _send(queued)
    filing.roll_forward_abandoned()
    filing.unlink_pending()
    if making.is_asked_for():
        _send_derive()
    places.take_back()
    return len(queued)


@shared_task(ignore_result=True)
def derive() -> None:
    """Make what is derived of stored objects, until an import waits; see `derived.making`."""
    if making.take_turn(KINDS, shutting_down):
        _send_derive()


@shared_task
def forget_expired() -> None:
    """Remove what is over of sessions, of failed sign-ins, and old messages."""
    SessionStore.clear_expired()
    sending.forget_old()
    throttle.remove_expired()


@shared_task
def remove_stale_uploads() -> int:
    """Delete what broken transfers left; how many files."""
    return removal.remove_stale_uploads()


@shared_task
def verify_catalogue() -> int:
    """Begin the night's check, for staff to see in the admin; its primary key.

    A worker starts a process for it as it sweeps: it takes no place of an import.
    """
    return nightly.begin()


@dataclass(slots=True)
class Started:
    """What became of a wish to process uploads."""

    queued: list[int]
    refused: dict[int, str] = field(default_factory=dict)  # upload -> reason code
    broker_away: bool = False  # they start when the broker is back


def start(
    pks: Iterable[int],
    use_versions: bool = False,
    series: Collection[int] | None = None,
    who: Person = None,
) -> Started:
    """Queue uploads, and tell the broker once the transaction has committed.

    With `use_versions`, their conflicting members, or those of some series, replace the catalogued
    versions.
    """
    started = Started(*claims.queue(pks, use_versions, series, who))

    def ring() -> None:
        started.broker_away = not _send(started.queued)

    transaction.on_commit(ring)
    return started


def _send(pks: list[int]) -> bool:
    """Ring the doorbell for each; False where the broker is away, and the sweep does it later."""
    sent = []
    try:
        for pk in pks:
            process_dicom_file_task.delay(pk)
            sent.append(pk)
    except BrokerAway as error:
        logger.warning("The broker is away: %s", type(error).__name__)
    if sent:
        claims.mark_sent(sent)
    return len(sent) == len(pks)


def _send_unsent() -> None:
    try:
        _send(claims.unsent())
    except (DatabaseError, InterfaceError) as error:
        logger.warning("The sweep will send what waits: %s", type(error).__name__)


def _send_derive() -> None:
    """Ask for what is to be derived, behind all uploads that wait; the sweep asks again."""
    try:
        derive.apply_async(priority=LAST)
    except BrokerAway as error:
        logger.warning("The broker is away: %s", type(error).__name__)


def _lost() -> list[int]:
    """Uploads whose messages the broker has lost: the oldest, as many as it has too few."""
    overdue = claims.overdue()
    if not overdue:
        return []
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)
            channel: Any = broker.default_channel
            waiting = channel.client.llen(current_app.conf.task_default_queue)
    except BrokerAway:
        return []
    return overdue[: max(len(overdue) - waiting, 0)]


# --- a worker's life -------------------------------------------------------------------------

# Shared with the pool's processes, which are forked from the worker's main one.
_shutdown = mmap.mmap(-1, 1)
_worker = 0  # the process of the worker's main one


def shutting_down() -> bool:
    return _shutdown[0] == 1


@worker_init.connect
def _begin(**kwargs: Any) -> None:
    global _worker
    _worker = os.getpid()
    _shutdown[0] = 0


@worker_process_init.connect
def _have_extractors_wait(**kwargs: Any) -> None:
    """Some for the process's first upload, and some after each for the next."""

    def begin(**kwargs: Any) -> None:
        ahead.begin(settings.ICON_EXTRACTORS)

    begin()
    task_postrun.connect(begin, sender=process_dicom_file_task, weak=False)


def _end_worker() -> None:
    """Stop this worker as somebody would by hand; what looks after it starts the new version."""
    logger.warning("Another version of ICON is installed. This worker ends; start it again.")
    if _worker:
        os.kill(_worker, signal.SIGTERM)


@worker_shutting_down.connect
def _begin_shutdown(**kwargs: Any) -> None:
    _shutdown[0] = 1


@worker_ready.connect
def _say_what_lacks(**kwargs: Any) -> None:
    for code in lacking():
        logger.warning(sentence(code))
