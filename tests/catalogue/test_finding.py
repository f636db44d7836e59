"""The one search: what it opens at once, what it finds of each kind, and what is near."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from app.models import DICOMFile, DICOMInstance, DICOMStudy, Patient
from tests.conftest import searched
from tests.making.objects import ct_image, mr_image, rt_structure_set, uid

pytestmark = pytest.mark.django_db(transaction=True)

SEARCH = reverse("search")
MOST_QUERIES = 45  # on SQLite, which is asked each time whether it has its index
SHARED = uid(9)  # a study UID under two patients


@pytest.fixture
def archive(import_zip) -> DICOMFile:
    """Three patients: Müller with a CT and its structures, one named Ct, and one of other days."""
    mueller = {
        "PatientID": "0041",
        "PatientName": "Müller^Hans Jürgen",
        "PatientBirthDate": "19540731",
        "StudyInstanceUID": uid(3),
        "StudyDate": "20240313",
        "AccessionNumber": "ACC0012345",
        "StudyDescription": "Thorax, nativ",
        "SeriesDescription": "Lunge 3.0 B31f",
    }
    other = {"SeriesDescription": "t1 flash", "BodyPartExamined": ""}  # fmt: skip
    upload = import_zip(
        ct_image(**mueller, SeriesInstanceUID=uid(3, 1), SOPInstanceUID=uid(3, 1, 1)),
        rt_structure_set(["Heart", "Heart_PRV05", "Lunge re."], **mueller,
                         SeriesInstanceUID=uid(3, 2), SOPInstanceUID=uid(3, 2, 1)),
        mr_image(**other, PatientID="41", PatientName="Ct^Anna", StudyInstanceUID=uid(4),
                 StudyDate="20230701", AccessionNumber="77", StudyDescription="Heart",
                 SeriesInstanceUID=uid(4, 1), SOPInstanceUID=uid(4, 1, 1)),
        *(mr_image(**other, PatientID=one, PatientName="王^小明", charset="utf-8",
                   SpecificCharacterSet="ISO_IR 192", StudyInstanceUID=SHARED,
                   StudyDate="20010101", AccessionNumber="",
                   SeriesInstanceUID=uid(9, n), SOPInstanceUID=uid(9, n, 1))
          for n, one in enumerate(("W1", "W2"), 1)),
    )  # fmt: skip
    upload.original_name = "Müller CD 1.zip"
    upload.save()
    return upload


def tabs(page) -> dict[str, int]:
    """What was found of each kind, the first tab first."""
    return {tab.kind.name: tab.count for tab in page.context["tabs"]}


def test_one_exact_id_accession_number_or_uid_opens_at_once(staff_client, archive):
    hans, anna = (Patient.objects.get(unique_patient_id=one) for one in ("0041", "41"))
    study, other = hans.studies.get(), anna.studies.get()
    series = study.series.get(modality="CT")
    structures = DICOMInstance.objects.get(sop_instance_uid=uid(3, 2, 1)).rt_structure_set
    opened = {
        "0041": ("patient", hans),
        " 41 ": ("patient", anna),
        "acc0012345": ("study", study),
        "77": ("study", other),
        uid(3): ("study", study),
        uid(3, 1): ("series", series),
        uid(3, 1, 1): ("series", series),
        uid(3, 2, 1): ("structure_set", structures),
    }
    for typed, (page, row) in opened.items():
        answer = staff_client.post(SEARCH, {"q": typed})
        assert answer["Location"] == reverse(page, args=[row.pk]), typed
    # An ID that is part of another, a word, and a UID that two have
    for typed in ("004", "CC00", "müller", SHARED):
        assert staff_client.post(SEARCH, {"q": typed})["Location"].startswith(f"{SEARCH}?")


def test_an_accession_number_that_is_an_id_too_opens_neither(staff_client, archive):
    DICOMStudy.objects.filter(study_instance_uid=uid(4)).update(accession_number="0041")
    DICOMStudy.objects.get(study_instance_uid=uid(4)).save(update_fields=["accession_number"])
    assert tabs(searched(staff_client, SEARCH, "0041")) == {"patients": 1, "studies": 2}


def test_a_sha_256_opens_its_object_and_else_says_how_far_it_looked(
    staff_client, archive, monkeypatch
):
    structures = DICOMInstance.objects.get(sop_instance_uid=uid(3, 2, 1))
    page = reverse("structure_set", args=[structures.rt_structure_set.pk])
    assert searched(staff_client, SEARCH, structures.sha256.upper()).redirect_chain[-1][0] == page
    text = searched(staff_client, SEARCH, 64 * "0").content.decode()
    assert "No object has this SHA-256." in text
    assert "ICON looked through all objects." in text
    monkeypatch.setattr("app.catalogue.hashes.LOOKED_THROUGH", 2)
    first = DICOMInstance.objects.earliest("pk")
    page = searched(staff_client, SEARCH, first.sha256)
    for _ in range(2):
        assert "No object has this SHA-256." in page.content.decode()
        page = staff_client.get(f"{SEARCH}?{page.context['older']}", follow=True)
    assert page.redirect_chain[-1][0] == reverse("series", args=[first.dicom_series_id])


FOUND = {
    "mull": {"patients": 1, "studies": 1, "uploads": 1},
    "hans, MUELLER": {"patients": 1, "studies": 1},
    "小明": {"patients": 2, "studies": 2},
    "thorax hans": {"studies": 1},
    "b31f": {"studies": 1},
    "heart": {"studies": 1, "structures": 2},
    "lunge re": {"structures": 1},
    "heart müller": {"structures": 2},
    "hear*05": {"structures": 1},
    "CT": {"studies": 1, "patients": 1},
    "CT RTSTRUCT": {"studies": 1, "patients": 1},
    "CT MR": {},
    '"ct"': {"patients": 1, "studies": 1},
    "2024": {"studies": 1, "patients": 1},
    "13.3.2024": {"studies": 1, "patients": 1},
    "July 2023 - March 2024": {"studies": 2, "patients": 2},
    "31.07.1954": {"studies": 1, "patients": 1},
    "1954 2024 hans": {"patients": 1, "studies": 1},
    "2023 CT": {},
    "heart 2024 ct": {"structures": 2},
    SHARED: {"studies": 2, "patients": 2},
    f"{uid(3, 1, 1)} hans": {"patients": 1, "studies": 1},
    "acc0012": {"studies": 1},
}


def test_everything_is_found_by_what_people_type(staff_client, archive):
    assert {typed: tabs(searched(staff_client, SEARCH, typed)) for typed in FOUND} == FOUND


def test_a_list_is_linked_to_where_it_shows_the_same(staff_client, archive):
    for words, kind in (
        *(("müller", "studies"), ("2023 - 2024", "studies"), ("heart", "studies")),
        *(("heart", "structures"), ("lunge re", "structures"), ("heart müller", "structures")),
        *(("heart ct", "structures"), ("müller", "patients")),
    ):
        page = searched(staff_client, SEARCH, words)
        tab = next(tab for tab in page.context["tabs"] if tab.kind.name == kind)
        listed = staff_client.get(f"{tab.all}?{page.context['address']}")
        assert len(listed.context["page"].rows) == tab.count, words
    # The list of uploads knows words alone.
    linked = {"müller cd": True, f"müller {timezone.localdate()}": False}
    for words, is_linked in linked.items():
        page = searched(staff_client, SEARCH, words)
        tab = next(tab for tab in page.context["tabs"] if tab.kind.name == "uploads")
        assert bool(tab.all) == is_linked, words


def test_the_kind_of_which_a_row_has_the_words_whole_comes_first(staff_client, archive):
    likeliest = {"heart": "studies", "hear*05": "structures", "hans": "patients", "2024": "studies"}
    pages = {words: searched(staff_client, SEARCH, words) for words in likeliest}
    assert {words: page.context["tab"].kind.name for words, page in pages.items()} == likeliest
    assert [*tabs(searched(staff_client, SEARCH, "müll"))] == ["patients", "studies", "uploads"]


def test_words_stand_in_no_address_and_what_is_no_word_can_be_shared(staff_client, archive, client):
    answer = staff_client.post(SEARCH, {"q": f"hans ct March 2024 2023-2024 {uid(3)}"})
    shared = f"modality=CT&when=2024-03&when=2023..2024&uid={uid(3)}"
    assert re.fullmatch(rf"{SEARCH}\?q=\d+&{re.escape(shared)}", answer["Location"])
    page = staff_client.get(answer["Location"])
    assert tabs(page) == {"patients": 1, "studies": 1}
    addresses = re.findall(r'(?:href|action|src)="([^"]*)"', page.content.decode())
    assert not [one for one in addresses if "hans" in one.lower()]
    assert "<title>Search · ICON</title>" in page.content.decode()
    assert tabs(staff_client.get(f"{SEARCH}?{shared}")) == {"patients": 1, "studies": 1}


def test_the_words_of_another_session_are_told_to_nobody(staff_client, archive):
    page = staff_client.get(SEARCH, {"q": "7", "modality": "CT"}).content.decode()
    assert "That search is no longer kept. Search again." in page


def test_each_thing_understood_can_be_left_out_or_be_a_word(staff_client, archive):
    page = searched(staff_client, SEARCH, "heart CT 2024")
    assert [chip.label for chip in page.context["chips"]] == ["“heart”", "modality CT", "2024"]
    without = [staff_client.get(f"{SEARCH}?{chip.without}") for chip in page.context["chips"]]
    assert [[one.label for one in other.context["chips"]] for other in without] == [
        ["modality CT", "2024"], ["“heart”", "2024"], ["“heart”", "modality CT"],
    ]  # fmt: skip
    as_words = page.context["asked"].as_words
    assert as_words in page.content.decode().replace("&quot;", '"')
    assert searched(staff_client, SEARCH, as_words).context["asked"].words == "heart CT 2024"
    assert tabs(searched(staff_client, SEARCH, '"ct"'))["patients"] == 1


def test_an_address_that_means_nothing_is_a_page(staff_client, archive):
    for query in ("when=soon", "modality=X", "uid=1", "tab=none", "q=", "when=2024..", "uid=%00"):
        page = staff_client.get(f"{SEARCH}?{query}")
        assert page.status_code == 200
        assert tabs(page) == {}


def test_nothing_found_says_where_it_was_looked_and_what_is_near(staff_client, archive):
    page = searched(staff_client, SEARCH, "heartt")
    text = " ".join(re.sub("<[^>]*>", "", page.content.decode()).split())
    assert (
        "No patient, study, structure or upload matches “heartt”. ICON looked in name, ID," in text
    )
    assert "Did you mean Heart (2 structures)" in text
    page = searched(staff_client, SEARCH, "mulller throax")
    assert [near.typed for near in page.context["near"]] == ["Müller throax", "mulller Thorax"]
    page = staff_client.post(SEARCH, {"q": page.context["near"][0].typed}, follow=True)
    assert [near.typed for near in page.context["near"]] == ["Müller Thorax"]
    assert not searched(staff_client, SEARCH, "qqqqq").context["near"]


@pytest.fixture
def sees(client, django_user_model):
    """The client, signed in as staff that sees these tables."""

    def sign_in(*tables: str):
        user = django_user_model.objects.create_user("-".join(tables) or "none", is_staff=True)
        names = [f"view_{table}" for table in tables]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return sign_in


def test_who_may_not_see_patients_learns_nothing_of_them(sees, archive):
    client = sees("dicomstudy", "dicomseries", "rtstructureroi")
    for typed in ("0041", "müller", "hans", "31.07.1954", "heart hans"):
        page = searched(client, SEARCH, typed)
        assert tabs(page) == {}, typed
        assert "ller" not in page.content.decode().replace(f"“<bdi>{typed}", "").replace(typed, "")
    assert not searched(client, SEARCH, "mulller").context["near"]
    page = searched(client, SEARCH, "thorax")
    assert tabs(page) == {"studies": 1}
    assert "Hans" not in page.content.decode()
    assert "ICON looked in accession number" in searched(client, SEARCH, "xyz").content.decode()


def test_a_table_that_one_may_not_see_is_not_looked_through(sees, archive):
    client = sees("dicomfile")
    assert tabs(searched(client, SEARCH, "müller")) == {"uploads": 1}
    for typed in ("acc0012345", uid(3), uid(3, 1), uid(3, 1, 1), uid(3, 2, 1)):
        assert client.post(SEARCH, {"q": typed})["Location"].startswith(SEARCH)
    client = sees()
    assert client.get(SEARCH).status_code == 403
    assert client.post(SEARCH, {"q": "a"}).status_code == 403
    assert 'id="search-site"' not in client.get(reverse("admin:index")).content.decode()


def test_a_search_takes_as_many_queries_for_more_rows(staff_client, archive):
    found = {
        words: staff_client.post(SEARCH, {"q": words})["Location"]
        for words in ("heart", "müller", "CT 2024", "heartt")
    }
    counts = []
    for first in (0, 12):
        for number in range(first, first + 12):
            patient = Patient.objects.create(folder=f"more {number}", patient_name="Müller^Heart")
            patient.studies.create(study_instance_uid=uid(5, number), study_description="heart")
        counts.append({words: queries_of(staff_client, found[words]) for words in found})
    assert counts[0] == counts[1]
    assert max(counts[0].values()) <= MOST_QUERIES


def test_of_very_many_the_newest_are_shown_and_found_at_one_look(
    staff_client, archive, monkeypatch
):
    for number in range(4):
        Patient.objects.create(folder=f"more {number}", patient_name=f"Müller^{number}")
    address = staff_client.post(SEARCH, {"q": "müller"})["Location"] + "&tab=patients"
    queries = queries_of(staff_client, address)
    monkeypatch.setattr("app.catalogue.finding.COUNTED", 3)
    monkeypatch.setattr("app.catalogue.finding.SHOWN", 2)
    assert queries_of(staff_client, address) == queries
    page = staff_client.get(address)
    (tab,) = (tab for tab in page.context["tabs"] if tab.kind.name == "patients")
    assert tab.words == "more than 3 patients"
    assert [row.patient_name for row in tab.rows] == ["Müller^3", "Müller^2"]


def queries_of(client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return len(queries)
