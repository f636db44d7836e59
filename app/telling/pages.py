"""The page on which somebody chooses how to be told when an upload is done."""

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from app.audit.recording import record
from app.errors import NotSent
from app.models import Kind, Notice, TellMe, TellWhen
from app.needing import needing
from app.reasons import sentence
from app.wording import listed

from . import mail, webhook
from .messages import trial_json, trial_letter

LAST = 5  # messages shown
TRIAL = "icon-test"  # in place of a message's key

may_be_told = needing("app.view_dicomfile")


class TellMeForm(forms.ModelForm):  # type: ignore[type-arg]
    """How somebody is told; the address for e-mail is the account's own."""

    email = forms.EmailField(label="Your e-mail address", required=False)

    class Meta:
        model = TellMe
        fields = ("by_email", "webhook_url", "when")
        labels = {"by_email": "By e-mail", "webhook_url": "Webhook", "when": "Tell me of"}
        widgets = {"when": forms.RadioSelect(attrs={"class": "form-check-input"})}

    def __init__(self, data: Any, wish: TellMe) -> None:
        super().__init__(data, instance=wish, label_suffix="")
        self.fields["email"].initial = self.instance.user.email
        self.fields["email"].widget.attrs |= {"class": "form-control", "autocomplete": "email"}
        self.fields["webhook_url"].widget.attrs |= {
            "class": "form-control",
            "inputmode": "url",
            "autocomplete": "off",
            "placeholder": "https://",
        }
        self.fields["by_email"].widget.attrs["class"] = "form-check-input"
        if not mail.is_set_up():
            del self.fields["by_email"], self.fields["email"]

    def clean_webhook_url(self) -> str:
        url: str = self.cleaned_data["webhook_url"]
        if url:
            try:
                webhook.target_of(url)
            except NotSent as why:
                raise forms.ValidationError(why.sentence) from None
        return url

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("by_email") and "email" in given and not given["email"]:
            self.add_error("email", sentence("mail_no_address"))
        return given

    def save(self, commit: bool = True) -> TellMe:
        if "email" in self.changed_data:
            user = self.instance.user
            user.email = self.cleaned_data["email"]
            user.save(update_fields=["email"])
        wish: TellMe = super().save(commit)
        return wish


@staff_member_required
@may_be_told
@require_http_methods(["GET", "HEAD", "POST"])
def tell_me(request: HttpRequest) -> HttpResponse:
    """Show how somebody is told, and change it; with `test`, send a message by each way at once."""
    wish = _wish_of(request)
    form = TellMeForm(request.POST if request.method == "POST" else None, wish)
    if form.is_valid():
        _save(form)
        messages.success(request, sentence("tell_me_saved"))
        if "test" in request.POST:
            _send_test(request, wish)
        return redirect("tell_me")
    return _page(request, wish, form, status=400 if form.errors else 200)


@staff_member_required
@may_be_told
@require_POST
def tell_me_secret(request: HttpRequest) -> HttpResponse:
    """Make a secret that signs what is posted, and show it this once; with `off` sign no more."""
    wish = _wish_of(request)
    if not wish.webhook_url:
        return redirect("tell_me")  # nothing is posted that could be signed
    wish.webhook_secret = "" if "off" in request.POST else secrets.token_urlsafe(32)
    with transaction.atomic():
        wish.save()
        record(Kind.CHANGED, wish.user, wish.user, "The secret of its webhook.")
    if "off" in request.POST:
        messages.success(request, sentence("hook_unsigned"))
        return redirect("tell_me")
    return _page(request, wish, TellMeForm(None, wish), secret=wish.webhook_secret)


def _wish_of(request: HttpRequest) -> TellMe:
    """How this person is told, as it is kept, or as it is before anything was chosen."""
    assert isinstance(request.user, User)
    wish = TellMe.objects.filter(user=request.user).first() or TellMe()
    wish.user = request.user
    wish.icon_url = request.build_absolute_uri("/").rstrip("/")[:300]
    return wish


@transaction.atomic
def _save(form: TellMeForm) -> None:
    wish = form.save()
    host = f" ({webhook.target_of(wish.webhook_url).host})" if wish.webhook_url else ""
    ways = listed(way.label for way in wish.ways) or "in no way"
    words = f"Is told of ended uploads {ways}{host}. {TellWhen(wish.when).label}."
    record(Kind.CHANGED, wish.user, wish.user, words)


def _send_test(request: HttpRequest, wish: TellMe) -> None:
    if not wish.ways:
        messages.warning(request, sentence("tell_me_no_way"))
    if wish.by_email:
        try:
            mail.send(wish.user.email, trial_letter(wish), f"{TRIAL}-{secrets.token_hex(8)}")
        except NotSent as why:
            messages.error(request, f"E-mail: {why.sentence}")
        else:
            messages.success(request, sentence("mail_test_sent", to=wish.user.email))
    if wish.webhook_url:
        try:
            webhook.post(wish.webhook_url, trial_json(wish), TRIAL, wish.webhook_secret)
        except NotSent as why:
            messages.error(request, f"Webhook: {why.sentence}")
        else:
            messages.success(request, sentence("hook_test_sent"))


def _page(
    request: HttpRequest, wish: TellMe, form: TellMeForm, secret: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "title": "Tell me when an upload is done",
        "form": form,
        "wish": wish,
        "is_kept": not wish._state.adding,
        "mail_is_set_up": mail.is_set_up(),
        "mail_not_set_up": sentence("mail_not_set_up"),
        "secret": secret,
        "last": Notice.objects.filter(user=request.user.pk).order_by("-pk")[:LAST],
    }
    return render(request, "telling/tell_me.html", context, status=status)
