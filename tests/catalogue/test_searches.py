"""What is searched for is posted and kept with the session; every list finds what ICON writes."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from app.catalogue.searches import PostedSearch
from app.models import DICOMFile, Patient
from tests.conftest import searched
from tests.making.objects import ct_image, rt_structure_set, uid

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]

PATIENTS = reverse("admin:app_patient_changelist")
UID = uid(3, 1)


def found(rf, table: str, words: str) -> int:
    """How many rows a search of the list of a table finds."""
    model = apps.get_model("app", table)
    request = rf.get("/")
    results = admin.site.get_model_admin(model).get_search_results(request, model.objects, words)
    return results[0].count()


@pytest.fixture
def mueller(import_zip) -> DICOMFile:
    """A patient with an image and a structure set, and another of whom nothing should be found."""
    import_zip(ct_image(
        PatientID="OTHER", PatientName="Nobody^Nemo", PatientBirthDate="19010101",
        StudyInstanceUID=uid(4), StudyDate="20010101", StudyDescription="Head",
        SeriesInstanceUID=uid(4, 1), SeriesDate="20010101", SOPInstanceUID=uid(4, 1, 1),
    ))  # fmt: skip
    whose = {
        "PatientID": "4100-2", "PatientName": "Müller^Hans Jürgen", "PatientBirthDate": "19540731",
        "StudyInstanceUID": UID, "StudyDate": "20240313", "AccessionNumber": "ACC0012345",
        "StudyDescription": "Thorax, nativ",
    }  # fmt: skip
    upload = import_zip(
        ct_image(**whose, SeriesInstanceUID=uid(3, 1, 1), SeriesDescription="Lunge 3.0 B31f",
                 SeriesDate="20240314", SOPInstanceUID=uid(3, 1, 1, 1)),
        rt_structure_set(["Herz", "Lunge re."], **whose, SeriesInstanceUID=uid(3, 1, 2),
                         SOPInstanceUID=uid(3, 1, 2, 1), StructureSetLabel="Plan 7",
                         StructureSetDate="20240315"),
    )  # fmt: skip
    upload.original_name = "Müller, Hans (CD 1).zip"
    upload.save()
    return upload


@pytest.fixture
def hans() -> Patient:
    return Patient.objects.create(folder="x", patient_name="Müller^Hans")


OF_THE_PATIENT = (
    *("Müller, Hans Jürgen", "Müller^Hans Jürgen", "mueller", "MULLER hans", "hans müll"),
    *("4100*", "4100-2", "jürg* 4100", "31.07.1954", "1954-07-31", "July 31, 1954", "19540731"),
)
OF_THE_STUDY = ("acc0012", "ACC0012345", "thorax", "13.03.2024", "13.3.2024", "2024-03", UID)
FOUND = {
    "patient": (*OF_THE_PATIENT,),
    "dicomstudy": (*OF_THE_PATIENT, *OF_THE_STUDY, "13 Mar 2024", "hans thorax 03.2024"),
    "dicomseries": (*OF_THE_PATIENT, "b31f lunge", "14.03.2024", uid(3, 1, 1), "müller b31"),
    "rtstructuresetinformation": (*OF_THE_PATIENT, "plan 7", "2024-03-15", uid(3, 1, 2, 1)),
    "rtstructureroi": ("hans herz", "HERZ", "mueller lunge re"),
    "dicomfile": ("Müller, Hans (CD 1)", "mueller", "cd hans"),
    "archivemember": ("mueller cd im",),
}


ROWS = {"dicomseries": (1, 2), "archivemember": (2,)}  # of his; of any other table one


def test_every_list_finds_what_icon_writes(rf, mueller):
    counts = {
        (table, words): found(rf, table, words) for table, some in FOUND.items() for words in some
    }
    assert {key: n for key, n in counts.items() if n not in ROWS.get(key[0], (1,))} == {}


def test_nothing_found_has_a_sentence_and_a_way_out(staff_client, hans):
    page = searched(staff_client, f"{PATIENTS}?identity_differs__exact=0", "heartt")
    text = " ".join(page.content.decode().split())
    assert "Nothing matches “<bdi>heartt</bdi>” with these filters." in text
    assert '<a href="?">Show all</a>' in text
    assert "show all" not in staff_client.get(PATIENTS).content.decode().lower()
    assert "1 found" in searched(staff_client, PATIENTS, "hans").content.decode()


def test_no_word_that_is_searched_for_stands_in_an_address(staff_client, hans):
    answer = staff_client.post(f"{PATIENTS}?patient_sex=&p=2", {"q": " hans, mueller "})
    number = re.fullmatch(rf"{re.escape(PATIENTS)}\?patient_sex=&q=(\d+)", answer["Location"])[1]
    page = staff_client.get(answer["Location"])
    assert "Müller, Hans" in page.content.decode()
    assert page.context["cl"].query == "hans, mueller"
    addresses = re.findall(r'(?:href|action|src)="([^"]*)"', page.content.decode())
    assert not [address for address in addresses if "mueller" in address]
    assert staff_client.post(PATIENTS, {"q": "hans, mueller"})["Location"].endswith(f"?q={number}")
    assert not staff_client.post(PATIENTS, {"q": "another"})["Location"].endswith(f"?q={number}")


def test_the_number_of_a_search_means_nothing_to_somebody_else(staff_client, hans):
    for number in ("7", "mueller"):
        page = staff_client.get(PATIENTS, {"q": number}).content.decode()
        assert "That search is no longer kept. Search again." in page
        assert "Müller, Hans" in page


def test_an_action_on_all_that_is_found_reaches_nothing_else(staff_client, broker):
    wanted, other = (DICOMFile.objects.create(original_name=n, file=n) for n in ("anna", "berta"))
    uploads = reverse("admin:app_dicomfile_changelist")
    at = staff_client.post(uploads, {"q": "anna"})["Location"]
    every = {"action": "process_selected", "_selected_action": wanted.pk, "select_across": "1"}
    staff_client.post(f"{uploads}?q=7", every | {"index": "0"})
    assert not DICOMFile.objects.queued().exists()
    staff_client.post(at, every | {"index": "0"})
    assert list(DICOMFile.objects.queued()) == [wanted]
    assert not staff_client.get(other.get_absolute_url()).context["upload"].is_queued


def test_old_searches_make_way_for_new_ones(staff_client):
    found_at = [staff_client.post(PATIENTS, {"q": f"name{n}"})["Location"] for n in range(60)]
    assert len({*found_at}) == 60
    assert len(staff_client.session["searches"]) == 50
    assert staff_client.get(found_at[-1]).context["cl"].query == "name59"
    assert staff_client.get(found_at[0]).context["cl"].query == ""


def test_every_search_field_of_a_page_posts_with_a_token(staff_client):
    for url in (reverse("admin:index"), PATIENTS, reverse("dicom_processing_progress")):
        forms = re.findall("<form[^>]*>.*?</form>", staff_client.get(url).content.decode(), re.S)
        searching = [form for form in forms if 'name="q"' in form]
        assert searching
        assert not [form for form in searching if 'method="post"' not in form]
        assert not [form for form in searching if "csrfmiddlewaretoken" not in form]


def test_every_search_box_of_the_admin_posts(staff_client, rf):
    boxes = [one for one in admin.site._registry.values() if one.get_search_fields(rf.get("/"))]
    assert len(boxes) > 10
    for one in boxes:
        assert isinstance(one, PostedSearch)
        url = reverse(f"admin:{one.opts.app_label}_{one.opts.model_name}_changelist")
        assert "somebody" not in staff_client.post(url, {"q": "somebody"})["Location"]
        page = searched(staff_client, url, "somebody")
        assert page.context["cl"].query == "somebody"
