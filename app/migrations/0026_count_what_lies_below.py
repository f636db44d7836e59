"""What lies below the rows that are here is counted, as it is for those that come.

A few rows at a time, each time in a transaction of its own, so that imports go on meanwhile. What
an older version brings at the same time is not counted: `verify_catalogue` finds and mends that.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import migrations, transaction
from django.db.models import Count, F, Max, Sum

ROWS = 500
LONGEST = 256  # characters of modalities

SUMS = {
    "instance_count": Sum("instance_count"),
    "image_count": Sum("image_count"),
    "total_size": Sum("total_size"),
    "last_added_at": Max("last_added_at"),
}
# table -> the table below, its parent, its modality, and what is asked of it
LEVELS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    (
        *("DICOMSeries", "DICOMInstance", "dicom_series", ""),
        {
            "instance_count": Count("pk"),
            "image_count": Count("rows"),
            "total_size": Sum("size"),
            "last_added_at": Max("created_at"),
        },
    ),
    (
        *("DICOMStudy", "DICOMSeries", "dicom_study", "modality"),
        SUMS | {"series_count": Count("pk")},
    ),
    (
        *("Patient", "DICOMStudy", "patient", "modalities"),
        SUMS | {"study_count": Count("pk"), "last_study_date": Max("study_date")},
    ),
)


def count(apps: Any, schema_editor: Any) -> None:
    using = schema_editor.connection.alias
    for name, below, parent, modality, asked in LEVELS:
        rows = apps.get_model("app", name)._base_manager.using(using)
        children = apps.get_model("app", below)._base_manager.using(using).order_by()
        for pks in _pages(rows):
            groups = children.filter(**{f"{parent}__in": pks})
            keys = {"of": F(parent)} | ({"words": F(modality)} if modality else {})
            # Under names that no column has, which an aggregate would otherwise mean.
            sums = {f"sum_{one}": aggregate for one, aggregate in asked.items()}
            with transaction.atomic(using):
                found = groups.values(**keys).annotate(**sums).order_by("of")
                of_rows = groupby(found, key=itemgetter("of"))
                changed = [_row(pk, asked, [*some]) for pk, some in of_rows]
                columns = [*asked, *(["modalities"] if modality else [])]
                _write(schema_editor.connection, rows.model._meta.db_table, columns, changed)


def _write(connection: Any, table: str, columns: list[str], rows: list[list[Any]]) -> None:
    if rows:
        values = ", ".join(f"{column} = %s" for column in columns)
        with connection.cursor() as cursor:
            adapted = [[_adapted(connection, value) for value in row] for row in rows]
            cursor.executemany(f"UPDATE {table} SET {values} WHERE id = %s", adapted)


def _adapted(connection: Any, value: Any) -> Any:
    """As the database takes a moment or a day."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return connection.ops.adapt_datefield_value(value) if isinstance(value, date) else value


def _pages(rows: Any) -> Iterator[list[int]]:
    last = 0
    while page := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:ROWS]):
        yield page
        last = page[-1]


def _row(pk: int, asked: Iterable[str], groups: list[dict[str, Any]]) -> list[Any]:
    """Its values, in the order of the columns, and its key."""
    row: list[Any] = []
    for name in asked:
        values = [group[f"sum_{name}"] for group in groups]
        given = [value for value in values if value is not None]
        row.append(max(given, default=None) if name.startswith("last_") else int(sum(given)))
    if "words" in groups[0]:
        row.append(_in_words(group["words"] for group in groups))
    return [*row, pk]


def _in_words(modalities: Iterable[str]) -> str:
    each = {one for words in modalities for one in words.split(", ") if one}
    text = ", ".join(sorted(each))
    return text if len(text) <= LONGEST else text[: LONGEST + 2].rpartition(", ")[0]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("app", "0025_selections")]

    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
