"""How an image lies, in words, and what the standard calls its codes."""

import math

import pytest

from app.dicom.modalities import modality_name
from app.dicom.orientation import common_normal, normal_of, orientation_of
from app.dicom.terms import uid_name

AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def turned(degrees: float) -> list[float]:
    """An axial plane that is turned about the x axis."""
    angle = math.radians(degrees)
    return [1, 0, 0, 0, math.cos(angle), math.sin(angle)]


@pytest.mark.parametrize(
    ("cosines", "words"),
    [
        (AXIAL, "axial"),
        ([-1, 0, 0, 0, -1, 0], "axial"),  # lying on the belly
        ([1, 0, 0, 0, -1, 0], "axial"),  # seen from the other side
        (CORONAL, "coronal"),
        (SAGITTAL, "sagittal"),
        ([2, 0, 0, 0, 2, 0], "axial"),  # no unit vectors, but directions
        (turned(9), "axial"),
        (turned(22), "oblique, 22° from axial"),
        (turned(60), "oblique, 30° from coronal"),
        (turned(-45), "oblique, 45° from axial"),
    ],
)
def test_an_orientation_in_words(cosines, words):
    assert orientation_of(cosines) == words


@pytest.mark.parametrize(
    "cosines",
    [
        *(None, [], [1, 0, 0], [0] * 6, [1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0, 0]),
        [1e200, 0, 0, 0, 1e200, 0],
        [math.nan, 0, 0, 0, 1, 0],
    ],
)
def test_what_gives_no_plane_has_no_orientation(cosines):
    assert orientation_of(cosines) == ""
    assert normal_of(cosines) is None


def test_images_one_behind_the_other_share_their_normal():
    assert common_normal([AXIAL, turned(0.2)]) == (0, 0, 1)
    assert common_normal([AXIAL, CORONAL]) is None  # a localizer
    assert common_normal([AXIAL, None]) is None
    assert common_normal([AXIAL, [-1, 0, 0, 0, 1, 0]]) is None  # counted from the other side
    assert common_normal([]) is None


def test_codes_have_the_names_of_the_standard_and_others_stay_as_they_are():
    assert uid_name("1.2.840.10008.5.1.4.1.1.2") == "CT Image Storage"
    assert uid_name("1.2.840.10008.1.2.1") == "Explicit VR Little Endian"
    assert uid_name("1.2.3") == "1.2.3"
    assert modality_name("RTSTRUCT") == "RT structure set"
    assert modality_name("<b>") == "<b>"
