"""The settings: what the environment says, and what holds without it."""

import json
import logging
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from celery import shared_task
from django.conf import settings as project
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from kombu.exceptions import OperationalError

from app.health.checks import tells_case_apart
from icon import settings as read
from icon.celery import app
from icon.logs import OneLine
from tests.conftest import free_port, outside
from tests.making.pace import within

EXAMPLE = project.BASE_DIR / ".env.example"
SENTINEL = "DOE^JANE"


def settings_of_a_new_process(**variables: str) -> dict[str, str]:
    code = (
        "import json; from icon import settings as s;"
        "print(json.dumps({n: repr(getattr(s, n)) for n in dir(s) if n.isupper()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**outside(), **variables},
        cwd=project.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


# Reading the environment


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("64MB", 64 * 10**6), ("50 gb", 50 * 10**9), ("1B", 1)],
)
def test_a_size_is_read_in_bytes(monkeypatch, text, size):
    monkeypatch.setenv("ICON_MAX_UPLOAD", text)
    assert read.env_size("ICON_MAX_UPLOAD", "1GB") == size


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (read.env_bool, (True,), "yes"),
        (read.env_bool, (True,), ""),
        (read.env_int, (5,), "-1"),
        (read.env_int, (5,), "1e3"),
        (read.env_int, (5,), "٣"),
        (read.env_int, (5, 1), "0"),
        (read.env_size, ("1GB",), "50G"),
        (read.env_size, ("1GB",), "1.5GB"),
        (read.env_size, ("1GB",), ""),
        (read.env_choice, (("batch", "file"),), "Batch"),
    ],
)
def test_a_value_out_of_place_stops_icon_and_names_its_variable(
    monkeypatch, function, arguments, text
):
    monkeypatch.setenv("ICON_ODD", text)
    with pytest.raises(ImproperlyConfigured, match="ICON_ODD"):
        function("ICON_ODD", *arguments)


def test_a_time_zone_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("ICON_TIME_ZONE", "Mars/Olympus")
    with pytest.raises(ImproperlyConfigured, match="ICON_TIME_ZONE is 'Mars/Olympus'"):
        read.env_zone("ICON_TIME_ZONE", "UTC")


@pytest.mark.parametrize("url", ["icon.example.org", "ftp://x", "https://x/icon", "https://x y"])
def test_where_icon_is_reached_is_an_address_without_a_path(monkeypatch, url):
    monkeypatch.setenv("ICON_URL", url)
    with pytest.raises(ImproperlyConfigured, match="ICON_URL is"):
        read.env_url("ICON_URL")
    monkeypatch.setenv("ICON_URL", "https://icon.example.org:8443/")
    assert read.env_url("ICON_URL") == "https://icon.example.org:8443"


@pytest.mark.parametrize("sender", ["", "icon", "icon@", "a b@c"])
def test_with_a_mail_server_it_is_said_from_whom_messages_come(monkeypatch, sender):
    monkeypatch.setenv("ICON_EMAIL_FROM", sender)
    with pytest.raises(ImproperlyConfigured, match="ICON_EMAIL_FROM is"):
        read.email_from("mail.example.org")
    assert read.email_from("") == sender
    for good in ("icon@example.org", "ICON <icon@example.org>"):
        monkeypatch.setenv("ICON_EMAIL_FROM", good)
        assert read.email_from("mail.example.org") == good


@pytest.mark.parametrize(
    "url", ["postgres://icon:sec#ret@h/n", "postgres://h", "mysql://h/n", "sqlite", "h:5432/n"]
)
def test_a_database_s_url_that_cannot_be_understood_is_not_quoted(url):
    with pytest.raises(ImproperlyConfigured, match="ICON_DATABASE_URL") as raised:
        read.database(url)
    assert url not in str(raised.value)


@pytest.mark.parametrize("url", ["redis://:sec/ret@h/0", "redis://h:port/0", "h:6379"])
def test_a_broker_s_url_that_cannot_be_understood_is_not_quoted(monkeypatch, tmp_path, url):
    monkeypatch.setenv("ICON_BROKER_URL", url)
    with pytest.raises(ImproperlyConfigured, match="ICON_BROKER_URL") as raised:
        read.broker_url(tmp_path / "broker.url")
    assert url not in str(raised.value)


def test_a_list_is_separated_by_commas(monkeypatch):
    monkeypatch.setenv("ICON_ALLOWED_HOSTS", " icon.example ,, [::1] ")
    assert read.env_list("ICON_ALLOWED_HOSTS", "localhost") == ["icon.example", "[::1]"]


def test_the_secret_key_is_made_once_and_is_private(monkeypatch, tmp_path):
    monkeypatch.delenv("ICON_SECRET_KEY", raising=False)
    path = tmp_path / "secret.key"
    key = read.secret_key(path)
    assert len(key) > 50
    assert read.secret_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret.key"]


def test_a_short_secret_key_stops_icon(monkeypatch, tmp_path):
    for key in ("x", "x" * 31):
        monkeypatch.setenv("ICON_SECRET_KEY", key)
        with pytest.raises(ImproperlyConfigured, match=f"ICON_SECRET_KEY has {len(key)} char"):
            read.secret_key(tmp_path / "secret.key")
    monkeypatch.setenv("ICON_SECRET_KEY", "x" * 32)
    assert read.secret_key(tmp_path / "secret.key") == "x" * 32


def test_the_broker_left_by_up_is_used_while_its_socket_is_there(monkeypatch, tmp_path):
    monkeypatch.delenv("ICON_BROKER_URL")
    kept_in = tmp_path / "broker.url"
    assert read.broker_url(kept_in) == "redis://127.0.0.1:6379/0"
    kept_in.write_text(f"redis+socket://{tmp_path}/s")
    assert read.broker_url(kept_in) == "redis://127.0.0.1:6379/0"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        assert read.broker_url(kept_in) == f"redis+socket://{tmp_path}/s"
    monkeypatch.setenv("ICON_BROKER_URL", "redis://elsewhere/1")
    assert read.broker_url(kept_in) == "redis://elsewhere/1"


def test_a_folder_that_cannot_be_made_stops_icon(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ICON_VAR", f"{tmp_path}/file/var")
    with pytest.raises(ImproperlyConfigured, match="ICON_VAR"):
        read.env_folder("ICON_VAR", tmp_path)


# What is documented


def documented() -> dict[str, str]:
    return dict(re.findall(r"^#(ICON_[A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_every_variable_is_in_env_example_and_nothing_else():
    source = Path(read.__file__).read_text()
    names = set(re.findall(r"(?:env_\w+|getenv)\(\s*\"(ICON_[A-Z_]+)\"", source))
    assert set(documented()) == names


def test_the_readme_lists_every_variable_and_its_default():
    readme = (project.BASE_DIR / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(ICON_[A-Z_]+)` \| (.+?) \|", readme, re.MULTILINE))
    assert rows.keys() == documented().keys()
    for name, default in documented().items():
        assert not default or rows[name] == f"`{default}`"


def test_the_defaults_in_env_example_are_the_defaults(tmp_path):
    written = {name: value for name, value in documented().items() if value}
    plain = settings_of_a_new_process(ICON_VAR=str(tmp_path))
    assert settings_of_a_new_process(ICON_VAR=str(tmp_path), **written) == plain


def test_compose_is_valid_and_sets_only_documented_variables():
    path = project.BASE_DIR / "docker-compose.yml"
    checker = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, "-m", *checker, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    used = set(re.findall(r"^\s+(ICON_[A-Z_]+):", path.read_text(), re.MULTILINE))
    assert used
    assert used <= set(documented())


# What Django and the browser are told


def test_the_production_profile_passes_the_deployment_check(tmp_path):
    manage = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        manage,
        env={**outside(), "ICON_VAR": str(tmp_path), "ICON_HTTPS": "1"},
        cwd=project.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.django_db
def test_migrations_are_complete():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_pages_are_kept_out_of_caches_and_static_files_are_not(client):
    assert "no-store" in client.get("/").headers["Cache-Control"]
    assert "no-store" in client.get("/admin/login/").headers["Cache-Control"]
    css = client.get("/static/admin/css/base.css")
    assert css.status_code == 200
    assert "no-store" not in css.headers["Cache-Control"]
    css.close()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "localhost", 302),
        ("/admin/login/", "localhost", 200),
        ("/unknown/", "localhost", 404),
        ("/static/app/icon.css", "localhost", 200),
        ("/admin/login/", "elsewhere.example", 400),  # in Django's own words
    ],
)
def test_every_answer_says_what_browsers_may_do_with_it(client, path, host, status):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer.close()


@pytest.mark.django_db
def test_the_content_security_policy_allows_nothing_inline(client):
    policy = client.get("/admin/login/").headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"):
        assert part in policy


def test_the_cdn_is_allowed_by_exact_files(tmp_path):
    chosen = settings_of_a_new_process(ICON_VAR=str(tmp_path), ICON_CDN="1")
    policy = chosen["CONTENT_SECURITY_POLICY"]
    hosts = re.findall(r"https://[^']+", policy)
    assert hosts
    assert all(re.search(r"@[\d.]+/.+\.(css|js|woff2?)$", host) for host in hosts)
    without = settings_of_a_new_process(ICON_VAR=str(tmp_path))
    assert "https:" not in without["CONTENT_SECURITY_POLICY"]


# The database


@pytest.mark.django_db
@pytest.mark.skipif("ICON_TEST_DATABASE_URL" in os.environ, reason="about SQLite")
def test_sqlite_waits_for_others_survives_a_power_cut_and_overwrites_what_is_deleted():
    with connection.cursor() as cursor:
        pragmas = {
            name: cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "busy_timeout", "secure_delete")
        }
    durable = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000}
    assert pragmas == {**durable, "secure_delete": 1}
    # Some builds of SQLite overwrite what was deleted unasked, as Debian's.
    assert "PRAGMA secure_delete=ON;" in connection.settings_dict["OPTIONS"]["init_command"]
    assert connection.transaction_mode == "IMMEDIATE"


@pytest.mark.database
@pytest.mark.django_db
def test_the_tests_run_on_the_database_that_was_asked_for():
    asked = os.environ.get("ICON_TEST_DATABASE_URL", "sqlite:").partition(":")[0]
    assert connection.vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[asked]


# The machine


def test_a_processed_root_that_cannot_be_written_is_an_error(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.ICON_PROCESSED_ROOT = tmp_path / "file" / "processed"
    assert "icon.E002" in [error.id for error in run_checks()]


@pytest.mark.parametrize("name", ["ICON_VAR", "MEDIA_ROOT", "ICON_PROCESSED_ROOT"])
def test_a_folder_that_every_user_can_enter_is_warned_of(settings, name):
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made, "inner")
        folder.mkdir()
        setattr(settings, name, folder)
        for outer, inner, warned in ((0o755, 0o751, 1), (0o750, 0o755, 0), (0o755, 0o750, 0)):
            Path(made).chmod(outer)
            folder.chmod(inner)
            found = [error for error in run_checks() if error.id == "icon.W001"]
            assert len(found) == warned
            assert all(str(folder) in error.msg for error in found)


def test_any_name_for_a_host_is_warned_of_before_deployment(settings):
    def found():
        return [error.id for error in run_checks(include_deployment_checks=True)]

    assert "icon.W002" not in found()
    settings.ALLOWED_HOSTS = ["icon.example", "*"]
    assert "icon.W002" in found()


def test_the_check_leaves_nothing_in_the_processed_root(processed_root):
    assert tells_case_apart(processed_root)
    assert list(processed_root.iterdir()) == []


# Celery


@shared_task
def fail_about_a_patient():
    raise ValueError(SENTINEL)


def fail_to_publish(url: str) -> None:
    with app.connection_for_write(url) as there, pytest.raises(OperationalError):
        app.send_task("nobody.home", connection=there)


def test_publishing_without_a_broker_fails_at_once():
    url = f"redis://127.0.0.1:{free_port()}/0"
    within(2, lambda: fail_to_publish(url), time.monotonic)


def test_publishing_to_a_broker_that_hangs_fails_soon():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        within(8, lambda: fail_to_publish(url), time.monotonic)


# Logs


@pytest.mark.django_db
def test_a_failed_task_is_logged_without_its_exceptions_text(caplog):
    caplog.handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    with caplog.at_level(logging.INFO):
        fail_about_a_patient.apply()
    assert "ValueError" in caplog.text
    assert "test_settings.py" in caplog.text
    assert SENTINEL not in caplog.text
    assert len(caplog.text.splitlines()) == len(caplog.records)


def test_a_log_record_is_one_line():
    record = logging.makeLogRecord({"msg": "first\nsecond\n"})
    assert OneLine("%(message)s").format(record) == "first | second"
