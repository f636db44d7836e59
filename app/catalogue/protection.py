"""Studies that are protected from deletion: said by a Manager, with a reason, and taken off so.

What deletes asks `refuse_protected` in its own transaction, once it holds the patient: whoever
protects a study holds its patient, too. A version that takes the place of another deletes nothing,
since the file of the other is kept.
"""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_http_methods

from app.audit.recording import because, record
from app.errors import Protected
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Kind,
    Patient,
    Protection,
)
from app.needing import needing
from app.reasons import sentence

from .names import plain
from .transactions import lock_patients
from .why import ReasonForm

# How a protection reaches what it keeps from being deleted.
KEPT: dict[type[Model], str] = {
    Patient: "study__patient",
    DICOMStudy: "study",
    DICOMSeries: "study__series",
    DICOMInstance: "study__series__instances",
}


def protections_of(rows: Sequence[Model]) -> QuerySet[Protection]:
    """What keeps rows of one table of the catalogue from being deleted."""
    if not rows:
        return Protection.objects.none()
    found = Protection.objects.filter(**{f"{KEPT[type(rows[0])]}__in": [row.pk for row in rows]})
    return found.select_related("study").order_by("pk").distinct()


def refuse_protected(row: Model) -> None:
    """See that nothing keeps a row from being deleted, in the transaction that deletes it.

    Raises
    ------
    Protected
        Its study, or one of a patient's, is protected.
    """
    if first := protections_of([row]).first():
        raise _refusal(first)


def words_of(protection: Protection) -> str:
    """That it is protected, by whom, since when and why."""
    return _refusal(protection).sentence


def _refusal(protection: Protection) -> Protected:
    return Protected(
        who=plain(protection.said_by),
        day=date_format(timezone.localtime(protection.said_at)),
        reason=plain(protection.reason).rstrip(". "),
    )


@staff_member_required
@needing("app.view_dicomstudy", "app.protect_study")
@require_http_methods(["GET", "HEAD", "POST"])
def protect_study(request: HttpRequest, pk: int) -> HttpResponse:
    """Protect a study from deletion, or take its protection off; the button says which."""
    study = get_object_or_404(DICOMStudy.objects.select_related("patient"), pk=pk)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        act = _take_off if "off" in request.POST else _protect
        code = act(request, study, form.cleaned_data["reason"])
        messages.success(request, sentence(code))
        return redirect("study", pk)
    protection = Protection.objects.filter(study=study).first()
    context = {
        "title": "Protection from deletion",
        "study": study,
        "patient": study.patient,
        "protection": protection,
        "form": form,
    }
    status = 400 if form.errors else 200
    return render(request, "catalogue/protect_study.html", context, status=status)


@transaction.atomic
def _protect(request: HttpRequest, study: DICOMStudy, reason: str) -> str:
    """The code of what became of it."""
    lock_patients([study.patient_id])
    get_object_or_404(DICOMStudy, pk=study.pk)  # deleted meanwhile
    given = {"reason": reason, "said_by": request.user.get_username()}
    _, is_new = Protection.objects.get_or_create(study=study, defaults=given)
    if is_new:
        record(Kind.PROTECTED, request.user, study, because("From deletion.", reason))
    return "protection_given" if is_new else "protected_before"


@transaction.atomic
def _take_off(request: HttpRequest, study: DICOMStudy, reason: str) -> str:
    """The code of what became of it."""
    lock_patients([study.patient_id])
    removed, _ = Protection.objects.filter(study=study).delete()
    if removed:
        words = because("It can be deleted again.", reason)
        record(Kind.PROTECTION_REMOVED, request.user, study, words)
    return "protection_taken_off"
