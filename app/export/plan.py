"""What goes into a ZIP, and where: the objects of series, folder by folder.

Of an object only its key and its size are held until its turn comes, so that a plan of a hundred
thousand takes some 2 MB. A larger one looks its objects up as it comes to them; its length is not
known before.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import F, QuerySet

from app.models import DICOMInstance, DICOMSeries
from app.sandbox.dicomdir import LONGEST_RECORDS

from .names import Siblings, file_name, patient_folder, series_folder, study_folder

MEASURED = 100_000  # objects of which a ZIP's length is told before
# Bytes that a DICOMDIR needs for an image at most, and for a series with all that is above it. Of
# what is no image, such as a report, a record may repeat much.
RECORD, RECORDS_ABOVE = 1_000, 4_000
AT_ONCE = 200  # series whose objects are looked up together
ORDER = (
    *("dicom_study__patient", F("dicom_study__study_date").asc(nulls_last=True), "dicom_study"),
    *(F("series_number").asc(nulls_last=True), "pk"),
)
OBJECTS = ("dicom_series", F("instance_number").asc(nulls_last=True), "pk")


@dataclass(slots=True)
class Folder:
    """A series' folder, and the objects that are in it."""

    series: int
    path: str
    as_on_media: bool  # its files have names as the standard's media have
    pks: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    records: int = RECORDS_ABOVE  # bytes that a DICOMDIR needs for them at most

    def file(self, number: int) -> str:
        """The name of one of its files, counted from 0."""
        if self.as_on_media:
            return f"{self.path}/IMG{number + 1:05}"
        return f"{self.path}/{file_name(number + 1, len(self.pks))}"


def folders_of(series: QuerySet[DICOMSeries], named: bool, as_on_media: bool) -> list[Folder]:
    """The folders of series, without their objects.

    Parameters
    ----------
    named
        Whether folders of patients have their names and IDs.
    as_on_media
        Whether folders and files are called as on the standard's media: at most eight letters
        and digits (PS3.10 8.2 and 8.5).
    """
    rows = series.select_related("dicom_study__patient").order_by(*ORDER)
    rows = rows.defer("described", "dicom_study__described")
    place = _OnMedia() if as_on_media else _Readable(named)
    return [Folder(one.pk, place.of(one), as_on_media) for one in rows.iterator(1_000)]


def filled(folders: Sequence[Folder]) -> Iterator[Folder]:
    """Folders with their objects, as they are looked up; without those that have none."""
    for first in range(0, len(folders), AT_ONCE):
        some = folders[first : first + AT_ONCE]
        by_series = {folder.series: folder for folder in some}
        rows = DICOMInstance.objects.filter(dicom_series__in=by_series).order_by(*OBJECTS)
        columns = ("dicom_series", "pk", "size", "rows")
        for series, pk, size, pixels in rows.values_list(*columns).iterator(2_000):
            folder = by_series[series]
            folder.pks.append(pk)
            folder.sizes.append(size)
            folder.records += RECORD + (0 if pixels else min(size, LONGEST_RECORDS))
        yield from (folder for folder in some if folder.pks)


class _Readable:
    """Folders that people read."""

    def __init__(self, named: bool) -> None:
        self._named = named
        self._patients, self._studies, self._series = Siblings(), Siblings(), Siblings()
        self._patient = self._study = self._number = 0
        self._path = ["", ""]

    def of(self, series: DICOMSeries) -> str:
        study = series.dicom_study
        if study.patient_id != self._patient:
            self._patient, self._studies = study.patient_id, Siblings()
            self._number += 1
            folder = patient_folder(study.patient, self._number, self._named)
            self._path[0] = self._patients.name(folder)
        if study.pk != self._study:
            self._study, self._series = study.pk, Siblings()
            self._path[1] = self._studies.name(study_folder(study))
        return "/".join((*self._path, self._series.name(series_folder(series))))


class _OnMedia:
    """Folders that every system can open: DICOM/PAT00001/STU00001/SER00001."""

    def __init__(self) -> None:
        self._at = (0, 0)
        self._numbers = [0, 0, 0]

    def of(self, series: DICOMSeries) -> str:
        patient, study = series.dicom_study.patient_id, series.dicom_study_id
        new = 0 if patient != self._at[0] else 1 if study != self._at[1] else 2
        self._at = patient, study
        self._numbers[new] += 1
        self._numbers[new + 1 :] = [1] * (2 - new)
        return "DICOM/PAT{:05}/STU{:05}/SER{:05}".format(*self._numbers)
