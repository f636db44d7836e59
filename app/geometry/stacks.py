"""Whether slices lie one behind the other without gaps and doubles.

Positions are those of Image Position (Patient) along the normal of Image Orientation (Patient),
PS3.3 C.7.6.2.1.1; a tilted gantry changes nothing in that. They are compared within a stack:
slices of one orientation that no attribute tells apart (which ones the caller says). An attribute
may do so though it makes no stacks, such as a trigger time that differs with each slice; that is
left out. What nothing tells apart is "several images at each position", never a double.

Nothing here calls something a gap that a scanner may have made so: it is a gap where all else has
one spacing, and the distance is a multiple of it.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

Vector = Sequence[float]

SAME = 0.01  # mm; slices of one place have the same text, and are calculated to 1e-6
ALIKE = 0.5  # degrees between the axes of slices of one stack; scanners write 1e-6 for each anew
FEWEST = 3  # slices of a stack: two have no spacing that a third could confirm
FARTHEST = 1e6  # mm from the origin; no scanner's room is a kilometre wide
MOST_APART = 0.9  # of the slices, which have to be in stacks that are long enough
MOST = 0.6  # of the distances in a stack, which its spacing has to explain
RUN = 4  # equal distances that follow each other, of a part with a spacing of its own
TWO_PARTS = 10  # slices; a wider leap between consecutive instance numbers was scanned so
ORIENTATIONS = 100  # of a series; one with more turns about an axis


class Slice(NamedTuple):
    """An image, or a frame of one, and where it lies."""

    key: Any  # what its caller knows it by
    number: int | None  # Instance Number
    position: Vector | None  # mm, three
    cosines: Vector | None  # six
    told_by: tuple[Hashable, ...] = ()  # the values of what may tell stacks apart
    is_localizer: bool = False


class Placed(NamedTuple):
    along: float  # mm, along the normal
    slice: Slice


class Gap(NamedTuple):
    """Slices that are missing between two that follow each other."""

    after: Placed
    before: Placed
    missing: int
    spacing: float  # mm


class End(NamedTuple):
    """Slices that one stack lacks at an end, and nearly all others of its orientation have."""

    last: Placed  # of the stack, on that side
    is_behind: bool  # they are missing behind it, along the normal; else before it
    missing: int


class Double(NamedTuple):
    """Slices of one stack in one place."""

    slices: list[Placed]


@dataclass(slots=True)
class Findings:
    """What was found in a series."""

    slices: int = 0  # that have a place, localizers apart
    localizers: int = 0
    without_place: int = 0
    orientations: int = 0
    stacks: int = 0  # that are long enough to say something of
    too_short: int = 0  # slices of others
    gaps: list[Gap] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    doubles: list[Double] = field(default_factory=list)
    # Each spacing that a part of a stack has, once: mm, in the order of the stacks.
    spacings: list[float] = field(default_factory=list)
    changes: bool = False  # one stack has parts with different spacings
    uneven: int = 0  # distances that are no multiple of the spacing
    most_at_once: int = 1  # images at one position, which nothing tells apart
    several: bool = False  # so many, or nearly, at each position of a stack

    @property
    def missing(self) -> int:
        between = sum(gap.missing for gap in self.gaps)
        return between + sum(end.missing for end in self.ends)


def look(slices: Iterable[Slice]) -> Findings:
    """Compare the slices of one series."""
    found = Findings()
    placed = [one for one in slices if _counts(one, found)]
    found.slices = len(placed)
    orientations = by_orientation(placed)
    found.orientations = len(orientations)
    if len(orientations) > ORIENTATIONS:
        found.too_short = len(placed)
        return found
    for same in orientations:
        _judge_orientation(same, found)
    found.gaps.sort(key=lambda gap: gap.after.along)
    found.ends.sort(key=lambda end: end.last.along)
    found.spacings = _each_once(found.spacings)
    return found


def _counts(one: Slice, found: Findings) -> bool:
    if one.is_localizer:
        found.localizers += 1
        return False
    if not _has_place(one):
        found.without_place += 1
        return False
    return True


def _has_place(one: Slice) -> bool:
    return is_place(one.position, one.cosines)


def is_place(position: Vector | None, cosines: Vector | None) -> bool:
    """Whether it says where an image lies."""
    if position is None or len(position) != 3 or axes_of(cosines) is None:
        return False
    return math.hypot(*position) <= FARTHEST  # which NaN is not


# --- looked through --------------------------------------------------------------------------


class Group(NamedTuple):
    """Slices that one looks through, one after the other."""

    placed: list[Placed]
    is_localizer: bool
    is_alike: bool  # all of one orientation
    told_by: tuple[int, ...] = ()  # the places in `told_by` of what tells it from others beside it


def apart(slices: Iterable[Slice]) -> tuple[list[Group], list[Slice]]:
    """The stacks of a series, and what has no place; localizers are stacks of their own.

    Orientations of few slices are one group together.
    """
    kinds: dict[bool, list[Slice]] = {False: [], True: []}
    rest: list[Slice] = []
    for one in slices:
        (kinds[one.is_localizer] if _has_place(one) else rest).append(one)
    groups: list[Group] = []
    for is_localizer, these in kinds.items():
        orientations = by_orientation(these)
        if len(orientations) > ORIENTATIONS:
            rest += these
            continue
        few = [same for same in orientations if len(same) < FEWEST]
        for same in orientations:
            if len(same) >= FEWEST:
                groups += _groups(same, is_localizer)
        if few:
            groups.append(Group([*chain.from_iterable(few)], is_localizer, len(few) == 1))
    return groups, rest


def _groups(placed: list[Placed], is_localizer: bool) -> Iterator[Group]:
    told_by = _telling(placed)
    stacks = _several(placed, _Stack(placed, told_by))
    if not stacks:
        yield Group(placed, is_localizer, True)
    for stack in stacks:
        yield Group([*chain.from_iterable(stack.places)], is_localizer, True, (*told_by,))


# --- orientations ----------------------------------------------------------------------------


class Axes(NamedTuple):
    row: Vector
    normal: Vector


def by_orientation(slices: Iterable[Slice]) -> list[list[Placed]]:
    """Slices that lie alike, each with its place along their normal, in the order of places."""
    by_text: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for one in slices:
        by_text[tuple(one.cosines or ())].append(one)
    groups: list[tuple[Axes, list[Slice]]] = []
    for cosines, same in by_text.items():
        axes = axes_of(cosines)
        assert axes is not None
        alike = next((group for of, group in groups if _are_alike(of, axes)), None)
        if alike is None:
            groups.append((axes, alike := []))
            if len(groups) > ORIENTATIONS:
                break
        alike += same
    return [_in_order(axes.normal, group) for axes, group in groups]


def _in_order(normal: Vector, slices: Iterable[Slice]) -> list[Placed]:
    placed = [Placed(dot(normal, one.position or ()), one) for one in slices]
    placed.sort(key=itemgetter(0))
    return placed


def axes_of(cosines: Vector | None) -> Axes | None:
    if not cosines or len(cosines) != 6:
        return None
    (a, b, c), (d, e, f) = row, _ = cosines[:3], cosines[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length, row_length = math.hypot(*normal), math.hypot(*row)
    if not (1e-6 < length < math.inf and 1e-6 < row_length < math.inf):
        return None
    return Axes([x / row_length for x in row], [x / length for x in normal])


def _are_alike(one: Axes, other: Axes) -> bool:
    least = math.cos(math.radians(ALIKE))
    return dot(one.normal, other.normal) >= least and dot(one.row, other.row) >= least


def dot(one: Vector, other: Vector) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


# --- stacks ----------------------------------------------------------------------------------


def _judge_orientation(placed: list[Placed], found: Findings) -> None:
    """Judge slices that lie alike: as one stack where that explains all, else as several."""
    told_by = _telling(placed)
    whole = _Stack(placed, told_by)
    stacks = _several(placed, whole)
    if not stacks:
        whole.report(found)
        return
    there = _Counts(whole)
    for stack in stacks:
        stack.gaps = [gap for gap in stack.gaps if there.lacks(gap)]
        stack.report(found)
    found.ends += _short_ends([stack for stack in stacks if stack.is_judged])


def _several(placed: list[Placed], whole: "_Stack") -> "list[_Stack]":
    """The stacks of slices that lie alike; none where they are one."""
    if whole.explains_all or not whole.told_by:
        return []
    stacks = [_Stack(slices, ()) for slices in _apart(placed, whole.told_by)]
    # Else what differs only seems to make stacks.
    judged = sum(len(stack) for stack in stacks if stack.is_judged)
    return stacks if judged >= MOST_APART * len(placed) else []


class _Counts:
    """How many slices lie in each place of an orientation, whatever tells them apart.

    Where an attribute differs for other reasons, such as a trigger time by a beat that came late, a
    slice that one stack lacks is in another: there are as many in its place as beside it.
    """

    def __init__(self, whole: "_Stack") -> None:
        self.along = [here[0].along for here in whole.places]
        self.counts = [len(here) for here in whole.places]

    def lacks(self, gap: Gap) -> bool:
        """Whether anywhere in a gap there are fewer slices than on both sides of it."""
        beside = max(self._at(one.along, SAME) for one in (gap.after, gap.before))
        step = (gap.before.along - gap.after.along) / (gap.missing + 1)
        places = (gap.after.along + step * number for number in range(1, gap.missing + 1))
        return any(self._at(place, _tolerance(gap.spacing)) < beside for place in places)

    def _at(self, along: float, tolerance: float) -> int:
        first = bisect_left(self.along, along - tolerance)
        end = bisect_right(self.along, along + tolerance)
        return max(self.counts[first:end], default=0)


def _telling(placed: Sequence[Placed]) -> list[int]:
    """The places in `told_by` of what makes stacks: each of its values comes in several places."""
    spots = [(one, spot) for spot, here in enumerate(_places(placed)) for one in here]

    def makes_stacks(told_by: Sequence[int]) -> bool:
        each = {(_values(one, told_by), spot) for one, spot in spots}
        values = {value for value, _ in each}
        return 1 < len(values) <= len(each) / FEWEST

    every = range(len(placed[0].slice.told_by))
    telling = [at for at in every if makes_stacks([at])]
    while telling and not makes_stacks(telling):
        telling.pop()
    return telling


def _apart(placed: Iterable[Placed], told_by: Sequence[int]) -> list[list[Placed]]:
    stacks: dict[tuple[Hashable, ...], list[Placed]] = defaultdict(list)
    for one in placed:
        stacks[_values(one, told_by)].append(one)
    return [*stacks.values()]


def _values(one: Placed, told_by: Sequence[int]) -> tuple[Hashable, ...]:
    return tuple(one.slice.told_by[at] for at in told_by)


class _Part(NamedTuple):
    """Distances that follow each other and are one spacing: from the one to before the other."""

    first: int
    end: int
    spacing: float


class _Stack:
    """Slices that lie alike, in the order of their places."""

    def __init__(self, placed: Sequence[Placed], told_by: Sequence[int]) -> None:
        self.told_by = told_by
        self.places = _places(placed)
        distances = [after[0].along - before[-1].along for before, after in pairwise(self.places)]
        self.distances = distances
        self.parts = _parts(distances, [_numbers_between(*two) for two in pairwise(self.places)])
        self.gaps: list[Gap] = []
        self.uneven = 0
        self._compare()
        counts = Counter(map(len, self.places))
        usual = min(counts, key=lambda size: (-counts[size], size))
        self.several = [here for here in self.places if len(here) > 1]
        self.is_single = usual == 1

    @property
    def explains_all(self) -> bool:
        """Whether nothing speaks against these slices being one stack."""
        together = all(
            len({_values(one, self.told_by) for one in here}) == 1 for here in self.several
        )
        return self.is_single and together and self.is_judged and not self.uneven

    @property
    def is_judged(self) -> bool:
        return len(self.places) >= FEWEST and bool(self.parts)

    def __len__(self) -> int:
        return sum(map(len, self.places))

    def report(self, found: Findings) -> None:
        if not self.is_judged:
            found.too_short += len(self)
            return
        found.stacks += 1
        found.gaps += self.gaps
        found.uneven += self.uneven
        spacings = _each_once(part.spacing for part in self.parts)
        found.spacings += spacings
        found.changes = found.changes or len(spacings) > 1
        found.several = found.several or not self.is_single
        for here in self.several:
            if self.is_single and _is_one_place(here):
                found.doubles.append(Double(here))
            else:
                found.most_at_once = max(found.most_at_once, len(here))

    def _compare(self) -> None:
        """Find distances that are a multiple of the spacing around them."""
        borders = 0
        leaps: list[tuple[int, float]] = []
        for at, distance in enumerate(self.distances):
            around = self._around(at)
            if not around:
                return
            spacing = next((one for one in around if _times(distance, one)), None)
            times = _times(distance, spacing) if spacing else 0
            if times == 1:
                borders += self._is_border(at)
            elif times and spacing and not self._is_between_parts(at, around):
                leaps.append((at, spacing))
            elif not self._is_between_parts(at, around):
                self.uneven += 1
        for at, spacing in leaps:
            self._leap(at, spacing, borders)

    def _leap(self, at: int, spacing: float, borders: int) -> None:
        after, before = self.places[at][-1], self.places[at + 1][0]
        missing = _times(self.distances[at], spacing) - 1
        # Between two acquisitions there may be nothing, unless others follow without a break.
        is_planned = self._is_border(at) and borders < 2
        follow = _numbers_between(self.places[at], self.places[at + 1]) == 1
        two_parts = missing > len(self.places) or (missing > TWO_PARTS and follow)
        if is_planned or two_parts:
            self.uneven += two_parts
        else:
            self.gaps.append(Gap(after, before, missing, spacing))

    def _around(self, at: int) -> list[float]:
        """The spacing of the part that a distance is in, or those of the parts beside it."""
        beside: list[float] = []
        for part in self.parts:
            if part.first <= at < part.end:
                return [part.spacing]
            if part.end <= at:
                beside = [part.spacing]
            else:
                return _each_once([*beside, part.spacing])
        return beside

    def _is_between_parts(self, at: int, around: Sequence[float]) -> bool:
        """Whether one spacing ends here and another begins."""
        if len(around) < 2:
            return False
        least, most = min(around), max(around)
        return least - _tolerance(least) <= self.distances[at] <= most + _tolerance(most)

    def _is_border(self, at: int) -> bool:
        after, before = self.places[at][-1], self.places[at + 1][0]
        return _values(after, self.told_by) != _values(before, self.told_by)


def _places(placed: Iterable[Placed]) -> list[list[Placed]]:
    """Slices of one place together."""
    places: list[list[Placed]] = []
    for one in placed:
        if places and one.along - places[-1][0].along <= SAME:
            places[-1].append(one)
        else:
            places.append([one])
    return places


def _numbers_between(places: list[Placed], others: list[Placed]) -> int | None:
    """By how much the instance numbers of two places differ; None where one has none."""
    before, after = places[-1].slice.number, others[0].slice.number
    return None if before is None or after is None else abs(after - before)


def _is_one_place(slices: Sequence[Placed]) -> bool:
    """Whether slices of one stack, equally far along, lie beside each other nowhere either."""
    first = slices[0].slice
    return all(
        one.slice.told_by == first.told_by
        and math.dist(one.slice.position or (), first.position or ()) <= SAME
        for one in slices[1:]
    )


def _short_ends(stacks: Sequence[_Stack]) -> Iterator[End]:
    """Where stacks end before others do, if nearly all others have the same places."""
    if len(stacks) < FEWEST:
        return
    places = [[round(here[0].along / SAME) for here in stack.places] for stack in stacks]
    counts = Counter(chain.from_iterable(places))
    wanted = sorted(place for place, count in counts.items() if 2 * count > len(stacks))
    if 3 * places.count(wanted) < 2 * len(stacks):
        return
    for stack, these in zip(stacks, places, strict=True):
        if before := sum(place < these[0] for place in wanted):
            yield End(stack.places[0][0], False, before)
        if behind := sum(place > these[-1] for place in wanted):
            yield End(stack.places[-1][-1], True, behind)


# --- spacings --------------------------------------------------------------------------------


def _tolerance(spacing: float) -> float:
    """How much a distance may differ from the spacing.

    Positions are often written to 0.1 mm; 5 % is less than what tells usual spacings apart; with
    a quarter of it one and two slices stay apart.
    """
    return min(spacing / 4, max(spacing / 20, 0.1)) + 1e-9


def _times(distance: float, spacing: float) -> int:
    """How many times the spacing a distance is; 0 where it is no multiple of it."""
    times = round(distance / spacing)
    return times if times and abs(distance - times * spacing) <= _tolerance(spacing) else 0


def _parts(distances: Sequence[float], numbers: Sequence[int | None]) -> list[_Part]:
    """The parts of a stack that have a spacing each: one in nearly all stacks.

    Of equal distances that are a multiple of the usual one, numbers tell whether slices are missing
    in each, or were never made. The most frequent distance is no spacing where it, and what numbers
    say is a multiple of it, is not most of them: a localizer's few slices lie anyhow.
    """
    usual = _usual(distances)
    if usual is None:
        return []
    runs = (run for run in _runs(distances) if run.end - run.first >= RUN)
    runs = (run for run in runs if not (_like(run, usual) or _skips(run, usual, numbers)))
    own = [_Part(run.first, run.end, _mean(distances[run.first : run.end])) for run in runs]
    parts, at = [], 0
    for run in [*own, _Part(len(distances), len(distances), usual)]:
        if any(_times(one, usual) == 1 for one in distances[at : run.first]):
            parts.append(_part_between(distances, at, run.first, usual))
        if run.first < len(distances):
            parts.append(run)
        at = run.end
    times = [_times(distance, usual) for distance in distances]
    ordinary, in_runs = times.count(1), sum(run.end - run.first for run in own)
    by_numbers = sum(one > 1 and one == two for one, two in zip(times, numbers, strict=True))
    explained = ordinary + in_runs + by_numbers
    is_sure = explained == len(distances) or (
        ordinary >= FEWEST and explained >= MOST * len(distances)
    )
    return parts if is_sure else []


def _part_between(distances: Sequence[float], first: int, end: int, usual: float) -> _Part:
    """From the first to the last distance that is the usual one."""
    here = [at for at in range(first, end) if _times(distances[at], usual) == 1]
    return _Part(here[0], here[-1] + 1, usual)


def _usual(distances: Sequence[float]) -> float | None:
    """The mean of the distances that are most frequently alike; None where no two are."""
    ordered = sorted(distances)
    best, first = (1, 0, 0), 0
    for last, distance in enumerate(ordered):
        while distance - ordered[first] > _tolerance(ordered[first]):
            first += 1
        if last - first + 1 > best[0]:
            best = last - first + 1, first, last + 1
    count, start, end = best
    if count == 1:
        return None
    about = _mean(ordered[start:end])
    return _mean([one for one in ordered if _times(one, about) == 1])


def _runs(distances: Sequence[float]) -> Iterator[_Part]:
    """Distances that follow each other and are alike."""
    first = 0
    for at in range(1, len(distances) + 1):
        start = distances[first]
        if at == len(distances) or abs(distances[at] - start) > _tolerance(start):
            yield _Part(first, at, start)
            first = at


def _like(part: _Part, spacing: float) -> bool:
    return _times(part.spacing, spacing) == 1


def _skips(part: _Part, spacing: float, numbers: Sequence[int | None]) -> bool:
    """Whether in each distance as many numbers are left out as slices would be missing."""
    times = _times(part.spacing, spacing)
    return times > 1 and {*numbers[part.first : part.end]} == {times}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _each_once(spacings: Iterable[float]) -> list[float]:
    """Spacings that differ, in their order."""
    distinct: list[float] = []
    for one in spacings:
        if not any(_times(one, other) == 1 for other in distinct):
            distinct.append(one)
    return distinct


# --- instance numbers ------------------------------------------------------------------------


class Hole(NamedTuple):
    """Instance Numbers that are missing between others."""

    first: int
    last: int


def holes(numbers: Iterable[int | None]) -> list[Hole] | None:
    """Where numbers are missing; None where the numbers say nothing of it.

    They may start anywhere. They say nothing where an object has none, where two have one, and
    where they do not count one by one: in steps, or in blocks as "100 for each phase".
    """
    known = list(numbers)
    there = sorted(one for one in known if one is not None)
    if len(there) < FEWEST or len(there) < len(known):
        return None
    steps = [after - before for before, after in pairwise(there)]
    leaps = [at for at, step in enumerate(steps) if step > 1]
    missing = sum(steps[at] - 1 for at in leaps)
    if 0 in steps or 3 * len(leaps) > len(steps) or 2 * missing > len(there):
        return None
    return (
        None
        if _is_in_blocks(steps, leaps)
        else [Hole(there[at] + 1, there[at + 1] - 1) for at in leaps]
    )


def _is_in_blocks(steps: Sequence[int], leaps: Sequence[int]) -> bool:
    """Whether all leaps are alike, and as many numbers lie between each two."""
    ends = [-1, *leaps, len(steps)]
    lengths = {after - before for before, after in pairwise(ends)}
    return len(leaps) > 1 and len(lengths) == 1 and len({steps[at] for at in leaps}) == 1
