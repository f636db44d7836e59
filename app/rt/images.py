"""The images that the contours of a structure lie on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from django.db.models import QuerySet

from app.models import DICOMInstance, RTStructureROI

MOST = 10_000  # images of one structure that are looked for


class _Contour(msgspec.Struct):
    """What is read of a contour: all but its points, which are most of it."""

    type: str | None = None
    sop: str | None = None


_contours_of = msgspec.json.Decoder(list[_Contour]).decode


@dataclass(frozen=True)
class Drawn:
    """What the contours of a structure name."""

    on: dict[str, int]  # by the UID of an image, in the order of the file: how many contours
    on_none: int  # contours that name no image
    kinds: dict[str, int]  # by geometric type: how many contours


def drawn(roi: int) -> Drawn:
    """Read the contours of one structure; they are as large as its file's header may be."""
    text = RTStructureROI.objects.values_list("roi_contour_data", flat=True).get(pk=roi)
    contours = _contours_of(text)
    on = Counter(contour.sop for contour in contours if contour.sop)
    kinds = Counter(contour.type or "" for contour in contours)
    return Drawn({**on}, len(contours) - on.total(), {**kinds})


@dataclass(frozen=True)
class Image:
    """An image that contours lie on, here or not."""

    uid: str
    contours: int
    instance: DICOMInstance | None

    @property
    def z(self) -> float | None:
        """Where it lies, in mm; None where that is not known."""
        information = getattr(self.instance, "image_information", None)
        position = information.image_position_patient if information else None
        return position[2] if position else None


def images_here(uids: Sequence[str], patient: int) -> set[str]:
    """Those of some UIDs that are objects of a patient."""
    return {*_of(patient, uids).values_list("sop_instance_uid", flat=True)}


def images(on: dict[str, int], uids: Sequence[str], patient: int) -> list[Image]:
    """The images with some UIDs, in their order; twice where the patient has two."""
    rows = _of(patient, uids).select_related("dicom_series", "image_information")
    here: dict[str, list[DICOMInstance | None]] = {}
    for row in rows.order_by("pk"):
        here.setdefault(row.sop_instance_uid, []).append(row)
    return [Image(uid, on[uid], row) for uid in uids for row in here.get(uid) or [None]]


def _of(patient: int, uids: Sequence[str]) -> QuerySet[DICOMInstance]:
    return DICOMInstance.objects.filter(
        sop_instance_uid__in=uids, dicom_series__dicom_study__patient=patient
    )
