"""Users and groups in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Field, ManyToManyField
from django.forms import CheckboxSelectMultiple

from app.catalogue.lookups import OfferedLookups

# Django's pages, with boxes to tick in place of two lists to move names between, which neither a
# keyboard nor a screen reader gets on with.
TICKED: "dict[type[Field[Any, Any]], dict[str, Any]]" = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}

admin.site.unregister((User, Group))


@admin.register(User)
class UserAdmin(OfferedLookups, DjangoUserAdmin):  # type: ignore[type-arg]
    filter_horizontal = ()
    formfield_overrides = TICKED
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class GroupAdmin(OfferedLookups, DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = TICKED
