"""What the programs have in common that look into one filed object for a page."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.dicom.elements import Element, Elements, FileSource
from app.dicom.records import Record
from app.dicom.shown import Values

from .once import Answers, ask

SECONDS = 20.0
PROCESSOR_SECONDS = 10
MEMORY = 512_000_000  # bytes of address space, besides what is inflated
MOST_ANSWERED = 24_000_000  # bytes


class Looking(Record, frozen=True):
    """How objects are read."""

    assumed_charset: str  # a defined term, for text that declares none or a wrong one
    most_inflated: int  # bytes of a deflated object


def look(program: str, orders: Struct, descriptors: Sequence[int], looking: Looking) -> Answers:
    """What a program answers about the objects of these descriptors."""
    return ask(
        program,
        orders,
        descriptors,
        seconds=SECONDS,
        processor=PROCESSOR_SECONDS,
        memory=MEMORY + 2 * looking.most_inflated,
        most=MOST_ANSWERED,
    )


def opened(file: int, looking: Looking) -> tuple[Elements, Values]:
    """In the child: an object's elements, and what they hold."""
    elements = Elements(FileSource(file), looking.most_inflated)
    return elements, Values(elements, looking.assumed_charset)


def all_of(elements: Elements) -> Iterator[Element]:
    """Those of the file meta group, and those of the dataset."""
    yield from elements.meta()
    yield from elements.dataset()
