"""What an upload brought into the catalogue."""

import pytest

from app.catalogue import removal
from app.models import Patient
from app.uploads import claims
from app.uploads.changes import Changes, changes, stored
from tests.conftest import process
from tests.making.objects import ct_image, rt_structure_set, uid


def image(patient: str = "P", study: int = 1, series: int = 1, number: int = 1, **more) -> bytes:
    return ct_image(
        PatientID=patient,
        StudyInstanceUID=uid(study),
        SeriesInstanceUID=uid(study, series),
        SOPInstanceUID=uid(study, series, number),
        **more,
    )


def lines(tree: Changes) -> list[tuple[str, bool, bool, bool, str]]:
    """Each series of the tree: its patient, what is new of the three, the words."""
    return [
        (patient.patient.unique_patient_id, patient.is_new, study.is_new, one.is_new, one.words)
        for patient in tree.patients.values()
        for study in patient.studies.values()
        for one in study.series
    ]


def test_everything_of_the_first_upload_is_new(import_zip):
    done = import_zip(image(), image(number=2), image("Q", study=2))
    assert lines(changes(done)) == [
        ("P", True, True, True, "2 images"),
        ("Q", True, True, True, "1 image"),
    ]


def test_more_images_of_a_series_are_added_to_it(import_zip):
    import_zip(image())
    done = import_zip(image(), image(number=2), image(number=3))
    assert lines(changes(done)) == [("P", False, False, False, "+2 images")]


def test_a_new_series_of_a_known_study_and_a_new_study_of_a_known_patient(import_zip):
    import_zip(image())
    done = import_zip(image(series=2), image(study=2))
    assert lines(changes(done)) == [
        ("P", False, False, True, "1 image"),
        ("P", False, True, True, "1 image"),
    ]


def test_a_later_upload_does_not_change_what_an_earlier_one_brought(import_zip):
    first = import_zip(image())
    import_zip(image(number=0), image(series=0), image(study=0))
    assert lines(changes(first)) == [("P", True, True, True, "1 image")]


def test_what_was_deleted_meanwhile_is_not_put_into_words(import_zip):
    done = import_zip(image(), image("Q", study=2))
    assert stored(done).words == "2 images of 2 patients (2 studies)"
    removal.delete(Patient.objects.all()[0])
    assert stored(done).words == ""


def test_an_object_without_an_image_is_called_an_object(import_zip):
    done = import_zip(rt_structure_set())
    assert lines(changes(done))[0][4] == "1 object"


def test_what_was_there_before_is_no_change(import_zip):
    import_zip(image())
    assert changes(import_zip(image())).patients == {}


def test_versions_that_were_used_are_replaced_not_new(import_zip):
    first = import_zip(image())
    other = import_zip(image(PatientPosition="FFS"), image(number=2))
    assert claims.queue([other.pk], use_versions=True) == ([other.pk], {})
    process(other)
    assert lines(changes(other)) == [("P", False, False, False, "+1 image, 1 image replaced")]
    assert changes(first).patients == {}


def test_of_many_series_the_first_are_shown_and_the_rest_counted(import_zip):
    done = import_zip(*(image(series=number) for number in range(1, 204)))
    tree = changes(done)
    assert len(lines(tree)) == 200
    assert tree.more == 3


@pytest.mark.parametrize("count", [1, 30])
def test_the_number_of_queries_does_not_grow(import_zip, django_assert_num_queries, count):
    done = import_zip(*(image(f"P{n}", n, series) for n in range(count) for series in (1, 2)))
    with django_assert_num_queries(6):
        changes(done)
