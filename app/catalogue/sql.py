"""Questions of every batch, past the ORM: it takes longer to put one together than its answer."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from django.db import connection, models

Row = TypeVar("Row", bound=models.Model)


def ask(sql: str, values: Collection[Any] = ()) -> list[Any]:
    """The rows of an answer."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values])
        rows: list[Any] = cursor.fetchall()
    return rows


def find(model: type[Row], values: Mapping[str, Collection[Any]]) -> Iterable[Row]:
    """The rows each of whose named columns has one of some values."""
    where = " AND ".join(f"{names(column)} IN ({marks(some)})" for column, some in values.items())
    every = [value for some in values.values() for value in some]
    return model._default_manager.raw(f"SELECT * FROM {table(model)} WHERE {where}", every)


def marks(values: Collection[Any]) -> str:
    """Places for values in a statement; of some, since IN () is no SQL."""
    return ", ".join(["%s"] * len(values))


def names(*columns: str) -> str:
    return ", ".join(map(connection.ops.quote_name, columns))


def table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
