"""Whether bytes are a DICOM object, with or without the prefix of PS3.10 7.1."""

from struct import unpack_from

from . import scanner
from .scanner import Buffer

PREFIX = bytes(128) + b"DICM"
LOOKED_AT = 8  # elements that must make sense in a file without prefix
FIRST_GROUPS = (scanner.META_GROUP, 0x0004, 0x0008)  # what stands first in files


def has_prefix(buffer: Buffer) -> bool:
    return buffer[128:132] == b"DICM"


def looks_like_dicom(buffer: Buffer) -> bool:
    """Whether a file, given whole or its beginning, has the prefix or begins with elements.

    Bytes are taken for elements where the tags ascend, the VRs are known and the lengths fit.
    """
    return (
        has_prefix(buffer)
        or _plausible_elements(buffer, "<", explicit=True)
        or _plausible_elements(buffer, "<", explicit=False)
        or _plausible_elements(buffer, ">", explicit=True)
    )


def _plausible_elements(buffer: Buffer, order: str, *, explicit: bool) -> bool:
    position, previous = 0, -1
    for number in range(LOOKED_AT):
        if position + 8 > len(buffer):
            return number > 0 and position == len(buffer)
        group, element = unpack_from(f"{order}HH", buffer, position)
        tag = group << 16 | element
        if tag <= previous or not (number or _begins_a_dataset(tag)):
            return False
        if previous >> 16 == scanner.META_GROUP != group:
            return True  # what follows the file meta group may be encoded in another way
        previous = tag
        start, length = _value_span(buffer, position, order, explicit)
        if length == scanner.UNDEFINED:
            return number > 0
        if length < 0 or start + length > len(buffer):
            return number >= 3 and length >= 0
        position = start + length
    return True


def _begins_a_dataset(tag: int) -> bool:
    """Whether it is a command set's length, or of a group that stands first in files."""
    return tag == 0 or tag >> 16 in FIRST_GROUPS


def _value_span(buffer: Buffer, position: int, order: str, explicit: bool) -> tuple[int, int]:
    """Where an element's value begins, and its length; -1 where the VR is unknown."""
    if not explicit:
        return position + 8, unpack_from(f"{order}I", buffer, position + 4)[0]
    vr, length = unpack_from(f"{order}2sH", buffer, position + 4)
    if vr in scanner.SHORT_VRS:
        return position + 8, length
    if vr in scanner.LONG_VRS and position + 12 <= len(buffer):
        return position + 12, unpack_from(f"{order}I", buffer, position + 8)[0]
    return position, -1
