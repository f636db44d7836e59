"""Where catalogued objects came from: uploads, with who sent them and when."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from app.models import ArchiveMember, DICOMFile, DICOMInstance, Outcome

LOOKED_AT = 20_000  # objects; more are not looked through for a page
NAMED = 5  # uploads


@dataclass(frozen=True, slots=True)
class Origin:
    upload: DICOMFile
    objects: int


@dataclass(frozen=True, slots=True)
class Origins:
    """The newest uploads, with how many of the objects came with each."""

    shown: list[Origin]
    more: int  # uploads that are not shown
    unknown: int  # objects whose upload was deleted
    looked_at: int  # objects; 0 where that is all of them


def origins_of(objects: QuerySet[DICOMInstance]) -> Origins:
    """Of the first `LOOKED_AT` objects; a patient has seldom more."""
    uploads = objects.order_by().values_list("upload", flat=True)[:LOOKED_AT]
    return origins_from(Counter(uploads))


def origins_from(counts: Mapping[int | None, int]) -> Origins:
    """The same of a number of objects for each upload."""
    pks = sorted((pk for pk in counts if pk is not None), reverse=True)
    found = DICOMFile.objects.without_log().select_related("uploaded_by").in_bulk(pks[:NAMED])
    looked_at = sum(counts.values())
    return Origins(
        shown=[Origin(found[pk], counts[pk]) for pk in pks[:NAMED] if pk in found],
        more=len(pks[NAMED:]),
        unknown=counts.get(None, 0),
        looked_at=looked_at if looked_at == LOOKED_AT else 0,
    )


def member_names(objects: Iterable[DICOMInstance]) -> dict[int, str]:
    """By object: what its file is called in the ZIP that it came with."""
    uploads = {one.pk: one.upload_id for one in objects}
    # The uploads are compared here: a database that is asked to may look through all of each.
    members = ArchiveMember.objects.filter(instance__in=uploads, outcome=Outcome.IMPORTED)
    rows = members.order_by("pk").values_list("instance", "upload", "name")
    return {pk: name for pk, upload, name in rows if pk and upload == uploads[pk]}
