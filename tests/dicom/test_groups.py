"""The functional groups of a frame are read when they are asked for, however they are written."""

import os
import struct

import pytest

from app.dicom import groups, pixels
from app.dicom.greys import Described
from app.dicom.pixels import Pixels
from tests.making.objects import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, Raw, enhanced_ct

# As in a child: pydicom's warnings quote values.
pytestmark = pytest.mark.filterwarnings("ignore")

FRAMES = 5
POSITIONS = [[-1.0, -2.0, float(number)] for number in range(FRAMES)]
GROUP_TAG = struct.pack("<HH", 0x5200, 0x9230)


@pytest.fixture
def open_(tmp_path):
    files = []

    def open_(data: bytes) -> Pixels:
        path = tmp_path / str(len(files))
        path.write_bytes(data)
        files.append(os.open(path, os.O_RDONLY))
        return Pixels(files[-1], "")

    yield open_
    for file in files:
        os.close(file)


@pytest.fixture
def places(open_):
    def places(data: bytes) -> list[list[float]]:
        opened = open_(data)
        described = Described(opened)
        assert opened.frames == FRAMES
        assert described.place(0).orientation == [1, 0, 0, 0, 1, 0]
        assert opened.frame(FRAMES - 1).shape == (2, 3)
        return [described.place(frame).position for frame in range(FRAMES)]

    return places


def image(**keywords) -> bytes:
    # What stands behind the groups is read, too.
    return enhanced_ct(FRAMES, **{"AcquisitionContextSequence": [], **keywords})


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_each_frame_has_its_own_groups(places, open_, syntax, undefined):
    data = image(transfer_syntax=syntax, undefined_lengths=undefined)
    assert places(data) == POSITIONS
    found = open_(data).groups
    assert isinstance(found, groups.Groups)
    assert [one.FrameContentSequence[0].InStackPositionNumber for one in found[1:3]] == [2, 3]


@pytest.mark.parametrize("undefined", [False, True])
def test_they_are_found_beyond_what_is_looked_at_first(places, monkeypatch, undefined):
    monkeypatch.setattr(pixels, "STEPS", (64, 128, 1 << 20))
    assert places(image(undefined_lengths=undefined)) == POSITIONS


@pytest.mark.parametrize("undefined", [False, True])
def test_where_only_pydicom_can_tell_their_end_it_reads_them(places, open_, undefined):
    # How long the value of an unknown VR is, its length alone does not tell.
    odd = [
        {"PlanePositionSequence": [{"ImagePositionPatient": [*map(str, position)]}]}
        | {"DerivationImageSequence": Raw("XX", b"")}
        for position in POSITIONS
    ]
    data = image(PerFrameFunctionalGroupsSequence=odd, undefined_lengths=undefined)
    assert places(data) == POSITIONS
    assert isinstance(open_(data).groups, groups.Groups) is not undefined


def test_damage_to_one_costs_that_frame_alone(places):
    data = image(undefined_lengths=False)
    at = data.index(b"-1\\-2\\2 ") - 8  # ImagePositionPatient of the third
    damaged = data[:at] + struct.pack("<HH2sH", 0xFFFE, 0xE0DD, b"DS", 8) + data[at + 8 :]
    assert places(damaged) == [*POSITIONS[:2], [], *POSITIONS[3:]]


@pytest.mark.parametrize("undefined", [False, True])
def test_an_object_cut_within_them_has_no_picture(open_, undefined):
    data = image(undefined_lengths=undefined)
    start, end = data.index(GROUP_TAG), data.rindex(b"\xe0\x7f\x10\0")
    for at in range(start, end, 7):
        with pytest.raises(pixels.NoPicture):
            open_(data[:at])


def test_sequences_in_sequences_are_left_to_pydicom():
    head = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    nested = (head + struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)) * 1_000
    with pytest.raises(groups.NotFound):
        groups.walked(nested, 0xFFFFFFFF, implicit=False, big_endian=False)
