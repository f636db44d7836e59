"""Deleting: rows first, files after, and nothing that others need.

A few rounds of deleting against importing by default, on PostgreSQL; `python3 run.py test -m long`
has some on SQLite, and 100 on each database.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from app import tasks
from app.catalogue import filing, removal, restoring, trash
from app.catalogue.transactions import lock_patients
from app.health.verify import verify
from app.models import (
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Patient,
    RTStructureROI,
    TrashedObject,
)
from app.storage.staging import superseded_path
from app.uploads import claims, ingest
from app.uploads import removal as upload_removal
from tests.conftest import locks, wait_until
from tests.making.faults import in_a_copy
from tests.making.objects import ct_image, rt_structure_set, uid

pytestmark = pytest.mark.database

RACES = 2


@pytest.fixture
def without_trash(settings) -> None:
    settings.ICON_TRASH_DAYS = 0


def images(*numbers: int, **keywords) -> list[bytes]:
    return [ct_image(SOPInstanceUID=uid(2, 1, number), **keywords) for number in numbers]


def files(root) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.dcm"))


def violations() -> list[str]:
    return [violation.sentence for violation in verify()]


@pytest.mark.parametrize("model", [Patient, DICOMStudy, DICOMSeries])
def test_deleting_a_parent_takes_all_below_and_its_files(model, import_zip, processed_root):
    import_zip(*images(1, 2), ct_image(PatientID="ID2"))
    removal.delete(model.objects.order_by("pk")[0])
    assert DICOMInstance.objects.count() == Patient.objects.count() == 1
    assert len(files(processed_root)) == 1
    assert not FileToDelete.objects.exists()
    assert violations() == []
    assert not (processed_root / "ID1").exists()


def test_deleting_the_last_instance_takes_its_empty_parents(import_zip, processed_root):
    import_zip(rt_structure_set())
    removal.delete(DICOMInstance.objects.get())
    assert not Patient.objects.exists()
    assert not RTStructureROI.objects.exists()
    assert files(processed_root) == []


def test_deleting_one_of_two_instances_keeps_the_other(import_zip, processed_root):
    import_zip(*images(1, 2))
    removal.delete(DICOMInstance.objects.order_by("pk")[0])
    assert len(files(processed_root)) == DICOMSeries.objects.count() == 1
    assert violations() == []


def test_deleting_takes_superseded_versions_too(import_zip, processed_root, settings):
    import_zip(*images(1))
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(*images(1, PatientPosition="FFS"))
    assert len(files(processed_root)) == 2
    removal.delete(Patient.objects.get())
    assert files(processed_root) == []


def test_the_ledger_remembers_what_was_deleted(import_zip):
    upload = import_zip(*images(1))
    removal.delete(Patient.objects.get())
    member = upload.members.get()
    assert (member.outcome, member.instance) == ("imported", None)


def test_files_that_a_killed_delete_left_go_with_the_next_sweep(import_zip, processed_root):
    import_zip(*images(1))
    row = DICOMInstance.objects.get()
    FileToDelete.objects.create(path=row.path, sop_instance_uid=row.sop_instance_uid)
    Patient.objects.all().delete()
    assert filing.unlink_pending() == 1
    assert files(processed_root) == []


def test_importing_again_keeps_a_file_that_was_to_be_deleted(import_zip, processed_root):
    import_zip(*images(1))
    row = DICOMInstance.objects.get()
    FileToDelete.objects.create(path=row.path, sop_instance_uid=row.sop_instance_uid)
    Patient.objects.all().delete()
    import_zip(*images(1))
    filing.unlink_pending()
    assert len(files(processed_root)) == 1
    assert violations() == []


def test_a_catalogued_file_is_never_deleted(import_zip, processed_root):
    import_zip(*images(1))
    row = DICOMInstance.objects.get()
    FileToDelete.objects.create(path=row.path, sop_instance_uid=row.sop_instance_uid)
    filing.unlink_pending()
    assert len(files(processed_root)) == 1


def test_deleting_an_upload_keeps_its_objects_and_sets_its_zip_aside(
    import_zip, processed_root, media_root
):
    upload = import_zip(*images(1))
    kept = Path(upload.file.path)
    assert upload_removal.delete_upload(upload, with_archive=False)
    assert len(files(processed_root)) == DICOMInstance.objects.count() == 1
    assert not kept.exists()
    assert (media_root / "unlisted" / kept.name).is_file()
    assert violations() == []


def test_the_archive_goes_where_that_was_asked_for(import_zip, media_root):
    upload = import_zip(*images(1))
    assert upload_removal.delete_upload(upload, with_archive=True)
    assert not list(media_root.rglob("*.zip"))
    assert not FileToDelete.objects.exists()


def test_an_upload_that_was_claimed_meanwhile_is_not_deleted(upload_zip):
    upload = upload_zip(*images(1))
    claims.claim(upload.pk)
    assert not upload_removal.delete_upload(upload, with_archive=True)
    assert Path(upload.file.path).is_file()
    assert upload.members.count() == 0
    upload.refresh_from_db()


KILLED = 9
GONE = ("os.remove", "os.rmdir", "os.rename")


def kill_after(steps: int, act: Callable[[], object]) -> None:
    """Do something and die when more than so many files and folders would go or move."""
    left = steps

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(KILLED)

    sys.addaudithook(lambda event, arguments: event in GONE and count())
    act()


def swept() -> bool:
    tasks.sweep()
    return not FileToDelete.objects.exists()


@pytest.mark.parametrize("steps", range(4))
@pytest.mark.parametrize("what", ["patient", "upload", "zips"])
def test_a_delete_that_is_killed_is_finished_by_the_sweep(
    what, steps, import_zip, processed_root, media_root
):
    upload = import_zip(*images(1, 2, 3))
    act = {
        "patient": lambda: removal.delete(Patient.objects.get()),
        "upload": lambda: upload_removal.delete_upload(upload, with_archive=True),
        "zips": lambda: upload_removal.remove_archives([upload]),
    }[what]
    code = in_a_copy(lambda: kill_after(steps, act))
    assert code in (0, KILLED)
    assert code == KILLED or steps > 0
    # PostgreSQL takes a moment to see that a process is gone and to let go of its rows.
    wait_until(swept, "the sweep to finish the delete")
    assert violations() == []
    assert len(files(processed_root)) == (0 if what == "patient" else 3)
    listed = DICOMFile.objects.exclude(file="").count()
    assert len(list(media_root.rglob("*.zip"))) == listed
    assert what == "patient" or steps == 0 or not listed


def test_a_version_superseded_again_keeps_its_file(import_zip, processed_root, settings):
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(*images(1))
    import_zip(*images(1, PatientPosition="FFS"))
    (first,) = DICOMInstance.objects.get().superseded
    FileToDelete.objects.create(path=superseded_path(first))
    Patient.objects.all().delete()
    import_zip(*images(1))
    import_zip(*images(1, PatientPosition="FFS"))
    filing.unlink_pending()
    assert violations() == []


def test_many_files_go_a_chunk_at_a_time(
    import_zip, processed_root, monkeypatch, django_assert_max_num_queries, without_trash
):
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 20)
    import_zip(*images(*range(50)))
    with django_assert_max_num_queries(140):
        removal.delete(Patient.objects.get())
    assert not FileToDelete.objects.exists()
    assert files(processed_root) == []


def test_a_file_that_the_disk_refuses_to_unlink_keeps_no_other(
    import_zip, processed_root, without_trash
):
    import_zip(*images(1, 2))
    stuck, other = DICOMInstance.objects.order_by("pk")
    (processed_root / stuck.path).unlink()
    (processed_root / stuck.path).mkdir()
    removal.delete(Patient.objects.get())
    assert [line.path for line in FileToDelete.objects.all()] == [stuck.path]
    assert not (processed_root / other.path).exists()
    (processed_root / stuck.path).rmdir()
    assert filing.unlink_pending() == 1
    assert not FileToDelete.objects.exists()


def test_nothing_is_deleted_through_a_link(import_zip, processed_root, tmp_path, without_trash):
    import_zip(*images(1))
    row = DICOMInstance.objects.get()
    elsewhere = tmp_path / "elsewhere"
    (processed_root / "ID1").rename(elsewhere)
    (processed_root / "ID1").symlink_to(elsewhere)
    removal.delete(Patient.objects.get())
    assert (processed_root / row.path).is_file()
    assert [line.path for line in FileToDelete.objects.all()] == [row.path]
    (processed_root / "ID1").unlink()
    elsewhere.rename(processed_root / "ID1")
    assert filing.unlink_pending() == 1
    assert files(processed_root) == []


def test_all_patients_are_held_in_order_before_anything_is_deleted(import_zip, monkeypatch):
    import_zip(ct_image(PatientID="ID1"), ct_image(PatientID="ID2", StudyInstanceUID=uid(9)))
    held = []

    def note(pks):
        rows = lock_patients(pks)
        held.append([*rows])
        return rows

    monkeypatch.setattr(removal, "lock_patients", note)
    patients = sorted(Patient.objects.values_list("pk", flat=True))
    removal.delete([*DICOMStudy.objects.order_by("-patient")])
    assert held[0] == patients


def race(rounds: int, upload_zip) -> None:
    """Delete and restore what is imported meanwhile: rows and files agree, and nothing is lost."""
    data = images(*range(20))
    wanted = {hashlib.sha256(one).hexdigest() for one in data}
    for number in range(rounds):
        upload = upload_zip(*data)
        importing = threading.Thread(target=run, args=(upload.pk,))
        importing.start()
        while importing.is_alive():
            for patient in Patient.objects.all():
                removal.delete(patient)
            for deletion in Deletion.objects.all() if number % 2 else ():
                restoring.restore(deletion)
        importing.join()
        filing.unlink_pending()
        assert violations() == []
        here = set(DICOMInstance.objects.values_list("sha256", flat=True))
        deleted = set(TrashedObject.objects.values_list("sha256", flat=True))
        assert here | deleted == wanted
        assert not TrashedObject.objects.filter(has_file=False).exists()
        for deletion in Deletion.objects.all():
            trash.erase(deletion)


@locks
def test_a_delete_that_races_an_import_leaves_a_sound_catalogue(upload_zip):
    race(RACES, upload_zip)


@pytest.mark.long
def test_deletes_that_race_imports_leave_a_sound_catalogue(either_database, upload_zip):
    race(100, upload_zip)


def run(pk: int) -> None:
    ingest.run_upload(pk)
    connection.close()
