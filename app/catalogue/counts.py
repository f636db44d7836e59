"""What patients, studies and series know of what lies below them.

A series is the sum of its instances, a study that of its series, a patient that of its studies.
Whoever adds, replaces or deletes an object writes these sums in the same transaction, in which he
holds the patient: see `transactions.lock_patients`. A batch adds to its series, which may be long,
and what is deleted is taken away; all else is summed up anew, for the rows concerned alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection, models

from app.models import DICOMInstance, DICOMSeries, DICOMStudy, Patient

from .entries import Branch, Entry
from .sql import ask, marks, names, table

LONGEST = 256  # characters of modalities
SEPARATOR = ", "

Values = tuple[Any, ...]  # of a level's columns, as the database's driver has them


@dataclass(frozen=True)
class Level:
    """A table whose rows are the sum of the rows below, and how these are asked for."""

    model: type[models.Model]
    below: type[models.Model]
    parent: str  # the column of the table below
    sums: dict[str, str]  # column -> aggregate, of which groups are added up
    latest: dict[str, str]  # column -> aggregate, of which the last of all groups is taken
    modality: str = ""  # the column below that holds modalities, if any
    changes: bool = False  # whether it counts how often what lies below has changed

    def true(self, pks: Collection[int]) -> dict[int, Values]:
        """What the columns of these rows should say; of rows that are not there nothing."""
        groups: dict[int, list[Sequence[Any]]] = {pk: [] for pk in pks}
        for pk, *group in self._groups(pks):
            groups[pk].append(group)
        return {pk: self._together(of_row) for pk, of_row in groups.items()}

    def said(self, pks: Collection[int]) -> dict[int, Values]:
        """What they say."""
        # As expressions, since SQLite's driver converts dates of columns, but not of sums.
        columns = ", ".join(f"COALESCE({names(column)}, NULL)" for column in self.columns)
        sql = f"SELECT id, {columns} FROM {table(self.model)} WHERE id IN ({marks(pks)})"
        return {pk: tuple(values) for pk, *values in (ask(sql, pks) if pks else [])}

    def write(self, pks: Collection[int]) -> None:
        """Sum these rows up anew."""
        rows = [(*values, pk) for pk, values in sorted(self.true(pks).items())]
        _write_each(self._update, rows)

    @cached_property
    def columns(self) -> list[str]:
        return [*self.sums, *self.latest, *(["modalities"] if self.modality else [])]

    @cached_property
    def _update(self) -> str:
        sets = [f"{names(column)} = %s" for column in self.columns]
        sets += ["changes = changes + 1"] if self.changes else []
        return f"UPDATE {table(self.model)} SET {', '.join(sets)} WHERE id = %s"

    @cached_property
    def _select(self) -> tuple[str, str]:
        keys = names(self.parent, *([self.modality] if self.modality else []))
        values = ", ".join([*self.sums.values(), *self.latest.values()])
        return (
            f"SELECT {keys}, {values} FROM {table(self.below)} WHERE {names(self.parent)} IN (",
            f") GROUP BY {keys}",
        )

    def _groups(self, pks: Collection[int]) -> Iterable[Sequence[Any]]:
        """Key, modality where it has one, and aggregates of what is below."""
        before, after = self._select
        return ask(before + marks(pks) + after, pks) if pks else []

    def _together(self, groups: Sequence[Sequence[Any]]) -> Values:
        first = 1 if self.modality else 0
        middle = first + len(self.sums)
        columns = list(zip(*groups, strict=True)) or [()] * (middle + len(self.latest))
        # PostgreSQL adds integers up to decimals.
        sums = (int(sum(column)) for column in columns[first:middle])
        latest = (max(filter(None, column), default=None) for column in columns[middle:])
        return *sums, *latest, *([_in_words(columns[0])] if self.modality else [])


OF_SUMS = {name: f"SUM({name})" for name in ("instance_count", "image_count", "total_size")}
LAST_ADDED = {"last_added_at": "MAX(last_added_at)"}
SERIES = Level(
    *(DICOMSeries, DICOMInstance, "dicom_series_id"),
    {"instance_count": "COUNT(*)", "image_count": 'COUNT("rows")', "total_size": "SUM(size)"},
    {"last_added_at": "MAX(created_at)"},
    changes=True,
)
STUDIES = Level(
    *(DICOMStudy, DICOMSeries, "dicom_study_id"),
    OF_SUMS | {"series_count": "COUNT(*)"},
    LAST_ADDED,
    "modality",
)
PATIENTS = Level(
    *(Patient, DICOMStudy, "patient_id"),
    OF_SUMS | {"study_count": "COUNT(*)"},
    LAST_ADDED | {"last_study_date": "MAX(study_date)"},
    "modalities",
)
LEVELS = (SERIES, STUDIES, PATIENTS)  # each is the sum of the one before

ADD = """
    UPDATE app_dicomseries
    SET instance_count = instance_count + %s,
        image_count = image_count + %s,
        total_size = total_size + %s,
        changes = changes + 1,
        last_added_at = CASE WHEN last_added_at > %s THEN last_added_at ELSE %s END
    WHERE id = %s
"""

TAKE_AWAY = """
    UPDATE app_dicomseries
    SET instance_count = instance_count - %s,
        image_count = image_count - %s,
        total_size = total_size - %s,
        changes = changes + 1
    WHERE id = %s
"""


def add(imported: Mapping[Branch, Sequence[Entry]]) -> None:
    """Count what a batch has brought."""
    if not imported:
        return
    by_series: dict[int, list[Entry]] = {}
    for branch, entries in imported.items():
        by_series.setdefault(branch.series_id, []).extend(entries)
    replaced = {pk for pk, entries in by_series.items() if any(one.superseded for one in entries)}
    rows = [_added(pk, entries) for pk, entries in sorted(by_series.items()) if pk not in replaced]
    _write_each(ADD, rows)
    sum_up(
        replaced,
        {branch.study.pk for branch in imported},
        {branch.patient.pk for branch in imported},
    )


def take_away(
    deleted: Collection[DICOMInstance], studies: Collection[int], patients: Collection[int]
) -> None:
    """Count without what has just been deleted of series that may be long.

    Of these studies and patients all is summed up anew. What is not there any more is left out.

    Parameters
    ----------
    deleted
        With their series as they were before.
    """
    by_series: dict[int, list[DICOMInstance]] = {}
    for one in deleted:
        by_series.setdefault(one.dicom_series_id, []).append(one)
    # The last that is left is looked for among all, but only where the last one went.
    ended = {pk for pk, some in by_series.items() if _holds_the_last(some)}
    rows = [_taken(pk, some) for pk, some in sorted(by_series.items()) if pk not in ended]
    _write_each(TAKE_AWAY, rows)
    sum_up(ended, studies, patients)


def sum_up(series: Collection[int], studies: Collection[int], patients: Collection[int]) -> None:
    """Count anew what these rows have below them."""
    for level, pks in zip(LEVELS, (series, studies, patients), strict=True):
        level.write(pks)


def wrong(level: Level, pks: Collection[int]) -> list[int]:
    """Those of these rows that do not say what is true."""
    said, true = level.said(pks), level.true(pks)
    return sorted(pk for pk, values in said.items() if values != true[pk])


def _added(series: int, entries: Sequence[Entry]) -> Values:
    images = sum(entry.header.instance.rows is not None for entry in entries)
    size = sum(entry.extracted.size for entry in entries)
    filed_at = entries[-1].filed_at
    return len(entries), images, size, filed_at, filed_at, series


def _holds_the_last(deleted: Sequence[DICOMInstance]) -> bool:
    last = deleted[0].dicom_series.last_added_at
    return last is None or last <= max(one.created_at for one in deleted)


def _taken(series: int, deleted: Sequence[DICOMInstance]) -> Values:
    images = sum(one.rows is not None for one in deleted)
    return len(deleted), images, sum(one.size for one in deleted), series


def _in_words(modalities: Iterable[str]) -> str:
    """Each once, in order, as many as the column takes."""
    each = {one for words in modalities for one in words.split(SEPARATOR) if one}
    text = SEPARATOR.join(sorted(each))
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST + len(SEPARATOR)].rpartition(SEPARATOR)[0]


def _write_each(sql: str, rows: Sequence[Values]) -> None:
    with connection.cursor() as cursor:
        if len(rows) == 1:  # for which PostgreSQL's driver needs half the time
            cursor.execute(sql, rows[0])
        elif rows:
            cursor.executemany(sql, rows)
