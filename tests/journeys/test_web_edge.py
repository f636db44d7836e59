"""What the web server takes from strangers: bytes, connections, words in its logs."""

import io
import re
import socket
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from app.reasons import sentence
from app.wording import human_size

ADD = reverse("admin:app_dicomfile_add")
TOKEN = "a" * 32  # of nobody: the CSRF check asks only that form and cookie agree
BOUNDARY = "edge"
BEFORE = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{TOKEN}\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
).encode()
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
ANSWER_SECONDS = 20  # at most, on a busy machine


def head(path: str, kind: str = MULTIPART, length: str = "50000000", more: str = "") -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        f"Content-Length: {length}" if length else "Transfer-Encoding: chunked",
        f"Cookie: csrftoken={TOKEN}{more}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def connect(live) -> socket.socket:
    host, port = live.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), ANSWER_SECONDS)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# Bytes

PAGES = (ADD, "/admin/login/", "/", "/dicom/process/1/", "/unknown/")
KINDS = (
    "application/x-www-form-urlencoded",
    "application/json",
    "application/octet-stream",
    MULTIPART,
)


def is_refused(answer: bytes) -> bool:
    return re.match(rb"HTTP/1.1 (400|403|404|405|413) ", answer) is not None


def test_a_stranger_s_large_body_is_refused_unread_and_the_connection_closed(live, media_root):
    for path in PAGES:
        for session in ("", "; sessionid=made-up"):
            with connect(live) as stranger:
                stranger.sendall(head(path, more=session) + BEFORE + bytes(200_000))
                assert is_refused(stranger.recv(65_536))
                assert files_below(media_root) == []
                while stranger.recv(65_536):  # until its end
                    pass


@pytest.mark.parametrize("length", ["50000000", "10", ""], ids=["true", "too small", "none"])
def test_a_body_of_any_kind_and_length_is_refused_unread(live, media_root, length):
    for path in PAGES:
        for kind in KINDS:
            with connect(live) as stranger:
                size = b"" if length else b"2faf080\r\n"  # of the first of its chunks
                stranger.sendall(head(path, kind, length) + size + BEFORE + bytes(100_000))
                assert is_refused(stranger.recv(65_536))
                assert files_below(media_root) == []


@pytest.fixture
def nowhere(settings, tmp_path) -> None:
    """No place to write an upload to: who tries gets an error."""
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "absent"


class Unread(io.BytesIO):
    def read(self, size: int = -1) -> bytes:
        pytest.fail("the body was read")


def send(client: Client, path: str = ADD, **more):
    """A form with a file in it, and a token that passes."""
    client.cookies["csrftoken"] = TOKEN
    file = SimpleUploadedFile("a.zip", b"PK" * 1_000)
    return client.post(path, {"csrfmiddlewaretoken": TOKEN, "file": file}, **more)


def staff(*permissions: str) -> Client:
    user = get_user_model().objects.create_user("some", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_s_small_file_is_not_written(nowhere, path):
    client = Client(enforce_csrf_checks=True)
    assert send(client, path).status_code in (200, 302, 404, 405)


@pytest.mark.django_db
@pytest.mark.parametrize("permissions", [(), ("view_dicomfile",)])
def test_a_file_of_who_may_not_upload_is_not_written(nowhere, permissions):
    client = staff(*permissions)
    assert send(client).status_code == 403
    large = {"CONTENT_LENGTH": "50000000", "wsgi.input": Unread()}
    assert send(client, **large).status_code == 403


@pytest.mark.django_db
def test_who_may_upload_writes_files_on_the_page_for_it_only(nowhere):
    client = staff("add_dicomfile", "view_dicomfile")
    assert send(client, "/admin/password_change/").status_code == 200
    large = {"CONTENT_LENGTH": "50000000", "wsgi.input": Unread()}
    assert send(client, "/admin/password_change/", **large).status_code == 403
    with pytest.raises(FileNotFoundError):
        send(client, ADD)


@pytest.mark.django_db(transaction=True)
def test_what_is_too_large_is_said_before_it_is_sent(settings, media_root, processed_root):
    settings.ICON_MAX_UPLOAD = 5_000_000
    client = staff("add_dicomfile", "view_dicomfile")
    limit = sentence("upload_too_large", limit=human_size(5_000_000))
    large = {"CONTENT_LENGTH": "6000001", "wsgi.input": Unread()}
    page = send(client, **large)
    assert page.status_code == 413
    assert limit in page.content.decode()
    script = send(client, headers={"Accept": "application/json"}, **large)
    assert (script.status_code, script.json()) == (413, {"errors": [limit]})


@pytest.mark.django_db(transaction=True)
def test_a_transfer_holds_no_database_connection(media_root, processed_root):
    held = []

    class Watched(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            held.append(connection.connection)
            return super().read(size)

    client = staff("add_dicomfile", "view_dicomfile")
    body = BEFORE + b"PK" * 100_000 + f"\r\n--{BOUNDARY}--\r\n".encode()
    send(client, **{"CONTENT_TYPE": MULTIPART, "CONTENT_LENGTH": str(len(body))},
         **{"wsgi.input": Watched(body)})  # fmt: skip
    assert set(held) == {None}
