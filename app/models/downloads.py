"""Downloads that are under way."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Download(models.Model):
    """A place among those that are sent at once, taken by one download.

    Who sends it renews the place now and then; one that nobody renews any more is free again.
    """

    place = models.PositiveSmallIntegerField(unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    begun = models.BigIntegerField(null=True)  # the key of the audit entry that tells of it
    begun_at = models.DateTimeField(db_default=Now())
    taken_until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Download {self.pk}"
