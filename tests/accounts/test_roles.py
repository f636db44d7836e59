"""Four roles, as groups that `migrate` keeps up to date."""

import itertools

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection

from app.accounts import roles
from app.accounts.refusals import ABILITIES
from app.accounts.roles import ROLES, Role
from tests.conftest import default_database

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def held(name: str) -> set[str]:
    rows = Permission.objects.filter(group__name=name)
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_a_database_has_the_four_roles_and_each_holds_the_one_before():
    assert [held(role.name) for role in ROLES] == [set(role.permissions) for role in ROLES]
    for lower, higher in itertools.pairwise(ROLES):
        assert set(lower.permissions) < set(higher.permissions)


def test_bringing_roles_up_to_date_keeps_what_a_site_added_and_takes_what_icon_took_out():
    group = Group.objects.get(name="Reader")
    group.permissions.remove(Permission.objects.get(codename="view_patient"))
    group.permissions.add(Permission.objects.get(codename="view_user"))
    fewer = Role("Reader", "", tuple(set(ROLES[0].permissions) - {"app.view_dicomfile"}))
    for _ in range(2):
        roles.bring_up_to_date([fewer], {"Reader": ["app.view_dicomfile"]})
    assert held("Reader") == {*fewer.permissions, "auth.view_user"}


def test_migrating_brings_them_up_to_date():
    Group.objects.filter(name="Manager").delete()
    call_command("migrate", verbosity=0)
    assert held("Manager") == set(ROLES[2].permissions)


def test_one_role_takes_the_place_of_another_and_other_groups_stay():
    user, own = User.objects.create_user("one"), Group.objects.create(name="Own")
    user.groups.add(own)
    for name in ("Reader", "Manager", ""):
        roles.give(user, name)
        assert roles.role_of(user) == name
        groups = set(user.groups.values_list("name", flat=True))
        assert groups == {"Own", *([name] if name else [])}


@pytest.mark.parametrize(
    ("giver", "may_give"),
    [
        ("Manager", ["Reader", "Uploader", "Manager"]),
        ("Administrator", list(roles.NAMES)),
        ("", []),
    ],
)
def test_nobody_gives_more_than_he_has(giver, may_give):
    user = User.objects.create_user("giver", is_staff=True)
    roles.give(user, giver)
    assert [role.name for role in roles.given_by(user)] == may_give


def test_a_role_that_a_site_widened_is_given_by_who_holds_that_too():
    Group.objects.get(name="Reader").permissions.add(
        Permission.objects.get(codename="delete_group")
    )
    user = User.objects.create_user("giver", is_staff=True)
    roles.give(user, "Administrator")
    assert "Reader" not in [role.name for role in roles.given_by(user)]


def test_every_permission_of_a_role_is_there_and_has_words():
    wanted = {one for role in ROLES for one in role.permissions}
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    assert wanted <= {f"{label}.{codename}" for label, codename in rows}
    assert wanted == set(ABILITIES)


def test_a_database_without_accounts_yet_is_migrated_all_the_same(transactional_db, tmp_path):
    other = default_database(f"sqlite:///{tmp_path}/other.sqlite3")
    other.target = ["contenttypes"]
    with other:
        assert "auth_group" not in connection.introspection.table_names()
        call_command("migrate", verbosity=0)
        assert held("Reader")
