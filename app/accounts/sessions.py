"""How long a session lasts: while somebody works, and some hours more.

A page that is left open asks each second where its uploads stand. That is nobody at work, so
it neither prolongs the session nor writes it.
"""

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase

PROLONGED = "prolonged"  # when, in the session: seconds since 1970
PROLONGED_EVERY = 300  # seconds; a write each time


def while_used(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let the time of a session begin anew with what a person asks for; end it whole."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # After a failure of the server, the database may be away, and nothing would be saved.
        if response.status_code < 500 and _is_from_a_person(request) and _is_old(request):
            request.session[PROLONGED] = int(time.time())
        if _signs_out(request):
            # Pictures may be kept by the browser. Not "cookies": they would go for the neighbours
            # of this host, too. Not "storage": it holds what a page looks like, and nobody's data.
            response.headers["Clear-Site-Data"] = '"cache"'
        return response

    return respond


@receiver(user_logged_in)
def _begin(request: HttpRequest, **kwargs: Any) -> None:
    request.session[PROLONGED] = int(time.time())


def _is_old(request: HttpRequest) -> bool:
    if not request.user.is_authenticated:
        return False
    prolonged = int(request.session.get(PROLONGED, 0))
    return time.time() - prolonged >= PROLONGED_EVERY


def _is_from_a_person(request: HttpRequest) -> bool:
    """Not what a script asks for in JSON, as poll.js does."""
    return request.method not in ("GET", "HEAD") or (
        request.headers.get("Accept") != "application/json"
    )


def _signs_out(request: HttpRequest) -> bool:
    match = request.resolver_match
    return request.method == "POST" and match is not None and match.view_name == "admin:logout"
