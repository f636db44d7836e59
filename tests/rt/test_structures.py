"""Structures over the whole archive: found by name, narrowed, paged, and as CSV."""

import csv
import re
from itertools import chain

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.urls import reverse

from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Link,
    LinkKind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from tests.making.objects import mr_image, rt_structure_set, uid

pytestmark = pytest.mark.django_db

LIST = "/dicom/structures/"
ROW = re.compile(r'<td class="col-name">.*?<bdi>(.*?)</bdi>', re.DOTALL)
CHIP = re.compile(r'class="chip[^"]*" href="\?([^"]*)"[^>]*><bdi>(.*?)</bdi> <span[^>]*>([\d,]+)<')


def structures_of(number: int, *names: str, **values) -> RTStructureSetInformation:
    """The rows of a structure set of a patient of its own, without an import."""
    patient = Patient.objects.create(
        unique_patient_id=f"P{number}", folder=f"P{number}", patient_name=f"Doe^Number {number}"
    )
    study = DICOMStudy.objects.create(patient=patient, study_instance_uid=uid(7, number))
    series = DICOMSeries.objects.create(
        dicom_study=study, series_instance_uid=uid(7, number, 1), modality="RTSTRUCT"
    )
    instance = DICOMInstance.objects.create(
        dicom_series=series, sop_instance_uid=uid(7, number, 2), path=f"P{number}", size=1
    )
    structure_set = RTStructureSetInformation.objects.create(
        dicom_instance=instance, structure_set_label=values.pop("label", "Plan1")
    )
    filled = {"rt_roi_interpreted_type": "ORGAN", "contour_count": 1} | values
    for at, name in enumerate(names, 1):
        RTStructureROI.objects.create(
            rt_structure_set=structure_set, roi_number=at, roi_name=name, **filled
        )
    return structure_set


@pytest.fixture
def archive(db) -> None:
    structures_of(1, "Heart", "Lung Left", "PTV1")
    structures_of(2, "Heart", "HEART (old)", "PTV2")
    structures_of(3, "Heart_PRV05", "Heart", "Left lung")
    rois = RTStructureROI.objects
    rois.filter(roi_name="PTV2").update(rt_roi_interpreted_type="PTV")
    rois.filter(roi_name="Heart", rt_structure_set=rois.latest("pk").rt_structure_set).update(
        contour_count=0
    )


@pytest.fixture
def search(staff_client):
    """The page that answers words, as a reader comes to it."""

    def ask(words: str, **asked):
        return staff_client.post(LIST, {"q": words}, follow=True)

    return ask


def text(response) -> str:
    return response.content.decode()


def rows(response) -> list[str]:
    return ROW.findall(text(response))


def chips(response) -> dict[str, tuple[str, str]]:
    """By label: how many, and the address."""
    return {
        label: (count, query.replace("&amp;", "&"))
        for query, label, count in CHIP.findall(text(response))
    }


def test_any_spelling_in_any_order_is_found_the_newest_first(archive, search):
    found = search("heart")
    assert sorted(rows(found)) == ["HEART (old)", "Heart", "Heart", "Heart", "Heart_PRV05"]
    assert "5 structures of 3 patients in 3 sets" in text(found)
    assert rows(search("lung left")) == ["Left lung", "Lung Left"]
    assert rows(search("PTV*")) == ["PTV2", "PTV1"]


def test_spellings_are_counted_and_narrow_what_was_found(archive, search, staff_client):
    found = chips(search("heart"))
    assert [(label, count) for label, (count, _) in found.items()] == [
        *(("Heart", "3"), ("Heart_PRV05", "1"), ("HEART (old)", "1")),
        *(("ORGAN", "5"), ("Without contours", "1")),
    ]
    one = staff_client.get(f"{LIST}?{found['Heart'][1]}")
    assert rows(one) == ["Heart"] * 3
    assert "3 structures of 3 patients in 3 sets" in text(one)
    both = staff_client.get(f"{LIST}?{chips(one)['Without contours'][1]}")
    assert rows(both) == ["Heart"]
    again = staff_client.get(f"{LIST}?{chips(both)['Without contours'][1]}")
    assert len(rows(again)) == 3
    ptv = staff_client.get(f"{LIST}?{chips(search('ptv'))['PTV'][1]}")
    assert rows(ptv) == ["PTV2"]


def test_images_that_a_set_names_are_counted_here(archive, search, staff_client):
    image = DICOMInstance.objects.order_by("pk")[0]
    for structure_set, here in zip(RTStructureSetInformation.objects.all(), (1, 2, 0), strict=True):
        for number in range(here and 2):
            instance = structure_set.dicom_instance
            Link.objects.create(
                source=instance,
                patient=instance.dicom_series.dicom_study.patient,
                kind=LinkKind.IMAGE,
                target_uid=uid(8, number),
                instance=image if number < here else None,
            )
    Link.objects.filter(target_uid=uid(8, 1), instance=image).update(
        instance=DICOMInstance.objects.latest("pk")
    )
    page = search("heart")
    said = re.findall(r'col-here number[^>]*>(?:<span class="quiet">)?([^<]*)<', text(page))
    assert said == ["Images here", *["none named"] * 2, *["2 of 2"] * 2, "1 of 2"]
    count, address = chips(page)["Images missing"]
    assert count == "1"
    assert "1 structure of 1 patient in 1 set" in text(staff_client.get(f"{LIST}?{address}"))


def test_what_is_more_than_is_counted_is_narrowed_all_the_same(
    archive, search, staff_client, monkeypatch
):
    monkeypatch.setattr("app.rt.finding.COUNTED", 3)
    monkeypatch.setattr("app.rt.finding.ROWS", 2)
    page = search("heart")
    assert "more than 3 structures; spellings and types are those of the newest 3" in text(page)
    assert rows(page) == ["Heart", "Heart_PRV05"]
    for label, left in ("Heart", 3), ("Without contours", 1):
        narrowed = staff_client.get(f"{LIST}?{chips(page)[label][1]}")
        assert f'<p class="list-count">{left} structure' in text(narrowed)
    assert "list-count" not in text(staff_client.get(f"{LIST}?{chips(page)['Heart'][1]}&missing=1"))


def test_no_name_stands_in_an_address(archive, search):
    page = search("heart")
    addresses = re.findall(r'(?:href|action|src)="([^"]*)"', text(page))
    addresses += [url for url, _ in page.redirect_chain]
    assert len(addresses) > 20
    assert not [one for one in addresses if re.search("heart|doe|prv", one, re.IGNORECASE)]
    assert "heart" not in "".join(page.headers.values()).lower()


def test_before_a_search_the_most_frequent_names_stand_there(archive, staff_client):
    page = staff_client.get(LIST)
    names = re.findall(r'<a href="\?name=(\d+)"><bdi>(.*?)</bdi></a> <span[^>]*>(\d+)<', text(page))
    assert [(name, count) for _, name, count in names][:2] == [("Heart", "3"), ("HEART (old)", "1")]
    assert len(names) == 7
    named = staff_client.get(LIST, {"name": names[0][0]})
    assert rows(named) == ["Heart"] * 3
    assert "All structures named exactly “<bdi>Heart</bdi>”" in text(named)
    examples = re.findall(r'name="q" value="(.*?)"', text(page))
    assert examples == ["heart", "PTV*", "old heart"]
    for words in examples:
        assert rows(staff_client.post(LIST, {"q": words}, follow=True)), words


def test_an_empty_archive_says_so(staff_client):
    assert "No structure is here yet." in text(staff_client.get(LIST))


def test_nothing_found_names_what_is_near(archive, search):
    page = search("haert")
    assert "No structure matches “<bdi>haert</bdi>”" in text(page)
    assert [(one.word, one.found) for one in page.context["near"]] == [("Heart", "5 structures")]
    meant = page.context["near"][0].typed
    assert f'action="{LIST}"' in text(page)
    assert len(rows(search(meant))) == 5
    assert not search("heart qqq").context["near"]


def test_what_is_typed_is_understood_as_in_every_search(import_zip, search, staff_client):
    anna, josef = (
        {"PatientID": name, "PatientName": name, "StudyInstanceUID": uid(number),
         "SeriesInstanceUID": uid(number, 1), "StudyDate": f"202{number}0313"}
        for number, name in enumerate(("Müller^Anna", "Huber^Josef"), 1)
    )  # fmt: skip
    import_zip(
        *(rt_structure_set(["Heart", "CT"], **whose) for whose in (anna, josef)),
        mr_image(**anna | {"SeriesInstanceUID": uid(1, 2)}),
    )
    for typed, found in (
        *(("heart", 2), ("heart muller", 1), ("heart MR", 1), ("heart 2022", 1), ("heart CT", 0)),
        *(("CT", 2), ('"CT" MR', 1), ("muller", 0), (f"heart {uid(2)}", 1), (uid(2), 0)),
    ):
        assert len(rows(search(typed))) == found, typed
    page = search("heart müller MR 2021")
    address = page.redirect_chain[0][0]
    assert re.fullmatch(r"/dicom/structures/\?q=\d+&modality=MR&when=2021", address)
    assert 'value="heart müller MR 2021"' in text(page)
    assert [one.label for one in page.context["understood"]] == [
        *("“heart müller”", "modality MR", "2021"),
    ]
    assert "Look for <bdi>&quot;heart müller MR 2021&quot;</bdi> as words" in text(page)
    narrowed = chips(page)["Heart"][1]
    assert {"modality=MR", "when=2021"} < {*narrowed.split("&")}
    assert rows(staff_client.get(f"{LIST}?{narrowed}")) == ["Heart"]
    link = re.search(r'href="(/dicom/structures/structures.csv\?[^"]*)"', text(page))[1]
    lines = b"".join(staff_client.get(link.replace("&amp;", "&")).streaming_content)
    assert lines.count(b"\n") == 2
    without_words = staff_client.get(f"{LIST}?{page.context['understood'][0].without}")
    assert "The most frequent names here" in text(without_words)


def test_what_is_gone_is_said(archive, search, staff_client):
    address = chips(search("heart"))["HEART (old)"][1]
    RTStructureROI.objects.filter(roi_name="HEART (old)").delete()
    page = staff_client.get(f"{LIST}?{address}")
    assert "was deleted since" in text(page)
    assert len(rows(page)) == 4
    over = staff_client.get(LIST, {"q": "5"})
    assert "no longer kept" in text(over)
    for odd in ("name=x", "name=99999999999999999999", "type=²", "after=-1", "before=zz"):
        assert staff_client.get(f"{LIST}?{odd}").status_code == 200


def test_pages_follow_each_other(archive, search, staff_client):
    structure_set = RTStructureSetInformation.objects.order_by("pk")[0]
    RTStructureROI.objects.bulk_create(
        RTStructureROI(rt_structure_set=structure_set, roi_number=n, roi_name=f"Rib {n}")
        for n in range(120)
    )
    page = search("rib")
    assert "120 structures of 1 patient in 1 set" in text(page)
    seen = [rows(page)]
    while step := re.search(r'href="\?([^"]*after=[^"]*)"', text(page)):
        page = staff_client.get(f"{LIST}?{step[1].replace('&amp;', '&')}")
        seen.append(rows(page))
    assert [len(some) for some in seen] == [50, 50, 20]
    assert [*chain(*seen)] == [f"Rib {n}" for n in reversed(range(120))]
    back = re.search(r'href="\?([^"]*before=[^"]*)"', text(page))[1].replace("&amp;", "&")
    assert rows(staff_client.get(f"{LIST}?{back}")) == seen[1]


def test_csv_has_all_rows_and_no_formula(archive, search, staff_client):
    structures_of(4, '=HYPERLINK("x")heart', label="+1")
    page = search("heart")
    link = re.search(r'href="(/dicom/structures/structures.csv\?[^"]*)"', text(page))[1]
    answer = staff_client.get(link)
    assert answer["Content-Disposition"].startswith('attachment; filename="structures-2')
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    table = [*csv.DictReader(lines)]
    assert len(table) == 6
    assert table[0]["structure"] == '\'=HYPERLINK("x")heart'
    assert table[0]["structure set"] == "'+1"
    assert table[1]["patient ID"] in {"P1", "P2", "P3"}
    assert "points" not in "".join(lines)
    assert staff_client.get("/dicom/structures/structures.csv").url == LIST


def test_a_page_takes_as_many_queries_for_many_rows(
    archive, search, staff_client, django_assert_num_queries
):
    few = search("ptv").redirect_chain[0][0]
    many = search("e").redirect_chain[0][0]
    assert len(rows(staff_client.get(few))) < len(rows(staff_client.get(many)))
    index = connection.vendor == "sqlite"  # whether it is made is asked
    for address in few, many:
        with django_assert_num_queries(11 + index):
            staff_client.get(address)
    with django_assert_num_queries(4):
        staff_client.get(LIST)


@pytest.fixture
def given(client, django_user_model):
    """A client of a member of staff with these permissions."""

    def sign_in(*names: str):
        user = django_user_model.objects.create_user(" ".join(names), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return sign_in


def test_who_may_not_see_patients_sees_none(archive, given):
    client = given("view_rtstructureroi")
    page = client.post(LIST, {"q": "heart"}, follow=True)
    assert len(rows(page)) == 5
    assert "Number 1" not in text(page)
    assert "structure-sets/" not in text(page)
    link = re.search(r'href="(/dicom/structures/structures.csv\?[^"]*)"', text(page))[1]
    lines = b"".join(client.get(link).streaming_content).decode()
    assert "Number 1" not in lines
    assert "Plan1" not in lines
    roi = RTStructureROI.objects.order_by("pk")[0]
    page = text(client.get(reverse("structure", args=[roi.pk])))
    assert "Number 1" not in page
    assert "Images that it lies on" not in page


HOSTILE = "<script>alert(1)</script>\"'&\u202eevil"


def test_names_from_files_are_harmless(search, staff_client):
    structure_set = structures_of(5, HOSTILE, label="<b>x</b>", rt_roi_interpreted_type=HOSTILE)
    urls = [
        reverse("structure_set", args=[structure_set.pk]),
        reverse("structure", args=[structure_set.rois.get().pk]),
        LIST,
        search("alert").redirect_chain[0][0],
    ]
    for url in urls:
        page = text(staff_client.get(url))
        assert "&lt;script&gt;" in page, url
        assert "<script>alert" not in page, url
        assert "\u202e" not in page, url


def test_a_long_name_is_found_too(search, staff_client):
    name = "Ö" * 900 + " end"
    structures_of(6, name)
    [named] = rows(search("ooo end"))
    assert named == name
    pk = RTStructureROI.objects.get().pk
    assert rows(staff_client.get(LIST, {"name": pk})) == [name]
