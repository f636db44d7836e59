"""The rows of a header as its page shows them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.catalogue.names import plain
from app.dicom.dictionary import entry, is_private
from app.dicom.elements import PIXEL_DATA
from app.dicom.terms import uid_name
from app.folding import searched
from app.sandbox.header_view import SHORT_VALUE, Row
from app.wording import counted, human_size

TAG = re.compile(r"\(?\b([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\b\)?")
DEEPEST = 8  # levels that are indented further
FOLDED = 80  # characters of a long value that stand before it is unfolded
DIFFERENCES = {"new": "only here", "gone": "only in the previous image"}


class Uid(NamedTuple):
    text: str
    name: str  # in the standard
    url: str  # of its page, where it is here


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute, or the heading of one item."""

    tag: str  # "(0010,0020)"; "" of an item
    name: str
    keyword: str
    creator: str  # of a private attribute
    vr: str
    depth: int
    value: str
    rest: str  # what to press, where the value is folded
    start: str  # what stands before that
    note: str  # said of the value, not part of it
    uids: list[Uid]
    difference: str  # "" also where both have a value
    before: str  # of the previous image
    is_private: bool
    is_around: bool
    is_item: bool
    is_sequence: bool


def asked_words(text: str) -> list[tuple[str, ...]]:
    """What somebody searches for, of which a tag, (0010,0020), is one word."""
    return searched(TAG.sub(r"\1\2", text))


def lines_of(rows: Iterable[Row], urls: Mapping[str, str]) -> list[Line]:
    """Rows in the words of a page, of which `urls` are the UIDs that are here."""
    return [_item(row) if row.is_item else _line(row, urls) for row in rows]


def uids_in(rows: Iterable[Row]) -> set[str]:
    return {uid for row in rows if row.vr == "UI" for uid in row.text.split("\\") if uid}


def _item(row: Row) -> Line:
    return Line(
        tag="", name=f"Item {row.length:,}", keyword="", creator="", vr="", depth=_depth(row),
        value="", rest="", start="", note="", uids=[], difference="", before="", is_private=False,
        is_around=row.is_around, is_item=True, is_sequence=False,
    )  # fmt: skip


def _line(row: Row, urls: Mapping[str, str]) -> Line:
    found, value = entry(row.tag, row.creator), plain(row.text)
    is_long = len(value) > SHORT_VALUE
    return Line(
        tag=f"({row.tag >> 16:04X},{row.tag & 0xFFFF:04X})",
        name=found.name,
        keyword=found.keyword,
        creator=plain(row.creator),
        vr=row.vr,
        depth=_depth(row),
        value=value,
        rest=_size_of(row) if is_long else "",
        start=f"{value[:FOLDED]}…" if is_long else "",
        note=_note(row),
        uids=[_uid(uid, urls) for uid in value.split("\\")]
        if row.vr == "UI" and value and not is_long
        else [],
        difference=DIFFERENCES.get(row.difference, ""),
        before=plain(row.before) or ("empty" if row.difference == "changed" else ""),
        is_private=is_private(row.tag),
        is_around=row.is_around,
        is_item=False,
        is_sequence=row.vr == "SQ",
    )


def _uid(uid: str, urls: Mapping[str, str]) -> Uid:
    name = uid_name(uid)
    return Uid(uid, "" if name == uid else name, urls.get(uid, ""))


def _depth(row: Row) -> int:
    """An item stands below its sequence, and what is in it beside it."""
    return min((row.level + 1) // 2, DEEPEST)


def _size_of(row: Row) -> str:
    """What a folded value is: "512 values"."""
    return counted(row.count, "value") if row.count > 1 else counted(len(row.text), "character")


def _note(row: Row) -> str:
    if row.difference == "gone":
        return ""
    if row.vr == "SQ":
        return counted(row.count, "item")
    if row.tag in PIXEL_DATA:
        size = human_size(max(row.length, 0))
        return f"{size} in {counted(row.count, 'part')}" if row.count else size
    if not row.text:
        return human_size(row.length) if row.length > 0 else "empty"
    if not row.is_whole:
        return f"the beginning of {human_size(row.length)}"
    return human_size(row.length) if not row.count else ""
