"""What tables have that are searched by words: a column of folded text."""

from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any

from django.db import models
from django.utils.formats import date_format
from django.utils.translation import get_language

from app.folding import folded

COLUMN = "search_text"


class SearchTextField(models.CharField):  # type: ignore[type-arg]
    """What search compares: the folded text of other fields of the row, written with them.

    NULL where code wrote the row that knows no such column: `catalogue.search` fills it in, asks
    for it, and keeps its index.
    """

    def __init__(self, *sources: str, **kwargs: Any) -> None:
        self.sources = sources
        super().__init__(**{"null": True, "editable": False, **kwargs})

    def deconstruct(self) -> Any:
        name, path, _, kwargs = super().deconstruct()
        return name, path, self.sources, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        text = self.text_of(model_instance)
        setattr(model_instance, self.attname, text)
        return text

    def text_of(self, row: Any) -> str:
        """What the column should hold for a row."""
        values = [getattr(row, source) for source in self.sources]
        if isinstance(row, Searched):
            values += row.further_texts()
        return search_text(values)


def search_text(values: Iterable[str | date | None]) -> str:
    """What a column of folded text holds of these values."""
    return folded(" ".join(_written(value) for value in values if value))


def _written(value: str | date) -> str:
    # Pages say 13 Mar 2024; how people type a date is for `folding.searched`.
    if isinstance(value, str):
        return value
    return f"{value.isoformat()} {_month(value.month, get_language())}"


@cache
def _month(number: int, language: str | None) -> str:
    """Its name in the language of this moment, which takes Django 30 us to find."""
    return date_format(date(2000, number, 1), "F")


class Searched(models.Model):
    """A table with a `SearchTextField` named `search_text`."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if fields is not None and not set(fields).isdisjoint(search_field(type(self)).sources):
            kwargs["update_fields"] = {*fields, COLUMN}
        super().save(*args, **kwargs)

    def further_texts(self) -> list[str]:
        """What else a row is found by, besides the fields that its column names."""
        return []


def search_field(model: type[models.Model]) -> SearchTextField:
    field = model._meta.get_field(COLUMN)
    assert isinstance(field, SearchTextField)
    return field
