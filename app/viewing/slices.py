"""The slices of a series as their pictures are asked for: stack after stack."""

from http import HTTPStatus
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from app.catalogue.addresses import key_in
from app.catalogue.stacks import middle_of, stacks_of
from app.models import DICOMInstance, DICOMSeries
from app.reasons import sentence

CHANGES = "changes"  # in an address: of the series, when its page was loaded
FILE = ("path", "sha256", "transfer_syntax_uid")


class Slice(NamedTuple):
    object: int  # primary key
    frame: int  # from 0
    path: str
    sha256: str
    transfer_syntax: str


def slices_of(series: DICOMSeries) -> list[Slice]:
    """All slices, each stack's in the order in which they lie."""
    found = [one for stack in stacks_of(series) for one in stack.slices]
    wanted = {one.object for one in found}
    rows = DICOMInstance.objects.filter(dicom_series=series, rows__isnull=False)
    files = {pk: file for pk, *file in rows.values_list("pk", *FILE).iterator() if pk in wanted}
    return [Slice(*one, *files[one.object]) for one in found if one.object in files]


def told_if_changed(request: HttpRequest, series: DICOMSeries) -> HttpResponse | None:
    """What a page is told whose series has changed since: slices may have other numbers.

    It is asked after the slices were looked up: a change in between is seen, too.
    """
    known = key_in(request.GET, CHANGES)
    if known is None or DICOMSeries.objects.filter(pk=series.pk, changes=known).exists():
        return None
    response = refusal("series_changed", HTTPStatus.CONFLICT)
    response["Cache-Control"] = "no-store"
    return response


def kept_by_browsers(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    """An answer that a browser may keep, and has to ask about each time: no other is kept."""
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = etag
    return response


def refusal(code: str, status: HTTPStatus) -> HttpResponse:
    """What the page's script is told instead of pictures, as a sentence."""
    return HttpResponse(sentence(code), content_type="text/plain; charset=utf-8", status=status)


def middle_slice(series: DICOMSeries) -> Slice | None:
    """The slice that a page shows first."""
    stacks = stacks_of(series)
    every = [one for stack in stacks for one in stack.slices]
    if not every:
        return None
    one = every[middle_of(stacks)]
    file = DICOMInstance.objects.filter(pk=one.object).values_list(*FILE).first()
    return Slice(*one, *file) if file else None


def busy() -> HttpResponse:
    """Others use all that look into objects: it may be asked again."""
    response = refusal("looking_busy", HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = "2"
    return response
