"""Where the frames of enhanced images lie, by both readers."""

import tracemalloc
from typing import Any

import pytest
from msgspec.json import decode

from app.dicom import frames
from app.dicom.headers import HeaderLimits, read_header
from app.dicom.records import FramePlanes, ImageRecord, InFrames
from app.dicom.scanner import LONGEST_FRAMING
from tests.making import objects
from tests.making.objects import Raw, enhanced_ct

READERS = pytest.mark.parametrize("way", [{}, objects.LEFT_TO_PYDICOM], ids=["scanner", "pydicom"])
CORONAL = ["1", "0", "0", "0", "0", "-1"]
SAGITTAL = ["0", "1", "0", "0", "0", "-1"]


def image_of(data: bytes) -> ImageRecord:
    image = read_header(data).image
    assert image is not None
    return image


def planes_of(data: bytes) -> FramePlanes:
    return decode(image_of(data).frame_planes, type=FramePlanes)


def warned(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    return [(warning.code, warning.facts) for warning in read_header(data).warnings]


def frame(position: int = 0, **macros: dict[str, Any]) -> dict[str, Any]:
    """A frame's functional groups."""
    place = {"PlanePosition": {"ImagePositionPatient": ["0", "0", str(position)]}}
    return {f"{name}Sequence": [content] for name, content in (place | macros).items()}


def of_frames(*groups: dict[str, Any], **keywords: Any) -> bytes:
    return enhanced_ct(PerFrameFunctionalGroupsSequence=list(groups), **keywords)


@READERS
def test_what_frames_share_is_said_once_and_what_each_has_in_their_order(way):
    assert planes_of(enhanced_ct(**way)) == FramePlanes(
        count=3,
        image_position_patient=InFrames([[-1, -2, 0], [-1, -2, 1], [-1, -2, 2]]),
        image_orientation_patient=InFrames([[1, 0, 0, 0, 1, 0]]),
        pixel_spacing=InFrames([[0.5, 0.5]]),
        slice_thickness=InFrames([2]),
        stack_id=InFrames(["1"]),
        in_stack_position_number=InFrames([1, 2, 3]),
    )


@READERS
def test_stacks_times_and_b_values_are_said_once_each(way):
    """Two stacks, one coronal, one sagittal, each at two times."""
    groups = [
        frame(
            place,
            PlaneOrientation={"ImageOrientationPatient": CORONAL if stack == "C" else SAGITTAL},
            PixelMeasures={"PixelSpacing": ["1", "2"], "SpacingBetweenSlices": "1.5"},
            FrameContent={
                "StackID": stack, "InStackPositionNumber": place, "TemporalPositionIndex": moment
            },
            MRDiffusion={"DiffusionBValue": 800.0 * (moment - 1)},
        )
        for moment in (1, 2)
        for stack in "CS"
        for place in (1, 2)
    ]  # fmt: skip
    planes = planes_of(of_frames(*groups, SharedFunctionalGroupsSequence=None, **way))
    by_time, by_stack, by_place = [0] * 4 + [1] * 4, [0, 0, 1, 1] * 2, [0, 1] * 4
    assert planes == FramePlanes(
        count=8,
        image_position_patient=InFrames([[0, 0, 1], [0, 0, 2]], by_place),
        image_orientation_patient=InFrames([[1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]], by_stack),
        pixel_spacing=InFrames([[1, 2]]),
        spacing_between_slices=InFrames([1.5]),
        stack_id=InFrames(["C", "S"], by_stack),
        in_stack_position_number=InFrames([1, 2], by_place),
        temporal_position_index=InFrames([1, 2], by_time),
        diffusion_b_value=InFrames([0, 800], by_time),
    )


@READERS
def test_the_image_itself_has_what_its_first_frame_has(way):
    macros = {
        "FrameContent": {"StackID": "7"},
        "MRDiffusion": {"DiffusionBValue": 800.0},
        "PixelMeasures": {"SpacingBetweenSlices": "1.5"},
        "PixelValueTransformation": {"RescaleType": "HU"},
    }
    data = of_frames(frame(**macros), frame(), SharedFunctionalGroupsSequence=None, **way)
    image = image_of(data)
    assert (image.stack_id, image.diffusion_b_value) == ("7", 800)
    assert (image.spacing_between_slices, image.rescale_type) == (1.5, "HU")


@READERS
def test_a_frame_without_a_value_or_with_one_that_cannot_be_read_has_none(way):
    groups = [frame(1), {}, frame(3)]
    groups[2]["FrameContentSequence"] = [{"InStackPositionNumber": Raw("OB", b"third!")}]
    data = of_frames(*groups, **way)
    planes = planes_of(data)
    assert planes.image_position_patient == InFrames([[0, 0, 1], None, [0, 0, 3]])
    assert planes.in_stack_position_number == InFrames([None, None], [0, 0, 1])
    assert warned(data) == [("value_unreadable", {"attribute": "InStackPositionNumber"})]


@pytest.mark.parametrize("groups", [None, [], [{}]])
def test_an_image_whose_frames_lie_nowhere_says_so_in_few_words(groups):
    data = enhanced_ct(SharedFunctionalGroupsSequence=None, PerFrameFunctionalGroupsSequence=groups)
    assert image_of(data).frame_planes in ("", '{"count":1}')
    assert warned(data) == []


@READERS
def test_damage_behind_the_first_frame_costs_the_planes_alone(way):
    groups = objects.element(0x52009230, "SQ", [frame(1), frame(2)])
    longer = objects.element(0x52009230, "OB", groups[LONGEST_FRAMING:] + b"\xfe\xff")
    data = of_frames(frame(1), frame(2), **way).replace(groups, longer.replace(b"OB", b"SQ"))
    image = image_of(data)
    assert image.frame_planes == ""
    assert image.image_position_patient == [0, 0, 1]
    assert warned(data) == [("planes_lost", {})]


def test_planes_that_are_too_much_to_keep_cost_themselves_alone(monkeypatch):
    monkeypatch.setattr(frames, "LONGEST_PLANES", 100)
    assert image_of(enhanced_ct()).frame_planes == ""
    assert warned(enhanced_ct()) == [("planes_lost", {})]


def test_frames_of_more_items_than_are_read_cost_their_planes_alone():
    data = enhanced_ct(frames=10)
    header = read_header(data, limits=HeaderLimits(items=25))
    assert header.image is not None
    assert header.image.frame_planes == ""
    assert [warning.code for warning in header.warnings] == ["planes_lost"]


@pytest.mark.parametrize("count", [7_000, pytest.param(70_000, marks=pytest.mark.long)])
def test_many_frames_take_little_memory_and_room(count):
    data = enhanced_ct(frames=count, PixelData=None)
    tracemalloc.start()
    written = image_of(data).frame_planes
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(written) < 40 * count
    assert peak < 800 * count
