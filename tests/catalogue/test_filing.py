"""Rows and files agree, also where several processes see to the same files at once."""

import hashlib

import pytest
from django.db import connection

from app.catalogue import filing
from app.catalogue.filing import Version
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Status
from app.storage.staging import FOUND, RESTORING, STAGING, Staging
from tests.making.objects import ct_image

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]

STRANGER = b"somebody's file"


@pytest.fixture
def instance(import_zip) -> DICOMInstance:
    import_zip(ct_image())
    return DICOMInstance.objects.get()


@pytest.fixture
def staged(instance, processed_root) -> Staging:
    """As if its run had died before it published the object."""
    with Staging(processed_root, instance.upload_id, "dead") as staging:
        (processed_root / instance.path).rename(staging.folder / "0-0.dcm")
        yield staging


def version_of(instance: DICOMInstance) -> Version:
    return Version(instance.pk, instance.path, instance.sha256, instance.superseded)


def test_a_stranger_makes_way_once_where_two_see_it(instance, staged, processed_root):
    """The other is done between the look of this one at the file, and what it does about it."""
    place = processed_root / instance.path
    place.write_bytes(STRANGER)
    others = []

    def other_first(execute, sql, *rest):
        if "app_dicominstance" in sql and not others:
            others.append(sql)
            place.unlink()
            place.write_bytes(ct_image())
            (processed_root / FOUND).mkdir()
            found.write_bytes(STRANGER)
        return execute(sql, *rest)

    found = processed_root / FOUND / hashlib.sha256(STRANGER).hexdigest()
    with connection.execute_wrapper(other_first):
        assert not filing.place(staged, "0-0.dcm", version_of(instance))
    assert others
    assert (place.read_bytes(), found.read_bytes()) == (ct_image(), STRANGER)
    assert staged.names() == []


def test_what_a_dead_run_wrote_of_a_member_that_another_committed_is_not_published(
    instance, processed_root
):
    place = processed_root / instance.path
    with Staging(processed_root, instance.upload_id, "dead") as staging:
        place.unlink()
        (staging.folder / "0-0.dcm").write_bytes(ct_image()[:100])
    filing.roll_forward(instance.upload_id)
    assert not place.exists()
    assert not list((processed_root / STAGING).iterdir())


def test_what_somebody_else_publishes_meanwhile_is_seen_to(instance, staged, processed_root):
    """Between this one's look at the folder and at the file."""
    place = processed_root / instance.path

    def other_first(execute, sql, *rest):
        if "app_archivemember" in sql:
            (staged.folder / "0-0.dcm").rename(place)
        return execute(sql, *rest)

    with connection.execute_wrapper(other_first):
        filing.settle(staged, instance.upload_id)
    assert place.read_bytes() == ct_image()


def test_what_is_being_restored_is_left_alone(instance, processed_root):
    with Staging(processed_root, instance.upload_id, f"{RESTORING}7") as staging:
        staging.show_life()
        (staging.folder / "0-0.part").write_bytes(b"")
        filing.roll_forward(instance.upload_id)
        assert staging.names() == ["0-0.part"]
    filing.roll_forward(instance.upload_id)
    assert not list((processed_root / STAGING).iterdir())


def test_the_run_that_holds_the_row_keeps_its_folder(instance, staged, processed_root):
    upload = DICOMFile.objects.filter(pk=instance.upload_id)
    flat = staged.folder.parent / "1-0.dcm"  # of a run of an earlier version
    flat.write_bytes(b"")
    upload.update(processing_status=Status.IN_PROGRESS, run_id="dead")
    filing.roll_forward(instance.upload_id)
    assert staged.names() == ["0-0.dcm"]
    upload.update(run_id="next")
    filing.roll_forward(instance.upload_id)
    assert (staged.names(), flat.exists()) == ([], True)
    filing.roll_forward(instance.upload_id, mine="next")
    assert not flat.exists()
    upload.update(processing_status=Status.COMPLETED, run_id="")
    assert list(verify()) == []
