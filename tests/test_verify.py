"""The catalogue's check: every planted fault is found, and what can be mended is."""

import json
import os

import pytest
from django.core.management import CommandError, call_command

from app.models import ArchiveMember, DICOMFile, DICOMInstance, DICOMSeries, Patient
from app.verify import verify
from tests.objects import ct_image, uid

pytestmark = pytest.mark.database


@pytest.fixture
def upload(import_zip) -> DICOMFile:
    """Three images of two patients, whose folders sort differently as names and as paths."""
    return import_zip(
        ct_image(PatientID="A"),
        ct_image(PatientID="A b"),
        ct_image(PatientID="A b", SOPInstanceUID=uid(2, 1, 2)),
    )


@pytest.fixture
def file(upload, processed_root):
    return processed_root / DICOMInstance.objects.order_by("pk")[0].path


def codes(**how) -> list[tuple[str, bool]]:
    return [(violation.code, violation.repaired) for violation in verify(**how)]


def test_a_sound_catalogue_has_no_violation(upload):
    counted = []
    assert list(verify(step=counted.append)) == []
    assert sum(counted) == 3


def test_a_missing_file_is_found_and_read_again_from_the_kept_zip(file):
    data = file.read_bytes()
    file.unlink()
    assert codes() == [("file_missing", False)]
    assert codes(repair=True) == [("file_missing", True)]
    assert file.read_bytes() == data
    assert codes() == []


def test_an_altered_file_is_found_mended_and_kept(file, processed_root):
    data = file.read_bytes()
    file.chmod(0o640)
    file.write_bytes(data[:-1] + b"?")
    assert codes() == [("file_altered", False)]
    assert codes(repair=True) == [("file_altered", True)]
    assert file.read_bytes() == data
    assert len(list((processed_root / ".found").iterdir())) == 1


def test_a_file_that_cannot_be_mended_stays_a_violation(upload, file):
    upload.file.storage.delete(upload.file.name)
    file.unlink()
    assert codes(repair=True) == [("file_missing", False)]


def test_an_unknown_file_is_found_and_set_aside(upload, processed_root):
    stranger = processed_root / "A" / "stranger.dcm"
    stranger.write_bytes(b"?")
    assert codes() == [("file_unknown", False)]
    assert codes(repair=True) == [("file_unknown", True)]
    assert [kept.read_bytes() for kept in (processed_root / ".found").iterdir()] == [b"?"]
    assert codes() == []


def test_a_zip_that_no_upload_lists_is_found_and_set_aside(upload, media_root):
    stray, arriving = (media_root / "archives" / name for name in ("stray.zip", "arriving.zip"))
    for archive in (stray, arriving):
        archive.write_bytes(b"PK")
    os.utime(stray, (0, 0))
    assert codes() == [("archive_unknown", False)]
    assert codes(repair=True) == [("archive_unknown", True)]
    assert (media_root / "unlisted" / "stray.zip").is_file()
    assert arriving.is_file()
    assert codes() == []


def test_two_swapped_files_are_found(upload, processed_root):
    first, second, _ = (processed_root / row.path for row in DICOMInstance.objects.order_by("pk"))
    aside = processed_root.parent / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    assert codes() == [("file_altered", False)] * 2


def test_a_row_that_was_removed_leaves_an_unknown_file(upload):
    DICOMInstance.objects.order_by("pk")[0].delete()
    assert ("file_unknown", False) in codes()


def test_a_path_that_its_lineage_does_not_give_is_found(upload, processed_root):
    row = DICOMInstance.objects.order_by("pk")[0]
    (processed_root / row.path).rename(processed_root / "A" / "elsewhere.dcm")
    DICOMInstance.objects.filter(pk=row.pk).update(path="A/elsewhere.dcm")
    assert codes() == [("path_wrong", False)]


def test_a_link_is_no_file(file, tmp_path):
    (tmp_path / "copy").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "copy")
    assert codes() == [("file_missing", False)]


def test_staging_without_a_run_is_found_and_cleared(upload, processed_root):
    left = processed_root / ".staging" / str(upload.pk)
    left.mkdir()
    (left / "0-0.part").write_bytes(b"rubbish")
    assert codes() == [("staging_left", False)]
    assert codes(repair=True) == [("staging_left", True)]
    assert codes() == []


def test_a_ledger_that_does_not_add_up_is_found(upload):
    DICOMFile.objects.update(imported_count=7)
    assert codes(repair=True) == [("ledger_wrong", True)]
    assert codes() == []
    ArchiveMember.objects.filter(index=0).delete()
    assert codes(repair=True) == [("ledger_wrong", False)]


def test_parents_without_children_are_found_and_removed(upload):
    patient = Patient.objects.create(unique_patient_id="Z", folder="Z")
    assert codes() == [("childless", False)]
    assert codes(repair=True) == [("childless", True)]
    assert not Patient.objects.filter(pk=patient.pk).exists()


def test_a_superseded_file_that_is_gone_is_found(import_zip, settings, processed_root):
    import_zip(ct_image())
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(ct_image(PatientPosition="FFS"))
    for kept in (processed_root / ".superseded").iterdir():
        kept.unlink()
    assert codes() == [("superseded_missing", False)]


def test_the_command_ends_with_status_1_and_a_line_for_each(upload, file, capsys):
    file.unlink()
    DICOMSeries.objects.create(
        dicom_study=DICOMSeries.objects.first().dicom_study, series_instance_uid=uid(8)
    )
    with pytest.raises(CommandError) as ended:
        call_command("verify_catalogue", "--json")
    assert ended.value.returncode == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["code"] for line in lines] == ["file_missing", "childless"]


def test_the_command_says_that_all_is_well(upload, capsys):
    call_command("verify_catalogue")
    assert "3 instances checked; the catalogue is sound." in capsys.readouterr().out
