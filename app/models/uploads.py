"""Uploads, and the ledger of what was in each."""

import os
import uuid
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from app.reasons import PASSING

from .searched import Searched, SearchTextField

LOG = "processing_log_data"  # up to 1,000 lines, which no list needs
LOG_LINES = 1_000
ONLY_CONFLICTS = "only_conflicts"  # the reason code of such an upload
ARCHIVES = "archives"  # below the media root


def random_archive_name(instance: "DICOMFile", filename: str) -> str:
    """Where an upload is kept: a random name, since the user's own may identify a patient."""
    return f"{ARCHIVES}/{uuid.uuid4().hex}.zip"


class Status(models.TextChoices):
    PENDING = "pending", "Pending"
    IN_PROGRESS = "in_progress", "In Progress"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class Stage(models.TextChoices):
    INITIALIZE = "initialize", "Initialize"
    EXTRACT = "extract", "Extract"
    PROCESS = "process", "Process"
    CLEANUP = "cleanup", "Cleanup"
    FINALIZE = "finalize", "Finalize"


class Outcome(models.TextChoices):
    IMPORTED = "imported", "Imported"
    DUPLICATE = "duplicate", "Already here"
    CONFLICT = "conflict", "Conflict"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"


# Of rows, what properties of the same names say of one.
IS_QUEUED = Q(processing_status=Status.PENDING, queued_at__isnull=False)
IS_IDLE = Q(processing_status=Status.PENDING, queued_at__isnull=True)
IS_LIVE = IS_QUEUED | Q(processing_status=Status.IN_PROGRESS)
ENDED_BADLY = Q(processing_status=Status.FAILED) | (
    Q(processing_status=Status.COMPLETED)
    & (Q(failed_count__gt=0) | Q(conflict_count__gt=0) | Q(asks_identity=True))
)
TO_BE_DECIDED = Q(conflict_count__gt=0) | Q(asks_identity=True)
NEEDS_ATTENTION = ENDED_BADLY & (Q(seen_at__isnull=True) | TO_BE_DECIDED)


class DICOMFileQuerySet(models.QuerySet["DICOMFile"]):
    def queued(self) -> Self:
        return self.filter(IS_QUEUED)

    def idle(self) -> Self:
        """Pending, and in no queue."""
        return self.filter(IS_IDLE)

    def in_progress(self) -> Self:
        return self.filter(processing_status=Status.IN_PROGRESS)

    def live(self) -> Self:
        """What can still change without anybody pressing a button."""
        return self.filter(IS_LIVE)

    def needing_attention(self) -> Self:
        return self.filter(NEEDS_ATTENTION)

    def in_turn(self) -> Self:
        """The one that waits longest first."""
        return self.order_by("queued_at", "pk")

    def without_log(self) -> Self:
        return self.defer(LOG)


class BroughtQuerySet(models.QuerySet[Any]):
    """Rows that know the upload which brought them."""

    def with_upload(self) -> Self:
        return self.select_related("upload").defer(f"upload__{LOG}")


class DICOMFile(Searched):
    """An uploaded archive: a ZIP of DICOM, not one DICOM object."""

    file = models.FileField("ZIP archive", upload_to=random_archive_name)
    original_name = models.CharField(max_length=255, blank=True, editable=False)
    size = models.PositiveBigIntegerField(default=0, editable=False)  # bytes
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField("uploaded", auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    processing_status = models.CharField(
        "status", max_length=16, choices=Status, default=Status.PENDING, editable=False
    )
    stopped = models.BooleanField(default=False, editable=False)  # cancelled, not started again
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)  # last told the broker
    task_id = models.CharField(max_length=64, blank=True, editable=False)
    date_processing_started = models.DateTimeField(null=True, blank=True, editable=False)
    date_processing_completed = models.DateTimeField(null=True, blank=True, editable=False)

    run_id = models.CharField(max_length=32, blank=True, editable=False)
    run_started_at = models.DateTimeField(null=True, blank=True, editable=False)  # the last run
    done_before_run = models.PositiveIntegerField(default=0, editable=False)  # files
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    cancel_requested = models.BooleanField(default=False, editable=False)
    use_versions = models.BooleanField(default=False, editable=False)  # its conflicts replace

    stage = models.CharField(max_length=16, choices=Stage, blank=True, editable=False)
    percent = models.PositiveSmallIntegerField(default=0, editable=False)
    member_count = models.PositiveIntegerField("files", default=0, editable=False)
    imported_count = models.PositiveIntegerField("imported", default=0, editable=False)
    duplicate_count = models.PositiveIntegerField("already here", default=0, editable=False)
    conflict_count = models.PositiveIntegerField("conflicts", default=0, editable=False)
    skipped_count = models.PositiveIntegerField("skipped", default=0, editable=False)
    failed_count = models.PositiveIntegerField("failed", default=0, editable=False)
    # Of the failed, those of which trying again may store some: see `reasons.Passing`.
    passing_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    warning_count = models.PositiveIntegerField("with warnings", default=0, editable=False)
    # Of the imported: objects whose catalogued version they took the place of, once completed.
    replaced_count = models.PositiveIntegerField(
        "replaced", default=0, db_default=0, editable=False
    )
    # It brought objects whose patient's ID had come with another identity, and nobody has answered.
    asks_identity = models.BooleanField(default=False, db_default=False, editable=False)
    stored_words = models.CharField(max_length=200, blank=True, editable=False)  # once completed
    failure_reason = models.CharField(max_length=32, blank=True, editable=False)  # a code
    failure_detail = models.CharField(max_length=500, blank=True, editable=False)  # its sentence
    processing_log_data = models.JSONField("processing log", default=list, editable=False)
    search_text = SearchTextField("original_name")

    # Somebody has looked at how it ended: for all, until it is processed again.
    seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    seen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )
    # Whose all of it is, where that is one patient, as `stored_words` tells once it is completed.
    # No constraint: deleting a patient looks for no uploads, and a number without a row is nobody.
    patient = models.ForeignKey(
        "Patient",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )

    queue_place: int | None = None  # where `status.with_places` has looked

    objects = DICOMFileQuerySet.as_manager()

    class Meta:
        verbose_name = "upload"
        ordering = ("-created_at", "-pk")
        permissions = (
            ("process_dicomfile", "Can process upload"),
            ("use_versions_dicomfile", "Can let its versions replace catalogued ones"),
        )
        indexes = (
            models.Index(fields=("processing_status", "queued_at"), name="dicomfile_status_queued"),
            models.Index(fields=("-created_at", "-id"), name="dicomfile_newest"),
        )

    def __str__(self) -> str:
        return f"Upload {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("upload_result", args=[self.pk])

    @property
    def name(self) -> str:
        """As people call it; `str` has no names, since it goes into logs."""
        return self.original_name or str(self)

    def sync_archive(self) -> None:
        """Make the archive and its name durable, before its row says that it is here."""
        path = Path(self.file.path)
        for one in (path, path.parent):
            fd = os.open(one, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many members ended in each outcome, in the ledger's order."""
        return {outcome.value: getattr(self, f"{outcome.value}_count") for outcome in Outcome}

    @property
    def files_done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def is_queued(self) -> bool:
        return self.processing_status == Status.PENDING and self.queued_at is not None

    @property
    def is_live(self) -> bool:
        """Whether anything can still change without somebody pressing a button."""
        return self.is_queued or self.processing_status == Status.IN_PROGRESS

    @property
    def to_be_decided(self) -> bool:
        return self.conflict_count > 0 or self.asks_identity

    @property
    def ended_badly(self) -> bool:
        lacks = self.failed_count or self.to_be_decided
        return self.processing_status == Status.FAILED or (
            self.processing_status == Status.COMPLETED and bool(lacks)
        )

    @property
    def needs_attention(self) -> bool:
        """What is to be decided needs it also where somebody has looked."""
        return self.ended_badly and (self.seen_at is None or self.to_be_decided)

    @property
    def may_be_seen(self) -> bool:
        """Whether a look is all that it needs."""
        return self.needs_attention and not self.to_be_decided

    @property
    def is_decision(self) -> bool:
        """Whether nothing failed, but every object of it is here with other content."""
        return self.processing_status == Status.FAILED and self.failure_reason == ONLY_CONFLICTS

    @property
    def status_label(self) -> str:
        """The status as people see it."""
        if self.is_queued:
            return "Queued"
        if self.processing_status == Status.PENDING and self.stopped:
            return f"Stopped at {self.percent} %" if self.percent else "Stopped"
        if self.processing_status == Status.COMPLETED and self.ended_badly:
            return "Completed, needs attention" if self.needs_attention else "Completed, seen"
        if self.is_decision:
            return "Needs a decision"
        return self.get_processing_status_display()

    @property
    def is_broken_off(self) -> bool:
        """Whether its last run ended for a reason that passes: it goes on where it stopped."""
        reason = self.failure_reason or "failed_without_reason"
        return self.processing_status == Status.FAILED and reason in PASSING

    @property
    def may_mend(self) -> bool:
        """Whether trying again may end better than the last run did."""
        return self.is_broken_off or self.passing_count > 0

    def refusal(self, use_versions: bool = False) -> str:
        """The code of why it cannot be queued now; "" where it can be.

        With `use_versions`: so that its conflicting members replace the catalogued versions.
        """
        if self.processing_status == Status.IN_PROGRESS:
            return "in_progress"
        if self.is_queued:
            return "already_queued"
        if not self.file:
            return "zip_removed"
        if use_versions and not self.conflict_count:
            return "nothing_in_conflict"
        is_done = self.processing_status == Status.COMPLETED and not self.failed_count
        return "nothing_failed" if is_done and not use_versions else ""


class ArchiveMember(models.Model):
    """The ledger: what became of one non-directory member of an upload.

    `index` is the member's place in the ZIP's directory, from 0; `inner` is 0 for the member
    itself and 1, 2, … for what a ZIP in that place held.
    """

    upload = models.ForeignKey(  # found by the indexes below
        DICOMFile, on_delete=models.CASCADE, related_name="members", db_index=False
    )
    index = models.PositiveIntegerField()
    inner = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=1024, blank=True)
    size = models.PositiveBigIntegerField()  # bytes, unpacked
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome)
    reason = models.CharField(max_length=32, blank=True)  # a code of app.reasons
    detail = models.CharField(max_length=1000, blank=True)  # its sentence
    instance = models.ForeignKey(
        "DICOMInstance", on_delete=models.SET_NULL, null=True, blank=True, related_name="members"
    )

    objects = BroughtQuerySet.as_manager()

    class Meta:
        verbose_name = "file in a ZIP"
        verbose_name_plural = "files in ZIPs"
        constraints = (
            models.UniqueConstraint(
                fields=("upload", "index", "inner"), name="member_unique_in_upload"
            ),
        )
        indexes = (
            models.Index(
                fields=("upload", "outcome", "index", "inner"), name="member_upload_outcome"
            ),
        )

    def __str__(self) -> str:
        return f"Member {self.index}" + (f".{self.inner}" if self.inner else "")
