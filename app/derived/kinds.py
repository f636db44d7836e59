"""A kind of derived thing: what it is made for, how, and how much of it there is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, Exists, F, Model, OuterRef, Q, QuerySet

from app.models import DerivedOfRow

Key = Any  # of one kind all alike, with an order


class Numbers(NamedTuple):
    made: int
    to_be_made: int
    failed: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. Every step of it takes a key, can be taken twice, and is one short transaction."""

    name: str  # as `manage.py derive` takes it
    words: str
    # The first so many keys behind one (from the beginning: None) that are to be made, in order.
    to_be_made: Callable[[Key | None, int], list[Key]]
    make: Callable[[Key], None]
    fail: Callable[[Key], None]  # remember that it cannot be made
    numbers: Callable[[], Numbers]
    forget: Callable[[], None]  # all, so that it is made anew


@dataclass(frozen=True, slots=True)
class PerRow:
    """A kind that is made for each row of a table whose column `changes` counts its changes.

    Whoever changes, adds or deletes what lies below a row adds to that column in the same
    transaction; what was made from an earlier state is then to be made, and shown nowhere.
    """

    rows: QuerySet[Any]  # for which it is made
    table: type[DerivedOfRow]
    link: str  # the column of the table that leads to the row
    version: int

    def current(self, pks: Any = None) -> QuerySet[Any]:
        """What was made by this version from rows as they are."""
        wanted = {} if pks is None else {f"{self.link}__in": pks}
        made = self.table._default_manager.filter(version=self.version, **wanted)
        return made.filter(changes=F(f"{self.link}__changes"))

    def to_be_made(self, after: Key | None, count: int) -> list[Key]:
        later = {} if after is None else {"pk__gt": after}
        pks = self._lacking().filter(**later).order_by("pk").values_list("pk", flat=True)
        return [*pks[:count]]

    def numbers(self) -> Numbers:
        failed = Count("pk", filter=Q(failed=True))
        counts = self.current().aggregate(every=Count("pk"), failed=failed)
        made = counts["every"] - counts["failed"]
        return Numbers(made, self._lacking().count(), counts["failed"])

    def write(self, row: Model, **values: Any) -> None:
        """Keep what was made from a row as it was read."""
        changes: int = row.changes  # type: ignore[attr-defined]
        values |= {"version": self.version, "changes": changes}
        made = self.table(**{f"{self.link}_id": row.pk}, **values)
        names = [field.name for field in self.table._meta.concrete_fields]
        self.table._default_manager.bulk_create(
            [made],
            update_conflicts=True,
            unique_fields=[self.link],
            update_fields=[name for name in names if name != self.link],
        )

    def fail(self, pk: Key) -> None:
        row = self.rows.filter(pk=pk).first()
        if row is not None:
            self.write(row, failed=True)

    def forget(self) -> None:
        self.table._default_manager.all().delete()

    def _lacking(self) -> QuerySet[Any]:
        own = {self.link: OuterRef("pk"), "changes": OuterRef("changes")}
        made = self.table._default_manager.filter(version=self.version, **own)
        return self.rows.filter(~Exists(made))
