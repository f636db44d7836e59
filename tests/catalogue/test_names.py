"""Names as people write them."""

import pytest

from app.catalogue.names import person_name


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
