"""Thumbnails: a small picture of a series' middle slice, made when it is first looked at.

    GET /dicom/series/<pk>/thumbnail/

Workers that have nothing else to do make those that nobody has looked at yet. A browser may keep
one, and asks each time whether it is still good; who may not look is told so before that. Where
there is none the answer is a picture of nothing, through which the page's mark is seen: a series
that has no pixels which can be shown is remembered as such, and not tried again; one that took long
or ended its child, a worker tries once more, an hour later.

The children that make them are those of all pictures. At most one of a process's makes a thumbnail
at a time, and few requests wait for it: a list full of them holds up nobody who looks at slices.
"""

import hashlib
import logging
import os
from contextlib import ExitStack
from itertools import count
from threading import BoundedSemaphore
from typing import NamedTuple

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.db import OperationalError, transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from app.catalogue.thumbnails import (
    GONE,
    KEPT,
    LATER,
    ONCE_MORE,
    SEES_PICTURES,
    TRIED_AGAIN,
    current,
)
from app.catalogue.transactions import give_back_connection
from app.derived.kinds import Key, Kind, Numbers
from app.derived.making import NotNow
from app.limits import processed_root
from app.models import DICOMSeries, SeriesThumbnail
from app.needing import needing
from app.sandbox.pictures import Busy, Picture, Turns, Wish
from app.storage.thumbnails import (
    read_thumbnail,
    remove_thumbnails,
    taken_by,
    thumbnail_path,
    write_thumbnail,
)
from app.storage.tree import open_object, unlink

from .pictures import READERS
from .slices import kept_by_browsers, middle_slice

SIDE = 128  # pixels
LARGEST = 1 << 16  # bytes of a JPEG of that size, and far more than any has
JPEG = b"\xff\xd8"  # how one begins
SECONDS = 5.0  # of a processor, that one may take
# What an object can do nothing for; that there is no picture in it is an answer like another.
FAILED = (*TRIED_AGAIN, *ONCE_MORE)
PATIENCE = 3.0  # seconds that somebody waits for a child,
PATIENCE_OF_WORKER = 30.0
MOST_WAITING = 8  # requests of this process
NOTHING = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'

# Of the space for them, what workers fill; the rest is for what is looked at.
FILLED = 0.9
LOOKED_AFTER = 64  # thumbnails, after which a process looks how much all take
GONE_AT_ONCE = 256  # that make room for others
MOST_TIMES = 20  # that a worker removes so many

TURNS = Turns(1)
WAITING = BoundedSemaphore(MOST_WAITING)

logger = logging.getLogger(__name__)
_made = count()  # by this process


class Made(NamedTuple):
    jpeg: bytes = b""
    why_not: str = ""  # a reason's code

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.jpeg).hexdigest() if self.jpeg else ""


@staff_member_required
@needing(*SEES_PICTURES)
@require_safe
def thumbnail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A series' thumbnail, or a picture of nothing."""
    rows = DICOMSeries.objects.select_related("thumbnail").defer("described", "search_text")
    series = get_object_or_404(rows, pk=pk)
    if not settings.ICON_THUMBNAIL_SPACE:
        return _answer(b"")
    kept = current(series)
    if kept and kept.why_not not in TRIED_AGAIN:
        etag = _etag(kept.digest, kept.why_not)
        if response := get_conditional_response(request, etag=etag):
            return kept_by_browsers(response, etag)
        jpeg = b"" if kept.why_not else _read(series, kept)
        if jpeg or kept.why_not:
            return kept_by_browsers(_answer(jpeg), etag)
    made = _made_now(series)
    if made is None or made.why_not in TRIED_AGAIN:
        return _answer(b"")
    return kept_by_browsers(_answer(made.jpeg), _etag(made.digest, made.why_not))


def _etag(digest: str, why_not: str) -> str:
    return f'"{digest or why_not}"'


def _answer(jpeg: bytes) -> HttpResponse:
    response = HttpResponse(jpeg or NOTHING, content_type="image/jpeg" if jpeg else "image/svg+xml")
    response["Cache-Control"] = "no-store"
    return response


def _read(series: DICOMSeries, kept: SeriesThumbnail) -> bytes:
    """The file, where it is there and whole."""
    path = thumbnail_path(series.pk, kept.changes)
    data = read_thumbnail(processed_root(), path, LARGEST)
    return data if hashlib.sha256(data).hexdigest() == kept.digest else b""


def _made_now(series: DICOMSeries) -> Made | None:
    """One that is made for who looks at it; None while too many are."""
    if not WAITING.acquire(blocking=False):
        return None
    try:
        made = made_of(series, PATIENCE, ahead=True)
        try:
            keep(series, made)
        except (OSError, OperationalError) as error:  # it is made again for the next
            logger.warning("A thumbnail is not kept: %s", type(error).__name__)
        return made
    except (Busy, OSError):  # its file is there, and cannot be read just now
        return None
    finally:
        WAITING.release()


# --- making ----------------------------------------------------------------------------------


def made_of(series: DICOMSeries, patience: float, ahead: bool) -> Made:
    """A thumbnail of a series, or why there is none; `ahead` where somebody waits for it.

    Raises
    ------
    Busy
    OSError
        No child can be started.
    """
    middle = middle_slice(series)
    if middle is None:
        return Made(why_not="no_picture")
    try:
        file = open_object(processed_root(), middle.path)
    except FileNotFoundError:
        return Made(why_not=GONE)
    except OSError:  # it must not keep others from being made
        return Made(why_not="picture_unread")
    try:
        give_back_connection()
        if not TURNS.take(patience, ahead=False):
            raise Busy
        try:
            wish = Wish(middle.transfer_syntax, [middle.frame], 1, SIDE)
            pictures = READERS.ask([wish], [file], patience, ahead, SECONDS)
        finally:
            TURNS.give_back()
    finally:
        os.close(file)
    if not pictures:
        raise Busy
    return _made_by(pictures[0])


def _made_by(picture: Picture) -> Made:
    """What a child says, as far as it can be one."""
    if picture.why_not:
        return Made(why_not=picture.why_not)
    if len(picture.values) > LARGEST or not picture.values.startswith(JPEG):
        return Made(why_not="picture_not_made")
    return Made(picture.values)


def keep(series: DICOMSeries, made: Made) -> None:
    """Keep what was made of a series, unless it has changed meanwhile.

    Raises
    ------
    OSError
    """
    path = thumbnail_path(series.pk, series.changes)
    with ExitStack() as undo:
        undo.callback(unlink, processed_root(), path)  # no file without its row
        with transaction.atomic():
            is_kept = _keep(series, made, path)
        undo.pop_all()
    if is_kept and next(_made) % LOOKED_AFTER == 0:
        make_room()


def _keep(series: DICOMSeries, made: Made, path: str) -> bool:
    """Whether the series has not changed meanwhile."""
    held = DICOMSeries.objects.select_for_update(no_key=True).only("pk")
    if held.filter(pk=series.pk, changes=series.changes).first() is None:
        return False
    root = processed_root()
    former = SeriesThumbnail.objects.filter(series=series.pk).first()
    if former and former.changes != series.changes:
        unlink(root, thumbnail_path(series.pk, former.changes))
    if made.jpeg:
        write_thumbnail(root, path, made.jpeg)
    KEPT.write(
        series,
        size=taken_by(made.jpeg),
        digest=made.digest,
        why_not=made.why_not,
        failed=made.why_not in FAILED and not _is_tried_once_more(series, made),
    )
    return True


def _is_tried_once_more(series: DICOMSeries, made: Made) -> bool:
    return made.why_not in ONCE_MORE and not _due().filter(pk=series.pk).exists()


def _failed_once() -> QuerySet[SeriesThumbnail]:
    return KEPT.current().filter(size=0, why_not__in=ONCE_MORE, failed=False)


def _due() -> QuerySet[SeriesThumbnail]:
    return _failed_once().filter(made_at__lt=Now() - LATER)


# --- space -----------------------------------------------------------------------------------


def used() -> int:
    """Bytes of the disk that thumbnails take."""
    return SeriesThumbnail.objects.aggregate(size=Sum("size"))["size"] or 0


def make_room() -> bool:
    """Remove some of those that were made first, where all take too much; whether they did."""
    over = used() - settings.ICON_THUMBNAIL_SPACE
    if over <= 0:
        return False
    first, rows = [], SeriesThumbnail.objects.all()
    for one in rows.filter(size__gt=0).order_by("made_at")[:GONE_AT_ONCE]:
        if over <= 0:
            break
        first.append(one)
        over -= one.size
    with transaction.atomic():  # of those that were made anew meanwhile the file stays, too
        gone = [one for one in first if rows.filter(pk=one.pk, changes=one.changes).delete()[0]]
    for one in gone:
        unlink(processed_root(), thumbnail_path(one.pk, one.changes))
    return True


# --- what workers make -----------------------------------------------------------------------


def _to_be_made(after: Key | None, number: int) -> list[Key]:
    for _ in range(MOST_TIMES):
        if not make_room():
            break
    if _is_filled():
        return []
    due = _due() if after is None else _due().filter(pk__gt=after)
    again = due.order_by("pk").values_list("pk", flat=True)[:number]
    return sorted({*KEPT.to_be_made(after, number), *again})[:number]


def _is_filled() -> bool:
    return used() >= FILLED * settings.ICON_THUMBNAIL_SPACE


def _make(pk: Key) -> None:
    series = KEPT.rows.filter(pk=pk).first()
    if series is None:
        return
    try:
        keep(series, made_of(series, PATIENCE_OF_WORKER, ahead=False))
    except (Busy, OSError) as error:
        raise NotNow from error


def _fail(pk: Key) -> None:
    series = KEPT.rows.filter(pk=pk).first()
    if series is not None:
        keep(series, Made(why_not="picture_not_made"))


def _numbers() -> Numbers:
    """Those that are made only when they are looked at are not to be made."""
    numbers, failed = KEPT.numbers(), _failed_once().count()
    numbers = numbers._replace(made=numbers.made - failed, failed=numbers.failed + failed)
    return numbers._replace(to_be_made=0) if _is_filled() else numbers


def _forget() -> None:
    KEPT.forget()
    remove_thumbnails(processed_root())


KIND = Kind("thumbnails", "Thumbnails of series", _to_be_made, _make, _fail, _numbers, _forget)
