"""The pictures of a series, as the script of its page fetches them: one answer for a run of slices.

    GET /dicom/series/<pk>/pictures/?changes=3&from=12&first=0&last=240&step=1

Slices are numbered from 0 in the order of `slices`. Asked for are those from `first` to `last`,
of which `from` comes first, then its neighbours, and so on outwards; `step` 2 or 4 asks for every
second or fourth row and column alone, which is a quarter or a sixteenth of the bytes. What is left
out is 0, 0, the last slice, and 1. `changes` is how often the series had changed when its page was
loaded: after another change slices may have other numbers, and the answer is 409.

The answer is made while it is sent. It is a row of records, each of which is

    4 bytes    length of the words, little endian
    4 bytes    length of the values, little endian
    words      JSON: `Told`
    values     filtered and deflated stored values, as `app.sandbox.pictures` says; none where
               there is no picture

Where `rendering` is null it is that of the record before. A slice without a picture says why, and
where it lies if its header can be read; where
its object has no further frames, or none at all, the rest of these has no records. The last record
is {"all_sent": true}: what was asked for and has no record is not there. An answer that ends before
it, since others use all children or it took long, may be asked for again.

Most reasons lie in the object, and are final. Where a record `is_passing`, the file was not there
or could not be read, or the decoder took too long or ended: a moment later there may be a picture.
The browser keeps such an answer as it keeps others: such a slice is asked for again with
`cache: "reload"`. Where the first record is one of these, the answer is not kept.

To have the stored values of a record, in JavaScript:

    const stream = new Blob([values]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    // of types "u2" and "i2"; `count` is rows * columns, times 3 for colours
    const found = new Uint16Array(count);
    for (let at = 0, value = 0; at < count; at++) {
      const step = bytes[at] | (bytes[count + at] << 8);
      found[at] = value = (value + ((step >>> 1) ^ -(step & 1))) & 0xffff;
    }
    // "i2" is the same memory as an Int16Array; of colours add green to red and to blue.

They come from a program that reads other people's bytes: no more than `count` values are to be
inflated.

A browser may keep an answer, and asks each time whether it is still good: the ETag is of the files'
SHA-256, the frames, the form and this version of it. Who may not look is told so before that.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import chain, islice, zip_longest
from struct import Struct

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from msgspec import json

from app.audit.recording import record_view
from app.catalogue.addresses import key_in
from app.catalogue.transactions import give_back_connection
from app.dicom.pictures import Named, Overlay, Place, Rendering
from app.limits import processed_root
from app.models import DICOMSeries
from app.needing import needing
from app.reasons import sentence
from app.sandbox.pictures import PASSING, Busy, Picture, Readers, Wish
from app.storage.tree import open_object

from .slices import Slice, busy, kept_by_browsers, slices_of, told_if_changed

VERSION = 9  # of the records and of what is in them: raise it with any change of either
SEES_ALL = ("app.view_dicominstance", "app.view_patient")  # pixels may name who they are of
STEPS = (1, 2, 4)
MOST_AT_ONCE = 8  # slices that one question asks for
RUN_SECONDS = 60.0  # that one answer may wait for its pictures, in all
PATIENCE = 3.0  # seconds that a run waits for a child,
PATIENCE_LATER = 30.0  # once it has begun
CONTENT_TYPE = "application/octet-stream"

# gunicorn.conf.py has two processes, each with its own.
READERS = Readers(max(1, len(os.sched_getaffinity(0)) // 2))

ALL_SENT = json.encode({"all_sent": True})

_lengths = Struct("<II")


class Told(Named, frozen=True):
    """The words of a record."""

    slice: int
    object: int  # as in the addresses of its pages
    frame: int  # from 0
    frames: int  # that the object has; 0 where that is not known
    type: str  # of the values: "u1", "i1", "u2", "i2", "u4", "i4", "f4"
    rows: int  # of the values; of the object's, every `step`
    columns: int
    step: int
    whole_rows: int  # of the object
    whole_columns: int
    lowest: float  # of the values that are numbers
    highest: float
    scale: float  # by which values of "f4" are multiplied
    rendering: Rendering | None
    place: Place
    overlays: list[Overlay]
    why_not: str  # a reason's code, with its sentence
    why: str
    is_passing: bool  # the reason may not hold a moment later


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def pictures(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A run of a series' slices."""
    series = get_object_or_404(DICOMSeries, pk=pk)
    record_view(request.user, series, "pictures")
    run = Run(wanted(request, slices_of(series)), _step(request))
    if changed := told_if_changed(request, series):
        return changed
    return _sent(request, run)


def sent(request: HttpRequest, slices: Sequence[tuple[int, Slice]]) -> HttpResponseBase:
    """The answer that has these slices, each with its number."""
    return _sent(request, Run(slices, _step(request)))


def _sent(request: HttpRequest, run: "Run") -> HttpResponseBase:
    try:
        response = get_conditional_response(request, etag=run.etag) or _answer(request, run)
    except Busy:
        return busy()
    return response if run.begins_in_passing else kept_by_browsers(response, run.etag)


def _step(request: HttpRequest) -> int:
    step = key_in(request.GET, "step") or 1
    return step if step in STEPS else 1


def outwards(middle: int, first: int, last: int) -> Iterator[int]:
    """All numbers from the first to the last, those nearest to the middle first."""
    middle = min(max(middle, first), last)
    yield middle
    above, below = range(middle + 1, last + 1), range(middle - 1, first - 1, -1)
    for pair in zip_longest(above, below):
        yield from (number for number in pair if number is not None)


def wanted(request: HttpRequest, slices: Sequence[Slice]) -> list[tuple[int, Slice]]:
    """Those that an address asks for, in their order, each with its number."""
    return [(number, slices[number]) for number in numbers_wanted(request, len(slices))]


def numbers_wanted(request: HttpRequest, count: int) -> Iterator[int]:
    """The numbers that an address asks for, of so many slices."""
    if not count:
        return iter(())
    first, last = (key_in(request.GET, name) for name in ("first", "last"))
    end = count - 1
    last = end if last is None else min(last, end)
    return outwards(key_in(request.GET, "from") or 0, min(first or 0, last), last)


def _answer(request: HttpRequest, run: "Run") -> HttpResponseBase:
    return HttpResponse(content_type=CONTENT_TYPE) if request.method == "HEAD" else run.response()


def record_of(words: bytes, values: bytes = b"") -> bytes:
    return b"".join((_lengths.pack(len(words), len(values)), words, values))


class Run:
    """Slices to be sent, with their numbers, in this order.

    A few are asked for at a time, and no child waits while these are sent: however slowly somebody
    reads, others have their turn; and when nobody reads any more, nothing more is asked.
    """

    def __init__(self, slices: Sequence[tuple[int, Slice]], step: int) -> None:
        self.slices, self.step = slices, step
        self.left: Iterator[tuple[int, Slice]] = iter(slices)
        self.ends: dict[int, int] = {}  # of objects, as they were found: how many frames there are
        self.last: Rendering | None = None  # that was sent
        self.seconds = 0.0  # that it waited for pictures
        self.begins_in_passing = False
        self.has_begun = False  # it has asked for pictures
        self.is_all_sent = False

    @cached_property
    def etag(self) -> str:
        digest = hashlib.sha256(f"{VERSION} {self.step}".encode())
        for number, one in self.slices:
            digest.update(f"\n{number} {one.object} {one.sha256} {one.frame}".encode())
        return f'"{digest.hexdigest()[:32]}"'

    def response(self) -> StreamingHttpResponse:
        """The answer, of which the first picture is made.

        Raises
        ------
        Busy
        """
        first = self._asked(1, PATIENCE)
        self.begins_in_passing = any(told.is_passing for told, _ in first)
        return StreamingHttpResponse(self._parts(first), content_type=CONTENT_TYPE)

    def _parts(self, records: list[tuple[Told, bytes]]) -> Iterator[bytes]:
        give_back_connection()  # who it is for was asked of the database; now it takes a while
        count = 1
        while records:
            for told, values in records:
                words = json.encode(told)
                yield record_of(words, values)
            count = min(2 * count, MOST_AT_ONCE)
            try:
                records = self._asked(count, PATIENCE_LATER)
            except Busy:
                return
        if self.is_all_sent:
            yield record_of(ALL_SENT)

    def _asked(self, count: int, patience: float) -> list[tuple[Told, bytes]]:
        """Records of the next slices; none at the end, or where it took too long."""
        records: list[tuple[Told, bytes]] = []
        while not records and self.seconds < RUN_SECONDS:
            batch = [*islice(self.left, count)]
            if not batch:
                self.is_all_sent = True
                break
            wanted = [(number, one) for number, one in batch if self._may_be(one)]
            records = self._made(wanted, patience) if wanted else []
        return records

    def _may_be(self, one: Slice) -> bool:
        return one.frame < self.ends.get(one.object, one.frame + 1)

    def _made(
        self, wanted: Iterable[tuple[int, Slice]], patience: float
    ) -> list[tuple[Told, bytes]]:
        objects: dict[str, list[tuple[int, Slice]]] = {}
        for number, one in wanted:
            objects.setdefault(one.path, []).append((number, one))
        numbers: list[tuple[int, Slice]] = []
        wishes, files, gone = [], [], []
        with ExitStack() as stack:
            for path, slices in objects.items():
                try:
                    files.append(open_object(processed_root(), path))
                except OSError:
                    gone += slices
                    continue
                stack.callback(os.close, files[-1])
                frames = [one.frame for _, one in slices]
                wishes.append(Wish(slices[0][1].transfer_syntax, frames, self.step))
                numbers += slices
            made = self._pictures(wishes, files, patience) if wishes else []
        # What is put off is asked for again, before all others.
        self.left = chain(numbers[len(made) :], self.left)
        missing = [(one, Picture(0, one[1].frame, why_not="object_gone")) for one in gone]
        pairs = [*zip(numbers, made, strict=False), *missing]
        return [
            record
            for (number, one), picture in pairs
            for record in self._told(number, one, picture)
        ]

    def _pictures(
        self, wishes: Sequence[Wish], files: Sequence[int], patience: float
    ) -> list[Picture]:
        begun, is_first = time.monotonic(), not self.has_begun
        self.has_begun = True
        try:
            return READERS.ask(wishes, files, patience, ahead=is_first)
        finally:
            self.seconds += time.monotonic() - begun

    def _told(self, number: int, one: Slice, picture: Picture) -> Iterator[tuple[Told, bytes]]:
        """A picture's record; none where one before it has said that there is no such frame."""
        if not self._may_be(one):
            return
        # A reason that lies in one frame, or passes, says nothing of the others.
        is_final = picture.why_not and picture.why_not not in PASSING
        if is_final and picture.frame >= picture.frames:
            self.ends[one.object] = picture.frames
        rendering = picture.rendering
        if rendering == self.last:
            rendering = None
        self.last = rendering or self.last
        told = Told(
            number,
            one.object,
            one.frame,
            picture.frames,
            picture.type,
            picture.rows,
            picture.columns,
            picture.step,
            picture.whole_rows,
            picture.whole_columns,
            picture.lowest,
            picture.highest,
            picture.scale,
            rendering,
            picture.place,
            picture.overlays,
            picture.why_not,
            sentence(picture.why_not),
            picture.why_not in PASSING,
        )
        yield told, picture.values
