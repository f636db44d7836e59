"""What the web server takes from strangers: bytes, connections, words in its logs."""

import gc
import io
import os
import re
import runpy
import socket
import struct
import time
import urllib.request
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as project
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from app.reasons import sentence
from app.uploads.removal import STALE_UPLOAD, remove_stale_uploads
from app.wording import human_size
from icon.server import IDLE_SECONDS, give_up_the_idle
from tests.conftest import wait_until

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
def session(staff_client) -> str:
    return f"; sessionid={staff_client.cookies['sessionid'].value}"


def slow(kind: str, session: str) -> bytes:
    """The beginning of a request that never ends."""
    form = "application/x-www-form-urlencoded"
    return {
        "headers": b"GET /admin/login/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "bodies": head("/admin/login/", form, "900000") + b"username=",
        "uploads": head(ADD, more=session) + BEFORE + bytes(300_000),  # more than one read
    }[kind]


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


@pytest.mark.database
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


def age(path: Path) -> None:
    old = time.time() - 2 * STALE_UPLOAD
    os.utime(path, (old, old))


def test_what_a_killed_server_left_is_removed_and_no_running_upload(live, session, media_root):
    with connect(live) as uploading:
        uploading.sendall(slow("uploads", session))
        [file] = wait_until(lambda: files_below(media_root), "the upload's file")
        age(file)
        assert remove_stale_uploads() == 0
        live.service.kill()
        assert files_below(media_root) == [file]
        wait_until(remove_stale_uploads, "its file to be let go of")
        assert files_below(media_root) == []


def test_a_file_that_has_only_just_come_is_left_alone(media_root):
    new = media_root / "tmp" / "new.upload.zip"
    new.touch()
    assert remove_stale_uploads() == 0
    age(new)
    assert remove_stale_uploads() == 1


def test_what_a_broken_transfer_leaves_is_gone_within_the_hour(settings):
    schedule = settings.CELERY_BEAT_SCHEDULE["remove_stale_uploads"]["schedule"]
    minutes = sorted(schedule.minute)
    longest = max(after - before for before, after in pairwise([*minutes, minutes[0] + 60]))
    assert STALE_UPLOAD + longest * 60 <= 3_600


# Connections

MANY = 34
PAGE_SECONDS = 30  # they take 0.01 s on an idle machine; with no thread left they never come


def test_many_slow_connections_leave_pages_answering(start_live, session):
    live = start_live(workers=2)
    for kind in ("headers", "bodies", "uploads"):
        with ExitStack() as stack:
            for _ in range(MANY):
                stack.enter_context(connect(live)).sendall(slow(kind, session))
            for _ in range(5):
                page = urllib.request.urlopen(f"{live.url}/admin/login/", timeout=PAGE_SECONDS)
                with page:
                    assert page.status == 200


def test_a_transfer_is_received_into_memory_that_is_there_already(live, session, media_root):
    server = live.service.process.pid
    [worker] = Path(f"/proc/{server}/task/{server}/children").read_text().split()

    def page_faults() -> int:
        return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[7])

    with connect(live) as sender:
        sender.sendall(head(ADD, length="101000000", more=session) + BEFORE + bytes(1_000_000))
        wait_until(lambda: files_below(media_root), "its first bytes")
        before = page_faults()
        for _ in range(99):
            sender.sendall(bytes(1_000_000))
        assert page_faults() - before < 5_000  # 24,000 for each time that all of it is copied anew


def test_a_client_that_says_nothing_does_not_hold_its_connection_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        give_up_the_idle(SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listener)]))
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                longest = accepted.getsockopt(socket.SOL_SOCKET, option, 16)
                assert struct.unpack("ll", longest) == (IDLE_SECONDS, 0)


def test_a_web_server_leaves_most_of_postgresql_s_connections_to_others():
    served = runpy.run_path(str(project.BASE_DIR / "gunicorn.conf.py"))
    most = int(re.search(r'"max_size": (\d+)', (project.BASE_DIR / "icon/wsgi.py").read_text())[1])
    assert served["workers"] * most <= 40  # of the 100 that PostgreSQL has by default


# Words in the logs

JANE = "ZZJANE"
REQUESTS = {
    "a malformed header": f"GET / HTTP/1.1\r\nHost: localhost\r\nX-Name {JANE}: 1\r\n\r\n",
    "a malformed line": f"{JANE} {JANE * 300} {JANE}\r\n\r\n",
    "a line too long": f"GET /{JANE * 2_000} HTTP/1.1\r\n\r\n",
    "another host": f"GET / HTTP/1.1\r\nHost: {JANE}\r\n\r\n",
    "an unknown address": f"GET /{JANE * 500} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another method": f"{JANE} /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another origin": (
        "POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        f"Origin: https://{JANE}\r\n\r\n"
    ),
    "no form": (
        f"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken={TOKEN}\r\n"
        f"Content-Type: multipart/form-data; boundary={JANE * 50}\r\nContent-Length: 3\r\n\r\nabc"
    ),
}


def test_the_logs_say_what_happened_in_words_that_no_request_brought(start_live):
    live = start_live()
    for request in REQUESTS.values():
        with connect(live) as stranger:
            stranger.sendall(request.encode())
            assert re.match(rb"HTTP/1.1 4", stranger.recv(65_536))

    def lines() -> list[str]:
        said = live.service.output.splitlines()
        return [line for line in said if "WARNING" in line or "ERROR" in line]

    wait_until(lambda: len(lines()) >= len(REQUESTS), "a line of each")
    assert len(lines()) == len(REQUESTS)
    assert JANE not in live.service.output
    assert max(map(len, lines())) <= 200
    told = ("InvalidHeaderName", "Origin checking failed", "400 at /admin/login/", "DisallowedHost")
    assert [words for words in told if words not in live.service.output] == []


def test_the_garbage_collector_passes_over_what_a_process_has_read():
    served = runpy.run_path(str(project.BASE_DIR / "gunicorn.conf.py"))
    gc.unfreeze()
    served["post_fork"](None, None)
    assert gc.get_freeze_count() > 100_000
