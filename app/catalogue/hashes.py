"""Objects by the SHA-256 of their file: no index has it, since one would slow every import down.

So a search reads rows, the newest first, and a bounded number of them at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Max

from app.models import DICOMInstance

LOOKED_THROUGH = 1_000_000  # rows at a time: 0.2 s
FOUND = 20


@dataclass(frozen=True, slots=True)
class Looked:
    found: list[DICOMInstance]
    before: int  # where to look next, as `before`; 0 where nothing older is left


def objects_with(hashes: Sequence[str], before: int | None = None) -> Looked:
    """The newest objects with one of these; `before` is a primary key, to look for older ones."""
    rows = DICOMInstance.objects.order_by()
    top = before or (rows.aggregate(Max("pk"))["pk__max"] or 0) + 1
    low = max(top - LOOKED_THROUGH, 0)
    looked = rows.filter(sha256__in=hashes, pk__lt=top, pk__gte=low)
    pks = [*looked.values_list("pk", flat=True)[:FOUND]]
    found = DICOMInstance.objects.filter(pk__in=pks).order_by("-pk")
    older = rows.filter(pk__lt=low).exists()
    return Looked([*found.select_related("rt_structure_set")], low if older else 0)
