"""Gaps and doubles among slices: all that were planted, and none where nothing was."""

import math
import random
from collections.abc import Sequence
from itertools import product

import pytest

from app.geometry.stacks import FEWEST, Findings, Hole, Slice, apart, holes, look

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]
CORONAL = [1, 0, 0, 0, 0, -1]
SEEDS = range(60)


def tilted(degrees: float) -> list[float]:
    """An axial plane behind a gantry that is tilted about the row's direction."""
    turned = math.radians(degrees)
    return [1, 0, 0, 0, math.cos(turned), -math.sin(turned)]


def stack(
    count: int,
    spacing: float = 3.0,
    start: float = -40.0,
    cosines: Sequence[float] = AXIAL,
    told_by: tuple = (),
    number: int | None = 1,
) -> list[Slice]:
    """Slices along z, as a table moves through a scanner."""
    return [
        Slice(
            object(),
            None if number is None else number + at,
            [-120.0, -90.0, start + at * spacing],
            cosines,
            told_by,
        )
        for at in range(count)
    ]


def shuffled(slices: Sequence[Slice], seed: int = 1) -> list[Slice]:
    return random.Random(seed).sample(slices, len(slices))


def quiet(found: Findings) -> bool:
    return not found.gaps and not found.doubles and not found.ends


def where(found: Findings) -> list[tuple[float, float, int]]:
    return [
        (round(gap.after.along, 3), round(gap.before.along, 3), gap.missing) for gap in found.gaps
    ]


# --- what is planted is found ----------------------------------------------------------------


def planted(slices: Sequence[Slice], seed: int) -> tuple[list[Slice], list[Slice], list[Slice]]:
    """Slices without some of those in the middle, and with others twice; which these are."""
    chance = random.Random(seed)
    inner = range(1, len(slices) - 1)
    away = chance.sample(inner, chance.randint(0, len(slices) // 5))
    kept = [at for at in range(len(slices)) if at not in away]
    twice = chance.sample(kept, chance.randint(0, len(slices) // 5))
    again = [slices[at]._replace(key=object()) for at in twice]
    left = [slices[at] for at in kept]
    return shuffled([*left, *again], seed), [slices[at] for at in away], again


def test_every_planted_gap_and_double_is_found():
    for seed in SEEDS:
        chance = random.Random(seed)
        spacing = chance.choice([0.5, 0.625, 1, 1.25, 3, 3.27, 10])
        cosines = chance.choice([AXIAL, tilted(17), tilted(-8)])
        slices = stack(chance.randint(20, 200), spacing, chance.uniform(-500, 0), cosines)
        some, away, again = planted(slices, seed)
        found = look(some)
        assert found.missing == len(away)
        assert len(found.doubles) == len(again)
        here = {one.key for double in found.doubles for one in (p.slice for p in double.slices)}
        assert {one.key for one in again} <= here
        assert found.stacks == 1
        assert not found.uneven


def test_they_are_found_in_the_stack_that_lacks_them():
    for seed in SEEDS:
        chance = random.Random(seed)
        phases = chance.randint(2, 8)
        stacks = [stack(20, told_by=("M", phase), number=None) for phase in range(phases)]
        some, away, again = planted(chance.choice(stacks), seed)
        others = [one for each in stacks if each[0].told_by != some[0].told_by for one in each]
        found = look(shuffled([*others, *some], seed))
        assert (found.missing, len(found.doubles)) == (len(away), len(again))
        assert {gap.after.slice.told_by for gap in found.gaps} <= {some[0].told_by}


def test_what_one_stack_lacks_at_its_ends_is_found():
    phases = [stack(15, told_by=(phase,), number=None) for phase in range(6)]
    whole = [one for phase in phases for one in phase]
    assert quiet(look(whole))
    found = look([one for one in whole if one not in (*phases[2][:2], phases[4][-1])])
    ends = [(end.last.slice.key, end.is_behind, end.missing) for end in found.ends]
    assert ends == [(phases[2][2].key, False, 2), (phases[4][-2].key, True, 1)]
    assert (found.gaps, found.missing) == ([], 3)


def test_a_gap_is_told_by_the_slices_beside_it():
    slices = stack(20)
    found = look(slices[:10] + slices[12:])
    assert where(found) == [(-13.0, -4.0, 2)]
    assert found.gaps[0].spacing == pytest.approx(3)


def test_every_other_slice_that_is_missing_is_a_gap_where_numbers_say_so():
    slices = stack(40)
    left = slices[:10] + slices[10:22:2] + slices[22:]
    found = look(left)
    assert (found.missing, found.changes) == (6, False)
    renumbered = [one._replace(number=at) for at, one in enumerate(left)]
    found = look(renumbered)
    assert (found.missing, found.changes) == (0, True)


def test_half_of_all_slices_are_missed_where_numbers_say_so():
    slices, chance = stack(60), random.Random(2)
    left = [one for one in slices if one in (slices[0], slices[-1]) or chance.random() < 0.5]
    assert look(left).missing == 60 - len(left)
    assert look([one._replace(number=None) for one in left]).missing in (0, 60 - len(left))


def test_a_slice_that_all_phases_lack_is_missed():
    slices = [
        one for at, one in enumerate(NO_ALARM["cine, acquired slice by slice"]) if at % 10 != 4
    ]
    assert [gap.missing for gap in look(slices).gaps] == [1]


def test_a_gap_between_steps_of_a_table_is_found():
    steps = [stack(4, start=at * 12.0, told_by=(at,)) for at in range(8)]
    slices = [one for step in steps for one in step]
    assert quiet(look(slices))
    assert look(slices[:7] + slices[9:]).missing == 2  # the last of a step, the first of the next


# --- no false alarm --------------------------------------------------------------------------


def with_values(slices: Sequence[Slice], values: Sequence[object]) -> list[Slice]:
    return [one._replace(told_by=(value,)) for one, value in zip(slices, values, strict=True)]


def jittered() -> list[Slice]:
    """A gated series: 12 phases at each place, each triggered a little otherwise."""
    chance = random.Random(3)
    return [
        one._replace(told_by=(phase * 60 + chance.random(),))
        for phase in range(12)
        for one in stack(10)
    ]


def moved(volumes: int) -> list[Slice]:
    """A series whose volumes follow the head: each lies a little elsewhere."""
    chance = random.Random(4)
    return [
        one
        for at in range(volumes)
        for one in stack(20, start=chance.uniform(0, 2), cosines=tilted(chance.uniform(0, 0.2)),
                         told_by=(at,))
    ]  # fmt: skip


NO_ALARM = {
    "dynamic": [one for phase in range(10) for one in stack(15, told_by=(phase,))],
    "cine, acquired slice by slice": [
        one._replace(told_by=(at, phase * 40 + at % 3))
        for phase in range(12) for at, one in enumerate(stack(10))
    ],
    "beats that came late": [
        one._replace(told_by=(phase * 40 + ((at, phase) in ((4, 1), (9, 3), (10, 3), (15, 5))),))
        for phase in range(8) for at, one in enumerate(stack(20))
    ],
    "triggered to the millisecond": [
        one._replace(told_by=(phase * 40 + random.Random(at * 99 + phase).choice((0, 0, 0, 1, 2)),))
        for phase in range(8) for at, one in enumerate(stack(20))
    ],
    "three planes, far and near": [
        one for plane in (AXIAL, SAGITTAL)
        for one in [Slice(at, at, [x, x, x], plane) for at, x in enumerate((-40, -10, 0, 10, 40))]
    ],
    "dynamic that nothing tells": [one for _ in range(10) for one in stack(15)],
    "multi-echo and phase": [
        one
        for echo, kind in product((2.3, 4.6, 6.9), "MP")
        for one in stack(12, told_by=(echo, kind))
    ],
    "diffusion": [
        one for b in (0, 500, 500, 500, 1000, 1000, 1000) for one in stack(20, told_by=(b,))
    ],
    "gated": jittered(),
    "triggered slice by slice": with_values(stack(20), [at * 31.7 for at in range(20)]),
    "4D CT": [one for phase in range(10) for one in stack(30, told_by=("AXIAL", phase * 10.0))],
    "of different lengths": [one for n in (10, 12, 15, 20) for one in stack(n, told_by=(n,))],
    "tilted": stack(30, cosines=tilted(20)),
    "two acquisitions with a piece twice": stack(20, told_by=(1,))
    + stack(20, start=8.5, told_by=(2,)),
    "two acquisitions apart": stack(20, told_by=(1,)) + stack(20, start=80, told_by=(2,)),
    "interleaved acquisitions": with_values(stack(30), [1, 2] * 15),
    "one after the other": with_values(stack(30), [1] * 15 + [2] * 15),
    "three planes": [one for plane in (AXIAL, SAGITTAL, CORONAL) for one in
                     [s._replace(position=[s.position[2], s.position[2], s.position[2]])
                      for s in stack(5, 15, cosines=plane)]],
    "turned about an axis": [one for at in range(90) for one in stack(1, cosines=tilted(at * 2))],
    "two knees": stack(18, 4) + stack(18, 4, start=131.3),
    "two knees by chance": stack(18, 4) + stack(18, 4, start=-40 + 17 * 4 + 60, number=19),
    "3 mm, then 5": stack(20) + stack(10, 5, start=-40 + 19 * 3 + 5, number=21),
    "3 mm, then 6": stack(20) + stack(10, 6, start=-40 + 19 * 3 + 6, number=21),
    "3 mm, 5 and 3": stack(20) + stack(10, 5, 22, number=21) + stack(20, 3, 70, number=31),
    "rounded to 0.1": [
        one._replace(position=[0, 0, round(one.position[2], 1)]) for one in stack(200, 0.625, 0.3)
    ],
    "noise": [
        one._replace(position=[x + n * 1e-4 for x in one.position]) for n, one in
        zip(random.Random(1).choices([-1, 0, 1], k=50), stack(50), strict=True)
    ],
    "thin slices far apart": stack(25, 10),
    "anywhere": [one._replace(position=[0, 0, random.Random(n).uniform(0, 300)])
                 for n, one in enumerate(stack(30))],
    "one place": [one for _ in range(20) for one in stack(1)],
    "two slices": stack(2, 50),
    "three slices": [stack(1)[0], stack(1, start=-37)[0], stack(1, start=-31)[0]],
    "bolus tracking": stack(40) + [stack(1, start=-13, told_by=(2,))[0] for _ in range(15)],
    "micro CT": stack(100, 0.02),
    "side by side": stack(20) + [one._replace(position=[80, -90, one.position[2]])
                                 for one in stack(20)],
}  # fmt: skip


def test_what_scanners_make_raises_no_alarm():
    for name, slices in NO_ALARM.items():
        told = max(len(one.told_by) for one in slices)
        same = [
            one._replace(told_by=one.told_by + (None,) * (told - len(one.told_by)))
            for one in slices
        ]
        assert quiet(look(shuffled(same))), name


def test_localizers_stand_apart():
    scout = [one._replace(is_localizer=True) for one in stack(1, cosines=CORONAL)]
    found = look(scout + stack(20))
    assert (found.localizers, found.slices, found.orientations) == (1, 20, 1)
    assert quiet(found)


@pytest.mark.parametrize(
    ("slices", "spacings"),
    [
        (stack(20), [3]),
        (NO_ALARM["3 mm, then 5"], [3, 5]),
        (NO_ALARM["3 mm, then 6"], [3, 6]),
        (NO_ALARM["3 mm, 5 and 3"], [3, 5]),
        (NO_ALARM["rounded to 0.1"], [0.625]),
    ],
)
def test_the_spacing_of_each_part_is_told(slices, spacings):
    found = look(shuffled(slices))
    assert found.spacings == pytest.approx(spacings, abs=0.001)
    assert found.changes == (len(spacings) > 1)
    assert not found.uneven


def test_a_gap_in_the_part_with_the_wider_spacing_is_a_gap_of_that():
    slices = stack(20) + stack(10, 5, start=22, number=21)
    found = look(slices[:25] + slices[26:])
    assert where(found) == [(42.0, 52.0, 1)]


def groups_of(slices: Sequence[Slice]) -> list[tuple[int, bool, bool, tuple[int, ...]]]:
    found, _ = apart(shuffled(slices))
    return [
        (len(one.placed), one.is_localizer, one.is_alike, one.told_by)
        for one in sorted(
            found, key=lambda one: (one.is_localizer, str(one.placed[0].slice.told_by))
        )
    ]


def test_stacks_are_looked_through_apart_as_they_are_judged():
    echoes = [one for echo in (4.6, 9.2) for one in stack(12, told_by=("M", echo))]
    assert groups_of(echoes) == [(12, False, True, (1,))] * 2
    assert groups_of(stack(20, told_by=("M", 4.6))) == [(20, False, True, ())]
    # What differs with every slice makes no stacks.
    timed = [one._replace(told_by=(at,)) for at, one in enumerate(stack(20))]
    assert groups_of(timed) == [(20, False, True, ())]


def test_localizers_and_orientations_of_few_slices_are_looked_through_apart():
    scouts = [one._replace(is_localizer=True) for one in stack(1) + stack(1, cosines=CORONAL)]
    odd = stack(2, cosines=CORONAL) + stack(1, cosines=tilted(30))
    without = [stack(1)[0]._replace(position=None)]
    found, rest = apart([*scouts, *stack(20), *odd, *without])
    sizes = {(len(one.placed), one.is_localizer, one.is_alike) for one in found}
    assert sizes == {(20, False, True), (3, False, False), (2, True, False)}
    assert rest == without


def test_what_nothing_tells_apart_is_told_as_that():
    found = look(NO_ALARM["dynamic that nothing tells"])
    assert (found.most_at_once, found.several) == (10, True)
    found = look(NO_ALARM["bolus tracking"])
    assert found.several is False
    found = look(NO_ALARM["dynamic"])
    assert (found.most_at_once, found.several) == (1, False)


def test_a_slice_without_a_place_is_counted():
    lost = [one._replace(position=None) for one in stack(2)]
    odd = [one._replace(cosines=[1, 0, 0, 1, 0, 0]) for one in stack(1)]
    broken = [one._replace(position=[0, 0, math.inf]) for one in stack(1)]
    found = look([*lost, *odd, *broken, *stack(10)])
    assert (found.without_place, found.slices) == (4, 10)


@pytest.mark.parametrize("count", range(FEWEST))
def test_few_slices_say_nothing(count):
    found = look(stack(count))
    assert (found.stacks, found.too_short) == (0, count)


# --- instance numbers ------------------------------------------------------------------------


def test_every_hole_in_the_numbers_is_found():
    for seed in SEEDS:
        chance = random.Random(seed)
        first = chance.choice([0, 1, 101, -7])
        numbers = [*range(first, first + chance.randint(30, 200))]
        away = {*chance.sample(numbers[1:-1], chance.randint(0, len(numbers) // 6))}
        left = [one for one in numbers if one not in away]
        found = holes(shuffled(left, seed))
        # Single numbers away at equal distances look as if they had been numbered so.
        assert found is not None
        assert {one for hole in found for one in range(hole.first, hole.last + 1)} == away


def test_a_hole_is_told_by_its_ends():
    assert holes([7, 8, 9, 13, 14, 15, 16, 17]) == [Hole(10, 12)]
    assert holes(range(7, 18)) == []


@pytest.mark.parametrize(
    "numbers",
    [
        [None] * 20,
        [*range(20), None],
        [1, 2],
        [*range(20), *range(20)],
        range(1, 100, 2),
        [phase * 100 + at for phase in range(5) for at in range(20)],
        [phase * 25 + at for phase in range(5) for at in range(20)],
        [*range(50), *range(1000, 1050)],
    ],
)
def test_numbers_that_do_not_count_say_nothing(numbers):
    assert holes(numbers) is None
