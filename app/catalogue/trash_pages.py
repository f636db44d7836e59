"""The pages of the trash: what is in it, restoring, and erasing at once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.db import transaction
from django.db.models import Count, Model, Q, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from app.audit.recording import record_export, record_view
from app.errors import StorageFailed
from app.models import (
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Patient,
    TrashedObject,
    TrashedRow,
)
from app.needing import needing
from app.reasons import sentence
from app.spreadsheets import Cell
from app.wording import counted, held

from . import restoring, trash
from .addresses import BEFORE, is_key, key_in
from .below import AT
from .cells import Cells, moment
from .deleting import DeletingForm, reason_of
from .exporting import csv_answer, dated
from .names import row_name
from .packing import MEMBERS, from_text, label
from .restoring import Restored, kept_rows

SHOWN = 50  # deletions on a page
SHOWN_IN_IT = 100  # series of one
SOUGHT = 5_000  # objects, whose ZIPs are named where they are erased
NAMED = 10  # ZIPs
NEEDED = ("app.view_patient", "app.restore_deletion")
KINDS: dict[str, tuple[type[Model], tuple[str, ...]]] = {
    label(Patient): (Patient, ("patient",)),
    label(DICOMStudy): (DICOMStudy, ("study", "studies")),
    label(DICOMSeries): (DICOMSeries, ("series", "series")),
    label(DICOMInstance): (DICOMInstance, ("object",)),
}
UIDS = {
    label(DICOMStudy): "study instance UIDs",
    label(DICOMSeries): "series instance UIDs",
    label(DICOMInstance): "SOP instance UIDs",
}
PAGES = {label(Patient): "patient", label(DICOMStudy): "study", label(DICOMSeries): "series"}

may_look = needing(*NEEDED)
may_erase = needing(*NEEDED, "app.erase_deletion")


# --- looking ---------------------------------------------------------------------------------


@staff_member_required
@may_look
@require_safe
def trash_list(request: HttpRequest) -> HttpResponse:
    """What is in the trash, the last deleted first."""
    rows = Deletion.objects.order_by("-pk")
    if before := key_in(request.GET, BEFORE):
        rows = rows.filter(pk__lt=before)
    shown = list(rows[: SHOWN + 1])
    context = {
        "title": "Trash",
        "deletions": [_Line(one) for one in shown[:SHOWN]],
        "older": shown[SHOWN - 1].pk if len(shown) > SHOWN else None,
        "days": settings.ICON_TRASH_DAYS,
        "whole": whole(),
    }
    return render(request, "catalogue/trash.html", context)


@staff_member_required
@may_look
@require_safe
def trash_csv(request: HttpRequest) -> StreamingHttpResponse:
    """The list of the trash as CSV."""
    record_export(request.user, "the list of the trash")
    headings = (*CSV_CELLS, "patient IDs", *UIDS.values())
    return csv_answer(dated("trash"), headings, _csv_rows())


def _csv_rows() -> Iterator[list[Cell]]:
    """All that is in the trash, the last deleted first, some at a time."""
    rows = Deletion.objects.order_by("-pk")
    some = list(rows[:SHOWN])
    while some:
        patients, uids = _patient_ids(some), _uids(some)
        for row in some:
            ids = (patients[row.pk], *(uids[row.pk, table] for table in UIDS))
            cells = (cell(_Line(row)) for cell in CSV_CELLS.values())
            yield [*cells, *(", ".join(one) for one in ids)]
        some = list(rows.filter(pk__lt=some[-1].pk)[:SHOWN])


def _patient_ids(deletions: Sequence[Deletion]) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    rows = TrashedRow.objects.filter(deletion__in=deletions, table=label(Patient)).order_by("row")
    for deletion, values in rows.values_list("deletion", "values"):
        found[deletion].append(from_text(values)["unique_patient_id"])
    return found


def _uids(deletions: Sequence[Deletion]) -> Mapping[tuple[int, str], list[str]]:
    """By deletion and table: the UIDs of what was deleted, and of what is above it."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    is_below = Q(table=label(DICOMSeries), deletion__table__in=[label(Patient), label(DICOMStudy)])
    rows = TrashedRow.objects.filter(deletion__in=deletions, table__in=UIDS).exclude(is_below)
    for deletion, table, uid in rows.order_by("row").values_list("deletion", "table", "uid"):
        found[deletion, table].append(uid)
    objects = TrashedObject.objects.filter(
        deletion__in=deletions, deletion__table=label(DICOMInstance)
    )
    for deletion, uid in objects.order_by("pk").values_list("deletion", "sop_instance_uid"):
        found[deletion, label(DICOMInstance)].append(uid)
    return found


@staff_member_required
@may_look
@require_safe
def deletion(request: HttpRequest, pk: int) -> HttpResponse:
    """One deletion: who, when, why, and what is in it."""
    row = get_object_or_404(Deletion, pk=pk)
    record_view(request.user, row)
    series = _series_in(row)
    context = {
        "title": "In the trash",
        "line": _Line(row),
        "deletion": row,
        "patients": [row_name(one) for one in _rows_in(row, Patient)],
        "studies": [row_name(one) for one in _rows_in(row, DICOMStudy)],
        "series": series[:SHOWN_IN_IT],
        "more": max(len(series) - SHOWN_IN_IT, 0),
    }
    return render(request, "catalogue/deletion.html", context)


@dataclass(frozen=True, slots=True)
class _Line:
    """A deletion in words."""

    deletion: Deletion

    @property
    def kind(self) -> str:
        """What was deleted: "Series", "3 studies"."""
        _, names = KINDS[self.deletion.table]
        number = len(self.deletion.rows)
        return names[0].capitalize() if number == 1 else counted(number, *names)

    @property
    def holds(self) -> str:
        return held(self.deletion.image_count, self.deletion.object_count)

    @property
    def state(self) -> str:
        """What is being done with it, and what stands against it; "" where it lies there."""
        if self.deletion.trouble:
            return sentence("trash_waits")
        if self.deletion.state != Deletion.State.THERE:
            return f"{Deletion.State(self.deletion.state).label}."
        if self.deletion.conflict_count:
            return sentence(
                "trash_conflicts", objects=counted(self.deletion.conflict_count, "object")
            )
        return ""

    @property
    def may_be_restored(self) -> bool:
        return self.deletion.state in (Deletion.State.THERE, Deletion.State.DELETING)

    @property
    def may_be_erased(self) -> bool:
        return self.deletion.state == Deletion.State.THERE


@dataclass(frozen=True, slots=True)
class _SeriesIn:
    name: str
    holds: str
    size: int


CSV_CELLS: Cells = {
    "what": lambda line: line.kind,
    "name": lambda line: line.deletion.words,
    "deleted": lambda line: moment(line.deletion.at),
    "by": lambda line: line.deletion.who,
    "reason": lambda line: line.deletion.reason,
    "objects": lambda line: line.deletion.object_count,
    "images": lambda line: line.deletion.image_count,
    "size (bytes)": lambda line: line.deletion.total_size,
    "goes": lambda line: moment(line.deletion.until),
    "state": lambda line: line.state,
}


def _series_in(row: Deletion) -> list[_SeriesIn]:
    groups = row.objects_in_it.values("series").annotate(
        number=Count("pk"), images=Count("pk", filter=Q(is_image=True)), size=Sum("size")
    )
    found = list(groups.order_by("-number", "series")[: SHOWN_IN_IT + 1])
    pks = [group["series"] for group in found]
    names = {one.pk: row_name(one) for one in _rows_in(row, DICOMSeries, row__in=pks)}
    return [
        _SeriesIn(names[group["series"]], held(group["images"], group["number"]), group["size"])
        for group in found
    ]


def _rows_in(row: Deletion, model: type[Model], **which: Any) -> list[Any]:
    """Rows that are kept with a deletion, as they were."""
    known = {field.attname: field for field in model._meta.concrete_fields}
    return [
        model(
            **{
                name: known[name].to_python(value)
                for name, value in values.items()
                if name in known
            }
        )
        for values in kept_rows(row, model, **which)[:SHOWN_IN_IT]
    ]


def whole() -> dict[str, int]:
    """What all deletions together hold."""
    return Deletion.objects.aggregate(
        deletions=Count("pk"),
        objects=Coalesce(Sum("object_count"), 0),
        size=Coalesce(Sum("total_size"), 0),
    )


# --- restoring -------------------------------------------------------------------------------


@staff_member_required
@may_look
@require_POST
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Give the catalogue back what a deletion holds."""
    row = Deletion.objects.filter(pk=pk).first()
    if row is None:  # somebody, perhaps the same, has pressed before
        messages.error(request, sentence("trash_gone"))
        return redirect("trash_list")
    if row.object_count > trash.MANY and restoring.ask_to_restore(row, request.user):
        trash.leave_to_worker(row)
        messages.info(request, sentence("worker_restores"))
        return redirect("deletion", pk)
    try:
        done = restoring.restore(row, request.user)
    except StorageFailed as failure:
        trash.in_trouble(row, failure)
        messages.error(request, sentence("restore_on_broken_disk"))
        return redirect("deletion", pk)
    if done is None:
        messages.error(request, sentence("trash_busy"))
        return redirect("trash_list")
    say_what_became_of(request, done)
    if done.conflicts:
        return redirect("deletion", pk)
    return redirect(_page_of(row) or "trash_list")


def say_what_became_of(request: HttpRequest, done: Restored) -> None:
    if not (done.restored or done.already_here or done.conflicts):
        messages.success(request, sentence("nothing_was_moved"))
    elif done.restored or not done.conflicts:
        messages.success(request, f"Restored: {counted(done.restored, 'object')}.")
    if done.already_here:
        words = counted(done.already_here, "object")
        messages.info(request, sentence("restored_already_here", objects=words))
    if done.conflicts:
        words = counted(done.conflicts, "object")
        messages.warning(request, sentence("trash_conflicts", objects=words))


def _page_of(row: Deletion) -> str:
    """The page of what was restored, where that is one row which has its key again."""
    model, _ = KINDS[row.table]
    there = model._default_manager.filter(pk__in=row.rows)
    if len(row.rows) != 1 or not there.exists():
        return ""
    if row.table in PAGES:
        return reverse(PAGES[row.table], args=row.rows)
    pk = row.rows[0]
    series = DICOMInstance.objects.values_list("dicom_series", flat=True).get(pk=pk)
    return f"{reverse('series', args=[series])}?{AT}={pk}#object-{pk}"


# --- erasing ---------------------------------------------------------------------------------


@staff_member_required
@may_erase
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest, pk: int) -> HttpResponse:
    """Erase one deletion at once, with a reason."""
    return _ask_and_erase(request, [get_object_or_404(Deletion, pk=pk)], "Erase for good")


@staff_member_required
@may_erase
@require_http_methods(["GET", "HEAD", "POST"])
def empty_trash(request: HttpRequest) -> HttpResponse:
    """Erase all that is in the trash at once, with a reason."""
    rows = Deletion.objects.filter(state=Deletion.State.THERE).order_by("pk")
    if request.method == "POST":  # what was deleted since the page was shown stays
        until = request.POST.get("until", "")
        rows = rows.filter(pk__lte=int(until)) if is_key(until) else rows.none()
    return _ask_and_erase(request, list(rows), "Empty the trash")


def _ask_and_erase(request: HttpRequest, rows: Sequence[Deletion], title: str) -> HttpResponse:
    objects = sum(row.object_count for row in rows)
    form = DeletingForm(objects, request)
    if request.method == "POST" and form.is_valid():
        _erase(request, rows)
        return redirect("trash_list")
    context = {
        "title": title,
        "lines": [_Line(row) for row in rows],
        "objects": objects,
        "size": sum(row.total_size for row in rows),
        "until": rows[-1].pk if rows else None,
        "form": form,
        "zips": _kept_zips(rows) if request.user.has_perm("app.view_dicomfile") else [],
    }
    status = 400 if form.errors else 200
    return render(request, "catalogue/erase.html", context, status=status)


def _kept_zips(rows: Sequence[Deletion]) -> list[DICOMFile]:
    """Kept ZIPs whose lists of files name objects of deletions, as far as they are sought."""
    objects = TrashedObject.objects.filter(deletion__in=[row.pk for row in rows]).order_by("pk")
    texts = objects.values_list("rows", flat=True)[:SOUGHT]
    uploads = {line["upload_id"] for text in texts for line in from_text(text).get(MEMBERS, ())}
    kept = DICOMFile.objects.exclude(file="").filter(pk__in=uploads).without_log()
    return list(kept.order_by("pk")[: NAMED + 1])  # one more says that there are more


def _erase(request: HttpRequest, rows: Sequence[Deletion]) -> None:
    with transaction.atomic():  # all or none: the law may ask for it
        asked = [row for row in rows if trash.ask_to_erase(row, request.user, reason_of(request))]
    objects = sum(row.object_count for row in asked)
    for row in asked:
        if objects > trash.MANY:
            trash.leave_to_worker(row)
        else:
            for _ in trash.erase_all_of(row, request.user):
                pass
    if objects > trash.MANY:
        messages.info(request, sentence("worker_erases"))
    elif asked or not rows:
        messages.success(request, f"Erased for good: {counted(objects, 'object')}.")
    if len(asked) < len(rows):
        messages.error(request, sentence("trash_busy"))


# --- said elsewhere --------------------------------------------------------------------------


def until_words(objects: int) -> str:
    """What becomes of objects that are deleted: on the page that asks."""
    if not trash.is_on():
        return sentence("deleted_at_once")
    last = timezone.localtime() + timedelta(days=settings.ICON_TRASH_DAYS)
    code = "goes_to_trash" if objects == 1 else "go_to_trash"
    return sentence(code, day=date_format(last, "j F"))


def deleted_words(request: HttpRequest, rows: int, name: str, done: Deletion | None) -> SafeString:
    """What a page says after a deletion, with the way back."""
    what = format_html("“{}”", name) if rows == 1 else format_html("{}", counted(rows, "row"))
    if done is None:
        return format_html("Deleted: {}.", what)
    may_undo = request.user.has_perms(NEEDED)
    undo = _undo(done) if may_undo else ""
    if done.state == Deletion.State.DELETING:
        return format_html("{}: {} {}", what, sentence("being_deleted"), undo)
    if not may_undo:
        return format_html("In the trash: {}.", what)
    address = reverse("deletion", args=[done.pk])
    return format_html('<a href="{}">In the trash</a>: {}. {}', address, what, undo)


def _undo(deletion: Deletion) -> SafeString:
    """A button for a message; its form stands beside every one, `shared/_act_of_message.html`."""
    return format_html(
        '<button type="submit" class="message-act" form="act-of-message" formaction="{}">'
        "Undo</button>",
        reverse("restore_deletion", args=[deletion.pk]),
    )
