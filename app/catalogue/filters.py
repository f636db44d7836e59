"""What narrows a list besides what is searched for: days, patients to look at, one patient.

All of it stands in the address, and is a chip on the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.formats import date_format

from app.models import IdentityAnswer, Patient
from app.reasons import sentence

from .addresses import changing, key_in, without
from .asking import Chip
from .names import row_name

SINCE, UNTIL = "from", "to"  # in an address: the first day, and the last
FLAG, ATTENTION = "flag", "attention"
OF_PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Filters:
    since: date | None = None
    until: date | None = None
    attention: bool = False
    patient: int | None = None

    def narrow(self, rows: QuerySet[Any], day: str, to_patient: str) -> QuerySet[Any]:
        """Those of the rows that are left.

        Parameters
        ----------
        day
            The column of the date that is asked for.
        to_patient
            The way to the patient's columns, "" where the rows are patients.
        """
        if self.since:
            rows = rows.filter(**{f"{day}__gte": self.since})
        if self.until:
            rows = rows.filter(**{f"{day}__lte": self.until})
        if self.attention:
            rows = rows.filter(_needing_attention(to_patient))
        if self.patient is not None:
            rows = rows.filter(**{f"{to_patient}pk": self.patient})
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


def filters_of(request: HttpRequest) -> Filters:
    """What an address asks for; what is no date is said, and left out."""
    knows_patients = request.user.has_perm("app.view_patient")
    return Filters(
        _day(request, SINCE),
        _day(request, UNTIL),
        knows_patients and request.GET.get(FLAG) == ATTENTION,
        key_in(request.GET, OF_PATIENT),
    )


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
