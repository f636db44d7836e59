"""The lists of studies and patients: what stands in a row, what narrows them, who sees what."""

import csv
import io
from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.catalogue.search import refold
from app.models import DICOMSeries, DICOMStudy, Patient
from tests.conftest import searched

STUDIES, PATIENTS = reverse("study_list"), reverse("patient_list")
HOSTILE = "@SUM(1)<script>\u202e^Y"


@pytest.fixture
def rows(db) -> dict[str, Patient]:
    """Four patients; of the first two studies, of the others one each."""
    moment = datetime(2024, 3, 13, 12, tzinfo=UTC)
    made = {}
    for number, (name, modalities, day, flags) in enumerate(
        [
            ("Müller^Anna", "CT, RTSTRUCT", date(2024, 3, 13), {}),
            ("Huber^Josef", "MR", date(2023, 1, 2), {"identity_differs": True}),
            (HOSTILE, "RTSTRUCT", None, {"identity_answer": "two"}),
            ("", "", date(2022, 3, 3), {}),
        ]
    ):
        patient = Patient.objects.create(
            unique_patient_id=f"ID{number}" if name else "", folder=f"{number}",
            patient_name=name, patient_dob=date(1952, 3, 13) if name else None,
            patient_sex="F" if name else "", study_count=1 + (not number), modalities=modalities,
            last_study_date=day, total_size=number * 1000,
            last_added_at=moment.replace(hour=20 - number), **flags,
        )  # fmt: skip
        made[name] = patient
        DICOMStudy.objects.create(
            patient=patient, study_instance_uid=f"1.{number}", study_date=day,
            study_description=f"Study {number}" if number else "Thorax native",
            accession_number=f"A{number}", series_count=3, image_count=1234, instance_count=1240,
            total_size=5_000_000, modalities=modalities, uid_shared=number == 1,
            last_added_at=moment.replace(hour=20 - number),
        )  # fmt: skip
    DICOMStudy.objects.create(
        patient=made["Müller^Anna"], study_instance_uid="1.9", study_description="Other",
        modalities="CT", last_added_at=moment,
    )  # fmt: skip
    for study in DICOMStudy.objects.exclude(modalities=""):
        for modality in study.modalities.split(", "):
            DICOMSeries.objects.create(
                dicom_study=study, series_instance_uid=f"2.{modality}", modality=modality
            )
    refold()
    return made


@pytest.fixture
def shown(staff_client):
    """The descriptions of the studies that an address shows, or the names of the patients."""

    def get(address: str) -> list[str]:
        rows = staff_client.get(address).context["page"].rows
        return [getattr(row, "study_description", None) or row.patient_name for row in rows]

    return get


@pytest.fixture
def looker(client, django_user_model):
    """The client, signed in as staff who may see studies and nothing else."""
    user = django_user_model.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_dicomstudy"))
    client.force_login(user)
    return client


def test_a_study_s_row_says_whose_it_is_and_what_it_holds(staff_client, rows):
    page = staff_client.get(STUDIES).content.decode()
    row = page.partition("Thorax native")[0].rpartition("<tr")[2] + page.partition("Thorax")[2]
    row = row.partition("</tr>")[0]
    anna = reverse("patient", args=[rows["Müller^Anna"].pk])
    for part in (f'href="{anna}"', "Müller, Anna", "ID0", "13 Mar 1952", "13 Mar 2024", "A0"):
        assert part in row
    for part in (">CT</abbr>", ">RTSTRUCT</abbr>", ">3<", ">1,234<", "5 MB"):
        assert part in row
    assert "5 studies" in page
    assert "two people?" in page
    assert "under two patients" in page
    assert "<script>\N{REPLACEMENT CHARACTER}" not in page
    assert "\u202e" not in page


def test_a_patient_s_row_never_has_a_dash_for_an_id(staff_client, rows):
    page = staff_client.get(PATIENTS).content.decode()
    assert "no ID (study of 3 Mar 2022)" in page
    assert ">-<" not in page
    assert ">2 studies<" in page
    assert ">1 study<" in page


def test_lists_take_a_fixed_number_of_queries(staff_client, rows, django_assert_num_queries):
    first, study = (model.objects.order_by("pk")[0].pk for model in (Patient, DICOMStudy))
    for address, queries in {
        STUDIES: 12,
        f"{STUDIES}?modality=MR&flag=attention&sort=patient": 12,
        f"{STUDIES}?slices=incomplete": 8,  # there is none
        PATIENTS: 10,
        f"{STUDIES}?after={study}": 13,
        f"{PATIENTS}?modality=RTSTRUCT&sort=-name&after={first}": 11,
    }.items():
        with django_assert_num_queries(queries):
            staff_client.get(address)


def test_an_address_narrows_and_sorts_the_studies(shown, rows):
    for query, expected in (
        ("", ["Thorax native", "Study 1", "Study 2", "Study 3", "Other"]),
        ("modality=CT", ["Thorax native", "Other"]),  # and not RTSTRUCT
        ("modality=RTSTRUCT", ["Thorax native", "Study 2"]),
        ("modality=CT&modality=RTSTRUCT", ["Thorax native"]),
        ("modality=US", []),
        ("from=2023-01-02", ["Thorax native", "Study 1"]),
        ("to=2023-01-02", ["Study 1", "Study 3"]),
        ("from=2023-01-02&to=2023-01-02", ["Study 1"]),
        ("flag=attention", ["Study 1", "Study 2"]),
        ("flag=attention&modality=MR", ["Study 1"]),
        ("flag=other", ["Thorax native", "Study 1", "Study 2", "Study 3", "Other"]),
        ("patient=9999999", []),
        ("sort=date", ["Thorax native", "Study 1", "Study 3", "Other", "Study 2"]),
        ("sort=-date", ["Study 3", "Study 1", "Thorax native", "Study 2", "Other"]),
        ("sort=patient", ["Study 2", "Study 1", "Thorax native", "Other", "Study 3"]),
        ("sort=nothing", ["Thorax native", "Study 1", "Study 2", "Study 3", "Other"]),
    ):
        assert shown(f"{STUDIES}?{query}") == expected, query


def test_the_studies_of_one_patient_are_a_filter_with_a_name(staff_client, shown, rows):
    address = f"{STUDIES}?patient={rows['Müller^Anna'].pk}"
    assert shown(address) == ["Thorax native", "Other"]
    assert "patient Müller, Anna (ID0)" in staff_client.get(address).content.decode()


def test_an_address_narrows_and_sorts_the_patients(shown, rows):
    for query, expected in (
        ("", ["Müller^Anna", "Huber^Josef", HOSTILE, ""]),
        ("flag=attention", ["Huber^Josef", HOSTILE]),
        ("modality=RTSTRUCT", ["Müller^Anna", HOSTILE]),
        ("from=2023-01-01", ["Müller^Anna", "Huber^Josef"]),
        ("sort=name", [HOSTILE, "Huber^Josef", "Müller^Anna", ""]),
        ("sort=-name", ["Müller^Anna", "Huber^Josef", HOSTILE, ""]),
        ("sort=-size", ["Müller^Anna", "Huber^Josef", HOSTILE, ""]),
    ):
        assert shown(f"{PATIENTS}?{query}") == expected, query


def test_every_filter_is_a_chip_that_leaves_only_itself_out(staff_client, rows):
    query = "modality=CT&modality=MR&from=2024-01-01&flag=attention&sort=size"
    response = staff_client.get(f"{STUDIES}?{query}&after=5")
    chips = {chip.label: chip.without for chip in response.context["chips"]}
    assert chips == {
        "modality CT": "modality=MR&from=2024-01-01&flag=attention&sort=size",
        "modality MR": "modality=CT&from=2024-01-01&flag=attention&sort=size",
        "study date from 1 Jan 2024": "modality=CT&modality=MR&flag=attention&sort=size",
        "needs attention": "modality=CT&modality=MR&from=2024-01-01&sort=size",
    }
    page = response.content.decode()
    assert "No study is all of this:" in page
    assert page.count("Leave out") == len(chips)


def test_lists_are_narrowed_by_what_series_say_under_the_key_of_one(staff_client, shown, rows):
    ct, mr = (DICOMSeries.objects.filter(modality=one).order_by("pk")[0] for one in ("CT", "MR"))
    DICOMSeries.objects.filter(pk=ct.pk).update(
        institution_name="<b>Spital", body_part_examined="CHEST"
    )
    DICOMSeries.objects.filter(pk=mr.pk).update(institution_name="Clinic")
    context = staff_client.get(STUDIES).context
    assert [(one.words, [value.text for value in one.values]) for one in context["of_series"]] == [
        ("institution", ["<b>Spital", "Clinic"]),
        ("body part", ["CHEST"]),
    ]
    both = f"institution={ct.pk}&body={ct.pk}"
    for query, expected in (
        (f"institution={ct.pk}", ["Thorax native"]),
        (f"institution={mr.pk}", ["Study 1"]),
        (both, ["Thorax native"]),
        (f"institution={mr.pk}&body={ct.pk}", []),
        (f"institution={mr.pk}&modality=CT", []),
        ("institution=&body=", ["Thorax native", "Study 1", "Study 2", "Study 3", "Other"]),
    ):
        assert shown(f"{STUDIES}?{query}") == expected, query
    assert shown(f"{PATIENTS}?institution={mr.pk}") == ["Huber^Josef"]
    response = staff_client.get(f"{STUDIES}?{both}&sort=size&after=5")
    assert {chip.label: chip.without for chip in response.context["chips"]} == {
        "institution <b>Spital": f"body={ct.pk}&sort=size",
        "body part CHEST": f"institution={ct.pk}&sort=size",
    }
    page = response.content.decode()
    assert f'<option value="{ct.pk}" selected>&lt;b&gt;Spital</option>' in page
    assert '<input type="hidden" name="sort" value="size">' in page
    csv_text = b"".join(staff_client.get(f"{reverse('study_csv')}?{both}").streaming_content)
    assert csv_text.count(b"\n") == 2
    DICOMSeries.objects.filter(pk=mr.pk).delete()
    gone = staff_client.get(f"{STUDIES}?institution={mr.pk}")
    assert "The series that stood for the institution in this address" in gone.content.decode()
    assert len(gone.context["page"].rows) == 5


def test_there_is_to_choose_what_series_say_and_of_very_many_values_the_most_frequent(
    staff_client, rows
):
    study = DICOMStudy.objects.earliest("pk")

    def say(institutions: list[str], further: str) -> None:
        DICOMSeries.objects.bulk_create(
            DICOMSeries(
                dicom_study=study, series_instance_uid=f"{further}.{number}", institution_name=name
            )
            for number, name in enumerate(institutions)
        )

    def offered() -> list[str]:
        (institutions,) = staff_client.get(STUDIES).context["of_series"]
        said = {one.pk: one.text for one in institutions.values}
        keys = DICOMSeries.objects.filter(pk__in=said).values_list("pk", "institution_name")
        assert dict(keys) == said
        return [one.text for one in institutions.values]

    hundred = [f"Clinic {number:03}" for number in range(100)]
    say(["b", "", "Ä", "a", "b"], "3")
    assert offered() == ["a", "b", "Ä"]
    say(hundred[2:], "4")
    assert len(offered()) == 100
    say(hundred, "5")
    assert offered() == ["b", hundred[0], *hundred[2:]]


def test_modalities_are_counted_among_what_is_found(staff_client, rows):
    def counts(query: str) -> dict[str, int]:
        choices = staff_client.get(f"{STUDIES}?{query}").context["modalities"]
        return {choice.name: choice.count for choice in choices.first}

    assert counts("") == {"CT": 2, "RTSTRUCT": 2, "MR": 1}
    assert counts("modality=CT") == {"CT": 2, "RTSTRUCT": 1}
    assert counts("flag=attention") == {"MR": 1, "RTSTRUCT": 1}


def test_a_date_that_is_none_is_said_and_left_out(staff_client, rows):
    for bad in ("2024-13-45", "yesterday", "<b>", "20"):
        response = staff_client.get(STUDIES, {"from": bad, "modality": "MR"})
        assert "That is no date" in response.content.decode()
        assert [row.study_description for row in response.context["page"].rows] == ["Study 1"]


def test_what_is_searched_for_narrows_a_list_by_a_number(staff_client, shown, rows):
    query = found_under(staff_client, "muller")
    assert "muller" not in query
    assert shown(f"{STUDIES}?{query}") == ["Thorax native", "Other"]
    assert shown(f"{STUDIES}?{query}&modality=RTSTRUCT") == ["Thorax native"]
    assert "“muller”" in staff_client.get(f"{STUDIES}?{query}").content.decode()
    assert shown(f"{PATIENTS}?{found_under(staff_client, 'josef HUBER')}") == ["Huber^Josef"]
    page = staff_client.get(f"{PATIENTS}?{found_under(staff_client, 'x9')}").content.decode()
    assert "No patient is all of this:" in page


def found_under(client, words: str) -> str:
    """The query of the address that answers a search."""
    return searched(client, reverse("search"), words).redirect_chain[0][0].partition("?")[2]


def test_an_empty_catalogue_offers_to_upload_to_who_may(staff_client, looker, staff_user):
    looker_page = looker.get(STUDIES).content.decode()
    assert "No study is here yet" in looker_page
    assert "Upload ZIPs" not in looker_page
    looker.force_login(staff_user)
    for address in (STUDIES, PATIENTS):
        page = looker.get(address).content.decode()
        assert "is here yet" in page
        assert f'href="{reverse("admin:app_dicomfile_add")}">Upload ZIPs' in page
        assert "Export CSV" not in page


def test_who_may_not_see_patients_sees_studies_alone(looker, rows):
    DICOMSeries.objects.update(institution_name="Clinic")
    for address in (STUDIES, f"{STUDIES}?patient={rows['Huber^Josef'].pk}&flag=attention"):
        page = looker.get(address).content.decode()
        for part in ("Anna", "Josef", "ID1", "1952", "two people", "Needs attention", "Clinic"):
            assert part not in page
        assert "Study 1" in page
    by_name = looker.get(f"{STUDIES}?sort=patient").context["page"].rows
    assert by_name == looker.get(STUDIES).context["page"].rows
    found = looker.get(f"{STUDIES}?{found_under(looker, 'Anna')}")
    assert found.context["page"].rows == []
    text = b"".join(looker.get(reverse("study_csv")).streaming_content).decode()
    assert "Study 1" in text
    assert "Josef" not in text
    assert looker.get(PATIENTS).status_code == 403


def test_the_csv_has_all_rows_of_the_filter_and_no_formula(staff_client, rows):
    studies = csv_rows(staff_client, "study_csv", "modality=RTSTRUCT&sort=-date")
    assert [row["description"] for row in studies] == ["Thorax native", "Study 2"]
    assert studies[0]["patient name"] == "Müller, Anna"
    assert studies[0]["size (bytes)"] == "5000000"
    assert studies[1]["patient name"].startswith("'@SUM")
    patients = csv_rows(staff_client, "patient_csv", "")
    assert [row["patient ID"] for row in patients] == ["ID0", "ID1", "ID2", ""]
    assert patients[0]["last study"] == "2024-03-13"
    assert patients[0]["added"] == "2024-03-13 20:00:00+00:00"


def csv_rows(client, name: str, query: str) -> list[dict[str, str]]:
    response = client.get(f"{reverse(name)}?{query}")
    assert "attachment; filename=" in response["Content-Disposition"]
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_header_marks_where_one_is(staff_client, rows):
    patient = rows["Huber^Josef"]
    for name, args, marked in (
        *(("patient_list", [], "Patients"), ("patient", [patient.pk], "Patients")),
        *(("study_list", [], "Studies"), ("study", [patient.studies.get().pk], "Studies")),
        ("structure_list", [], "Structures"),
    ):
        page = staff_client.get(reverse(name, args=args)).content.decode()
        here = "true" if args else "page"
        assert page.count(f'aria-current="{here}">{marked}</a>') == 2  # wide, and in the menu
