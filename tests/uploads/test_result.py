"""What an upload's result page says first, and the list of files below."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.models import ArchiveMember, DICOMFile, DICOMSeries, Outcome
from app.uploads import claims
from app.uploads.listing import Filters, Listing
from tests.conftest import process
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


def result(client, upload: DICOMFile, **query) -> str:
    return client.get(reverse("upload_result", args=[upload.pk]), query).content.decode()


def listed(page: str) -> list[str]:
    """The names in the list of files."""
    return re.findall(r'class="member-name"><bdi>(.*?)</bdi>', page)


def image(number: int, series: int = 1, **more) -> bytes:
    return ct_image(SeriesInstanceUID=uid(4, series), SOPInstanceUID=uid(4, series, number), **more)


@pytest.fixture
def mixed(import_zip) -> DICOMFile:
    """An upload of every outcome."""
    import_zip(image(1), image(2))
    return import_zip(
        ("new", image(3)),
        ("known", image(1)),
        ("no study", image(4, StudyInstanceUID=None)),
        ("notes.txt", b"hello"),
        ("no series", ct_image(SeriesInstanceUID=None)),
        ("other", image(2, PatientPosition="FFS")),
        ("no study, too", image(6, StudyInstanceUID=None)),
    )


def test_what_failed_stands_first_by_reason_and_is_found_from_there(mixed, staff_client):
    page = result(staff_client, mixed)
    first = page.index("3 files could not be stored")
    assert first < page.index("needs your decision") < page.index("What changed in the catalogue")
    assert page.index("Study Instance UID is missing") < page.index(
        "Series Instance UID is missing"
    )
    shows = re.findall(r'href="\?(outcome=failed&amp;why=[^"#]+)#', page)
    assert len(shows) == 2
    why = ArchiveMember.objects.get(name="no study").detail
    found = result(staff_client, mixed, outcome="failed", why=why)
    assert listed(found) == ["no study", "no study, too"]
    assert "2 of 7 files" in found


def test_the_list_begins_with_what_went_wrong_or_goes_as_the_zip(mixed, staff_client):
    others = ["new", "known", "notes.txt"]
    assert listed(result(staff_client, mixed)) == [
        *("no series", "no study", "no study, too", "other"), *others,
    ]  # fmt: skip
    in_zip = list(mixed.members.order_by("index").values_list("name", flat=True))
    assert listed(result(staff_client, mixed, order="zip")) == in_zip
    assert listed(result(staff_client, mixed, order="zip", outcome="imported")) == ["new"]


def test_pages_of_every_size_hold_each_file_once(mixed):
    for query in ({}, {"order": "zip"}, {"words": "o"}, {"outcome": "failed"}):
        listing = Listing(mixed, Filters(**query))
        whole = listing[0 : listing.count()]
        assert len(set(whole)) == listing.count() > 2, query
        for size in (1, 2, 3, 7, 100):
            pages = [listing[at : at + size] for at in range(0, listing.count(), size)]
            assert [one for page in pages for one in page] == whole, (query, size)


def test_one_sentence_of_many_files_is_said_once(import_zip, staff_client):
    upload = import_zip(*(image(n, StudyInstanceUID=None) for n in range(5)))
    page = result(staff_client, upload)
    ledger = page[page.index("<tbody>") : page.index("Technical detail")]
    assert ledger.count("Study Instance UID is missing") == 1
    assert len(listed(page)) == 5


def test_a_file_is_named_with_its_series_and_patient_for_who_may_see_them(
    mixed, staff_client, client, django_user_model
):
    row = r"<bdi>CT Thorax</bdi></a>, <a [^>]+><bdi>Nobody, Nemo \(ID1\)</bdi>"
    assert re.search(row, result(staff_client, mixed, outcome="imported"))
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_dicomfile"))
    client.force_login(clerk)
    assert "ID1" not in result(client, mixed)


def test_of_what_was_here_before_it_is_said_where(import_zip, staff_client):
    import_zip(image(1), image(2))
    page = result(staff_client, import_zip(image(1), image(2)))
    assert "Where they are" in page
    assert '<span class="mark">2 images</span>' in page
    assert "mark-new" not in page


def test_what_is_only_to_be_decided_did_not_fail(import_zip, staff_client):
    import_zip(image(1))
    page = result(staff_client, import_zip(image(1, PatientPosition="FFS")))
    assert "Needs your decision" in page
    assert "Processing failed" not in page
    assert "Process again" not in page
    assert re.search(r'class="btn btn-primary[^>]+use-versions[^>]+>See what differs', page)
    assert "Where they are" in page


def test_versions_that_replaced_others_were_not_filed(import_zip, staff_client):
    import_zip(image(1), image(2))
    other = import_zip(image(1, PatientPosition="FFS"), image(2, PatientPosition="FFS"))
    claims.queue([other.pk], use_versions=True)
    process(other)
    words = "2 images of 1 patient were replaced by the versions in this ZIP."
    assert words in result(staff_client, other)
    more = import_zip(image(1), image(3), image(2, PatientPosition="FFS"))
    claims.queue([more.pk], use_versions=True)
    words = (
        "3 images of 1 patient: 1 newly imported, 1 replaced by the versions in this ZIP, "
        "1 already here."
    )
    assert words in result(staff_client, process(more))


def test_a_study_of_many_series_shows_ten_and_folds_the_rest(import_zip, staff_client):
    page = result(staff_client, import_zip(*(image(1, series) for series in range(12))))
    assert "2 more series" in page
    assert page.index("2 more series") > page.index("1 image</span>")
    assert page.count('<span class="mark">1 image</span>') == 12


def test_a_failed_upload_offers_what_helps(import_zip, staff_client):
    page = result(staff_client, import_zip(("a.txt", b"hello")))
    assert page.index("Processing failed") < page.index("Upload another ZIP")
    assert page.count("Delete this upload") == page.count("/delete/") == 1
    assert page.index("Technical detail") < page.index('aria-label="Stages"')


def test_what_was_done_with_an_upload_is_found_from_its_page(import_zip, staff_client):
    upload = import_zip(image(1))
    history = reverse("admin:app_dicomfile_history", args=[upload.pk])
    assert f'href="{history}"' in result(staff_client, upload).partition("Technical detail")[2]
    assert "Processing ended" in staff_client.get(history).content.decode()


def test_an_address_that_asks_for_nonsense_shows_the_whole_list(mixed, staff_client):
    whole = sum(mixed.outcomes[outcome] for outcome in Outcome)
    for query in ({"outcome": "nonsense"}, {"order": "x"}, {"page": "9" * 40}, {"why": "\0"}):
        assert len(listed(result(staff_client, mixed, **query))) == whole, query


# Use versions


@pytest.fixture
def two_series(import_zip) -> DICOMFile:
    """An upload with other versions of two images of one series, and of one of another."""
    import_zip(image(1), image(2), image(1, 2))
    other = {"PatientSex": "M"}
    return import_zip(image(1, **other), image(2, **other), image(1, 2, WindowCenter="7"))


def versions(client, upload: DICOMFile) -> str:
    return client.get(reverse("use_versions", args=[upload.pk])).content.decode()


def test_what_differs_is_told_of_all_objects_together(two_series, staff_client):
    page = re.sub(r"<[^>]+>|\s+", " ", versions(staff_client, two_series))
    words = re.sub(r" +", " ", page)
    assert "In 2 of 3 objects: Patient&#x27;s Sex O , now M tells whose object it is" in words
    assert words.index("Sex") < words.index("In 1 of 3 objects: Window Center")
    assert words.count("whose object it is") == 1


def test_the_versions_of_one_series_are_taken_alone(two_series, staff_client):
    page = versions(staff_client, two_series)
    chosen = re.findall(r'name="series" value="(\d+)"', page)
    assert len(chosen) == 2
    first = DICOMSeries.objects.order_by("pk")[0]
    url = reverse("use_versions", args=[two_series.pk])
    staff_client.post(url, {"choose": "1"})
    two_series.refresh_from_db()
    assert not two_series.is_queued
    staff_client.post(url, {"choose": "1", "series": [first.pk]})
    process(two_series)
    assert (two_series.imported_count, two_series.conflict_count) == (2, 1)
    assert first.instances.filter(upload=two_series).count() == 2
    assert two_series.members.get(outcome="conflict").instance.dicom_series != first


def test_who_may_not_see_what_differs_takes_no_versions(two_series, client, django_user_model):
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    allowed = ("view_dicomfile", "process_dicomfile", "use_versions_dicomfile")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    client.force_login(clerk)
    page = versions(client, two_series)
    assert "Only who may see what differs may use these versions." in page
    assert "Yes, use" not in page
    assert "now <bdi>" not in page
    assert client.post(reverse("use_versions", args=[two_series.pk])).status_code == 403


def test_of_many_objects_the_first_are_compared_and_that_is_said(
    two_series, staff_client, monkeypatch
):
    monkeypatch.setattr("app.views.COMPARED", 2)
    page = versions(staff_client, two_series)
    assert "What differs, in the first 2 of 3" in page
    assert "In 2 of 2 objects" in page


def test_one_object_is_looked_at_alone(two_series, staff_client):
    member = two_series.members.order_by("index")[2]
    url = reverse("use_versions", args=[two_series.pk])
    page = staff_client.get(url, {"member": member.pk}).content.decode()
    assert "Window Center" in page
    assert "All 3 objects together" in page
    assert "Yes, use" not in page
