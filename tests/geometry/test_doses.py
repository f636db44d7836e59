"""Where a dose's planes lie, and which doses are not drawn since that is not certain."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from app.dicom.doses import NoGrid, offsets_of
from app.geometry.doses import dose_of
from app.sandbox.dose import DoseHeader
from tests.making.drawn import ORIENTATIONS

POSITION = [-12.5, 30.0, -455.0]
RELATIVE, DESCENDING, UNEVEN = [0.0, 2.5, 5.0, 7.5], [0.0, -2.5, -5.0, -7.5], [0.0, 2.0, 5.0, 9.0]
WHOLE = DoseHeader(
    has_grid=True,
    frame_of_reference="2.25.1",
    position=POSITION,
    orientation=[1, 0, 0, 0, 1, 0],
    spacing=[2.0, 3.0],
    rows=4,
    columns=5,
    frames=4,
    offsets=RELATIVE,
    scaling=[0.001],
    unit="GY",
    type="PHYSICAL",
    summation="PLAN",
)
# Of which the normal, row x column, points to the feet.
DOWN = ("FFS", "FFP", "FFDL", "FFDR")


@pytest.mark.parametrize("vector", [RELATIVE, DESCENDING, UNEVEN])
@pytest.mark.parametrize("lies", ORIENTATIONS)
def test_relative_offsets_count_along_row_times_column(lies, vector):
    assert offsets_of(POSITION, ORIENTATIONS[lies], vector, 4) == vector


@pytest.mark.parametrize("steps", [RELATIVE, DESCENDING, UNEVEN])
@pytest.mark.parametrize("lies", ORIENTATIONS)
def test_a_first_offset_that_is_z_makes_all_of_them_z_of_transverse_planes(lies, steps):
    heights = [POSITION[2] + step for step in steps]
    if lies in ("sagittal", "coronal"):
        with pytest.raises(NoGrid, match="dose_offsets"):
            offsets_of(POSITION, ORIENTATIONS[lies], heights, 4)
        return
    found = offsets_of(POSITION, ORIENTATIONS[lies], heights, 4)
    normal = np.cross(ORIENTATIONS[lies][:3], ORIENTATIONS[lies][3:])
    assert normal[2] == (-1 if lies in DOWN else 1)
    planes = [np.array(POSITION) + normal * offset for offset in found]
    np.testing.assert_allclose([plane[2] for plane in planes], heights)
    np.testing.assert_allclose([plane[:2] for plane in planes], [POSITION[:2]] * 4)


def test_of_a_grid_that_begins_at_z_0_offsets_are_relative():
    assert offsets_of([0, 0, 0], ORIENTATIONS["FFS"], RELATIVE, 4) == RELATIVE


@pytest.mark.parametrize(
    ("code", "keywords"),
    [
        ("header_unread", {"why_not": "header_unread"}),
        ("dose_without_grid", {"has_grid": False}),
        ("dose_not_placed", {"frame_of_reference": ""}),
        ("dose_not_placed", {"position": []}),
        ("dose_not_placed", {"position": [0, 0, 1e308]}),
        ("dose_not_placed", {"position": [0, math.nan, 0]}),
        ("dose_not_placed", {"orientation": []}),
        ("dose_not_placed", {"spacing": [2.0]}),
        ("dose_not_placed", {"spacing": [2.0, 0.0]}),
        ("dose_axes", {"orientation": [1, 0, 0, 1, 0, 0]}),
        ("dose_axes", {"orientation": [1, 0, 0, 0, 1.1, 0]}),
        ("dose_axes", {"orientation": [1, 0, 0, 0, 1, math.nan]}),
        ("dose_too_large", {"rows": 4_000, "columns": 4_000, "frames": 5}),
        ("dose_too_large", {"rows": 120, "columns": 100, "frames": 65_535}),
        ("dose_is_flat", {"frames": 1, "offsets": []}),
        ("dose_is_flat", {"rows": 1}),
        ("dose_offsets", {"offsets": []}),
        ("dose_offsets", {"offsets": RELATIVE[:3]}),
        ("dose_offsets", {"offsets": [0.0, 1.0, 3.0, 2.0]}),
        ("dose_offsets", {"offsets": [0.0, 1.0, 1.0, 2.0]}),
        ("dose_offsets", {"offsets": [0.0, 1.0, 2.0, 1e308]}),
        ("dose_offsets", {"offsets": [0.0, 1.0, math.nan, 3.0]}),
        ("dose_offsets", {"offsets": [1.0, 2.0, 3.0, 4.0]}),
        ("dose_offsets", {"offsets": [455.0, 457.5, 460.0, 462.5]}),  # the sign was lost
        ("dose_without_unit", {"unit": ""}),
        ("dose_not_scaled", {"scaling": []}),
        ("dose_not_scaled", {"scaling": [0.0]}),
        ("dose_not_scaled", {"scaling": [-0.1]}),
        ("dose_not_scaled", {"scaling": [math.nan]}),
    ],
)
def test_what_is_not_certain_is_not_drawn(code: str, keywords: dict[str, Any]):
    with pytest.raises(NoGrid) as refused:
        dose_of(replace(WHOLE, **keywords))
    assert refused.value.code == code
    assert refused.value.sentence


@pytest.mark.parametrize(
    ("keywords", "unit", "words"),
    [
        ({}, "Gy", ""),
        ({"type": "ERROR"}, "Gy", "Difference between doses"),
        ({"type": "EFFECTIVE", "summation": "BEAM"}, "Gy", "Effective dose, of one or more beams"),
        ({"summation": "FRACTION"}, "Gy", "Of one fraction group"),
        ({"unit": "RELATIVE"}, "", "Relative dose, not in Gy"),
        ({"type": "?", "unit": "RELATIVE"}, "", "Relative dose, not in Gy, kind of dose not said"),
        ({"summation": ""}, "Gy", "Not said of what it is the sum"),
    ],
)  # fmt: skip
def test_what_is_no_plan_s_physical_dose_in_gray_is_named(keywords, unit, words):
    found = dose_of(replace(WHOLE, **keywords))
    assert (found.unit, found.words) == (unit, words)
