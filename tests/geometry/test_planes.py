"""Which stacks are one block: known ones, by hand, on both sides of each limit."""

import math
from collections.abc import Sequence

import pytest

from app.geometry.planes import Block, Lying, NoPlanes, block_of

AXIAL = [1, 0, 0, 0, 1, 0]
FEET_FIRST_PRONE = [1, 0, 0, 0, -1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]
CORONAL = [1, 0, 0, 0, 0, -1]


def at(*position: float, cosines: Sequence[float] = AXIAL, **other) -> Lying:
    return Lying(100, 200, [0.5, 0.75], [*position], cosines)._replace(**other)


def along_z(*places: float) -> list[Lying]:
    return [at(-40, -30, z) for z in places]


def why(slices: Sequence[Lying]) -> str:
    with pytest.raises(NoPlanes) as refused:
        block_of(slices)
    return refused.value.sentence


@pytest.mark.parametrize(
    "slices",
    [
        along_z(-10, -7.5, -5, -2.5),
        along_z(-2.5, -5, -7.5, -10),
        along_z(-5, -10, -2.5, -7.5),
        [at(x, -30, 80, cosines=SAGITTAL) for x in (5, 7.5, 10, 12.5)],
        [at(-40, y, 80, cosines=CORONAL) for y in (5, 7.5, 10, 12.5)],
        [at(40, -30, z, cosines=FEET_FIRST_PRONE) for z in (5, 7.5, 10, 12.5)],
    ],
)
def test_slices_that_lie_straight_are_a_block(slices):
    assert block_of(slices) == Block(4, 2.5, 4 * 100 * 200 * 2)


def test_a_block_may_lie_aslant_in_its_patient():
    """The normal of an axial plane turned by 30° about x is (0, -1/2, cos 30°)."""
    cos = math.sqrt(3) / 2
    cosines = [1, 0, 0, 0, cos, 0.5]
    slices = [at(-40, -30 - 2 * n * 0.5, 2 * n * cos, cosines=cosines) for n in range(5)]
    assert block_of(slices).spacing == pytest.approx(2)


def test_distances_may_differ_by_one_percent():
    """One of 21 is larger by 0.9 or 1.1 %, against the mean of all."""
    even = [2.0 * n for n in range(21)]
    for percent, is_refused in ((0.9, False), (1.1, True)):
        wide = 2 * (1 + percent / 100) * 20 / (20 - percent / 100)
        slices = along_z(*even, even[-1] + wide)
        if is_refused:
            assert why(slices) == f"The slices are not evenly spaced: 2 to {wide:.3f} mm."
        else:
            assert block_of(slices).slices == 22


def test_uneven_ones_are_refused_with_what_they_are():
    assert why(along_z(0, 2, 4, 9)) == "The slices are not evenly spaced: 2 to 5 mm."


@pytest.mark.parametrize(("beside", "is_refused"), [(0.09, False), (0.11, True)])
def test_slices_may_lie_a_tenth_of_a_millimetre_beside_the_others(beside, is_refused):
    slices = along_z(0, 2, 4, 6, 8)
    slices[3] = at(-40, -30 + beside, 6)
    if is_refused:
        words = "Some slices lie beside the line of the others, by 0.11 mm."
        assert why(slices) == words
    else:
        assert block_of(slices).slices == 5


@pytest.mark.parametrize("angle", [12.3, -12.3, 0.6])
def test_a_tilted_gantry_is_refused_with_its_angle(angle):
    """The table moves along z, and slices are turned about x: PS3.3 C.8.2.1.1.1."""
    turn = math.radians(angle)
    cosines = [1, 0, 0, 0, math.cos(turn), -math.sin(turn)]
    slices = [at(-40, -30, 2.0 * n, cosines=cosines) for n in range(20)]
    assert why(slices) == (
        f"The gantry was tilted by {abs(angle)}°: the slices do not lie straight behind each other."
    )


def test_a_tilt_that_moves_no_pixel_is_none():
    """0.19 mm from the first to the last: no slice lies more than 0.1 mm beside the middle."""
    slices = [at(-40, -30 + 0.19 * n / 20, 2.0 * n) for n in range(21)]
    assert block_of(slices).slices == 21


def test_slices_of_other_sizes_pixels_and_turns_are_refused():
    slices = along_z(0, 2, 4)
    other = at(-40, -30, 6)
    for change, words in (
        ({"rows": 90}, "The slices have several sizes: 200 x 90 and 200 x 100 pixels."),
        ({"spacing": [0.5, 0.7501]}, ""),  # 0.02 mm at the last of 200 columns
        ({"spacing": [0.5, 0.76]}, "The slices have pixels of several sizes: 0.75 to 0.76 mm."),
        ({"spacing": [0.6, 0.75]}, "The slices have pixels of several sizes: 0.5 to 0.6 mm."),
        ({"spacing": None}, "The images do not say how large their pixels are."),
        ({"spacing": [0.5, 0]}, "The images do not say how large their pixels are."),
        ({"cosines": [1, 1e-6, 0, -1e-6, 1, 0]}, ""),
        ({"cosines": CORONAL}, "The slices are turned against each other, by up to 90°."),
        ({"position": None}, "The images do not say where in the patient they lie."),
        ({"position": [0, math.nan, 0]}, "The images do not say where in the patient they lie."),
        ({"cosines": [0, 0, 0, 0, 1, 0]}, "The images do not say where in the patient they lie."),
        ({"position": [-40, -30, 4.005]}, "4 slices lie at 3 places: more than one at the same."),
    ):  # fmt: skip
        changed = [*slices, other._replace(**change)]
        if words:
            assert why(changed) == words
        else:
            assert block_of(changed).slices == 4


@pytest.mark.parametrize(
    ("cosines", "is_square"),
    [
        ([1, 0, 0, 0.0009, 1, 0], True),
        ([1, 0, 0, 0.0011, 1, 0], False),
        ([1, 0, 0, math.cos(math.radians(83)), math.sin(math.radians(83)), 0], False),
        ([1.0009, 0, 0, 0, 0.9991, 0], True),
        ([1.0011, 0, 0, 0, 1, 0], False),
        ([1, 0, 0, 0, 0.9989, 0], False),
    ],
)
def test_rows_and_columns_are_upright_on_each_other(cosines, is_square):
    slices = [at(-40, -30, z, cosines=cosines) for z in (0, 2, 4)]
    if is_square:
        assert block_of(slices).slices == 3
    else:
        assert why(slices) == (
            "The rows and columns of the images are not at right angles, "
            "or their directions have no unit length."
        )


def test_few_slices_and_too_many_are_refused():
    assert why(along_z(0, 2)) == "Three planes need at least 3 slices; here: 2 slices."
    assert block_of(along_z(0, 2, 4)).slices == 3
    large = [one._replace(rows=1000, columns=1000) for one in along_z(*range(550))]
    assert block_of(large[:500]).bytes == 1_000_000_000
    assert why(large) == "Three planes would take 1.1 GB of memory; the limit is 1 GB."
