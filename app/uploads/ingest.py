"""The spine: one upload's archive -> batches -> rows and files -> an end status."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models.functions import Coalesce, Now

from app.archives.directory import Archive, open_archive
from app.catalogue import filing
from app.catalogue.entries import Source
from app.catalogue.writing import Vanished
from app.errors import ArchiveRefused, Expected, OtherVersion, StorageFailed
from app.limits import archive_limits, pool_settings, processed_root
from app.models import DICOMFile, Outcome, Stage, Status
from app.reasons import OF_ALL, sentence
from app.sandbox.pool import Pool
from app.storage.staging import Staging, free_bytes
from app.wording import human_size

from . import changes, claims
from .batches import Storing, gather
from .claims import LostRun, Run, Stopped, patiently
from .progress import Progress, Report
from .shares import Share

OUTAGES = 10  # of the database that one run sits out

logger = logging.getLogger(__name__)


def nobody(percent: int, step: str) -> None:
    """A report that nobody waits for."""


def run_next(
    pk: int,
    task_id: str,
    report: Report = nobody,
    shutting_down: Callable[[], bool] = bool,
) -> bool:
    """Run the upload whose turn it is, in a worker that was told of this one; see `run_upload`."""
    try:
        return any(run_upload(one, task_id, report, shutting_down) for one in claims.whose_turn(pk))
    except (StorageFailed, OperationalError, InterfaceError) as error:
        raise _unexpected(error) from None


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
    OtherVersion
        This process cannot run it; the upload is queued again for one that can.
    UnexpectedFailure
        A bug, and the upload is Failed by then; or the database was away too long to claim it.
    """
    try:
        run = claims.claim(pk, task_id, shutting_down)
    except (StorageFailed, OperationalError, InterfaceError) as error:
        raise _unexpected(error) from None
    if run is None:
        return False
    with claims.Heartbeat(run):
        try:
            _run(run, Progress(report))
        except LostRun:
            logger.warning("Upload %s: another run has taken over", pk)
        except OtherVersion:
            raise
        # A bug must be seen, but the row not stay in progress for ever.
        except Exception as error:
            with suppress(LostRun):
                _fail(run, "unexpected", sentence("unexpected"))
            raise _unexpected(error) from None
    return True


class UnexpectedFailure(Exception):
    """What ended a run; the message is the class of the exception alone.

    Neither the table of results nor a log is a place for what an exception may quote.
    """


def _unexpected(error: Exception) -> UnexpectedFailure:
    return UnexpectedFailure(type(error).__name__).with_traceback(error.__traceback__)


def _run(run: Run, progress: Progress) -> None:
    try:
        _import_through_outages(run, progress)
    except Stopped as stop:
        _hand_back(run, stop.handed_on, stop.why)
    except OtherVersion as reason:
        _hand_back(run, handed_on=True, why=reason.sentence)
        raise
    except Expected as reason:
        _fail(run, reason.code, _why(reason, progress))
    except (OperationalError, InterfaceError) as error:
        code = claims.disk_reason(error) or "database_away"
        _fail(run, code, _why(StorageFailed(code), progress))


def _import_through_outages(run: Run, progress: Progress) -> None:
    """Import; where the database goes away between two batches, go on when it is back."""
    keeps_bytes = False
    for _ in range(OUTAGES):
        try:
            return _import(run, progress, keeps_bytes)
        except (OperationalError, InterfaceError) as error:
            if claims.disk_reason(error):
                raise
            logger.warning("Upload %s: the database went away", run.upload)
        except Vanished:
            # What has no row in the ledger is read again, this time with its bytes kept.
            keeps_bytes = True
        patiently(run.renew)
        run.check()
    return _import(run, progress, keeps_bytes)


def _import(run: Run, progress: Progress, keeps_bytes: bool) -> None:
    upload = DICOMFile.objects.get(pk=run.upload)
    progress.floor = upload.percent
    progress.show("Reading the ZIP's list of contents")
    with opened(upload) as file, _staging(run) as staging:
        # The extractors start while the archive's list of contents is read.
        share = Share()
        shared = replace(pool_settings(), extractors=share.extractors)
        with Pool(file.fileno(), staging, shared) as pool:
            archive = open_archive(file, archive_limits())
            done, done_inside = _ledger(upload)
            _initialize(run, progress, archive, done, done_inside)
            waiting = (member for member in archive.members() if member.index not in done)
            replaces = settings.ICON_ON_CONFLICT == "replace"
            source = Source(upload.pk, run.started, replaces, upload.use_versions)
            storing = Storing(run, source, staging, pool.seal, progress, keeps_bytes)
            for members in gather(pool.results(archive, waiting, done_inside), run, progress):
                pool.resize(share.look())
                storing.store(members)
                del members  # they may hold many megabytes of contours, as the next ones will
        _clean_up(run, staging, progress)
    _finalize(run, progress)


# --- initialize ------------------------------------------------------------------------------


@contextmanager
def opened(upload: DICOMFile) -> Iterator[IO[bytes]]:
    """An upload's kept archive.

    Raises
    ------
    ArchiveRefused
        archive_missing.
    """
    path = Path(upload.file.path) if upload.file else None
    if path is None or not path.is_file():
        raise ArchiveRefused("archive_missing")
    with path.open("rb") as file:
        yield file


@contextmanager
def _staging(run: Run) -> Iterator[Staging]:
    """The run's staging folder, settled before and after, once what dead runs left is settled."""
    filing.roll_forward(run.upload, run.run_id)
    with Staging(processed_root(), run.upload, run.run_id) as staging:
        staging.show_life()
        filing.settle(staging, run.upload)
        try:
            yield staging
        except LostRun:
            raise
        except BaseException:
            # Before any status is written: the database may live on the same full disk.
            with suppress(StorageFailed, DatabaseError):
                filing.settle(staging, run.upload)
                staging.remove()
            raise


def _ledger(upload: DICOMFile) -> tuple[set[int], dict[int, set[int]]]:
    """What earlier runs catalogued: whole members, and parts of ZIPs inside."""
    done: set[int] = set()
    done_inside: defaultdict[int, set[int]] = defaultdict(set)
    # Django closes PostgreSQL's cursor without translating the error of a server that has gone.
    with connection.wrap_database_errors:
        for index, inner in upload.members.values_list("index", "inner").iterator():
            if inner:
                done_inside[index].add(inner)
            else:
                done.add(index)
    return done, done_inside


def _initialize(
    run: Run, progress: Progress, archive: Archive, done: set[int], done_inside: dict[int, set[int]]
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
        member_count=archive.member_count + sum(map(len, done_inside.values())),
    )


def _check_room(archive: Archive) -> None:
    free = free_bytes(processed_root())
    if archive.total_size > free:
        raise ArchiveRefused(
            "no_room", needed=human_size(archive.total_size), free=human_size(free)
        )


def _opening(archive: Archive, known: int) -> str:
    files = f"{archive.member_count:,} files, {human_size(archive.total_size)} unpacked"
    if known:
        return f"Going on with the archive: {files}; {known:,} were done before"
    return f"Opened the archive: {files}"


# --- cleanup and finalize --------------------------------------------------------------------


def _clean_up(run: Run, staging: Staging, progress: Progress) -> None:
    run.write(Stage.CLEANUP, percent=90)
    progress.show("Making the files durable")
    staging.sync(settings.ICON_FSYNC, [])
    staging.remove()


def _finalize(run: Run, progress: Progress) -> None:
    run.write(Stage.FINALIZE, percent=95)
    progress.show("Writing the result")
    upload = DICOMFile.objects.get(pk=run.upload)
    if upload.files_done != upload.member_count:
        raise RuntimeError("The ledger does not add up")
    run.log.finish(run.stage, upload.failed_count)
    if upload.imported_count or upload.duplicate_count:
        words, patient = changes.stored(upload)
        values = _ended("", "") | {"stored_words": words, "patient": patient}
        values["replaced_count"] = _replaced(upload)
        run.end(Status.COMPLETED, _summary(upload), **values, percent=100)
    else:
        code, why = _why_nothing(upload)
        run.end(Status.FAILED, why, **_ended(code, why), percent=100)


def _replaced(upload: DICOMFile) -> int:
    """Of what is imported; looked for where versions were, or may have been, replaced."""
    may_replace = upload.use_versions or settings.ICON_ON_CONFLICT == "replace"
    if not (may_replace or upload.replaced_count):
        return 0
    return min(changes.replaced(upload), upload.imported_count)


def _summary(upload: DICOMFile) -> str:
    counts = (
        f"{count:,} {Outcome(name).label.lower()}"
        for name, count in upload.outcomes.items()
        if count
    )
    return f"Completed: {', '.join(counts)}"


def _why_nothing(upload: DICOMFile) -> tuple[str, str]:
    if upload.conflict_count:
        return "only_conflicts", sentence("only_conflicts")
    if not upload.failed_count:
        unopened = upload.members.filter(reason__in=("other_archive", "nested_too_deep"))
        code = "only_archives" if unopened.exists() else "no_dicom"
        return code, sentence(code)
    return "nothing_stored", _why_none(upload)


def _why_none(upload: DICOMFile) -> str:
    """That no file could be stored, and why: the one, all of them, or each for its reason."""
    failed = upload.members.filter(outcome=Outcome.FAILED).order_by()
    none = sentence("nothing_stored")
    if upload.failed_count == 1:
        return f"{none} {failed.get().detail}"
    said = list(failed.values_list("reason", "detail").distinct())
    reasons = {reason for reason, _ in said}
    if len(reasons) > 1:
        return sentence("nothing_stored_why", count=len(reasons))
    attribute = said[0][1].partition(" is ")[0] if len(said) == 1 else "A UID"
    return f"{none} {OF_ALL[reasons.pop()].format(attribute=attribute)}"


# --- other ends ------------------------------------------------------------------------------


def _fail(run: Run, code: str, why: str) -> None:
    run.note(why, level="error")
    _give_back(run, Status.FAILED, _ended(code, why))
    logger.warning("Upload %s failed: %s", run.upload, code)


def _ended(code: str, why: str) -> dict[str, Any]:
    return {
        "failure_reason": code,
        "failure_detail": why[:500],
        "date_processing_completed": Now(),
        "queued_at": None,
        "use_versions": False,
    }


def _give_back(run: Run, status: Status, values: dict[str, Any]) -> None:
    # Where not even this can be written, the lease runs out, and the sweep tries again.
    with suppress(StorageFailed, OperationalError, InterfaceError):
        patiently(lambda: run.end(status, **values))


def _why(reason: Expected, progress: Progress) -> str:
    if reason.code != "disk_full":
        return reason.sentence
    more = progress.bytes_left - free_bytes(processed_root())
    needed = f": {human_size(more)} more are needed" if more > 0 else ""
    return sentence("disk_full", needed=needed)


def _hand_back(run: Run, handed_on: bool, why: str) -> None:
    """Pending again: stopped by somebody, or queued for another worker."""
    run.note(why)
    values = {
        "attempts": 0,
        "stopped": not handed_on,
        "queued_at": Coalesce("queued_at", Now()) if handed_on else None,
        "sent_at": None,
    }
    _give_back(run, Status.PENDING, values)
