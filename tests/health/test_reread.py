"""Filed objects are read again: rows gain what ICON reads now, and nothing moves."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse
from msgspec import structs

from app.catalogue.rereading import Reread, write_again
from app.dicom.headers import read_header
from app.dicom.kinds import Kind
from app.dicom.records import READ_VERSION
from app.health import nightly
from app.health import reread as rereading
from app.health.reread import older_count, reread
from app.health.verify import verify
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Link,
    LinkKind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
    Status,
)
from app.uploads import claims, ingest
from tests.conftest import wait_until
from tests.making import faults
from tests.making.catalogued import catalogued
from tests.making.objects import (
    Raw,
    ct_image,
    mr_image,
    rt_structure_set,
    secondary_capture,
    uid,
)

pytestmark = pytest.mark.database


def forget_versions() -> None:
    """Let the rows be those of code that kept no version of its reading."""
    DICOMInstance.objects.update(read_version=0)
    Patient.objects.update(read_versions={})
    for row in (*DICOMStudy.objects.all(), *DICOMSeries.objects.all()):
        row.described = {name: mark.split()[0] for name, mark in row.described.items()}
        row.save(update_fields=["described"])


def read_badly() -> None:
    """Let an older version of ICON have read everything, and little of it right."""
    forget_versions()
    DICOMInstance.objects.update(rows=None, instance_number=99)
    ImageInformation.objects.update(slice_thickness=None, pixel_spacing=[9.0, 9.0])
    RTStructureSetInformation.objects.update(structure_set_label="?", structure_set_date=None)
    RTStructureROI.objects.update(roi_name="?", roi_contour_data="[]", contour_count=0)
    RTStructureROI.objects.update(slice_count=0)
    DICOMStudy.objects.update(study_description="?", study_date=None)
    DICOMSeries.objects.exclude(series_description="").update(series_description="?")
    Patient.objects.update(patient_name="?", patient_dob=None)


def said(**how) -> list[tuple[str, str]]:
    return [(finding.subject, finding.code) for finding in reread(**how)]


@pytest.fixture
def upload(import_zip) -> DICOMFile:
    return import_zip(ct_image(), mr_image(SOPInstanceUID=uid(2, 1, 2)), rt_structure_set())


def test_rows_become_what_an_import_makes_and_keep_their_keys(upload, processed_root):
    wanted, ledger = catalogued(keys=True), list(ArchiveMember.objects.order_by("pk").values())
    times = {path: path.stat().st_mtime_ns for path in processed_root.rglob("*.dcm")}
    read_badly()
    assert catalogued(keys=True) != wanted
    steps: list[int] = []
    assert said(step=steps.append) == []
    assert sum(steps) == 3
    assert catalogued(keys=True) == wanted
    assert list(ArchiveMember.objects.order_by("pk").values()) == ledger
    assert {path: path.stat().st_mtime_ns for path in processed_root.rglob("*.dcm")} == times
    assert older_count() == 0


def test_an_import_is_read_by_the_present_version(upload, processed_root):
    for file in processed_root.rglob("*.dcm"):
        file.unlink()
    assert older_count() == 0
    assert said() == []  # nothing was looked for


def test_details_that_are_missing_are_made_and_those_that_are_none_go(upload):
    wanted = catalogued()
    forget_versions()
    mr = DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 2))
    mr.image_information.delete()
    RTStructureSetInformation.objects.create(dicom_instance=mr)
    RTStructureSetInformation.objects.get(number_of_roi=1).delete()
    assert said() == []
    assert catalogued() == wanted


def test_more_rois_than_before_are_all_there(import_zip):
    import_zip(rt_structure_set(["Heart", "Lung"]))
    wanted = catalogued()
    forget_versions()
    RTStructureROI.objects.get(roi_name="Heart").delete()
    assert said() == []
    assert catalogued() == wanted


@pytest.fixture
def disputed(import_zip) -> dict:
    """Objects that describe one series and name one patient in different ways, in two uploads.

    The order of their primary keys is not the one in which they came. What an import makes of it.
    """
    import_zip(
        ct_image(SOPInstanceUID=uid(9, 5), SeriesDescription="First", StudyDescription=None),
        ct_image(SOPInstanceUID=uid(9, 4), SeriesDescription="Second", PatientName="Some^Body"),
        ct_image(SOPInstanceUID=uid(9, 3), SeriesDescription=None, StudyDescription="Own"),
    )
    import_zip(
        ct_image(SOPInstanceUID=uid(9, 2), SeriesDescription="Newer", StudyDescription=None),
        ct_image(SOPInstanceUID=uid(9, 1), SeriesDescription="Newest", PatientName="No^One"),
    )
    wanted = catalogued()
    assert DICOMSeries.objects.get().series_description == "Newer"
    assert Patient.objects.get().patient_name == "Nobody^Nemo"
    read_badly()
    return wanted


def test_parents_are_described_as_if_all_came_once_more(disputed):
    assert said() == []
    assert catalogued() == disputed


def test_an_upload_that_was_deleted_still_describes_its_objects(disputed):
    DICOMFile.objects.all().delete()
    assert said() == []
    assert DICOMSeries.objects.get().series_description == "Newest"  # the first by its key
    assert older_count() == 0


def test_two_people_are_told_apart_that_were_read_alike(import_zip):
    import_zip(
        ct_image(PatientName="A^B"), ct_image(SOPInstanceUID=uid(2, 1, 2), PatientName="C^D")
    )
    read_badly()
    Patient.objects.update(identity_differs=False)
    assert said() == []
    patient = Patient.objects.get()
    assert (patient.patient_name, patient.identity_differs) == ("A^B", True)


def test_of_two_people_a_kind_alone_does_not_say_whose_the_id_is(import_zip):
    import_zip(ct_image(PatientName="A^B"), rt_structure_set(PatientName="C^D"))
    forget_versions()
    assert said(kind=Kind.STRUCTURE_SET) == []
    assert Patient.objects.get().patient_name == "A^B"
    assert said() == []
    assert Patient.objects.get().patient_name == "A^B"


def test_a_patient_id_that_is_read_otherwise_is_reported_once_and_not_moved(
    import_zip, processed_root
):
    identifier = Raw("LO", "Müller-7".encode())
    images = [
        ct_image(PatientID=identifier, SpecificCharacterSet=None, SOPInstanceUID=uid(5, number))
        for number in range(3)
    ]
    import_zip(*images)
    former = "Müller-7".encode().decode("latin-1")
    Patient.objects.update(unique_patient_id=former)
    places = list(DICOMInstance.objects.order_by("pk").values("pk", "path", "dicom_series"))
    read_badly()
    assert said() == [(f"patient {Patient.objects.get().pk}", "reads_otherwise")]
    assert list(DICOMInstance.objects.order_by("pk").values(*places[0])) == places
    patient = Patient.objects.get()
    assert (patient.unique_patient_id, patient.patient_name) == (former, "Nobody^Nemo")
    assert set(DICOMInstance.objects.values_list("rows", flat=True)) == {2}
    assert said() == []  # all is read by this version


def test_who_is_read_as_another_patient_names_nobody(upload):
    Patient.objects.update(unique_patient_id="ID2", patient_name="Some^Body")
    forget_versions()
    assert said() == [(f"patient {Patient.objects.get().pk}", "reads_otherwise")]
    patient = Patient.objects.get()
    assert (patient.patient_name, patient.identity_differs) == ("Some^Body", False)


def test_uids_that_are_read_otherwise_are_reported_and_stay(upload):
    one = DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 2))
    DICOMInstance.objects.filter(pk=one.pk).update(sop_instance_uid=uid(7))
    DICOMSeries.objects.filter(pk=one.dicom_series_id).update(series_instance_uid=uid(8))
    DICOMStudy.objects.update(study_instance_uid=uid(9), study_description="Another")
    forget_versions()
    study = DICOMStudy.objects.get()
    assert set(said()) == {
        (f"study {study.pk}", "reads_otherwise"),
        (f"series {one.dicom_series_id}", "reads_otherwise"),
        (f"instance {one.pk}", "reads_otherwise"),
    }
    one.refresh_from_db()
    assert (one.sop_instance_uid, one.read_version) == (uid(7), READ_VERSION)
    assert DICOMStudy.objects.get().study_description == "Another"


def test_what_cannot_be_read_is_named_and_left_as_it_is(import_zip, processed_root):
    import_zip(*(ct_image(SOPInstanceUID=uid(2, 1, number)) for number in range(1, 7)))
    rows = list(DICOMInstance.objects.order_by("sop_instance_uid"))
    missing, cut, altered, linked, pipe, _ = (processed_root / row.path for row in rows)
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    altered.write_bytes(altered.read_bytes().replace(b"Planning", b"planning"))
    linked.rename(processed_root / "aside")
    linked.symlink_to(processed_root / "aside")
    pipe.unlink()
    os.mkfifo(pipe)
    read_badly()
    codes = ["file_missing", "file_altered", "file_altered", "file_missing", "file_missing"]
    for _ in range(2):  # it is tried again in the next run, not for ever in one
        found = [(f"instance {row.pk}", code) for row, code in zip(rows, codes, strict=False)]
        assert said() == found
        values = DICOMInstance.objects.order_by("sop_instance_uid").values_list("rows", flat=True)
        assert list(values) == [None] * 5 + [2]
        assert older_count() == 5


def test_what_is_read_worse_keeps_what_was_read_before(import_zip, settings):
    import_zip(rt_structure_set([str(number) for number in range(200)], undefined_lengths=True))
    wanted, versions = catalogued(), Patient.objects.get().read_versions
    for limit, code in ((20_000, "structures_unreadable"), (300, "header_too_large")):
        forget_versions()
        settings.ICON_MAX_HEADER = limit
        assert said() == [(f"instance {DICOMInstance.objects.get().pk}", code)]
        assert older_count() == 1
    DICOMInstance.objects.update(read_version=READ_VERSION)
    Patient.objects.update(read_versions=versions)
    assert catalogued() == wanted


@pytest.mark.parametrize("kept", [0, 1])
def test_what_was_filed_before_links_were_kept_gains_them(kept, upload):
    wanted = catalogued()
    read_badly()
    images = Link.objects.filter(kind=LinkKind.IMAGE)
    (images if kept else Link.objects.all()).delete()
    Link.objects.filter(kind=LinkKind.SERIES).update(target_uid="?")
    assert said() == []
    assert catalogued() == wanted


def as_read_now(root: Path) -> list[Reread]:
    return [
        Reread(row.pk, row.sha256, row.created_at, read_header((root / row.path).read_bytes()))
        for row in DICOMInstance.objects.order_by("pk")
    ]


def test_what_the_database_refuses_costs_only_itself(upload, processed_root):
    wanted = catalogued()
    forget_versions()
    batch = as_read_now(processed_root)
    bad = batch[1]
    instance = structs.replace(bad.header.instance, rows=-1)
    batch[1] = bad._replace(header=structs.replace(bad.header, instance=instance))
    found = [(one.subject, one.code) for one in rereading._write(batch, in_order=True)]
    assert found == [(f"instance {bad.instance}", "not_stored")]
    assert older_count() == 1
    DICOMInstance.objects.update(read_version=READ_VERSION)
    assert catalogued() == wanted


def test_what_was_replaced_or_deleted_since_it_was_read_is_passed_over(upload, processed_root):
    batch = as_read_now(processed_root)
    read_badly()
    gone, replaced, _ = (one.instance for one in batch)
    DICOMInstance.objects.get(pk=gone).delete()
    DICOMInstance.objects.filter(pk=replaced).update(sha256="0" * 64)
    assert write_again(batch, in_order=True) == []
    assert not DICOMInstance.objects.filter(pk=gone).exists()
    assert DICOMInstance.objects.get(pk=replaced).rows is None
    assert older_count() == 1


def test_only_a_kind_is_read(import_zip):
    import_zip(ct_image(), rt_structure_set(), secondary_capture(SOPInstanceUID=uid(3)))
    read_badly()
    assert [older_count(kind) for kind in (None, *Kind)] == [3, 1, 1, 1]
    assert said(kind=Kind.STRUCTURE_SET) == []
    assert [older_count(kind) for kind in Kind] == [1, 0, 1]
    assert RTStructureROI.objects.get().roi_name == "Heart"
    assert ImageInformation.objects.get().slice_thickness is None


def test_it_gives_way_to_what_is_queued_or_imported(upload, upload_zip):
    queued, running = (upload_zip(secondary_capture()) for _ in range(2))
    assert claims.queue([queued.pk]) == ([queued.pk], {})
    run = claims.claim(running.pk)
    forget_versions()
    seen = []

    def waiting(count: int) -> None:
        seen.append((count, older_count()))
        if count == 2:
            claims.cancel([queued.pk])
        else:
            run.end(Status.COMPLETED)

    assert said(waiting=waiting) == []
    assert seen == [(2, 3), (1, 3)]
    assert older_count() == 0


def test_it_does_not_wait_for_a_run_that_has_died(upload, upload_zip):
    claims.claim(upload_zip(secondary_capture()).pk)
    faults.expire_leases()
    forget_versions()
    assert said() == []


def test_only_one_reads_at_a_time(upload, processed_root):
    for file in processed_root.rglob("*.dcm"):
        file.unlink()
    forget_versions()
    first = reread()
    next(first)
    with pytest.raises(CommandError, match="being read again already"):
        call_command("reread")
    first.close()
    with pytest.raises(CommandError, match="Could not be read, and left unchanged: 3 objects"):
        call_command("reread")


def test_the_command_says_what_it_did(upload, capsys):
    call_command("reread")
    assert "Nothing to read again" in capsys.readouterr().out
    forget_versions()
    call_command("reread", "structure-set")
    assert "Read again: 1 object in" in capsys.readouterr().out
    Patient.objects.update(unique_patient_id="read otherwise")
    with pytest.raises(CommandError) as ended:
        call_command("reread")
    assert ended.value.returncode == 1
    assert "left in place: 1." in str(ended.value)
    line = capsys.readouterr().out
    assert line.startswith(f"patient {Patient.objects.get().pk}: Patient ID is read otherwise now")
    assert "read otherwise\n" not in line  # no value


def test_the_command_names_the_kinds_that_there_are(transactional_db):
    with pytest.raises(CommandError, match="Name one of these: image, structure-set, other"):
        call_command("reread", "pictures")


def test_the_check_counts_what_an_older_version_read_and_finds_nothing_wrong_with_it(
    upload, capsys, staff_client
):
    forget_versions()
    assert list(verify()) == []
    call_command("verify_catalogue")
    sentence = "Read by an older version of ICON: 3 objects. `manage.py reread` reads them again."
    assert sentence in capsys.readouterr().out.splitlines()
    nightly.begin()
    check = nightly.go_on()
    assert (check.older_count, check.violation_count) == (3, 0)
    page = staff_client.get(reverse("admin:app_cataloguecheck_change", args=[check.pk]))
    assert sentence in page.content.decode().replace("&#x60;", "`")
    assert said() == []
    call_command("verify_catalogue")
    assert "older" not in capsys.readouterr().out


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.crash)])
def test_killed_at_random_moments_it_ends_with_the_same_rows(kills, upload_zip, environment):
    assert ingest.run_upload(upload_zip(*faults.images()[:700], rt_structure_set()).pk)
    wanted = catalogued(keys=True)
    struck = 0
    while struck < kills:
        read_badly()
        while struck < kills and older_count():
            struck += strike(environment)
        assert run_command(environment).wait() == 0
        assert older_count() == 0
        assert catalogued(keys=True) == wanted


def strike(environment: dict[str, str]) -> bool:
    """Run the command, and kill it with all its processes; False where it was faster."""
    until = random.randrange(older_count())
    running = run_command(environment)
    wait_until(lambda: older_count() <= until or running.poll() is not None, "some rows")
    time.sleep(random.uniform(0, 0.1))
    was_running = running.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return was_running


def run_command(environment: dict[str, str]) -> subprocess.Popen:
    command = [sys.executable, "manage.py", "reread"]
    return subprocess.Popen(
        command, env=os.environ | environment, cwd=settings.BASE_DIR, start_new_session=True
    )
