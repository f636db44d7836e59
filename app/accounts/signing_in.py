"""Signing in with a name and a password, as often as `throttle` allows."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

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
        return user

    # `authenticate` in a thread, and not Django's own, which would count nothing
    aauthenticate = BaseBackend.aauthenticate  # type: ignore[assignment]


class SignInForm(AdminAuthenticationForm):
    def get_invalid_login_error(self) -> ValidationError:
        """Why not; the same words for a right password, a wrong one, and a name that nobody has."""
        counts = throttle.counts_of(self.cleaned_data["username"], self.request)
        if minutes := throttle.minutes_locked(counts):
            wait = counted(minutes, "minute")
            return ValidationError(sentence("signing_in_locked", wait=wait), code="locked")
        return super().get_invalid_login_error()
