"""Users and groups in the admin.

Who is no superuser makes nobody more than he is himself: he gives no rights, sees no superuser, and
opens no account that may do more than his own.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Field, ManyToManyField, Q, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from app.audit.recording import record
from app.catalogue.admin import local_time
from app.catalogue.cells import moment
from app.catalogue.exporting import ExportedList
from app.catalogue.lookups import OfferedLookups
from app.catalogue.searches import PostedSearch
from app.models import FirstPassword, Kind, SignInTries
from app.wording import counted

from . import throttle, trail  # noqa: F401  (registers the trail's page)
from .forms import AccountForm, ColleagueForm, GroupForm, first_password, role_field
from .roles import NAMES, Role, given_by, role_of
from .signing_in import SignInForm

# Django's pages, with boxes to tick in place of two lists to move names between, which neither a
# keyboard nor a screen reader gets on with.
TICKED: "dict[type[Field[Any, Any]], dict[str, Any]]" = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}

admin.site.login_form = SignInForm
admin.site.unregister((User, Group))


class RecordedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Accounts or groups: who changed which, and what they may do since."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def history_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied  # Django's own says first whether there is such a row
        return super().history_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.rights_before = rights_of(obj) if change else set()
        super().save_model(request, obj, form, change)
        if not change:
            record(Kind.ADDED, request.user, obj, str(obj))
        elif form.changed_data:
            names = ", ".join(form.changed_data)
            record(Kind.CHANGED, request.user, obj, f"{obj}: {names}")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        before, after = form.rights_before, rights_of(form.instance)
        words = [f"given: {', '.join(sorted(after - before))}"] if after - before else []
        words += [f"taken: {', '.join(sorted(before - after))}"] if before - after else []
        if words:
            words.insert(0, str(form.instance))
            record(Kind.RIGHTS_CHANGED, request.user, form.instance, "; ".join(words))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        record(Kind.DELETED, request.user, obj, str(obj))
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            record(Kind.DELETED, request.user, row, str(row))
        super().delete_queryset(request, queryset)


@admin.register(User)
class UserAdmin(ExportedList, RecordedAdmin, PostedSearch, OfferedLookups, DjangoUserAdmin):  # type: ignore[type-arg]
    filter_horizontal = ()
    formfield_overrides = TICKED
    readonly_fields = ("last_login", "date_joined")
    form = AccountForm
    add_form = ColleagueForm
    add_form_template = "admin/change_form.html"
    list_display = ("username", "role", "is_active", "last_login")
    list_filter = ("groups", "is_active", "is_superuser")
    csv_cells = {
        "user name": lambda user: user.get_username(),
        "name": lambda user: user.get_full_name(),
        "e-mail": lambda user: user.email,
        "role": lambda user: role_words(user),
        "active": lambda user: "yes" if user.is_active else "no",
        "last login": lambda user: moment(user.last_login),
        "joined": lambda user: moment(user.date_joined),
    }

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        role = ("role",) if _roles_for(request, obj) else ()
        if obj is None:
            return [(None, {"fields": ("username", *role)})]
        fieldsets = [(None, {"fields": ("username", "password", *role, "is_active")})]
        more: tuple[str, ...] = ("first_name", "last_name", "email", "last_login", "date_joined")
        if request.user.is_superuser:
            more += ("is_staff", "is_superuser", "groups", "user_permissions")
        return [*fieldsets, ("Advanced", {"fields": more, "classes": ("collapse",)})]

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        offered = _roles_for(request, obj)
        if offered:
            form.base_fields["role"] = role_field(offered, required=obj is None)
        else:
            form.base_fields.pop("role", None)
        return form

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            form.first_password = first_password()
            obj.set_password(form.first_password)
        super().save_model(request, obj, form, change)
        if not change:
            FirstPassword.objects.create(user=obj)
            obj.first_password = form.first_password  # type: ignore[attr-defined]  # to show it

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The one page that shows the first password; it is kept nowhere."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Colleague added",
            "opts": self.opts,
            "account": obj,
            "role": role_of(obj),
        }
        return TemplateResponse(request, "admin/auth/user/first_password.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if context.get("original") is None:
            context |= {
                "title": "Add a colleague",
                "show_save_and_continue": False,
                "show_save_and_add_another": False,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="role")
    def role(self, user: User) -> str:
        return role_words(user) or "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users = super().get_queryset(request).prefetch_related("groups")
        return users if request.user.is_superuser else users.filter(is_superuser=False)

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        if id == str(request.user.pk):
            return redirect("admin:password_change")  # which asks for the old one
        with transaction.atomic():  # with its entry, which `log_change` writes
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        match = request.resolver_match
        if match and match.url_name == "auth_user_password_change":
            record(Kind.PASSWORD_CHANGED, request.user, obj, obj.get_username())
            if obj.pk != request.user.pk:
                FirstPassword.objects.get_or_create(user=obj)
        return super().log_change(request, obj, message)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and holds_no_more(obj, request.user)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and holds_no_more(obj, request.user)


@admin.register(Group)
class GroupAdmin(ExportedList, RecordedAdmin, PostedSearch, OfferedLookups, DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = TICKED
    form = GroupForm
    csv_cells = {
        "group": lambda group: group.name,
        "rights": lambda group: ", ".join(sorted(one.name for one in group.permissions.all())),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        """Its rights, for who is no superuser: he may be in the group, or be put into it."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "permissions")


@admin.register(SignInTries)
class SignInTriesAdmin(ExportedList, OfferedLookups, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who was locked out, or soon will be: for superusers, since who unlocks may go on guessing."""

    list_display = ("who", "where", "tries", "until")
    list_display_links = None
    list_select_related = ("user",)
    csv_cells = {
        "user": lambda tries: who_tried(tries),
        "from": lambda tries: tries.address or "all addresses",
        "tries": lambda tries: tries.tries,
        "locked until": lambda tries: moment(tries.locked_until),
    }
    actions = ("unlock",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {"title": "Failed sign-ins", **(extra_context or {})}
        )

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404  # nobody types in it

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
        with transaction.atomic():
            self.log_deletions(request, queryset)
            for tries in queryset:
                record(Kind.UNLOCKED, request.user, tries.user, tries.key)
            removed, _ = queryset.delete()
        messages.success(request, f"{counted(removed, 'count')} of failed sign-ins removed.")

    @admin.display(description="user", ordering="user__username")
    def who(self, tries: SignInTries) -> str:
        return who_tried(tries)

    @admin.display(description="from", ordering="address")
    def where(self, tries: SignInTries) -> str:
        return tries.address or "all addresses"

    @admin.display(description="locked until", ordering="locked_until")
    def until(self, tries: SignInTries) -> str:
        return local_time(tries.locked_until)


def who_tried(tries: SignInTries) -> str:
    if tries.user:
        return tries.user.get_username()
    return "a name that nobody has" if tries.key.startswith("name") else "all users"


def role_words(user: User) -> str:
    """The highest role that an account has; "" where it has none."""
    if user.is_superuser:
        return "Superuser"
    given = {group.name for group in user.groups.all()}
    return next((name for name in reversed(NAMES) if name in given), "")


def rights_of(row: User | Group) -> set[str]:
    """What a stored account or group may do, as entries name it."""
    if isinstance(row, Group):
        return {str(name) for name in row.permissions.values_list("codename", flat=True)}
    stored = User.objects.get(pk=row.pk)
    flags = {
        "sign in": stored.is_active,
        "staff": stored.is_staff,
        "superuser": stored.is_superuser,
    }
    groups = stored.groups.values_list("name", flat=True)
    own = stored.user_permissions.values_list("codename", flat=True)
    return {name for name, on in flags.items() if on} | {f"role {one}" for one in groups} | {*own}


def _roles_for(request: HttpRequest, account: User | None) -> list[Role]:
    """The roles to choose from: for oneself none, and for others those that one holds."""
    if account is not None and account.pk == request.user.pk:
        return []
    return given_by(request.user)


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
