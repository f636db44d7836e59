"""What an extractor tells its parent: one message for each member it has read.

The child parses hostile bytes, so nothing it sends is ever executed: JSON, and the contours
behind it as they are, since escaping megabytes of numbers costs more than reading them.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from functools import lru_cache
from typing import Any

from .records import (
    Header,
    ImageRecord,
    InstanceRecord,
    PatientRecord,
    ReadWarning,
    ROIRecord,
    SeriesRecord,
    StructureSetRecord,
    StudyRecord,
)

PREFIX = struct.Struct("<II")  # bytes of JSON, bytes of contours
_to_json = json.JSONEncoder(separators=(",", ":"), default=str).encode  # dates as ISO 8601


@dataclass(frozen=True, slots=True)
class Extracted:
    """One member as it was read: to be catalogued where it has a header."""

    index: int
    inner: int
    name: str
    size: int  # bytes, unpacked
    sha256: str  # "" where it was not read to its end
    outcome: str  # "" where the catalogue decides; else "skipped" or "failed"
    reason: str
    facts: dict[str, str | int] = field(default_factory=dict)
    header: Header | None = None

    @property
    def staged(self) -> str:
        """Its file in the upload's staging folder."""
        return staged_name(self.index, self.inner)

    @property
    def weight(self) -> int:
        """Roughly how many bytes it holds in memory."""
        structure = self.header.structure_set if self.header else None
        contours = sum(len(roi.roi_contour_data) for roi in structure.rois) if structure else 0
        return 2_000 + contours


def staged_name(index: int, inner: int) -> str:
    return f"{index}-{inner}.dcm"


def encode(extracted: Extracted) -> bytes:
    header = extracted.header
    body: list[Any] = [
        extracted.index,
        extracted.inner,
        extracted.name,
        extracted.size,
        extracted.sha256,
        extracted.outcome,
        extracted.reason,
        extracted.facts,
        _pack_header(header) if header else None,
    ]
    text = _to_json(body).encode()
    contours = b""
    if header and header.structure_set:
        contours = b"".join(roi.roi_contour_data for roi in header.structure_set.rois)
    return PREFIX.pack(len(text), len(contours)) + text + contours


def decode(buffer: bytearray) -> Iterator[Extracted]:
    """Take every whole message off the front of `buffer`."""
    start = 0
    while len(buffer) - start >= PREFIX.size:
        text_length, contours_length = PREFIX.unpack_from(buffer, start)
        text = start + PREFIX.size
        contours, end = text + text_length, text + text_length + contours_length
        if len(buffer) < end:
            break
        body = json.loads(buffer[text:contours].decode())
        body[-1] = _unpack_header(body[-1], bytes(buffer[contours:end]))
        yield Extracted(*body)
        start = end
    del buffer[:start]


def _pack_header(header: Header) -> list[Any]:
    structure = header.structure_set
    return [
        _values(header.patient),
        _values(header.study),
        _values(header.series),
        _values(header.instance),
        header.image and _values(header.image),
        structure and _pack_structure(structure),
        [(warning.code, warning.facts) for warning in header.warnings],
    ]


def _values(record: Any) -> list[Any]:
    return [getattr(record, name) for name in record.__slots__]


def _pack_structure(structure: StructureSetRecord) -> list[Any]:
    *own, rois = _values(structure)
    return [*own, [[*_values(roi)[:-1], len(roi.roi_contour_data)] for roi in rois]]


def _unpack_header(body: list[Any] | None, contours: bytes) -> Header | None:
    if body is None:
        return None
    patient, study, series, instance, image, structure, warnings = body
    return Header(
        patient=_patient(*patient),
        study=_study(*study),
        series=_series(*series),
        instance=InstanceRecord(*instance),
        image=ImageRecord(*image) if image else None,
        structure_set=_structure(structure, contours) if structure else None,
        warnings=[ReadWarning(*warning) for warning in warnings],
    )


# A series' images repeat their patient, study and series: read each once.
@lru_cache(64)
def _patient(identifier: str, name: str, dob: str | None, sex: str) -> PatientRecord:
    return PatientRecord(identifier, name, _date(dob), sex)


@lru_cache(64)
def _study(uid: str, day: str | None, clock: str | None, *texts: str) -> StudyRecord:
    return StudyRecord(uid, _date(day), time.fromisoformat(clock) if clock else None, *texts)


@lru_cache(64)
def _series(
    uid: str, modality: str, number: int | None, description: str, day: str | None, *texts: str
) -> SeriesRecord:
    return SeriesRecord(uid, modality, number, description, _date(day), *texts)


def _structure(body: list[Any], contours: bytes) -> StructureSetRecord:
    label, name, day, *rest, rois = body
    start, records = 0, []
    for *values, length in rois:
        values.append(contours[start : start + length])
        records.append(ROIRecord(*values))
        start += length
    return StructureSetRecord(*[label, name, _date(day), *rest, records])


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
