"""What somebody asks of the structures, as an address says it: no name ever stands in one.

It is understood as every search is (see `catalogue.asking`), and of several words all but one may
be of the patient's name.
"""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

from django.contrib import messages
from django.http import HttpRequest
from django.utils.http import urlencode

from app.catalogue.addresses import key_in
from app.catalogue.asking import Asked, asked_of, found_by, understand
from app.models import RTStructureROI
from app.reasons import sentence

from .finding import SPELLINGS, TYPES, Found, Narrowed, Rows, named
from .names import Spelling

# In an address: the keys of structures that stand for their name and for their type.
NAME, TYPE = "name", "type"
WITHOUT, MISSING = "without", "missing"  # contours; images
ASKED = ("q", "modality", "when", "uid")  # by `asking.address_for`
NAMELESS = {NAME: "(no name)", TYPE: "(no type)"}


@dataclass(frozen=True)
class Search:
    """What is asked for, and by what that is narrowed; with how an address says it."""

    asked: Asked
    narrowed: Narrowed
    address: dict[str, str | list[str]]
    found: Rows  # all that was asked for, or all of one name

    @property
    def is_one(self) -> bool:
        """Whether anything is searched for."""
        return bool(self.asked.words) or self.narrowed.name is not None

    @property
    def is_named(self) -> bool:
        """Whether it is for one name, exactly as it is written."""
        return not self.asked.words and self.narrowed.name is not None

    @property
    def query(self) -> str:
        return urlencode(self.address, doseq=True)

    @property
    def filters(self) -> int:
        """How many things are asked for."""
        return len(parse_qsl(self.query))

    def with_(self, **changes: int | None) -> str:
        """The address with this said otherwise; None takes it away."""
        said: dict[str, str | list[str] | int | None] = {**self.address, **changes}
        given = {name: value for name, value in said.items() if value is not None}
        return urlencode(given, doseq=True)

    def rows(self) -> Rows:
        """What is left of what was found."""
        return self.narrowed.of(self.found)


def understood(typed: str) -> Asked:
    """What somebody means by what was typed among structures: without words, it is a name."""
    asked = understand(typed)
    return asked if asked.words else understand(asked.as_words)


def search_of(request: HttpRequest) -> Search:
    """What an address asks for; what is not there any more is left out, and the page says so."""
    asked = asked_of(request)
    address: dict[str, str | list[str]] = {}
    if asked.words:
        given = {name: request.GET.getlist(name) for name in ASKED}
        address = {name: values for name, values in given.items() if values}
    chosen: dict[str, str | None] = {NAME: None, TYPE: None}
    for what, column in ((NAME, "roi_name"), (TYPE, "rt_roi_interpreted_type")):
        if (key := key_in(request.GET, what)) is None:
            continue
        chosen[what] = RTStructureROI.objects.filter(pk=key).values_list(column, flat=True).first()
        if chosen[what] is None:
            messages.warning(request, sentence("structure_gone"))
        else:
            address[what] = str(key)
    states = {name: bool(request.GET.get(name)) for name in (WITHOUT, MISSING)}
    address |= {name: "1" for name, is_asked in states.items() if is_asked}
    narrowed = Narrowed(chosen[NAME], chosen[TYPE], states[WITHOUT], states[MISSING])
    everything = RTStructureROI.objects.all()
    found = found_by(request, everything) if asked.words else named(narrowed.name or "")
    return Search(asked, narrowed, address, found)


class Chip(NamedTuple):
    """One way to narrow what was found, or back."""

    label: str
    times: int
    query: str
    is_chosen: bool


class Chips(NamedTuple):
    """The ways to narrow what was found by one thing."""

    label: str
    chips: list[Chip]
    more: int  # that are not among them


def chips(search: Search, found: Found) -> list[Chips]:
    """All ways to narrow what the words found."""
    narrowed = search.narrowed
    without, missing = found.without_contours, len(found.images_missing)
    states = [
        _state(search, "Without contours", WITHOUT, without, narrowed.without_contours),
        _state(search, "Images missing", MISSING, missing, narrowed.images_missing),
    ]
    groups = [
        _chips(search, "Spellings", NAME, narrowed.name, found.spellings, SPELLINGS),
        _chips(search, "Types", TYPE, narrowed.kind, found.types, TYPES),
        Chips("State", [chip for chip in states if chip.times or chip.is_chosen], 0),
    ]
    return [group for group in groups if group.chips]


def _state(search: Search, label: str, name: str, count: int, is_chosen: bool) -> Chip:
    return Chip(label, count, search.with_(**{name: None if is_chosen else 1}), is_chosen)


def _chips(
    search: Search, label: str, what: str, chosen: str | None, values: list[Spelling], most: int
) -> Chips:
    shown = values[:most] + [value for value in values[most:] if value.name == chosen]
    return Chips(
        label,
        [
            Chip(
                value.name or NAMELESS[what],
                value.times,
                search.with_(**{what: None if value.name == chosen else value.pk}),
                value.name == chosen,
            )
            for value in shown
        ],
        len(values) - len(shown),
    )
