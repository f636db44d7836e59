"""Many rows at once, each column by its name: 30 us a row through the ORM, 6 without."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from django.db import connection, models
from msgspec import json

_to_json = json.Encoder().encode


class Columns:
    """The columns of a model that a bulk insert fills, and where each value comes from.

    What is not named here has a default in the database.

    Parameters
    ----------
    sources
        By field: the attribute, as `attrgetter` takes it, of what a row is made from.
    """

    def __init__(self, model: type[models.Model], sources: Mapping[str, str]) -> None:
        self.model = model
        self.sources = sources
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*sources.values())

    def insert(self, items: Iterable[Any]) -> None:
        """One row for each item; nothing is asked of them but their attributes."""
        if connection.vendor == "postgresql":
            self._copy(items)
            return
        with connection.cursor() as cursor:
            cursor.executemany(self._insert_sql, map(self._row, items))  # type: ignore[arg-type]

    def _copy(self, items: Iterable[Any]) -> None:
        """PostgreSQL's way to insert many rows: ten times as fast as INSERT through Django."""
        sql = f"COPY {self._table} ({self._names}) FROM STDIN"
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as to:
            for item in items:
                to.write_row(self._row(item))

    def _row(self, item: Any) -> Sequence[Any]:
        """The values as the database's driver takes them."""
        values = self._values(item)
        if not self._converted:
            return values
        row = list(values)
        for at, convert in self._converted:
            row[at] = convert(row[at])
        return row

    @cached_property
    def _converted(self) -> list[tuple[int, Callable[[Any], str | None]]]:
        fields = map(self.model._meta.get_field, self.sources)
        return [
            (at, CONVERTED[type(field)])
            for at, field in enumerate(fields)
            if type(field) in CONVERTED
        ]

    @cached_property
    def _insert_sql(self) -> str:
        values = ", ".join(["%s"] * len(self.sources))
        return f"INSERT INTO {self._table} ({self._names}) VALUES ({values})"

    @property
    def _table(self) -> str:
        return connection.ops.quote_name(self.model._meta.db_table)

    @property
    def _names(self) -> str:
        columns = (self.model._meta.get_field(name).column for name in self.sources)  # type: ignore[union-attr]
        return ", ".join(connection.ops.quote_name(str(column)) for column in columns)


def next_keys(model: type[models.Model], count: int) -> Iterable[int]:
    """Primary keys that nobody else gets."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            sequence = "SELECT pg_get_serial_sequence(%s, 'id')"  # looked up once, not each time
            sql = f"SELECT nextval(({sequence})) FROM generate_series(1, %s)"
            cursor.execute(sql, [table, count])
            return [pk for (pk,) in cursor.fetchall()]
        # Nobody else writes during this transaction.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        (last,) = cursor.fetchone() or (0,)
        return range(last + 1, last + 1 + count)


def _json(value: Any) -> str | None:
    return None if value is None else _to_json(value).decode()


def _text(value: bytes) -> str:
    """A text that comes as bytes since it is long."""
    return value.decode()


CONVERTED: dict[type, Callable[[Any], str | None]] = {
    models.JSONField: _json,
    models.TextField: _text,
}
