"""What ICON answers to whoever watches over it: a proxy, a container's health check, monitoring.

No sign-in is asked for, so the answers are words that tell nobody anything else. So it is with what
pages answer that fail.
"""

import sys
from http import HTTPStatus
from pathlib import Path

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import requires_csrf_token
from django.views.decorators.http import require_safe

from app.reasons import sentence
from app.storage.staging import free_bytes
from app.uploads.claims import disk_reason
from app.uploads.receiving import from_script

from .probes import LEAST_FREE, not_ready


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive."""
    return _answer("ok")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Everything is there that ICON needs to work; else which parts are not."""
    missing = not_ready()
    return _answer(f"not ready: {', '.join(missing)}", 503) if missing else _answer("ok")


def _answer(text: str, status: int = 200) -> HttpResponse:
    response = HttpResponse(f"{text}\n", content_type="text/plain", status=status)
    response["Cache-Control"] = "no-store"
    # Django would log each 503, at every probe; the parts themselves log what they lack.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


@requires_csrf_token  # as Django's own: a body that is too large stays a bad request
def failed(request: HttpRequest) -> HttpResponse:
    """The page of an error that nobody expected; but a full disk is told."""
    error = sys.exc_info()[1]
    if not (isinstance(error, DatabaseError) and _is_disk_full(error)):
        status, why = HTTPStatus.INTERNAL_SERVER_ERROR, ""
    else:
        status, why = HTTPStatus.INSUFFICIENT_STORAGE, sentence("database_disk_full")
        if from_script(request):
            return JsonResponse({"errors": [why]}, status=status)
    return HttpResponse(render_to_string("500.html", {"why": why}), status=status)


def _is_disk_full(error: DatabaseError) -> bool:
    """SQLite also has other names for what it meets there."""
    code = disk_reason(error)
    if connection.vendor != "sqlite" or not code:
        return code == "disk_full"
    return free_bytes(Path(connection.settings_dict["NAME"]).parent) < LEAST_FREE
