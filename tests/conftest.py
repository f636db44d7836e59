"""Shared fixtures: storage of a test's own, staff, and the real services.

A service that this machine lacks skips the test and names what to install; with
ICON_NO_SKIPS=1, as in continuous integration, it fails the test.
"""

import contextlib
import gc
import os
import pwd
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pytest
import redis
from django.apps.registry import Apps
from django.conf import settings as project
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import ConnectionHandler, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.test import TransactionTestCase

from app.catalogue.stacks import RECENT
from app.health.verify import verify
from app.management.commands.import_archive import keep_copy
from app.management.commands.up import broker_command
from app.models import DICOMFile
from app.uploads import batches, ingest
from app.viewing.pictures import READERS
from icon.processes import child_of_this
from icon.settings import database
from tests.making.objects import ct_image, uid, zip_of
from tests.making.pristine import Pristine

Found = TypeVar("Found")

START_SECONDS = 60
BROWSER_SECONDS = 30  # for what somebody waits in a browser, on a busy machine
FIRST = "0001_initial"
MIGRATED = (
    Path(os.environ["ICON_VAR"]) / "migrated.sqlite3"
)  # a copy of the tests' own, as it began


def lacking(what: str, package: str) -> None:
    """Skip this test, or fail it where nothing may be skipped."""
    sentence = f"no {what} on this machine: apt-get install {package}"
    if os.environ.get("ICON_NO_SKIPS") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


def wait_until(find: Callable[[], Found], what: str, seconds: float = START_SECONDS) -> Found:
    """What was found in the end, for another look may find something else."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return found


def pytest_collection_finish() -> None:
    """Spare the collector of garbage all that stays to the end: the modules and the tests."""
    gc.collect()
    gc.freeze()


# Storage


@pytest.fixture
def processed_root(settings, tmp_path) -> Path:
    settings.ICON_PROCESSED_ROOT = tmp_path / "processed"
    settings.ICON_PROCESSED_ROOT.mkdir()
    return settings.ICON_PROCESSED_ROOT


@pytest.fixture
def media_root(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.FILE_UPLOAD_TEMP_DIR = settings.MEDIA_ROOT / "tmp"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True)
    return settings.MEDIA_ROOT


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> Iterator[None]:
    """Also how a test that commits gives the database back: see `tests/making/pristine.py`."""
    with django_db_blocker.unblock():
        pristine = Pristine()
        if connection.vendor == "sqlite":
            with contextlib.closing(sqlite3.connect(MIGRATED)) as copy:
                connection.connection.backup(copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: pristine.bring_back())
        patch.setattr(TransactionTestCase, "_should_reload_connections", lambda _: met_an_error())
        yield


def met_an_error() -> bool:
    """Whether a connection is to be made anew; one that works spares the next test 40 ms."""
    return any(one.errors_occurred for one in connections.all(initialized_only=True))


@pytest.fixture(scope="session", autouse=True)
def _picture_readers() -> Iterator[None]:
    """The children that pictures were asked of stay, for the next."""
    yield
    READERS.close()


@pytest.fixture(scope="session", autouse=True)
def _batches_by_number() -> None:
    """On a busy machine a batch ends early, and rows would have other keys: not in this process."""
    batches.MOST_SECONDS = float("inf")


@pytest.fixture(autouse=True)
def _recent_stacks() -> Iterator[None]:
    """Rows of the next test have the same keys."""
    yield
    RECENT.forget()


# People


@pytest.fixture
def staff_user(db):
    """A member of staff with every permission."""
    return get_user_model().objects.create_superuser("staff", password="staff-password")


@pytest.fixture
def staff_client(client, staff_user):
    client.force_login(staff_user)
    return client


# Processes


def outside() -> dict[str, str]:
    """The environment without what the tests have set in it."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("ICON_", "DJANGO_"))}


@dataclass
class Service:
    """A process of a test's own, with its output in a file."""

    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    clean: bool = False  # nothing of the tests' own environment
    user: str | None = None
    process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**(outside() if self.clean else os.environ), **self.environment},
                cwd=project.BASE_DIR if self.user is None else "/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user,
                preexec_fn=child_of_this(signal.SIGKILL),
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def says(self, text: str) -> bool:
        assert self.process.poll() is None, f"{self.command[0]} ended:\n{self.output[-3000:]}"
        return text in self.output

    def stop(self, sent: signal.Signals = signal.SIGTERM, seconds: float = 15) -> None:
        """Stop it, and whatever it has started."""
        if self.process is None:
            return
        self.process.send_signal(sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Kill it and whatever it has started, as a power cut would."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def database_url() -> str:
    """The test database, as another process is told of it."""
    kept = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{kept['NAME']}"
    password = f":{quote(kept['PASSWORD'], safe='')}" if kept["PASSWORD"] else ""
    host = quote(kept["HOST"], safe="")
    return f"postgres://{kept['USER']}{password}@{host}:{kept['PORT']}/{kept['NAME']}"


def environment_of(processed_root: Path, media_root: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "icon.settings",
        "ICON_DATABASE_URL": database_url(),
        "ICON_PROCESSED_ROOT": str(processed_root),
        "ICON_MEDIA_ROOT": str(media_root),
    }


@pytest.fixture
def environment(transactional_db, processed_root, media_root) -> dict[str, str]:
    """What makes another process of ICON share this test's database and files."""
    return environment_of(processed_root, media_root)


@pytest.fixture
def start(request, tmp_path) -> Iterator[Callable[..., Service]]:
    """Start processes that end with the test, before its tables are emptied."""
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    services: list[Service] = []

    def begin(name: str, command: list[str], environment: dict[str, str]) -> Service:
        log = tmp_path / f"{name}-{len(services)}.log"
        services.append(Service(command, log, environment))
        services[-1].start()
        return services[-1]

    yield begin
    for service in reversed(services):
        service.kill()  # what a worker has to end in peace takes two seconds, and nobody looks


# Brokers


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return client.ping()
    return False


@pytest.fixture(scope="session")
def valkey() -> Iterator[Service]:
    """The broker that `manage.py up` embeds, at the address of tests/settings.py."""
    path = Path(project.CELERY_BROKER_URL.removeprefix("redis+socket://"))
    service = Service(broker_command(path, path.parent / "broker"), path.with_suffix(".log"))
    service.start()
    with redis.Redis(unix_socket_path=str(path)) as client:
        wait_until(lambda: answers(client), "the broker")
    yield service
    service.stop()


@pytest.fixture
def broker(valkey) -> Iterator[redis.Redis]:
    """The broker, empty."""
    path = project.CELERY_BROKER_URL.removeprefix("redis+socket://")
    with redis.Redis(unix_socket_path=path) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def mortal_broker(request, valkey, broker, tmp_path) -> Iterator[Service]:
    """A broker to be killed: the embedded one, or with the parameter "redis" a Redis server."""
    if request.param == "valkey":
        yield valkey
        return
    binary = shutil.which("redis-server") or lacking("Redis server", "redis-server")
    valkey.stop()
    path = Path(project.CELERY_BROKER_URL.removeprefix("redis+socket://"))
    options = broker_command(path, tmp_path / "redis")[1:]
    service = Service([binary, *options], tmp_path / "redis.log")
    begin(service, broker)
    yield service
    service.stop()
    begin(valkey, broker)


def begin(service: Service, client: redis.Redis) -> None:
    service.start()
    wait_until(lambda: answers(client), "the broker")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[str]:
    """The URL of a Redis server of Debian's, on a free port."""
    binary = shutil.which("redis-server") or lacking("Redis server", "redis-server")
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    service = Service([*command, "--save", ""], folder / "log")
    service.start()
    with redis.Redis(port=port) as client:
        wait_until(lambda: answers(client), "the Redis server")
    yield f"redis://127.0.0.1:{port}/0"
    service.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# PostgreSQL


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL server."""
    with running_postgres() as (url, _):
        yield url


@contextlib.contextmanager
def running_postgres() -> Iterator[tuple[str, Service]]:
    """An empty PostgreSQL server, which listens on a Unix socket only: its URL and process."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    binaries = found[-1] if found else lacking("PostgreSQL server", "postgresql")
    folder = Path(tempfile.mkdtemp(prefix="icon-pg-", dir="/tmp"))
    folder.chmod(0o711)  # also a process that may not override permissions reaches the socket
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    initialise = [binaries / "initdb", "-D", data, "-U", "icon", "-A", "trust", "-E", "UTF8"]
    subprocess.run(
        [*initialise, "--no-sync"], check=True, capture_output=True, user=user, cwd=folder
    )
    command = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder)]
    options = ["-c", "listen_addresses=", "-c", "fsync=off"]
    service = Service([*command, *options], folder / "log", user=user)
    service.start()
    wait_until(lambda: service.says("ready to accept connections"), "PostgreSQL")
    yield f"postgres://icon@{quote(str(folder), safe='')}:5432/postgres", service
    service.stop(signal.SIGQUIT)  # at once: its folder goes, too
    shutil.rmtree(folder)


EACH = ("sqlite", "postgresql")
ON_POSTGRESQL = "ICON_TEST_DATABASE_URL" in os.environ  # see tests/journeys/test_postgresql.py
# What is about locks: PostgreSQL's each time, and SQLite's one with `-m long`.
locks = pytest.mark.database if ON_POSTGRESQL else pytest.mark.long


def often_on(kind: str) -> pytest.MarkDecorator:
    """Give a test one kind of database each time, as `either_url`, and the other with `-m long`."""
    other = EACH[1 - EACH.index(kind)]
    kinds = [kind, pytest.param(other, marks=pytest.mark.long)]
    return pytest.mark.parametrize("either_url", kinds, indirect=True)


class default_database:
    """Another default database, with its tables: all, or those of one migration of the app."""

    def __init__(self, url: str, migration: str = "") -> None:
        self.other = ConnectionHandler({"default": database(url)})["default"]
        self.target = ["app", migration] if migration else []

    def __enter__(self) -> None:
        self.kept, connections["default"] = connections["default"], self.other
        connections.settings["default"] = self.other.settings_dict  # for other threads
        file = Path(self.other.settings_dict["NAME"])
        if (
            self.other.vendor == "sqlite"
            and MIGRATED.exists()
            and not (self.target or file.exists())
        ):
            shutil.copy(MIGRATED, file)
        else:
            call_command("migrate", *self.target, verbosity=0)

    def __exit__(self, *exception: object) -> None:
        self.other.close()
        connections["default"] = self.kept
        connections.settings["default"] = self.kept.settings_dict


@pytest.fixture(params=EACH)
def either_url(request, tmp_path) -> Iterator[str]:
    """The URL of a database without any tables."""
    if request.param == "postgresql":
        with running_postgres() as (url, _):
            yield url
    else:
        yield f"sqlite:///{tmp_path}/icon.sqlite3"


@pytest.fixture
def either_database(either_url, transactional_db) -> Iterator[None]:
    """Another database in place of the tests' own, also for the processes that a test starts."""
    with default_database(either_url):
        yield


@pytest.fixture
def first_catalogue(either_url, transactional_db) -> Iterator[Apps]:
    """The tables of the first migration, and their models: see `tests/making/first.py`."""
    with default_database(either_url, FIRST):
        yield MigrationExecutor(connection).loader.project_state(("app", FIRST)).apps


# ICON's own processes


@pytest.fixture
def two_extractors(settings, monkeypatch) -> None:
    """As many as ICON has on a machine of two cores; otherwise the tests have one."""
    settings.ICON_EXTRACTORS = 2
    monkeypatch.setenv("ICON_EXTRACTORS", "2")


@pytest.fixture
def start_worker(start, environment, broker) -> Callable[..., Service]:
    """Start a Celery worker: `start_worker("-c", "1", under=["nice"], ICON_FSYNC="off")`."""

    def begin(*arguments: str, under: Sequence[str] = (), **variables: str) -> Service:
        name = f"test-{secrets.token_hex(3)}@localhost"
        options = ["-A", "icon", "worker", "-l", "info", "-n", name, "--without-mingle"]
        command = [*under, sys.executable, "-m", "celery", *options, *arguments]
        service = start("worker", command, {**environment, **variables})
        wait_until(lambda: service.says(" ready."), "the worker")
        return service

    return begin


@pytest.fixture
def worker(start_worker) -> Service:
    """A Celery worker that takes its tasks from the broker."""
    return start_worker()


@dataclass
class Live:
    """A real web server on this test's database."""

    url: str
    service: Service

    def stop(self) -> None:
        self.service.stop()

    def start(self) -> None:
        self.service.start()
        self.wait()

    def wait(self) -> None:
        host, port = self.url.removeprefix("http://").split(":")

        def connects() -> bool:
            self.service.says("")
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return True
            return False

        wait_until(connects, "the web server")

    @property
    def children(self) -> set[str]:
        """The ids of the processes that answer."""
        parent = self.service.process.pid
        return set(Path(f"/proc/{parent}/task/{parent}/children").read_text().split())

    def renew(self) -> None:
        """Let a new process answer, which knows nothing of what the last one was asked."""
        before = self.children
        for child in before:
            os.kill(int(child), signal.SIGKILL)
        wait_until(lambda: not self.children & before, "the web server's processes to end")


def served_at(workers: int = 1) -> tuple[str, list[str]]:
    """A free address, and the command that serves ICON there."""
    at = f"127.0.0.1:{free_port()}"
    options = ["--workers", str(workers), "--graceful-timeout", "1", "--bind", at]
    return f"http://{at}", [sys.executable, "-m", "gunicorn", *options, "icon.wsgi"]


@pytest.fixture
def start_live(start, environment) -> Callable[..., Live]:
    """Start gunicorn: `start_live(ICON_CDN="1")`. Its `url` stays when it is started again."""

    def begin(workers: int = 1, **variables: str) -> Live:
        url, command = served_at(workers)
        live = Live(url, start("web", command, {**environment, **variables}))
        live.wait()
        return live

    return begin


@pytest.fixture(scope="session")
def lasting_live(django_db_setup, tmp_path_factory) -> Iterator[Live]:
    """A web server for all tests of this process, whose folders are links to a test's own."""
    folder = tmp_path_factory.mktemp("web")
    environment = environment_of(folder / "processed", folder / "media")
    url, command = served_at()
    service = Service(command, folder / "log", environment)
    yield Live(url, service)
    service.stop()


@pytest.fixture
def live(lasting_live, environment) -> Iterator[Live]:
    """The shared web server, in a process of this test's own."""
    shared = lasting_live.service
    for name, to in environment.items():
        if name in ("ICON_PROCESSED_ROOT", "ICON_MEDIA_ROOT"):
            link = Path(shared.environment[name])
            link.unlink(missing_ok=True)
            link.symlink_to(to)
    assert environment["ICON_DATABASE_URL"] == shared.environment["ICON_DATABASE_URL"]
    if shared.process is None or shared.process.poll() is not None:
        lasting_live.start()
    yield lasting_live
    if shared.process.poll() is None:
        lasting_live.renew()


# Browser


CHROMIUM = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking")


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    binary = chromium() or lacking("Chromium", "chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=BROWSER_SECONDS * 1_000)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=binary, args=[*CHROMIUM])
        yield started
        started.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the browser's console complained of; a test that expects it clears the list."""
    return []


@pytest.fixture
def page(request, browser, console_errors):
    """A page 1280 pixels wide. The test fails where its window's console shows an error.

    It closes before the servers do that it may be asking.
    """
    for server in ("live", "start"):
        if server in request.fixturenames:
            request.getfixturevalue(server)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(BROWSER_SECONDS * 1_000)
    context.on("console", lambda m: m.type == "error" and console_errors.append(m.text))
    context.on("weberror", lambda error: console_errors.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert console_errors == []


@pytest.fixture
def signed_in(live, page, staff_client):
    """The page, signed in to `live` as a member of staff."""
    let_in(page.context, live.url, staff_client)
    page.goto(f"{live.url}/admin/")
    return page


def let_in(context, url: str, client) -> None:
    """Give a browser the session of a client, which has signed in."""
    name = project.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])


def press_on_page(page, *keys: str) -> None:
    """Press what scripts of a page listen to, once they do: all have run when it is loaded.

    Of a page that was led to something has been seen before: else it is still the one before it.
    """
    page.wait_for_load_state()
    for key in keys:
        page.keyboard.press(key)


def searched(client, url: str, words: str):
    """The page that answers a search."""
    return client.post(url, {"q": words}, follow=True)


# Imports


@pytest.fixture
def upload_zip(transactional_db, processed_root, media_root, tmp_path):
    """Keep a ZIP as an upload does, without processing it: a path, or members for `zip_of`."""

    def keep(*members) -> DICOMFile:
        path = members[0]
        if not isinstance(path, Path):
            path = zip_of(tmp_path / f"{secrets.token_hex(4)}.zip", *members)
        return keep_copy(path)

    return keep


@pytest.fixture
def import_zip(upload_zip):
    """Import a ZIP to its end status; the catalogue is verified after it."""

    def run(*members) -> DICOMFile:
        return process(upload_zip(*members))

    return run


@pytest.fixture(scope="session")
def slow_zip(tmp_path_factory) -> Path:
    """150 images, 1 GB: some seconds for one extractor."""
    images = (ct_image(SOPInstanceUID=uid(2, 1, n), after=bytes(7_000_000)) for n in range(150))
    return zip_of(tmp_path_factory.mktemp("slow") / "slow.zip", *images, level=1)


@pytest.fixture
def slow_upload(upload_zip, slow_zip) -> DICOMFile:
    """An upload that is still in progress when somebody looks, cancels or kills."""
    return upload_zip(slow_zip)


def process(upload: DICOMFile) -> DICOMFile:
    """Run an upload in this process, and verify the catalogue."""
    assert ingest.run_upload(upload.pk)
    upload.refresh_from_db()
    assert [violation.sentence for violation in verify()] == []
    return upload
