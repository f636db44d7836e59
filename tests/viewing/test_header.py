"""The page of one object's attributes."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.models import DICOMInstance
from app.viewing import opening
from app.viewing.objects import before
from tests.conftest import searched
from tests.making.objects import ct_image, element, secondary_capture, uid

HOSTILE = "<script>alert(1)</script>\N{RIGHT-TO-LEFT OVERRIDE}"


def url_of(*numbers: int) -> str:
    pk = DICOMInstance.objects.get(sop_instance_uid=uid(*numbers)).pk
    return reverse("header", args=[pk])


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), InstanceNumber=str(number), **keywords)


@pytest.fixture
def get(staff_client):
    def page(url: str, **address: str) -> str:
        response = staff_client.get(url, address)
        assert response.status_code == 200
        return response.content.decode()

    return page


def test_what_an_object_is_and_where_it_came_from(get, import_zip):
    private = element(0x00290010, "LO", "SIEMENS CSA HEADER") + element(0x00291008, "CS", "IMAGE")
    private += element(0x00310010, "LO", "NOBODY KNOWS") + element(0x00311001, "LO", "mine")
    comments = (HOSTILE + 300 * "x").encode()
    upload = import_zip(
        (
            "CD/IM1",
            image(
                1,
                SpecificCharacterSet="ISO_IR 192",
                ImageComments=comments,
                PixelData=None,
                after=private,
            ),
        )
    )
    instance = upload.members.get().instance
    page = get(url_of(2, 1, 1))
    for words in (
        *("CT Image Storage", "Explicit VR Little Endian", instance.sha256),
        *(upload.original_name, "CD/IM1", reverse("upload_result", args=[upload.pk])),
        *("Nobody^Nemo", "(0010,0010)", 'title="PatientName"', "characters, show"),
        "Viewing is recorded.",
    ):
        assert words in page
    assert "<script>alert" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page
    assert reverse("study", args=[instance.dicom_series.dicom_study_id]) in page
    assert "Private too (4)" in page
    page = get(url_of(2, 1, 1), private="1")
    assert "CSA Image Header Type" in page
    assert "Private attribute <small><bdi>NOBODY KNOWS" in page


def test_uids_lead_to_what_is_here_of_the_same_patient_only(get, import_zip):
    referenced = [
        {"ReferencedSOPClassUID": uid(8), "ReferencedSOPInstanceUID": uid(2, 1, n)} for n in (2, 3)
    ]
    other = {"PatientID": "ID2", "StudyInstanceUID": uid(3), "SeriesInstanceUID": uid(3, 1)}
    import_zip(image(1, ReferencedImageSequence=referenced), image(2), image(3, **other))
    page = get(url_of(2, 1, 1))
    assert f'<a href="{url_of(2, 1, 2)}">{uid(2, 1, 2)}</a>' in page
    assert url_of(2, 1, 3) not in page
    assert uid(2, 1, 3) in page


def test_neighbours_and_the_previous_image_are_those_by_number(get, import_zip):
    import_zip(
        *(image(n, SliceLocation=str(n)) for n in (1, 3, 2)),
        ct_image(SOPInstanceUID=uid(2, 1, 9), InstanceNumber=None),
    )
    rows = DICOMInstance.objects.order_by("sop_instance_uid")
    assert [before(one, rows) for one in rows] == [None, *rows[:3]]
    page = get(url_of(2, 1, 2), differs="1")
    assert f'href="{url_of(2, 1, 1)}" rel="prev"' in page
    assert f'href="{url_of(2, 1, 3)}" rel="next"' in page
    assert "Slice Location" in page
    assert "Patient ID" not in page.partition("<table")[2]
    assert "Differs from previous image" not in get(url_of(2, 1, 1))


def test_words_are_posted_and_the_address_holds_a_number(get, staff_client, import_zip):
    import_zip(image(1))
    page = searched(staff_client, url_of(2, 1, 1) + "?private=1&first=1000", "nemo")
    address = page.request["QUERY_STRING"]
    assert "nemo" not in address
    assert "first" not in address
    assert "private=1" in address
    table = page.content.decode().partition("<table")[2]
    assert "Nobody^Nemo" in table
    assert "Study Date" not in table
    assert (
        "No attribute has these words"
        in searched(staff_client, url_of(2, 1, 1), "nowhere").content.decode()
    )


def test_a_file_that_is_gone_or_a_busy_server_is_said_in_a_sentence(
    staff_client, import_zip, processed_root, monkeypatch
):
    import_zip(image(1))
    url = url_of(2, 1, 1)
    monkeypatch.setattr(opening, "WAIT", 0.01)
    for _ in range(opening.AT_ONCE):
        assert opening.free.acquire(timeout=0)
    busy = staff_client.get(url)
    for _ in range(opening.AT_ONCE):
        opening.free.release()
    assert busy.status_code == 503
    assert "Load this page again in a moment." in busy.content.decode()
    (processed_root / DICOMInstance.objects.get().path).rename(processed_root / "elsewhere")
    gone = staff_client.get(url)
    assert "Its file cannot be read." in gone.content.decode()
    (processed_root / "elsewhere").rename(processed_root / DICOMInstance.objects.get().path)
    assert opening.free.acquire(timeout=0)
    opening.free.release()


def test_who_may_not_see_patients_sees_no_header(client, django_user_model, import_zip):
    import_zip(image(1))
    user = django_user_model.objects.create_user("somebody", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_dicominstance"))
    client.force_login(user)
    assert client.get(url_of(2, 1, 1)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_patient"))
    page = client.get(url_of(2, 1, 1)).content.decode()
    assert "Nobody^Nemo" in page
    assert "Came from" not in page


def test_the_page_takes_a_fixed_number_of_queries(get, import_zip, django_assert_num_queries):
    import_zip(*(image(n) for n in range(1, 6)), secondary_capture(SOPInstanceUID=uid(2, 1, 9)))
    for url in (url_of(2, 1, 3), url_of(2, 1, 9)):
        get(url)
    with django_assert_num_queries(13):
        get(url_of(2, 1, 3))
