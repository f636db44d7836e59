"""What can be drawn over a series' pictures, or be looked at beside them.

    GET /dicom/series/<pk>/over/?changes=3&frame=1.2.3&frame=1.2.4&set=12&all=doses

It is of the same patient, and refers to the series or lies in its frame of reference, or in a
`frame`: the catalogue knows one of a series, and each image's own header may say another, which
the page then names. Of long lists the first are told, and all where these are asked for; a
structure set that the address of the page names, as its own page leads to it, is always among them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When, Window
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.formats import date_format
from django.views.decorators.http import require_safe
from msgspec import Struct, json

from app.audit.recording import record_view
from app.catalogue.addresses import key_in
from app.catalogue.names import plain, row_name
from app.dicom.kinds import RT_DOSE, SEGMENTATION, STANDARD_ROOT
from app.models import DICOMInstance, DICOMSeries, Link, LinkKind, RTStructureSetInformation
from app.needing import needing

from .drawn import answered, etag_of
from .slices import told_if_changed

VERSION = 1  # of the answer: raise it with any change
MOST = 50  # of each list,
MOST_OF_ALL = 1_000  # and of one that is asked for as a whole
SEES_ALL = ("app.view_dicominstance", "app.view_patient")
SEES_ROIS = "app.view_rtstructureroi"
SEES_SETS = "app.view_rtstructuresetinformation"
DOSE, MASKS = "RTDOSE", "SEG"  # modalities, which have lists of their own
FRAME = "frame"  # in an address: of reference
ASKED = "set"  # in an address: a structure set's object
ALL = "all"  # in an address: such a list, by its name in `Over`
MOST_FRAMES = 20
UID = re.compile(r"[\w.-]{1,128}", re.ASCII)  # as strict as those who write files are


class StructureSet(Struct):
    object: int  # primary key, as of all objects here
    words: str
    url: str
    page: str  # "" for who may not see it
    refers: bool  # to the series, or to images of it


class Dose(Struct):
    object: int
    words: str
    url: str
    frames: str
    bytes: int  # that a browser needs for its grid


class Segmentation(Struct):
    object: int
    words: str
    url: str
    frames: str


class Series(Struct):
    series: int  # primary key
    words: str
    url: str
    is_linked: bool  # it lies in the same frame of reference


class More(Struct):
    """How many there are that are not listed."""

    structure_sets: int
    doses: int
    segmentations: int
    series: int


class Over(Struct):
    structure_sets: list[StructureSet]
    doses: list[Dose]
    segmentations: list[Segmentation]
    series: list[Series]
    more: More


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def over(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What can be drawn over a series."""
    series = get_object_or_404(DICOMSeries.objects.select_related("dicom_study"), pk=pk)
    record_view(request.user, series, "pictures")
    body = json.encode(_over(request, series))
    if changed := told_if_changed(request, series):
        return changed
    return answered(request, body, etag_of("over", VERSION, body.decode()))


def _over(request: HttpRequest, series: DICOMSeries) -> Over:
    sees_rois, sees_sets = request.user.has_perm(SEES_ROIS), request.user.has_perm(SEES_SETS)
    frames = _frames(request, series)
    asked = key_in(request.GET, ASKED)
    whole = request.GET.getlist(ALL)

    def told_of(name: str, rows: QuerySet[Any]) -> list[Any]:
        return _first(rows, MOST_OF_ALL if name in whole else MOST)

    there = _structure_sets(series, frames, asked)
    sets = told_of("structure_sets", there) if sees_rois else []
    doses = told_of("doses", _doses(series, frames))
    segmentations = told_of("segmentations", _segmentations(series, frames))
    others = _first(_others(series, frames), MOST)
    return Over(
        [_structure_set(one, series, sees_sets) for one in sets],
        [
            Dose(
                one.pk,
                words,
                reverse("dose", args=[one.pk]),
                reverse("frames", args=[one.pk]),
                4 * (one.rows or 0) * (one.columns or 0) * (one.number_of_frames or 1),
            )
            for one, words in zip(doses, _told_apart(doses, "Dose"), strict=True)
        ],
        [
            Segmentation(
                one.pk,
                words,
                reverse("series_segments", args=[series.pk, one.pk]),
                reverse("frames", args=[one.pk]),
            )
            for one, words in zip(
                segmentations, _told_apart(segmentations, "Segmentation"), strict=True
            )
        ],
        [
            Series(
                one.pk,
                f"{one.modality} {_words(one, 'series')}".strip(),
                reverse("beside", args=[series.pk, one.pk]),
                one.frame_of_reference_uid in frames,
            )
            for one in others
        ],
        More(*map(_more, (sets, doses, segmentations, others))),
    )


def _frames(request: HttpRequest, series: DICOMSeries) -> list[str]:
    """The frames of reference that its images lie in, as far as they are known."""
    met = [one for one in request.GET.getlist(FRAME) if UID.fullmatch(one)]
    return [*filter(None, {series.frame_of_reference_uid: None} | dict.fromkeys(met[:MOST_FRAMES]))]


def _first(rows: QuerySet[Any], most: int) -> list[Any]:
    """The first of them, each of which knows how many there are."""
    return [*rows.annotate(all_of_them=Window(Count("*")))[:most]]


def _more(listed: list[Any]) -> int:
    return listed[0].all_of_them - len(listed) if listed else 0


def _structure_sets(
    series: DICOMSeries, frames: list[str], asked: int | None
) -> QuerySet[RTStructureSetInformation]:
    """The one that is asked for first, then those that refer to it, then the newest."""
    links = Link.objects.filter(source=OuterRef("dicom_instance"))
    images = links.filter(kind=LinkKind.IMAGE, instance__dicom_series=series)
    named = links.filter(kind=LinkKind.SERIES, series=series)
    above = "dicom_instance__dicom_series"
    rows = RTStructureSetInformation.objects.filter(
        # Where not all are images: only there may a structure set be.
        **{f"{above}__instance_count__gt": F(f"{above}__image_count")},
        **{f"{above}__dicom_study__patient": series.dicom_study.patient_id},
    ).annotate(refers=Exists(images) | Exists(named))
    there = links.filter(kind=LinkKind.FRAME_OF_REFERENCE, target_uid__in=frames)
    wanted = Q(refers=True) | Q(Exists(there))
    newest = F("structure_set_date").desc(nulls_last=True)
    others = Case(When(dicom_instance=asked, then=Value(0)), default=Value(1))
    first = [] if asked is None else [others]
    return rows.filter(wanted).defer("search_text").order_by(*first, "-refers", newest, "-pk")


def _doses(series: DICOMSeries, frames: list[str]) -> QuerySet[DICOMInstance]:
    """Those in its frames of reference, the newest first."""
    rows = _objects(series, RT_DOSE, DOSE)
    return rows.filter(dicom_series__frame_of_reference_uid__in=frames)


def _segmentations(series: DICOMSeries, frames: list[str]) -> QuerySet[DICOMInstance]:
    """Those in its frames of reference, and those of its study that name none."""
    wanted = Q(dicom_series__frame_of_reference_uid__in=frames) | Q(
        dicom_series__dicom_study=series.dicom_study_id, dicom_series__frame_of_reference_uid=""
    )
    return _objects(series, SEGMENTATION, MASKS).filter(wanted)


def _objects(series: DICOMSeries, sop_class: str, modality: str) -> QuerySet[DICOMInstance]:
    """The patient's of a class, in series of a modality: a patient's other objects are many."""
    rows = DICOMInstance.objects.filter(
        Q(sop_class_uid=sop_class) | ~Q(sop_class_uid__startswith=STANDARD_ROOT),
        rows__isnull=False,
        dicom_series__modality=modality,
        dicom_series__dicom_study__patient=series.dicom_study.patient_id,
    ).exclude(dicom_series=series)
    newest = F("dicom_series__series_date").desc(nulls_last=True)
    return rows.select_related("dicom_series").order_by(newest, "-pk")


def _others(series: DICOMSeries, frames: list[str]) -> QuerySet[DICOMSeries]:
    """The patient's other series with pictures: those in its frames of reference first."""
    rows = DICOMSeries.objects.filter(
        dicom_study__patient=series.dicom_study.patient_id, image_count__gt=0
    )
    rows = rows.exclude(pk=series.pk).exclude(modality__in=(DOSE, MASKS))
    is_linked = Case(When(frame_of_reference_uid__in=frames, then=Value(0)), default=Value(1))
    newest = F("series_date").desc(nulls_last=True)
    return rows.defer("described", "search_text").order_by(is_linked, newest, "-pk")


def _structure_set(one: Any, series: DICOMSeries, sees_sets: bool) -> StructureSet:
    """One of `_structure_sets`."""
    words = [row_name(one)]
    if one.structure_set_date:
        words.append(date_format(one.structure_set_date))
    return StructureSet(
        one.dicom_instance_id,
        ", ".join(words),
        reverse("series_contours", args=[series.pk, one.dicom_instance_id]),
        reverse("structure_set", args=[one.pk]) if sees_sets else "",
        one.refers,
    )


def _told_apart(rows: Sequence[DICOMInstance], otherwise: str) -> list[str]:
    """What each is called: as its series is, with its number where others are called so, too."""
    words = [_words(one.dicom_series, otherwise) for one in rows]
    times = Counter(words)
    return [
        f"{word}, no. {one.instance_number}"
        if times[word] > 1 and one.instance_number is not None
        else word
        for one, word in zip(rows, words, strict=True)
    ]


def _words(series: DICOMSeries, otherwise: str) -> str:
    words = plain(series.series_description) or otherwise
    return f"{words}, {date_format(series.series_date)}" if series.series_date else words
