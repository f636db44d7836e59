"""What the address of a list may ask for: what its filters and the links to it offer."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

LOOKUPS = (
    *("regex", "iregex", "contains", "icontains", "startswith", "istartswith", "endswith"),
    *("iexact", "in", "gt", "range", "has_key", "year", "pk", "exact", "isnull", "lt", "gte"),
)
ADMINS = [pytest.param(one, id=one.opts.label_lower) for one in admin.site._registry.values()]
BAD = r"^(a+)+$"


def list_of(model_admin) -> str:
    return reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist")


def offered(client, model_admin) -> set[str]:
    """What the filters of the list ask for in their links, by Django's own word, and more."""
    found = set(model_admin.linked)
    for spec in client.get(list_of(model_admin)).context["cl"].filter_specs:
        found |= {*spec.expected_parameters()}
        if path := getattr(spec, "field_path", ""):
            found |= {path, f"{path}__exact", f"{path}__isnull"}
    for part in ("year", "month", "day") if model_admin.date_hierarchy else ():
        found.add(f"{model_admin.date_hierarchy}__{part}")
    return found


def paths(model: type[Model], steps: int) -> Iterator[str]:
    """Every field of a table, and of those that it leads to."""
    for field in model._meta.get_fields():
        yield field.name
        if field.related_model and steps:
            yield from (f"{field.name}__{more}" for more in paths(field.related_model, steps - 1))


@pytest.mark.parametrize("model_admin", ADMINS)
def test_a_list_takes_no_lookup_that_it_does_not_offer(model_admin, staff_client, rows, rf):
    Group.objects.create(name="Readers")
    asked = {*paths(model_admin.model, 2)}
    asked |= {f"{path}__{lookup}" for path in asked for lookup in LOOKUPS}
    request = rf.get("/")
    taken = {one for one in asked if model_admin.lookup_allowed(one, "1", request)}
    assert len(asked) > 100
    assert taken <= offered(staff_client, model_admin)


@pytest.mark.parametrize("model_admin", ADMINS)
def test_a_pattern_or_part_of_a_text_is_never_looked_for(model_admin, staff_client):
    with CaptureQueriesContext(connection) as queries:
        for path in paths(model_admin.model, 0):
            response = staff_client.get(list_of(model_admin), {f"{path}__regex": BAD})
            assert response.status_code == 400
    assert not [one for one in queries.captured_queries if BAD in one["sql"]]


@pytest.mark.parametrize(
    ("table", "lookup"),
    [
        ("patient", "patient_name__regex"),
        ("patient", "patient_name"),
        ("patient", "studies__series__instances__sha256__startswith"),
        ("dicomfile", "processing_log_data__icontains"),
        ("dicomfile", "uploaded_by__password__startswith"),
        ("rtstructureroi", "roi_contour_data__contains"),
        ("dicomfile", "created_at__regex"),
        ("dicomseries", "modality__regex"),
        ("dicomseries", "dicom_study__patient__patient_name__startswith"),
    ],
)
def test_an_address_that_asks_for_more_is_refused(table, lookup, staff_client):
    url = reverse(f"admin:app_{table}_changelist")
    assert staff_client.get(url, {lookup: BAD}).status_code == 400


@pytest.mark.parametrize("model_admin", ADMINS)
def test_every_link_of_a_list_asks_for_what_it_offers(model_admin, staff_client, rows):
    response = staff_client.get(list_of(model_admin))
    shown = response.context["cl"]
    queries = [
        choice["query_string"] for spec in shown.filter_specs for choice in spec.choices(shown)
    ]
    for name, value in (pair for query in queries for pair in parse_qsl(query.removeprefix("?"))):
        assert model_admin.lookup_allowed(name, value, response.wsgi_request)
    assert staff_client.get(list_of(model_admin) + [*queries, ""][-1]).status_code == 200


def test_the_links_from_a_parent_to_its_children_lead_there(staff_client, rows):
    series = rows.dicom_series
    study = series.dicom_study
    for table, query in (
        ("dicomstudy", {"patient__id__exact": study.patient_id}),
        ("dicomseries", {"dicom_study__id__exact": study.pk}),
        ("dicominstance", {"dicom_series__id__exact": series.pk}),
        ("rtstructureroi", {"rt_structure_set__id__exact": rows.rt_structure_set.pk}),
    ):
        response = staff_client.get(reverse(f"admin:app_{table}_changelist"), query)
        assert response.context["cl"].result_count == 1
