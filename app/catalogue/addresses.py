"""Addresses of a list that ask for a little more, or less, or for another page of it."""

from django.http import QueryDict

AFTER, BEFORE = "after", "before"  # the row that a page begins behind, or ends in front of
LONGEST_ID = 18  # digits; a longer one is more than the database's integers hold


def without(address: QueryDict, name: str, value: str | None = None) -> str:
    """The query of an address that asks for all but this, from the first page on."""
    others = first_page(address)
    left = [] if value is None else [one for one in others.getlist(name) if one != value]
    others.setlist(name, left)
    return others.urlencode()


def adding(address: QueryDict, name: str, value: str) -> str:
    """The query of an address that asks for this, too."""
    more = first_page(address)
    more.appendlist(name, value)
    return more.urlencode()


def changing(address: QueryDict, **values: str) -> str:
    """The query of an address with these values instead of others; "" takes one out."""
    other = first_page(address)
    for name, value in values.items():
        other.setlist(name, [value] if value else [])
    return other.urlencode()


def first_page(address: QueryDict) -> QueryDict:
    other = address.copy()
    for name in (AFTER, BEFORE):
        other.pop(name, None)
    return other


def key_in(address: QueryDict, name: str) -> int | None:
    """The primary key that an address gives; None where it gives none."""
    text = address.get(name, "")
    return int(text) if is_key(text) else None


def is_key(text: str) -> bool:
    """Whether a text is a primary key as addresses and forms give one."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID
