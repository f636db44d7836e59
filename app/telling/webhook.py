"""Posting JSON to an address that somebody has typed in.

ICON stands inside a network that its users may not reach from outside, so nothing is posted to a
private address unless the operator names its host. What is looked at is the address that is then
connected to, whatever a name says the next time; no redirect is followed, and of the answer only
the first line is read.
"""

import hashlib
import hmac
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from django.conf import settings

from app.errors import NotSent

LONGEST = 500  # characters of an address
SECONDS = 10.0  # for all of it, but for asking what address a name has
FIRST_LINE = 1_000  # bytes
STATUS = re.compile(rb"HTTP/1\.[01] ([2-5][0-9]{2})[ \r\n]")
PORTS = {"http": 80, "https": 443}
BUSY = (408, 425, 429)  # besides 5xx: it may take it later

# Where an IPv6 address holds an IPv4 one in its last bits: mapped, compatible, and by NAT64.
HOLD_IPV4 = tuple(map(IPv6Network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")))


@dataclass(frozen=True, slots=True)
class Target:
    scheme: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """The parts of a webhook's address.

    Raises
    ------
    NotSent
        It is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotSent("hook_no_url") from error
    strange = not re.fullmatch("[!-~]+", url) or len(url) > LONGEST or "@" in parts.netloc
    if strange or parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise NotSent("hook_no_url")
    query = f"?{parts.query}" if parts.query else ""
    port = port or PORTS[parts.scheme]
    return Target(parts.scheme, parts.hostname, port, (parts.path or "/") + query)


def post(url: str, body: bytes, key: str, secret: str = "") -> None:
    """Post JSON, signed where there is a secret; one that is posted again has the same key.

    Raises
    ------
    NotSent
        It was not taken, or nobody knows.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "ICON", "X-ICON-Notice": key}
    if secret:
        headers["X-ICON-Signature"] = f"sha256={signature(body, secret)}"
    try:
        status = _exchange(target_of(url), body, headers)
    except TimeoutError as error:
        raise NotSent("hook_no_answer") from error
    except ssl.SSLError as error:
        raise NotSent("hook_no_tls") from error
    except ConnectionRefusedError as error:
        raise NotSent("hook_connection_refused") from error
    except (OSError, HTTPException) as error:
        raise NotSent("hook_connection_lost") from error
    if 300 <= status < 400:
        raise NotSent("hook_redirects")
    if status >= 500 or status in BUSY:
        raise NotSent("hook_busy", status=status)
    if status >= 400:
        raise NotSent("hook_refuses", status=status)


def signature(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_public(text: str) -> bool:
    """Whether an IP address is everybody's, and not of this machine or its network."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and (inner := _ipv4_in(address)):
        return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _ipv4_in(address: IPv6Address) -> IPv4Address | None:
    if address.sixtofour or address.teredo:
        return address.sixtofour or (address.teredo and address.teredo[1])
    low = int(address) & 0xFFFF_FFFF
    return IPv4Address(low) if any(address in one for one in HOLD_IPV4) else None


def _exchange(target: Target, body: bytes, headers: Mapping[str, str]) -> int:
    """Post, and read the status."""
    deadline = time.monotonic() + SECONDS
    with _connect(target, deadline) as connected:
        kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
        spoken = kind(target.host, target.port)
        spoken.sock = connected
        connected.settimeout(_left(deadline))
        spoken.request("POST", target.path, body, dict(headers))
        return _status(connected, deadline)


def _connect(target: Target, deadline: float) -> socket.socket:
    lost: OSError | None = None
    for family, address in _addresses(target):
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(_left(deadline))
            connected.connect(address)
            if target.scheme == "http":
                return connected
            connected.settimeout(_left(deadline))
            context = ssl.create_default_context()
            return context.wrap_socket(connected, server_hostname=target.host)
        except OSError as error:
            connected.close()
            lost = error
    raise lost or NotSent("hook_private")


def _addresses(target: Target) -> Iterator[tuple[int, tuple[str, int]]]:
    """Those of a host that may be connected to, as they are connected to."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NotSent("hook_host_unknown") from error
    named = {target.host, f"{target.host}:{target.port}"} & set(settings.ICON_WEBHOOK_HOSTS)
    for family, _, _, _, address in found:
        if named or is_public(str(address[0])):
            yield family, address  # type: ignore[misc]


def _status(connected: socket.socket, deadline: float) -> int:
    head = b""
    while b"\n" not in head and len(head) < FIRST_LINE:
        connected.settimeout(_left(deadline))
        part = connected.recv(FIRST_LINE)
        if not part:
            break
        head += part
    match = STATUS.match(head)
    if match is None:
        raise NotSent("hook_no_http")
    return int(match[1])


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
