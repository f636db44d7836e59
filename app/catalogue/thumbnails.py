"""Which series have a thumbnail, and of which series a study's picture is.

Pages hold the address of each; it is made when it is first looked at, or before by a worker.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest

from app.derived.kinds import PerRow
from app.dicom.kinds import NO_IMAGES
from app.models import DICOMSeries, DICOMStudy, FileToDelete, SeriesThumbnail
from app.reasons import sentence
from app.storage.thumbnails import thumbnail_path
from app.storage.tree import name_of

from .filing import delete_later

VERSION = 2  # of how it is made, `app.dicom.shrinking` included
GONE = "object_gone"
TRIED_AGAIN = (GONE, "picture_unread")  # a file may come back, and a disk
ONCE_MORE = ("picture_took_long", "picture_not_made")  # it may have been busy,
LATER = timedelta(hours=1)  # after which a worker tries
SEES_PICTURES = ("app.view_dicominstance", "app.view_patient")  # pixels may name who they are of

KEPT = PerRow(DICOMSeries.objects.filter(image_count__gt=0), SeriesThumbnail, "series", VERSION)


def current(series: DICOMSeries) -> SeriesThumbnail | None:
    """What was made of a series as it is; asked of the database unless it came with the series."""
    made: SeriesThumbnail | None = getattr(series, "thumbnail", None)
    if made and (made.version, made.changes) == (VERSION, series.changes):
        return made
    return None


def forget(rows: QuerySet[Any]) -> None:
    """Remove what was made of series whose objects are replaced or deleted, and later its files."""
    if rows.model is not DICOMSeries:
        return
    made = SeriesThumbnail.objects.filter(series__in=rows)
    if found := [*made]:
        paths = [thumbnail_path(one.pk, one.changes) for one in found if one.size]
        delete_later(FileToDelete(path=path) for path in paths)
        made._raw_delete(made.db)


def forget_gone() -> None:
    """Remove what was made of series that were deleted by who knew of no thumbnails."""
    there = DICOMSeries.objects.filter(pk=OuterRef("pk"))
    SeriesThumbnail.objects.filter(~Exists(there)).delete()


def strangers(paths: Sequence[str]) -> list[str]:
    """Those of some files that are no series' thumbnail."""
    found = filter(None, (re.match(r"([0-9]{1,18})-", name_of(path)) for path in paths))
    made = SeriesThumbnail.objects.filter(pk__in={int(one[1]) for one in found}, size__gt=0)
    known = {thumbnail_path(one.pk, one.changes) for one in made}
    return [path for path in paths if path not in known]


# --- on pages --------------------------------------------------------------------------------


def note_series(request: HttpRequest, series: Iterable[DICOMSeries]) -> None:
    """Tell series of whose picture to show; they come with their thumbnails' rows."""
    if not _may_see(request):
        return
    for one in series:
        if one.image_count:
            made = current(one)
            if made and made.why_not and made.why_not not in TRIED_AGAIN:
                one.no_picture = sentence(made.why_not)
            else:
                one.picture = one.pk


def note_studies(request: HttpRequest, studies: Collection[DICOMStudy]) -> None:
    """Tell studies of which series' picture to show: of its main modality the longest."""
    by_pk = {one.pk: one for one in studies if one.image_count}
    if not by_pk or not _may_see(request):
        return
    series = [*_longest_of_each_modality([*by_pk])]
    note_series(request, series)
    # The likeliest last: it stays.
    for one in sorted(series, key=lambda one: _likely(one, by_pk[one.dicom_study_id])):
        study = by_pk[one.dicom_study_id]
        study.picture, study.no_picture = one.picture, one.no_picture


def _likely(series: DICOMSeries, study: DICOMStudy) -> tuple[bool, bool, int]:
    is_main = series.modality == main_modality(study.modalities)
    return bool(series.picture), is_main, -series.pk


def _may_see(request: HttpRequest) -> bool:
    return bool(settings.ICON_THUMBNAIL_SPACE and request.user.has_perms(SEES_PICTURES))


def _longest_of_each_modality(studies: Collection[int]) -> QuerySet[DICOMSeries]:
    place = Window(
        RowNumber(),
        partition_by=("dicom_study", "modality"),
        order_by=(F("image_count").desc(), F("pk").asc()),
    )
    rows = DICOMSeries.objects.filter(dicom_study__in=studies, image_count__gt=0)
    rows = rows.select_related("thumbnail").defer("described", "search_text")
    return rows.annotate(place=place).filter(place=1)


def codes(modalities: str) -> list[str]:
    """The modalities of a row, one by one."""
    return [code for code in modalities.split(", ") if code]


def main_modality(modalities: str) -> str:
    """The one that a study's picture is of."""
    every = codes(modalities)
    return next((code for code in every if code not in NO_IMAGES), every[0] if every else "")
