"""The identities that one Patient ID came with, and whether they are one person's.

An identity is a name, birth date, sex and issuer that objects give together; each distinct one is
a row, and every object knows its own. One that differs from what the catalogue has for the patient
is open until somebody says whether that is one person. What was said holds for the values that it
was said of: another value, or another issuer, asks again.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from unicodedata import normalize

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from app.audit.recording import record
from app.dicom.attributes import PATIENT
from app.dicom.records import READ_VERSION, PatientRecord
from app.models import (
    DICOMFile,
    DICOMInstance,
    IdentityAnswer,
    Kind,
    Patient,
    PatientIdentity,
)

from .transactions import lock_patients

IDENTITY = [name for name in PATIENT if name != "unique_patient_id"]

Identified = Patient | PatientIdentity | PatientRecord  # all have the fields of IDENTITY
Value = str | date | None


# --- which are alike -------------------------------------------------------------------------


def digest(one: Identified) -> str:
    """What tells identities of a patient apart: all values as they are written."""
    values = [str(getattr(one, name) or "") for name in IDENTITY]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def differences(one: Identified, other: Identified) -> list[str]:
    """The fields that both give, and give otherwise."""
    return [name for name in IDENTITY if _differ(name, getattr(one, name), getattr(other, name))]


def fill(patient: Patient, one: Identified) -> list[str]:
    """Give a patient what it lacks of an identity; the fields that it was given.

    Nothing of one that differs: it may be another person's.
    """
    return [] if differences(patient, one) else _fill(patient, one)


def _fill(patient: Patient, one: Identified) -> list[str]:
    lacking = [name for name in IDENTITY if getattr(one, name) and not getattr(patient, name)]
    for name in lacking:
        setattr(patient, name, getattr(one, name))
    return lacking


def unheard(patient: Patient, one: Identified, settled: Iterable[PatientIdentity]) -> list[str]:
    """The fields in which it differs from the patient and from each identity that is settled."""
    return [
        name
        for name in differences(patient, one)
        if not any(_agree(name, getattr(known, name), getattr(one, name)) for known in settled)
    ]


def _differ(name: str, ours: Value, theirs: Value) -> bool:
    """Of a name's groups those count that both have: PS3.5 6.2.1."""
    return any(one != other for one, other in _in_common(name, ours, theirs))


def _agree(name: str, ours: Value, theirs: Value) -> bool:
    pairs = _in_common(name, ours, theirs)
    return bool(pairs) and all(one == other for one, other in pairs)


def _in_common(name: str, ours: Value, theirs: Value) -> list[tuple[Value, Value]]:
    """What both give: of a name each group, of anything else the whole."""
    pairs: Iterable[tuple[Value, Value]] = [(ours, theirs)]
    if isinstance(ours, str) and isinstance(theirs, str):
        pairs = zip(_parts(name, ours), _parts(name, theirs), strict=False)
    return [(one, other) for one, other in pairs if one and other]


def _parts(name: str, value: str) -> list[str]:
    """A name's alphabetic, ideographic and phonetic group; another text as its only part.

    Writing it in capitals, its letters composed or decomposed, or its empty last components,
    makes no other person; nor does a group that only one of two names has.
    """
    text = normalize("NFC", value).casefold()
    groups = text.split("=") if name == "patient_name" else [text]
    return [group.rstrip("^ ") for group in groups]


# --- what is asked ---------------------------------------------------------------------------


def settled_of(patients: Collection[int]) -> dict[int, list[PatientIdentity]]:
    """By patient: the identities of which nothing is asked (any more)."""
    found: dict[int, list[PatientIdentity]] = {pk: [] for pk in patients}
    for identity in PatientIdentity.objects.filter(patient__in=patients, is_open=False):
        found[identity.patient_id].append(identity)
    return found


def lock(identities: Collection[int]) -> dict[int, PatientIdentity]:
    """Keep them from being deleted until the transaction ends; those that are there."""
    rows = PatientIdentity.objects.select_for_update(no_key=True).filter(pk__in=identities)
    return {row.pk: row for row in rows.order_by("pk")}


def ask(identities: Collection[int], patients: Collection[int]) -> None:
    """Open the question whether these identities are one person's."""
    PatientIdentity.objects.filter(pk__in=identities, is_open=False).update(is_open=True)
    Patient.objects.filter(pk__in=patients, identity_differs=False).update(identity_differs=True)


def find_by_new_names(patients: Collection[int]) -> None:
    """Let searches find patients by the names of all their identities."""
    for row in lock_patients(patients).values():
        row.save(update_fields=["patient_name"])  # and with it what searches look in


@transaction.atomic
def answer(
    patient: Patient,
    said: IdentityAnswer,
    identities: Collection[int],
    user: AbstractBaseUser,
) -> None:
    """Somebody has looked at these identities of a patient, and says whether it is one person.

    Others, which came meanwhile, are still asked of.

    Raises
    ------
    Patient.DoesNotExist
        Somebody has deleted the patient meanwhile.
    """
    if (row := lock_patients([patient.pk]).get(patient.pk)) is None:
        raise Patient.DoesNotExist
    seen = lock(patient.identities.filter(pk__in=identities).values_list("pk", flat=True))
    PatientIdentity.objects.filter(pk__in=seen).update(is_open=False)
    for identity in seen.values() if said == IdentityAnswer.ONE else ():
        _fill(row, identity)
    row.identity_answer = said
    row.identity_answered_by_id = user.pk
    row.identity_answered_as = user.get_username()
    row.identity_answered_at = timezone.now()
    row.identity_differs = _is_asked(row)
    row.save(update_fields=[*IDENTITY, *ANSWER, "identity_differs"])
    settle_uploads(_uploads_of(row))
    record(Kind.IDENTITY_ANSWERED, user, row, f"{said.label}.")


ANSWER = (
    "identity_answer",
    "identity_answered_by",
    "identity_answered_as",
    "identity_answered_at",
)


def _uploads_of(patient: Patient) -> QuerySet[DICOMInstance, int | None]:
    objects = DICOMInstance.objects.filter(dicom_series__dicom_study__patient=patient)
    return objects.order_by().values_list("upload", flat=True).distinct()


def _is_asked(patient: Patient) -> bool:
    """Whether an identity is open, or objects may hold one that are still to be read again."""
    if patient.identities.filter(is_open=True).exists():
        return True
    return patient.identity_differs and _unread(patient).exists()


def _unread(patient: Patient) -> QuerySet[DICOMInstance]:
    """Its objects that were catalogued before identities were kept, and not read again since."""
    return DICOMInstance.objects.filter(
        dicom_series__dicom_study__patient=patient,
        identity=None,
        read_version__lt=READ_VERSION,
    )


def settle_uploads(uploads: Iterable[int | None]) -> None:
    """Ask no longer of uploads all of whose objects have identities that are settled."""
    asking = DICOMFile.objects.select_for_update(no_key=True).filter(
        pk__in=[pk for pk in uploads if pk], asks_identity=True
    )
    # Locked before it is looked whether they still ask: a run may be at work on one.
    locked = list(asking.order_by("pk").values_list("pk", flat=True))
    if locked:
        open_ones = DICOMInstance.objects.filter(upload=OuterRef("pk"), identity__is_open=True)
        settled = DICOMFile.objects.filter(~Exists(open_ones), pk__in=locked)
        settled.update(asks_identity=False)


# --- what goes -------------------------------------------------------------------------------


def without_objects(identities: QuerySet[PatientIdentity]) -> QuerySet[PatientIdentity]:
    used = DICOMInstance.objects.filter(
        # The patient finds the objects, an identity has no index.
        dicom_series__dicom_study__patient=OuterRef("patient"),
        identity=OuterRef("pk"),
    )
    return identities.filter(~Exists(used))


def forget_unused(identities: Collection[int], uploads: Iterable[int | None]) -> None:
    """Delete those whose last object is gone, and ask no more of what only they asked.

    The caller holds their patients.

    Parameters
    ----------
    uploads
        Those that the objects came with.
    """
    locked = lock(identities)
    unused = without_objects(PatientIdentity.objects.filter(pk__in=locked))
    gone = dict(unused.values_list("pk", "patient"))
    if not gone:
        return
    PatientIdentity.objects.filter(pk__in=gone).delete()
    settle(gone.values())
    settle_uploads(uploads)


def settle(patients: Collection[int]) -> None:
    """See what is still asked of patients, some of whose identities are gone or read otherwise."""
    for patient in lock_patients(patients).values():
        left = list(patient.identities.order_by("pk"))
        if left and not _unread(patient).exists() and _take_from(patient, left):
            settle_uploads(_uploads_of(patient))
        patient.identity_differs = _is_asked(patient)
        patient.save()


def _take_from(patient: Patient, identities: Sequence[PatientIdentity]) -> bool:
    """What a patient is known by, when identities have gone: the first that is left.

    Where none differs from it any more, nothing is asked, and what was answered is void. True
    where that settled one.
    """
    is_one = patient.identity_answer == IdentityAnswer.ONE
    _clear(patient, IDENTITY)
    for one in identities:
        if is_one and not one.is_open:
            _fill(patient, one)
        else:
            fill(patient, one)
    alike = [one.pk for one in identities if not differences(patient, one)]
    closed = PatientIdentity.objects.filter(pk__in=alike, is_open=True).update(is_open=False)
    if len(alike) == len(identities):
        _clear(patient, ANSWER)
    return closed > 0


def _clear(patient: Patient, names: Iterable[str]) -> None:
    blank = Patient()
    for name in names:
        setattr(patient, name, getattr(blank, name))
