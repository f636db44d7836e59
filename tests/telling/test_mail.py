"""E-mail through a real mail server, and every way in which it goes wrong."""

import socket

import pytest

from app.errors import NotSent
from app.telling import mail
from app.telling.messages import Letter

LETTER = Letter("ICON: upload 7: Completed", "Upload 7 has ended.\n")


def why_not() -> str:
    with pytest.raises(NotSent) as raised:
        mail.send("anna@example.org", LETTER, "icon-7")
    return raised.value.code


def test_a_letter_arrives_with_its_key(mail_server):
    mail.send("anna@example.org", LETTER, "icon-7")
    letter = mail_server.got[0].decode()
    for line in (
        *(
            "From: ICON <icon@example.org>",
            "To: anna@example.org",
            "Auto-Submitted: auto-generated",
        ),
        *("Subject: ICON: upload 7: Completed", "Message-ID: <icon-7@example.org>"),
        "Upload 7 has ended.",
    ):
        assert f"{line}\r\n" in letter


@pytest.mark.parametrize(
    ("command", "reply", "code"),
    [
        (b"RCPT", b"550 no such user", "mail_address_refused"),
        (b"RCPT", b"451 later", "mail_busy"),
        (b"MAIL", b"550 not from you", "mail_refused"),
        (b"DATA", b"554 no", "mail_refused"),
        (b".", b"452 full", "mail_busy"),
    ],
)
def test_what_the_server_replies_is_told_in_words(command, reply, code, mail_server):
    mail_server.replies = {command: reply}
    assert why_not() == code


def test_a_server_that_offers_no_encryption_is_told_none(mail_server, settings):
    settings.EMAIL_USE_TLS = True
    assert why_not() == "mail_no_tls"
    assert mail_server.got == []


def test_a_server_that_is_not_there_refuses_the_connection(mail_server, settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.EMAIL_PORT = listener.getsockname()[1]
        settings.EMAIL_TIMEOUT = 0.2
        assert why_not() == "mail_no_answer"
    assert why_not() == "mail_connection_refused"


def test_without_a_server_or_an_address_nothing_is_tried(mailing, settings):
    with pytest.raises(NotSent, match="mail_no_address"):
        mail.send("", LETTER, "icon-7")
    settings.ICON_EMAIL_HOST = ""
    assert why_not() == "mail_not_set_up"
