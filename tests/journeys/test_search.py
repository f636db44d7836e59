"""Any three letters of ten thousand names find the same rows on every database."""

import random
import unicodedata
from collections.abc import Iterator

import psycopg
import pytest

from app.catalogue.search import matching
from app.models import Patient
from tests.conftest import default_database
from tests.test_folding import invented_names

pytestmark = pytest.mark.long

LOCALES = ("C", "C.UTF-8")
ONE_IS_ENOUGH = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ")


@pytest.fixture
def urls(postgres, tmp_path) -> list[str]:
    """SQLite, and PostgreSQL with locales that know, and do not know, other letters than ASCII."""
    with psycopg.connect(postgres, autocommit=True) as server:
        for number, locale in enumerate(LOCALES):
            server.execute(f"CREATE DATABASE locale_{number} TEMPLATE template0 LOCALE '{locale}'")
    base = postgres.rpartition("/")[0]
    others = [f"{base}/locale_{number}" for number, _ in enumerate(LOCALES)]
    return [f"sqlite:///{tmp_path}/icon.sqlite3", *others]


def test_the_same_names_are_found_on_every_database(urls, transactional_db):
    names = invented_names(10_000)
    parts = [*parts_of(names)]
    found = [rows_found(url, names, parts) for url in urls]
    for number, part in enumerate(parts):
        rows = [some[number] for some in found]
        assert rows[0] == rows[1] == rows[2], part
        assert number + 1 in rows[0], part


def parts_of(names: list[str]) -> Iterator[str]:
    """Three letters from somewhere in each name, one of Chinese, Japanese and Korean."""
    chance = random.Random(4)
    for name in names:
        word = unicodedata.normalize("NFKC", max(name.replace("^", " ").split(), key=len))
        length = 1 if unicodedata.name(word[0]).startswith(ONE_IS_ENOUGH) else 3
        at = chance.randrange(len(word) - length + 1)
        yield word[at : at + length]


def rows_found(url: str, names: list[str], parts: list[str]) -> list[list[int]]:
    with default_database(url):
        Patient.objects.bulk_create(
            Patient(folder=f"{number}", patient_name=name) for number, name in enumerate(names)
        )
        first = Patient.objects.order_by("pk")[0].pk
        assert first == 1
        return [
            [
                *Patient.objects.filter(matching(Patient, part))
                .order_by("pk")
                .values_list("pk", flat=True)
            ]
            for part in parts
        ]
