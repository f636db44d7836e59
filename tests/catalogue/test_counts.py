"""What patients, studies and series say of what lies below them is true after whatever was done."""

import random
import threading
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from app.catalogue import counts, removal
from app.catalogue.transactions import lock_patients
from app.health.reread import reread
from app.models import (
    Counted,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Patient,
)
from app.uploads import claims, ingest
from tests.conftest import process, wait_until
from tests.making.objects import (
    ct_image,
    enhanced_ct,
    mr_image,
    rt_structure_set,
    structured_report,
    uid,
)

pytestmark = pytest.mark.database

STEPS = 12
KINDS = (ct_image, mr_image, enhanced_ct, rt_structure_set, structured_report)


def said() -> dict[str, dict[str, Any]]:
    names = [field.name for field in Counted._meta.fields]
    more = {
        Patient: ("study_count", "last_study_date", "modalities"),
        DICOMStudy: ("series_count", "modalities"),
        DICOMSeries: (),
    }
    return {
        str(row): {name: getattr(row, name) for name in (*names, *more[model])}
        for model in more
        for row in model.objects.all()
    }


def true() -> dict[str, dict[str, Any]]:
    """The same, counted object by object."""
    found: dict[str, dict[str, Any]] = {}
    for patient in Patient.objects.all():
        studies = list(patient.studies.all())
        series = list(DICOMSeries.objects.filter(dicom_study__patient=patient))
        dates = [study.study_date for study in studies if study.study_date]
        found[str(patient)] = {
            **below(dicom_series__dicom_study__patient=patient),
            "study_count": len(studies),
            "last_study_date": max(dates, default=None),
            "modalities": modalities(series),
        }
        for study in studies:
            series = list(study.series.all())
            found[str(study)] = {
                **below(dicom_series__dicom_study=study),
                "series_count": len(series),
                "modalities": modalities(series),
            }
            found |= {str(one): below(dicom_series=one) for one in series}
    return found


def below(**parent) -> dict[str, Any]:
    objects = list(DICOMInstance.objects.filter(**parent))
    return {
        "instance_count": len(objects),
        "image_count": sum(one.rows is not None for one in objects),
        "total_size": sum(one.size for one in objects),
        "last_added_at": max(one.created_at for one in objects),
    }


def modalities(series: Collection[DICOMSeries]) -> str:
    return ", ".join(sorted({one.modality for one in series if one.modality}))


def some_objects(chance: random.Random) -> list[bytes]:
    return [
        kind(
            PatientID=f"P{patient}",
            StudyInstanceUID=uid(patient, study),
            StudyDate=f"2024010{chance.randrange(1, 9)}",
            SeriesInstanceUID=uid(patient, study, KINDS.index(kind)),
            SOPInstanceUID=uid(patient, study, KINDS.index(kind), chance.randrange(3)),
            SeriesDescription="x" * chance.randrange(9),  # other bytes of the same object
        )
        for patient, study, kind in (
            (chance.randrange(2), chance.randrange(2), chance.choice(KINDS)) for _ in range(6)
        )
    ]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_columns_are_true_after_each_of_many_acts(seed, upload_zip, settings):
    chance = random.Random(seed)
    for step in range(STEPS):
        settings.ICON_ON_CONFLICT = chance.choice(["keep", "replace"])
        act = chance.choice(["import", "import", "use versions", "delete"]) if step else "import"
        if act == "delete" and Patient.objects.exists():
            model = chance.choice([Patient, DICOMStudy, DICOMSeries, DICOMInstance])
            removal.delete(chance.choice(list(model.objects.order_by("pk"))))
        else:
            upload = process(upload_zip(*some_objects(chance)))
            if act == "use versions" and upload.conflict_count:
                claims.queue([upload.pk], use_versions=True)
                process(upload)
        assert said() == true()


def test_an_object_that_is_replaced_counts_as_it_is_now(import_zip, settings):
    import_zip(ct_image(), ct_image(SOPInstanceUID=uid(2, 1, 2)))
    before = DICOMSeries.objects.get()
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(structured_report(
        Modality="CT", SOPInstanceUID=uid(2, 1, 2), SeriesInstanceUID=before.series_instance_uid,
        StudyInstanceUID=before.dicom_study.study_instance_uid,
    ))  # fmt: skip
    after = DICOMSeries.objects.get()
    assert (before.instance_count, before.image_count) == (2, 2)
    assert (after.instance_count, after.image_count) == (2, 1)
    assert said() == true()


def test_what_is_deleted_of_a_long_series_is_counted_without_a_look_at_the_rest(
    import_zip, monkeypatch
):
    numbers = range(1, 7)
    import_zip(*(ct_image(SOPInstanceUID=uid(2, 1, number)) for number in numbers))
    import_zip(structured_report(
        SOPInstanceUID=uid(2, 1, 7), SeriesInstanceUID=uid(9), Modality="SR"
    ))  # fmt: skip
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 2)
    series = DICOMSeries.objects.get(modality="CT")
    for number, one in zip(numbers, series.instances.order_by("pk"), strict=True):
        hours = timedelta(hours=number)
        DICOMInstance.objects.filter(pk=one.pk).update(created_at=one.created_at + hours)
    counts.sum_up([series.pk], [series.dicom_study_id], [series.dicom_study.patient_id])
    looks = []
    for row in (series, series.instances.order_by("created_at").last(), series):
        with CaptureQueriesContext(connection) as queries:
            removal._delete_chunk(row)
        looks.append(any("SUM(size)" in one["sql"] for one in queries))
        assert said() == true()
    # Only where the newest goes are the others asked for.
    assert looks == [False, True, False]


def test_what_is_read_otherwise_counts_anew(import_zip):
    import_zip(ct_image(), mr_image(SOPInstanceUID=uid(3), SeriesInstanceUID=uid(4)))
    DICOMInstance.objects.update(rows=None, read_version=0)
    ImageInformation.objects.all().delete()
    DICOMSeries.objects.update(modality="", described={})
    DICOMStudy.objects.update(study_date=None, described={})
    counts.sum_up(
        *(list(level.model.objects.values_list("pk", flat=True)) for level in counts.LEVELS)
    )
    assert (Patient.objects.get().image_count, Patient.objects.get().modalities) == (0, "")
    assert list(reread()) == []
    assert said() == true()
    assert Patient.objects.get().image_count == 2
    assert Patient.objects.get().modalities == "CT, MR"
    assert Patient.objects.get().last_study_date


def test_modalities_are_cut_between_two_of_them(import_zip):
    import_zip(*(
        ct_image(Modality=f"MODALITY{number:07}", SeriesInstanceUID=uid(2, number),
                 SOPInstanceUID=uid(2, number, 1))
        for number in range(20)
    ))  # fmt: skip
    patient = Patient.objects.get()
    assert patient.modalities == DICOMStudy.objects.get().modalities
    assert patient.modalities.split(", ") == [f"MODALITY{number:07}" for number in range(15)]


@pytest.mark.parametrize("objects", [1, 60])
def test_counting_takes_a_few_statements_a_batch(upload_zip, objects):
    upload = upload_zip(*(ct_image(SOPInstanceUID=uid(2, 1, n)) for n in range(objects)))
    with CaptureQueriesContext(connection) as asked:
        ingest.run_upload(upload.pk)
    counting = [
        one["sql"]
        for one in asked
        if "_count" in one["sql"] and "JOIN" not in one["sql"] and "dicomfile" not in one["sql"]
    ]
    assert len([sql for sql in counting if "SUM(" in sql or "instance_count +" in sql]) == 3


def test_an_import_waits_for_who_holds_its_patient(import_zip, upload_zip):
    """What the other has written meanwhile is counted, too."""
    import_zip(ct_image())
    patient = Patient.objects.get()
    upload = upload_zip(ct_image(SOPInstanceUID=uid(2, 1, 2)))
    importing = threading.Thread(target=run, args=(upload.pk,))
    with transaction.atomic():
        lock_patients([patient.pk])
        importing.start()
        if connection.vendor == "postgresql":
            wait_until(somebody_waits, "the import to wait for the patient")
        DICOMInstance.objects.update(size=1_000_000)
        counts.sum_up({DICOMSeries.objects.get().pk}, {DICOMStudy.objects.get().pk}, {patient.pk})
    importing.join()
    assert said() == true()
    assert Patient.objects.get().instance_count == 2


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() is not None


def run(pk: int) -> None:
    ingest.run_upload(pk)
    connection.close()
