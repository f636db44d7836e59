"""Planes cut through a stack in the browser: each pixel tells the place that it is of.

The phantom's value is a linear function of the place, so that half a pixel too far is another
value. What a plane should have is told by what an acquisition is, by hand, never by the script.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

# Of a patient's x, y and z, in mm: no two directions are alike, and 0.1 mm is 2 at least.
WEIGHTS = np.array([23.0, -31.0, 41.0])
X, Y, Z = np.eye(3)
# By patient's axis: where the rows and the columns of its planes go.
USUAL = {0: ("Sagittal", Y, -Z), 1: ("Coronal", X, -Z), 2: ("Axial", X, Y)}
# Each way in which an axial picture may be turned: the patient lies on the back, the front or a
# side, head or feet first.
AXIAL = [
    *((a * X, b * Y) for a, b in product((1, -1), repeat=2)),
    *((a * Y, b * X) for a, b in product((1, -1), repeat=2)),
]
CUT = """async (cases) => {
  const { Volume, whyNoBlock } = await import("/static/app/viewing/volume.js");
  const { planeOf, pointOf } = await import("/static/app/viewing/space.js");
  const TYPES = { i2: Int16Array, u2: Uint16Array, f4: Float32Array };
  return cases.map(({ slices, cuts }) => {
    for (const one of slices) one.values = new TYPES[one.told.type](one.values);
    const volume = new Volume(slices);
    const found = cuts.map(([axis, index]) => {
      const { told, rendering, values } = volume.cut(axis, index);
      return {
        told, rendering, name: volume.nameOf(axis), lies: volume.lies(axis, index),
        type: values.constructor.name, values: [...values],
        // As it is drawn and read: by the geometry that all pictures have.
        corners: [[0, 0], [told.columns - 1, told.rows - 1]].map(
          (pixel) => pointOf(planeOf({ told, rendering }), pixel)),
      };
    });
    const voxel = volume.counts.map((count) => count - 2);
    return {
      why: whyNoBlock(slices), cuts: found, bytes: volume.bytes, point: volume.pointOf(voxel),
      voxel: volume.voxelOf(volume.pointOf(voxel)), beyond: volume.voxelOf([1e4, -1e4, 1e4]),
    };
  });
}"""


class Stack(NamedTuple):
    """Slices as they were made: directions of a row, of a column, and from slice to slice."""

    row: np.ndarray
    column: np.ndarray
    onwards: np.ndarray
    spacing: tuple[float, float, float] = (0.75, 0.5, 2.5)  # of columns, rows and slices; mm
    counts: tuple[int, int, int] = (7, 5, 4)
    first: tuple[float, float, float] = (-12.25, 8.5, 100.0)

    def places(self, number: int) -> np.ndarray:
        """Of the pixels of a slice."""
        rows, columns = np.mgrid[: self.counts[1], : self.counts[0]]
        across, down, onwards = self.spacing
        onwards_by = number * onwards * self.onwards
        beside = columns[..., None] * across * self.row + rows[..., None] * down * self.column
        return np.array(self.first) + beside + onwards_by

    def slice(self, number: int, kind: str = "i2", **rendering: Any) -> dict[str, Any]:
        slope, intercept = rendering.get("slope", 1), rendering.get("intercept", 0)
        stored = (self.places(number) @ WEIGHTS - intercept) / slope
        (columns, rows, _), place = self.counts, self.places(number)[0, 0]
        return {
            "told": {
                **{"slice": number, "object": number, "step": 1, "scale": 1, "type": kind},
                **{"rows": rows, "columns": columns, "whole_rows": rows, "whole_columns": columns},
                "place": {
                    "position": [*place],
                    "orientation": [*self.row, *self.column],
                    "letters": "",
                    "is_quadruped": False,
                    "frame_of_reference": "2.25.1",
                },
            },
            "rendering": RENDERING | {"spacing": [self.spacing[1], self.spacing[0]]} | rendering,
            "values": np.round(stored).ravel().tolist(),
            "overlays": [],
        }

    def slices(self, **keywords: Any) -> list[dict[str, Any]]:
        return [self.slice(number, **keywords) for number in range(self.counts[2])]

    def along(self, patient: int) -> int:
        """Which of our directions goes along a patient's axis."""
        return [abs(one[patient]) for one in (self.row, self.column, self.onwards)].index(1)

    def centres(self, patient: int) -> np.ndarray:
        """Where the centres of voxels lie along a patient's axis, from the smallest on."""
        ours = self.along(patient)
        direction = (self.row, self.column, self.onwards)[ours][patient]
        steps = np.arange(self.counts[ours]) * self.spacing[ours] * direction
        return np.sort(self.first[patient] + steps)

    def picture(self, patient: int, ours: int, index: int) -> np.ndarray:
        """The places of a plane's pixels, across a patient's axis that is one of ours."""
        _, *sides = USUAL[patient]
        axes = [int(np.argmax(np.abs(one))) for one in sides]
        pixel = next(self.spacing[self.along(one)] for one in axes if self.along(one) < 2)
        lines = [
            self.line(axis, pixel)[:: int(side.sum())]
            for axis, side in zip(axes, sides, strict=True)
        ]
        places = np.zeros((len(lines[1]), len(lines[0]), 3))
        places[..., axes[0]] = lines[0]
        places[..., axes[1]] = lines[1][:, None]
        direction = (self.row, self.column)[ours]
        places[..., patient] = (self.first + index * self.spacing[ours] * direction)[patient]
        return places

    def line(self, patient: int, pixel: float) -> np.ndarray:
        """Of pixels: across slices half a slice further at both ends, as far apart as beside it."""
        centres = self.centres(patient)
        if self.along(patient) < 2:
            return centres
        each = min(pixel, self.spacing[2])
        count = round(len(centres) * self.spacing[2] / each)
        return centres.mean() + (np.arange(count) - (count - 1) / 2) * each

    def expected(self, places: np.ndarray) -> np.ndarray:
        """The values there: beyond the first and the last slice those of these."""
        within = places.copy()
        for axis in range(3):
            if self.along(axis) == 2:
                centres = self.centres(axis)
                within[..., axis] = np.clip(places[..., axis], centres[0], centres[-1])
        return within @ WEIGHTS


RENDERING = {
    **{"photometric": "MONOCHROME2", "bits": 16, "slope": 1, "intercept": 0, "modality_lut": None},
    **{"windows": [], "function": "LINEAR", "voi_luts": [], "palette": None, "padding": []},
    **{"unit": "HU", "spacing_kind": "patient", "aspect": None, "regions": [], "is_lossy": False},
}
STACKS = {
    **{f"axial {row} {column}": Stack(row, column, Z) for row, column in AXIAL},
    "from the head": Stack(X, Y, -Z),
    "sagittal": Stack(Y, -Z, X),
    "sagittal, from the left, feet up": Stack(Y, Z, -X),
    "coronal": Stack(X, -Z, Y),
    "coronal, of a prone patient": Stack(-X, -Z, -Y),
    "closer than pixels": Stack(X, Y, Z, (0.75, 0.5, 0.3), (7, 5, 9)),
    "of square voxels": Stack(X, Y, Z, (0.5, 0.5, 0.5)),
    "three slices": Stack(X, Y, Z, counts=(4, 6, 3)),
}


Cut = Callable[..., list[dict[str, Any]]]


def test_planes_are_cut_through_slices_as_they_lie(page, live):
    page.goto(f"{live.url}/admin/login/")  # any page will do

    def cut(*cases: tuple[list[dict[str, Any]], list[tuple[int, int]]]) -> list[dict[str, Any]]:
        return page.evaluate(CUT, [{"slices": slices, "cuts": cuts} for slices, cuts in cases])

    every_pixel_of_a_plane_is_of_its_place(cut)
    values_are_what_they_stand_for_where_slices_differ(cut)
    what_only_the_pictures_tell_is_refused(cut)


def every_pixel_of_a_plane_is_of_its_place(cut: Cut) -> None:
    cuts = [(0, 2), (1, 3)]
    found = cut(*((stack.slices(), cuts) for stack in STACKS.values()))
    for (name, stack), told in zip(STACKS.items(), found, strict=True):
        assert told["why"] == "", name
        for (ours, index), plane in zip(cuts, told["cuts"], strict=True):
            patient = int(np.argmax(np.abs((stack.row, stack.column)[ours])))
            places = stack.picture(patient, ours, index)
            assert plane["name"] == USUAL[patient][0], name
            shape = plane["told"]["rows"], plane["told"]["columns"]
            assert shape == places.shape[:2], name
            np.testing.assert_allclose(plane["corners"], places[[0, -1], [0, -1]], atol=1e-9)
            values = np.reshape(plane["values"], shape)
            # Stored values are rounded, and so is what lies between them.
            np.testing.assert_allclose(values, stack.expected(places), atol=1, err_msg=name)
            assert plane["type"] == "Int16Array"
            ends = plane["told"]["lowest"], plane["told"]["highest"]
            assert ends[0] <= values.min() <= values.max() <= ends[1]
        last = [count - 2 for count in stack.counts]
        if stack.onwards.sum() * np.cross(stack.row, stack.column).sum() > 0:
            assert told["voxel"] == last
            wanted = stack.places(last[2])[last[1], last[0]]
            np.testing.assert_allclose(told["point"], wanted, atol=1e-9)


def values_are_what_they_stand_for_where_slices_differ(cut: Cut) -> None:
    stack = Stack(X, Y, Z)
    slopes = [
        stack.slice(number, slope=0.5 + number / 8, intercept=number - 2)
        for number in range(stack.counts[2])
    ]
    floats = stack.slices(kind="f4")
    hollow = stack.slices(padding=[-3000, -2000])
    hollow[1]["values"][2 * 7 + 3] = -2500  # column 3 of row 2
    oblique = Stack(*turned(20, 35), counts=(9, 8, 5))
    found = cut(
        (slopes, [(1, 2)]), (floats, [(1, 2)]), (hollow, [(1, 2)]),
        (oblique.slices(kind="f4"), [(0, 4), (1, 3)]),
    )  # fmt: skip
    places = stack.picture(1, 1, 2)
    for told in found[:2]:
        (plane,) = told["cuts"]
        values = np.reshape(plane["values"], places.shape[:2])
        np.testing.assert_allclose(values, stack.expected(places), atol=1)
        assert (plane["type"], plane["rendering"]["slope"]) == ("Float32Array", 1)
        assert plane["rendering"]["intercept"] == 0
    (plane,) = found[2]["cuts"]
    values = np.reshape(plane["values"], places.shape[:2])
    # Slice 1 of 4, 2.5 mm each, in steps of 0.75 mm: those nearer to it than to others.
    is_hollow = np.abs(places[:, 3, 2] - 102.5) < 1.25
    assert (values[is_hollow, 3] == -3000).all()
    assert 3 <= is_hollow.sum() <= 4
    values[:, 3] = stack.expected(places)[:, 3]
    np.testing.assert_allclose(values, stack.expected(places), atol=1)
    for plane in found[3]["cuts"]:
        the_pixels_tell_their_places(plane, oblique)


def turned(about_x: float, about_z: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of an axial acquisition that is turned, in degrees."""
    (c, s), (d, t) = ((np.cos(one), np.sin(one)) for one in np.radians([about_x, about_z]))
    matrix = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ [[d, -t, 0], [t, d, 0], [0, 0, 1]]
    return tuple(matrix.T)


def the_pixels_tell_their_places(plane: dict[str, Any], stack: Stack) -> None:
    """Between the first and the last slice, by the corners of the picture."""
    shape = plane["told"]["rows"], plane["told"]["columns"]
    orientation = np.reshape(plane["told"]["place"]["orientation"], (2, 3))
    height, width = plane["rendering"]["spacing"]
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = columns[..., None] * width * orientation[0] + rows[..., None] * height * orientation[1]
    places += plane["told"]["place"]["position"]
    along = (places - stack.first) @ stack.onwards
    is_within = (along >= 0) & (along <= stack.spacing[2] * (stack.counts[2] - 1))
    values = np.reshape(plane["values"], shape)
    assert is_within.sum() > 0.7 * values.size
    np.testing.assert_allclose(values[is_within], (places @ WEIGHTS)[is_within], atol=1)
    # The head is up, and the patient's right or front is on the left.
    assert orientation[1][2] < -0.7
    assert orientation[0][0 if plane["name"] == "Coronal" else 1] > 0.7


REFUSED = [
    ({}, {}, {}, ""),
    ({"step": 2}, {}, {}, "Slice 2 has no picture: three planes need all of them."),
    ({}, {"photometric": "RGB"}, {}, "Pictures in colours are not shown in three planes."),
    ({}, {"unit": "BQML"}, {}, "The slices are of several kinds."),
    ({"rows": 4}, {}, {}, "The slices are of several kinds."),
    ({}, {"spacing_kind": ""}, {}, "The images do not say where in the patient they lie."),
    ({}, {}, {"frame_of_reference": "3"}, "The slices lie in several frames of reference."),
    ({}, {}, {"orientation": [0, 1, 0, 0, 0, 1]}, "The slices are of several kinds."),
]


def what_only_the_pictures_tell_is_refused(cut: Cut) -> None:
    cases = []
    for of_told, of_rendering, of_place, _ in REFUSED:
        slices = Stack(X, Y, Z).slices()
        slices[1]["told"] |= of_told
        slices[1]["rendering"] |= of_rendering
        slices[1]["told"]["place"] |= of_place
        cases.append((slices, []))
    found = cut(*cases)
    assert [one["why"] for one in found] == [words for *_, words in REFUSED]
    # The block itself: what it takes, and the voxel nearest to what is beside it.
    assert (found[0]["bytes"], found[0]["beyond"]) == (4 * 7 * 5 * 2, [6, 0, 3])
