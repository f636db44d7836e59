"""What kind of object a file holds, and so what ICON keeps of it beyond the common attributes."""

from enum import Enum
from functools import lru_cache

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_ROOT = "1.2.840.10008."
STORAGE = "1.2.840.10008.5.1.4.1.1."
RT_STRUCTURE_SET = f"{STORAGE}481.3"
IMAGES = frozenset(
    STORAGE + suffix
    for suffix in (
        *("2", "2.1", "2.2"),  # CT; enhanced; legacy converted
        *("4", "4.1", "4.3", "4.4"),  # MR; enhanced; enhanced colour; legacy converted
        *("128", "128.1", "130"),  # PET; legacy converted; enhanced
    )
)
# What begins the rest of the standard's storage classes: no CT, MR or PET images, whatever their
# modality says.
OTHER_FAMILIES = frozenset(
    (
        *("1", "3", "5", "6", "7", "8", "9", "11", "12", "13", "14", "20", "30", "66", "67", "68"),
        *("77", "78", "79", "80", "81", "82", "88", "90", "91", "104", "129", "131", "200", "201"),
        *("481", "501", "601", "602"),
    )
)


class Kind(Enum):
    """What ICON keeps the details of."""

    IMAGE = "CT, MR or PET"
    STRUCTURE_SET = "RT Structure Set"
    OTHER = "anything else"


@lru_cache(maxsize=128)
def kind_of(sop_class_uid: str, modality: str) -> Kind:
    """By SOP class, and by modality where the standard has no such class."""
    if sop_class_uid in IMAGES:
        return Kind.IMAGE
    if sop_class_uid == RT_STRUCTURE_SET:
        return Kind.STRUCTURE_SET
    if _is_other_class(sop_class_uid):
        return Kind.OTHER
    if modality in ("CT", "MR", "PT"):
        return Kind.IMAGE
    return Kind.STRUCTURE_SET if modality == "RTSTRUCT" else Kind.OTHER


def _is_other_class(sop_class_uid: str) -> bool:
    if sop_class_uid.startswith(STORAGE):
        ending = sop_class_uid.removeprefix(STORAGE)
        return ending == "4.2" or ending.split(".")[0] in OTHER_FAMILIES
    return sop_class_uid.startswith(STANDARD_ROOT)
