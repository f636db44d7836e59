"""Which images masks lie over, and which segmentations have no masks that can be drawn."""

from typing import Any

import numpy as np
import pytest

from app import reasons
from app.geometry.masks import Plane, Planes, why_not_drawn
from app.sandbox.looking import Looking
from app.sandbox.segments import Asked, segmentations
from tests.making.drawn import HFS, segmentation
from tests.making.pace import within

PLANE = Plane([-10.5, 20.0, 33.0], HFS, [0.5, 0.75], 4, 6)


def test_images_of_the_very_same_plane_and_matrix_are_found():
    others = {
        "it": PLANE,
        "rounded": PLANE._replace(position=[-10.4951, 20.0049, 32.9951]),
        "next": PLANE._replace(position=[-10.5, 20.0, 33.02]),
        "beside it": PLANE._replace(position=[-10.4, 20.0, 33.0]),
        "from behind": PLANE._replace(orientation=[1, 0, 0, 0, -1, 0]),
        "tilted": PLANE._replace(orientation=[1, 0, 0, 0, 0.99999, 0.0045]),
        "wider": PLANE._replace(spacing=[0.5, 0.751]),
        "larger": PLANE._replace(rows=5),
        "turned": PLANE._replace(rows=6, columns=4),
        "unknown": PLANE._replace(position=None),
        "nowhere": PLANE._replace(position=[float("nan"), 0, 0]),
    }
    assert {*Planes(others.items()).like(PLANE)} == {"it", "rounded"}
    assert [*Planes(others.items()).like(others["unknown"])] == []
    assert [*Planes(others.items()).like(others["nowhere"])] == []


def test_planes_are_found_on_both_sides_of_a_cell_s_edge():
    low, high = (PLANE._replace(position=[0.5, 0.5, z]) for z in (10.4999, 10.5001))
    assert [*Planes([("low", low)]).like(high)] == ["low"]
    assert [*Planes([("high", high)]).like(low)] == ["high"]


@pytest.mark.parametrize(
    ("code", "keywords"),
    [
        ("", {}),
        ("segments_not_binary", {"SegmentationType": "FRACTIONAL"}),
        ("segments_not_binary", {"SegmentationType": "LABELMAP"}),
        ("segments_not_told", {"SegmentSequence": None}),
        ("segments_not_told", {"FrameOfReferenceUID": None}),
        ("segments_not_told", {"NumberOfFrames": "65535"}),
        ("segments_not_told", {"PerFrameFunctionalGroupsSequence": None}),
        ("segments_too_many", {"PerFrameFunctionalGroupsSequence": [{}] * 20_001}),
        ("header_ends_early", {"PixelData": None, "after": b"\x62\0\x02\0SQ\0\0\xff\0\0\0"}),
    ],
)
def test_a_segmentation_that_cannot_be_drawn_costs_a_sentence(
    code: str, keywords: dict[str, Any], tmp_path
):
    mask = {"segment": 1, "position": (-10.5, 20, 33), "bits": np.eye(2, 3, dtype=np.uint8)}
    path = tmp_path / "segmentation"
    path.write_bytes(segmentation([mask], **keywords))
    with path.open("rb") as file:
        asked = Asked(file.fileno(), Looking("ISO_IR 100", 4_000_000))
        [found] = within(2, lambda: [*segmentations(asked)])
    assert why_not_drawn(found) == code
    assert reasons.sentence(code) or not code
