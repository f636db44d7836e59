"""A row in every table of the catalogue, without an import."""

import pytest

from app.models import (
    ArchiveMember,
    CatalogueCheck,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Outcome,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)


@pytest.fixture
def rows(db, processed_root, django_user_model) -> DICOMInstance:
    """The rows of two uploads with an instance of each of two patients; the first instance."""
    for number in (2, 1):
        upload = DICOMFile.objects.create(
            original_name=f"{number}.zip",
            uploaded_by=django_user_model.objects.create_user(f"uploader {number}"),
        )
        patient = Patient.objects.create(
            unique_patient_id=f"ID{number}", folder=f"ID{number}", patient_name="Doe^Jane"
        )
        study = DICOMStudy.objects.create(patient=patient, study_instance_uid="1.2")
        series = DICOMSeries.objects.create(dicom_study=study, series_instance_uid="1.2.3")
        instance = DICOMInstance.objects.create(
            dicom_series=series, sop_instance_uid="1.2.3.4", path=f"ID{number}/1", size=1,
            sha256="0" * 64, upload=upload,
        )  # fmt: skip
        ImageInformation.objects.create(dicom_instance=instance)
        structures = RTStructureSetInformation.objects.create(dicom_instance=instance)
        RTStructureROI.objects.create(rt_structure_set=structures)
        ArchiveMember.objects.create(
            upload=upload, index=0, size=1, outcome=Outcome.IMPORTED, instance=instance
        )
        CatalogueCheck.objects.create()
    return instance
