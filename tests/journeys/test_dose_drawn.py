"""A dose over a plane of the patient, as the page's script samples, washes and outlines it."""

import struct
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from msgspec import json

from tests.making.drawn import ORIENTATIONS

SCRIPTS = Path(__file__).parents[2] / "static"
ADDRESS = "http://modules.invalid/"
POSITION = np.array([-11.0, 23.0, -40.0])
SPACING, ROWS, COLUMNS = (3.0, 2.0), 6, 7  # between rows, and between columns
ASCENDING, DESCENDING, UNEVEN = [0.0, 2.5, 5.0, 7.5], [0.0, -2.5, -5.0, -7.5], [0.0, 1.5, 5.0, 8.0]
GRADIENT, AT_ORIGIN = np.array([0.31, -0.17, 0.23]), 70.0012  # Gy/mm, Gy
SIDE = 24
ACROSS = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
    "oblique": ([0.8, 0.6, 0], [-0.48, 0.64, 0.6]),
}
DRAW = """async (cases) => {
  const dose = await import("/static/app/viewing/dose.js");
  return cases.map(({ told, frames, plane, levels, points }) => {
    const grid = new dose.Grid(told);
    frames.forEach((stored, frame) => grid.fill(frame, stored));
    const found = dose.sampled(grid, plane);
    const pixels = new ImageData(found.columns, found.rows);
    dose.wash(pixels, found, grid.highest, levels[0]);
    const { values, ...others } = found;
    return {
      ...others,
      values: values.join(),
      seen: pixels.data.filter((_, at) => at % 4 === 3).join(),
      paths: dose.isodoses(found, levels),
      words: points.map((point) => dose.inWords(grid, grid.at(point))),
      highest: grid.highest,
    };
  });
}"""


@pytest.fixture
def blank(browser):
    """A page that may import our scripts, and has nothing else."""

    def of_static(route) -> None:
        path = SCRIPTS / route.request.url.removeprefix(f"{ADDRESS}static/")
        if path.suffix == ".js":
            route.fulfill(body=path.read_text(), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    context = browser.new_context()
    page = context.new_page()
    page.route(f"{ADDRESS}**", of_static)
    page.goto(ADDRESS)
    yield page
    context.close()


@pytest.fixture
def draw(blank):
    """What the script makes of cases: (description, stored values, plane, levels, points)."""
    return lambda cases: blank.evaluate(DRAW, cases)


def axes_of(orientation) -> np.ndarray:
    """Directions in which columns, rows and planes follow each other."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    return np.array([row, column, np.cross(row, column)])


def grid_of(orientation, offsets, **keywords) -> tuple[dict[str, Any], np.ndarray]:
    """What the server says of a grid, and its stored values of the linear gradient."""
    row, column, normal = axes_of(orientation)
    k, j, i = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS), offsets)
    points = (
        POSITION + k[..., None] * SPACING[1] * row + j[..., None] * SPACING[0] * column
        + i[..., None] * normal
    )  # fmt: skip
    told = {
        "frame_of_reference": "2.25.9",
        "position": POSITION.tolist(),
        "orientation": [*orientation],
        "spacing": [*SPACING],
        "rows": ROWS,
        "columns": COLUMNS,
        "frames": len(offsets),
        "offsets": offsets,
        "scaling": 0.001,
        "unit": "Gy",
    } | keywords
    return told, np.rint(np.moveaxis(dose_at(points) * 1000, 2, 0))


def dose_at(points: np.ndarray) -> np.ndarray:
    return points @ GRADIENT + AT_ORIGIN


def plane_of(lies: str, middle: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """A plane through a point, a little beside its middle; and the points of its pixels."""
    row, column = (np.array(one, float) for one in ACROSS[lies])
    spacing = (1.2, 1.4)
    origin = middle - 11.3 * spacing[1] * row - 12.6 * spacing[0] * column
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    points = origin + x[..., None] * spacing[1] * row + y[..., None] * spacing[0] * column
    plane = {
        "origin": origin.tolist(),
        "row": row.tolist(),
        "column": column.tolist(),
        "normal": np.cross(row, column).tolist(),
        "spacing": spacing,
        "rows": SIDE,
        "columns": SIDE,
    }
    return plane, points


def is_inside(points: np.ndarray, orientation, offsets) -> np.ndarray:
    along = (points - POSITION) @ axes_of(orientation).T
    most = [(COLUMNS - 1) * SPACING[1], (ROWS - 1) * SPACING[0]]
    ends = [(0, most[0]), (0, most[1]), (min(offsets), max(offsets))]
    return np.all([(low <= along[..., n]) & (along[..., n] <= high)
                   for n, (low, high) in enumerate(ends)], axis=0)  # fmt: skip


def middle_of(orientation, offsets) -> np.ndarray:
    half = [(COLUMNS - 1) * SPACING[1] / 2, (ROWS - 1) * SPACING[0] / 2]
    return POSITION + np.array([*half, (offsets[0] + offsets[-1]) / 2]) @ axes_of(orientation)


def points_of(path: str) -> list[np.ndarray]:
    """The lines of a path, each as its points."""
    lines = (one.rstrip("Z").split("L") for one in path.split("M")[1:])
    return [np.array([[*map(float, point.split())] for point in line]) for line in lines]


def test_a_linear_dose_is_linear_in_all_orientations_of_its_grid_and_of_planes(draw):
    asked, cases = [], []
    for orientation in ORIENTATIONS.values():
        for offsets in (ASCENDING, DESCENDING, UNEVEN):
            told, stored = grid_of(orientation, offsets)
            middle = middle_of(orientation, offsets)
            levels = [float(dose_at(middle)) - 0.4, float(dose_at(middle)) + 0.7]
            outside = POSITION - 0.1 * axes_of(orientation)[0]
            for lies in ACROSS:
                plane, points = plane_of(lies, middle)
                asked.append((orientation, offsets, points, levels, stored.max() / 1000, middle))
                cases.append({
                    "told": told, "frames": stored.reshape(len(stored), -1).tolist(),
                    "plane": plane, "levels": levels,
                    "points": [middle.tolist(), outside.tolist()],
                })  # fmt: skip
    for (orientation, offsets, points, levels, highest, middle), found in zip(
        asked, draw(cases), strict=True
    ):
        values, seen = (in_rows(found[one]) for one in ("values", "seen"))
        inside, wanted = is_inside(points, orientation, offsets), dose_at(points)
        assert 25 < inside.sum() < SIDE * SIDE
        np.testing.assert_array_equal(np.isfinite(values), inside)
        np.testing.assert_allclose(values[inside], wanted[inside], atol=0.002)
        sure = np.abs(wanted - levels[0]) > 0.002
        above = 255 * (inside & (wanted > levels[0]))
        np.testing.assert_array_equal(seen[sure], above[sure])
        for level, path in zip(levels, found["paths"], strict=True):
            lines_are_where_the_level_is(points_of(path), level, wanted, inside)
        at = float(dose_at(middle))
        part = f"{100 * at / highest:.1f} % of the grid's maximum"
        assert found["words"] == [f"{at:.2f} Gy ({part})", "no dose here"]


def in_rows(text: str) -> np.ndarray:
    return np.array(text.split(","), float).reshape(SIDE, SIDE)


def lines_are_where_the_level_is(lines, level, wanted, inside) -> None:
    """Of a linear dose the level's points are a line: here each lies on it, and it is whole."""
    assert len(lines) >= 1
    down, across = np.gradient(wanted)
    slope = np.hypot(down.mean(), across.mean())
    points = np.concatenate(lines) - 0.5  # a pixel's centre is 0.5 from its corner
    found = wanted[0, 0] + points[:, 0] * across.mean() + points[:, 1] * down.mean()
    assert np.abs(found - level).max() / slope < 0.02  # of a pixel
    length = sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines)
    between = (wanted[:-1, :-1] - level) * (wanted[1:, 1:] - level) < 0
    assert length > 0.5 * np.sqrt(2) * (between & inside[:-1, :-1] & inside[1:, 1:]).sum() / 2


def test_a_hill_has_rings_and_a_saddle_is_joined_as_its_middle_says(draw):
    told, _ = grid_of(ORIENTATIONS["HFS"], ASCENDING, position=[0, 0, 0], spacing=[1, 1],
                      rows=5, columns=5, scaling=1)  # fmt: skip
    hill = np.zeros((5, 5))
    hill[1:4, 1:4], hill[2, 2] = 4, 8
    saddle = np.zeros((5, 5))
    saddle[1, 1] = saddle[2, 2] = 6
    plane = {"origin": [0, 0, 2.5], "row": [1, 0, 0], "column": [0, 1, 0], "normal": [0, 0, 1],
             "spacing": [1, 1], "rows": 5, "columns": 5}  # fmt: skip
    frames = [[*np.tile(one.ravel(), (4, 1)).tolist()] for one in (hill, saddle)]
    cases = [
        {"told": told, "frames": these, "plane": plane, "levels": levels, "points": []}
        for these, levels in ((frames[0], [6, 2, 9]), (frames[1], [2, 4]))
    ]
    of_hill, of_saddle = draw(cases)
    inner, outer, none = of_hill["paths"]
    [ring] = points_of(inner)  # halfway from 8 to 4
    assert {*map(tuple, ring.tolist())} == {(2.5, 2), (2, 2.5), (2.5, 3), (3, 2.5)}
    assert (outer.count("M"), outer.count("Z"), none) == (1, 1, "")
    assert np.ptp(points_of(outer)[0], axis=0).tolist() == [3, 3]
    assert [path.count("Z") for path in of_saddle["paths"]] == [1, 2]


def test_a_dose_is_said_in_words(draw):
    plane, _ = plane_of("axial", POSITION)
    cases = []
    for unit, value in (("", 830), ("Gy", 41_230), ("Gy", 0)):
        told, stored = grid_of(ORIENTATIONS["HFS"], ASCENDING, unit=unit)
        stored[:], stored[0, 0, 0], stored[-1, -1, -1] = 0, value, 60_015
        cases.append({"told": told, "frames": stored.reshape(4, -1).tolist(), "plane": plane,
                     "levels": [1], "points": [POSITION.tolist()]})  # fmt: skip
    assert [one["words"] for one in draw(cases)] == [
        ["0.83 relative"],
        ["41.23 Gy (68.7 % of the grid's maximum)"],
        ["0.00 Gy (0.0 % of the grid's maximum)"],
    ]


FETCH = """async (last) => {
  const { everyFrame } = await import("/static/app/viewing/records.js");
  const found = [];
  const take = (told, packed) => found.push([told.slice, packed.length]);
  const { signal } = new AbortController();
  const all = everyFrame("/frames/", [1, last], signal, take);
  const why = await all.then(() => "", ({ message }) => message);
  return [found, why];
}"""


def record(words: dict[str, Any], values: bytes = b"") -> bytes:
    text = json.encode(words)
    return struct.pack("<II", len(text), len(values)) + text + values


@pytest.mark.parametrize(
    ("cuts", "frames", "why"),
    [
        ([999], [1, 2, 3], ""),
        ([60, 999], [1, 2, 3], ""),  # within the second record
        ([0], [], "The connection broke off."),
        ([60, 5], [1], "The connection broke off."),
    ],
)
def test_frames_that_were_cut_off_are_asked_for_again(cuts, frames, why, blank):
    asked = []

    def answer(route) -> None:
        first = int(parse_qs(urlsplit(route.request.url).query)["first"][0])
        asked.append(first)
        sent = b"".join(record({"slice": n}, bytes(20 + n)) for n in range(first, 4))
        sent += record({"all_sent": True})
        route.fulfill(body=sent[: cuts[len(asked) - 1]], content_type="application/octet-stream")

    blank.route("**/frames/**", answer)
    assert blank.evaluate(FETCH, 3) == [[[n, 20 + n] for n in frames], why]
    assert asked == [1, 2][: len(cuts)]
