"""Where an upload stands, as people see it: one record for pages, scripts and the endpoint.

The row is the truth. While a run is live, its task's own report is fresher, and never
older than the row: an id that Celery does not know reads PENDING for ever, and the task
of a killed worker PROGRESS for ever.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from celery.exceptions import SecurityError
from celery.result import AsyncResult
from celery_progress.backend import PROGRESS_STATE, Progress
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from kombu.exceptions import KombuError

from app.models import DICOMFile, DICOMFileQuerySet, Outcome, Stage, Status
from app.models.uploads import IS_IDLE, IS_LIVE, NEEDS_ATTENTION
from app.reasons import (
    PROCESS_AGAIN,
    PROCESS_NOW,
    PROGRESS,
    RESULT,
    SEEN,
    STOP,
    TRY_AGAIN,
    USE_VERSIONS,
    sentence,
)
from app.wording import counted, duration, ordinal, rate

from .claims import turns

logger = logging.getLogger(__name__)

STEPS = {
    Stage.INITIALIZE: "Reading the ZIP's list of contents",
    Stage.EXTRACT: "Unpacking and checking the files",
    Stage.PROCESS: "Filing and cataloguing the files",
    Stage.CLEANUP: "Tidying up",
    Stage.FINALIZE: "Writing the result",
}
ICONS = {
    "pending": "circle",
    "queued": "hourglass-split",
    "in_progress": "arrow-repeat",
    "completed": "check-circle-fill",
    "attention": "exclamation-triangle-fill",
    "failed": "x-octagon-fill",
}
# Of many: how it stands, and how that is said behind 1 and behind more; in their rows' order.
TONES = {
    "in_progress": ("running", "running"),
    "queued": ("queued", "queued"),
    "pending": ("not queued", "not queued"),
    "failed": ("failed", "failed"),
    "attention": ("needs attention", "need attention"),
    "completed": ("fine", "fine"),
}
ENDED = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.PENDING: "stopped"}
STAGE_WORDS = {"done": " (done)", "stopped": " (stopped here)", "failed": " (stopped here)"}

# Above the list of uploads: name, what it is called, which rows it shows.
TABS = {
    "all": ("All", Q()),
    "running": ("Running", IS_LIVE),
    "attention": ("Needs attention", NEEDS_ATTENTION),
    "pending": ("Pending", IS_IDLE),
}

UNREADABLE_RESULT = (
    *(DatabaseError, InterfaceError, KombuError, SecurityError),
    *(LookupError, TypeError, ValueError),
)

WORTH_A_RATE = 100  # files; of fewer it says nothing
LONG_WAIT = timedelta(seconds=60)  # for the first in the queue to wait while nothing is in progress


@dataclass(frozen=True, slots=True)
class StageState:
    """One of the five stages."""

    value: str
    label: str
    look: str  # done, current, stopped, failed or ahead
    words: str  # what the look says, for who does not see it


@dataclass(frozen=True, slots=True)
class Buttons:
    """The labels of those that make sense now, and "" for the others.

    Who may press is another question, and `app.tasks.start` has the last word. One that starts or
    stops work is a form, the others are links.
    """

    result: str = ""
    start: str = ""
    again: str = ""  # the same as `start` for what has ended
    cancel: str = ""
    use_versions: str = ""
    seen: str = ""
    progress: str = ""


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where one upload stands."""

    id: int
    status: str  # a value of `Status`
    label: str  # the status in words
    badge: str  # the same, with the percentage while it is in progress, or its place in the queue
    tone: str  # which look the status has; the label says the same
    icon: str  # of Bootstrap Icons
    rank: int  # of its row among others, by its tone
    live: bool  # something can still change without anybody pressing a button
    moving: bool  # so is its bar
    ended: str  # completed, failed or stopped; "" while it is live
    buttons: Buttons
    stage: str  # a value of `Stage`, or ""
    stages: tuple[StageState, ...]
    percent: int
    step: str  # what is being done
    queue_place: int | None
    files_done: int
    files_total: int  # 0 until it is known
    size: int  # of the ZIP, bytes
    outcomes: dict[str, int]
    outcome_words: str
    took: str
    message: str  # how it ended; "" before
    result_url: str


def state_of(upload: DICOMFile) -> UploadState:
    """Where an upload stands by its row alone."""
    return _state(upload, upload.percent, _step(upload))


def fresh_states(uploads: Iterable[DICOMFile]) -> list[UploadState]:
    """Where uploads stand, in the order given, by their tasks' own reports where they are live.

    One query for the queue if any is queued, and one for each live task.
    """
    return [_fresh_state(upload) for upload in with_places(uploads)]


def with_places(uploads: Iterable[DICOMFile]) -> list[DICOMFile]:
    """The same, each with its place in the queue."""
    uploads = list(uploads)
    places = _queue_places() if any(upload.is_queued for upload in uploads) else {}
    for upload in uploads:
        upload.queue_place = places.get(upload.pk)
    return uploads


def tab_counts(uploads: DICOMFileQuerySet) -> dict[str, int]:
    """How many of these uploads each tab above the list shows."""
    wanted = {name: Count("pk", filter=rows) for name, (_, rows) in TABS.items()}
    return uploads.order_by().aggregate(**wanted)


def tab_words(counts: dict[str, int]) -> dict[str, str]:
    """What the tabs above the list are called, by name."""
    return {name: f"{label} ({counts[name]:,})" for name, (label, _) in TABS.items()}


def progress_words(live: int) -> str:
    """What the way to the progress page is called."""
    return f"Progress ({live:,})" if live else "Progress"


def known(asked: list[tuple[str, int]]) -> list[dict[str, str] | None]:
    """Of ZIPs by name and size: what became of the newest upload of each; one query."""
    rows = DICOMFile.objects.filter(original_name__in={name for name, _ in asked})
    rows = rows.select_related("uploaded_by").without_log().order_by("pk")
    newest = {(upload.original_name, upload.size): upload for upload in rows}
    found = [newest.get(one) for one in asked]
    return [_known(upload) if upload else None for upload in found]


def _known(upload: DICOMFile) -> dict[str, str]:
    by = f" by {upload.uploaded_by}" if upload.uploaded_by else ""
    day = date_format(timezone.localtime(upload.created_at))
    words = sentence("known_upload", day=day, by=by, status=upload.status_label)
    return {"words": words, "result_url": upload.get_absolute_url()}


def ending(upload: DICOMFile) -> str:
    """One sentence on how an upload ended, for people who did not watch; "" before the end."""
    if upload.processing_status == Status.FAILED:
        return upload.failure_detail or sentence("failed_without_reason")
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
    asked = f" {sentence('identity_asked')}" if upload.asks_identity else ""
    return "; ".join(parts) + f".{asked}"


def took(upload: DICOMFile) -> str:
    """How long the last run took, and for how many files; "" before there is anything to say.

    Only that run: a stopped or failed upload may have waited for days before it went on.
    """
    begun, ended = upload.run_started_at, upload.date_processing_completed
    read = upload.files_done - upload.done_before_run
    if upload.is_live or begun is None or ended is None or ended < begun or read < 1:
        return ""
    seconds = (ended - begun).total_seconds()
    words = f"{counted(read, 'file')} in {duration(seconds)}"
    if read >= WORTH_A_RATE and seconds:
        words += f", {rate(read / seconds)}"
    return f"Last run: {words}" if upload.done_before_run else words


def outcome_words(upload: DICOMFile) -> str:
    """The counts that are not nought: "500 imported · 3 skipped"."""
    counts = upload.outcomes.items()
    return " · ".join(f"{n:,} {Outcome(o).label.lower()}" for o, n in counts if n)


def _stored(upload: DICOMFile) -> str:
    stored = upload.imported_count + upload.duplicate_count
    what = upload.stored_words or counted(stored, "DICOM object")
    if not upload.imported_count:
        return (
            f"{what} {'is' if stored == 1 else 'are'} in the catalogue, and {_was(stored)} before"
        )
    new = upload.imported_count - upload.replaced_count
    if not upload.duplicate_count and not (new and upload.replaced_count):
        done = "imported" if new else "replaced by the versions in this ZIP"
        return f"{what} {_was(stored)} {done}"
    parts = {
        "newly imported": new,
        "replaced by the versions in this ZIP": upload.replaced_count,
        "already here": upload.duplicate_count,
    }
    return f"{what}: " + ", ".join(f"{n:,} {words}" for words, n in parts.items() if n)


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


# --- the record ------------------------------------------------------------------------------


def _state(upload: DICOMFile, percent: int, step: str, stage: str | None = None) -> UploadState:
    stage = upload.stage if stage is None else stage
    tone = _tone(upload)
    in_progress = upload.processing_status == Status.IN_PROGRESS
    badge = f"{upload.status_label} {percent} %" if in_progress else upload.status_label
    if upload.queue_place:
        badge = f"{badge}, {ordinal(upload.queue_place)}"
    return UploadState(
        id=upload.pk,
        status=upload.processing_status,
        label=upload.status_label,
        badge=badge,
        tone=tone,
        icon=ICONS[tone],
        rank=[*TONES].index(tone),
        live=upload.is_live,
        moving=in_progress,
        ended="" if upload.is_live else ENDED[Status(upload.processing_status)],
        buttons=_buttons(upload),
        stage=stage,
        stages=_stages(upload, stage),
        percent=100 if upload.processing_status == Status.COMPLETED else percent,
        step=step,
        queue_place=upload.queue_place,
        files_done=upload.files_done,
        files_total=upload.member_count,
        size=upload.size,
        outcomes=upload.outcomes,
        outcome_words=outcome_words(upload),
        took=took(upload),
        message=ending(upload),
        result_url=reverse("upload_result", args=[upload.pk]),
    )


def _tone(upload: DICOMFile) -> str:
    if upload.is_queued:
        return "queued"
    waits = upload.processing_status == Status.COMPLETED and upload.needs_attention
    return "attention" if waits or upload.is_decision else upload.processing_status


def _buttons(upload: DICOMFile) -> Buttons:
    is_new = upload.processing_status == Status.PENDING
    if upload.is_live:
        return Buttons(cancel=STOP, progress=PROGRESS)
    may_start = not upload.refusal()
    return Buttons(
        result=RESULT if upload.files_done or not is_new else "",
        start=PROCESS_NOW if is_new and may_start else "",
        again=_again(upload) if not is_new and may_start and upload.may_mend else "",
        use_versions="" if upload.refusal(use_versions=True) else USE_VERSIONS,
        seen=SEEN if upload.may_be_seen else "",
    )


def _again(upload: DICOMFile) -> str:
    """A run that was broken off goes on; one that came to its end reads what failed."""
    if upload.is_broken_off:
        return PROCESS_AGAIN
    failed = upload.failed_count
    return TRY_AGAIN.format(files="failed file" if failed == 1 else f"{failed:,} failed files")


def _stages(upload: DICOMFile, stage: str) -> tuple[StageState, ...]:
    names = [one.value for one in Stage]
    at = names.index(stage) if stage else -1
    looks = [_look(upload, at, place) for place in range(len(names))]
    return tuple(
        StageState(one.value, str(one.label), look, STAGE_WORDS.get(look, ""))
        for one, look in zip(Stage, looks, strict=True)
    )


def _look(upload: DICOMFile, at: int, place: int) -> str:
    if upload.processing_status == Status.COMPLETED or place < at:
        return "done"
    if place > at:
        return "ahead"
    if upload.processing_status == Status.FAILED:
        return "failed"
    if upload.processing_status == Status.IN_PROGRESS:
        return "current"
    return "ahead" if upload.is_queued else "stopped"


def _step(upload: DICOMFile) -> str:
    """What is being done, as the row knows it."""
    if upload.processing_status == Status.IN_PROGRESS:
        return "Stopping" if upload.cancel_requested else _step_of_run(upload)
    if upload.processing_status == Status.COMPLETED:
        return "Finished"
    if upload.processing_status == Status.FAILED:
        whole = upload.files_done and upload.files_done == upload.member_count
        return "Read to the end" if whole else "Ended early"
    if upload.is_queued:
        return _waiting(upload)
    return "Stopped" if upload.stopped else "Not started"


def _step_of_run(upload: DICOMFile) -> str:
    if upload.stage in (Stage.EXTRACT, Stage.PROCESS) and upload.member_count:
        return f"{upload.files_done:,} of {counted(upload.member_count, 'file')} done"
    return STEPS[Stage(upload.stage)] if upload.stage else "Starting"


# --- what is fresher than the row ------------------------------------------------------------


def _fresh_state(upload: DICOMFile) -> UploadState:
    if upload.processing_status == Status.IN_PROGRESS and not upload.cancel_requested:
        percent, step = _task_report(upload.task_id)
        if percent >= upload.percent:  # else it was reported before the row was last written
            stage = _fresh_stage(upload, percent)
            return _state(upload, percent, step or _step(upload), stage)
    return state_of(upload)


def _fresh_stage(upload: DICOMFile, percent: int) -> str:
    """The row's stage, or the one that a fresher report has reached: 10 to 30 % is Extract."""
    fresher = percent > upload.percent
    if fresher and percent >= 10 and upload.stage in (Stage.INITIALIZE, Stage.EXTRACT):
        return Stage.EXTRACT.value if percent < 30 else Stage.PROCESS.value
    return upload.stage


def _queue_places() -> dict[int, int]:
    return {pk: place for place, pk in enumerate(turns(), start=1)}


def _waiting(upload: DICOMFile) -> str:
    place, queued = upload.queue_place, upload.queued_at
    if place is None:
        return "Waiting for its turn"
    long = place == 1 and queued is not None and timezone.now() - queued > LONG_WAIT
    if long and not DICOMFile.objects.in_progress().exists():
        return sentence("no_worker")
    return f"Waiting for its turn: number {place} in the queue"


def _task_report(task_id: str) -> tuple[int, str]:
    """What a live task last reported through celery-progress; (0, "") where it reported nothing."""
    if not task_id:
        return 0, ""
    try:
        info = Progress(AsyncResult(task_id)).get_info()
        if info["state"] != PROGRESS_STATE:
            return 0, ""
        return min(int(info["progress"]["percent"]), 99), info["progress"].get("description", "")
    # The table of results may be away, emptied, or hold what another program wrote. The row
    # already says what is true, so nothing that is wrong there may take the page down.
    except UNREADABLE_RESULT as error:
        logger.warning("Task progress could not be read: %s", type(error).__name__)
        return 0, ""
