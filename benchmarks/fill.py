#!/usr/bin/env python3
"""Fills the catalogue that ICON_VAR or ICON_DATABASE_URL names with rows alone.

The shape is an import's: patients with 500 images in five series and a structure set of 30 ROIs,
uploads with their ledgers. There are no files, so this is for an empty catalogue that is thrown
away afterwards.
"""

import argparse
import hashlib
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import django
from django.core.management.color import no_style
from django.db import connection, models, transaction

SERIES = 5  # for each patient, in one study
IMAGES = 100  # in each series
ROIS = 30  # in each structure set, of which each patient has one
LEDGER = 100_000  # members of each upload
NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)
CHUNK = 10_000  # rows

Row = dict[str, Any]
Rows = Callable[[int], Iterator[Row]]


def fill(instances: int) -> None:
    from django.apps import apps

    with transaction.atomic():
        for name, rows in TABLES:
            insert(apps.get_model("app", name), rows(instances))
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), list(apps.get_models())):
            cursor.execute(sql)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")  # autovacuum would have, by then


def uploads(instances: int) -> Iterator[Row]:
    for start in range(0, instances, LEDGER):
        members = min(LEDGER, instances - start)
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


def patients(instances: int) -> Iterator[Row]:
    for number in range(-(-instances // (SERIES * IMAGES))):
        name = f"GROWN{number:07}"
        yield {
            "id": number + 1,
            "unique_patient_id": name,
            "folder": name,
            "patient_name": f"Grown^Number {number}",
            "patient_sex": "O",
        }


def studies(instances: int) -> Iterator[Row]:
    for number in range(-(-instances // (SERIES * IMAGES))):
        yield {
            "id": number + 1,
            "patient_id": number + 1,
            "study_instance_uid": study_uid(number),
            "study_date": NOW.date(),
            "study_description": "Phantom, routine protocol",
            "accession_number": f"G{number}",
        }


def series(instances: int) -> Iterator[Row]:
    for number in range(-(-instances // IMAGES)):
        yield {
            "id": number + 1,
            "dicom_study_id": number // SERIES + 1,
            "series_instance_uid": series_uid(number),
            "modality": "MR",
            "series_number": number % SERIES + 1,
            "series_description": f"Sequence {number % SERIES + 1} of the phantom",
            "series_date": NOW.date(),
        }


def structure_series(instances: int) -> Iterator[Row]:
    for number, row in enumerate(studies(instances)):
        yield {
            "id": -(-instances // IMAGES) + number + 1,
            "dicom_study_id": row["id"],
            "series_instance_uid": f"{row['study_instance_uid']}.{SERIES + 1}",
            "modality": "RTSTRUCT",
            "series_number": SERIES + 1,
            "series_description": "Structures of the phantom",
            "series_date": NOW.date(),
        }


def structure_objects(instances: int) -> Iterator[Row]:
    for number, series in enumerate(structure_series(instances)):
        uid = f"{series['series_instance_uid']}.1"
        study = series["series_instance_uid"].rpartition(".")[0]
        yield {
            "id": instances + number + 1,
            "dicom_series_id": series["id"],
            "sop_instance_uid": uid,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.481.3",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "modality": "RTSTRUCT",
            "path": f"GROWN{number:07}/{study}/{series['series_instance_uid']}/{uid}.dcm",
            "size": 600_000,
            "sha256": sha256(instances + number),
            "upload_id": min(number * SERIES * IMAGES, instances - 1) // LEDGER + 1,
        }


def structure_sets(instances: int) -> Iterator[Row]:
    for number, row in enumerate(structure_objects(instances)):
        yield {
            "id": number + 1,
            "dicom_instance_id": row["id"],
            "structure_set_label": f"Plan {number}",
            "structure_set_name": f"Structures {number}",
            "structure_set_date": NOW.date(),
            "approval_status": "UNAPPROVED",
            "number_of_roi": ROIS,
        }


def rois(instances: int) -> Iterator[Row]:
    points = ", ".join(f"{place}.25" for place in range(150))
    contours = f'[{{"type": "CLOSED_PLANAR", "points": [{points}], "sop": "1.2"}}]'
    for structure_set in structure_sets(instances):
        for number in range(ROIS):
            yield {
                "id": (structure_set["id"] - 1) * ROIS + number + 1,
                "rt_structure_set_id": structure_set["id"],
                "roi_number": number + 1,
                "roi_name": f"Organ {number} of {structure_set['id']}",
                "rt_roi_interpreted_type": "ORGAN",
                "roi_generation_algorithm": "MANUAL",
                "contour_count": 1,
                "roi_contour_data": contours,
            }


def objects(instances: int) -> Iterator[Row]:
    for number in range(instances):
        uid, patient = object_uid(number), number // (SERIES * IMAGES)
        folder = f"GROWN{patient:07}/{study_uid(patient)}/{series_uid(number // IMAGES)}"
        yield {
            "id": number + 1,
            "dicom_series_id": number // IMAGES + 1,
            "sop_instance_uid": uid,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "modality": "MR",
            "instance_number": number % IMAGES + 1,
            "rows": 64,
            "columns": 64,
            "path": f"{folder}/{uid}.dcm",
            "size": 11_000,
            "sha256": sha256(number),
            "upload_id": number // LEDGER + 1,
        }


def images(instances: int) -> Iterator[Row]:
    for number in range(instances):
        place = number % IMAGES * 3.0
        yield {
            "id": number + 1,
            "dicom_instance_id": number + 1,
            "instance_number": number % IMAGES + 1,
            "slice_location": place,
            "slice_thickness": 3.0,
            "pixel_spacing": [3.75, 3.75],
            "patient_position": "HFS",
            "image_position_patient": [-120.0, -120.0, place],
            "image_orientation_patient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        }


def members(instances: int) -> Iterator[Row]:
    for number in range(instances):
        yield {
            "id": number + 1,
            "upload_id": number // LEDGER + 1,
            "index": number % LEDGER,
            "name": f"DICOM/{number // IMAGES:06}/{number % IMAGES:04}.dcm",
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


@lru_cache
def study_uid(number: int) -> str:
    return f"2.25.{random.Random(f'grown {number}').getrandbits(127)}"


def series_uid(number: int) -> str:
    return f"{study_uid(number // SERIES)}.{number % SERIES + 1}"


def object_uid(number: int) -> str:
    return f"{series_uid(number // IMAGES)}.{number % IMAGES + 1}"


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instances", type=int)
    fill(parser.parse_args().instances)
