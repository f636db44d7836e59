"""The catalogue's tables in the admin: to look at, and to delete from."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Field, Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from msgspec.json import decode

from app.dicom.records import FramePlanes
from app.errors import Protected, StorageFailed
from app.models import (
    BroughtQuerySet,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.reasons import sentence
from app.wording import counted, human_size

from . import deleting, removal, trash, trash_pages
from .cells import (
    BELOW_PATIENT,
    IMAGE,
    OBJECT,
    PATIENT,
    SERIES,
    SERIES_ABOVE,
    SET_UIDS,
    STRUCTURE,
    STRUCTURE_SET,
    STUDY,
    STUDY_ALONE,
    Cells,
    of,
)
from .comparison import comparison_of
from .exporting import ExportedList
from .lookups import OfferedLookups
from .names import person_name, plain, row_name
from .protection import protections_of, words_of
from .searches import KeysPaginator, PostedSearch, WordsChangeList, is_kept, keys_of

CHOSEN_AT_ONCE = 500  # rows in a form that asks; Django takes 1,000 fields
NAMED = 10  # of them, in words

Row = TypeVar("Row", bound=Model)


def _lineage(path: str) -> Cells:
    """What a spreadsheet says of a series, and of all above it."""
    return {
        **of(f"{path}.dicom_study.patient", PATIENT),
        **of(f"{path}.dicom_study", STUDY),
        **of(path, SERIES_ABOVE),
    }


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


class TermsFilter(ValuesFilter):
    """The standard's terms, instead of a look through all rows."""

    def __init__(self, field: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, *args, **kwargs)
        self.lookup_choices = ["", *TERMS[field.name]]  # type: ignore[assignment]


# PS3.3 C.7.3.1.1.2, C.8.8.8 and C.8.8.5, in the order of the standard.
TERMS = {
    "patient_position": (
        "HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS",
        "LFP", "LFS", "RFP", "RFS", "AFDR", "AFDL", "PFDR", "PFDL",
    ),
    "rt_roi_interpreted_type": (
        "EXTERNAL", "PTV", "CTV", "GTV", "TREATED_VOLUME", "IRRAD_VOLUME", "BOLUS",
        "AVOIDANCE", "ORGAN", "MARKER", "REGISTRATION", "ISOCENTER", "CONTRAST_AGENT", "CAVITY",
        "BRACHY_CHANNEL", "BRACHY_ACCESSORY", "BRACHY_SRC_APP", "BRACHY_CHNL_SHLD", "SUPPORT",
        "FIXATION", "DOSE_REGION", "CONTROL", "DOSE_MEASUREMENT",
    ),
    "roi_generation_algorithm": ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"),
}  # fmt: skip
SHA256 = re.compile("[0-9a-f]{64}", re.IGNORECASE)


TO_PATIENT = "dicom_series__dicom_study__patient"  # from an instance
FILED: tuple[type[Model], ...] = (Patient, DICOMStudy, DICOMSeries, DICOMInstance)


class SortedList(WordsChangeList):
    """A list that sorts by nothing but what its headings offer, whatever the address asks for."""

    def get_ordering_field(self, field_name: Any) -> Any:
        is_offered = field_name in (self.sortable_by or ())
        return super().get_ordering_field(field_name) if is_offered else None


class CatalogueAdmin(ExportedList, PostedSearch, OfferedLookups, admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that only imports write: to look at, not to type in."""

    # Tables whose rows its own rows name or hang under: who may not see them sees none of these.
    above: tuple[type[Model], ...] = ()
    below_patient = ""  # the lookup from a patient to rows of this table
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SortedList

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> "Paginator[Any]":
        is_found = is_kept(request, request.GET.get(SEARCH_VAR, ""))
        keys = keys_of(queryset) if is_found else queryset.values_list("pk", flat=True)
        above = self.list_select_related
        rows = self.get_queryset(request)
        return KeysPaginator(
            keys, per_page, rows.select_related(*above) if isinstance(above, tuple) else rows
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        context = {"title": title, "from_uploads": True, **(extra_context or {})}
        response = super().changelist_view(request, context)
        # What hangs under one row is about one patient, whom its first row tells.
        if isinstance(response, TemplateResponse) and self.linked and self.linked[0] in request.GET:
            shown = response.context_data or {}
            rows = shown["cl"].result_list if "cl" in shown else []
            shown["patient"] = self.patient_of(rows[0]) if rows else None
        return response

    def patient_of(self, row: Model | None) -> Patient | None:
        """Whom a row is about, for the banner."""
        if row is None or not self.below_patient:
            return None
        return Patient.objects.filter(**{self.below_patient: row.pk}).first()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {
            "title": capfirst(self.opts.verbose_name),
            "subtitle": row_name(context["original"]),
            "patient": self.patient_of(context["original"]),
            "delete_in_menu": True,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404  # nobody types in these tables, so Django's history of them is empty

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may_see = super().has_view_permission(request, obj)
        return may_see and request.user.has_perms(_permissions("view", self.above))


class AsksBeforeDeleting:
    """For a ModelAdmin, in front of it: its rows are deleted after it was asked why."""

    def delete_view(
        self: Any, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and "post" not in request.POST:
            if not self.has_delete_permission(request):
                raise PermissionDenied
            raise BadRequest  # not from the page that asks, so that nothing was asked
        # Not in one transaction, as Django's own: rows are committed before files go.
        response: HttpResponse = self._delete_view(request, object_id, extra_context)
        return response

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """None: the audit trail has what was deleted, and why."""
        return []


class FiledAdmin(AsksBeforeDeleting, CatalogueAdmin):
    """A table whose rows can be deleted, with all that is below them and the files."""

    actions = ("delete_selected_rows",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who may delete of every kind: all that is below goes, and parents left empty."""
        may_delete = request.user.has_perms(_permissions("delete", FILED))
        return may_delete and self.has_view_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # ours says what goes, and deletes files too
        return actions

    @admin.action(description="Delete selected rows, with their files", permissions=["delete"])
    def delete_selected_rows(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        if too_many(request, queryset) or not queryset.exists():
            return None
        title = f"Delete {self.opts.verbose_name_plural}"
        try:
            return ask_before_deleting(
                self, request, queryset, title, lambda: asked(request, queryset)
            )
        except Protected as reason:  # since it was asked
            messages.error(request, reason.sentence)
            return None

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except Protected as reason:  # since it was asked
            messages.error(request, reason.sentence)
            return redirect(request.path)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        context["patient"] = self.patient_of(context["object"])
        context |= {**asked(request, [context["object"]]), "title": "Delete", "protected": []}
        return super().render_delete_form(request, context)

    def message_user(
        self, request: HttpRequest, message: Any, level: int | str = messages.INFO, *args: Any
    ) -> None:
        """Of what was deleted nothing of Django's own: `_delete` has said what became of it."""
        if level != messages.SUCCESS:
            super().message_user(request, message, level, *args)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """To the list, which Django's own shows only to who may change rows."""
        return self.response_post_save_add(request, self.model())

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._delete(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        if rows := list(queryset.order_by("pk")):
            self._delete(request, rows)

    def _delete(self, request: HttpRequest, rows: list[Model]) -> None:
        name = row_name(rows[0])
        try:
            done = removal.delete(rows, request.user, deleting.reason_of(request))
        except StorageFailed:
            messages.error(request, sentence("delete_stopped"))
            return
        messages.success(request, trash_pages.deleted_words(request, len(rows), name, done))

    def get_deleted_objects(
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, Any], set[str], list[str]]:
        """What will go, in numbers: a patient may have 10,000 instances.

        What stands against it, last: that it was not said why, or the number not typed.
        """
        rows = list(objs)
        counts = removal.below(rows) if rows else {"bytes": 0}
        size = human_size(counts.pop("bytes"))
        summary = {kind: f"{count:,}" for kind, count in counts.items()}
        names = first_few([row_name(row) for row in rows])
        objects = counts.get("instances", 0)
        return (
            *(names, {**summary, "size of their files": size}, set()),
            [*map(words_of, protections_of(rows)[:NAMED])]
            or objections(deleting.DeletingForm(objects, request)),
        )


def objections(form: deleting.DeletingForm) -> list[str]:
    """Why what was asked for is not done yet; nothing where nothing was sent."""
    return [str(error) for errors in form.errors.values() for error in errors]


@admin.register(Patient)
class PatientAdmin(FiledAdmin):
    list_display = (
        "name", "unique_patient_id", "patient_sex", "patient_dob", "two_people",
        "number_of_studies",
    )  # fmt: skip
    list_filter = (
        "identity_differs",
        "identity_answer",
        ("patient_sex", ValuesFilter),
        "created_at",
    )
    search_paths = ("search_text",)
    search_help_text = "Search by patient ID, name or birth date"
    fields = (
        "name", "unique_patient_id", "issuer_of_patient_id", "patient_dob", "patient_sex",
        "two_people", "folder", "number_of_studies", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **PATIENT,
        "issuer of patient ID": lambda patient: patient.issuer_of_patient_id,
        "two people?": lambda patient: two_people_words(patient),
        **BELOW_PATIENT,
    }

    @admin.display(description="name", ordering="patient_name")
    def name(self, patient: Patient) -> SafeString:
        return format_html("<bdi>{}</bdi>", person_name(patient.patient_name) or "(no name)")

    @admin.display(description="two people?", ordering="identity_differs")
    def two_people(self, patient: Patient) -> str:
        return two_people_words(patient) or "-"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        patient = context["original"]
        if patient.identity_differs or patient.identity_answer:
            context["comparison"] = comparison_of(patient)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="studies", ordering="study_count")
    def number_of_studies(self, patient: Patient) -> SafeString:
        return _children_link(DICOMStudy, "patient", patient, patient.study_count)


@admin.register(DICOMStudy)
class DICOMStudyAdmin(FiledAdmin):
    above = FILED[:1]
    below_patient = "studies"
    linked = ("patient__id__exact",)
    list_display = (
        "patient_link", "description", "study_date", "accession_number", "shared",
        "number_of_series",
    )  # fmt: skip
    list_display_links = ("description",)
    list_filter = ("uid_shared", "study_date", "created_at")
    list_select_related = ("patient",)
    search_paths = ("search_text", "patient__search_text")
    exact_paths = ("study_instance_uid",)
    search_help_text = "Search by description, date, accession number, patient or whole UID"
    fields = (
        "patient_link", "study_instance_uid", "study_date", "study_time", "study_description",
        "accession_number", "study_id", "shared", "number_of_series", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **of("patient", PATIENT),
        **STUDY_ALONE,
        "under two patients": lambda study: _flag_words(study, "uid_shared"),
    }

    @admin.display(description="patient", ordering="patient__patient_name")
    def patient_link(self, study: DICOMStudy) -> SafeString:
        return row_link(study.patient)

    @admin.display(description="study", ordering="study_description")
    def description(self, study: DICOMStudy) -> SafeString:
        return format_html("<bdi>{}</bdi>", plain(study.study_description) or "(no description)")

    @admin.display(description="under two patients", ordering="uid_shared")
    def shared(self, study: DICOMStudy) -> str:
        return _why_flagged(study, "uid_shared")

    @admin.display(description="series", ordering="series_count")
    def number_of_series(self, study: DICOMStudy) -> SafeString:
        return _children_link(DICOMSeries, "dicom_study", study, study.series_count)


@admin.register(DICOMSeries)
class DICOMSeriesAdmin(FiledAdmin):
    above = FILED[:2]
    below_patient = "studies__series"
    linked = ("dicom_study__id__exact",)
    list_display = (
        "patient_link", "description", "modality", "series_number", "series_date",
        "number_of_instances",
    )  # fmt: skip
    list_display_links = ("description",)
    # Not by modalities, which are narrowed to.
    sortable_by = ("series_number", "description", "series_date", "number_of_instances")
    list_filter = (("modality", ValuesFilter), "series_date", "created_at")
    list_select_related = ("dicom_study__patient",)
    search_paths = ("search_text", "dicom_study__patient__search_text")
    exact_paths = ("series_instance_uid", "dicom_study__study_instance_uid")
    search_help_text = "Search by description, body part, date, patient or whole UID"
    fields = (
        "study_link", "series_instance_uid", "modality", "series_number", "series_description",
        "series_date", "body_part_examined", "frame_of_reference_uid", "institution_name",
        "manufacturer", "manufacturer_model_name", "station_name", "units",
        "number_of_instances", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {**of("dicom_study.patient", PATIENT), **of("dicom_study", STUDY), **SERIES}

    @admin.display(description="patient")
    def patient_link(self, series: DICOMSeries) -> SafeString:
        return row_link(series.dicom_study.patient)

    @admin.display(description="series", ordering="series_description")
    def description(self, series: DICOMSeries) -> SafeString:
        return format_html("<bdi>{}</bdi>", plain(series.series_description) or "(no description)")

    @admin.display(description="study")
    def study_link(self, series: DICOMSeries) -> SafeString:
        return row_link(series.dicom_study)

    @admin.display(description="instances", ordering="instance_count")
    def number_of_instances(self, series: DICOMSeries) -> SafeString:
        return _children_link(DICOMInstance, "dicom_series", series, series.instance_count)


def _instances_named(term: str) -> Q:
    """By a whole UID, which an index finds, or by a SHA-256."""
    if not term:
        return Q()
    if SHA256.fullmatch(term):
        # Looked for here, and once: it has no index, and a list asks for its number, too.
        bytes_alike = DICOMInstance.objects.filter(sha256=term.lower())
        return Q(pk__in=[*bytes_alike.values_list("pk", flat=True)])
    series = [*DICOMSeries.objects.filter(series_instance_uid=term).values_list("pk", flat=True)]
    return Q(sop_instance_uid=term) | Q(dicom_series__in=series)


@admin.register(DICOMInstance)
class DICOMInstanceAdmin(FiledAdmin):
    above = FILED[:3]
    below_patient = "studies__series__instances"
    linked = ("dicom_series__id__exact",)
    list_display = (
        "sop_instance_uid", "patient_link", "modality", "instance_number", "rows", "columns",
        "number_of_frames", "size_in_words", "from_upload",
    )  # fmt: skip
    sortable_by = ("sop_instance_uid",)  # which has an index; the others would sort a million rows
    list_filter = (("modality", InstanceModalityFilter), "created_at")
    exact_paths = ("sop_instance_uid",)  # see get_search_results
    search_help_text = "Search by a whole UID or SHA-256"
    fields = (
        "series_link", "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "modality",
        "instance_number", "rows", "columns", "number_of_frames", "size_in_words", "sha256",
        "path", "from_upload", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **_lineage("dicom_series"),
        **OBJECT,
        "path": lambda instance: instance.path,
        "upload": lambda instance: row_name(instance.upload) if instance.upload else "",
    }
    csv_related = ("image_information",)
    csv_without = ("image_information__frame_planes", "superseded")

    @admin.display(description="patient")
    def patient_link(self, instance: DICOMInstance) -> SafeString:
        return row_link(instance.dicom_series.dicom_study.patient)

    @admin.display(description="series")
    def series_link(self, instance: DICOMInstance) -> SafeString:
        return row_link(instance.dicom_series)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DICOMInstance]:
        instances = cast(BroughtQuerySet, super().get_queryset(request)).with_upload()
        return instances.select_related("dicom_series__dicom_study__patient")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DICOMInstance], search_term: str
    ) -> tuple[QuerySet[DICOMInstance], bool]:
        return queryset.filter(_instances_named(search_term.strip())), False

    @admin.display(description="upload", ordering="upload")
    def from_upload(self, instance: DICOMInstance) -> SafeString | str:
        return row_link(instance.upload) if instance.upload else "-"

    @admin.display(description="size", ordering="size")
    def size_in_words(self, instance: DICOMInstance) -> str:
        return human_size(instance.size)


@admin.register(ImageInformation)
class ImageInformationAdmin(CatalogueAdmin):
    above = FILED
    below_patient = "studies__series__instances__image_information"
    list_display = (
        "image", "patient_link", "slice_location", "slice_thickness", "spacing", "patient_position",
        "instance_uid",
    )  # fmt: skip
    fields = (
        "instance_link", "instance_number", "slice_location", "slice_thickness", "spacing",
        "patient_position", "position", "orientation", "image_type", "acquisition_number",
        "acquisition_date", "acquisition_time", "echo_time", "trigger_time",
        "temporal_position_identifier", "diffusion_b_value", "stack_id", "spacing_between_slices",
        "rescale_type", "frames",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **_lineage("dicom_instance.dicom_series"),
        "instance number": lambda image: image.instance_number,
        **IMAGE,
        "stack ID": lambda image: image.stack_id,
        "rescale type": lambda image: image.rescale_type,
        "SOP instance UID": lambda image: image.dicom_instance.sop_instance_uid,
    }
    sortable_by = ()  # as in the list above, and no column has an index
    list_filter = (("patient_position", TermsFilter),)
    list_select_related = (f"dicom_instance__{TO_PATIENT}",)
    exact_paths = ("dicom_instance__sop_instance_uid",)  # see get_search_results
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

    @admin.display(description="patient")
    def patient_link(self, image: ImageInformation) -> SafeString:
        return row_link(image.dicom_instance.dicom_series.dicom_study.patient)

    @admin.display(description="SOP instance UID")
    def instance_uid(self, image: ImageInformation) -> str:
        return image.dicom_instance.sop_instance_uid

    @admin.display(description="instance")
    def instance_link(self, image: ImageInformation) -> SafeString:
        return row_link(image.dicom_instance)

    @admin.display(description="pixel spacing (rows, columns in mm)")
    def spacing(self, image: ImageInformation) -> str:
        return _numbers(image.pixel_spacing, ", ")

    @admin.display(description="position (x, y, z in mm)")
    def position(self, image: ImageInformation) -> str:
        return _numbers(image.image_position_patient, ", ")

    @admin.display(description="orientation (direction cosines)")
    def orientation(self, image: ImageInformation) -> str:
        return _numbers(image.image_orientation_patient, ", ")

    @admin.display(description="planes of frames")
    def frames(self, image: ImageInformation) -> str:
        if not image.frame_planes:
            return "-"
        planes = decode(image.frame_planes, type=FramePlanes)
        known = [planes.image_position_patient, planes.image_orientation_patient, planes.stack_id]
        positions, orientations, stacks = (len(one.values) if one else 0 for one in known)
        return ", ".join(
            (
                counted(planes.count, "frame"),
                counted(positions, "position"),
                counted(orientations, "orientation"),
                counted(stacks, "stack"),
            )
        )


@admin.register(RTStructureSetInformation)
class RTStructureSetInformationAdmin(CatalogueAdmin):
    above = FILED
    below_patient = "studies__series__instances__rt_structure_set"
    list_display = (
        "structure_set_label", "patient_link", "structure_set_name", "structure_set_date",
        "approval_status", "number_of_roi",
    )  # fmt: skip
    list_filter = (("approval_status", ValuesFilter), "structure_set_date")
    list_select_related = (f"dicom_instance__{TO_PATIENT}",)
    search_paths = ("search_text", f"dicom_instance__{TO_PATIENT}__search_text")
    exact_paths = ("dicom_instance__sop_instance_uid",)
    search_help_text = "Search by label, name, date, patient or whole UID"
    fields = (
        "instance_link", "structure_set_label", "structure_set_name", "structure_set_date",
        "approval_status", "rois", "frames_of_reference", "referenced_series",
        "referenced_sop_count",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **of("dicom_instance.dicom_series.dicom_study.patient", PATIENT),
        **of("dicom_instance.dicom_series.dicom_study", STUDY),
        **STRUCTURE_SET,
        "structures": lambda structure_set: structure_set.number_of_roi,
        "objects named": lambda structure_set: structure_set.referenced_sop_count,
        **SET_UIDS,
        "series instance UIDs that it names": lambda structure_set: ", ".join(
            structure_set.referenced_series_instance_uid
        ),
        "frame of reference UIDs": lambda structure_set: ", ".join(
            structure_set.referenced_frame_of_reference_uid
        ),
    }

    @admin.display(description="patient")
    def patient_link(self, structure_set: RTStructureSetInformation) -> SafeString:
        return row_link(structure_set.dicom_instance.dicom_series.dicom_study.patient)

    @admin.display(description="instance")
    def instance_link(self, structure_set: RTStructureSetInformation) -> SafeString:
        return row_link(structure_set.dicom_instance)

    @admin.display(description="frames of reference (UIDs)")
    def frames_of_reference(self, structure_set: RTStructureSetInformation) -> str:
        return ", ".join(structure_set.referenced_frame_of_reference_uid) or "-"

    @admin.display(description="referenced series (UIDs)")
    def referenced_series(self, structure_set: RTStructureSetInformation) -> str:
        return ", ".join(structure_set.referenced_series_instance_uid) or "-"

    @admin.display(description="structures")
    def rois(self, structure_set: RTStructureSetInformation) -> SafeString:
        return _children_link(
            RTStructureROI, "rt_structure_set", structure_set, structure_set.number_of_roi
        )


@admin.register(RTStructureROI)
class RTStructureROIAdmin(CatalogueAdmin):
    above = (*FILED, RTStructureSetInformation)
    below_patient = "studies__series__instances__rt_structure_set__rois"
    linked = ("rt_structure_set__id__exact",)
    list_display = (
        "roi_name", "patient_link", "roi_number", "colour", "rt_roi_interpreted_type",
        "roi_generation_algorithm", "contour_count", "structure_set",
    )  # fmt: skip
    list_filter = (
        ("rt_roi_interpreted_type", TermsFilter),
        ("roi_generation_algorithm", TermsFilter),
    )
    list_select_related = (f"rt_structure_set__dicom_instance__{TO_PATIENT}",)
    sortable_by = ("roi_name", "roi_number")  # by the others one narrows
    search_paths = ("search_text", f"rt_structure_set__dicom_instance__{TO_PATIENT}__search_text")
    search_help_text = "Search by ROI name or patient"
    # Never the contours: one structure set's may be many megabytes.
    fields = (
        "structure_set", "roi_number", "roi_name", "rt_roi_interpreted_type",
        "roi_generation_algorithm", "colour", "contour_count",
    )  # fmt: skip
    readonly_fields = fields
    csv_cells = {
        **of("rt_structure_set.dicom_instance.dicom_series.dicom_study.patient", PATIENT),
        **of("rt_structure_set.dicom_instance.dicom_series.dicom_study", STUDY),
        **STRUCTURE,
        "slices": lambda roi: roi.slice_count,
        "colour (red, green, blue)": lambda roi: roi.rgb,
        **of("rt_structure_set", STRUCTURE_SET),
        **of("rt_structure_set", SET_UIDS),
    }

    @admin.display(description="patient")
    def patient_link(self, roi: RTStructureROI) -> SafeString:
        return row_link(roi.rt_structure_set.dicom_instance.dicom_series.dicom_study.patient)

    @admin.display(description="structure set")
    def structure_set(self, roi: RTStructureROI) -> SafeString:
        return row_link(roi.rt_structure_set)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RTStructureROI]:
        return super().get_queryset(request).defer("roi_contour_data", "search_text")

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


def _permissions(action: str, models: Iterable[type[Model]]) -> list[str]:
    return [
        f"{model._meta.app_label}.{get_permission_codename(action, model._meta)}"
        for model in models
    ]


def identity_flag(patient: Patient) -> SafeString:
    """Beside a patient's name in a table; "" where nothing is asked."""
    flags = []
    if patient.is_two_people:
        flags.append(("two", "two people"))
    if patient.identity_differs:
        flags.append(("open", "two people?"))
    return format_html_join("", ' <span class="identity-flag identity-{}">{}</span>', flags)


def row_link(row: Model) -> SafeString:
    url = reverse(f"admin:app_{row._meta.model_name}_change", args=[row.pk])
    flag = identity_flag(row) if isinstance(row, Patient) else ""
    return format_html('<a href="{}"><bdi>{}</bdi></a>{}', url, row_name(row), flag)


def local_time(moment: datetime | None) -> str:
    """In the reader's zone: see `app.middleware`."""
    return render_to_string("shared/_time.html", {"time": moment}) if moment else "-"


def _numbers(values: list[float] | None, between: str) -> str:
    return between.join(f"{value:g}" for value in values) if values else "-"


def _why_flagged(row: Model, flag: str) -> str:
    """Words in place of Django's icons, whose red cross would stand for what is well."""
    return _flag_words(row, flag) or "-"


def _flag_words(row: Model, flag: str) -> str:
    field = cast("Field[bool, bool]", row._meta.get_field(flag))
    return str(field.help_text) if getattr(row, flag) else ""


def two_people_words(patient: Patient) -> str:
    """What is said and what is asked of whether a patient is two people."""
    said = sentence("answered_two_words") if patient.is_two_people else ""
    return " ".join(filter(None, (said, _flag_words(patient, "identity_differs"))))


def _children_link(child: type[Model], key: str, parent: Model, count: int) -> SafeString:
    """How many rows of `child` point at a row, as a link to their list.

    Its column must not be named as the relation is: Django would sort by the rows that point.
    """
    url = reverse(f"admin:app_{child._meta.model_name}_changelist")
    return format_html('<a href="{}?{}__id__exact={}">{}</a>', url, key, parent.pk, f"{count:,}")


def too_many(request: HttpRequest, rows: QuerySet[Any]) -> bool:
    """Whether to refuse a selection because the form that asks could not carry it."""
    if rows.count() <= CHOSEN_AT_ONCE:
        return False
    messages.warning(request, sentence("too_many_chosen", limit=CHOSEN_AT_ONCE))
    return True


def asked(request: HttpRequest, rows: Iterable[Model]) -> dict[str, Any]:
    """What the page that asks needs to know of rows of one table of the catalogue."""
    rows = list(rows)
    protections = protections_of(rows)
    if named := [(one.study, words_of(one)) for one in protections[:NAMED]]:
        return {"protections": named, "more": protections.count() - len(named)}
    kept = deleting.kept_of(rows)
    return {
        "kept": kept,
        "until": trash_pages.until_words(kept.total),
        "in_trash": trash.is_on(),
        "form": deleting.DeletingForm(kept.total, request),
    }


def ask_before_deleting(
    model_admin: Any,
    request: HttpRequest,
    rows: QuerySet[Any],
    title: str,
    context: Callable[[], dict[str, Any]],
) -> HttpResponseBase | None:
    """Django's action, which asks and then deletes, under a title that says what."""
    response = delete_selected(model_admin, request, rows)
    if isinstance(response, TemplateResponse):
        response.context_data = {**(response.context_data or {}), "title": title, **context()}
    return response


def first_few(names: list[str]) -> list[str]:
    rest = len(names) - NAMED
    return names if rest <= 0 else [*names[:NAMED], f"and {rest:,} more"]
