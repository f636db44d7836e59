"""A structured report as a document to be read: PS3.3 C.17.

A child process reads its content tree, by a descriptor, and sends it line by line: what a line is
called, what it says, in which unit, and which objects it refers to.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, msgpack

from app import reasons
from app.dicom.records import UID, Record, Text16, Text64, Text1024

from .looking import Item, Looking, look, opened, tree_of
from .once import answer
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.document"
MOST_LINES = 5_000
MOST_ELEMENTS = 300_000
DEEPEST = 32  # levels of content
MOST_REFERENCES = 50  # of one line
LONGEST_TEXT = 20_000  # characters of one line
ALL_TEXT = 2_000_000  # characters of all lines
MOST_VERIFIERS = 20

VALUE_TYPE, RELATIONSHIP_TYPE = 0x0040A040, 0x0040A010
CONCEPT_NAME, CODE_MEANING, CODE_VALUE = 0x0040A043, 0x00080104, 0x00080100
CONTENT, CONCEPT_CODE = 0x0040A730, 0x0040A168
MEASURED_VALUE, NUMERIC_VALUE, UNITS = 0x0040A300, 0x0040A30A, 0x004008EA
QUALIFIER = 0x0040A301
REFERENCED_SOP, SOP_CLASS, SOP_INSTANCE = 0x00081199, 0x00081150, 0x00081155
FRAMES = 0x00081160
GRAPHIC_TYPE, TEMPORAL_RANGE, BY_REFERENCE = 0x00700023, 0x0040A130, 0x0040DB73
# Where the value of a content item stands, by its type.
VALUES = {
    "TEXT": 0x0040A160,
    "DATETIME": 0x0040A120,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "PNAME": 0x0040A123,
    "UIDREF": 0x0040A124,
    "SCOORD": GRAPHIC_TYPE,
    "SCOORD3D": GRAPHIC_TYPE,
    "TCOORD": TEMPORAL_RANGE,
}
COMPLETION, VERIFICATION, PRELIMINARY = 0x0040A491, 0x0040A493, 0x0040A496
VERIFIERS, VERIFIER, ORGANIZATION, VERIFIED_AT = 0x0040A073, 0x0040A075, 0x0040A027, 0x0040A030
CONTENT_DATE, CONTENT_TIME = 0x00080023, 0x00080033


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    looking: Looking


class Reference(Record, frozen=True):
    """An object that a line refers to."""

    sop_class_uid: UID
    sop_instance_uid: UID
    frames: Text64 = ""  # numbers, as in the file


class Line(Record, frozen=True):
    """A content item: PS3.3 Table C.17-5."""

    level: Annotated[int, Meta(ge=1, le=DEEPEST)]
    kind: Text16  # Value Type
    relation: Text64  # to what it stands below
    name: Text1024
    text: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    unit: Text1024 = ""
    references: Annotated[list[Reference], Meta(max_length=MOST_REFERENCES)] = []


class Verifier(Record, frozen=True):
    name: Text1024
    organization: Text1024
    verified_at: Text64


class Document(Record, frozen=True):
    """A report; `why_not` says why there is no more of it, or none."""

    title: Text1024 = ""
    completion: Text64 = ""  # Completion Flag
    verification: Text64 = ""  # Verification Flag
    preliminary: Text64 = ""  # Preliminary Flag
    verifiers: Annotated[list[Verifier], Meta(max_length=MOST_VERIFIERS)] = []
    date: Text64 = ""
    time: Text64 = ""
    lines: Annotated[list[Line], Meta(max_length=MOST_LINES)] = []
    why_not: Text64 = ""


def read_document(file: int, looking: Looking) -> Document:
    """The report that a descriptor is of."""
    answers = look(PROGRAM, Asked(file, looking), [file], looking)
    for body in answers.frames[:1]:
        return document_of(body)
    return Document(why_not="header_unread" if answers.in_time else "header_took_long")


_document = msgpack.Decoder(Document).decode


def document_of(body: bytes) -> Document:
    """An answer of the child, as far as it can be one."""
    try:
        document = believed(_document, body)
    except Unbelievable:
        return Document(why_not="header_unread")
    return (
        document
        if document.why_not in ("", *reasons.LOOKING)
        else Document(why_not="header_unread")
    )


# --- the child -------------------------------------------------------------------------------


def documents(asked: Asked) -> Iterator[Document]:
    try:
        yield _document_in(asked)
    except MemoryError:
        yield Document(why_not="header_unread")


def _document_in(asked: Asked) -> Document:
    top, why_not = tree_of(*opened(asked.file, asked.looking), MOST_ELEMENTS, LONGEST_TEXT)
    lines, is_cut = _lines(top)
    return Document(
        title=_meaning(top.first(CONCEPT_NAME)),
        completion=top.text(COMPLETION, 64),
        verification=top.text(VERIFICATION, 64),
        preliminary=top.text(PRELIMINARY, 64),
        verifiers=[
            Verifier(one.text(VERIFIER), one.text(ORGANIZATION), one.text(VERIFIED_AT, 64))
            for one in top.items.get(VERIFIERS, [])[:MOST_VERIFIERS]
        ],
        date=top.text(CONTENT_DATE, 64),
        time=top.text(CONTENT_TIME, 64),
        lines=lines,
        why_not=why_not or ("document_too_long" if is_cut else ""),
    )


def _lines(top: Item) -> tuple[list[Line], bool]:
    """The content below the document's title, and whether that is not all of it."""
    lines: list[Line] = []
    left = ALL_TEXT
    waiting = [(1, one) for one in reversed(top.items.get(CONTENT, []))]
    is_cut = False
    while waiting:
        level, item = waiting.pop()
        if len(lines) >= MOST_LINES or left <= 0:
            return lines, True
        line = _line(level, item)
        lines.append(line)
        left -= len(line.text)
        below = item.items.get(CONTENT, [])
        if below and level == DEEPEST:
            is_cut = True
        else:
            waiting += [(level + 1, one) for one in reversed(below)]
    return lines, is_cut


def _line(level: int, item: Item) -> Line:
    kind = item.text(VALUE_TYPE, 16)
    text, unit = item.text(VALUES.get(kind, 0), LONGEST_TEXT), ""
    if kind == "CODE":
        text = _meaning(item.first(CONCEPT_CODE))
    elif kind == "NUM":
        measured = item.first(MEASURED_VALUE)
        text = measured.text(NUMERIC_VALUE) or _meaning(item.first(QUALIFIER))
        unit = _unit(measured.first(UNITS))
    elif not kind and BY_REFERENCE in item.texts:
        kind, text = "REF", item.text(BY_REFERENCE)
    return Line(
        level,
        kind,
        item.text(RELATIONSHIP_TYPE, 64),
        _meaning(item.first(CONCEPT_NAME)),
        text,
        unit,
        [
            Reference(one.text(SOP_CLASS, 128), one.text(SOP_INSTANCE, 128), one.text(FRAMES, 64))
            for one in item.items.get(REFERENCED_SOP, [])[:MOST_REFERENCES]
        ],
    )


def _meaning(code: Item) -> str:
    return code.text(CODE_MEANING) or code.text(CODE_VALUE)


def _unit(code: Item) -> str:
    """A unit as UCUM writes it ("mm"), which is shorter than its meaning; "" of pure numbers."""
    value = code.text(CODE_VALUE)
    is_word = value.startswith("{")  # UCUM's annotation: {pixels}
    return "" if value == "1" else code.text(CODE_MEANING) if is_word or not value else value


if __name__ == "__main__":
    answer(Asked, documents)
