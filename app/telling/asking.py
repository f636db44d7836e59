"""Asking to be told of one upload, beside what somebody has chosen for all."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from app.models import AskedToTell, DICOMFile, TellMe, TellWhen
from app.needing import needing
from app.reasons import sentence


@dataclass(frozen=True, slots=True)
class Told:
    """Whether somebody is told when an upload is done, for its card."""

    has_ways: bool  # else where they are chosen is shown first
    is_mine: bool  # one's own, each of which is told of anyway
    is_asked: bool


def told_of(
    person: AbstractBaseUser | AnonymousUser, uploads: Iterable[DICOMFile]
) -> dict[int, Told]:
    """Of uploads that have yet to end, by primary key; two queries at most."""
    live = [upload for upload in uploads if upload.is_live]
    if not live:
        return {}
    wish = TellMe.objects.filter(user=person.pk).first()
    if wish is None or not wish.ways:
        return {upload.pk: Told(False, False, False) for upload in live}
    rows = AskedToTell.objects.filter(user=person.pk, upload__in=[upload.pk for upload in live])
    asked = {*rows.values_list("upload", flat=True)}
    always = wish.when == TellWhen.ALWAYS
    return {
        upload.pk: Told(True, always and upload.uploaded_by_id == person.pk, upload.pk in asked)
        for upload in live
    }


@staff_member_required
@needing("app.view_dicomfile")
@require_POST
@transaction.atomic
def tell_of(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell somebody when one upload is done, or with `off` no more."""
    upload = get_object_or_404(DICOMFile.objects.without_log().select_for_update(), pk=pk)
    mine = AskedToTell.objects.filter(upload=upload, user=request.user.pk)
    if "off" in request.POST:
        mine.delete()
        messages.info(request, sentence("not_told_of"))
    elif not upload.is_live:
        messages.info(request, sentence("told_too_late"))
    else:
        assert isinstance(request.user, User)
        AskedToTell.objects.get_or_create(upload=upload, user=request.user)
        messages.info(request, sentence("told_of"))
    return redirect(f"{reverse('dicom_processing_progress')}?upload={pk}")
