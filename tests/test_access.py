"""Who gets what: every address, for every kind of visitor; and a GET that changes nothing."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from app.models import DICOMFile, Patient
from tests.objects import ct_image

STAFF = ("staff without permissions", "staff who may look", "superuser")
OURS = {
    "process_dicom_file": 405,  # a GET starts nothing
    "cancel_dicom_file": 405,
    "dicom_processing_progress": 200,
    "task_status": 200,
    "upload_result": 200,
    "ledger_csv": 200,
    "use_versions": 200,
}
FOR_PROCESSING = ("process_dicom_file", "cancel_dicom_file", "use_versions")


@pytest.fixture
def upload(import_zip) -> DICOMFile:
    return import_zip(ct_image())


@pytest.fixture
def visit(client, django_user_model):
    """The client, signed in as a kind of visitor."""

    def enter(visitor: str):
        client.logout()
        if visitor == "anonymous":
            return client
        user, _ = django_user_model.objects.get_or_create(
            username=visitor,
            defaults={
                "is_staff": visitor in STAFF,
                "is_superuser": visitor == "superuser",
            },
        )
        if visitor == "staff who may look":
            user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        client.force_login(user)
        return client

    return enter


def patterns(resolver=None, prefix: str = "") -> list[tuple[str, str]]:
    """Every address of the project: its pattern and its name."""
    found = []
    for one in (resolver or get_resolver()).url_patterns:
        path = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            found += patterns(one, path)
        elif isinstance(one, URLPattern):
            found.append((path, one.name or ""))
    return found


def addresses(upload: DICOMFile) -> dict[str, str]:
    """An address to visit for every pattern that is ICON's or the admin's."""
    found = {}
    pks = {"dicomfile": upload.pk, "patient": Patient.objects.get().pk}
    for path, name in patterns():
        if path.startswith("dicom/"):
            found[name] = reverse(name, args=[upload.pk] if "<int:pk>" in path else [])
        elif path.startswith("admin/app/") and "<path:object_id>" in path:
            model = path.split("/")[2]
            if name and model in pks:
                found[name] = reverse(f"admin:{name}", args=[pks[model]])
        elif path.startswith("admin/app/") and name:
            found[name] = reverse(f"admin:{name}")
    return found


def test_every_address_of_the_app_is_listed_here():
    assert {name for path, name in patterns() if path.startswith("dicom/")} == set(OURS)


def test_celery_progress_s_own_addresses_are_not_there():
    assert not [path for path, _ in patterns() if "task_id" in path or "celery-progress" in path]


@pytest.mark.parametrize("visitor", ["anonymous", "plain user"])
def test_who_is_not_staff_gets_nothing(visitor, visit, upload):
    client = visit(visitor)
    for name, url in addresses(upload).items():
        response = client.get(url)
        assert response.status_code == 302, name
        assert "/login/" in response.url, name
        assert client.post(url).status_code == 302, name


def expected(name: str, visitor: str) -> int:
    if visitor == "superuser":
        return OURS[name]
    if name == "task_status":
        return 200  # with nothing in it
    if visitor == "staff who may look" and name not in FOR_PROCESSING:
        return OURS[name]
    return 403


@pytest.mark.parametrize("visitor", STAFF)
def test_staff_gets_what_its_permissions_allow(visitor, visit, upload):
    client = visit(visitor)
    for name in OURS:
        url = addresses(upload)[name]
        assert client.get(url).status_code == expected(name, visitor), name


def test_staff_without_permissions_sees_no_table(visit, upload):
    client = visit("staff without permissions")
    for name, url in addresses(upload).items():
        if url.startswith("/admin/"):
            assert client.get(url).status_code == 403, name


def test_staff_who_may_look_may_neither_start_nor_delete(visit, upload):
    client = visit("staff who may look")
    urls = addresses(upload)
    for name in ("process_dicom_file", "cancel_dicom_file", "use_versions"):
        assert client.post(urls[name]).status_code == 403
    for name in ("app_dicomfile_delete", "app_patient_delete"):
        assert client.post(urls[name], {"post": "yes"}).status_code == 403
    page = client.get(urls["app_dicomfile_changelist"]).content.decode()
    assert "Process Now" not in page
    assert "Remove kept ZIPs</option>" not in page


def snapshot() -> dict[str, list]:
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in apps.get_app_config("app").get_models()
    }


def test_a_get_changes_nothing_anywhere(visit, upload):
    client = visit("superuser")
    before = snapshot()
    for url in addresses(upload).values():
        client.get(url)
    assert snapshot() == before


def test_a_post_without_its_token_is_refused(staff_user, upload):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff_user)
    assert strict.post(addresses(upload)["process_dicom_file"]).status_code == 403
