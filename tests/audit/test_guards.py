"""The audit trail can only be added to, whatever a migration does to its table."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from app.audit import guards
from app.audit.recording import record
from app.models import AuditEntry, Kind

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]
TABLE = guards.TABLE
COLUMNS = 'id, at, kind, who, words, "table"'
VALUES = "'2026-01-01 00:00:00+00:00', 'ended', '', 'other', ''"


def entry() -> AuditEntry:
    with transaction.atomic():
        record(Kind.ENDED, words="as it was")
    return AuditEntry.objects.get()


def ways(pk: int) -> list[str]:
    """Statements that would change or remove an entry, or put another in its place."""
    insert = f"INTO {TABLE} ({COLUMNS}) VALUES ({pk}, {VALUES})"
    common = [
        f"UPDATE {TABLE} SET words = 'other'",
        f"DELETE FROM {TABLE}",
        f"DELETE FROM {TABLE} WHERE id = {pk}",
        f"INSERT {insert} ON CONFLICT (id) DO UPDATE SET words = 'other'",
    ]
    if connection.vendor == "postgresql":
        return [*common, f"TRUNCATE {TABLE}", f"TRUNCATE {TABLE} RESTART IDENTITY CASCADE"]
    replacing = [f"REPLACE {insert}", f"INSERT OR REPLACE {insert}"]
    return [*common, *replacing, f"UPDATE OR REPLACE {TABLE} SET words = 'other'"]


def assert_guarded(kept: AuditEntry) -> None:
    before = AuditEntry.objects.values().get(pk=kept.pk)
    for statement in ways(kept.pk):
        with pytest.raises(DatabaseError, match=guards.REFUSAL), connection.cursor() as cursor:
            cursor.execute(statement)
    assert list(AuditEntry.objects.values()) == [before]


def test_no_entry_is_changed_removed_or_replaced():
    assert_guarded(entry())


def test_a_row_before_the_first_cannot_be_a_trap():
    """SQLite's triggers see -1 where an id is still to be given."""
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} ({COLUMNS}) VALUES (-1, {VALUES})")


def test_a_migration_that_alters_the_table_leaves_it_guarded():
    kept = entry()
    field = models.CharField(max_length=9, default="")
    alter = migrations.AddField("AuditEntry", "more", field)
    shrink = migrations.RemoveField("AuditEntry", "more")
    old = state()
    new = old.clone()
    alter.state_forwards("app", new)
    try:
        with connection.schema_editor() as editor:
            alter.database_forwards("app", editor, old, new)
        if connection.vendor == "sqlite":
            assert guards.standing() == []  # the table was made anew, and lost them
        call_command("migrate", verbosity=0)
        assert_guarded(kept)
    finally:
        with connection.schema_editor() as editor:
            shrink.database_forwards("app", editor, new, old)
        call_command("migrate", verbosity=0)
    assert_guarded(kept)


def test_a_trigger_that_somebody_took_away_is_put_up_again():
    kept = entry()
    off = {  # SQLite disables none
        "sqlite": "DROP TRIGGER audit_no_update",
        "postgresql": f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL",
    }
    with connection.cursor() as cursor:
        cursor.execute(off[connection.vendor])
    call_command("migrate", verbosity=0)
    assert_guarded(kept)


def state() -> ProjectState:
    return MigrationLoader(connection).project_state()


def test_an_entry_stands_only_with_what_it_tells_of():
    with pytest.raises(AssertionError):
        record(Kind.ENDED)

    @transaction.atomic
    def undone():
        record(Kind.ENDED)
        raise DatabaseError

    with pytest.raises(DatabaseError):
        undone()
    assert not AuditEntry.objects.exists()
