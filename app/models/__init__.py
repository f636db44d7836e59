"""The tables, and what one row can do."""

from .accounts import SignInTries
from .catalogue import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    ImageInformation,
    InstanceQuerySet,
    Patient,
)
from .health import CatalogueCheck, WorkerSeen
from .rt import RTStructureROI, RTStructureSetInformation
from .uploads import (
    ARCHIVES,
    LOG,
    LOG_LINES,
    ArchiveMember,
    BroughtQuerySet,
    DICOMFile,
    DICOMFileQuerySet,
    Outcome,
    Stage,
    Status,
    random_archive_name,
)

__all__ = (
    "ARCHIVES",
    "LOG",
    "LOG_LINES",
    "ArchiveMember",
    "BroughtQuerySet",
    "CatalogueCheck",
    "DICOMFile",
    "DICOMFileQuerySet",
    "DICOMInstance",
    "DICOMSeries",
    "DICOMStudy",
    "FileToDelete",
    "ImageInformation",
    "InstanceQuerySet",
    "Outcome",
    "Patient",
    "RTStructureROI",
    "RTStructureSetInformation",
    "SignInTries",
    "Stage",
    "Status",
    "WorkerSeen",
    "random_archive_name",
)
