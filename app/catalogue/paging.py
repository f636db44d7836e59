"""One page of a long list: the rows after one row of it, or before it.

An address holds only that row's primary key: the value that the list is sorted by is read again,
since it may be a patient's name. A page costs the same wherever in the list it is, but for sorting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from django.db.models import CharField, F, Func, Model, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import NullIf
from django.http import QueryDict

from .addresses import AFTER, BEFORE, changing, key_in
from .search import COUNTED

Row = TypeVar("Row", bound=Model)

ROWS = 50  # on one page
AT_ONCE = 2_000  # rows that are read together when all are


class Letters(Func):
    """Text to sort by: on every database in the order of its code points, without a to z's case."""

    function = "LOWER"
    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = '%(function)s(%(expressions)s COLLATE "C")'
        return self.as_sql(compiler, connection, template=template, **context)


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted; where two rows have the same value, or none, by primary key.

    Parameters
    ----------
    by
        The column, or an expression. Rows without a value come last, whichever way.
    is_text
        Rows where it is "" are without a value, too.
    is_time
        Pages of the list are older or newer than each other.
    by_age
        Rows that came one after another lie beside each other, or nearly so.
    """

    by: str | Combinable
    descending: bool = False
    is_text: bool = False
    is_time: bool = False
    by_age: bool = False

    @property
    def is_by_key(self) -> bool:
        return self.by == "pk"

    @property
    def steps(self) -> tuple[str, str]:
        """What the ways to the pages before and after one are called."""
        if not self.is_time:
            return "Previous", "Next"
        return ("Newer", "Older") if self.descending else ("Older", "Newer")

    def turned(self) -> "Order":
        return replace(self, descending=not self.descending)

    def expression(self) -> Any:
        plain = F(self.by) if isinstance(self.by, str) else self.by
        return NullIf(Letters(plain), Value("")) if self.is_text else plain


@dataclass(frozen=True, slots=True)
class Step:
    """The way to the page before or after one."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: list[Row]
    before: Step | None
    after: Step | None


def page_of(
    rows: QuerySet[Row],
    order: Order,
    address: QueryDict,
    shown: QuerySet[Row] | None = None,
    most: int = ROWS,
) -> Page[Row]:
    """The page of these rows that an address asks for; three queries at most.

    Parameters
    ----------
    rows
        All rows of the list, in no order.
    shown
        The table with what a page needs of each row: only those on the page are read in full.
    most
        How many rows stand on one page.
    """
    ordered = rows.order_by().annotate(sort_value=order.expression())
    asked = _asked(ordered, order, address, most)
    return _page(
        asked, order, address, rows.model._default_manager.all() if shown is None else shown
    )


def page_of_sorted(
    pks: Sequence[int], order: Order, address: QueryDict, shown: QuerySet[Row], most: int = ROWS
) -> Page[Row]:
    """The same of rows that were sorted elsewhere, by their primary keys; one query."""
    after, before = (key_in(address, name) for name in (AFTER, BEFORE))
    start = 0
    if after in pks:
        start = pks.index(after) + 1
    elif before in pks:
        start = max(pks.index(before) - most, 0)
    asked = [*pks[start : start + most]], start > 0, start + most < len(pks)
    return _page(asked, order, address, shown)


Asked = tuple[list[int], bool, bool]  # the keys of a page's rows; are there pages before, after it


def _page(asked: Asked, order: Order, address: QueryDict, shown: QuerySet[Row]) -> Page[Row]:
    pks, has_before, has_after = asked
    found = shown.in_bulk(pks)
    earlier, later = order.steps
    return Page(
        [found[pk] for pk in pks if pk in found],
        Step(earlier, changing(address, before=str(pks[0]))) if has_before and pks else None,
        Step(later, changing(address, after=str(pks[-1]))) if has_after else None,
    )


def every(rows: QuerySet[Row], order: Order, shown: QuerySet[Row]) -> Iterator[Row]:
    """All rows in order, some at a time, so that no transaction stays open."""
    ordered = rows.order_by().annotate(sort_value=order.expression())
    cursor: Cursor | None = None
    while places := _places(ordered, order, cursor):
        found = shown.in_bulk([place.pk for place in places])
        yield from (found[place.pk] for place in places if place.pk in found)
        cursor = places[-1]


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows there are, or that there are more than are counted."""

    number: int
    is_more: bool

    def words(self, one: str, many: str) -> str:
        """ "1 study", "7,000 studies", "more than 10,000 studies"."""
        if self.is_more:
            return f"more than {self.number:,} {many}"
        return f"{self.number:,} {one if self.number == 1 else many}"


def total_of(rows: QuerySet[Any], most: int = COUNTED) -> Total:
    """How many rows there are; of more than `most`, only that."""
    found = rows.order_by().values("pk")[: most + 1].count()
    return Total(min(found, most), found > most)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: just at a row, which may be there or not."""

    pk: int
    value: Any  # what the list is sorted by; None where the row has none


def _asked(ordered: QuerySet[Row], order: Order, address: QueryDict, most: int) -> Asked:
    after, before = (key_in(address, name) for name in (AFTER, BEFORE))
    if before and (cursor := _cursor(ordered, order, before)):
        pks = _beyond(ordered, order, cursor, forward=False, most=most + 1)
        if len(pks) > most:
            return pks[most - 1 :: -1], True, True
    if after and (cursor := _cursor(ordered, order, after)):
        pks = _beyond(ordered, order, cursor, forward=True, most=most + 1)
        if pks:
            return pks[:most], True, len(pks) > most
        last = _beyond(ordered, order, None, forward=False, most=most + 1)
        return last[:most][::-1], len(last) > most, False
    pks = _beyond(ordered, order, None, forward=True, most=most + 1)
    return pks[:most], False, len(pks) > most


def _cursor(ordered: QuerySet[Row], order: Order, pk: int) -> Cursor | None:
    """Where a row is in the order, also one that the list's filters leave out.

    Of one that has been deleted meanwhile: beside the row that was there before it, if the order
    has these beside each other; else None.
    """
    if order.is_by_key:
        return Cursor(pk, None)
    every = ordered.model._default_manager.order_by().annotate(sort_value=order.expression())
    row = every.filter(pk=pk).values_list("sort_value").first()
    if row is None and order.by_age:
        row = every.filter(pk__lt=pk).order_by("-pk").values_list("sort_value").first()
    return Cursor(pk, row[0]) if row else None


def _beyond(
    ordered: QuerySet[Row], order: Order, cursor: Cursor | None, forward: bool, most: int
) -> list[int]:
    """The keys of the rows nearest to a place, in the order of the list or against it."""
    return list(_rows(ordered, order, cursor, forward).values_list("pk", flat=True)[:most])


def _places(ordered: QuerySet[Row], order: Order, cursor: Cursor | None) -> list[Cursor]:
    """The next rows' places as they are now: meanwhile a row may go, or be sorted elsewhere."""
    rows = _rows(ordered, order, cursor, forward=True)
    return [Cursor(*values) for values in rows.values_list("pk", "sort_value")[:AT_ONCE]]


def _rows(
    ordered: QuerySet[Row], order: Order, cursor: Cursor | None, forward: bool
) -> QuerySet[Row]:
    down = order.descending == forward
    key = "-pk" if down else "pk"
    if not order.is_by_key:
        # Turned round as a whole, so that rows without a value are the last in one direction.
        nulls = {"nulls_last": True} if forward else {"nulls_first": True}
        value = F("sort_value")
        ordered = ordered.order_by(value.desc(**nulls) if down else value.asc(**nulls), key)
    else:
        ordered = ordered.order_by(key)
    if cursor:
        ordered = ordered.filter(_past(order, cursor, forward))
    return ordered


def _past(order: Order, cursor: Cursor, forward: bool) -> Q:
    further = "lt" if order.descending == forward else "gt"
    tied = Q(**{f"pk__{further}": cursor.pk})
    if order.is_by_key:
        return tied
    none = Q(sort_value__isnull=True)
    if cursor.value is None:
        return none & tied if forward else none & tied | ~none
    past = Q(**{f"sort_value__{further}": cursor.value}) | Q(sort_value=cursor.value) & tied
    return past | none if forward else past
