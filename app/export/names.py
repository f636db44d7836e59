"""What folders and files in a ZIP are called: readable, and safe on every system.

Windows takes no name with some signs, none that ends with a dot or a blank, none of its devices',
and no two that differ in case alone; a path over 260 characters few of its programs open.
"""

import re
import unicodedata

from app.catalogue.names import person_name
from app.models import DICOMSeries, DICOMStudy, Patient

LONGEST = 40  # characters of a folder's name
FORBIDDEN = re.compile(r'[<>:"/\\|?*\ufffd]')
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories of Unicode
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def safe(text: str, longest: int = LONGEST) -> str:
    """A text as a file's name; "" where nothing of it can stand in one."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if unicodedata.category(one) in INVISIBLE else one for one in text)
    text = " ".join(FORBIDDEN.sub(" ", text).split())
    text = text[:longest].strip(" .")
    return f"_{text}" if DEVICES.fullmatch(text) else text


def patient_folder(patient: Patient, number: int, named: bool) -> str:
    """ "Patient 3" or, with name and ID, "Doe, Jane (12345)"."""
    if not named:
        return f"Patient {number}"
    name = safe(person_name(patient.patient_name)) or "No name"
    return f"{name} ({safe(patient.unique_patient_id, 30) or 'no ID'})"


def study_folder(study: DICOMStudy) -> str:
    """ "2024-03-13 Thorax"."""
    day = study.study_date.isoformat() if study.study_date else "No date"
    return f"{day} {safe(study.study_description) or 'Study'}"


def series_folder(series: DICOMSeries) -> str:
    """ "003 CT Thorax native 3.0"."""
    number = "" if series.series_number is None else f"{series.series_number:03}"
    parts = number, safe(series.modality, 16), safe(series.series_description)
    return " ".join(filter(None, parts)) or "Series"


class Siblings:
    """The folders of one folder: of those that are called alike each further one gets a number."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        name, times = wanted, 1
        while (key := unicodedata.normalize("NFKC", name).casefold()) in self._times:
            times = self._times[key] = self._times[key] + 1
            name = f"{wanted} ({times})"
        self._times[key] = 1
        return name


def file_name(number: int, among: int) -> str:
    """ "0007.dcm"."""
    return f"{number:0{max(len(str(among)), 4)}}.dcm"
