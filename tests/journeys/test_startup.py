"""What ICON's processes say where they cannot start: a sentence and a status, no traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as project

from icon import startup
from tests.conftest import free_port, outside, running_postgres, wait_until

COMMANDS = {
    "manage.py": ["manage.py", "verify_catalogue"],
    "runserver": ["manage.py", "runserver", "127.0.0.1:0"],
    "celery": ["-m", "celery", "-A", "icon", "worker"],
    "gunicorn": ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "icon.wsgi"],
}


def said(tmp_path: Path, command: list[str], **variables: str) -> tuple[int, list[str]]:
    """A command's status, and its lines without those of a log."""
    done = subprocess.run(
        [sys.executable, *command],
        env={**outside(), "ICON_VAR": str(tmp_path / "var"), **variables},
        cwd=project.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    lines = [line for line in done.stdout.splitlines() if line and line[:1] not in "[2"]
    return done.returncode, lines


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A PostgreSQL server whose users need a password; its URL with a wrong one."""
    with running_postgres() as (url, service):
        with psycopg.connect(url) as admin:
            admin.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        Path(service.command[2], "pg_hba.conf").write_text(
            "local all icon trust\nlocal all all scram-sha-256\n"
        )
        service.process.send_signal(signal.SIGHUP)
        wrong = url.replace("icon@", "guarded:wrong@")
        wait_until(lambda: not lets_in(wrong), "PostgreSQL to read pg_hba.conf")
        yield wrong


def lets_in(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("name", ["gunicorn", pytest.param("celery", marks=pytest.mark.long)])
def test_a_malformed_url_is_a_sentence_without_the_url(name, tmp_path):
    url = "postgres://icon:sec#ret@127.0.0.1:5432/icon"
    status, lines = said(tmp_path, COMMANDS[name], ICON_DATABASE_URL=url)
    assert status == 1
    assert lines[0].startswith("ICON_DATABASE_URL cannot be understood; use postgres://user:")
    assert "sec" not in str(lines)
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["gunicorn", pytest.param("manage.py", marks=pytest.mark.long)])
def test_a_wrong_password_is_a_sentence(name, tmp_path, guarded):
    status, lines = said(tmp_path, COMMANDS[name], ICON_DATABASE_URL=guarded)
    assert status == 1
    assert lines[-1] == "The database refuses the user or the password of ICON_DATABASE_URL."
    assert "Traceback" not in str(lines)


@pytest.mark.parametrize(
    "name", ["runserver", "celery", pytest.param("gunicorn", marks=pytest.mark.long)]
)
def test_a_database_that_is_not_migrated_is_a_sentence(name, tmp_path):
    status, lines = said(tmp_path, COMMANDS[name])
    assert status == 1
    assert startup.NOT_MIGRATED in lines
    assert "Traceback" not in str(lines)


def test_audit_entries_that_cannot_be_written_down_leave_no_file(tmp_path):
    file = tmp_path / "old.jsonl"
    command = ["manage.py", "expire_audit", "--before", "2025-01-01", "--to", str(file)]
    assert said(tmp_path, command) == (1, [startup.NOT_MIGRATED])
    assert not file.exists()


@pytest.mark.parametrize("name", ["celery", "gunicorn"])
def test_what_the_machine_lacks_is_said_before_a_server_is_ready(name, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "processed").mkdir(mode=0o500)
    limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*(limited if os.getuid() == 0 else ()), sys.executable, *COMMANDS[name]]
    done = subprocess.run(
        command,
        env={**outside(), "ICON_VAR": f"{tmp_path}/var",
             "ICON_PROCESSED_ROOT": f"{tmp_path}/processed"},
        cwd=project.BASE_DIR, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "ICON cannot write to the folder for processed files." in done.stderr
    assert " ready." not in done.stderr


def test_a_setting_out_of_place_is_one_line(tmp_path):
    status, lines = said(tmp_path, ["manage.py", "check"], ICON_FSYNC="always")
    assert (status, lines) == (1, ["ICON_FSYNC is 'always'; use one of batch, file, off."])


def test_a_bug_is_still_told_with_its_place(capsys):
    try:
        raise KeyError("bug")
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    assert "test_startup.py" in capsys.readouterr().err


def test_a_database_that_is_away_is_a_sentence(tmp_path):
    away = f"postgres://icon@127.0.0.1:{free_port()}/icon"
    status, lines = said(tmp_path, COMMANDS["manage.py"], ICON_DATABASE_URL=away)
    assert (status, lines) == (1, [startup.NO_ANSWER])


def test_who_presses_first_does_not_wait_for_imports(environment):
    program = (
        "import sys, icon.wsgi; from app.tasks import BrokerAway, process_dicom_file_task as task\n"
        "before = {*sys.modules}\n"
        "try: task.delay(1)\n"
        "except BrokerAway: print(*sorted(module for module in {*sys.modules} - before\n"
        "  if module.partition('.')[0] in ('celery', 'kombu', 'django_celery_results', 'redis')))"
    )
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**outside(), **environment, "ICON_BROKER_URL": nobody},
        cwd=project.BASE_DIR, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "\n"
