"""A record's lineage -> its place on disk, relative to the processed root."""

import hashlib
import re

PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
PLAIN_UID = re.compile(r"[0-9]++(?:\.[0-9]++)*+")
UID_LENGTH = 64  # PS3.5 section 9
SLUG_LENGTH = 40
NOT_SLUG = re.compile(r"[^A-Za-z0-9_-]+")
# Names that Windows gives to devices, with any extension: a share must be able to show the tree.
DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}


def patient_folder(unique_patient_id: str, study_instance_uid: str) -> str:
    """The folder of a patient; without an ID each study has a patient of its own."""
    if not unique_patient_id:
        return f"no-id~{_digest(study_instance_uid)}"
    if _is_plain_id(unique_patient_id):
        return unique_patient_id
    return _slug(unique_patient_id)


def instance_path(folder: str, study: str, series: str, sop: str) -> str:
    """`{patient}/{study}/{series}/{sop}.dcm`: built from attributes, never from a member's name."""
    return f"{series_path(folder, study, series)}/{instance_name(sop)}"


def series_path(folder: str, study: str, series: str) -> str:
    return f"{folder}/{uid_component(study)}/{uid_component(series)}"


def instance_name(sop: str) -> str:
    return f"{uid_component(sop)}.dcm"


def uid_component(uid: str) -> str:
    if len(uid) <= UID_LENGTH and PLAIN_UID.fullmatch(uid):
        return uid
    return _slug(uid)


def _is_plain_id(text: str) -> bool:
    return (
        PLAIN_ID.fullmatch(text) is not None
        and text[-1] not in ". "
        and text.split(".")[0].rstrip().lower() not in DEVICES
    )


def _slug(text: str) -> str:
    # Plain names hold no "~", so a slug never meets one; the digest keeps A/B and A_B apart.
    return f"{NOT_SLUG.sub('_', text)[:SLUG_LENGTH]}~{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
