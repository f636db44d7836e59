"""What is drawn over images, as a page's script fetches it: one object's description, as JSON."""

import hashlib
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from msgspec import json

from app.models import DICOMInstance
from app.reasons import sentence

from .opening import NotOpened, opened
from .slices import busy

PASSING = ("object_gone", "header_took_long", "header_unread")  # it may be otherwise in a moment


def described(
    request: HttpRequest,
    instance: DICOMInstance,
    etag: str,
    describe: Callable[[int], dict[str, Any]],
) -> HttpResponseBase:
    """An answer that the browser may keep, and has to ask about each time.

    Parameters
    ----------
    describe
        What is said of the object that a descriptor is of; `why_not` in it is a reason's code.
    """
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            with opened([instance.path]) as (file,):
                found = describe(file)
        except NotOpened as why:
            if why.is_busy:
                return busy()
            found = {"why_not": why.code}
        code = found.get("why_not", "")
        found = {**found, "why_not": code, "why": sentence(code)}
        response = HttpResponse(json.encode(found), content_type="application/json")
        if code in PASSING:
            response["Cache-Control"] = "no-store"
            return response
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = etag
    return response


def kept_by_browsers(request: HttpRequest, body: bytes, etag: str) -> HttpResponseBase:
    """JSON that a browser may keep, and has to ask about each time."""
    response = get_conditional_response(request, etag=etag)
    response = response or HttpResponse(body, content_type="application/json")
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = etag
    return response


def etag_of(*parts: object) -> str:
    words = "\n".join(map(str, parts))
    return f'"{hashlib.sha256(words.encode()).hexdigest()[:32]}"'
