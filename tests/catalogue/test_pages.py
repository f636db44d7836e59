"""The pages of a patient, a study and a series."""

import re
from collections.abc import Sequence
from datetime import date

import pytest
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.urls import reverse

from app.catalogue import below, origins
from app.catalogue.stacks import RECENT
from app.models import (
    ArchiveMember,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    Link,
    LinkKind,
    Outcome,
    Patient,
    RTStructureSetInformation,
)
from tests.making.objects import (
    RT_PLAN,
    ct_image,
    frame_reference,
    mr_image,
    roi,
    rt_structure_set,
    structured_report,
    uid,
)

pytestmark = pytest.mark.django_db

AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]
SAGITTAL = [0, 1, 0, 0, 0, -1]
EQUIPMENT = {
    "InstitutionName": "Hospital",
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Scanner 7",
    "StationName": "CT1",
    "SpacingBetweenSlices": "2.5",
}
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def show(staff_client):
    """The text of a row's page."""

    def get(row, **asked: object) -> str:
        response = staff_client.get(address(row), asked)
        assert response.status_code == 200
        return response.content.decode()

    return get


def address(row) -> str:
    names = {Patient: "patient", DICOMStudy: "study", DICOMSeries: "series"}
    return reverse(names[type(row)], args=[row.pk])


def words(page: str) -> str:
    """What a page says, on one line."""
    body = page.partition("<main")[2]
    return " ".join(re.sub("<[^>]*>", " ", body).split())


@pytest.fixture
def series(rows) -> DICOMSeries:
    """A series without any objects."""
    ImageInformation.objects.all().delete()
    rows.dicom_series.instances.all().delete()
    return rows.dicom_series


def add(
    series: DICOMSeries,
    position: Sequence[float] | None = None,
    number: int | None = None,
    plane: Sequence[float] = AXIAL,
    upload: DICOMFile | None = None,
    **geometry: object,
) -> DICOMInstance:
    """One more object of a series; an image where it has a position."""
    instance = DICOMInstance.objects.create(
        dicom_series=series, sop_instance_uid=f"1.{DICOMInstance.objects.count()}", path="x",
        size=1, sha256="0" * 64, instance_number=number, upload=upload, rows=2, columns=3,
    )  # fmt: skip
    if position:
        ImageInformation.objects.create(
            dicom_instance=instance, image_position_patient=position,
            image_orientation_patient=plane, **geometry,
        )  # fmt: skip
    return instance


def numbers(series: DICOMSeries, **asked: object) -> list[int | None]:
    """The numbers of a series' objects, in the order of its page."""
    address = RequestFactory().get("/", asked).GET
    found = below.objects_along(series, below.geometry_of(series).normal, address)
    return [one.instance_number for one in found.page.rows]


# --- what was imported -----------------------------------------------------------------------


def test_an_import_is_looked_through_from_the_patient_to_its_objects(import_zip, show):
    later = {"StudyInstanceUID": uid(3), "StudyDescription": "Later", "StudyDate": "20250101"}
    undated = {"StudyInstanceUID": uid(4), "StudyDescription": "Undated", "StudyDate": None}
    plan = {"SOPClassUID": RT_PLAN, "Modality": "RTPLAN", "SeriesInstanceUID": uid(2, 6)}
    report = {"SeriesInstanceUID": uid(2, 7), "SeriesDescription": "Findings"}
    import_zip(
        ("folder/a.dcm", ct_image(**EQUIPMENT)),
        mr_image(SeriesInstanceUID=uid(3, 1), SOPInstanceUID=uid(3, 1, 1), **later),
        ct_image(SeriesInstanceUID=uid(4, 1), SOPInstanceUID=uid(4, 1, 1), **undated),
        *(rt_structure_set(), structured_report(**plan), structured_report(**report)),
    )
    for modality in ("CT", "MR", "RTSTRUCT", "RTPLAN", "SR"):
        images = modality in ("CT", "MR")
        DICOMSeries.objects.filter(modality=modality).update(image_count=images, instance_count=1)
    images = DICOMSeries.objects.get(series_instance_uid=uid(2, 1))
    structure_set = DICOMInstance.objects.get(modality="RTSTRUCT").rt_structure_set
    the_patient_leads_to_every_series(show(Patient.objects.get()))
    the_study_shows_what_is_in_it(show(images.dicom_study), structure_set.pk)
    the_series_says_what_it_is_in_words(show(images), structure_set.pk)


def the_patient_leads_to_every_series(page: str) -> None:
    assert page.index("Later") < page.index("Planning") < page.index("Undated")
    for series in DICOMSeries.objects.all():
        assert f'href="{address(series)}"' in page
    said = words(page)
    assert "1 Jan 2025 accession A1" in said
    assert "no date" in said
    assert "Radiotherapy: 1 structure set and 1 plan" in said


def the_study_shows_what_is_in_it(page: str, structure_set: int) -> None:
    said = words(page)
    assert f"Thorax CHEST · 3 mm · 0.5 {TIMES} 0.75 mm 1" in said
    assert "RTSTRUCT Plan1" in said
    assert "Plan1 structure set · 13 Mar 2024 · unapproved · 1 structure 1 of 1 image here" in said
    assert "RT plan · no. 7" in said
    assert "Findings Structured report" in said
    plan = DICOMInstance.objects.get(modality="RTPLAN")
    assert f'href="{reverse("header", args=[plan.pk])}"' in page
    # Of the images that it is on, and of its own.
    assert page.count(f'href="{reverse("structure_set", args=[structure_set])}"') == 2


def the_series_says_what_it_is_in_words(page: str, structure_set: int) -> None:
    said = words(page)
    for fact in (
        *("Computed tomography", "Number 3", "Thickness 3 mm", f"Spacing 0.5 {TIMES} 0.75 mm"),
        *("Orientation axial", "SOP class CT Image Storage", "Body part CHEST"),
        *("Transfer syntax Explicit VR Little Endian", f"Frame of reference {uid(2, 9)}"),
        *("Institution Hospital", "Manufacturer Maker", "Model Scanner 7", "Station CT1"),
        *(
            "Slices every 2.5 mm",
            "Structure sets Plan1 (1 image)",
            "folder/a.dcm",
            f"no. 7 -30.25 mm 3 {TIMES} 2",
        ),
    ):
        assert fact in said
    instance = DICOMInstance.objects.get(dicom_series__series_instance_uid=uid(2, 1))
    assert f'href="{reverse("header", args=[instance.pk])}"' in page
    assert f'href="{address(instance.dicom_series.dicom_study)}"' in page
    assert f'href="{reverse("structure_set", args=[structure_set])}"' in page


def test_a_flagged_patient_is_compared_on_its_page_and_the_answer_leads_back(
    import_zip, show, staff_client
):
    import_zip(ct_image(), ct_image(SOPInstanceUID=uid(9), PatientName="Someone^Else"))
    patient = Patient.objects.get()
    page = show(patient)
    assert page.index("Someone, Else") < page.index("Planning")  # the card comes first
    shown = patient.identities.filter(is_open=True).values_list("pk", flat=True)
    data = {"answer": "one", "identity": list(shown)}
    answered = staff_client.post(reverse("answer_identity", args=[patient.pk]), data, follow=True)
    assert answered.redirect_chain[-1][0] == address(patient)
    assert "One person, says" in words(answered.content.decode())


def test_hostile_text_is_shown_as_text(import_zip, show):
    hostile = "<script>alert(1)</script>\u202e"
    named = ("PatientName", "StudyDescription", "SeriesDescription", "StructureSetLabel")
    keywords = dict.fromkeys(named, hostile) | {"Modality": "<b>", "BodyPartExamined": "<i>x"}
    keywords |= {"SpecificCharacterSet": "ISO_IR 192", "charset": "utf-8"}
    structures = rt_structure_set([roi(1, "<b>")], **keywords)
    import_zip((f"{hostile}.dcm", ct_image(**keywords)), structures)
    DICOMSeries.objects.update(image_count=1)
    for row in (*Patient.objects.all(), *DICOMStudy.objects.all(), *DICOMSeries.objects.all()):
        page = show(row)
        assert "&lt;script&gt;alert" in page
        for tag in ("<script>alert", "<b>", "<i>x", "\u202e"):
            assert tag not in page


def test_a_study_of_structures_alone_says_which_images_they_wait_for(import_zip, show):
    named = frame_reference(series=uid(7), sops=[uid(7, n) for n in range(40)])
    import_zip(rt_structure_set(ReferencedFrameOfReferenceSequence=[named]))
    study = DICOMStudy.objects.get()
    said = words(show(study))
    assert (
        f"Only structures: their images are not here (0 of 41 of series {uid(7)} ). "
        "They link by themselves when they arrive." in said
    )
    assert "0 of 41 images here 41 images: not imported so far." in said
    import_zip(ct_image(StudyInstanceUID=uid(8)))  # one of them, in another study
    assert "1 of 41 images here" in words(show(study))
    assert "Only structures" not in words(show(study))


# --- where it came from ----------------------------------------------------------------------


def test_a_page_says_which_uploads_its_objects_came_with_and_who_sent_them(series, show):
    anna = DICOMFile.objects.order_by("pk")[0].uploaded_by
    uploads = [
        DICOMFile.objects.create(original_name=f"{n}.zip", uploaded_by=anna)
        for n in range(origins.NAMED + 2)
    ]
    for number, upload in enumerate([*uploads, uploads[-1], None]):
        add(series, number=number, upload=upload)
    for row in (series, series.dicom_study, series.dicom_study.patient):
        came = words(show(row)).partition("Came from")[2].partition("More")[0]
        assert re.match(rf" 6\.zip 2 objects · .*, by {anna.username} 5\.zip 1 object · ", came)
        assert came.count(".zip") == origins.NAMED
        assert "and 2 more uploads" in came
        assert "1 object of uploads that were deleted" in came


def test_only_so_many_objects_are_looked_through_for_where_they_came_from(
    series, show, monkeypatch
):
    monkeypatch.setattr(origins, "LOOKED_AT", 2)
    for number in range(3):
        add(series, number=number)
    assert "Of the first 2 objects." in words(show(series.dicom_study))


def test_an_object_says_what_its_file_is_called_in_the_zip_that_it_came_with(series, show):
    first, second = DICOMFile.objects.order_by("pk")
    instance = add(series, number=1, upload=first)
    for upload, name, outcome in (
        (first, "a.dcm", Outcome.IMPORTED),
        (first, "again.dcm", Outcome.DUPLICATE),
        (second, "b.dcm", Outcome.IMPORTED),  # of a version that was replaced
    ):
        ArchiveMember.objects.create(
            upload=upload, index=ArchiveMember.objects.count(), size=1, name=name,
            outcome=outcome, instance=instance,
        )  # fmt: skip
    assert re.findall(r"\w+\.dcm", show(series)) == ["a.dcm"]


# --- how they are sorted ---------------------------------------------------------------------


def test_objects_are_sorted_along_the_normal_of_their_images(series, show):
    for number, z in enumerate((30, -2.5, 10), 1):
        add(series, [0, 0, z], number)
    add(series, None, 4)
    assert numbers(series) == [2, 3, 1, 4]
    said = words(show(series))
    assert re.search(r"no\. 2 -2\.5 mm .* no\. 3 10 mm .* no\. 1 30 mm .* no\. 4 3 ", said)


def test_of_a_very_long_series_only_a_page_is_read(series, monkeypatch):
    for number in (3, 1, None, 2):
        add(series, [0, 0, 9], number)
    DICOMSeries.objects.filter(pk=series.pk).update(instance_count=4)
    series.refresh_from_db()
    monkeypatch.setattr(below, "LONGEST_SORTED", 3)
    monkeypatch.setattr(below, "OBJECTS", 2)
    address = RequestFactory().get("/").GET
    found = below.objects_along(series, None, address)
    assert [one.instance_number for one in found.page.rows] == [1, 2]
    assert found.positions == {one.pk: None for one in found.page.rows}  # and of no others
    last = found.page.rows[-1].pk
    assert numbers(series, after=last) == [3, None]
    ImageInformation.objects.update(slice_thickness=1)
    ImageInformation.objects.filter(dicom_instance__in=series.instances.order_by("-pk")[:1]).update(
        slice_thickness=2
    )
    assert below.geometry_of(series).thickness == "1 mm"  # of the first ones


def test_tilted_images_are_sorted_along_their_own_normal(series):
    for number, x in enumerate((5, -20, 1), 1):
        add(series, [x, -x, 7], number, SAGITTAL)
    assert numbers(series) == [1, 3, 2]  # the normal looks to the patient's right


def test_images_that_lie_in_several_ways_are_sorted_by_number(series, show):
    add(series, [0, 0, 1], 2, slice_thickness=3)
    add(series, [0, 0, 2], 1, CORONAL, slice_thickness=5, pixel_spacing=[1, 1])
    add(series, None, None)
    assert numbers(series) == [1, 2, None]
    said = words(show(series))
    assert re.search("Orientation (axial; coronal|coronal; axial)", said)
    assert "Thickness 3 to 5 mm" in said
    assert "Position" not in said  # there is no one direction to count along


def test_images_of_one_place_are_sorted_by_number(series):
    for number, z in ((2, 0.1 + 0.2), (1, 0.3)):  # 5e-17 mm apart
        add(series, [0, 0, z], number)
    assert numbers(series) == [1, 2]


def test_a_broken_geometry_costs_a_page_nothing(series, show):
    skew = [0.6, 0.8, 0, 0, 0, 1]
    add(series, [-1.7e308, 1.7e308, 1e-323], 1, skew, slice_thickness=1e300, pixel_spacing=[0, 9])
    add(series, [1], 2, skew)
    add(series, [0, 0, 0], 3, skew)
    assert numbers(series) == [3, 1, 2]
    ImageInformation.objects.update(image_orientation_patient=[0] * 6)
    said = words(show(series))
    assert "Thickness 1e+300 mm" in said
    assert "Orientation" not in said


# --- page by page ----------------------------------------------------------------------------


def test_the_objects_of_a_long_series_come_page_by_page(series, show, monkeypatch):
    monkeypatch.setattr(below, "OBJECTS", 2)
    pks = [add(series, [0, 0, z], number).pk for number, z in enumerate((4, 4, 3, 1, 2))]
    assert numbers(series) == [3, 4]
    assert numbers(series, after=pks[4]) == [2, 0]
    assert numbers(series, after=pks[0]) == [1]
    assert numbers(series, before=pks[1]) == [2, 0]
    folded = show(series)
    assert '<details class="objects" id="objects">' in folded
    assert f'href="?after={pks[4]}#objects"' in folded
    assert 'id="objects" open>' in show(series, after=pks[4])


def test_a_patients_many_studies_come_page_by_page(rows, show, monkeypatch):
    monkeypatch.setattr(below, "STUDIES", 2)
    patient = rows.dicom_series.dicom_study.patient  # with a study without date
    DICOMStudy.objects.bulk_create(
        DICOMStudy(
            patient=patient, study_instance_uid=f"2.{n}", study_description=f"Study {n}",
            study_date=date(2024, 1, 1 + n // 2),  # two a day
        )
        for n in range(4)
    )  # fmt: skip
    page = show(patient)
    seen = re.findall("<bdi>(Study \\d|Study without)", page)
    while older := re.search(r"\?after=(\d+)", page):
        page = show(patient, after=older[1])
        seen += re.findall("<bdi>(Study \\d|Study without)", page)
    assert seen == ["Study 3", "Study 2", "Study 1", "Study 0", "Study without"]
    newer = show(patient, before=re.search(r"\?before=(\d+)", page)[1])
    assert re.findall("<bdi>(Study \\d)", newer) == ["Study 1", "Study 0"]
    for nowhere in ("x", "9" * 30, "-1", "999999"):
        assert "Study 3" in show(patient, after=nowhere, before=nowhere)


def test_of_many_series_the_first_stand_for_a_study(rows, show):
    study = rows.dicom_series.dicom_study  # with a series without images
    for number in range(1, below.MARKS + 3):
        DICOMSeries.objects.create(
            dicom_study=study, series_instance_uid=f"3.{number}", series_number=number,
            series_description=f"Series {number}", image_count=number > 1,
        )  # fmt: skip
    DICOMStudy.objects.update(series_count=below.MARKS + 3)
    page = show(study.patient)
    assert re.findall("</span>(Series \\d|no description)", page) == [
        f"Series {number}" for number in range(2, below.MARKS + 2)
    ]
    assert "and 3 more series of this study" in words(page)


def test_a_study_of_many_series_comes_page_by_page(rows, show, monkeypatch):
    monkeypatch.setattr(below, "SERIES", 2)
    study = rows.dicom_series.dicom_study  # with a series without number
    for number in (9, 1):
        DICOMSeries.objects.create(
            dicom_study=study, series_instance_uid=f"3.{number}", series_number=number,
            series_description=f"Series {number}",
        )  # fmt: skip
    page = show(study)
    assert re.findall("<bdi>(Series \\w+)", page) == ["Series 1", "Series 9"]
    later = show(study, after=re.search(r"\?after=(\d+)", page)[1])
    assert re.findall("<bdi>(Series \\w+)", later) == ["Series without"]


def test_a_study_that_another_patient_has_too_warns(rows, show):
    DICOMStudy.objects.update(uid_shared=True)
    study = rows.dicom_series.dicom_study
    for row in (study, study.patient):
        assert "Also under another patient." in show(row)


# --- what they cost, and for whom ------------------------------------------------------------


def test_the_pages_take_as_many_queries_for_much_as_for_little(
    rows, staff_client, django_assert_num_queries
):
    study = rows.dicom_series.dicom_study
    series = more_below(study, 0)
    # Three of them look at series whose completeness was not looked at yet.
    pages = {study.patient: 14, study: 27, series: 21}
    for row, queries in pages.items():
        staff_client.get(address(row))  # the first look is written down
        RECENT.forget()
        with django_assert_num_queries(queries):
            staff_client.get(address(row))
    for number in range(1, 6):
        another = DICOMStudy.objects.create(patient=study.patient, study_instance_uid=f"2.{number}")
        for one in (study, another):
            more_below(one, number)
        add(series, [0, 0, number], number, upload=DICOMFile.objects.create())
    RECENT.forget()  # nothing counted the changes of these
    for row, queries in pages.items():
        with django_assert_num_queries(queries):
            staff_client.get(address(row))
    with django_assert_num_queries(pages[series] - 2):  # its stacks are known
        staff_client.get(address(series))


def more_below(study: DICOMStudy, number: int) -> DICOMSeries:
    """Add series of several kinds to a study; the one with images, which a structure set is on."""
    made = {
        modality: DICOMSeries.objects.create(
            dicom_study=study, series_instance_uid=f"3.{number}.{modality}", modality=modality,
            image_count=modality == "MR", instance_count=1,
        )
        for modality in ("MR", "RTSTRUCT", "RTPLAN", "SR")
    }  # fmt: skip
    image, structures, *_ = (
        add(one, [0, 0, 0], 1, upload=DICOMFile.objects.create()) for one in made.values()
    )
    RTStructureSetInformation.objects.create(dicom_instance=structures)
    link = {"source": structures, "patient": study.patient}
    Link.objects.create(kind=LinkKind.SERIES, series=made["MR"], **link)
    Link.objects.create(kind=LinkKind.IMAGE, instance=image, **link)
    return made["MR"]


def test_who_may_see_less_is_shown_and_led_to_less(rows, client, django_user_model):
    series = rows.dicom_series
    DICOMSeries.objects.update(image_count=1)
    ArchiveMember.objects.update(name="secret.dcm")
    user = django_user_model.objects.create_user("looker", is_staff=True)
    client.force_login(user)
    study, patient = series.dicom_study, series.dicom_study.patient
    needed = {patient: "view_patient", study: "view_dicomstudy", series: "view_dicomseries"}
    for row, permission in needed.items():
        user.user_permissions.clear()
        unknown = type(row)(pk=999_999)
        assert [client.get(address(one)).status_code for one in (row, unknown)] == [403, 403]
        user.user_permissions.set(Permission.objects.filter(codename=permission))
        page = client.get(address(row)).content.decode().partition("<main")[2]
        assert set(re.findall('href="([^"]+)', page)) <= {address(row)}
        assert ".zip" not in page
        assert "secret" not in page
        assert ("Doe" in page) == (row is patient)
