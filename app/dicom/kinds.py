"""The kind of an object, which decides what ICON keeps of it beyond the common attributes."""

from enum import Enum
from functools import lru_cache

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
RT_STRUCTURE_SET = f"{STORAGE_ROOT}481.3"
RT_DOSE = f"{STORAGE_ROOT}481.2"
SEGMENTATION = f"{STORAGE_ROOT}66.4"
IMAGE_CLASSES = frozenset(
    STORAGE_ROOT + suffix
    for suffix in (
        *("2", "2.1", "2.2"),  # CT; enhanced; legacy converted
        *("4", "4.1", "4.3", "4.4"),  # MR; enhanced; enhanced colour; legacy converted
        *("128", "128.1", "130"),  # PET; legacy converted; enhanced
    )
)
MR_SPECTROSCOPY = f"{STORAGE_ROOT}4.2"
REPORT_ROOT = f"{STORAGE_ROOT}88."  # structured reports, and selections of key objects
ENCAPSULATED_PDF = f"{STORAGE_ROOT}104.1"
# The number after STORAGE_ROOT in the standard's other classes, which are no CT, MR or PET images,
# whatever their modality says.
OTHER_FAMILIES = frozenset(
    (
        *("1", "12", "13", "14"),  # radiography; angiography; X-ray in 3D; optical coherence
        *("3", "6", "5", "20", "7"),  # ultrasound; nuclear medicine; secondary capture
        *("8", "9", "11"),  # overlays; waveforms; presentation states
        *("30", "66", "67", "68"),  # maps; registrations and segmentations; value maps; surfaces
        *("77", "78", "79", "80", "81", "82"),  # visible light and ophthalmology
        *("88", "90", "91", "104"),  # structured reports; assessments; annotations; documents
        *("129", "131", "200", "201"),  # PET curves; displays; protocols; inventories
        *("481", "501", "601", "602"),  # radiotherapy; security; industrial testing
    )
)
# Modalities whose objects have no pixels.
NO_IMAGES = ("AU", "DOC", "ECG", "KO", "PLAN", "PR", "REG", "RTPLAN", "RTRECORD", "RTSTRUCT", "SR")


class Kind(Enum):
    """The kinds of objects of which ICON keeps details, and all others."""

    IMAGE = "CT, MR or PET"
    STRUCTURE_SET = "RT Structure Set"
    OTHER = "anything else"

    @property
    def word(self) -> str:
        """What a command calls it: structure-set."""
        return self.name.lower().replace("_", "-")


@lru_cache(maxsize=128)
def kind_of(sop_class_uid: str, modality: str) -> Kind:
    """By SOP class, and by modality where the standard has no such class."""
    if sop_class_uid in IMAGE_CLASSES:
        return Kind.IMAGE
    if sop_class_uid == RT_STRUCTURE_SET:
        return Kind.STRUCTURE_SET
    if _is_other_class(sop_class_uid):
        return Kind.OTHER
    if modality in ("CT", "MR", "PT"):
        return Kind.IMAGE
    return Kind.STRUCTURE_SET if modality == "RTSTRUCT" else Kind.OTHER


def is_report(sop_class_uid: str, modality: str) -> bool:
    """Whether an object has a content tree to be read as a document: PS3.3 C.17."""
    if sop_class_uid.startswith(STANDARD_ROOT):
        return sop_class_uid.startswith(REPORT_ROOT)
    return modality == "SR"


def is_dose(sop_class_uid: str, modality: str) -> bool:
    return _is(RT_DOSE, "RTDOSE", sop_class_uid, modality)


def is_segmentation(sop_class_uid: str, modality: str) -> bool:
    return _is(SEGMENTATION, "SEG", sop_class_uid, modality)


def _is(wanted: str, called: str, sop_class_uid: str, modality: str) -> bool:
    """Whether an object is of a class; by modality where the standard has no such class."""
    if sop_class_uid.startswith(STANDARD_ROOT):
        return sop_class_uid == wanted
    return modality == called


def _is_other_class(sop_class_uid: str) -> bool:
    if sop_class_uid.startswith(STORAGE_ROOT):
        family = sop_class_uid.removeprefix(STORAGE_ROOT).split(".")[0]
        return sop_class_uid == MR_SPECTROSCOPY or family in OTHER_FAMILIES
    return sop_class_uid.startswith(STANDARD_ROOT)
