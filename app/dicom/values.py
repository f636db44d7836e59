"""Elements -> plain Python values, the same for whichever reader found the elements.

A value that cannot be read becomes "" or None, and a warning that names its attribute.
"""

import re
from collections.abc import Callable
from datetime import date, time
from functools import lru_cache
from math import isfinite
from struct import calcsize, unpack
from typing import NamedTuple

from . import text
from .errors import MemberFailed
from .records import ReadWarning
from .scanner import LONGEST, Element

PATIENT_ID_LIMIT = 256  # characters
UID_LIMIT = 128  # characters; the standard allows 64

STANDARD_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
STORABLE_UID = re.compile(r"[ -\[\]-~]{1,128}")  # printable ASCII but the backslash
DATE = re.compile(rb"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")  # with dots: ACR-NEMA
TIME = re.compile(rb"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(?:\.([0-9]*))?)?)?")
INTEGER = re.compile(rb"[+-]?[0-9]{1,20}")
DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WHITESPACE = b" \0\t\n\v\f\r"
BINARY = {
    **{b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q"},
    **{b"FL": "f", b"FD": "d"},
}
NOT_NUMBERS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"AT"))
# In these a backslash separates values, each with its own padding.
PADDED_EACH = frozenset(("LO", "SH", "UC"))

# What must not stand in a Patient ID as it is, nor look like what is written instead of it.
UNSAFE_IN_ID = re.compile("[\x00-\x1f\x7f-\x9f]|\\\\(?=x[0-9a-f]{2})")

Numbers = tuple[int, ...] | tuple[float, ...]

INT32 = range(2**31)
INT64 = range(-(2**63), 2**63)


class Attribute(NamedTuple):
    """A data element as PS3.6 has it, and how long a text ICON keeps."""

    tag: int
    keyword: str
    vr: str
    limit: int = 0  # characters


class Values:
    """The attributes of one dataset as plain values, and what was wrong with them."""

    def __init__(
        self,
        get: Callable[[int], Element | None],
        charset: text.Charset,
        little_endian: bool = True,
    ) -> None:
        self.get = get
        self.charset = charset
        self.little_endian = little_endian
        self.warnings: list[ReadWarning] = []

    def warn(self, code: str, **facts: str | int) -> None:
        warning = ReadWarning(code, facts)
        if warning not in self.warnings:
            self.warnings.append(warning)

    def raw(self, attribute: Attribute) -> bytes:
        element = self.get(attribute.tag)
        return element[1] if element else b""

    def text(self, attribute: Attribute) -> str:
        element = self.get(attribute.tag)
        if element is None:
            return ""
        value, guessed = _text_of(element[1], attribute.vr, self.charset)
        if guessed:
            self.warn("charset_guessed")
        if len(value) > attribute.limit:
            self.warn("value_shortened", attribute=attribute.keyword, limit=attribute.limit)
            return value[: attribute.limit].rstrip(" ")
        return value

    def patient_id(self, attribute: Attribute) -> str:
        """A Patient ID, in which no two different ones become the same.

        Undecodable bytes are read as Latin-1, which keeps them apart, and a control character
        is written as in `\\x0a`.
        """
        value = self.raw(attribute).strip(b"\0 ")
        if len(value) >= LONGEST:
            raise MemberFailed("patient_id_too_long", limit=PATIENT_ID_LIMIT)
        decoded = text.decode(value, self.charset)
        if decoded.guessed:
            self.warn("charset_guessed")
        if "\ufffd" in decoded.text:
            decoded = text.Decoded(value.decode("latin-1"), True)
        identifier = UNSAFE_IN_ID.sub(_escaped, decoded.text.strip("\0 "))
        if len(identifier) > PATIENT_ID_LIMIT:
            raise MemberFailed("patient_id_too_long", limit=PATIENT_ID_LIMIT)
        if not identifier:
            self.warn("patient_id_empty")
        return identifier

    def identity(self, attribute: Attribute) -> str:
        """A UID without which the object has no place.

        Raises
        ------
        MemberFailed
            uid_missing, uid_invalid.
        """
        uid = self.raw(attribute).rstrip(b"\0 ").decode("latin-1")
        if not uid:
            raise MemberFailed("uid_missing", attribute=attribute.keyword)
        if len(uid) <= 64 and STANDARD_UID.fullmatch(uid):
            return uid
        if not STORABLE_UID.fullmatch(uid):
            raise MemberFailed("uid_invalid", attribute=attribute.keyword)
        self.warn("uid_nonstandard", attribute=attribute.keyword)
        return uid

    def uid(self, attribute: Attribute) -> str:
        uid = self.raw(attribute).rstrip(b"\0 ").decode("latin-1")
        if uid and not STORABLE_UID.fullmatch(uid):
            self.unreadable(attribute)
            return ""
        return uid

    def date(self, attribute: Attribute) -> date | None:
        value = self.raw(attribute).strip(WHITESPACE)
        if not value:
            return None
        match = DATE.fullmatch(value)
        try:
            return date(*map(int, match.group(1, 3, 4))) if match else self.none(attribute)
        except ValueError:
            return self.none(attribute)

    def time(self, attribute: Attribute) -> time | None:
        value = self.raw(attribute).strip(WHITESPACE)
        if not value:
            return None
        match = TIME.fullmatch(value)
        if match is None:
            return self.none(attribute)
        hour, minute, second = (int(match[group] or 0) for group in (1, 3, 4))
        microsecond = int((match[5] or b"")[:6].ljust(6, b"0"))
        try:
            # A leap second is the 60th, which Python's time does not have.
            return time(hour, minute, 59 if second == 60 else second, microsecond)
        except ValueError:
            return self.none(attribute)

    def integer(self, attribute: Attribute, within: range = INT64) -> int | None:
        numbers = self._numbers(attribute)
        if not numbers:
            return None
        number = numbers[0]
        if len(numbers) > 1 or number != int(number) or int(number) not in within:
            return self.none(attribute)
        return int(number)

    def decimal(self, attribute: Attribute) -> float | None:
        numbers = self.decimals(attribute, 1)
        return numbers[0] if numbers else None

    def decimals(self, attribute: Attribute, count: int) -> list[float] | None:
        """Exactly `count` finite numbers, or None."""
        numbers = self._numbers(attribute)
        if not numbers:
            return None
        return [float(n) for n in numbers] if len(numbers) == count else self.none(attribute)

    def integers(self, attribute: Attribute, count: int, within: range) -> list[int] | None:
        """Exactly `count` integers, or None."""
        numbers = self._numbers(attribute)
        if not numbers:
            return None
        if len(numbers) != count or any(n != int(n) or int(n) not in within for n in numbers):
            return self.none(attribute)
        return [int(n) for n in numbers]

    def _numbers(self, attribute: Attribute) -> Numbers:
        """The finite numbers of an element, none of them where it is empty or unreadable."""
        element = self.get(attribute.tag)
        if element is None:
            return ()
        numbers = _short_numbers_of(element, attribute.vr, self.little_endian)
        if numbers is None:
            self.unreadable(attribute)
        return numbers or ()

    def unreadable(self, attribute: Attribute) -> None:
        self.warn("value_unreadable", attribute=attribute.keyword)

    def none(self, attribute: Attribute) -> None:
        self.unreadable(attribute)


@lru_cache(maxsize=512)
def _text_of(value: bytes, vr: str, charset: text.Charset) -> text.Decoded:
    """A value's text without padding and control characters."""
    decoded, guessed = text.decode(value.rstrip(b"\0 "), charset)
    return text.Decoded(text.clean(_padding_off(decoded, vr)).rstrip(" "), guessed)


def _padding_off(value: str, vr: str) -> str:
    """As pydicom takes padding off, which depends on the VR."""
    if vr in PADDED_EACH and "\\" in value:
        return "\\".join(part.rstrip("\0 ") for part in value.split("\\"))
    if vr == "PN":
        return "\\".join(part.rstrip("=") for part in value.split("\\"))
    return value.rstrip("\0 ")


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"


def numbers_of(element: Element, dictionary_vr: str, little_endian: bool) -> Numbers | None:
    """The numbers of an element; None where they are not all finite numbers."""
    vr, value = element
    if vr in (b"", b"UN"):
        vr = dictionary_vr.encode()
    if vr in NOT_NUMBERS:
        return None
    if vr in BINARY:
        return _binary_numbers(value, BINARY[vr], little_endian)
    value = value.strip(WHITESPACE)
    if not value:
        return ()
    parts = [part.strip(WHITESPACE) for part in value.split(b"\\")]
    if all(map(INTEGER.fullmatch, parts)):
        return tuple(map(int, parts))
    if not all(map(DECIMAL.fullmatch, parts)):
        return None
    numbers = tuple(map(float, parts))
    return numbers if all(map(isfinite, numbers)) else None


# Rows, spacing and orientation repeat through a series.
_short_numbers_of = lru_cache(maxsize=512)(numbers_of)


def _binary_numbers(value: bytes, code: str, little_endian: bool) -> Numbers | None:
    size = calcsize("=" + code)
    if len(value) % size:
        return None
    numbers = unpack(f"{'<' if little_endian else '>'}{len(value) // size}{code}", value)
    return numbers if all(map(isfinite, numbers)) else None
