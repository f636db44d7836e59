"""Bytes -> text, by Specific Character Set: PS3.3 C.12.1.1.2 and PS3.5 6.1.2.

Where pydicom decodes properly this gives the same text, without importing it. Beyond that it
decodes GB 2312 by escape sequence (ISO 2022 IR 58), whose escapes pydicom leaves in names, and
guesses where the declared character set is missing or cannot be right.
"""

import re
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
CODECS = (
    {"": UNDECLARED, "ISO202258": "gb2312"}
    | {f"ISOIR{number}": codec for number, codec in SINGLE_BYTE.items()}
    | {f"ISO2022IR{number}": codec for number, codec in (SINGLE_BYTE | MULTI_BYTE).items()}
    | ALONE
    # Names of codecs, which are not in the standard but are found in files.
    | {"UTF8": "utf_8", "LATIN1": "latin_1", "ASCII": UNDECLARED, "USASCII": UNDECLARED}
    | {f"ISO8859{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)}
    | {f"CP{page}": f"cp{page}" for page in range(1250, 1259)}
    | {f"WINDOWS{page}": f"cp{page}" for page in range(1250, 1259)}
)

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
RESET = re.compile(rb"[\t\n\f\r]")  # PS3.5 6.1.2.5.3: these end the effect of an escape

# Controls, the separators of lines and paragraphs, and halves of surrogate pairs.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


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
    first = _term(value.decode("latin-1").split("\\")[0])
    codec = CODECS.get(first)
    if codec is None or first in ("", "ISOIR6", "ISO2022IR6", "ASCII", "USASCII"):
        return Charset(assumed_codec, assumed_codec, False, assumed)
    return Charset(codec, assumed_codec, True, assumed)


def _term(written: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", written.upper())


def decode(value: bytes, charset: Charset) -> DecodedText:
    """The text of a value, still with padding and control characters."""
    if ESCAPE not in value:
        if value.isascii():
            return DecodedText(value.decode("ascii"), False)
        decoded = _decode_with(value, charset.codec, charset)
        return DecodedText(decoded.text, decoded.guessed or not charset.declared)
    fragments = [_decode_fragment(part, charset) for part in FRAGMENT.findall(value)]
    return DecodedText(
        "".join(fragment.text for fragment in fragments),
        any(fragment.guessed for fragment in fragments),
    )


def decode_losslessly(value: bytes, charset: Charset) -> DecodedText:
    """As `decode`, but two different values never give the same text, even if both are broken."""
    decoded = decode(value, charset)
    if decoded.guessed and (ESCAPE in value or "\ufffd" in decoded.text):
        return DecodedText(value.decode("latin-1"), True)
    return decoded


def _decode_fragment(fragment: bytes, charset: Charset) -> DecodedText:
    """Decode up to the next escape sequence."""
    if not fragment.startswith(ESCAPE):
        return decode(fragment, charset)
    for size in (3, 4):
        if codec := JAPANESE_ESCAPES.get(fragment[:size]):
            return _decode_with(fragment, codec, charset)
        if codec := ESCAPES.get(fragment[:size]):
            return _decode_until_reset(fragment[size:], codec, charset)
    return DecodedText(decode(fragment[1:], charset).text, True)


def _decode_until_reset(value: bytes, codec: str, charset: Charset) -> DecodedText:
    reset = RESET.search(value)
    if reset is None:
        return _decode_with(value, codec, charset)
    before = _decode_with(value[: reset.start()], codec, charset)
    after = decode(value[reset.start() :], charset)
    return DecodedText(before.text + after.text, before.guessed or after.guessed)


def _decode_with(value: bytes, codec: str, charset: Charset) -> DecodedText:
    for number, candidate in enumerate((codec, "utf_8", charset.assumed)):
        try:
            return DecodedText(value.decode(candidate), number > 0)
        except UnicodeDecodeError:
            continue
    return DecodedText(value.decode(codec, errors="replace"), True)


def clean(text: str) -> str:
    """Text without characters that a database, a page or a file name cannot take."""
    return text if text.isprintable() else UNSAFE.sub(" ", text)
