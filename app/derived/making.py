"""Makes what is to be made: behind every import, one thing at a time.

One worker at a time has the turn. A worker that dies keeps it for a minute at most; what it was
making is to be made still, and found again.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from app.models import DerivedCount, DerivingTurn, DICOMFile

from .kinds import Key, Kind

TURN = timedelta(seconds=60)
LOOK = timedelta(minutes=5)
ROUND = 10.0  # seconds of one turn: then whoever else waits for the worker goes first
AT_ONCE = 100  # keys that are looked up together

logger = logging.getLogger(__name__)


class NotNow(Exception):
    """What is needed to make a thing is not to be had just now; it stays to be made."""


def is_asked_for() -> bool:
    """Whether a worker should take a turn though no upload has just ended.

    Now and then, since looking for what is to be made takes 0.1 s for 20,000 series; and at once
    where a worker died during its turn.
    """
    turns, late = DerivingTurn.objects, Q(until__lt=Now()) | Q(looked_at__lt=Now() - LOOK)
    if is_behind_imports() or (turns.exists() and not turns.filter(late).exists()):
        return False
    turns.bulk_create([DerivingTurn(pk=1)], ignore_conflicts=True)
    turns.update(looked_at=Now())
    return True


def is_behind_imports() -> bool:
    """Whether an upload waits, or is in progress."""
    return DICOMFile.objects.live().exists()


def take_turn(kinds: Sequence[Kind], shutting_down: Callable[[], bool] = bool) -> bool:
    """Make things until an import waits, or the turn is over; whether that was so.

    Who has the turn may have looked already for what an import has brought since; so where another
    has it, the next sweep asks again.
    """
    if not _has_turn():
        DerivingTurn.objects.update(looked_at=Now() - LOOK)
        return False
    try:
        is_over = _make_for_a_while(kinds, shutting_down)
        if not (shutting_down() or is_behind_imports()):
            count(kinds)
        return is_over
    finally:
        DerivingTurn.objects.update(until=None)


def _has_turn() -> bool:
    DerivingTurn.objects.bulk_create([DerivingTurn(pk=1)], ignore_conflicts=True)
    free = DerivingTurn.objects.filter(Q(until=None) | Q(until__lt=Now()))
    return bool(free.update(until=Now() + TURN))


def _make_for_a_while(kinds: Sequence[Kind], shutting_down: Callable[[], bool]) -> bool:
    end = time.monotonic() + ROUND
    for kind in kinds:
        for key in lacking(kind):
            if shutting_down() or is_behind_imports():
                return False  # the end of that import gives the next turn
            if time.monotonic() >= end:
                return True
            try:
                make(kind, key)
            except NotNow:
                break  # the next kind may need something else
    return False


def count(kinds: Iterable[Kind]) -> None:
    """Keep how much there is of each, for pages: counting goes through all that it is made of."""
    for kind in kinds:
        values = {**kind.numbers()._asdict(), "counted_at": Now()}
        DerivedCount.objects.update_or_create(kind=kind.name, defaults=values)


def lacking(kind: Kind) -> Iterator[Key]:
    """The keys that are to be made, each once."""
    last = None
    while keys := kind.to_be_made(last, AT_ONCE):
        yield from keys
        last = keys[-1]


def make(kind: Kind, key: Key) -> bool:
    """Make one thing; False where that failed."""
    try:
        kind.make(key)
    except (OperationalError, InterfaceError, NotNow):
        raise  # the database is away, or the like, and what was to be made still is
    except IntegrityError:
        pass  # what it is made from was deleted meanwhile
    # One that cannot be made must not keep the others from being made; it is counted, and logged.
    except Exception:
        logger.exception("%s %s cannot be made", kind.name, key)
        with suppress(IntegrityError):
            kind.fail(key)
        return False
    return True
