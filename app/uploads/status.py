"""Where uploads stand, as people see it.

The row is the truth. While a run is live, its task's own report is fresher, and never
older than the row: an id that Celery does not know reads PENDING for ever, and the task
of a killed worker PROGRESS for ever.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from celery.result import AsyncResult
from celery_progress.backend import PROGRESS_STATE, Progress
from django.urls import reverse
from django.utils import timezone

from app.models import DICOMFile, Outcome, Stage, Status
from app.wording import counted, duration

logger = logging.getLogger(__name__)

STEPS = {
    Stage.INITIALIZE: "Reading the ZIP's list of contents",
    Stage.EXTRACT: "Unpacking and checking the files",
    Stage.PROCESS: "Filing and cataloguing the files",
    Stage.CLEANUP: "Tidying up",
    Stage.FINALIZE: "Writing the result",
}

LONG = timedelta(seconds=60)  # for the first in the queue to wait while nothing is in progress

OUTCOME_HINTS = {
    Outcome.IMPORTED: "stored and catalogued",
    Outcome.DUPLICATE: "the very same content was catalogued before",
    Outcome.CONFLICT: "catalogued with other content, which was kept",
    Outcome.SKIPPED: "not DICOM, or nothing to store",
    Outcome.FAILED: "could not be stored",
}


def upload_status(uploads: Iterable[DICOMFile]) -> list[dict[str, Any]]:
    """What the progress page shows of each upload, in the order given.

    One query for the queue if any is queued, and one for each live task.
    """
    uploads = list(uploads)
    places = _queue_places() if any(is_queued(upload) for upload in uploads) else {}
    return [_status(upload, places.get(upload.pk)) for upload in uploads]


def is_queued(upload: DICOMFile) -> bool:
    return upload.processing_status == Status.PENDING and upload.queued_at is not None


def is_live(upload: DICOMFile) -> bool:
    """Whether anything can still change without somebody pressing a button."""
    return is_queued(upload) or upload.processing_status == Status.IN_PROGRESS


def can_start(upload: DICOMFile) -> bool:
    """Whether Process Now makes sense; `app.tasks.start` decides for good."""
    if not upload.file:
        return False  # its kept ZIP was removed
    if upload.processing_status == Status.COMPLETED:
        return bool(upload.failed_count)
    return not is_live(upload)


def status_label(upload: DICOMFile) -> str:
    if upload.processing_status == Status.COMPLETED and upload.needs_attention:
        return "Completed, needs attention"
    return upload.status_label


def tone(upload: DICOMFile) -> str:
    """Which of the five looks the status has; the words beside it say the same."""
    if is_queued(upload):
        return "queued"
    if upload.processing_status == Status.COMPLETED and upload.needs_attention:
        return "attention"
    return upload.processing_status


def ending(upload: DICOMFile) -> str:
    """One sentence on how an upload ended, for people who did not watch; "" before the end."""
    if upload.processing_status == Status.FAILED:
        return upload.failure_detail or "Processing failed."
    if upload.processing_status != Status.COMPLETED:
        return ""
    parts = [_stored(upload)]
    if upload.skipped_count:
        parts.append(
            f"{counted(upload.skipped_count, 'other file')} {_was(upload.skipped_count)} skipped"
        )
    if upload.conflict_count:
        differ = "differs" if upload.conflict_count == 1 else "differ"
        parts.append(f"{upload.conflict_count:,} {differ} from what is catalogued, which was kept")
    if upload.failed_count:
        parts.append(f"{upload.failed_count:,} could not be stored")
    return "; ".join(parts) + "."


def took(upload: DICOMFile) -> str:
    """How long the last run took, and for how many files; "" before there is anything to say.

    Only that run: a stopped or failed upload may have waited for days before it went on.
    """
    begun, ended = upload.run_started_at, upload.date_processing_completed
    read = upload.files_done - upload.done_before_run
    if is_live(upload) or begun is None or ended is None or ended < begun or read < 1:
        return ""
    seconds = (ended - begun).total_seconds()
    words = f"{counted(read, 'file')} in {duration(seconds)}"
    if read / max(seconds, 0.001) >= 1:
        words += f", {read / max(seconds, 0.001):,.0f} files per second"
    return f"Last run: {words}" if upload.done_before_run else words


def outcome_words(upload: DICOMFile) -> str:
    """The counts that are not nought: "500 imported · 3 skipped"."""
    counts = upload.outcomes.items()
    return " · ".join(f"{n:,} {Outcome(o).label.lower()}" for o, n in counts if n)


def _stored(upload: DICOMFile) -> str:
    stored = upload.imported_count + upload.duplicate_count
    what = upload.stored_words or counted(stored, "DICOM object")
    if not upload.duplicate_count:
        return f"{what} {_was(stored)} filed"
    if not upload.imported_count:
        return (
            f"{what} {'is' if stored == 1 else 'are'} in the catalogue, and {_was(stored)} before"
        )
    new, known = upload.imported_count, upload.duplicate_count
    return f"{what}: {new:,} newly filed, {known:,} already here"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _queue_places() -> dict[int, int]:
    queue = DICOMFile.objects.filter(processing_status=Status.PENDING, queued_at__isnull=False)
    waiting = queue.order_by("queued_at", "pk").values_list("pk", flat=True)
    return {pk: place for place, pk in enumerate(waiting, start=1)}


def _status(upload: DICOMFile, place: int | None) -> dict[str, Any]:
    percent, step = _percent_and_step(upload, place)
    return {
        "id": upload.pk,
        "status": upload.processing_status,
        "status_label": status_label(upload),
        "tone": tone(upload),
        "live": is_live(upload),
        "can_start": can_start(upload),
        "stage": _stage(upload, percent),
        "percent": percent,
        "step": step,
        "queue_place": place,
        "files_done": upload.files_done,
        "files_total": upload.member_count,
        "size": upload.size,
        "outcomes": upload.outcomes,
        "outcome_words": outcome_words(upload),
        "took": took(upload),
        "message": ending(upload),
        "result_url": reverse("upload_result", args=[upload.pk]),
    }


def _percent_and_step(upload: DICOMFile, place: int | None) -> tuple[int, str]:
    if upload.processing_status == Status.IN_PROGRESS and upload.cancel_requested:
        return upload.percent, "Stopping"
    if upload.processing_status == Status.IN_PROGRESS:
        percent, step = _task_report(upload.task_id)
        if percent < upload.percent:  # told before the row was last written
            return upload.percent, _step(upload)
        return percent, step or _step(upload)
    if upload.processing_status == Status.COMPLETED:
        return 100, "Finished"
    if upload.processing_status == Status.FAILED:
        whole = upload.files_done and upload.files_done == upload.member_count
        return upload.percent, "Read to the end" if whole else "Ended early"
    if place:
        return upload.percent, _waiting(upload, place)
    return upload.percent, "Stopped" if upload.stopped else "Not started"


def _waiting(upload: DICOMFile, place: int) -> str:
    queued = upload.queued_at
    long = place == 1 and queued is not None and timezone.now() - queued > LONG
    if long and not DICOMFile.objects.filter(processing_status=Status.IN_PROGRESS).exists():
        return "Waiting for a worker. If this lasts, ask the administrator whether one runs"
    return f"Waiting for its turn: number {place} in the queue"


def _stage(upload: DICOMFile, percent: int) -> str:
    """The row's stage, or the one that a fresher report has reached: 10 to 30 % is Extract."""
    fresher = upload.processing_status == Status.IN_PROGRESS and percent > upload.percent
    if fresher and percent >= 10 and upload.stage in (Stage.INITIALIZE, Stage.EXTRACT):
        return Stage.EXTRACT if percent < 30 else Stage.PROCESS
    return upload.stage


def _step(upload: DICOMFile) -> str:
    """What a run is at, as its row knows it."""
    if upload.stage in (Stage.EXTRACT, Stage.PROCESS) and upload.member_count:
        return f"{upload.files_done:,} of {counted(upload.member_count, 'file')} filed"
    return STEPS[Stage(upload.stage)] if upload.stage else "Starting"


def _task_report(task_id: str) -> tuple[int, str]:
    """What a live task last reported through celery-progress; (0, "") where it reported nothing."""
    if not task_id:
        return 0, ""
    try:
        info = Progress(AsyncResult(task_id)).get_info()
        if info["state"] != PROGRESS_STATE:
            return 0, ""
        return min(int(info["progress"]["percent"]), 99), info["progress"].get("description", "")
    # A result backend may be anything, away, or emptied, and fails in its own ways. The row
    # already says what is true, so nothing that is wrong there may take the page down.
    except Exception as error:
        logger.warning("Task progress could not be read: %s", type(error).__name__)
        return 0, ""
