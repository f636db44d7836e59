"""What narrows a list besides what is searched for: days, patients to look at, one patient, series.

All of it stands in the address, and is a chip on the page. For what a series says of itself (its
institution, a body part) stands the key of a series that says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.formats import date_format

from app.models import DICOMSeries, IdentityAnswer, Patient
from app.reasons import sentence

from . import completeness
from .addresses import changing, key_in, without
from .asking import Chip
from .names import plain, row_name
from .sql import ask, names, table

SINCE, UNTIL = "from", "to"  # in an address: the first day, and the last
FLAG, ATTENTION = "flag", "attention"
OF_PATIENT = "patient"
SLICES, INCOMPLETE = "slices", "incomplete"
MOST_VALUES = 100  # to choose from, of one column


@dataclass(frozen=True, slots=True)
class OfSeries:
    """A column of series that lists are narrowed by."""

    name: str  # in an address
    column: str
    words: str


SEES_SERIES = "app.view_dicomseries"
OF_SERIES = (
    OfSeries("institution", "institution_name", "institution"),
    OfSeries("body", "body_part_examined", "body part"),
)


@dataclass(frozen=True, slots=True)
class Filters:
    since: date | None = None
    until: date | None = None
    attention: bool = False
    patient: int | None = None
    incomplete: bool = False
    # What a series of it says, as it is written there.
    of_series: Mapping[OfSeries, str] = field(default_factory=dict)

    def narrow(
        self, rows: QuerySet[Any], day: str, to_patient: str, from_series: str
    ) -> QuerySet[Any]:
        """Those of the rows that are left.

        Parameters
        ----------
        day
            The column of the date that is asked for.
        to_patient
            The way to the patient's columns, "" where the rows are patients.
        from_series
            The way from a series to its row.
        """
        if self.since:
            rows = rows.filter(**{f"{day}__gte": self.since})
        if self.until:
            rows = rows.filter(**{f"{day}__lte": self.until})
        if self.attention:
            rows = rows.filter(_needing_attention(to_patient))
        if self.patient is not None:
            rows = rows.filter(**{f"{to_patient}pk": self.patient})
        if self.incomplete:
            rows = rows.filter(pk__in=completeness.incomplete().values(f"series__{from_series}"))
        for one, value in self.of_series.items():
            series = DICOMSeries.objects.order_by().filter(**{one.column: value})
            rows = rows.filter(pk__in=series.values(from_series))
        return rows

    def chips(self, request: HttpRequest, day_words: str) -> Iterator[Chip]:
        address = request.GET
        if self.since or self.until:
            label = f"{day_words} {days_in_words(self.since, self.until)}"
            yield Chip(label, changing(address, **{SINCE: "", UNTIL: ""}))
        if self.attention:
            yield Chip("needs attention", without(address, FLAG))
        if self.patient is not None:
            label = _patient_in_words(request, self.patient)
            yield Chip(label, without(address, OF_PATIENT))
        if self.incomplete:
            yield Chip("incomplete series", without(address, SLICES))
        for one, value in self.of_series.items():
            yield Chip(f"{one.words} {plain(value)}", without(address, one.name))


def filters_of(request: HttpRequest) -> Filters:
    """What an address asks for; what is no date is said, and left out."""
    knows_patients = request.user.has_perm("app.view_patient")
    return Filters(
        _day(request, SINCE),
        _day(request, UNTIL),
        knows_patients and request.GET.get(FLAG) == ATTENTION,
        key_in(request.GET, OF_PATIENT),
        may_tell(request) and request.GET.get(SLICES) == INCOMPLETE,
        dict(_of_series(request)),
    )


def may_tell(request: HttpRequest) -> bool:
    """Whether somebody may know which series are incomplete."""
    return request.user.has_perm(SEES_SERIES)


def _of_series(request: HttpRequest) -> Iterator[tuple[OfSeries, str]]:
    for one in OF_SERIES if request.user.has_perm(SEES_SERIES) else ():
        if (key := key_in(request.GET, one.name)) is None:
            continue
        value = DICOMSeries.objects.filter(pk=key).values_list(one.column, flat=True).first()
        if value:
            yield one, value
        else:
            messages.warning(request, sentence("filter_gone", what=one.words))


def _day(request: HttpRequest, name: str) -> date | None:
    text = request.GET.get(name, "").strip()
    day = _parsed(text)
    if text and day is None:
        messages.warning(request, sentence("no_date"))
    return day


def _parsed(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:  # the form of a date, but no day
        return None


def _needing_attention(to_patient: str) -> Q:
    asked = Q(**{f"{to_patient}identity_differs": True})
    return asked | Q(**{f"{to_patient}identity_answer": IdentityAnswer.TWO})


def _patient_in_words(request: HttpRequest, pk: int) -> str:
    if not request.user.has_perm("app.view_patient"):
        return "one patient"
    patient = Patient.objects.filter(pk=pk).first()
    return f"patient {row_name(patient)}" if patient else "a patient who is not here any more"


def days_in_words(since: date | None, until: date | None) -> str:
    """ "3 Mar 2024", "3 Mar 2024 to 5 Mar 2024", "from 3 Mar 2024", "until 5 Mar 2024"."""
    if since and until:
        days = dict.fromkeys((date_format(since), date_format(until)))
        return " to ".join(days)
    if since:
        return f"from {date_format(since)}"
    return f"until {date_format(until)}" if until else ""


@dataclass(frozen=True, slots=True)
class Preset:
    """Days that are often asked for."""

    name: str
    query: str


def presets(request: HttpRequest, today: date) -> list[Preset]:
    this_year = date(today.year, 1, 1)
    days = {
        "Last 7 days": (today - timedelta(days=6), today),
        "Last 30 days": (today - timedelta(days=29), today),
        "This year": (this_year, date(today.year, 12, 31)),
        "Last year": (date(today.year - 1, 1, 1), this_year - timedelta(days=1)),
    }
    return [
        Preset(name, changing(request.GET, **{SINCE: str(first), UNTIL: str(last)}))
        for name, (first, last) in days.items()
    ]


# --- what a series says ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """What series say, as it is written there."""

    text: str
    pk: int  # of one of them, which stands for it in an address
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Values:
    """What a list can be narrowed to by a column of series."""

    name: str  # in an address
    words: str
    values: list[Value]


def values_of_series(request: HttpRequest, filters: Filters) -> list[Values]:
    """What there is to choose from, the most frequent of each column by its letters."""
    if not request.user.has_perm(SEES_SERIES):
        return []
    found = (Values(one.name, one.words, _values(request, filters, one)) for one in OF_SERIES)
    return [one for one in found if one.values]


def _values(request: HttpRequest, filters: Filters, one: OfSeries) -> list[Value]:
    keys = _first_of_each(one.column)
    if len(keys) > MOST_VALUES:
        keys = _most_frequent(one.column)
    chosen = filters.of_series.get(one)
    if chosen is not None:
        keys[chosen] = key_in(request.GET, one.name)
    return [
        Value(text, pk, text == chosen)
        for text, pk in sorted(keys.items(), key=lambda pair: pair[0].casefold())
    ]


def _first_of_each(column: str) -> dict[str, Any]:
    """What series say, and the key of one that says so; one more than there are to choose from.

    The column's index leads from each value to the next, past all series that say the same.
    """
    series, value = table(DICOMSeries), names(column)
    following = f"""(
        SELECT next.id FROM {series} AS next WHERE next.{value} > %s
        ORDER BY next.{value}, next.dicom_study_id LIMIT 1
    )"""
    found = ask(
        f"""
        WITH RECURSIVE found (id, number) AS (
            SELECT {following}, 1
            UNION ALL
            SELECT {following % f"this.{value}"}, number + 1
            FROM found JOIN {series} AS this USING (id) WHERE number <= %s
        )
        SELECT {value}, id FROM found JOIN {series} USING (id)
        """,
        ["", MOST_VALUES],
    )
    return dict(found)


def _most_frequent(column: str) -> dict[str, Any]:
    series = DICOMSeries.objects.order_by().filter(**{f"{column}__gt": ""})
    grouped = series.values(column).annotate(number=Count("*"), newest=Max("pk"))
    frequent = grouped.order_by("-number", column)[:MOST_VALUES]
    return dict(frequent.values_list(column, "newest"))
