"""One upload's list of files as people read it: what went wrong first, filtered, page by page."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.utils.http import urlencode

from app.models import ArchiveMember, DICOMFile, Outcome

ALIKE = 3  # files in a row with one sentence, from which on it is said once
REASONS = 20  # that are named above the list
SORTED = 20_000  # failures that are put side by side by what is said of them

IN_ZIP_ORDER = ("index", "inner")
OBJECT = "instance__dicom_series__dicom_study__patient"


@dataclass(frozen=True, slots=True)
class Filters:
    """What an address asks of the list; "" asks for nothing."""

    outcome: str = ""
    why: str = ""  # the whole of what is said of a file
    warning: str = ""  # a sentence that is part of it
    order: str = ""  # "zip": as in the ZIP
    q: str = ""  # the number under which are kept:
    words: str = ""  # what the name, or what is said, holds

    @classmethod
    def of(cls, query: QueryDict, words: str) -> "Filters":
        """What an address asks for, and the words that are kept under its number."""
        # PostgreSQL takes no NUL.
        asked = {name: query.get(name, "").replace("\0", "").strip() for name in cls.__slots__}
        asked |= {"q": asked["q"] if words else "", "words": words}
        asked["outcome"] = asked["outcome"] if asked["outcome"] in Outcome else ""
        asked["order"] = asked["order"] if asked["order"] == "zip" else ""
        return cls(**asked)

    @property
    def given(self) -> dict[str, str]:
        asked = asdict(self)
        del asked["words"]
        return {name: value for name, value in asked.items() if value}

    @property
    def query(self) -> str:
        """The same for another address."""
        return urlencode(self.given)

    @property
    def narrow(self) -> bool:
        """Whether some files are left out."""
        return bool(self.outcome) or self.by_words

    @property
    def by_words(self) -> bool:
        return bool(self.why or self.warning or self.words)


def members_of(upload: DICOMFile, filters: Filters) -> QuerySet[ArchiveMember]:
    """The files that the filters leave, in no order."""
    members = ArchiveMember.objects.filter(upload=upload).order_by()
    if filters.outcome:
        members = members.filter(outcome=filters.outcome)
    if filters.why:
        members = members.filter(detail=filters.why)
    if filters.warning:
        members = members.filter(detail__contains=filters.warning)
    if words := filters.words:
        members = members.filter(Q(name__icontains=words) | Q(detail__icontains=words))
    return members


class Listing:
    """The files in the order of their page, for Django's `Paginator`.

    Groups of outcomes follow each other: failures, those that are said alike side by side, then
    conflicts, then the others as in the ZIP. Each group is read through an index; a page deep in it
    passes over primary keys alone.
    """

    def __init__(self, upload: DICOMFile, filters: Filters) -> None:
        self.members = members_of(upload, filters)
        self.counts = self._counted() if filters.by_words else _counts_of(upload, filters)
        self.in_zip_order = filters.order == "zip"

    def count(self) -> int:
        return sum(self.counts.values())

    def _counted(self) -> dict[str, int]:
        found = dict(self.members.values_list("outcome").annotate(Count("pk")))
        return {outcome.value: found.get(outcome.value, 0) for outcome in Outcome}

    def __getitem__(self, wanted: slice) -> list[ArchiveMember]:
        pks = list(self._pks(wanted.start, wanted.stop))
        rows = ArchiveMember.objects.select_related(OBJECT).in_bulk(pks)
        return [rows[pk] for pk in pks]

    def _pks(self, start: int, stop: int) -> Iterator[int]:
        for members, count in self._groups():
            if count and start < count and stop > 0:
                yield from members.values_list("pk", flat=True)[max(start, 0) : stop]
            start, stop = start - count, stop - count

    def _groups(self) -> Iterator[tuple[QuerySet[ArchiveMember], int]]:
        if self.in_zip_order:
            yield self.members.order_by(*IN_ZIP_ORDER), self.count()
            return
        failed, conflicts = Outcome.FAILED, Outcome.CONFLICT
        alike = ("detail",) if self.counts[failed] <= SORTED else ()
        first = self.members.filter(outcome=failed).order_by(*alike, *IN_ZIP_ORDER)
        yield first, self.counts[failed]
        then = self.members.filter(outcome=conflicts).order_by(*IN_ZIP_ORDER)
        yield then, self.counts[conflicts]
        others = self.members.exclude(outcome__in=(failed, conflicts)).order_by(*IN_ZIP_ORDER)
        yield others, self.count() - self.counts[failed] - self.counts[conflicts]


def _counts_of(upload: DICOMFile, filters: Filters) -> dict[str, int]:
    """As the upload's row has counted: to count 100,000 rows anew takes longer than all else."""
    asked = filters.outcome
    return {name: n if asked in ("", name) else 0 for name, n in upload.outcomes.items()}


@dataclass(frozen=True, slots=True)
class Rows:
    """Files of one page that follow each other, and of which the same is said."""

    members: list[ArchiveMember]

    @property
    def alike(self) -> ArchiveMember | None:
        """One of them to say it for all; None where each says it itself."""
        first = self.members[0]
        return first if first.detail and len(self.members) >= ALIKE else None


def rows_of(members: Iterable[ArchiveMember]) -> list[Rows]:
    runs = groupby(members, key=lambda one: (one.outcome, one.detail))
    return [Rows(list(run)) for _, run in runs]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why files failed, in one sentence, and how many."""

    why: str
    count: int

    @property
    def query(self) -> str:
        return urlencode({"outcome": Outcome.FAILED.value, "why": self.why})


def problems_of(upload: DICOMFile) -> list[Problem]:
    """The reasons of an upload's failures, the most frequent first; one more than are named."""
    if not upload.failed_count:
        return []
    failed = ArchiveMember.objects.filter(upload=upload, outcome=Outcome.FAILED)
    counts = failed.order_by().values_list("detail").annotate(n=Count("pk"))
    return [Problem(*row) for row in counts.order_by("-n", "detail")[: REASONS + 1]]
