"""Servers of the tests' own, that take what ICON sends; and somebody who wants to be told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from django.test import Client

from app.accounts import roles
from app.models import TellMe

HELLO_OF_TLS = b"\x16\x03"


@dataclass
class Server:
    """Answers each connection with the next of its answers, the last for ever; keeps what it got.

    None says nothing, and keeps the connection open.
    """

    answers: list[bytes | None] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]

    def serve(self) -> None:
        while not self.over.is_set():
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            with connected, suppress(OSError):
                connected.settimeout(5)
                self.speak(connected)

    def speak(self, connected: socket.socket) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        got = b""
        while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length_in(got):
            part = connected.recv(65_536)
            if not part:
                return
            got += part
            if got.startswith(HELLO_OF_TLS):
                break
        self.got.append(got)
        if answer is None:
            self.over.wait()
        else:
            connected.sendall(answer)

    def stop(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class MailServer(Server):
    """Speaks as much SMTP as is needed; `answers` are its replies, by command."""

    def speak(self, connected: socket.socket) -> None:
        replies = {b"DATA": b"354 go on", b"QUIT": b"221 bye", **self.replies}
        stream = connected.makefile("rwb")
        stream.write(b"220 ready\r\n")
        stream.flush()
        while line := stream.readline():
            command = line[:4].upper().strip()
            reply = replies.get(command, b"250 ok")
            stream.write(reply + b"\r\n")
            stream.flush()
            if command == b"DATA" and reply.startswith(b"354"):
                letter = b""
                while not letter.endswith(b"\r\n.\r\n"):
                    letter += stream.readline()
                self.got.append(letter)
                stream.write(replies.get(b".", b"250 taken") + b"\r\n")
                stream.flush()
            if command == b"QUIT":
                return

    replies: dict[bytes, bytes] = {}


def length_in(request: bytes) -> int:
    head = request.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)


def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.stop()
    thread.join()


@pytest.fixture
def hook(settings) -> Iterator[Server]:
    """A webhook that may be posted to, and takes everything."""
    server = Server([b"HTTP/1.1 204 No Content\r\n\r\n"])
    settings.ICON_WEBHOOK_HOSTS = [f"127.0.0.1:{server.port}"]
    yield from running(server)


@pytest.fixture
def mail_server(settings) -> Iterator[MailServer]:
    server = MailServer([b""])
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.ICON_EMAIL_HOST = settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = server.port, 2
    settings.EMAIL_USE_TLS = False
    settings.DEFAULT_FROM_EMAIL = "ICON <icon@example.org>"
    yield from running(server)


@pytest.fixture
def mailing(settings) -> None:
    """E-mail is set up; what is sent is kept in `django.core.mail.outbox`."""
    settings.ICON_EMAIL_HOST = "mail.example.org"
    settings.DEFAULT_FROM_EMAIL = "icon@example.org"


@pytest.fixture
def anna(db, django_user_model):
    user = django_user_model.objects.create_user("anna", "anna@example.org", is_staff=True)
    roles.give(user, "Uploader")
    return user


@pytest.fixture
def anna_s(anna) -> Client:
    client = Client()
    client.force_login(anna)
    return client


@pytest.fixture
def wish(anna) -> TellMe:
    """She is told by e-mail."""
    return TellMe.objects.create(user=anna, by_email=True, icon_url="https://icon.example.org")
