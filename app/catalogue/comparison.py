"""The identities of one Patient ID side by side, as a page shows them."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.db.models import Count, Q
from django.utils.formats import date_format

from app.dicom.attributes import PATIENT
from app.models import (
    DICOMFile,
    DICOMInstance,
    IdentityAnswer,
    Patient,
    PatientIdentity,
)
from app.reasons import sentence
from app.wording import counted

from .identities import IDENTITY, differences
from .names import person_name, plain

MOST_IDENTITIES = 20  # side by side with the catalogue's, and answered at once
MOST_CARDS = 10  # on the page of one upload
LABELS = {
    "patient_name": "Name",
    "patient_dob": "Birth date",
    "patient_sex": "Sex",
    "issuer_of_patient_id": "Issuer of patient ID",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute: what the catalogue has, and what else was given."""

    label: str
    catalogued: str
    given: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Other:
    """An identity that differs from the patient's."""

    identity: PatientIdentity
    objects: int
    lines: list[Line]


class Choice(NamedTuple):
    """An answer that can be given, and what comes of it."""

    value: str
    label: str
    means: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the card of one patient shows."""

    patient: Patient
    objects: int  # with the values that the catalogue has
    others: list[Other]
    more: int  # identities that differ, too, and are not shown
    unread: int  # objects whose identity is known when they have been read again

    @property
    def choices(self) -> list["Choice"]:
        return [
            Choice(one.value, str(one.label), sentence(means))
            for one, means in (
                (IdentityAnswer.ONE, "one_person_means"),
                (IdentityAnswer.TWO, "two_people_means"),
            )
        ]

    @property
    def who_answers(self) -> str:
        return sentence("identity_who_answers")

    @property
    def unread_words(self) -> str:
        return sentence("identity_unread", objects=counted(self.unread, "object"))


def comparison_of(patient: Patient) -> Comparison:
    """A patient's identities that differ, those first that are asked about."""
    brought = DICOMInstance.objects.filter(dicom_series__dicom_study__patient=patient)
    counts = dict(brought.order_by().values_list("identity").annotate(Count("pk")))
    identities = patient.identities.select_related("first_upload")
    identities = identities.defer("first_upload__processing_log_data").order_by("-is_open", "pk")
    differing = [one for one in identities if one.is_open or differences(patient, one)]
    shown = differing[:MOST_IDENTITIES]
    others = [Other(one, counts.get(one.pk, 0), _lines(patient, one)) for one in shown]
    unread = counts.pop(None, 0)
    apart = sum(counts.get(one.pk, 0) for one in differing)
    alike = sum(counts.values()) - apart
    return Comparison(patient, alike, others, len(differing) - len(shown), unread)


def comparisons_of(upload: DICOMFile) -> tuple[list[Comparison], int]:
    """Of the patients of whom an upload's objects made one ask, answered or not.

    The first MOST_CARDS, and how many more there are.
    """
    asked = Patient.objects.filter(Q(identity_differs=True) | ~Q(identity_answer=""))
    identities = dict(
        PatientIdentity.objects.filter(patient__in=asked).values_list("pk", "patient")
    )
    if not identities:  # nearly always; an upload may have 100,000 objects to look through
        return [], 0
    objects = DICOMInstance.objects.filter(upload=upload).order_by()
    brought = objects.values_list("identity", flat=True).distinct()
    patients = {identities[pk] for pk in brought if pk in identities}
    shown = Patient.objects.filter(pk__in=sorted(patients)[:MOST_CARDS]).order_by("pk")
    return [comparison_of(patient) for patient in shown], max(0, len(patients) - MOST_CARDS)


def warnings_told() -> set[str]:
    """The warnings of which a comparison tells more."""
    return {sentence("patient_differs", attribute=PATIENT[name].keyword) for name in IDENTITY}


def _lines(patient: Patient, other: PatientIdentity) -> list[Line]:
    apart = differences(patient, other)
    values = [(name, getattr(patient, name), getattr(other, name)) for name in IDENTITY]
    return [
        Line(LABELS[name], _shown(name, ours), _shown(name, theirs), name in apart)
        for name, ours, theirs in values
        if ours or theirs
    ]


def _shown(name: str, value: str | date | None) -> str:
    if isinstance(value, date):
        return date_format(value)
    if name == "patient_name":
        return person_name(value or "")
    return plain(value or "")
