"""Users and groups in the admin.

Who is no superuser makes nobody more than he is himself: he gives no rights, sees no superuser, and
opens no account that may do more than his own.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.db.models import Field, ManyToManyField, Q, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse

from app.catalogue.admin import local_time
from app.catalogue.lookups import OfferedLookups
from app.catalogue.searches import PostedSearch
from app.models import SignInTries
from app.wording import counted

from . import throttle
from .signing_in import SignInForm

# Django's pages, with boxes to tick in place of two lists to move names between, which neither a
# keyboard nor a screen reader gets on with.
TICKED: "dict[type[Field[Any, Any]], dict[str, Any]]" = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}
RIGHTS = ("is_superuser", "groups", "user_permissions")

admin.site.login_form = SignInForm
admin.site.unregister((User, Group))


@admin.register(User)
class UserAdmin(PostedSearch, OfferedLookups, DjangoUserAdmin):  # type: ignore[type-arg]
    filter_horizontal = ()
    formfield_overrides = TICKED
    readonly_fields = ("last_login", "date_joined")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users = super().get_queryset(request)
        return users if request.user.is_superuser else users.filter(is_superuser=False)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and holds_no_more(obj, request.user)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and holds_no_more(obj, request.user)


@admin.register(Group)
class GroupAdmin(PostedSearch, OfferedLookups, DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = TICKED

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """Its rights, for who is no superuser: he may be in the group, or be put into it."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "permissions")


@admin.register(SignInTries)
class SignInTriesAdmin(OfferedLookups, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who was locked out, or soon will be: for superusers, since who unlocks may go on guessing."""

    list_display = ("who", "where", "tries", "until")
    list_display_links = None
    list_select_related = ("user",)
    actions = ("unlock",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"title": "Failed sign-ins", **(extra_context or {})}
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignInTries]:
        return throttle.current().select_related("user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SignInTries | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: SignInTries | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: SignInTries | None = None) -> bool:
        return request.user.is_superuser

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # to unlock says what it is for
        return actions

    @admin.action(description="Unlock the selected", permissions=["delete"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[SignInTries]) -> None:
        self.log_deletions(request, queryset)
        removed, _ = queryset.delete()
        messages.success(request, f"{counted(removed, 'count')} of failed sign-ins removed.")

    @admin.display(description="user", ordering="user__username")
    def who(self, tries: SignInTries) -> str:
        if tries.user:
            return tries.user.get_username()
        return "a name that nobody has" if tries.key.startswith("name") else "all users"

    @admin.display(description="from", ordering="address")
    def where(self, tries: SignInTries) -> str:
        return tries.address or "all addresses"

    @admin.display(description="locked until", ordering="locked_until")
    def until(self, tries: SignInTries) -> str:
        return local_time(tries.locked_until)


def holds_no_more(account: User | None, person: "AbstractBaseUser | AnonymousUser") -> bool:
    """Whether a person may do all that an account may, also one that is not active now.

    Otherwise a new password for it would give him what he has not.
    """
    if account is None or getattr(person, "is_superuser", False):
        return True
    if account.is_superuser:
        return False
    mine, given = (
        set(Permission.objects.filter(Q(user=one.pk) | Q(group__user=one.pk)).values_list("pk"))
        for one in (person, account)
    )
    return given <= mine
