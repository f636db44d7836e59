"""Who signs in."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class FirstPassword(models.Model):
    """An account whose password somebody else knows: its owner changes it at the next sign-in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"First password of user {self.pk}"


class SignInTries(models.Model):
    """How often signing in was tried of late: by a user, from an address, or by one from the other.

    A name that no user has is not kept; see `app.accounts.throttle`.
    """

    key = models.CharField(max_length=96, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True
    )
    address = models.CharField(max_length=64, blank=True)
    tries = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now)
    locked_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "failed sign-in"
        ordering = ("-since", "-pk")

    def __str__(self) -> str:
        return f"Failed sign-ins {self.pk}"
