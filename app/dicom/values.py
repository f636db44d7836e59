"""Elements -> plain Python values, the same for whichever reader found the elements.

A value that cannot be read becomes "" or None, and a warning that names its attribute.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time
from functools import lru_cache
from math import isfinite
from struct import calcsize, unpack
from typing import Any, Protocol, TypeVar

from app.errors import MemberFailed

from . import text
from .attributes import Attribute
from .records import ReadWarning, Record
from .scanner import LONGEST_VALUE, Element, Repeated, Wanted, uid_of

STANDARD_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
LONGEST_UID = 128  # characters that are kept
# Printable ASCII but the backslash, which separates values.
STORABLE_UID = re.compile(rf"[ -\[\]-~]{{1,{LONGEST_UID}}}")
DATE = re.compile(  # with dots: ACR-NEMA; with a time: what should be a DT
    rb"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})(?:[0-9]{6}(?:\.[0-9]*)?)?"
)
TIME = re.compile(rb"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(?:\.([0-9]*))?)?)?")
PLAIN_TIME = re.compile(rb"[0-9]{4}[0-5][0-9](?:\.[0-9]{1,6})?")
MOMENT = re.compile(rb"([0-9]{8})([0-9.]*)(?:[+-][0-9]{4})?")  # PS3.5 6.2: DT
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

Value = TypeVar("Value")
Moment = tuple[date, time | None]
Numbers = tuple[int, ...] | tuple[float, ...]


class Elements(Protocol):
    """The elements of a dataset or an item as they stand in the file, by whichever reader."""

    @property
    def little_endian(self) -> bool: ...
    @property
    def overflowed(self) -> bool: ...
    @property
    def repeated(self) -> Repeated | None: ...  # None where nothing is known of others
    def __contains__(self, tag: int) -> bool: ...
    def get(self, tag: int, /) -> Element | None: ...
    def raw(self, tag: int) -> bytes: ...
    def items(self, tag: int, wanted: Wanted) -> Iterator["Elements"]: ...
    def count(self, tag: int) -> int: ...
    def copy(self) -> "Elements": ...
    def count_anew(self) -> None: ...


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

    def over(self, get: Callable[[int], Element | None]) -> "Values":
        """The values of other elements of the same object; their warnings are kept with these."""
        values = Values(get, self.charset, self.little_endian)
        values.warnings = self.warnings
        return values

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
        if len(value) > attribute.longest:
            self.warn("value_shortened", attribute=attribute.keyword, limit=attribute.longest)
            return value[: attribute.longest].rstrip(" ")
        return value

    def patient_id(self, attribute: Attribute) -> str:
        """A Patient ID, read so that no two different ones become the same.

        Raises
        ------
        MemberFailed
            patient_id_too_long.
        """
        value = self.raw(attribute).strip(WHITESPACE)
        if len(value) >= LONGEST_VALUE:
            raise MemberFailed("patient_id_too_long", limit=attribute.longest)
        identifier, guessed = text.decode_losslessly(value, self.charset)
        identifier = identifier.strip(" ")
        if text.NUMBERED in identifier:
            self.warn("patient_id_controls")
        if len(identifier) > attribute.longest:
            raise MemberFailed("patient_id_too_long", limit=attribute.longest)
        if guessed:
            self.warn("charset_guessed")
        if not identifier:
            self.warn("patient_id_empty")
        return identifier

    def former_ids(self, attribute: Attribute) -> list[str]:
        """A Patient ID as it may have been read earlier: never what it is read as today."""
        value = self.raw(attribute).strip(WHITESPACE)
        reading, _ = text.decode_losslessly(value, self.charset)
        former = text.other_readings(value, self.charset, reading)
        return [one.strip("\0 ") for one in former if len(one) <= attribute.longest]

    def identity(self, attribute: Attribute) -> str:
        """A UID without which the object cannot be catalogued.

        Raises
        ------
        MemberFailed
            uid_missing, uid_invalid.
        """
        uid = uid_of(self.raw(attribute))
        if not uid:
            raise MemberFailed("uid_missing", attribute=attribute.keyword)
        if len(uid) <= 64 and STANDARD_UID.fullmatch(uid):  # PS3.5 9.1
            return uid
        if not STORABLE_UID.fullmatch(uid):
            raise MemberFailed("uid_invalid", attribute=attribute.keyword)
        self.warn("uid_nonstandard", attribute=attribute.keyword)
        return uid

    def uid(self, attribute: Attribute) -> str:
        uid = uid_of(self.raw(attribute))
        if uid and not STORABLE_UID.fullmatch(uid):
            self.unreadable(attribute)
            return ""
        return uid

    def date(self, attribute: Attribute) -> date | None:
        return self._parsed(attribute, date_of)

    def time(self, attribute: Attribute) -> time | None:
        return self._parsed(attribute, time_of)

    def moment(self, attribute: Attribute) -> Moment | None:
        """The date and time of a DT, without its time zone, as DA and TM have none."""
        return self._parsed(attribute, moment_of)

    def integer(self, attribute: Attribute) -> int | None:
        element = self.get(attribute.tag)
        if element is None:
            return None
        try:
            number = _integer_of(element, attribute.vr, self.little_endian)
            if number is None or number in attribute.within:
                return number
        except ValueError:
            pass
        self.unreadable(attribute)
        return None

    def integers(self, attribute: Attribute) -> list[int] | None:
        """As many integers as `attribute.values` says, or None."""
        element = self.get(attribute.tag)
        if element is None:
            return None
        try:
            numbers = _integers_of(element, attribute.vr, self.little_endian, attribute.values)
            if numbers is None or all(number in attribute.within for number in numbers):
                return numbers
        except ValueError:
            pass
        self.unreadable(attribute)
        return None

    def decimal(self, attribute: Attribute) -> float | None:
        element = self.get(attribute.tag)
        if element is None:
            return None
        try:
            return _decimal_of(element, attribute.vr, self.little_endian)
        except ValueError:
            self.unreadable(attribute)
            return None

    def decimals(self, attribute: Attribute) -> list[float] | None:
        """As many finite numbers as `attribute.values` says, or None."""
        element = self.get(attribute.tag)
        if element is None:
            return None
        try:
            return _decimals_of(element, attribute.vr, self.little_endian, attribute.values)
        except ValueError:
            self.unreadable(attribute)
            return None

    def fields(self, fields: "Fields") -> list[Any]:
        """The values of a record's fields, in its order."""
        return [read(self, attribute) for read, attribute in fields]

    def _parsed(self, attribute: Attribute, parse: Callable[[bytes], Value]) -> Value | None:
        value = self.raw(attribute).strip(WHITESPACE)
        try:
            return parse(value) if value else None
        except ValueError:
            self.unreadable(attribute)
            return None

    def unreadable(self, attribute: Attribute) -> None:
        self.warn("value_unreadable", attribute=attribute.keyword)


FieldReader = Callable[[Values, Attribute], Any]
Fields = Sequence[tuple[FieldReader, Attribute]]

# By keyword: the UIDs of an object's study and series, and what distinguishes patients.
IDENTIFYING: dict[str, FieldReader] = {
    "PatientID": Values.patient_id,
    "StudyInstanceUID": Values.identity,
    "SeriesInstanceUID": Values.identity,
}
BY_VR: dict[str, FieldReader] = {
    **dict.fromkeys(("CS", "LO", "PN", "SH"), Values.text),
    "DA": Values.date,
    "TM": Values.time,
    "UI": Values.uid,
    **dict.fromkeys(("IS", "UL", "US"), Values.integer),
    **dict.fromkeys(("DS", "FD"), Values.decimal),
}
SEVERAL_BY_VR: dict[str, FieldReader] = {"IS": Values.integers, "DS": Values.decimals}


def fields_of(record: type[Record], attributes: Mapping[str, Attribute], after: int = 0) -> Fields:
    """How the fields of a record that attributes fill are read, for `Values.fields`.

    Parameters
    ----------
    after
        How many fields of other origin the record begins with.
    """
    names = record.__struct_fields__[after : after + len(attributes)]
    if {*names} != {*attributes}:
        raise TypeError(f"{record.__name__} and its attributes differ in their fields")
    return tuple((reader_of(attributes[name]), attributes[name]) for name in names)


def reader_of(attribute: Attribute) -> FieldReader:
    if attribute.values > 1:
        return SEVERAL_BY_VR[attribute.vr]
    return IDENTIFYING.get(attribute.keyword) or BY_VR[attribute.vr]


@lru_cache(maxsize=512)
def _text_of(value: bytes, vr: str, charset: text.Charset) -> text.DecodedText:
    """A value's text without padding and control characters."""
    decoded, guessed = text.decode(value.rstrip(b"\0 "), charset, vr)
    return text.DecodedText(text.clean(_padding_off(decoded, vr)).rstrip(" "), guessed)


def _padding_off(value: str, vr: str) -> str:
    """As pydicom takes padding off, which depends on the VR."""
    if vr in PADDED_EACH and "\\" in value:
        return "\\".join(part.rstrip("\0 ") for part in value.split("\\"))
    if vr == "PN":
        return "\\".join(part.rstrip("=") for part in value.split("\\"))
    return value.rstrip("\0 ")


def date_of(value: bytes) -> date:
    match = DATE.fullmatch(value)
    if match is None:
        raise ValueError
    return date(*map(int, match.group(1, 3, 4)))


def time_of(value: bytes) -> time:
    if PLAIN_TIME.fullmatch(value):  # as nearly all are; each image has its own
        return time.fromisoformat(value.decode())
    match = TIME.fullmatch(value)
    if match is None:
        raise ValueError
    hour, minute, second = (int(match[group] or 0) for group in (1, 3, 4))
    microsecond = int((match[5] or b"")[:6].ljust(6, b"0"))
    # A leap second is the 60th, which Python's time does not have.
    return time(hour, minute, 59 if second == 60 else second, microsecond)


def moment_of(value: bytes) -> Moment:
    match = MOMENT.fullmatch(value)
    if match is None:
        raise ValueError
    return date_of(match[1]), time_of(match[2]) if match[2] else None


def numbers_of(element: Element, dictionary_vr: str, little_endian: bool) -> Numbers:
    """The finite numbers of an element; ValueError where it holds anything else."""
    vr, value = element
    if vr in (b"", b"UN"):
        vr = dictionary_vr.encode()
    if vr in NOT_NUMBERS:
        raise ValueError
    numbers = (
        _binary_numbers(value, BINARY[vr], little_endian)
        if vr in BINARY
        else _written_numbers(value.strip(WHITESPACE))
    )
    if not all(map(isfinite, numbers)):
        raise ValueError
    return numbers


# Rows, spacing and orientation repeat through a series.


@lru_cache(maxsize=512)
def _integers_of(element: Element, vr: str, little_endian: bool, count: int) -> list[int] | None:
    numbers = _counted(numbers_of(element, vr, little_endian), count)
    if all(number == int(number) for number in numbers):
        return [int(number) for number in numbers] or None
    raise ValueError


@lru_cache(maxsize=512)
def _decimals_of(element: Element, vr: str, little_endian: bool, count: int) -> list[float] | None:
    numbers = _counted(numbers_of(element, vr, little_endian), count)
    return [float(number) for number in numbers] or None


@lru_cache(maxsize=512)
def _integer_of(element: Element, vr: str, little_endian: bool) -> int | None:
    numbers = _integers_of(element, vr, little_endian, 1)
    return numbers[0] if numbers else None


@lru_cache(maxsize=512)
def _decimal_of(element: Element, vr: str, little_endian: bool) -> float | None:
    numbers = _decimals_of(element, vr, little_endian, 1)
    return numbers[0] if numbers else None


def _counted(numbers: Numbers, count: int) -> Numbers:
    """The numbers, if there are `count` of them or none."""
    if numbers and len(numbers) != count:
        raise ValueError
    return numbers


def _binary_numbers(value: bytes, code: str, little_endian: bool) -> Numbers:
    size = calcsize("=" + code)
    if len(value) % size:
        raise ValueError
    return unpack(f"{'<' if little_endian else '>'}{len(value) // size}{code}", value)


def _written_numbers(value: bytes) -> Numbers:
    if not value:
        return ()
    parts = [part.strip(WHITESPACE) for part in value.split(b"\\")]
    if all(map(INTEGER.fullmatch, parts)):
        return tuple(map(int, parts))
    if not all(map(DECIMAL.fullmatch, parts)):
        raise ValueError
    return tuple(map(float, parts))
