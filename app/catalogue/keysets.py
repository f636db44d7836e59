"""One part of a long list: the rows after one row, or before it.

The row is known by its primary key, and what it is sorted by is read again, so that an address
holds nothing else of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

Row = TypeVar("Row")
ModelRow = TypeVar("ModelRow", bound=Model)

LONGEST_ID = 18  # digits; a longer one is more than the database's integers hold


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    rows: list[Row]
    before: int  # the row that the part before this ends in front of; 0 where this is the first
    after: int  # the row that the next part begins behind; 0 where this is the last


def part_of(rows: QuerySet[Row], keys: Sequence[str], most: int, request: HttpRequest) -> Part[Row]:
    """The rows after or before the one that the address names; else the first.

    Parameters
    ----------
    keys
        What the rows are sorted by, with "-" where that is descending: columns or annotations
        that are never NULL, the last of them unique.
    """
    after, before = (_pk(request.GET.get(name, "")) for name in ("after", "before"))
    backwards = bool(before and not after)
    ordered = [_reversed(key) for key in keys] if backwards else list(keys)
    names = [key.removeprefix("-") for key in keys]
    at = rows.filter(pk=after or before).values_list(*names).first() if after or before else None
    if at is None:
        backwards, ordered = False, list(keys)
    else:
        rows = rows.filter(_beyond(ordered, at))
    found = list(rows.order_by(*ordered)[: most + 1])
    is_more, found = len(found) > most, found[:most]
    if backwards:
        found.reverse()
    has_before = is_more if backwards else at is not None
    has_after = at is not None if backwards else is_more
    return Part(
        found,
        found[0].pk if found and has_before else 0,
        found[-1].pk if found and has_after else 0,
    )


def slice_of(pks: Sequence[int], most: int, request: HttpRequest) -> Part[int]:
    """The same of primary keys that are sorted."""
    after, before = (_pk(request.GET.get(name, "")) for name in ("after", "before"))
    start = 0
    if after in pks:
        start = pks.index(after) + 1
    elif before in pks:
        start = max(pks.index(before) - most, 0)
    rows = [*pks[start : start + most]]
    end = start + len(rows)
    return Part(rows, rows[0] if rows and start else 0, rows[-1] if end < len(pks) else 0)


def _beyond(keys: Sequence[str], at: Sequence[Any]) -> Q:
    """What comes after these values in the order of the keys."""
    beyond, alike = Q(), Q()
    for key, value in zip(keys, at, strict=True):
        name = key.removeprefix("-")
        beyond |= alike & Q(**{f"{name}__{'lt' if key.startswith('-') else 'gt'}": value})
        alike &= Q(**{name: value})
    return beyond


def _reversed(key: str) -> str:
    return key.removeprefix("-") if key.startswith("-") else f"-{key}"


def _pk(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_ID else 0
