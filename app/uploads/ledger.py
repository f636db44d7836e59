"""Find files in the ledger of all uploads, the newest first.

No index finds a part of a name, and one would cost every import, so a search reads rows: a bounded
number at a time, however many there are.
"""

import re
from dataclasses import dataclass

from django.db.models import Max, Q, QuerySet
from django.utils.text import smart_split, unescape_string_literal

from app.catalogue.search import matching
from app.models import ArchiveMember, DICOMFile

LOOKED_THROUGH = 400_000  # rows at a time
FOUND = 1_000  # of them that are shown at a time

SHA256 = re.compile("[0-9a-f]{64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    pks: list[int]
    looked_through: int  # rows
    before: int  # where to look next, as `before`; 0 where nothing older is left


def find(members: QuerySet[ArchiveMember], words: str, before: int | None = None) -> Found:
    """The newest members that have each word in their name, their ZIP's name, or as SHA-256.

    Parameters
    ----------
    members
        Among these.
    before
        Older than this primary key.
    """
    top = before or (members.order_by().aggregate(Max("pk"))["pk__max"] or 0) + 1
    low = max(top - LOOKED_THROUGH, 0)
    rows = members.filter(_named(words), pk__lt=top, pk__gte=low).order_by("-pk")
    pks = list(rows.values_list("pk", flat=True)[:FOUND])
    if len(pks) == FOUND:
        low = pks[-1]
    older = members.order_by().filter(pk__lt=low).exists()
    return Found(pks, top - low, low if older else 0)


def _named(words: str) -> Q:
    named = Q()
    for word in smart_split(words):
        zips = matching(DICOMFile, word)
        if word[:1] in "\"'" and word[:1] == word[-1:] and len(word) > 1:
            word = unescape_string_literal(word)
            zips = Q(original_name__icontains=word)
        one = Q(name__icontains=word)
        if uploads := [*DICOMFile.objects.filter(zips).values_list("pk", flat=True)]:
            one |= Q(upload__in=uploads)
        if SHA256.fullmatch(word):
            one |= Q(sha256=word.lower())
        named &= one
    return named
