"""Users and groups: who is no superuser makes nobody more than he is himself."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

LIST = reverse("admin:auth_user_changelist")
ADD = reverse("admin:auth_user_add")
PASSWORD = "a new password 7"


def permission(codename: str) -> Permission:
    return Permission.objects.get(codename=codename, content_type__app_label__in=("app", "auth"))


@pytest.fixture
def keeper(db, client) -> User:
    """Who keeps the accounts and groups, is no superuser, and is signed in."""
    user = User.objects.create_user("keeper", is_staff=True)
    kinds = Permission.objects.filter(codename__iregex=r"^(view|add|change|delete)_(user|group)$")
    user.user_permissions.set([*kinds, permission("view_patient")])
    client.force_login(user)
    return user


@pytest.fixture
def group(db) -> Group:
    group = Group.objects.create(name="Readers")
    group.permissions.add(permission("view_patient"))
    return group


@pytest.fixture
def boss(db) -> User:
    return User.objects.create_superuser("boss", password="boss-password")


def at(page: str, row: User | Group) -> str:
    if page == "password":
        return reverse("admin:auth_user_password_change", args=[row.pk])
    return reverse(f"admin:auth_{row._meta.model_name}_{page}", args=[row.pk])


def form_of(user: User, **values) -> dict:
    """What the page of a user posts."""
    given = {"username": user.username, "is_staff": "on", "is_active": "on"}
    return given | {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"} | values


def rights_of(user: User) -> tuple:
    user = User.objects.get(pk=user.pk)
    kept = sorted(user.user_permissions.values_list("pk", flat=True))
    return user.is_superuser, kept, sorted(user.groups.values_list("pk", flat=True))


def test_who_keeps_accounts_gives_no_rights_not_even_to_himself(client, keeper, group):
    other = User.objects.create_user("other", is_staff=True)
    more = {
        "is_superuser": "on",
        "groups": [group.pk],
        "user_permissions": [permission("delete_patient").pk, permission("view_patient").pk],
    }
    for user in (keeper, other):
        before = rights_of(user)
        response = client.post(at("change", user), form_of(user, email="a@b.example", **more))
        assert response.status_code == 302
        assert rights_of(user) == before
        assert User.objects.get(pk=user.pk).email == "a@b.example"


def test_who_keeps_accounts_adds_ordinary_ones(client, keeper, group):
    """Without a role: he has no right that a role gives."""
    data = {"username": "new", "role": "Reader", "is_superuser": "on", "is_staff": "on",
            "groups": [group.pk], "password1": PASSWORD, "password2": PASSWORD}  # fmt: skip
    assert client.post(ADD, data).status_code == 200
    user = User.objects.get(username="new")
    assert rights_of(user) == (False, [], [])
    assert not user.is_staff


@pytest.mark.parametrize("page", ["change", "delete", "history", "password"])
def test_a_superuser_s_row_is_closed_to_who_is_none(page, client, keeper, boss):
    forms = ({"post": "yes"}, form_of(boss), {"password1": PASSWORD, "password2": PASSWORD})
    before = User.objects.values().get(pk=boss.pk)
    for response in (client.get(at(page, boss)), *(client.post(at(page, boss), f) for f in forms)):
        assert response.status_code in (302, 403, 404)
        assert "boss" not in response.content.decode()
    assert User.objects.values().get(pk=boss.pk) == before


def test_the_list_neither_shows_nor_deletes_superusers_to_who_is_none(client, keeper, boss):
    User.objects.create_user("other")
    page = client.get(LIST).content.decode()
    assert "other" in page
    assert "boss" not in page
    chosen = {"action": "delete_selected", "_selected_action": [boss.pk], "post": "yes"}
    client.post(LIST, chosen)
    assert User.objects.filter(pk=boss.pk).exists()


@pytest.mark.parametrize("through", ["user", "group"])
@pytest.mark.parametrize("active", [True, False])
def test_an_account_that_may_more_is_closed_to_change(active, through, client, keeper):
    other = User.objects.create_user("other", password="old", is_staff=True, is_active=active)
    if through == "user":
        other.user_permissions.add(permission("delete_patient"))
    else:
        other.groups.add(Group.objects.create(name="Managers"))
        other.groups.get().permissions.add(permission("delete_patient"))
    data = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert client.post(at("password", other), data).status_code == 403
    assert client.post(at("change", other), form_of(other)).status_code == 403
    assert client.post(at("delete", other), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    assert client.post(LIST, chosen).status_code == 403
    assert User.objects.get(pk=other.pk).check_password("old")


def test_an_account_that_may_as_much_is_open(client, keeper, group):
    other = User.objects.create_user("other", is_staff=True)
    other.groups.add(group)
    data = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert client.post(at("password", other), data).status_code == 302
    assert User.objects.get(pk=other.pk).check_password(PASSWORD)
    assert client.post(at("delete", other), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=other.pk).exists()


def test_the_own_password_is_changed_where_the_old_one_is_asked_for(client, keeper):
    keeper.set_password("old")
    keeper.save()
    client.force_login(keeper)
    data = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    answer = client.post(at("password", keeper), data)
    assert answer.url == reverse("admin:password_change")
    assert User.objects.get(pk=keeper.pk).check_password("old")
    page = client.get(at("change", keeper)).content.decode()
    assert "Set. Nobody can see it." in page
    assert "algorithm" not in page


def test_who_keeps_groups_does_not_widen_them(client, keeper, group):
    wanted = {"name": "Readers 2", "permissions": [permission("delete_patient").pk]}
    assert client.post(at("change", group), wanted).status_code == 302
    group.refresh_from_db()
    assert group.name == "Readers 2"
    assert [one.codename for one in group.permissions.all()] == ["view_patient"]
    assert client.post(reverse("admin:auth_group_add"), wanted | {"name": "New"}).status_code == 302
    assert not Group.objects.get(name="New").permissions.exists()


def test_a_superuser_gives_every_right(client, boss, group):
    client.force_login(boss)
    other = User.objects.create_user("other")
    form = form_of(other, is_superuser="on", groups=[group.pk],
                   user_permissions=[permission("delete_patient").pk])  # fmt: skip
    assert client.post(at("change", other), form).status_code == 302
    assert rights_of(other) == (True, [permission("delete_patient").pk], [group.pk])
    wider = {"name": "Readers", "permissions": [permission("delete_patient").pk]}
    client.post(at("change", group), wider)
    assert [one.codename for one in group.permissions.all()] == ["delete_patient"]
    client.post(at("password", other), {"password1": PASSWORD, "password2": PASSWORD,
                                        "usable_password": "true"})  # fmt: skip
    assert User.objects.get(pk=other.pk).check_password(PASSWORD)
