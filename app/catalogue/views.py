"""What is done to the catalogue from its pages."""

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from app.models import IdentityAnswer, Patient
from app.needing import needing
from app.reasons import sentence

from . import identities
from .addresses import is_key
from .comparison import MOST_IDENTITIES

NOTED = {IdentityAnswer.ONE: "answered_one", IdentityAnswer.TWO: "answered_two"}


def answer_identity_view(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Take somebody's answer whether a patient's ID is one person, and show it."""
    if request.method == "POST" and not request.user.is_authenticated:
        # A browser does not repeat a POST after signing in.
        return redirect_to_login(reverse("patient", args=[pk]), reverse("admin:login"))
    return _answer(request, pk)


@staff_member_required
@needing("app.view_patient", "app.answer_identity")
@require_POST
def _answer(request: HttpRequest, pk: int) -> HttpResponse:
    patient = get_object_or_404(Patient, pk=pk)
    said, seen = request.POST.get("answer", ""), request.POST.getlist("identity")[:MOST_IDENTITIES]
    if said not in IdentityAnswer or not all(map(is_key, seen)):
        raise BadRequest
    assert isinstance(request.user, User)
    try:
        identities.answer(patient, IdentityAnswer(said), [int(one) for one in seen], request.user)
    except Patient.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, sentence(NOTED[IdentityAnswer(said)]))
    upload = request.POST.get("upload", "")
    if is_key(upload):
        return redirect("upload_result", int(upload))
    return redirect("patient", pk)
