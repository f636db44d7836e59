"""Where contours are drawn: on phantoms whose outlines are known, in pixels of the picture.

The modules that decide it know no page: they are imported in one page without a server, and told of
slices and contours as a series' page is.
"""

import json
import math
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.models import DICOMInstance, DICOMSeries, RTStructureROI, RTStructureSetInformation
from tests.making.objects import contour as item_of_contour
from tests.making.objects import ct_image, rt_structure_set, uid
from tests.making.objects import roi as item_of_roi
from tests.making.pictures import attributes_of

from .test_browser import serious_findings
from .test_pictures import wait_for_a_frame

STATIC = Path(__file__).parents[2] / "static"
NOWHERE = "https://icon.test/"
FRAME = "2.25.9"
HALF_PIXEL = 0.02  # far less than that, and more than what points are rounded by

# Told of all slices at once, it gives what is drawn on each, and what is said of each ROI.
DRAWN = """async ({ words, values, slices, cuts, places, coming, ends }) => {
  const { Contours } = await import("/static/app/viewing/contours.js");
  const { pick } = await import("/static/app/viewing/shapes.js");
  const { planeOf } = await import("/static/app/viewing/space.js");
  const set = new Contours(words, Int32Array.from(values));
  const stack = { first: 0, last: slices.length - 1 };
  slices.forEach(({ told, rendering, ...own }, number) => {
    set.see(number, { ...told.place, ...own, stack, plane: planeOf({ told, rendering }) });
  });
  const early = new Contours(words, Int32Array.from(values)); // which has been told of one slice
  const { told, rendering, ...own } = slices[slices.length >> 1];
  early.see(slices.length >> 1, { ...own, stack, plane: planeOf({ told, rendering }) });
  const bit = new Contours(words, Int32Array.from(values)); // and one that is told bit by bit
  const within = ends.map(([first, last]) => ({ first, last }));
  const onEach = coming.map((numbers) => {
    for (const number of numbers) {
      const { told, rendering, ...own } = slices[number];
      const stack = within.find(({ last }) => number <= last);
      bit.see(number, { ...told.place, ...own, stack, plane: planeOf({ told, rendering }) });
    }
    return slices.map((one, number) => bit.on(number).map(({ roi }) => roi));
  });
  const drawn = ["roi", "closed", "lines", "solid", "crosses", "dots"];
  const plain = (shapes) => shapes.map((one) => (
    Object.fromEntries(drawn.map((key) => [key, one[key]]))
  ));
  const there = (number) => (number < 0 ? set.across(planeOf(cuts[-1 - number])) : set.on(number));
  return {
    slices: slices.map((one, number) => plain(set.on(number))),
    cuts: cuts.map((cut) => plain(set.across(planeOf(cut)))),
    said: set.rois.map((roi) => set.saidOf(roi)),
    amiss: set.rois.map((roi) => set.isAmiss(roi)),
    middles: set.rois.map((roi) => set.middleOf(roi, 0, slices.length)),
    early: early.rois.map((roi) => early.middleOf(roi, 0, slices.length)),
    coming: onEach,
    picked: places.map(([number, x, y]) => pick(there(number), [x, y], [2, 2])?.roi ?? null),
  };
}"""


class Slice:
    """A slice of `size` rows and columns, by its Image Plane Module."""

    def __init__(
        self,
        position: Sequence[float],
        orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
        spacing: Sequence[float] = (1, 1),
        *,
        frame: str = FRAME,
        object: int = 1,
        size: int = 64,
        thickness: float | None = None,
        number: int = 0,
        voxel: float = 0,
    ) -> None:
        self.position, self.orientation = [*map(float, position)], [*map(float, orientation)]
        self.spacing, self.frame = [*map(float, spacing)], frame
        self.size, self.own = size, {"object": object, "frame": number}
        self.own |= {"thickness": thickness}
        self.voxel = voxel  # how thick a plane is that has been cut
        self.has_picture = True

    def pixel(self, point: Sequence[float]) -> tuple[float, float]:
        """The place of a point on a drawing, whose origin is the first pixel's corner."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        away = np.subtract(point, self.position)
        return (
            float(away @ row / self.spacing[1]) + 0.5,
            float(away @ column / self.spacing[0]) + 0.5,
        )

    @property
    def told(self) -> dict[str, Any]:
        place = {
            "position": self.position,
            "orientation": self.orientation,
            "frame_of_reference": self.frame,
            "thickness": self.voxel,
        }
        told = {"place": place, "whole_rows": self.size, "whole_columns": self.size}
        kind = "patient" if self.has_picture else "unknown"
        rendering = {"spacing": self.spacing, "spacing_kind": kind}
        return {"told": told, "rendering": rendering, **self.own}


def contour(
    points: Any,
    of: int | None = None,
    kind: str = "CLOSED_PLANAR",
    *,
    is_here: bool = True,
    frame: int = 0,
) -> dict[str, Any]:
    """A contour that names an object, or one of its frames, or none."""
    own = {"of": of, "kind": kind, "is_here": is_here, "frame": frame}
    return {"points": np.asarray(points, float)} | own


def drawn(
    page: Any,
    slices: Sequence[Slice],
    *rois: Sequence[dict[str, Any]],
    frame: str = FRAME,
    cuts: Sequence[Slice] = (),
    places: Sequence[Any] = (),
    coming: Sequence[Sequence[int]] = (),
    ends: Sequence[tuple[int, int]] = (),
) -> dict[str, Any]:
    """What the page's modules make of ROIs, each of these contours."""
    every = [one for contours in rois for one in contours]
    images = [[one["of"] or 0, one["is_here"]] for one in every]
    types = sorted({one["kind"] for one in every})
    numbers = iter(range(len(every)))

    def told(one: dict[str, Any]) -> list[int]:
        number = next(numbers)
        image = -1 if one["of"] is None else number
        return [types.index(one["kind"]), len(one["points"]), image, one["frame"]]

    words = {
        "unit": 0.01,
        "points": sum(len(one["points"]) for one in every),
        "types": types,
        "images": images,
        "rois": [
            {"name": f"ROI {at}", "frame_of_reference": frame, "contours": [*map(told, contours)]}
            for at, contours in enumerate(rois)
        ],
        "slices": [[one.own["object"], one.own["frame"]] for one in slices],
    }
    points = np.concatenate([one["points"] for one in every] or [np.zeros((0, 3))])
    asked = {
        "words": words,
        "values": np.round(points.T.ravel() * 100).astype(int).tolist(),
        "slices": [one.told for one in slices],
        "cuts": [one.told for one in cuts],
        "places": [*places],
        "coming": [*coming],
        "ends": [*ends],
    }
    return page.evaluate(DRAWN, json.loads(json.dumps(asked)))


def loops(path: str) -> list[np.ndarray]:
    """The points of each part of a path."""
    parts = [part for part in re.split("[MZ]", path) if part]
    return [np.array([[*map(float, pair.split())] for pair in part.split("L")]) for part in parts]


def shape(found: Sequence[dict[str, Any]], roi: int = 0) -> dict[str, Any]:
    return next(one for one in found if one["roi"] == roi)


def square(
    centre: Sequence[float], side: float, along: Any = (1, 0, 0), down: Any = (0, 1, 0)
) -> Any:
    """The corners of a square."""
    half = [np.multiply(one, side / 2) for one in (along, down)]
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([centre + a * half[0] + b * half[1] for a, b in signs])


def circle(centre: Sequence[float], radius: float, count: int = 360) -> np.ndarray:
    angles = np.arange(count) * 2 * np.pi / count
    flat = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    return flat * radius + centre


def stack(count: int = 9, spacing: float = 3, **more: Any) -> list[Slice]:
    """Axial slices whose first pixel's centre is at -31.5, as planning systems have it."""
    return [Slice((-31.5, -31.5, spacing * n), object=n + 1, **more) for n in range(count)]


# What a server may answer, and what is said of it.
REFUSED = "It is not to be had: reload the page."
ANSWERS: dict[str, dict[str, Any]] = {
    "large": {"status": 413, "body": "Too much.", "content_type": "text/plain; charset=utf-8"},
    "proxy": {"status": 413, "body": "<h1>413</h1>", "content_type": "text/html"},
    "fault": {"status": 500, "body": "Traceback", "content_type": "text/plain"},
    "foreign": {"status": 403, "body": "<h1>403</h1>", "content_type": "text/html"},
    "out": {"status": 401, "body": "out", "content_type": "text/plain"},
    "changed": {"status": 409, "body": "It has changed.", "content_type": "text/plain"},
}
SAID = {
    **{"large": "Too much.", "proxy": REFUSED, "fault": REFUSED},
    "foreign": "You may not see this.",
    "out": "Sign in again: reload the page.",
    "changed": "The series has changed: reload the page.",
    "here": "",
}
WHY_NOT = """async (urls) => {
  const { answerOf, whyNot } = await import("/static/app/viewing/records.js");
  return Promise.all(urls.map((url) => answerOf(url).then(() => "", whyNot)));
}"""


@pytest.fixture(scope="module")
def bare(browser):
    """A page that has nothing but the modules."""
    context = browser.new_context()
    page = context.new_page()

    def answer(route: Any) -> None:
        path = route.request.url.removeprefix(NOWHERE).removeprefix("static/")
        if path in ANSWERS:
            return route.fulfill(**ANSWERS[path])
        if path.endswith(".js"):
            route.fulfill(path=STATIC / path, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>Nothing</title>", content_type="text/html")

    page.route(f"{NOWHERE}**", answer)
    page.goto(NOWHERE)
    yield page
    context.close()


REACHING = """async ([first, last]) => {
  const { Masks } = await import("/static/app/viewing/masks.js");
  const [row, column, normal] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const heights = [0, 3, 6, 9, 0, 27]; // of two stacks in one place
  const lies = (z) => ({ origin: [0, 0, z], row, column, normal, spacing: [1, 1], frame: "1" });
  const places = new Map(heights.map((z, number) => [number, { position: [0, 0, z] }]));
  const layer = new Masks({ slices: { places }, stack: { first, last }, redraw() {} }, () => {});
  const masks = new Map(heights.map((z, number) => [number, [{ segment: 0, mask: { plane: lies(z), number } }]]));
  layer.show({ frame_of_reference: "1", segments: [{}] }, masks);
  const found = layer.reaching({ plane: lies(0), number: null });
  return found.map(({ mask, below, above }) => [mask.number, below, above]);
}"""  # noqa: E501


def test_a_mask_reaches_between_the_slices_of_its_own_stack(bare):
    whole = [[0, 1.5, 1.5], [1, 1.5, 1.5], [2, 1.5, 1.5], [3, 1.5, 1.5]]
    assert bare.evaluate(REACHING, [0, 3]) == whole
    assert bare.evaluate(REACHING, [4, 5]) == [[4, 13.5, 13.5], [5, 13.5, 13.5]]


PREPARED = """async ({ words, values, plane, hasIdle }) => {
  const { Contours } = await import("/static/app/viewing/contours.js");
  const { planeOf } = await import("/static/app/viewing/space.js");
  const idle = globalThis.requestIdleCallback;
  if (!hasIdle) globalThis.requestIdleCallback = undefined;
  const [set, other, dropped] = [0, 0, 0].map(() => new Contours(words, Int32Array.from(values)));
  await set.cuts.prepare(() => true);
  dropped.cuts.findOn(); // what was begun is gone on with by the first cut
  const isPrepared = set.cuts.found !== null && dropped.cuts.found === null;
  globalThis.requestIdleCallback = idle;
  const all = [set, other, dropped].map((one) => one.across(planeOf(plane)).map(({ solid }) => solid));
  return [isPrepared, ...all];
}"""  # noqa: E501


@pytest.mark.parametrize("has_idle", [True, False])
def test_cuts_are_prepared_in_idle_time(bare, has_idle):
    rings = [square((0, 0, 3 * n), 20 + n) for n in range(9)]
    words = {
        **{"unit": 0.01, "points": 36, "types": ["CLOSED_PLANAR"], "images": [], "slices": []},
        "rois": [{"frame_of_reference": FRAME, "contours": [[0, 4, -1, 0]] * 9}],
    }
    values = np.round(np.concatenate(rings).T.ravel() * 100).astype(int).tolist()
    asked = {"words": words, "values": values, "plane": coronal(0.5).told, "hasIdle": has_idle}
    is_prepared, *cuts = bare.evaluate(PREPARED, asked)
    assert is_prepared
    assert len(loops(cuts[0][0])) >= 1
    assert cuts == [cuts[0]] * 3


def test_what_the_server_refuses_is_told(bare):
    assert bare.evaluate(WHY_NOT, [f"/{one}" for one in SAID]) == [*SAID.values()]


# --- on slices ----------------------------------------------------------------------------------

# Orientation, and column, row and distance of the first pixel's centre + (7, -3, 2) mm, where
# pixels are 0.8 mm high and 0.5 mm wide: PS3.3 C.7.6.2.1.1 by hand.
POSITIONS = {
    "head first, supine": ((1, 0, 0, 0, 1, 0), (14, -3.75, 2)),
    "head first, prone": ((-1, 0, 0, 0, -1, 0), (-14, 3.75, 2)),
    "feet first, supine": ((-1, 0, 0, 0, 1, 0), (-14, -3.75, -2)),
    "feet first, prone": ((1, 0, 0, 0, -1, 0), (14, 3.75, -2)),
    "head first, on the left": ((0, -1, 0, 1, 0, 0), (6, 8.75, 2)),
    "head first, on the right": ((0, 1, 0, -1, 0, 0), (-6, -8.75, 2)),
    "feet first, on the left": ((0, 1, 0, 1, 0, 0), (-6, 8.75, -2)),
    "feet first, on the right": ((0, -1, 0, -1, 0, 0), (6, -8.75, -2)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (-6, -2.5, -7)),
    "coronal": ((1, 0, 0, 0, 0, -1), (14, -2.5, -3)),
}


@pytest.mark.parametrize("position", POSITIONS)
def test_points_lie_where_the_standard_has_them(bare, position):
    orientation, (column, row, off) = POSITIONS[position]
    origin = np.array((-120.5, 33.25, -455))
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(across, down)
    slices = [
        Slice(origin + 16 * n * normal, orientation, (0.8, 0.5), object=n + 1) for n in range(2)
    ]
    point = origin + np.array((7, -3, 2))
    corners = [point, point + 10 * 0.5 * across, point + 20 * 0.8 * down]
    found = drawn(bare, slices, [contour(corners, 1)], [contour([point], 1, "POINT")])
    wanted = np.array([(column, row), (column + 10, row), (column, row + 20)]) + 0.5
    assert np.allclose(loops(shape(found["slices"][0])["closed"])[0], wanted, atol=HALF_PIXEL)
    assert np.allclose(shape(found["slices"][0], 1)["crosses"], [wanted[0]], atol=HALF_PIXEL)
    assert abs(off) < 8  # half the spacing
    assert found["slices"][1] == []


PIXELS = """async ({ slices, pixel }) => {
  const { pixelOf, planeOf, pointOf } = await import("/static/app/viewing/space.js");
  const planes = slices.map(planeOf);
  return planes.map((plane) => plane && pixelOf(plane, pointOf(plane, pixel)));
}"""


def test_pixels_have_places_only_where_these_lead_back_to_them(bare):
    slope = math.radians(83)
    square = [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0.0009, 1, 0), (1.0009, 0, 0, 0, 0.9991, 0)]
    askew = [
        *((1, 0, 0, math.cos(slope), math.sin(slope), 0), (1, 0, 0, 0.0011, 1, 0)),
        *((1.0011, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0.9989, 0), (math.nan, 0, 0, 0, 1, 0)),
    ]
    slices = [Slice((0, 0, 0), one).told for one in (*square, *askew)]
    found = bare.evaluate(PIXELS, {"slices": slices, "pixel": [200, 200]})
    assert np.allclose(found[:3], [[200, 200, 0]] * 3, atol=0.5)
    assert found[3:] == [None] * 5


def test_corners_on_the_edges_of_pixels_are_whole_numbers(bare):
    found = drawn(bare, stack(), [contour(square((0, 0, 6), 20), 3)])
    assert shape(found["slices"][2])["closed"] == "M22 22L42 22L42 42L22 42Z"
    assert [bool(one) for one in found["slices"]] == [at == 2 for at in range(9)]


def test_a_contour_lies_on_the_image_that_it_names_or_nowhere(bare):
    slices = stack()
    near = contour(square((0, 0, 7.5), 8), 3)  # at half a spacing, as far as it may be
    wrong = contour(square((0, 0, 9), 8), 3)
    found = drawn(bare, slices, [near, wrong], [wrong, wrong, wrong])
    assert len(loops(shape(found["slices"][2])["closed"])) == 1
    assert [len(one) for one in found["slices"]] == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert found["said"] == [
        ["Not drawn: 1 contour lies elsewhere than the image that it names."],
        ["Not drawn: 3 contours lie elsewhere than the images that they name."],
    ]


def test_the_middle_of_a_structure_is_known_before_its_slices_are(bare):
    named = [contour(square((0, 0, 3 * at), 8), at + 1) for at in range(2, 7)]
    found = drawn(bare, stack(), named)
    assert found["middles"] == found["early"] == [4]


def test_nothing_is_drawn_before_both_neighbours_of_a_slice_are_known(bare):
    """The nearest slice that has come is no neighbour: its half spacing would be far too wide."""
    slices = stack(150)
    wrong = [contour(square((0, 0, 3 * 97), 8), 101)]
    right = [contour(square((0, 0, 3 * 100), 8), 101)]
    free = [contour(square((0, 0, 3 * 97), 8)), contour([(0, 0, 3 * 80)], kind="POINT")]
    coming = [[*range(11), 100], [99], [101], [149], [148]]
    far = [contour([(0, 0, 3 * n)], kind="POINT") for n in (0, 149)]
    found = drawn(bare, slices, wrong, right, free, far, coming=coming, ends=[(0, 149)])["coming"]
    assert [one[100] for one in found] == [[], [], [1], [1], [1]]
    assert found[0][0] == [3]  # the first, of which there is one neighbour
    assert [one[149] for one in found] == [[], [], [], [], [3]]


def test_a_slice_without_a_picture_keeps_contours_from_others_by_where_it_lies(bare):
    slices = stack(9)
    for number in (3, 5):
        slices[number].has_picture = False  # it has a place
    for number in (1, 2):
        slices[number] = Slice((), object=number + 1)  # it has none, and never comes
    off = [contour(square((0, 0, z), 8), 5) for z in (12, 13.4, 14)]
    beside = [contour(square((0, 0, 0.3), 8), 1), contour(square((0, 0, 9), 8), 4)]
    found = drawn(bare, slices, off, beside, coming=[[0, 4], [3, 5], [1, 2]], ends=[(0, 8)])
    assert found["coming"] == [
        [[]] * 9,
        [[], [], [], [], [0], [], [], [], []],
        [[1], [], [], [], [0], [], [], [], []],
    ]
    assert len(loops(shape(found["slices"][4])["closed"])) == 2  # not at 14: it is nearer to 15


def test_neighbours_lie_elsewhere_in_the_same_stack(bare):
    # Two in each place, then one that lies nowhere, then another stack in the same place.
    doubles = [Slice((-31.5, -31.5, 3 * (n // 2)), object=n + 1) for n in range(6)]
    nowhere = Slice((), object=7)
    other = [Slice((-31.5, -31.5, z), object=8 + n) for n, z in enumerate((0, 1))]
    named = [contour(square((0, 0, 3 * (n // 2)), 8), n + 1) for n in range(6)]
    slices = [*doubles, nowhere, *other]
    coming = [[2, 3], [0, 1], [4, 5], [6]]
    found = drawn(bare, slices, named, coming=coming, ends=[(0, 6), (7, 8)])["coming"]
    there = [[number for number, rois in enumerate(one) if rois] for one in found]
    assert there == [[], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]


def test_a_contour_that_names_no_image_lies_on_the_nearest_slice(bare):
    slices = stack()
    free = [contour(square((0, 0, z), 8)) for z in (0.4, 4.5, 26)]
    of_others = [contour(square((0, 0, 12), 8), 99, is_here=False)]
    found = drawn(bare, slices, free, of_others)
    assert [[one["roi"] for one in here] for here in found["slices"]] == [
        [0], [0], [], [], [1], [], [], [], [],
    ]  # fmt: skip
    assert found["said"] == [["Not drawn: 1 contour lies on no slice of this series."], []]
    assert found["amiss"] == [False, False]
    assert found["middles"] == [1, 4]


def test_of_contours_of_thinner_slices_the_nearest_are_drawn(bare):
    thin = [contour(square((0, 0, z), 10 + z)) for z in range(0, 25, 2)]
    hole = [contour(square((0, 0, 6), 8))]
    points = [contour([(20, 20, z)], kind="POINT") for z in (5, 7)]
    found = drawn(bare, stack(5, 6), [*thin, *hole], points, places=[(1, 32, 32), (1, 26, 32)])
    sides = [loops(shape(here)["closed"])[0] for here in found["slices"]]
    assert [float(np.ptp(one[:, 0])) for one in sides] == [10, 16, 22, 28, 34]
    assert len(loops(shape(found["slices"][1])["closed"])) == 2
    assert found["picked"] == [None, 0]
    assert len(shape(found["slices"][1], 1)["crosses"]) == 2
    assert found["said"] == [
        ["Not drawn: 8 contours lie between slices, where nearer ones are drawn."],
        [],
    ]


def test_frames_of_an_object_are_its_own_or_whichever_is_nearest(bare):
    """The frames lie in another order than they have numbers."""
    slices = [Slice((-31.5, -31.5, 3 * n), number=3 - n) for n in range(4)]
    named = [contour(square((0, 0, 3), 8), 1, frame=3)]
    wrong = [contour(square((0, 0, 3), 8), 1, frame=2)]
    whole = [contour(square((0, 0, z), 8), 1) for z in (2, 7.5)]
    found = drawn(bare, slices, named, wrong, whole)
    assert [[one["roi"] for one in here] for here in found["slices"]] == [[], [0, 2], [2], []]
    assert found["said"][1] == ["Not drawn: 1 contour lies elsewhere than the image that it names."]
    assert found["middles"] == [1, None, 2]


def test_another_frame_of_reference_is_not_drawn(bare):
    mixed = [
        Slice((0, 0, 3 * n), object=n + 1, frame="2.25.8" if n == 1 else FRAME) for n in range(3)
    ]
    named = [contour(square((20, 20, 3 * n), 8), n + 1) for n in range(3)]
    free = [contour(square((20, 20, 3 * n), 8)) for n in range(3)]
    found = drawn(bare, mixed, named, free)
    assert [len(one) for one in found["slices"]] == [2, 0, 2]
    assert found["said"][0] == [
        "Not drawn: 1 contour lies in another frame of reference than these images."
    ]
    wrong = contour(square((20, 20, 0), 8), 3)
    several = drawn(bare, mixed, [*named, wrong])
    assert several["said"][0] == [
        "Not drawn: 1 contour lies in another frame of reference than these images; "
        "1 contour lies elsewhere than the image that it names."
    ]
    nothing = drawn(bare, mixed, named, frame="2.25.7")
    assert nothing["slices"] == [[], [], []]
    assert nothing["amiss"] == several["amiss"][:1] == [True]
    assert nothing["said"] == [
        ["Not drawn: it lies in another frame of reference than these images."]
    ]


def test_a_frame_of_reference_that_is_not_known_is_that_of_named_images_alone(bare):
    named, free = [contour(square((0, 0, 3), 8), 2)], [contour(square((0, 0, 3), 8))]
    for slices, frame in ((stack(), ""), (stack(frame=""), FRAME), (stack(frame=""), "")):
        found = drawn(bare, slices, named, free, frame=frame)
        assert [[one["roi"] for one in here] for here in found["slices"][:3]] == [[], [0], []]


def test_slices_may_lie_anyhow(bare):
    """Oblique, and of pixels that are not square: by the plane, not by z."""
    across, down = np.array((0.8, 0.6, 0)), np.array((-0.36, 0.48, 0.8))
    normal = np.cross(across, down)
    origin = np.array((10.0, -20, 30))
    slices = [
        Slice(origin + 2.5 * n * normal, (*across, *down), (2, 0.5), object=n + 1) for n in range(5)
    ]
    centre = origin + 5 * normal + 12 * across + 24 * down
    corners = square(centre, 8, across, down)
    found = drawn(bare, slices, [contour(corners)], [contour(corners, 3)])
    wanted = [(16.5, 10.5), (32.5, 10.5), (32.5, 14.5), (16.5, 14.5)]
    for roi in range(2):
        assert np.allclose(
            loops(shape(found["slices"][2], roi)["closed"])[0], wanted, atol=HALF_PIXEL
        )
    assert [len(one) for one in found["slices"]] == [0, 0, 2, 0, 0]


def test_a_gap_is_no_spacing_and_a_slice_alone_has_a_narrow_one(bare):
    gap = [Slice((0, 0, z), object=z + 1) for z in (0, 3, 9, 12)]
    found = drawn(bare, gap, [contour(square((0, 0, 5.5), 8))])
    assert found["slices"] == [[], [], [], []]
    alone = drawn(bare, stack(1), [contour(square((0, 0, z), 8)) for z in (0.5, 1.5)])
    assert len(loops(shape(alone["slices"][0])["closed"])) == 1
    thick = drawn(bare, stack(1, thickness=4), [contour(square((0, 0, z), 8)) for z in (1.5, 2.5)])
    assert len(loops(shape(thick["slices"][0])["closed"])) == 1


def test_kinds_are_drawn_as_what_they_are(bare):
    points = square((0, 0, 6), 10)
    kinds = ("OPEN_PLANAR", "OPEN_NONPLANAR", "POINT", "CLOSEDPLANAR_XOR", "")
    found = drawn(
        bare,
        stack(),
        *([contour(points[:1] if kind == "POINT" else points, 3, kind)] for kind in kinds),
        [],
    )
    here = found["slices"][2]
    for roi in (0, 1):
        assert shape(here, roi) == {
            "roi": roi, "closed": "", "lines": "M27 27L37 27L37 37L27 37", "solid": "",
            "crosses": [], "dots": [],
        }  # fmt: skip
    assert shape(here, 2)["crosses"] == [[27, 27]]
    assert shape(here, 3)["closed"].endswith("Z")
    assert found["said"][4:] == [["Not drawn: 1 contour of no known type."], ["No contours."]]


# --- under the pointer, and cut ----------------------------------------------------------------


def coronal(y: float) -> Slice:
    """A plane at a y, as it is cut through `stack`: 1 mm, from the highest z downwards."""
    return Slice((-31.5, y, 40.5), (1, 0, 0, 0, 0, -1), voxel=1)


def sagittal(x: float) -> Slice:
    return Slice((x, -31.5, 40.5), (0, 1, 0, 0, 0, -1))


def corners_of(solid: str) -> np.ndarray:
    """Left, top, right and bottom of each part, from the top."""
    found = np.array([[*one.min(axis=0), *one.max(axis=0)] for one in loops(solid)])
    return found[np.lexsort((found[:, 0], found[:, 1]))]


def test_a_cylinder_is_cut_into_a_rectangle(bare):
    rings = [contour(circle((0, 0, 3 * n), 20), n + 1) for n in range(2, 7)]
    found = drawn(
        bare, stack(), rings, cuts=[coronal(0.5), coronal(12), sagittal(-16), coronal(20.5)]
    )
    for cut, wide in zip(found["cuts"], (math.sqrt(20**2 - 0.5**2), 16, 12), strict=False):
        # Five layers of 3 mm, from z = 19.5 down to 4.5; a row's middle is at z = 40.5 - row.
        wanted = [(32 - wide, 21.5 + 3 * n, 32 + wide, 24.5 + 3 * n) for n in range(5)]
        assert np.allclose(corners_of(shape(cut)["solid"]), wanted, atol=HALF_PIXEL)
        # Lines around the whole of it, and none between layers that lie over each other.
        level = [one for one in loops(shape(cut)["lines"]) if one[0, 1] == one[1, 1]]
        lengths = {}
        for one in level:
            lengths[one[0, 1]] = lengths.get(one[0, 1], 0) + abs(one[1, 0] - one[0, 0])
        assert sorted(at for at, length in lengths.items() if length > 0.1) == [21.5, 36.5]
    assert found["cuts"][3] == []


def test_a_sphere_is_cut_into_layers_that_grow_and_shrink(bare):
    radius, middle = 11, 12
    heights = [3 * n for n in range(1, 8)]
    radii = [math.sqrt(radius**2 - (z - middle) ** 2) for z in heights]
    rings = [contour(circle((0, 0, z), r)) for z, r in zip(heights, radii, strict=True)]
    found = drawn(bare, stack(), rings, cuts=[sagittal(3)])
    wanted = [
        (32 - math.sqrt(r**2 - 9), 39.5 - z, 32 + math.sqrt(r**2 - 9), 42.5 - z)
        for z, r in zip(reversed(heights), reversed(radii), strict=True)
    ]
    assert np.allclose(corners_of(shape(found["cuts"][0])["solid"]), wanted, atol=HALF_PIXEL)
    for at, r in zip(range(1, 8), radii, strict=True):
        ring = loops(shape(found["slices"][at])["closed"])[0] - 32
        assert np.allclose(np.hypot(*ring.T), r, atol=HALF_PIXEL)


def test_holes_are_holes_nested_or_by_a_keyhole(bare):
    outer, inner = square((0, 0, 6), 30), square((0, 0, 6), 10)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1], outer[:1]])
    nested = [contour(outer, 3), contour(inner, 3)]
    both = [contour(outer, 3, "CLOSEDPLANAR_XOR"), contour(inner, 3, "CLOSEDPLANAR_XOR")]
    places = [(2, 32, 32), (2, 22, 32), (2, 32, 42), (2, 50, 32), (-1, 32, 35), (-1, 22, 35)]
    for roi in (nested, both, [contour(keyhole, 3)]):
        found = drawn(bare, stack(), roi, cuts=[coronal(0.25)], places=places)
        assert found["picked"] == [None, 0, 0, None, None, 0]
        wanted = [(17, 34, 27, 36), (37, 34, 47, 36)]  # of one layer alone: 2 mm
        assert np.allclose(corners_of(shape(found["cuts"][0])["solid"]), wanted, atol=HALF_PIXEL)


def test_open_contours_and_points_are_seen_where_a_plane_meets_them(bare):
    across = [contour([(-20, -9.5, 6), (0, 10.5, 6), (20, -9.5, 6)], 3, "OPEN_PLANAR")]
    rising = [contour([(-10, -10, 1), (10, 10, 21)], kind="OPEN_NONPLANAR")]
    along = [contour([(5, 0.5, 3), (9, 0.5, 3), (9, 30, 3)], kind="OPEN_PLANAR")]
    level = [contour([(-4, 0.5, 9), (4, 0.9, 9)], kind="OPEN_PLANAR")]
    points = [contour([(0, y, 12)], kind="POINT") for y in (0.1, 0.95, 1.0, 1.1, 1.4)]
    cuts = [coronal(0.5), coronal(1.5), coronal(40)]
    found = drawn(
        bare, stack(), across, rising, along, level, points,
        cuts=cuts, places=[(-1, 22, 35), (-1, 32.5, 28.5)],
    )  # fmt: skip

    def dots(number: int, roi: int) -> list[tuple[float, float]]:
        return [(one["x"], one["y"]) for one in shape(found["cuts"][number], roi)["dots"]]

    # A pixel's middle is at x = column - 31.5 and at z = 40.5 - row.
    assert np.allclose(dots(0, 0), [(22, 35), (42, 35)])
    assert np.allclose(dots(0, 1), [(32.5, 29.5)])
    assert shape(found["cuts"][0], 2)["lines"] == "M37 38L41 38"
    assert loops(shape(found["cuts"][0], 3)["lines"])[0].tolist() == [[28, 32], [36, 32]]
    assert dots(0, 3) == []
    assert [len(shape(found["cuts"][n], 4)["crosses"]) for n in (0, 1)] == [3, 2]
    assert [one["roi"] for one in found["cuts"][1]] == [0, 1, 2, 4]
    assert found["cuts"][2] == []
    assert found["picked"] == [0, 1]
    # The slices themselves are crossed by what rises through them.
    assert [len(shape(here, 1)["dots"]) for here in found["slices"][1:8]] == [1] * 7
    assert found["said"][1] == [
        "1 contour is not parallel to the slices: seen where the slices cut it."
    ]


def test_the_smallest_roi_at_a_place_is_picked(bare):
    large, small = [contour(square((0, 0, 6), 30), 3)], [contour(square((0, 0, 6), 10), 3)]
    point = [contour([(20, 20, 6)], 3, "POINT")]
    line = [contour([(-31, 25, 6), (31, 25, 6)], 3, "OPEN_PLANAR")]
    places = [
        (2, 32, 32), (2, 20, 32), (2, 38.5, 32), (2, 39.5, 32),  # 4 of the screen are 2 pixels
        (2, 50, 52), (2, 10, 58), (2, 10, 5), (-1, 32, 35), (-1, 20, 35), (-1, 20, 30),
    ]  # fmt: skip
    found = drawn(bare, stack(), large, small, point, line, cuts=[coronal(0)], places=places)
    assert found["picked"] == [1, 0, 1, 0, 2, 3, None, 1, 0, None]


def test_contours_of_other_planes_are_cut_by_the_slices_themselves(bare):
    """Sagittal slices, and axial contours that another series was drawn on."""
    slices = [Slice((2 * n, -31.5, 40.5), (0, 1, 0, 0, 0, -1), object=n + 1) for n in range(-4, 5)]
    rings = [contour(square((0, 0, 3 * n), 8)) for n in range(4)]
    flat = [contour(square((2, 0, 10), 8, (0, 1, 0), (0, 0, 1)))]
    found = drawn(bare, slices, rings, flat)
    assert [[one["roi"] for one in here] for here in found["slices"]] == [
        [], [], [0], [0], [0], [0, 1], [], [], [],
    ]  # fmt: skip
    wanted = [(28, 30.5 + 3 * n, 36, 33.5 + 3 * n) for n in range(4)]
    assert np.allclose(corners_of(shape(found["slices"][4])["solid"]), wanted, atol=HALF_PIXEL)
    assert loops(shape(found["slices"][5], 1)["closed"])
    assert found["said"] == [
        ["4 contours are not parallel to the slices: seen where the slices cut them."], [],
    ]  # fmt: skip


def test_what_names_the_wrong_image_is_not_cut_either(bare):
    wrong = [contour(square((0, 0, 9), 8), 3)]
    other = [contour(square((0, 0, 9), 8), 4)]
    found = drawn(bare, stack(), wrong, other, cuts=[coronal(0)])
    assert [one["roi"] for one in found["cuts"][0]] == [1]
    away = drawn(bare, stack(), other, frame="2.25.7", cuts=[coronal(0)])
    assert away["cuts"] == [[]]


# --- through the server --------------------------------------------------------------------------

# What is drawn of a structure set on the slice that is an object, as a page has it.
DRAWN_ON = """async ([series, set, object]) => {
  const { contoursOf } = await import("/static/app/viewing/contours.js");
  const { planeOf } = await import("/static/app/viewing/space.js");
  const answer = async (path) => (await fetch(`/dicom/series/${series}/${path}/`)).arrayBuffer();
  const contours = await contoursOf(await answer(`contours/${set}`));
  const buffer = await answer("pictures");
  const lengths = new DataView(buffer);
  const stack = { first: 0, last: contours.sliceCount - 1 };
  let rendering = null;
  for (let at = 0; at < buffer.byteLength; ) {
    const [words, values] = [lengths.getUint32(at, true), lengths.getUint32(at + 4, true)];
    const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, at + 8, words)));
    at += 8 + words + values;
    if (told.all_sent) break;
    rendering = told.rendering ?? rendering;
    const plane = planeOf({ told, rendering });
    contours.see(told.slice, { object: told.object, frame: told.frame, stack, plane });
  }
  const number = contours.words.slices.findIndex(([one]) => one === object);
  return contours.on(number).map(({ roi, closed }) => ({ roi, closed }));
}"""


def test_contours_of_objects_lie_where_the_standard_has_them(signed_in, import_zip):
    """In all positions of a patient, from the bytes of two objects each to the path."""
    images, rois, wanted = [], [], []
    origin = np.array((-120.5, 33.25, -455))
    for at, (orientation, (column, row, _)) in enumerate(POSITIONS.values()):
        across, down = np.array(orientation[:3]), np.array(orientation[3:])
        for number in range(2):
            position = origin + 16 * number * np.cross(across, down)
            images.append(
                image(
                    number,
                    SeriesInstanceUID=uid(2, 20 + at),
                    SOPInstanceUID=uid(2, 20 + at, number + 1),
                    ImagePositionPatient=[f"{one:g}" for one in position],
                    ImageOrientationPatient=[*map(str, orientation)],
                    PixelSpacing=["0.8", "0.5"],
                )
            )
        point = origin + np.array((7, -3, 2))
        corners = [point, point + 10 * 0.5 * across, point + 20 * 0.8 * down]
        numbers = [f"{one:g}" for one in np.ravel(corners)]
        named = item_of_contour(*numbers, sop=uid(2, 20 + at, 1))
        rois.append(item_of_roi(at + 1, f"ROI {at}", named))
        wanted.append(np.array([(column, row), (column + 10, row), (column, row + 20)]) + 0.5)
    import_zip(*images, rt_structure_set(rois))
    structure_set = RTStructureSetInformation.objects.get().dicom_instance_id
    first = DICOMInstance.objects.filter(sop_instance_uid__endswith=".1", rows=64)
    for at, one in enumerate(first.order_by("dicom_series__series_instance_uid")):
        asked = [one.dicom_series_id, structure_set, one.pk]
        found = shape(signed_in.evaluate(DRAWN_ON, asked), at)
        assert np.allclose(loops(found["closed"])[0], wanted[at], atol=HALF_PIXEL), at


# --- in a browser -------------------------------------------------------------------------------


def image(number: int, **keywords: Any) -> bytes:
    """A slice of `stack`, as an object; the first lies at z = 3."""
    frame = np.full((64, 64), 100 * number, np.int16)
    own = {
        "SOPInstanceUID": uid(2, 1, number),
        "InstanceNumber": str(number),
        "ImagePositionPatient": ["-31.5", "-31.5", str(3 * number)],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "PixelSpacing": ["1", "1"],
        "PixelData": frame.tobytes(),
    }
    return ct_image(**(attributes_of(frame) | own | keywords))


def flat(points: Any, of: int | None = None, kind: str = "CLOSED_PLANAR") -> dict[str, Any]:
    """An item of the Contour Sequence."""
    numbers = [f"{one:g}" for one in np.asarray(points, float).ravel()]
    return item_of_contour(*numbers, kind=kind, sop=uid(2, 1, of) if of else None)


@pytest.fixture
def structures(import_zip) -> tuple[DICOMSeries, RTStructureSetInformation]:
    """A series of five slices, and a set; another patient has a set in the same frame, too."""
    heart = [flat(square((0, 0, 3 * n), 20), n) for n in (2, 3, 4)]
    hole = [flat(square((0, 0, 3 * n), 8), n) for n in (2, 3, 4)]
    rois = [
        item_of_roi(1, "Heart", *heart, *hole, ROIDisplayColor=[220, 20, 60]),
        item_of_roi(2, "Void"),
        item_of_roi(3, "Ösophagus", flat(square((-20, 0, 6), 6), 2), ROIDisplayColor=[0, 128, 255]),
        item_of_roi(4, "Isocentre", flat([(20, 20, 9)], 3, "POINT"), ROIDisplayColor=None),
        item_of_roi(5, "Elsewhere", flat(square((0, 0, 9), 30), 5)),
        item_of_roi(
            6,
            "<b>Free</b>",
            flat(square((20, -20, 12.4), 6)),
            ROIDisplayColor=[20, 0, 60],
            RTROIInterpretedType="EXTERNAL",
        ),
        item_of_roi(
            7,
            "Other frame",
            flat(square((0, 0, 9), 40), 3),
            ReferencedFrameOfReferenceUID=uid(2, 8),
        ),
    ]
    import_zip(
        *map(image, range(1, 6)),
        rt_structure_set(
            rois, StructureSetLabel="First", SpecificCharacterSet="ISO_IR 192", charset="utf-8"
        ),
        rt_structure_set(
            PatientID="Other", StudyInstanceUID=uid(7), SeriesInstanceUID=uid(7, 5),
            SOPInstanceUID=uid(7, 5, 1),
        ),
    )  # fmt: skip
    row = RTStructureSetInformation.objects.get(structure_set_label="First")
    return DICOMSeries.objects.get(modality="CT"), row


def test_structures_are_found_shown_and_marked_over_the_pictures(signed_in, live, structures):
    page, (series, structure_set) = signed_in, structures
    page.goto(f"{live.url}/dicom/series/{series.pk}/?set=999&roi=3")
    expect(page.locator(".over-sets")).to_contain_text("of this address is not offered")
    expect(page).to_have_url(f"{live.url}/dicom/series/{series.pk}/")
    a_set_is_chosen(page, structure_set)
    a_structure_is_found_and_led_to(page)
    others_are_switched_off(page)
    keys_and_clicks_mark(page)
    planes_cut_them(page)
    what_never_comes_keeps_nothing_from_its_neighbours(page)
    RTStructureROI.objects.get(roi_name="Void").delete()
    page.goto(f"{live.url}/dicom/structure-sets/{structure_set.pk}/")
    another_reading_is_not_matched_to_the_list(page)


@pytest.mark.long
def test_structures_are_led_to_from_their_set_by_everybody(
    signed_in, live, structures, console_errors
):
    page, (series, structure_set) = signed_in, structures
    page.goto(f"{live.url}/dicom/structure-sets/{structure_set.pk}/")
    the_set_s_page_has_the_middle_slice(page)
    address = f"{live.url}/dicom/series/{series.pk}/?set={structure_set.dicom_instance_id}&roi=4"
    the_address_leads_to_it_again(page, address)
    the_box_is_for_everybody(page)
    fingers_mark_and_switch(page)
    what_is_not_to_be_had_is_said(page, address)
    console_errors.clear()  # axe marks what it looks at with styles, which the policy blocks


NOTHING_OVER: dict[str, Any] = {
    "structure_sets": [],
    "doses": [],
    "segmentations": [],
    "series": [],
    "more": {"structure_sets": 0},
}


def path_of(page: Page, roi: int, kind: str = "closed") -> Any:
    return page.locator(f".viewer-lines [data-roi='{roi}'] .roi-{kind}")


def said_for(page: Page) -> Any:
    return page.get_by_text("Not for clinical use").filter(visible=True)


def row_of(page: Page, name: str) -> Any:
    return page.locator(".over-list li").filter(has_text=name)


def place(page: Page) -> Any:
    return page.locator("[data-part=place]")


def a_set_is_chosen(page: Page, structure_set: RTStructureSetInformation) -> None:
    choice = page.get_by_label("Structure set")
    expect(choice.locator("option")).to_have_text(["None", re.compile("^First")])
    expect(said_for(page)).to_have_count(0)
    choice.select_option(str(structure_set.dicom_instance_id))
    expect(path_of(page, 0)).to_have_attribute(
        "d", "M22 22L42 22L42 42L22 42ZM28 28L36 28L36 36L28 36Z"
    )
    expect(said_for(page)).to_have_count(2)
    expect(path_of(page, 3, "cross")).to_have_attribute("d", "M51.3 52H52.7M52 51.3V52.7")
    assert page.locator(".viewer-lines [data-roi]").evaluate_all(
        "(all) => all.map((one) => Number(one.dataset.roi))"
    ) == [0, 3]  # fmt: skip
    names = page.locator(".over-list .over-name")
    expect(names).to_have_text(
        ["Heart", "Ösophagus", "Isocentre", "Elsewhere", "<b>Free</b>", "Other frame", "Void"]
    )
    expect(row_of(page, "Void")).to_contain_text("No contours.")
    expect(row_of(page, "Isocentre")).to_contain_text("point")
    expect(row_of(page, "Elsewhere")).to_contain_text(
        "Not drawn: 1 contour lies elsewhere than the image that it names."
    )
    expect(row_of(page, "Other frame")).to_contain_text("in another frame of reference")
    expect(page.locator(".over-list li:has(.is-amiss)")).to_have_count(2)


def a_structure_is_found_and_led_to(page: Page) -> None:
    page.get_by_label("Find a structure").fill("osoph")
    expect(page.locator(".over-list li:visible")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(place(page)).to_have_text("2 of 5 · z 6 mm")
    expect(path_of(page, 2)).to_have_attribute("d", "M9 29L15 29L15 35L9 35Z")
    expect(page).to_have_url(re.compile(r"\?set=\d+&roi=3$"))
    page.get_by_label("Find a structure").press("Escape")
    page.get_by_label("Find a structure").press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Ösophagus", exact=True)).to_be_focused()
    expect(page.locator(".over-list li:visible")).to_have_count(7)


def others_are_switched_off(page: Page) -> None:
    page.get_by_label("Show Heart").uncheck()
    expect(path_of(page, 0)).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    expect(path_of(page, 0)).to_have_count(1)
    page.get_by_role("button", name="Only Ösophagus").click()
    expect(page.locator(".viewer-lines [data-roi]")).to_have_count(1)
    page.get_by_role("button", name="None", exact=True).click()
    expect(page.locator(".viewer-lines [data-roi]")).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Fill").fill("30")
    expect(page.locator("g[fill-opacity='0.3'] .roi-solid")).not_to_have_count(0)


def keys_and_clicks_mark(page: Page) -> None:
    canvas = page.locator("[data-part=canvas]")
    canvas.press("n")
    expect(place(page)).to_have_text("3 of 5 · z 9 mm")
    expect(row_of(page, "Isocentre")).to_have_class(re.compile("is-marked"))
    canvas.press("p")
    expect(row_of(page, "Ösophagus")).to_have_class(re.compile("is-marked"))
    canvas.press("c")
    expect(page.locator(".viewer-lines [data-roi]")).to_have_count(0)
    expect(said_for(page)).to_have_count(0)
    canvas.press("c")
    canvas.click(position={"x": 250, "y": 250})  # in the ring, not in its hole
    expect(row_of(page, "Heart")).to_have_class(re.compile("is-marked"))
    expect(page.locator("[data-part=value]")).to_contain_text("Heart")
    canvas.hover(position={"x": 120, "y": 320})
    expect(page.locator("[data-part=value]")).to_contain_text("Ösophagus")
    expect(row_of(page, "Ösophagus")).to_have_class(re.compile("is-pointed"))
    canvas.hover(position={"x": 320, "y": 320})
    expect(page.locator("[data-part=value]")).not_to_contain_text("Heart")
    canvas.press("ArrowDown")
    canvas.press("ArrowDown")
    expect(path_of(page, 5)).to_have_attribute("d", "M49 9L55 9L55 15L49 15Z")
    expect(path_of(page, 5, "halo")).to_have_attribute("d", "M49 9L55 9L55 15L49 15Z")
    expect(page.locator(".viewer-lines .roi-halo")).to_have_count(1)  # it is dark, Heart is not,
    filled = page.locator(".viewer-lines > g:first-child[fill-opacity='0.3'] > .roi-solid")
    expect(filled).to_have_count(1)  # and it is the patient's outside, which is not filled
    expect(filled).to_have_attribute("fill", "rgb(220,20,60)")


def planes_cut_them(page: Page) -> None:
    """In planes that are cut across the slices, of which the uppermost ends at z = 16.5."""
    page.get_by_role("button", name="Ösophagus", exact=True).click()
    page.get_by_role("button", name=re.compile("^Three planes")).click()
    stages = page.locator(".viewer-stage")
    expect(stages).to_have_count(3)
    expect(page.locator("[data-part=point]")).to_have_text("x -19.5, y 0.5, z 6.0 mm")
    page.get_by_role("button", name="Heart", exact=True).click()
    expect(page.locator("[data-part=point]")).to_contain_text("x 0.5, y 0.5")
    wait_for_a_frame(page)
    layers = [(x, 3 * n, x + 6, 3 * n + 3) for n in range(1, 4) for x in (22, 36)]
    for number, rois in ((1, [0, 2]), (2, [0])):
        drawn_here = stages.nth(number).locator("[data-roi]")
        expect(drawn_here).to_have_count(len(rois))
        found = drawn_here.evaluate_all("(all) => all.map((one) => Number(one.dataset.roi))")
        assert found == rois
        path = stages.nth(number).locator(".roi-solid").first.get_attribute("d")
        assert np.allclose(corners_of(path), layers, atol=HALF_PIXEL)
    path = stages.nth(1).locator(".roi-solid").nth(1).get_attribute("d")
    assert np.allclose(corners_of(path), [(9, 9, 15, 12)], atol=HALF_PIXEL)


def what_never_comes_keeps_nothing_from_its_neighbours(page: Page) -> None:
    """As of an object that has fewer frames than it says."""
    pictures = re.compile(r"/pictures/\?")

    def without(route: Any) -> None:
        response = route.fetch()
        body = b"".join(one for number, one in records(response.body()) if number != 1)
        route.fulfill(response=response, body=body)

    page.route(pictures, without)
    page.goto(page.url)
    row_of(page, "Isocentre").get_by_role("button", name="Isocentre", exact=True).click()
    expect(place(page)).to_have_text("3 of 5 · z 9 mm")
    expect(path_of(page, 0)).to_have_count(1)
    page.unroute_all(behavior="wait")


def records(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of pictures, each with the number of its slice; -1 at the end."""
    while body:
        words, values = struct.unpack_from("<II", body)
        told = json.loads(body[8 : 8 + words])
        yield told.get("slice", -1), body[: 8 + words + values]
        body = body[8 + words + values :]


def the_address_leads_to_it_again(page: Page, address: str) -> None:
    page.goto(address)
    expect(row_of(page, "Isocentre")).to_have_class(re.compile("is-marked"))
    expect(place(page)).to_have_text("3 of 5 · z 9 mm")


def the_box_is_for_everybody(page: Page) -> None:
    for width, scheme in ((390, "dark"), (1280, "light")):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
        if width == 390:
            touched = page.locator(".over :is(button, select, label:has([type=checkbox]))")
            sizes = touched.evaluate_all(
                "(all) => all.filter((one) => one.offsetParent).map((one) => one.offsetHeight)"
            )  # fmt: skip
            assert min(sizes) >= 44


def fingers_mark_and_switch(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.set_viewport_size({"width": 390, "height": 800})
    canvas = page.locator("[data-part=canvas]")
    tap(devtools, canvas, 25 / 64, 25 / 64)
    expect(row_of(page, "Heart")).to_have_class(re.compile("is-marked"))
    tap(devtools, page.locator(".over-switch").first)
    expect(path_of(page, 0)).to_have_count(0)
    tap(devtools, page.get_by_role("button", name="Only Heart"))
    expect(path_of(page, 0)).to_have_count(1)
    expect(page.locator(".viewer-lines [data-roi]")).to_have_count(1)
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.set_viewport_size({"width": 1280, "height": 800})


def tap(devtools: Any, where: Any, across: float = 0.5, down: float = 0.5) -> None:
    where.scroll_into_view_if_needed()
    box = where.bounding_box()
    point = {"x": box["x"] + across * box["width"], "y": box["y"] + down * box["height"]}
    for kind, points in (("touchStart", [point]), ("touchEnd", [])):
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def the_set_s_page_has_the_middle_slice(page: Page) -> None:
    said = page.locator("#set-picture-said")
    expect(said).to_have_text("Heart slice 3 of 5 · z 9 mm")
    expect(path_of(page, 0)).to_have_attribute("d", re.compile("^M22 22L42 22L42 42L22 42Z"))
    for name in ("Heart", "Ösophagus"):
        page.keyboard.press("ArrowDown")
        expect(page.locator(".roi-marked .row-name")).to_have_text(name)
    expect(said).to_have_text("Ösophagus slice 2 of 5 · z 6 mm")
    expect(path_of(page, 2)).to_have_attribute("d", "M9 29L15 29L15 35L9 35Z")
    expect(page.locator(".viewer-lines .roi-is-marked")).to_have_attribute("data-roi", "2")
    why = page.locator("[data-said=why]")
    page.locator(".roi").filter(has_text="Elsewhere").locator(".col-type").click()
    expect(why).to_contain_text("lies elsewhere than the image that it names")
    page.locator(".roi").filter(has_text="<b>Free</b>").locator(".col-type").click()
    expect(said).to_have_text("<b>Free</b> slice 4 of 5 · z 12 mm")
    page.locator(".roi").filter(has_text="Void").locator(".col-type").click()
    expect(why).to_have_text("It has no contours.")
    expect(page.locator(".viewer-lines")).to_be_hidden()
    assert serious_findings(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{page.url}?roi={RTStructureROI.objects.get(roi_name='Isocentre').pk}")
    expect(said).to_be_hidden()
    page.locator("#set-picture summary").click()
    expect(said).to_have_text("Isocentre slice 3 of 5 · z 9 mm")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_findings(page) == []
    page.get_by_role("link", name="Over all slices of the series").click()
    expect(row_of(page, "Isocentre")).to_have_class(re.compile("is-marked"))


def another_reading_is_not_matched_to_the_list(page: Page) -> None:
    """As where this version reads more or fewer structures than the one that catalogued them."""
    why = page.locator("[data-said=why]")
    expect(why).to_contain_text("Two readings of this structure set differ")
    page.locator(".roi").filter(has_text="Isocentre").locator(".col-type").click()
    expect(page.locator(".roi-marked .row-name")).to_have_text("Isocentre")
    expect(why).to_contain_text("Two readings of this structure set differ")


def what_is_not_to_be_had_is_said(page: Page, address: str) -> None:
    said = page.locator(".over-sets [data-over=said]")
    asked = re.compile(r"/contours/\d+/\?changes=\d+$")
    page.route(asked, lambda route: route.fulfill(status=409, body="changed"))
    page.goto(address)
    expect(said).to_have_text("The series has changed: reload the page.")
    expect(page.locator(".over-list li")).to_have_count(0)
    page.unroute(asked)
    signing_in = {"Location": "/admin/login/"}
    page.route(asked, lambda route: route.fulfill(status=302, headers=signing_in))
    choose_again(page)
    expect(said).to_have_text("Sign in again: reload the page.")
    page.unroute(asked)
    page.route(asked, lambda route: route.abort())
    choose_again(page)
    expect(said).to_have_text("The connection broke off.")
    page.unroute(asked)
    page.get_by_role("button", name="Try again").filter(visible=True).click()
    expect(page.locator(".over-list li")).to_have_count(7)
    expect(said).to_be_hidden()
    page.route(re.compile("/over/"), lambda route: route.fulfill(json=NOTHING_OVER))
    page.goto(address)
    expect(said).to_have_text(
        "The structure set of this address is not offered for this series. "
        "No structure set refers to this series or shares its frame of reference."
    )
    the_box_is_gone_where_there_can_be_nothing(page, address)


def the_box_is_gone_where_there_can_be_nothing(page: Page, address: str) -> None:
    """A page of no frame of reference, as a radiograph's: nothing is offered, and then a set is."""

    def without(route: Any) -> None:
        response = route.fetch()
        body = re.sub('data-frame="[^"]+"', 'data-frame="" hidden', response.text())
        route.fulfill(response=response, body=body)

    page.route(address, without)
    box = page.locator('#over[data-frame=""]')
    page.goto(address)
    expect(page.locator(".over-sets [data-over=said]")).to_contain_text("No structure set")
    expect(box).to_be_hidden()
    page.unroute(re.compile("/over/"))
    page.goto(address)
    expect(box).to_be_visible()


def choose_again(page: Page) -> None:
    page.get_by_label("Structure set").select_option("")
    page.get_by_label("Structure set").select_option(index=1)
