"""Whether a series is complete, as far as its own slices tell: derived, and shown in words.

Positions and what tells stacks apart are columns of `ImageInformation`; of an enhanced image each
frame is a slice. What is no CT, MR or PET image has no place here: a projection has no neighbours.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError
from django.db.models import Count, QuerySet
from msgspec import Struct, convert, to_builtins
from msgspec.json import decode
from msgspec.structs import replace

from app.derived.kinds import Kind, PerRow
from app.dicom.records import FramePlanes, InFrames
from app.geometry.stacks import FEWEST, Findings, Placed, Slice, holes, look
from app.models import DICOMSeries, DICOMStudy, ImageInformation, SeriesCompleteness, Verdict
from app.reasons import sentence
from app.wording import counted, listed, measure

VERSION = 1
MOST_SLICES = 200_000  # of a series; one that has more is not looked at
SHOWN = 50  # gaps, and as many doubles and holes
SECONDS = 1.0  # that a page may take for it
AT_ONCE = 5_000  # images that it looks at, and of each series slices
LOCALIZER = "LOCALIZER"  # Image Type, value 3: PS3.3 C.8.2.1.1.1
# Of a plain image; what frames have instead is in `frames_of`.
TOLD_BY = (
    "echo_time",
    "acquisition_number",
    "temporal_position_identifier",
    "trigger_time",
    "diffusion_b_value",
    "stack_id",
)
# Where positions tell nothing, and numbers may.
WITHOUT_POSITIONS = ("several_at_each_position", "no_positions", "no_spacing")
LIES = (
    *("dicom_instance__dicom_series", "dicom_instance", "dicom_instance__instance_number"),
    *("image_position_patient", "image_orientation_patient", "image_type"),
    *TOLD_BY,
)


class Place(Struct, array_like=True):
    """An image, or a frame of one, where it lies."""

    instance: int
    number: int | None
    frame: int  # from 1; 0: the whole image
    along: float  # mm, along the normal


class GapHere(Struct, array_like=True):
    after: Place
    before: Place
    missing: int
    spacing: float  # mm


class EndHere(Struct, array_like=True):
    last: Place
    is_behind: bool
    missing: int


class Found(Struct, omit_defaults=True):
    """What is kept of a series: numbers of all, and where the first are."""

    reason: str = ""  # why nothing can be told, a code
    slices: int = 0
    localizers: int = 0
    orientations: int = 0
    spacings: list[float] = []
    changes: bool = False  # of the spacing, within a stack
    uneven: bool = False
    at_once: int = 1
    gap_count: int = 0
    missing: int = 0  # slices
    double_count: int = 0
    hole_count: int = 0  # numbers that are missing
    gaps: list[GapHere] = []
    ends: list[EndHere] = []
    doubles: list[list[Place]] = []
    holes: list[tuple[int, int]] = []

    @property
    def verdict(self) -> Verdict:
        if self.gap_count or self.double_count or self.lacks_numbers:
            return Verdict.INCOMPLETE
        return Verdict.UNKNOWN if self.reason else Verdict.COMPLETE

    @property
    def lacks_numbers(self) -> bool:
        """Whether numbers that are missing tell of images that are.

        Where slices lie without a gap they do not: a station counts localizers, too, or what it
        has kept for itself.
        """
        return bool(self.hole_count and (self.gap_count or self.reason in WITHOUT_POSITIONS))


KEPT = PerRow(DICOMSeries.objects.filter(image_count__gt=0), SeriesCompleteness, "series", VERSION)


def make(pk: int) -> None:
    """Look at a series and keep what is found."""
    # As it is before its images are read: what comes meanwhile makes this to be made again.
    series = KEPT.rows.filter(pk=pk).first()
    if series is not None:
        for _, found in look_at([pk]):
            KEPT.write(series, verdict=found.verdict, found=to_builtins(found))


KIND = Kind(
    "completeness",
    "Completeness of series",
    KEPT.to_be_made,
    make,
    KEPT.fail,
    KEPT.numbers,
    KEPT.forget,
)


def forget(rows: QuerySet[Any]) -> None:
    """Remove what was derived from series that are about to be deleted."""
    if rows.model is DICOMSeries:
        made = SeriesCompleteness.objects.filter(series__in=rows)
        made._raw_delete(made.db)


def incomplete() -> QuerySet[SeriesCompleteness]:
    """The incomplete series, as far as they were looked at."""
    return KEPT.current().filter(verdict=Verdict.INCOMPLETE).order_by()


def note_incomplete(studies: Iterable[DICOMStudy]) -> None:
    """Tell studies how many of their series are incomplete."""
    by_pk = {one.pk: one for one in studies}
    counts = (
        incomplete().filter(series__dicom_study__in=[*by_pk]).values_list("series__dicom_study")
    )
    for pk, count in counts.annotate(Count("pk")):
        by_pk[pk].incomplete_series = count


# --- looking ---------------------------------------------------------------------------------


def look_at(
    pks: Collection[int], most: int = MOST_SLICES, enough: Callable[[], bool] = bool
) -> Iterator[tuple[int, Found]]:
    """Compare the slices of series as they are catalogued, until it is enough.

    Of a series with more than `most` slices no more are read.
    """
    images = ImageInformation.objects.filter(dicom_instance__dicom_series__in=pks).order_by()
    series: dict[int, list[Slice]] = {pk: [] for pk in pks}
    numbers: dict[int, list[int | None]] = {pk: [] for pk in pks}
    for pk, *lies in images.filter(frame_planes="").values_list(*LIES).iterator():
        if len(series[pk]) <= most:
            one = slice_of(*lies)
            numbers[pk].append(one.number)
            series[pk].append(one)
    # One at a time: each may be megabytes.
    enhanced = images.exclude(frame_planes="").values_list("frame_planes", *LIES)
    for planes, pk, *lies in enhanced.iterator(chunk_size=1):
        if len(series[pk]) <= most:
            frames = frames_of(decode(planes, type=FramePlanes), slice_of(*lies))
            series[pk] += islice(frames, most + 1)
    for pk, slices in series.items():
        if enough():
            return
        if len(slices) > most:
            yield pk, Found(reason="too_many_slices", slices=len(slices))
        else:
            yield pk, _kept(look(slices), holes(numbers[pk]) or [])


def slice_of(
    pk: int, number: int | None, position: Any, cosines: Any, kind: str, *told_by: Any
) -> Slice:
    value = (kind.split("\\")[2:3] or [""])[0].strip().upper()
    key = Place(pk, number, 0, 0.0)
    return Slice(key, number, position, cosines, (value, *told_by), value == LOCALIZER)


def frames_of(planes: FramePlanes, image: Slice) -> Iterator[Slice]:
    count = planes.count
    columns = zip(
        each_frame(planes.temporal_position_index, count),
        each_frame(planes.diffusion_b_value, count),
        each_frame(planes.stack_id, count),
        strict=True,
    )
    lies = zip(
        each_frame(planes.image_position_patient, count),
        each_frame(planes.image_orientation_patient, count),
        strict=True,
    )
    for frame, ((position, cosines), (moment, *others)) in enumerate(
        zip(lies, columns, strict=True), start=1
    ):
        yield image._replace(
            key=replace(image.key, frame=frame),
            number=None,
            position=position,
            cosines=cosines,
            told_by=(*image.told_by[:3], moment, None, *others),
        )


def each_frame(column: "InFrames[Any] | None", count: int) -> Iterator[Any]:
    """An attribute's value in each frame."""
    values = column.values if column else [None]
    frames = column.frames if column else []
    for frame in range(count):
        at = frames[frame] if frame < len(frames) else frame if len(values) > 1 else 0
        yield values[at] if at < len(values) else None


def _kept(found: Findings, missing: Sequence[tuple[int, int]]) -> Found:
    return Found(
        reason=_reason(found),
        slices=found.slices,
        localizers=found.localizers,
        orientations=found.orientations,
        spacings=[round(one, 4) for one in found.spacings],
        changes=found.changes,
        uneven=bool(found.uneven),
        at_once=found.most_at_once,
        gap_count=len(found.gaps) + len(found.ends),
        missing=found.missing,
        double_count=len(found.doubles),
        hole_count=sum(last - first + 1 for first, last in missing),
        gaps=[
            GapHere(_place(gap.after), _place(gap.before), gap.missing, round(gap.spacing, 4))
            for gap in found.gaps[:SHOWN]
        ],
        ends=[EndHere(_place(one.last), *one[1:]) for one in found.ends[:SHOWN]],
        doubles=[
            _by_number(_place(one) for one in double.slices)[:SHOWN]
            for double in found.doubles[:SHOWN]
        ],
        holes=[(first, last) for first, last in missing[:SHOWN]],
    )


def _place(placed: Placed) -> Place:
    place: Place = placed.slice.key
    return replace(place, along=round(placed.along, 3))


def _by_number(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda one: (one.number or 0, one.instance, one.frame))


def _reason(found: Findings) -> str:
    """Why the positions tell nothing; "" where they do."""
    if found.stacks:
        return "several_at_each_position" if found.several else ""
    if not found.slices + found.without_place:
        return "only_localizers" if found.localizers else "no_slices"
    if not found.slices:
        return "no_positions"
    return "too_few_slices" if found.slices < FEWEST else "no_spacing"


# --- in words --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """What was found in one place, and the object to go to."""

    words: str
    instance: int | None = None
    frame: int = 0  # from 1; 0: the whole image


class Spot(NamedTuple):
    """What was found at an image, or at a frame of one."""

    instance: int
    frame: int  # from 1; 0: the whole image
    words: str
    side: int  # 1: behind it, along the normal; -1: before it; 0: in its place


@dataclass(frozen=True, slots=True)
class Told:
    """What the pages say of a series."""

    words: str  # in a column: "complete", "2 gaps, 1 double"
    is_incomplete: bool = False
    title: str = ""  # what the words mean, in a sentence
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)

    @property
    def marks(self) -> dict[int, str]:
        """What stands beside whole images in their table."""
        words: dict[int, list[str]] = {}
        for spot in self.spots:
            if not spot.frame:
                words.setdefault(spot.instance, []).append(spot.words)
        return {pk: ", ".join(these) for pk, these in words.items()}

    @property
    def first(self) -> Line | None:
        """The first thing that was found in a place."""
        return next((line for line in self.lines if line.instance), None)


NOTHING = Told("")
FAILED = Told("cannot be told", title=sentence("not_told"), notes=[sentence("not_told")])


def told_of(series: Iterable[DICOMSeries]) -> dict[int, Told]:
    """What is to be said of these series, by their keys; looked at now where that was not done."""
    rows = list(series)
    wanted = {one.pk: one for one in rows if one.image_count}
    told = {
        row.series_id: FAILED if row.failed else told_of_row(row) for row in KEPT.current([*wanted])
    }
    end = time.monotonic() + SECONDS
    lacking = _first_few([one for pk, one in wanted.items() if pk not in told])
    told |= _looked_at(lacking, end) if lacking else {}
    why = sentence("not_looked_at")
    later = Told("not yet looked at", title=why, notes=[why])
    of_images = {pk: told.get(pk, later) for pk in wanted}
    return {one.pk: of_images.get(one.pk, NOTHING) for one in rows}


def told_of_row(row: SeriesCompleteness) -> Told:
    """What is to be said of a series that was looked at."""
    return _told(convert(row.found, Found))


def _looked_at(pks: Sequence[int], end: float) -> dict[int, Told]:
    """What is said of series that are looked at for a page, as many as there is time for."""
    try:
        now = look_at(pks, AT_ONCE, lambda: time.monotonic() >= end)
        return {pk: _told(found) for pk, found in now if found.reason != "too_many_slices"}
    except (OperationalError, InterfaceError):
        raise
    # Whatever is wrong with one, a page shows its series; a worker finds which it is, and logs it.
    except Exception:
        return {}


def _first_few(series: Sequence[DICOMSeries]) -> list[int]:
    """As many of them as a page can look at."""
    short_first = sorted(series, key=lambda one: one.image_count)
    images = accumulate(one.image_count for one in short_first)
    return [one.pk for one, sofar in zip(short_first, images, strict=True) if sofar <= AT_ONCE]


def _told(found: Found) -> Told:
    title = sentence(found.reason) if found.reason else ""
    if found.verdict == Verdict.UNKNOWN:
        return Told(WORDS.get(found.reason, ""), title=title, notes=[title, *_notes(found)])
    if found.verdict == Verdict.COMPLETE:
        whole = sentence("series_complete", slices=counted(found.slices, "slice"))
        title = " ".join([whole, *_skipped(found)])
        return Told("complete", title=title, notes=[whole, *_notes(found)])
    lines = [*_gaps(found), *_doubles(found), *_holes(found)]
    notes = [*filter(None, [title]), *_notes(found)]
    return Told(_counts(found), True, "", lines, notes, [*_spots(found)])


# What a column has instead of a verdict; nothing where nothing was to be expected.
WORDS = {
    "several_at_each_position": "several at each position",
    "too_many_slices": "too many to look at",
    "no_spacing": "no even spacing",
}


def _counts(found: Found) -> str:
    parts = (
        (found.gap_count, "gap"),
        (found.double_count, "double"),
        (found.hole_count if found.lacks_numbers and not found.gap_count else 0, "missing number"),
    )
    return ", ".join(counted(number, noun) for number, noun in parts if number)


def _gaps(found: Found) -> Iterator[Line]:
    for gap in found.gaps:
        missing = f"{counted(gap.missing, 'slice')} of {measure(gap.spacing)} mm"
        yield Line(
            sentence(
                "gap_between",
                after=_named(gap.after),
                before=_named(gap.before),
                missing=missing,
                verb=_verb(gap.missing),
            ),
            gap.after.instance,
            gap.after.frame,
        )
    for end in found.ends:
        code = "lacks_behind" if end.is_behind else "lacks_before"
        place, missing = _named(end.last), counted(end.missing, "slice")
        words = sentence(code, place=place, missing=missing, verb=_verb(end.missing))
        yield Line(words, end.last.instance, end.last.frame)
    yield from _more(found.gap_count, len(found.gaps) + len(found.ends), "gap")


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _doubles(found: Found) -> Iterator[Line]:
    for slices in found.doubles:
        places = _by_number(slices)
        at = measure(places[0].along)
        names = listed(_called(one) for one in places)
        names = names[:1].upper() + names[1:]
        words = sentence("double_at", slices=names, position=at)
        yield Line(words, places[0].instance, places[0].frame)
    yield from _more(found.double_count, len(found.doubles), "double")


def _holes(found: Found) -> Iterator[Line]:
    for first, last in found.holes if found.lacks_numbers else ():
        if first == last:
            yield Line(sentence("number_missing", number=first))
        else:
            yield Line(sentence("numbers_missing", first=first, last=last))


def _skipped(found: Found) -> Iterator[str]:
    """Numbers that are missing where no slice is."""
    if not found.hole_count or found.lacks_numbers or found.reason:
        return
    if found.hole_count == 1:
        numbers = f"Instance number {found.holes[0][0]} is"
    elif len(found.holes) == 1:
        numbers = "Instance numbers {} to {} are".format(*found.holes[0])
    else:
        numbers = f"{found.hole_count:,} instance numbers are"
    yield sentence("numbers_skipped", numbers=numbers)


def _more(count: int, shown: int, noun: str) -> Iterator[Line]:
    if count > shown:
        yield Line(sentence("and_more_places", more=counted(count - shown, f"more {noun}")))


def _named(place: Place) -> str:
    return f"{_called(place)} ({measure(place.along)} mm)"


def _called(place: Place) -> str:
    number = "an image without number" if place.number is None else f"no. {place.number}"
    if place.frame:
        return f"frame {place.frame:,}" + ("" if place.number is None else f" of {number}")
    return number


def _notes(found: Found) -> Iterator[str]:
    yield from _skipped(found)
    if found.at_once > 1 and found.reason != "several_at_each_position":
        yield sentence("several_at_some_positions", count=found.at_once)
    if found.changes:
        spacings = listed(f"{measure(one)} mm" for one in found.spacings[:5])
        yield sentence("spacing_changes", spacings=spacings)
    if found.uneven:
        yield sentence("spacing_uneven")
    if found.orientations > 1:
        yield sentence("several_orientations", count=found.orientations)
    if found.localizers and found.slices:
        yield sentence("localizers_apart", localizers=counted(found.localizers, "localizer"))


def _spots(found: Found) -> Iterator[Spot]:
    for gap in found.gaps:
        words = f"{counted(gap.missing, 'slice')} missing behind it"
        yield Spot(gap.after.instance, gap.after.frame, words, 1)
    for end in found.ends:
        where, side = ("behind", 1) if end.is_behind else ("before", -1)
        words = f"{counted(end.missing, 'slice')} missing {where} it"
        yield Spot(end.last.instance, end.last.frame, words, side)
    for place in chain.from_iterable(found.doubles):
        yield Spot(place.instance, place.frame, "double", 0)
