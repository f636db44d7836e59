"""What somebody asks the catalogue for, and the rows that answer.

Of what is typed, modalities, dates and whole UIDs are understood; they stand in the address. What
is left is looked for as words, and stands in the session (see `searches`).
"""

import calendar
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import F, Model, Q, QuerySet, Value
from django.db.models.functions import Concat, StrIndex
from django.db.models.lookups import GreaterThan
from django.http import HttpRequest, QueryDict
from django.utils.dates import MONTHS, MONTHS_3
from django.utils.formats import date_format

from app.dicom.modalities import modality_of
from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Patient,
    RTStructureROI,
)
from app.wording import listed

from .addresses import AFTER, BEFORE
from .counts import SEPARATOR
from .names import plain
from .search import LONGEST, matching
from .searches import keep, words_of

MOST_CHIPS = 8
# What in an address says how far somebody has come in what was found: not the same of another.
PAGES = (AFTER, BEFORE, "tab")
MODALITY = re.compile("[A-Z0-9_ ]{1,16}")  # CS, in PS3.5 6.2
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# Of three parts at least, or "3.0.1" in a description would be one.
UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){2,}")
SHORTEST_UID = 10
LONGEST_UID = 128

NAMES = {
    name.lower(): number
    for names in (MONTHS, MONTHS_3)
    for number, name in ((number, str(name)) for number, name in names.items())
}
_MONTH = f"(?:{'|'.join(sorted(NAMES, key=len, reverse=True))})"
# As people write a day, a month or a year; `folding` knows the same forms of a day.
_WRITTEN = (
    r"\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}\.\d{4}|\d{4}-\d{2}-\d{2}|\d{4}-\d{2}|\d{8}|\d{4}"
    rf"|(?:\d{{1,2}}\.?\s+)?{_MONTH}\.?\s+\d{{4}}"
)
DATES = re.compile(
    rf"(?<![^\s,;])(?P<first>{_WRITTEN})"
    rf"(?:\s*(?:-|\N{{EN DASH}}|\.\.|\bto\b)\s*(?P<last>{_WRITTEN}))?(?![^\s,;])",
    re.IGNORECASE,
)
FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?:(?P<day>\d{1,2})\.)?(?P<month>\d{1,2})\.(?P<year>\d{4})",
        r"(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?",
        r"(?P<year>\d{4})(?:(?P<month>\d{2})(?P<day>\d{2}))?",
        rf"(?:(?P<day>\d{{1,2}})\.?\s+)?(?P<month>{_MONTH})\.?\s+(?P<year>\d{{4}})",
    )
)
YEARS = range(1900, 2100)  # a date in another is rather a number


@dataclass(frozen=True, slots=True)
class Span:
    """From one day to another, both of them in it; a day, a month or a year is one, too."""

    first: date
    last: date

    def __str__(self) -> str:
        """As an address has it, and as `span` reads it: 2024-03, 2023..2024."""
        first, last = self._ends()
        return first if first == last else f"{first}..{last}"

    @property
    def label(self) -> str:
        return " to ".join(dict.fromkeys(map(_label, self._ends())))

    def _ends(self) -> tuple[str, str]:
        """Two years, months or days: the shortest that say it."""
        first, last = self.first.isoformat(), self.last.isoformat()
        ends = ((first[:length], last[:length]) for length in (4, 7, 10))
        return next(both for both in ends if _between(*both) == self)


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing that was understood."""

    label: str
    without: str  # the query of an address that asks for all but this


@dataclass(frozen=True, slots=True)
class Asked:
    words: str = ""
    modalities: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    uids: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()  # SHA-256

    def __bool__(self) -> bool:
        return bool(self.words or self.hashes or self.others)

    @property
    def others(self) -> tuple[object, ...]:
        """What stands in an address."""
        return (*self.modalities, *self.spans, *self.uids)

    @property
    def kinds(self) -> str:
        """By what somebody asks, and not for what."""
        by = {
            "words": self.words,
            "modality": self.modalities,
            "date": self.spans,
            "UID": self.uids,
            "SHA-256": self.hashes,
        }
        return listed(kind for kind, given in by.items() if given) or "nothing"

    @property
    def typed(self) -> str:
        """What `understand` understands as this, for a field."""
        words = self.words
        if understand(words).words != words:
            words = f'"{words}"'
        others = (*self.modalities, *map(str, self.spans), *self.uids, *self.hashes)
        return " ".join(filter(None, (words, *others)))

    @property
    def as_words(self) -> str:
        """What `understand` looks for as words, all of it; "" where that is the same, or none."""
        # A day as a number has it, since that also finds the other ways to write one.
        days = (
            str(one).replace("-", "") if one.first == one.last else str(one) for one in self.spans
        )
        taken = (*self.modalities, *days)
        return f'"{" ".join(filter(None, (self.words, *taken)))}"' if taken else ""


def understand(typed: str) -> Asked:
    """What somebody means; what stands in quotation marks is words, whatever it looks like."""
    words: list[str] = []
    asked = Asked()
    for number, part in enumerate(re.split('["“”„«»]', typed.replace("\0", "")[:LONGEST])):
        if number % 2:
            words.append(part)
        else:
            left, asked = _understood(part, asked)
            words.append(left)
    return replace(asked, words=" ".join(" ".join(words).split()))


def _understood(text: str, asked: Asked) -> tuple[str, Asked]:
    """What is left of a text as words, and what was asked with what it says besides."""
    spans = [*asked.spans]

    def take(found: re.Match[str]) -> str:
        one = _between(found["first"], found["last"] or found["first"])
        if one is None or len(spans) == MOST_CHIPS:
            return found[0]
        spans.append(one)
        return " "

    modalities, uids, hashes, words = [*asked.modalities], [*asked.uids], [*asked.hashes], []
    for word in DATES.sub(take, text).split():
        bare = word.strip(",;()")
        if modality := modality_of(bare):
            modalities.append(modality)
        elif is_uid(bare):
            uids.append(bare)
        elif SHA256.fullmatch(bare):
            hashes.append(bare.lower())
        elif bare:
            words.append(word)
    understood = (_few(modalities), _few(spans), _few(uids), _few(hashes))
    return " ".join(words), Asked("", *understood)


def _few(found: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(found))[:MOST_CHIPS]


def is_uid(word: str) -> bool:
    return SHORTEST_UID <= len(word) <= LONGEST_UID and bool(UID.fullmatch(word))


# --- dates -----------------------------------------------------------------------------------


def span(text: str) -> Span | None:
    """A span as an address has it; None where it is none."""
    found = DATES.fullmatch(text)
    return _between(found["first"], found["last"] or found["first"]) if found else None


def _between(first: str, last: str) -> Span | None:
    one, other = _written(first), _written(last)
    if one is None or other is None or one.first > other.last:
        return None
    return Span(one.first, other.last)


def _written(text: str) -> Span | None:
    """The day, month or year that a text names."""
    found = next(filter(None, (form.fullmatch(text) for form in FORMS)), None)
    if found is None:
        return None
    year, month = int(found["year"]), found["month"]
    if year not in YEARS:
        return None
    if month is None:
        return Span(date(year, 1, 1), date(year, 12, 31))
    # Where case does not count, a dotless "i" is one, too, and no month's name has it.
    number = int(month) if month.isdigit() else NAMES.get(month.lower(), 0)
    if not 1 <= number <= 12:
        return None
    last = calendar.monthrange(year, number)[1]
    day = found["day"]
    if day is None:
        return Span(date(year, number, 1), date(year, number, last))
    return Span(*[date(year, number, int(day))] * 2) if 1 <= int(day) <= last else None


def _label(written: str) -> str:
    one = _written(written)
    assert one is not None
    match len(written):
        case 4:
            return written
        case 7:
            return date_format(one.first, "F Y")
    return date_format(one.first)


# --- in an address ---------------------------------------------------------------------------


def address_for(request: HttpRequest, asked: Asked) -> str:
    """The query of an address that asks this: words under a number, all else as it is."""
    kept = " ".join((asked.words, *asked.hashes)).strip()
    return _query(keep(request, kept) if kept else "", asked)


def _query(number: str, asked: Asked) -> str:
    query = QueryDict(mutable=True)
    if number:
        query["q"] = number
    query.setlist("modality", [*asked.modalities])
    query.setlist("when", [*map(str, asked.spans)])
    query.setlist("uid", [*asked.uids])
    return query.urlencode()


def asked_of(request: HttpRequest) -> Asked:
    """What an address asks for, by `address_for`."""
    known = getattr(request, "asked", None)
    if not isinstance(known, Asked):
        known = _asked_of(request)
        request.asked = known  # type: ignore[attr-defined]  # told once that a search is over
    return known


def _asked_of(request: HttpRequest) -> Asked:
    given = request.GET
    words: list[str] = []
    hashes: list[str] = []
    for word in words_of(request, given.get("q", "")).split():
        (hashes if SHA256.fullmatch(word) else words).append(word)
    spans = filter(None, map(span, given.getlist("when")))
    return Asked(
        " ".join(words),
        _few(one for one in given.getlist("modality") if MODALITY.fullmatch(one)),
        _few(spans),
        _few(filter(is_uid, given.getlist("uid"))),
        _few(hashes),
    )


def chips(request: HttpRequest) -> list[Chip]:
    """What was understood of a search, each with the address that asks for all but this."""
    asked, given = asked_of(request), request.GET
    some = [Chip(f"“{plain(asked.words)}”", _without(given, "q"))] if asked.words else []
    some += [Chip("SHA-256", _without(given, "q"))] if asked.hashes and not asked.words else []
    some += [Chip(f"modality {x}", _without(given, "modality", x)) for x in asked.modalities]
    some += [Chip(one.label, _without(given, "when", one)) for one in asked.spans]
    return [*some, *(Chip(f"UID {uid}", _without(given, "uid", uid)) for uid in asked.uids)]


def _without(address: QueryDict, name: str, value: object = None) -> str:
    other = address.copy()
    for page in PAGES:
        other.pop(page, None)
    read = span if name == "when" else str
    left = [one for one in address.getlist(name) if read(one) != value] if value else []
    other.setlist(name, left)
    return other.urlencode()


# --- rows ------------------------------------------------------------------------------------


def found_by(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Of patients, studies, structures or uploads, those that the address asks for.

    All of them where it asks for nothing.
    """
    asked = asked_of(request)
    if not asked:
        return rows
    return rows.filter(LOOKED_FOR[rows.model](asked, request.user.has_perm("app.view_patient")))


def _patients(asked: Asked, knows_patients: bool) -> Q:
    if not knows_patients:
        return NONE
    return _all(
        [matching(Patient, asked.words)] if asked.words else [],
        map(_of_modality, asked.modalities),
        (
            Q(patient_dob__range=(one.first, one.last))
            | Q(pk__in=_those(DICOMStudy, _dated(one), "patient"))
            for one in asked.spans
        ),
        (Q(pk__in=_those(DICOMStudy, _of_uid(one), "patient")) for one in asked.uids),
        [NONE] if asked.hashes else [],
    )


def _studies(asked: Asked, knows_patients: bool) -> Q:
    paths = ["search_text", "series__search_text"]
    if knows_patients:
        paths.append("patient__search_text")
    return _all(
        [matching(DICOMStudy, asked.words, paths)] if asked.words else [],
        map(_of_modality, asked.modalities),
        (_dated(one, knows_patients) for one in asked.spans),
        map(_of_uid, asked.uids),
        [NONE] if asked.hashes else [],
    )


def _of_modality(modality: str) -> Q:
    """Studies or patients one of whose series has it, as a whole word: CT is no RTSTRUCT."""
    listed = Concat(Value(SEPARATOR), F("modalities"), Value(SEPARATOR))
    word = Value(f"{SEPARATOR}{modality}{SEPARATOR}")
    return Q(GreaterThan(StrIndex(listed, word), 0))


def _dated(asked: Span, or_born: bool = False) -> Q:
    days = (asked.first, asked.last)
    found = Q(study_date__range=days)
    return found | Q(patient__in=_those(Patient, Q(patient_dob__range=days))) if or_born else found


def _of_uid(uid: str) -> Q:
    objects = _those(DICOMInstance, Q(sop_instance_uid=uid), "dicom_series__dicom_study")
    series = _those(DICOMSeries, Q(series_instance_uid=uid), "dicom_study")
    return Q(study_instance_uid=uid) | Q(pk__in=series) | Q(pk__in=objects)


def _structures(asked: Asked, knows_patients: bool) -> Q:
    """Those of whose name there is a word at least: a patient's alone would bring all of his."""
    words = asked.words.split()
    if not words or asked.hashes:
        return NONE
    named = [matching(RTStructureROI, asked.words, any_word=True)]
    if len(words) > 1:
        paths = ["search_text", *([f"{TO_STUDY}__patient__search_text"] if knows_patients else [])]
        named.append(matching(RTStructureROI, asked.words, paths))
    studies = _all(
        map(_of_modality, asked.modalities), map(_dated, asked.spans), map(_of_uid, asked.uids)
    )
    among = [Q(**{f"{TO_STUDY}__in": _those(DICOMStudy, studies)})] if studies else []
    return _all(named, among)


def _uploads(asked: Asked, knows_patients: bool) -> Q:
    """By the ZIP's name; of dates by the day it came."""
    if not asked.words or asked.uids or asked.hashes:
        return NONE
    return _all(
        [matching(DICOMFile, asked.words)],
        (matching(DICOMFile, one) for one in asked.modalities),
        (Q(created_at__date__range=(one.first, one.last)) for one in asked.spans),
    )


def _those(model: Any, found: Q, path: str = "pk") -> Any:
    return model._default_manager.order_by().filter(found).values(path)


def _all(*several: Iterable[Q]) -> Q:
    return reduce(and_, (one for some in several for one in some), Q())


NONE = Q(pk__in=())
TO_STUDY = "rt_structure_set__dicom_instance__dicom_series__dicom_study"
LOOKED_FOR: dict[type[Model], Callable[[Asked, bool], Q]] = {
    Patient: _patients,
    DICOMStudy: _studies,
    RTStructureROI: _structures,
    DICOMFile: _uploads,
}
