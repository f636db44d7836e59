"""Downloads: one object as it is, or a ZIP of many, sent while it is made."""

from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.http import content_disposition_header, url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from app.audit.recording import record
from app.models import DICOMInstance, Kind
from app.needing import View, needing
from app.reasons import sentence
from app.sandbox.dicomdir import MOST
from app.wording import counted, human_size

from .chosen import ENTRY, KINDS, Chosen, of_selection
from .media import Directory
from .names import patient_folder
from .places import NoPlace, Place, take
from .plan import MEASURED, filled, folders_of
from .sending import Sending, SendingObject, SendingZip, length_of
from .stored import LeftOut, open_stored

# An object holds all that is known of its patient, study and series.
NEEDED = (
    *("app.download_dicominstance", "app.view_dicominstance", "app.view_dicomseries"),
    *("app.view_dicomstudy", "app.view_patient"),
)
# In an address: with the patient's name and ID; with or without a DICOMDIR.
NAMED, FORM, ON_MEDIA = "named", "form", "dicomdir"
TOO_MANY = {
    "downloads_yours": HTTPStatus.TOO_MANY_REQUESTS,
    "downloads_all": HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_AFTER = "60"  # seconds


def _told_where_many(view: View) -> View:
    """Say so where so many downloads are sent that this one has to wait."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NoPlace as why:
            response = _refused(request, why.sentence, TOO_MANY[why.code])
            response["Retry-After"] = RETRY_AFTER
            return response

    return checked


@staff_member_required
@needing(*NEEDED)
@require_safe
@_told_where_many
def download(request: HttpRequest, kind: str, pk: int) -> HttpResponseBase:
    """A patient, study, series or collection as a ZIP."""
    return _zip(request, KINDS[kind](request, pk), request.GET)


@staff_member_required
@needing(*NEEDED)
@require_POST
@_told_where_many
def download_selection(request: HttpRequest) -> HttpResponseBase:
    """The chosen rows of a list as a ZIP."""
    if request.POST.get("kind") == ENTRY and ENTRY not in request.POST:
        return _refused(request, sentence("nothing_ticked"), HTTPStatus.BAD_REQUEST)
    return _zip(request, of_selection(request), request.POST)


@staff_member_required
@needing(*NEEDED)
@require_safe
@_told_where_many
def download_object(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One object as it is stored."""
    rows = DICOMInstance.objects.select_related("dicom_series__dicom_study__patient")
    row = get_object_or_404(rows, pk=pk)
    patient = row.dicom_series.dicom_study.patient
    of_whom = f"{patient_folder(patient, 1, True)} " if request.GET.get(NAMED) else ""
    name = f"{of_whom}object-{pk}.dcm"
    if request.method == "HEAD":
        return _answer((), name, "application/dicom", row.size)
    try:
        stored = open_stored(row)
    except LeftOut as why:
        return _refused(request, f"{why.sentence} {sentence('object_not_sent')}", 404)
    try:
        place = _begun(request, row, f"1 object, {human_size(row.size)}.")
        sending = SendingObject(place, request.user, row, stored)
    except BaseException:
        stored.close()
        raise
    return _answer(sending, name, "application/dicom", row.size)


def _zip(request: HttpRequest, chosen: Chosen, asked: Any) -> HttpResponseBase:
    named, on_media = bool(asked.get(NAMED)), asked.get(FORM) == ON_MEDIA
    objects, size = chosen.totals()
    if not objects:
        return _refused(request, sentence("nothing_to_download"), HTTPStatus.NOT_FOUND)
    if on_media and objects > MOST:
        said = sentence("dicomdir_too_many", limit=f"{MOST:,}")
        return _refused(request, said, HTTPStatus.BAD_REQUEST)
    folders = folders_of(chosen.series, named, on_media)
    total, found = None, filled(folders)
    if objects <= MEASURED:
        folders = list(found)
        total, found = length_of(folders), iter(folders)
    name, at = chosen.file_name(named), timezone.localtime()
    if request.method == "HEAD":
        return _answer((), name, "application/zip", total)
    parts = [
        chosen.words,
        counted(objects, "object"),
        human_size(size),
        "ZIP with DICOMDIR" if on_media else "ZIP",
    ]
    parts += ["with name and ID"] if named else []
    place = _begun(request, chosen.row, f"{', '.join(filter(None, parts))}.")
    directory = Directory() if on_media else None
    sending = SendingZip(place, request.user, chosen.row, found, at, total, directory)
    return _answer(sending, name, "application/zip", total)


def _begun(request: HttpRequest, of: Model | None, words: str) -> Place:
    """A place for a download, which is written down with it.

    Raises
    ------
    NoPlace
    NotRecorded
    """
    assert isinstance(request.user, User)
    with transaction.atomic():
        place = take(request.user)
        place.is_for(record(Kind.DOWNLOADED, request.user, of, words))
    return place


def _answer(
    content: Sending | tuple[()], name: str, content_type: str, length: int | None
) -> StreamingHttpResponse:
    response = StreamingHttpResponse(content, content_type=content_type)
    disposition = content_disposition_header(True, name)
    assert disposition
    response["Content-Disposition"] = disposition
    if length is not None:
        response["Content-Length"] = str(length)
    return response


def _refused(request: HttpRequest, why_not: str, status: int) -> HttpResponse:
    back = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()})
    context = {"title": "Download", "why_not": why_not, "back": back if is_ours else ""}
    return render(request, "export/not_sent.html", context, status=status)
