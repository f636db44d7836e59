"""The tests marked `database` once more, on PostgreSQL."""

import http.client
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from django.conf import settings

from tests.conftest import default_database, free_port, running_postgres, wait_until


@pytest.fixture
def ask(start, environment):
    """Ask a web server of 40 threads, on a PostgreSQL server of its own, and the server."""
    with running_postgres() as (url, server):
        with default_database(url):
            pass
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
        command += ["--worker-class", "gthread", "--workers", "1", "--threads", "40"]
        command += ["--no-control-socket", "icon.wsgi"]
        web = start("web", command, {**environment, "ICON_DATABASE_URL": url})
        wait_until(lambda: web.says("Booting worker"), "the web server")

        def ask() -> int:
            """The status of a page that looks for a session in the database."""
            cookie = {"Cookie": f"sessionid={'x' * 32}"}
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as page:
                page.request("GET", "/dicom/status/", headers=cookie)
                return page.getresponse().status

        yield ask, server, url


def open_connections(url: str) -> int:
    with psycopg.connect(url) as admin:
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        row = admin.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {others}").fetchone()
        return row[0]


def test_web_threads_share_a_few_connections_that_stay_open(ask):
    ask, _, url = ask
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: ask(), range(200)))
    assert answers == [302] * 200
    assert 1 <= open_connections(url) <= 16


def test_connections_that_broke_are_made_anew(ask):
    ask, server, _ = ask
    assert ask() == 302
    server.process.send_signal(signal.SIGQUIT)
    server.process.wait(30)
    server.log.unlink()
    server.start()
    wait_until(lambda: server.says("ready to accept connections"), "PostgreSQL")
    assert [ask(), ask()] == [302, 302]


PAGES = ("tests/catalogue", "tests/rt", "tests/viewing")


@pytest.mark.parametrize(
    ("chosen", "folders"),
    [
        ("(database or postgresql) and not long and not crash", ()),
        # Kills of the trash at every statement among them.
        pytest.param("database and long", (), marks=pytest.mark.crash),
        pytest.param("not database and not long and not crash", PAGES, marks=pytest.mark.long),
    ],
    ids=["ordinary", "long", "pages"],
)
def test_the_database_tests_pass_on_postgresql(chosen, folders, postgres):
    inherited = {name: text for name, text in os.environ.items() if "XDIST" not in name}
    options = ["-q", "-m", chosen, "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *folders],
        env={**inherited, "ICON_TEST_DATABASE_URL": postgres},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
