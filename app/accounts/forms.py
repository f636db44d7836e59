"""Accounts as administrators give them: a name and a role."""

import secrets
from typing import Any

from django import forms
from django.contrib.auth.forms import (
    ReadOnlyPasswordHashField,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
)
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet
from django.utils.html import format_html

from . import roles

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
PARTS, LENGTH = 4, 4  # of a first password; some 79 bits

# Tables that people meet nowhere, and that nobody needs a right to.
TECHNICAL = Q(content_type__app_label__in=("admin", "contenttypes", "sessions")) | Q(
    content_type__app_label="django_celery_results"
)
TECHNICAL |= Q(content_type__model__in=("filetodelete", "workerseen", "firstpassword"))


def first_password() -> str:
    """Which its owner changes when signing in with it."""
    parts = ("".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(PARTS))
    return "-".join(parts)


def role_field(offered: list[roles.Role], required: bool) -> forms.ChoiceField:
    none = [] if required else [("", format_html("<b>{}</b> {}", "None", "may not use ICON"))]
    words = [(one.name, format_html("<b>{}</b> {}", one.name, one.may)) for one in offered]
    return forms.ChoiceField(choices=none + words, widget=forms.RadioSelect, required=required)


class ColleagueForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new account: its first password is made here, for `UserAdmin` to show once."""

    role = forms.ChoiceField()  # see `role_field`

    class Meta:
        model = User
        fields = ("username",)

    def save(self, commit: bool = True) -> User:
        self.instance.is_staff = bool(self.cleaned_data.get("role"))
        user: User = super().save(commit)
        return user

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        roles.give(self.instance, self.cleaned_data.get("role", ""))


class NoPasswordWidget(ReadOnlyPasswordHashWidget):
    """The way to another password, without what is kept of this one."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        kept = context["button_label"] == "Reset password"
        context["summary"] = [{"label": "Set. Nobody can see it." if kept else "None."}]
        return context


class AccountForm(UserChangeForm):  # type: ignore[type-arg]
    """An account that is there. Its role is one of the four; other groups are ticked."""

    role = forms.ChoiceField()
    password = ReadOnlyPasswordHashField(label="Password", widget=NoPasswordWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.role_before = roles.role_of(self.instance)
        self.initial["role"] = self.role_before
        if "groups" in self.fields:
            others = Group.objects.exclude(name__in=roles.NAMES)
            self.fields["groups"].queryset = others  # type: ignore[attr-defined]
        if "user_permissions" in self.fields:
            held = self.instance.user_permissions.all()
            self.fields["user_permissions"].queryset = _offered(held)  # type: ignore[attr-defined]

    def save(self, commit: bool = True) -> User:
        if "role" in self.changed_data:
            self.instance.is_staff = bool(self.cleaned_data["role"])
        user: User = super().save(commit)
        return user

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        # Also where the role is not asked for: the boxes of other groups have untied it.
        roles.give(self.instance, self.cleaned_data.get("role", self.role_before))


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Group
        fields = ("name", "permissions")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            held = self.instance.permissions.all() if self.instance.pk else None
            self.fields["permissions"].queryset = _offered(held)  # type: ignore[attr-defined]


def _offered(held: QuerySet[Permission] | None) -> QuerySet[Permission]:
    """Permissions to tick: those that people need, and what is ticked already."""
    ticked = Q(pk__in=held.values("pk")) if held is not None else Q()
    offered = ~TECHNICAL | ticked if ticked else ~TECHNICAL
    return Permission.objects.filter(offered).select_related("content_type")
