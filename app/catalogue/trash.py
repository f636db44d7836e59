"""The trash: deleted objects, their rows and files, until somebody restores them or they go.

Each object is whole in the catalogue or whole in the trash. Its rows move in one transaction; its
file has both names by then, and the commit lists the old one in `FileToDelete`. What a kill leaves
undone, `go_on` finishes: who works on a deletion holds its row, and says when he did last.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from app.audit.recording import Person, because, record
from app.errors import StorageFailed
from app.limits import processed_root
from app.models import (
    Deletion,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Kind,
    Patient,
    PatientIdentity,
    TrashedObject,
    TrashedRow,
    TrashedText,
)
from app.storage.staging import is_hash, staged_runs, superseded_path
from app.storage.trash import (
    TrashFolder,
    bytes_of,
    copies,
    staged_files,
    trashed_name,
    trashed_path,
)
from app.wording import counted, human_size

from . import filing
from .bulk import Columns
from .names import row_name
from .packing import MEMBERS, Rows, copy_long_columns, label, packed, rows_of, to_text

AT_ONCE = 500  # objects moved in one transaction, while which others wait for their patient
COPIED_AT_ONCE = 50  # where their files are copied, which takes the disk's time
BYTES_COPIED_AT_ONCE = 64_000_000
SILENT = timedelta(seconds=30)  # after which nobody is at a deletion any more
MANY = 20_000  # objects moved while somebody waits, which takes 10 s; a worker moves more
LOOKS = 3  # for a file that an import is just giving its place
NAMED = 10  # rows in the words of a deletion

State = Deletion.State
Object = TypeVar("Object", DICOMInstance, TrashedObject)

logger = logging.getLogger(__name__)


class NotThere(Exception):
    """Somebody else has changed what is done with a deletion."""


# --- one deletion ----------------------------------------------------------------------------


def is_on() -> bool:
    return bool(settings.ICON_TRASH_DAYS)


def begin(rows: Sequence[models.Model], who: Person, reason: str) -> Deletion:
    """A deletion of rows of one table, in the transaction in which it is asked for."""
    last = DICOMInstance.objects.aggregate(last=Max("pk"))["last"]
    known = isinstance(who, User)
    names = [_called(row) for row in rows[:NAMED]]
    rest = len(rows) - len(names)
    return Deletion.objects.create(
        table=label(type(rows[0])),
        rows=[row.pk for row in rows],
        words=", ".join([*names, *([f"and {rest:,} more"] if rest else [])]),
        last_instance=last or 0,
        who_id=who.pk if known else None,
        who=who.get_username() if known else "",
        reason=reason,
        at=timezone.now(),
        until=timezone.now() + timedelta(days=settings.ICON_TRASH_DAYS),
        changed_at=timezone.now(),
    )


def _called(row: models.Model) -> str:
    """A row, and whose it is."""
    match row:
        case DICOMInstance():
            patient = row.dicom_series.dicom_study.patient
        case DICOMSeries():
            patient = row.dicom_study.patient
        case DICOMStudy():
            patient = row.patient
        case _:
            return row_name(row)
    return f"{row_name(row)} of {row_name(patient)}"


def under_way(rows: Sequence[models.Model]) -> Deletion | None:
    """A deletion that is just moving some of these rows of one table, whose patients are held."""
    keys = {row.pk for row in rows}
    moving = Deletion.objects.filter(state=State.DELETING, table=label(type(rows[0])))
    return next((one for one in moving if not keys.isdisjoint(one.rows)), None)


def hold(deletion: Deletion, state: State) -> None:
    """Lock a deletion until the transaction ends; nobody else moves its objects meanwhile.

    Raises
    ------
    NotThere
        It is over, or something else is to be done with it by now.
    """
    row = Deletion.objects.select_for_update().filter(pk=deletion.pk, state=state)
    if not row.exists():
        raise NotThere


def set_state(deletion: Deletion, state: State, *of: State, **more: Any) -> bool:
    """Say what is to be done with a deletion; False where that is not one of these any more."""
    rows = Deletion.objects.filter(pk=deletion.pk, state__in=of)
    return bool(rows.update(state=state, changed_at=Now(), trouble="", **more))


def count(deletion: Deletion, objects: Iterable[TrashedObject], sign: int) -> None:
    """Count what comes to a deletion, or goes, in the transaction that moves it."""
    some = list(objects)
    Deletion.objects.filter(pk=deletion.pk).update(
        object_count=F("object_count") + sign * len(some),
        image_count=F("image_count") + sign * sum(one.is_image for one in some),
        total_size=F("total_size") + sign * sum(one.size for one in some),
        conflict_count=F("conflict_count") + sign * sum(one.is_conflict for one in some),
        changed_at=Now(),
        trouble="",
    )


def in_words(deletion: Deletion) -> str:
    """Numbers alone, for the audit trail."""
    return f"{counted(deletion.object_count, 'object')}, {human_size(deletion.total_size)}."


def at_once(objects: Sequence[Object]) -> Sequence[Object]:
    """The first of some objects: those that one transaction may move."""
    if not copies(processed_root()):
        return objects
    sizes = accumulate(one.size for one in objects[:COPIED_AT_ONCE])
    return objects[: max(1, sum(size <= BYTES_COPIED_AT_ONCE for size in sizes))]


# --- into the trash --------------------------------------------------------------------------


def put(deletion: Deletion, chunk: Sequence[DICOMInstance]) -> list[FileToDelete]:
    """Keep objects that the caller's transaction deletes; the names that their files then lose.

    The caller holds the deletion, the patient and the objects.
    """
    pks = [one.pk for one in chunk]
    rows = packed(pks)
    patients = _keep_rows_over(deletion, chunk)
    taken = _take_files(deletion, chunk, rows)
    kept = [_trashed(deletion, one, rows[one.pk], patients, taken) for one in chunk]
    COLUMNS.insert(kept)
    copy_long_columns(pks)
    count(deletion, kept, +1)
    return [
        FileToDelete(path=path, sop_instance_uid=one.sop_instance_uid if path == one.path else "")
        for one in chunk
        for path in taken[one.pk]
    ]


COLUMNS = Columns(
    TrashedObject,
    {
        **{"deletion": "deletion_id"},
        **{name: name for name in ("instance", "series", "patient")},
        **{name: name for name in ("sop_instance_uid", "sha256", "size", "is_image", "has_file")},
        **{"superseded": "superseded", "rows": "rows"},
    },
    is_long=True,
)


def _trashed(
    deletion: Deletion,
    instance: DICOMInstance,
    rows: Rows,
    patients: dict[int, int],
    taken: dict[int, list[str]],
) -> TrashedObject:
    return TrashedObject(
        deletion=deletion,
        instance=instance.pk,
        series=instance.dicom_series_id,
        patient=patients[instance.dicom_series_id],
        sop_instance_uid=instance.sop_instance_uid,
        sha256=instance.sha256,
        size=instance.size,
        is_image=instance.rows is not None,
        has_file=instance.path in taken[instance.pk],
        superseded=instance.superseded,
        rows=to_text(rows),
    )


def _keep_rows_over(deletion: Deletion, chunk: Sequence[DICOMInstance]) -> dict[int, int]:
    """Keep what is over objects; the patient by series."""
    series = DICOMSeries.objects.filter(pk__in={one.dicom_series_id for one in chunk})
    above = list(series.values_list("pk", "dicom_study", "dicom_study__patient"))
    patients = {pk: patient for pk, _, patient in above}
    of_study = {study: patient for _, study, patient in above}
    keep_rows(deletion, Patient.objects.filter(pk__in=patients.values()), lambda row: row["id"])
    identities = PatientIdentity.objects.filter(
        pk__in={one.identity_id for one in chunk if one.identity_id}
    )
    keep_rows(deletion, identities, lambda row: row["patient_id"])
    studies = DICOMStudy.objects.filter(pk__in=of_study)
    keep_rows(deletion, studies, lambda row: row["patient_id"], "study_instance_uid")
    keep_rows(deletion, series, lambda row: patients[row["id"]], "series_instance_uid")
    return patients


def keep_rows(
    deletion: Deletion,
    rows: QuerySet[Any],
    patient_of: Callable[[dict[str, Any]], int] = lambda row: 0,
    uid: str = "",
) -> None:
    """Keep rows as they are at this moment, where they are not kept yet."""
    TrashedRow.objects.bulk_create(
        (
            TrashedRow(
                deletion=deletion,
                table=label(rows.model),
                row=row["id"],
                patient=patient_of(row),
                uid=row[uid] if uid else "",
                frame=row.get("frame_of_reference_uid", ""),
                values=to_text(row),
            )
            for row in rows_of(rows)
        ),
        ignore_conflicts=True,
    )


def _take_files(
    deletion: Deletion, chunk: Sequence[DICOMInstance], rows: dict[int, Rows]
) -> dict[int, list[str]]:
    """Give the files of objects their names in the trash; by object the names that they lose."""
    folder = TrashFolder(processed_root(), deletion.pk)
    uploads = {one.upload_id for one in chunk}
    uploads |= {line["upload_id"] for one in chunk if one.superseded for line in _lines(rows, one)}
    staged = {
        upload: staged_files(folder.root, upload)
        for upload in uploads
        # Until its folder is gone, files may still be on their way to their places.
        if upload and staged_runs(folder.root, upload)
    }
    taken: dict[int, list[str]] = {}
    for one in chunk:
        if one.superseded or one.upload_id in staged:
            taken[one.pk] = _sought(folder, one, _waiting(staged, _lines(rows, one)))
        else:
            taken[one.pk] = [one.path] if folder.take(one.path, trashed_name(one.pk)) else []
    if settings.ICON_FSYNC != "off" and any(taken.values()):
        folder.sync()
    return taken


def _lines(rows: dict[int, Rows], instance: DICOMInstance) -> list[dict[str, Any]]:
    return rows[instance.pk][MEMBERS]


def _waiting(
    staged: dict[int, dict[tuple[int, int], list[str]]], lines: Iterable[dict[str, Any]]
) -> list[str]:
    """The staged files of lines in ledgers."""
    return [
        path
        for line in lines
        for path in staged.get(line["upload_id"], {}).get((line["index"], line["inner"]), ())
    ]


def _sought(folder: TrashFolder, instance: DICOMInstance, waiting: Sequence[str]) -> list[str]:
    """The same where the bytes may still be staged, or in the place of those that replaced them."""
    taken = []
    wanted = {instance.sha256: instance.path}
    wanted |= {sha256: superseded_path(sha256) for sha256 in instance.superseded if is_hash(sha256)}
    for sha256, path in wanted.items():
        name = trashed_name(instance.pk, "" if path == instance.path else sha256)
        for one in [path, instance.path, *waiting] * LOOKS:
            if bytes_of(folder.root, one) == sha256 and folder.take(one, name):
                taken.append(path)
                break
    return taken


def end_of_deleting(deletion: Deletion) -> Deletion | None:
    """All that was to be deleted is in the trash; None where that is nothing."""
    with transaction.atomic():
        hold(deletion, State.DELETING)
        if not deletion.objects_in_it.exists():
            forget_whole(deletion)
            return None
        set_state(deletion, State.THERE, State.DELETING)
    deletion.refresh_from_db()
    return deletion


# --- out of it for good ----------------------------------------------------------------------


def erase(deletion: Deletion, who: Person = None, reason: str = "") -> bool:
    """Delete what a deletion holds, for good; False where it is just being restored or deleted."""
    if not ask_to_erase(deletion, who, reason):
        return False
    for _ in erase_all_of(deletion, who):
        pass
    return True


@transaction.atomic
def ask_to_erase(deletion: Deletion, who: Person, reason: str) -> bool:
    """Say that it is to be erased; whoever comes to it does so."""
    if not set_state(deletion, State.ERASING, State.THERE, until=Now()):
        return False
    record(Kind.ERASE_ASKED, who, deletion, because(in_words(deletion), reason))
    return True


def erase_all_of(deletion: Deletion, who: Person = None) -> Iterator[int]:
    """Do so in chunks; after each how many objects have gone."""
    erased = 0
    try:
        while some := _erase_some(deletion):
            erased += some
            filing.unlink_pending()
            yield erased
        _end(deletion, Kind.ERASED, who, f"Objects: {erased:,}.")
    except NotThere:
        return


@transaction.atomic
def _erase_some(deletion: Deletion) -> int:
    hold(deletion, State.ERASING)
    some = list(deletion.objects_in_it.order_by("pk").defer("rows")[:AT_ONCE])
    forget(deletion, some)
    return len(some)


def forget(deletion: Deletion, objects: Sequence[TrashedObject]) -> None:
    """Delete objects from the trash, and list the names that their files have there."""
    count(deletion, objects, -1)
    pks = [one.pk for one in objects]
    TrashedText.objects.filter(trashed__in=pks).delete()
    TrashedObject.objects.filter(pk__in=pks).delete()
    filing.delete_later(
        FileToDelete(path=trashed_path(deletion.pk, name))
        for one in objects
        for name in names_of(one)
    )


def names_of(trashed: TrashedObject) -> list[str]:
    """What its files are called in the trash."""
    superseded = filter(is_hash, trashed.superseded)
    own = [trashed_name(trashed.instance)] if trashed.has_file else []
    return [*own, *(trashed_name(trashed.instance, sha256) for sha256 in superseded)]


def _end(deletion: Deletion, kind: Kind, who: Person, words: str) -> None:
    """Forget a deletion that holds nothing any more."""
    with transaction.atomic():
        hold(deletion, State.ERASING)
        forget_whole(deletion)
        record(kind, who, deletion, words)
    tidy(deletion)


def forget_whole(deletion: Deletion) -> None:
    TrashedRow.objects.filter(deletion=deletion.pk).delete()
    Deletion.objects.filter(pk=deletion.pk).delete()


def tidy(deletion: Deletion) -> None:
    """Delete names in a deletion's folder that are nobody's, as a kill may leave them.

    What the disk refuses stays: all that was asked for is done, and the check of the night tells.
    """
    filing.unlink_pending()
    try:
        _discard_strangers(deletion)
    except StorageFailed as failure:
        logger.warning("Deletion %s: its folder stays for now: %s", deletion.pk, failure.code)


def _discard_strangers(deletion: Deletion) -> None:
    folder = TrashFolder(processed_root(), deletion.pk)
    if not folder.names():
        return
    with transaction.atomic():
        # Nobody gives files names here while this row, if it is there, is held.
        list(Deletion.objects.select_for_update().filter(pk=deletion.pk).values("pk"))
        folder.discard(strangers(deletion.pk, folder.names()))


def strangers(deletion: int, names: Sequence[str]) -> list[str]:
    """Those of the names in a deletion's folder that belong to nothing in the trash."""
    found: list[str] = []
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        pks = {int(pk) for name in some if (pk := name.partition("-")[0]).isdecimal()}
        known = TrashedObject.objects.filter(deletion=deletion, instance__in=pks).defer("rows")
        belonging = {name for one in known for name in names_of(one)}
        waiting = FileToDelete.objects.filter(
            path__in=[trashed_path(deletion, name) for name in some]
        )
        going = set(waiting.values_list("path", flat=True))
        found += [
            name
            for name in some
            if name not in belonging and trashed_path(deletion, name) not in going
        ]
    return found


def miscounted(deletion: Deletion) -> bool:
    """Whether a deletion says of itself what is not so."""
    now = Deletion.objects.filter(pk=deletion.pk).values(*COUNTS).first()
    return now is not None and now != true_counts(deletion)


COUNTS = ("object_count", "image_count", "total_size", "conflict_count")


def true_counts(deletion: Deletion) -> dict[str, int]:
    return deletion.objects_in_it.aggregate(
        object_count=Count("pk"),
        image_count=Count("pk", filter=Q(is_image=True)),
        total_size=Coalesce(Sum("size"), 0),
        conflict_count=Count("pk", filter=Q(is_conflict=True)),
    )


@transaction.atomic
def recount(deletion: Deletion) -> bool:
    row = Deletion.objects.select_for_update().filter(pk=deletion.pk)
    return bool(row and row.update(**true_counts(deletion)))


def erase_due() -> Iterator[int]:
    """Erase what has been in the trash for its days, in chunks; after each how many have gone."""
    due = Deletion.objects.filter(state=State.THERE, until__lte=Now())
    for deletion in due.order_by("until", "pk"):
        with transaction.atomic():
            if not set_state(deletion, State.ERASING, State.THERE):
                continue
            record(Kind.ERASE_ASKED, None, deletion, f"Its days are over. {in_words(deletion)}")
        yield from erase_all_of(deletion)


# --- going on --------------------------------------------------------------------------------


def left() -> QuerySet[Deletion]:
    """Deletions with which something is to be done, and nobody is at it."""
    silent = Deletion.objects.filter(changed_at__lt=Now() - SILENT)
    return silent.exclude(state=State.THERE).order_by("pk")


def take_turn(deletion: Deletion) -> bool:
    """Be at a deletion that nobody is at; False where somebody else is by now."""
    return bool(left().filter(pk=deletion.pk).update(changed_at=Now()))


def leave_to_worker(deletion: Deletion) -> None:
    """Let a worker do what is to be done with it, as if whoever is at it had gone."""
    Deletion.objects.filter(pk=deletion.pk).update(changed_at=Now() - 2 * SILENT)


def who_asked(deletion: Deletion) -> Person:
    return User.objects.filter(pk=deletion.who_id).first() if deletion.who_id else None


def in_trouble(deletion: Deletion, failure: StorageFailed) -> None:
    """Note why a deletion does not go on; a worker tries again."""
    Deletion.objects.filter(pk=deletion.pk).update(trouble=failure.code, changed_at=Now())
    logger.warning("Deletion %s does not go on for now: %s", deletion.pk, failure.code)
