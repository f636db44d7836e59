"""Who sees and deletes of the catalogue: rows name what they hang under, and take it along."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.models import DICOMInstance

FILED = ("patient", "dicomstudy", "dicomseries", "dicominstance")
# What else must be seen, to see a table.
ABOVE = {
    **{table: FILED[:number] for number, table in enumerate(FILED)},
    "imageinformation": FILED,
    "rtstructuresetinformation": FILED,
    "rtstructureroi": (*FILED, "rtstructuresetinformation"),
    "archivemember": ("dicomfile",),
    "cataloguecheck": ("patient",),
}


@pytest.fixture
def holder(rows, client, django_user_model):
    """The client, signed in as staff with these permissions: `holder("view_patient")`."""

    def sign_in(*codenames: str):
        user = django_user_model.objects.create_user(f"of {codenames}"[:150], is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return sign_in


def views(*tables: str) -> list[str]:
    return [f"view_{table}" for table in tables]


def pages(table: str) -> list[str]:
    pk = apps.get_model("app", table).objects.order_by("pk")[0].pk
    change = reverse(f"admin:app_{table}_change", args=[pk])
    return [reverse(f"admin:app_{table}_changelist"), change]


@pytest.mark.parametrize("table", ABOVE)
def test_a_table_is_seen_by_who_sees_all_that_it_names(table, holder):
    client = holder(*views(table, *ABOVE[table]))
    assert [client.get(url).status_code for url in pages(table)] == [200, 200]


@pytest.mark.parametrize("table", [table for table, above in ABOVE.items() if above])
def test_a_table_is_closed_to_who_does_not_see_one_of_those(table, holder):
    for missing in ABOVE[table]:
        client = holder(*views(table, *(one for one in ABOVE[table] if one != missing)))
        assert [client.get(url).status_code for url in pages(table)] == [403, 403]
        index = client.get("/admin/").content.decode()
        assert reverse(f"admin:app_{table}_changelist") not in index


@pytest.mark.parametrize("table", FILED)
def test_who_may_not_delete_all_that_would_go_deletes_nothing(table, holder):
    every = {*views(*FILED), *(f"delete_{one}" for one in FILED)}
    pk = apps.get_model("app", table).objects.order_by("pk")[0].pk
    url = reverse(f"admin:app_{table}_delete", args=[pk])
    chosen = {"action": "delete_selected_rows", "_selected_action": [pk], "post": "yes"}
    for missing in ("delete_patient", "delete_dicominstance", "view_patient"):
        client = holder(*(every - {missing}))
        assert client.get(url).status_code == 403
        assert client.post(url, {"post": "yes"}).status_code == 403
        client.post(reverse(f"admin:app_{table}_changelist"), chosen)
        assert DICOMInstance.objects.count() == 2


@pytest.mark.parametrize("table", FILED)
def test_who_may_delete_all_that_goes_deletes(table, holder):
    client = holder(*views(*FILED), *(f"delete_{one}" for one in FILED))
    pk = apps.get_model("app", table).objects.order_by("pk")[0].pk
    url = reverse(f"admin:app_{table}_delete", args=[pk])
    assert client.post(url, {"post": "yes", "reason": "Test"}).status_code == 302
    assert DICOMInstance.objects.count() == 1
