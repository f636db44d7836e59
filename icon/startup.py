"""Where ICON cannot start, or work as things are: sentences instead of tracebacks."""

import logging
import os
import re
import sys
import threading
from types import TracebackType
from typing import NoReturn

from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

NOT_MIGRATED = (
    "The database lacks tables or columns of this version of ICON. Make them with: "
    "python manage.py migrate"
)
NO_RIGHT = "The database's user may not make or change tables; it should own the database."
NO_ANSWER = "The database does not answer. Is ICON_DATABASE_URL right?"
STARTS = "The database is starting or stopping. Try again in a moment."
FULL = "The database has no connection left. Raise its max_connections, or run fewer processes."
PASSING = (NO_ANSWER, STARTS, FULL)
# What PostgreSQL and SQLite say where they refuse a connection; PostgreSQL gives no code there.
REFUSALS = {
    "password authentication failed": (
        "The database refuses the user or the password of ICON_DATABASE_URL."
    ),
    "no password supplied": "The database asks for a password, and ICON_DATABASE_URL has none.",
    "no pg_hba.conf entry": "The database does not let this user in from here: see pg_hba.conf.",
    'role "[^"]*" does not exist': "The database knows no user of the name in ICON_DATABASE_URL.",
    'database "[^"]*" does not exist': (
        "The server has no database of the name in ICON_DATABASE_URL. Make it first."
    ),
    "failed to resolve host": "No machine is known by the host's name in ICON_DATABASE_URL.",
    "too many clients|connection slots are reserved": FULL,
    "the database system is": STARTS,
    "permission denied": NO_RIGHT,
    "unable to open database file": "The file or folder of the SQLite database cannot be opened.",
    "file is not a database": "The file that ICON_DATABASE_URL names is no SQLite database.",
    "readonly database": "This user may not write the SQLite database.",
    "database is locked": "Another process has held the SQLite database for too long.",
}
# How the codes of PostgreSQL's other errors begin; SQLite has words alone.
STATES = {"53": FULL, "57P0": STARTS, "08": NO_ANSWER, "42501": NO_RIGHT}
UNDEFINED = ("42P01", "42703")
UNDEFINED_WORDS = "no such (table|column)"

logger = logging.getLogger(__name__)


def sentence_of(error: BaseException | None) -> str:
    """What to tell of an error that is nobody's bug; "" where it may be one."""
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    return _of_database(error) if isinstance(error, Error) else ""


def _of_database(error: Error) -> str:
    state, words = getattr(error.__cause__, "sqlstate", None) or "", str(error)
    if state in UNDEFINED or re.search(UNDEFINED_WORDS, words):
        return NOT_MIGRATED if _lacks_migrations() else ""
    if state:
        return next((told for start, told in STATES.items() if state.startswith(start)), "")
    refusal = next((told for said, told in REFUSALS.items() if re.search(said, words)), "")
    unreachable = connection.vendor == "postgresql" and isinstance(error, OperationalError)
    return refusal or (NO_ANSWER if unreachable else "")


def _lacks_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def tell_instead_of_tracebacks() -> None:
    """For whatever command is run: manage.py's and Celery's."""
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if sentence := sentence_of(error):
        print(sentence, file=sys.stderr, flush=True)  # Python ends with status 1 after this
    else:
        sys.__excepthook__(kind, error, trace)


def _tell_of_thread(told: threading.ExceptHookArgs) -> None:
    if sentence := sentence_of(told.exc_value):
        end_with(sentence)
    threading.__excepthook__(told)


def end_with(*sentences: str) -> NoReturn:
    print(*sentences, sep="\n", file=sys.stderr, flush=True)
    if threading.current_thread() is not threading.main_thread():
        os._exit(1)  # runserver's: the main one would wait for a file to change
    sys.exit(1)


def look_before_serving() -> None:
    """Run the system checks and look at the database; end the process where it cannot work.

    A database that is merely away may come back, and is waited for as at any other time.
    """
    found = [f"{fault.msg} {fault.hint or ''}".strip() for fault in run_checks() if _stops(fault)]
    try:
        if _lacks_migrations():
            found.append(NOT_MIGRATED)
    except Error as error:
        sentence = sentence_of(error)
        if not sentence:
            raise
        if sentence in PASSING:
            logger.warning(sentence)
        else:
            found.append(sentence)
    finally:
        connection.close()  # before anything forks
    if found:
        end_with(*found)


def _stops(fault: CheckMessage) -> bool:
    return fault.is_serious() and not fault.is_silenced()
