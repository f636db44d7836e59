"""Log lines that cannot identify a patient."""

import logging
import traceback
from pathlib import Path
from types import TracebackType

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class OneLine(logging.Formatter):
    """One line a record; of an exception its class and places, never its text.

    A database error quotes the row it refused, and a row names a patient.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(without_exception_text(record))
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
