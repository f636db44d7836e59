"""The roles: who may do what, in one table.

Each is a group of Django's, which `migrate` brings up to date. What a site adds to such a group
stays; what a former version gave and this one does not is in FORMER, and is taken out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.db import connection, transaction

LOOKED_AT = (
    *("dicomfile", "archivemember", "patient", "dicomstudy", "dicomseries", "dicominstance"),
    *("imageinformation", "rtstructuresetinformation", "rtstructureroi"),
)
READS = (*(f"app.view_{table}" for table in LOOKED_AT), "app.keep_collections")
UPLOADS = ("app.add_dicomfile", "app.process_dicomfile", "app.download_dicominstance")
MANAGES = (
    *("app.delete_dicomfile", "app.use_versions_dicomfile", "app.answer_identity"),
    *("app.link_patients", "app.protect_study"),
    *("app.delete_patient", "app.delete_dicomstudy"),
    *("app.delete_dicomseries", "app.delete_dicominstance", "app.restore_deletion"),
)
ADMINISTERS = (
    *("auth.view_user", "auth.add_user", "auth.change_user"),
    "app.erase_deletion",
    *("app.view_auditentry", "app.view_cataloguecheck", "django_celery_results.view_taskresult"),
)


@dataclass(frozen=True)
class Role:
    name: str
    may: str  # in words, for who chooses
    permissions: tuple[str, ...]


ROLES = (
    Role("Reader", "looks at uploads and the catalogue, and keeps collections", READS),
    Role(
        "Uploader",
        "is a Reader who uploads ZIPs, starts and stops them, and downloads",
        READS + UPLOADS,
    ),
    Role(
        "Manager",
        "is an Uploader who deletes, restores and protects, takes other versions, and tells people "
        "of one ID apart",
        READS + UPLOADS + MANAGES,
    ),
    Role(
        "Administrator",
        "is a Manager who adds colleagues, and sees who did what and what the checks found",
        READS + UPLOADS + MANAGES + ADMINISTERS,
    ),
)
FORMER: Mapping[str, Sequence[str]] = {}  # role -> what it has no more
NAMES = tuple(role.name for role in ROLES)


def bring_up_to_date(
    roles: Iterable[Role] = ROLES, former: Mapping[str, Sequence[str]] = FORMER, **kwargs: Any
) -> None:
    """Give each role's group what the role may do; after `migrate`, which makes permissions."""
    if Group._meta.db_table not in connection.introspection.table_names():
        return  # only some other app was migrated
    roles, pks, held = list(roles), _permissions(), Group.permissions.through
    with transaction.atomic():
        Group.objects.bulk_create((Group(name=one.name) for one in roles), ignore_conflicts=True)
        groups = Group.objects.in_bulk([role.name for role in roles], field_name="name")
        given = (
            held(group_id=groups[role.name].pk, permission_id=pks[one])
            for role in roles
            for one in role.permissions
            if one in pks
        )
        held._default_manager.bulk_create(given, ignore_conflicts=True)
        for name, gone in former.items():
            groups[name].permissions.remove(*(pks[one] for one in gone if one in pks))


def role_of(user: User) -> str:
    """The highest role that an account has; "" where it has none."""
    given = set(user.groups.filter(name__in=NAMES).values_list("name", flat=True))
    return next((name for name in reversed(NAMES) if name in given), "")


def give(user: User, name: str) -> None:
    """Give an account one role, or with "" none; other groups stay."""
    user.groups.remove(*Group.objects.filter(name__in=set(NAMES) - {name}))
    user.groups.add(*Group.objects.filter(name=name))


def given_by(person: AbstractBaseUser | AnonymousUser) -> list[Role]:
    """The roles that somebody may give: those that may no more than he."""
    if getattr(person, "is_superuser", False):
        return list(ROLES)
    mine = person.get_all_permissions() if isinstance(person, User) else set()
    return [role for role in ROLES if {*role.permissions, *_of_group(role.name)} <= mine]


def lowest_with(permissions: Iterable[str]) -> str:
    """The first role that has all of these; "" where none has."""
    wanted = set(permissions)
    return next((role.name for role in ROLES if wanted <= set(role.permissions)), "")


def _permissions() -> dict[str, int]:
    rows = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    return {f"{label}.{codename}": pk for label, codename, pk in rows}


def _of_group(name: str) -> set[str]:
    rows = Permission.objects.filter(group__name=name)
    names = rows.values_list("content_type__app_label", "codename")
    return {f"{label}.{codename}" for label, codename in names}
