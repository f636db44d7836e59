"""The page on which somebody chooses how to be told, and asking to be told of one upload."""

from datetime import timedelta

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from app.accounts import roles
from app.models import (
    AskedToTell,
    AuditEntry,
    DICOMFile,
    Kind,
    Notice,
    NoticeState,
    Status,
    TellMe,
    TellWhen,
    Way,
)

PAGE, SECRET = reverse("tell_me"), reverse("tell_me_secret")
BY_MAIL = {"by_email": "on", "email": "anna@elsewhere.example.org", "when": "always"}


def text(response) -> str:
    return " ".join(response.content.decode().split())


def test_without_a_mail_server_the_page_says_whom_to_ask(anna_s):
    page = text(anna_s.get(PAGE))
    assert "E-mail is not set up. Ask whoever runs ICON to set ICON_EMAIL_HOST." in page
    assert 'name="by_email"' not in page
    anna_s.post(PAGE, BY_MAIL)
    assert not TellMe.objects.get().by_email


def test_what_is_chosen_is_kept_with_where_icon_is_and_in_the_trail(anna_s, anna, mailing):
    assert PAGE in text(anna_s.get("/admin/"))
    anna_s.post(PAGE, BY_MAIL | {"webhook_url": "https://example.org/hook?key=1", "when": "asked"})
    wish = TellMe.objects.get()
    assert (wish.by_email, wish.when) == (True, TellWhen.ASKED)
    assert wish.icon_url == "http://testserver"
    anna.refresh_from_db()
    assert anna.email == "anna@elsewhere.example.org"
    words = AuditEntry.objects.get(kind=Kind.CHANGED).words
    assert words == (
        "Is told of ended uploads by e-mail and by webhook (example.org). "
        "Only uploads of which I ask for it."
    )


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"email": ""}, "Give your e-mail address."),
        ({"email": "anna"}, "Enter a valid email address."),
        ({"webhook_url": "https://name:secret@example.org/"}, "This is no address of a webhook."),
        ({"when": "never"}, "never is not one of the available choices"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_kept(sent, said, anna_s, mailing):
    response = anna_s.post(PAGE, BY_MAIL | sent)
    assert response.status_code == 400
    assert said in text(response)
    assert not TellMe.objects.exists()


def test_a_test_is_sent_at_once_by_each_way_and_answered_in_words(anna_s, mailing, hook):
    url = f"http://127.0.0.1:{hook.port}/"
    page = text(anna_s.post(PAGE, BY_MAIL | {"webhook_url": url, "test": "1"}, follow=True))
    assert "The mail server took a message to anna@elsewhere.example.org." in page
    assert "The webhook took the test." in page
    assert mail.outbox[0].subject == "ICON: a test"
    assert b'{"test": true, "url": "http://testserver/dicom/tell-me/"}' in hook.got[0]
    url = "http://10.0.0.1/"
    page = text(anna_s.post(PAGE, {"webhook_url": url, "when": "always", "test": "1"}, follow=True))
    assert "Webhook: The webhook&#x27;s address is not a public one" in page
    page = text(anna_s.post(PAGE, {"when": "always", "test": "1"}, follow=True))
    assert "Nothing was sent: choose e-mail or a webhook first." in page


def test_the_secret_is_shown_once_and_signs_until_it_is_taken_away(anna_s, wish):
    TellMe.objects.update(webhook_url="https://example.org/")
    assert "is not signed" in text(anna_s.get(PAGE))
    page = text(anna_s.post(SECRET))
    secret = TellMe.objects.get().webhook_secret
    assert len(secret) == 43
    assert secret in page
    page = text(anna_s.get(PAGE))
    assert secret not in page
    assert "HMAC-SHA256" in page
    anna_s.post(SECRET, {"off": "1"})
    assert TellMe.objects.get().webhook_secret == ""


def test_the_last_messages_are_told(anna_s, anna, wish):
    values = {"user": anna, "facts": {}, "due_at": timezone.now(), "way": Way.EMAIL}
    failed = {"state": NoticeState.FAILED, "detail": "The mail server refuses the address."}
    Notice.objects.create(upload=7, done_at=timezone.now(), **failed, **values)
    page = text(anna_s.get(PAGE))
    assert "Upload 7</a>, by e-mail: not sent, <time" in page
    assert "The mail server refuses the address." in page


# One upload


def live(**values) -> DICOMFile:
    return DICOMFile.objects.create(
        original_name="a.zip", file="x", queued_at=timezone.now(), **values
    )


def progress_of(client, upload) -> str:
    return text(client.get(reverse("dicom_processing_progress"), {"upload": upload.pk}))


def test_one_asks_to_be_told_of_somebody_else_s_upload(anna_s, anna, wish):
    upload = live()
    ask = reverse("tell_of", args=[upload.pk])
    assert f'action="{ask}"' in progress_of(anna_s, upload)
    for _ in range(2):
        page = text(anna_s.post(ask, follow=True))
    assert "You will be sent a message when it is done." in page
    assert AskedToTell.objects.get().user == anna
    assert "You will be sent no message about this one." in text(
        anna_s.post(ask, {"off": "1"}, follow=True)
    )
    assert not AskedToTell.objects.exists()
    DICOMFile.objects.update(processing_status=Status.COMPLETED)
    assert ask not in progress_of(anna_s, upload)
    assert "It is done already." in text(anna_s.post(ask, follow=True))
    assert not AskedToTell.objects.exists()


def test_of_one_s_own_nothing_is_asked_and_without_a_way_one_is_chosen_first(anna_s, anna, wish):
    upload = live(uploaded_by=anna)
    assert "You will be sent a message when it is done<span" in progress_of(anna_s, upload)
    wish.delete()
    page = progress_of(anna_s, upload)
    assert "Send me a message when it is done…" in page
    assert reverse("tell_of", args=[upload.pk]) not in page


# Catalogue health


def test_the_health_page_tells_what_could_not_be_sent(client, anna, django_user_model, media_root):
    boss = django_user_model.objects.create_user("boss", is_staff=True)
    roles.give(boss, "Administrator")
    client.force_login(boss)
    assert "Messages about uploads" not in text(client.get(reverse("catalogue_health")))
    values = {"user": anna, "facts": {}, "due_at": timezone.now() + timedelta(hours=1)}
    why = {"reason": "mail_connection_refused", "detail": "The mail server refuses the connection."}
    for _ in range(3):
        Notice.objects.create(upload=7, way=Way.EMAIL, tries=1, **why, **values)
    page = text(client.get(reverse("catalogue_health")))
    assert "3 messages could not be sent since <time" in page
    assert "</time>: The mail server refuses the connection. They are tried again.</li>" in page
