"""What the address of an admin's list may ask for: what the list's own filters offer."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.filters import SimpleListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.db.models import DateField
from django.db.models.fields.related import RelatedField
from django.http import HttpRequest


class OfferedLookups:
    """For a ModelAdmin, in front of it.

    Django's own takes any lookup of any field of the table: a regular expression that a search of
    all rows would spend minutes on, or part of a text that no page shows.
    """

    linked: tuple[str, ...] = ()  # lookups that links on other pages ask for

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self.linked or lookup in set(self._offered(request))

    def _offered(self: Any, request: HttpRequest) -> Iterator[str]:
        for one in self.get_list_filter(request):
            if isinstance(one, type) and issubclass(one, SimpleListFilter):
                yield str(one.parameter_name)
            else:
                yield from self._offered_of(one if isinstance(one, str) else one[0])
        if self.date_hierarchy:
            yield from (f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day"))

    def _offered_of(self: Any, path: str) -> Iterator[str]:
        """What a filter of a field asks for, by the kind of the field."""
        field = get_fields_from_path(self.model, path)[-1]
        yield f"{path}__isnull"
        if isinstance(field, DateField):
            yield from (f"{path}__gte", f"{path}__lt")
        elif isinstance(field, RelatedField):
            yield f"{path}__{field.target_field.name}__exact"
        else:
            yield from (path, f"{path}__exact")
