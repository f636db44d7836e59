"""What things are called on a page: a person, a study, an object."""

import re
from datetime import date

from django.db.models import Model
from django.utils.formats import date_format

from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.wording import counted

# Marks that turn the direction of all text after them; a right-to-left script needs none.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def row_name(row: Model) -> str:
    """A row as people call it; `str` has no names, since it goes into logs."""
    match row:
        case Patient():
            name = person_name(row.patient_name) or "(no name)"
            return f"{name} ({plain(row.unique_patient_id) or 'no ID'})"
        case DICOMStudy():
            day = date_format(row.study_date) if row.study_date else ""
            return ", ".join(filter(None, [plain(row.study_description) or "Study", day]))
        case DICOMSeries():
            return " ".join(filter(None, [row.modality, plain(row.series_description)])) or "Series"
        case DICOMInstance():
            number = "" if row.instance_number is None else row.instance_number
            return f"{row.modality or 'Object'} {number}".rstrip()
        case ImageInformation():
            return row_name(row.dicom_instance)
        case RTStructureSetInformation():
            return plain(row.structure_set_label or row.structure_set_name) or "Structure set"
        case RTStructureROI():
            return plain(row.roi_name) or "ROI"
        case ArchiveMember():
            return row.name or "(no name)"
        case DICOMFile():
            return plain(row.name)
    return plain(str(row))


def plain(text: str) -> str:
    """Text without marks that would turn what is read after them."""
    return TURNING.sub("\N{REPLACEMENT CHARACTER}", text)


def person_name(text: str) -> str:
    """A Person Name (PS3.5 Section 6.2.1) as people write it.

    `Adams^John^Q^Rev.^B.A.` is "Adams, Rev. John Q, B.A."; a name's ideographic and phonetic
    groups follow in brackets: `Yamada^Tarou=山田^太郎` is "Yamada, Tarou (山田 太郎)".
    """
    alphabetic, *others = plain(text).split("=")
    further = [" ".join(group.replace("^", " ").split()) for group in others]
    names = [name for name in (_alphabetic(alphabetic), *further) if name]
    if len(names) < 2:
        return "".join(names)
    return f"{names[0]} ({'; '.join(names[1:])})"


SEXES = {"F": "female", "M": "male", "O": "other"}  # Patient's Sex, PS3.3 C.7.1.1


def sex_name(text: str) -> str:
    """A sex in words; what is none of the standard's terms stays as it came."""
    return SEXES.get(text, plain(text))


# Approval Status, PS3.3 C.8.8.16.
APPROVALS = {"APPROVED": "approved", "UNAPPROVED": "not approved", "REJECTED": "rejected"}


def approval_name(term: str) -> str:
    """An approval in words; a term that the standard does not know stays as it came."""
    return APPROVALS.get(term, plain(term))


LONGEST_LIFE = 130  # years


def age_on(day: date, born: date | None) -> str:
    """How old somebody is on a day: "72 years", "5 months", "12 days"; "" where nobody is."""
    if born is None or born > day:
        return ""
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    if months >= 24:
        years = months // 12
        return f"{years} years" if years <= LONGEST_LIFE else ""
    return counted(months, "month") if months else counted((day - born).days, "day")


def _alphabetic(group: str) -> str:
    family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
    forenames = " ".join(f"{prefix} {given} {middle}".split())
    return ", ".join(part for part in (family.strip(), forenames, suffix.strip()) if part)
