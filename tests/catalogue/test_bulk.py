from datetime import date, time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from app.catalogue import instances, writing
from app.catalogue.bulk import BLOCK, Columns, create
from app.catalogue.transactions import put_aside_in_memory
from app.models import DICOMStudy, FileToDelete, Patient

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


@pytest.mark.django_db
@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("count", [0, 1, BLOCK, 2 * BLOCK + 3])
def test_every_row_is_inserted_in_its_order(count, is_long):
    columns = Columns(FileToDelete, {"path": "path", "sop_instance_uid": "uid"}, is_long=is_long)
    columns.insert(SimpleNamespace(path=f"{at}", uid=f"1.{at}") for at in range(count))
    found = FileToDelete.objects.order_by("pk").values_list("path", "sop_instance_uid")
    assert [*found] == [(f"{at}", f"1.{at}") for at in range(count)]


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, BLOCK, BLOCK + 3])
def test_created_rows_are_those_that_django_would_make(count):
    def new(uid: str) -> DICOMStudy:
        return DICOMStudy(
            patient=patient,
            study_instance_uid=uid,
            study_date=date(2024, 3, 13),
            study_time=time(9, 30, 1, 500),
            study_description="Thorax, Übersicht",
            described={"study_date": "2024"},
        )

    patient = Patient.objects.create(folder="A", unique_patient_id="A")
    (usual,) = DICOMStudy.objects.bulk_create([new("1.1")])
    rows = [new(f"2.{at}") for at in range(count)]
    create(rows)
    kept = DICOMStudy.objects.filter(study_instance_uid__startswith="2.").order_by("pk")
    assert [*kept.values_list("pk", "study_instance_uid")] == [
        (row.pk, row.study_instance_uid) for row in rows
    ]
    differ = {"id", "study_instance_uid", "created_at"}
    values = DICOMStudy.objects.filter(pk=usual.pk).values().get()
    for row in kept.values():
        assert {name for name in values if row[name] != values[name]} <= differ
    assert [row.created_at for row in kept] == [row.created_at for row in rows]
    rows[0].save()  # as a row that is there


@pytest.mark.django_db
def test_a_patient_is_created_with_what_search_finds_it_by(django_assert_num_queries):
    row = Patient(folder="A", unique_patient_id="A-1", patient_name="Doe^Jane")
    # The next key, and PostgreSQL's COPY; SQLite's rows go past Django.
    with django_assert_num_queries(2 if connection.vendor == "postgresql" else 1):
        create([row])
    assert Patient.objects.get().search_text == row.search_text == "a-1 doe jane"


@pytest.mark.django_db(transaction=True)
def test_what_a_batch_may_take_back_is_in_no_file_of_its_own():
    columns = Columns(FileToDelete, {"path": "path", "sop_instance_uid": "uid"})
    # Out of order, so that each statement changes many pages of the index.
    rows = [SimpleNamespace(path=f"{at * 7_919 % 20_011:0200}", uid="1") for at in range(4_000)]
    with put_aside_in_memory(), transaction.atomic():
        columns.insert(rows)
        opened = [
            str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()
        ]
    assert [path for path in opened if "etilqs" in path] == []  # SQLite's own, backwards
