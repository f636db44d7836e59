"""What differs between an upload's conflicting objects and what is catalogued.

To compare costs a processor for some seconds: one is made at a time on each host, and what came of
it is kept for a while, under the hashes of the two, in the memory of the process that asked.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django.utils.formats import date_format

from app.catalogue.names import person_name
from app.limits import archive_limits, processed_root
from app.models import ArchiveMember, DICOMFile
from app.reasons import sentence
from app.sandbox.differences import NOT_READ, TOO_LONG, Comparison, Difference, Pair, compare
from app.storage.tree import open_object

VALUES = 12  # differences of one object that are listed
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


def differing_attributes(found: Iterable[Conflict]) -> list[tuple[str, int]]:
    """The attributes that differ, each with in how many of the objects."""
    counts = Counter(one.name for conflict in found for one in conflict.comparison.differences)
    return counts.most_common()


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
