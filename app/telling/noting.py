"""Whom to tell that an upload has ended, written down in the transaction that ends it.

So each end makes its messages once, also where the worker is killed the next moment; sending them
is somebody else's work, and can neither delay nor fail an import.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.db.models.functions import Now

from app.models import AskedToTell, DICOMFile, Notice, TellMe, TellWhen

MAY_LOOK = "app.view_dicomfile"


def note_end(pk: int) -> None:
    """Write down the messages that an upload has ended: one query where nobody wants any."""
    asked = AskedToTell.objects.filter(upload=pk)
    owner = DICOMFile.objects.filter(pk=pk).values("uploaded_by")
    wishes = list(
        TellMe.objects.filter(Q(user__in=asked.values("user")) | Q(user__in=owner)).select_related(
            "user"
        )
    )
    if not wishes:
        return
    upload = DICOMFile.objects.without_log().get(pk=pk)
    by_asking = {*asked.values_list("user", flat=True)}
    facts = facts_of(upload)
    Notice.objects.bulk_create(
        Notice(user=wish.user, upload=pk, way=way, facts=facts, due_at=Now())
        for wish in wishes
        if wish.pk in by_asking or _wants(wish, upload)
        if _may_be_told(wish.user)
        for way in wish.ways
    )
    asked.delete()


def facts_of(upload: DICOMFile) -> dict[str, Any]:
    """How an upload ended: numbers and words that name no patient, no file and no ZIP."""
    return {
        "status": upload.processing_status,
        "label": upload.status_label,
        "needs_attention": upload.needs_attention,
        "counts": {"files": upload.member_count, **upload.outcomes},
    }


def _wants(wish: TellMe, upload: DICOMFile) -> bool:
    if wish.when == TellWhen.ATTENTION:
        return upload.needs_attention
    return wish.when == TellWhen.ALWAYS


def _may_be_told(user: User) -> bool:
    return user.is_active and user.has_perm(MAY_LOOK)
