"""Transactions that hold rows for which others wait."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import (
    InternalError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)

from app.models import Patient

IDLE_TOO_LONG = "25P03"  # a SQLSTATE


def is_only_writer() -> bool:
    """Whether nobody else writes until this transaction ends.

    SQLite has one writer, which a transaction is from its beginning.
    """
    return connection.vendor == "sqlite"


def lock_patients(pks: Collection[int]) -> dict[int, Patient]:
    """Hold patients until the transaction ends; those that are there, as they are then.

    **The order of locks on what is filed.** Whoever writes below a patient, or what is known of
    it, holds the patient first and to the end: a batch once it has found or made its patients, a
    deletion, what is read again, an answer, a repair. Then come, each in the order of their keys,
    identities, instances, studies, series, and uploads last. Patients that a batch lacks are made
    before it holds any, in the order of their folders. So nobody waits for another in a circle,
    and of two imports into one patient the second sees all that the first has written: what is
    kept of a patient as a whole (links between its objects, counts) is true.
    """
    rows = Patient.objects.select_for_update(no_key=True).filter(pk__in=pks)
    return {row.pk: row for row in rows.order_by("pk")}


@contextmanager
def put_aside_in_memory() -> Iterator[None]:
    """Around a transaction of many rows: what SQLite may have to take back is kept in memory.

    For each statement it puts aside the pages that this changes, beyond 64 kB of them in a file
    outside the data folder; that took a tenth of a batch.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    _put_aside("MEMORY")
    try:
        yield
    finally:
        _put_aside("DEFAULT")


def _put_aside(where: str) -> None:
    if connection.connection:
        with connection.wrap_database_errors:
            connection.connection.execute(f"PRAGMA temp_store = {where}")


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


def give_back_connection() -> None:
    """Let others have this thread's connection to the database, while it does something else."""
    if not connection.in_atomic_block:
        close_old_connections()
