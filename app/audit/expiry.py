"""Old entries leave: first into a file, then out of the table, and nothing else does."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from app.models import AuditEntry, Kind

from . import guards
from .recording import record

REMOVED_AT_ONCE = 2_000  # in one transaction, for which everybody else waits


def expire(before: datetime, file: Path) -> int:
    """Write the entries of before a moment to a new file, then remove exactly those; how many.

    Each entry is a line of JSON. Stopped halfway, the rest is there for the next time.
    """
    written = _export(before, file)
    words = f"{len(written):,} of before {before:%Y-%m-%d %H:%M %Z}, kept in a file"
    with transaction.atomic():
        record(Kind.EXPIRY_ASKED, words=words)
    for first in range(0, len(written), REMOVED_AT_ONCE):
        with guards.lifted():
            some = written[first : first + REMOVED_AT_ONCE]
            AuditEntry.objects.filter(pk__in=some).delete()
    with transaction.atomic():
        record(Kind.EXPIRED, words=words)
    return len(written)


def _export(before: datetime, file: Path) -> list[int]:
    """Write the entries down, durably; their primary keys. Where that fails, no file is left."""
    written = []
    with file.open("x", encoding="utf-8") as out, ExitStack() as failed:
        failed.callback(file.unlink, missing_ok=True)
        for entry in _entries(before):
            json.dump(entry, out, default=datetime.isoformat, ensure_ascii=False)
            out.write("\n")
            written.append(entry["id"])
        out.flush()
        os.fsync(out.fileno())
        failed.pop_all()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return written


def _entries(before: datetime) -> Iterator[Mapping[str, Any]]:
    return AuditEntry.objects.filter(at__lt=before).order_by("pk").values().iterator()
