"""Triggers that refuse to change or delete an entry, or to put another in its place.

They guard against ICON's own code, not against the owner of the database, who can drop them.
SQLite rebuilds a table to alter it, and loses its triggers without a word: so they are put back
after each `migrate`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from app.models import AuditEntry

TABLE = AuditEntry._meta.db_table
REFUSAL = "Audit entries are only added."

SQLITE = {
    "audit_no_update": f"BEFORE UPDATE ON {TABLE}",
    "audit_no_delete": f"BEFORE DELETE ON {TABLE}",
    # REPLACE deletes what is in its way, and asks the trigger above only if a connection has
    # turned `recursive_triggers` on.
    "audit_no_replace": (
        f"BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)"
    ),
}
POSTGRESQL = {
    "audit_no_change": (
        f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE}"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )
}
REFUSE = f"""
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$
"""


def put_up(**kwargs: Any) -> None:
    """Make the triggers that are missing; without the table, as in an older migration, none."""
    missing = _wanted().keys() - set(standing())
    if not missing or TABLE not in connection.introspection.table_names():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(REFUSE)
        for name in sorted(missing):
            if connection.vendor == "postgresql":  # it may be there, and disabled
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {TABLE}")
            cursor.execute(_creating(name))


def take_down() -> None:
    """Drop the triggers. Only who puts them up again in the same transaction may."""
    with connection.cursor() as cursor:
        for name in standing():
            on = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {name}{on}")


@contextmanager
def lifted() -> Iterator[None]:
    """A transaction in which entries can be deleted; nobody else's can meanwhile."""
    with transaction.atomic():
        take_down()
        yield
        put_up()


def standing() -> list[str]:
    """The triggers that are there."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s)"
                " AND NOT tgisinternal AND tgenabled = 'O'",
                [TABLE],
            )
        else:
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE]
            )
        return [name for (name,) in cursor.fetchall() if name in _wanted()]


def _wanted() -> dict[str, str]:
    return POSTGRESQL if connection.vendor == "postgresql" else SQLITE


def _creating(name: str) -> str:
    body = (
        ""
        if connection.vendor == "postgresql"
        else (f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END")
    )
    return f"CREATE TRIGGER {name} {_wanted()[name]}{body}"
