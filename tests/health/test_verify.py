"""The catalogue's check: every planted fault is found, and what can be mended is."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from app.catalogue import filing, removal
from app.health import verify as verification
from app.health.probes import worker_is_here
from app.health.verify import verify
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Patient,
)
from tests.making.objects import ct_image, uid

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


def test_what_is_no_file_is_set_aside_for_the_file(file, processed_root, tmp_path):
    data = file.read_bytes()
    (tmp_path / "copy").write_bytes(data)

    def plant_folder():
        file.mkdir()
        (file / "inside").write_bytes(b"?")

    for plant in (
        lambda: file.symlink_to(tmp_path / "copy"),
        lambda: os.mkfifo(file),
        plant_folder,
    ):
        file.unlink()
        plant()
        assert ("file_missing", False) in codes()
        assert ("file_missing", True) in codes(repair=True)
        assert file.read_bytes() == data
        assert codes() == []
    # The link, the pipe, the folder, and by itself what was in that.
    assert len(list((processed_root / ".found").iterdir())) == 4


def test_links_and_pipes_that_no_row_knows_are_set_aside(upload, processed_root, tmp_path):
    (processed_root / "A" / "link").symlink_to(tmp_path)
    (processed_root / "A" / "nowhere").symlink_to("nothing")
    os.mkfifo(processed_root / "A" / "pipe")
    found = ["link_unknown", "link_unknown", "file_unknown"]
    assert codes() == [(code, False) for code in found]
    assert codes(repair=True) == [(code, True) for code in found]
    assert codes() == []
    assert tmp_path.is_dir()


@pytest.mark.parametrize("level", range(3))
def test_what_lies_behind_a_link_does_not_count_and_is_read_again(
    level, upload, file, processed_root, tmp_path
):
    folder = processed_root.joinpath(*file.relative_to(processed_root).parts[: level + 1])
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    data = file.read_bytes()
    assert codes() == [("link_unknown", False), ("file_missing", False)]
    assert codes(repair=True) == [("link_unknown", True), ("file_missing", True)]
    assert codes() == []
    assert not folder.is_symlink()
    assert file.read_bytes() == data
    assert list(elsewhere.rglob("*.dcm"))


def test_a_violation_is_one_line_whatever_a_file_is_called(upload, processed_root):
    for name in (b"two\nlines", b"not utf-8 \xff", "Ünï".encode()):
        (processed_root / os.fsdecode(b"A/" + name)).write_bytes(name)
    lines = [violation.sentence for violation in verify()]
    assert lines == [
        f"A/{name}: No row knows this file." for name in ("not utf-8 \\udcff", "two\\nlines", "Ünï")
    ]
    for line in lines:
        line.encode()
    assert codes(repair=True) == [("file_unknown", True)] * 3


def test_what_cannot_be_read_is_a_violation_and_the_check_goes_on(
    upload, file, processed_root, environment
):
    (processed_root / "A b").chmod(0)
    file.chmod(0)
    limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [sys.executable, "manage.py", "verify_catalogue", "--json"]
    done = subprocess.run(
        [*(limited if os.getuid() == 0 else ()), *command],
        env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (processed_root / "A b").chmod(0o750)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert ("file_unreadable", f"instance {first_pk()}") in told(lines)
    assert ("folder_unreadable", "A b/") in told(lines)


def first_pk() -> int:
    return DICOMInstance.objects.order_by("pk")[0].pk


def told(lines: list[dict]) -> list[tuple[str, str]]:
    return [(line["code"], line["subject"]) for line in lines]


def test_a_file_that_a_live_run_has_yet_to_publish_is_not_missing(upload, file, processed_root):
    member = ArchiveMember.objects.get(instance=first_pk())
    staging = processed_root / ".staging" / str(upload.pk) / "0"
    staging.mkdir(parents=True)
    file.rename(staging / f"{member.index}-0.dcm")
    DICOMFile.objects.update(processing_status="in_progress")
    assert codes() == []
    DICOMFile.objects.update(processing_status="failed")
    assert codes() == [("staging_left", False), ("file_missing", False)]
    assert codes(repair=True) == [("staging_left", True)]
    assert codes() == []


def test_a_file_that_waits_to_be_deleted_is_known(upload, file, processed_root):
    row = DICOMInstance.objects.get(pk=first_pk())
    FileToDelete.objects.create(path=row.path)
    row.delete()
    assert ("file_unknown", False) not in codes()


def test_what_is_no_staging_folder_is_set_aside(upload, processed_root):
    staging = processed_root / ".staging"
    staging.mkdir(exist_ok=True)
    (staging / "notes.txt").write_bytes(b"?")
    for name in ("007", "9" * 30):
        (staging / name).mkdir()
    assert codes() == [("staging_unknown", False)] * 3
    assert codes(repair=True) == [("staging_unknown", True)] * 3
    assert codes() == []


def test_staging_without_a_run_is_found_and_cleared(upload, processed_root):
    left = processed_root / ".staging" / str(upload.pk)
    left.mkdir()
    (left / "0-0.part").write_bytes(b"rubbish")
    assert codes() == [("staging_left", False)]
    assert codes(repair=True) == [("staging_left", True)]
    assert codes() == []


def test_staging_that_workers_are_about_to_clear_is_no_fault(upload, processed_root, monkeypatch):
    (processed_root / ".staging" / str(upload.pk) / "0").mkdir(parents=True)
    worker_is_here()
    swept = []

    def sweep(count: int) -> None:
        filing.roll_forward_abandoned()
        swept.append(count)

    assert list(verify(pace=sweep)) == []
    assert swept
    (processed_root / ".staging" / str(upload.pk) / "0").mkdir(parents=True)
    monkeypatch.setattr(verification, "SWEPT_SECONDS", 0.1)
    assert codes() == [("staging_left", False)]


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


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (DICOMSeries, {"image_count": 7}),
        (DICOMStudy, {"series_count": 7}),
        (Patient, {"last_study_date": None}),
        (Patient, {"modalities": "XX"}),
    ],
)
def test_counts_that_are_not_true_are_found_and_mended(upload, model, wrong):
    true = model.objects.values().first()
    true.pop("changes", None)  # which counts this one
    model.objects.filter(pk=true["id"]).update(**wrong)
    assert {*codes()} == {("counts_wrong", False)}
    assert codes(repair=True) == [("counts_wrong", True)]
    assert codes() == []
    assert model.objects.values(*true).first() == true


def test_what_an_older_version_brought_is_counted_from_below(upload):
    nothing = {"instance_count": 0, "image_count": 0, "total_size": 0, "last_added_at": None}
    DICOMSeries.objects.filter(dicom_study__patient__folder="A").update(**nothing)
    DICOMStudy.objects.filter(patient__folder="A").update(**nothing)
    assert codes() == [("counts_wrong", False)] * 2
    assert codes(repair=True) == [("counts_wrong", True)] * 2
    assert codes() == []


def test_a_superseded_file_that_is_gone_is_found(import_zip, settings, processed_root):
    import_zip(ct_image())
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(ct_image(PatientPosition="FFS"))
    for kept in (processed_root / ".superseded").iterdir():
        kept.unlink()
    assert codes() == [("superseded_missing", False)]


def test_what_is_no_hash_leads_to_no_file(import_zip, processed_root):
    import_zip(ct_image())
    victim = processed_root.parent / "victim.dcm"
    victim.touch()
    (processed_root / ".superseded").mkdir()
    DICOMInstance.objects.update(superseded=["../../victim"])
    assert codes() == [("superseded_missing", False)]
    removal.delete(DICOMInstance.objects.get())
    assert victim.exists()


def test_the_command_ends_with_status_1_and_a_line_for_each(upload, file, capsys):
    file.unlink()
    DICOMSeries.objects.create(
        dicom_study=DICOMSeries.objects.first().dicom_study, series_instance_uid=uid(8)
    )
    with pytest.raises(CommandError) as ended:
        call_command("verify_catalogue", "--json")
    assert ended.value.returncode == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["code"] for line in lines] == ["file_missing", "childless", "counts_wrong"]


def test_the_command_says_that_all_is_well(upload, capsys):
    call_command("verify_catalogue")
    assert "3 objects checked; the catalogue is sound." in capsys.readouterr().out
