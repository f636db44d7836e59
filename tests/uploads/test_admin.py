"""The admin: uploading, starting, deleting, and looking at the catalogue's tables."""

import re
import zipfile
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from app.catalogue.admin import CatalogueAdmin
from app.health import nightly
from app.health.verify import verify
from app.models import AuditEntry, DICOMFile, DICOMInstance, Kind, Patient, RTStructureROI, Status
from app.reasons import sentence
from app.uploads import claims, these
from app.uploads.status import TABS
from app.wording import human_size
from tests.conftest import searched
from tests.making.objects import ct_image, rt_structure_set, uid, zip_of

LIST = reverse("admin:app_dicomfile_changelist")
ADD = reverse("admin:app_dicomfile_add")


@pytest.fixture
def zip_bytes(tmp_path) -> bytes:
    return zip_of(tmp_path / "made.zip", ct_image()).read_bytes()


def send(client, data: bytes, name: str = "scan.zip"):
    return client.post(ADD, {"file": SimpleUploadedFile(name, data)}, follow=True)


SURE = {"post": "yes", "reason": "Sent twice"}


def act(client, action: str, *uploads, **more):
    chosen = {"action": action, "_selected_action": [upload.pk for upload in uploads]}
    return client.post(LIST, chosen | more, follow=True)


def told(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def logged() -> list[str]:
    """What the admin's log says was done, first to last."""
    return [str(entry) for entry in LogEntry.objects.order_by("pk")]


def deletions() -> list[int]:
    """The uploads that the audit trail calls deleted."""
    return [*AuditEntry.objects.filter(kind=Kind.DELETED).values_list("row", flat=True)]


# Uploading


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


def test_an_upload_keeps_its_name_size_and_owner(staff_client, staff_user, zip_bytes):
    send(staff_client, zip_bytes, "Export 7.zip")
    upload = DICOMFile.objects.get()
    assert (upload.original_name, upload.size) == ("Export 7.zip", len(zip_bytes))
    assert upload.uploaded_by == staff_user
    assert "Export" not in upload.file.name
    assert upload.status_label == "Pending"
    with zipfile.ZipFile(upload.file.path) as kept:
        assert kept.namelist() == ["IM0001.dcm"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a" * 97 + ".zip", "a" * 97 + ".zip"),
        ("ü" * 251 + ".zip", "ü" * 251 + ".zip"),
        ("a" * 400 + ".zip", "a" * 251 + ".zip"),
        ("Prof. " + "a" * 249, "Prof. " + "a" * 249),  # all of it but the first word an ending
    ],
    ids=["101", "255", "404", "255, mostly ending"],
)
def test_a_long_name_is_kept_and_cut_before_its_ending(staff_client, zip_bytes, given, kept):
    send(staff_client, zip_bytes, given)
    assert DICOMFile.objects.get().original_name == kept


def test_what_is_no_zip_by_content_is_refused(staff_client):
    response = send(staff_client, b"%PDF-1.4 hello" * 50, "really.zip")
    assert "This is not a ZIP archive." in response.content.decode()
    assert not DICOMFile.objects.exists()


def test_a_zip_that_was_cut_short_is_refused(staff_client, zip_bytes):
    response = send(staff_client, zip_bytes[:-30])
    assert "incomplete" in response.content.decode()
    assert not DICOMFile.objects.exists()


def test_a_zip_over_the_limit_is_refused(staff_client, zip_bytes, settings):
    settings.ICON_MAX_UPLOAD = 100
    assert "A ZIP may have up to 100 bytes." in send(staff_client, zip_bytes).content.decode()
    assert not DICOMFile.objects.exists()


def test_a_zip_that_the_disk_has_no_room_for_is_refused(staff_client, zip_bytes, settings):
    settings.ICON_PROCESSED_ROOT = Path("/proc")  # a file system that never has room
    assert "has 0 bytes free" in send(staff_client, zip_bytes).content.decode()
    assert not DICOMFile.objects.exists()


def test_an_empty_file_and_none_at_all_are_refused(staff_client):
    assert "empty" in send(staff_client, b"").content.decode()
    assert "Choose a ZIP first." in staff_client.post(ADD, {}).content.decode()
    assert not DICOMFile.objects.exists()


def test_a_refused_upload_leaves_no_file(staff_client, media_root):
    send(staff_client, b"hello" * 100)
    assert not [path for path in media_root.rglob("*") if path.is_file()]


def from_script(client, data: bytes, **more):
    """Send as static/app/uploads/add.js does."""
    file = SimpleUploadedFile("scan.zip", data)
    return client.post(ADD, {"file": file, **more}, headers={"Accept": "application/json"})


def test_the_page_s_script_is_told_what_was_made(staff_client, zip_bytes):
    response = from_script(staff_client, zip_bytes)
    assert response.json() == {"id": DICOMFile.objects.get().pk}
    assert "Press Process Now" in told(staff_client.get(LIST))[0]


def test_many_that_are_received_are_one_message(staff_client, zip_bytes):
    for _ in range(3):
        from_script(staff_client, zip_bytes)
    assert told(staff_client.get(LIST)) == [
        "3 uploads received. Press Process Now to process them."
    ]


def test_the_page_s_script_is_told_why_not(staff_client):
    response = from_script(staff_client, b"hello" * 100)
    assert response.status_code == 400
    assert response.json() == {"errors": [sentence("not_a_zip")]}
    assert not DICOMFile.objects.exists()


def test_an_upload_is_processed_at_once_where_that_was_ticked(staff_client, zip_bytes):
    file = SimpleUploadedFile("scan.zip", zip_bytes)
    response = staff_client.post(ADD, {"file": file, "process": "on"})
    upload = DICOMFile.objects.get()
    assert response.url.endswith(f"/dicom/progress/?upload={upload.pk}")
    assert upload.status_label == "Queued"
    from_script(staff_client, zip_bytes, process="on")
    assert [upload.status_label for upload in DICOMFile.objects.all()] == ["Queued", "Queued"]


def test_who_may_only_add_is_not_asked_whether_to_process(client, staff_user, zip_bytes):
    allowed = Permission.objects.filter(codename__in=["add_dicomfile", "view_dicomfile"])
    staff_user.is_superuser = False
    staff_user.save()
    staff_user.user_permissions.set(allowed)
    client.force_login(staff_user)
    assert "Process as soon as each is uploaded" not in client.get(ADD).content.decode()
    from_script(client, zip_bytes, process="on")
    assert DICOMFile.objects.get().status_label == "Pending"


# Starting


class Buttons(HTMLParser):
    """The buttons of the list's own form, and the names of its hidden inputs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.buttons, self.inputs = False, [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") == "changelist-form"
        if tag == "button" and self.inside:
            self.buttons.append(given)
        if tag == "input" and self.inside:
            self.inputs.append(given.get("name"))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "form"


def test_process_now_is_a_button_that_posts_from_the_list_s_own_form(staff_client, upload_zip):
    upload = upload_zip(ct_image())
    form = Buttons(staff_client.get(LIST).content.decode())
    url = reverse("process_dicom_file", args=[upload.pk])
    start, again = (one for one in form.buttons if one.get("formaction") == url)
    assert ("hidden" in start, "hidden" in again) == (False, True)
    button = start
    assert (button["type"], button["formmethod"]) == ("submit", "post")
    assert "csrfmiddlewaretoken" in form.inputs
    response = staff_client.post(url)
    assert response.url.endswith(f"?upload={upload.pk}")
    upload.refresh_from_db()
    assert upload.status_label == "Queued"


def test_the_bulk_action_starts_what_it_may_and_watches_exactly_that(staff_client, import_zip):
    done = import_zip(ct_image())
    waiting = [DICOMFile.objects.create(original_name=f"{n}.zip", file="x") for n in range(2)]
    response = act(staff_client, "process_selected", done, *waiting)
    where = response.redirect_chain[-1][0]
    assert where.endswith("&".join(f"upload={upload.pk}" for upload in waiting))
    assert any("left alone" in text for text in told(response))
    for upload in waiting:
        upload.refresh_from_db()
        assert upload.status_label == "Queued"


def test_a_selection_that_cannot_be_started_says_why(staff_client, import_zip):
    response = act(staff_client, "process_selected", import_zip(ct_image()))
    assert response.redirect_chain[-1][0] == LIST
    assert told(response)[0].endswith("was left alone. Completed, and no file failed.")


def test_what_is_refused_is_said_once_for_each_reason(staff_client):
    done = {"processing_status": Status.COMPLETED, "file": "x"}
    good = [DICOMFile.objects.create(original_name=f"{n}.zip", **done) for n in range(3)]
    gone = DICOMFile.objects.create(original_name="gone.zip")
    words = told(act(staff_client, "process_selected", *good, gone))
    address = f"{LIST}?these={good[0].pk}-{good[-1].pk}"
    assert words == [
        "3 uploads were left alone. Completed, and no file failed. "
        f'<a href="{address}">Show them</a>',
        "“gone.zip” was left alone. The kept ZIP was removed. Upload it again.",
    ]
    assert {*staff_client.get(address).context["cl"].result_list} == {*good}


def test_many_are_stopped_at_once(staff_client):
    waiting = [DICOMFile.objects.create(original_name=f"{n}.zip", file="x") for n in range(3)]
    claims.queue([one.pk for one in waiting[:2]])
    claims.claim(waiting[0].pk)
    words = told(act(staff_client, "stop_selected", *waiting))
    assert words == [
        "1 upload taken out of the queue.",
        "1 upload being stopped. What was stored stays.",
        "“2.zip” was left alone. Neither queued nor in progress.",
    ]
    waiting[1].refresh_from_db()
    assert waiting[1].status_label == "Stopped"


def test_all_pending_are_processed_after_asking(staff_client):
    waiting = [DICOMFile.objects.create(original_name=f"{n}.zip", file="x") for n in range(3)]
    url = reverse("admin:app_dicomfile_process_pending")
    assert "Process all pending (3)" in staff_client.get(LIST).content.decode()
    asked = staff_client.get(url)
    assert "Process 3 pending uploads" in asked.content.decode()
    later = DICOMFile.objects.create(original_name="later.zip", file="x")
    response = staff_client.post(url, {"until": asked.context["until"]}, follow=True)
    assert told(response)[0].startswith("3 uploads queued.")
    assert {*DICOMFile.objects.queued()} == {*waiting}
    page = staff_client.get(LIST).content.decode()
    assert f'name="until" value="{later.pk}"' in page
    staff_client.post(url, {"until": later.pk})
    assert DICOMFile.objects.queued().count() == 4
    assert "No upload is pending." in staff_client.get(url).content.decode()


# The list


def named(page) -> list[str]:
    return [upload.original_name for upload in page.context["cl"].result_list]


def test_the_tabs_show_what_they_count(staff_client):
    states = {
        "new": {},
        "waiting": {"queued_at": timezone.now()},
        "running": {"processing_status": Status.IN_PROGRESS},
        "good": {"processing_status": Status.COMPLETED},
        "some failed": {"processing_status": Status.COMPLETED, "failed_count": 1},
        "seen": {"processing_status": Status.FAILED, "seen_at": timezone.now()},
    }
    for name, values in states.items():
        DICOMFile.objects.create(original_name=name, file="x", **values)
    page = staff_client.get(LIST)
    assert [tab["words"] for tab in page.context["tabs"]] == [
        "All (6)", "Running (2)", "Needs attention (1)", "Pending (1)",
    ]  # fmt: skip
    assert named(page) == ["running", "seen", "some failed", "good", "waiting", "new"]
    tabs = {tab: named(staff_client.get(LIST, {"tab": tab})) for tab in TABS}
    assert tabs["running"] == ["running", "waiting"]
    assert (tabs["attention"], tabs["pending"]) == (["some failed"], ["new"])
    assert named(staff_client.get(LIST, {"tab": "x"})) == named(page)


def test_one_s_own_uploads_are_shown_where_the_address_asks_for_them(
    staff_client, staff_user, django_user_model
):
    other = django_user_model.objects.create_user("other")
    for name, whose in {"mine": staff_user, "theirs": other, "nobody's": None}.items():
        values = {"processing_status": Status.FAILED, "uploaded_by": whose}
        DICOMFile.objects.create(original_name=name, file="x", **values)
    assert named(staff_client.get(LIST)) == ["nobody's", "theirs", "mine"]
    assert len(named(staff_client.get(LIST, {"whose": "theirs"}))) == 3
    page = staff_client.get(LIST, {"whose": "mine", "tab": "attention", "o": "1"})
    assert named(page) == ["mine"]
    tabs = {tab["words"]: tab["address"] for tab in page.context["tabs"]}
    assert tabs["All (1)"] == "whose=mine"
    assert tabs["Needs attention (1)"] == "tab=attention&whose=mine"
    assert '<a href="?tab=attention&amp;o=1" >Everybody&#x27;s uploads</a>' in page.content.decode()
    status = staff_client.get(reverse("task_status"), {"tabs": 1, "whose": "mine"}).json()
    assert status["tabs"]["all"] == "All (1)"
    page = staff_client.get(LIST, {"whose": "mine", "tab": "running"}).content.decode()
    assert "Of your uploads, none is here." in page


def test_a_queued_row_says_its_place(staff_client):
    waiting = [DICOMFile.objects.create(original_name=f"{n}.zip", file="x") for n in range(2)]
    claims.queue([one.pk for one in waiting])
    page = staff_client.get(LIST).content.decode()
    assert ">Queued, 1st<" in page
    assert ">Queued, 2nd<" in page


def test_what_needs_attention_says_why_until_somebody_has_seen_it(
    staff_client, staff_user, import_zip
):
    upload = import_zip(("README", b"hello"))
    page = staff_client.get(LIST, {"tab": "attention"})
    assert sentence("no_dicom") in page.content.decode()
    tab = f"{LIST}?tab=attention"
    url = reverse("see_dicom_file", args=[upload.pk])
    assert staff_client.post(url, {"back": tab}).url == tab
    upload.refresh_from_db()
    assert upload.seen_by == staff_user
    assert not named(staff_client.get(tab))
    page = staff_client.get(LIST).content.decode()
    assert "Seen by <bdi>staff</bdi>" in page
    assert "Needs attention (0)" in page
    claims.queue([upload.pk])
    upload.refresh_from_db()
    assert (upload.seen_at, upload.seen_by) == (None, None)


def test_what_is_to_be_decided_cannot_be_seen_away(staff_client, import_zip):
    import_zip(ct_image())
    other = import_zip(ct_image(PatientPosition="FFS"), ct_image(StudyInstanceUID=None))
    url = reverse("see_dicom_file", args=[other.pk])
    (words,) = told(staff_client.post(url, follow=True))
    assert words.endswith(sentence("to_be_decided"))
    other.refresh_from_db()
    assert other.seen_at is None
    assert other.needs_attention
    DICOMFile.objects.filter(pk=other.pk).update(seen_at=timezone.now())
    assert named(staff_client.get(LIST, {"tab": "attention"})) == [other.original_name]


def test_a_question_about_an_identity_cannot_be_seen_away(staff_client):
    asking = {"processing_status": Status.COMPLETED, "asks_identity": True}
    upload = DICOMFile.objects.create(original_name="asks.zip", file="x", **asking)
    staff_client.post(reverse("see_dicom_file", args=[upload.pk]))
    upload.refresh_from_db()
    assert (upload.seen_at, upload.needs_attention, upload.asks_identity) == (None, True, True)
    assert named(staff_client.get(LIST, {"tab": "attention"})) == ["asks.zip"]


def test_who_is_in_an_upload_is_for_who_may_see_patients(client, staff_client, import_zip):
    import_zip(ct_image(PatientName="Doe^Jane"))
    import_zip(
        ct_image(PatientID="ID2"), ct_image(PatientID="ID3"), ct_image(PatientName="Doe^Jane")
    )
    page = staff_client.get(LIST).content.decode()
    assert "<bdi>Doe, Jane</bdi>" in page
    assert ">3 patients</td>" in page
    assert "two people?</span>" not in page
    Patient.objects.filter(unique_patient_id="ID1").update(identity_differs=True)
    assert "two people?</span>" in staff_client.get(LIST).content.decode()
    staff_client.post(
        reverse("admin:app_patient_delete", args=[Patient.objects.get(unique_patient_id="ID1").pk]),
        SURE,
    )
    assert ">1 patient</td>" in staff_client.get(LIST).content.decode()
    clerk = get_user_model().objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_dicomfile"))
    client.force_login(clerk)
    assert "field-patients" not in client.get(LIST).content.decode()


def test_an_upload_s_own_page_is_its_result(staff_client, import_zip):
    upload = import_zip(ct_image())
    result = reverse("upload_result", args=[upload.pk])
    assert f'href="{result}"><bdi>{upload.name}</bdi>' in staff_client.get(LIST).content.decode()
    change = staff_client.get(reverse("admin:app_dicomfile_change", args=[upload.pk]))
    assert change.url == result
    assert "Opened the archive" in staff_client.get(result).content.decode()


@pytest.mark.parametrize(
    ("pks", "text"), [([], ""), ([5], "5"), ([7, 5, 6, 9, 6], "5-7,9"), ([1, 3], "1,3")]
)
def test_certain_uploads_are_written_shortly(pks, text):
    assert these.written(pks) == text
    DICOMFile.objects.bulk_create(DICOMFile(pk=pk, file="x") for pk in range(1, 12))
    found = DICOMFile.objects.filter(these.among(f"{text},x,-,{'9' * 19}"))
    assert {upload.pk for upload in found} == {*pks}


# Deleting


def test_deleting_an_upload_keeps_its_objects_and_its_zip(staff_client, import_zip, media_root):
    upload = import_zip(ct_image())
    url = reverse("admin:app_dicomfile_delete", args=[upload.pk])
    asked = staff_client.get(url).content.decode()
    assert "stays in the catalogue" in asked
    assert "Lines in their lists of files: 1" in asked
    assert "Delete its ZIP, too (" in asked
    assert re.search(r'type="checkbox" name="with_archive" value="1" checked>', asked)
    staff_client.post(url, SURE)
    assert deletions() == [upload.pk]
    assert not DICOMFile.objects.exists()
    assert DICOMInstance.objects.count() == 1
    assert list(media_root.rglob("*.zip"))
    assert list(verify()) == []


def test_the_kept_zip_goes_where_that_was_ticked(staff_client, import_zip, media_root):
    upload = import_zip(ct_image())
    url = reverse("admin:app_dicomfile_delete", args=[upload.pk])
    staff_client.post(url, SURE | {"with_archive": "1"})
    assert not list(media_root.rglob("*.zip"))


def test_many_uploads_are_deleted_after_asking(staff_client, import_zip, media_root):
    uploads = [import_zip(ct_image()), import_zip(ct_image(SOPInstanceUID=uid(7)))]
    asked = act(staff_client, "delete_selected_uploads", *uploads).content.decode()
    assert "Delete their 2 ZIPs, too (" in asked
    assert all(upload.name in asked for upload in uploads)
    assert DICOMFile.objects.count() == 2
    response = act(staff_client, "delete_selected_uploads", *uploads, **SURE, with_archive="1")
    assert told(response) == ["2 uploads deleted."]
    assert not DICOMFile.objects.exists()
    assert not list(media_root.rglob("*.zip"))


def test_an_upload_in_progress_cannot_be_deleted_and_you_are_told(staff_client, upload_zip):
    running, idle = upload_zip(ct_image()), upload_zip(ct_image())
    claims.claim(running.pk)
    url = reverse("admin:app_dicomfile_delete", args=[running.pk])
    why = f"“{running.name}” was not deleted. {sentence('delete_while_processed')}"
    assert told(staff_client.get(url, follow=True)) == [why]
    assert told(staff_client.post(url, SURE, follow=True)) == [why]
    assert told(act(staff_client, "delete_selected_uploads", running)) == [why]
    asked = act(staff_client, "delete_selected_uploads", running, idle)
    assert told(asked) == [why]
    assert "Uploads: 1" in asked.content.decode()
    response = act(staff_client, "delete_selected_uploads", running, idle, **SURE)
    assert told(response) == [why, "1 upload deleted."]
    assert DICOMFile.objects.get() == running
    assert deletions() == [idle.pk]


def test_more_than_a_form_can_carry_is_not_deleted(staff_client, monkeypatch):
    monkeypatch.setattr("app.catalogue.admin.CHOSEN_AT_ONCE", 1)
    uploads = [DICOMFile.objects.create(original_name=f"{n}.zip", file="x") for n in range(2)]
    for action in ("delete_selected_uploads", "remove_kept_zips"):
        response = act(staff_client, action, *uploads, post="yes")
        assert told(response) == ["Nothing was changed. Choose at most 1 at a time."]
    assert DICOMFile.objects.exclude(file="").count() == 2


def test_of_many_rows_the_page_that_asks_names_only_the_first(staff_client, import_zip):
    import_zip(*(ct_image(PatientID=f"P{n}", SOPInstanceUID=uid(5, n)) for n in range(12)))
    url = reverse("admin:app_patient_changelist")
    chosen = list(Patient.objects.values_list("pk", flat=True))
    data = {"action": "delete_selected_rows", "_selected_action": chosen}
    asked = staff_client.post(url, data).content.decode()
    assert "(P11)" in asked
    assert "(P0)" not in asked
    assert "and 2 more" in asked
    assert "Patients: 12" in asked


@pytest.mark.parametrize("model", ["patient", "dicomstudy", "dicomseries", "dicominstance"])
def test_deleting_from_the_catalogue_says_what_goes_and_takes_the_files(
    model, staff_client, import_zip, processed_root
):
    import_zip(ct_image(), ct_image(PatientID="ID2"))
    first = min(Patient.objects.values_list("pk", flat=True))
    pk = {
        "patient": first,
        "dicomstudy": Patient.objects.get(pk=first).studies.get().pk,
        "dicomseries": Patient.objects.get(pk=first).studies.get().series.get().pk,
        "dicominstance": DICOMInstance.objects.get(dicom_series__dicom_study__patient=first).pk,
    }[model]
    url = reverse(f"admin:app_{model}_delete", args=[pk])
    size = human_size(len(ct_image()))
    asked = staff_client.get(url).content.decode()
    assert "Instances: 1" in asked
    assert f"Size of their files: {size}" in asked
    staff_client.post(url, SURE)
    assert DICOMInstance.objects.count() == 1
    assert len(list(processed_root.rglob("*.dcm"))) == 1
    assert list(verify()) == []


def test_rows_chosen_in_a_list_are_deleted_with_their_files(staff_client, import_zip):
    import_zip(ct_image(), ct_image(PatientID="ID2"))
    chosen = [str(pk) for pk in Patient.objects.values_list("pk", flat=True)]
    url = reverse("admin:app_patient_changelist")
    data = {"action": "delete_selected_rows", "_selected_action": chosen}
    assert "All 2 are also in the kept ZIP" in staff_client.post(url, data).content.decode()
    staff_client.post(url, data | SURE)
    assert not DICOMInstance.objects.exists()
    assert list(verify()) == []


# The admin's log


@pytest.mark.parametrize("many", [False, True])
def test_the_log_of_who_did_what_holds_no_name(many, staff_client, zip_bytes, import_zip):
    import_zip(ct_image(PatientName="Doe^Jane", PatientID="DOE1", StudyDescription="Doe"))
    send(staff_client, zip_bytes, "Doe Jane.zip")
    upload = DICOMFile.objects.latest("pk")
    patient = Patient.objects.get()
    if many:
        act(staff_client, "delete_selected_uploads", upload, **SURE)
        url = reverse("admin:app_patient_changelist")
        chosen = {"action": "delete_selected_rows", "_selected_action": [patient.pk]}
        staff_client.post(url, chosen | SURE)
    else:
        for row in (upload, patient):
            url = reverse(f"admin:app_{row._meta.model_name}_delete", args=[row.pk])
            staff_client.post(url, SURE)
    assert logged() == [f"Added “Upload {upload.pk}”."]
    words = [*AuditEntry.objects.order_by("pk").values_list("words", flat=True)]
    assert any(line.endswith("Reason: Sent twice") for line in words)
    assert not any("Doe" in line or "DOE" in line for line in words)


def test_no_row_s_own_words_hold_a_name(import_zip):
    name = "Doe"
    import_zip((name, ct_image(
        PatientName=name, PatientID=name, StudyDescription=name, SeriesDescription=name,
        AccessionNumber=name, StudyID=name,
    )), rt_structure_set([name], StructureSetLabel=name, StructureSetName=name))  # fmt: skip
    DICOMFile.objects.update(original_name=name)
    for model in apps.get_app_config("app").get_models():
        assert not [row for row in model._default_manager.all() if name in str(row)]


def test_an_upload_is_called_by_its_zip_s_name_on_every_page(staff_client, upload_zip):
    upload = upload_zip(ct_image())
    for page in ("history", "delete"):
        shown = staff_client.get(reverse(f"admin:app_dicomfile_{page}", args=[upload.pk]))
        assert f"<bdi>{upload.name}</bdi>" in shown.content.decode()
    url = reverse("admin:app_dicomfile_delete", args=[upload.pk])
    response = staff_client.post(url, SURE, follow=True)
    assert told(response) == [f"“{upload.name}” was deleted."]


# Kept ZIPs


def test_a_kept_zip_that_nothing_needs_is_removed_after_asking(
    staff_client, import_zip, media_root
):
    upload = import_zip(ct_image())
    assert "cannot be undone" in act(staff_client, "remove_kept_zips", upload).content.decode()
    assert list(media_root.rglob("*.zip"))
    response = act(staff_client, "remove_kept_zips", upload, post="yes")
    assert told(response) == ["1 kept ZIP removed."]
    assert not list(media_root.rglob("*.zip"))
    upload.refresh_from_db()
    assert not upload.file
    assert claims.queue([upload.pk])[1] == {upload.pk: "zip_removed"}
    assert "Kept ZIPs take 0 bytes." in staff_client.get(LIST).content.decode()


def test_a_kept_zip_that_is_still_needed_stays_and_you_are_told_why(
    staff_client, import_zip, upload_zip, media_root
):
    first = import_zip(ct_image())
    needed = [
        import_zip(ct_image(PatientPosition="FFS")),
        import_zip(ct_image(SOPInstanceUID=uid(3)), ct_image(StudyInstanceUID=None)),
        upload_zip(ct_image()),
    ]
    response = act(staff_client, "remove_kept_zips", first, *needed, post="yes")
    reasons = " ".join(told(response))
    assert "1 kept ZIP removed." in reasons
    assert "in conflict" in reasons
    assert "could be stored" in reasons
    assert "Still to be processed" in reasons
    assert len(list(media_root.rglob("*.zip"))) == 3


# The catalogue's tables

TABLES = [
    "dicomfile", "patient", "dicomstudy", "dicomseries", "dicominstance", "imageinformation",
    "rtstructuresetinformation", "rtstructureroi", "archivemember", "cataloguecheck",
]  # fmt: skip


# How many queries a list takes, however many rows it shows; session, user and what runs are three.
QUERIES = {
    "dicomfile": 9, "patient": 6, "dicomstudy": 5, "dicomseries": 6, "dicominstance": 6,
    "imageinformation": 5, "rtstructuresetinformation": 6, "rtstructureroi": 5,
    "archivemember": 5, "cataloguecheck": 5,
}  # fmt: skip


def test_a_list_takes_the_same_queries_for_every_number_of_rows(
    staff_client, import_zip, django_assert_num_queries
):
    for count in (2, 8):
        import_zip(
            *(ct_image(PatientID=f"P{n}", SOPInstanceUID=uid(5, n)) for n in range(count)),
            *(ct_image(SeriesInstanceUID=uid(6, n)) for n in range(count)),
            rt_structure_set([f"ROI {n}" for n in range(count)], SOPInstanceUID=uid(7, count)),
        )
        nightly.begin()
        nightly.go_on()
        for table in TABLES:
            with django_assert_num_queries(QUERIES[table], info=f"for {table}"):
                page = staff_client.get(reverse(f"admin:app_{table}_changelist"))
            assert page.context["cl"].result_count, table


@pytest.mark.parametrize(
    ("table", "columns"),
    [("dicominstance", ["sop_instance_uid"]), ("imageinformation", []), ("archivemember", [])],
)
def test_a_table_of_a_million_rows_is_sorted_by_an_index_alone(
    table, columns, staff_client, import_zip
):
    import_zip(ct_image())
    url = reverse(f"admin:app_{table}_changelist")
    offered = staff_client.get(url).content.decode().count('class="sortable')
    assert offered == len(columns)
    for number in range(9):
        page = staff_client.get(url, {"o": f"{number}.-{number}"})
        ordered = {name.strip("-") for name in page.context["cl"].queryset.query.order_by}
        assert ordered <= {"pk", *columns}


COUNTS = {
    ("patient", "number_of_studies"): "study_count",
    ("dicomstudy", "number_of_series"): "series_count",
    ("dicomseries", "number_of_instances"): "instance_count",
    ("rtstructuresetinformation", "number_of_roi"): "number_of_roi",
}


@pytest.fixture
def uneven_catalogue(import_zip) -> None:
    """Rows with different numbers of rows below them, in no order."""
    numbers = [2, 3, 1]
    for patient, studies in enumerate(numbers):
        import_zip(
            *(
                ct_image(
                    PatientID=f"P{patient}",
                    StudyInstanceUID=uid(6, patient, study),
                    SeriesInstanceUID=uid(7, patient, study, series),
                    SOPInstanceUID=uid(8, patient, study, series, image),
                )
                for study in range(studies)
                for series in range(numbers[study])
                for image in range(numbers[series])
            ),
            rt_structure_set([f"ROI {n}" for n in range(studies)], SOPInstanceUID=uid(9, patient)),
        )


def pages_of(client, url: str, **query: str) -> list[Model]:
    """The rows of a list, from its first page to its last."""
    rows: list[Model] = []
    changes = client.get(url, query).context["cl"]
    for number in changes.paginator.page_range:
        rows += client.get(url, {**query, "p": str(number)}).context["cl"].result_list
    assert len(rows) == changes.result_count
    return rows


def test_a_sorted_list_has_each_row_once(staff_client, uneven_catalogue, monkeypatch):
    monkeypatch.setattr(CatalogueAdmin, "list_per_page", 4)
    counted = set()
    for table in TABLES[1:-1]:  # without uploads and checks, of which nobody has a thousand
        url = reverse(f"admin:app_{table}_changelist")
        everything = sorted(apps.get_model("app", table)._default_manager.values_list("pk"))
        changes = staff_client.get(url).context["cl"]
        for number, column in enumerate(changes.list_display):
            if column not in changes.sortable_by or not changes.get_ordering_field(column):
                continue
            up, down = (pages_of(staff_client, url, o=f"{sign}{number}") for sign in ("", "-"))
            assert sorted((row.pk,) for row in up) == everything, f"{table} by {column}"
            assert sorted((row.pk,) for row in down) == everything, f"{table} by {column}, down"
            if count := COUNTS.get((table, column)):
                counts = [getattr(row, count) for row in up]
                assert counts == sorted(counts)
                assert [getattr(row, count) for row in down] == counts[::-1]
                counted |= {(table, column, n) for n in counts}
    assert len(counted) == 3 * len(COUNTS)  # each has one, two and three


@pytest.mark.parametrize(
    "table", ["rtstructureroi", "rtstructuresetinformation", "dicominstance", "patient"]
)
def test_no_page_reads_the_contours(table, staff_client, import_zip):
    import_zip(rt_structure_set())
    pk = apps.get_model("app", table).objects.get().pk
    with CaptureQueriesContext(connection) as queries:
        staff_client.get(reverse(f"admin:app_{table}_changelist"))
        staff_client.get(reverse(f"admin:app_{table}_change", args=[pk]))
        staff_client.get(reverse(f"admin:app_{table}_delete", args=[pk]))
        staff_client.post(reverse(f"admin:app_{table}_delete", args=[pk]), SURE)
    # Into the trash the database moves them by itself.
    asked = [one["sql"].lstrip() for one in queries.captured_queries]
    assert not [sql for sql in asked if "roi_contour_data" in sql and sql.startswith("SELECT")]


def test_no_row_of_the_catalogue_is_made_or_changed_by_hand(staff_client, import_zip):
    import_zip(rt_structure_set())
    for table in TABLES[1:]:
        assert staff_client.get(reverse(f"admin:app_{table}_add")).status_code == 403
    roi = RTStructureROI.objects.get()
    url = reverse("admin:app_rtstructureroi_change", args=[roi.pk])
    assert staff_client.post(url, {"roi_name": "other"}).status_code == 403
    assert "points" not in staff_client.get(url).content.decode()


def test_patients_are_found_by_id_and_shown_as_people_write_them(staff_client, import_zip):
    import_zip(ct_image(PatientName="Doe^Jane^M"))
    url = reverse("admin:app_patient_changelist")
    assert "Doe, Jane M" in searched(staff_client, url, "ID1").content.decode()
    assert "Doe, Jane M" not in searched(staff_client, url, "nobody").content.decode()


def test_no_page_shows_a_name_with_carets(staff_client, import_zip):
    import_zip(ct_image(PatientName="Doe^Jane^M", StudyDescription="CT thorax"))
    said = {"patient": "Doe, Jane M", "dicomstudy": "CT thorax"}
    for table, page in product(
        ("patient", "dicomstudy", "dicomseries", "dicominstance"),
        ("changelist", "change", "delete"),
    ):
        args = [] if page == "changelist" else [apps.get_model("app", table).objects.get().pk]
        shown = staff_client.get(reverse(f"admin:app_{table}_{page}", args=args)).content.decode()
        assert "Doe^" not in shown, (table, page)
        assert said.get(table, "") in shown, (table, page)


def test_a_filter_for_what_is_empty_has_words(staff_client, import_zip):
    import_zip(ct_image(Modality=""), ct_image(Modality="MR", SeriesInstanceUID=uid(6)))
    url = reverse("admin:app_dicomseries_changelist")
    assert "(none)" in staff_client.get(url).content.decode()
    assert staff_client.get(url, {"modality": ""}).context["cl"].result_count == 1


def test_the_list_of_uploads_says_what_to_do_where_there_is_none(staff_client):
    assert "Nothing has been uploaded yet." in staff_client.get(LIST).content.decode()
    for tab in ("running", "attention", "pending"):
        page = staff_client.get(LIST, {"tab": tab}).content.decode()
        assert "uploaded yet" not in page
        assert '<a href="?">Show all uploads</a>' in page
    patients = staff_client.get(reverse("admin:app_patient_changelist")).content.decode()
    assert "Nothing is here yet. <a" in patients
    assert "Nothing matches" in searched(staff_client, LIST, "x").content.decode()


def test_marks_that_turn_the_text_after_them_are_not_kept_in_a_zip_s_name(staff_client, zip_bytes):
    send(staff_client, zip_bytes, "\u202epiz.exe.zip")
    assert DICOMFile.objects.get().original_name == "piz.exe.zip"


def test_what_may_be_two_people_is_said_in_words(staff_client, import_zip):
    import_zip(ct_image(PatientName="Doe^Jane"))
    url = reverse("admin:app_patient_changelist")
    assert "An upload gave another name" not in staff_client.get(url).content.decode()
    import_zip(ct_image(PatientName="Roe^Richard", SOPInstanceUID=uid(3)))
    assert "An upload gave another name" in staff_client.get(url).content.decode()


def test_a_study_under_two_patients_says_so(staff_client, import_zip):
    import_zip(ct_image(), ct_image(PatientID="ID2"))
    url = reverse("admin:app_dicomstudy_changelist")
    page = staff_client.get(url).content.decode()
    assert page.count("The same study UID is catalogued under another patient, too.") == 2


HOSTILE = "<script>alert(1)</script>"


def test_hostile_text_is_shown_escaped(staff_client, import_zip):
    upload = import_zip(
        (f"{HOSTILE}.dcm", ct_image(PatientName=HOSTILE, StudyDescription=HOSTILE)),
        ct_image(SOPInstanceUID=uid(8), SeriesDescription=HOSTILE, SeriesInstanceUID=uid(9)),
        rt_structure_set([HOSTILE]),
    )
    DICOMFile.objects.filter(pk=upload.pk).update(original_name=HOSTILE)
    for table in TABLES[:9]:
        page = staff_client.get(reverse(f"admin:app_{table}_changelist")).content.decode()
        assert HOSTILE not in page, table


def test_the_nightly_check_is_there_to_read(staff_client, import_zip, processed_root):
    import_zip(ct_image())
    nightly.begin()
    check = nightly.go_on()
    url = reverse("admin:app_cataloguecheck_change", args=[check.pk])
    assert "Nothing is wrong." in staff_client.get(url).content.decode()
    (processed_root / DICOMInstance.objects.get().path).unlink()
    nightly.begin()
    check = nightly.go_on()
    assert check.violation_count == 1
    url = reverse("admin:app_cataloguecheck_change", args=[check.pk])
    assert "Its file is missing." in staff_client.get(url).content.decode()


def test_an_upload_that_failed_for_good_is_not_offered_again(staff_client, import_zip):
    upload = import_zip(("README", b"hello"))
    assert upload.processing_status == Status.FAILED
    assert "Process again" not in staff_client.get(LIST).content.decode()
    assert "Needs attention (1)" in staff_client.get(LIST).content.decode()


# Finding


@pytest.fixture
def two_series(import_zip) -> DICOMInstance:
    """Two images of two series: the first, whose UIDs a search is for."""
    import_zip(
        ct_image(SeriesInstanceUID=uid(3, 1), SOPInstanceUID=uid(3, 1, 1)),
        ct_image(SeriesInstanceUID=uid(3, 2), SOPInstanceUID=uid(3, 2, 1), PatientPosition="FFS"),
    )
    return DICOMInstance.objects.get(sop_instance_uid=uid(3, 1, 1))


@pytest.mark.parametrize("page", ["dicominstance", "imageinformation"])
def test_an_image_is_found_by_its_uid_its_series_or_its_sha256(page, staff_client, two_series):
    url = reverse(f"admin:app_{page}_changelist")
    for term in (uid(3, 1, 1), f" {uid(3, 1)} ", two_series.sha256, two_series.sha256.upper()):
        found = searched(staff_client, url, term).context["cl"].result_list
        assert [getattr(row, "dicom_instance", row) for row in found] == [two_series]
    assert not searched(staff_client, url, uid(3)).context["cl"].result_list
    assert len(searched(staff_client, url, "").context["cl"].result_list) == 2


@pytest.mark.parametrize(
    ("page", "chosen", "count"),
    [
        ("dicominstance", {"modality__exact": "CT"}, 2),
        ("imageinformation", {"patient_position__exact": "FFS"}, 1),
    ],
)
def test_a_filter_offers_and_applies_a_value(page, chosen, count, staff_client, two_series):
    url = reverse(f"admin:app_{page}_changelist")
    (value,) = chosen.values()
    assert f">{value}</a>" in staff_client.get(url).content.decode()
    assert len(staff_client.get(url, chosen).context["cl"].result_list) == count
