"""Structures over the whole archive, by their names.

A row of a structure has megabytes of contours in its middle. SQLite reads past them to the columns
behind, the structure set's key among them: those are read from an index, never from the row.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import QueryDict

from app.catalogue import paging
from app.catalogue.addresses import AFTER, BEFORE, changing, key_in
from app.catalogue.among import Among
from app.catalogue.links import Coverage, coverages
from app.catalogue.paging import ROWS, Order, Page, Step, Total
from app.catalogue.search import COUNTED
from app.models import (
    LONGEST_NAME,
    DICOMStudy,
    HasShortName,
    Link,
    LinkKind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)

from .names import Spelling

SPELLINGS = 12
TYPES = 8
AT_ONCE = paging.AT_ONCE  # structures that are read together when all are
ORDER = Order("pk", descending=True, is_time=True)  # the newest first
TO_PATIENT = "dicom_instance__dicom_series__dicom_study__patient"
# What a row has in front of its contours.
SHOWN = RTStructureROI.objects.only(
    *("roi_number", "roi_name", "rt_roi_interpreted_type", "roi_generation_algorithm"),
    *("roi_display_color", "contour_count"),
)
# What a list says of what stands above a structure.
ABOVE = RTStructureSetInformation.objects.select_related(TO_PATIENT).only(
    *("structure_set_label", "structure_set_name", "structure_set_date", "approval_status"),
    *("dicom_instance__sop_instance_uid", "dicom_instance__dicom_series__series_instance_uid"),
    "dicom_instance__dicom_series__dicom_study__study_instance_uid",
    "dicom_instance__dicom_series__dicom_study__study_date",
    "dicom_instance__dicom_series__dicom_study__study_description",
    f"{TO_PATIENT}__unique_patient_id",
    f"{TO_PATIENT}__patient_name",
)

Rows = QuerySet[RTStructureROI]


def named(name: str) -> Rows:
    """Structures whose name is written exactly so."""
    rows = RTStructureROI.objects.filter(roi_name=name)
    # What the index of names holds; a longer one, which no standard allows, is looked for.
    return rows.filter(HasShortName()) if len(name) <= LONGEST_NAME else rows


class Short(NamedTuple):
    """What is read of every structure that was found."""

    pk: int
    name: str
    kind: str  # the interpreted type
    contours: int


class Place(NamedTuple):
    """What of a structure lies behind its contours."""

    structure_set: int
    slices: int


@dataclass(frozen=True)
class Narrowed:
    """By what the structures that were found are narrowed."""

    name: str | None = None
    kind: str | None = None
    without_contours: bool = False
    images_missing: bool = False  # of their structure set

    def __bool__(self) -> bool:
        return self != Narrowed()

    def of(self, rows: Rows) -> Rows:
        asked = {
            "roi_name": self.name,
            "rt_roi_interpreted_type": self.kind,
            "contour_count": 0 if self.without_contours else None,
        }
        rows = rows.filter(**{name: value for name, value in asked.items() if value is not None})
        if not self.images_missing:
            return rows
        of_sets = RTStructureROI.objects.order_by().filter(
            rt_structure_set__in=_incomplete().values("pk")
        )
        return rows.filter(pk__in=of_sets.values("pk"))

    def has(self, one: Short) -> bool:
        """Whether one is left, as far as that can be said of it alone."""
        return (
            self.name in (None, one.name)
            and self.kind in (None, one.kind)
            and not (self.without_contours and one.contours)
        )


def _incomplete() -> QuerySet[RTStructureSetInformation]:
    """Structure sets that name images which are not here."""
    missing = Link.objects.open().filter(source=OuterRef("dicom_instance"), kind=LinkKind.IMAGE)
    return RTStructureSetInformation.objects.order_by().filter(Exists(missing))


class Found:
    """What a search has found: the newest of it, as far as it is counted.

    Parameters
    ----------
    rows
        All of it.
    read
        The newest, where they were read before.
    """

    def __init__(self, rows: Rows, read: list[Short] | None = None) -> None:
        self.rows = rows
        if read is None:
            columns = ("pk", "roi_name", "rt_roi_interpreted_type", "contour_count")
            narrow = rows.order_by("-pk").values_list(*columns)
            read = [Short(*values) for values in narrow[: COUNTED + 1]]
        self.is_more = len(read) > COUNTED
        self.read = read[:COUNTED]

    def narrowed(self, by: Narrowed) -> "Found":
        """What is left of it."""
        if not by:
            return self
        if self.is_more:
            return Found(by.of(self.rows))
        among = self.images_missing if by.images_missing else self.read
        return Found(by.of(self.rows), [one for one in among if by.has(one)])

    @property
    def total(self) -> Total:
        return Total(len(self.read), self.is_more)

    @cached_property
    def without_contours(self) -> int:
        return sum(not one.contours for one in self.read)

    @cached_property
    def spellings(self) -> list[Spelling]:
        """Every name exactly as it is written, the most frequent first."""
        return _counted((one.name, one.pk) for one in self.read)

    @cached_property
    def types(self) -> list[Spelling]:
        return _counted((one.kind, one.pk) for one in self.read)

    @cached_property
    def places(self) -> dict[int, Place]:
        return places_of([one.pk for one in self.read])

    @cached_property
    def sets(self) -> set[int]:
        """The keys of the structure sets that they are in."""
        return {place.structure_set for place in self.places.values()}

    @cached_property
    def images_missing(self) -> list[Short]:
        """Those whose structure sets name images that are not here."""
        sets = {*_incomplete().filter(Among(F("pk"), self.sets)).values_list("pk", flat=True)}
        is_in = {pk for pk, place in self.places.items() if place.structure_set in sets}
        return [one for one in self.read if one.pk in is_in]

    def patients(self) -> int:
        """Of how many patients they are."""
        rows = RTStructureSetInformation.objects.filter(Among(F("pk"), self.sets))
        patients = rows.order_by().values(TO_PATIENT).distinct()
        return int(patients.count())

    def page(self, address: QueryDict) -> Page[RTStructureROI]:
        """The page that an address asks for: of what was read, or of what lies behind that."""
        keys = [one.pk for one in self.read]
        first = _first(keys, address)
        if self.is_more and first + ROWS >= len(keys):
            return paging.page_of(self.rows, ORDER, address, SHOWN)
        pks = keys[first : first + ROWS]
        newer, older = ORDER.steps
        return Page(
            [*SHOWN.filter(pk__in=pks).order_by("-pk")],
            Step(newer, changing(address, before=str(pks[0]))) if first else None,
            Step(older, changing(address, after=str(pks[-1]))) if keys[first + ROWS :] else None,
        )


def _first(keys: list[int], address: QueryDict) -> int:
    """Where in these keys, the highest first, the page begins that an address asks for."""
    after, before = (key_in(address, name) for name in (AFTER, BEFORE))
    if before is not None:
        return max(sum(key > before for key in keys) - ROWS, 0)
    return 0 if after is None else sum(key >= after for key in keys)


def _counted(values: Iterable[tuple[str, int]]) -> list[Spelling]:
    counts: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for value, pk in values:
        counts[value] += 1
        newest.setdefault(value, pk)
    return [Spelling(value, times, newest[value]) for value, times in counts.most_common()]


class Unindexed(models.Func):
    """A key as it is, but not looked for by its own index.

    SQLite then goes through the small index of what lies behind the contours, and to no row.
    """

    arity = 1
    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


def places_of(pks: Collection[int]) -> dict[int, Place]:
    """Of structures: what of each lies behind its contours."""
    key = Unindexed("pk", output_field=models.BigIntegerField())
    rows = RTStructureROI.objects.order_by().filter(Among(key, pks))
    return {
        pk: Place(structure_set, slices)
        for pk, structure_set, slices in rows.values_list("pk", "rt_structure_set", "slice_count")
    }


@dataclass(frozen=True)
class Structure:
    """A structure in a list, with all that stands above it."""

    roi: RTStructureROI
    slices: int
    structure_set: RTStructureSetInformation
    images: Coverage  # of those that the structure set names

    @property
    def study(self) -> DICOMStudy:
        return self.structure_set.dicom_instance.dicom_series.dicom_study

    @property
    def patient(self) -> Patient:
        return self.study.patient


def with_sets(rois: Sequence[RTStructureROI]) -> list[Structure]:
    """These few structures with their sets, studies and patients, in their order."""
    places = places_of([roi.pk for roi in rois])
    sets = ABOVE.in_bulk({place.structure_set for place in places.values()})
    images = coverages([row.dicom_instance_id for row in sets.values()])
    found = ((roi, places[roi.pk]) for roi in rois if roi.pk in places)
    return [
        Structure(roi, place.slices, row, images[row.dicom_instance_id])
        for roi, place in found
        # One that was deleted between the questions is in no list any more.
        if (row := sets.get(place.structure_set))
    ]


def every(rows: Rows) -> Iterator[Structure]:
    """All of these, the newest first, however many."""
    all_of_them = paging.every(rows, ORDER, SHOWN)
    while some := [*islice(all_of_them, AT_ONCE)]:
        yield from with_sets(some)
