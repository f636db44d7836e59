"""Where nothing was found: words of the catalogue that are spelt nearly as what was asked for."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from operator import itemgetter
from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from app.folding import BETWEEN_PARTS, folded
from app.models import COLUMN, DICOMSeries, DICOMStudy, Patient, RTStructureROI

from .asking import Asked
from .search import COUNTED, having_any, matching

MOST_WORDS = 4  # of what was asked for
LETTERS = 12  # of one of these, by which others like it are looked for
SHORT = 6  # letters: exchanging two leaves hardly three as they were
ALIKE = 0.7  # as difflib measures it, from 0 to 1
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Where:
    """A column whose words may have been meant."""

    model: type[Model]
    column: str
    noun: str
    plural: str


STRUCTURES = Where(RTStructureROI, "roi_name", "structure", "structures")
WHERE = (
    STRUCTURES,
    Where(Patient, "patient_name", "patient", "patients"),
    Where(DICOMStudy, "study_description", "study", "studies"),
    Where(DICOMSeries, "series_description", "series", "series"),
)


@dataclass(frozen=True, slots=True)
class Near:
    word: str  # nearly as what was asked for
    typed: str  # all that was asked for, with it
    found: str  # "21 structures"


def names(request: HttpRequest, asked: Asked, among: Iterable[Where] = WHERE) -> list[Near]:
    """The likest words of what this reader may see, for words that are found nowhere."""
    seen = [one for one in among if request.user.has_perm(f"app.view_{one.model._meta.model_name}")]
    words = asked.words.split()
    found: list[tuple[float, str, Where, int]] = []
    is_alone = len(words) == 1 and not asked.others  # and found nowhere, or nobody would ask
    for place, word in enumerate(words[:MOST_WORDS]):
        if is_alone or not any(_rows(one, word).exists() for one in seen):
            like = ((*one, where, place) for where in seen for one in _like(where, word))
            found += heapq.nlargest(SHOWN, like, key=itemgetter(0))
    found.sort(key=itemgetter(0), reverse=True)
    once = {(place, folded(word)): (word, where, place) for _, word, where, place in found[::-1]}
    return [_near(asked, *one) for one in [*once.values()][: -SHOWN - 1 : -1]]


def _like(where: Where, word: str) -> Iterator[tuple[float, str]]:
    """Words of a column that are spelt nearly so, among rows that have three letters of it."""
    word = folded(word).partition(" ")[0]
    pieces = _pieces(word)
    if not pieces:
        return
    rows = having_any(where.model, pieces).values_list(where.column, flat=True)
    written = {part for name in set(rows) for part in BETWEEN_PARTS.split(name)}
    spelt = {spelling: part for part in sorted(written) for spelling in folded(part).split()}
    for other in get_close_matches(word, spelt, n=SHOWN, cutoff=ALIKE):
        yield SequenceMatcher(None, word, other).ratio(), spelt[other]


def _pieces(word: str) -> set[str]:
    """All three letters of a word; of a short one also as if any two letters were exchanged."""
    word = word[:LETTERS]
    pairs = range(len(word) - 1) if len(word) <= SHORT else ()
    swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in pairs)
    return {one[at : at + 3] for one in (word, *swapped) for at in range(len(word) - 2)}


def _near(asked: Asked, word: str, where: Where, place: int) -> Near:
    words = asked.words.split()
    words[place] = word
    typed = replace(asked, words=" ".join(words)).typed
    return Near(word, typed, _counted(where, word))


def _rows(where: Where, word: str) -> Any:
    return where.model._default_manager.order_by().filter(matching(where.model, word, (COLUMN,)))


def _counted(where: Where, word: str) -> str:
    count = _rows(where, word).values("pk")[: COUNTED + 1].count()
    number = f"more than {COUNTED:,}" if count > COUNTED else f"{count:,}"
    return f"{number} {where.noun if count == 1 else where.plural}"
