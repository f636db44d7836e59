"""Whether what search compares is what the rows say, in the tables and in SQLite's indexes."""

from collections.abc import Iterator

from django.db import connection

from app.catalogue.search import index_of, searched_models
from app.models import COLUMN


def out_of_step() -> list[str]:
    """What a search would miss, or find though it is not there."""
    return [f"{table} {pk}" for table, pk in {*_unfolded(), *_unindexed()}]


def _unfolded() -> Iterator[tuple[str, int]]:
    for model in searched_models():
        for row in model._base_manager.all():
            if getattr(row, COLUMN) != model._meta.get_field(COLUMN).text_of(row):
                yield model._meta.db_table, row.pk


def _unindexed() -> Iterator[tuple[str, int]]:
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for model in searched_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT id, {COLUMN} FROM {table}")
            rows = {*cursor.fetchall()}
            cursor.execute(f"SELECT rowid, {COLUMN} FROM {index_of(table)}")
            yield from ((table, pk) for pk, _ in rows ^ {*cursor.fetchall()})
