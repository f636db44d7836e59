"""What the templates need beyond Django's own tags."""

from datetime import datetime

from django import template
from django.conf import settings
from django.utils.dateparse import parse_datetime

from app.catalogue.names import person_name, plain, row_name
from app.models import Outcome
from app.reasons import sentence
from app.sandbox.confine import lacking
from app.wording import human_size

register = template.Library()
register.filter(person_name)
register.filter(plain)
register.filter(row_name)
register.filter(human_size)

OUTCOME_ICONS = {
    Outcome.IMPORTED: "check-circle",
    Outcome.DUPLICATE: "layers",
    Outcome.CONFLICT: "exclamation-diamond",
    Outcome.SKIPPED: "dash-circle",
    Outcome.FAILED: "x-octagon",
}


@register.simple_tag
def from_cdn() -> bool:
    return bool(settings.ICON_CDN)


@register.simple_tag
def unlocked() -> list[str]:
    """What the programs that read uploaded files go without on this machine, in sentences."""
    return [sentence(code) for code in lacking()]


@register.filter
def grouped(number: int) -> str:
    """A count with its thousands apart, as the scripts write it."""
    return f"{number:,}"


@register.filter
def moment(text: str) -> datetime | None:
    """A time as the processing log keeps it."""
    return parse_datetime(text)


@register.filter
def outcome_icon(outcome: str) -> str:
    return OUTCOME_ICONS[Outcome(outcome)]


@register.filter
def outcome_label(outcome: str) -> str:
    return str(Outcome(outcome).label)
