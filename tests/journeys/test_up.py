"""The two commands: `run.py`, and `manage.py up`, which it hands over to."""

import contextlib
import hashlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings as project

from app.management.commands.up import is_loopback
from icon.processes import LOG_BYTES, Child, keep_short, stop
from tests.conftest import START_SECONDS, Service, free_port, outside, wait_until


class Up(Service):
    """`manage.py up` on a data folder of its own."""

    @property
    def var(self) -> str:
        return self.environment["ICON_VAR"]

    @property
    def url(self) -> str:
        return re.findall(r"http://[0-9.:]+/", self.output)[-1]

    def processes(self) -> dict[int, str]:
        """Every process that works on this data folder, with its command."""
        found = {int(folder.name): folder for folder in Path("/proc").glob("[0-9]*")}
        return {
            pid: read(folder / "cmdline").decode().replace("\0", " ")
            for pid, folder in found.items()
            if self.owns(folder) and read(folder / "cmdline")
        }

    def owns(self, folder: Path) -> bool:
        # Valkey writes its title over its environment.
        return (
            f"ICON_VAR={self.var}\0".encode() in read(folder / "environ")
            or target(folder / "cwd") == f"{self.var}/broker"
        )

    def child(self, word: str) -> int | None:
        """The id of the child whose command has this word in it."""
        mine = self.process.pid
        found = (p for p, c in self.processes().items() if word in c and parent(p) == mine)
        return next(found, None)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def parent(pid: int) -> int:
    return int(read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()[1] or 0)


@pytest.fixture
def up(tmp_path) -> Iterator[Callable[..., Up]]:
    """Start `manage.py up` on the test's data folder, and wait until it is ready."""
    started: list[Up] = []

    def begin(*arguments: str, ready: bool = True, **variables: str) -> Up:
        log = tmp_path / f"up-{len(started)}.log"
        command = [sys.executable, "manage.py", "up", *(arguments or ("--port", "0"))]
        service = Up(command, log, {"ICON_VAR": str(tmp_path / "var"), **variables}, clean=True)
        service.start()
        started.append(service)
        if ready:
            wait_until(lambda: service.says("Its logs are in"), "ICON")
        return service

    yield begin
    for service in started:
        service.kill()  # its parts are told of it, and need not end in peace
    for service in started:
        for pid in service.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def sign_in(url: str, password: str) -> str:
    """The page that a browser ends on after signing in as admin."""
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    form = browser.open(f"{url}admin/login/?next=/admin/").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
    fields = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    data = urllib.parse.urlencode(fields).encode()
    return browser.open(f"{url}admin/login/?next=/admin/", data).read().decode()


# manage.py up


def test_the_first_start_makes_an_admin_and_ctrl_c_leaves_nothing_running(up, tmp_path):
    Path(tmp_path, "var").mkdir(mode=0o755)
    first = up()
    what_it_keeps_is_private(first.var)
    a_second_one_on_the_same_data_is_refused_with_a_sentence(up, first)
    password = re.search(r"with the password (\S+)", first.output)[1]
    assert "Sign out" in sign_in(first.url, password)
    commands = " ".join(first.processes().values())
    assert all(word in commands for word in ("valkey", "gunicorn", "celery"))
    began = time.monotonic()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(START_SECONDS) == 0
    assert time.monotonic() - began < 15  # nobody had to be killed
    assert first.processes() == {}
    assert not Path(first.var, "broker.url").exists()

    second = up()
    assert "password" not in second.output
    assert "Sign out" in sign_in(second.url, password)


@pytest.mark.long
def test_sigterm_ends_it_as_ctrl_c_does(up):
    service = up()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(START_SECONDS) == 0
    assert service.processes() == {}


def what_it_keeps_is_private(var: str) -> None:
    secrets = [Path(var, name) for name in ("broker.url", "secret.key")]
    assert [path.stat().st_mode & 0o077 for path in secrets] == [0, 0]
    path = Path(secrets[0].read_text().removeprefix("redis+socket://"))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    below = list(Path(var).rglob("*"))
    assert {"icon.sqlite3", "web.log", "up.lock"} <= {path.name for path in below}
    assert [path for path in below if path.lstat().st_mode & 0o007] == []


def a_second_one_on_the_same_data_is_refused_with_a_sentence(up, first: Up) -> None:
    second = up("--port", "0", ready=False)
    assert second.process.wait(START_SECONDS) == 1
    assert second.output == f"ICON is already running on the data in {first.var}\n"
    assert urllib.request.urlopen(first.url).status == 200


def test_a_log_that_grows_long_is_set_aside_while_it_is_written(settings, tmp_path):
    settings.ICON_VAR = tmp_path
    speak = "import time\nwhile True: print('a line', flush=True); time.sleep(0.001)"
    child = Child("speaker", [sys.executable, "-c", speak])
    child.start()
    try:
        wait_until(child.log.read_text, "a line")
        with child.log.open("a") as log:
            log.write("many lines\n" * (LOG_BYTES // 10))
        child.tend(print)
        aside = child.log.with_suffix(".log.1").read_text()
        assert len(aside) > LOG_BYTES
        assert set(aside.splitlines()) == {"a line", "many lines"}
        wait_until(child.log.read_text, "another line")
        assert set(child.log.read_text().splitlines()[:-1]) <= {"a line"}
    finally:
        stop([child], 0)
        child.process.wait()


def test_a_log_is_kept_short_also_where_it_cannot_be_set_aside(tmp_path):
    log = tmp_path / "web.log"
    log.write_bytes(bytes(LOG_BYTES + 1))
    (tmp_path / "web.log.1").mkdir()
    keep_short(log)
    assert log.stat().st_size == 0


def killing_it_leaves_no_orphans_and_it_starts_again(up, first: Up) -> None:
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = up(ready=False)
    wait_until(lambda: second.says("Its logs are in"), "the second start")
    old = set(first.processes()) - set(descendants(second))
    wait_until(lambda: not old & set(first.processes()), "the first one's children to end")


@pytest.mark.long
def test_killed_amid_a_request_it_starts_again_at_the_same_port(up):
    first = up()
    place = urllib.parse.urlsplit(first.url)
    lines = "POST / HTTP/1.1", "Host: localhost", "Content-Length: 9", "Expect: 100-continue"
    with socket.create_connection((place.hostname, place.port), START_SECONDS) as request:
        request.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b"100 Continue" in request.recv(100)  # it waits for these nine bytes
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        second = up("--port", str(place.port))
    assert second.url == first.url


def descendants(service: Up) -> set[int]:
    found = {service.process.pid}
    for _ in range(4):
        found |= {pid for pid in service.processes() if parent(pid) in found}
    return found


@pytest.mark.long
@pytest.mark.parametrize("word", ["celery", "gunicorn", "valkey"])
def test_a_part_that_dies_is_started_again_and_leaves_no_orphans(up, word):
    service = up()
    old = service.child(word)
    family = {pid for pid in service.processes() if pid == old or parent(pid) == old}
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: service.says("it starts again"), "the death to be noticed")
    wait_until(lambda: service.processes().keys().isdisjoint(family), "the orphans to end")
    wait_until(lambda: service.child(word) not in (None, old), f"{word} to be back")
    assert urllib.request.urlopen(service.url).status == 200
    if word == "celery":
        killing_it_leaves_no_orphans_and_it_starts_again(up, service)


def test_a_port_in_use_is_refused_with_a_sentence(up):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = up("--port", str(port), ready=False)
        assert service.process.wait(START_SECONDS) == 1
    assert service.output.startswith(f"ICON cannot listen on 127.0.0.1 port {port}: ")
    assert len(service.output.splitlines()) == 1


def test_behind_a_proxy_a_port_that_others_reach_is_warned_of(up):
    nobody_s = "192.0.2.1"  # RFC 5737, so it cannot listen there
    service = up("--bind", nobody_s, ready=False, ICON_HTTPS="1")
    assert service.process.wait(START_SECONDS) == 1
    assert "nobody but the proxy may reach this port" in service.output.splitlines()[0]


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_told_from_other_addresses(host, alone):
    assert is_loopback(host) == alone


def test_a_database_that_is_away_is_named_in_a_sentence(up):
    away = f"postgres://icon@127.0.0.1:{free_port()}/icon"
    service = up("--port", "0", ready=False, ICON_DATABASE_URL=away)
    assert service.process.wait(START_SECONDS) == 1
    assert service.output == "The database does not answer. Is ICON_DATABASE_URL right?\n"


def test_with_a_broker_of_ones_own_it_starts_none(up, redis_server):
    service = up(ICON_BROKER_URL=redis_server)
    assert "valkey" not in str(service.processes().values())
    log = Path(service.var, "log", "worker.log")
    wait_until(lambda: " ready." in log.read_text(), "the worker")


# run.py


@pytest.fixture
def checkout(tmp_path) -> Path:
    """run.py, in a project that needs no package and whose commands say what they were given."""
    shutil.copy(project.BASE_DIR / "run.py", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "requirements-dev.txt").write_text("# nothing\n")
    for name in ("manage.py", "pytest.py"):
        (tmp_path / name).write_text(
            "import os, sys\n"
            "print(sys.prefix, *sys.argv[1:], *filter(None, [os.getenv('ICON_VAR')]))\n"
        )
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "reader.py").touch()
    return tmp_path


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(checkout / "run.py"), *arguments]
    return subprocess.run(
        command, env=outside(), cwd="/", capture_output=True, text=True, check=False
    )


def test_run_installs_once_and_hands_over(checkout):
    first = run(checkout)
    # What a locked program imports is compiled beforehand.
    assert len(list((checkout / "app").rglob("reader.*.pyc"))) == 1
    assert first.stdout.splitlines() == [
        "Installing what ICON needs into .venv (the first time takes a minute).",
        f"{checkout}/.venv up",
    ]
    assert run(checkout, "--port", "8001").stdout == f"{checkout}/.venv up --port 8001\n"
    # The demo has a data folder of its own.
    assert run(checkout, "demo").stdout == f"{checkout}/.venv demo {checkout}/var-demo\n"

    (checkout / "requirements.txt").write_text("# changed\n")
    assert "Installing" in run(checkout).stdout
    assert "Installing" in run(checkout, "test").stdout
    assert run(checkout, "test", "-x").stdout == f"{checkout}/.venv -x\n"


def small_wheel(folder: Path) -> Path:
    """A package with nothing in it."""
    wheel, facts = folder / "small-1.0-py3-none-any.whl", "small-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{facts}/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{facts}/RECORD", "")
    return wheel


@pytest.mark.long
def test_a_package_whose_hash_is_not_named_is_refused_and_then_taken_up_again(checkout):
    wheel = small_wheel(checkout)
    for line in (f"./{wheel.name}\n", f"./{wheel.name} --hash=sha256:{'0' * 64}\n"):
        (checkout / "requirements.txt").write_text(line)
        failed = run(checkout)
        assert failed.returncode == 1
        assert failed.stderr.endswith("Run the same command again to go on.\n")
        assert "up" not in failed.stdout.split()

    shutil.rmtree(checkout / ".venv" / "lib")  # as an interrupted one may leave it
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (checkout / "requirements.txt").write_text(f"./{wheel.name} --hash=sha256:{digest}\n")
    assert run(checkout).stdout.endswith(f"{checkout}/.venv up\n")
