"""The trash: what was deleted, kept for a while where no query of the catalogue sees it.

An object's rows are kept as text, column by name, and not in tables like the catalogue's: what a
later migration adds or drops needs no second one here. See `app.catalogue.trash`.
"""

from django.db import models
from django.db.models.functions import Now


class Deletion(models.Model):
    """Rows of one table that somebody deleted together, with all that was below them."""

    class State(models.TextChoices):
        """What is done with it, and goes on after a kill: see `catalogue.trash.go_on`."""

        DELETING = "deleting", "Being moved here"
        THERE = "there", "In the trash"
        RESTORING = "restoring", "Being restored"
        ERASING = "erasing", "Being erased"

    table = models.CharField(max_length=100)  # of the rows: app.patient
    rows = models.JSONField(default=list)  # their primary keys
    words = models.TextField(blank=True)  # what they were called
    # The last object that was there when it was asked for; what came later is not deleted.
    last_instance = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=State, default=State.DELETING)
    who_id = models.BigIntegerField(null=True, blank=True)
    who = models.CharField(max_length=150, blank=True)  # as the account was called
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField("deleted", db_default=Now())
    until = models.DateTimeField("goes", db_index=True)
    changed_at = models.DateTimeField(db_default=Now())  # the last sign of life of who is at it
    # Why it does not go on: a code of app.reasons.
    trouble = models.CharField(max_length=32, blank=True, default="", db_default="")
    # Of the objects that are in it, kept in the transactions that move them.
    object_count = models.PositiveIntegerField(default=0, db_default=0)
    image_count = models.PositiveIntegerField(default=0, db_default=0)
    total_size = models.PositiveBigIntegerField(default=0, db_default=0)  # bytes
    # Of these, objects that the catalogue has again with other bytes: they were not restored.
    conflict_count = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        default_permissions = ()
        permissions = (
            ("restore_deletion", "Can restore from the trash"),
            ("erase_deletion", "Can erase what is in the trash"),
        )

    def __str__(self) -> str:
        return f"Deletion {self.pk}"


class TrashedObject(models.Model):
    """An object in the trash; its file is `.trash/<deletion>/<instance>`."""

    deletion = models.ForeignKey(Deletion, on_delete=models.CASCADE, related_name="objects_in_it")
    # Keys of rows that are gone: the object's own, which it has again when it is restored.
    instance = models.BigIntegerField(unique=True)
    series = models.BigIntegerField()
    patient = models.BigIntegerField()
    sop_instance_uid = models.CharField(max_length=128, db_index=True)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()  # bytes
    is_image = models.BooleanField()
    has_file = models.BooleanField()  # False where none stood in its place when it was deleted
    superseded = models.JSONField(default=list)  # as the instance's
    rows = models.TextField()  # JSON: see `catalogue.packing`
    is_conflict = models.BooleanField(default=False, db_default=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Object {self.instance} in the trash"


class TrashedRow(models.Model):
    """A row over objects in the trash, as it was: a patient, identity, study, series and so on."""

    deletion = models.ForeignKey(
        Deletion, on_delete=models.CASCADE, related_name="rows_over", db_index=False
    )
    table = models.CharField(max_length=100)
    row = models.BigIntegerField()
    patient = models.BigIntegerField()
    uid = models.CharField(max_length=128, blank=True, db_index=True)  # of a study or series
    frame = models.CharField(max_length=128, blank=True, db_index=True)  # of reference; its UID
    values = models.TextField()  # JSON

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("deletion", "table", "row"), name="trashed_row_once"),
        )

    def __str__(self) -> str:
        return f"Row {self.row} in the trash"


class TrashedText(models.Model):
    """A long column of an object's row, which the database alone has moved: contours, planes."""

    trashed = models.ForeignKey(TrashedObject, on_delete=models.CASCADE, related_name="texts")
    table = models.CharField(max_length=100)
    row = models.BigIntegerField()
    text = models.TextField()

    class Meta:
        default_permissions = ()
        indexes = (models.Index(fields=("table", "row"), name="trashed_text_row"),)

    def __str__(self) -> str:
        return f"Text {self.pk} in the trash"
