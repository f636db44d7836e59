"""Who gets what: every address, for every kind of visitor; and a GET that changes nothing."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django_celery_results.models import GroupResult, TaskResult

from app.accounts import roles
from app.catalogue import removal
from app.health import nightly
from app.models import (
    AuditEntry,
    Collection,
    CollectionEntry,
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Kind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
    SignInTries,
)
from tests.making.objects import ct_image, rt_structure_set

# Who there is, from the least to the most.
VISITORS = (
    *("anonymous", "plain user", "staff without role"),
    *("Reader", "Uploader", "Manager", "Administrator", "superuser"),
)
STAFF = VISITORS[2:]


def row(staff: int, no_role: int | None = None, outside: int = 302) -> tuple[int, ...]:
    """Status codes for each visitor: those outside, staff without a role, everybody else."""
    return (outside, outside, staff if no_role is None else no_role, *[staff] * 5)


def since(visitor: str, code: int = 200) -> tuple[int, ...]:
    """The code for this visitor and all who may more; staff below is refused."""
    first = VISITORS.index(visitor)
    return tuple(
        302 if one not in STAFF else code if VISITORS.index(one) >= first else 403
        for one in VISITORS
    )


NOBODY = row(403)
NO_HISTORY = row(404)
ELSEWHERE = row(302)

# What tells that somebody has looked at something, or taken it along.
LOOKED = (Kind.VIEWED, Kind.SEARCHED, Kind.EXPORTED, Kind.DOWNLOADED, Kind.DOWNLOAD_ENDED)

# Status codes of a GET.
PUBLIC = {
    "/": ELSEWHERE,
    "/favicon.ico": ELSEWHERE,
    "/healthz": row(200, outside=200),
    "/readyz": row(503, outside=503),  # the tests have no worker
    "/admin/login/": (200, 200, *[302] * 6),
}
ADMIN = {
    "/admin/": row(200),
    "/admin/administration/": row(200),
    "/admin/logout/": row(405),
    "/admin/password_change/": row(200),
    "/admin/password_change/done/": row(200),
    "/admin/autocomplete/": NOBODY,
    "/admin/jsi18n/": row(200),
    "/admin/app/dicomfile/process-pending/": since("Uploader"),
    "/admin/no-such-page/": row(404),
    "/admin/app/": row(200, no_role=404),
}
OURS = {
    "process_dicom_file": since("Uploader", 405),  # a GET starts nothing
    "cancel_dicom_file": since("Uploader", 405),
    "see_dicom_file": since("Uploader", 405),
    "dicom_processing_progress": since("Reader"),
    "known_uploads": row(405),
    "task_status": row(200),  # with nothing in it for who may not look
    "upload_result": since("Reader"),
    "ledger_csv": since("Reader"),
    "answer_identity": since("Manager", 405),
    "use_versions": since("Reader"),  # who may only look reads what differs
    "search": since("Reader"),
    **dict.fromkeys(("download_series", "download_study", "download_patient"), since("Uploader")),
    **dict.fromkeys(("download_collection", "download_object"), since("Uploader")),
    **dict.fromkeys(("series_csv", "objects_csv", "structure_set_csv"), since("Reader")),
    "chosen_series_csv": since("Reader", 405),
    "collections_csv": since("Reader"),
    "trash_csv": since("Manager"),
    "download_selection": since("Uploader", 405),
    **dict.fromkeys(("catalogue_health", "check_status"), since("Administrator")),
    **dict.fromkeys(("check_catalogue", "stop_check"), since("Administrator", 405)),
    **dict.fromkeys(("collection_list", "collection", "collection_csv"), since("Reader")),
    **dict.fromkeys(("collect", "take_out", "delete_collection"), since("Reader", 405)),
    "tell_me": since("Reader"),
    **dict.fromkeys(("tell_me_secret", "tell_of"), since("Reader", 405)),
    "same_person": since("Manager"),
    "undo_same_person": since("Manager", 405),
    "protect_study": since("Manager"),
    **dict.fromkeys(("study_csv", "patient_csv"), since("Reader")),
    **dict.fromkeys(("incomplete_list", "incomplete_csv"), since("Reader")),
    **dict.fromkeys(("study_list", "patient_list", "structure_list", "structure"), since("Reader")),
    "structure_csv": since("Reader", 302),  # with nothing searched for it leads to the list
    **dict.fromkeys(("study", "patient", "series", "header", "structure_set"), since("Reader")),
    **dict.fromkeys(("series_pictures", "key_objects", "thumbnail"), since("Reader")),
    **dict.fromkeys(("series_over", "series_contours", "series_planes", "beside"), since("Reader")),
    **dict.fromkeys(("trash_list", "deletion"), since("Manager")),
    "restore_deletion": since("Manager", 405),
    **dict.fromkeys(("erase_deletion", "empty_trash"), since("Administrator")),
    **dict.fromkeys(("document", "pdf"), since("Reader", 404)),  # the object is an image
    **dict.fromkeys(("dose", "frames", "series_segments"), since("Reader", 404)),
}

# What an address is about, where that is no upload.
ROWS = {
    "answer_identity": Patient,
    "patient": Patient,
    **dict.fromkeys(("study", "protect_study"), DICOMStudy),
    **dict.fromkeys(("series", "series_pictures", "key_objects", "thumbnail"), DICOMSeries),
    **dict.fromkeys(("series_over", "series_contours", "series_planes", "beside"), DICOMSeries),
    "same_person": Patient,
    "undo_same_person": Patient,
    **dict.fromkeys(("collection", "take_out", "delete_collection", "collection_csv"), Collection),
    **dict.fromkeys(("header", "document", "pdf", "download_object"), DICOMInstance),
    **dict.fromkeys(("dose", "frames"), DICOMInstance),
    "series_segments": DICOMSeries,
    **dict.fromkeys(("download_series", "objects_csv"), DICOMSeries),
    **dict.fromkeys(("download_study", "series_csv"), DICOMStudy),
    "download_patient": Patient,
    "download_collection": Collection,
    **dict.fromkeys(("structure_set", "structure_set_csv"), RTStructureSetInformation),
    "structure": RTStructureROI,
    **dict.fromkeys(("deletion", "restore_deletion", "erase_deletion"), Deletion),
}

# What else an address names: an object.
OTHERS = {"series_contours": RTStructureSetInformation}


def pages(view="superuser", add="", delete="", history=NO_HISTORY) -> dict[str, tuple[int, ...]]:
    """The pages of a table in the admin, by the first role that may open each."""
    return {
        "changelist": since(view),
        "list.csv": since(view),
        "add": since(add) if add else NOBODY,
        "change": since(view),
        "history": history,
        "delete": since(delete) if delete else NOBODY,
        "": ELSEWHERE,  # leads to "change"
    }


FILED = pages("Reader", delete="Manager")
READ = pages("Reader")
TABLES = {
    "dicomfile": pages("Reader", "Uploader", "Manager", since("Reader"))
    | {"change": since("Reader", 302)},  # leads to the result
    **dict.fromkeys(("patient", "dicomstudy", "dicomseries", "dicominstance"), FILED),
    **dict.fromkeys(("imageinformation", "rtstructuresetinformation", "rtstructureroi"), READ),
    "archivemember": READ,
    "cataloguecheck": pages("Administrator"),
    "auditentry": pages("Administrator"),
    "taskresult": pages("Administrator"),
    "groupresult": pages("superuser"),
    "signintries": pages("superuser", delete="superuser"),
    "user": pages("Administrator", "Administrator", "superuser", since("Administrator"))
    | {"password": since("Administrator")},
    "group": pages("superuser", "superuser", "superuser", since("superuser")),
}


@pytest.fixture
def upload(import_zip, django_user_model) -> DICOMFile:
    """An upload, and at least one row in every table of the admin."""
    import_zip(ct_image(PatientID="Deleted"))
    removal.delete(Patient.objects.get())
    upload = import_zip(ct_image(), rt_structure_set())
    nightly.begin()
    nightly.go_on()
    TaskResult.objects.create(task_id="task")
    GroupResult.objects.create(group_id="group")
    SignInTries.objects.create(key="user 1", tries=5)
    django_user_model.objects.create_user("somebody")
    shared = Collection.objects.create(name="For all", is_shared=True)
    CollectionEntry.objects.create(collection=shared, patient=Patient.objects.get())
    return upload


@pytest.fixture
def visit(client, django_user_model):
    """The client, signed in as a kind of visitor."""

    def enter(visitor: str):
        client.logout()
        if visitor == "anonymous":
            return client
        user = django_user_model.objects.create_user(
            visitor, is_staff=visitor in STAFF, is_superuser=visitor == "superuser"
        )
        roles.give(user, visitor if visitor in roles.NAMES else "")
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


def tables() -> dict[str, tuple[int, ...]]:
    """The addresses of the admin's tables and of one row of each."""
    found = {}
    for model in admin.site._registry:
        at = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        one = f"{at}{model._default_manager.order_by('pk')[0].pk}/"
        for page, codes in TABLES[model._meta.model_name].items():
            alone = page in ("changelist", "list.csv", "add")
            end = "" if page in ("changelist", "") else page if "." in page else f"{page}/"
            path = (at if alone else one) + end
            found[path] = codes
    return found


def a_row(name: str, upload: DICOMFile) -> int:
    """The number of a row that an address can name."""
    return ROWS[name].objects.order_by("pk")[0].pk if name in ROWS else upload.pk


def numbers_of(name: str, path: str, upload: DICOMFile) -> list[int]:
    """The numbers that an address has."""
    found = [a_row(name, upload)] * path.count("<int:")
    if name in OTHERS:
        found[1] = OTHERS[name].objects.order_by("pk")[0].dicom_instance_id
    return found


def expected(upload: DICOMFile) -> dict[str, tuple[int, ...]]:
    """Every address, and what a GET of it is answered with."""
    ours = {
        reverse(name, args=numbers_of(name, path, upload)): OURS[name]
        for path, name in patterns()
        if path.startswith("dicom/")
    }
    return {**PUBLIC, **ADMIN, **tables(), **ours}


def test_no_address_is_forgotten_here(upload):
    listed = expected(upload)
    routes = {get_resolver().resolve(path).route for path in listed}
    every = {path.replace("^", "") for path, _ in patterns()}  # `route` has none
    assert every - routes == {"admin/r/<path:content_type_id>/<path:object_id>/"}


def test_celery_progress_s_own_addresses_are_not_there():
    assert not [path for path, _ in patterns() if "task_id" in path or "celery-progress" in path]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.long)])
def test_every_visitor_gets_what_the_table_says(every, visit, upload):
    """Uploader, Manager and superuser each time where they get something else than who is below."""
    listed = expected(upload)
    for column, visitor in enumerate(VISITORS):
        client = visit(visitor)
        alike = visitor in ("Uploader", "Manager", "superuser") and not every
        want = {
            path: codes[column]
            for path, codes in listed.items()
            if not alike or codes[column] != codes[column - 1]
        }
        assert {path: status_of(client, path) for path in want} == want, visitor


def test_what_is_forbidden_and_what_is_not_there_answer_alike(visit, upload):
    """The numbers that are refused tell nobody which of them exist."""
    listed = expected(upload)
    for visitor in ("staff without role", "Reader"):
        client, column = visit(visitor), VISITORS.index(visitor)
        for path, codes in listed.items():
            if codes[column] == 403 and (unknown := re.sub(r"/[0-9]+/", "/987654/", path)) != path:
                assert client.get(unknown).status_code == 403, unknown
                assert client.post(unknown, {"post": "yes"}).status_code == 403, unknown


def test_who_is_refused_is_told_what_is_lacking(visit, upload):
    client = visit("staff without role")
    for name, said in {
        "study_list": "see studies",
        "patient": "see patients",
        "structure_list": "see ROIs",
        "structure_set": "see structure sets",
        "header": "see instances and see patients",
        "search": "see patients",
        "catalogue_health": "see what the checks found and see patients",
    }.items():
        address = reverse(name, args=[a_row(name, upload)] if name in ROWS else [])
        assert said in client.get(address).content.decode(), name


def test_who_is_not_staff_is_sent_to_sign_in(visit, upload):
    for visitor in VISITORS[:2]:
        client = visit(visitor)
        for path in expected(upload).keys() - PUBLIC.keys() - {"/admin/logout/"}:
            for response in (client.get(path), client.post(path, {"post": "yes"})):
                assert response.status_code == 302, path
                assert response.url.startswith("/admin/login/"), path


def test_who_signs_in_after_pressing_a_button_finds_it_again(client, staff_user, upload):
    for name in ("process_dicom_file", "cancel_dicom_file", "see_dicom_file"):
        response = client.post(reverse(name, args=[upload.pk]))
        response = client.post(response.url, {"username": "staff", "password": "staff-password"})
        assert response.url == reverse("upload_result", args=[upload.pk]), name
        assert client.get(response.url).status_code == 200, name
        client.logout()


def test_the_status_tells_nothing_to_who_may_not_look(visit, upload):
    client = visit("staff without role")
    url = f"{reverse('task_status')}?upload={upload.pk}"
    assert client.get(url).json() == {"uploads": []}


def test_a_post_changes_nothing_for_who_may_only_look(visit, upload):
    chosen = {"post": "yes", "_selected_action": [upload.pk]}
    for visitor in VISITORS[:4]:
        client = visit(visitor)
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
        assert snapshot() == before, visitor


@pytest.mark.parametrize(("visitor", "sees"), [("Reader", False), ("Manager", True)])
def test_only_who_may_process_and_delete_sees_buttons_for_it(visitor, sees, visit, upload_zip):
    upload = upload_zip(ct_image())
    client = visit(visitor)
    page = client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    assert upload.original_name in page
    assert ("Process Now" in page) is sees
    assert ("<option" in page) is sees
    page = client.get(reverse("upload_result", args=[upload.pk])).content.decode()
    assert ("Process Now" in page) is sees


def status_of(client, path: str, asked: dict | None = None) -> int:
    """The code of an answer, which is closed as a server closes it: a download ends with it."""
    response = client.get(path, asked)
    if response.streaming:
        b"".join(response)
    return response.status_code


def snapshot() -> dict[str, list]:
    """Every row of every table, but what tells that somebody looked at a thing, or took a list."""
    rows = {model: model._base_manager.order_by("pk") for model in apps.get_models()}
    rows[AuditEntry] = rows[AuditEntry].exclude(kind__in=LOOKED)
    return {model._meta.label: list(some.values()) for model, some in rows.items()}


def test_a_get_changes_nothing_anywhere(visit, upload, media_root, processed_root):
    def files() -> set:
        return {*media_root.rglob("*"), *processed_root.rglob("*")}

    client = visit("superuser")
    # All that looking makes, once, and that can be thrown away.
    client.get(reverse("thumbnail", args=[a_row("thumbnail", upload)]))
    structure_set = RTStructureSetInformation.objects.get().dicom_instance_id
    client.get(reverse("series_contours", args=[a_row("series", upload), structure_set]))
    before = snapshot(), files()
    for path in expected(upload):
        status_of(client, path, {"post": "yes", "action": "delete_selected_uploads"})
    assert (snapshot(), files()) == before


def test_a_post_without_its_token_is_refused(staff_user, upload):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff_user)
    for name in (
        "process_dicom_file",
        "cancel_dicom_file",
        "see_dicom_file",
        "use_versions",
        "answer_identity",
    ):
        response = strict.post(reverse(name, args=[upload.pk]))
        assert response.status_code == 403, name
        assert "reload the page, and try again" in response.content.decode(), name
    for table in ("dicomfile", "patient"):
        pk = apps.get_model("app", table).objects.order_by("pk")[0].pk
        url = reverse(f"admin:app_{table}_delete", args=[pk])
        assert strict.post(url, {"post": "yes"}).status_code == 403, table
