"""The own password: the page that changes it, which a first password leads to, and no further."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy

from app.audit.recording import record
from app.models import FirstPassword, Kind
from app.reasons import sentence
from app.wording import counted

from . import throttle
from .signing_in import failed

FIRST = "first_password"  # in the session: it is to be changed


@receiver(user_logged_in)
def _is_to_be_changed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    if FirstPassword.objects.filter(user=user).exists():
        request.session[FIRST] = True


def own_password_first(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Show nothing else to who signed in with a first password, until it is changed."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.session.get(FIRST) or request.path_info in _open_meanwhile():
            return get_response(request)
        if request.headers.get("Accept") == "application/json":
            return JsonResponse({"errors": [sentence("password_first")]}, status=403)
        return redirect("admin:password_change")

    return respond


def _open_meanwhile() -> set[str]:
    return {reverse("admin:password_change"), reverse("admin:logout"), reverse("admin:jsi18n")}


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

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "old_password" in given and given["old_password"] == given.get("new_password1"):
            self.add_error("new_password1", sentence("password_same"))
        return given

    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        FirstPassword.objects.filter(user=user).delete()
        record(Kind.PASSWORD_CHANGED, user, user, "The own one.")
        return user


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        self.request.session.pop(FIRST, None)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**admin.site.each_context(self.request), **kwargs)
        if self.request.session.get(FIRST):
            context["title"] = sentence("password_first").removesuffix(".")
        return context


def change_password(request: HttpRequest) -> HttpResponseBase:
    """As the admin's own, whose form cannot be chosen."""
    return admin.site.admin_view(OwnPasswordView.as_view(), cacheable=True)(request)
