"""Two Patient IDs of one person: said, shown on both pages, and undone, without moving anything."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import BadRequest
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from app.audit.recording import because, record
from app.models import DICOMStudy, Kind, Patient, SamePerson
from app.needing import needing
from app.reasons import sentence

from .addresses import is_key
from .search import matching
from .searches import address_of, words_of
from .transactions import lock_patients
from .why import ReasonForm

MOST_LINKS = 20  # of one person
MOST_FOUND = 20  # patients to choose from
MOST_STUDIES = 20  # of others, on a patient's page

may_link = needing("app.view_patient", "app.link_patients")


class LinkForm(ReasonForm):
    """Who is the same person, and why."""

    other = forms.IntegerField(min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)


@staff_member_required
@may_link
@require_http_methods(["GET", "HEAD", "POST"])
def same_person(request: HttpRequest, pk: int) -> HttpResponse:
    """Look for another ID of a patient, and say that both are one person.

    What is searched for is posted, and so is what is said.
    """
    patient = get_object_or_404(Patient, pk=pk)
    form = LinkForm(request.POST if "other" in request.POST else None)
    if request.method == "POST":
        if "other" not in request.POST:
            return redirect(address_of(request))
        if form.is_valid():
            return _link(request, patient, form.cleaned_data["other"], form.cleaned_data["reason"])
        if "other" in form.errors:
            raise BadRequest
    words = words_of(request, request.GET.get("q", ""))
    context = {
        "title": "Same person",
        "patient": patient,
        "form": form,
        "words": words,
        "found": _candidates(patient, words),
        "links": links_of(patient),
    }
    return render(
        request, "catalogue/same_person.html", context, status=400 if form.errors else 200
    )


@staff_member_required
@may_link
@require_POST
def undo_same_person(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back that two IDs are one person."""
    patient = get_object_or_404(Patient, pk=pk)
    other = request.POST.get("other", "")
    if not is_key(other):
        raise BadRequest
    with transaction.atomic():
        removed, _ = SamePerson.objects.filter(_between(pk, int(other))).delete()
        if not removed:
            raise Http404
        record(Kind.SAME_PERSON_UNDONE, request.user, patient, f"and patient {other}")
    messages.success(request, sentence("same_person_undone"))
    return redirect("same_person", pk)


def links_of(patient: Patient) -> list[tuple[SamePerson, Patient]]:
    """What was said of a patient himself, with the other of each."""
    said = SamePerson.objects.filter(Q(first=patient) | Q(second=patient)).order_by("pk")
    rows = said.select_related("first", "second")[:MOST_LINKS]
    return [(one, one.second if one.first_id == patient.pk else one.first) for one in rows]


def others_of(patient: Patient) -> list[Patient]:
    """The other IDs of a patient's person, also those that only another of them is linked to."""
    known, fresh = {patient.pk}, {patient.pk}
    while fresh and len(known) <= MOST_LINKS:
        pairs = SamePerson.objects.filter(Q(first__in=fresh) | Q(second__in=fresh))
        fresh = {pk for pair in pairs.values_list("first", "second") for pk in pair} - known
        known |= fresh
    return list(Patient.objects.filter(pk__in=known - {patient.pk}).order_by("pk")[:MOST_LINKS])


def studies_of(others: Sequence[Patient]) -> list[DICOMStudy]:
    """The newest studies under the other IDs."""
    studies = DICOMStudy.objects.filter(patient__in=others).select_related("patient")
    newest = F("study_date").desc(nulls_last=True)
    return list(studies.order_by(newest, "-pk")[:MOST_STUDIES])


def links_with(rows: QuerySet[Any]) -> QuerySet[SamePerson]:
    """What was said of patients: it goes with them."""
    return SamePerson.objects.filter(Q(first__in=rows) | Q(second__in=rows))


def _candidates(patient: Patient, words: str) -> list[Patient]:
    if not words:
        return []
    said = {other.pk for _, other in links_of(patient)}
    rows = Patient.objects.filter(matching(Patient, words)).exclude(pk__in={patient.pk, *said})
    return list(rows.order_by("pk")[:MOST_FOUND])


def _link(request: HttpRequest, patient: Patient, other: int, reason: str) -> HttpResponse:
    if other == patient.pk:
        raise BadRequest
    if len(others_of(patient)) >= MOST_LINKS:
        messages.error(request, sentence("same_person_many", limit=MOST_LINKS))
        return redirect("same_person", patient.pk)
    first, second = sorted((patient.pk, other))
    with transaction.atomic():
        held = lock_patients([first, second])  # a link to one that goes meanwhile would fail
        if patient.pk not in held:
            raise Http404
        if other not in held:
            messages.error(request, sentence("same_person_gone"))
            return redirect("same_person", patient.pk)
        _, is_new = SamePerson.objects.get_or_create(
            first_id=first,
            second_id=second,
            defaults={"reason": reason, "said_by": request.user.get_username()},
        )
        if is_new:
            record(
                Kind.SAME_PERSON,
                *(request.user, patient),
                because(f"and patient {other}.", reason),
            )
    messages.success(request, sentence("same_person_said"))
    return redirect("patient", patient.pk)


def _between(one: int, other: int) -> Q:
    return Q(first=min(one, other), second=max(one, other))
