"""What a catalogue says of its objects, so that two of them can be compared."""

from collections import Counter
from typing import Any

from django.db.models import Model

from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Link,
    Patient,
    PatientIdentity,
    RTStructureROI,
    RTStructureSetInformation,
)

# How each table's rows are called, and in which order.
STUDY = "patient__folder", "study_instance_uid"
SERIES = (*(f"dicom_study__{name}" for name in STUDY), "series_instance_uid")
INSTANCE = (*(f"dicom_series__{name}" for name in SERIES), "sop_instance_uid")
DETAIL = tuple(f"dicom_instance__{name}" for name in INSTANCE)
NAMES: dict[type[Model], tuple[str, ...]] = {
    Patient: ("folder",),
    PatientIdentity: ("patient__folder", "digest"),
    DICOMStudy: STUDY,
    DICOMSeries: SERIES,
    DICOMInstance: INSTANCE,
    ImageInformation: DETAIL,
    RTStructureSetInformation: DETAIL,
    Link: (
        *(f"source__{name}" for name in INSTANCE),
        *("kind", "target_uid", "frame_number"),
    ),
    RTStructureROI: tuple(f"rt_structure_set__{name}" for name in DETAIL),
}
# The latter are when and how often, not what.
OF_THE_MOMENT = {"created_at", "last_added_at", "described", "changes"}


def catalogued(keys: bool = False) -> dict[Any, dict[str, Any]]:
    """The values of every row by its name; with `keys` also the primary and foreign keys."""
    found: dict[Any, dict[str, Any]] = {}
    for model, names in NAMES.items():
        times: Counter[Any] = Counter()
        fields = [
            field.attname
            for field in model._meta.concrete_fields
            if field.name not in OF_THE_MOMENT
            and (keys or not (field.primary_key or field.is_relation))
        ]
        for row in model._default_manager.order_by("pk").values(*{*names, *fields}):
            name = model.__name__, *(row[part] for part in names)
            times[name] += 1  # ROIs of a structure set are known by their order
            found[*name, times[name]] = {field: row[field] for field in fields}
    return found
