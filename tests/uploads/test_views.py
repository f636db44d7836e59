"""The app's own pages, and the one address that they poll."""

import csv
import io
import json
import re
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from app.accounts import roles
from app.catalogue import removal
from app.models import ArchiveMember, DICOMFile, DICOMInstance, Patient, Stage, Status
from app.uploads import claims
from tests.conftest import process, searched
from tests.making.objects import ct_image, rt_structure_set, uid

STATUS = reverse("task_status")
PROGRESS = reverse("dicom_processing_progress")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


def status(client, *pks) -> list[dict]:
    return client.get(STATUS, {"upload": list(pks)}).json()["uploads"]


def upload(**values) -> DICOMFile:
    return DICOMFile.objects.create(**{"original_name": "a.zip", "file": "a.zip"} | values)


# The status


def test_the_status_of_an_upload_that_ended(staff_client, import_zip):
    done = import_zip(ct_image(), ("README", b"hello"))
    (state,) = status(staff_client, done.pk)
    assert (state["id"], state["status"], state["percent"]) == (done.pk, "completed", 100)
    assert (state["files_done"], state["files_total"]) == (2, 2)
    assert state["outcomes"] == {
        "imported": 1, "duplicate": 0, "conflict": 0, "skipped": 1, "failed": 0,
    }  # fmt: skip
    assert {"stage", "step", "message"} <= state.keys()


def test_the_status_comes_in_the_order_asked_for_without_what_is_unknown(staff_client):
    first, second = upload(), upload()
    asked = status(staff_client, second.pk, 999_999, "x", first.pk)
    assert [state["id"] for state in asked] == [second.pk, first.pk]


def test_the_status_of_many_uploads_costs_as_much_as_of_one(
    staff_client, import_zip, django_assert_num_queries
):
    done = [import_zip(ct_image(SOPInstanceUID=uid(6, n))) for n in range(3)]
    waiting = [upload() for _ in range(3)]
    claims.queue([one.pk for one in waiting])
    with django_assert_num_queries(5):  # session, user, uploads, queue, how many are live
        status(staff_client, done[0].pk, waiting[0].pk)
    with django_assert_num_queries(5):
        status(staff_client, *(one.pk for one in done + waiting))


def test_who_may_not_see_uploads_gets_none(client, django_user_model):
    clerk = django_user_model.objects.create_user("clerk", password="clerk", is_staff=True)
    client.force_login(clerk)
    assert status(client, upload().pk) == []


def test_a_queued_upload_says_its_place(staff_client):
    uploads = [upload(), upload()]
    claims.queue([one.pk for one in uploads])
    assert [state["queue_place"] for state in status(staff_client, *(u.pk for u in uploads))] == [
        1,
        2,
    ]


def test_who_waits_long_while_nothing_runs_is_told_what_to_ask(staff_client):
    waiting = upload()
    claims.queue([waiting.pk])
    queued = DICOMFile.objects.filter(pk=waiting.pk)
    assert status(staff_client, waiting.pk)[0]["step"].startswith("Waiting for its turn")
    queued.update(queued_at=timezone.now() - timedelta(minutes=2))
    assert status(staff_client, waiting.pk)[0]["step"].startswith("Waiting for a worker.")
    upload(processing_status=Status.IN_PROGRESS)
    assert status(staff_client, waiting.pk)[0]["step"].startswith("Waiting for its turn")


def took(staff_client, **values) -> str:
    begun = timezone.now() - timedelta(seconds=100)
    ended = {"run_started_at": begun, "date_processing_completed": begun + timedelta(seconds=20)}
    done = upload(processing_status=Status.COMPLETED, imported_count=500, **ended, **values)
    return status(staff_client, done.pk)[0]["took"]


def test_the_time_taken_is_that_of_the_last_run(staff_client):
    assert took(staff_client) == "500 files in 20 s, 25 files/s"
    assert took(staff_client, done_before_run=490) == "Last run: 10 files in 20 s"
    assert took(staff_client, done_before_run=500) == ""


def test_a_run_that_goes_on_counts_only_its_own_files(import_zip, staff_client):
    done = import_zip(ct_image(), ct_image(StudyInstanceUID=None, SOPInstanceUID=uid(6)))
    assert (done.done_before_run, done.files_done) == (0, 2)
    claims.queue([done.pk])
    process(done)
    assert (done.done_before_run, done.files_done) == (1, 2)
    assert status(staff_client, done.pk)[0]["took"].startswith("Last run: 1 file in")


def live(percent: int, told: int | None, stage: str = Stage.PROCESS) -> DICOMFile:
    """An upload in progress, whose task last told celery-progress a percentage."""
    running = upload(
        processing_status=Status.IN_PROGRESS, stage=stage, percent=percent, task_id="t1"
    )
    if told is not None:
        TaskResult.objects.store_result(
            "application/json", "utf-8", "t1",
            f'{{"pending": false, "current": {told}, "total": 100, "percent": {told}, '
            '"description": "12 of 20 files done"}',
            "PROGRESS",
        )  # fmt: skip
    return running


def test_a_live_run_shows_what_its_task_reported(staff_client):
    (state,) = status(staff_client, live(percent=40, told=55).pk)
    assert (state["percent"], state["step"]) == (55, "12 of 20 files done")


def test_the_percentage_is_never_below_the_row_s(staff_client):
    running = live(percent=70, told=55)
    DICOMFile.objects.filter(pk=running.pk).update(member_count=20, imported_count=15)
    (state,) = status(staff_client, running.pk)
    assert (state["percent"], state["step"]) == (70, "15 of 20 files done")


@pytest.mark.parametrize(
    ("row", "percent", "told", "shown"),
    [
        ("initialize", 0, 0, "initialize"),
        ("initialize", 10, 22, "extract"),
        ("initialize", 10, 31, "process"),
        ("extract", 26, 40, "process"),
        ("initialize", 60, 60, "initialize"),  # a run that goes on where another stopped
        ("cleanup", 90, 90, "cleanup"),
        ("extract", 20, None, "extract"),
    ],
)
def test_the_stage_is_the_one_that_the_percentage_belongs_to(
    staff_client, row, percent, told, shown
):
    (state,) = status(staff_client, live(percent, told, row).pk)
    assert state["stage"] == shown


def test_an_emptied_result_table_changes_little(staff_client):
    (state,) = status(staff_client, live(percent=70, told=None).pk)
    assert (state["status"], state["percent"]) == ("in_progress", 70)
    assert state["step"]


# Pages


def test_the_progress_page_has_a_card_for_exactly_the_uploads_asked_for(staff_client):
    shown, other = upload(original_name="shown.zip"), upload(original_name="other.zip")
    page = staff_client.get(PROGRESS, {"upload": shown.pk}).content.decode()
    assert "shown.zip" in page
    assert "other.zip" not in page
    assert 'data-poll-seconds="1"' in page
    assert other.pk


def test_of_many_uploads_there_are_rows_what_runs_first(staff_client):
    ended = {"date_processing_completed": timezone.now()}
    good = upload(processing_status=Status.COMPLETED, original_name="good.zip", **ended)
    bad = upload(processing_status=Status.FAILED, original_name="bad.zip", **ended)
    some = upload(processing_status=Status.COMPLETED, failed_count=1, original_name="some.zip")
    waiting, running = upload(original_name="waits.zip"), upload(original_name="runs.zip")
    claims.queue([waiting.pk])
    DICOMFile.objects.filter(pk=running.pk).update(processing_status=Status.IN_PROGRESS)
    asked = {"upload": [one.pk for one in (good, bad, some, waiting, running)]}
    page = staff_client.get(PROGRESS, asked)
    names = [one["upload"].name for one in page.context["shown"]]
    assert names == ["runs.zip", "waits.zip", "bad.zip", "some.zip", "good.zip"]
    text = page.content.decode()
    for words in ("1 running", "1 queued", "1 failed", "1 needs attention", "1 fine"):
        assert f">{words}<" in text
    assert "upload-row" not in staff_client.get(PROGRESS, {"upload": good.pk}).content.decode()
    assert "use-versions/" in text
    only = staff_client.get(PROGRESS, asked | {"only": "failed"}).content.decode()
    assert only.count('class="upload-row"') - only.count("hidden>\n  <h2") == 1


def test_rows_offer_other_versions_to_who_may_take_them(client, django_user_model):
    uploader = django_user_model.objects.create_user("uploader", is_staff=True)
    roles.give(uploader, "Uploader")
    client.force_login(uploader)
    page = client.get(PROGRESS, {"upload": [upload().pk for _ in range(4)]}).content.decode()
    assert page.count('class="upload-row"') == 4
    assert "use-versions/" not in page


def test_a_page_that_was_opened_for_nothing_certain_shows_what_comes(staff_client):
    page = staff_client.get(PROGRESS).content.decode()
    assert 'data-live-seconds="15"' in page
    assert f'data-status-url="{STATUS}?live=1"' in page
    done, waiting = upload(processing_status=Status.COMPLETED), upload()
    claims.queue([waiting.pk])
    found = staff_client.get(STATUS, {"live": 1, "upload": done.pk}).json()["uploads"]
    assert [state["id"] for state in found] == [done.pk, waiting.pk]
    assert "live-seconds" not in staff_client.get(PROGRESS, {"upload": done.pk}).content.decode()


def test_stop_and_again_lead_back_to_the_page_of_progress_they_stood_on(staff_client):
    waiting = [upload() for _ in range(2)]
    claims.queue([one.pk for one in waiting])
    back = f"{PROGRESS}?upload={waiting[0].pk}&upload={waiting[1].pk}"
    assert "back" in staff_client.get(back).content.decode()
    for name in ("cancel_dicom_file", "process_dicom_file"):
        url = reverse(name, args=[waiting[0].pk])
        assert staff_client.post(url, {"back": back}).url == back
        assert staff_client.post(url, {"back": "//elsewhere.example/"}).url.startswith(PROGRESS)
    (words,) = {str(one) for one in staff_client.get(back).context["messages"]} & {
        "Taken out of the queue."
    }
    assert words


# Known ZIPs


def known(client, body: str):
    return client.post(reverse("known_uploads"), body, content_type="application/json")


def test_a_zip_of_the_same_name_and_size_is_known(staff_client, staff_user):
    here = upload(original_name="a.zip", size=7, uploaded_by=staff_user)
    asked = [
        {"name": "a.zip", "size": 7},
        {"name": "a.zip", "size": 8},
        {"name": "b\0\ud800", "size": 7},
    ]
    first, *others = known(staff_client, json.dumps(asked)).json()["known"]
    assert first["words"].endswith(" by staff: Pending.")
    assert first["result_url"] == reverse("upload_result", args=[here.pk])
    assert others == [None, None]


NAMELESS, ENDLESS = '[{"name": 1, "size": 1}]', '[{"name": "a", "size": 1e999}]'


@pytest.mark.parametrize("body", ["", "[1]", '{"a": 1}', NAMELESS, ENDLESS, 999 * "["])
def test_what_asks_in_no_known_way_is_refused(body, staff_client):
    assert known(staff_client, body).status_code == 400


def test_who_may_not_see_uploads_knows_none(client, django_user_model):
    upload(original_name="a.zip", size=7)
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    asked = json.dumps([{"name": "a.zip", "size": 7}])
    assert known(client, asked).json() == {"known": [None]}


def test_a_get_starts_nothing(staff_client):
    waiting = upload()
    for name in ("process_dicom_file", "cancel_dicom_file"):
        assert staff_client.get(reverse(name, args=[waiting.pk])).status_code == 405
    waiting.refresh_from_db()
    assert waiting.queued_at is None


def test_process_now_queues_and_shows_the_progress(staff_client):
    waiting = upload()
    response = staff_client.post(reverse("process_dicom_file", args=[waiting.pk]))
    assert response.url == f"{PROGRESS}?upload={waiting.pk}"
    waiting.refresh_from_db()
    assert waiting.status_label == "Queued"


def test_cancel_takes_a_queued_upload_out(staff_client):
    waiting = upload()
    claims.queue([waiting.pk])
    staff_client.post(reverse("cancel_dicom_file", args=[waiting.pk]))
    waiting.refresh_from_db()
    assert waiting.status_label == "Stopped"


def test_the_result_lists_every_file_and_filters_it(staff_client, import_zip):
    done = import_zip(("IM1", ct_image()), ("README", b"hello"))
    url = reverse("upload_result", args=[done.pk])
    page = staff_client.get(url).content.decode()
    assert "IM1" in page
    assert "Not DICOM." in page
    only = staff_client.get(url, {"outcome": "skipped"}).content.decode()
    assert "README" in only
    assert "IM1" not in only
    none = searched(staff_client, url, "nothing like it").content.decode()
    assert "No file matches “<bdi>nothing like it</bdi>”." in none


def with_members(count: int, outcome: str = "skipped") -> DICOMFile:
    """An upload that ended, with a ledger of so many files."""
    done = upload(
        processing_status=Status.COMPLETED, member_count=count, **{f"{outcome}_count": count}
    )
    with connection.cursor() as cursor:  # a hundred thousand objects would take seconds
        cursor.execute(
            """INSERT INTO app_archivemember
                   (upload_id, "index", "inner", name, size, sha256, outcome, reason, detail)
               WITH RECURSIVE counted(n) AS
                   (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < %s)
               SELECT %s, n, 0, 'file ' || n, 1, '', %s, 'not_dicom', 'Not DICOM.'
               FROM counted""",
            [count, done.pk, outcome],
        )
    return done


def result(client, done: DICOMFile, **query) -> str:
    return client.get(reverse("upload_result", args=[done.pk]), query).content.decode()


def found(client, done: DICOMFile, words: str) -> str:
    return searched(client, reverse("upload_result", args=[done.pk]), words).content.decode()


def test_the_result_of_100_000_files_is_one_short_page(staff_client, django_assert_max_num_queries):
    done = with_members(100_000)
    with django_assert_max_num_queries(10):
        page = result(staff_client, done)
    assert len(page) < 200_000
    assert "Page 1 of 1,000" in page


def test_the_ledger_has_pages(staff_client):
    done = with_members(250)
    found_at = staff_client.post(
        reverse("upload_result", args=[done.pk]) + "?outcome=skipped&page=2", {"q": "file"}
    )["Location"]
    assert "file" not in found_at
    number = found_at.partition("q=")[2].partition("#")[0]
    assert "Page 1 of 3" in staff_client.get(found_at).content.decode()
    last = result(staff_client, done, page=3, q=number)
    assert "Page 3 of 3" in last
    assert "file 249" in last
    assert "file 199<" not in last
    assert f"?q={number}&amp;page=2#ledger-heading" in last


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", ""])
def test_a_page_that_is_not_there_is_the_nearest(staff_client, page):
    assert "file 2" in result(staff_client, with_members(3), page=page)


def test_the_ledger_is_searched_by_name_and_by_reason(staff_client, import_zip):
    done = import_zip(("CT/IM1", ct_image()), ("notes.txt", b"hello"))
    by_name = found(staff_client, done, "ct/im")
    assert "CT/IM1" in by_name
    assert "notes.txt" not in by_name
    by_reason = found(staff_client, done, "Not DICOM")
    assert "notes.txt" in by_reason
    assert "CT/IM1" not in by_reason


@pytest.mark.parametrize("text", ["%", "_", "'", "\\", "\U0001f600" * 900])
def test_a_search_takes_every_character_as_itself(staff_client, text):
    assert "No file matches" in found(staff_client, with_members(1), text)


def test_a_search_for_a_nul_is_none(staff_client):
    assert "file 0" in found(staff_client, with_members(1), "\0")


def test_the_result_lists_the_warnings_and_finds_their_files(staff_client, import_zip):
    done = import_zip(("IM1", ct_image(StudyDate="soon")), ("IM2", ct_image(SOPInstanceUID=uid(6))))
    page = result(staff_client, done)
    said = "Study Date could not be read and was left empty."
    assert f'{said} <span class="mark mark-warning">1 file</span>' in page
    warned = result(staff_client, done, warning=said)
    assert f"Only files of which this is said: “{said}”" in warned
    assert "IM1" in warned
    assert "IM2" not in warned


def test_a_failure_says_what_happened_and_what_to_do(staff_client, import_zip):
    failed = import_zip(ct_image(StudyInstanceUID=None))
    response = staff_client.get(reverse("upload_result", args=[failed.pk]))
    assert "processing_error.html" in [template.name for template in response.templates]
    page = response.content.decode()
    assert "Export it again from the system it came from." in page
    assert "Process again" not in page


def test_hostile_text_is_escaped_on_every_page(staff_client, import_zip):
    done = import_zip((f"{HOSTILE}.dcm", ct_image()), (f"{HOSTILE}.txt", b"x"))
    DICOMFile.objects.filter(pk=done.pk).update(original_name=HOSTILE)
    for url in (
        reverse("upload_result", args=[done.pk]),
        f"{PROGRESS}?upload={done.pk}",
        reverse("use_versions", args=[done.pk]),
    ):
        assert HOSTILE not in staff_client.get(url).content.decode()


def test_no_page_is_kept_by_the_browser(staff_client):
    for url in (PROGRESS, STATUS, reverse("admin:index")):
        assert "no-store" in staff_client.get(url)["Cache-Control"]


@pytest.mark.parametrize("cookie", ["Nowhere/City", "../../etc/passwd", "Europe", "x" * 3000, "."])
def test_a_cookie_that_is_no_time_zone_changes_nothing(cookie, staff_client):
    shown = upload()
    staff_client.cookies["time_zone"] = "Asia/Tokyo"
    tokyo = result(staff_client, shown)
    staff_client.cookies["time_zone"] = cookie
    page = result(staff_client, shown)
    assert "UTC" in page
    assert "Asia/Tokyo" in tokyo


# What changed


def test_the_result_says_what_is_new_in_the_catalogue(staff_client, import_zip):
    page = result(staff_client, import_zip(ct_image(PatientName="Doe^Jane", Modality="CT")))
    assert "What changed in the catalogue" in page
    assert "Doe, Jane" in page
    assert page.count("mark-new") == 3


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([ct_image()], "1 image of 1 patient was imported."),
        (
            [ct_image(), ct_image(SOPInstanceUID=uid(6)), rt_structure_set(), ("a.txt", b"x")],
            "2 images and 1 structure set of 1 patient were imported; 1 other file was skipped.",
        ),
        (
            [ct_image(), ct_image(PatientID="ID2")],
            "2 images of 2 patients (2 studies) were imported.",
        ),
        (
            [ct_image(), ct_image()],
            "1 image of 1 patient: 1 newly imported, 1 already here.",
        ),
    ],
)
def test_the_result_says_in_one_sentence_what_was_filed(
    members, sentence, staff_client, import_zip
):
    assert sentence in result(staff_client, import_zip(*members))


def test_the_result_of_what_was_here_says_so(staff_client, import_zip):
    import_zip(ct_image())
    again = result(staff_client, import_zip(ct_image()))
    assert "1 image of 1 patient is in the catalogue, and was before." in again


def test_the_result_says_how_many_of_its_files_were_deleted_since(staff_client, import_zip):
    done = import_zip(ct_image(), ct_image(SOPInstanceUID=uid(6)), ct_image(PatientID="ID2"))
    assert "deleted" not in result(staff_client, done)
    removal.delete(Patient.objects.get(unique_patient_id="ID2"))
    assert (
        "3 images of 2 patients (2 studies) were imported. "
        "1 of these files has been deleted from the catalogue since."
    ) in result(staff_client, done)


def test_the_progress_page_ends_with_the_words_of_the_result(staff_client, import_zip):
    done = import_zip(ct_image(), rt_structure_set())
    page = staff_client.get(PROGRESS, {"upload": done.pk})
    assert "1 image and 1 structure set of 1 patient were imported." in page.content.decode()


def test_what_changed_is_for_who_may_see_patients(client, django_user_model, import_zip):
    done = import_zip(ct_image(PatientName="Doe^Jane"))
    clerk = django_user_model.objects.create_user("clerk", password="clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_dicomfile"))
    client.force_login(clerk)
    page = result(client, done)
    assert "1 image of 1 patient was imported." in page
    assert "Doe" not in page


# Versions


def test_use_these_versions_asks_first(staff_client, import_zip):
    import_zip(ct_image())
    other = import_zip(ct_image(PatientPosition="FFS"), ct_image(SOPInstanceUID=uid(6)))
    assert (
        "Use these versions"
        in staff_client.get(reverse("upload_result", args=[other.pk])).content.decode()
    )
    url = reverse("use_versions", args=[other.pk])
    asked = staff_client.get(url).content.decode()
    assert "1 object of" in asked
    assert "Patient Position" in asked
    other.refresh_from_db()
    assert other.queued_at is None
    staff_client.post(url)
    other.refresh_from_db()
    assert other.use_versions
    assert other.status_label == "Queued"


# CSV


def csv_rows(client, done: DICOMFile, **query) -> list[dict[str, str]]:
    response = client.get(reverse("ledger_csv", args=[done.pk]), query)
    assert re.fullmatch(
        rf'attachment; filename="upload-{done.pk}-\d{{4}}-\d\d-\d\d-files.csv"',
        response["Content-Disposition"],
    )
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_csv_has_every_file_and_no_formula(staff_client, import_zip):
    done = import_zip(
        ("=cmd|' /C calc'!A0", ct_image()), ("@SUM(1)", b"x"), ("+1", b"y"), ("a\tb", b"z")
    )
    rows = csv_rows(staff_client, done)
    assert [row["outcome"] for row in rows] == ["Imported", "Skipped", "Skipped", "Skipped"]
    assert [row["file in the ZIP"][0] for row in rows] == ["'", "'", "'", "a"]
    assert rows[0]["SHA-256"] == done.members.get(index=0).sha256


def test_the_csv_says_in_words_and_uids_what_became_of_the_files_asked_for(
    staff_client, client, django_user_model, import_zip
):
    import_zip(ct_image())
    done = import_zip(("IM1", ct_image()), ("IM2", ct_image(PatientID="=2+3")), ("a.txt", b"x"))
    known, new, other = csv_rows(staff_client, done)
    assert (known["number"], known["outcome"]) == ("1", "Already here")
    assert known["why"] == "Already in the catalogue, with the very same content."
    assert (known["patient ID"], new["patient ID"], other["patient ID"]) == ("ID1", "'=2+3", "")
    row = DICOMInstance.objects.select_related("dicom_series__dicom_study").first()
    study = row.dicom_series.dicom_study.study_instance_uid
    assert [known[f"{level} instance UID"] for level in ("study", "series", "SOP")] == [
        study, row.dicom_series.series_instance_uid, row.sop_instance_uid,
    ]  # fmt: skip
    assert csv_rows(staff_client, done, outcome="skipped") == [other]
    assert "IM2" in found(staff_client, done, "IM2")
    (number,) = staff_client.session["searches"]
    assert csv_rows(staff_client, done, q=number) == [new]
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_dicomfile"))
    client.force_login(clerk)
    assert "patient ID" not in csv_rows(client, done)[0]


@pytest.mark.parametrize("start", [*"=+-@\t\r\uff1d\uff0b\uff0d\uff20"])
def test_no_text_of_the_csv_begins_a_formula(staff_client, start):
    done = upload(processing_status=Status.COMPLETED)
    ArchiveMember.objects.create(
        upload=done, index=0, name=f"{start}1", size=1, outcome="failed", detail=f"{start}2"
    )
    (row,) = csv_rows(staff_client, done)
    assert (row["file in the ZIP"], row["why"]) == (f"'{start}1", f"'{start}2")


BLANKS = ' "\0\x0b\x0c\x1c\x7f\x85\xa0\u1680\u200b\u2028\u3000\ufeff'


def cells(text: str, delimiter: str) -> Iterator[str]:
    """What a program sees that parts cells so: one that knows quotes, and one that does not."""
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        yield from row
    if delimiter != ",":
        for line in text.splitlines():
            yield from line.split(delimiter)


@pytest.mark.parametrize(
    "name",
    ["a;=1+1", 'a;"=cmd|\'/C calc\'!A0', 'c;"@SUM(1);', "b; =1+1;", 'd; " "=1', "e\t =1", "f\r=1",
     'g\n"-1', "h\u2028=1", 'i;;\t"\uff1d1', "\ufeff=1", " =1", '"=1', "\t\t=1", "a;\ufe66\uff0b1"],
)  # fmt: skip
def test_no_cell_of_the_csv_is_a_formula_however_cells_are_parted(staff_client, name):
    done = upload(processing_status=Status.COMPLETED)
    ArchiveMember.objects.create(upload=done, index=0, name=name, size=1, outcome="failed")
    response = staff_client.get(reverse("ledger_csv", args=[done.pk]))
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    for delimiter in ",;\t":
        for cell in cells(text, delimiter):
            assert not cell.lstrip(f"{BLANKS}\t\r\n").startswith((*"=+-@\uff1d\ufe66",)), delimiter
    (row,) = csv_rows(staff_client, done)
    assert row["file in the ZIP"].replace("'", "") == name.replace("'", "")


@pytest.mark.parametrize("name", ["a; b=1", "IM-0001.dcm", "a,=1", "x=1;y", "CT + RT;plan"])
def test_a_name_that_begins_no_formula_is_written_as_it_is(staff_client, name):
    done = upload(processing_status=Status.COMPLETED)
    ArchiveMember.objects.create(upload=done, index=0, name=name, size=1, outcome="failed")
    (row,) = csv_rows(staff_client, done)
    assert row["file in the ZIP"] == name


def test_a_long_csv_is_never_in_memory_as_a_whole(staff_client):
    done = with_members(20_000)
    response = staff_client.get(reverse("ledger_csv", args=[done.pk]))
    tracemalloc.start()
    lines = sum(1 for _ in response.streaming_content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == 20_001
    assert peak < 5_000_000
