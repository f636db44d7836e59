"""The names of structures: how they are spelt here, and how often."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import Count, Max, Q

from app.folding import folded
from app.models import HasShortName, RTStructureROI

BETWEEN_WORDS = re.compile(r"[\W_]+")


class Spelling(NamedTuple):
    """A name exactly as it is written, and how many structures have it."""

    name: str
    times: int
    pk: int  # of one of them: it stands for the name in an address


def frequent(most: int) -> list[Spelling]:
    """The most frequent names of the archive.

    By an index that holds nothing but names: rows have megabytes of contours behind theirs.
    """
    names = (
        RTStructureROI.objects.filter(HasShortName(), ~Q(roi_name=""))
        .order_by()
        .values("roi_name")
        .annotate(count=Count("*"), newest=Max("pk"))
        .order_by("-count", "roi_name")
        .values_list("roi_name", "count", "newest")
    )
    return [Spelling(*row) for row in names[:most]]


def examples(names: list[Spelling]) -> list[str]:
    """Searches that find something here: a name, how several begin, two words of one turned."""
    words = [BETWEEN_WORDS.sub(" ", folded(spelling.name)).split() for spelling in names]
    return [*dict.fromkeys([*_a_name(words), *_a_beginning(words), *_turned(words)])]


def _a_name(words: list[list[str]]) -> Iterator[str]:
    yield from (one[0] for one in words[:1] if one)


def _a_beginning(words: list[list[str]]) -> Iterator[str]:
    letters = [one[0][:3] for one in words if one and len(one[0]) >= 3]
    shared = (some for some in letters if some != letters[0] and letters.count(some) > 1)
    yield from (f"{some.upper()}*" for some in [*shared][:1])


def _turned(words: list[list[str]]) -> Iterator[str]:
    several = (one for one in words if len(one) > 1)
    yield from (f"{one[1]} {one[0]}" for one in [*several][:1])
