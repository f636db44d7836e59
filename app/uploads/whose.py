"""Whose uploads a page shows: everybody's or, where its address asks for them, one's own."""

from dataclasses import dataclass

from django.http import HttpRequest

from app.models import DICOMFile, DICOMFileQuerySet

WHOSE, MINE = "whose", "mine"  # in an address


def only_mine(request: HttpRequest) -> bool:
    return request.GET.get(WHOSE) == MINE


def asked_for(request: HttpRequest) -> DICOMFileQuerySet:
    """The uploads that an address asks for."""
    uploads = DICOMFile.objects.all()
    return uploads.filter(uploaded_by=request.user.pk) if only_mine(request) else uploads


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose uploads to show, and the query of the address that asks for them."""

    words: str
    query: str
    is_on: bool


def choices(request: HttpRequest) -> list[Choice]:
    """The ways to everybody's and to one's own, from a page that keeps what else was asked for."""
    mine = only_mine(request)
    address = request.GET.copy()
    for name in (WHOSE, "p"):  # another list begins with its first page
        address.pop(name, None)
    everybody_s = address.urlencode()
    address[WHOSE] = MINE
    return [
        Choice("Everybody's uploads", everybody_s, not mine),
        Choice("My uploads", address.urlencode(), mine),
    ]
