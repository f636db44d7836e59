"""The stacks of a series: what its slices, which are its images' frames, are looked through in.

They are told apart as where it is looked whether a series is complete, and each is in the order in
which its slices lie. A clip, a multi-frame image whose frames have no place, is one by itself.
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, Case, F, Sum, When
from msgspec import MsgspecError, json

from app.dicom.orientation import orientation_of
from app.dicom.records import FramePlanes
from app.geometry.stacks import Group, Placed, apart
from app.geometry.stacks import Slice as Lying
from app.models import DICOMInstance, DICOMSeries, ImageInformation
from app.wording import counted, measure

from .below import LONGEST_SORTED
from .completeness import LIES, frames_of, slice_of
from .names import plain

MOST_SLICES = 100_000  # of a series
MOST_TOLD_APART = 20_000  # slices, at 0.03 ms each; of more each image is looked through by itself
MOST_STACKS = 500  # which are chosen from
MOST_KEPT = 20_000  # slices of all series whose stacks a process keeps, beside the last one's
LONGEST_NAME = 40  # characters of what a file calls a stack

_planes = json.Decoder(FramePlanes).decode


class Slice(NamedTuple):
    object: int  # primary key
    frame: int  # from 0


@dataclass(frozen=True, slots=True)
class Stack:
    words: str  # "Echo 1, 4.6 ms"
    slices: list[Slice]

    @property
    def count(self) -> str:
        return counted(len(self.slices), "slice")


class _Image(NamedTuple):
    pk: int
    number: int | None
    frames: int


class Recent:
    """Stacks of the series that were looked at last, as each was after so many changes.

    A page asks for them again and again: to tell 150 slices apart takes half of the time in which
    a picture of one is sent.
    """

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[int, int], list[Stack]] = OrderedDict()
        self.lock = Lock()

    def get(self, series: DICOMSeries) -> list[Stack] | None:
        with self.lock:
            if (found := self.kept.get((series.pk, series.changes))) is not None:
                self.kept.move_to_end((series.pk, series.changes))
            return found

    def keep(self, series: DICOMSeries, stacks: list[Stack]) -> None:
        with self.lock:
            self.kept[series.pk, series.changes] = stacks
            while len(self.kept) > 1 and self._slices() > MOST_KEPT:
                self.kept.popitem(last=False)

    def forget(self) -> None:
        with self.lock:
            self.kept.clear()

    def _slices(self) -> int:
        return sum(len(one.slices) for stacks in self.kept.values() for one in stacks)


RECENT = Recent()


def stacks_of(series: DICOMSeries) -> list[Stack]:
    """The stacks of a series; those of a very long one, and of one in too many, are one."""
    found = RECENT.get(series)
    if found is None:
        found = _told_apart(series)
        RECENT.keep(series, found)
    return found


def _told_apart(series: DICOMSeries) -> list[Stack]:
    images = _images(series)
    found = _stacks(series, images) if series.instance_count <= LONGEST_SORTED else []
    if not 0 < len(found) <= MOST_STACKS:
        every = (one for image in images for one in _slices(image))
        found = [Stack("", [*islice(every, MOST_SLICES)])] if images else []
    return found


def middle_of(stacks: Sequence[Stack]) -> int:
    """The number of the middle slice of the stack with the most slices, the first of these."""
    counts = [len(one.slices) for one in stacks]
    if not counts:
        return 0
    longest = counts.index(max(counts))
    return sum(counts[:longest]) + counts[longest] // 2


def slice_count(series: DICOMSeries) -> int:
    """How many slices a series has, without a look at each."""
    frames = Case(
        When(number_of_frames__gt=F("size"), then=F("size")),
        When(number_of_frames__gt=1, then=F("number_of_frames")),
        default=1,
        output_field=BigIntegerField(),
    )
    images = DICOMInstance.objects.filter(dicom_series=series, rows__isnull=False).order_by()
    count: int | None = images.aggregate(count=Sum(frames))["count"]
    return min(count or 0, MOST_SLICES)


def _images(series: DICOMSeries) -> list[_Image]:
    """In the order of their numbers."""
    rows = DICOMInstance.objects.filter(dicom_series=series, rows__isnull=False)
    rows = rows.order_by(F("instance_number").asc(nulls_last=True), "pk")
    columns = ("pk", "instance_number", "number_of_frames", "size")
    # How many frames there are is the file's word, but each takes a byte of it.
    return [
        _Image(pk, number, min(max(count or 1, 1), size))
        for pk, number, count, size in rows.values_list(*columns)[:MOST_SLICES]
    ]


def _slices(image: _Image) -> Iterator[Slice]:
    return (Slice(image.pk, frame) for frame in range(image.frames))


def _stacks(series: DICOMSeries, images: Sequence[_Image]) -> list[Stack]:
    order = {image.pk: at for at, image in enumerate(images)}
    lying = [*islice(_lying(series, images), MOST_TOLD_APART + 1)]
    groups, _ = apart(lying if len(lying) <= MOST_TOLD_APART else [])
    placed = [_Placed(group, _in_order(group, order)) for group in groups]
    # As the scanner numbered them, and localizers last: what one looks for is rarely these.
    placed.sort(key=lambda one: (one.group.is_localizer, min(order[s.object] for s in one.slices)))
    words = _words([one.group for one in placed])
    found = [Stack(word, one.slices) for word, one in zip(words, placed, strict=True)]
    return [*found, *_without_place(images, found)]


class _Placed(NamedTuple):
    group: Group
    slices: list[Slice]


def _in_order(group: Group, order: Mapping[int, int]) -> list[Slice]:
    """Along the normal, where all lie alike; those of one place by their numbers."""

    def place(one: Placed) -> tuple[float, int, int]:
        key = one.slice.key
        along = round(one.along, 3) if group.is_alike else 0.0
        return along, order[key.instance], key.frame

    keys = (one.slice.key for one in sorted(group.placed, key=place))
    return [Slice(key.instance, max(key.frame - 1, 0)) for key in keys]


def _lying(series: DICOMSeries, images: Iterable[_Image]) -> Iterator[Lying]:
    """What has a place, as far as it is known: images, and frames of enhanced ones."""
    frames = {image.pk: image.frames for image in images}
    rows = ImageInformation.objects.filter(dicom_instance__dicom_series=series).order_by()
    for _, *lies in rows.filter(frame_planes="").values_list(*LIES):
        one = slice_of(*lies)
        if frames.get(one.key.instance) == 1:
            yield one
    if max(frames.values(), default=1) == 1:
        return
    enhanced = rows.exclude(frame_planes="").values_list("frame_planes", *LIES)
    for text, _, *lies in enhanced.iterator(chunk_size=1):  # each may be megabytes
        one = slice_of(*lies)
        with suppress(MsgspecError):
            planes = _planes(text)
            if frames.get(one.key.instance) == planes.count:
                yield from frames_of(planes, one)


def _without_place(images: Iterable[_Image], placed: Iterable[Stack]) -> Iterator[Stack]:
    """Clips, and images without a place; as long as there is room."""
    seen = {one for stack in placed for one in stack.slices}
    room = MOST_SLICES - len(seen)
    plain_ones: list[Slice] = []
    clips: list[Stack] = []
    for image in images:
        left = [*islice((one for one in _slices(image) if one not in seen), room)]
        room -= len(left)
        if image.frames == 1:
            plain_ones += left
        elif left:
            number = "" if image.number is None else f" of no. {image.number}"
            clips.append(Stack(f"Frames{number}", left))
    if plain_ones:
        yield Stack("Images without a place" if seen else "Single images", plain_ones)
    yield from clips


# --- in words --------------------------------------------------------------------------------

# In the order of a slice's `told_by`: the value of Image Type, and `completeness.TOLD_BY`.
NAMES: tuple[tuple[str, str], ...] = (
    ("type {}", "no type"),
    ("echo {at}, {} ms", "no echo time"),
    ("acquisition {}", "no acquisition number"),
    ("time {}", "no temporal position"),
    ("trigger time {} ms", "no trigger time"),
    ("b {} s/mm²", "no b-value"),
    ("stack {}", "no stack ID"),
)


def _words(groups: Sequence[Group]) -> list[str]:
    """What each is called: by what tells it from others; by a number where nothing does."""
    ranks = [_ranks(groups, at) for at in range(len(NAMES))]
    planes = {_plane(one) for one in groups if not one.is_localizer}
    found = []
    for group in groups:
        parts = ["scout"] if group.is_localizer else []
        if group.is_localizer or len(planes) > 1:
            parts.append(_plane(group))
        first = group.placed[0].slice
        parts += [_told(at, first.told_by[at], ranks[at]) for at in group.told_by]
        words = ", ".join(filter(None, parts)) or _plane(group) or "slices"
        found.append(words[:1].upper() + words[1:])
    counts = Counter(found)
    numbers = {word: itertools.count(1) for word in counts}
    return [f"{word} ({next(numbers[word])})" if counts[word] > 1 else word for word in found]


def _plane(group: Group) -> str:
    if not group.is_alike:
        return "several orientations"
    return orientation_of(group.placed[0].slice.cosines)


def _ranks(groups: Iterable[Group], at: int) -> dict[Hashable, int]:
    """Which of the values that tell groups apart is the first, the second and so on."""
    values = {one.placed[0].slice.told_by[at] for one in groups if at in one.told_by}
    known: list[Any] = sorted(value for value in values if value is not None)
    return {value: rank for rank, value in enumerate(known, 1)}


def _told(at: int, value: Any, ranks: Mapping[Hashable, int]) -> str:
    words, without = NAMES[at]
    if value in (None, ""):
        return without
    text = measure(value) if isinstance(value, float) else plain(str(value))[:LONGEST_NAME]
    return words.format(text, at=ranks[value])
