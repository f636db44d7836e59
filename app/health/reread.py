"""Filed objects read again, where an older version of ICON read them: rows then say what this one
reads.

Children read a chunk of files each, a little ahead; then its rows are written in one transaction,
which also marks them as read by this version. So a kill costs a chunk, and whoever starts again
goes on. It goes through the uploads by their start, and through each by its ledger, as everything
came: patients, studies and series then are what an import of it all would make them.
"""

import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.db import DataError, IntegrityError
from django.db.models import Count, F

from app.catalogue.rereading import LOST, Reread, write_again
from app.catalogue.search import refold
from app.dicom.kinds import Kind, kind_of
from app.dicom.records import READ_VERSION, Header
from app.limits import pool_settings, processed_root
from app.models import ArchiveMember, DICOMFile, DICOMFileQuerySet, DICOMInstance, Outcome
from app.reasons import sentence
from app.sandbox.filed import Reading, read_filed
from app.sandbox.pool import BYTES_PER_SECOND, PoolSettings
from app.storage.tree import open_object, open_root
from app.uploads.claims import EXPIRED, patiently

CHUNK_FILES, CHUNK_BYTES = 250, 32_000_000  # the most of one chunk, but for a larger file
PAGE = 500  # rows
MOST_READERS = 4  # at once: each has its chunk's files open
LOOK = 1.0  # seconds between two looks at whether imports have ended

Report = Callable[[int], None]


class Busy(Exception):
    """Somebody rereads already."""


class Filed(NamedTuple):
    """What the rows say of a filed object."""

    pk: int
    path: str
    size: int
    sha256: str
    sop_class_uid: str
    modality: str
    sop_instance_uid: str
    series: int
    series_instance_uid: str
    study: int
    study_instance_uid: str
    patient: int
    unique_patient_id: str
    filed_at: datetime
    upload: int | None
    upload_started: datetime | None

    @property
    def kind(self) -> Kind:
        return kind_of(self.sop_class_uid, self.modality)

    @property
    def started(self) -> datetime:
        """When its upload was started or, where that was deleted, when it was filed."""
        return self.upload_started or self.filed_at


STUDY = "dicom_series__dicom_study"
FIELDS = (  # of a `Filed`
    *("pk", "path", "size", "sha256", "sop_class_uid", "modality", "sop_instance_uid"),
    *("dicom_series", "dicom_series__series_instance_uid"),
    *(STUDY, f"{STUDY}__study_instance_uid"),
    *(f"{STUDY}__patient", f"{STUDY}__patient__unique_patient_id"),
    *("created_at", "upload", "upload__date_processing_started"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know of an object that was read again, or could not be."""

    subject: str  # "instance 17"
    code: str
    facts: dict[str, str | int] = field(default_factory=dict)

    @property
    def is_unread(self) -> bool:
        """Whether its row stays as it is."""
        return self.code != "reads_otherwise"

    @property
    def sentence(self) -> str:
        return f"{self.subject}: {sentence(self.code, **self.facts)}"


def older_count(kind: Kind | None = None) -> int:
    """How many objects, of a kind or of any, an older version of ICON read."""
    return sum(count for _, count in _classes(kind))


def reread(
    kind: Kind | None = None,
    step: Report = lambda count: None,
    waiting: Report = lambda count: None,
) -> Iterator[Finding]:
    """Read again what an older version of ICON read; what is worth knowing, as it is found.

    Parameters
    ----------
    kind
        Nothing else is read.
    step
        Called with the number of objects that were done since the last call.
    waiting
        Called with the number of uploads that are waited for.

    Raises
    ------
    Busy
        Somebody is at it already.
    """
    told: set[str] = set()  # what was said of patients, studies and series: each once
    with _only_one():
        refold()
        for chunk, readings in _read_ahead(_chunks(_filed(kind))):
            give_way(waiting)
            for finding in _store(chunk, readings, in_order=kind is None):
                if finding.sentence not in told:
                    yield finding
                if not finding.is_unread:
                    told.add(finding.sentence)
            step(len(chunk))


@contextmanager
def _only_one() -> Iterator[None]:
    """Hold the lock of rereading, which ends with its process."""
    root = processed_root()
    root.mkdir(parents=True, exist_ok=True, mode=0o750)
    fd = open_root(root)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        yield
    finally:
        os.close(fd)


def give_way(waiting: Report) -> None:
    """Let what is queued or being imported go first; a run that has died is not waited for."""
    while count := patiently(_under_way().count):
        waiting(count)
        time.sleep(LOOK)


def _under_way() -> DICOMFileQuerySet:
    return DICOMFile.objects.live().exclude(EXPIRED)


# --- which objects, in which order -----------------------------------------------------------


def _classes(kind: Kind | None) -> Iterator[tuple[str, int]]:
    """The SOP classes of a kind's objects to be read again, and how many there are."""
    classes = DICOMInstance.objects.read_by_older().values_list("sop_class_uid", "modality")
    for sop_class_uid, modality, count in classes.annotate(Count("pk")).order_by():
        if kind in (None, kind_of(sop_class_uid, modality)):
            yield sop_class_uid, count


def _chunks(filed: Iterator[Filed]) -> Iterator[list[Filed]]:
    chunk: list[Filed] = []
    size = 0
    for one in filed:
        if chunk and (len(chunk) >= CHUNK_FILES or size + one.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += one.size
    if chunk:
        yield chunk


def _filed(kind: Kind | None) -> Iterator[Filed]:
    """What an older version read, in the order in which it came; a page of rows at a time."""
    classes = None if kind is None else {sop_class_uid for sop_class_uid, _ in _classes(kind)}
    for one in _of_classes(classes):
        if kind in (None, one.kind):  # which the modality decides, too
            yield one


def _of_classes(classes: Collection[str] | None) -> Iterator[Filed]:
    uploads = DICOMFile.objects.order_by("date_processing_started", "pk")
    for upload in list(uploads.values_list("pk", flat=True)):
        yield from _of_upload(upload, classes)
    yield from _without_ledger(classes)


def _of_upload(upload: int, classes: Collection[str] | None) -> Iterator[Filed]:
    rows = ArchiveMember.objects.filter(
        upload=upload,
        outcome=Outcome.IMPORTED,
        instance__read_version__lt=READ_VERSION,
        # Else the ledger speaks of a version that was replaced since.
        instance__upload=upload,
        instance__sha256=F("sha256"),
    )
    if classes is not None:
        rows = rows.filter(instance__sop_class_uid__in=classes)
    names = (f"instance__{name}" for name in FIELDS)
    lines = rows.order_by("index", "inner").values_list("index", "inner", *names)
    index, inner = -1, 0
    # In two steps, as an index of the database is used: a ZIP inside may hold any number.
    while page := (
        list(lines.filter(index=index, inner__gt=inner)[:PAGE])
        or list(lines.filter(index__gt=index)[:PAGE])
    ):
        yield from (Filed(*values) for _, _, *values in page)
        index, inner, *_ = page[-1]


def _without_ledger(classes: Collection[str] | None) -> Iterator[Filed]:
    """Those whose upload was deleted, and with it the ledger."""
    older = DICOMInstance.objects.read_by_older()
    rows = older if classes is None else older.filter(sop_class_uid__in=classes)
    last = 0
    while page := list(rows.filter(pk__gt=last).order_by("pk").values_list(*FIELDS)[:PAGE]):
        found = [Filed(*values) for values in page]
        last = found[-1].pk
        lines = ArchiveMember.objects.filter(instance__in=[one.pk for one in found])
        known = set(
            lines.filter(outcome=Outcome.IMPORTED).values_list("instance", "upload", "sha256")
        )
        yield from (one for one in found if (one.pk, one.upload, one.sha256) not in known)


# --- reading ---------------------------------------------------------------------------------


def _read_ahead(
    chunks: Iterator[list[Filed]],
) -> Iterator[tuple[list[Filed], list[Reading]]]:
    """Chunks with what was read, in order, while the next are read by threads' children."""
    settings = pool_settings()
    readers = min(settings.extractors, MOST_READERS)
    waiting: deque[tuple[list[Filed], Future[list[Reading]]]] = deque()
    with ThreadPoolExecutor(readers) as threads:
        while True:
            for chunk in islice(chunks, readers - len(waiting)):
                waiting.append((chunk, threads.submit(_read, chunk, settings)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            yield chunk, future.result()
            del chunk, future  # they may hold many megabytes of contours


def _read(chunk: Sequence[Filed], settings: PoolSettings) -> list[Reading]:
    """What is read in each file; the children are given descriptors, and no paths."""
    opened = [_open(one) for one in chunk]
    seconds = settings.member_seconds + sum(one.size for one in chunk) / BYTES_PER_SECOND
    try:
        files = [one for one in opened if isinstance(one, int)]
        found = iter(read_filed(files, settings, seconds))
        return [next(found) if isinstance(one, int) else Reading(reason=one) for one in opened]
    finally:
        for one in opened:
            if isinstance(one, int):
                os.close(one)


def _open(filed: Filed) -> int | str:
    """A descriptor of its file, or the code of why there is none."""
    try:
        file = open_object(processed_root(), filed.path)
    except FileNotFoundError:
        return "file_missing"
    except OSError:
        return "file_unreadable"
    if os.fstat(file).st_size == filed.size:
        return file
    os.close(file)
    return "file_altered"


# --- writing ---------------------------------------------------------------------------------


def _store(
    chunk: Sequence[Filed], readings: Sequence[Reading], in_order: bool
) -> Iterator[Finding]:
    """Write what was read; what there is to say of it is said before, lest a kill swallow it."""
    batch = []
    for filed, reading in zip(chunk, readings, strict=True):
        if reading.sha256 not in ("", filed.sha256):
            yield Finding(f"instance {filed.pk}", "file_altered")
        elif reading.header is None:
            yield Finding(f"instance {filed.pk}", reading.reason, reading.facts)
        else:
            yield from _otherwise(filed, reading.header)
            batch.append(Reread(filed.pk, filed.sha256, filed.started, reading.header))
    yield from _write(batch, in_order)


def _write(batch: Sequence[Reread], in_order: bool) -> Iterator[Finding]:
    """Write the rows together or, where the database refuses a value, in parts."""
    try:
        losing = patiently(lambda: write_again(batch, in_order))
        yield from (Finding(f"instance {pk}", LOST) for pk in losing)
    except (DataError, IntegrityError):
        if len(batch) == 1:
            yield Finding(f"instance {batch[0].instance}", "not_stored")
            return
        middle = len(batch) // 2
        yield from _write(batch[:middle], in_order)
        yield from _write(batch[middle:], in_order)


def _otherwise(filed: Filed, header: Header) -> Iterator[Finding]:
    """What says where an object belongs, and is read otherwise now: it stays where it is."""
    places = (
        ("patient", filed.patient, "PatientID", filed.unique_patient_id,
         header.patient.unique_patient_id),
        ("study", filed.study, "StudyInstanceUID", filed.study_instance_uid,
         header.study.study_instance_uid),
        ("series", filed.series, "SeriesInstanceUID", filed.series_instance_uid,
         header.series.series_instance_uid),
        ("instance", filed.pk, "SOPInstanceUID", filed.sop_instance_uid,
         header.instance.sop_instance_uid),
    )  # fmt: skip
    for name, pk, keyword, known, read in places:
        if known != read:
            yield Finding(f"{name} {pk}", "reads_otherwise", {"attribute": keyword})
