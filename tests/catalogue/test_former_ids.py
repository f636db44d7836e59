"""No patient doubles because ICON reads the bytes of an ID better than it did."""

import pytest

from app.models import DICOMInstance, Patient
from app.storage.paths import patient_folder
from tests.making.objects import Raw, ct_image, uid

UTF_8 = "Müller-7".encode()


def file_as_read_before(former: str, root) -> None:
    """Give the one patient the ID that its bytes were read as, with the folder of that ID."""
    patient = Patient.objects.get()
    folder = patient_folder(former, "")
    (root / patient.folder).rename(root / folder)
    for instance in DICOMInstance.objects.all():
        instance.path = instance.path.replace(patient.folder, folder, 1)
        instance.save(update_fields=["path"])
    Patient.objects.update(unique_patient_id=former, folder=folder)


def image(identifier: bytes, number: int = 1) -> bytes:
    return ct_image(
        PatientID=Raw("LO", identifier), SpecificCharacterSet=None, SOPInstanceUID=uid(5, number)
    )


@pytest.mark.parametrize("identifier", [UTF_8, "Zoë-7".encode()], ids=["u", "e"])
def test_an_object_under_an_earlier_reading_of_its_id_is_already_here(
    identifier, import_zip, processed_root
):
    import_zip(image(identifier))
    file_as_read_before(identifier.decode("latin-1"), processed_root)
    again = import_zip(image(identifier))
    assert (again.duplicate_count, again.imported_count) == (1, 0)
    assert Patient.objects.get().unique_patient_id == identifier.decode("latin-1")


def test_other_bytes_and_other_objects_take_the_id_as_it_reads_today(import_zip, processed_root):
    import_zip(image(UTF_8))
    file_as_read_before(UTF_8.decode("latin-1"), processed_root)
    again = import_zip(image(UTF_8) + b"\0\0", image(UTF_8, 2), image(UTF_8))
    assert (again.imported_count, again.conflict_count, again.duplicate_count) == (2, 0, 1)
    assert set(Patient.objects.values_list("unique_patient_id", flat=True)) == {
        "Müller-7",
        UTF_8.decode("latin-1"),
    }


def test_an_id_that_happens_to_be_spelled_like_another_s_bytes_is_another(import_zip):
    """The object is what tells: without its UIDs and its SHA-256 no other patient is looked at."""
    spelled = Raw("LO", UTF_8.decode("latin-1").encode())
    import_zip(ct_image(PatientID=spelled, SpecificCharacterSet="ISO_IR 192"))
    import_zip(image(UTF_8))
    assert Patient.objects.count() == 2
