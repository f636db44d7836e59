"""What the templates need beyond Django's own tags."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import template
from django.conf import settings
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from app.catalogue.collecting import own_collections as collections_of
from app.catalogue.finding import kinds_for
from app.catalogue.names import age_on, person_name, plain, row_name, sex_name
from app.catalogue.search import is_indexed
from app.catalogue.thumbnails import codes, main_modality
from app.dicom.modalities import modality_name
from app.export.names import series_folder, study_folder
from app.export.views import NEEDED as DOWNLOADS
from app.models import (
    Collection,
    DICOMFile,
    DICOMSeries,
    DICOMStudy,
    Outcome,
    Patient,
    RTStructureROI,
)
from app.reasons import sentence
from app.sandbox.confine import lacking
from app.sandbox.dicomdir import MOST as MOST_ON_MEDIA
from app.uploads.status import progress_words
from app.wording import held, human_size, measure

register = template.Library()
register.filter(person_name)
register.filter(plain)
register.filter(row_name)
register.filter(sex_name)
register.filter(human_size)
register.filter(measure)
register.filter(modality_name)
register.filter(codes)
register.filter(main_modality)

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
def is_demo() -> bool:
    return bool(settings.ICON_DEMO)


@register.simple_tag
def unlocked() -> list[str]:
    """What the programs that read uploaded files go without here, and searches, in sentences."""
    slow = [] if is_indexed(connection) else ["no_trigrams"]
    return [sentence(code) for code in (*lacking(), *slow)]


@dataclass(frozen=True, slots=True)
class Way:
    """A link in the header."""

    name: str
    url: str
    here: str  # of aria-current: "page", "true" below it, "" elsewhere
    field: str = ""  # by which a script finds it, to say how many it leads to


@register.simple_tag(takes_context=True)
def own_collections(context: RequestContext) -> list[Collection]:
    """The collections that this reader can put something into."""
    return list(collections_of(context["request"].user))


@register.simple_tag(takes_context=True)
def may_download(context: RequestContext) -> bool:
    """Whether this reader may download what is stored."""
    return bool(context["request"].user.has_perms(DOWNLOADS))


@register.simple_tag
def most_on_media() -> int:
    """How many objects a ZIP with a DICOMDIR can hold."""
    return MOST_ON_MEDIA


@register.filter
def folder_example(row: Model | str) -> str:
    """A folder of the ZIP of a row, as far as it is known before."""
    match row:
        case DICOMSeries():
            folders = [study_folder(row.dicom_study), series_folder(row)]
        case DICOMStudy():
            folders = [study_folder(row)]
        case _:
            folders = []
    return " / ".join(["Patient 1", *folders])


@register.simple_tag(takes_context=True)
def site_links(context: RequestContext) -> list[Way]:
    """The ways to what this reader may see."""
    request: HttpRequest = context["request"]
    ways = []
    for name, model, address, below in TABLES:
        if _may_see(request, model):
            url = reverse(address)
            ways.append(Way(name, url, _here(request, url, *below)))
    if _may_see(request, DICOMFile):
        live = DICOMFile.objects.live().count()
        progress = reverse("dicom_processing_progress")
        ways.insert(1, Way(progress_words(live), progress, _here(request, progress), "progress"))
    return ways


@register.simple_tag(takes_context=True)
def may_search(context: RequestContext) -> bool:
    """Whether this reader may see any of what the search looks through."""
    return bool(kinds_for(context["request"]))


TABLES: tuple[tuple[str, type[Model], str, tuple[str, ...]], ...] = (
    # What a link is called, what whoever follows it may see, where it leads, what lies below that.
    (
        "Uploads",
        DICOMFile,
        "admin:app_dicomfile_changelist",
        ("/dicom/result/", "/dicom/use-versions/"),
    ),
    ("Patients", Patient, "patient_list", ()),
    ("Studies", DICOMStudy, "study_list", ("/dicom/series/", "/dicom/objects/")),
    ("Structures", RTStructureROI, "structure_list", ("/dicom/structure-sets/",)),
)


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    return bool(request.user.has_perm(f"app.view_{model._meta.model_name}"))


def _here(request: HttpRequest, url: str, *below: str) -> str:
    if request.path == url:
        return "page"
    return "true" if request.path.startswith((url, *below)) else ""


@register.filter
def labelled(cells: Iterable[SafeString], headers: Iterable[dict[str, Any]]) -> list[SafeString]:
    """A row's cells as the admin has drawn them, each with the heading of its column."""
    return [
        mark_safe(f'<td data-label="{escape(capfirst(header["text"]))}"{cell[3:]}')
        if cell.startswith("<td") and "action-checkbox" not in cell[:32]
        else cell
        for cell, header in zip(cells, headers, strict=True)
    ]


@register.filter
def grouped(number: int) -> str:
    """A count with its thousands apart, as the scripts write it."""
    return f"{number:,}"


@register.filter
def holds(row: DICOMStudy | DICOMSeries) -> str:
    """What is in a study or series: "80 images and 2 other objects"."""
    return held(row.image_count, row.instance_count)


@register.filter
def age(born: date | None) -> str:
    """How old somebody is today; "" where that is not known."""
    return age_on(timezone.localdate(), born)


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
