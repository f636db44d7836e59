"""The first page: what it shows, to whom, and what it costs."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission

from app.models import DICOMFile, Status
from app.uploads import claims
from tests.making.objects import ct_image

HOME = "/admin/"


@pytest.fixture
def page_of(client, django_user_model):
    """The first page, as somebody with these permissions sees it."""

    def get(*codenames: str) -> str:
        user = django_user_model.objects.create_user("anna", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client.get(HOME).content.decode()

    return get


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


def test_it_says_what_runs_what_went_wrong_and_what_came_last(staff_client, import_zip, upload_zip):
    bad, good, waiting = import_zip(("a.txt", b"x")), import_zip(ct_image()), upload_zip(ct_image())
    claims.queue([waiting.pk])
    page = staff_client.get(HOME).content.decode()
    running, attention, last = (page.partition(f'id="home-{part}"')[2].partition("</section>")[0]
                                for part in ("running", "attention", "last"))  # fmt: skip
    assert "Running now (1)" in running
    assert waiting.name in running
    assert "Needs attention (1)" in attention
    assert f"/dicom/result/{bad.pk}/" in attention
    assert "The ZIP holds no DICOM files. Check that it is the right one." in attention
    assert good.name not in attention
    assert all(upload.name in last for upload in (bad, good, waiting))


def test_where_there_is_nothing_it_says_so(staff_client):
    page = staff_client.get(HOME).content.decode()
    for words in ("Nothing is being processed.", "Nothing needs attention.", " free of "):
        assert words in page
    assert "Nothing has been uploaded yet." in page


def test_the_disk_s_bar_is_as_full_as_its_words_say(staff_client, monkeypatch):
    kept_for_root = SimpleNamespace(total=1000, used=300, free=100)  # 600 only root may write to
    monkeypatch.setattr("shutil.disk_usage", lambda path: kept_for_root)
    page = staff_client.get(HOME).content.decode()
    assert 'value="90"' in page
    assert "100 bytes free of 1 kB" in page


def test_only_who_may_upload_is_offered_to(page_of):
    page = page_of("view_dicomfile")
    assert 'type="file"' not in page
    assert "Last uploads" in page


def test_only_who_may_see_uploads_sees_them(page_of, import_zip):
    upload = import_zip(("a.txt", b"x"))
    page = page_of("add_dicomfile", "view_patient")
    assert 'type="file"' in page
    assert upload.name not in page
    assert "Needs attention" not in page
    assert " free of " not in page


def test_who_may_do_nothing_is_told_whom_to_ask(page_of):
    assert "Ask the administrator" in page_of()


def test_one_s_own_uploads_are_shown_where_the_address_asks_for_them(staff_client, staff_user):
    for name, whose in {"mine.zip": staff_user, "theirs.zip": None}.items():
        values = {"processing_status": Status.FAILED, "uploaded_by": whose}
        DICOMFile.objects.create(original_name=name, **values)
    page = staff_client.get(HOME).content.decode()
    assert (page.count("mine.zip"), page.count("theirs.zip")) == (2, 2)
    page = staff_client.get(HOME, {"whose": "mine"}).content.decode()
    assert (page.count("mine.zip"), page.count("theirs.zip")) == (2, 0)
    assert "Nothing of yours is being processed." in page
    assert '?whose=mine">Show all my uploads</a>' in page


def test_it_takes_the_same_queries_for_every_number_of_uploads(
    staff_client, django_assert_num_queries
):
    for count in (1, 7):
        for number in range(count):
            DICOMFile.objects.create(original_name=f"{number}.zip", processing_status=Status.FAILED)
            waiting = DICOMFile.objects.create(original_name=f"{number}.zip", file="x")
            claims.queue([waiting.pk])
        # Session and user; what runs, for the header; the running, their places in the queue and
        # their number; the failed and their number; the last.
        with django_assert_num_queries(9):
            staff_client.get(HOME)
