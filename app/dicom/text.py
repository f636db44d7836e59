"""Bytes -> text, by Specific Character Set: PS3.3 C.12.1.1.2 and PS3.5 6.1.2.

Where pydicom decodes properly this gives the same text, without importing it. Beyond that it
decodes GB 2312 by escape sequence (ISO 2022 IR 58), whose escapes pydicom leaves in names, returns
to the first character set at the separators of names and values, and guesses where the declared
character set is missing or cannot be right: first what can fail, as UTF-8 does for nearly all
other text, last the letters that Windows has where ISO 8859 has control characters.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

ESCAPE = b"\x1b"
UNDECLARED = "latin_1"

# A defined term without its punctuation, which files write in several ways -> Python's codec.
SINGLE_BYTE = {
    "6": UNDECLARED,
    "13": "shift_jis",  # a superset of JIS X 0201
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "tis_620",
    "203": "iso8859_15",
}
MULTI_BYTE = {"58": "gb2312", "87": "iso2022_jp", "149": "euc_kr", "159": "iso2022_jp_2"}
ALONE = {"ISOIR192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "ISO2022GBK": "gbk"}
CODE_PAGES = (
    *(437, 737, 775, 850, 852, 855, 857, 858, *range(860, 867), 869, 874, 932, 949, 950),
    *range(1250, 1259),
)
PREFIXES = ("CP", "WINDOWS", "MS", "IBM")
OTHER_CODECS = (
    *("gb2312", "big5", "big5hkscs", "shift_jis", "euc_jp", "euc_kr", "johab", "tis_620"),
    *("koi8_r", "koi8_u", "iso2022_jp", "iso2022_kr", "hz"),
)
CODECS = (
    {"": UNDECLARED, "ISO202258": "gb2312"}
    | {f"ISOIR{number}": codec for number, codec in SINGLE_BYTE.items()}
    | {f"ISO2022IR{number}": codec for number, codec in (SINGLE_BYTE | MULTI_BYTE).items()}
    | ALONE
    # Names of codecs, which are not in the standard but are found in files.
    | {f"ISOIR{number}": codec for number, codec in MULTI_BYTE.items()}
    | {"UTF8": "utf_8", "LATIN1": "latin_1", "ASCII": UNDECLARED, "USASCII": UNDECLARED}
    | {f"ISO8859{part}": f"iso8859_{part}" for part in (*range(1, 12), *range(13, 17))}
    | {f"{prefix}{page}": f"cp{page}" for page in CODE_PAGES for prefix in PREFIXES}
    | {f"{prefix}936": "gbk" for prefix in PREFIXES}
    | {re.sub("[^A-Z0-9]", "", codec.upper()): codec for codec in OTHER_CODECS}
    | {"SJIS": "cp932", "WINDOWS31J": "cp932", "EUCCN": "gb2312", "UHC": "cp949"}
    | {"KSC5601": "euc_kr", "KSX1001": "euc_kr"}
)
# What is written under a set's name and not in it: the sets that manufacturers made of these.
SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}

ASCII_TERMS = ("", "ISOIR6", "ISO2022IR6", "ASCII", "USASCII")

# PS3.3 Tables C.12-3 and C.12-4. Python's own decoders need the escape sequences of Japanese.
ESCAPES = {
    b"\x1b(B": UNDECLARED,
    b"\x1b(J": "shift_jis",
    b"\x1b)I": "shift_jis",
    b"\x1b-A": "latin_1",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "tis_620",
    b"\x1b-b": "iso8859_15",
    b"\x1b$)A": "gb2312",
    b"\x1b$)C": "euc_kr",
}
JAPANESE_ESCAPES = {b"\x1b$@": "iso2022_jp", b"\x1b$B": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2"}
FRAGMENT = re.compile(rb"[^\x1b]+|\x1b(?:\$[()].|\$.|[(),\-.].)?[^\x1b]*", re.DOTALL)
# PS3.5 6.1.2.5.3: these end the effect of an escape.
RESET = re.compile(rb"[\t\n\f\r\\]")
RESET_IN_NAMES = re.compile(rb"[\t\n\f\r\\^=]")

# Controls, the separators of lines and paragraphs, and halves of surrogate pairs.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
NUMBERED = "<U+"  # begins the number of a character that cannot be in a text
C1 = re.compile("[\x80-\x9f]")
LETTERS_FOR_C1 = {  # Windows code page 1252 has none for five of them
    code: bytes([code]).decode("cp1252", errors="ignore") or chr(code) for code in range(0x80, 0xA0)
}


class Charset(NamedTuple):
    """What Specific Character Set says, as Python's codecs."""

    codec: str  # at the beginning of a value
    assumed: str  # where the first is missing or cannot be right
    declared: bool  # whether the element names a character set for more than ASCII
    assumed_term: str  # the defined term that `assumed` is the codec of


class DecodedText(NamedTuple):
    text: str
    guessed: bool  # not by the character set that the file declares


@lru_cache(maxsize=256)
def charset(value: bytes, assumed: str) -> Charset:
    """The codecs for a value of Specific Character Set; `assumed` is a defined term."""
    assumed_codec = CODECS.get(_term(assumed), UNDECLARED)
    first, *others = map(_term, value.decode("latin-1").split("\\"))
    if first in CODECS and first not in ASCII_TERMS:
        return Charset(CODECS[first], assumed_codec, True, assumed)
    # Of letters beyond ASCII that no escape sequence announces, the next set is the likeliest.
    codec = next((CODECS[term] for term in others if term in CODECS), assumed_codec)
    return Charset(codec, assumed_codec, False, assumed)


def _term(written: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", written.upper())


def decode(value: bytes, charset: Charset, vr: str = "") -> DecodedText:
    """The text of a value, still with padding and control characters."""
    if ESCAPE not in value:
        # Letters of Latin 1 that are UTF-8, too, are hardly ever anything else.
        likely = charset.codec == UNDECLARED or not charset.declared
        return _in_first_set(value, charset, ("utf_8",) if likely else ())
    reset = RESET_IN_NAMES if vr == "PN" else RESET
    fragments = [_decode_fragment(part, charset, reset) for part in FRAGMENT.findall(value)]
    return DecodedText(
        "".join(fragment.text for fragment in fragments),
        any(fragment.guessed for fragment in fragments),
    )


def decode_losslessly(value: bytes, charset: Charset) -> DecodedText:
    """As `decode`, but two different values never give the same text, even if both are broken.

    What cannot be in a text is written as its number: <U+000A> for a line feed.
    """
    text, guessed = decode(value, charset)
    if guessed and (ESCAPE in value or "\ufffd" in text):
        text = value.decode("latin-1").translate(LETTERS_FOR_C1)
    return DecodedText(UNSAFE.sub(lambda found: f"{NUMBERED}{ord(found[0]):04X}>", text), guessed)


def other_readings(value: bytes, charset: Charset, reading: str) -> list[str]:
    """How the same bytes were read, or may have been, before this `reading` of them."""
    if value.isascii() and ESCAPE not in value:
        return []
    readings = {value.decode("latin-1")}
    for codec in (charset.codec, "utf_8", charset.assumed):
        with suppress(UnicodeDecodeError):
            readings.add(value.decode(codec))
    return sorted(readings - {reading})


def _decode_fragment(fragment: bytes, charset: Charset, reset: re.Pattern[bytes]) -> DecodedText:
    """Decode up to the next escape sequence."""
    if not fragment.startswith(ESCAPE):
        return _in_first_set(fragment, charset)
    for size in (3, 4):
        if codec := JAPANESE_ESCAPES.get(fragment[:size]):
            return _decode_japanese(fragment, size, codec, charset, reset)
        if codec := ESCAPES.get(fragment[:size]):
            found = reset.search(fragment, size)
            stop = found.start() if found else len(fragment)
            before = _decode_with(fragment[size:stop], codec, charset)
            return _joined(before, fragment[stop:], codec, charset)
    return DecodedText(_in_first_set(fragment[1:], charset).text, True)


def _decode_japanese(
    fragment: bytes, size: int, codec: str, charset: Charset, reset: re.Pattern[bytes]
) -> DecodedText:
    """Decode characters of two bytes each, of which one may look like a separator."""
    try:
        return DecodedText(fragment.decode(codec), False)
    except UnicodeDecodeError as error:
        separators = (found.start() for found in reset.finditer(fragment, size, error.start + 1))
        stop = max((place for place in separators if (place - size) % 2 == 0), default=0)
    part = fragment[:stop] if stop else fragment
    before = _decode_with(part, codec, charset)
    if before.guessed and codec == "iso2022_jp":
        with suppress(ValueError):
            before = DecodedText(_in_code_page_932(part[size:]), True)
    return _joined(before, fragment[len(part) :], codec, charset)


def _in_code_page_932(pairs: bytes) -> str:
    """Characters of JIS X 0208 and those that manufacturers added to it, each of two bytes."""
    moved = bytearray()
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        moved.append((first + 1) // 2 + (0x70 if first < 0x5F else 0xB0))
        moved.append(second + (0x7E if first % 2 == 0 else 0x20 if second > 0x5F else 0x1F))
    return moved.decode("cp932")


def _joined(before: DecodedText, rest: bytes, codec: str, charset: Charset) -> DecodedText:
    """With the rest, behind a separator: in the first set or, if that is ASCII alone, perhaps
    still in the one before."""
    after = _in_first_set(rest, charset if charset.declared else charset._replace(codec=codec))
    return DecodedText(before.text + after.text, before.guessed or after.guessed)


def _in_first_set(value: bytes, charset: Charset, before: tuple[str, ...] = ()) -> DecodedText:
    """Decode what no escape sequence precedes; by the codecs of `before` if they can."""
    if value.isascii():
        return DecodedText(value.decode("ascii"), False)
    decoded = _decode_with(value, charset.codec, charset, before)
    return DecodedText(decoded.text, decoded.guessed or not charset.declared)


def _decode_with(
    value: bytes, codec: str, charset: Charset, before: tuple[str, ...] = ()
) -> DecodedText:
    for candidate in (*before, codec, SUPERSETS.get(codec, codec), "utf_8", charset.assumed):
        with suppress(UnicodeDecodeError):
            text = value.decode(candidate)
            if C1.search(text):
                return DecodedText(text.translate(LETTERS_FOR_C1), True)
            return DecodedText(text, candidate != codec)
    return DecodedText(value.decode(codec, errors="replace"), True)


def clean(text: str) -> str:
    """Text without characters that a database, a page or a file name cannot take."""
    return text if text.isprintable() else UNSAFE.sub(" ", text)
