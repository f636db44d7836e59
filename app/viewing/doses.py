"""A dose, as the script of a series' page draws it: where its grid lies, and its values.

    GET /dicom/doses/<pk>/              JSON: `app.geometry.doses.Dose`; where it cannot be drawn,
                                        "why_not" and "why" alone
    GET /dicom/objects/<pk>/frames/     of a dose or a segmentation all frames, as `pictures` sends
                                        slices: a slice's number is the frame's

Of the frames, too, `first`, `last` and `from` ask for some.
"""

from http import HTTPStatus
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from app.audit.recording import record_view
from app.dicom.doses import MOST_PLANES, NoGrid
from app.dicom.kinds import is_dose, is_segmentation
from app.geometry.doses import MOST_VALUES, dose_of
from app.limits import looking
from app.models import DICOMInstance
from app.needing import needing
from app.sandbox.dose import read_dose
from app.sandbox.segments import MOST_FRAMES

from .drawn import described, etag_of
from .pictures import SEES_ALL, numbers_wanted, sent
from .slices import Slice, refusal

VERSION = 1  # of a description: raise it with any change


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def dose(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What is said of a dose's grid."""
    instance = drawable(pk)
    if not is_dose(instance.sop_class_uid, instance.modality):
        raise Http404
    record_view(request.user, instance.dicom_series, "pictures")
    return described(request, instance, etag_of("dose", VERSION, instance.sha256), _description)


@staff_member_required
@needing(*SEES_ALL)
@require_safe
def frames(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The values of a dose, or the masks of a segmentation."""
    instance = drawable(pk)
    is_masks = is_segmentation(instance.sop_class_uid, instance.modality)
    if not (is_masks or is_dose(instance.sop_class_uid, instance.modality)):
        raise Http404
    record_view(request.user, instance.dicom_series, "pictures")
    # How many there are is the file's word, but each takes a bit of it.
    count = min(max(instance.number_of_frames or 1, 1), 8 * instance.size)
    if code := _too_many_masks(count) if is_masks else _why_not_sent(instance, count):
        return refusal(code, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    file = (instance.path, instance.sha256, instance.transfer_syntax_uid)
    numbers = numbers_wanted(request, count)
    return sent(request, [(number, Slice(instance.pk, number, *file)) for number in numbers])


def _too_many_masks(count: int) -> str:
    return "segments_too_many" if count > MOST_FRAMES else ""


def _why_not_sent(dose: DICOMInstance, count: int) -> str:
    """A reason's code, by what the catalogue knows; "" where there is none."""
    values = count * (dose.rows or 0) * (dose.columns or 0)
    if not values:
        return "dose_without_grid"
    if values > MOST_VALUES:
        return "dose_too_large"
    return "dose_planes" if count > MOST_PLANES else ""


def drawable(pk: int) -> DICOMInstance:
    rows = DICOMInstance.objects.select_related("dicom_series__dicom_study")
    instance: DICOMInstance = get_object_or_404(rows, pk=pk)
    return instance


def _description(file: int) -> dict[str, Any]:
    try:
        return dose_of(read_dose(file, looking()))._asdict()
    except NoGrid as why:
        return {"why_not": why.code}
