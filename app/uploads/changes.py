"""What an upload brought into the catalogue: patients, their studies, their series."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Count, Min, Q, QuerySet

from app.dicom.kinds import NO_IMAGES
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Outcome,
    Patient,
)
from app.wording import counted, listed

PATIENT = "instance__dicom_series__dicom_study__patient"  # of a member
SERIES_SHOWN = 200  # series
UNFOLDED = 10  # of them, of one study


@dataclass(frozen=True, slots=True)
class SeriesChange:
    series: DICOMSeries
    is_new: bool
    added: int
    replaced: int  # instances whose catalogued version this upload's took the place of
    here: int = 0  # instances that were there before

    @property
    def words(self) -> str:
        """What came: "24 images", "+24 images", "2 objects replaced"; "82 images" that are here."""
        noun = "object" if self.series.modality in NO_IMAGES else "image"
        if self.here:
            return counted(self.here, noun)
        plus = "" if self.is_new else "+"
        parts = [f"{plus}{counted(self.added, noun)}"] if self.added else []
        if self.replaced:
            parts.append(f"{counted(self.replaced, noun)} replaced")
        return ", ".join(parts)


@dataclass(slots=True)
class StudyChange:
    study: DICOMStudy
    is_new: bool
    series: list[SeriesChange] = field(default_factory=list)

    @property
    def unfolded(self) -> list[SeriesChange]:
        return self.series[:UNFOLDED]

    @property
    def folded(self) -> list[SeriesChange]:
        return self.series[UNFOLDED:]


@dataclass(slots=True)
class PatientChange:
    patient: Patient
    is_new: bool
    studies: dict[int, StudyChange] = field(default_factory=dict)


@dataclass(slots=True)
class Changes:
    patients: dict[int, PatientChange] = field(default_factory=dict)
    more: int = 0  # series that are not shown

    def add(self, change: SeriesChange, is_new: "Origin") -> None:
        study = change.series.dicom_study
        patient = study.patient
        of_patient = self.patients.setdefault(
            patient.pk, PatientChange(patient, patient.pk in is_new.patients)
        )
        of_study = of_patient.studies.setdefault(
            study.pk, StudyChange(study, study.pk in is_new.studies)
        )
        of_study.series.append(change)


@dataclass(frozen=True, slots=True)
class Origin:
    """Primary keys of what an upload brought first."""

    patients: Collection[int]
    studies: Collection[int]
    series: Collection[int]


NOTHING_NEW = Origin((), (), ())


class Stored(NamedTuple):
    """What an upload's files became."""

    words: str  # "384 images and 2 structure sets of 1 patient"
    patient: int | None  # the primary key of the one that all is of


def stored(upload: DICOMFile) -> Stored:
    """Nothing where some of it has been deleted meanwhile, so that numbers would not add up."""
    found = _stored_members(upload).aggregate(
        members=Count("instance"),
        objects=Count("instance", distinct=True),
        images=Count("instance", filter=Q(instance__rows__isnull=False), distinct=True),
        structure_sets=Count("instance", filter=Q(instance__modality="RTSTRUCT"), distinct=True),
        studies=Count("instance__dicom_series__dicom_study", distinct=True),
        patients=Count(PATIENT, distinct=True),
        patient=Min(PATIENT),
    )
    if found["members"] != upload.imported_count + upload.duplicate_count:
        return Stored("", None)
    others = found["objects"] - found["images"] - found["structure_sets"]
    parts = [
        counted(found["images"], "image"),
        counted(found["structure_sets"], "structure set"),
        counted(others, "other object"),
    ]
    studies = found["studies"]
    where = f" ({studies:,} studies)" if studies > 1 else ""
    what = listed(part for part in parts if not part.startswith("0 "))
    words = f"{what} of {counted(found['patients'], 'patient')}{where}"
    return Stored(words, found["patient"] if found["patients"] == 1 else None)


def patients_in(stored_words: str) -> str:
    """ "1 patient", "12 patients": of whom it was what an upload's files became."""
    return stored_words.rpartition(" of ")[2].partition(" (")[0]


def deleted_since(upload: DICOMFile) -> int:
    """How many of the files that were stored are no longer in the catalogue."""
    return _stored_members(upload).filter(instance=None).count()


def _stored_members(upload: DICOMFile) -> QuerySet[ArchiveMember]:
    stored = [Outcome.IMPORTED, Outcome.DUPLICATE]
    return ArchiveMember.objects.filter(upload=upload, outcome__in=stored)


def changes(upload: DICOMFile) -> Changes:
    """What this upload brought, in the catalogue's order; a fixed number of queries."""
    instances = DICOMInstance.objects.filter(upload=upload).order_by()
    touched = [*instances.values_list("dicom_series", flat=True).distinct()]
    shown = _shown(touched)
    counts = _counts(upload, shown)
    is_new = _origin(upload, shown)
    tree = Changes(more=len(touched) - len(shown))
    for series in shown:
        added, replaced = counts.get(series.pk, (0, 0))  # deleted meanwhile
        tree.add(SeriesChange(series, series.pk in is_new.series, added, replaced), is_new)
    return tree


def places(upload: DICOMFile) -> Changes:
    """Where the objects are that an upload brought again, as duplicates or other versions."""
    again = [Outcome.DUPLICATE, Outcome.CONFLICT]
    members = ArchiveMember.objects.filter(upload=upload, outcome__in=again).order_by()
    instances = DICOMInstance.objects.filter(pk__in=members.values("instance")).order_by()
    counts = dict(instances.values_list("dicom_series").annotate(Count("pk")))
    tree = Changes(more=max(len(counts) - SERIES_SHOWN, 0))
    for series in _shown(counts):
        tree.add(SeriesChange(series, False, 0, 0, here=counts[series.pk]), NOTHING_NEW)
    return tree


def replaced(upload: DICOMFile) -> int:
    """How many objects an upload's versions took the place of others."""
    return DICOMInstance.objects.filter(upload=upload).exclude(superseded=[]).count()


def _shown(series: Collection[int]) -> list[DICOMSeries]:
    """The first of the series, in the catalogue's order."""
    return list(
        DICOMSeries.objects.filter(pk__in=sorted(series)[:SERIES_SHOWN])
        .select_related("dicom_study__patient")
        .order_by("dicom_study__patient", "dicom_study", "series_number", "pk")
    )


def _counts(upload: DICOMFile, shown: list[DICOMSeries]) -> dict[int, list[int]]:
    """For each of these series: instances added, instances replaced."""
    series = DICOMInstance.objects.filter(dicom_series__in=shown).order_by().values("dicom_series")
    came = Q(upload=upload)
    rows = series.annotate(
        added=Count("pk", filter=came & Q(superseded=[])),
        replaced=Count("pk", filter=came & ~Q(superseded=[])),
    )
    return {pk: counts for pk, *counts in rows.values_list("dicom_series", "added", "replaced")}


def _origin(upload: DICOMFile, shown: list[DICOMSeries]) -> Origin:
    """A series is an upload's where its first instance is, a study where its first series is."""
    series = {one.pk for one in shown}
    studies = {one.dicom_study_id for one in shown}
    patients = {one.dicom_study.patient_id for one in shown}
    first_studies = _firsts(Patient, "studies", patients)
    first_series = _firsts(DICOMStudy, "series", studies | set(first_studies.values()))
    brought = _brought(upload, series | set(first_series.values()))
    new_studies = {study for study, first in first_series.items() if first in brought}
    new_patients = {patient for patient, first in first_studies.items() if first in new_studies}
    return Origin(new_patients, new_studies, brought)


def _firsts(
    model: type[Patient] | type[DICOMStudy], children: str, pks: Collection[int]
) -> dict[int, int]:
    """The oldest child of each row."""
    rows = model._default_manager.filter(pk__in=pks).annotate(first=Min(children))
    return dict(rows.values_list("pk", "first"))


def _brought(upload: DICOMFile, series: Collection[int]) -> set[int]:
    """Those of the series whose first instance came with this upload."""
    instances = DICOMInstance.objects.filter(dicom_series__in=series)
    firsts = instances.order_by().values("dicom_series").annotate(first=Min("pk"))
    # A replaced instance names the upload of its newest version, not the one that brought it.
    ours = DICOMInstance.objects.filter(pk__in=firsts.values("first"), upload=upload, superseded=[])
    return set(ours.values_list("dicom_series", flat=True))
