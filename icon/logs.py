"""Log lines that cannot identify a patient, nor repeat what a stranger says."""

import logging
import traceback
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

from django.http import HttpRequest

FORMAT = "{asctime} {levelname} {name}: {message}"

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class OneLine(logging.Formatter):
    """One line a record; of an exception its class and places, never its text.

    A database error quotes the row it refused, and a row names a patient. Of a request ICON's own
    words for its address, never the address, which may hold anything.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(without_request(without_exception_text(record)))
        return " | ".join(part.strip() for part in line.splitlines() if part.strip())

    def formatException(self, ei: ExceptionInfo) -> str:
        kind, _, trace = ei
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(trace)]
        name = kind.__name__ if kind else "no exception"
        return " ".join((name, "at", *reversed(places)))

    def formatStack(self, stack_info: str) -> str:
        return ""


def without_exception_text(record: logging.LogRecord) -> logging.LogRecord:
    """A copy of the record, in which Celery's account of a failed task has no exception text."""
    copy = logging.makeLogRecord(record.__dict__)
    copy.exc_text = None
    if isinstance(copy.args, dict) and "exc" in copy.args:
        kind = copy.exc_info[0] if copy.exc_info else None
        copy.args = {**copy.args, "exc": kind.__name__ if kind else "an exception"}
    return copy


def without_request(record: logging.LogRecord) -> logging.LogRecord:
    """The record; where it tells of a request's answer, in words that the request did not bring."""
    status, request = (getattr(record, name, None) for name in ("status_code", "request"))
    if status is None or not isinstance(request, HttpRequest):
        return record
    match = request.resolver_match
    where = f"/{match.route}" if match else "an unknown address"
    record.msg, record.args = f"{status} at {where}{_csrf_reason(record)}", ()
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        record.exc_info = None  # the client's fault: no place in the code
    return record


def _csrf_reason(record: logging.LogRecord) -> str:
    if record.name != "django.security.csrf" or not isinstance(record.args, tuple):
        return ""
    # "Origin checking failed - https://… does not match any trusted origins."
    return f": {record.args[0]}".partition(" - ")[0]
