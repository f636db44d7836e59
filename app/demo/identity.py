"""Whom and what the objects are said to be of: nobody, and in so many words."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

Attributes = Mapping[str, Any]
INVENTED = "Invented: no such person exists"
SOFTWARE_UID = UID("2.25.88172530186310735961746240152968390146")


def uid(*of: object) -> UID:
    """The same for the same words, and of no real object: PS3.5 B.2."""
    words = "/".join(map(str, ("ICON demo", *of)))
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, words).int}")


@dataclass(frozen=True)
class Person:
    """An invented patient."""

    id: str
    name: str
    birth_date: str
    sex: str

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "PatientName": self.name,
            "PatientID": self.id,
            "PatientBirthDate": self.birth_date,
            "PatientSex": self.sex,
            "PatientComments": INVENTED,
        }


@dataclass(frozen=True)
class Study:
    """A study of an invented patient."""

    of: Person
    key: str
    description: str
    date: str
    time: str

    @property
    def uid(self) -> UID:
        return uid(self.of.id, self.key)

    @property
    def _age(self) -> int:
        """Whole years: of two dates as numbers, the years that lie between the days."""
        return (int(self.date) - int(self.of.birth_date)) // 10_000

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            **self.of.attributes,
            "StudyInstanceUID": self.uid,
            "StudyDate": self.date,
            "StudyTime": self.time,
            "StudyID": self.key,
            "AccessionNumber": f"{self.of.id}-{self.key}",
            "StudyDescription": f"{self.description} (demo)",
            "ReferringPhysicianName": "Nobody^Demo",
            "PatientAge": f"{self._age:03}Y",
            "PatientSize": "1.76",
            "PatientWeight": "75",
        }


@dataclass(frozen=True)
class Series:
    """A series, with what its objects have in common."""

    study: Study
    number: int
    modality: str
    description: str
    time: str
    model: str = "Phantom"

    @property
    def uid(self) -> UID:
        return uid(self.study.uid, self.modality, self.number)

    def uid_of(self, number: int) -> UID:
        """Of its object with this number, from 1."""
        return uid(self.uid, number)

    def attributes(self, number: int) -> dict[str, Any]:
        """Of its object with this number: patient, study, series and equipment."""
        return {
            **self.study.attributes,
            "SOPInstanceUID": self.uid_of(number),
            "InstanceNumber": str(number),
            "InstanceCreationDate": self.study.date,
            "InstanceCreationTime": self.time,
            "SeriesInstanceUID": self.uid,
            "SeriesNumber": str(self.number),
            "SeriesDescription": f"{self.description} (demo)",
            "SeriesDate": self.study.date,
            "SeriesTime": self.time,
            "Modality": self.modality,
            "Manufacturer": "ICON",
            "ManufacturerModelName": f"{self.model} (invented)",
            "InstitutionName": "Invented Hospital (demo)",
            "SoftwareVersions": "demo",
        }


def code(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    """An item of a code sequence: PS3.3 8.8."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def reference(sop_class: UID, sop_instance: UID) -> dict[str, Any]:
    """An item that refers to an object: PS3.3 10.8."""
    return {"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": sop_instance}


def evidence(*series: tuple[Series, UID, list[int]]) -> list[dict[str, Any]]:
    """Which objects, by series, class and number, a document refers to: PS3.3 C.17.2."""
    (first, _, _), *_ = series
    return [
        {
            "StudyInstanceUID": first.study.uid,
            "ReferencedSeriesSequence": [
                {
                    "SeriesInstanceUID": one.uid,
                    "ReferencedSOPSequence": [
                        reference(sop_class, one.uid_of(number)) for number in numbers
                    ],
                }
                for one, sop_class, numbers in series
            ],
        }
    ]


def written(
    sop_class: UID, attributes: Attributes, transfer_syntax: UID = ExplicitVRLittleEndian
) -> bytes:
    """A file in the DICOM File Format, the same for the same attributes."""
    dataset = _dataset(
        {"SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": sop_class, **attributes}
    )
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = SOFTWARE_UID
    meta.ImplementationVersionName = "ICON_DEMO"
    dataset.file_meta = meta
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _dataset(attributes: Attributes) -> Dataset:
    """Of attributes by keyword; decimals in one text are written as it is, which costs no time."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        vr = dictionary_VR(keyword)
        if vr == "SQ":
            value = [_dataset(item) for item in value]
        if vr == "DS" and isinstance(value, str) and "\\" in value:
            dataset.add(DataElement(keyword, vr, value, already_converted=True))
        else:
            setattr(dataset, keyword, value)
    return dataset


def decimal(value: float) -> str:
    """A Decimal String, of at most 16 characters: PS3.5 6.2."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    if len(text) > 16:
        text = f"{value:.9g}"
    return "0" if text == "-0" else text
