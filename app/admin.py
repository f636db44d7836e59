"""Uploads and the files in them, in the admin; the others' admins are imported here."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Count, Max, QuerySet, Sum, When
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from . import tasks
from .accounts import admin as accounts_admin  # noqa: F401
from .audit.recording import record
from .catalogue.addresses import is_key
from .catalogue.admin import (
    TO_PATIENT,
    AsksBeforeDeleting,
    CatalogueAdmin,
    ask_before_deleting,
    first_few,
    identity_flag,
    local_time,
    objections,
    row_link,
    too_many,
)
from .catalogue.cells import Cells, moment
from .catalogue.deleting import DeletingForm, reason_of
from .catalogue.exporting import ExportedList
from .catalogue.lookups import OfferedLookups
from .catalogue.names import person_name
from .catalogue.searches import PostedSearch, WordsChangeList
from .errors import StorageFailed
from .health import admin as health_admin  # noqa: F401
from .models import (
    ArchiveMember,
    AuditEntry,
    BroughtQuerySet,
    DICOMFile,
    DICOMFileQuerySet,
    DICOMInstance,
    Kind,
    Outcome,
    Status,
)
from .reasons import sentence
from .spreadsheets import Cell
from .uploads import announcing, changes, ledger, removal, these, whose
from .uploads.forms import DICOMFileForm
from .uploads.receiving import before_sending, from_script
from .uploads.status import (
    TABS,
    ending,
    outcome_words,
    state_of,
    tab_counts,
    tab_words,
    with_places,
)
from .views import CATALOGUE, announce_start, announce_stop, progress_url
from .wording import counted, human_size

admin.site.site_header = "ICON"
admin.site.site_title = "ICON"
admin.site.index_title = "Uploads and catalogue"
admin.site.site_url = None  # the admin is the site
admin.site.enable_nav_sidebar = False  # tables need the width


PROCESSES = ("app.view_dicomfile", "app.process_dicomfile")


def _counted(outcome: Outcome) -> Callable[[DICOMFile], Cell]:
    return lambda upload: upload.outcomes[outcome.value]


CSV_CELLS: Cells = {
    "ZIP": lambda upload: upload.name,
    "status": lambda upload: upload.status_label,
    "what is wrong": lambda upload: ending(upload),
    **{str(one.label).lower(): _counted(one) for one in Outcome},
    "size (bytes)": lambda upload: upload.size,
    "uploaded": lambda upload: moment(upload.created_at),
    "uploaded by": lambda upload: str(upload.uploaded_by or ""),
}
CSV_PATIENT: Cells = {
    "patients": lambda upload: (
        person_name(upload.patient.patient_name)
        if upload.patient
        else changes.patients_in(upload.stored_words)
    ),
}
LISTS = ("app_dicomfile_changelist", "app_dicomfile_csv")
ENTRIES = 200  # the last of the audit trail, in the history of one upload


class OfferingNothing(admin.SimpleListFilter):
    """Takes what only links ask for; the list itself uses it."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class TabFilter(OfferingNothing):
    """Which tab above the list is open."""

    title = parameter_name = "tab"


class TheseFilter(OfferingNothing):
    """Exactly those uploads that a message or a page speaks of."""

    title = parameter_name = "these"


class WhoseFilter(OfferingNothing):
    """Whether only one's own are shown."""

    title = "whose"
    parameter_name = whose.WHOSE


class UploadList(WordsChangeList):
    """The list of uploads below its tabs, whose queued rows know their places."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[DICOMFile]:
        uploads: QuerySet[DICOMFile] = super().get_queryset(request, *args, **kwargs)
        given = request.GET.get("these")
        if given is not None:
            uploads = uploads.filter(these.among(given))
        if whose.only_mine(request):
            uploads = uploads.filter(uploaded_by=request.user.pk)
        return uploads.filter(TABS.get(_tab(request), TABS["all"])[1])

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = with_places(self.result_list)


# Before all others: what runs.
RUNNING_FIRST = Case(When(processing_status=Status.IN_PROGRESS, then=0), default=1).asc()


@admin.register(DICOMFile)
class DICOMFileAdmin(
    AsksBeforeDeleting,
    ExportedList,
    PostedSearch,
    OfferedLookups,
    admin.ModelAdmin,  # type: ignore[type-arg]
):
    form = DICOMFileForm
    add_form_template = "admin/app/dicomfile/add_form.html"
    list_display = ("original", "status", "patients", "files", "size_in_words", "uploaded")
    list_display_links = None  # the name leads to the upload's own page, outside the admin
    list_filter = (
        TabFilter,
        TheseFilter,
        WhoseFilter,
        "processing_status",
        ("uploaded_by", admin.RelatedOnlyFieldListFilter),
        "created_at",
    )
    search_paths = ("search_text",)
    search_help_text = "Search by the ZIP's name"
    list_select_related = ("uploaded_by", "seen_by", "patient")
    list_per_page = 50
    show_full_result_count = False
    ordering = (RUNNING_FIRST, "-created_at", "-pk")
    actions = (
        "process_selected", "stop_selected", "remove_kept_zips", "delete_selected_uploads",
    )  # fmt: skip

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """The columns; buttons only for who may press them, names for who may see patients."""
        first, status, patients, files, *rest = self.list_display
        buttons = "buttons" if self.has_process_permission(request) else "links"
        shown = [patients] if request.user.has_perm("app.view_patient") else []
        # There the sentence takes the place of counts.
        why = "why" if _tab(request) == "attention" else files
        return (first, status, buttons, *shown, why, *rest)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return UploadList

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.process_pending_view)
        return [
            path("process-pending/", view, name="app_dicomfile_process_pending"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "title": "Uploads",
            "open_tab": _tab(request),
            "tabs": [
                {"name": name, "words": words, "address": _address_of_tab(request, name)}
                for name, words in tab_words(tab_counts(whose.asked_for(request))).items()
            ],
            "mine": whose.only_mine(request),
            "whose": whose.choices(request),
            "chosen": "these" in request.GET,
            "pending": DICOMFile.objects.idle().aggregate(number=Count("pk"), until=Max("pk")),
            "kept": human_size(_kept_bytes(DICOMFile.objects.all())),
            "may_process": self.has_process_permission(request),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def get_csv_cells(self, request: HttpRequest) -> Cells:
        """The columns; names only for who may see patients."""
        patients = CSV_PATIENT if request.user.has_perm("app.view_patient") else {}
        return {**CSV_CELLS, **patients}

    def get_fieldsets(self, request: HttpRequest, obj: DICOMFile | None = None) -> Any:
        may_process = self.has_process_permission(request)
        return [(None, {"fields": ["file", "process"] if may_process else ["file"]})]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """To the upload's own page: there is nothing to type in."""
        upload = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, upload):
            raise PermissionDenied
        if upload is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined]
        return redirect(upload)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMFile]:
        uploads = cast(DICOMFileQuerySet, super().get_queryset(request))
        match = request.resolver_match
        is_list = match is not None and match.url_name in LISTS
        return uploads.without_log() if is_list else uploads

    # Who may do what

    def has_process_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(PROCESSES)

    def has_change_permission(self, request: HttpRequest, obj: DICOMFile | None = None) -> bool:
        return False  # an upload is processed or deleted; there is nothing to type

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the audit trail tells of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied  # Django's own says first whether there is such a row
        entries = AuditEntry.objects.filter(table=self.opts.label_lower).order_by("-pk")
        last = entries.filter(row=object_id)[:ENTRIES] if is_key(object_id) else []
        context = {"entries": [*last][::-1]}
        return super().history_view(request, object_id, context | (extra_context or {}))

    # Uploading

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["title"] = "Upload ZIPs"
        if context["errors"] and from_script(request):
            return _errors(context["adminform"].form)
        context["limits"] = before_sending()
        context["may_process"] = self.has_process_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: DICOMFile, form: Any, change: bool) -> None:
        obj.uploaded_by = request.user  # type: ignore[assignment]  # staff, so never anonymous
        with ExitStack() as failed:
            failed.callback(_remove_kept_file, obj)
            super().save_model(request, obj, form, change)
            record(Kind.UPLOADED, request.user, obj, human_size(obj.size))
            obj.sync_archive()  # the row is committed after this
            failed.pop_all()

    def response_add(
        self, request: HttpRequest, obj: DICOMFile, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Answer add.js in JSON, and a browser without it with the next page to look at."""
        may_process = self.has_process_permission(request)
        process = "process" in request.POST and may_process
        if process:
            started = tasks.start([obj.pk], who=request.user)
        else:
            announcing.received(request, obj, may_process)
        if from_script(request):
            return JsonResponse({"id": obj.pk})
        if process:
            announce_start(request, started)
            return redirect(progress_url([obj.pk]))
        if not self.has_view_permission(request):
            return redirect("admin:app_dicomfile_add")  # the list would say "Not allowed"
        return self.response_post_save_add(request, obj)

    # Starting and deleting many

    @admin.action(description="Process selected DICOM files", permissions=["process"])
    def process_selected(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponse | None:
        """Queue what the selection allows, and watch exactly those."""
        # In the order of upload, so that the oldest is processed first.
        pks = queryset.order_by("pk").values_list("pk", flat=True)
        started = tasks.start(pks, who=request.user)
        announce_start(request, started)
        return HttpResponseRedirect(progress_url(started.queued)) if started.queued else None

    @admin.action(description="Stop selected uploads", permissions=["process"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[DICOMFile]) -> None:
        # The last in the queue first, so that no other of them begins meanwhile.
        announce_stop(request, [*queryset.order_by("-queued_at").values_list("pk", flat=True)])

    def process_pending_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, where there are several, then queue all that were pending when it was asked."""
        if not self.has_process_permission(request):
            raise PermissionDenied(*PROCESSES)
        pending = DICOMFile.objects.idle().order_by("pk").without_log()
        if request.method == "POST":
            until = request.POST.get("until", "")
            asked = pending.filter(pk__lte=int(until)) if is_key(until) else pending.none()
            started = tasks.start(asked.values_list("pk", flat=True), who=request.user)
            announce_start(request, started)
            return HttpResponseRedirect(progress_url(started.queued))
        uploads = list(pending)
        context = {
            **self.admin_site.each_context(request),
            "title": "Process all pending",
            "opts": self.opts,
            "number": len(uploads),
            "stopped": sum(upload.stopped for upload in uploads),
            "size": human_size(sum(upload.size for upload in uploads)),
            "names": first_few([upload.name for upload in uploads]),
            "until": uploads[-1].pk if uploads else "",
        }
        return TemplateResponse(request, "admin/app/dicomfile/process_pending.html", context)

    @admin.action(description="Delete selected uploads", permissions=["delete"])
    def delete_selected_uploads(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponseBase | None:
        """Delete what is not being processed, after asking."""
        if too_many(request, queryset):
            return None
        if "post" in request.POST and not objections(DeletingForm(0, request)):
            self.delete_queryset(request, queryset)
            return None
        running = queryset.filter(processing_status=Status.IN_PROGRESS)
        _say_it_runs(request, *running.values_list("pk", flat=True))
        idle = queryset.exclude(processing_status=Status.IN_PROGRESS)
        if not idle.exists():
            return None
        title = "Delete uploads"
        return ask_before_deleting(self, request, idle, title, lambda: _asked(request, idle))

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # ours leaves the running ones alone
        return actions

    @admin.action(description="Remove kept ZIPs", permissions=["delete"])
    def remove_kept_zips(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponseBase | None:
        """Free the space of archives that nothing needs any more, after asking."""
        if too_many(request, queryset):
            return None
        if "post" not in request.POST:
            return self._ask_about_zips(request, queryset)
        refused = removal.remove_archives(queryset, request.user)
        removed = len(queryset) - len(refused)
        if removed:
            messages.success(request, f"{counted(removed, 'kept ZIP')} removed.")
        announcing.left_alone(request, refused, "left with its ZIP")
        return None

    def _ask_about_zips(
        self, request: HttpRequest, uploads: QuerySet[DICOMFile]
    ) -> TemplateResponse:
        found = removal.sort_archives(uploads)
        context = {
            **self.admin_site.each_context(request),
            "title": "Remove kept ZIPs",
            "opts": self.opts,
            "uploads": found.go,
            "names": first_few([upload.name for upload in found.go]),
            "size": human_size(sum(upload.size for upload in found.go)),
            "staying": sum(map(len, found.stay.values())),
            "stay": [
                {
                    "why": sentence(why),
                    "names": first_few([one.name for one in kept]),
                    "n": len(kept),
                }
                for why, kept in found.stay.items()
            ],
            "selected": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/app/dicomfile/remove_zips.html", context)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        upload = context["object"]
        if upload.processing_status == Status.IN_PROGRESS:
            _say_it_runs(request, upload.pk)
            return redirect("admin:app_dicomfile_changelist")
        context |= {**_asked(request, [upload]), "title": "Delete", "protected": []}
        return super().render_delete_form(request, context)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """To the list; `_delete` has said what became of it."""
        return self.response_post_save_add(request, DICOMFile())

    def delete_model(self, request: HttpRequest, obj: DICOMFile) -> None:
        pk, why = obj.pk, self._delete(request, obj)
        if why:
            _say_why_not(request, {pk: why})
        else:
            messages.success(request, f"“{obj.name}” was deleted.")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DICOMFile]) -> None:
        """Delete rows, and archives if that was asked for. What was catalogued stays."""
        refused = {upload.pk: self._delete(request, upload) for upload in queryset}
        _say_why_not(request, refused)
        if deleted := [*refused.values()].count(""):
            messages.success(request, f"{counted(deleted, 'upload')} deleted.")

    def _delete(self, request: HttpRequest, upload: DICOMFile) -> str:
        """The code of why it was not."""
        try:
            with_archive = "with_archive" in request.POST
            reason = reason_of(request)
            deleted = removal.delete_upload(upload, with_archive, request.user, reason)
        except StorageFailed:
            return "delete_on_broken_disk"
        if not deleted:
            return "delete_while_processed"
        return ""

    def get_deleted_objects(
        self, objs: Iterable[DICOMFile], request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        """What the page that asks first shows: counts, since a ledger may have 100,000 rows."""
        uploads = list(objs)
        summary = {
            "uploads": f"{len(uploads):,}",
            "lines in their lists of files": (
                f"{ArchiveMember.objects.filter(upload__in=uploads).count():,}"
            ),
        }
        names = first_few([upload.name for upload in uploads])
        return names, summary, set(), objections(DeletingForm(0, request))

    # Columns

    @admin.display(description="ZIP", ordering="original_name")
    def original(self, upload: DICOMFile) -> SafeString:
        return format_html('<a href="{}"><bdi>{}</bdi></a>', upload.get_absolute_url(), upload.name)

    @admin.display(description="uploaded", ordering="created_at")
    def uploaded(self, upload: DICOMFile) -> str:
        by = ""
        if upload.uploaded_by:
            by = format_html("<br><span>by <bdi>{}</bdi></span>", upload.uploaded_by)
        return format_html("{}{}", local_time(upload.created_at), by)

    @admin.display(description="size", ordering="size")
    def size_in_words(self, upload: DICOMFile) -> str:
        return human_size(upload.size)

    @admin.display(description="status", ordering="processing_status")
    def status(self, upload: DICOMFile) -> SafeString:
        state = state_of(upload)
        badge = format_html('<span class="status status-{}">{}</span>', state.tone, state.badge)
        if upload.seen_at is None:
            return badge
        by = format_html(" by <bdi>{}</bdi>", upload.seen_by) if upload.seen_by else ""
        return format_html(
            '{}<span class="seen">Seen{}, {}</span>', badge, by, local_time(upload.seen_at)
        )

    @admin.display(description="patients", empty_value="")
    def patients(self, upload: DICOMFile) -> SafeString | str:
        if upload.patient is not None:
            name = person_name(upload.patient.patient_name) or "(no name)"
            # The catalogue's name, which that in the ZIP may differ from.
            return format_html("<bdi>{}</bdi>{}", name, identity_flag(upload.patient))
        return changes.patients_in(upload.stored_words)

    @admin.display(description="files", empty_value="")
    def files(self, upload: DICOMFile) -> str:
        return outcome_words(upload)

    @admin.display(description="what is wrong", empty_value="")
    def why(self, upload: DICOMFile) -> str:
        return ending(upload)

    @admin.display(description="actions")
    def buttons(self, upload: DICOMFile) -> str:
        return _row_buttons(upload, may_process=True)

    @admin.display(description="actions")
    def links(self, upload: DICOMFile) -> str:
        return _row_buttons(upload, may_process=False)


def _remove_kept_file(upload: DICOMFile) -> None:
    if upload.file._committed:  # type: ignore[attr-defined]  # else its name is the sender's
        upload.file.delete(save=False)


def _tab(request: HttpRequest) -> str:
    return request.GET.get(TabFilter.parameter_name, "all")


def _address_of_tab(request: HttpRequest, name: str) -> str:
    """The query of a tab's address, which shows the same people's uploads."""
    asked = {} if name == "all" else {TabFilter.parameter_name: name}
    return urlencode(asked | ({whose.WHOSE: whose.MINE} if whose.only_mine(request) else {}))


def _errors(form: DICOMFileForm) -> JsonResponse:
    words = [str(error) for errors in form.errors.values() for error in errors]
    return JsonResponse({"errors": words}, status=400)


def _say_it_runs(request: HttpRequest, *pks: int) -> None:
    _say_why_not(request, dict.fromkeys(pks, "delete_while_processed"))


def _say_why_not(request: HttpRequest, refused: dict[int, str]) -> None:
    """Why uploads were not deleted, by their codes; "" is none."""
    announcing.left_alone(request, {pk: why for pk, why in refused.items() if why}, "not deleted")


def _asked(request: HttpRequest, uploads: Iterable[DICOMFile]) -> dict[str, Any]:
    """What the page that asks before uploads are deleted needs to know."""
    kept = [upload for upload in uploads if upload.file]
    stay = removal.sort_archives(kept).stay
    whose = "its ZIP" if len(kept) == 1 else f"their {len(kept):,} ZIPs"
    size = human_size(sum(upload.size for upload in kept))
    return {
        "form": DeletingForm(0, request),
        "zips": f"Delete {whose}, too ({size})" if kept else "",
        # What "Remove kept ZIPs" would refuse is not deleted by the way.
        "zips_ticked": "with_archive" in request.POST if "post" in request.POST else not stay,
        "zips_needed": [sentence(why) for why in stay],
    }


def _kept_bytes(uploads: QuerySet[DICOMFile]) -> int:
    """What the kept archives of uploads take, in bytes."""
    total = uploads.exclude(file="").order_by().aggregate(total=Sum("size"))["total"]
    return total or 0


def _row_buttons(upload: DICOMFile, may_process: bool) -> str:
    context = {"upload": upload, "state": state_of(upload), "may_process": may_process}
    return render_to_string("admin/app/dicomfile/_row_buttons.html", context)


class OlderFilter(OfferingNothing):
    """Takes from an address where a search goes on."""

    title = parameter_name = "before"


def _before(request: HttpRequest) -> int | None:
    given = request.GET.get(OlderFilter.parameter_name, "")
    return int(given) if is_key(given) else None


CSV_MEMBER: Cells = {
    "ZIP": lambda member: member.upload.name,
    "uploaded": lambda member: moment(member.upload.created_at),
    "number": lambda member: member.index + 1,
    "inside it": lambda member: member.inner,
    "file in the ZIP": lambda member: member.name,
    "size (bytes)": lambda member: member.size,
    "SHA-256": lambda member: member.sha256,
    "outcome": lambda member: Outcome(member.outcome).label,
    "why": lambda member: member.detail,
}


def _of_object(cells: Cells) -> Cells:
    """Cells of the object that a file was catalogued as; empty where it was not."""

    def if_any(cell: Callable[[DICOMInstance], Cell]) -> Callable[[ArchiveMember], Cell]:
        return lambda member: cell(member.instance) if member.instance else None

    return {heading: if_any(cell) for heading, cell in cells.items()}


CSV_OBJECT = _of_object(
    {
        "patient ID": lambda row: row.dicom_series.dicom_study.patient.unique_patient_id,
        "study instance UID": lambda row: row.dicom_series.dicom_study.study_instance_uid,
        "series instance UID": lambda row: row.dicom_series.series_instance_uid,
        "SOP instance UID": lambda row: row.sop_instance_uid,
    }
)


@admin.register(ArchiveMember)
class ArchiveMemberAdmin(CatalogueAdmin):
    above = (DICOMFile,)
    list_display = ("name_in_zip", "from_upload", "size_in_words", "outcome", "detail", "object")
    sortable_by = ()  # as many rows as all ZIPs together have files
    list_filter = ("outcome", OlderFilter)
    exact_paths = ("name", "upload__original_name", "sha256")  # see get_search_results
    search_pages = (*CatalogueAdmin.search_pages, OlderFilter.parameter_name)
    search_help_text = "Search by the file's name, the ZIP's name or a whole SHA-256"
    fields = (
        "from_upload", "place", "name_in_zip", "size_in_words", "sha256", "outcome", "detail",
        "object",
    )  # fmt: skip
    readonly_fields = fields
    csv_related = (f"instance__{TO_PATIENT}",)
    csv_without = ("instance__superseded",)

    def get_csv_cells(self, request: HttpRequest) -> Cells:
        """The columns; those of the catalogue only for who may see it."""
        may_see = request.user.has_perms((*CATALOGUE, "app.view_dicominstance"))
        return {**CSV_MEMBER, **(CSV_OBJECT if may_see else {})}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ArchiveMember]:
        members = cast(BroughtQuerySet, super().get_queryset(request))
        return members.with_upload().select_related("instance")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ArchiveMember], search_term: str
    ) -> tuple[QuerySet[ArchiveMember], bool]:
        """The newest that are found, and a link to look through older ones."""
        if not search_term:
            return queryset, False
        found = ledger.find(queryset, search_term, _before(request))
        if found.before:
            address = request.GET.copy()
            address["before"] = str(found.before)
            address.pop("p", None)
            words = (
                "ICON looked through {} files, newest first. <a href='?{}'>Look further back</a>"
            )
            looked = f"{found.looked_through:,}"
            messages.info(request, format_html(words, looked, address.urlencode()))
        return queryset.filter(pk__in=found.pks), False

    @admin.display(description="upload", ordering="upload")
    def from_upload(self, member: ArchiveMember) -> SafeString:
        return row_link(member.upload)

    @admin.display(description="place in the ZIP")
    def place(self, member: ArchiveMember) -> str:
        inside = f", number {member.inner} inside that" if member.inner else ""
        return f"number {member.index + 1:,}{inside}"

    @admin.display(description="catalogued as")
    def object(self, member: ArchiveMember) -> SafeString | str:
        return row_link(member.instance) if member.instance else "-"

    @admin.display(description="file in the ZIP", ordering="name")
    def name_in_zip(self, member: ArchiveMember) -> SafeString:
        return format_html("<bdi>{}</bdi>", member.name or "(no name)")

    @admin.display(description="size", ordering="size")
    def size_in_words(self, member: ArchiveMember) -> str:
        return human_size(member.size)
