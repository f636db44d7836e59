# ruff: noqa: RUF001 - letters that look like others are what this is about
"""What is typed and what is catalogued fold to the same."""

import random
import unicodedata

import pytest

from app.catalogue.names import person_name
from app.folding import folded, searched

SAME = (
    ("Müller^Hans", "MÜLLER, Hans", "Mu\u0308ller=Hans", "ｍüller  hans"),
    ("straße", "STRASSE", "Straẞe"),
    ("Łódź", "lodz", "ŁÓDŹ"),
    ("Ǿrsted", "orsted", "Ørsted"),
    ("Þór^Æsir", "thor, aesir"),
    ("İstanbul ıSPARTA", "istanbul isparta"),
    ("Ἀχιλλεύς", "ΑΧΙΛΛΕΥΣ", "αχιλλευς"),
    ("ＡＢＣ-１２３", "abc-123"),
    ("ｶﾞｸ", "ガク"),
    ("Dvořák^Antonín", "Dvorak Antonin"),
    ("Nguyễn", "NGUYEN"),
)


@pytest.mark.parametrize("texts", SAME, ids=lambda texts: texts[0])
def test_ways_to_write_one_thing_fold_to_the_same(texts):
    assert len({folded(text).replace("mueller ", "") for text in texts}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("が", "か"), ("й", "и"), ("שׁ", "שׂ"), ("ก้", "ก"), ("Müller", "Moller"), ("山田", "山本")],
)
def test_marks_that_make_another_letter_stay(one, other):
    assert folded(one) != folded(other)


def test_german_dots_are_found_with_and_without_an_e():
    assert searched("Müller") == [("muller", "mueller")]
    assert folded("Müller").split() == ["muller", "mueller"]
    assert folded("Mueller") == "mueller"


def test_words_are_told_apart_as_in_names():
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert searched(name) == searched(person_name(name))


def test_a_star_stands_for_any_characters():
    assert searched("mu*er  * **,^ 4100*") == [("mu*er",), ("4100",)]


ALPHABETS = (
    *("abcdefghijklmnopqrstuvwxyzäöüßéèñçåøłđæœþıŠŽ", "ΑΒΓΔΕΖΗΘάέήίόύώςσ", "АБВГДЕЁЖЗИЙЇЄҐ"),
    *("אבגדהוזחטיךכלםמןנ", "ابتثجحخدذرزسشصضطظع", "山田太郎一二三美佐藤鈴木王李張劉"),
    *("あいうえおがぎぐげごぱぴぷ", "アイウエオガギグゲゴｱｲｳｶﾞ", "김이박최정강조윤장임한서준민"),
    *("กขคงจฉชซญดตถ", "अआइईउऊएऐकखगघ", "აბგდევზთიკლმ"),
)


def invented_names(count: int, seed: int = 1) -> list[str]:
    """Names in twelve scripts, composed or not, in any case and width."""
    chance = random.Random(seed)
    names = []
    for number in range(count):
        alphabet = ALPHABETS[number % len(ALPHABETS)]
        words = ["".join(chance.choices(alphabet, k=chance.randint(3, 9))) for _ in range(3)]
        name = chance.choice("^ ").join(words)
        name = chance.choice((str.title, str.upper, str.lower, str))(name)
        names.append(unicodedata.normalize(chance.choice(("NFC", "NFD")), name))
    return names


def test_any_three_letters_of_any_name_are_in_its_folded_text():
    chance = random.Random(2)
    for name in invented_names(10_000):
        letters = unicodedata.normalize("NFKC", max(name.replace("^", " ").split(), key=len))
        at = chance.randrange(max(1, len(letters) - 2))
        [spellings] = searched(letters[at : at + 3])
        assert any(spelling in folded(name) for spelling in spellings), name
