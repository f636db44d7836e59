"""An archive's way into the catalogue, in this process: outcomes, identity, end statuses."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile

import pytest
from django.db import connection
from django.utils import timezone

from app.catalogue import filing, removal, writing
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Patient,
    RTStructureROI,
    Status,
)
from app.reasons import sentence
from app.uploads import batches, claims, ingest, log, progress
from app.uploads.restore import restore
from app.uploads.status import state_of
from tests.conftest import process
from tests.making.objects import (
    Raw,
    ct_image,
    dicomdir,
    enhanced_ct,
    rt_structure_set,
    structured_report,
    uid,
    zip_of,
)

pytestmark = pytest.mark.database


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), InstanceNumber=str(number), **keywords)


def rows(upload) -> list[tuple[str, str]]:
    return list(upload.members.order_by("index", "inner").values_list("outcome", "reason"))


# Outcomes and end statuses


def test_an_image_is_filed_and_catalogued(import_zip, processed_root):
    data = ct_image()
    upload = import_zip(data)
    instance = DICOMInstance.objects.get()
    assert (processed_root / instance.path).read_bytes() == data
    assert instance.sha256 == hashlib.sha256(data).hexdigest()
    assert instance.path == f"ID1/{uid(2)}/{uid(2, 1)}/{uid(2, 1, 1)}.dcm"
    assert instance.upload == upload
    assert upload.processing_status == Status.COMPLETED
    assert upload.percent == 100
    assert upload.outcomes["imported"] == upload.member_count == 1


def test_other_users_of_the_machine_cannot_read_what_is_filed(
    import_zip, processed_root, media_root
):
    import_zip(ct_image())
    made = [*processed_root.rglob("*"), *media_root.rglob("*")]
    assert len(made) > 5
    assert [path for path in made if path.lstat().st_mode & 0o007] == []


def test_values_reach_the_rows(import_zip):
    import_zip(ct_image())
    patient, study, series = (
        Patient.objects.get(),
        DICOMStudy.objects.get(),
        DICOMSeries.objects.get(),
    )
    assert (patient.unique_patient_id, patient.patient_name) == ("ID1", "Nobody^Nemo")
    assert str(patient.patient_dob) == "1970-01-02"
    assert (str(study.study_date), str(study.study_time)) == ("2024-03-11", "10:11:12.500000")
    assert (study.accession_number, study.study_description) == ("A1", "Planning")
    assert (series.modality, series.series_number, str(series.series_date)) == (
        "CT",
        3,
        "2024-03-12",
    )
    picture = ImageInformation.objects.get()
    assert picture.pixel_spacing == [0.5, 0.75]
    assert picture.image_position_patient == [-10.5, 20.0, -30.25]
    assert DICOMInstance.objects.filter(dicom_series__series_date="2024-03-12").exists()


def test_every_member_has_one_row_and_one_reason(import_zip):
    upload = import_zip(
        ("a/IM1", image(1)),
        ("b/IM1", image(2)),
        ("again", image(1)),
        ("other", image(1, PatientPosition="FFS")),
        ("README.txt", b"hello"),
        ("DICOMDIR", dicomdir()),
        ("empty.dcm", b""),
        ("cut.dcm", image(3)[:400]),
        ("nameless.dcm", image(4, SeriesInstanceUID=None)),
    )
    assert rows(upload) == [
        ("imported", ""),
        ("imported", ""),
        ("duplicate", "same_bytes"),
        ("conflict", "other_bytes"),
        ("skipped", "not_dicom"),
        ("skipped", "dicomdir"),
        ("skipped", "empty_file"),
        ("failed", "uid_missing"),
        ("failed", "uid_missing"),
    ]
    assert upload.processing_status == Status.COMPLETED
    assert upload.needs_attention
    assert all(member.detail for member in upload.members.exclude(outcome="imported"))


def test_what_is_read_to_its_end_has_its_sha256(import_zip):
    upload = import_zip(("README.txt", b"hello"), image(1))
    assert [member.sha256 for member in upload.members.order_by("index")] == [
        hashlib.sha256(data).hexdigest() for data in (b"hello", image(1))
    ]


def test_a_zip_without_dicom_fails(import_zip):
    upload = import_zip(("README.txt", b"hello"))
    assert upload.processing_status == Status.FAILED
    assert upload.failure_reason == "no_dicom"


def test_a_zip_of_conflicts_alone_fails_and_changes_nothing(import_zip, processed_root):
    import_zip(image(1))
    before = DICOMInstance.objects.values().get()
    upload = import_zip(image(1, PatientPosition="FFS"))
    assert upload.failure_reason == "only_conflicts"
    assert DICOMInstance.objects.values().get() == before


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (["StudyInstanceUID"], "Study Instance UID is missing, so ICON cannot tell where this"),
        (2 * ["StudyInstanceUID"], "Study Instance UID is missing in them, so ICON cannot tell"),
        (["StudyInstanceUID", "SeriesInstanceUID"], "A UID is missing in them, so ICON cannot"),
        (["StudyInstanceUID", "too long"], "could be stored, for 2 different reasons."),
    ],
)
def test_where_nothing_was_stored_it_is_said_why_of_the_one_of_all_or_of_several(
    missing, words, import_zip
):
    lacking = ({name: None} if name != "too long" else {"PatientID": "P" * 300} for name in missing)
    upload = import_zip(*(image(n, **values) for n, values in enumerate(lacking)))
    assert upload.failure_reason == "nothing_stored"
    assert words in upload.failure_detail


def test_something_else_than_a_zip_is_refused_without_ledger(import_zip, tmp_path):
    (tmp_path / "not.zip").write_bytes(b"hello" * 100)
    upload = import_zip(tmp_path / "not.zip")
    assert upload.failure_reason == "not_a_zip"
    assert upload.member_count == upload.files_done == 0


def test_an_archive_that_vanished_fails_with_what_to_do(upload_zip):
    upload = upload_zip(ct_image())
    upload.file.storage.delete(upload.file.name)
    process(upload)
    assert upload.failure_reason == "archive_missing"


def test_importing_again_changes_nothing(import_zip):
    import_zip(image(1), image(2), rt_structure_set())
    before = list(DICOMInstance.objects.order_by("pk").values())
    upload = import_zip(image(1), image(2), rt_structure_set())
    assert upload.outcomes["duplicate"] == 3
    assert upload.processing_status == Status.COMPLETED
    assert list(DICOMInstance.objects.order_by("pk").values()) == before


# ZIPs inside


def test_a_zip_inside_is_read_and_named(import_zip, tmp_path):
    inner = zip_of(tmp_path / "inner.zip", image(1), ("note.txt", b"x")).read_bytes()
    upload = import_zip(("a.zip", inner), image(2))
    found = upload.members.order_by("index", "inner").values_list(
        "index", "inner", "name", "outcome"
    )
    assert list(found) == [
        (0, 0, "a.zip", "skipped"),
        (0, 1, "a.zip/IM0001.dcm", "imported"),
        (0, 2, "a.zip/note.txt", "skipped"),
        (1, 0, "IM0002.dcm", "imported"),
    ]
    assert upload.member_count == 4


def test_a_zip_two_levels_down_stays_closed(import_zip, tmp_path):
    deepest = zip_of(tmp_path / "2.zip", image(1)).read_bytes()
    inner = zip_of(tmp_path / "1.zip", ("2.zip", deepest)).read_bytes()
    upload = import_zip(("1.zip", inner), image(2))
    assert rows(upload) == [
        ("skipped", "nested_archive"),
        ("skipped", "nested_too_deep"),
        ("imported", ""),
    ]


def test_a_broken_zip_inside_costs_only_itself(import_zip):
    upload = import_zip(("1.zip", b"PK\3\4" + bytes(100)), image(2))
    assert rows(upload) == [("failed", "nested_refused"), ("imported", "")]


def test_zips_inside_count_against_the_limits(import_zip, tmp_path, settings):
    settings.ICON_MAX_MEMBERS = 3
    inner = zip_of(tmp_path / "inner.zip", image(1), image(2)).read_bytes()
    upload = import_zip(("a.zip", inner), image(3))
    assert rows(upload) == [("failed", "nested_refused"), ("imported", "")]


def test_an_object_packed_with_gzip_is_opened_as_a_zip_inside_is(import_zip, processed_root):
    members = ("S/1.dcm.gz", gzip.compress(image(1))), ("IM2", gzip.compress(image(2)))
    upload = import_zip(*members, image(3))
    found = upload.members.order_by("index", "inner").values_list("inner", "name", "outcome")
    assert list(found) == [
        (0, "S/1.dcm.gz", "skipped"),
        (1, "S/1.dcm.gz/1.dcm", "imported"),
        (0, "IM2", "skipped"),
        (1, "IM2/IM2", "imported"),
        (0, "IM0003.dcm", "imported"),
    ]
    assert upload.member_count == 5
    packed = DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 1))
    assert (processed_root / packed.path).read_bytes() == image(1)
    (processed_root / packed.path).unlink()
    assert restore(packed)
    assert (processed_root / packed.path).read_bytes() == image(1)


def test_objects_packed_with_gzip_alone_complete_an_upload(import_zip):
    members = [(f"{number}.dcm.gz", gzip.compress(image(number))) for number in range(3)]
    assert import_zip(*members).processing_status == Status.COMPLETED
    again = import_zip(*members)
    assert again.processing_status == Status.COMPLETED
    assert again.outcomes["duplicate"] == again.outcomes["skipped"] == 3


def test_a_damaged_gzip_file_fails_and_is_opened_again(import_zip):
    packed = gzip.compress(image(1))
    members = ("1.dcm.gz", packed[:-3]), ("2.dcm.gz", b"\x1f\x8b\x08" + bytes(99))
    upload = import_zip(*members, image(3))
    first = rows(upload)
    assert first == [("skipped", "nested_archive"), ("failed", "gzip_damaged")] * 2 + [
        ("imported", "")
    ]
    claims.queue([upload.pk])
    process(upload)
    assert rows(upload) == first


def test_what_is_no_dicom_in_a_gzip_file_is_said_in_one_line(import_zip, tmp_path):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as written:
        written.addfile(tarfile.TarInfo("IM0001"), io.BytesIO())
    upload = import_zip(
        ("volume.nii.gz", gzip.compress(b"\x5c\x01\0\0" + bytes(400))),
        ("images.tar.gz", tar.getvalue()),
        ("unknown.gz", b"\x1f\x8b\x08" + bytes(99)),
        image(1),
    )
    assert rows(upload) == [
        ("skipped", "gzip_not_dicom"),
        ("skipped", "other_archive"),
        ("skipped", "other_archive"),
        ("imported", ""),
    ]


def test_a_gzip_file_in_a_zip_inside_stays_closed(import_zip, tmp_path, settings):
    packed = gzip.compress(image(1))
    inner = ("a.zip", zip_of(tmp_path / "a.zip", ("1.dcm.gz", packed)).read_bytes())
    assert rows(import_zip(inner)) == [
        ("skipped", "nested_archive"),
        ("skipped", "nested_too_deep"),
    ]
    settings.ICON_MAX_NESTING = 2
    assert rows(import_zip(inner))[-1] == ("imported", "")
    settings.ICON_MAX_NESTING = 0
    assert rows(import_zip(("1.dcm.gz", packed))) == [("skipped", "nested_too_deep")]


def test_a_zip_of_nothing_but_closed_archives_says_so(import_zip):
    upload = import_zip(("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99)), ("README", b"hello"))
    assert upload.processing_status == Status.FAILED
    assert upload.failure_reason == "only_archives"
    assert "unpack them" in upload.failure_detail


# Identity


def test_the_same_uids_under_two_patients_stay_two(import_zip):
    import_zip(image(1))
    upload = import_zip(image(1, PatientID="ID2"))
    assert upload.outcomes["imported"] == 1
    assert DICOMInstance.objects.count() == Patient.objects.count() == 2
    assert all(DICOMStudy.objects.values_list("uid_shared", flat=True))
    assert rows(upload) == [("imported", "study_shared")]


def test_studies_without_patient_id_do_not_meet(import_zip):
    import_zip(
        image(1, PatientID=""),
        image(2, PatientID=None, StudyInstanceUID=uid(3), PatientName="Someone^Else"),
    )
    folders = Patient.objects.values_list("folder", flat=True)
    assert len(folders) == 2
    assert all(folder.startswith("no-id~") for folder in folders)


def test_another_name_for_one_patient_id_is_told_and_flagged(import_zip):
    import_zip(image(1))
    upload = import_zip(image(2, PatientName="Someone^Else"))
    patient = Patient.objects.get()
    assert patient.patient_name == "Nobody^Nemo"
    assert patient.identity_differs
    assert "Patient Name differs" in upload.members.get().detail
    assert upload.warning_count == 1


def test_capitals_and_empty_components_make_no_other_person(import_zip):
    import_zip(image(1), image(2, PatientName="NOBODY^NEMO^^"))
    assert not Patient.objects.get().identity_differs


def flagged(import_zip, *pairs: tuple[str, str]) -> list[bool]:
    """Of each pair of names under one Patient ID, whether it is said to be two people."""
    objects = []
    for at, name in ((at, name) for at, pair in enumerate(pairs) for name in pair):
        own = {"PatientID": f"{at}", "StudyInstanceUID": uid(4, at)}
        own |= {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name}
        objects.append(image(len(objects), **own, charset="utf-8"))
    upload = import_zip(*objects)
    patients = Patient.objects.order_by("folder").values_list("identity_differs", flat=True)
    assert upload.warning_count == sum(patients)
    return list(patients)


def test_a_group_that_only_one_name_has_makes_no_other_person(import_zip):
    full = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert not any(
        flagged(
            import_zip,
            ("Yamada^Tarou", full),
            (full, "Yamada^Tarou"),
            ("YAMADA^TAROU^^==やまだ^たろう", full),
            ("=山田^太郎", full),
            ("Yamada^Tarou^", "=山田^太郎"),
            ("Yamada^Tarou=", "Yamada^Tarou==^^"),
            ("Müller^Jörg", "Mu\u0308ller^Jo\u0308rg"),
            ("Kim=김", "Kim=\u1100\u1175\u11b7"),
        )
    )


def test_a_group_that_two_names_have_and_write_otherwise_is_told(import_zip):
    full = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert all(
        flagged(
            import_zip,
            (full, "Yamada^Hanako"),
            (full, "Yamada^Tarou=山田^花子"),
            (full, "==やまだ^はなこ"),
            ("=山田^太郎", "=山田^花子=やまだ^たろう"),
            ("Müller^Jörg", "Muller^Jorg"),
        )
    )


def test_the_first_name_that_is_not_empty_stays(import_zip):
    import_zip(image(1, PatientName=None, PatientSex=None), image(2))
    assert Patient.objects.get().patient_name == "Nobody^Nemo"
    assert not Patient.objects.get().identity_differs


def test_descriptions_take_the_value_of_the_later_upload(import_zip):
    import_zip(image(1, StudyDescription="Old", AccessionNumber="A1"))
    import_zip(image(2, StudyDescription="New", AccessionNumber=None))
    study = DICOMStudy.objects.get()
    assert (study.study_description, study.accession_number) == ("New", "A1")


def test_within_an_upload_the_lowest_member_that_has_a_value_wins(import_zip):
    import_zip(
        image(1, StudyDescription=None),
        image(2, StudyDescription="Second"),
        image(3, StudyDescription="Third"),
    )
    assert DICOMStudy.objects.get().study_description == "Second"


def test_an_upload_that_was_started_earlier_changes_no_description(import_zip, upload_zip):
    earlier = upload_zip(image(1, StudyDescription="Earlier", StudyID="E"))
    DICOMFile.objects.filter(pk=earlier.pk).update(date_processing_started=timezone.now())
    import_zip(image(2, StudyDescription="Later", StudyID=None))
    process(earlier)
    study = DICOMStudy.objects.get()
    assert (study.study_description, study.study_id) == ("Later", "E")


# Other versions


def test_an_import_into_a_folder_that_is_a_link_stops_with_what_to_do(
    upload_zip, processed_root, tmp_path
):
    (tmp_path / "elsewhere").mkdir()
    (processed_root / "ID1").symlink_to(tmp_path / "elsewhere")
    upload = upload_zip(image(1), image(2))
    ingest.run_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.failure_detail == sentence("no_folder_or_file")
    assert not list((tmp_path / "elsewhere").iterdir())
    (processed_root / "ID1").unlink()
    claims.queue([upload.pk])
    process(upload)
    assert (upload.processing_status, upload.imported_count) == (Status.COMPLETED, 2)


def test_replacing_keeps_the_superseded_file(import_zip, processed_root, settings):
    old, new = image(1), image(1, PatientPosition="FFS")
    import_zip(old)
    settings.ICON_ON_CONFLICT = "replace"
    upload = import_zip(new)
    instance = DICOMInstance.objects.get()
    assert (processed_root / instance.path).read_bytes() == new
    kept = processed_root / ".superseded" / f"{hashlib.sha256(old).hexdigest()}.dcm"
    assert kept.read_bytes() == old
    assert ImageInformation.objects.get().patient_position == "FFS"
    assert rows(upload) == [("imported", "")]


def test_of_two_copies_in_one_archive_the_first_stays_even_when_replacing(import_zip, settings):
    settings.ICON_ON_CONFLICT = "replace"
    upload = import_zip(image(1), image(1, PatientPosition="FFS"))
    assert [outcome for outcome, _ in rows(upload)] == ["imported", "conflict"]
    assert ImageInformation.objects.get().patient_position == "HFS"


def test_use_these_versions_swaps_in_the_conflicting_members(import_zip, processed_root):
    old, new = image(1), image(1, PatientPosition="FFS")
    import_zip(old)
    upload = import_zip(new, image(2))
    assert upload.conflict_count == 1
    assert claims.queue([upload.pk], use_versions=True) == ([upload.pk], {})
    process(upload)
    assert upload.processing_status == Status.COMPLETED
    assert (upload.imported_count, upload.conflict_count) == (2, 0)
    instance = upload.members.get(index=0).instance
    assert (processed_root / instance.path).read_bytes() == new
    assert instance.superseded == [hashlib.sha256(old).hexdigest()]
    assert not upload.use_versions


def test_use_these_versions_needs_a_conflict(import_zip):
    upload = import_zip(image(1))
    _, refused = claims.queue([upload.pk], use_versions=True)
    assert "conflict" in refused[upload.pk]


def test_a_dead_run_s_staged_version_that_was_replaced_is_kept(
    import_zip, upload_zip, processed_root, settings
):
    """The old version was committed, but never came to its place before it was replaced."""
    old = import_zip(image(1))
    instance = DICOMInstance.objects.get()
    staged = processed_root / ".staging" / str(old.pk) / "0-0.dcm"
    settings.ICON_ON_CONFLICT = "replace"
    staged.parent.mkdir()
    (processed_root / instance.path).rename(staged)
    ingest.run_upload(upload_zip(image(1, PatientPosition="FFS")).pk)
    filing.roll_forward(old.pk)
    assert (processed_root / instance.path).read_bytes() == image(1, PatientPosition="FFS")
    kept = processed_root / ".superseded" / f"{instance.sha256}.dcm"
    assert kept.read_bytes() == image(1)


# Structures and other objects


def test_a_structure_set_brings_its_rois_and_contours(import_zip):
    import_zip(rt_structure_set(["Heart", "Lung"]))
    heart, lung = RTStructureROI.objects.order_by("pk")
    assert (heart.roi_number, heart.roi_name, lung.roi_name) == (1, "Heart", "Lung")
    assert heart.contour_count == 1
    assert '"points"' in heart.roi_contour_data
    assert heart.rt_structure_set.number_of_roi == 2


def test_objects_that_are_no_images_are_stored_too(import_zip):
    upload = import_zip(
        structured_report(SOPInstanceUID=uid(2, 7)), enhanced_ct(SOPInstanceUID=uid(2, 8))
    )
    assert upload.outcomes["imported"] == 2
    assert ImageInformation.objects.count() == 1


# Again, and after a stop


def test_only_failed_members_are_read_again(import_zip):
    upload = import_zip(image(1), image(2, StudyInstanceUID=None))
    kept = upload.members.get(outcome="imported").pk
    assert claims.queue([upload.pk]) == ([upload.pk], {})
    upload.refresh_from_db()
    assert (upload.processing_status, upload.failed_count) == (Status.PENDING, 0)
    process(upload)
    assert upload.processing_status == Status.COMPLETED
    assert upload.members.get(outcome="imported").pk == kept
    assert [outcome for outcome, _ in rows(upload)] == ["imported", "failed"]


def test_a_zip_inside_whose_member_failed_is_opened_again(import_zip, tmp_path):
    inner = zip_of(tmp_path / "inner.zip", image(1), image(2, StudyInstanceUID=None)).read_bytes()
    upload = import_zip(("a.zip", inner))
    first = rows(upload)
    claims.queue([upload.pk])
    process(upload)
    assert (
        rows(upload)
        == first
        == [
            ("skipped", "nested_archive"),
            ("imported", ""),
            ("failed", "uid_missing"),
        ]
    )


def files_done(upload: DICOMFile) -> int:
    return DICOMFile.objects.get(pk=upload.pk).files_done


def test_a_stopped_run_goes_on_where_it_stopped(upload_zip, monkeypatch):
    monkeypatch.setattr(batches, "MOST_MEMBERS", 5)
    upload = upload_zip(*(image(number) for number in range(1, 21)))
    ingest.run_upload(upload.pk, shutting_down=lambda: bool(files_done(upload)))
    upload.refresh_from_db()
    assert upload.processing_status == Status.PENDING
    assert upload.queued_at
    assert 0 < upload.files_done < 20
    before = upload.percent
    process(upload)
    assert upload.outcomes["imported"] == upload.member_count == 20
    assert upload.percent >= before


def test_the_log_counts_warnings_and_failures_over_all_runs_of_an_upload(upload_zip, monkeypatch):
    monkeypatch.setattr(batches, "MOST_MEMBERS", 5)
    monkeypatch.setattr(log, "FAILURE_LINES", 2)
    members = [ct_image(SOPInstanceUID=uid(2, 1, number), SOPClassUID=None) for number in range(16)]
    lost = [ct_image(StudyInstanceUID=None)] * 4
    upload = upload_zip(*lost[:2], *members, *lost[2:])
    ingest.run_upload(upload.pk, shutting_down=lambda: bool(files_done(upload)))
    process(upload)
    assert (upload.imported_count, upload.failed_count) == (16, 4)
    assert len(told(upload, "info")) > 3  # it was stopped, and went on
    assert told(upload, "warning") == [f"{sentence('sop_class_missing')} In 16 files."]
    *failures, more = told(upload, "error")
    assert len(failures) == 2
    assert more == "2 more files failed; the list of files has them"


def test_the_log_counts_anew_when_an_upload_is_processed_again(import_zip):
    upload = import_zip(ct_image(SOPClassUID=None), ct_image(StudyInstanceUID=None))
    claims.queue([upload.pk])
    process(upload)
    assert told(upload, "warning") == [f"{sentence('sop_class_missing')} In 1 file."]
    assert len(told(upload, "error")) == 2  # once in each processing


def told(upload: DICOMFile, level: str) -> list[str]:
    return [line["message"] for line in upload.processing_log_data if line["level"] == level]


def test_a_run_that_was_taken_over_writes_nothing_more(upload_zip):
    upload = upload_zip(image(1))
    run = claims.claim(upload.pk)
    DICOMFile.objects.filter(pk=upload.pk).update(run_id="another")
    with pytest.raises(claims.LostRun):
        run.write(percent=50)
    upload.refresh_from_db()
    assert upload.percent == 0


def test_an_object_that_nothing_can_read_costs_only_itself(import_zip):
    """Deeper than pydicom's stack: what it raises is none of the expected errors."""
    deep = b"".join(
        struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        for _ in range(5_000)
    )
    upload = import_zip(image(1), ct_image(PixelData=None, after=deep), image(2))
    reasons = upload.members.order_by("index").values_list("outcome", "reason")
    assert list(reasons) == [("imported", ""), ("failed", "nested_too_deeply"), ("imported", "")]


@pytest.fixture
def refused_uid(transactional_db):
    """A SOP Instance UID that the database itself refuses."""
    refused = uid(2, 1, 6)
    on_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON app_dicominstance "
            f"WHEN NEW.sop_instance_uid = '{refused}' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            if on_sqlite
            else "ALTER TABLE app_dicominstance ADD CONSTRAINT refuse "
            f"CHECK (sop_instance_uid <> '{refused}')"
        )
    yield refused
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TRIGGER refuse"
            if on_sqlite
            else "ALTER TABLE app_dicominstance DROP CONSTRAINT refuse"
        )


def test_a_value_that_the_database_refuses_costs_only_its_member(import_zip, refused_uid):
    upload = import_zip(*(image(number) for number in range(1, 8)))
    assert upload.outcomes["imported"] == 6
    assert list(upload.members.filter(outcome="failed").values_list("index", "reason")) == [
        (5, "not_stored")
    ]


def test_the_bar_never_falls(upload_zip, monkeypatch):
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0)
    monkeypatch.setattr(batches, "MOST_MEMBERS", 3)
    told: list[int] = []
    upload = upload_zip(*(image(number) for number in range(1, 30)))
    ingest.run_upload(upload.pk, report=lambda percent, step: told.append(percent))
    assert told == sorted(told)
    assert len(set(told)) > 5


def test_members_are_addressed_by_position_not_by_name(import_zip, tmp_path):
    with zipfile.ZipFile(tmp_path / "same.zip", "w") as archive:
        archive.writestr("IM.dcm", image(1))
        for number in (2, 3):
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("IM.dcm", image(number))
    upload = import_zip(tmp_path / "same.zip")
    assert upload.outcomes["imported"] == 3
    assert ArchiveMember.objects.filter(name="IM.dcm").count() == 3


def test_no_control_character_reaches_a_row(import_zip):
    import_zip(ct_image(StudyDescription=Raw("LO", b"a\x00b\x1b[31m\nc"), PatientName="A\x07B"))
    texts = [*DICOMStudy.objects.values_list("study_description", flat=True),
             *Patient.objects.values_list("patient_name", flat=True)]  # fmt: skip
    assert all(text.isprintable() for text in texts)


def test_a_duplicate_whose_object_is_deleted_at_that_moment_is_filed_again(import_zip, monkeypatch):
    monkeypatch.setattr(batches, "MOST_MEMBERS", 1)
    images = [image(number) for number in range(1, 5)]
    import_zip(*images)
    look, found = writing.duplicates, []

    def delete_after(batch):
        names = look(batch)
        found.append(len(names))
        if len(found) == 3:
            removal.delete(DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 3)))
        return names

    monkeypatch.setattr(writing, "duplicates", delete_after)
    upload = import_zip(*images)
    assert (upload.duplicate_count, upload.imported_count) == (3, 1)
    assert found == [1, 1, 1]
    assert DICOMInstance.objects.count() == 4


def test_a_failure_that_passes_is_counted_and_tried_again(import_zip, settings):
    whole = settings.ICON_MAX_MEMBER
    settings.ICON_MAX_MEMBER = 4_000
    large = ct_image(SOPInstanceUID=uid(9), after=bytes(8_000))
    upload = import_zip(image(1), large, ct_image(StudyInstanceUID=None))
    assert (upload.failed_count, upload.passing_count) == (2, 1)
    assert state_of(upload).buttons.again == "Try the 2 failed files again"
    settings.ICON_MAX_MEMBER = whole
    claims.queue([upload.pk])
    process(upload)
    assert (upload.failed_count, upload.passing_count) == (1, 0)
    assert state_of(upload).buttons.again == ""
