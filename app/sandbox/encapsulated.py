"""Where in a filed object the document lies that it encapsulates: PS3.3 A.45.

A child process finds it, by a descriptor; whoever asked then sends those bytes of the file.
"""

import os
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, msgpack

from app import reasons
from app.dicom.elements import Unreadable
from app.dicom.records import Record, Text64, Text256

from .looking import Looking, look, opened
from .once import answer
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.encapsulated"
ENCAPSULATED_DOCUMENT, DOCUMENT_LENGTH, MEDIA_TYPE = 0x00420011, 0x00420015, 0x00420012
PDF = b"%PDF-"
PDF_WITHIN = 1_024  # bytes; some writers put something before it


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    looking: Looking


class Place(Record, frozen=True):
    """Where the document lies in the file; `why_not` says why it cannot be shown."""

    start: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    length: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    media_type: Text256 = ""
    why_not: Text64 = ""


def find_pdf(file: int, looking: Looking) -> Place:
    """Where the PDF lies in the object that a descriptor is of."""
    answers = look(PROGRAM, Asked(file, looking), [file], looking)
    for body in answers.frames[:1]:
        return place_of(body, os.fstat(file).st_size)
    return Place(why_not="header_unread" if answers.in_time else "header_took_long")


_place = msgpack.Decoder(Place).decode


def place_of(body: bytes, size: int) -> Place:
    """An answer of the child about a file of some bytes, as far as it can be one."""
    try:
        place = believed(_place, body)
    except Unbelievable:
        return Place(why_not="header_unread")
    is_known = place.why_not in ("", *reasons.LOOKING)
    is_within = place.start + place.length <= size
    return place if is_known and is_within else Place(why_not="header_unread")


# --- the child -------------------------------------------------------------------------------


def places(asked: Asked) -> Iterator[Place]:
    try:
        yield _place_in(asked)
    except Unreadable as error:
        yield Place(why_not=error.code)
    except MemoryError:
        yield Place(why_not="header_unread")


def _place_in(asked: Asked) -> Place:
    elements, values = opened(asked.file, asked.looking)
    for _ in elements.meta():
        pass
    start = length = told = 0
    media_type = ""
    try:
        for one in elements.dataset():
            if one.level:
                continue
            if one.tag == ENCAPSULATED_DOCUMENT:
                start, length = one.start, one.length
            elif one.tag == DOCUMENT_LENGTH and (text := values.shown(one, 32).text).isdecimal():
                told = int(text)
            elif one.tag == MEDIA_TYPE:
                media_type = values.shown(one, 256).text
    except Unreadable:
        if not start:
            raise
        # What stands behind it does not matter; that it is whole is looked at below.
    if elements.source is not elements.file:
        return Place(why_not="pdf_deflated")
    if PDF not in elements.source.at(start, min(length, PDF_WITHIN)):
        return Place(media_type=media_type, why_not="no_pdf")
    if start + length > elements.source.size:
        return Place(media_type=media_type, why_not="header_ends_early")
    if told == length - 1:  # a byte was added to make the length even
        length = told
    return Place(start, length, media_type)


if __name__ == "__main__":
    answer(Asked, places)
