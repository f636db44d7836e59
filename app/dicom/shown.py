"""An element's value as text that people read, in the character set of its item."""

import hashlib
from struct import Struct
from typing import NamedTuple

from .elements import Element, Elements, Source
from .text import Charset, charset, clean, decode

SPECIFIC_CHARACTER_SET = 0x00080005
TEXT_VRS = frozenset(
    (
        *("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT"),
        *("PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"),
    )
)
ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))  # a backslash separates none
IN_ASCII = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
NUMBERS = {
    **{"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"},
    **{"OF": "f", "OD": "d", "OL": "I", "OV": "Q", "OW": "H", "AT": "HH"},
}
SEPARATOR = "\\"
PADDING = " \0"
FEW = 16  # bytes that are written in hexadecimal digits
PIECE = 1 << 16


class Shown(NamedTuple):
    """A value's text; `values` is how many it stands for, 0 where it is no text."""

    text: str
    values: int
    whole: bool = True


class Values:
    """What the elements of one object hold; they are to be followed in their order.

    Parameters
    ----------
    assumed_charset
        A defined term, for text that declares none or a wrong one.
    """

    def __init__(self, elements: Elements, assumed_charset: str) -> None:
        self.elements = elements
        self.assumed = assumed_charset
        self.charsets: list[tuple[int, Charset]] = [(-1, charset(b"", assumed_charset))]

    @property
    def source(self) -> Source:
        return self.elements.source

    def follow(self, element: Element) -> None:
        """Know which character set counts from here on: PS3.3 C.12.1.1.2."""
        while self.charsets[-1][0] > element.level:
            self.charsets.pop()
        if element.tag == SPECIFIC_CHARACTER_SET and element.length < PIECE:
            value = self.source.at(element.start, element.length)
            if self.charsets[-1][0] == element.level:
                self.charsets.pop()
            self.charsets.append((element.level, charset(value, self.assumed)))

    def shown(self, element: Element, longest: int, lines: bool = False) -> Shown:
        """A value's text, up to a number of characters.

        Parameters
        ----------
        lines
            Whether a text may have several.
        """
        size = max(min(element.length, longest * 4), 0)  # no character takes more bytes
        data = self.source.at(element.start, size)
        if element.vr in TEXT_VRS:
            text = self._text(data, element.vr, lines)
            count = 1 if element.vr in ONE_VALUE else text.count(SEPARATOR) + 1
            shown = Shown(text, count if text else 0, size == element.length)
        elif element.vr in NUMBERS and element.vr != "OW":
            shown = self._numbers(data, element, longest)
        else:
            shown = self._binary(data, element)
        if len(shown.text) > longest:
            return Shown(shown.text[:longest], shown.values, False)
        return shown

    def _text(self, data: bytes, vr: str, lines: bool) -> str:
        if vr in IN_ASCII and data.isascii():
            text = data.decode("ascii")
        else:
            text = decode(data, self.charsets[-1][1], vr).text
        text = text.rstrip(PADDING) if vr in ONE_VALUE else text.strip(PADDING)
        if lines:
            return "\n".join(map(clean, text.splitlines()))
        return clean(text)

    def _numbers(self, data: bytes, element: Element, longest: int) -> Shown:
        code = NUMBERS[element.vr]
        one = Struct(f"{'>' if self.elements.big_endian else '<'}{code}")
        count = max(element.length, 0) // one.size
        data = data[: min(count, longest // 2 + 1) * one.size]
        values = one.iter_unpack(data[: len(data) // one.size * one.size])
        texts = [_tag(*value) if code == "HH" else f"{value[0]:.9g}" if code in "fd" else
                 str(value[0]) for value in values]  # fmt: skip
        return Shown(SEPARATOR.join(texts), count, len(texts) == count)

    def _binary(self, data: bytes, element: Element) -> Shown:
        """Text, as manufacturers write it in elements of unknown VR; or a few bytes."""
        text = data.rstrip(b" \0")
        if text and text.isascii() and text.decode("ascii").isprintable():
            return Shown(text.decode("ascii"), 1, len(data) == element.length)
        if 0 < element.length <= FEW:
            return Shown(data.hex(" "), 0)
        return Shown("", 0)

    def digest(self, element: Element) -> bytes:
        """What is the same for equal values of objects that are written alike."""
        if element.length <= PIECE:
            data = self.source.at(element.start, max(element.length, 0)).rstrip(b" \0")
            return data if len(data) <= 32 else hashlib.blake2b(data, digest_size=32).digest()
        found = hashlib.blake2b(digest_size=32)
        for start in range(element.start, element.start + element.length, PIECE):
            found.update(self.source.at(start, min(PIECE, element.start + element.length - start)))
        return found.digest()


def _tag(group: int, number: int) -> str:
    return f"({group:04X},{number:04X})"
