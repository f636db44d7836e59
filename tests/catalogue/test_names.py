"""Names as people write them."""

from datetime import date

import pytest

from app.catalogue.names import age_on, person_name, sex_name


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("", ""),
        ("Doe", "Doe"),
        ("Doe^Jane", "Doe, Jane"),
        ("^Jane", "Jane"),
        ("Doe^^^^", "Doe"),
        ("Adams^John Quincy^^Rev.^B.A. M.Div.", "Adams, Rev. John Quincy, B.A. M.Div."),
        ("Morrison-Jones^Susan^^^Ph.D.", "Morrison-Jones, Susan, Ph.D."),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
         "Yamada, Tarou (\u5c71\u7530 \u592a\u90ce; \u3084\u307e\u3060 \u305f\u308d\u3046)"),
        ("=\u5c71\u7530^\u592a\u90ce", "\u5c71\u7530 \u592a\u90ce"),
        ("  Doe ^ Jane  ", "Doe, Jane"),
        ("==", ""),
        ("^^^^", ""),
        ("A^B^C^D^E^F^G", "A, D B C, E"),
    ],
)  # fmt: skip
def test_a_name_is_written_as_people_write_it(stored, written):
    assert person_name(stored) == written


@pytest.mark.parametrize(
    ("born", "age"),
    [
        (date(1952, 3, 13), "72 years"),
        (date(1952, 3, 14), "71 years"),
        (date(2022, 3, 13), "2 years"),
        (date(2022, 3, 14), "23 months"),
        (date(2024, 2, 13), "1 month"),
        (date(2024, 2, 14), "28 days"),
        (date(2024, 3, 12), "1 day"),
        (date(2024, 3, 13), "0 days"),
        (date(2024, 3, 14), ""),
        (date(1850, 1, 1), ""),
        (None, ""),
    ],
)
def test_an_age_is_told_as_people_tell_it(born, age):
    assert age_on(date(2024, 3, 13), born) == age


def test_a_sex_is_a_word_where_the_standard_has_one():
    assert [sex_name(text) for text in ("F", "M", "O", "W", "")] == [
        *("female", "male", "other"),
        *("W", ""),
    ]
