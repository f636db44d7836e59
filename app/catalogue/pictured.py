"""What the script of a series' page is told before it asks for pictures."""

from django.http import QueryDict
from msgspec import Struct, json

from app.models import DICOMSeries

from .addresses import key_in
from .below import AT, LONGEST_SORTED
from .completeness import Told
from .stacks import Slice, middle_of, slice_count, stacks_of

KEY_OBJECTS = "KO"  # the modality of documents that name images
FRAME = "frame"  # in an address, from 1: of the object that it leads to


class Part(Struct):
    words: str
    count: int  # slices


class Mark(Struct):
    """What is to be said of a slice."""

    slice: int
    object: int
    frame: int  # from 1; 0: of the whole object
    words: str
    side: int = 0  # 1: of what is behind it; -1: of what is before it
    kind: str = "gap"


class Pictured(Struct):
    count: int  # slices
    start: int  # the slice that is shown first
    stacks: list[Part]  # one after the other
    marks: list[Mark]
    has_key_objects: bool  # documents in the study, which may name some of these

    @property
    def as_json(self) -> str:
        return json.encode(self).decode()


def pictured(series: DICOMSeries, told: Told, address: QueryDict) -> Pictured:
    """The stacks of a series, and what is to be said of its slices.

    Those of a very long series are one, and nothing is said of them: each would have to be read.
    """
    if series.instance_count > LONGEST_SORTED:
        count = slice_count(series)
        return Pictured(count, count // 2, [Part("", count)] if count else [], [], False)
    stacks = stacks_of(series)
    numbers = {one: at for at, one in enumerate(one for stack in stacks for one in stack.slices)}
    marks = [
        Mark(numbers[key], *one)
        for one in told.spots
        if (key := Slice(one.instance, max(one.frame - 1, 0))) in numbers
    ]
    start = _asked(numbers, address)
    return Pictured(
        len(numbers),
        middle_of(stacks) if start is None else start,
        [Part(one.words, len(one.slices)) for one in stacks],
        marks,
        DICOMSeries.objects.filter(
            dicom_study=series.dicom_study_id, modality=KEY_OBJECTS
        ).exists(),
    )


def _asked(numbers: dict[Slice, int], address: QueryDict) -> int | None:
    """The slice that an address leads to."""
    wanted, frame = key_in(address, AT), key_in(address, FRAME)
    if wanted is None:
        return None
    if frame and (found := numbers.get(Slice(wanted, frame - 1))) is not None:
        return found
    return next((at for one, at in numbers.items() if one.object == wanted), None)
