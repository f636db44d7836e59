"""What an object says of its frames is told of those of which it is true."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dicom.greys import Described
from app.dicom.pixels import Pixels
from tests.making.objects import enhanced_ct
from tests.making.pictures import attributes_of, native

FRAME = np.zeros((4, 4), np.uint8)
PLACED = {
    "ImagePositionPatient": ["1", "2", "3"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
}


@pytest.fixture
def described(tmp_path) -> Callable[[bytes], Described]:
    def described(data: bytes) -> Described:
        path = tmp_path / "object.dcm"
        path.write_bytes(data)
        with path.open("rb") as file:
            pixels = Pixels(file.fileno(), "")
            return Described(pixels.dataset, pixels.image)

    return described


# Places


def test_one_position_for_many_frames_is_that_of_none(described):
    found = described(native(FRAME, FRAME, **PLACED))
    assert [found.place(frame).position for frame in range(2)] == [[], []]
    assert found.place(1).orientation == [1, 0, 0, 0, 1, 0]
    assert described(native(FRAME, **PLACED)).place(0).position == [1, 2, 3]


@pytest.mark.parametrize(
    ("offsets", "heights"),
    [
        (["0", "5", "15"], [3, 8, 18]),
        (["3", "8", "18"], [3, 8, 18]),  # in coordinates of the patient
        (["0", "5"], [3, 8, None]),
        (None, [None, None, None]),
    ],
)
def test_planes_of_a_dose_lie_where_it_says_so_of_each(offsets, heights, described):
    own: dict[str, Any] = {**PLACED, "Modality": "RTDOSE", "GridFrameOffsetVector": offsets}
    found = described(native(FRAME, FRAME, FRAME, **own))
    places = [found.place(frame).position for frame in range(3)]
    assert places == [[] if z is None else [1, 2, z] for z in heights]


def test_of_frames_that_all_lie_in_one_plane_it_is_told(described):
    shared = [{"PlanePositionSequence": [{"ImagePositionPatient": ["1", "2", "4"]}]}]
    own = attributes_of(FRAME, 2) | {"PixelData": bytes(32)}
    own |= {"PerFrameFunctionalGroupsSequence": [{}, {}]}
    found = described(enhanced_ct(2, **own, **PLACED, SharedFunctionalGroupsSequence=shared))
    assert [found.place(frame).position for frame in range(2)] == [[1, 2, 4]] * 2
