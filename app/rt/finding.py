"""Structures over the whole archive, by their names.

A row of a structure has megabytes of contours in its middle. SQLite reads past them to the columns
behind, the structure set's key among them: that is read from its index, never from the row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from django.db import models
from django.db.models import Count, QuerySet

from app.catalogue import paging
from app.catalogue.paging import COUNTED, Order, Total
from app.catalogue.search import matching
from app.models import (
    LONGEST_NAME,
    DICOMStudy,
    HasShortName,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)

from .names import Spelling

SPELLINGS = 12
TYPES = 8
AT_ONCE = 500  # structures that are read together when all are
ORDER = Order("pk", descending=True, is_time=True)  # the newest first
TO_PATIENT = "dicom_instance__dicom_series__dicom_study__patient"
# What a row has in front of its contours.
SHOWN = RTStructureROI.objects.only(
    *("roi_number", "roi_name", "rt_roi_interpreted_type", "roi_generation_algorithm"),
    *("roi_display_color", "contour_count"),
)

Rows = QuerySet[RTStructureROI]


@dataclass(frozen=True)
class Narrowed:
    """By what the structures that were found are narrowed."""

    name: str | None = None
    kind: str | None = None  # the interpreted type
    without_contours: bool = False

    def of(self, rows: Rows) -> Rows:
        if self.name is not None:
            rows = named(rows, self.name)
        if self.kind is not None:
            rows = rows.filter(rt_roi_interpreted_type=self.kind)
        if self.without_contours:
            rows = rows.filter(contour_count=0)
        return rows


def worded(words: str) -> Rows:
    """Structures in whose names all words stand."""
    return RTStructureROI.objects.filter(matching(RTStructureROI, words))


def named(rows: Rows, name: str) -> Rows:
    """Those whose name is written exactly so."""
    rows = rows.filter(roi_name=name)
    # What the index of names holds; a longer one, which no standard allows, is looked for.
    return rows.filter(HasShortName()) if len(name) <= LONGEST_NAME else rows


class Found:
    """What a search has found, as far as it is counted: names, types, and how many."""

    def __init__(self, rows: Rows) -> None:
        narrow = rows.order_by("-pk").values_list(
            "pk", "roi_name", "rt_roi_interpreted_type", "contour_count"
        )
        read = [*narrow[: COUNTED + 1]]
        self.rows = rows
        self.is_more = len(read) > COUNTED
        self._read = read[:COUNTED]

    @property
    def total(self) -> Total:
        return Total(len(self._read), self.is_more)

    @cached_property
    def without_contours(self) -> int:
        return sum(not contours for *_, contours in self._read)

    @cached_property
    def spellings(self) -> list[Spelling]:
        """Every name exactly as it is written, the most frequent first."""
        return _counted((name, pk) for pk, name, _, _ in self._read)

    @cached_property
    def types(self) -> list[Spelling]:
        return _counted((kind, pk) for pk, _, kind, _ in self._read)

    def sets_and_patients(self) -> tuple[int, int]:
        """In how many structure sets they are, and of how many patients."""
        sets = RTStructureSetInformation.objects.filter(pk__in=_sets_of(self.rows))
        counted = sets.aggregate(sets=Count("pk"), patients=Count(TO_PATIENT, distinct=True))
        return counted["sets"], counted["patients"]


def _counted(values: Iterable[tuple[str, int]]) -> list[Spelling]:
    counts: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for value, pk in values:
        counts[value] += 1
        newest.setdefault(value, pk)
    return [Spelling(value, times, newest[value]) for value, times in counts.most_common()]


class Unindexed(models.Func):
    """A key as it is, but not looked for by its own index.

    SQLite then goes through the small index of the structure sets' keys, and to no row at all.
    """

    arity = 1
    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


def _by_index(pks: Any) -> Rows:
    return (
        RTStructureROI.objects.order_by()
        .annotate(key=Unindexed("pk", output_field=models.BigIntegerField()))
        .filter(key__in=pks)
    )


def _sets_of(rows: Rows) -> QuerySet[Any, Any]:
    return _by_index(rows.order_by().values("pk")).values("rt_structure_set")


@dataclass(frozen=True)
class Structure:
    """A structure in a list, with all that stands above it."""

    roi: RTStructureROI
    structure_set: RTStructureSetInformation

    @property
    def study(self) -> DICOMStudy:
        return self.structure_set.dicom_instance.dicom_series.dicom_study

    @property
    def patient(self) -> Patient:
        return self.study.patient


def with_sets(rois: Sequence[RTStructureROI]) -> list[Structure]:
    """These few structures with their sets, studies and patients, in their order."""
    keys = dict(_by_index([roi.pk for roi in rois]).values_list("pk", "rt_structure_set"))
    sets = RTStructureSetInformation.objects.select_related(TO_PATIENT).in_bulk({*keys.values()})
    # One that was deleted between the questions is in no list any more.
    return [Structure(roi, sets[keys[roi.pk]]) for roi in rois if keys.get(roi.pk) in sets]


def every(rows: Rows) -> Iterator[Structure]:
    """All of these, the newest first, however many."""
    all_of_them = paging.every(rows, ORDER, SHOWN)
    while some := [*islice(all_of_them, AT_ONCE)]:
        yield from with_sets(some)
