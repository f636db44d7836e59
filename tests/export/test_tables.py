"""What lies below a study or a series, and the uploads, as CSV."""

import csv
import io
import re
from html import unescape

from django.urls import reverse

from app.models import DICOMSeries, DICOMStudy, Patient
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
    assert first["patient name"] == "'+cmd, Jane"
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
