"""Which structure sets have their contours kept, as they are drawn over images.

They are made when somebody first looks, or before by a worker, from the bytes of the object: of a
structure set whose object was replaced there are none until they are made anew. They go with it.

There is no limit of their own to what they take, since the objects are one: a few hundredths of
their bytes, or 0.8 of them where all points are noise; the most is 1.25, of thousands of ROIs that
are nothing but odd names. `tests/dicom/test_contours.py` holds it.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from msgspec import json

from app.derived.kinds import Key, Numbers
from app.models import DICOMInstance, RTStructureSetInformation, StructureSetContours
from app.sandbox.contours import Drawn

VERSION = 2  # of how they are read, `app.dicom.structures` included, and of their form
GONE = "object_gone"
TRIED_AGAIN = (GONE, "contours_not_read")  # a file may come back, and a disk
TRIED_LATER = ("contours_took_long", "contours_not_made", "too_much_memory")  # it may be busy,
LATER = timedelta(hours=1)  # after which somebody who looks has it tried
# What an object can do nothing for; that it cannot be drawn is an answer like another.
FAILED = (*TRIED_AGAIN, *TRIED_LATER)

SETS = RTStructureSetInformation.objects.select_related("dicom_instance").defer("search_text")


def current() -> QuerySet[StructureSetContours]:
    """What was made by this version from objects as they are."""
    made = StructureSetContours.objects.filter(version=VERSION)
    return made.filter(sha256=F("structure_set__dicom_instance__sha256"))


def kept(structure_set: RTStructureSetInformation) -> StructureSetContours | None:
    """What somebody who looks is shown, without its values; None where it is to be made."""
    made = current().filter(pk=structure_set.pk).defer("values").first()
    if made and made.why_not in TRIED_LATER and made.made_at < timezone.now() - LATER:
        return None
    return None if made and made.why_not in TRIED_AGAIN else made


def values_of(made: StructureSetContours) -> bytes | None:
    """The points, which may be megabytes; None where they went since, or are others."""
    rows = StructureSetContours.objects.filter(pk=made.pk, sha256=made.sha256, version=made.version)
    values = rows.values_list("values", flat=True).first()
    return None if values is None else bytes(values)


def keep(structure_set: RTStructureSetInformation, drawn: Drawn) -> StructureSetContours:
    """Keep what was made of a structure set, unless its object has changed meanwhile."""
    made = as_row(structure_set, drawn)
    with transaction.atomic():
        if _holds(structure_set):
            names = [one.name for one in StructureSetContours._meta.concrete_fields]
            StructureSetContours.objects.bulk_create(
                [made],
                update_conflicts=True,
                unique_fields=["structure_set"],
                update_fields=[name for name in names if name != "structure_set"],
            )
    return made


def as_row(structure_set: RTStructureSetInformation, drawn: Drawn) -> StructureSetContours:
    return StructureSetContours(
        structure_set=structure_set,
        version=VERSION,
        failed=drawn.why_not in FAILED,
        made_at=timezone.now(),
        sha256=structure_set.dicom_instance.sha256,
        why_not=drawn.why_not,
        facts=drawn.facts,
        words=json.encode(drawn.drawing) if drawn.drawing else b"",
        values=drawn.values,
    )


def _holds(structure_set: RTStructureSetInformation) -> bool:
    """Hold the object, which who replaces or deletes it does; whether it is as it was."""
    instance = structure_set.dicom_instance
    held = DICOMInstance.objects.select_for_update(no_key=True).only("pk")
    if held.filter(pk=instance.pk, sha256=instance.sha256).first() is None:
        return False
    return RTStructureSetInformation.objects.filter(pk=structure_set.pk).exists()


# --- what workers make -----------------------------------------------------------------------


def _lacking() -> QuerySet[RTStructureSetInformation]:
    made = StructureSetContours.objects.filter(
        pk=OuterRef("pk"), version=VERSION, sha256=OuterRef("dicom_instance__sha256")
    )
    return RTStructureSetInformation.objects.filter(~Exists(made))


def to_be_made(after: Key | None, number: int) -> list[Key]:
    later: dict[str, Any] = {} if after is None else {"pk__gt": after}
    rows = _lacking().filter(**later).order_by("pk")
    return [*rows.values_list("pk", flat=True)[:number]]


def numbers() -> Numbers:
    counts = current().aggregate(every=Count("pk"), failed=Count("pk", filter=Q(failed=True)))
    made = counts["every"] - counts["failed"]
    return Numbers(made, _lacking().count(), counts["failed"])


def forget() -> None:
    StructureSetContours.objects.all().delete()


def forget_gone() -> None:
    """Remove what was made of structure sets that were deleted by who knew of no contours."""
    there = RTStructureSetInformation.objects.filter(pk=OuterRef("pk"))
    StructureSetContours.objects.filter(~Exists(there)).delete()
