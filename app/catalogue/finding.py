"""The page of the one search: what was found of each kind, or where ICON looked."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from app.audit.recording import record_search
from app.folding import folded
from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Patient,
    RTStructureROI,
)
from app.wording import listed

from . import near
from .addresses import BEFORE, key_in
from .asking import TO_STUDY, Asked, address_for, asked_of, chips, found_by, understand
from .hashes import LOOKED_THROUGH, objects_with
from .search import COUNTED, matching
from .thumbnails import note_studies

SHOWN = 50  # rows of each kind
CANDIDATES = 2_000  # for one exact hit, of what has the words somewhere


@dataclass(frozen=True)
class Kind:
    """A table that is looked through."""

    name: str  # in the address of its tab
    noun: str
    plural: str
    model: type[Model]
    looked_in: tuple[str, ...]  # in words
    page: str  # of all that is found: the name of its address
    csv: str  # the same as CSV
    by_words_alone: bool = False  # whether that page knows nothing of dates, modalities, UIDs
    sorted_by: str = "pk"
    newest_first: bool = True
    related: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()

    @property
    def permission(self) -> str:
        return f"app.view_{self.model._meta.model_name}"


KINDS = (
    Kind(
        name="patients", noun="patient", plural="patients", model=Patient,
        looked_in=("name", "ID", "birth date"), page="patient_list", csv="patient_csv",
        sorted_by="patient_name", newest_first=False,
    ),
    Kind(
        name="studies", noun="study", plural="studies", model=DICOMStudy,
        looked_in=("accession number", "description", "date", "UID"),
        page="study_list", csv="study_csv", sorted_by="study_date", related=("patient",),
    ),
    Kind(
        name="structures", noun="structure", plural="structures", model=RTStructureROI,
        looked_in=("structure name",), page="structure_list", csv="structure_csv",
        related=(f"{TO_STUDY}__patient",), deferred=("roi_contour_data", "search_text"),
    ),
    Kind(
        name="uploads", noun="upload", plural="uploads", model=DICOMFile,
        looked_in=("ZIP name",), page="admin:app_dicomfile_changelist",
        csv="admin:app_dicomfile_csv", by_words_alone=True,
    ),
)  # fmt: skip


@dataclass
class Tab:
    kind: Kind
    count: int
    rows: list[Any] = field(default_factory=list)
    is_open: bool = False
    has_list: bool = True

    @property
    def words(self) -> str:
        return f"{self.number} {self.kind.noun if self.count == 1 else self.kind.plural}"

    @property
    def all(self) -> str:
        """The address of the list of all that was found, to which the query is added."""
        return reverse(self.kind.page) if self.has_list else ""

    @property
    def csv(self) -> str:
        """The address of the same as CSV."""
        return reverse(self.kind.csv) if self.has_list else ""

    @property
    def is_cut(self) -> bool:
        return self.count > len(self.rows)

    @property
    def number(self) -> str:
        return f"more than {COUNTED:,}" if self.count > COUNTED else f"{self.count:,}"


@staff_member_required
@require_http_methods(["GET", "HEAD", "POST"])
def search(request: HttpRequest) -> HttpResponse:
    """Take what is searched for and lead to what was found: to its page, where it is one."""
    kinds = kinds_for(request)
    if not kinds:
        raise PermissionDenied(KINDS[0].permission)  # which every role has
    if request.method == "POST":
        typed = request.POST.get("q", "")
        asked = understand(typed)
        record_search(request.user, f"the catalogue, by {asked.kinds}")
        address = reverse("search") + "?" + address_for(request, asked)
        return redirect(exact_page(request, typed) or address.rstrip("?"))
    asked = asked_of(request)
    if asked:
        record_search(request.user, f"the catalogue, by {asked.kinds}")
    if asked.hashes:
        return _objects_with_hash(request)
    return render(request, "catalogue/search.html", found(request, kinds))


def kinds_for(request: HttpRequest) -> list[Kind]:
    """Those that this reader may see."""
    return [kind for kind in KINDS if request.user.has_perm(kind.permission)]


def found(request: HttpRequest, kinds: list[Kind]) -> dict[str, Any]:
    """What the page shows."""
    asked = asked_of(request)
    tabs = tabs_of(request, kinds) if asked else []
    for tab in tabs:
        if tab.is_open and tab.kind.model is DICOMStudy:
            note_studies(request, tab.rows)
    without_tab = request.GET.copy()
    without_tab.pop("tab", None)
    return {
        "title": "Search",
        "asked": asked,
        "chips": chips(request),
        "tabs": tabs,
        "tab": next((tab for tab in tabs if tab.is_open), None),
        "address": without_tab.urlencode(),
        "nouns": listed([kind.noun for kind in kinds], "or"),
        "plurals": listed(kind.plural for kind in kinds),
        "looked_in": listed(text for kind in kinds for text in kind.looked_in),
        "near": near.names(request, asked) if asked.words and not tabs else [],
    }


def _objects_with_hash(request: HttpRequest) -> HttpResponse:
    """The page of the one object that has a SHA-256; or how far was looked for it."""
    before = key_in(request.GET, BEFORE)
    looked = objects_with(asked_of(request).hashes, before)
    found = [(one, page) for one in looked.found if (page := _object_page(request, one))]
    if len(found) == 1:
        return redirect(found[0][1])
    older = request.GET.copy()
    older[BEFORE] = str(looked.before)
    context = {
        "title": "Search",
        "asked": asked_of(request),
        "chips": chips(request),
        "objects": found,
        "older": older.urlencode() if looked.before else "",
        "looked_through": LOOKED_THROUGH,
        "is_newest": before is None,
    }
    return render(request, "catalogue/search.html", context)


def tabs_of(request: HttpRequest, kinds: list[Kind]) -> list[Tab]:
    """What was found of each kind, the likeliest first.

    That one is open, or the one that the address names.
    """
    asked, wanted = asked_of(request), request.GET.get("tab", "")
    tabs = []
    for kind in kinds:
        rows = found_by(request, kind.model._default_manager.order_by())
        # One look for both, how many there are and which come first.
        columns = dict.fromkeys((kind.sorted_by, "pk"))
        found = [*rows.order_by("-pk").values_list(*columns)[: COUNTED + 1]]
        if found:
            tabs.append(Tab(kind, len(found), _first(kind, found)))
            tabs[-1].has_list = _lists_the_same(kind, asked, len(found))
    for likely in [tab for tab in tabs if _is_likely(tab, asked)][:1]:
        tabs.remove(likely)
        tabs.insert(0, likely)
    if tabs:
        next((tab for tab in tabs if tab.kind.name == wanted), tabs[0]).is_open = True
    return tabs


def _lists_the_same(kind: Kind, asked: Asked, count: int) -> bool:
    """Whether the page of all that is found shows as many."""
    if not kind.by_words_alone:
        return True
    if asked.others:
        return False
    named = kind.model._default_manager.order_by().filter(matching(kind.model, asked.words))
    return len(asked.words.split()) == 1 or named.values("pk")[: COUNTED + 1].count() == count


def _first(kind: Kind, found: list[tuple[Any, ...]]) -> list[Any]:
    """The rows that are shown; of very many the last that came, which are found first."""
    if len(found) > COUNTED:
        pks = [one[-1] for one in found[:SHOWN]]
    else:
        first = heapq.nlargest if kind.newest_first else heapq.nsmallest
        dated = (one for one in found if one[0] is not None)
        others = (one for one in found if one[0] is None)
        pks = [one[-1] for one in (*first(SHOWN, dated), *islice(others, SHOWN))][:SHOWN]
    several = kind.model._default_manager.select_related(*kind.related).defer(*kind.deferred)
    by_pk = several.in_bulk(pks)
    return [by_pk[pk] for pk in pks if pk in by_pk]


def _is_likely(tab: Tab, asked: Asked) -> bool:
    """Whether a row has all words whole; without words somebody wants studies."""
    if not asked.words:
        return tab.kind.model is DICOMStudy
    words = {*folded(asked.words).split()}
    return any(words <= {*_text_of(row).split()} for row in tab.rows)


def _text_of(row: Any) -> str:
    return folded(row.roi_name) if isinstance(row, RTStructureROI) else row.search_text or ""


# --- one exact hit ---------------------------------------------------------------------------


def exact_page(request: HttpRequest, typed: str) -> str:
    """The one page whose Patient ID, accession number or UID is what was typed; "" else."""
    typed = " ".join(typed.replace("\0", "").split())[:200]
    pages = set(_exact_pages(request, typed)) if typed else set()
    return pages.pop() if len(pages) == 1 else ""


def _exact_pages(request: HttpRequest, typed: str) -> Iterator[str]:
    may = request.user.has_perm
    if may("app.view_patient"):
        for pk in _named(Patient, "unique_patient_id", typed):
            yield reverse("patient", args=[pk])
    if may("app.view_dicomstudy"):
        for pk in {*_named(DICOMStudy, "accession_number", typed), *_of_uid(DICOMStudy, typed)}:
            yield reverse("study", args=[pk])
    if may("app.view_dicomseries"):
        for pk in _of_uid(DICOMSeries, typed):
            yield reverse("series", args=[pk])
    objects = DICOMInstance.objects.filter(sop_instance_uid=typed).order_by("pk")
    for one in objects.select_related("rt_structure_set")[:2]:
        if page := _object_page(request, one):
            yield page


def _named(model: Any, column: str, typed: str) -> set[int]:
    """Rows whose column is what was typed, by the fold."""
    rows, wanted = model._default_manager.order_by(), folded(typed)
    if not wanted:
        return set()
    some = {*rows.filter(**{column: typed}).values_list("pk", flat=True)[:2]}
    others = rows.filter(matching(model, typed), **{f"{column}__gt": ""})
    for pk, value in others.values_list("pk", column)[:CANDIDATES]:
        if folded(value) == wanted:
            some.add(pk)
    return some


def _of_uid(model: Any, uid: str) -> set[int]:
    column = {DICOMStudy: "study_instance_uid", DICOMSeries: "series_instance_uid"}[model]
    return {*model._default_manager.filter(**{column: uid}).values_list("pk", flat=True)[:2]}


def _object_page(request: HttpRequest, one: DICOMInstance) -> str:
    """Where an object is shown: as a structure set, or with its series; "" to who may see none."""
    structure_set = getattr(one, "rt_structure_set", None)
    if structure_set and request.user.has_perm("app.view_rtstructuresetinformation"):
        return reverse("structure_set", args=[structure_set.pk])
    may_see = request.user.has_perm("app.view_dicomseries")
    return reverse("series", args=[one.dicom_series_id]) if may_see else ""
