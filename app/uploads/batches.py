"""One batch of a run: durable bytes, then rows in one transaction, then files in the tree.

What can come between:

- **The database is away.** The transaction is tried again until the database is back
  (`claims.patiently`). It may have been lost before the commit or after it, which only the next
  try can tell.
- **A unique key is taken.** Either this very batch was committed, and only the answer was lost:
  its first member is in the ledger. Then what the last try wrote is what is there (the row is
  still this run's, so no other run wrote it), and is published and noted as ever. Or another
  upload wrote one of the objects since they were looked up, which PostgreSQL allows: the next try
  finds that object.
- **A value is refused**, or keys collide still. The batch is halved until a member is alone, and
  that one fails (`not_stored`).
- **A duplicate vanished**: somebody deleted the object whose bytes the batch counted on. The run
  begins again from its ledger, this time with all bytes kept (`Vanished`).
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DataError, IntegrityError
from django.db.models import F
from django.db.models.functions import Now
from msgspec import structs

from app.catalogue import filing, writing
from app.catalogue.entries import Entry, Source
from app.catalogue.transactions import put_aside_in_memory, while_heard
from app.dicom.records import ReadWarning
from app.models import ArchiveMember, Outcome
from app.reasons import PASSING
from app.sandbox.wire import Extracted
from app.storage.staging import Staging

from .abandoned import wait_for_files
from .claims import LEASE, LostRun, Run, patiently
from .log import Log
from .progress import Progress

MOST_MEMBERS, MOST_BYTES, MOST_SECONDS = 1_250, 8_000_000, 1.0  # the most of one batch
# How many are enough for a batch, where no more has arrived yet: each takes as long as 200 members.
ENOUGH_MEMBERS = 1_000
FIRST_MEMBERS = 250  # are enough for the first batch, for which nothing is written meanwhile
LAST_MEMBERS = 500  # for the last ones, for which no extractor works any more
OUTCOME = attrgetter("outcome")
DUPLICATE = Outcome.DUPLICATE.value

logger = logging.getLogger(__name__)


def gather(
    results: Iterable[list[Extracted]], run: Run, progress: Progress
) -> Iterator[list[Extracted]]:
    """Batches by number, by bytes of contours, and by time, so that the bar moves.

    What has arrived already goes into one batch, up to the most that it may hold.
    """
    batch: list[Extracted] = []
    weight, begun = 0, time.monotonic()
    usual = FIRST_MEMBERS
    enough = min(usual, _enough(progress))
    for arrived in results:
        run.check()
        progress.show()
        arrived.reverse()
        while True:
            while arrived and len(batch) < MOST_MEMBERS and weight < MOST_BYTES:
                extracted = arrived.pop()
                weight += extracted.weight
                batch.append(extracted)
                if extracted.inner:
                    enough = usual  # how many more there are in a ZIP inside is not known
                else:
                    progress.extracted += 1
                del extracted  # only the batch holds it
            full = len(batch) >= min(enough, MOST_MEMBERS) or weight >= MOST_BYTES
            if not full and (not batch or time.monotonic() - begun < MOST_SECONDS):
                break
            yield batch
            batch, weight, begun = [], 0, time.monotonic()
            usual, enough = ENOUGH_MEMBERS, _enough(progress)
            run.check()
            progress.show()
    if batch:
        yield batch


def _enough(progress: Progress) -> int:
    """Fewer towards the end, so that little is left to write when all is read."""
    left = progress.total - progress.extracted
    return min(ENOUGH_MEMBERS, max(LAST_MEMBERS, left // 3))


@dataclass(slots=True)
class Storing:
    """What the batches of one run share."""

    run: Run
    source: Source
    staging: Staging
    seal: Callable[[list[Extracted]], None]  # so that no extractor can alter what they staged
    progress: Progress
    keeps_bytes: bool  # also of what looks like a duplicate
    repeats: bool = True  # the last batch held duplicates; of the first it is to be seen

    def store(self, members: list[Extracted]) -> None:
        self.seal(members)
        batch = Batch(self, members)
        batch.empty_duplicates()
        batch.sync()
        self.progress.processed += sum(1 for extracted in members if not extracted.inner)
        batch.commit()
        self.progress.bytes_left -= sum(extracted.size for extracted in members)


class Written(NamedTuple):
    """What a transaction wrote; whether it is committed is another question."""

    entries: list[Entry]
    log: Log


@dataclass(slots=True)
class Batch:
    """Members that are committed together."""

    storing: Storing
    members: Sequence[Extracted]
    emptied: set[str] = field(default_factory=set)  # staged names of duplicates
    written: Written | None = None  # by the last try that came to its end

    def empty_duplicates(self) -> None:
        """Let go of bytes that are filed already, before they are written to the disk.

        Looked for where duplicates were met. The files are deleted when the run clears its
        folder: ext4 makes files up to three times as slowly where others were just deleted.
        """
        if self.storing.repeats and not self.storing.keeps_bytes:
            self.emptied = patiently(lambda: writing.duplicates(self.members))
            self.storing.staging.empty(self.emptied)

    def sync(self) -> None:
        kept = [one.staged for one in self.members if one.header and one.staged not in self.emptied]
        # A sync writes all that is dirty, also duplicates that come later and are to be emptied.
        if kept:
            self.storing.staging.sync(settings.ICON_FSYNC, kept)

    def commit(self) -> None:
        """The rows in one transaction, or in several where a value sinks the whole."""
        try:
            self._write_twice()
        except (DataError, IntegrityError) as error:
            number, kind = len(self.members), type(error).__name__
            logger.warning("Upload %s: batch of %d: %s", self.storing.run.upload, number, kind)
            patiently(self.storing.run.confirm)
            if not self._is_committed():
                self._commit_in_parts()
                return
        self._publish()

    def _write_twice(self) -> None:
        """Where another upload wrote the same objects at the same moment, the second try sees."""
        with suppress(IntegrityError):
            patiently(self._write)
            return
        patiently(self._write)

    def _write(self) -> None:
        run, progress = self.storing.run, self.storing.progress
        log = run.log.copy()
        # It holds the upload's row, which another run may have to take over.
        with put_aside_in_memory(), while_heard(LEASE.total_seconds()):
            entries = writing.write(self.storing.source, self.members, self.emptied)
            explained = [entry for entry in entries if entry.code]
            log.note_entries(progress.stage, explained)
            values: dict[str, Any] = {
                name: F(name) + count
                for name, count in self._counts(entries, explained).items()
                if count
            }
            if writing.asks_identity(entries):
                values["asks_identity"] = True
            run.write(
                progress.stage,
                processing_log_data=log.lines,
                percent=progress.percent,
                attempts=0,
                lease_until=Now() + LEASE,
                **values,
            )
            self.written = Written(entries, log)

    def _counts(self, entries: Sequence[Entry], explained: Sequence[Entry]) -> dict[str, int]:
        """What the batch adds to the upload's counts: most of its members need no explanation."""
        outcomes = Counter(map(OUTCOME, entries))
        return {
            **{f"{name}_count": count for name, count in outcomes.items()},
            "member_count": sum(1 for one in self.members if one.inner),
            "warning_count": sum(bool(entry.warnings) for entry in explained),
            "passing_count": sum(_is_passing(entry) for entry in explained),
        }

    def _is_committed(self) -> bool:
        """Whether what it holds is in the ledger, and by this run: the row is its own still."""
        first, run = self.members[0], self.storing.run
        ours = ArchiveMember.objects.filter(upload=run.upload, upload__run_id=run.run_id)
        return ours.filter(index=first.index, inner=first.inner).exists()

    def _commit_in_parts(self) -> None:
        if len(self.members) == 1:
            refused = self._part([_refused(self.members[0])])
            refused._write_twice()
            refused._publish()
            self.storing.staging.discard(self.members[0].staged)
            return
        middle = len(self.members) // 2
        self._part(self.members[:middle]).commit()
        self._part(self.members[middle:]).commit()

    def _part(self, members: Sequence[Extracted]) -> "Batch":
        return Batch(self.storing, members, self.emptied)

    def _publish(self) -> None:
        if self.written is None:
            raise LostRun  # the ledger has what this run never wrote
        run, entries = self.storing.run, self.written.entries
        run.log = self.written.log
        if strangers := filing.publish(self.storing.staging, entries):
            run.log.warn(run.stage, ReadWarning("stranger_moved"), strangers)
        duplicates = [entry for entry in entries if entry.outcome == DUPLICATE]
        self.storing.repeats = bool(duplicates)
        if duplicates:
            patiently(lambda: wait_for_files(run.upload, duplicates))


def _is_passing(entry: Entry) -> bool:
    return entry.outcome == Outcome.FAILED and entry.reason in PASSING


def _refused(extracted: Extracted) -> Extracted:
    return structs.replace(
        extracted, outcome=Outcome.FAILED.value, reason="not_stored", facts={}, header=None
    )
