"""Posting to a webhook: what is said, to whom it is not, and every way in which it goes wrong."""

import hashlib
import hmac
import json
import socket

import pytest

from app.errors import NotSent
from app.telling import webhook

BODY = json.dumps({"upload": 7}).encode()


def post(server, **more) -> None:
    webhook.post(f"http://127.0.0.1:{server.port}/hook?key=1", BODY, "icon-7", **more)


def why_not(url: str) -> str:
    with pytest.raises(NotSent) as raised:
        webhook.post(url, BODY, "icon-7")
    return raised.value.code


def test_it_posts_json_with_the_key_of_the_message(hook):
    post(hook)
    head, _, body = hook.got[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?key=1 HTTP/1.1"
    assert {"Content-Type: application/json", "X-ICON-Notice: icon-7"} <= {*lines}
    assert f"Host: 127.0.0.1:{hook.port}" in lines
    assert "X-ICON-Signature" not in head.decode()
    assert body == BODY


def test_with_a_secret_the_body_is_signed(hook):
    post(hook, secret="a secret")
    wanted = hmac.new(b"a secret", BODY, hashlib.sha256).hexdigest()
    assert f"\r\nX-ICON-Signature: sha256={wanted}\r\n".encode() in hook.got[0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "hook_redirects"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "hook_refuses"),
        (b"HTTP/1.0 500 Oh\r\n\r\n", "hook_busy"),
        (b"HTTP/1.1 429 Slow down\r\n\r\n", "hook_busy"),
        (b"", "hook_no_http"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "hook_no_http"),
        (b"HTTP/1.1 999 Odd\r\n\r\n", "hook_no_http"),
        (b"x" * 50_000, "hook_no_http"),
    ],
)
def test_what_is_answered_is_told_in_words(answer, code, hook):
    hook.answers = [answer]
    assert why_not(f"http://127.0.0.1:{hook.port}/") == code
    assert len(hook.got) == 1


def test_of_a_long_answer_only_the_beginning_is_read(hook):
    hook.answers = [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000]
    post(hook)


def test_one_that_does_not_answer_is_given_up(hook, monkeypatch):
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    hook.answers = [None]
    assert why_not(f"http://127.0.0.1:{hook.port}/") == "hook_no_answer"


def test_one_that_is_not_there_refuses_the_connection(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.ICON_WEBHOOK_HOSTS = ["127.0.0.1"]
    assert why_not(f"http://127.0.0.1:{port}/") == "hook_connection_refused"


def test_one_that_speaks_no_tls_is_told_nothing(hook):
    hook.answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    assert why_not(f"https://127.0.0.1:{hook.port}/") == "hook_no_tls"
    assert BODY not in hook.got[0]


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://127.1:{port}/"),
        *("http://2130706433:{port}/", "http://0:{port}/", "http://[::ffff:127.0.0.1]:{port}/"),
    ],
)
def test_nothing_is_posted_to_this_machine_by_whatever_name(url, hook, settings):
    settings.ICON_WEBHOOK_HOSTS = ["elsewhere.example.org", f"127.0.0.1:{hook.port + 1}"]
    assert why_not(url.format(port=hook.port)) == "hook_private"
    assert hook.got == []


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.1:{port}"])
def test_an_operator_names_hosts_with_or_without_their_port(named, hook, settings):
    settings.ICON_WEBHOOK_HOSTS = [named.format(port=hook.port)]
    post(hook)
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1"),
        *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::10.0.0.1", "64:ff9b::a00:1"),
        *("64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:a00:1::f5ff:fffe"),
    ],
)
def test_addresses_of_networks_inside_are_not_public(address):
    assert not webhook.is_public(address)


@pytest.mark.parametrize("address", ["9.9.9.9", "2606:4700::1111", "::ffff:9.9.9.9"])
def test_other_addresses_are(address):
    assert webhook.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "example.org", "https://", "https:///x", "file:///etc/passwd"),
        *("https://name:secret@example.org/", "https://example.org:0/", "https://example.org:x/"),
        *("https://example.org/ x", "https://example.org/\r\nX: y", "https://exämple.org/"),
        *("https://[::1/", "https://example.org/" + "x" * 500),
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused(url):
    assert why_not(url) == "hook_no_url"
