"""pydicom's own files through the whole import: what pydicom reads is catalogued."""

import gzip
import hashlib
import json
import warnings
import zipfile
from datetime import date, time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_charset_files, get_testdata_files

from app.models import ArchiveMember, DICOMInstance, Patient, RTStructureSetInformation
from tests.conftest import process

pytestmark = pytest.mark.database


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """Every file of the wheel, DICOM or not, of less than 5 MB."""
    path = tmp_path_factory.mktemp("real") / "pydicom.zip"
    files = sorted({*map(Path, get_testdata_files()), *map(Path, get_charset_files())})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as real:
        for number, file in enumerate(files):
            if file.is_file() and file.stat().st_size < 5_000_000:
                real.write(file, f"{number:03}/{file.name}")
    return path


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    value = dataset.get(keyword, "")
    if isinstance(value, pydicom.multival.MultiValue):
        value = "\\".join(map(str, value))
    return "" if value is None else str(value)


def number(dataset: pydicom.Dataset, keyword: str) -> Any:
    value = dataset.get(keyword)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if value else None
    try:
        return None if value in (None, "") else float(value)
    except ValueError:
        return None  # what is no number is left empty, with a warning


def numbers(dataset: pydicom.Dataset, keyword: str) -> list[float] | None:
    value = dataset.get(keyword)
    return [float(one) for one in value] if value else None


def day(dataset: pydicom.Dataset, keyword: str) -> date | None:
    value = text(dataset, keyword).strip().replace(".", "")
    return date(int(value[:4]), int(value[4:6]), int(value[6:8])) if value else None


def clock(dataset: pydicom.Dataset, keyword: str) -> time | None:
    value = text(dataset, keyword).strip().replace(":", "")
    if not value:
        return None
    whole, _, fraction = value.partition(".")
    parts = [int(whole[at : at + 2]) for at in range(0, len(whole), 2)]
    return time(*parts, *[0] * (3 - len(parts)), int(fraction.ljust(6, "0")[:6] or 0))


# Every field that the catalogue takes from a file, and how pydicom reads it.
INSTANCE = {
    "sop_instance_uid": (text, "SOPInstanceUID"),
    "sop_class_uid": (text, "SOPClassUID"),
    "modality": (text, "Modality"),
    "instance_number": (number, "InstanceNumber"),
    "rows": (number, "Rows"),
    "columns": (number, "Columns"),
    "number_of_frames": (number, "NumberOfFrames"),
}
SERIES = {
    "series_instance_uid": (text, "SeriesInstanceUID"),
    "modality": (text, "Modality"),
    "series_number": (number, "SeriesNumber"),
    "series_description": (text, "SeriesDescription"),
    "series_date": (day, "SeriesDate"),
    "body_part_examined": (text, "BodyPartExamined"),
    "frame_of_reference_uid": (text, "FrameOfReferenceUID"),
    "institution_name": (text, "InstitutionName"),
    "manufacturer": (text, "Manufacturer"),
    "manufacturer_model_name": (text, "ManufacturerModelName"),
    "station_name": (text, "StationName"),
    "units": (text, "Units"),
}
STUDY = {
    "study_instance_uid": (text, "StudyInstanceUID"),
    "study_date": (day, "StudyDate"),
    "study_time": (clock, "StudyTime"),
    "study_description": (text, "StudyDescription"),
    "accession_number": (text, "AccessionNumber"),
    "study_id": (text, "StudyID"),
}
PATIENT = {
    "unique_patient_id": (text, "PatientID"),
    "patient_name": (text, "PatientName"),
    "patient_dob": (day, "PatientBirthDate"),
    "patient_sex": (text, "PatientSex"),
}
IMAGE = {
    "instance_number": (number, "InstanceNumber"),
    "slice_location": (number, "SliceLocation"),
    "slice_thickness": (number, "SliceThickness"),
    "pixel_spacing": (numbers, "PixelSpacing"),
    "patient_position": (text, "PatientPosition"),
    "image_position_patient": (numbers, "ImagePositionPatient"),
    "image_orientation_patient": (numbers, "ImageOrientationPatient"),
    "image_type": (text, "ImageType"),
    "acquisition_number": (number, "AcquisitionNumber"),
    "acquisition_date": (day, "AcquisitionDate"),
    "acquisition_time": (clock, "AcquisitionTime"),
    "echo_time": (number, "EchoTime"),
    "trigger_time": (number, "TriggerTime"),
    "temporal_position_identifier": (number, "TemporalPositionIdentifier"),
    "diffusion_b_value": (number, "DiffusionBValue"),
    "stack_id": (text, "StackID"),
    "spacing_between_slices": (number, "SpacingBetweenSlices"),
    "rescale_type": (text, "RescaleType"),
}


def differences(row: Any, fields: dict[str, Any], dataset: pydicom.Dataset) -> list[str]:
    found = []
    for name, (read, keyword) in fields.items():
        if getattr(row, name) != (wanted := read(dataset, keyword)):
            found.append(f"{keyword}: {getattr(row, name)!r}, pydicom {wanted!r}")
    return found


def test_each_object_has_the_values_that_pydicom_reads(archive, upload_zip, processed_root):
    upload = process(upload_zip(archive))
    with zipfile.ZipFile(archive) as real:
        members = [info for info in real.infolist() if not info.is_dir()]
        bytes_of = {number: real.read(info) for number, info in enumerate(members)}
    assert upload.members.filter(inner=0).count() == len(members)
    assert upload.member_count == sum(upload.outcomes.values())
    imported = upload.members.filter(outcome="imported").select_related(
        "instance__dicom_series__dicom_study__patient", "instance__image_information"
    )
    assert imported.count() > 60
    found = []
    for member in imported:
        file = processed_root / member.instance.path
        data = bytes_of[member.index]
        if member.inner:  # the object that was packed with gzip
            data = gzip.decompress(data)
        assert file.read_bytes() == data
        assert member.instance.sha256 == hashlib.sha256(data).hexdigest()
        found += [f"{member.name}: {line}" for line in compared(member.instance, file)]
    assert found == []


def compared(instance: DICOMInstance, file: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        found = differences(instance, INSTANCE, dataset)
        told = dataset.file_meta.get("TransferSyntaxUID", "")
        if instance.transfer_syntax_uid != told:
            found.append(f"TransferSyntaxUID: {instance.transfer_syntax_uid!r}")
        members = ArchiveMember.objects.filter(outcome="imported").order_by("index", "inner")
        first = members.filter(instance__dicom_series=instance.dicom_series)[0]
        if first.instance == instance:  # one further on in its series describes nothing anew
            found += differences(instance.dicom_series, SERIES, dataset)
        if (
            DICOMInstance.objects.filter(
                dicom_series__dicom_study=instance.dicom_series.dicom_study
            ).order_by("pk")[0]
            == instance
        ):
            found += differences(instance.dicom_series.dicom_study, STUDY, dataset)
        if (
            hasattr(instance, "image_information")
            and "SharedFunctionalGroupsSequence" not in dataset
        ):
            found += differences(instance.image_information, IMAGE, dataset)
        patient = instance.dicom_series.dicom_study.patient
        if (
            not patient.identity_differs
            and DICOMInstance.objects.filter(dicom_series__dicom_study__patient=patient).count()
            == 1
        ):
            found += differences(patient, PATIENT, dataset)
    return found


def test_contours_equal_pydicom_s_numbers(archive, upload_zip, processed_root):
    process(upload_zip(archive))
    structure_sets = RTStructureSetInformation.objects.select_related("dicom_instance")
    assert structure_sets.exists()
    for row in structure_sets:
        dataset = pydicom.dcmread(processed_root / row.dicom_instance.path, force=True)
        wanted = {
            int(item.ReferencedROINumber): [
                [float(one) for one in contour.ContourData]
                for contour in item.get("ContourSequence", [])
            ]
            for item in dataset.ROIContourSequence
        }
        stored = {
            roi.roi_number: [contour["points"] for contour in json.loads(roi.roi_contour_data)]
            for roi in row.rois.all()
        }
        assert stored == wanted
        assert row.number_of_roi == len(dataset.StructureSetROISequence)


def test_no_patient_is_called_unknown(archive, upload_zip):
    process(upload_zip(archive))
    assert not Patient.objects.filter(unique_patient_id__iregex="unknown|none|null").exists()
