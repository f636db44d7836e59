"""Search finds what stands in the catalogue, the same on both databases."""

import random
import re
from io import StringIO

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection

from app.catalogue import removal
from app.catalogue.search import ensure_indexes, forget_deleted, matching, refold
from app.folding import folded, searched
from app.models import DICOMStudy, Patient, RTStructureROI
from tests.making.folded import out_of_step
from tests.making.objects import ct_image, rt_structure_set
from tests.test_folding import invented_names

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def patients(*names: str) -> None:
    Patient.objects.bulk_create(
        Patient(unique_patient_id=f"P{number}", folder=f"P{number}", patient_name=name)
        for number, name in enumerate(names)
    )


def found(text: str) -> list[str]:
    rows = Patient.objects.filter(matching(Patient, text)).order_by("pk")
    return [*rows.values_list("patient_name", flat=True)]


@pytest.mark.parametrize(
    "text",
    ["mueller", "MÜLLER", "Müller, Hans", "hans müll", "üll", "mu*er", "p0 hans", "Muller"],
)
def test_words_are_found_in_any_order_and_spelling(text):
    patients("Müller^Hans", "Miller^Jan", "Möller^Johannes")
    assert found(text) == ["Müller^Hans"]


@pytest.mark.parametrize("text", ["田", "山田", "山田 太郎", "Tarou 山田", "ya", "y*山田"])
def test_one_and_two_letters_are_found(text):
    patients("Suzuki^Ichirou=鈴木^一郎", "Yamada^Tarou=山田^太郎")
    assert found(text) == ["Yamada^Tarou=山田^太郎"]


@pytest.mark.parametrize(
    ("text", "number"), [("a", 3), ("a*1", 1), ("ptv 1", 1), ("e[1", 0), ("1 a", 1), ("é", 2)]
)
def test_one_and_two_letters_are_found_in_names_of_structures(text, number, import_zip):
    import_zip(rt_structure_set(["Heart", "PTV a1", "Leber (a)", "12"]))
    assert RTStructureROI.objects.filter(matching(RTStructureROI, text)).count() == number


def test_one_of_several_words_is_enough_where_that_is_asked(import_zip):
    import_zip(rt_structure_set(["Heart", "PTV", "Lung"]))
    for text, number in ("heart ptv", 2), ("heart 1", 1), ("u ptv", 2), ("1 2", 0), (" ", 0):
        any_word = matching(RTStructureROI, text, any_word=True)
        assert RTStructureROI.objects.filter(any_word).count() == number


@pytest.mark.parametrize("text", ["a%b", "a_b", "a?b", "a[b", "a\\b", "[a-z]", "a'b", 'a"b'])
def test_signs_of_a_database_stand_for_themselves(text):
    patients("axxb", f"x{text}x", "a", "axb")
    assert found(text) == [f"x{text}x"]


def test_any_part_of_any_name_finds_just_the_names_that_hold_it():
    names = invented_names(600)
    patients(*names)
    texts = {name: folded(f"P{number} {name}") for number, name in enumerate(names)}
    chance = random.Random(3)
    for name in chance.sample(names, 120):
        word = chance.choice(texts[name].split())
        at, length = chance.randrange(len(word)), chance.randint(1, 4)
        part = word[at : at + length]
        [spellings] = searched(part) or [("",)]
        holding = [one for one in names if any(s in texts[one] for s in spellings)]
        assert found(part) == holding


def test_a_study_is_found_by_its_patient_and_its_description():
    patients("Müller^Hans", "Miller^Jan")
    for patient in Patient.objects.all():
        DICOMStudy.objects.create(patient=patient, study_instance_uid="1", study_description="Lung")
    both = matching(DICOMStudy, "lung mueller", ["search_text", "patient__search_text"])
    [study] = DICOMStudy.objects.filter(both)
    assert study.patient.patient_name == "Müller^Hans"


def test_what_is_altered_or_deleted_is_not_found_as_before():
    patients("Miller^Jan", "Meier^Eva")
    patient = Patient.objects.get(patient_name="Miller^Jan")
    patient.patient_name = "Moser^Jan"
    patient.save()
    Patient.objects.filter(patient_name="Meier^Eva").delete()
    assert (found("miller"), found("moser"), found("meier")) == ([], ["Moser^Jan"], [])


def test_after_a_night_no_letters_of_what_is_deleted_are_left_in_the_index():
    if connection.vendor != "sqlite":
        return  # PostgreSQL's vacuum sees to it
    patients("Zyxwvut^Quentin", "Miller^Jan")
    assert letters_kept("zyx")
    Patient.objects.filter(patient_name__startswith="Zyx").delete()
    forget_deleted()
    assert not letters_kept("zyx")
    assert letters_kept("mil")


def letters_kept(letters: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT block FROM app_patient_search_data")
        return any(letters.encode() in block for (block,) in cursor.fetchall())


def test_a_row_is_folded_also_where_only_some_fields_are_saved():
    patients("Miller^Jan")
    patient = Patient.objects.get()
    patient.patient_name, patient.patient_sex = "Moser^Jan", "O"
    patient.save(update_fields=["patient_sex"])
    assert found("moser") == []
    patient.save(update_fields=["patient_name"])
    assert found("moser") == ["Moser^Jan"]


def test_what_older_code_wrote_is_folded_by_rereading():
    patients("Miller^Jan", "Meier^Eva")
    Patient.objects.filter(patient_name="Miller^Jan").update(search_text=None)
    Patient.objects.filter(patient_name="Meier^Eva").update(patient_name="Moser^Eva")
    assert (found("miller"), found("moser")) == ([], [])
    assert refold() == 2
    assert (found("miller"), found("moser")) == (["Miller^Jan"], ["Moser^Eva"])
    assert refold() == 0


@pytest.mark.django_db(transaction=True)
def test_search_keeps_step_with_imports_versions_and_deletions(import_zip, settings):
    images = [ct_image(), ct_image(PatientID="ID2", PatientName="Roe^Richard")]
    import_zip(*images, rt_structure_set(["Heart", "Lung"], StructureSetLabel="Plan 7"))
    assert out_of_step() == []
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(rt_structure_set(["Liver"], StructureSetLabel="Plan 8"))
    rois = RTStructureROI.objects.filter(matching(RTStructureROI, "liver"))
    assert (rois.count(), RTStructureROI.objects.count()) == (1, 1)
    assert out_of_step() == []
    removal.delete(Patient.objects.get(unique_patient_id="ID2"))
    assert (found("roe"), out_of_step()) == ([], [])


def test_without_the_extension_a_database_is_searched_slowly_and_says_so():
    if connection.vendor == "sqlite":
        return  # which has its index built in
    patients("Müller^Hans", "Miller^Jan")
    told = StringIO()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or no index is made beside such rows
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE icon_without_rights")
        cursor.execute("SET LOCAL ROLE icon_without_rights")
        ensure_indexes("default", stdout=told)
        cursor.execute("RESET ROLE")
    assert "CREATE EXTENSION pg_trgm;" in told.getvalue()
    assert [one.id for one in checks.run_checks(databases=["default"]) if one.id == "icon.W005"]
    assert found("mueller") == ["Müller^Hans"]
    ensure_indexes("default", stdout=told)
    assert checks.run_checks(tags=["database"], databases=["default"]) == []


def test_an_index_serves_three_letters():
    patients("Nobody^Nemo")
    rows = Patient.objects.filter(matching(Patient, "body"))
    if connection.vendor == "postgresql":  # which would rather look through a small table
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert re.search("Index Scan on app_patient_search|VIRTUAL TABLE INDEX 0:G0", rows.explain())


@pytest.mark.parametrize("text", ["e", "e ear"])
def test_less_than_three_letters_are_looked_for_in_no_row_with_contours(text):
    """The rows that are read are those that were found, by their keys."""
    rows = RTStructureROI.objects.filter(matching(RTStructureROI, text)).values("pk")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        assert "Index Only Scan using app_rtstructureroi_short_search" in rows.explain()
    else:
        assert "SCAN app_rtstructureroi\n" not in rows.explain() + "\n"


def drop_the_index() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP INDEX app_patient_search")
            return
        for event in ("insert", "delete", "update"):
            cursor.execute(f"DROP TRIGGER app_patient_search_{event}")
        cursor.execute("DROP TABLE app_patient_search")


@pytest.mark.django_db(transaction=True)
def test_without_an_index_whole_columns_are_looked_through_and_migrate_makes_it_again():
    drop_the_index()
    try:
        patients("Müller^Hans", "Miller^Jan")
        assert found("mueller") == ["Müller^Hans"]
    finally:
        call_command("migrate", verbosity=0)
    assert found("mueller") == ["Müller^Hans"]


@pytest.mark.django_db(transaction=True)
def test_what_came_while_a_trigger_was_lost_is_found_after_the_next_migrate():
    """As where a migration rebuilds a table, of which SQLite drops the triggers."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER app_patient_search_insert")
    patients("Miller^Jan")
    call_command("migrate", verbosity=0)
    assert found("miller") == ["Miller^Jan"]
    Patient.objects.create(folder="x", patient_name="Moser^Eva")
    assert found("moser") == ["Moser^Eva"]
