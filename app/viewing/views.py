"""The pages that look into one filed object: its header, and the document that it is."""

import os
from collections.abc import Iterator
from http import HTTPStatus

from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from app.audit.recording import record_view
from app.catalogue.addresses import key_in
from app.catalogue.searches import address_of, words_of
from app.limits import looking
from app.models import DICOMInstance
from app.needing import needing
from app.reasons import sentence
from app.sandbox.document import Document, read_document
from app.sandbox.encapsulated import find_pdf
from app.sandbox.header_view import ROWS, Page, read_page

from . import attributes, report
from .objects import about, addresses, before, images_of_series
from .opening import NotOpened, opened

FIRST = "first"  # in the address: the row that a page begins with
SEES_ALL = ("app.view_dicominstance", "app.view_patient")  # a header has all that is known of them
LARGEST_FIRST = 10**9
PIECE = 1 << 18  # bytes
# A PDF gets an origin of its own, which is none, and may fetch nothing.
PDF_POLICY = "default-src 'none'; sandbox"


@staff_member_required
@needing(*SEES_ALL)
@require_http_methods(["GET", "HEAD", "POST"])
def header(request: HttpRequest, pk: int) -> HttpResponse:
    """All attributes of one object, a page at a time; words to search for are posted."""
    instance = _instance(pk)
    record_view(request.user, instance, "header")
    if request.method == "POST":
        return HttpResponseRedirect(address_of(request, FIRST))
    words = words_of(request, request.GET.get("q", ""))
    previous = before(instance, images_of_series(instance)) if instance.rows else None
    differs = bool(request.GET.get("differs")) and previous is not None
    private = bool(request.GET.get("private"))
    first = _first(request)
    paths = [instance.path, *([previous.path] if previous and differs else [])]
    status = HTTPStatus.OK
    try:
        with opened(paths) as files:
            page = read_page(
                files[0],
                previous=files[1] if differs else -1,
                first=first,
                words=attributes.asked_words(words),
                private=private,
                looking=looking(),
            )
    except NotOpened as why:
        page, status = Page(why_not=why.code), _status_of(why)
    patient = instance.dicom_series.dicom_study.patient
    urls = addresses(attributes.uids_in(page.rows) - {instance.sop_instance_uid}, patient)
    shown = sum(not row.is_around for row in page.rows)
    context = {
        "title": "Header",
        "instance": instance,
        "patient": patient,
        "about": about(instance),
        "lines": attributes.lines_of(page.rows, urls),
        "page": page,
        "why_not": sentence(page.why_not),
        "not_compared": sentence(page.comparing),
        "words": words,
        "private": private,
        "differs": differs,
        "previous_image": previous,
        "row_from": first + 1,
        "row_to": first + shown,
        "shown": shown,
        "earlier": _address(request, max(first - ROWS, 0)) if first else "",
        "later": _address(request, first + ROWS) if first + ROWS < page.total else "",
    }
    return render(request, "viewing/header.html", context, status=status)


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def document(request: HttpRequest, pk: int) -> HttpResponse:
    """A structured report, to be read."""
    instance = _instance(pk)
    of = about(instance)
    if not of.is_report:
        raise Http404
    record_view(request.user, instance, "report")
    status = HTTPStatus.OK
    try:
        with opened([instance.path]) as (file,):
            found = read_document(file, looking())
    except NotOpened as why:
        found, status = Document(why_not=why.code), _status_of(why)
    patient = instance.dicom_series.dicom_study.patient
    urls = addresses(report.references_in(found), patient)
    context = {
        "title": "Report",
        "instance": instance,
        "patient": patient,
        "about": of,
        "report_title": report.title_of(found),
        "state": report.state_of(found) if found.lines else "",
        "verified_by": report.verified_by(found.verifiers),
        "written_at": report.written_at(found),
        "lines": report.lines_of(found, urls),
        "why_not": sentence(found.why_not),
    }
    return render(request, "viewing/document.html", context, status=status)


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def pdf(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The PDF that an object encapsulates, as it lies in its file."""
    instance = _instance(pk)
    if not about(instance).is_pdf:
        raise Http404
    record_view(request.user, instance, "PDF")
    try:
        with opened([instance.path]) as (file,):
            place = find_pdf(file, looking())
            if not place.why_not:
                part = Part(file, place.start, place.length)
                return _sent(part, instance, as_file=bool(request.GET.get("save")))
            code, status = place.why_not, HTTPStatus.OK
    except NotOpened as why:
        code, status = why.code, _status_of(why)
    context = {
        "title": "PDF",
        "instance": instance,
        "patient": instance.dicom_series.dicom_study.patient,
        "why_not": sentence(code),
    }
    return render(request, "viewing/no_pdf.html", context, status=status)


def _instance(pk: int) -> DICOMInstance:
    rows = DICOMInstance.objects.select_related(
        "dicom_series__dicom_study__patient", "upload__uploaded_by"
    ).defer("upload__processing_log_data")
    instance: DICOMInstance = get_object_or_404(rows, pk=pk)
    return instance


def _status_of(why: NotOpened) -> HTTPStatus:
    return HTTPStatus.SERVICE_UNAVAILABLE if why.is_busy else HTTPStatus.OK


def _first(request: HttpRequest) -> int:
    return min(key_in(request.GET, FIRST) or 0, LARGEST_FIRST)


def _address(request: HttpRequest, first: int) -> str:
    """This page from another row on."""
    address = request.GET.copy()
    address.pop(FIRST, None)
    if first:
        address[FIRST] = str(first)
    return f"{request.path}?{address.urlencode()}"


def _sent(part: "Part", instance: DICOMInstance, as_file: bool) -> StreamingHttpResponse:
    response = StreamingHttpResponse(part, content_type="application/pdf")
    how = "attachment" if as_file else "inline"
    # By its number: a name would be the patient's.
    response["Content-Disposition"] = f'{how}; filename="document-{instance.pk}.pdf"'
    response["Content-Length"] = str(part.left)
    response["Content-Security-Policy"] = PDF_POLICY
    return response


class Part:
    """A part of an open file, in pieces."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self.file = os.fdopen(os.dup(descriptor), "rb")
        self.file.seek(start)
        self.left = length

    def __iter__(self) -> Iterator[bytes]:
        while self.left and (piece := self.file.read(min(self.left, PIECE))):
            self.left -= len(piece)
            yield piece

    def close(self) -> None:
        """Also where nobody reads it, as of a HEAD: the response calls it at its end."""
        self.file.close()
