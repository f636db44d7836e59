"""Upload, start, watch, and look at the catalogue's tables."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import (
    Count,
    Field,
    IntegerField,
    ManyToManyField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce
from django.forms import CheckboxSelectMultiple
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
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from . import tasks
from .archives.directory import END_WINDOW
from .catalogue import removal
from .catalogue.names import person_name, row_name
from .errors import StorageFailed
from .models import (
    ArchiveMember,
    CatalogueCheck,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Outcome,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
    Status,
)
from .reasons import sentence
from .uploads.forms import DICOMFileForm, too_large
from .uploads.status import can_start, counted, is_live, outcome_words, status_label, tone
from .views import announce_start, progress_url
from .wording import human_size

AT_ONCE = 500  # rows in a form that asks; Django takes 1,000 fields
NAMED = 10  # of them, in words

Row = TypeVar("Row", bound=Model)

admin.site.site_header = "ICON"
admin.site.site_title = "ICON"
admin.site.index_title = "Uploads and catalogue"
admin.site.site_url = None  # the admin is the site
admin.site.enable_nav_sidebar = False  # tables need the width


class ValuesFilter(admin.AllValuesFieldListFilter):
    """Every value there is; Django gives the empty one a link without words."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "(none)"}


class InstanceModalityFilter(ValuesFilter):
    """The modalities of the series, which are few, instead of those of all instances."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values = DICOMSeries.objects.order_by("modality").distinct()
        self.lookup_choices = values.values_list("modality", flat=True)


class PatientPositionFilter(ValuesFilter):
    """The standard's terms, instead of a look through all images."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lookup_choices = ["", *PATIENT_POSITIONS]  # type: ignore[assignment]


# PS3.3 C.7.3.1.1.2, in the order of the standard.
PATIENT_POSITIONS = (
    "HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS",
    "LFP", "LFS", "RFP", "RFS", "AFDR", "AFDL", "PFDR", "PFDL",
)  # fmt: skip
SHA256 = re.compile("[0-9a-f]{64}", re.IGNORECASE)


class AttentionFilter(admin.SimpleListFilter):
    title = "attention"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        number = DICOMFile.objects.filter(NEEDS_ATTENTION).count()
        return [("1", f"Needs attention ({number:,})")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DICOMFile]) -> QuerySet[DICOMFile]:
        return queryset.filter(NEEDS_ATTENTION) if self.value() else queryset


NEEDS_ATTENTION = Q(processing_status=Status.FAILED) | Q(processing_status=Status.COMPLETED) & (
    Q(failed_count__gt=0) | Q(conflict_count__gt=0)
)  # what DICOMFile.needs_attention says of one row


@admin.register(DICOMFile)
class DICOMFileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = DICOMFileForm
    add_form_template = "admin/app/dicomfile/add_form.html"
    list_display = ("original", "status", "files", "size_in_words", "uploaded")
    view_on_site = False  # the page has its own button for that
    list_filter = (
        AttentionFilter,
        "processing_status",
        ("uploaded_by", admin.RelatedOnlyFieldListFilter),
        "created_at",
    )
    search_fields = ("original_name",)
    search_help_text = "Search by the ZIP's name"
    list_select_related = ("uploaded_by",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("process_selected", "remove_kept_zips", "delete_selected_uploads")
    facts = (
        "original", "size_in_words", "uploaded", "status", "stage_in_words",
        "outcomes", "failure_detail", "started", "ended",
    )  # fmt: skip
    readonly_fields = (*facts, "log")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """The columns; buttons only for who may press them."""
        first, status, *rest = self.list_display
        may_process = self.has_process_permission(request)
        return (first, status, "buttons" if may_process else "links", *rest)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        kept = human_size(_kept_bytes(DICOMFile.objects.all()))
        context = {"title": "Uploads", "kept": kept, **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_fieldsets(self, request: HttpRequest, obj: DICOMFile | None = None) -> Any:
        if obj is None:
            may_process = self.has_process_permission(request)
            return [(None, {"fields": ["file", "process"] if may_process else ["file"]})]
        return [
            (None, {"fields": self.facts}),
            ("Processing log", {"fields": ["log"], "classes": ["collapse"]}),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMFile]:
        uploads = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name == "app_dicomfile_changelist"
        return uploads.defer("processing_log_data") if is_list else uploads

    # Who may do what

    def has_process_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("app.process_dicomfile")

    def has_change_permission(self, request: HttpRequest, obj: DICOMFile | None = None) -> bool:
        return False  # an upload is processed or deleted; there is nothing to type

    # One upload's page

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        upload = context.get("original")
        if upload is None:
            context["title"] = "Upload ZIPs"
            if context["errors"] and _from_script(request):
                return _errors(context["adminform"].form)
            context["limits"] = _limits()
        else:
            context["title"] = "Upload"
            context |= _may(upload, self.has_process_permission(request))
            context["show_delete"] = upload.processing_status != Status.IN_PROGRESS
        return super().render_change_form(request, context, *args, **kwargs)

    # Uploading

    def save_model(self, request: HttpRequest, obj: DICOMFile, form: Any, change: bool) -> None:
        obj.uploaded_by = request.user  # type: ignore[assignment]  # staff, so never anonymous
        super().save_model(request, obj, form, change)
        obj.sync_archive()  # the row is committed after this

    def response_add(
        self, request: HttpRequest, obj: DICOMFile, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Answer add.js in JSON, and a browser without it with the next page to look at."""
        process = "process" in request.POST and self.has_process_permission(request)
        if process:
            started = tasks.start([obj.pk])
        else:
            messages.success(request, f"“{obj}” was uploaded. Press Process Now to process it.")
        if _from_script(request):
            return JsonResponse({"id": obj.pk})
        if process:
            announce_start(request, started)
            return redirect(progress_url([obj.pk]))
        return self.response_post_save_add(request, obj)

    # Starting and deleting many

    @admin.action(description="Process selected DICOM files", permissions=["process"])
    def process_selected(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponse | None:
        """Queue what the selection allows, and watch exactly those."""
        # In the order of upload, so that the oldest is processed first.
        started = tasks.start(queryset.order_by("pk").values_list("pk", flat=True))
        announce_start(request, started)
        return HttpResponseRedirect(progress_url(started.queued)) if started.queued else None

    @admin.action(description="Delete selected DICOM files", permissions=["delete"])
    def delete_selected_uploads(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponseBase | None:
        """Delete what is not being processed, after asking."""
        if _too_many(request, queryset):
            return None
        if "post" in request.POST:
            self.delete_queryset(request, queryset)
            return None
        for upload in queryset.filter(processing_status=Status.IN_PROGRESS):
            _say_it_runs(request, upload)
        idle = queryset.exclude(processing_status=Status.IN_PROGRESS)
        return _ask(self, request, idle, "Delete uploads") if idle.exists() else None

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # ours leaves the running ones alone
        return actions

    @admin.action(description="Remove kept ZIPs", permissions=["delete"])
    def remove_kept_zips(
        self, request: HttpRequest, queryset: QuerySet[DICOMFile]
    ) -> HttpResponseBase | None:
        """Free the space of archives that nothing needs any more, after asking."""
        if _too_many(request, queryset):
            return None
        if "post" not in request.POST:
            return self._ask_about_zips(request, queryset)
        refused = removal.remove_archives(queryset)
        removed = len(queryset) - len(refused)
        if removed:
            messages.success(request, f"{counted(removed, 'kept ZIP')} removed.")
        for upload in queryset:
            if why := refused.get(upload.pk):
                messages.warning(request, f"The ZIP of “{upload}” was kept: {why}")
        return None

    def _ask_about_zips(
        self, request: HttpRequest, uploads: QuerySet[DICOMFile]
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Remove kept ZIPs",
            "opts": self.opts,
            "uploads": uploads,
            "names": _first_few([str(upload) for upload in uploads]),
            "size": human_size(_kept_bytes(uploads)),
            "selected": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/app/dicomfile/remove_zips.html", context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Not in one transaction, as Django's own: rows are committed before files go.
        response: HttpResponse = self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]
        return response

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        upload = context["object"]
        if upload.processing_status == Status.IN_PROGRESS:
            _say_it_runs(request, upload)
            return redirect("admin:app_dicomfile_changelist")
        return super().render_delete_form(request, context)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        if DICOMFile.objects.filter(pk=obj_id).exists():  # `_delete` has said why
            return redirect("admin:app_dicomfile_changelist")
        return super().response_delete(request, obj_display, obj_id)

    def delete_model(self, request: HttpRequest, obj: DICOMFile) -> None:
        self._delete(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DICOMFile]) -> None:
        """Delete rows, and archives if that was asked for. What was catalogued stays."""
        deleted = sum(self._delete(request, upload) for upload in queryset)
        if deleted:
            messages.success(request, f"{counted(deleted, 'upload')} deleted.")

    def _delete(self, request: HttpRequest, upload: DICOMFile) -> bool:
        try:
            deleted = removal.delete_upload(upload, with_archive="with_archive" in request.POST)
        except StorageFailed:
            _say_the_disk_failed(request, upload)
            return False
        if not deleted:
            _say_it_runs(request, upload)
            return False
        super().log_deletions(request, [upload])  # type: ignore[arg-type]  # any iterable will do
        return True

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[DICOMFile]) -> list[Any]:
        """Nothing yet: Django calls this before, and `_delete` logs what it has deleted."""
        return []

    def get_deleted_objects(
        self, objs: Iterable[DICOMFile], request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        """What the page that asks first shows: counts, since a ledger may have 100,000 rows."""
        uploads = list(objs)
        kept = sum(upload.size for upload in uploads if upload.file)
        summary = {
            "uploads": f"{len(uploads):,}",
            "lines in their lists of files": (
                f"{ArchiveMember.objects.filter(upload__in=uploads).count():,}"
            ),
            "size of their kept ZIPs": human_size(kept),
        }
        return _first_few([str(upload) for upload in uploads]), summary, set(), []

    # Columns

    @admin.display(description="ZIP archive", ordering="original_name")
    def original(self, upload: DICOMFile) -> SafeString:
        return format_html("<bdi>{}</bdi>", str(upload))

    @admin.display(description="uploaded", ordering="created_at")
    def uploaded(self, upload: DICOMFile) -> str:
        by = format_html("<br>by <bdi>{}</bdi>", upload.uploaded_by) if upload.uploaded_by else ""
        return format_html("{}{}", _local_time(upload.created_at), by)

    @admin.display(description="processing started")
    def started(self, upload: DICOMFile) -> str:
        return _local_time(upload.date_processing_started)

    @admin.display(description="processing ended")
    def ended(self, upload: DICOMFile) -> str:
        return _local_time(upload.date_processing_completed)

    @admin.display(description="size", ordering="size")
    def size_in_words(self, upload: DICOMFile) -> str:
        return human_size(upload.size)

    @admin.display(description="status", ordering="processing_status")
    def status(self, upload: DICOMFile) -> SafeString:
        percent = ""
        if upload.processing_status == Status.IN_PROGRESS:
            percent = f" {upload.percent} %"
        return format_html(
            '<span class="status status-{}">{}{}</span>',
            tone(upload),
            status_label(upload),
            percent,
        )

    @admin.display(description="files")
    def files(self, upload: DICOMFile) -> str:
        return outcome_words(upload) or "-"

    @admin.display(description="stage")
    def stage_in_words(self, upload: DICOMFile) -> str:
        return f"{upload.get_stage_display()}, {upload.percent} %" if upload.stage else "-"

    @admin.display(description="files")
    def outcomes(self, upload: DICOMFile) -> SafeString:
        rows = [(Outcome(o).label, f"{n:,}") for o, n in upload.outcomes.items()]
        rows.insert(0, ("In the ZIP", f"{upload.member_count:,}"))
        cells = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", rows)
        return format_html('<dl class="outcomes">{}</dl>', cells)

    @admin.display(description="log")
    def log(self, upload: DICOMFile) -> str:
        return render_to_string("uploads/_log.html", {"lines": upload.processing_log_data})

    @admin.display(description="")
    def buttons(self, upload: DICOMFile) -> str:
        return _row_buttons(upload, may_process=True)

    @admin.display(description="")
    def links(self, upload: DICOMFile) -> str:
        return _row_buttons(upload, may_process=False)


def _from_script(request: HttpRequest) -> bool:
    return request.headers.get("Accept") == "application/json"


def _errors(form: DICOMFileForm) -> JsonResponse:
    words = [str(error) for errors in form.errors.values() for error in errors]
    return JsonResponse({"errors": words}, status=400)


def _limits() -> dict[str, str | int]:
    """What add.js refuses before it sends anything, and the words for it."""
    return {
        "max_upload": settings.ICON_MAX_UPLOAD,
        "too_large": too_large(),
        "end_window": END_WINDOW,
        "not_a_zip": sentence("not_a_zip"),
        "truncated": sentence("archive_truncated"),
    }


def _say_it_runs(request: HttpRequest, upload: DICOMFile) -> None:
    messages.warning(
        request, f"“{upload}” is being processed and cannot be deleted now. Cancel it first."
    )


def _say_the_disk_failed(request: HttpRequest, upload: DICOMFile) -> None:
    messages.error(
        request,
        f"“{upload}” was not deleted: the server's disk is full or cannot be written to. "
        "Ask the administrator, then try again.",
    )


def _too_many(request: HttpRequest, rows: QuerySet[Any]) -> bool:
    """Whether to refuse a selection because the form that asks could not carry it."""
    if rows.count() <= AT_ONCE:
        return False
    messages.warning(request, f"Nothing was changed. Choose at most {AT_ONCE} at a time.")
    return True


def _ask(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any], title: str
) -> HttpResponseBase | None:
    """Django's action, which asks and then deletes, under a title that says what."""
    response = delete_selected(model_admin, request, rows)
    if isinstance(response, TemplateResponse):
        response.context_data = {**(response.context_data or {}), "title": title}
    return response


def _first_few(names: list[str]) -> list[str]:
    rest = len(names) - NAMED
    return names if rest <= 0 else [*names[:NAMED], f"and {rest:,} more"]


def _kept_bytes(uploads: QuerySet[DICOMFile]) -> int:
    """What the kept archives of uploads take, in bytes."""
    total = uploads.exclude(file="").order_by().aggregate(total=Sum("size"))["total"]
    return total or 0


def _local_time(moment: datetime | None) -> str:
    """In the reader's zone: see `app.middleware`."""
    return render_to_string("shared/_time.html", {"time": moment}) if moment else "-"


def _row_buttons(upload: DICOMFile, may_process: bool) -> str:
    context = {"upload": upload, **_may(upload, may_process)}
    return render_to_string("admin/app/dicomfile/_row_buttons.html", context)


def _may(upload: DICOMFile, may_process: bool) -> dict[str, bool]:
    """What decides which buttons an upload has."""
    return {"may_process": may_process, "can_start": can_start(upload), "live": is_live(upload)}


class CatalogueAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that only imports write: to look at, not to type in."""

    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {
            "title": capfirst(self.opts.verbose_name),
            "subtitle": row_name(context["original"]),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class FiledAdmin(CatalogueAdmin):
    """A table whose rows can be deleted, with all that is below them and the files."""

    actions = ("delete_selected_rows",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # ours says what goes, and deletes files too
        return actions

    @admin.action(description="Delete selected rows, with their files", permissions=["delete"])
    def delete_selected_rows(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        if _too_many(request, queryset):
            return None
        return _ask(self, request, queryset, f"Delete {self.opts.verbose_name_plural}")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Not in one transaction, as Django's own: rows are committed before files go.
        response: HttpResponse = self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]
        return response

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        removal.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            removal.delete(row)

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        """What will go, in numbers: a patient may have 10,000 instances."""
        rows = list(objs)
        counts = removal.below(rows) if rows else {"bytes": 0}
        size = human_size(counts.pop("bytes"))
        summary = {kind: f"{count:,}" for kind, count in counts.items()}
        names = _first_few([row_name(row) for row in rows])
        return names, {**summary, "size of their files": size}, set(), []


@admin.register(Patient)
class PatientAdmin(FiledAdmin):
    list_display = (
        "name", "unique_patient_id", "patient_sex", "patient_dob", "two_people", "studies",
    )  # fmt: skip
    list_filter = ("identity_differs", ("patient_sex", ValuesFilter), "created_at")
    search_fields = ("unique_patient_id", "patient_name")
    search_help_text = "Search by patient ID or name"
    fields = (
        "name", "unique_patient_id", "patient_dob", "patient_sex", "two_people",
        "folder", "studies", "created_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Patient]:
        return _with_count(super().get_queryset(request), DICOMStudy, "patient")

    @admin.display(description="name", ordering="patient_name")
    def name(self, patient: Patient) -> SafeString:
        return format_html("<bdi>{}</bdi>", person_name(patient.patient_name) or "(no name)")

    @admin.display(description="two people?", ordering="identity_differs")
    def two_people(self, patient: Patient) -> str:
        return _why_flagged(patient, "identity_differs")

    @admin.display(description="studies", ordering="children")
    def studies(self, patient: Patient) -> SafeString:
        return _children_link(DICOMStudy, "patient", patient)


@admin.register(DICOMStudy)
class DICOMStudyAdmin(FiledAdmin):
    list_display = (
        "patient_name", "study_date", "study_description", "accession_number", "shared",
        "series", "study_instance_uid",
    )  # fmt: skip
    list_filter = ("uid_shared", "study_date", "created_at")
    list_select_related = ("patient",)
    search_fields = (
        "study_instance_uid__exact", "accession_number__exact", "study_description",
        "patient__unique_patient_id", "patient__patient_name",
    )  # fmt: skip
    search_help_text = "Search by description, patient, whole accession number or whole UID"
    fields = (
        "patient_link", "study_instance_uid", "study_date", "study_time", "study_description",
        "accession_number", "study_id", "shared", "series", "created_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMStudy]:
        return _with_count(super().get_queryset(request), DICOMSeries, "dicom_study")

    @admin.display(description="patient", ordering="patient__patient_name")
    def patient_name(self, study: DICOMStudy) -> SafeString:
        return _patient_name(study.patient)

    @admin.display(description="patient")
    def patient_link(self, study: DICOMStudy) -> SafeString:
        return _row_link(study.patient)

    @admin.display(description="under two patients", ordering="uid_shared")
    def shared(self, study: DICOMStudy) -> str:
        return _why_flagged(study, "uid_shared")

    @admin.display(description="series", ordering="children")
    def series(self, study: DICOMStudy) -> SafeString:
        return _children_link(DICOMSeries, "dicom_study", study)


@admin.register(DICOMSeries)
class DICOMSeriesAdmin(FiledAdmin):
    list_display = (
        "patient_name", "modality", "series_number", "series_description", "series_date",
        "instances", "series_instance_uid",
    )  # fmt: skip
    list_filter = (("modality", ValuesFilter), "series_date", "created_at")
    list_select_related = ("dicom_study__patient",)
    search_fields = (
        "series_instance_uid__exact", "dicom_study__study_instance_uid__exact",
        "series_description", "dicom_study__patient__unique_patient_id",
    )  # fmt: skip
    search_help_text = "Search by description, patient ID or whole UID"
    fields = (
        "study_link", "series_instance_uid", "modality", "series_number", "series_description",
        "series_date", "body_part_examined", "frame_of_reference_uid", "instances", "created_at",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMSeries]:
        return _with_count(super().get_queryset(request), DICOMInstance, "dicom_series")

    @admin.display(description="patient")
    def patient_name(self, series: DICOMSeries) -> SafeString:
        return _patient_name(series.dicom_study.patient)

    @admin.display(description="study")
    def study_link(self, series: DICOMSeries) -> SafeString:
        return _row_link(series.dicom_study)

    @admin.display(description="instances", ordering="children")
    def instances(self, series: DICOMSeries) -> SafeString:
        return _children_link(DICOMInstance, "dicom_series", series)


def _instances_named(term: str) -> Q:
    """By a whole UID, which an index finds, or by a SHA-256."""
    if not term:
        return Q()
    if SHA256.fullmatch(term):
        return Q(sha256=term.lower())
    series = [*DICOMSeries.objects.filter(series_instance_uid=term).values_list("pk", flat=True)]
    return Q(sop_instance_uid=term) | Q(dicom_series__in=series)


@admin.register(DICOMInstance)
class DICOMInstanceAdmin(FiledAdmin):
    list_display = (
        "sop_instance_uid", "modality", "instance_number", "rows", "columns",
        "number_of_frames", "size_in_words", "upload",
    )  # fmt: skip
    list_filter = (("modality", InstanceModalityFilter), "created_at")
    list_select_related = ("upload",)
    search_fields = ("sop_instance_uid",)  # see get_search_results
    search_help_text = "Search by a whole UID or SHA-256"
    fields = (
        "series_link", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "modality",
        "instance_number", "rows", "columns", "number_of_frames", "size_in_words", "sha256",
        "path", "upload", "created_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="series")
    def series_link(self, instance: DICOMInstance) -> SafeString:
        return _row_link(instance.dicom_series)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMInstance]:
        return super().get_queryset(request).defer("upload__processing_log_data")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DICOMInstance], search_term: str
    ) -> tuple[QuerySet[DICOMInstance], bool]:
        return queryset.filter(_instances_named(search_term.strip())), False

    @admin.display(description="size", ordering="size")
    def size_in_words(self, instance: DICOMInstance) -> str:
        return human_size(instance.size)


@admin.register(ImageInformation)
class ImageInformationAdmin(CatalogueAdmin):
    list_display = (
        "image", "slice_location", "slice_thickness", "spacing", "patient_position",
        "instance_uid",
    )  # fmt: skip
    fields = (
        "instance_link", "instance_number", "slice_location", "slice_thickness", "spacing",
        "patient_position", "position", "orientation",
    )  # fmt: skip
    readonly_fields = fields
    list_filter = (("patient_position", PatientPositionFilter),)
    list_select_related = ("dicom_instance",)
    search_fields = ("dicom_instance__sop_instance_uid",)  # see get_search_results
    search_help_text = "Search by a whole UID"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ImageInformation], search_term: str
    ) -> tuple[QuerySet[ImageInformation], bool]:
        named = _instances_named(search_term.strip())
        if named:
            queryset = queryset.filter(dicom_instance__in=DICOMInstance.objects.filter(named))
        return queryset, False

    @admin.display(description="image", ordering="instance_number")
    def image(self, image: ImageInformation) -> str:
        return row_name(image)

    @admin.display(description="SOP instance UID")
    def instance_uid(self, image: ImageInformation) -> str:
        return image.dicom_instance.sop_instance_uid

    @admin.display(description="instance")
    def instance_link(self, image: ImageInformation) -> SafeString:
        return _row_link(image.dicom_instance)

    @admin.display(description="pixel spacing (rows, columns in mm)")
    def spacing(self, image: ImageInformation) -> str:
        return _numbers(image.pixel_spacing, ", ")

    @admin.display(description="position (x, y, z in mm)")
    def position(self, image: ImageInformation) -> str:
        return _numbers(image.image_position_patient, ", ")

    @admin.display(description="orientation (direction cosines)")
    def orientation(self, image: ImageInformation) -> str:
        return _numbers(image.image_orientation_patient, ", ")


@admin.register(RTStructureSetInformation)
class RTStructureSetInformationAdmin(CatalogueAdmin):
    list_display = (
        "structure_set_label", "structure_set_name", "structure_set_date", "approval_status",
        "number_of_roi",
    )  # fmt: skip
    list_filter = (("approval_status", ValuesFilter), "structure_set_date")
    list_select_related = ("dicom_instance",)
    search_fields = (
        "structure_set_label", "structure_set_name", "dicom_instance__sop_instance_uid__exact",
    )  # fmt: skip
    search_help_text = "Search by label, name or whole UID"
    fields = (
        "instance_link", "structure_set_label", "structure_set_name", "structure_set_date",
        "approval_status", "rois", "frames_of_reference", "referenced_series",
        "referenced_sop_count",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[RTStructureSetInformation]:
        return _with_count(super().get_queryset(request), RTStructureROI, "rt_structure_set")

    @admin.display(description="instance")
    def instance_link(self, structure_set: RTStructureSetInformation) -> SafeString:
        return _row_link(structure_set.dicom_instance)

    @admin.display(description="frames of reference (UIDs)")
    def frames_of_reference(self, structure_set: RTStructureSetInformation) -> str:
        return ", ".join(structure_set.referenced_frame_of_reference_uid) or "-"

    @admin.display(description="referenced series (UIDs)")
    def referenced_series(self, structure_set: RTStructureSetInformation) -> str:
        return ", ".join(structure_set.referenced_series_instance_uid) or "-"

    @admin.display(description="ROIs")
    def rois(self, structure_set: RTStructureSetInformation) -> SafeString:
        return _children_link(RTStructureROI, "rt_structure_set", structure_set)


@admin.register(RTStructureROI)
class RTStructureROIAdmin(CatalogueAdmin):
    list_display = (
        "roi_name", "roi_number", "colour", "rt_roi_interpreted_type",
        "roi_generation_algorithm", "contour_count", "structure_set",
    )  # fmt: skip
    list_filter = (
        ("rt_roi_interpreted_type", ValuesFilter),
        ("roi_generation_algorithm", ValuesFilter),
    )
    list_select_related = ("rt_structure_set",)
    search_fields = ("roi_name",)
    search_help_text = "Search by ROI name"
    # Never the contours: one structure set's may be many megabytes.
    fields = (
        "structure_set", "roi_number", "roi_name", "rt_roi_interpreted_type",
        "roi_generation_algorithm", "colour", "contour_count",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="structure set")
    def structure_set(self, roi: RTStructureROI) -> SafeString:
        return _row_link(roi.rt_structure_set)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RTStructureROI]:
        return super().get_queryset(request).defer("roi_contour_data")

    @admin.display(description="colour")
    def colour(self, roi: RTStructureROI) -> str | SafeString:
        if not roi.roi_display_color:
            return "-"
        rgb = ", ".join(str(int(part)) for part in roi.roi_display_color)
        return format_html(
            '<svg class="swatch" width="16" height="16" aria-hidden="true">'
            '<rect width="16" height="16" rx="3" fill="rgb({0})"/></svg> {0}',
            rgb,
        )


@admin.register(CatalogueCheck)
class CatalogueCheckAdmin(CatalogueAdmin):
    list_display = ("started_at", "ended_at", "instance_count", "violation_count")
    list_filter = ("started_at",)
    fields = ("started_at", "ended_at", "instance_count", "violation_count", "found")
    readonly_fields = fields

    @admin.display(description="what was found")
    def found(self, check: CatalogueCheck) -> SafeString | str:
        if not check.violations:
            return "Nothing is wrong." if check.ended_at else "The check has not ended."
        return format_html_join("", "<div>{}</div>", ((line,) for line in check.violations))


@admin.register(ArchiveMember)
class ArchiveMemberAdmin(CatalogueAdmin):
    list_display = ("name_in_zip", "upload", "size_in_words", "outcome", "detail", "object")
    list_filter = ("outcome",)
    list_select_related = ("upload", "instance")
    search_fields = ("name", "upload__original_name", "sha256__exact")
    search_help_text = "Search by the file's name, the ZIP's name or a whole SHA-256"
    fields = (
        "upload", "place", "name_in_zip", "size_in_words", "sha256", "outcome", "detail", "object",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[ArchiveMember]:
        return super().get_queryset(request).defer("upload__processing_log_data")

    @admin.display(description="place in the ZIP")
    def place(self, member: ArchiveMember) -> str:
        inside = f", number {member.inner} inside that" if member.inner else ""
        return f"number {member.index + 1:,}{inside}"

    @admin.display(description="catalogued as")
    def object(self, member: ArchiveMember) -> SafeString | str:
        return _row_link(member.instance) if member.instance else "-"

    @admin.display(description="file in the ZIP", ordering="name")
    def name_in_zip(self, member: ArchiveMember) -> SafeString:
        return format_html("<bdi>{}</bdi>", member.name or "(no name)")

    @admin.display(description="size", ordering="size")
    def size_in_words(self, member: ArchiveMember) -> str:
        return human_size(member.size)


# Users and groups: Django's pages, with boxes to tick in place of two lists to move names
# between, which neither a keyboard nor a screen reader gets on with.

TICKED: "dict[type[Field[Any, Any]], dict[str, Any]]" = {
    ManyToManyField: {"widget": CheckboxSelectMultiple}
}

admin.site.unregister((User, Group))


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    filter_horizontal = ()
    formfield_overrides = TICKED
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    filter_horizontal = ()
    formfield_overrides = TICKED


def _patient_name(patient: Patient) -> SafeString:
    name = person_name(patient.patient_name) or patient.unique_patient_id or "(no name)"
    return format_html("<bdi>{}</bdi>", name)


def _row_link(row: Model) -> SafeString:
    url = reverse(f"admin:app_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}"><bdi>{}</bdi></a>', url, row_name(row))


def _numbers(values: list[float] | None, between: str) -> str:
    return between.join(f"{value:g}" for value in values) if values else "-"


def _why_flagged(row: Model, flag: str) -> str:
    """Words in place of Django's icons, whose red cross would stand for what is well."""
    field = cast("Field[bool, bool]", row._meta.get_field(flag))
    return str(field.help_text) if getattr(row, flag) else "-"


def _with_count(parents: QuerySet[Row], child: type[Model], key: str) -> QuerySet[Row]:
    """The rows with `children`, how many rows of `child` point at each.

    A subquery and no join: it is worked out for the rows on the page only.
    """
    groups = child._default_manager.filter(**{key: OuterRef("pk")}).order_by().values(key)
    number = Subquery(groups.annotate(n=Count("*")).values("n"), output_field=IntegerField())
    return cast(QuerySet[Row], parents.annotate(children=Coalesce(number, 0)))


def _children_link(child: type[Model], key: str, parent: Any) -> SafeString:
    url = reverse(f"admin:app_{child._meta.model_name}_changelist")
    return format_html(
        '<a href="{}?{}__id__exact={}">{}</a>', url, key, parent.pk, f"{parent.children:,}"
    )
