"""What ICON answers to whoever watches over it: a proxy, a container's health check, monitoring.

No sign-in is asked for, so the answers are words that tell nobody anything else.
"""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from .probes import not_ready


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
