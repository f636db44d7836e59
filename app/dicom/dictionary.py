"""What attributes are called: in PS3.6, and manufacturers' own as pydicom knows them.

pydicom is imported when the first is asked for: it costs 0.1 s.
"""

from functools import lru_cache
from typing import NamedTuple

LO, SEQUENCE_VR, UNKNOWN_VR = "LO", "SQ", "UN"
PIXEL_DEPENDENT = ("US or SS", "US or SS or OW")  # by Pixel Representation


class Entry(NamedTuple):
    """An attribute as a dictionary has it; one that none has is without keyword and VR."""

    name: str
    keyword: str = ""
    vr: str = ""


def entry(tag: int, creator: str = "") -> Entry:
    """An attribute's names and VR.

    Parameters
    ----------
    creator
        Of a private attribute, what reserves its block: PS3.5 7.8.1.
    """
    return _private(tag, creator) if is_private(tag) else _public(tag)


def is_private(tag: int) -> bool:
    return bool(tag >> 16 & 1)


def is_creator(tag: int) -> bool:
    """Whether an element reserves a block of private ones."""
    return is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


@lru_cache(maxsize=8_192)
def _public(tag: int) -> Entry:
    from pydicom.datadict import get_entry

    if not tag & 0xFFFF:
        return Entry("Group Length", "", "UL")
    try:
        vr, _, name, _, keyword = get_entry(tag)
    except KeyError:
        return Entry("Unknown attribute")
    return Entry(name, keyword, vr)


@lru_cache(maxsize=8_192)
def _private(tag: int, creator: str) -> Entry:
    from pydicom.datadict import get_private_entry

    if not tag & 0xFFFF:
        return Entry("Group Length", "", "UL")
    if is_creator(tag):
        return Entry("Private Creator", "", LO)
    try:
        vr, _, name, _ = get_private_entry(tag, creator)
    except KeyError:
        return Entry("Private attribute")
    return Entry(name if name not in ("", "Unknown") else "Private attribute", "", vr)
