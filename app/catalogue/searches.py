"""What people search for, kept with their session: an address holds only its number.

Addresses stand in browsers' histories and in the logs of proxies, and what is searched for may
be a patient's name. So a search is posted, and the page that answers it is found under a number
that means nothing to anybody else.
"""

import secrets
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import EmptyResultSet
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from app.reasons import sentence

from .search import LONGEST, matching

KEPT = "searches"  # in the session: number -> words, oldest first
MOST = 50


def keep(request: HttpRequest, words: str) -> str:
    """The number under which these words are kept until the session ends."""
    kept: dict[str, str] = request.session.get(KEPT, {})
    words = words[:LONGEST]
    for number, others in kept.items():
        if others == words:
            return number
    # By chance, so that no two pages, or two sessions, give other words the same number.
    number = str(secrets.randbelow(10**9))
    request.session[KEPT] = {**dict([*kept.items()][1 - MOST :]), number: words}
    return number


def words_of(request: HttpRequest, number: str) -> str:
    """What is kept under a number; where nothing is, "", and the page says so."""
    if not number:
        return ""
    kept: dict[str, str] = request.session.get(KEPT, {})
    if number not in kept:
        messages.warning(request, sentence("search_over"))
    return kept.get(number, "")


def is_kept(request: HttpRequest, number: str) -> bool:
    return bool(number) and number in request.session.get(KEPT, {})


def is_over(request: HttpRequest) -> bool:
    """Whether an address asks for what is not kept: what answers it is more than was asked for."""
    number = request.GET.get(SEARCH_VAR, "")
    return bool(number) and not is_kept(request, number)


def back_to(page: str, request: HttpRequest, *args: Any) -> HttpResponse:
    """To the page of the same address, which says that its search is over."""
    return HttpResponseRedirect(f"{reverse(page, args=args)}?{request.GET.urlencode()}")


def address_of(request: HttpRequest, *pages: str) -> str:
    """Where the words that were posted are answered: here, but from the first of the pages.

    Parameters
    ----------
    pages
        What in the address says how far somebody has come in what was found earlier.
    """
    address = request.GET.copy()
    for name in (SEARCH_VAR, *pages):
        address.pop(name, None)
    if words := request.POST.get(SEARCH_VAR, "").replace("\0", "").strip():
        address[SEARCH_VAR] = keep(request, words)
    return f"{request.path}?{address.urlencode()}".rstrip("?")


class WordsChangeList(ChangeList):
    """A list whose address holds the number of what is searched for."""

    is_looked_up = False  # Django asks once for the page, and once more for an action

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        if not self.is_looked_up:
            self.query, self.is_looked_up = words_of(request, self.query), True
        rows = super().get_queryset(request, *args, **kwargs)
        # An action on all that was found must not reach what was not.
        return rows.none() if request.method == "POST" and is_over(request) else rows


def keys_of(rows: QuerySet[Any]) -> list[int]:
    """The keys of rows in their order, past the ORM, which takes its time over 100,000 of them."""
    try:
        sql, params = rows.values("pk").query.sql_with_params()
    except EmptyResultSet:  # without a look at the database
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [key for (key,) in cursor.fetchall()]


class KeysPaginator(Paginator):  # type: ignore[type-arg]
    """A list a page at a time, the keys first: 100,000 rows are sorted without what they show.

    Parameters
    ----------
    keys
        All of them, in their order: as a list where looking for them takes long, since they are
        counted, too; else as a query.
    rows
        With these keys among theirs, as the list shows them.
    """

    def __init__(
        self, keys: "list[int] | QuerySet[Any, int]", per_page: int, rows: QuerySet[Any]
    ) -> None:
        super().__init__(keys, per_page)
        self.rows = rows

    def page(self, number: int | str) -> "Page[Any]":
        page = super().page(number)
        keys = list(page.object_list)
        rows = self.rows.in_bulk(keys)
        page.object_list = [rows[key] for key in keys if key in rows]
        return page


class PostedSearch:
    """For a ModelAdmin, in front of it: a list that is searched by posting words.

    `search_paths` are columns of folded text, of which each word must be in one; `exact_paths`
    are what is found by the whole of what is typed. With `search_fields` it searches as Django.
    """

    search_paths: tuple[str, ...] = ()
    exact_paths: tuple[str, ...] = ()
    search_pages: tuple[str, ...] = (PAGE_VAR,)  # see `address_of`

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WordsChangeList

    def changelist_view(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and SEARCH_VAR in request.POST:
            return HttpResponseRedirect(address_of(request, *self.search_pages))
        return super().changelist_view(request, *args, **kwargs)  # type: ignore[misc,no-any-return]

    def get_search_fields(self: Any, request: HttpRequest) -> Any:
        # Django shows the box where there are some.
        return self.search_fields or (*self.search_paths, *self.exact_paths)

    def get_search_results(
        self: Any, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if self.search_fields or not search_term:
            return super().get_search_results(request, queryset, search_term)  # type: ignore[misc,no-any-return]
        found = matching(self.model, search_term, self.search_paths)
        for path in self.exact_paths:
            # Looked for here, where it has an index: OR would look at every row.
            rows = self.model._default_manager.filter(**{path: search_term})
            if exact := [*rows.values_list("pk", flat=True)]:
                found |= Q(pk__in=exact)
        return queryset.filter(found), False
