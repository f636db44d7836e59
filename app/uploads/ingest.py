"""The spine: one upload's archive -> batches -> rows and files -> an end status."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.db.models import Count, F
from django.db.models.functions import Coalesce, Now
from msgspec import structs

from app.archives.directory import Archive, Limits, open_archive
from app.catalogue import removal, writing
from app.catalogue.writing import Entry, Source
from app.dicom.headers import HeaderLimits
from app.dicom.records import ReadWarning
from app.errors import ArchiveRefused, Expected, StorageFailed
from app.models import ArchiveMember, DICOMFile, DICOMInstance, Outcome, Stage, Status
from app.reasons import sentence
from app.sandbox.pool import Pool, Settings
from app.sandbox.wire import Extracted, staged_name
from app.storage.staging import STAGING, Busy, Staging, free_bytes
from app.wording import human_size

from . import changes, claims
from .claims import LEASE, LostRun, Run, Stopped, patiently

Report = Callable[[int, str], None]  # percent, step
BATCH_MEMBERS, BATCH_BYTES, BATCH_SECONDS = 1_000, 8_000_000, 1.0
LAST_MEMBERS = 100  # of the last batch, for which no extractor works any more
REPORT_SECONDS = 0.5
LOGGED_FAILURES = 200  # lines; the ledger has them all
OUTAGES = 10  # of the database that one run sits out

logger = logging.getLogger(__name__)


def nobody(percent: int, step: str) -> None:
    """A report that nobody waits for."""


def run_upload(
    pk: int,
    task_id: str = "",
    report: Report = nobody,
    shutting_down: Callable[[], bool] = bool,
) -> bool:
    """Run an upload to its end status; False where somebody else has it.

    Parameters
    ----------
    report
        Called with a percentage and what is being done; at most twice a second.
    shutting_down
        Whether the worker is asked to stop; the upload is then handed on.

    Raises
    ------
    Exception
        What nobody expected; the upload is Failed by then.
    """
    run = claims.claim(pk, task_id)
    if run is None:
        return False
    progress = Progress(run, report, shutting_down)
    with claims.Heartbeat(run):
        try:
            _run(run, progress)
        except LostRun:
            logger.warning("Upload %s: another run has taken over", pk)
    return True


def roll_forward(pk: int) -> None:
    """Publish what a dead run of an upload had committed, and clear its staging folder.

    Raises
    ------
    Busy
        A run is at work there.
    """
    with Staging(_root(), pk, wait=0) as staging:
        _settle(staging, pk, staging.names())
        staging.remove()


def roll_forward_abandoned() -> None:
    """Do so for every staging folder whose upload has no live run."""
    folder = _root() / STAGING
    pks = [int(entry.name) for entry in folder.glob("*") if entry.name.isdecimal()]
    running = DICOMFile.objects.filter(pk__in=pks, processing_status=Status.IN_PROGRESS)
    for pk in set(pks) - set(running.values_list("pk", flat=True)):
        try:
            roll_forward(pk)
        except Busy:
            continue
        except StorageFailed as failure:
            logger.warning("Upload %s: its staging stays for now: %s", pk, failure.code)


@dataclass(slots=True)
class Progress:
    """How far a run is, and whether it may go on."""

    run: Run
    report: Report
    shutting_down: Callable[[], bool]
    floor: int = 0  # the bar never falls
    total: int = 0  # members, without those inside; 0 until that is known
    extracted: int = 0
    processed: int = 0
    bytes_left: int = 0
    reported: float = 0.0
    failures: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    repeats: bool = True  # the last batch held duplicates; of the first it is to be seen
    emptied: set[str] = field(default_factory=set)  # staged names of this batch's
    empties: bool = True

    @property
    def percent(self) -> int:
        if self.total:
            done = (20 * self.extracted + 60 * self.processed) / self.total
            self.floor = max(self.floor, 10 + int(done))
        return self.floor

    @property
    def stage(self) -> Stage:
        return Stage.EXTRACT if self.percent < 30 else Stage.PROCESS

    def tell(self, step: str = "") -> None:
        """Report, unless that was done just now."""
        if time.monotonic() - self.reported >= REPORT_SECONDS:
            step = step or f"{self.processed:,} of {_files(self.total)} filed"
            self.report(self.percent, step)
            self.reported = time.monotonic()

    def check(self) -> None:
        """Raise what ends a run from outside: LostRun or Stopped."""
        if self.run.lost.is_set():
            raise LostRun
        if self.run.cancelled.is_set() or self.shutting_down():
            raise Stopped(handed_on=not self.run.cancelled.is_set())


def _run(run: Run, progress: Progress) -> None:
    try:
        _import_through_outages(run, progress)
    except Stopped as stop:
        _hand_back(run, stop.handed_on)
    except Busy:
        _hand_back(run, handed_on=True)
    except Expected as reason:
        _fail(run, reason.code, _why(reason, progress))
    except (OperationalError, InterfaceError) as error:
        code = claims.disk_reason(error) or "database_away"
        _fail(run, code, _why(StorageFailed(code), progress))
    except LostRun:
        raise
    # Anything else is a bug: the row must not stay in progress for ever, and the bug be seen.
    except Exception:
        _fail(run, "unexpected", sentence("unexpected"))
        raise


def _import_through_outages(run: Run, progress: Progress) -> None:
    """Import; where the database goes away between two batches, go on when it is back."""
    for _ in range(OUTAGES):
        try:
            return _import(run, progress)
        except (OperationalError, InterfaceError) as error:
            if claims.disk_reason(error):
                raise
            logger.warning("Upload %s: the database went away", run.upload)
        except writing.Vanished:
            # What has no row in the ledger is read again, this time with its bytes kept.
            progress.empties = False
        patiently(run.renew)
        progress.check()
    return _import(run, progress)


def _import(run: Run, progress: Progress) -> None:
    upload = DICOMFile.objects.get(pk=run.upload)
    progress.floor = upload.percent
    progress.tell("Reading the ZIP's list of contents")
    with _opened(upload) as file, _staging(run) as staging:
        # The extractors start while the archive's list of contents is read.
        with Pool(file.fileno(), staging.fd, _pool_settings()) as pool:
            archive = open_archive(file, archive_limits())
            done, seen = _ledger(upload)
            _initialize(run, progress, archive, done, seen)
            waiting = (member for member in archive.members() if member.index not in done)
            replaces = settings.ICON_ON_CONFLICT == "replace"
            source = Source(upload.pk, run.started, replaces, upload.use_versions)
            for batch in _batches(pool.results(archive, waiting, seen), progress):
                _store(run, source, staging, batch, progress)
                del batch  # it may hold many megabytes of contours, as the next one will
        _clean_up(run, staging, progress)
    _finalize(run, progress)


# --- initialize ------------------------------------------------------------------------------


@contextmanager
def _opened(upload: DICOMFile) -> Iterator[IO[bytes]]:
    path = Path(upload.file.path) if upload.file else None
    if path is None or not path.is_file():
        raise ArchiveRefused("archive_missing")
    with path.open("rb") as file:
        yield file


@contextmanager
def _staging(run: Run) -> Iterator[Staging]:
    """The upload's staging folder: settled before, and settled after whatever ends the run."""
    with Staging(_root(), run.upload) as staging:
        _settle(staging, run.upload, staging.names())
        try:
            yield staging
        except LostRun:
            raise
        except BaseException:
            # Before any status is written: the database may live on the same full disk.
            with suppress(StorageFailed, DatabaseError):
                _settle(staging, run.upload, staging.names())
                staging.remove()
            raise


def _settle(staging: Staging, upload: int, names: Sequence[str]) -> None:
    """Publish the staged files whose rows are committed, and delete the others."""
    committed = _committed(upload, names)
    placed: dict[int, tuple[str, str]] = {}
    for name in names:
        member = committed.get(name)
        instance = member.instance if member else None
        if member and instance and member.sha256 == instance.sha256:
            superseded = instance.superseded
            _place(staging, name, Version(instance.pk, instance.path, member.sha256, superseded))
            placed[instance.pk] = instance.path, instance.sop_instance_uid
        elif member and instance and member.sha256 in instance.superseded:
            staging.keep_superseded(name, member.sha256)
        else:
            staging.discard(name)
    removal.forget_deleted(placed)


def _committed(upload: int, names: Iterable[str]) -> dict[str, ArchiveMember]:
    """The ledger's rows of imported members, by the names of their staged files."""
    indexes = {int(number) for name in names if (number := name.partition("-")[0]).isdecimal()}
    members = ArchiveMember.objects.filter(
        upload=upload, index__in=indexes, outcome=Outcome.IMPORTED, instance__isnull=False
    )
    return {
        staged_name(member.index, member.inner): member
        for member in members.select_related("instance")
    }


def _ledger(upload: DICOMFile) -> tuple[set[int], dict[int, set[int]]]:
    """What earlier runs catalogued: whole members, and parts of ZIPs inside."""
    done: set[int] = set()
    seen: defaultdict[int, set[int]] = defaultdict(set)
    # Django closes PostgreSQL's cursor without translating the error of a server that has gone.
    with connection.wrap_database_errors:
        for index, inner in upload.members.values_list("index", "inner").iterator():
            if inner:
                seen[index].add(inner)
            else:
                done.add(index)
    return done, seen


def _initialize(
    run: Run, progress: Progress, archive: Archive, done: set[int], seen: dict[int, set[int]]
) -> None:
    known = len(done)
    progress.total = archive.member_count
    progress.extracted = progress.processed = known
    progress.bytes_left = archive.total_size
    if not known:
        _check_room(archive)
    run.write(
        Stage.INITIALIZE,
        _opening(archive, known),
        percent=progress.percent,
        member_count=archive.member_count + sum(map(len, seen.values())),
    )


def _check_room(archive: Archive) -> None:
    free = free_bytes(_root())
    if archive.total_size > free:
        raise ArchiveRefused(
            "no_room", needed=human_size(archive.total_size), free=human_size(free)
        )


def _opening(archive: Archive, known: int) -> str:
    files = f"{archive.member_count:,} files, {human_size(archive.total_size)} unpacked"
    if known:
        return f"Going on with the archive: {files}; {known:,} were done before"
    return f"Opened the archive: {files}"


def _root() -> Path:
    root: Path = settings.ICON_PROCESSED_ROOT
    return root


def archive_limits() -> Limits:
    return Limits(
        members=settings.ICON_MAX_MEMBERS,
        total=settings.ICON_MAX_TOTAL,
        member=settings.ICON_MAX_MEMBER,
        nesting=settings.ICON_MAX_NESTING,
    )


def _pool_settings() -> Settings:
    return Settings(
        extractors=settings.ICON_EXTRACTORS,
        member_seconds=settings.ICON_MEMBER_SECONDS,
        limits=archive_limits(),
        header_limits=HeaderLimits(settings.ICON_MAX_HEADER, settings.ICON_MAX_ITEMS),
        assumed_charset=settings.ICON_ASSUMED_CHARSET,
    )


# --- extract and process ---------------------------------------------------------------------


def _batches(results: Iterable[Extracted | None], progress: Progress) -> Iterator[list[Extracted]]:
    """Batches by number, by bytes of contours, and by time, so that the bar moves."""
    batch: list[Extracted] = []
    weight, most, begun = 0, BATCH_MEMBERS, time.monotonic()
    for extracted in results:
        progress.check()
        progress.tell()
        if extracted:
            batch.append(extracted)
            weight += extracted.weight
            progress.extracted += not extracted.inner
            # How many more there are in a ZIP inside is not known.
            most = BATCH_MEMBERS if extracted.inner else _batch_size(progress)
        extracted = None  # only the batch holds it
        late = time.monotonic() - begun > BATCH_SECONDS
        full = len(batch) >= most or weight >= BATCH_BYTES
        if batch and (late or full):
            yield batch
            batch, weight, begun = [], 0, time.monotonic()
    if batch:
        yield batch


def _batch_size(progress: Progress) -> int:
    """Smaller towards the end, so that little is left to write when all is read."""
    left = progress.total - progress.extracted
    return min(BATCH_MEMBERS, max(LAST_MEMBERS, left // 2))


def _store(
    run: Run, source: Source, staging: Staging, batch: list[Extracted], progress: Progress
) -> None:
    """One batch: durable bytes, then rows, then files in the tree."""
    _empty_duplicates(staging, batch, progress)
    staged = {extracted.staged for extracted in batch if extracted.header}
    # A sync writes all that is dirty, also duplicates that come later and are to be emptied.
    if kept := staged - progress.emptied:
        staging.sync(settings.ICON_FSYNC, kept)
    progress.processed += sum(not extracted.inner for extracted in batch)
    _commit(run, source, staging, batch, progress)
    progress.bytes_left -= sum(extracted.size for extracted in batch)


def _empty_duplicates(staging: Staging, batch: list[Extracted], progress: Progress) -> None:
    """Let go of bytes that are filed already, before they are written to the disk.

    Looked for where duplicates were met. The files are deleted when the run clears its folder:
    ext4 makes files up to three times as slowly where others were just deleted.
    """
    progress.emptied = set()
    if progress.repeats and progress.empties:
        progress.emptied = patiently(lambda: writing.duplicates(batch))
        staging.empty(progress.emptied)


def _commit(
    run: Run, source: Source, staging: Staging, batch: list[Extracted], progress: Progress
) -> None:
    """The rows of a batch in one transaction, or in several where a value sinks the whole."""
    try:
        entries = _write_twice(run, source, batch, progress)
    except (DataError, IntegrityError) as error:
        logger.warning("Upload %s: batch of %d: %s", run.upload, len(batch), type(error).__name__)
    else:
        _publish(staging, entries, progress)
        return
    if _is_committed(run, batch):
        # The database went away at the very commit, and had committed.
        _settle(staging, run.upload, [extracted.staged for extracted in batch if extracted.header])
    elif len(batch) == 1:
        _publish(staging, _write(run, source, [_refused(batch[0])], progress), progress)
        staging.discard(batch[0].staged)
    else:
        middle = len(batch) // 2
        _commit(run, source, staging, batch[:middle], progress)
        _commit(run, source, staging, batch[middle:], progress)


def _write_twice(
    run: Run, source: Source, batch: list[Extracted], progress: Progress
) -> list[Entry]:
    """Where another upload wrote the same objects at the same moment, the second try sees them."""
    with suppress(IntegrityError):
        return patiently(lambda: _write(run, source, batch, progress))
    return patiently(lambda: _write(run, source, batch, progress))


def _write(run: Run, source: Source, batch: list[Extracted], progress: Progress) -> list[Entry]:
    with transaction.atomic():
        entries = writing.write(source, batch, progress.emptied)
        outcomes = Counter(entry.outcome for entry in entries)
        added: dict[str, Any] = {
            f"{name}_count": F(f"{name}_count") + count for name, count in outcomes.items()
        }
        run.write(
            progress.stage,
            percent=progress.percent,
            attempts=0,
            lease_until=Now() + LEASE,
            member_count=F("member_count") + sum(bool(extracted.inner) for extracted in batch),
            warning_count=F("warning_count") + sum(bool(entry.warnings) for entry in entries),
            **added,
        )
    return entries


def _is_committed(run: Run, batch: list[Extracted]) -> bool:
    first = batch[0]
    rows = ArchiveMember.objects.filter(upload=run.upload, index=first.index, inner=first.inner)
    return rows.exists()


def _refused(extracted: Extracted) -> Extracted:
    return structs.replace(
        extracted, outcome=Outcome.FAILED, reason="not_stored", facts={}, header=None
    )


def _publish(staging: Staging, entries: list[Entry], progress: Progress) -> None:
    for entry in entries:
        extracted = entry.extracted
        if entry.outcome == Outcome.IMPORTED:
            version = Version(entry.instance_id, entry.path, extracted.sha256, entry.superseded)
            if _place(staging, extracted.staged, version):
                entry.warnings.append(ReadWarning("stranger_moved"))
        _note(entry, progress)
    progress.repeats = any(entry.outcome == Outcome.DUPLICATE for entry in entries)
    removal.forget_deleted(
        {
            entry.instance_id: (entry.path, entry.header.instance.sop_instance_uid)
            for entry in entries
            if entry.outcome == Outcome.IMPORTED
        }
    )


class Version(NamedTuple):
    """A version of an instance on its way to its place."""

    instance: int
    path: str
    sha256: str
    superseded: list[str]


def _place(staging: Staging, name: str, version: Version) -> bool:
    """Publish a staged file; True where an unknown file had to make way."""
    there = staging.publish(name, version.path, version.sha256, version.superseded)
    if not there:
        return False
    if DICOMInstance.objects.filter(pk=version.instance, sha256=there).exists():
        # Another run has replaced this version, and was faster with its file.
        staging.keep_superseded(name, version.sha256)
        return False
    staging.set_aside(version.path, there)
    staging.publish(name, version.path, version.sha256, version.superseded)
    return True


def _note(entry: Entry, progress: Progress) -> None:
    """Failures go into the log one by one, warnings by how often they came."""
    for warning in entry.warnings:
        progress.warnings[sentence(warning.code, **warning.facts)] += 1
    if entry.outcome == Outcome.FAILED:
        progress.failures += 1
        if progress.failures <= LOGGED_FAILURES:
            line = f"{entry.extracted.name}: {entry.detail}"
            progress.run.note(line, level="error")


# --- cleanup and finalize --------------------------------------------------------------------


def _clean_up(run: Run, staging: Staging, progress: Progress) -> None:
    run.write(Stage.CLEANUP, percent=90)
    progress.tell("Making the files durable")
    staging.sync(settings.ICON_FSYNC, [])
    staging.remove()


def _finalize(run: Run, progress: Progress) -> None:
    for text, count in progress.warnings.most_common(100):
        run.note(f"{text} ({_files(count)})", level="warning")
    if progress.failures > LOGGED_FAILURES:
        more = _files(progress.failures - LOGGED_FAILURES)
        run.note(f"{more} more failed; the list of files has them", "error")
    run.write(Stage.FINALIZE, percent=95)
    progress.tell("Writing the result")
    upload = DICOMFile.objects.get(pk=run.upload)
    if upload.files_done != upload.member_count:
        raise RuntimeError("The ledger does not add up")
    if upload.imported_count or upload.duplicate_count:
        values = _ended("", "") | {"stored_words": changes.stored_words(upload)}
        run.end(Status.COMPLETED, _summary(upload), **values, percent=100)
    else:
        code, why = _why_nothing(upload)
        run.end(Status.FAILED, why, **_ended(code, why), percent=100)


def _summary(upload: DICOMFile) -> str:
    counts = (
        f"{count:,} {Outcome(name).label.lower()}"
        for name, count in upload.outcomes.items()
        if count
    )
    return f"Completed: {', '.join(counts)}"


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def _why_nothing(upload: DICOMFile) -> tuple[str, str]:
    if upload.conflict_count:
        return "only_conflicts", sentence("only_conflicts")
    if not upload.failed_count:
        return "no_dicom", sentence("no_dicom")
    failed = upload.members.filter(outcome=Outcome.FAILED).values_list("detail")
    most = failed.annotate(times=Count("pk")).order_by("-times", "detail")[0][0]
    return "nothing_stored", f"{sentence('nothing_stored')} {most}"


def _ended(code: str, why: str) -> dict[str, Any]:
    return {
        "failure_reason": code,
        "failure_detail": why[:500],
        "date_processing_completed": Now(),
        "queued_at": None,
        "use_versions": False,
    }


def _fail(run: Run, code: str, why: str) -> None:
    logger.warning("Upload %s failed: %s", run.upload, code)
    run.note(why, level="error")
    _give_back(run, Status.FAILED, _ended(code, why))


def _give_back(run: Run, status: Status, values: dict[str, Any]) -> None:
    # Where not even this can be written, the lease runs out, and the sweep tries again.
    with suppress(StorageFailed, OperationalError, InterfaceError):
        patiently(lambda: run.end(status, **values))


def _why(reason: Expected, progress: Progress) -> str:
    if reason.code != "disk_full":
        return reason.sentence
    more = progress.bytes_left - free_bytes(_root())
    needed = f": {human_size(more)} more are needed" if more > 0 else ""
    return sentence("disk_full", needed=needed)


def _hand_back(run: Run, handed_on: bool) -> None:
    """Pending again: stopped by somebody, or queued for another worker."""
    run.note("Stopped: the worker shuts down" if handed_on else "Stopped")
    values = {
        "attempts": 0,
        "stopped": not handed_on,
        "queued_at": Coalesce("queued_at", Now()) if handed_on else None,
        "sent_at": None,
    }
    _give_back(run, Status.PENDING, values)


# --- repair ----------------------------------------------------------------------------------


def restore(instance: DICOMInstance) -> bool:
    """Read an instance's file again from a kept archive; False where none holds its bytes."""
    members = ArchiveMember.objects.filter(instance=instance, sha256=instance.sha256)
    return any(
        _restore_from(member, instance)
        for member in members.select_related("upload").order_by("-pk")
    )


def _restore_from(member: ArchiveMember, instance: DICOMInstance) -> bool:
    upload = member.upload
    try:
        with _opened(upload) as file, Staging(_root(), upload.pk, wait=0) as staging:
            archive = open_archive(file, archive_limits())
            wanted = islice(archive.members(member.index), 1)
            with Pool(file.fileno(), staging.fd, _pool_settings()) as pool:
                read = list(pool.results(archive, wanted, {}))
            found = any(
                extracted
                and extracted.header
                and extracted.sha256 == instance.sha256
                and extracted.inner == member.inner
                for extracted in read
            )
            if found:
                name = staged_name(member.index, member.inner)
                _place(
                    staging,
                    name,
                    Version(instance.pk, instance.path, instance.sha256, instance.superseded),
                )
            staging.remove()
            return found
    except (Expected, Busy):
        return False
