"""What people do has its entries, whose page administrators read."""

import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from app.audit import guards
from app.audit.recording import VIEW, record, record_if_possible, record_view
from app.models import (
    AuditEntry,
    Collection,
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Kind,
    Patient,
    RTStructureSetInformation,
    SignInTries,
    Status,
)
from app.uploads import claims
from tests.conftest import process, wait_until
from tests.making.objects import ct_image, rt_structure_set, zip_of

LIST = reverse("admin:app_dicomfile_changelist")
TRAIL = reverse("admin:app_auditentry_changelist")
NAME = "Family^Given"


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root, broker):
    """A database and storage of the test's own."""


@pytest.fixture
def unwritable(storage):
    """A trail that takes no entry; whatever is tried."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {guards.TABLE} RENAME TO elsewhere")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE elsewhere RENAME TO {guards.TABLE}")


def entries(since: int = 0) -> list[tuple]:
    """Kind, who, table and row of each, first to last."""
    rows = AuditEntry.objects.order_by("pk").values_list("kind", "who", "table", "row")
    return list(rows)[since:]


def test_an_upload_s_way_is_told_by_its_history(staff_client, tmp_path):
    data = zip_of(tmp_path / "x.zip", ct_image(PatientName=NAME)).read_bytes()
    staff_client.post(
        reverse("admin:app_dicomfile_add"), {"file": SimpleUploadedFile("Family.zip", data)}
    )
    upload = DICOMFile.objects.get()
    staff_client.post(reverse("process_dicom_file", args=[upload.pk]))
    staff_client.post(reverse("cancel_dicom_file", args=[upload.pk]))
    chosen = {"_selected_action": [upload.pk]}
    staff_client.post(LIST, chosen | {"action": "process_selected"})
    process(upload)
    staff_client.post(LIST, chosen | {"action": "remove_kept_zips", "post": "yes"})
    history = reverse("admin:app_dicomfile_history", args=[upload.pk])
    assert history in staff_client.get(upload.get_absolute_url()).content.decode()
    page = staff_client.get(history)
    staff_client.post(
        reverse("admin:app_dicomfile_delete", args=[upload.pk]), {"post": "yes", "reason": "Test"}
    )
    mine, its = ("staff", "app.dicomfile", upload.pk), ("", "app.dicomfile", upload.pk)
    assert entries(since=1) == [
        (Kind.UPLOADED, *mine),
        (Kind.STARTED, *mine),
        (Kind.STOPPED, *mine),
        (Kind.STARTED, *mine),
        (Kind.ENDED, *its),
        (Kind.ZIP_REMOVED, *mine),
        (Kind.DELETED, *mine),
    ]
    words = page.content.decode()
    for told in (
        "Processing asked for",
        "Stop asked for",
        "Completed: 1 imported",
        "It was queued.",
    ):
        assert told in words
    assert not [one for one in AuditEntry.objects.values() if "Family" in str(one)]


def test_a_long_history_tells_what_came_last(staff_client, upload_zip, monkeypatch):
    monkeypatch.setattr("app.admin.ENTRIES", 2)
    upload = upload_zip(ct_image())
    for words in ("first", "second", "third"):
        with transaction.atomic():
            record(Kind.STOPPED, None, upload, words)
    page = staff_client.get(reverse("admin:app_dicomfile_history", args=[upload.pk]))
    told = re.findall("first|second|third", page.content.decode())
    assert told == ["second", "third"]


def test_a_choice_of_versions_a_failure_and_a_stopped_run_are_told(upload_zip, staff_user):
    first, second = upload_zip(ct_image()), upload_zip(ct_image(StudyDescription="other"))
    process(first)
    process(second)
    assert claims.queue([second.pk], use_versions=True, who=staff_user)[0] == [second.pk]
    run = claims.claim(second.pk)
    claims.cancel([second.pk], staff_user)
    run.end(Status.PENDING, stopped=True)
    kinds = [kind for kind, *_ in entries()][-3:]
    assert kinds == [Kind.VERSIONS_CHOSEN, Kind.STOPPED, Kind.ENDED]
    assert AuditEntry.objects.filter(words__startswith="Failed: Other versions").exists()


def test_a_deletion_is_told_before_and_after_with_numbers_only(staff_client, import_zip):
    import_zip(ct_image(PatientName=NAME, PatientID="4711"))
    patient = Patient.objects.get()
    staff_client.post(
        reverse("admin:app_patient_delete", args=[patient.pk]), {"post": "yes", "reason": "Test"}
    )
    assert not Patient.objects.exists()
    asked, done = AuditEntry.objects.order_by("pk").values("kind", "row", "words")[3:]
    assert (asked["kind"], done["kind"]) == (Kind.DELETE_ASKED, Kind.DELETED)
    assert asked["row"] == done["row"] == patient.pk
    assert asked["words"].startswith("patients: 1, studies: 1, series: 1, instances: 1, bytes: ")
    number = Deletion.objects.get().pk
    assert done["words"] == f"instances: 1. In the trash as deletion {number}."


def test_signing_in_and_out_is_told_and_a_name_that_nobody_has_is_not(client, staff_user):
    form = {"username": "staff", "password": "wrong"}
    client.post(reverse("admin:login"), form)
    client.post(reverse("admin:login"), form | {"username": "my-password-7"})
    client.post(reverse("admin:login"), form | {"password": "staff-password"})
    client.post(reverse("admin:logout"))
    assert [(kind, who) for kind, who, *_ in entries()] == [
        (Kind.SIGN_IN_FAILED, "staff"),
        (Kind.SIGN_IN_FAILED, ""),
        (Kind.SIGNED_IN, "staff"),
        (Kind.SIGNED_OUT, "staff"),
    ]
    assert not AuditEntry.objects.filter(words__contains="my-password").exists()


def test_rights_passwords_and_locks_are_told(staff_client, staff_user):
    other, group = User.objects.create_user("other"), Group.objects.create(name="Helpers")
    change = reverse("admin:auth_user_change", args=[other.pk])
    may = Permission.objects.get(codename="delete_patient")
    form = {"username": "other", "is_active": "on", "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "00:00:00", "groups": [group.pk], "user_permissions": [may.pk]}
    staff_client.post(change, form)
    new = {"password1": "another 7 words", "password2": "another 7 words"}
    staff_client.post(
        reverse("admin:auth_user_password_change", args=[other.pk]),
        new | {"usable_password": "true"},
    )
    tries = SignInTries.objects.create(key=f"user {other.pk}", user=other, tries=5)
    chosen = {"action": "unlock", "_selected_action": [tries.pk]}
    staff_client.post(reverse("admin:app_signintries_changelist"), chosen)
    staff_client.post(reverse("admin:auth_user_delete", args=[other.pk]), {"post": "yes"})
    told = AuditEntry.objects.filter(table="auth.user", row=other.pk).order_by("pk")
    assert [(one.kind, one.who) for one in told] == [
        (Kind.CHANGED, "staff"),
        (Kind.RIGHTS_CHANGED, "staff"),
        (Kind.PASSWORD_CHANGED, "staff"),
        (Kind.UNLOCKED, "staff"),
        (Kind.DELETED, "staff"),
    ]
    assert told[1].words == "other; given: delete_patient, role Helpers"


def test_the_own_password_is_asked_for_as_often_as_signing_in_allows(
    staff_client, staff_user, settings
):
    settings.ICON_SIGN_IN_TRIES = 2
    at = reverse("admin:password_change")
    new = {"new_password1": "another 7 words", "new_password2": "another 7 words"}
    for _ in range(2):
        assert staff_client.post(at, new | {"old_password": "wrong"}).status_code == 200
    page = staff_client.post(at, new | {"old_password": "staff-password"})
    assert "Signing in was tried too often." in page.content.decode()
    SignInTries.objects.all().delete()
    assert staff_client.post(at, new | {"old_password": "staff-password"}).status_code == 302
    assert [kind for kind, *_ in entries(since=1)] == [
        Kind.SIGN_IN_FAILED,
        Kind.SIGN_IN_FAILED,
        Kind.PASSWORD_CHANGED,
    ]


def test_what_cannot_be_written_down_is_not_done_but_shown(
    client, staff_user, import_zip, request, media_root
):
    upload = import_zip(ct_image())
    data = Path(upload.file.path).read_bytes()
    request.getfixturevalue("unwritable")
    form = {"username": "staff", "password": "staff-password"}
    assert client.post(reverse("admin:login"), form).status_code == 302
    deletion = reverse("admin:app_dicomfile_delete", args=[upload.pk])
    answers = [
        client.post(
            reverse("admin:app_dicomfile_add"), {"file": SimpleUploadedFile("a.zip", data)}
        ),
        client.post(deletion, {"post": "yes", "reason": "Test"}),
        client.post(
            LIST, {"action": "remove_kept_zips", "post": "yes", "_selected_action": [upload.pk]}
        ),
        client.post(reverse("admin:auth_group_add"), {"name": "Helpers"}),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert "so it was not done, or not to its end" in answer.content.decode()
    upload = DICOMFile.objects.get()
    assert [str(path) for path in media_root.rglob("*.zip")] == [upload.file.path]
    assert not Group.objects.filter(name="Helpers").exists()
    assert client.get(upload.get_absolute_url()).status_code == 200


def test_the_trail_is_read_filtered_and_links_to_what_is_left(staff_client, import_zip):
    upload = import_zip(ct_image())
    AuditEntry.objects.create(kind=Kind.DELETED, table="app.dicomfile", row=upload.pk + 1)
    AuditEntry.objects.create(kind="not_known", table="app.gone", row=1, who="<b>", who_id=99)
    page = staff_client.get(TRAIL).content.decode()
    assert f'<a href="/admin/app/dicomfile/{upload.pk}/change/">Upload {upload.pk}</a>' in page
    assert f">Upload {upload.pk + 1}</td>" in page
    assert "app.gone 1" in page
    assert "&lt;b&gt;" in page
    for query, number in [("kind=ended", 1), ("who=99", 1), ("at__gte=2020-01-01T00:00Z", 5)]:
        assert f"{number} audit entr" in staff_client.get(f"{TRAIL}?{query}").content.decode()
    by_row = f"{TRAIL}?table__exact=app.dicomfile&row__exact={upload.pk}"
    assert "2 audit entries" in staff_client.get(by_row).content.decode()
    entry = AuditEntry.objects.get(kind="not_known")
    change = reverse("admin:app_auditentry_change", args=[entry.pk])
    assert staff_client.get(change).status_code == 200
    assert staff_client.post(change, {"words": "x"}).status_code == 403
    delete = reverse("admin:app_auditentry_delete", args=[entry.pk])
    assert staff_client.post(delete, {"post": "yes"}).status_code == 403


def test_a_page_does_not_wait_long_for_who_writes_and_the_entry_comes_later(client, staff_user):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has as many writers as it is asked for")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        record_if_possible(Kind.SIGNED_IN, staff_user)
        waited = time.monotonic() - begun
        assert not AuditEntry.objects.exists()
        writer.execute("ROLLBACK")
    wait_until(AuditEntry.objects.exists, "the entry")
    assert waited < 5  # not the 30 s of everything else; on a busy machine, too
    for thread in threading.enumerate():
        if thread.name == "audit entry":
            thread.join()  # it closes its connection, after which the tables can be emptied


def test_looking_again_while_the_writer_is_busy_is_one_entry_too(client, staff_user):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has as many writers as it is asked for")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            record_view(staff_user, staff_user, "header")
        writer.execute("ROLLBACK")
    for thread in threading.enumerate():
        if thread.name == "audit entry":
            thread.join()
    assert AuditEntry.objects.filter(kind=Kind.VIEWED).count() == 1


@pytest.mark.postgresql  # SQLite has one writer
def test_two_pages_that_look_at_once_are_one_entry(client, staff_user):
    """The second has found no entry, and waits for the first, which then commits its own."""

    def look() -> None:
        record_view(staff_user, staff_user, "header")
        connection.close()

    second = threading.Thread(target=look)
    with transaction.atomic():
        record_view(staff_user, staff_user, "header")
        second.start()
        wait_until(somebody_waits, "the second page")
    second.join()
    assert AuditEntry.objects.filter(kind=Kind.VIEWED).count() == 1


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchall())


def test_what_is_looked_at_counts_once_in_a_quarter_of_an_hour(staff_client, import_zip):
    import_zip(ct_image(PatientName=NAME, PatientID="4711"), rt_structure_set())
    pages = {
        "patient": Patient, "study": DICOMStudy, "series": DICOMSeries, "header": DICOMInstance,
        "structure_set": RTStructureSetInformation,
    }  # fmt: skip
    rows = {name: model.objects.order_by("pk")[0] for name, model in pages.items()}
    for _ in range(2):
        for name, row in rows.items():
            assert staff_client.get(reverse(name, args=[row.pk])).status_code == 200
    viewed = AuditEntry.objects.filter(kind=Kind.VIEWED).order_by("pk")
    assert [(one.table, one.row, one.who, one.words) for one in viewed] == [
        (row._meta.label_lower, row.pk, "staff", "header" if name == "header" else "")
        for name, row in rows.items()
    ]
    with guards.lifted():
        viewed.filter(table="app.patient").update(at=timezone.now() - VIEW)
    staff_client.get(reverse("patient", args=[rows["patient"].pk]))
    assert viewed.filter(table="app.patient").count() == 2


def test_a_search_is_told_by_its_kind_and_not_by_its_words(staff_client, import_zip):
    import_zip(ct_image(PatientName=NAME, PatientID="4711"))
    for words in ("Jane CT 2024", "Jane MR 2023", "4711"):
        staff_client.post(reverse("search"), {"q": words}, follow=True)
    staff_client.post(reverse("structure_list"), {"q": "Jane"})
    searched = AuditEntry.objects.filter(kind=Kind.SEARCHED).order_by("pk")
    assert list(searched.values_list("words", flat=True)) == [
        "the catalogue, by words, modality and date",
        "the catalogue, by words",
        "structures, by words",
    ]


def test_each_list_that_is_taken_away_is_told_without_what_was_searched(staff_client, import_zip):
    upload = import_zip(ct_image(PatientName=NAME), rt_structure_set(["Heart"]))
    mine = Collection.objects.create(name="Jane", owner=User.objects.get())
    found = staff_client.post(reverse("structure_list"), {"q": "heart"})["Location"]
    studies = reverse("study_csv")
    structures = reverse("structure_csv")
    ledger = reverse("ledger_csv", args=[upload.pk])
    for address in (
        *(studies, studies, f"{studies}?modality=CT&from=2020-01-01&after=1&sort=date"),
        *(reverse("patient_csv"), f"{structures}?{found.partition('?')[2]}&without=1"),
        *(reverse("collection_csv", args=[mine.pk]), ledger, f"{ledger}?outcome=failed&order=zip"),
    ):
        assert staff_client.get(address).status_code == 200
    exported = AuditEntry.objects.filter(kind=Kind.EXPORTED).order_by("pk")
    assert list(exported.values_list("who", "words", "table", "row")) == [
        ("staff", "the list of studies", "", None),
        ("staff", "the list of studies", "", None),
        ("staff", "the list of studies, with 2 filters", "", None),
        ("staff", "the list of patients", "", None),
        ("staff", "the list of structures, with 2 filters", "", None),
        ("staff", "the list of a collection", "app.collection", mine.pk),
        ("staff", "the list of files", "app.dicomfile", upload.pk),
        ("staff", "the list of files, with 1 filter", "app.dicomfile", upload.pk),
    ]


def test_what_is_looked_at_is_shown_also_where_no_entry_can_be_written(
    staff_client, import_zip, request
):
    import_zip(ct_image())
    request.getfixturevalue("unwritable")
    patient = reverse("patient", args=[Patient.objects.get().pk])
    assert staff_client.get(patient).status_code == 200
