"""All attributes of a filed object, a page of them at a time, as rows to be shown.

A child process walks over the object's elements, by a descriptor, and sends the rows that somebody
asked for. It may be given the previous image, too, and then tells what differs from it.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, msgpack

from app import reasons
from app.dicom import dictionary
from app.dicom.elements import ITEM, PIXEL_DATA, Element, Unreadable
from app.dicom.records import Count, Record, Text16, Text64
from app.folding import folded

from .looking import Looking, all_of, look, opened
from .once import answer
from .wire import Unbelievable, believed

PROGRAM = "app.sandbox.header_view"
ROWS = 1_000  # of one page
MOST_AROUND = 2_000  # rows of a page that only say what others are in
LONGEST_VALUE = 8_192  # characters
SHORT_VALUE = 200  # characters that a page shows unfolded
PAGE_TEXT = 1_000_000  # characters of a page's values, after which only short ones are sent
SEARCHED = 65_536  # characters of each value that is searched
MOST_WORDS = 8
MOST_COMPARED = 100_000  # elements of the previous image
DATA_SET_TRAILING_PADDING = 0xFFFCFFFC
# Not compared: the pixels of two images always differ, and padding says nothing.
NOT_COMPARED = (*PIXEL_DATA, DATA_SET_TRAILING_PADDING)

GONE: Literal["gone"] = "gone"
Difference = Literal["", "changed", "new", "gone"]
Length = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
Tag = Annotated[int, Meta(ge=0, lt=2**32)]


class Asked(Record, frozen=True):
    """What the child is asked."""

    file: int  # descriptor
    previous: int  # descriptor of the previous image; -1 for none
    first: int  # row of all that would be sent
    words: list[list[str]]  # all of these, each in one of these spellings
    private: bool
    looking: Looking


class Row(Record, frozen=True):
    """An element, or an item of a sequence."""

    level: Annotated[int, Meta(ge=0, le=200)]
    tag: Tag
    vr: Text16
    creator: Text64  # of its block of private elements
    text: Annotated[str, Meta(max_length=LONGEST_VALUE)]
    count: Annotated[
        int, Meta(ge=0, le=2**63 - 1)
    ]  # values; items of a sequence; fragments of pixels
    length: Length  # bytes; of an item its number in the sequence
    is_whole: bool  # whether the text is all of the value
    is_around: bool  # only says what others are in
    difference: Difference = ""
    before: Annotated[str, Meta(max_length=SHORT_VALUE)] = ""  # what the previous image has

    @property
    def is_item(self) -> bool:
        return self.tag == ITEM


class Page(Record, frozen=True):
    """Rows of an object; `why_not` says why there are no more, or none."""

    rows: Annotated[list[Row], Meta(max_length=ROWS + MOST_AROUND)] = []
    total: Count = 0  # rows that could be asked for, without those around
    hidden: Count = 0  # private elements that were not asked for
    why_not: Text64 = ""
    comparing: Text64 = ""  # why the previous image was not compared


def read_page(
    file: int,
    *,
    previous: int = -1,
    first: int = 0,
    words: Sequence[Sequence[str]] = (),
    private: bool = True,
    looking: Looking,
) -> Page:
    """Rows of an object, from a number on.

    Parameters
    ----------
    file, previous
        Descriptors of the object, and of the one to compare it with: then only what differs.
    words
        Only rows that have all of these, each in one of its spellings.
    """
    spellings = [[*one] for one in words][:MOST_WORDS]
    asked = Asked(file, previous, first, spellings, private, looking)
    descriptors = [one for one in (file, previous) if one >= 0]
    answers = look(PROGRAM, asked, descriptors, looking)
    for body in answers.frames[:1]:
        return page_of(body)
    return Page(why_not="header_unread" if answers.in_time else "header_took_long")


_page = msgpack.Decoder(Page).decode


def page_of(body: bytes) -> Page:
    """An answer of the child, as far as it can be one."""
    try:
        page = believed(_page, body)
    except Unbelievable:
        return Page(why_not="header_unread")
    known = {"", *reasons.LOOKING}
    return page if {page.why_not, page.comparing} <= known else Page(why_not="header_unread")


# --- the child -------------------------------------------------------------------------------

Path = tuple[int, ...]  # from the dataset down to an element: tags, and the numbers of items


class Draft:
    """A row that is not finished: a sequence's items are counted as they come."""

    def __init__(self, element: Element, path: Path) -> None:
        self.element, self.path = element, path
        self.text, self.count, self.is_whole = "", element.fragments, True
        self.is_sent = False
        self.difference: Difference = ""
        self.before = ""

    def row(self, is_around: bool) -> Row:
        one = self.element
        length = self.path[-1] if one.is_item else one.length
        return Row(one.level, one.tag, one.vr, one.creator, self.text, self.count, length,
                   self.is_whole, is_around, self.difference, self.before)  # fmt: skip


class Way:
    """The sequences and items that a walk is in."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def to(self, element: Element) -> Draft:
        """The next element, as a row below these."""
        while self.drafts and self.drafts[-1].element.level >= element.level:
            self.drafts.pop()
        above = self.drafts[-1] if self.drafts else None
        key = element.tag
        if above and element.is_item:
            above.count += 1
            key = above.count
        draft = Draft(element, (*(above.path if above else ()), key))
        if element.is_item or element.is_sequence:
            self.drafts.append(draft)
        return draft

    def above(self, draft: Draft) -> list[Draft]:
        return [one for one in self.drafts if one is not draft]


class Before(NamedTuple):
    """What the previous image has in one place."""

    element: Element
    digest: bytes
    text: str


class NotCompared(Exception):
    """The previous image cannot be compared; its one argument is a code."""


def pages(asked: Asked) -> Iterator[Page]:
    try:
        yield _Reading(asked).page()
    except NotCompared as why:
        yield Page(comparing=why.args[0])
    except MemoryError:
        yield Page(why_not="header_unread")


class _Reading:
    """A walk over an object, of which one page of rows is kept."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.elements, self.values = opened(asked.file, asked.looking)
        self.way = Way()
        self.kept: list[tuple[Draft, bool]] = []  # and whether it is only around others
        self.around = self.total = self.hidden = self.used = 0
        self.before: dict[Path, Before] | None = None
        self.was_big_endian = False

    def page(self) -> Page:
        why_not = ""
        if self.asked.previous >= 0:
            self.before = self._read_previous()
        try:
            for element in self._wanted():
                self._see(self.way.to(element))
        except Unreadable as error:
            why_not = error.code
        else:
            self._add_what_is_gone()
        rows = [draft.row(is_around) for draft, is_around in self.kept]
        return Page(rows, self.total, self.hidden, why_not)

    def _wanted(self) -> Iterator[Element]:
        """All elements, or without private ones and what is in them."""
        hidden_from = -1
        for element in all_of(self.elements):
            if 0 <= hidden_from < element.level:
                continue
            hidden_from = -1
            if dictionary.is_private(element.tag) and not self.asked.private:
                hidden_from, self.hidden = element.level, self.hidden + 1
                continue
            self.values.follow(element)
            yield element

    def _see(self, draft: Draft) -> None:
        one = draft.element
        if self.before is None and not self.asked.words:
            self._keep(draft)
        elif one.is_item or not self._differs(draft):
            return
        elif self._has_words(one, self._searched(one)):
            self._keep(draft)

    def _keep(self, draft: Draft) -> None:
        """Count a row and, where it is of this page, send it, below what it is in."""
        number, self.total = self.total, self.total + 1
        if not self.asked.first <= number < self.asked.first + ROWS:
            return
        for one in self.way.above(draft):
            if not one.is_sent and self.around < MOST_AROUND:
                self.around += 1
                self._send(one, is_around=True)
        self._send(draft)

    def _send(self, draft: Draft, is_around: bool = False) -> None:
        draft.is_sent = True
        one = draft.element
        if not (
            one.is_item or one.is_sequence or one.tag in PIXEL_DATA or draft.difference == GONE
        ):
            longest = LONGEST_VALUE if self.used < PAGE_TEXT else SHORT_VALUE
            draft.text, draft.count, draft.is_whole = self.values.shown(one, longest)
            self.used += len(draft.text)
        self.kept.append((draft, is_around))

    # What is searched for

    def _searched(self, element: Element) -> str:
        if element.is_sequence or element.tag in PIXEL_DATA or not self.asked.words:
            return ""
        return self.values.shown(element, SEARCHED).text

    def _has_words(self, element: Element, value: str) -> bool:
        if not self.asked.words:
            return True
        found = dictionary.entry(element.tag, element.creator)
        tag = f"{element.tag:08X}"
        names = (found.name, found.keyword, tag, f"{tag[:4]}-{tag[4:]}", element.creator)
        text = folded(" ".join((*names, value)))
        return all(any(one in text for one in spellings) for spellings in self.asked.words)

    # What differs from the previous image

    def _read_previous(self) -> dict[Path, Before]:
        elements, values = opened(self.asked.previous, self.asked.looking)
        way = Way()
        found: dict[Path, Before] = {}
        try:
            for one in all_of(elements):
                values.follow(one)
                draft = way.to(one)
                if one.is_item or not _is_compared(one):
                    continue
                if len(found) >= MOST_COMPARED:
                    raise NotCompared("previous_too_long")
                if one.is_sequence:
                    found[draft.path] = Before(one, b"", "")
                else:
                    text = values.shown(one, SHORT_VALUE).text
                    found[draft.path] = Before(one, values.digest(one), text)
        except Unreadable as error:
            is_long = error.code == "header_goes_on"
            raise NotCompared("previous_too_long" if is_long else "previous_unread") from None
        self.was_big_endian = elements.big_endian
        return found

    def _differs(self, draft: Draft) -> bool:
        """Whether the previous image says something else here; always, where there is none."""
        one = draft.element
        if self.before is None:
            return True
        if not _is_compared(one) or any(above.difference for above in self.way.above(draft)):
            return False
        before = self.before.pop(draft.path, None)
        if before is None:
            draft.difference = "new"
        elif one.is_sequence or self._is_same(one, before):
            return False
        else:
            draft.difference, draft.before = "changed", before.text
        return True

    def _is_same(self, element: Element, before: Before) -> bool:
        if self.elements.big_endian != self.was_big_endian:
            return self.values.shown(element, SHORT_VALUE).text == before.text
        return self.values.digest(element) == before.digest

    def _add_what_is_gone(self) -> None:
        """What only the previous image has, below what it is in; of a sequence not its items."""
        left, self.before = self.before or {}, None
        self.way = Way()
        for path, before in left.items():
            one = before.element
            is_hidden = dictionary.is_private(one.tag) and not self.asked.private
            within_another = any(path[:size] in left for size in range(1, len(path)))
            if is_hidden or within_another or not self._has_words(one, before.text):
                continue
            draft = Draft(one, path)
            draft.difference, draft.before = GONE, before.text
            self.way.drafts = self._above(path)
            self._keep(draft)

    def _above(self, path: Path) -> list[Draft]:
        """What a place is in, of which those stay the same that the last one was in."""
        known = {one.path: one for one in self.way.drafts}
        above = []
        for level, key in enumerate(path[:-1]):
            here = path[: level + 1]
            tag, vr = (ITEM, "") if level % 2 else (key, dictionary.SEQUENCE_VR)
            above.append(known.get(here) or Draft(Element(level, tag, vr, 0, -1), here))
        return above


def _is_compared(element: Element) -> bool:
    return element.tag & 0xFFFF != 0 and element.tag not in NOT_COMPARED


if __name__ == "__main__":
    answer(Asked, pages)
