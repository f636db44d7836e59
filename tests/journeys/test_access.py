"""Who gets what: every address, for every kind of visitor; and a GET that changes nothing."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django_celery_results.models import GroupResult, TaskResult

from app.health import nightly
from app.models import DICOMFile, SignInTries
from tests.making.objects import ct_image, rt_structure_set

VISITORS = (
    "anonymous",
    "plain user",
    "staff without permissions",
    "staff who may look",
    "superuser",
)
STAFF = VISITORS[2:]

# Status codes of a GET: for an anonymous or plain visitor, and for each of STAFF.
PUBLIC = {
    "/": (302, 302, 302, 302),
    "/favicon.ico": (302, 302, 302, 302),
    "/healthz": (200, 200, 200, 200),
    "/readyz": (503, 503, 503, 503),  # the tests have no worker
    "/admin/login/": (200, 302, 302, 302),
}
ADMIN = {
    "/admin/": (302, 200, 200, 200),
    "/admin/administration/": (302, 200, 200, 200),
    "/admin/logout/": (302, 405, 405, 405),
    "/admin/password_change/": (302, 200, 200, 200),
    "/admin/password_change/done/": (302, 200, 200, 200),
    "/admin/autocomplete/": (302, 403, 403, 403),
    "/admin/jsi18n/": (302, 200, 200, 200),
    "/admin/app/dicomfile/process-pending/": (302, 403, 403, 200),
    "/admin/no-such-page/": (302, 404, 404, 404),
    "/admin/app/": (302, 404, 200, 200),
}
OURS = {
    "process_dicom_file": (302, 403, 403, 405),  # a GET starts nothing
    "cancel_dicom_file": (302, 403, 403, 405),
    "see_dicom_file": (302, 403, 403, 405),
    "dicom_processing_progress": (302, 403, 200, 200),
    "known_uploads": (302, 405, 405, 405),
    "task_status": (302, 200, 200, 200),  # with nothing in it for who may not look
    "upload_result": (302, 403, 200, 200),
    "ledger_csv": (302, 403, 200, 200),
    "answer_identity": (302, 403, 403, 405),
    "use_versions": (302, 403, 200, 200),  # who may only look reads what differs
}
# The pages of a table. Some, below, are for nobody.
TABLE = {
    "changelist": (302, 403, 200, 200),
    "add": (302, 403, 403, 200),
    "change": (302, 403, 200, 200),
    "history": (302, 403, 200, 200),
    "delete": (302, 403, 403, 200),
    "password_change": (302, 403, 403, 200),
    "": (302, 302, 302, 302),  # leads to "change"
}
NOBODY = (302, 403, 403, 403)
READ_ONLY = (
    "imageinformation",
    "rtstructuresetinformation",
    "rtstructureroi",
    "archivemember",
    "cataloguecheck",
    "auditentry",
)
LEADS_TO_RESULT = (302, 403, 302, 302)
FOR_SUPERUSERS = (302, 403, 403, 200)
FILLED_BY_IMPORTS = ("patient", "dicomstudy", "dicomseries", "dicominstance", *READ_ONLY)


@pytest.fixture
def upload(import_zip, django_user_model) -> DICOMFile:
    """An upload, and at least one row in every table of the admin."""
    upload = import_zip(ct_image(), rt_structure_set())
    nightly.begin()
    nightly.go_on()
    Group.objects.create(name="A group")
    TaskResult.objects.create(task_id="task")
    GroupResult.objects.create(group_id="group")
    SignInTries.objects.create(key="user 1", tries=5)
    django_user_model.objects.create_user("somebody")
    return upload


@pytest.fixture
def visit(client, django_user_model):
    """The client, signed in as a kind of visitor."""

    def enter(visitor: str):
        if visitor == "anonymous":
            return client
        user = django_user_model.objects.create_user(
            visitor, is_staff=visitor in STAFF, is_superuser=visitor == "superuser"
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
        found += patterns(one, path) if isinstance(one, URLResolver) else [(path, one.name or "")]
    return found


def tables(upload: DICOMFile) -> dict[str, tuple[int, ...]]:
    """The addresses of the admin's tables and of one row of each."""
    found = {}
    for model in admin.site._registry:
        at = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = f"{at}{model._default_manager.order_by('pk')[0].pk}/"
        for page, codes in TABLE.items():
            alone = page in ("changelist", "add")
            path = (at if alone else row) + ("" if page in ("changelist", "") else f"{page}/")
            found[path] = codes
        name = model._meta.model_name
        if name == "dicomfile":
            found[f"{row}change/"] = LEADS_TO_RESULT
        if name in FILLED_BY_IMPORTS:
            found[f"{at}add/"] = NOBODY
        if name in FILLED_BY_IMPORTS:
            found[f"{row}history/"] = (302, 404, 404, 404)
        if name in READ_ONLY:
            found[f"{row}delete/"] = NOBODY
        if name == "signintries":
            for url in (at, f"{row}change/", f"{row}history/"):
                found[url] = FOR_SUPERUSERS
            found[f"{at}add/"] = NOBODY
        del found[f"{row}password_change/"]
        if name == "user":
            found[f"{row}password/"] = TABLE["password_change"]
    return found


def expected(upload: DICOMFile) -> dict[str, tuple[int, ...]]:
    """Every address, and what a GET of it is answered with."""
    ours = {
        reverse(name, args=[upload.pk] if "<int:pk>" in path else []): OURS[name]
        for path, name in patterns()
        if path.startswith("dicom/")
    }
    return {**PUBLIC, **ADMIN, **tables(upload), **ours}


def test_no_address_is_forgotten_here(upload):
    listed = expected(upload)
    routes = {get_resolver().resolve(path).route for path in listed}
    every = {path.replace("^", "") for path, _ in patterns()}  # `route` has none
    assert every - routes == {"admin/r/<path:content_type_id>/<path:object_id>/"}


def test_celery_progress_s_own_addresses_are_not_there():
    assert not [path for path, _ in patterns() if "task_id" in path or "celery-progress" in path]


@pytest.mark.parametrize("visitor", VISITORS)
def test_every_visitor_gets_what_the_table_says(visitor, visit, upload):
    client = visit(visitor)
    column = STAFF.index(visitor) + 1 if visitor in STAFF else 0
    want = {path: codes[column] for path, codes in expected(upload).items()}
    assert {path: client.get(path).status_code for path in want} == want


@pytest.mark.parametrize("visitor", ["anonymous", "plain user"])
def test_who_is_not_staff_is_sent_to_sign_in(visitor, visit, upload):
    client = visit(visitor)
    for path in expected(upload).keys() - PUBLIC.keys() - {"/admin/logout/"}:
        for response in (client.get(path), client.post(path, {"post": "yes"})):
            assert response.status_code == 302, path
            assert response.url.startswith("/admin/login/"), path


@pytest.mark.parametrize("name", ["process_dicom_file", "cancel_dicom_file", "see_dicom_file"])
def test_who_signs_in_after_pressing_a_button_finds_it_again(name, client, staff_user, upload):
    response = client.post(reverse(name, args=[upload.pk]))
    response = client.post(response.url, {"username": "staff", "password": "staff-password"})
    assert response.url == reverse("upload_result", args=[upload.pk])
    assert client.get(response.url).status_code == 200


def test_the_status_tells_nothing_to_who_may_not_look(visit, upload):
    client = visit("staff without permissions")
    url = f"{reverse('task_status')}?upload={upload.pk}"
    assert client.get(url).json() == {"uploads": []}


@pytest.mark.parametrize("visitor", VISITORS[:4])
def test_a_post_changes_nothing_for_who_may_only_look(visitor, visit, upload):
    client = visit(visitor)
    chosen = {"post": "yes", "_selected_action": [upload.pk]}
    before = snapshot()
    for path in expected(upload).keys() - {"/admin/logout/"}:
        client.post(path, {"post": "yes"})
    for action in (
        "process_selected",
        "stop_selected",
        "delete_selected_uploads",
        "remove_kept_zips",
    ):
        client.post(reverse("admin:app_dicomfile_changelist"), chosen | {"action": action})
    client.post(
        reverse("admin:app_patient_changelist"), chosen | {"action": "delete_selected_rows"}
    )
    assert snapshot() == before


@pytest.mark.parametrize(("visitor", "sees"), [("staff who may look", False), ("superuser", True)])
def test_only_who_may_process_and_delete_sees_buttons_for_it(visitor, sees, visit, upload_zip):
    upload = upload_zip(ct_image())
    client = visit(visitor)
    page = client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    assert upload.original_name in page
    assert ("Process Now" in page) is sees
    assert ("<option" in page) is sees
    page = client.get(reverse("upload_result", args=[upload.pk])).content.decode()
    assert ("Process Now" in page) is sees


def snapshot() -> dict[str, list]:
    """Every row of every table."""
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values())
        for model in apps.get_models()
    }


def test_a_get_changes_nothing_anywhere(visit, upload, media_root, processed_root):
    def files() -> set:
        return {*media_root.rglob("*"), *processed_root.rglob("*")}

    client = visit("superuser")
    before = snapshot(), files()
    for path in expected(upload):
        client.get(path, {"post": "yes", "action": "delete_selected_uploads"})
    assert (snapshot(), files()) == before


@pytest.mark.parametrize(
    "name",
    [
        "process_dicom_file",
        "cancel_dicom_file",
        "see_dicom_file",
        "use_versions",
        "answer_identity",
    ],
)
def test_a_post_without_its_token_is_refused(name, staff_user, upload):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff_user)
    response = strict.post(reverse(name, args=[upload.pk]))
    assert response.status_code == 403
    assert "reload the page, and try again" in response.content.decode()


@pytest.mark.parametrize("table", ["dicomfile", "patient"])
def test_a_delete_without_its_token_is_refused(table, staff_user, upload):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff_user)
    pk = apps.get_model("app", table).objects.get().pk
    url = reverse(f"admin:app_{table}_delete", args=[pk])
    assert strict.post(url, {"post": "yes"}).status_code == 403
