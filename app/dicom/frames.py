"""Functional groups of enhanced images, PS3.3 C.7.6.16: where an image and its frames lie."""

from array import array
from itertools import islice
from typing import Any

from msgspec import json

from app.errors import MemberFailed

from .attributes import (
    EFFECTIVE_ECHO_TIME,
    FRAME,
    FRAME_CONTENT_SEQUENCE,
    GROUPED,
    MR_DIFFUSION_SEQUENCE,
    MR_ECHO_SEQUENCE,
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    PIXEL_MEASURES_SEQUENCE,
    PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    PLANE_ORIENTATION_SEQUENCE,
    PLANE_POSITION_SEQUENCE,
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    Attribute,
)
from .damage import Damage, as_damage_to_a_part
from .records import LONGEST_PLANES, FramePlanes, InFrames
from .scanner import ELEMENT, SEQUENCE, Element, wanted_from
from .values import Elements, Values, reader_of

# In this order: a value of the shared groups replaces one of the first frame.
FUNCTIONAL_GROUPS = {
    PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE: "PerFrameFunctionalGroupsSequence",
    SHARED_FUNCTIONAL_GROUPS_SEQUENCE: "SharedFunctionalGroupsSequence",
}
MACROS = (
    *(PIXEL_MEASURES_SEQUENCE, PLANE_POSITION_SEQUENCE, PLANE_ORIENTATION_SEQUENCE),
    *(FRAME_CONTENT_SEQUENCE, MR_DIFFUSION_SEQUENCE, PIXEL_VALUE_TRANSFORMATION_SEQUENCE),
    MR_ECHO_SEQUENCE,
)
TAGS = frozenset(one.tag for one in (*FRAME.values(), *GROUPED, EFFECTIVE_ECHO_TIME))
MACROS_WANTED = wanted_from(dict.fromkeys(MACROS, SEQUENCE))
ELEMENTS_WANTED = wanted_from(dict.fromkeys(TAGS, ELEMENT))

Found = dict[int, Element]

_to_json = json.Encoder().encode


def has_groups(elements: Elements) -> bool:
    return (
        SHARED_FUNCTIONAL_GROUPS_SEQUENCE in elements
        or PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE in elements
    )


def grouped(elements: Elements, values: Values) -> Found:
    """An image's own elements, or those of its shared groups, or of its first frame."""
    found: Found = {}
    for sequence, keyword in FUNCTIONAL_GROUPS.items():
        try:
            with as_damage_to_a_part:
                found |= _first_groups(elements, sequence)
        except Damage:
            values.warn("value_unreadable", attribute=keyword)
    return found | _present(elements)


def frame_planes(elements: Elements, values: Values) -> str:
    """Where each frame lies, as JSON of `FramePlanes`; "" where there are no frames, or too many.

    Parameters
    ----------
    values
        Of the image; what cannot be read is warned of there.
    """
    if PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE not in elements:
        return ""
    try:
        with as_damage_to_a_part:
            elements.count_anew()
            planes = _planes(elements, values)
    except MemberFailed:  # Damage, or too many items
        values.warn("planes_lost")
        return ""
    written = _to_json(planes) if planes.count else b""
    if len(written) > LONGEST_PLANES:
        values.warn("planes_lost")
        return ""
    return written.decode()


def _first_groups(elements: Elements, sequence: int) -> Found:
    found: Found = {}
    for groups in islice(elements.items(sequence, MACROS_WANTED), 1):
        found |= _elements_of(groups)
    return found


def _elements_of(groups: Elements) -> Found:
    """The elements with a value in the macros of a frame, or of those that all frames share."""
    found: Found = {}
    for sequence in MACROS:
        for macro in islice(groups.items(sequence, ELEMENTS_WANTED), 1):
            found |= _present(macro)
    return found


def _present(elements: Elements) -> Found:
    """Those of the elements that are there and have a value."""
    found = {tag: elements.get(tag) for tag in TAGS}
    return {tag: element for tag, element in found.items() if element and element[1]}


def _planes(elements: Elements, values: Values) -> FramePlanes:
    shared = _first_groups(elements, SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    columns = {field: Column(attribute) for field, attribute in FRAME.items()}
    count, little_endian = 0, True
    for groups in elements.items(PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, MACROS_WANTED):
        found = _elements_of(groups) | shared
        for column in columns.values():
            column.add(found)
        count, little_endian = count + 1, groups.little_endian
    in_frames = Values(values.get, values.charset, little_endian)
    in_frames.warnings = values.warnings
    return FramePlanes(count, **{field: columns[field].read(in_frames) for field in FRAME})


class Column:
    """An attribute's elements in all frames, each distinct one kept once."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute
        self.distinct: dict[Element | None, int] = {}
        self.frames = array("I")

    def add(self, found: Found) -> None:
        element = found.get(self.attribute.tag)
        self.frames.append(self.distinct.setdefault(element, len(self.distinct)))

    def read(self, values: Values) -> InFrames[Any] | None:
        """The elements' values; those that cannot be read are None."""
        if self.distinct.keys() <= {None}:
            return None
        read, attribute = reader_of(self.attribute), self.attribute
        found = [
            read(values.over({attribute.tag: element}.get), attribute) if element else None
            for element in self.distinct
        ]
        is_plain = len(found) in (1, len(self.frames))
        return InFrames(found, [] if is_plain else self.frames.tolist())
