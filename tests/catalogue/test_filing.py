"""Rows and files agree, also where several processes see to the same files at once."""

import fcntl
import hashlib
import os
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from app import tasks
from app.catalogue import filing, removal
from app.catalogue.filing import Version
from app.health.verify import verify
from app.models import DICOMFile, DICOMInstance, Status
from app.storage.staging import FOUND, RESTORING, STAGING, Staging
from app.uploads.claims import LEASE
from app.uploads.restore import restore
from tests.making.objects import ct_image, uid

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


def test_an_object_that_was_deleted_does_not_take_the_place_of_its_next_version(
    instance, import_zip, processed_root
):
    """As a run would have it that falls asleep before it publishes, and wakes after all that."""
    late = version_of(instance)
    removal.delete(instance)
    other = ct_image() + bytes(2)
    import_zip(other)
    with Staging(processed_root, instance.upload_id, "late") as staging:
        (staging.folder / "0-0.dcm").write_bytes(ct_image())
        assert not filing.place(staging, "0-0.dcm", late)
        assert staging.names() == []
        staging.remove()
    assert (processed_root / late.path).read_bytes() == other
    assert list(verify()) == []


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


def test_what_somebody_else_publishes_while_it_is_made_durable_is_seen_to(
    import_zip, processed_root, settings, monkeypatch
):
    settings.ICON_FSYNC = "file"
    objects = {f"{number}-0.dcm": ct_image(SOPInstanceUID=uid(5, number)) for number in range(3)}
    upload = import_zip(*objects.values())
    places = [processed_root / path for path in paths_of(upload)]
    sync = os.fdatasync
    with Staging(processed_root, upload.pk, "dead") as staging:
        for name, place in zip(objects, places, strict=True):
            place.rename(staging.folder / name)

        def other_first(descriptor):
            """Of each but the one that is being synced."""
            synced = Path(f"/proc/self/fd/{descriptor}").readlink().name
            for name, place in zip(objects, places, strict=True):
                if name != synced:
                    (staging.folder / name).rename(place)
            monkeypatch.setattr(os, "fdatasync", sync)
            sync(descriptor)

        monkeypatch.setattr(os, "fdatasync", other_first)
        filing.settle(staging, upload.pk)
    assert [place.read_bytes() for place in places] == list(objects.values())


@pytest.mark.parametrize("layout", ["", "0", "dead/0"])
def test_what_a_killed_run_left_is_filed_also_as_earlier_versions_staged_it(
    layout, import_zip, processed_root
):
    """In the upload's own folder, in trays in that, or in trays in a folder of the run."""
    images = [ct_image(SOPInstanceUID=uid(5, number)) for number in range(3)]
    upload = import_zip(*images)
    places = [processed_root / path for path in paths_of(upload)]
    folder = processed_root / STAGING / str(upload.pk) / layout
    folder.mkdir(parents=True)
    places[0].rename(folder / "0-0.dcm")
    (folder / "1-0.dcm").write_bytes(images[1][:-1])  # what it had not wholly read
    (folder / "9-0.dcm").write_bytes(images[2])  # nor committed
    row = DICOMFile.objects.filter(pk=upload.pk)
    row.update(processing_status=Status.IN_PROGRESS, run_id="alive", lease_until=Now() + LEASE)
    filing.roll_forward_abandoned()
    assert len(list(folder.iterdir())) == 3
    row.update(lease_until=Now() - LEASE)
    tasks.sweep()
    assert [place.read_bytes() for place in places] == images
    assert not list((processed_root / STAGING).iterdir())


def paths_of(upload: DICOMFile) -> list[str]:
    members = upload.members.order_by("index")
    return list(members.values_list("instance__path", flat=True))


def test_what_is_being_restored_is_left_alone(instance, processed_root):
    with Staging(processed_root, instance.upload_id, f"{RESTORING}7") as staging:
        staging.show_life()
        (staging.folder / "0-0.part").write_bytes(b"")
        filing.roll_forward(instance.upload_id)
        assert staging.names() == ["0-0.part"]
    filing.roll_forward(instance.upload_id)
    assert not list((processed_root / STAGING).iterdir())


def test_what_is_restored_while_another_host_sweeps_is_read_again(
    instance, processed_root, monkeypatch
):
    """It does not see the lock."""
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)
    mkdir, sweeps = os.mkdir, [filing.roll_forward_abandoned] * 2

    def swept(path, *arguments, **keywords) -> None:
        mkdir(path, *arguments, **keywords)
        if "dir_fd" in keywords and path == "0" and sweeps:  # an extractor's folder
            sweeps.pop()()

    monkeypatch.setattr(os, "mkdir", swept)
    file = processed_root / instance.path
    data = file.read_bytes()
    file.unlink()
    assert restore(instance)
    assert (file.read_bytes(), sweeps) == (data, [])
    assert list(verify()) == []


def test_the_run_that_holds_the_row_keeps_its_folder(instance, staged, processed_root):
    upload = DICOMFile.objects.filter(pk=instance.upload_id)
    flat = staged.folder.parent / "1-0.dcm"  # of a run of an earlier version
    flat.write_bytes(b"")
    upload.update(processing_status=Status.IN_PROGRESS, run_id="dead")
    filing.roll_forward(instance.upload_id)
    assert staged.names() == ["0-0.dcm"]
    upload.update(run_id="next")
    filing.roll_forward(instance.upload_id)
    assert (staged.names(), flat.exists()) == (["0-0.dcm"], True)
    filing.roll_forward(instance.upload_id, mine="next")
    assert (staged.names(), flat.exists()) == ([], False)
    upload.update(processing_status=Status.COMPLETED, run_id="")
    assert list(verify()) == []
