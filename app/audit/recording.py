"""Writing down who did what, in the transaction of what it tells of.

What a person changes is refused where its entry cannot be written (`record`). Signing in and out,
and what is only looked at, is not (`record_if_possible`): it is logged that the entry is missing.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User as Account
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from app.errors import NotRecorded
from app.models import AuditEntry, Kind
from app.wording import counted

Person = Any  # a user as Django's requests have it: an account, or nobody known
PATIENCE = 250  # milliseconds
VIEW = timedelta(minutes=15)  # in which a thing that somebody looks at again is one entry

logger = logging.getLogger(__name__)


def record(kind: Kind, who: Person = None, on: Model | None = None, words: str = "") -> AuditEntry:
    """Write an entry down; `who` is empty where ICON itself, or the terminal, did it.

    Raises
    ------
    NotRecorded
        It cannot be written, and what it tells of is to be undone.
    """
    try:
        return insert(kind, who, on, words)
    except (DatabaseError, InterfaceError) as error:
        _say_it_is_missing(_entry(kind, who, on, words), error)
        raise NotRecorded from error


def record_if_possible(
    kind: Kind, who: Person = None, on: Model | None = None, words: str = ""
) -> None:
    """Write an entry down of what is done without it, too; a page waits for it PATIENCE at most.

    SQLite has one writer, which during an import is the import most of the time. Where it is not
    free in time, a thread waits instead.
    """
    _record_soon(_entry(kind, who, on, words), _save)


def record_export(who: Person, what: str, on: Model | None = None, filters: int = 0) -> None:
    """Write down that somebody takes a list away, each time.

    Parameters
    ----------
    what
        Which list.
    filters
        How many things narrow it; never by what.
    """
    words = f"{what}, with {counted(filters, 'filter')}" if filters else what
    record_if_possible(Kind.EXPORTED, who, on, words)


def record_view(who: Person, on: Model, words: str = "") -> None:
    """Write down that somebody looks at something, once in VIEW."""
    _record_once(Kind.VIEWED, who, on, words)


def record_search(who: Person, words: str) -> None:
    """Write down that somebody searches, once in VIEW; `words` say by what, not for what."""
    _record_once(Kind.SEARCHED, who, None, words)


def _record_once(kind: Kind, who: Person, on: Model | None, words: str) -> None:
    entry = _entry(kind, who, on, words)
    try:
        is_known = _is_known(entry)
    except (DatabaseError, InterfaceError) as error:
        _say_it_is_missing(entry, error)
        return
    if not is_known:
        _record_soon(entry, _save_unless_known)


def _is_known(entry: AuditEntry) -> bool:
    lately = AuditEntry.objects.filter(at__gt=timezone.now() - VIEW)
    same = lately.filter(kind=entry.kind, who_id=entry.who_id)
    return same.filter(table=entry.table, row=entry.row, words=entry.words).exists()


def _save_unless_known(entry: AuditEntry) -> None:
    """Save an entry, unless another page of the same person has, for which this one waits."""
    if entry.who_id is not None:
        Account.objects.select_for_update(no_key=True).filter(pk=entry.who_id).first()
    if not _is_known(entry):
        _save(entry)


def _save(entry: AuditEntry) -> None:
    entry.save(force_insert=True)


def _record_soon(entry: AuditEntry, save: Callable[[AuditEntry], None]) -> None:
    """Save an entry now, or, where SQLite's writer is not free in time, in a thread."""
    try:
        with patience(), transaction.atomic():
            save(entry)
    except (DatabaseError, InterfaceError) as error:
        if getattr(error.__cause__, "sqlite_errorname", "") != "SQLITE_BUSY":
            _say_it_is_missing(entry, error)
            return
        entry.at = timezone.now()
        late = threading.Thread(target=_record_late, args=[entry, save], name="audit entry")
        late.start()


def because(words: str, reason: str) -> str:
    """What an entry says, with the reason that a person gave."""
    return f"{words} Reason: {reason}" if reason else words


def insert(kind: Kind, who: Person = None, on: Model | None = None, words: str = "") -> AuditEntry:
    """Write an entry down, with the database's own errors: for a run, which waits and tries again.

    Outside a transaction it would stand there although what it tells of was undone.
    """
    assert connection.in_atomic_block
    entry = _entry(kind, who, on, words)
    _save(entry)
    return entry


def insert_after(kind: Kind, earlier: AuditEntry, words: str) -> None:
    """Write down, as `insert` does, what became of what an earlier entry tells of."""
    assert connection.in_atomic_block
    same = {name: getattr(earlier, name) for name in ("who_id", "who", "table", "row")}
    _save(AuditEntry(kind=kind, words=words, **same))


def _entry(kind: Kind, who: Person, on: Model | None, words: str) -> AuditEntry:
    known = isinstance(who, Account)
    return AuditEntry(
        kind=kind,
        who_id=who.pk if known else None,
        who=who.get_username() if known else "",
        table=on._meta.label_lower if on else "",
        row=on.pk if on else None,
        words=words,
    )


@contextmanager
def patience() -> Iterator[None]:
    """Wait for SQLite's writer no longer than PATIENCE, unless this connection is the writer."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    usual = int(connection.settings_dict["OPTIONS"]["timeout"] * 1000)
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {PATIENCE}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")


def _record_late(entry: AuditEntry, save: Callable[[AuditEntry], None]) -> None:
    try:
        with transaction.atomic():
            save(entry)
    except (DatabaseError, InterfaceError) as error:
        _say_it_is_missing(entry, error)
    finally:
        connection.close()


def _say_it_is_missing(entry: AuditEntry, error: Exception) -> None:
    logger.error("An audit entry was not written: %s, %s", entry.kind, type(error).__name__)
