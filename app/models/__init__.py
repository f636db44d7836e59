"""The tables, and what one row can do."""

from .accounts import FirstPassword, SignInTries
from .audit import AuditEntry, Kind
from .catalogue import (
    Counted,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    IdentityAnswer,
    ImageInformation,
    InstanceQuerySet,
    Patient,
    PatientIdentity,
)
from .health import CatalogueCheck, WorkerSeen
from .rt import (
    FoundBy,
    Link,
    LinkKind,
    LinkQuerySet,
    RTStructureROI,
    RTStructureSetInformation,
)
from .searched import COLUMN, Searched, SearchTextField, search_field
from .selections import COLLECTED, Collection, CollectionEntry, SamePerson
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
    "COLLECTED",
    "COLUMN",
    "LOG",
    "LOG_LINES",
    "ArchiveMember",
    "AuditEntry",
    "BroughtQuerySet",
    "CatalogueCheck",
    "Collection",
    "CollectionEntry",
    "Counted",
    "DICOMFile",
    "DICOMFileQuerySet",
    "DICOMInstance",
    "DICOMSeries",
    "DICOMStudy",
    "FileToDelete",
    "FirstPassword",
    "FoundBy",
    "IdentityAnswer",
    "ImageInformation",
    "InstanceQuerySet",
    "Kind",
    "Link",
    "LinkKind",
    "LinkQuerySet",
    "Outcome",
    "Patient",
    "PatientIdentity",
    "RTStructureROI",
    "RTStructureSetInformation",
    "SamePerson",
    "SearchTextField",
    "Searched",
    "SignInTries",
    "Stage",
    "Status",
    "WorkerSeen",
    "random_archive_name",
    "search_field",
)
