"""Transactions that hold rows for which others wait."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import InternalError, OperationalError, connection, transaction

from app.models import Patient

IDLE_TOO_LONG = "25P03"  # a SQLSTATE


def is_only_writer() -> bool:
    """Whether nobody else writes until this transaction ends.

    SQLite has one writer, which a transaction is from its beginning.
    """
    return connection.vendor == "sqlite"


def lock_patients(pks: Collection[int]) -> None:
    """Hold these patients' rows until the transaction ends, before any row below them is held.

    What is kept of a patient as a whole (links between its objects) is written by one transaction
    after the other, so that each sees what those before it wrote. In key order, so that
    transactions which share patients cannot wait for each other in a circle.
    """
    if not is_only_writer() and pks:
        rows = Patient.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk")
        list(rows.values_list("pk"))


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
