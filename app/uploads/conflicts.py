"""What differs between an upload's conflicting objects and what is catalogued.

To compare costs a processor for some seconds: one is made at a time on each host, and what came of
it is kept for a while, under the hashes of the two, in the memory of the process that asked.
"""

import fcntl
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, QuerySet
from django.utils.formats import date_format

from app.catalogue.names import person_name
from app.limits import archive_limits, processed_root
from app.models import ArchiveMember, DICOMFile, DICOMSeries
from app.reasons import sentence
from app.sandbox.differences import NOT_READ, TOO_LONG, Comparison, Difference, Pair, compare
from app.storage.tree import open_object

COMPARED = 200  # objects of one upload at most
SERIES_OFFERED = 200  # to take the versions of some alone
VALUES = 12  # differences of one object, or of one attribute, that are listed
# Of PS3.3 C.7.1.1, by the names that `Difference` has: whose object it is.
IDENTITY = (
    "Patient's Name", "Patient ID", "Issuer of Patient ID", "Patient's Birth Date",
    "Patient's Sex", "Other Patient IDs",
)  # fmt: skip
KEPT_SECONDS = 3_600
KEPT_DIFFERENCES = 500  # of one object; to compare those with more is done anew

BUSY = Comparison(why_not="comparing_busy")
NO_ZIP = Comparison(why_not="zip_gone")
GONE = Comparison(why_not="catalogued_gone")


@dataclass(frozen=True, slots=True)
class DifferingAttribute:
    """One attribute as the page shows it."""

    name: str
    catalogued: str
    new: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflicting member, and what of it differs."""

    member: ArchiveMember
    comparison: Comparison

    @property
    def lines(self) -> list[DifferingAttribute]:
        shown = self.comparison.differences[:VALUES]
        return [
            DifferingAttribute(one.name, _shown(one, one.catalogued), _shown(one, one.new))
            for one in shown
        ]

    @property
    def more(self) -> int:
        return max(len(self.comparison.differences) - VALUES, 0)

    @property
    def remark(self) -> str:
        """What the list of differences does not say."""
        if self.comparison.why_not:
            return sentence(self.comparison.why_not)
        if not self.comparison.whole:
            return sentence("header_compared")
        return "" if self.comparison.differences else sentence("same_content")


def conflicts(upload: DICOMFile, members: Iterable[ArchiveMember]) -> list[Conflict]:
    """Compare conflicting members with what is catalogued in their place."""
    members = list(members)
    found = iter(_compared(upload, [one for one in members if one.instance]))
    return [Conflict(one, next(found) if one.instance else GONE) for one in members]


@dataclass(frozen=True, slots=True)
class Change:
    """What objects say in the catalogue and in the ZIP, and how many say just this."""

    catalogued: str
    new: str
    count: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, in how many of the objects it differs, and how."""

    name: str
    count: int
    changes: list[Change]  # the most frequent first
    more: int  # that are not listed

    @property
    def is_identity(self) -> bool:
        return self.name in IDENTITY


def attributes_of(found: Iterable[Conflict]) -> list[Attribute]:
    """What differs in all of the objects together: whose they are first, then by how many."""
    counts: Counter[str] = Counter()
    changes: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for conflict in found:
        # Attributes that the dictionary does not have share a name.
        differences = {one.name: one for one in conflict.comparison.differences}
        for name, one in differences.items():
            counts[name] += 1
            changes[name][_shown(one, one.catalogued), _shown(one, one.new)] += 1
    attributes = [
        Attribute(name, count, _listed(changes[name]), max(len(changes[name]) - VALUES, 0))
        for name, count in counts.most_common()
    ]
    return sorted(attributes, key=lambda one: not one.is_identity)


def _listed(changes: "Counter[tuple[str, str]]") -> list[Change]:
    return [Change(*values, count) for values, count in changes.most_common(VALUES)]


@dataclass(frozen=True, slots=True)
class OfSeries:
    """The conflicting objects of one series; None of those that were deleted since."""

    series: DICOMSeries | None
    count: int
    attributes: list[str]  # that differ, as far as was compared


def series_of(members: QuerySet[ArchiveMember], found: Iterable[Conflict]) -> list[OfSeries]:
    """The conflicting members by series: each with what differs in it."""
    by_series = members.order_by().values_list("instance__dicom_series")
    counts = dict(by_series.annotate(Count("pk")))
    rows = DICOMSeries.objects.select_related("dicom_study__patient").in_bulk(
        [pk for pk in counts if pk is not None][: SERIES_OFFERED + 1]
    )
    differing: defaultdict[int | None, dict[str, None]] = defaultdict(dict)
    for conflict in found:
        instance = conflict.member.instance
        names = (one.name for one in conflict.comparison.differences)
        differing[instance.dicom_series_id if instance else None].update(dict.fromkeys(names))
    return [
        OfSeries(rows.get(pk) if pk else None, count, list(differing[pk]))
        for pk, count in counts.items()
        if pk is None or pk in rows
    ]


def remarks_of(found: Iterable[Conflict]) -> list[tuple[str, int]]:
    """What the differences do not say, each with of how many objects it is so."""
    return Counter(one.remark for one in found if one.remark).most_common()


def _compared(upload: DICOMFile, members: Sequence[ArchiveMember]) -> list[Comparison]:
    try:
        archive = upload.file.open("rb")
    except (OSError, ValueError):  # the kept ZIP was removed
        return [NO_ZIP] * len(members)
    with archive:
        found = {one: kept for one in members if (kept := cache.get(_key(one)))}
        if left := [one for one in members if one not in found]:
            found |= zip(left, _compared_now(archive.fileno(), left), strict=True)
        return [found[one] for one in members]


def _compared_now(archive: int, members: Sequence[ArchiveMember]) -> list[Comparison]:
    """Compare what can be read, unless a comparison is under way."""
    with ExitStack() as opened, _one_at_a_time() as is_free:
        if not is_free:
            return [BUSY] * len(members)
        pairs: dict[ArchiveMember, Pair] = {}
        for one in members:
            with suppress(OSError):
                pairs[one] = Pair(one.index, one.inner, _opened(one, opened))
        found = dict(zip(pairs, compare(archive, archive_limits(), [*pairs.values()]), strict=True))
        for one, comparison in found.items():
            if len(comparison.differences) <= KEPT_DIFFERENCES:
                cache.set(_key(one), comparison, KEPT_SECONDS)
            if comparison in (TOO_LONG, NOT_READ):  # the others may not have had their turn
                break
        return [found.get(one, NOT_READ) for one in members]


def _opened(member: ArchiveMember, stack: ExitStack) -> int:
    assert member.instance
    file = open_object(processed_root(), member.instance.path)
    stack.callback(os.close, file)
    return file


@contextmanager
def _one_at_a_time() -> Iterator[bool]:
    """Whether nobody else on this host compares; nobody will meanwhile."""
    with (settings.ICON_VAR / "comparing.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _key(member: ArchiveMember) -> str:
    assert member.instance
    return f"differences:{member.instance.sha256}:{member.sha256}"


def _shown(difference: Difference, value: str | None) -> str:
    """A value as people write it; "" for what is no text."""
    if value is None:
        return "absent"
    if difference.vr == "PN":
        return person_name(value)
    if difference.vr == "DA":
        return _date(value)
    return value


def _date(value: str) -> str:
    try:
        return date_format(datetime.strptime(value, "%Y%m%d"), "DATE_FORMAT")
    except ValueError:
        return value
