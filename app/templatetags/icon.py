"""What the templates need beyond Django's own tags."""

from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.utils.dateparse import parse_datetime

from app.catalogue.names import person_name, plain, row_name
from app.models import Outcome, Stage
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

TONE_ICONS = {
    "pending": "circle",
    "queued": "hourglass-split",
    "in_progress": "arrow-repeat",
    "completed": "check-circle-fill",
    "attention": "exclamation-triangle-fill",
    "failed": "x-octagon-fill",
}


@register.simple_tag
def from_cdn() -> bool:
    return bool(settings.ICON_CDN)


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


@register.filter
def tone_icon(tone: str) -> str:
    return TONE_ICONS[tone]


@register.filter
def stages(state: dict[str, Any]) -> list[dict[str, str]]:
    """The five stages, each with where the upload stands: done, current, failed or ahead."""
    names = [stage.value for stage in Stage]
    at = names.index(state["stage"]) if state["stage"] else -1
    return [
        {"value": stage.value, "label": str(stage.label), "state": _stage_state(state, at, place)}
        for place, stage in enumerate(Stage)
    ]


def _stage_state(state: dict[str, Any], at: int, place: int) -> str:
    if state["status"] == "completed" or place < at:
        return "done"
    if place > at:
        return "ahead"
    return "failed" if state["status"] == "failed" else "current"
