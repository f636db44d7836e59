"""A colleague in one form, with a first password; and what is said to who may not do something."""

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django_celery_results.models import TaskResult

from app.accounts import roles
from app.models import DICOMFile, FirstPassword
from tests.making.objects import ct_image, zip_of

ADD = reverse("admin:auth_user_add")
LOGIN = reverse("admin:login")
OWN = reverse("admin:password_change")
PASSWORD = "another 7 words"


@pytest.fixture
def admin_client(client, db):
    """Signed in as an Administrator, who is no superuser."""
    client.force_login(member("chief", "Administrator"))
    return client


def member(name: str, role: str) -> User:
    user = User.objects.create_user(name, password=PASSWORD, is_staff=bool(role))
    roles.give(user, role)
    return user


def change_of(user: User) -> str:
    return reverse("admin:auth_user_change", args=[user.pk])


def test_an_administrator_adds_a_colleague_who_chooses_a_password_of_her_own(admin_client):
    page = admin_client.get(ADD).content.decode()
    assert page.count('type="radio"') == 4
    assert 'type="checkbox"' not in page
    shown = admin_client.post(ADD, {"username": "anna", "role": "Uploader"}).content.decode()
    first = re.search("<code>(.+)</code>", shown)[1]
    anna = User.objects.get(username="anna")
    assert (anna.is_staff, anna.is_superuser, roles.role_of(anna)) == (True, False, "Uploader")
    assert first not in admin_client.get(change_of(anna)).content.decode()

    admin_client.logout()
    admin_client.post(LOGIN, {"username": "anna", "password": first})
    for path in ("/admin/", reverse("dicom_processing_progress"), "/admin/no-such-page/"):
        answer = admin_client.get(path)
        assert (answer.status_code, answer.url) == (302, OWN)
    status = reverse("task_status")
    answer = admin_client.get(status, headers={"Accept": "application/json"})
    assert answer.status_code == 403
    assert answer.json() == {"errors": ["Choose a password of your own first."]}

    form = {"old_password": first, "new_password1": first, "new_password2": first}
    assert "Choose another password" in admin_client.post(OWN, form).content.decode()
    form |= {"new_password1": PASSWORD, "new_password2": PASSWORD}
    done = admin_client.post(OWN, form, follow=True).content.decode()
    assert 'Your password was changed. <a href="/admin/">' in done
    assert admin_client.get("/admin/").status_code == 200
    assert not FirstPassword.objects.exists()


def test_who_only_signs_out_keeps_the_first_password_to_change(client, db):
    FirstPassword.objects.create(user=member("anna", "Reader"))
    for _ in range(2):
        client.post(LOGIN, {"username": "anna", "password": PASSWORD})
        assert client.get("/admin/").url == OWN
        assert client.post(reverse("admin:logout")).status_code == 200


def test_a_password_that_somebody_else_set_is_changed_first(admin_client):
    anna = member("anna", "Reader")
    url = reverse("admin:auth_user_password_change", args=[anna.pk])
    new = {"password1": "set 4 others", "password2": "set 4 others", "usable_password": "true"}
    assert admin_client.post(url, new).status_code == 302
    admin_client.logout()
    admin_client.post(LOGIN, {"username": "anna", "password": "set 4 others"})
    assert admin_client.get("/admin/").url == OWN


def test_an_administrator_changes_a_role_but_not_the_own_nor_a_superuser(admin_client, staff_user):
    anna, chief = member("anna", "Reader"), User.objects.get(username="chief")
    own = Group.objects.create(name="Own")
    anna.groups.add(own)
    form = {"username": "anna", "is_active": "on", "role": "Manager"}
    assert admin_client.post(change_of(anna), form).status_code == 302
    assert set(anna.groups.values_list("name", flat=True)) == {"Manager", "Own"}
    admin_client.post(change_of(anna), form | {"role": ""})
    anna.refresh_from_db()
    assert (roles.role_of(anna), anna.is_staff) == ("", False)

    assert 'type="radio"' not in admin_client.get(change_of(chief)).content.decode()
    more = {"role": "Reader", "is_superuser": "on", "groups": [own.pk]}
    admin_client.post(change_of(chief), form | {"username": "chief"} | more)
    chief.refresh_from_db()
    assert (roles.role_of(chief), chief.is_superuser) == ("Administrator", False)
    assert not chief.groups.filter(name="Own").exists()

    assert admin_client.get(change_of(staff_user)).status_code == 302  # as one that is not there
    assert admin_client.post(ADD, {"username": "x", "role": "superuser"}).status_code == 200
    assert not User.objects.filter(username="x").exists()


def test_a_superuser_s_boxes_are_folded_and_without_technical_tables(staff_client, staff_user):
    page = staff_client.get(change_of(member("anna", "Reader"))).content.decode()
    assert "collapse" in page
    labels = re.findall(r"<label for=\"id_user_permissions_\d+\">(.*?)</label>", page, re.DOTALL)
    assert len(labels) > 30
    assert not [one for one in labels if re.search("session|content type|chord|log entry", one)]
    # The role of who is changed without being asked for it stays.
    form = {"username": "staff", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    roles.give(staff_user, "Reader")
    assert staff_client.post(change_of(staff_user), form).status_code == 302
    assert roles.role_of(staff_user) == "Reader"


def test_a_right_password_without_a_role_says_so_and_a_wrong_one_does_not(client, db):
    member("anna", "")
    words = "Your account may not use ICON yet."
    form = {"username": "anna", "password": PASSWORD}
    assert words in client.post(LOGIN, form).content.decode()
    assert words not in client.post(LOGIN, form | {"password": "wrong"}).content.decode()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (reverse("admin:app_dicomstudy_changelist"), "see patients and see studies: role Reader"),
        (reverse("admin:app_dicomfile_add"), "upload ZIPs: role Uploader"),
        (reverse("dicom_processing_progress"), "see uploads: role Reader"),
        (
            reverse("admin:app_dicomfile_process_pending"),
            "see uploads and start and stop uploads: role Uploader",
        ),
        (ADD, "add colleagues: role Administrator"),
        (reverse("admin:app_signintries_changelist"), "Ask the administrator for the permission"),
    ],
)
def test_not_allowed_names_what_is_lacking_and_the_role_that_has_it(path, says, client, db):
    client.force_login(User.objects.create_user("anna", is_staff=True))
    answer = client.get(path)
    assert answer.status_code == 403
    assert says in answer.content.decode()


def test_who_may_only_upload_is_told_what_happens_next(
    client, transactional_db, processed_root, media_root, tmp_path
):
    user = User.objects.create_user("anna", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_dicomfile"))
    client.force_login(user)
    data = zip_of(tmp_path / "a.zip", ct_image()).read_bytes()
    url = reverse("admin:app_dicomfile_add")
    answer = client.post(url, {"file": SimpleUploadedFile("a.zip", data)}, follow=True)
    assert answer.redirect_chain == [(url, 302)]
    assert "“a.zip” was uploaded. The administrator starts it." in answer.content.decode()
    assert "Process Now" not in answer.content.decode()
    assert DICOMFile.objects.count() == 1


@pytest.mark.parametrize(("role", "told"), [("Reader", False), ("Manager", True)])
def test_only_who_may_press_a_button_is_told_of_it(role, told, client, db):
    client.force_login(member("anna", role))
    stopped = DICOMFile.objects.create(original_name="a.zip", stopped=True)
    for path, words in (
        (reverse("dicom_processing_progress"), "press Process Now"),
        (reverse("upload_result", args=[stopped.pk]), "Process Now goes on where it stopped"),
        (reverse("admin:app_dicomfile_changelist"), "Remove kept ZIPs"),
    ):
        assert (words in client.get(path).content.decode()) is told, path


def test_task_results_are_read_only_and_without_sweeps(admin_client):
    task = TaskResult.objects.create(task_id="seen", task_name="app.tasks.process_dicom_file_task")
    TaskResult.objects.create(task_id="swept", task_name="app.tasks.sweep")
    page = admin_client.get(reverse("admin:django_celery_results_taskresult_changelist"))
    assert "seen" in page.content.decode()
    assert "swept" not in page.content.decode()
    change = reverse("admin:django_celery_results_taskresult_change", args=[task.pk])
    assert admin_client.post(change, {"status": "FAILURE"}).status_code == 403
