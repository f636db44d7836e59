import pytest

from app.catalogue import instances, writing
from app.catalogue.bulk import Columns

TABLES = [one for module in (instances, writing) for one in vars(module).values()
          if isinstance(one, Columns)]  # fmt: skip


@pytest.mark.parametrize("columns", TABLES, ids=lambda columns: columns.model.__name__)
def test_every_column_is_filled_or_has_a_default_in_the_database(columns):
    """A new column without either would fail every file of every upload."""
    needed = {
        field.name
        for field in columns.model._meta.concrete_fields
        if not (field.primary_key or field.has_db_default())
    }
    assert needed <= set(columns.names)


def test_the_tables_of_bulk_inserts_are_all_looked_at():
    assert {columns.model.__name__ for columns in TABLES} == {
        "DICOMInstance",
        "ImageInformation",
        "RTStructureROI",
        "ArchiveMember",
    }
