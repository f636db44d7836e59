"""Damaged files and ZIPs: no error that nobody expected, no hang, nothing under foreign UIDs."""

import zipfile
from collections.abc import Iterable
from itertools import islice

import pytest

from app.models import DICOMFile
from app.storage.paths import instance_path, patient_folder
from tests.conftest import process
from tests.making.fuzz import Bench, are_of, damaged_archives, damaged_files

SHORT_FILES, SHORT_ARCHIVES = 2_000, 1_000
LONG_FILES, LONG_ARCHIVES = 100_000, 10_000
IN_ONE_UPLOAD = 1_000
UNEXPECTED = ("reader_crashed", "reader_hung", "not_stored")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def check_files(bench: Bench, count: int) -> None:
    for data in damaged_files(count, seed=3):
        bench.check_file(data)
    print(f"{count:,} files: {bench.stored:,} stored, slowest {bench.slowest:.3f} s")
    assert bench.stored > count * 0.3


def check_archives(bench: Bench, count: int) -> None:
    for data in damaged_archives(count, seed=4):
        bench.check_archive(data)
    print(f"{count:,} ZIPs: {bench.stored:,} members stored, slowest {bench.slowest:.3f} s")
    assert bench.stored > count


def check_imports(upload_zip, tmp_path, root, inputs: Iterable[bytes]) -> None:
    """Import the inputs, many in one archive; `process` verifies the catalogue after each."""
    inputs, number = iter(inputs), 0
    while some := list(islice(inputs, IN_ONE_UPLOAD)):
        number += 1
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for at, data in enumerate(some):
                archive.writestr(f"{at}", data)
        upload = process(upload_zip(path))
        path.unlink()
        assert upload.processing_status == "completed"
        assert upload.members.filter(inner=0).count() == len(some)
        assert not upload.members.filter(reason__in=UNEXPECTED).exists()
        assert_filed_under_own_uids(upload, root)


def assert_filed_under_own_uids(upload: DICOMFile, root) -> None:
    stored = upload.instances.select_related("dicom_series__dicom_study__patient")
    for instance in stored:
        series = instance.dicom_series
        study = series.dicom_study
        uids = (
            study.study_instance_uid,
            series.series_instance_uid,
            instance.sop_instance_uid,
        )
        folder = patient_folder(study.patient.unique_patient_id, uids[0])
        assert instance.path == instance_path(folder, *uids)
        assert are_of(uids, (root / instance.path).read_bytes())


def test_damaged_files_are_read_or_refused_within_a_second(bench):
    check_files(bench, SHORT_FILES)


def test_damaged_archives_are_read_or_refused_within_a_second(bench):
    check_archives(bench, SHORT_ARCHIVES)


@pytest.mark.long  # the files are read each time, above, and others imported, below
@pytest.mark.database
def test_what_is_imported_of_damaged_files_lies_under_its_own_uids(
    upload_zip, tmp_path, processed_root
):
    check_imports(upload_zip, tmp_path, processed_root, damaged_files(IN_ONE_UPLOAD, seed=5))


@pytest.mark.database
def test_what_is_imported_of_damaged_archives_lies_under_its_own_uids(
    upload_zip, tmp_path, processed_root
):
    check_imports(upload_zip, tmp_path, processed_root, damaged_archives(200, seed=6))


@pytest.mark.crash
def test_100_000_damaged_files_are_read_or_refused_within_a_second(bench):
    check_files(bench, LONG_FILES)


@pytest.mark.crash
def test_10_000_damaged_archives_are_read_or_refused_within_a_second(bench):
    check_archives(bench, LONG_ARCHIVES)


@pytest.mark.crash
@pytest.mark.database
def test_100_000_damaged_files_are_imported(upload_zip, tmp_path, processed_root):
    check_imports(upload_zip, tmp_path, processed_root, damaged_files(LONG_FILES, seed=7))


@pytest.mark.crash
@pytest.mark.database
def test_10_000_damaged_archives_are_imported(upload_zip, tmp_path, processed_root):
    check_imports(upload_zip, tmp_path, processed_root, damaged_archives(LONG_ARCHIVES, seed=8))
