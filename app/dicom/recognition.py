"""Whether bytes are a DICOM object, with or without the prefix of PS3.10 7.1."""

from . import scanner
from .scanner import BIG_ENDIAN, LITTLE_ENDIAN, Buffer, ByteOrder

PREFIX = bytes(128) + b"DICM"
LAST_OF_META = scanner.META_GROUP << 16 | 0xFFFF
LOOKED_AT = 8  # elements that must make sense in a file without prefix
FIRST_GROUPS = (scanner.META_GROUP, 0x0004, 0x0008)  # what stands first in files


def has_prefix(buffer: Buffer) -> bool:
    return buffer[128:132] == b"DICM"


def looks_like_dicom(buffer: Buffer) -> bool:
    """Whether a file, given whole or its beginning, has the prefix or begins with elements.

    Bytes are taken for elements where the tags ascend, most VRs are known and the lengths fit.
    """
    return (
        has_prefix(buffer)
        or _plausible_elements(buffer, LITTLE_ENDIAN, explicit=True)
        or _plausible_elements(buffer, LITTLE_ENDIAN, explicit=False)
        or _plausible_elements(buffer, BIG_ENDIAN, explicit=True)
    )


def _plausible_elements(buffer: Buffer, order: ByteOrder, *, explicit: bool) -> bool:
    position, previous = 0, -1
    for number in range(LOOKED_AT):
        if position + 8 > len(buffer):
            return number > 0 and position == len(buffer)
        tag = scanner.as_read(order.implicit(buffer, position)[0])
        if previous >> 16 == scanner.META_GROUP and not previous < tag <= LAST_OF_META:
            return True  # what follows a file meta group may be encoded in another way
        if tag <= previous or not (number or _begins_a_dataset(tag)):
            return False
        previous = tag
        start, length = _value_span(buffer, position, order, explicit)
        if length == scanner.UNDEFINED:
            return number > 0
        if length < 0 or start + length > len(buffer):
            return number >= 3
        position = start + length
    return True


def _begins_a_dataset(tag: int) -> bool:
    """Whether it is a command set's length, or of a group that stands first in files."""
    return tag == 0 or tag >> 16 in FIRST_GROUPS


def _value_span(buffer: Buffer, position: int, order: ByteOrder, explicit: bool) -> tuple[int, int]:
    """Where an element's value begins, and its length; -1 where its VR cannot be one."""
    if not explicit:
        return position + 8, order.implicit(buffer, position)[1]
    _, vr, length = order.explicit(buffer, position)
    if vr in scanner.SHORT_VRS:
        return position + 8, length
    if position + 12 > len(buffer):
        return position, -1
    if vr in scanner.LONG_VRS:
        return position + 12, order.length(buffer, position + 8)[0]
    start, length = scanner.unknown_vr(buffer, position, order)
    return start, length if scanner.begins_an_element(buffer, start + length) else -1
