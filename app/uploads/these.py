"""Certain uploads in an address, in few characters: "3-62,70"."""

import re
from collections.abc import Iterable

from django.db.models import Q

PARTS = 200  # of an address
PART = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", re.ASCII)


def written(pks: Iterable[int]) -> str:
    parts: list[list[int]] = []
    for pk in sorted(set(pks)):
        if parts and parts[-1][1] == pk - 1:
            parts[-1][1] = pk
        else:
            parts.append([pk, pk])
    return ",".join(f"{low}-{high}" if low < high else f"{low}" for low, high in parts)


def among(text: str) -> Q:
    """The uploads that are written so; what is no number is left out."""
    found = Q(pk__in=[])
    for part in text.split(",")[:PARTS]:
        if match := PART.fullmatch(part):
            low = int(match[1])
            found |= Q(pk__range=(low, int(match[2] or low)))
    return found
