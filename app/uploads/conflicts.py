"""What differs between an upload's conflicting objects and what is catalogued."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import date_format

from app.catalogue.names import person_name
from app.limits import archive_limits, processed_root
from app.models import ArchiveMember, DICOMFile
from app.reasons import sentence
from app.sandbox.differences import Comparison, Difference, Pair, compare

VALUES = 12  # differences of one object that are listed

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


def differing_attributes(found: Iterable[Conflict]) -> list[tuple[str, int]]:
    """The attributes that differ, each with in how many of the objects."""
    counts = Counter(one.name for conflict in found for one in conflict.comparison.differences)
    return counts.most_common()


def _compared(upload: DICOMFile, members: Sequence[ArchiveMember]) -> list[Comparison]:
    root = processed_root()
    pairs = [
        Pair(one.index, one.inner, str(root / one.instance.path)) for one in members if one.instance
    ]
    try:
        with upload.file.open("rb") as archive:
            return compare(archive.fileno(), archive_limits(), pairs)
    except (OSError, ValueError):  # the kept ZIP was removed
        return [NO_ZIP] * len(pairs)


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
