"""Catalogue health: what the last check found, and a check that somebody asks for and stops."""

import pytest
from django.core.management import call_command
from django.urls import reverse

from app.accounts import roles
from app.derived import making
from app.health import nightly
from app.health.derived import KINDS
from app.models import AuditEntry, CatalogueCheck, DICOMInstance, Kind
from app.uploads import removal
from tests.making.objects import ct_image, uid

PAGE = "/dicom/health/"


@pytest.fixture
def administrator(client, django_user_model):
    user = django_user_model.objects.create_user("boss", is_staff=True)
    roles.give(user, "Administrator")
    client.force_login(user)
    return client


def text_of(client) -> str:
    return " ".join(client.get(PAGE).content.decode().split())


def test_an_empty_catalogue_says_so(db, administrator, media_root, processed_root):
    media_root.mkdir(exist_ok=True)
    page = text_of(administrator)
    for words in (
        "No check has run yet",
        "Nothing has been imported yet",
        "No upload keeps its ZIP",
    ):
        assert words in page


def test_it_tells_what_the_last_check_found(import_zip, administrator, processed_root):
    upload = import_zip(ct_image(), ct_image(PatientID="ID2", SOPInstanceUID=uid(2, 1, 2)))
    row = DICOMInstance.objects.order_by("pk")[0]
    (processed_root / row.path).unlink()
    removal.delete_upload(upload, with_archive=False)
    DICOMInstance.objects.filter(pk=row.pk).update(read_version=0)
    nightly.begin()
    nightly.go_on()
    page = text_of(administrator)
    assert '2 objects checked, <strong class="health-wrong">1 thing wrong</strong>' in page
    assert f"instance {row.pk}: Its file is missing." in page
    assert "verify_catalogue --repair" in page
    assert "Read by an older version of ICON: 1 object." in page
    assert "ZIPs that no upload lists: 1 (" in page
    assert "Nobody, Nemo" in page


def test_what_is_computed_is_counted_by_who_computes_it(import_zip, administrator):
    import_zip(ct_image())
    assert 'Completeness of series</th><td colspan="3">yet to be counted' in text_of(administrator)
    making.take_turn(KINDS)
    import_zip(ct_image(SeriesInstanceUID=uid(1, 2)))
    row = "Completeness of series</th><td>{}</td><td>0</td><td>0</td>"
    assert row.format(1) in text_of(administrator)
    assert "Counted <time" in text_of(administrator)
    call_command("derive")
    assert row.format(2) in text_of(administrator)


def test_a_check_is_asked_for_stopped_and_gone_on_with(import_zip, administrator):
    import_zip(ct_image())
    for _ in range(2):  # one at a time
        administrator.post(reverse("check_catalogue"))
    check = CatalogueCheck.objects.get()
    assert administrator.get(reverse("check_status")).json()["state"] == "waiting"
    CatalogueCheck.objects.update(part="counts", instance_count=1)
    administrator.post(reverse("stop_check"))
    administrator.post(reverse("stop_check"))
    assert administrator.get(reverse("check_status")).json()["state"] == "stopped"
    assert "Go on" in text_of(administrator)
    assert nightly.go_on() is None
    administrator.post(reverse("check_catalogue"))
    assert nightly.go_on().pk == check.pk
    assert administrator.get(reverse("check_status")).json()["state"] == "ended"
    assert CatalogueCheck.objects.get().instance_count == 1  # what was read is not read again
    entries = AuditEntry.objects.filter(table="app.cataloguecheck").order_by("pk")
    assert list(entries.values_list("kind", "row", "who")) == [
        (Kind.CHECK_ASKED, check.pk, "boss"),
        (Kind.CHECK_STOPPED, check.pk, "boss"),
        (Kind.CHECK_ASKED, check.pk, "boss"),
    ]


def test_who_is_at_a_check_that_is_stopped_lets_go_of_it(import_zip, monkeypatch):
    import_zip(ct_image())
    nightly.begin()
    check = CatalogueCheck.objects.get()
    check.run_id = "a run"
    check.save()
    run = nightly._Run(check)
    nightly.stop()
    with pytest.raises(nightly.LostCheck):
        run.reached("instances", "1")


@pytest.mark.parametrize("objects", [1, 4])
def test_the_number_of_queries_does_not_grow(
    import_zip, administrator, objects, django_assert_num_queries
):
    import_zip(*(ct_image(PatientID=f"P{n}", SOPInstanceUID=uid(2, n)) for n in range(objects)))
    nightly.begin()
    nightly.go_on()
    administrator.get(PAGE)
    with django_assert_num_queries(14):
        administrator.get(PAGE)
