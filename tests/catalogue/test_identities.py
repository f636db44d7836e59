"""One Patient ID that came with several identities: what is kept, asked, answered and shown."""

import threading
from datetime import date

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from app.catalogue import removal
from app.catalogue.comparison import MOST_CARDS
from app.health.reread import reread
from app.health.verify import verify
from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMStudy,
    Patient,
    PatientIdentity,
    RTStructureROI,
)
from app.uploads import ingest
from tests.making.objects import ct_image, rt_structure_set, uid

pytestmark = pytest.mark.database

OTHER = "Someone^Else"


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), **keywords)


def violations() -> list[str]:
    return [violation.sentence for violation in verify()]


def kept() -> dict[str, tuple[int, bool]]:
    """By name: how many objects give it, and whether that is asked about."""
    rows = PatientIdentity.objects.order_by("pk")
    return {row.patient_name: (row.instances.count(), row.is_open) for row in rows}


@pytest.fixture
def say(staff_client):
    """Answer as the card does, of all that it shows."""

    def answer(said: str, **data) -> None:
        patient = Patient.objects.get()
        page = staff_client.get(reverse("admin:app_patient_change", args=[patient.pk]))
        shown = [one.identity.pk for one in page.context["comparison"].others]
        url = reverse("answer_identity", args=[patient.pk])
        data = {"answer": said, "identity": shown, **data}
        assert staff_client.post(url, data).status_code == 302

    return answer


def asks(upload: DICOMFile) -> bool:
    upload.refresh_from_db()
    assert upload.needs_attention == (upload in DICOMFile.objects.needing_attention())
    return upload.needs_attention


# --- what is kept ----------------------------------------------------------------------------


def test_each_distinct_identity_is_kept_with_its_first_upload_and_objects(import_zip):
    first = import_zip(image(1), image(2), image(3, IssuerOfPatientID="A"))
    second = import_zip(
        image(4, PatientName=OTHER, PatientBirthDate="19700102"), image(5), image(1)
    )
    rows = PatientIdentity.objects.order_by("pk").values_list(
        "patient_name", "issuer_of_patient_id", "first_upload", "is_open"
    )
    assert list(rows) == [
        ("Nobody^Nemo", "", first.pk, False),
        ("Nobody^Nemo", "A", first.pk, False),
        (OTHER, "", second.pk, True),
    ]
    assert [row.instances.count() for row in PatientIdentity.objects.order_by("pk")] == [3, 1, 1]
    patient = Patient.objects.get()
    assert (patient.issuer_of_patient_id, patient.identity_differs) == ("A", True)
    assert not asks(first)
    assert asks(second)
    assert second.status_label == "Completed, needs attention"
    assert violations() == []


def test_only_what_both_give_and_give_otherwise_is_asked_about(import_zip):
    given = {"PatientBirthDate": "19700102", "PatientSex": "M", "IssuerOfPatientID": "A"}
    alike = (
        {"PatientName": "NOBODY^NEMO^^"},
        {"PatientName": None, "PatientSex": None},
        {"PatientBirthDate": None},
        {"IssuerOfPatientID": "a"},
        {"IssuerOfPatientID": None},
    )
    apart = (
        {"PatientBirthDate": "19010101"},
        {"PatientSex": "F"},
        {"IssuerOfPatientID": "B"},
    )

    def images(number: int, changes: tuple[dict, ...]) -> list[bytes]:
        return [
            image(number, **given | values, PatientID=f"{at}", StudyInstanceUID=uid(3, at))
            for at, values in enumerate(changes)
        ]

    import_zip(*images(1, ({},) * 8))
    assert asks(import_zip(*images(2, alike + apart)))
    asked = Patient.objects.order_by("unique_patient_id").values_list("identity_differs", flat=True)
    assert list(asked) == [False] * 5 + [True] * 3
    assert PatientIdentity.objects.count() == 16


def test_what_is_not_stored_brings_no_identity(import_zip):
    import_zip(image(1))
    conflict = import_zip(image(1, PatientName=OTHER))
    assert conflict.conflict_count == 1
    assert "Patient Name differs" in conflict.members.get().detail
    assert kept() == {"Nobody^Nemo": (1, False)}
    assert not Patient.objects.get().identity_differs


def test_a_batch_costs_no_more_the_more_objects_it_has(upload_zip):
    def queries(*objects) -> int:
        upload = upload_zip(*objects)
        with CaptureQueriesContext(connection) as found:
            ingest.run_upload(upload.pk)
        return len(found)

    queries(image(1))
    few = queries(image(2), image(3))
    assert queries(*(image(number) for number in range(4, 60))) == few


def test_what_may_be_another_person_s_is_not_taken_over(import_zip, say):
    import_zip(image(1, PatientBirthDate=None))
    import_zip(image(2, PatientName=OTHER, PatientBirthDate="19700102", IssuerOfPatientID="A"))
    patient = Patient.objects.get()
    assert (patient.patient_dob, patient.issuer_of_patient_id) == (None, "")
    say("one")
    patient.refresh_from_db()
    assert (patient.patient_dob, patient.issuer_of_patient_id) == (date(1970, 1, 2), "A")
    assert patient.patient_name == "Nobody^Nemo"


# --- what is answered ------------------------------------------------------------------------


def test_one_person_flags_no_more_until_another_value_comes(import_zip, say, staff_user):
    import_zip(image(1))
    second = import_zip(image(2, PatientName=OTHER, PatientBirthDate="19700102"))
    say("one")
    patient = Patient.objects.get()
    assert not asks(second)
    assert (patient.identity_differs, patient.identity_answer) == (False, "one")
    assert (patient.identity_answered_by, patient.identity_answered_as) == (staff_user, "staff")
    assert patient.identity_answered_at is not None
    same = import_zip(image(3, PatientName=OTHER), image(4, PatientBirthDate="19700102"))
    assert not asks(same)
    assert same.warning_count == 0
    assert asks(import_zip(image(5, PatientName="Third^One")))
    assert asks(import_zip(image(6, PatientName=OTHER, PatientBirthDate="19700103")))
    assert Patient.objects.get().identity_differs


def test_another_issuer_flags_also_after_one_person_was_said_of_a_name(import_zip, say):
    import_zip(image(1, IssuerOfPatientID="A"))
    import_zip(image(2, IssuerOfPatientID="A", PatientName=OTHER))
    say("one")
    upload = import_zip(image(3, IssuerOfPatientID="B", PatientName=OTHER))
    assert asks(upload)
    assert "Issuer Of Patient ID differs" in upload.members.get().detail
    say("one")
    assert not asks(upload)
    assert not asks(import_zip(image(4, IssuerOfPatientID="B")))


def test_an_answer_is_of_what_was_shown(import_zip, say):
    import_zip(image(1))
    seen = import_zip(image(2, PatientName=OTHER))
    shown = PatientIdentity.objects.get(is_open=True).pk
    meanwhile = import_zip(image(3, PatientName="Third^One"))
    say("one", identity=[shown])
    assert not asks(seen)
    assert asks(meanwhile)
    assert Patient.objects.get().identity_differs


def test_an_upload_asks_until_the_last_of_its_patients_is_answered(import_zip, staff_client):
    import_zip(image(1), ct_image(PatientID="ID2", StudyInstanceUID=uid(7)))
    upload = import_zip(
        image(2, PatientName=OTHER),
        ct_image(PatientID="ID2", SOPInstanceUID=uid(8), PatientName=OTHER),
    )
    for patient, still in zip(Patient.objects.order_by("pk"), (True, False), strict=True):
        shown = patient.identities.filter(is_open=True).values_list("pk", flat=True)
        url = reverse("answer_identity", args=[patient.pk])
        data = {"answer": "one", "identity": list(shown), "upload": upload.pk}
        assert staff_client.post(url, data).url == reverse("upload_result", args=[upload.pk])
        assert asks(upload) is still


def test_of_many_patients_the_page_shows_the_first_and_says_how_many_more(import_zip, staff_client):
    several = [(f"ID{n}", uid(20 + n)) for n in range(MOST_CARDS + 1)]
    upload = import_zip(
        *(
            ct_image(
                PatientID=of, StudyInstanceUID=study, SOPInstanceUID=uid(60, n), PatientName=name
            )
            for of, study in several
            for n, name in enumerate(("First", "Second"))
        )
    )
    page = staff_client.get(reverse("upload_result", args=[upload.pk])).content.decode()
    assert page.count('class="identity-card') == MOST_CARDS
    assert "and 1 more patient of whom the same is asked" in page


def test_an_answer_that_no_card_gives_changes_nothing(import_zip, staff_client):
    import_zip(image(1), image(2, PatientName=OTHER))
    before = Patient.objects.values().get(), kept()
    url = reverse("answer_identity", args=[Patient.objects.get().pk])
    strange = {"answer": "two", "identity": "9" * 30}
    for data in ({}, {"answer": "three"}, {"answer": "one", "identity": "x"}, strange):
        assert staff_client.post(url, data).status_code == 400
    assert (Patient.objects.values().get(), kept()) == before


def test_who_may_look_only_cannot_answer(import_zip, client, django_user_model):
    upload = import_zip(image(1), image(2, PatientName=OTHER))
    patient = Patient.objects.get()
    user = django_user_model.objects.create_user("reader", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    page = client.get(reverse("upload_result", args=[upload.pk])).content.decode()
    assert "Someone, Else" in page
    assert "A Manager or an administrator can answer this." in page
    assert "Worth knowing" not in page  # the card says it, and more
    assert reverse("answer_identity", args=[patient.pk]) not in page
    url = reverse("answer_identity", args=[patient.pk])
    assert client.post(url, {"answer": "one"}).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_dicomfile"]))
    page = client.get(reverse("upload_result", args=[upload.pk])).content.decode()
    assert "Somebody has to say whether that is one person" in page
    assert "Someone" not in page
    assert "Nobody" not in page


# --- what is shown ---------------------------------------------------------------------------


def test_two_people_stands_on_every_page_of_the_patient(import_zip, say, staff_client):
    import_zip(image(1), rt_structure_set(), image(2, PatientName=OTHER))
    pages = patient_pages()
    for path in pages:
        page = staff_client.get(path).content.decode()
        assert "Two people?" in page, path
        assert "Two people share" not in page, path
    say("two")
    for path in pages:
        page = staff_client.get(path).content.decode()
        assert "Two people share" in page, path
        assert "Two people?</strong>" not in page, path
    for name in ("patient", "dicomstudy", "dicomseries"):
        page = staff_client.get(reverse(f"admin:app_{name}_changelist")).content.decode()
        assert "two people" in page
    say("one")
    for path in pages[1:]:
        page = staff_client.get(path).content.decode()
        assert "identity-mark" not in page, path


def patient_pages() -> list[str]:
    study, series = DICOMStudy.objects.get(), DICOMInstance.objects.earliest("pk").dicom_series
    rois = RTStructureROI.objects.earliest("pk")
    rows = [
        Patient.objects.get(), study, series, series.instances.earliest("pk"),
        DICOMInstance.objects.earliest("pk").image_information, rois.rt_structure_set, rois,
    ]  # fmt: skip
    changes = [reverse(f"admin:app_{row._meta.model_name}_change", args=[row.pk]) for row in rows]
    lists = [
        ("dicomstudy", "patient", Patient.objects.get()),
        ("dicomseries", "dicom_study", study),
        ("dicominstance", "dicom_series", series),
        ("rtstructureroi", "rt_structure_set", rois.rt_structure_set),
    ]
    return changes + [
        f"{reverse(f'admin:app_{name}_changelist')}?{key}__id__exact={row.pk}"
        for name, key, row in lists
    ]


def test_a_search_finds_every_name(import_zip):
    import_zip(image(1), image(2, PatientName=OTHER), ct_image(PatientID="ID2"))
    found = Patient.objects.filter(search_text__contains="someone")
    assert [row.unique_patient_id for row in found] == ["ID1"]


# --- what goes -------------------------------------------------------------------------------


def test_an_identity_goes_with_its_last_object_and_the_question_with_it(import_zip, say):
    import_zip(image(1))
    upload = import_zip(image(2, PatientName=OTHER), image(3, PatientName=OTHER))
    removal.delete(DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 2)))
    assert kept() == {"Nobody^Nemo": (1, False), OTHER: (1, True)}
    assert asks(upload)
    say("two")
    removal.delete(DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 3)))
    assert kept() == {"Nobody^Nemo": (1, False)}
    patient = Patient.objects.get()
    assert (patient.identity_differs, patient.identity_answer) == (False, "")
    assert violations() == []


def test_a_patient_whose_first_identity_is_deleted_is_known_by_the_next(import_zip):
    import_zip(image(1))
    upload = import_zip(image(2, PatientName=OTHER, PatientBirthDate="19700102"))
    removal.delete(DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 1)))
    patient = Patient.objects.get()
    assert (patient.patient_name, patient.identity_differs) == (OTHER, False)
    assert kept() == {OTHER: (1, False)}
    assert not asks(upload)


def test_versions_that_are_swapped_take_their_identity_along(import_zip, settings):
    first = import_zip(image(1), image(2, PatientName=OTHER))
    assert asks(first)
    settings.ICON_ON_CONFLICT = "replace"
    second = import_zip(image(2))
    assert second.imported_count == 1
    assert kept() == {"Nobody^Nemo": (2, False)}
    assert not asks(first)
    assert not asks(second)
    assert violations() == []


def test_the_check_finds_an_identity_that_is_no_object_s_or_another_patient_s(import_zip):
    import_zip(image(1), ct_image(PatientID="ID2", StudyInstanceUID=uid(7)))
    one, two = PatientIdentity.objects.order_by("pk")
    DICOMInstance.objects.filter(identity=two).update(identity=one)
    found = sorted((violation.code, violation.repaired) for violation in verify(repair=True))
    assert found == [("identity_unused", True), ("identity_wrong", True)]
    assert [finding.sentence for finding in reread()] == []
    assert violations() == []
    assert PatientIdentity.objects.count() == 2


# --- what an earlier version read ------------------------------------------------------------


def as_before() -> None:
    """As the rows are that were written before identities were kept."""
    PatientIdentity.objects.all().delete()
    DICOMInstance.objects.update(identity=None, read_version=1)
    DICOMFile.objects.update(asks_identity=False)
    Patient.objects.update(issuer_of_patient_id="")


def test_reread_gives_what_was_filed_its_identities(import_zip, say, staff_client):
    first = import_zip(image(1, IssuerOfPatientID="A"))
    second = import_zip(image(2, PatientName=OTHER))
    wanted = list(PatientIdentity.objects.order_by("pk").values("digest", "is_open"))
    as_before()
    patient = Patient.objects.get()
    page = staff_client.get(reverse("admin:app_patient_change", args=[patient.pk]))
    assert "read 2 objects of this ID" in page.content.decode()
    assert [finding.sentence for finding in reread()] == []
    assert list(PatientIdentity.objects.order_by("pk").values("digest", "is_open")) == wanted
    assert Patient.objects.get().issuer_of_patient_id == "A"
    assert asks(second)
    assert not asks(first)
    say("one")
    DICOMInstance.objects.update(read_version=1)
    assert [finding.sentence for finding in reread()] == []
    assert not asks(second)
    assert violations() == []


def test_a_flag_of_before_that_nothing_explains_goes_when_all_is_read_again(import_zip):
    import_zip(image(1), image(2))
    as_before()
    Patient.objects.update(identity_differs=True)
    assert not asks(import_zip(image(3)))
    assert Patient.objects.get().identity_differs
    assert [finding.sentence for finding in reread()] == []
    assert not Patient.objects.get().identity_differs


# --- at once ---------------------------------------------------------------------------------


def run(pk: int) -> None:
    ingest.run_upload(pk)
    connection.close()


def test_two_imports_that_bring_identities_to_one_patient_at_once(upload_zip):
    uploads = [
        upload_zip(*(
            ct_image(SOPInstanceUID=uid(which, number), PatientName=f"{which}^{number % 3}")
            for number in range(30)
        ))
        for which in (3, 4)
    ]  # fmt: skip
    threads = [threading.Thread(target=run, args=(upload.pk,)) for upload in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patient = Patient.objects.get()
    assert patient.identity_differs
    first = {row.patient_name for row in PatientIdentity.objects.filter(is_open=False)}
    assert first == {patient.patient_name}
    assert sorted(kept()) == sorted(f"{which}^{number}" for which in (3, 4) for number in range(3))
    assert {count for count, _ in kept().values()} == {10}
    assert all(asks(upload) for upload in uploads)
    assert violations() == []


@pytest.mark.long
def test_a_delete_that_races_an_import_leaves_each_object_its_identity(upload_zip):
    for _ in range(20):
        upload = upload_zip(*(image(number, PatientName=f"A^{number % 2}") for number in range(20)))
        importing = threading.Thread(target=run, args=(upload.pk,))
        importing.start()
        while importing.is_alive():
            for instance in DICOMInstance.objects.all()[:5]:
                removal.delete(instance)
        importing.join()
        assert violations() == []
