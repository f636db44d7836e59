"""Members on their way into the catalogue: a batch's values, before they are rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.db import connection
from django.utils import timezone
from msgspec import Struct

from app.dicom.records import READ_VERSION, Header, Lineage, ReadWarning
from app.models import DICOMSeries, DICOMStudy, Outcome, Patient, PatientIdentity
from app.reasons import sentence
from app.sandbox.wire import Extracted
from app.storage.paths import instance_name, patient_folder, series_path

LONGEST_DETAIL = 1_000
LONGEST_NAME = 1_024
IMPORTED = Outcome.IMPORTED.value  # a text: to look into an Enum takes as long as to compare


@dataclass(slots=True, eq=False)
class Branch:
    """What members of a batch hang under: their lineage, and its rows."""

    lineage: Lineage
    folder: str  # the patient's, which is the patient's key
    path: str  # the series' folder
    patient: Patient = field(init=False)
    identity: PatientIdentity = field(init=False)
    study: DICOMStudy = field(init=False)
    series: DICOMSeries = field(init=False)
    identity_id: int = 0
    has_new_identity: bool = False  # nobody had given it for this patient before this batch
    series_id: int = 0
    is_new: bool = False  # the series was not there before this batch


class Entry(Struct, eq=False, gc=False):
    """One member on its way into the catalogue, and what became of it.

    There are many, each of which is made in a fifth of the time that a dataclass takes. The garbage
    collector skips them: nothing that they hold leads back to them.
    """

    upload: int
    filed_at: Any  # as the database takes a moment
    extracted: Extracted
    header: Header  # that of `extracted`, for those that have one
    outcome: str  # "" until the catalogue has decided
    reason: str
    name: str
    warnings: Sequence[ReadWarning]
    instance: int = None  # type: ignore[assignment]  # its primary key, where it became or is one
    branch: Branch = None  # type: ignore[assignment]  # until `branches_of` has given it one
    path: str = ""  # where its lineage files it
    superseded: Sequence[str] = ()
    replaced_identity: int | None = None  # of the version whose place it took
    replaced_upload: int | None = None
    code: str = ""  # of its reason or, without one, of its first warning
    detail: str = ""  # the sentences of both
    read_version: ClassVar[int] = READ_VERSION

    def explain(self) -> None:
        """Put into words why it ended so, and what is worth knowing of it."""
        codes = [(self.reason, self.extracted.facts)] if self.reason else []
        codes += [(warning.code, warning.facts) for warning in self.warnings]
        self.code = codes[0][0]
        self.detail = " ".join(sentence(code, **facts) for code, facts in codes)[:LONGEST_DETAIL]


@dataclass(frozen=True, slots=True)
class Source:
    """The upload that a batch comes from."""

    upload: int
    started: datetime
    replace: bool  # other bytes of a catalogued object take its place
    use: bool = False  # so do other bytes of what this very upload brought


def entries_of(upload: int, batch: Iterable[Extracted]) -> list[Entry]:
    filed_at = connection.ops.adapt_datetimefield_value(timezone.now())
    return [
        Entry(
            upload,
            filed_at,
            one,
            one.header,  # type: ignore[arg-type]
            one.outcome,
            one.reason,
            one.name[:LONGEST_NAME],
            one.header.warnings if one.header else (),
        )
        for one in batch
    ]


def imported_of(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.outcome == IMPORTED]


def by_branch(entries: Iterable[Entry]) -> dict[Branch, list[Entry]]:
    """In the order in which they come, the branches in that of the first of each."""
    found: dict[Branch, list[Entry]] = {}
    for entry in entries:
        branch = entry.branch
        if branch in found:
            found[branch].append(entry)
        else:
            found[branch] = [entry]
    return found


def branches_of(entries: list[Entry]) -> list[Branch]:
    """The branches of a batch, in the order of their first members; entries get theirs here.

    What an extractor sends of one series in a row is one `Lineage` object, which `wire.Receiver`
    hands on as long as nothing changes. So the object is looked at first, before its value: a
    series' thousand members are looked at once for each extractor.
    """
    branches: dict[int, Branch] = {}
    by_path: dict[str, Branch] = {}
    for entry in entries:
        header = entry.header
        lineage = header.lineage
        branch = branches.get(id(lineage))
        if branch is None:
            branch = branches[id(lineage)] = _shared(_branch(lineage), by_path)
        entry.branch = branch
        entry.path = f"{branch.path}/{instance_name(header.instance.sop_instance_uid)}"
    return [*dict.fromkeys(branches.values())]


def _shared(branch: Branch, by_path: dict[str, Branch]) -> Branch:
    """The branch of the same series before it, where that has an equal lineage."""
    before = by_path.get(branch.path)
    if before and before.lineage == branch.lineage:
        return before
    by_path[branch.path] = branch
    return branch


def _branch(lineage: Lineage) -> Branch:
    study, series = lineage.study.study_instance_uid, lineage.series.series_instance_uid
    folder = patient_folder(lineage.patient.unique_patient_id, study)
    return Branch(lineage, folder, series_path(folder, study, series))
