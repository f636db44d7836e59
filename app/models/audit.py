"""Who did what."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Kind(models.TextChoices):
    """What was done. A new kind needs no migration."""

    SIGNED_IN = "signed_in", "Signed in"
    SIGN_IN_FAILED = "sign_in_failed", "Sign-in failed"
    SIGNED_OUT = "signed_out", "Signed out"
    UPLOADED = "uploaded", "Uploaded"
    STARTED = "started", "Processing asked for"
    VERSIONS_CHOSEN = "versions_chosen", "Other versions asked for"
    STOPPED = "stopped", "Stop asked for"
    VIEWED = "viewed", "Looked at"
    SEARCHED = "searched", "Searched"
    EXPORTED = "exported", "Exported"
    DOWNLOADED = "downloaded", "Download begun"
    DOWNLOAD_ENDED = "download_ended", "Download ended"
    ENDED = "ended", "Processing ended"
    SEEN = "seen", "Marked as seen"
    IDENTITY_ANSWERED = "identity_answered", "Identity answered"
    SAME_PERSON = "same_person", "Said to be the same person"
    SAME_PERSON_UNDONE = "same_person_undone", "No more said to be the same person"
    PROTECTED = "protected", "Protected from deletion"
    PROTECTION_REMOVED = "protection_removed", "Protection taken off"
    ZIP_REMOVED = "zip_removed", "Kept ZIP removed"
    DELETE_ASKED = "delete_asked", "Deletion asked for"
    DELETED = "deleted", "Deleted"
    RESTORE_ASKED = "restore_asked", "Restoring asked for"
    RESTORED = "restored", "Restored from the trash"
    ERASE_ASKED = "erase_asked", "Erasing asked for"
    ERASED = "erased", "Erased from the trash"
    CHECK_ASKED = "check_asked", "Check of the catalogue asked for"
    CHECK_STOPPED = "check_stopped", "Check of the catalogue stopped"
    ADDED = "added", "Added"
    CHANGED = "changed", "Changed"
    RIGHTS_CHANGED = "rights_changed", "Rights changed"
    PASSWORD_CHANGED = "password_changed", "Password changed"
    UNLOCKED = "unlocked", "Sign-in unlocked"
    EXPIRY_ASKED = "expiry_asked", "Removal of old entries asked for"
    EXPIRED = "expired", "Old entries removed"


class AuditEntry(models.Model):
    """One act, or its outcome: added, and never changed. See `app.audit`.

    Without foreign keys: what it tells of may be deleted, and the entry stays as it is. It holds
    no value of a patient, only numbers, counts and what the person wrote as the reason.
    """

    at = models.DateTimeField("when", db_default=Now(), db_index=True)
    kind = models.CharField("what", max_length=32)
    who_id = models.BigIntegerField(null=True, blank=True)  # empty: ICON itself, or nobody known
    who = models.CharField(max_length=150, blank=True)  # as the account was called
    table = models.CharField(max_length=100, blank=True)  # of what it was done to: app.dicomfile
    row = models.BigIntegerField(null=True, blank=True)
    words = models.TextField(blank=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ("-pk",)
        default_permissions = ("view",)
        indexes = (
            models.Index(fields=("table", "row"), name="audit_table_row"),
            models.Index(fields=("who_id",), name="audit_who"),
            models.Index(fields=("kind",), name="audit_kind"),
        )
        # SQLite: an id that a trigger sees before one is given is -1.
        constraints = (models.CheckConstraint(condition=Q(id__gt=0), name="audit_id_positive"),)

    def __str__(self) -> str:
        return f"Entry {self.pk}"

    @property
    def kind_label(self) -> str:
        return str(Kind(self.kind).label) if self.kind in Kind else self.kind
