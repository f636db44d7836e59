"""The tests marked `database` once more, on PostgreSQL; what depends on it most, each time."""

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


@pytest.fixture(scope="module")
def own_server(django_db_setup, django_db_blocker):
    """A PostgreSQL server of these tests' own, with all tables: its URL and process."""
    with running_postgres() as (url, server):
        with django_db_blocker.unblock(), default_database(url):
            pass
        yield url, server


@pytest.fixture
def ask(start, environment, own_server):
    """Ask a web server of 40 threads, on a PostgreSQL server, and the server."""
    url, server = own_server
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

    return ask, server, url


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


# Locks, claims, counts in statements, constraints and triggers, searches, rows as a whole, and
# text that the database may refuse. What is only filed in it stands on SQLite, and is long here.
HOSTILE = "tests/journeys/test_hostile.py::test_a_hostile_archive_does_no_harm"
THROTTLE = "tests/accounts/test_throttle.py::test_"
TRASH = "tests/catalogue/test_trash.py::test_"
MATTERS = (
    f"{THROTTLE}after_five_wrong_passwords_the_right_one_is_refused_too",
    f"{THROTTLE}of_sixteen_at_once_no_more_get_through_than_of_sixteen_in_a_row",
    "tests/audit",
    *(f"tests/catalogue/test_{name}.py" for name in ("counts", "filing", "removal")),
    *(f"tests/catalogue/test_{name}.py" for name in ("search", "searches")),
    f"{TRASH}rows_come_back_after_columns_were_added_and_dropped",
    f"{TRASH}the_list_takes_as_many_queries_for_many",
    f"{TRASH}what_comes_while_something_is_deleted_stays",
    f"{TRASH}what_is_deleted_comes_back_as_it_was[DICOMSeries]",
    f"{TRASH}who_presses_twice_deletes_once",
    "tests/health/test_reread.py::test_what_the_database_refuses_costs_only_itself",
    "tests/journeys/test_races.py",
    "tests/journeys/test_two_hosts.py",
    "tests/telling/test_sending.py",
    "tests/uploads/test_claims.py",
    "tests/uploads/test_ledger.py",
    "tests/uploads/test_ingest.py::test_a_value_that_the_database_refuses_costs_only_its_member",
    f"{HOSTILE}[numbers_that_are_not]",
    f"{HOSTILE}[names_with_nul]",
    f"{HOSTILE}[text_in_many_character_sets]",
    f"{HOSTILE}[text_that_plays_with_unicode]",
    f"{HOSTILE}[uids_that_cannot_be_stored]",
)
PAGES = ("tests/catalogue", "tests/rt", "tests/viewing")
ORDINARY = "(database or postgresql) and not long and not crash"


@pytest.mark.parametrize(
    ("chosen", "folders"),
    [
        (ORDINARY, MATTERS),
        pytest.param(ORDINARY, (), marks=pytest.mark.long),
        # Kills of the trash at every statement among them.
        pytest.param("database and long", (), marks=pytest.mark.crash),
        pytest.param("not database and not long and not crash", PAGES, marks=pytest.mark.long),
    ],
    ids=["ordinary", "all", "long", "pages"],
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
