#!/usr/bin/env python3
"""Fills the catalogue that ICON_VAR or ICON_DATABASE_URL names with rows alone.

    python benchmarks/fill.py                  1,000,000 images, 20,000 patients, 100,000 ROIs
    python benchmarks/fill.py 1000             as many ROIs and patients for each image

Each patient has a study of CT and one of MR, with five series in all; some have a structure set of
20 ROIs, whose names differ in their spelling as those of several clinics do. Uploads have their
ledgers. There are no files, so this is for an empty catalogue that is thrown away afterwards.
"""

import argparse
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import django
from django.core.management.color import no_style
from django.db import connection, models, transaction

STUDIES = 2  # of each patient
LEDGER = 100_000  # members of each upload
NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)
CHUNK = 10_000  # rows
COUNTED = 1_000  # rows, of which what lies below is counted at once

SURNAMES = (
    *("Müller", "Schmidt", "Jansen", "de Vries", "van den Berg", "Bakker", "Visser", "Nowak"),
    *("Kowalska", "Rossi", "Ferrari", "García", "Fernández", "Lindqvist", "Øverby", "Dvořák"),
    *("Papadopoulou", "O'Brien", "Smith", "Nguyễn", "Yilmaz", "Ivanova", "Haddad", "Okafor"),
)
GIVEN_NAMES = (
    *("Anna", "Maria", "Jan", "Peter", "Sofia", "Emma", "Noah", "Liam", "Zoë", "José", "Ingrid"),
    *("Katarzyna", "Luca", "Chloé", "Mehmet", "Fatima", "Grace"),
)
SERIES = (  # of each patient: its study, modality, description and part of the body
    (0, "CT", "Thorax native 3.0 B31f", "CHEST"),
    (0, "CT", "Thorax contrast 3.0 I40f", "CHEST"),
    (0, "CT", "Abdomen contrast 5.0", "ABDOMEN"),
    (1, "MR", "t2_tse_sag", "PELVIS"),
    (1, "MR", "t1_vibe_dixon_tra", "PELVIS"),
)
STUDY_DESCRIPTIONS = ("CT Thorax and abdomen, routine protocol", "MR pelvis, routine protocol")
STRUCTURES = len(SERIES)  # the place of their series among those of its study
CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
SIZES = {"CT": 526_000, "MR": 140_000, "RTSTRUCT": 600_000}  # bytes
ROI_NAMES = (  # of each structure set one of each line: the type, and how it is spelled
    ("EXTERNAL", "BODY", "External", "Patient outline"),
    ("PTV", "PTV_60", "PTV 60 Gy", "ptv"),
    ("PTV", "PTV_boost", "PTVboost", "PTV 2"),
    ("CTV", "CTV", "CTV_high", "ctv neu"),
    ("GTV", "GTV", "GTVp", "GTV_primary"),
    ("ORGAN", "Heart", "heart", "Heart (old)"),
    ("AVOIDANCE", "Heart_PRV05", "PRV Heart", "Herz PRV"),
    ("ORGAN", "Lung_L", "Lung Left", "Lunge li"),
    ("ORGAN", "Lung_R", "Lung Right", "Lunge re"),
    ("ORGAN", "SpinalCord", "Spinal Cord", "Myelon"),
    ("ORGAN", "Esophagus", "Oesophagus", "Ösophagus"),
    ("ORGAN", "Liver", "liver", "Leber"),
    ("ORGAN", "Kidney_L", "Kidney Left", "Niere li"),
    ("ORGAN", "Kidney_R", "Kidney Right", "Niere re"),
    ("ORGAN", "Brainstem", "Brain Stem", "Hirnstamm"),
    ("ORGAN", "Parotid_L", "Parotis li", "PAROTID LT"),
    ("ORGAN", "Parotid_R", "Parotis re", "PAROTID RT"),
    ("ORGAN", "Bladder", "bladder", "Harnblase"),
    ("ORGAN", "Rectum", "rectum_opt", "Rektum"),
    ("MARKER", "Isocenter", "ISO", "REF"),
)
SPELLED = 60, 30, 10  # of a hundred, the first, second and third way
ROIS = len(ROI_NAMES)

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How many there are of what."""

    instances: int  # images; structure sets come on top
    patients: int
    rois: int

    @property
    def series(self) -> int:
        return self.patients * len(SERIES)

    @property
    def structure_sets(self) -> int:
        return min(-(-self.rois // ROIS), self.patients)

    @property
    def images(self) -> int:
        """In each series but the last ones."""
        return -(-self.instances // self.series)

    def series_of(self, image: int) -> int:
        return image // self.images


Rows = Callable[[Size], Iterator[Row]]


def fill(size: Size) -> None:
    from django.apps import apps

    with transaction.atomic():
        for name, rows in TABLES:
            insert(apps.get_model("app", name), rows(size))
        count()
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), list(apps.get_models())):
            cursor.execute(sql)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")  # autovacuum would have, by then


def count() -> None:
    """What lies below patients, studies and series, as an import keeps it."""
    from app.catalogue.counts import LEVELS

    for level in LEVELS:
        pks = iter(level.model._default_manager.order_by("pk").values_list("pk", flat=True))
        while some := list(islice(pks, COUNTED)):
            level.write(some)


def uploads(size: Size) -> Iterator[Row]:
    for start in range(0, size.instances, LEDGER):
        members = min(LEDGER, size.instances - start)
        yield {
            "id": start // LEDGER + 1,
            "file": f"archives/{start}.zip",
            "original_name": f"export {start}.zip",
            "size": members * 7_000,
            "processing_status": "completed",
            "stage": "finalize",
            "percent": 100,
            "member_count": members,
            "imported_count": members,
            "date_processing_started": NOW,
            "date_processing_completed": NOW,
        }


def patients(size: Size) -> Iterator[Row]:
    for number in range(size.patients):
        patient_id, chance = patient_of(number), random.Random(f"patient {number}")
        name = f"{chance.choice(SURNAMES)}^{chance.choice(GIVEN_NAMES)}"
        yield {
            "id": number + 1,
            "unique_patient_id": patient_id,
            "folder": patient_id,
            "patient_name": f"{name} Number {number}",
            "patient_dob": date(1930, 1, 1) + timedelta(chance.randrange(28_000)),
            "patient_sex": chance.choice("FMO"),
        }


def studies(size: Size) -> Iterator[Row]:
    for number in range(size.patients * STUDIES):
        yield {
            "id": number + 1,
            "patient_id": number // STUDIES + 1,
            "study_instance_uid": study_uid(number),
            "study_date": study_date(number),
            "study_description": STUDY_DESCRIPTIONS[number % STUDIES],
            "accession_number": f"G{number}",
        }


def series(size: Size) -> Iterator[Row]:
    for number in range(size.series):
        study, place = study_of(number), number % len(SERIES)
        _, modality, description, part = SERIES[place]
        yield {
            "id": number + 1,
            "dicom_study_id": study + 1,
            "series_instance_uid": series_uid(number),
            "modality": modality,
            "series_number": place + 1,
            "series_description": description,
            "series_date": study_date(study),
            "body_part_examined": part,
        }


def structure_series(size: Size) -> Iterator[Row]:
    for number in range(size.structure_sets):
        study = number * STUDIES
        yield {
            "id": size.series + number + 1,
            "dicom_study_id": study + 1,
            "series_instance_uid": f"{study_uid(study)}.{STRUCTURES}",
            "modality": "RTSTRUCT",
            "series_number": STRUCTURES + 1,
            "series_description": "RT structures, treatment planning",
            "series_date": study_date(study),
        }


def structure_objects(size: Size) -> Iterator[Row]:
    for number, series in enumerate(structure_series(size)):
        study = study_uid(number * STUDIES)
        uid = f"{series['series_instance_uid']}.1"
        yield {
            "id": size.instances + number + 1,
            "dicom_series_id": series["id"],
            "sop_instance_uid": uid,
            "sop_class_uid": CLASSES["RTSTRUCT"],
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "modality": "RTSTRUCT",
            "path": f"{patient_of(number)}/{study}/{series['series_instance_uid']}/{uid}.dcm",
            "size": SIZES["RTSTRUCT"],
            "sha256": sha256(size.instances + number),
            "upload_id": 1,
        }


def structure_sets(size: Size) -> Iterator[Row]:
    for number, row in enumerate(structure_objects(size)):
        yield {
            "id": number + 1,
            "dicom_instance_id": row["id"],
            "structure_set_label": f"Plan {number}",
            "structure_set_name": f"Structures {number}",
            "structure_set_date": study_date(number * STUDIES),
            "approval_status": "APPROVED" if number % 3 else "UNAPPROVED",
            "number_of_roi": ROIS,
        }


def rois(size: Size) -> Iterator[Row]:
    points = ", ".join(f"{place}.25" for place in range(150))
    contours = f'[{{"type": "CLOSED_PLANAR", "points": [{points}], "sop": "1.2"}}]'
    for structure_set in range(size.structure_sets):
        chance = random.Random(f"structures {structure_set}")
        for place, (kind, *spellings) in enumerate(ROI_NAMES):
            (name,) = chance.choices(spellings, SPELLED)
            yield {
                "id": structure_set * ROIS + place + 1,
                "rt_structure_set_id": structure_set + 1,
                "roi_number": place + 1,
                "roi_name": name,
                "rt_roi_interpreted_type": kind,
                "roi_generation_algorithm": "MANUAL",
                "contour_count": 1,
                "roi_contour_data": contours,
            }


def objects(size: Size) -> Iterator[Row]:
    for number in range(size.instances):
        series = size.series_of(number)
        uid, study, modality = (
            object_uid(size, number),
            study_of(series),
            SERIES[series % len(SERIES)][1],
        )
        folder = f"{patient_of(study // STUDIES)}/{study_uid(study)}/{series_uid(series)}"
        yield {
            "id": number + 1,
            "dicom_series_id": series + 1,
            "sop_instance_uid": uid,
            "sop_class_uid": CLASSES[modality],
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "modality": modality,
            "instance_number": number % size.images + 1,
            "rows": 512,
            "columns": 512,
            "path": f"{folder}/{uid}.dcm",
            "size": SIZES[modality] + number % 1_000,
            "sha256": sha256(number),
            "upload_id": number // LEDGER + 1,
            "created_at": NOW + timedelta(milliseconds=number),
        }


def images(size: Size) -> Iterator[Row]:
    for number in range(size.instances):
        place = number % size.images * 3.0
        yield {
            "id": number + 1,
            "dicom_instance_id": number + 1,
            "instance_number": number % size.images + 1,
            "slice_location": place,
            "slice_thickness": 3.0,
            "pixel_spacing": [3.75, 3.75],
            "patient_position": "HFS",
            "image_position_patient": [-120.0, -120.0, place],
            "image_orientation_patient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        }


def members(size: Size) -> Iterator[Row]:
    for number in range(size.instances):
        yield {
            "id": number + 1,
            "upload_id": number // LEDGER + 1,
            "index": number % LEDGER,
            "name": f"DICOM/{size.series_of(number):06}/{number % size.images:04}.dcm",
            "size": 11_000,
            "sha256": sha256(number),
            "outcome": "imported",
            "instance_id": number + 1,
        }


TABLES: tuple[tuple[str, Rows], ...] = (
    ("dicomfile", uploads),
    ("patient", patients),
    ("dicomstudy", studies),
    ("dicomseries", series),
    ("dicomseries", structure_series),
    ("dicominstance", objects),
    ("dicominstance", structure_objects),
    ("imageinformation", images),
    ("rtstructuresetinformation", structure_sets),
    ("rtstructureroi", rois),
    ("archivemember", members),
)


def patient_of(number: int) -> str:
    return f"GROWN{number:07}"


def study_of(series: int) -> int:
    return series // len(SERIES) * STUDIES + SERIES[series % len(SERIES)][0]


@lru_cache
def study_uid(number: int) -> str:
    return f"2.25.{random.Random(f'grown {number}').getrandbits(127)}"


def study_date(number: int) -> date:
    return date(2009, 1, 1) + timedelta(number * 37 % 5_400)


def series_uid(number: int) -> str:
    return f"{study_uid(study_of(number))}.{number % len(SERIES)}"


def object_uid(size: Size, number: int) -> str:
    return f"{series_uid(size.series_of(number))}.{number % size.images + 1}"


def sha256(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def insert(model: type[models.Model], rows: Iterator[Row]) -> None:
    """Insert rows, with the model's defaults for what they do not name."""
    fields = [field for field in model._meta.concrete_fields if field.column]
    defaults = [_default(field) for field in fields]
    names = [connection.ops.quote_name(field.column) for field in fields]
    table = connection.ops.quote_name(model._meta.db_table)
    folded = next((field for field in fields if field.name == "search_text"), None)
    while chunk := list(islice(rows, CHUNK)):
        for row in chunk if folded else ():
            row["search_text"] = folded.text_of(model(**row))
        values = [
            [
                _stored(field, row[field.column]) if field.column in row else default
                for field, default in zip(fields, defaults, strict=True)
            ]
            for row in chunk
        ]
        _write(table, names, values)


def _default(field: Any) -> Any:
    made_now = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    return _stored(field, NOW if made_now else field.get_default())


def _stored(field: Any, value: Any) -> Any:
    if isinstance(value, (str, int, float)):
        return value  # as the drivers take it
    return field.get_db_prep_save(value, connection)


def _write(table: str, names: list[str], values: Iterable[list[Any]]) -> None:
    columns = ", ".join(names)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(names))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
    django.setup()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("instances", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--patients", type=int, help="one for 50 images, unless given")
    parser.add_argument("--rois", type=int, help="one for 10 images, unless given")
    options = parser.parse_args()
    instances = options.instances
    fill(
        Size(
            instances,
            max(instances // 50, 1) if options.patients is None else options.patients,
            instances // 10 if options.rois is None else options.rois,
        )
    )
