"""What a database holds before any test, and how a test that committed gives that back.

Django empties every table and goes through all that follows a `migrate`; here only the tables
that hold something else than before are written to.
"""

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from app.audit import guards
from app.catalogue import search

Rows = list[tuple[Any, ...]]


class Pristine:
    """The rows of the tests' own database, as they are when this is made."""

    def __init__(self) -> None:
        names = connection.introspection.django_table_names(True, include_views=False)
        self.tables = sorted(names)
        self.rows = {table: self._rows(table) for table in self._filled()}

    def bring_back(self) -> None:
        with transaction.atomic():  # references are checked at its end
            guards.take_down()
            for table in sorted({*self._filled(), *self.rows}):
                self._bring_back(table)
            guards.put_up()
        search.ensure_indexes(connection.alias)
        ContentType.objects.clear_cache()

    def _bring_back(self, table: str) -> None:
        before = self.rows.get(table, [])
        if before and self._rows(table) == before:
            return
        self._execute(f'DELETE FROM "{table}"')
        for row in before:
            marks = ", ".join(["%s"] * len(row))
            self._execute(f'INSERT INTO "{table}" VALUES ({marks})', row)

    def _filled(self) -> list[str]:
        """The tables that hold any row."""
        each = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in self.tables)
        return [name for (name,) in self._execute(" UNION ALL ".join(each))]

    def _rows(self, table: str) -> Rows:
        return self._execute(f'SELECT * FROM "{table}" ORDER BY 1')

    def _execute(self, query: str, values: tuple[Any, ...] = ()) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []
