"""Transactions that hold rows for which others wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InternalError, OperationalError, connection, transaction

IDLE_TOO_LONG = "25P03"  # a SQLSTATE


def is_only_writer() -> bool:
    """Whether nobody else writes until this transaction ends.

    SQLite has one writer, which a transaction is from its beginning.
    """
    return connection.vendor == "sqlite"


@contextmanager
def while_heard(seconds: float) -> Iterator[None]:
    """A transaction that PostgreSQL ends when it has heard nothing of it for so long.

    Its host sleeps or is gone, and nobody else could have the rows that it holds.

    Raises
    ------
    OperationalError
        It was ended, which is as good as a server that went away.
    """
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                milliseconds = int(seconds * 1_000)
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
                    )
            yield
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", "") != IDLE_TOO_LONG:
            raise
        raise OperationalError("The transaction was silent for too long") from error.__cause__
