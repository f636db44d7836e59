"""Start and stop one upload, watch uploads, read how one ended."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from . import tasks
from .audit.recording import record_export
from .catalogue.addresses import is_key
from .catalogue.comparison import comparisons_of, warnings_told
from .catalogue.exporting import csv_answer
from .catalogue.searches import address_of, back_to, is_over, words_of
from .models import LOG, ArchiveMember, DICOMFile, Outcome, Status
from .needing import View, needing
from .reasons import SEE_DIFFERENCES, USE_VERSIONS, sentence
from .telling.asking import told_of
from .uploads import announcing, claims, status, whose
from .uploads.changes import changes, deleted_since, places
from .uploads.conflicts import (
    COMPARED,
    SERIES_OFFERED,
    attributes_of,
    conflicts,
    remarks_of,
    series_of,
)
from .uploads.listing import REASONS, Filters, Listing, members_of, problems_of, rows_of
from .uploads.log import warning_of
from .uploads.status import (
    TONES,
    UploadState,
    fresh_states,
    progress_words,
    state_of,
    tab_counts,
    tab_words,
)
from .wording import counted

CARDS = 200  # on one progress page; an address of 4,094 characters holds some 270
MOST_CARDS = 3  # of more uploads there are rows
LEDGER_ROWS = 100  # on one page

OUTCOME_HINTS = {
    Outcome.IMPORTED: "stored and catalogued",
    Outcome.DUPLICATE: "the very same content was catalogued before",
    Outcome.CONFLICT: "catalogued with other content, which was kept",
    Outcome.SKIPPED: "not DICOM, or nothing to store",
    Outcome.FAILED: "could not be stored",
}
USE = "app.use_versions_dicomfile"
CATALOGUE = ("app.view_patient", "app.view_dicomstudy", "app.view_dicomseries")


may_view = needing("app.view_dicomfile")
may_process = needing("app.view_dicomfile", "app.process_dicomfile")


def staff_who_press(view: View) -> View:
    """For a button of one upload: who was signed out meanwhile signs in, and finds it again.

    A browser does not repeat a POST after that; it would GET an address that takes none.
    """

    @wraps(view)
    def respond(request: HttpRequest, pk: int) -> HttpResponseBase:
        if request.method == "POST" and not request.user.is_authenticated:
            return redirect_to_login(reverse("upload_result", args=[pk]), reverse("admin:login"))
        return staff_member_required(view)(request, pk)

    return respond


@staff_who_press
@may_process
@require_POST
def process_dicom_file_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Put one upload into the queue, and show its progress or where the button stood."""
    upload = get_object_or_404(DICOMFile, pk=pk)
    announce_start(request, tasks.start([upload.pk], who=request.user))
    back = _back(request)
    watched = back.startswith(reverse("dicom_processing_progress"))
    return redirect(back if watched else progress_url([upload.pk]))


@staff_who_press
@may_process
@require_POST
def cancel_dicom_file_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one upload out of the queue, or ask its run to stop at the next batch."""
    upload = get_object_or_404(DICOMFile, pk=pk)
    announce_stop(request, [upload.pk])
    return redirect(_back(request) or progress_url([upload.pk]))


@staff_who_press
@may_process
@require_POST
def see_dicom_file_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one upload as looked at, for all."""
    upload = get_object_or_404(DICOMFile, pk=pk)
    assert request.user.is_authenticated
    if why := claims.see(upload.pk, request.user):
        announcing.left_alone(request, {upload.pk: why}, "not marked as seen")
    return redirect(_back(request) or reverse("upload_result", args=[upload.pk]))


@staff_member_required
@may_view
@require_safe
def dicom_processing_progress(request: HttpRequest) -> HttpResponse:
    """What was asked for, and what is queued or in progress where nothing or `live` was.

    A card for each of a few; of many a row, what runs first and what has ended last.
    """
    asked = _asked_uploads(request)
    uploads, with_live = _watched(request, asked)
    states = fresh_states(uploads)
    as_rows = len(uploads) > MOST_CARDS
    only = request.GET.get("only", "")
    both = list(zip(uploads, states, strict=True))
    told = {} if as_rows else told_of(request.user, uploads)
    if as_rows:
        both.sort(key=lambda one: one[1].rank)
    context = {
        "title": "Progress",
        "shown": [
            {"upload": upload, "state": state, "told": told.get(upload.pk)}
            for upload, state in both
        ],
        "as_rows": as_rows,
        "tones": _tones(request, states, only) if as_rows else [],
        "only": only,
        "missing": len(asked) - sum(upload.pk in asked for upload in uploads),
        "live": any(upload.is_live for upload in uploads),
        "with_live": with_live,
        "status_url": _with_uploads("task_status", [one.pk for one in uploads], with_live),
        "back": request.get_full_path(),
        "may_process": request.user.has_perm("app.process_dicomfile"),
    }
    return render(request, "processing_progress.html", context)


@staff_member_required
@require_safe
def task_status(request: HttpRequest) -> JsonResponse:
    """Where the uploads asked for stand; unknown and forbidden ones are left out alike.

    Besides, how the way to the progress page is called; with `tabs`, which looks at all uploads,
    also the tabs above the list of uploads, everybody's or one's own.
    """
    if not request.user.has_perm("app.view_dicomfile"):
        return JsonResponse({"uploads": []})
    asked = _asked_uploads(request)
    states = fresh_states(_watched(request, asked)[0] if "live" in request.GET else _uploads(asked))
    progress = progress_words(DICOMFile.objects.live().count())
    found: dict[str, Any] = {"uploads": [asdict(state) for state in states], "progress": progress}
    if "tabs" in request.GET:
        found["tabs"] = tab_words(tab_counts(whose.asked_for(request)))
    return JsonResponse(found)


@staff_member_required
@require_POST
def known_uploads(request: HttpRequest) -> JsonResponse:
    """Which ZIPs are here already, of the names and sizes in the body; null for each that is not.

    Names may be patients', so they stand in no address. Who may not see uploads is told of none.
    """
    try:
        asked = [(_storable(one["name"]), int(one["size"])) for one in json.loads(request.body)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return JsonResponse({"known": []}, status=400)
    may_see = request.user.has_perm("app.view_dicomfile")
    return JsonResponse({"known": status.known(asked) if may_see else [None for _ in asked]})


@staff_member_required
@may_view
@require_http_methods(["GET", "HEAD", "POST"])
def upload_result(request: HttpRequest, pk: int) -> HttpResponse:
    """How an upload ended, with its ledger; one that is still on its way shows its progress.

    What the ledger is searched for is posted: it may be a patient's name.
    """
    if request.method == "POST":
        return redirect(f"{address_of(request, 'page')}#ledger-heading")
    upload = get_object_or_404(DICOMFile.objects.select_related("uploaded_by"), pk=pk)
    if upload.is_live:
        return redirect(progress_url([pk]))
    failed = upload.processing_status == Status.FAILED
    ledger = _ledger(request, upload)
    problems = problems_of(upload)
    context = {
        "title": upload.name,
        "upload": upload,
        "state": state_of(upload),
        "decision": upload.is_decision,
        "problems": problems[:REASONS],
        "more_problems": len(problems) > REASONS,
        "see_differences": SEE_DIFFERENCES,
        "may_process": request.user.has_perm("app.process_dicomfile"),
        "may_see_catalogue": request.user.has_perms(CATALOGUE),
        "warnings": _warnings(upload),
        **ledger,
    }
    # Who turns the pages of the ledger, or filters it, has seen the rest.
    whole = ledger["page"].number == 1 and not ledger["filters"].given
    if whole and not failed:
        context["deleted"] = deleted_since(upload)
    if whole and request.user.has_perm("app.view_patient"):
        context["comparisons"], context["more_comparisons"] = comparisons_of(upload)
        if context["comparisons"]:  # which say the same, and more
            told = warnings_told()
            kept = [one for one in context["warnings"] if one["sentence"] not in told]
            context["warnings"] = kept
    if whole and context["may_see_catalogue"]:
        context["changes"] = changes(upload) if upload.imported_count else places(upload)
    return render(request, "processing_error.html" if failed else "uploads/result.html", context)


@staff_member_required
@may_view
@require_http_methods(["GET", "HEAD", "POST"])
def use_versions_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what differs, ask, then let conflicting objects replace the catalogued versions."""
    upload = get_object_or_404(DICOMFile, pk=pk)
    may_replace = request.user.has_perm(USE)
    may_see_values = request.user.has_perms(CATALOGUE)
    if request.method == "POST":
        if not may_replace:
            raise PermissionDenied(USE)
        if not may_see_values:
            raise PermissionDenied(CATALOGUE[0])
        return _take_versions(request, upload)
    members = _conflicts(request, upload)
    found = conflicts(upload, members[:COMPARED])
    compared = [one for one in found if not one.comparison.why_not]
    series = series_of(members, found)
    context = {
        "title": USE_VERSIONS if may_replace and may_see_values else "What differs",
        "upload": upload,
        "may_replace": may_replace,
        "may_see_values": may_see_values,
        "asked_one": is_key(request.GET.get("member", "")),
        "conflicts": found,
        "compared": len(compared),
        "attributes": attributes_of(compared),
        "remarks": remarks_of(found),
        "series": series if len(series) <= SERIES_OFFERED else [],
        "versions_unseen": sentence("versions_unseen"),
        "versions_decided": sentence("versions_decided"),
    }
    return render(request, "uploads/use_versions.html", context)


def _take_versions(request: HttpRequest, upload: DICOMFile) -> HttpResponse:
    """Let an upload's versions replace those in the catalogue: all, or of the series chosen."""
    chosen = [int(pk) for pk in request.POST.getlist("series") if is_key(pk)]
    if "choose" not in request.POST:
        started = tasks.start([upload.pk], use_versions=True, who=request.user)
    elif chosen:
        started = tasks.start([upload.pk], use_versions=True, series=chosen, who=request.user)
    else:
        messages.warning(request, sentence("no_series_chosen"))
        return redirect("use_versions", upload.pk)
    announce_start(request, started)
    return redirect(progress_url([upload.pk]))


@staff_member_required
@may_view
@require_safe
def ledger_csv(request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """The list of files as CSV, row by row, as far as the address filters it."""
    upload = get_object_or_404(DICOMFile, pk=pk)
    if is_over(request):
        return back_to("upload_result", request, pk)
    filters = _filters(request)
    narrowed = len({*filters.given} - {"order"})
    record_export(request.user, "the list of files", upload, narrowed)
    may_see = request.user.has_perms((*CATALOGUE, "app.view_dicominstance"))
    columns = CSV_COLUMNS | (CSV_OBJECT if may_see else {})
    members = members_of(upload, filters).order_by("index", "inner")
    outcome = list(columns.values()).index("outcome")
    rows = _csv_rows(members.values_list(*columns.values()), outcome)
    return csv_answer(f"upload-{pk}-{upload.created_at:%Y-%m-%d}-files.csv", columns, rows)


def _storable(name: str) -> str:
    """A name as a database takes it: PostgreSQL no NUL, and none half of a surrogate pair."""
    return name.encode("utf-8", "replace").decode().replace("\0", "")


def _conflicts(request: HttpRequest, upload: DICOMFile) -> QuerySet[ArchiveMember]:
    """The members in conflict, or the one asked for."""
    members = ArchiveMember.objects.filter(upload=upload, outcome=Outcome.CONFLICT)
    asked = request.GET.get("member", "")
    if is_key(asked):
        members = members.filter(pk=int(asked))
    members = members.select_related("instance__upload").order_by("index", "inner")
    return members.defer(f"instance__upload__{LOG}")


def progress_url(pks: Iterable[int]) -> str:
    """The progress page for exactly these uploads; of everything under way if they are many."""
    pks = list(pks)
    return _with_uploads("dicom_processing_progress", pks if len(pks) <= CARDS else [])


def announce_start(request: HttpRequest, started: tasks.Started) -> None:
    """Say what was queued, and what was left alone and why."""
    if started.queued:
        when = "It starts" if len(started.queued) == 1 else "They start"
        later = f" {when} when the message broker is back." if started.broker_away else ""
        level = messages.WARNING if started.broker_away else messages.SUCCESS
        messages.add_message(
            request, level, f"{counted(len(started.queued), 'upload')} queued.{later}"
        )
    announcing.left_alone(request, started.refused, "left alone")


def announce_stop(request: HttpRequest, pks: list[int]) -> None:
    """Stop uploads, and say which were only queued and which end at their next batch."""
    cancelled = claims.cancel(pks, request.user)
    if number := len(cancelled.taken_out):
        what = "Taken" if len(pks) == 1 else f"{counted(number, 'upload')} taken"
        # Not as a success, which the progress page takes away when all has ended.
        messages.info(request, f"{what} out of the queue.")
    if number := len(cancelled.stopping):
        what = "It is being" if len(pks) == 1 else f"{counted(number, 'upload')} being"
        messages.success(request, f"{what} stopped. What was stored stays.")
    idle = {*pks} - {*cancelled.taken_out, *cancelled.stopping}
    announcing.left_alone(
        request, dict.fromkeys(sorted(idle), "nothing_to_stop"), "left alone", messages.INFO
    )


def _back(request: HttpRequest) -> str:
    """The page that a button stood on, as it says itself; "" where that is none of ours."""
    given = request.POST.get("back", "")
    return given if url_has_allowed_host_and_scheme(given, None) else ""


def _with_uploads(name: str, pks: list[int], with_live: bool = False) -> str:
    live = [("live", 1)] if with_live else []
    query = urlencode([*live, *(("upload", pk) for pk in pks)])
    return f"{reverse(name)}?{query}" if query else reverse(name)


def _asked_uploads(request: HttpRequest) -> list[int]:
    """The ids in the address, each once, in order; what is no id is left out."""
    given = request.GET.getlist("upload")
    return list(dict.fromkeys(int(text) for text in given if is_key(text)))[:CARDS]


def _uploads(pks: list[int]) -> list[DICOMFile]:
    found = DICOMFile.objects.without_log().in_bulk(pks)
    return [found[pk] for pk in pks if pk in found]


def _watched(request: HttpRequest, asked: list[int]) -> tuple[list[DICOMFile], bool]:
    """The uploads of a page of progress, and whether those that are live belong to it."""
    uploads = _uploads(asked)
    if asked and "live" not in request.GET:
        return uploads, False
    known = {upload.pk for upload in uploads}
    return [*uploads, *(one for one in _live_uploads() if one.pk not in known)], True


def _tones(request: HttpRequest, states: list[UploadState], only: str) -> list[dict[str, Any]]:
    """How many uploads of a page stand how, each with the address that shows these alone."""
    found = []
    for tone, words in TONES.items():
        address = request.GET.copy()
        address.pop("only", None)
        if tone != only:
            address["only"] = tone
        count = sum(state.tone == tone for state in states)
        query = address.urlencode()
        found.append({"tone": tone, "words": words, "count": count, "query": query})
    return found


def _live_uploads() -> list[DICOMFile]:
    return list(DICOMFile.objects.live().without_log().in_turn()[:CARDS])


CSV_COLUMNS = {
    "number": "index",
    "inside it": "inner",
    "file in the ZIP": "name",
    "size in bytes": "size",
    "SHA-256": "sha256",
    "outcome": "outcome",
    "why": "detail",
}
CSV_OBJECT = {  # for who may see the catalogue
    "patient ID": "instance__dicom_series__dicom_study__patient__unique_patient_id",
    "study instance UID": "instance__dicom_series__dicom_study__study_instance_uid",
    "series instance UID": "instance__dicom_series__series_instance_uid",
    "SOP instance UID": "instance__sop_instance_uid",
}


def _csv_rows(members: QuerySet[Any, Any], outcome: int) -> Iterator[list[Any]]:
    for index, *row in members.iterator(chunk_size=2_000):
        row[outcome - 1] = Outcome(row[outcome - 1]).label
        yield [index + 1, *row]


def _warnings(upload: DICOMFile) -> list[dict[str, Any]]:
    """The log's warnings, each once, with how many files it is said of and how to find them."""
    lines = (line for line in upload.processing_log_data if line["level"] == "warning")
    return [
        {
            "sentence": warning_of(line),
            "files": line.get("files", 0),
            "query": urlencode({"warning": warning_of(line)}),
        }
        for line in {line["message"]: line for line in lines}.values()
    ]


def _tiles(upload: DICOMFile, chosen: str) -> list[dict[str, Any]]:
    return [
        {
            "outcome": outcome,
            "count": upload.outcomes[outcome],
            "hint": OUTCOME_HINTS[outcome],
            "chosen": outcome == chosen,
        }
        for outcome in Outcome
    ]


def _ledger(request: HttpRequest, upload: DICOMFile) -> dict[str, Any]:
    """One page of the ledger, as far as the address filters it."""
    filters = _filters(request)
    listing: Any = Listing(upload, filters)  # has what a paginator uses, a count and slices
    page = Paginator(listing, LEDGER_ROWS).get_page(request.GET.get("page"))
    return {
        "page": page,
        "rows": rows_of(page),
        "filters": filters,
        "tiles": _tiles(upload, filters.outcome),
    }


def _filters(request: HttpRequest) -> Filters:
    return Filters.of(request.GET, words_of(request, request.GET.get("q", "")))
