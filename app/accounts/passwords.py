"""The page on which somebody changes the own password."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

from app.audit.recording import record
from app.models import Kind
from app.reasons import sentence
from app.wording import counted

from . import throttle
from .signing_in import failed


class OwnPasswordForm(AdminPasswordChangeForm):
    """Asks for the old password, as often as signing in does: a session may be somebody else's."""

    def __init__(self, user: User, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        counts = throttle.counts_of(self.user.get_username(), self.request)
        try:
            throttle.take(counts)
        except throttle.Locked:
            wait = counted(throttle.minutes_locked(counts), "minute")
            raise ValidationError(sentence("signing_in_locked", wait=wait)) from None
        try:
            password: str = super().clean_old_password()
        except ValidationError:
            failed(self.user, self.request, "Wrong old password")
            raise
        throttle.give_back(counts)
        return password

    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        record(Kind.PASSWORD_CHANGED, user, user, "The own one.")
        return user


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**admin.site.each_context(self.request), **kwargs)


def change_password(request: HttpRequest) -> HttpResponse:
    """As the admin's own, whose form cannot be chosen."""
    return admin.site.admin_view(OwnPasswordView.as_view(), cacheable=True)(request)
