"""What is asked before something is deleted: why, of many objects their number, and what is kept.

Whether a kept ZIP still holds an object, its SHA-256 tells: it is the one of the ledger's line that
brought it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django import forms
from django.db.models import Count, F, Model, QuerySet
from django.http import HttpRequest

from app.models import ArchiveMember, DICOMFile, DICOMInstance
from app.reasons import sentence

from .removal import instances_below
from .why import ReasonForm

TYPED_FROM = 1_000  # objects, whose number is typed before they are deleted
LOOKED_FOR = 20_000  # objects at most, in other ZIPs than the one that brought them
NAMED = 10  # ZIPs


class DeletingForm(ReasonForm):
    """The reason and, of many objects, their number."""

    number = forms.CharField(label="Number of objects", max_length=20)

    def __init__(self, objects: int, request: HttpRequest) -> None:
        self.objects = objects
        super().__init__(request.POST if "post" in request.POST else None)
        attrs = self.fields["reason"].widget.attrs
        del attrs["class"]  # the admin's forms have none
        attrs["size"] = 60
        number = self.fields["number"]
        if objects < TYPED_FROM:
            del self.fields["number"]
            return
        number.label = f"{objects:,} objects go. Type this number to delete them."
        number.error_messages["required"] = self._differs()
        number.widget.attrs |= {"autocomplete": "off", "inputmode": "numeric"}

    def clean_number(self) -> str:
        typed: str = self.cleaned_data["number"]
        if "".join(letter for letter in typed if letter not in ",.' \xa0") != str(self.objects):
            raise forms.ValidationError(self._differs())
        return typed

    def _differs(self) -> str:
        return sentence("number_differs", count=f"{self.objects:,}")


def reason_of(request: HttpRequest) -> str:
    """What was typed, as `DeletingForm` has found it well."""
    return request.POST.get("reason", "").strip()


@dataclass(frozen=True, slots=True)
class Kept:
    """Of objects, how many kept ZIPs still hold, and which ZIPs."""

    total: int
    held: int
    unsought: int  # objects that were not looked for in all ZIPs
    uploads: list[DICOMFile]

    @property
    def named(self) -> list[DICOMFile]:
        """The first of the uploads."""
        return self.uploads[:NAMED]

    @property
    def more(self) -> int:
        """Uploads that are not among them."""
        return len(self.uploads) - len(self.named)

    @property
    def words(self) -> str:
        ones = self.total == 1
        if not self.held:
            if self.unsought:
                return sentence("held_unsought", count=f"{self.total - self.unsought:,}")
            return sentence("held_no_one") if ones else sentence("held_none")
        zips = "the kept ZIP" if len(self.uploads) == 1 else "kept ZIPs"
        if self.held == self.total:
            if ones:
                return sentence("held_one", zips=zips)
            return sentence("held_all", count=f"{self.total:,}", zips=zips)
        count, total = f"{self.held:,}", f"{self.total:,}"
        if self.unsought:
            return sentence("held_at_least", count=count, total=total, zips=zips)
        return sentence("held_some", count=count, total=total, zips=zips)


def kept_of(rows: Sequence[Model]) -> Kept:
    """What kept ZIPs hold of the objects below rows of one table.

    First those whose own upload's ZIP is here, which costs nothing more than counting; then, a
    bounded number, those that other uploads brought again.
    """
    instances = instances_below(rows)
    counts = dict(instances.values_list("upload").annotate(Count("pk")))
    uploads = [one for one in _uploads(counts) if _is_here(one)]
    held = sum(counts[one.pk] for one in uploads)
    total = sum(counts.values())
    if held == total:
        return Kept(total, held, 0, uploads)
    others = instances.filter(upload=None) | instances.exclude(
        upload__in=[one.pk for one in uploads]
    )
    first = _again(others.order_by("pk")[:LOOKED_FOR])
    found = set(first.values_list("upload", flat=True).distinct())
    more = [one for one in _uploads(found) if _is_here(one)]
    if more:  # what brought some of them again may have brought all
        theirs = _again(others).filter(upload__in=[one.pk for one in more])
        held += theirs.values("instance").distinct().count()
    unsought = max(total - sum(counts[one.pk] for one in uploads) - LOOKED_FOR, 0)
    return Kept(total, held, unsought, list(dict.fromkeys([*uploads, *more])))


def _again(instances: QuerySet[DICOMInstance]) -> QuerySet[ArchiveMember]:
    """The lines of kept ZIPs' ledgers that hold the very bytes of instances."""
    members = ArchiveMember.objects.filter(
        instance__in=instances.values("pk"), sha256=F("instance__sha256")
    )
    return members.exclude(upload__file="").order_by()


def _uploads(pks: "set[int] | dict[int, int]") -> QuerySet[DICOMFile]:
    kept = DICOMFile.objects.exclude(file="").without_log()
    return kept.filter(pk__in=[pk for pk in pks if pk]).order_by("pk")


def _is_here(upload: DICOMFile) -> bool:
    return Path(upload.file.path).is_file()
