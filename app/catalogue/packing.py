"""Rows as text and back, column by name: how the trash keeps them.

A column that a later migration has added gets its default when a row is written again, and one
that is gone is left out. Long columns stay out of the text: the database copies them by itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, models
from django.db.models import F
from msgspec import json

from app.models import (
    ArchiveMember,
    DICOMInstance,
    ImageInformation,
    Link,
    RTStructureROI,
    RTStructureSetInformation,
)

Values = dict[str, Any]  # by column
Rows = dict[str, list[Values]]  # by table, as `label`

# The tables below an instance, each after those that it refers to, and how a row leads to it.
BELOW: dict[type[models.Model], str] = {
    ImageInformation: "dicom_instance",
    RTStructureSetInformation: "dicom_instance",
    RTStructureROI: "rt_structure_set__dicom_instance",
}
LONG: dict[type[models.Model], str] = {
    ImageInformation: "frame_planes",
    RTStructureROI: "roi_contour_data",
}
JOINS: dict[type[models.Model], str] = {  # from such a table to what is in the trash
    ImageInformation: "JOIN app_trashedobject o ON o.instance = t.dicom_instance_id",
    RTStructureROI: (
        "JOIN app_rtstructuresetinformation s ON s.id = t.rt_structure_set_id "
        "JOIN app_trashedobject o ON o.instance = s.dicom_instance_id"
    ),
}
REFERENCE = ("kind", "target_uid", "frame_number")  # of a link, which is made anew
MEMBERS = "members"  # an object's lines in ledgers


def label(model: type[models.Model]) -> str:
    return model._meta.label_lower


def to_text(values: Any) -> str:
    return json.encode(values).decode()


def from_text(text: str) -> Any:
    return json.decode(text)


def rows_of(rows: models.QuerySet[Any], *more: str) -> list[Values]:
    """Rows with all columns but the long one."""
    model = rows.model
    names = [one.attname for one in model._meta.concrete_fields if one.name != LONG.get(model)]
    return list(rows.order_by("pk").values(*names, *more))


def packed(pks: Collection[int]) -> dict[int, Rows]:
    """By instance: its row and all below it, what it refers to, and its lines in ledgers."""
    found: dict[int, Rows] = defaultdict(lambda: defaultdict(list))
    for row in rows_of(DICOMInstance.objects.filter(pk__in=pks)):
        found[row["id"]][label(DICOMInstance)].append(row)
    for model, path in BELOW.items():
        below = model._default_manager.filter(**{f"{path}__in": pks})
        for row in rows_of(below.annotate(owner=F(path)), "owner"):
            found[row.pop("owner")][label(model)].append(row)
    for source, *values in Link.objects.filter(source__in=pks).values_list("source", *REFERENCE):
        found[source][label(Link)].append(dict(zip(REFERENCE, values, strict=True)))
    members = ArchiveMember.objects.filter(instance__in=pks).order_by()
    for line in members.values("instance_id", "id", "upload_id", "index", "inner"):
        found[line.pop("instance_id")][MEMBERS].append(line)
    return found


def copy_long_columns(pks: Collection[int]) -> None:
    """Copy what is long of the rows below objects that have just come to the trash."""
    marks = ", ".join(["%s"] * len(pks))
    with connection.cursor() as cursor:
        for model, column in LONG.items():
            cursor.execute(
                f"""
                INSERT INTO app_trashedtext (trashed_id, "table", "row", text)
                SELECT o.id, %s, t.id, t.{column} FROM {model._meta.db_table} t {JOINS[model]}
                WHERE o.instance IN ({marks}) AND t.{column} <> ''
                """,
                [label(model), *pks],
            )


def copy_long_columns_back(trashed: Collection[int]) -> None:
    """Give rows that were written again what was long of them; objects by their keys in the trash.

    The planes of an enhanced image and the contours of a structure may be megabytes.
    """
    marks = ", ".join(["%s"] * len(trashed))
    with connection.cursor() as cursor:
        for model, column in LONG.items():
            table = model._meta.db_table
            cursor.execute(
                f"""
                UPDATE {table} SET {column} = (
                    SELECT x.text FROM app_trashedtext x
                    WHERE x."table" = %s AND x."row" = {table}.id
                ) WHERE id IN (
                    SELECT x."row" FROM app_trashedtext x
                    WHERE x."table" = %s AND x.trashed_id IN ({marks})
                )
                """,
                [label(model), label(model), *trashed],
            )


def write(model: type[models.Model], rows: Iterable[Values]) -> None:
    """Write rows again, with the keys that they had."""
    by_columns: dict[tuple[str, ...], list[Values]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(row)].append(row)
    for names, alike in by_columns.items():
        _insert(model, names, alike)


def _insert(model: type[models.Model], names: Sequence[str], rows: Sequence[Values]) -> None:
    fields = [
        field
        for field in model._meta.concrete_fields
        if field.attname in names or not field.has_db_default()
    ]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",
            [[_stored(field, row) for field in fields] for row in rows],
        )


def _stored(field: Any, row: Mapping[str, Any]) -> Any:
    value = row[field.attname] if field.attname in row else field.get_default()
    return field.get_db_prep_save(field.to_python(value), connection)
