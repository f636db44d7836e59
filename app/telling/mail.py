"""E-mail, by Django's backend: is it set up, send one, and why it could not be sent."""

import smtplib
import socket
import ssl
from contextlib import suppress

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from app.errors import NotSent

from .messages import Letter

REFUSED = 500  # and above: an SMTP reply that another try does not change


def is_set_up() -> bool:
    return bool(settings.ICON_EMAIL_HOST)


def send(to: str, letter: Letter, key: str) -> None:
    """Send a letter; one that is sent again has the same key, by which mail programs know it.

    Raises
    ------
    NotSent
        It was not sent, or nobody knows.
    """
    if not is_set_up():
        raise NotSent("mail_not_set_up")
    if not to:
        raise NotSent("mail_no_address")
    host = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    headers = {"Message-ID": f"<{key}@{host}>", "Auto-Submitted": "auto-generated"}
    message = EmailMessage(letter.subject, letter.text, to=[to], headers=headers)
    server = get_connection()
    try:
        server.open()
        server.send_messages([message])
    except OSError as error:  # as all of SMTP's are
        raise _not_sent(error) from error
    finally:
        with suppress(OSError):  # what was sent stays sent
            server.close()


def _not_sent(error: OSError) -> NotSent:
    match error:
        case smtplib.SMTPAuthenticationError():
            return NotSent("mail_sign_in")
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            return NotSent("mail_address_refused" if min(codes) >= REFUSED else "mail_busy")
        case smtplib.SMTPNotSupportedError():
            return NotSent("mail_no_tls")
        case smtplib.SMTPResponseException():
            return NotSent("mail_refused" if error.smtp_code >= REFUSED else "mail_busy")
        case ssl.SSLError():
            return NotSent("mail_no_tls")
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, TimeoutError):
            return NotSent("mail_no_answer")
        case TimeoutError():
            return NotSent("mail_no_answer")
        case ConnectionRefusedError():
            return NotSent("mail_connection_refused")
        case socket.gaierror():
            return NotSent("mail_host_unknown")
    return NotSent("mail_connection_lost")
