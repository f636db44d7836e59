"""The contours of a structure set, as the script of a series' page fetches them: one record.

    GET /dicom/series/<pk>/contours/<object>/

The object is a structure set of the same patient; of another's there is none. The record is one of
`pictures`: the length of the words and of the values, 4 bytes each, little endian; the words, JSON,
`Told`; the values. These are whole numbers of type "i4", filtered and deflated as a picture of
three rows is: all x, all y and all z, in hundredths of a millimetre, of all contours in the order
in which the words have them.

A contour of a ROI is [type, points, image, frame]: the number of its type in `types`, how many
points it has, the number of its image in `images`, -1 where it names none, and that image's frame,
from 1, or 0 for all of it. Of several images that it names it is the first of this series, or else
the first. An image is [object, whether it is of this series]; 0 where it is not
here. `slices` are those of the series, in their order: a page knows on which one a contour lies
before its picture has come.

They are made by a child when they are first asked for, or before by a worker, and are kept.
"""

from typing import NamedTuple

from django.contrib.admin.views.decorators import staff_member_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from msgspec import Raw, json

from app.audit.recording import patience, record_view
from app.catalogue.names import plain
from app.catalogue.transactions import give_back_connection
from app.derived.kinds import Key, Kind
from app.derived.making import NotNow
from app.dicom.drawn import Line, Omitted, OnImage, Several
from app.dicom.pictures import Named
from app.limits import pool_settings
from app.models import (
    DICOMInstance,
    DICOMSeries,
    Link,
    LinkKind,
    RTStructureROI,
    RTStructureSetInformation,
    StructureSetContours,
)
from app.needing import needing
from app.reasons import sentence
from app.rt.contours import (
    GONE,
    SETS,
    VERSION,
    as_row,
    forget,
    keep,
    kept,
    numbers,
    to_be_made,
    values_of,
)
from app.sandbox.contours import Drawn, read_contours

from .drawn import etag_of
from .opening import NotOpened, opened
from .pictures import CONTENT_TYPE, record_of
from .slices import busy, kept_by_browsers, slices_of, told_if_changed

SEES_ALL = ("app.view_dicominstance", "app.view_patient", "app.view_rtstructureroi")
UNIT = 0.01  # mm


class SentROI(Named, frozen=True):
    """What is kept of a ROI and sent as it stands, its contours included."""

    number: int | None
    name: str
    type: str
    algorithm: str
    colour: list[int] | None
    frame_of_reference: str
    contours: Raw


class KeptROI(SentROI, frozen=True):
    several: list[Several] = []


class Kept(Named, frozen=True):
    """`app.dicom.drawn.Drawing`, as far as it is looked at."""

    points: int = 0
    frames_of_reference: list[str] = []
    types: list[str] = []
    images: list[str] = []
    several: list[list[OnImage]] = []
    rois: list[KeptROI] = []
    left_out: list[Omitted] = []


class ROI(SentROI, frozen=True):
    page: str


class NotDrawn(Named, frozen=True):
    roi: int | None
    words: str


class Image(NamedTuple):
    object: int
    is_of_series: bool


class Place(NamedTuple):
    object: int
    frame: int  # from 0


class Told(Named, frozen=True):
    """The words of the record."""

    slices: list[Place]
    frames_of_reference: list[str]
    unit: float
    points: int
    types: list[str]
    images: list[Image]
    rois: list[ROI]
    left_out: list[NotDrawn]
    why_not: str
    why: str


_kept = json.Decoder(Kept).decode
_lines = json.Decoder(list[Line]).decode


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def contours(request: HttpRequest, pk: int, object: int) -> HttpResponseBase:
    """The contours of a structure set over a series."""
    series = get_object_or_404(DICOMSeries.objects.select_related("dicom_study"), pk=pk)
    patient = series.dicom_study.patient_id
    structure_set = get_object_or_404(
        SETS, dicom_instance=object, dicom_instance__dicom_series__dicom_study__patient=patient
    )
    record_view(request.user, series, "pictures")
    made, is_fresh = kept(structure_set), False
    if made is None:
        try:
            made, is_fresh = _made_now(structure_set), True
        except NotOpened:
            return busy()
    words = json.encode(_told(made, structure_set, series))
    if changed := told_if_changed(request, series):
        return changed
    etag = etag_of("contours", VERSION, made.sha256, words.decode())
    response = get_conditional_response(request, etag=etag)
    if response is None:
        values = bytes(made.values) if is_fresh else values_of(made)
        if values is None:  # replaced or deleted in between: the next answer is of what is there
            return busy()
        response = HttpResponse(record_of(words, values), content_type=CONTENT_TYPE)
    return kept_by_browsers(response, etag)


def _told(
    made: StructureSetContours, structure_set: RTStructureSetInformation, series: DICOMSeries
) -> Told:
    found = _kept(made.words) if made.words else Kept()
    images = _images(found.images, structure_set, series)
    chosen = [_chosen(some, images) for some in found.several]
    return Told(
        [Place(one.object, one.frame) for one in slices_of(series)],
        found.frames_of_reference,
        UNIT,
        found.points,
        found.types,
        images,
        _rois(found.rois, structure_set, chosen),
        [NotDrawn(one.roi, sentence(one.code, count=f"{one.count:,}")) for one in found.left_out],
        made.why_not,
        sentence(made.why_not, **made.facts),
    )


def _images(
    uids: list[str], structure_set: RTStructureSetInformation, series: DICOMSeries
) -> list[Image]:
    """The images that contours name: of this series, or else wherever its links lead."""
    if not uids:
        return []
    rows = DICOMInstance.objects.filter(dicom_series=series).order_by()
    own = dict(rows.values_list("sop_instance_uid", "pk"))
    links = Link.objects.filter(source=structure_set.dicom_instance_id, kind=LinkKind.IMAGE)
    links = links.filter(instance__isnull=False)
    others = dict(links.values_list("target_uid", "instance")) if {*uids} - {*own} else {}
    return [
        Image(own[uid], True) if uid in own else Image(others.get(uid, 0), False) for uid in uids
    ]


def _chosen(several: list[OnImage], images: list[Image]) -> OnImage | None:
    """Of several images that contours name the first of this series; None: it is the first."""
    own = next((at for at, one in enumerate(several) if images[one.image].is_of_series), 0)
    return several[own] if own else None


def _contours(roi: KeptROI, chosen: list[OnImage | None]) -> Raw:
    """A ROI's contours as they are kept, each on the image of the series that it names."""
    others = {one.contour: on for one in roi.several if (on := chosen[one.images])}
    if not others:
        return roi.contours
    lines = _lines(roi.contours)
    for at, on in others.items():
        lines[at] = lines[at]._replace(image=on.image, frame=on.frame)
    return Raw(json.encode(lines))


def _rois(
    rois: list[KeptROI],
    structure_set: RTStructureSetInformation,
    chosen: list[OnImage | None],
) -> list[ROI]:
    """The ROIs, each with the address of its page: both are in the order of the file."""
    rows = RTStructureROI.objects.filter(rt_structure_set=structure_set).order_by("pk")
    pks = [*rows.values_list("pk", flat=True)]
    pages = (
        [reverse("structure", args=[pk]) for pk in pks]
        if len(pks) == len(rois)
        else [""] * len(rois)
    )
    return [
        ROI(
            one.number,
            plain(one.name),
            plain(one.type),
            plain(one.algorithm),
            one.colour,
            one.frame_of_reference,
            _contours(one, chosen),
            page,
        )
        for one, page in zip(rois, pages, strict=True)
    ]


# --- making ----------------------------------------------------------------------------------


def _made_now(structure_set: RTStructureSetInformation) -> StructureSetContours:
    """What is made for who looks at it; what cannot be kept in time is made again for the next.

    Raises
    ------
    NotOpened
    """
    drawn = _read(structure_set)
    try:
        with patience():
            return keep(structure_set, drawn)
    except OperationalError:
        return as_row(structure_set, drawn)


def _read(structure_set: RTStructureSetInformation) -> Drawn:
    """
    Raises
    ------
    NotOpened
        Others look into objects just now.
    """
    try:
        with opened([structure_set.dicom_instance.path]) as (file,):
            give_back_connection()
            how = pool_settings()
            return read_contours(file, how.header_limits, how.assumed_charset)
    except NotOpened as why:
        if why.is_busy:
            raise
        return Drawn(why_not=GONE)


def _make(pk: Key) -> None:
    structure_set = SETS.filter(pk=pk).first()
    if structure_set is None:
        return
    try:
        keep(structure_set, _read(structure_set))
    except (NotOpened, OSError) as error:
        raise NotNow from error


def _fail(pk: Key) -> None:
    structure_set = SETS.filter(pk=pk).first()
    if structure_set is not None:
        keep(structure_set, Drawn(why_not="contours_not_made"))


KIND = Kind("contours", "Contours of structure sets", to_be_made, _make, _fail, numbers, forget)
