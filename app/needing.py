"""What a page asks of who opens it."""

from collections.abc import Callable

from django.contrib.auth.decorators import permission_required
from django.http.response import HttpResponseBase

View = Callable[..., HttpResponseBase]


def needing(*permissions: str) -> Callable[[View], View]:
    """Refuse who has not all of these; the page that refuses names what is lacking."""

    def decorate(view: View) -> View:
        checked: View = permission_required(permissions, raise_exception=True)(view)
        checked.needs = permissions  # type: ignore[attr-defined]
        return checked

    return decorate
