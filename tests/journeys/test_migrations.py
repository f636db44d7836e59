"""A catalogue of the first migration goes on with today's code: also an import under way."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from app import tasks
from app.health.reread import older_count
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Patient, Status
from app.storage.staging import STAGING
from app.uploads import ingest
from tests.conftest import default_database, often_on
from tests.making import faults
from tests.making.catalogued import catalogued
from tests.making.first import file_as_first, first_upload
from tests.making.folded import out_of_step
from tests.making.objects import ct_image, rt_structure_set, uid, zip_of

MEMBERS = [ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(4)]


@pytest.fixture
def begun(first_catalogue, processed_root, media_root, tmp_path) -> int:
    """An import that died: one object in its place, one committed and staged, two not yet read."""
    zip_of(tmp_path / "a.zip", *MEMBERS)
    (media_root / "archives").mkdir(parents=True, exist_ok=True)
    (tmp_path / "a.zip").rename(media_root / "archives/a.zip")
    upload = first_catalogue.get_model("app", "DICOMFile").objects.create(
        file="archives/a.zip", original_name="a.zip", processing_status="in_progress",
        run_id="gone", lease_until=timezone.now() - timedelta(hours=1), stage="process",
        attempts=1, percent=50, member_count=4, imported_count=2,
        date_processing_started=timezone.now() - timedelta(hours=2),
        processing_log_data=[{"at": "2026-11-01T00:00:00+00:00", "level": "warning",
                              "stage": "process", "message": "Something. (1 file)"}],
    )  # fmt: skip
    place = processed_root / file_as_first(first_catalogue, upload, 0, MEMBERS[0]).path
    place.parent.mkdir(parents=True)
    place.write_bytes(MEMBERS[0])
    file_as_first(first_catalogue, upload, 1, MEMBERS[1])
    staging = processed_root / STAGING / str(upload.pk)
    staging.mkdir(parents=True)
    (staging / "1-0.dcm").write_bytes(MEMBERS[1])
    (staging / "2-0.dcm").write_bytes(MEMBERS[2][:100])
    return upload.pk


@often_on("sqlite")
def test_an_import_that_the_first_code_began_is_finished_looked_at_and_added_to(
    begun, broker, upload_zip, client, django_user_model
):
    call_command("migrate", verbosity=0)
    tasks.sweep()
    assert ingest.run_upload(begun)
    upload = DICOMFile.objects.get(pk=begun)
    assert (upload.processing_status, upload.imported_count) == (Status.COMPLETED, 4)
    assert upload.processing_log_data[0]["message"] == "Something. (1 file)"
    assert all(instance.superseded == [] for instance in DICOMInstance.objects.all())
    assert [violation.sentence for violation in verify()] == []
    more = upload_zip(*MEMBERS[:2], rt_structure_set())
    assert ingest.run_upload(more.pk)
    more.refresh_from_db()
    assert (more.duplicate_count, more.imported_count) == (2, 1)
    client.force_login(django_user_model.objects.create_superuser("boss"))
    for name in ("dicomfile", "patient", "dicomstudy", "dicomseries", "dicominstance"):
        assert client.get(reverse(f"admin:app_{name}_changelist")).status_code == 200
    assert client.get(reverse("upload_result", args=[begun])).status_code == 200


@pytest.mark.long
@often_on("sqlite")
def test_the_admin_s_log_forgets_the_names_of_zips(either_url, transactional_db):
    with default_database(either_url, "0005_bulk_defaults"):
        for other in ("auth", "admin"):
            call_command("migrate", other, verbosity=0)
        user = get_user_model().objects.create(username="boss")
        for model, name in ((DICOMFile, "Doe Jane.zip"), (Patient, "Patient 4")):
            kind, _ = ContentType.objects.get_or_create(
                app_label="app", model=model._meta.model_name
            )
            LogEntry.objects.create(
                user=user, content_type=kind, object_id="17", object_repr=name, action_flag=DELETION
            )
        call_command("migrate", verbosity=0)
        names = LogEntry.objects.order_by("pk").values_list("object_repr", flat=True)
        assert list(names) == ["Upload 17", "Patient 4"]


FORMER = {
    "patient_name": "M\u00c3\u00bcller",
    "study_description": "?",
    "series_number": 99,
    "rows": None,
    "slice_thickness": 9.0,
    "structure_set_label": "?",
    "number_of_roi": 0,
    "roi_name": "?",
    "contour_count": 0,
}


@often_on("sqlite")
def test_what_the_first_code_read_is_read_again_as_an_import_would_read_it(
    first_catalogue, processed_root, media_root, upload_zip
):
    other = ct_image(PatientID="B", StudyInstanceUID=uid(3), StudyDescription="Own")
    uploads = [[*MEMBERS, rt_structure_set()], [other]]
    for members in uploads:
        first_upload(first_catalogue, processed_root, media_root, *members, **FORMER)
    call_command("migrate", verbosity=0)
    assert (older_count(), list(verify()), out_of_step()) == (6, [], [])
    # As the first code does that still runs then, and is not found before the next line.
    former = first_catalogue.get_model("app", "Patient").objects.create(folder="former")
    assert out_of_step() == [f"app_patient {former.pk}"]
    call_command("reread")
    Patient.objects.get(pk=former.pk).delete()
    assert (older_count(), list(verify()), out_of_step()) == (0, [], [])
    read_again = catalogued()
    faults.clear(processed_root)
    for members in uploads:
        assert ingest.run_upload(upload_zip(*members).pk)
    assert read_again == catalogued()


@pytest.mark.django_db
def test_rights_that_were_made_before_are_called_by_their_tables_words():
    table = ContentType.objects.get(app_label="app", model="dicomfile")
    names = {"add", "change", "delete", "view", "process"}
    codes = [f"{name}_dicomfile" for name in names]
    rights = Permission.objects.filter(content_type=table, codename__in=codes)
    rights.update(name="Can do something to a DICOM file")
    import_module("app.migrations.0012_rights_in_words").name_rights(apps, None)
    assert {right.name for right in rights} == {f"Can {name} upload" for name in names}
