"""The app's pages, under /dicom/."""

from django.urls import path

from . import views
from .catalogue import (
    collecting,
    finding,
    incomplete,
    lists,
    pages,
    persons,
    protection,
    trash_pages,
)
from .catalogue.views import answer_identity_view
from .export import tables
from .export import views as export
from .health import pages as health
from .rt import views as rt
from .telling import asking
from .telling import pages as telling
from .viewing import doses
from .viewing import views as viewing
from .viewing.beside import beside
from .viewing.contours import contours
from .viewing.key_objects import key_objects
from .viewing.over import over
from .viewing.pictures import pictures
from .viewing.planes import planes
from .viewing.segments import segments
from .viewing.thumbnails import thumbnail

urlpatterns = [
    path("process/<int:pk>/", views.process_dicom_file_view, name="process_dicom_file"),
    path("cancel/<int:pk>/", views.cancel_dicom_file_view, name="cancel_dicom_file"),
    path("seen/<int:pk>/", views.see_dicom_file_view, name="see_dicom_file"),
    path("tell-of/<int:pk>/", asking.tell_of, name="tell_of"),
    path("tell-me/", telling.tell_me, name="tell_me"),
    path("tell-me/secret/", telling.tell_me_secret, name="tell_me_secret"),
    path("progress/", views.dicom_processing_progress, name="dicom_processing_progress"),
    path("known/", views.known_uploads, name="known_uploads"),
    path("status/", views.task_status, name="task_status"),
    path("result/<int:pk>/", views.upload_result, name="upload_result"),
    path("result/<int:pk>/files.csv", views.ledger_csv, name="ledger_csv"),
    path("identity/<int:pk>/", answer_identity_view, name="answer_identity"),
    path("use-versions/<int:pk>/", views.use_versions_view, name="use_versions"),
    path("health/", health.catalogue_health, name="catalogue_health"),
    path("health/check/", health.check_catalogue, name="check_catalogue"),
    path("health/stop/", health.stop_check, name="stop_check"),
    path("health/status/", health.check_status, name="check_status"),
    # The catalogue
    path("search/", finding.search, name="search"),
    path("studies/", lists.study_list, name="study_list"),
    path("studies/list.csv", lists.study_csv, name="study_csv"),
    path("studies/<int:pk>/", pages.study, name="study"),
    path("studies/<int:pk>/protect/", protection.protect_study, name="protect_study"),
    path("patients/", lists.patient_list, name="patient_list"),
    path("patients/list.csv", lists.patient_csv, name="patient_csv"),
    path("patients/<int:pk>/", pages.patient, name="patient"),
    path("series/incomplete/", incomplete.incomplete_list, name="incomplete_list"),
    path("series/incomplete/list.csv", tables.incomplete_csv, name="incomplete_csv"),
    path("series/<int:pk>/", pages.series, name="series"),
    path("series/<int:pk>/pictures/", pictures, name="series_pictures"),
    path("series/<int:pk>/key-objects/", key_objects, name="key_objects"),
    path("series/<int:pk>/planes/", planes, name="series_planes"),
    path("series/<int:pk>/over/", over, name="series_over"),
    path("series/<int:pk>/contours/<int:object>/", contours, name="series_contours"),
    path("series/<int:pk>/beside/<int:other>/", beside, name="beside"),
    path("series/<int:pk>/thumbnail/", thumbnail, name="thumbnail"),
    path("series/<int:pk>/segments/<int:object>/", segments, name="series_segments"),
    path("doses/<int:pk>/", doses.dose, name="dose"),
    path("objects/<int:pk>/frames/", doses.frames, name="frames"),
    path("patients/<int:pk>/same-person/", persons.same_person, name="same_person"),
    path("patients/<int:pk>/same-person/undo/", persons.undo_same_person, name="undo_same_person"),
    path("collections/", collecting.collection_list, name="collection_list"),
    path("collections/add/", collecting.collect, name="collect"),
    path("collections/list.csv", collecting.collections_csv, name="collections_csv"),
    path("collections/<int:pk>/", collecting.collection, name="collection"),
    path("collections/<int:pk>/take-out/", collecting.take_out, name="take_out"),
    path("collections/<int:pk>/delete/", collecting.delete_collection, name="delete_collection"),
    path("collections/<int:pk>/list.csv", collecting.collection_csv, name="collection_csv"),
    path("trash/", trash_pages.trash_list, name="trash_list"),
    path("trash/empty/", trash_pages.empty_trash, name="empty_trash"),
    path("trash/list.csv", trash_pages.trash_csv, name="trash_csv"),
    path("trash/<int:pk>/", trash_pages.deletion, name="deletion"),
    path("trash/<int:pk>/restore/", trash_pages.restore, name="restore_deletion"),
    path("trash/<int:pk>/erase/", trash_pages.erase, name="erase_deletion"),
    path("objects/<int:pk>/header/", viewing.header, name="header"),
    path("objects/<int:pk>/document/", viewing.document, name="document"),
    path("objects/<int:pk>/document.pdf", viewing.pdf, name="pdf"),
    # Downloads
    path("series/<int:pk>/download/", export.download, {"kind": "series"}, name="download_series"),
    path("studies/<int:pk>/download/", export.download, {"kind": "study"}, name="download_study"),
    path(
        "patients/<int:pk>/download/",
        export.download,
        {"kind": "patient"},
        name="download_patient",
    ),
    path(
        "collections/<int:pk>/download/",
        export.download,
        {"kind": "collection"},
        name="download_collection",
    ),
    path("objects/<int:pk>/download/", export.download_object, name="download_object"),
    path("download/", export.download_selection, name="download_selection"),
    path("studies/<int:pk>/series.csv", tables.series_csv, name="series_csv"),
    path("series/list.csv", tables.chosen_series_csv, name="chosen_series_csv"),
    path("series/<int:pk>/objects.csv", tables.objects_csv, name="objects_csv"),
    # Radiotherapy
    path("structures/", rt.structure_list, name="structure_list"),
    path("structures/structures.csv", rt.structure_csv, name="structure_csv"),
    path("structures/<int:pk>/", rt.structure, name="structure"),
    path("structure-sets/<int:pk>/", rt.structure_set, name="structure_set"),
    path("structure-sets/<int:pk>/structures.csv", rt.structure_set_csv, name="structure_set_csv"),
]
