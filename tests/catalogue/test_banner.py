"""Whose data a page shows: on every page below a patient, and in every list."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.models import Patient
from tests.making.objects import ct_image, rt_structure_set

BANNER = '<aside class="patient-banner" aria-label="Patient">'
# The tables below a patient, each with what an address asks for that shows one parent's rows.
BELOW = {
    "dicomstudy": "patient",
    "dicomseries": "dicom_study",
    "dicominstance": "dicom_series",
    "imageinformation": "",
    "rtstructuresetinformation": "",
    "rtstructureroi": "rt_structure_set",
}
PERSON = {"PatientName": "Doe^Jane", "PatientID": "DOE1", "PatientBirthDate": "19520313"}
PERSON |= {"PatientSex": "F"}


@pytest.fixture(autouse=True)
def patient(import_zip) -> Patient:
    import_zip(ct_image(**PERSON), rt_structure_set(**PERSON))
    return Patient.objects.get()


@pytest.fixture
def show(staff_client):
    """The text of a page of a table."""

    def get(table: str, page: str, row: int | None = None, **asked: str) -> str:
        url = reverse(f"admin:app_{table}_{page}", args=[row] if row else [])
        return staff_client.get(url, asked, follow=True).content.decode()

    return get


def first(table: str, column: str = "pk") -> int:
    return apps.get_model("app", table).objects.order_by("pk").values_list(column, flat=True)[0]


def banner_of(page: str) -> str:
    return page.partition(BANNER)[2].partition("</aside>")[0]


def test_every_page_below_a_patient_says_whose_it_is(show, patient):
    pages = [(table, "change") for table in BELOW]
    pages += [(table, "delete") for table in ("dicomstudy", "dicomseries", "dicominstance")]
    for table, page in pages:
        whole = show(table, page, first(table))
        banner = banner_of(whole)
        for part in (f"/patient/{patient.pk}/change/", "Doe, Jane", "ID <bdi>DOE1", "13 Mar 1952"):
            assert part in banner, (table, page)
        assert "wo people" not in whole


def test_no_page_of_a_row_leads_to_a_history_that_is_not_there(show, patient):
    for table, row in (("patient", patient.pk), ("dicomstudy", first("dicomstudy"))):
        page = show(table, "change", row)
        assert "historylink" not in page
        assert f"/{table}/{row}/delete/" in page


def test_the_banner_says_that_it_may_be_two_people(show):
    Patient.objects.update(identity_differs=True)
    page = show("rtstructureroi", "change", first("rtstructureroi"))
    assert "Two people?" in page.partition(BANNER)[2]


def test_every_list_names_the_patient_of_each_row_and_leads_there(show, patient):
    link = f'<a href="/admin/app/patient/{patient.pk}/change/"><bdi>Doe, Jane (DOE1)</bdi></a>'
    for table in BELOW:
        page = show(table, "changelist")
        assert page.count(link) == apps.get_model("app", table).objects.count(), table
        assert BANNER not in page


def test_a_list_of_what_hangs_under_one_row_says_whose_it_is(show):
    for table, parent in BELOW.items():
        if parent:
            lookup = f"{parent}__id__exact"
            page = show(table, "changelist", **{lookup: str(first(table, f"{parent}_id"))})
            assert "Doe, Jane" in banner_of(page), table
            for nobody in ("999999", 30 * "9", "x"):
                assert BANNER not in show(table, "changelist", **{lookup: nobody}), (table, nobody)


def test_what_is_not_below_a_patient_has_no_banner(show):
    for table in ("dicomfile", "archivemember", "patient"):
        assert BANNER not in show(table, "changelist")
        assert BANNER not in show(table, "change", first(table))


def test_every_page_of_the_catalogue_below_a_patient_says_whose_it_is(staff_client, patient):
    patients_page = reverse("patient", args=[patient.pk])
    pages = [("patient", patient.pk), ("study", first("dicomstudy"))]
    pages += [("series", first("dicomseries")), ("header", first("dicominstance"))]
    pages += [("structure_set", first("rtstructuresetinformation"))]
    for name, row in pages:
        banner = banner_on(staff_client.get(reverse(name, args=[row])))
        for part in ("Doe, Jane", "ID <bdi>DOE1", "born 13 Mar 1952 (", "female"):
            assert part in banner, name
        assert name == "patient" or f'href="{patients_page}"' in banner
        assert "wo people" not in banner
    Patient.objects.update(identity_differs=True)
    banner = banner_on(staff_client.get(reverse("study", args=[first("dicomstudy")])))
    assert f'two people? <a href="{patients_page}#identity-{patient.pk}">Compare</a>' in banner
    Patient.objects.update(identity_answer="two", patient_dob=None, unique_patient_id="")
    banner = banner_on(staff_client.get(reverse("study", args=[first("dicomstudy")])))
    assert "two people <a" in banner
    assert "no ID" in banner
    assert "born" not in banner


def test_the_banner_tells_nothing_to_who_may_not_see_patients(client, django_user_model):
    user = django_user_model.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_dicomstudy"))
    client.force_login(user)
    page = client.get(reverse("study", args=[first("dicomstudy")]))
    assert "A patient that you may not see" in banner_on(page)
    assert "Doe" not in banner_on(page)


def banner_on(page) -> str:
    whole = page.content.decode().partition('<section class="patient-banner"')[2]
    return whole.partition("</section>")[0]
