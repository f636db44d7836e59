"""A catalogue as the code of the first migration left it: rows, ledger, files and kept ZIP.

A test of an attribute that is kept since, or is read better, begins with one of these: see
`tests/journeys/test_migrations.py`, and the fixture `first_catalogue`.
"""

import hashlib
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.utils import timezone
from msgspec import structs

from app.dicom.headers import read_header
from app.dicom.records import Record
from app.storage.paths import instance_path, patient_folder

from .objects import zip_of


def first_upload(models: Apps, root: Path, media: Path, *members: bytes, **former: Any) -> Any:
    """A completed upload of these objects, the files in their places.

    Parameters
    ----------
    models
        Of the first migration, whose tables are there.
    former
        What the first code read otherwise, by the name of the field; else it read as today.
    """
    kept = f"archives/{uuid.uuid4().hex}.zip"
    (media / kept).parent.mkdir(parents=True, exist_ok=True)
    zip_of(media / kept, *members)
    now = timezone.now()
    upload = models.get_model("app", "DICOMFile").objects.create(
        file=kept, original_name="first.zip", size=(media / kept).stat().st_size,
        processing_status="completed", stage="finalize", percent=100, member_count=len(members),
        imported_count=len(members), date_processing_started=now, date_processing_completed=now,
    )  # fmt: skip
    for index, data in enumerate(members):
        place = root / file_as_first(models, upload, index, data, **former).path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return upload


def file_as_first(models: Apps, upload: Any, index: int, data: bytes, **former: Any) -> Any:
    """The row that the first code made of an object, with what belongs to it; not the file."""
    header, started = read_header(data), upload.date_processing_started
    folder = patient_folder(
        former.get("unique_patient_id", header.patient.unique_patient_id),
        header.study.study_instance_uid,
    )

    def known(name: str, key: str, record: Record, **parent: Any) -> Any:
        return _parent(models.get_model("app", name), key, record, former, started, **parent)

    patients = models.get_model("app", "Patient").objects
    patient = patients.filter(folder=folder).first() or patients.create(
        folder=folder, **_kept(patients.model, header.patient, former)
    )
    study = known("DICOMStudy", "study_instance_uid", header.study, patient=patient)
    series = known("DICOMSeries", "series_instance_uid", header.series, dicom_study=study)
    sop_instance_uid, sha256 = header.instance.sop_instance_uid, hashlib.sha256(data).hexdigest()
    uids = study.study_instance_uid, series.series_instance_uid, sop_instance_uid
    instances = models.get_model("app", "DICOMInstance").objects
    instance = instances.create(
        dicom_series=series, size=len(data), sha256=sha256, upload=upload,
        path=instance_path(folder, *uids), **_kept(instances.model, header.instance, former),
    )  # fmt: skip
    models.get_model("app", "ArchiveMember").objects.create(
        upload=upload, index=index, name=f"{index}.dcm", size=len(data), sha256=sha256,
        outcome="imported", instance=instance,
    )  # fmt: skip
    _details(models, instance, header, former)
    return instance


def _parent(
    model: Any, key: str, record: Record, former: dict[str, Any], started: datetime, **parent: Any
) -> Any:
    """A study or series, described by the newest value that is not empty."""
    values = _kept(model, record, former)
    row, _ = model.objects.get_or_create(**parent, **{key: values.pop(key)})
    for name, value in values.items():
        if value not in ("", None) and row.described.get(name, "") < started.isoformat():
            setattr(row, name, value)
            row.described[name] = started.isoformat()
    row.save()
    return row


def _details(models: Apps, instance: Any, header: Any, former: dict[str, Any]) -> None:
    if header.image:
        images = models.get_model("app", "ImageInformation").objects
        images.create(dicom_instance=instance, **_kept(images.model, header.image, former))
    if header.structure_set:
        sets = models.get_model("app", "RTStructureSetInformation").objects
        rois = models.get_model("app", "RTStructureROI").objects
        values = _kept(sets.model, header.structure_set, former)
        structure_set = sets.create(dicom_instance=instance, **values)
        for roi in header.structure_set.rois:
            values = {"roi_contour_data": roi.roi_contour_data.decode()}
            values = _kept(rois.model, roi, former) | values
            rois.create(rt_structure_set=structure_set, **values)


def _kept(model: Any, record: Record, former: dict[str, Any]) -> dict[str, Any]:
    """What that model has of a record, as the code of then read it."""
    columns = {field.name for field in model._meta.concrete_fields}
    values = structs.asdict(record) | former
    return {name: values[name] for name in record.__struct_fields__ if name in columns}
