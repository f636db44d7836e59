"""What the programs have in common that look into one filed object for a page."""

import time
from collections.abc import Container, Iterator, Sequence
from itertools import chain

from msgspec import Struct

from app.dicom.elements import PIXEL_DATA, Element, Elements, FileSource, Unreadable
from app.dicom.records import Record
from app.dicom.shown import Values

from .confine import HANGING_SECONDS
from .once import Answers, ask

SECONDS = HANGING_SECONDS  # by the clock
PROCESSOR_SECONDS = 10
PATIENCE = 4.0  # seconds of it for one object, of which two may be looked into
ROUND = 1_000  # elements between two looks at the clock
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
    """Those of the file meta group, and those of the dataset.

    Raises
    ------
    Unreadable
        Also where there are more than there is time for, before the processor's limit.
    """
    until = time.process_time() + PATIENCE
    for number, element in enumerate(chain(elements.meta(), elements.dataset()), 1):
        yield element
        if not number % ROUND and time.process_time() > until:
            raise Unreadable("header_goes_on")


class Item:
    """A dataset, or an item of a sequence: texts, and the items of sequences, by tag."""

    __slots__ = ("items", "texts")

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.items: dict[int, list[Item]] = {}

    def text(self, tag: int, longest: int = 1_024) -> str:
        return self.texts.get(tag, "")[:longest]

    def first(self, tag: int) -> "Item":
        """The first item of a sequence; an empty one, where there is none."""
        return next(iter(self.items.get(tag, ())), NOTHING)


NOTHING = Item()


def tree_of(
    elements: Elements,
    values: Values,
    most: int,
    longest: int,
    wanted: Container[int] | None = None,
) -> tuple[Item, str]:
    """All of a dataset that can be read, up to its pixel data, and why that is not all.

    Parameters
    ----------
    most
        Elements that are looked at.
    longest
        Characters of a text.
    wanted
        What is read, with all sequences; else everything is.
    """
    top = Item()
    stack: list[tuple[int, Item | list[Item]]] = [(-1, top)]
    try:
        for count, one in enumerate(all_of(elements)):
            if count >= most:
                return top, "header_goes_on"
            values.follow(one)
            while stack[-1][0] >= one.level:
                stack.pop()
            within = stack[-1][1]
            if isinstance(within, list):
                within.append(item := Item())
                stack.append((one.level, item))
            elif one.is_sequence:
                stack.append((one.level, within.items.setdefault(one.tag, [])))
            elif one.level == 0 and one.tag in PIXEL_DATA:
                top.texts[one.tag] = ""
                return top, ""
            elif wanted is None or one.tag in wanted:
                within.texts[one.tag] = values.shown(one, longest, lines=True).text
    except Unreadable as error:
        return top, error.code
    return top, ""
