"""Whether ICON tells the truth, and runs."""

from django.db import models
from django.db.models.functions import Now


class WorkerSeen(models.Model):
    """When a worker was last there: one row, which each of them keeps writing."""

    seen_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return "Worker seen"


class CatalogueCheck(models.Model):
    """One run of the catalogue's check, and what it found."""

    started_at = models.DateTimeField("started", auto_now_add=True)
    ended_at = models.DateTimeField("ended", null=True, blank=True)
    # How many there were when it began; 0 until somebody is at it.
    expected_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    instance_count = models.PositiveIntegerField("instances", default=0)
    violation_count = models.PositiveIntegerField("violations", default=0)
    older_count = models.PositiveIntegerField("read by an older version", default=0, db_default=0)
    violations = models.JSONField(default=list)  # sentences, at most LOG_LINES
    # Somebody has stopped it, and the next that is asked for goes on with it.
    stopped_at = models.DateTimeField("stopped", null=True, blank=True, editable=False)
    # How far it came, and who is at it: see app.health.nightly.
    part = models.CharField(max_length=16, default="", db_default="", blank=True, editable=False)
    reached = models.CharField(
        max_length=512, default="", db_default="", blank=True, editable=False
    )
    run_id = models.CharField(max_length=32, default="", db_default="", blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "catalogue check"
        ordering = ("-started_at", "-pk")

    def __str__(self) -> str:
        return f"Check of {self.started_at:%Y-%m-%d}"
