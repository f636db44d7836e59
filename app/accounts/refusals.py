"""What somebody lacks who may not do something, in words."""

from collections.abc import Iterable

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import ResolverMatch

from app.catalogue.admin import FILED, CatalogueAdmin, FiledAdmin
from app.reasons import sentence
from app.wording import listed

from .roles import lowest_with

ABILITIES = {
    "app.view_dicomfile": "see uploads",
    "app.view_archivemember": "see the files of uploads",
    "app.view_patient": "see patients",
    "app.view_dicomstudy": "see studies",
    "app.view_dicomseries": "see series",
    "app.view_dicominstance": "see instances",
    "app.view_imageinformation": "see images",
    "app.view_rtstructuresetinformation": "see structure sets",
    "app.view_rtstructureroi": "see ROIs",
    "app.add_dicomfile": "upload ZIPs",
    "app.process_dicomfile": "start and stop uploads",
    "app.delete_dicomfile": "delete uploads",
    "app.use_versions_dicomfile": "take other versions",
    "app.delete_patient": "delete patients",
    "app.delete_dicomstudy": "delete studies",
    "app.delete_dicomseries": "delete series",
    "app.delete_dicominstance": "delete instances",
    "app.download_dicominstance": "download images and other objects",
    "app.answer_identity": "say whether an ID is one person",
    "app.link_patients": "say that two IDs are the same person",
    "app.protect_study": "protect studies",
    "app.restore_deletion": "restore from the trash",
    "app.erase_deletion": "erase what is in the trash",
    "app.keep_collections": "keep collections",
    "auth.view_user": "see accounts",
    "auth.add_user": "add colleagues",
    "auth.change_user": "change accounts",
    "app.view_auditentry": "see the audit trail",
    "app.view_cataloguecheck": "see what the checks found",
    "django_celery_results.view_taskresult": "see task results",
}
# What a page of the admin is for; the longer ending first.
PAGES = {
    "_password_change": "change",
    "_changelist": "view",
    "_history": "view",
    "_change": "view",
    "_add": "add",
    "_delete": "delete",
}


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page that says so, with what is lacking and the role that has it."""
    match = request.resolver_match
    asked = [*map(str, exception.args), *(needed(match) if match else ())]
    lacking = [one for one in dict.fromkeys(asked) if not request.user.has_perm(one)]
    return render(request, "403.html", {"why": why_not(lacking)}, status=403)


def why_not(lacking: Iterable[str]) -> str:
    """In words; where no role has it, the administrator knows what to do."""
    lacking = list(lacking)
    role = lowest_with(lacking)
    if not role or not lacking:
        return sentence("not_allowed")
    return sentence(
        "not_allowed_yet", abilities=listed(ABILITIES[one] for one in lacking), role=role
    )


def needed(match: ResolverMatch) -> list[str]:
    """The permissions that a page asks for."""
    if hasattr(match.func, "needs"):
        return list(match.func.needs)
    for model, model_admin in admin.site._registry.items():
        at = f"{model._meta.app_label}_{model._meta.model_name}"
        action = PAGES.get((match.url_name or "").removeprefix(at))
        if action and (match.url_name or "").startswith(at):
            models = [model]
            if isinstance(model_admin, FiledAdmin) and action == "delete":
                models = list(FILED)
            elif isinstance(model_admin, CatalogueAdmin):
                models = [*model_admin.above, model]
            return [
                f"{one._meta.app_label}.{get_permission_codename(action, one._meta)}"
                for one in models
            ]
    return []
