"""What is understood of what people type."""

from datetime import date

import pytest

from app.catalogue.asking import Span, span, understand
from tests.making.objects import uid

MARCH = Span(date(2024, 3, 1), date(2024, 3, 31))
THE_13TH = Span(date(2024, 3, 13), date(2024, 3, 13))
SHA = 32 * "aB"


@pytest.mark.parametrize(
    ("typed", "modality"),
    [("CT", "CT"), ("ct", "CT"), ("MRI", "MR"), ("rtstruct", "RTSTRUCT"), ("PET,", "PT")],
)
def test_a_modality_is_understood(typed, modality):
    asked = understand(f"heart {typed}")
    assert (asked.words, asked.modalities) == ("heart", (modality,))


# Without regard to case, these are letters of months, too: dotless and dotted i, and a long s.
@pytest.mark.parametrize("typed", ["Apr\u0131l 2024", "APR\u0130L 2024", "\u017fep 2024"])
def test_a_month_in_other_letters_is_words(typed):
    assert understand(typed).words.split()[0] == typed.split()[0]
    assert span(typed) is None


@pytest.mark.parametrize("word", ["pa", "PA", "plan", "es", "ot", "cts", "c.t."])
def test_words_that_are_rather_words_are_no_modality(word):
    assert understand(word).words == word


@pytest.mark.parametrize(
    ("typed", "meant", "label"),
    [
        ("13.03.2024", THE_13TH, "13 Mar 2024"),
        ("13.3.2024", THE_13TH, "13 Mar 2024"),
        ("2024-03-13", THE_13TH, "13 Mar 2024"),
        ("20240313", THE_13TH, "13 Mar 2024"),
        ("13 Mar 2024", THE_13TH, "13 Mar 2024"),
        ("March 2024", MARCH, "March 2024"),
        ("2024-03", MARCH, "March 2024"),
        ("03.2024", MARCH, "March 2024"),
        ("1.3.2024 - 31.3.2024", MARCH, "March 2024"),
        ("2024", Span(date(2024, 1, 1), date(2024, 12, 31)), "2024"),
        ("2023-2024", Span(date(2023, 1, 1), date(2024, 12, 31)), "2023 to 2024"),
        ("2023 to 2024", Span(date(2023, 1, 1), date(2024, 12, 31)), "2023 to 2024"),
        (
            "1.3.2024\N{EN DASH}5.3.2024",
            Span(date(2024, 3, 1), date(2024, 3, 5)),
            "1 Mar 2024 to 5 Mar 2024",
        ),
    ],
)
def test_a_date_or_range_is_understood_and_an_address_says_it_again(typed, meant, label):
    asked = understand(f"{typed}, heart")
    assert (asked.words, asked.spans) == (", heart".strip(", "), (meant,))
    assert meant.label == label
    assert span(str(meant)) == meant


@pytest.mark.parametrize(
    "words", ["31.02.2024", "2024-2023", "1024", "0013", "13.13.2024", "ACC-2024-03", "3.0 B31f"]
)
def test_what_is_no_date_stays_a_word(words):
    assert understand(words).words == words
    assert not understand(words).spans


def test_whole_uids_and_hashes_are_understood():
    asked = understand(f"a {uid(3, 1)} {SHA} 1.2.3")
    assert (asked.words, asked.uids, asked.hashes) == ("a 1.2.3", (uid(3, 1),), (SHA.lower(),))


def test_what_stands_in_quotation_marks_is_words():
    asked = understand('"ct 2024" 2023')
    assert (asked.words, asked.modalities) == ("ct 2024", ())
    assert [str(one) for one in asked.spans] == ["2023"]


@pytest.mark.parametrize("typed", ["heart ct", '"ct" 2024', "", "13.03.2024", '"', "müller, hans"])
def test_a_field_shows_what_is_understood_as_the_same(typed):
    asked = understand(typed)
    assert understand(asked.typed) == asked


@pytest.mark.parametrize("typed", ["x" * 5000, "1 " * 5000, "2024-" * 500, "\0", "CT " * 99])
def test_bad_input_is_understood_at_once(typed):
    assert len(understand(typed).words) <= 200
