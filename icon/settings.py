"""ICON's settings, read once from the environment. `.env.example` lists every variable."""

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from icon.logs import FORMAT

BASE_DIR = Path(__file__).resolve().parent.parent

SQLITE, POSTGRESQL = ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")
SHORTEST_KEY = 32  # characters
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def env_bool(name: str, default: bool) -> bool:
    value = os.getenv(name, "1" if default else "0")
    if value not in ("1", "0"):
        raise ImproperlyConfigured(f"{name} is {value!r}; use 1 or 0.")
    return value == "1"


def env_int(name: str, default: int, minimum: int = 0, maximum: int = 10**18) -> int:
    value = os.getenv(name, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", value) or not minimum <= int(value) <= maximum:
        most = f"to {maximum}" if maximum < 10**18 else "up"
        raise ImproperlyConfigured(
            f"{name} is {value!r}; use a whole number from {minimum} {most}."
        )
    return int(value)


def env_size(name: str, default: str) -> int:
    """A number of bytes; `50GB` is 50 * 10**9 of them."""
    value = os.getenv(name, default)
    match = re.fullmatch(r"([0-9]{1,9}) ?([KMGT]?B|)", value.strip().upper())
    if not match:
        raise ImproperlyConfigured(f"{name} is {value!r}; use a size like 500MB or 50GB.")
    return int(match[1]) * UNITS[match[2]]


def env_list(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.getenv(name, default).split(",") if item.strip()]


def env_choice(name: str, choices: tuple[str, ...]) -> str:
    """One of the choices, the first of which is the default."""
    value = os.getenv(name, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; use one of {', '.join(choices)}.")
    return value


def env_folder(name: str, default: Path) -> Path:
    """An absolute path, whose folder exists and only this user and group may enter."""
    return made(Path(os.getenv(name) or default).expanduser().absolute(), name)


def made(folder: Path, name: str) -> Path:
    """The folder, which exists from now on; the variable `name` says where it is."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot make the folder {folder}.") from error
    return folder


def env_url(name: str) -> str:
    """Where a site is reached, without a path; "" where that is not said."""
    value = os.getenv(name, "").rstrip("/")
    if value and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", value):
        raise ImproperlyConfigured(f"{name} is {value!r}; use an address like https://name.")
    return value


def env_zone(name: str, default: str) -> str:
    """A name of the tz database."""
    value = os.getenv(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; use a name of the tz database, like Europe/Amsterdam."
        ) from error
    return value


def secret_key(kept_in: Path) -> str:
    """The key of ICON_SECRET_KEY, or one that is made once and kept in a file."""
    if key := os.getenv("ICON_SECRET_KEY"):
        if len(key) < SHORTEST_KEY:
            raise ImproperlyConfigured(
                f"ICON_SECRET_KEY has {len(key)} characters; use at least {SHORTEST_KEY}, made at "
                "random, or leave it out."
            )
        return key
    if not kept_in.exists():
        # Linked into place whole: another process may be starting at the same moment.
        with tempfile.NamedTemporaryFile("w", dir=kept_in.parent) as draft:
            draft.write(secrets.token_urlsafe(64))
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, kept_in)
    return kept_in.read_text()


def database(url: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = {**dj_database_url.parse(url)}
    except ValueError:  # whose text could hold the password
        config = {}
    if not config.get("NAME") or config["ENGINE"] not in ENGINES:
        raise ImproperlyConfigured(
            "ICON_DATABASE_URL cannot be understood; use postgres://user:password@host:5432/name. "
            "In the password, write % as %25, # as %23, / as %2F, ? as %3F, @ as %40, : as %3A."
        )
    if config["ENGINE"] == SQLITE:
        config["OPTIONS"] = {
            **config.get("OPTIONS", {}),
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,  # seconds
            # A checkpoint after 32 MB, not 4: an import writes the same pages again and again.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            " PRAGMA wal_autocheckpoint=8000;"
            # What was deleted is overwritten; builds of SQLite differ in whether it is.
            " PRAGMA secure_delete=ON;",
        }
    else:
        # A server whose machine is gone is noticed within a minute, not a quarter of an hour.
        config["OPTIONS"] = {
            "connect_timeout": 10,  # seconds, as are the next two
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,  # milliseconds
            **config.get("OPTIONS", {}),
        }
    return config


def broker_url(kept_in: Path) -> str:
    """The broker of ICON_BROKER_URL, else that of a running `manage.py up`, else Redis here."""
    if url := os.getenv("ICON_BROKER_URL"):
        try:
            understood = "://" in url and urlsplit(url.partition(";")[0]).port != 0
        except ValueError:  # whose text could hold the password
            understood = False
        if not understood:
            raise ImproperlyConfigured(
                "ICON_BROKER_URL cannot be understood; use redis://host:6379/0."
            )
        return url
    if kept_in.exists():
        url = kept_in.read_text()
        if Path(url.removeprefix("redis+socket://")).is_socket():
            return url
    return "redis://127.0.0.1:6379/0"


def email_from(host: str) -> str:
    """From whom e-mail comes; needed where there is a mail server."""
    value = os.getenv("ICON_EMAIL_FROM", "")
    if host and not re.fullmatch(r"([^@<>]* <)?[^@\s<>]+@[^@\s<>]+>?", value):
        raise ImproperlyConfigured(
            f"ICON_EMAIL_FROM is {value!r}; with ICON_EMAIL_HOST use one like icon@example.org."
        )
    return value


# Where things are kept: from others, too, whatever makes them

os.umask(0o027)
ICON_VAR = env_folder("ICON_VAR", BASE_DIR / "var")
ICON_PROCESSED_ROOT = env_folder("ICON_PROCESSED_ROOT", ICON_VAR / "processed_dicom_files")
MEDIA_ROOT = env_folder("ICON_MEDIA_ROOT", ICON_VAR / "media")

# What the demo's command leaves in its data folder; pages then say that its patients are invented.
DEMO_MARK = ICON_VAR / "demo.password"
ICON_DEMO = DEMO_MARK.is_file() and DEMO_MARK.stat().st_size > 0

# Core

SECRET_KEY = secret_key(ICON_VAR / "secret.key")
DEBUG = env_bool("ICON_DEBUG", False)
ALLOWED_HOSTS = env_list("ICON_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("ICON_CSRF_TRUSTED_ORIGINS", "")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_celery_results",
    "celery_progress",
    "app",
]

MIDDLEWARE = [
    # The first three and the fifth add to every answer: also to static files and Django's own.
    "app.middleware.policies",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "app.middleware.probes_first",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "app.middleware.no_store",
    "app.middleware.reader_s_time_zone",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "app.middleware.BeforeUpload",  # before the next, which reads the body
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "app.accounts.sessions.while_used",
    "app.accounts.passwords.own_password_first",
    "django.contrib.messages.middleware.MessageMiddleware",
    "app.middleware.Unrecorded",
]

ROOT_URLCONF = "icon.urls"
WSGI_APPLICATION = "icon.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database

DATABASES = {
    "default": database(os.getenv("ICON_DATABASE_URL") or f"sqlite:///{ICON_VAR}/icon.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Who may enter

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# From the last thing that somebody did; a browser that is closed forgets the session at once.
SESSION_COOKIE_AGE = env_int("ICON_SESSION_HOURS", 8, minimum=1) * 3_600  # seconds
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
AUTHENTICATION_BACKENDS = ["app.accounts.signing_in.ThrottledBackend"]
ICON_SIGN_IN_TRIES = env_int("ICON_SIGN_IN_TRIES", 5, minimum=1)
ICON_SIGN_IN_MINUTES = env_int("ICON_SIGN_IN_MINUTES", 15, minimum=1)
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Language and time

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "icon.formats"
TIME_ZONE = env_zone("ICON_TIME_ZONE", "UTC")
USE_TZ = True

# Static files and uploads

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Found where they lie, so that a checkout works without collectstatic.
WHITENOISE_USE_FINDERS = True

FILE_UPLOAD_HANDLERS = ["app.uploads.receiving.ReceivingHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # of any form, and of what an upload holds besides files
# On the file system of MEDIA_ROOT: an upload is then moved into place, not copied.
FILE_UPLOAD_TEMP_DIR = made(MEDIA_ROOT / "tmp", "ICON_MEDIA_ROOT")
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750

# Security

# From elsewhere only where that is asked for: a network that swallows what is sent to the CDN would
# leave every page blank for half a minute.
ICON_CDN = env_bool("ICON_CDN", False)
CDN = "https://cdn.jsdelivr.net/npm"
CDN_STYLES = (
    f"{CDN}/bootstrap@5.3.9/dist/css/bootstrap.min.css",
    f"{CDN}/bootstrap-icons@1.13.2/font/bootstrap-icons.min.css",
)
CDN_SCRIPTS = (f"{CDN}/bootstrap@5.3.9/dist/js/bootstrap.bundle.min.js",)
CDN_FONTS = (
    f"{CDN}/bootstrap-icons@1.13.2/font/fonts/bootstrap-icons.woff2",
    f"{CDN}/bootstrap-icons@1.13.2/font/fonts/bootstrap-icons.woff",
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, *(CDN_SCRIPTS if ICON_CDN else ())],
        "style-src": [SELF, *(CDN_STYLES if ICON_CDN else ())],
        "font-src": [SELF, *(CDN_FONTS if ICON_CDN else ())],
        "img-src": [SELF, "data:"],  # Bootstrap's own icons are data: URLs in its style sheet
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"

ICON_HTTPS = env_bool("ICON_HTTPS", False)
ICON_PROXIES = env_int("ICON_PROXIES", 1 if ICON_HTTPS else 0)  # that add to X-Forwarded-For
if ICON_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000  # a year
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # Preloading is for the owner of the whole domain to decide, not for one host in it.
    SILENCED_SYSTEM_CHECKS = ["security.W021"]

# Logs: one line each, to stderr, without exception texts

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "icon.logs.OneLine",
            "format": FORMAT,
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "psycopg.pool": {"level": "ERROR"},  # the rest is two lines a page, or an error's text
    },
}

# Telling people that an upload is done

ICON_URL = env_url("ICON_URL")
ICON_WEBHOOK_HOSTS = env_list("ICON_WEBHOOK_HOSTS", "")
EMAIL_HOST = ICON_EMAIL_HOST = os.getenv("ICON_EMAIL_HOST", "")
EMAIL_PORT = env_int("ICON_EMAIL_PORT", 587, minimum=1, maximum=65_535)
ICON_EMAIL_SECURITY = env_choice("ICON_EMAIL_SECURITY", ("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = ICON_EMAIL_SECURITY == "starttls", ICON_EMAIL_SECURITY == "tls"
EMAIL_HOST_USER = os.getenv("ICON_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = os.getenv("ICON_EMAIL_PASSWORD", "")
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = email_from(ICON_EMAIL_HOST)

# The check of every night

ICON_VERIFY_HOUR = env_int("ICON_VERIFY_HOUR", 2, maximum=23)
ICON_VERIFY_PACE = env_size("ICON_VERIFY_PACE", "100MB")  # a second

# The trash

ICON_TRASH_DAYS = env_int("ICON_TRASH_DAYS", 30, maximum=36_500)  # 0: deleting is at once

# Celery: it delivers at least once, and the upload's row is the truth

CELERY_BROKER_URL = broker_url(ICON_VAR / "broker.url")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 86_400,  # seconds; a shorter one starts long imports twice
    "socket_connect_timeout": 1,  # seconds, as is the next: a page waits for this
    "socket_timeout": 2,
    # A page that cannot reach the broker says so at once; the sweep sends the message later.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Two imports share the cores. A small archive that waits takes the place of one of two large ones.
CELERY_WORKER_CONCURRENCY = 2
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 7 * 86_400  # seconds
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(ICON_VAR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "celery.backend_cleanup": {
        "task": "celery.backend_cleanup",
        "schedule": crontab(hour=4, minute=0),
    },
    # Every worker sweeps, too; this is the safety net for a worker that cannot.
    "sweep": {"task": "app.tasks.sweep", "schedule": 60.0},  # seconds
    "remove_stale_uploads": {
        "task": "app.tasks.remove_stale_uploads",
        "schedule": crontab(minute="10,40"),
    },
    "forget_expired": {
        "task": "app.tasks.forget_expired",
        "schedule": crontab(hour=4, minute=20),
    },
    "verify_catalogue": {
        "task": "app.tasks.verify_catalogue",
        "schedule": crontab(hour=ICON_VERIFY_HOUR, minute=0),
    },
}

# Importing

ICON_FSYNC = env_choice("ICON_FSYNC", ("batch", "file", "off"))
ICON_ON_CONFLICT = env_choice("ICON_ON_CONFLICT", ("keep", "replace"))
ICON_EXTRACTORS = env_int("ICON_EXTRACTORS", len(os.sched_getaffinity(0)), minimum=1)
ICON_ASSUMED_CHARSET = os.getenv("ICON_ASSUMED_CHARSET", "ISO_IR 100")
ICON_MEMBER_SECONDS = env_int("ICON_MEMBER_SECONDS", 60, minimum=1)

# Downloads

ICON_DOWNLOADS = env_int("ICON_DOWNLOADS", 8, minimum=1, maximum=1_000)  # sent at once
ICON_DOWNLOADS_EACH = env_int("ICON_DOWNLOADS_EACH", 2, minimum=1, maximum=1_000)  # to one user

# Thumbnails

ICON_THUMBNAIL_SPACE = env_size("ICON_THUMBNAIL_SPACE", "1GB")  # 0: there are none

# Limits

ICON_MAX_UPLOAD = env_size("ICON_MAX_UPLOAD", "50GB")
ICON_MAX_MEMBER = env_size("ICON_MAX_MEMBER", "16GB")
ICON_MAX_TOTAL = env_size("ICON_MAX_TOTAL", "200GB")
ICON_MAX_MEMBERS = env_int("ICON_MAX_MEMBERS", 500_000)
ICON_MAX_HEADER = env_size("ICON_MAX_HEADER", "64MB")
ICON_MAX_ITEMS = env_int("ICON_MAX_ITEMS", 1_000_000)
ICON_MAX_NESTING = env_int("ICON_MAX_NESTING", 1)
