"""The app's own pages, and the one address that they poll."""

import csv
import io

import pytest
from django.urls import reverse
from django_celery_results.models import TaskResult

from app import claims
from app.models import ArchiveMember, DICOMFile, Stage, Status
from tests.objects import ct_image, uid

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


def live(percent: int, told: int | None) -> DICOMFile:
    """An upload in progress, whose task last told celery-progress a percentage."""
    running = upload(
        processing_status=Status.IN_PROGRESS, stage=Stage.PROCESS, percent=percent, task_id="t1"
    )
    if told is not None:
        TaskResult.objects.store_result(
            "application/json", "utf-8", "t1",
            f'{{"pending": false, "current": {told}, "total": 100, "percent": {told}, '
            '"description": "12 of 20 files filed"}',
            "PROGRESS",
        )  # fmt: skip
    return running


def test_a_live_run_shows_what_its_task_reported(staff_client):
    (state,) = status(staff_client, live(percent=40, told=55).pk)
    assert (state["percent"], state["step"]) == (55, "12 of 20 files filed")


def test_the_percentage_is_never_below_the_row_s(staff_client):
    (state,) = status(staff_client, live(percent=70, told=55).pk)
    assert state["percent"] == 70


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
    assert waiting.status_label == "Pending (stopped)"


def test_the_result_lists_every_file_and_filters_it(staff_client, import_zip):
    done = import_zip(("IM1", ct_image()), ("README", b"hello"))
    url = reverse("upload_result", args=[done.pk])
    page = staff_client.get(url).content.decode()
    assert "IM1" in page
    assert "Not DICOM." in page
    only = staff_client.get(url, {"outcome": "skipped"}).content.decode()
    assert "README" in only
    assert "IM1" not in only
    assert "No file matches." in staff_client.get(url, {"q": "nothing like it"}).content.decode()


def test_the_result_of_100_000_files_is_one_short_page(staff_client, django_assert_max_num_queries):
    done = upload(processing_status=Status.COMPLETED, imported_count=1)
    ArchiveMember.objects.bulk_create(
        ArchiveMember(upload=done, index=n, name=f"{n}", size=1, outcome="skipped")
        for n in range(100_000)
    )
    with django_assert_max_num_queries(8):
        page = staff_client.get(reverse("upload_result", args=[done.pk]))
    assert len(page.content) < 200_000
    assert "Page 1 of 1000" in page.content.decode()


def test_a_failure_says_what_happened_and_what_to_do(staff_client, import_zip):
    failed = import_zip(ct_image(StudyInstanceUID=None))
    response = staff_client.get(reverse("upload_result", args=[failed.pk]))
    assert "processing_error.html" in [template.name for template in response.templates]
    page = response.content.decode()
    assert "Export it again from the system it came from." in page
    assert "Process again" in page


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


# Versions


def test_use_these_versions_asks_first(staff_client, import_zip):
    import_zip(ct_image())
    other = import_zip(ct_image(PatientPosition="FFS"), ct_image(SOPInstanceUID=uid(6)))
    assert (
        "Use these versions"
        in staff_client.get(reverse("upload_result", args=[other.pk])).content.decode()
    )
    url = reverse("use_versions", args=[other.pk])
    assert "1 object of" in staff_client.get(url).content.decode()
    other.refresh_from_db()
    assert other.queued_at is None
    staff_client.post(url)
    other.refresh_from_db()
    assert other.use_versions
    assert other.status_label == "Queued"


# CSV


def test_the_csv_has_every_file_and_no_formula(staff_client, import_zip):
    done = import_zip(
        ("=cmd|' /C calc'!A0", ct_image()), ("@SUM(1)", b"x"), ("+1", b"y"), ("a\tb", b"z")
    )
    response = staff_client.get(reverse("ledger_csv", args=[done.pk]))
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["outcome"] for row in rows] == ["imported", "skipped", "skipped", "skipped"]
    assert [row["name"][0] for row in rows] == ["'", "'", "'", "a"]
    assert rows[0]["sha256"] == done.members.get(index=0).sha256
    assert "attachment" in response["Content-Disposition"]
