"""What responses carry, whose time they tell, and what is too large to be read at all."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import close_old_connections, connection
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from .errors import NotRecorded
from .health.views import healthz, readyz
from .uploads import receiving

PROBES = {"/healthz": healthz, "/readyz": readyz}
ZONE_COOKIE = "time_zone"  # which static/app/shared/times.js sets to the browser's


POLICIES = {
    # Of what a browser could give a page, ICON's pages ask for nothing.
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in (
            *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid"),
            *("magnetometer", "microphone", "midi", "payment", "serial", "usb"),
        )
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
}


def policies(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Tell browsers what pages may use, and to keep answers from the pages of other sites."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for name, value in POLICIES.items():
            response.headers.setdefault(name, value)
        return response

    return respond


def probes_first(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer a probe whatever name it calls this host by, and without HTTPS: it asks from here."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info)
        return probe(request) if probe else get_response(request)

    return respond


def no_store(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Keep pages out of every cache, except those that say themselves how to be cached."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return respond


def reader_s_time_zone(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Show times in the zone of who reads them; in the server's, where the browser tells none."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone(request.COOKIES.get(ZONE_COOKIE, ""))):
            return get_response(request)

    return respond


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    # A cookie may hold anything: a path, a folder's name, a NUL.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


class Unrecorded:
    """Says why something was refused: the audit trail could not be written."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        if not isinstance(exception, NotRecorded):
            return None
        why, status = exception.sentence, HTTPStatus.SERVICE_UNAVAILABLE
        if receiving.from_script(request):
            return JsonResponse({"errors": [why]}, status=status)
        return render(request, "shared/not_recorded.html", {"why": why}, status=status)


class BeforeUpload:
    """Tells who may upload that an upload is too large, before it is sent, or was not kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        why = getattr(request, "not_kept", "")
        return _not_taken(request, why, HTTPStatus.INSUFFICIENT_STORAGE) if why else response

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        length = request.META.get("CONTENT_LENGTH") or ""
        if not length.isdecimal() or not receiving.takes_files_of(request):
            return None
        why = receiving.why_not_taken(int(length))
        if not why:
            # Asking who it is took a database connection, and the transfer may last for hours.
            if not connection.in_atomic_block:
                close_old_connections()
            return None
        return _not_taken(request, why, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """For the moment after the last byte, when the file gets its place and its row."""
        length = request.META.get("CONTENT_LENGTH") or ""
        if request.method != "POST" or not length.isdecimal():
            return None
        if not receiving.takes_files_of(request):
            return None
        why = receiving.why_not_kept(exception, int(length))
        return _not_taken(request, why, HTTPStatus.INSUFFICIENT_STORAGE) if why else None


def _not_taken(request: HttpRequest, why: str, status: HTTPStatus) -> HttpResponseBase:
    if receiving.from_script(request):
        return JsonResponse({"errors": [why]}, status=status)
    return render(request, "uploads/not_taken.html", {"why": why}, status=status)
