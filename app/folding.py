# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Text as search compares it: the same for what people type and for what is catalogued.

Case, width, accents of Latin and Greek letters, and the marks that ICON or the standard puts
between the parts of a name make no difference, on whichever database: what is compared was folded
here, and both databases compare its code points.
"""

import re
import unicodedata
from functools import lru_cache

# Latin letters that Unicode does not take apart into a letter and a mark.
LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"}
    | {"þ": "th", "ß": "ss"}
)
# German has them written without the dots, too; the dots are then an e.
WITH_E = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# Between the parts of a name: in DICOM (PS3.5 6.2.1.1), and as pages write it.
BETWEEN_PARTS = re.compile(r"[\s^=,;()\0]+")
ANY = "*"
# Dates as people write them; folded text has them as 2024-03-13.
DOTTED = re.compile(r"(?:(?P<day>\d{1,2})\.)?(?P<month>\d{1,2})\.(?P<year>\d{4})")
UNBROKEN = re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})")


def folded(text: str) -> str:
    """What stands in a column that is searched: words between single spaces.

    A word with ä, ö or ü is followed by the same word with ae, oe or ue.
    """
    return " ".join(spelling for word in _words(text) for spelling in spellings(word))


def searched(text: str) -> list[tuple[str, ...]]:
    """What people search for: all of these words, each in any of these spellings.

    `*` within a word stands for any characters, also none; 13.3.2024 and 20240313 are 2024-03-13,
    too.
    """
    words = [word.strip(ANY) for word in _words(text)]
    return [(*spellings(word), *_as_date(word)) for word in words if word]


def _as_date(word: str) -> list[str]:
    found = DOTTED.fullmatch(word) or UNBROKEN.fullmatch(word)
    if not found:
        return []
    parts = (found["year"], found["month"].zfill(2), *(d.zfill(2) for d in [found["day"]] if d))
    return ["-".join(parts)]


def _words(text: str) -> list[str]:
    return BETWEEN_PARTS.sub(" ", _caseless(text)).split()


def spellings(word: str) -> tuple[str, ...]:
    """A caseless word without its accents; where it has ä, ö or ü, also with ae, oe or ue."""
    plain = _without_marks(word)
    with_e = _without_marks(word.translate(WITH_E))
    return (plain,) if plain == with_e else (plain, with_e)


def _caseless(text: str) -> str:
    # Casefolding may take a composed letter apart, and composing may bring up a capital.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=4_096)
def _without_marks(word: str) -> str:
    if word.isascii():
        return word
    kept: list[str] = []
    bare = True  # whether the last letter is of a script whose accents are dropped
    for character in unicodedata.normalize("NFD", word.translate(LETTERS)):
        if unicodedata.category(character) != "Mn":
            bare = _drops_accents(character)
        elif bare:
            continue
        kept.append(character)
    # Once more, since what the accents hid may be in the table: ǿ is ø with an acute accent.
    return unicodedata.normalize("NFC", "".join(kept)).translate(LETTERS)


@lru_cache(maxsize=4_096)
def _drops_accents(letter: str) -> bool:
    """In other scripts a mark makes another letter: が is not か, й is not и."""
    return unicodedata.name(letter, "").startswith(("LATIN ", "GREEK "))
