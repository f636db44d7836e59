#!/usr/bin/env python3
"""Times the transfer of one large ZIP over HTTP, from its first byte to the answer.

    python benchmarks/upload_speed.py [--gigabytes 1] [--runs 5]

It starts gunicorn as the README does, on a data folder of its own, and sends a ZIP of random bytes
over the loopback interface, again and again. The processor time is the server's alone; the time
holds the sender's share, too, and that of the disk: an upload is written out before it is answered.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import (
    ROOT,
    machine,
    migrate,
    processor_of,
    python,
    settle,
    sizes_of,
)
from served import free_port, wait_for

BLOCK = 16_000_000  # bytes
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gWq"
TOKEN = "a" * 32  # of nobody: the CSRF check asks only that header and cookie agree
SIGN_IN = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.create_superuser("benchmark"))
print(client.cookies["sessionid"].value)
"""


@dataclass(frozen=True)
class Sent:
    seconds: float
    processor: float  # seconds, of the server


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/icon-benchmarks"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        archive = make_zip(Path(scratch) / "a.zip", arguments.gigabytes)
        with running(Path(scratch) / "var") as server, sizes_of(server.pid) as sizes:
            send(server, archive)  # the first brings its code into memory
            before = sizes[-1]
            runs = [send(server, archive) for _ in range(arguments.runs)]
        gigabytes = archive.stat().st_size / 1e9
    rates = [1000 * gigabytes / run.seconds for run in runs]
    print(f"{machine()}\n{gigabytes:.2f} GB, {len(runs)} times:")
    print(f"median {median(rates):.0f} MB/s, {min(rates):.0f} to {max(rates):.0f}")
    used = [run.processor / gigabytes for run in runs]
    print(f"median {median(used):.2f} s of processor a GB, {min(used):.2f} to {max(used):.2f}")
    print(f"the server's memory: {before / 1e6:.0f} MB before, {max(sizes) / 1e6:.0f} MB at most")


def make_zip(path: Path, gigabytes: float) -> Path:
    block = os.urandom(BLOCK)
    with zipfile.ZipFile(path, "w") as archive, archive.open("noise", "w", force_zip64=True) as out:
        for _ in range(round(gigabytes * 1e9 / BLOCK)):
            out.write(block)
    return path


@dataclass(frozen=True)
class Server:
    at: str
    pid: int
    media: Path
    session: str


@contextmanager
def running(var: Path) -> Iterator[Server]:
    """A web server on a data folder of its own, and a session of who may upload."""
    migrate(var)
    os.environ["DJANGO_SETTINGS_MODULE"] = "icon.settings"
    session = python(var, "-c", SIGN_IN).output.strip()
    at = f"127.0.0.1:{free_port()}"
    icon = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", at, "--log-level", "warning", "icon.wsgi"],
        env=os.environ | {"ICON_VAR": str(var), "ICON_SECRET_KEY": ""},
        cwd=ROOT,
    )
    try:
        wait_for(f"http://{at}")
        yield Server(at, icon.pid, var / "media", session)
    finally:
        icon.terminate()
        icon.wait()


def send(server: Server, archive: Path) -> Sent:
    settle(archive)
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection(server.at, timeout=600)
    used, begun = processor_of(server.pid), time.monotonic()
    connection.putrequest("POST", "/admin/app/dicomfile/add/")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(len(head) + archive.stat().st_size + len(tail)))
    connection.putheader("Cookie", f"sessionid={server.session}; csrftoken={TOKEN}")
    connection.putheader("X-CSRFToken", TOKEN)
    connection.putheader("Accept", "application/json")
    connection.endheaders(head)
    with archive.open("rb") as file:
        connection.sock.sendfile(file)
    connection.sock.sendall(tail)
    answer = json.load(connection.getresponse())
    sent = Sent(time.monotonic() - begun, processor_of(server.pid) - used)
    if "id" not in answer:
        raise RuntimeError(f"The upload was refused: {answer}")
    for kept in server.media.rglob("*.zip"):
        kept.unlink()
    return sent


if __name__ == "__main__":
    main()
