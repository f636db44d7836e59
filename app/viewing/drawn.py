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
from .slices import busy, kept_by_browsers

PASSING = ("object_gone", "header_took_long", "header_unread")  # it may be otherwise in a moment


def described(
    request: HttpRequest,
    instance: DICOMInstance,
    etag: str,
    describe: Callable[[int], dict[str, Any]],
) -> HttpResponseBase:
    """An answer that the browser keeps unless it may be another in a moment.

    Parameters
    ----------
    describe
        What is said of the object that a descriptor is of; `why_not` in it is a reason's code.
    """
    if response := get_conditional_response(request, etag=etag):
        return kept_by_browsers(response, etag)
    try:
        with opened([instance.path]) as (file,):
            found = describe(file)
    except NotOpened as why:
        if why.is_busy:
            return busy()
        found = {"why_not": why.code}
    code = found.get("why_not", "")
    found = {**found, "why_not": code, "why": sentence(code)}
    answer = HttpResponse(json.encode(found), content_type="application/json")
    return answer if code in PASSING else kept_by_browsers(answer, etag)


def answered(request: HttpRequest, body: bytes, etag: str) -> HttpResponseBase:
    """JSON that the browser keeps."""
    response = get_conditional_response(request, etag=etag)
    response = response or HttpResponse(body, content_type="application/json")
    return kept_by_browsers(response, etag)


def etag_of(*parts: object) -> str:
    words = "\n".join(map(str, parts))
    return f'"{hashlib.sha256(words.encode()).hexdigest()[:32]}"'
