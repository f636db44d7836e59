"""The slices of a series as their pictures are asked for: stack after stack."""

from typing import NamedTuple

from app.catalogue.stacks import middle_of, stacks_of
from app.models import DICOMInstance, DICOMSeries

FILE = ("path", "sha256", "transfer_syntax_uid")


class Slice(NamedTuple):
    object: int  # primary key
    frame: int  # from 0
    path: str
    sha256: str
    transfer_syntax: str


def slices_of(series: DICOMSeries) -> list[Slice]:
    """All slices, each stack's in the order in which they lie."""
    found = [one for stack in stacks_of(series) for one in stack.slices]
    wanted = {one.object for one in found}
    rows = DICOMInstance.objects.filter(dicom_series=series, rows__isnull=False)
    files = {pk: file for pk, *file in rows.values_list("pk", *FILE).iterator() if pk in wanted}
    return [Slice(*one, *files[one.object]) for one in found if one.object in files]


def middle_slice(series: DICOMSeries) -> Slice | None:
    """The slice that a page shows first."""
    stacks = stacks_of(series)
    every = [one for stack in stacks for one in stack.slices]
    if not every:
        return None
    one = every[middle_of(stacks)]
    file = DICOMInstance.objects.filter(pk=one.object).values_list(*FILE).first()
    return Slice(*one, *file) if file else None
