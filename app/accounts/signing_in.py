"""Signing in with a name and a password, as often as `throttle` allows; and that it is recorded."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest

from app.audit.recording import record_if_possible
from app.models import Kind
from app.reasons import sentence
from app.wording import counted

from . import throttle


class ThrottledBackend(ModelBackend):
    """Asked by whatever takes a password, be it a page or an address for programs."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if username is None or password is None:
            return None
        counts = throttle.counts_of(username, request)
        throttle.take(counts)
        user = super().authenticate(request, username, password, **kwargs)
        if user:
            throttle.give_back(counts)
        else:
            failed(User.objects.filter(username=username).first(), request)
        return user

    # `authenticate` in a thread, and not Django's own, which would count nothing
    aauthenticate = BaseBackend.aauthenticate  # type: ignore[assignment]


class SignInForm(AdminAuthenticationForm):
    def confirm_login_allowed(self, user: User) -> None:
        """Say to who has no role that the password was right: the typing error is nowhere."""
        if user.is_active and not user.is_staff:
            failed(user, self.request, "Right password, but no role")
            raise ValidationError(sentence("no_role_yet"), code="no_role")
        super().confirm_login_allowed(user)

    def get_invalid_login_error(self) -> ValidationError:
        """Why not; the same words for a right password, a wrong one, and a name that nobody has."""
        counts = throttle.counts_of(self.cleaned_data["username"], self.request)
        if minutes := throttle.minutes_locked(counts):
            wait = counted(minutes, "minute")
            return ValidationError(sentence("signing_in_locked", wait=wait), code="locked")
        return ValidationError(sentence("sign_in_wrong"), code="invalid_login")


def failed(account: User | None, request: HttpRequest | None, why: str = "Wrong password") -> None:
    """Record a try that failed. A name that nobody has may be a password, and is not kept.

    While it is locked no try is recorded: there may be any number of them.
    """
    words = f"{why if account else 'A name that nobody has'}, from {throttle.address_of(request)}."
    record_if_possible(Kind.SIGN_IN_FAILED, account, words=words)


@receiver(user_logged_in)
def _record_sign_in(request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    record_if_possible(Kind.SIGNED_IN, user, words=f"From {throttle.address_of(request)}.")


@receiver(user_logged_out)
def _record_sign_out(user: User | None, **kwargs: Any) -> None:
    if user:
        record_if_possible(Kind.SIGNED_OUT, user)
