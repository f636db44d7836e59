"""What every dynamic response carries, and whose time it tells."""

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

ZONE_COOKIE = "time_zone"  # which static/app/shared/times.js sets to the browser's


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
