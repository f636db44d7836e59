"""Studies that nobody deletes: said with a reason, shown, kept by every way, and taken off."""

import pytest
from django.db import connection
from django.urls import reverse

from app.accounts import roles
from app.catalogue import removal
from app.errors import Protected
from app.health.verify import verify
from app.models import (
    AuditEntry,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Kind,
    Patient,
    Protection,
)
from app.uploads import claims
from tests.conftest import process
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.database

FILED = (Patient, DICOMStudy, DICOMSeries, DICOMInstance)
WORDS = "Protected by boss on "
WHY = ": Trial <7>. Take the protection off first."


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


@pytest.fixture
def boss(client, django_user_model):
    user = django_user_model.objects.create_user("boss", is_staff=True)
    roles.give(user, "Manager")
    client.force_login(user)
    return client


@pytest.fixture
def two_studies(import_zip):
    """Two studies of one patient; the first is to be protected."""
    image = ct_image(SOPInstanceUID=uid(3, 9), StudyInstanceUID=uid(8))
    return import_zip(ct_image(SOPInstanceUID=uid(3, 1)), image)


def first_of(model):
    return model.objects.order_by("pk")[0]


def protect(client, reason="Trial <7>.", **more):
    path = reverse("protect_study", args=[first_of(DICOMStudy).pk])
    return client.post(path, {"reason": reason, **more}, follow=True)


def text(response) -> str:
    return " ".join(response.content.decode().split())


def test_it_is_said_with_a_reason_shown_and_taken_off_with_a_reason(boss, two_studies):
    assert protect(boss, reason=" ").status_code == 400
    assert not Protection.objects.exists()
    page = text(protect(boss))
    assert "The study is protected: it cannot be deleted." in page
    assert "Protected from deletion by <bdi>boss</bdi>" in page
    assert "<bdi>Trial &lt;7&gt;.</bdi>" in page
    assert "Take the protection off…" in page
    assert "Somebody has protected the study already." in text(protect(boss, reason="Again"))
    assert text(boss.get(reverse("study_list"))).count(">protected</span>") == 1
    patient = boss.get(reverse("patient", args=[Patient.objects.get().pk]))
    assert text(patient).count("Protected from deletion by") == 1
    page = text(protect(boss, reason="The trial is over", off="1"))
    assert "Protected from deletion by" not in page
    entries = AuditEntry.objects.filter(table="app.dicomstudy", who="boss").order_by("pk")
    assert list(entries.exclude(kind=Kind.VIEWED).values_list("kind", "words")) == [
        (Kind.PROTECTED, "From deletion. Reason: Trial <7>."),
        (Kind.PROTECTION_REMOVED, "It can be deleted again. Reason: The trial is over"),
    ]
    removal.delete(first_of(DICOMStudy))
    assert DICOMStudy.objects.count() == 1


@pytest.mark.parametrize("model", FILED)
def test_nothing_of_a_protected_study_is_deleted(model, boss, two_studies):
    protect(boss)
    row, entries = first_of(model), AuditEntry.objects.filter(kind__startswith="delete")
    with pytest.raises(Protected):
        removal.delete(row)
    name = model._meta.model_name
    one = reverse(f"admin:app_{name}_delete", args=[row.pk])
    chosen = {"action": "delete_selected_rows", "_selected_action": [row.pk]}
    many = reverse(f"admin:app_{name}_changelist")
    for page in (
        *(boss.get(one), boss.post(one, {"post": "yes", "reason": "Test"})),
        *(boss.post(many, chosen), boss.post(many, chosen | {"post": "yes", "reason": "Test"})),
    ):
        shown = text(page)
        assert WORDS in shown
        assert WHY.replace("<7>", "&lt;7&gt;") in shown
        assert 'name="post"' not in shown
    assert DICOMInstance.objects.count() == 2
    assert not entries.exists()


def test_of_many_protected_studies_the_page_says_how_many_it_does_not_name(boss, import_zip):
    import_zip(*(ct_image(SOPInstanceUID=uid(3, n), StudyInstanceUID=uid(n)) for n in range(12)))
    for study in DICOMStudy.objects.all():
        Protection.objects.create(study=study, reason="Trial <7>", said_by="boss")
    row = first_of(Patient)
    page = text(boss.get(reverse("admin:app_patient_delete", args=[row.pk])))
    assert page.count(WORDS) == 10
    assert "<li>and 2 more</li>" in page
    Protection.objects.filter(study__in=DICOMStudy.objects.order_by("pk")[:2]).delete()
    page = text(boss.get(reverse("admin:app_patient_delete", args=[row.pk])))
    assert page.count(WORDS) == 10
    assert " more</li>" not in page


def test_the_other_studies_of_the_patient_can_be_deleted(boss, two_studies):
    protect(boss)
    other = DICOMStudy.objects.order_by("-pk")[0]
    removal.delete(other)
    assert DICOMInstance.objects.count() == 1
    assert not list(verify())


class ProtectsInBetween:
    """Protects a study once a page has looked whether it is."""

    def __init__(self, study: DICOMStudy) -> None:
        self.study = study

    def __call__(self, execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if self.study and "app_protection" in sql:
            study, self.study = self.study, None
            Protection.objects.create(study=study, reason="Trial <7>", said_by="boss")
        return found


@pytest.mark.parametrize("way", ["page", "action"])
def test_one_that_is_protected_after_it_was_asked_stays(way, boss, two_studies):
    study = first_of(DICOMStudy)
    sent = {"post": "yes", "reason": "Test"}
    path = reverse("admin:app_dicomstudy_delete", args=[study.pk])
    if way == "action":
        path = reverse("admin:app_dicomstudy_changelist")
        sent |= {"action": "delete_selected_rows", "_selected_action": [study.pk]}
    with connection.execute_wrapper(ProtectsInBetween(study)):
        page = text(boss.post(path, sent, follow=True))
    assert WORDS in page
    assert DICOMInstance.objects.count() == 2
    assert not AuditEntry.objects.filter(kind__startswith="delete").exists()


def test_deleting_stops_where_somebody_protects_meanwhile(boss, import_zip, monkeypatch):
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 1)
    import_zip(*(ct_image(SOPInstanceUID=uid(3, n)) for n in range(3)))
    study = DICOMStudy.objects.get()
    assert removal._delete_some(study) == 1
    protect(boss)
    with pytest.raises(Protected):
        removal._delete_some(study)
    assert DICOMInstance.objects.count() == 2
    assert not list(verify())


def test_a_study_without_anything_below_it_stays_where_it_is_protected(boss, two_studies):
    protect(boss)
    DICOMInstance.objects.filter(dicom_series__dicom_study=first_of(DICOMStudy)).delete()
    first_of(DICOMSeries).delete()
    told = [one for one in verify(repair=True) if one.code == "childless"]
    assert [one.repaired for one in told] == [False]
    assert Protection.objects.exists()


def test_another_version_may_take_the_place_of_an_object_in_it(boss, import_zip):
    import_zip(ct_image())
    protect(boss)
    other = import_zip(ct_image(PatientPosition="FFS"))
    claims.queue([other.pk], use_versions=True)
    process(other)
    instance = DICOMInstance.objects.get()
    assert instance.upload == other
    assert len(instance.superseded) == 1
