"""The images of a series that key object documents of its study name: PS3.3 A.35.4.

They are read when somebody looks, the newest few; each takes a child of its own.

    GET /dicom/series/<pk>/key-objects/?changes=3   a list of `Mark`, as JSON
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from msgspec import json

from app.audit.recording import record_view
from app.catalogue.pictured import KEY_OBJECTS, Mark
from app.catalogue.stacks import Slice, stacks_of
from app.limits import looking
from app.models import DICOMInstance, DICOMSeries
from app.needing import needing
from app.sandbox.document import Document, Reference, read_document

from .opening import NotOpened, opened
from .report import title_of
from .slices import kept_by_browsers, told_if_changed

VERSION = 1  # of the answer: raise it with any change
MOST = 10  # documents of a study,
MOST_NAMED = 2_000  # and images that they name
NOT_READ = ("header_took_long", "header_unread")
SEES_ALL = ("app.view_dicominstance", "app.view_patient")


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def key_objects(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What key object documents say of a series' slices."""
    series = get_object_or_404(DICOMSeries, pk=pk)
    record_view(request.user, series, "pictures")
    documents = _documents(series)
    etag = _etag(series, documents)
    if response := get_conditional_response(request, etag=etag):
        return kept_by_browsers(response, etag)
    read = [*map(_read, documents)]
    found = [*_marks(series, [one for one in read if one])]
    if changed := told_if_changed(request, series):
        return changed
    answer = HttpResponse(json.encode(found), content_type="application/json")
    return answer if None in read else kept_by_browsers(answer, etag)


def _documents(series: DICOMSeries) -> list[DICOMInstance]:
    of_study = DICOMInstance.objects.filter(
        dicom_series__dicom_study=series.dicom_study_id, dicom_series__modality=KEY_OBJECTS
    )
    return list(of_study.order_by("-pk")[:MOST])


def _etag(series: DICOMSeries, documents: Sequence[DICOMInstance]) -> str:
    digest = hashlib.sha256(f"{VERSION} {series.pk} {series.changes}".encode())
    for one in documents:
        digest.update(f"\n{one.sha256}".encode())
    return f'"{digest.hexdigest()[:32]}"'


def _marks(series: DICOMSeries, documents: Iterable[Document]) -> Iterator[Mark]:
    named = [*islice(_named(documents), MOST_NAMED)]
    uids = {reference.sop_instance_uid for _, reference in named}
    rows = DICOMInstance.objects.filter(dicom_series=series, sop_instance_uid__in=uids)
    objects = dict(rows.values_list("sop_instance_uid", "pk"))
    slices = [one for stack in stacks_of(series) for one in stack.slices] if objects else []
    numbers = {slice_: number for number, slice_ in enumerate(slices)}
    firsts: dict[int, int] = {}
    for slice_, number in numbers.items():
        firsts.setdefault(slice_.object, number)
    for title, one in named:
        pk = objects.get(one.sop_instance_uid, 0)
        for frame in _frames(one) or [0]:
            there = numbers.get(Slice(pk, frame - 1)) if frame else firsts.get(pk)
            if there is not None:
                yield Mark(there, pk, frame, title, kind="key")


def _read(one: DICOMInstance) -> Document | None:
    """A document; None where it was not read just now."""
    try:
        with opened([one.path]) as (file,):
            document = read_document(file, looking())
    except NotOpened:
        return None
    return None if document.why_not in NOT_READ else document


def _named(documents: Iterable[Document]) -> Iterator[tuple[str, Reference]]:
    """What each document names, with its title."""
    for document in documents:
        title = f"Key object: {title_of(document)}"
        for line in document.lines:
            yield from ((title, named) for named in line.references)


def _frames(one: Reference) -> list[int]:
    return [int(text) for text in one.frames.split("\\") if text.strip().isdecimal()]
