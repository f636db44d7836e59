"""Lists as CSV: what lies below a study or a series, the admin's, the trash's and others."""

import csv
import io
import re
from html import unescape

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_results.models import GroupResult, TaskResult

from app.accounts import roles
from app.catalogue import exporting, paging, removal
from app.health import nightly
from app.models import (
    ArchiveMember,
    AuditEntry,
    Collection,
    CollectionEntry,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Kind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
    SignInTries,
)
from tests.conftest import searched
from tests.making.objects import ct_image, rt_structure_set, uid


def rows_of(response) -> list[dict[str, str]]:
    text = b"".join(response).decode("utf-8-sig")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(text)))


def test_below_a_study_and_a_series_all_is_listed_in_words(
    staff_client, import_zip, django_assert_max_num_queries
):
    formula = {"SeriesDescription": "a;=1+1", "PatientName": "+cmd^Jane"}
    import_zip(
        ct_image(SOPInstanceUID=uid(2, 1, 2), InstanceNumber=2, **formula),
        ct_image(SOPInstanceUID=uid(2, 1, 1), InstanceNumber=1, SliceLocation="-3", **formula),
        rt_structure_set(["Heart"], PatientName="+cmd^Jane"),
    )
    first, second = rows_of(
        staff_client.get(reverse("series_csv", args=[DICOMStudy.objects.get().pk]))
    )
    assert (first["modality in words"], first["images"]) == ("Computed tomography", "2")
    assert first["series instance UID"] == uid(2, 1)
    assert first["series description"] == "a;'=1+1"
    assert (first["patient name"], first["sex"]) == ("'+cmd, Jane", "other")
    assert second["modality"] == "RTSTRUCT"
    pk = DICOMSeries.objects.get(modality="CT").pk
    # Session, who asks, series, objects, and what is written down: however many objects there are.
    with django_assert_max_num_queries(9):
        objects = rows_of(staff_client.get(reverse("objects_csv", args=[pk])))
    assert [one["instance number"] for one in objects] == ["1", "2"]
    assert objects[0]["slice location (mm)"] == "-3.0"
    assert objects[0]["what it is"] == "CT Image Storage"
    assert objects[0]["SOP instance UID"] == uid(2, 1, 1)
    assert objects[0]["SHA-256"]
    pk = DICOMSeries.objects.get(modality="RTSTRUCT").pk
    assert rows_of(staff_client.get(reverse("objects_csv", args=[pk])))[0]["x (mm)"] == ""


def test_chosen_rows_alone_are_listed(staff_client, import_zip):
    import_zip(*(ct_image(PatientID=f"P{n}", StudyInstanceUID=uid(1, n)) for n in range(3)))
    chosen = Patient.objects.order_by("pk")[:2]
    response = staff_client.post(reverse("patient_csv"), {"row": [one.pk for one in chosen]})
    assert {one["patient ID"] for one in rows_of(response)} == {
        one.unique_patient_id for one in chosen
    }
    studies = {"row": [DICOMStudy.objects.order_by("pk")[0].pk, "x"]}
    assert len(rows_of(staff_client.post(reverse("study_csv"), studies))) == 1


def test_each_tab_of_a_search_is_exported(staff_client, import_zip):
    import_zip(
        ct_image(PatientName="Heart^Ann", StudyDescription="Heart"),
        rt_structure_set(["Heart"], PatientName="Heart^Ann", StudyDescription="Heart"),
    )
    page = searched(staff_client, reverse("search"), "heart").content.decode()
    tabs = re.findall(r'href="(\?[^"]*tab=(\w+))"', page)
    assert len(tabs) == 3
    for address, name in tabs:
        tab = staff_client.get(reverse("search") + unescape(address)).content.decode()
        (csv_address,) = re.findall(r'href="([^"]*)">Export CSV', tab)
        assert name in csv_address
        assert len(rows_of(staff_client.get(unescape(csv_address)))) == 1


def test_uploads_are_listed_as_far_as_the_list_is_narrowed(staff_client, import_zip, upload_zip):
    import_zip(ct_image(PatientName="Doe^Jane"), ("notes.txt", b"no"))
    upload_zip(ct_image())
    address = reverse("admin:app_dicomfile_csv")
    both = rows_of(staff_client.get(address))
    assert [one["status"] for one in both] == ["Pending", "Completed"]
    (done,) = rows_of(staff_client.get(address, {"processing_status__exact": "completed"}))
    assert (done["imported"], done["skipped"], done["patients"]) == ("1", "1", "Doe, Jane")
    page = staff_client.get(reverse("admin:app_dicomfile_changelist"), {"tab": "all"})
    assert f'href="{address}?tab=all"' in page.content.decode()
    assert staff_client.get(address, {"created_at__gte": "no day"}).status_code == 400


def test_of_a_search_that_is_no_longer_kept_nothing_is_exported(staff_client, import_zip, rf):
    upload = import_zip(ct_image(), rt_structure_set(["Heart"]))
    searched_lists = [
        one.opts for one in admin.site._registry.values() if one.get_search_fields(rf.get("/"))
    ]
    names = [f"admin:{one.app_label}_{one.model_name}_csv" for one in searched_lists]
    addresses = [*map(reverse, names), reverse("study_csv"), reverse("patient_csv")]
    addresses.append(reverse("ledger_csv", args=[upload.pk]))
    addresses = [f"{address}?q=7" for address in addresses]
    name = RTStructureROI.objects.get().pk
    for address in (*addresses, f"{reverse('structure_csv')}?q=7&name={name}"):
        response = staff_client.get(address)
        assert response.status_code == 302, address
        page = staff_client.get(response["Location"])
        assert "That search is no longer kept. Search again." in page.content.decode(), address
    assert not AuditEntry.objects.filter(kind=Kind.EXPORTED).exists()


def test_every_list_of_the_admin_is_exported(staff_client, import_zip):
    """All of them lead to their CSV, and ask the database as often for many rows as for few."""

    def fill(n: int) -> None:
        above = {"PatientID": f"{n}", "PatientName": "+Doe^Jane"}
        above |= {"StudyInstanceUID": uid(1, n), "StudyDescription": "a;=1+1"}
        image = ct_image(SeriesInstanceUID=uid(2, n), SOPInstanceUID=uid(2, n, 1), **above)
        drawn = {"SeriesInstanceUID": uid(3, n), "SOPInstanceUID": uid(3, n, 1)}
        import_zip(image, rt_structure_set(["-1+1"], **drawn, **above))
        nightly.begin()
        nightly.go_on()
        TaskResult.objects.create(task_id=f"task {n}", status="SUCCESS")
        GroupResult.objects.create(group_id=f"group {n}")
        SignInTries.objects.create(key=f"name {n}", tries=5, address="10.0.0.1")
        colleague = get_user_model().objects.create_user(f"colleague {n}", is_staff=True)
        roles.give(colleague, "Reader")

    def lists() -> dict[type[Model], tuple[list[dict[str, str]], int]]:
        found = {}
        for model in admin.site._registry:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            page = staff_client.get(reverse(f"{name}_changelist")).content.decode()
            (address,) = re.findall(r'href="([^"]*)">Export CSV', page)
            with CaptureQueriesContext(connection) as queries:
                found[model] = rows_of(staff_client.get(address)), len(queries)
        return found

    fill(1)
    few = lists()
    fill(2)
    many = lists()
    assert {model: asked for model, (_, asked) in many.items()} == {
        model: asked for model, (_, asked) in few.items()
    }
    for model in (Patient, DICOMSeries, RTStructureROI, ArchiveMember, SignInTries):
        assert len(many[model][0]) == model._default_manager.count() > len(few[model][0]) > 0
    for model in (DICOMSeries, DICOMInstance, ImageInformation, RTStructureROI):
        one = many[model][0][0]
        assert (one["patient name"], one["study description"]) == ("'+Doe, Jane", "a;'=1+1")
        assert one["study instance UID"] == uid(1, 2)
    newest, *_ = many[RTStructureROI][0]
    assert (newest["structure"], newest["series instance UID of the set"]) == ("'-1+1", uid(3, 2))
    assert newest["approval"] == "not approved"
    assert many[ArchiveMember][0][0]["outcome"] == "Imported"
    assert many[ArchiveMember][0][0]["SOP instance UID"]
    assert {one["role"] for one in many[get_user_model()][0]} == {"Superuser", "Reader"}
    assert "the list of structures" in [one["words"] for one in many[AuditEntry][0]]


def test_rows_are_read_some_at_a_time_in_order_and_without_what_is_long(
    staff_client, import_zip, monkeypatch
):
    for module in (exporting, paging):
        monkeypatch.setattr(module, "AT_ONCE", 2)
    names = {3: "Cole^C", 1: "Adam^A", 5: "Eve^E", 2: "Bob^B", 4: "Dan^D"}
    import_zip(
        *(
            ct_image(
                PatientID=f"{n}", PatientName=name, StudyInstanceUID=uid(1, n),
                SeriesInstanceUID=uid(2, n), SOPInstanceUID=uid(2, n, 1),
            )
            for n, name in names.items()
        )
    )  # fmt: skip

    def listed(name: str, asked: dict[str, str]) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            rows = rows_of(staff_client.get(reverse(f"admin:app_{name}_csv"), asked))
        read = [one["sql"] for one in queries if f'FROM "app_{name}"' in one["sql"]]
        assert "search_text" not in "".join(read)
        # Those that read rows in full, which are brought into order afterwards.
        whole = [sql for sql in read if '"patient_name"' in sql and "ORDER BY" not in sql]
        assert len(whole) == 3, read
        return [one["patient ID"] for one in rows]

    by_key = Patient.objects.order_by("-pk").values_list("unique_patient_id", flat=True)
    assert listed("patient", {}) == [*by_key]
    assert listed("patient", {"o": "1"}) == ["1", "2", "3", "4", "5"]
    series = DICOMSeries.objects.order_by("-pk")
    ids = series.values_list("dicom_study__patient__unique_patient_id", flat=True)
    assert listed("dicomseries", {}) == [*ids]


def test_a_list_of_the_admin_is_exported_as_far_as_it_is_narrowed(staff_client, import_zip):
    import_zip(ct_image(), rt_structure_set(["Heart"]))
    page = searched(staff_client, reverse("admin:app_dicomseries_changelist"), "thorax")
    narrowed = {**page.wsgi_request.GET.dict(), "modality": "CT", "o": "1"}
    page = staff_client.get(page.wsgi_request.path, narrowed).content.decode()
    (address,) = re.findall(r'href="([^"]*)">Export CSV', page)
    assert [one["modality"] for one in rows_of(staff_client.get(unescape(address)))] == ["CT"]
    assert AuditEntry.objects.get(kind=Kind.EXPORTED).words == "the list of series, with 2 filters"
    assert not rows_of(staff_client.get(reverse("admin:app_dicomseries_csv"), {"modality": "MR"}))


def test_trash_collections_and_the_structures_of_a_set_are_exported(
    staff_client, staff_user, import_zip
):
    import_zip(ct_image(PatientID="A", StudyInstanceUID=uid(1, 9)), rt_structure_set(["A", "=B"]))
    structure_set = RTStructureSetInformation.objects.get()
    address = reverse("structure_set_csv", args=[structure_set.pk])
    first, second = rows_of(staff_client.get(address))
    assert (first["structure"], second["structure"]) == ("A", "'=B")
    series = structure_set.dicom_instance.dicom_series
    assert first["series instance UID of the set"] == series.series_instance_uid
    assert first["approval"] == "not approved"
    mine = Collection.objects.create(name="=1+1", owner=staff_user, owner_name="staff")
    Collection.objects.create(name="Somebody's own")
    CollectionEntry.objects.create(collection=mine, series=series)
    address = reverse("collections_csv")
    (one,) = rows_of(staff_client.get(address))
    assert (one["collection"], one["series"], one["patients"]) == ("'=1+1", "1", "0")
    assert f'href="{address}"' in staff_client.get(reverse("collection_list")).content.decode()
    removal.delete([Patient.objects.get(unique_patient_id="A")], staff_user, "+by mistake")
    removal.delete([series], staff_user, "too")
    address = reverse("trash_csv")
    assert f'href="{address}"' in staff_client.get(reverse("trash_list")).content.decode()
    later, earlier = rows_of(staff_client.get(address))
    assert (earlier["what"], earlier["reason"]) == ("Patient", "'+by mistake")
    assert (earlier["patient IDs"], earlier["study instance UIDs"]) == ("A", uid(1, 9))
    assert (earlier["series instance UIDs"], earlier["objects"]) == ("", "1")
    assert (later["what"], later["series instance UIDs"]) == ("Series", series.series_instance_uid)


def test_chosen_series_alone_are_listed(staff_client, import_zip):
    other = ct_image(SeriesInstanceUID=uid(2, 2), SOPInstanceUID=uid(2, 2, 1))
    import_zip(ct_image(), other, rt_structure_set(["Heart"]))
    chosen = [one.pk for one in DICOMSeries.objects.filter(modality="CT")]
    found = rows_of(staff_client.post(reverse("chosen_series_csv"), {"row": [*chosen, "x"]}))
    assert {one["series instance UID"] for one in found} == {uid(2, 1), uid(2, 2)}
    study = DICOMStudy.objects.get().study_instance_uid
    assert {one["study instance UID"] for one in found} == {study}
    assert AuditEntry.objects.get(kind=Kind.EXPORTED).words == "2 series of their list"
