"""One record says where an upload stands: pages and the endpoint show the same."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from app.models import DICOMFile, Stage, Status
from app.reasons import PROCESS_AGAIN, PROCESS_NOW
from app.uploads.status import Buttons, fresh_states, state_of

NOW = timezone.now()
STATES = {
    "new": {},
    "queued": {"queued_at": NOW},
    "stopped": {"stopped": True, "stage": Stage.PROCESS, "percent": 50, "imported_count": 3},
    "queued after a stop": {"queued_at": NOW, "stage": Stage.PROCESS, "percent": 50},
    "in progress": {"processing_status": Status.IN_PROGRESS, "stage": Stage.EXTRACT, "percent": 20},
    "completed": {"processing_status": Status.COMPLETED, "stage": Stage.FINALIZE},
    "needs attention": {"processing_status": Status.COMPLETED, "conflict_count": 1},
    "some failed": {"processing_status": Status.COMPLETED, "failed_count": 1},
    "failed": {"processing_status": Status.FAILED, "stage": Stage.EXTRACT, "percent": 20},
    "without its ZIP": {"processing_status": Status.FAILED, "file": ""},
}
# The buttons that make sense: start, cancel, use versions, progress, result.
BUTTONS = {
    "new": Buttons(PROCESS_NOW, False, False, False, False),
    "queued": Buttons("", True, False, True, False),
    "stopped": Buttons(PROCESS_NOW, False, False, False, True),
    "queued after a stop": Buttons("", True, False, True, False),
    "in progress": Buttons("", True, False, True, False),
    "completed": Buttons("", False, False, False, True),
    "needs attention": Buttons("", False, True, False, True),
    "some failed": Buttons(PROCESS_AGAIN, False, False, False, True),
    "failed": Buttons(PROCESS_AGAIN, False, False, False, True),
    "without its ZIP": Buttons("", False, False, False, True),
}
LOOKS = {
    "new": "ahead ahead ahead ahead ahead",
    "stopped": "done done stopped ahead ahead",
    "queued after a stop": "done done ahead ahead ahead",
    "in progress": "done current ahead ahead ahead",
    "completed": "done done done done done",
    "failed": "done failed ahead ahead ahead",
}


@pytest.fixture
def upload(db, request) -> DICOMFile:
    values = {"file": "archives/a.zip", "original_name": "a.zip"} | STATES[request.param]
    return DICOMFile.objects.create(**values)


@pytest.mark.parametrize("upload", STATES, indirect=True)
def test_a_card_and_the_endpoint_show_the_same(upload, staff_client):
    asked = f"?upload={upload.pk}"
    page = staff_client.get(reverse("dicom_processing_progress") + asked).content.decode()
    (state,) = staff_client.get(reverse("task_status") + asked).json()["uploads"]
    assert re.findall(r"stage stage-(\w+)", page) == [stage["look"] for stage in state["stages"]]
    assert re.findall(r"\w+", shown(page, "stage-words")) == words(state)
    assert f'bi bi-{state["icon"]}" data-field="badge-icon"' in page
    assert shown(page, "status") == state["label"]
    assert shown(page, "step") == state["step"]
    assert shown(page, "percent") == str(state["percent"])
    assert shown(page, "start-label") == state["buttons"]["start"]
    for name in ("start", "cancel"):
        hidden = re.search(rf'data-field="{name}" (hidden)?', page)[1]
        assert bool(hidden) != bool(state["buttons"][name])


@pytest.mark.parametrize("upload", STATES, indirect=True)
def test_a_row_of_the_list_and_the_endpoint_show_the_same(upload, staff_client):
    page = staff_client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    state = staff_client.get(f"{reverse('task_status')}?upload={upload.pk}").json()["uploads"][0]
    assert f'<span class="status status-{state["tone"]}">{state["badge"]}</span>' in page
    assert shown(page, "start-label") == state["buttons"]["start"]
    for name in ("start", "cancel", "progress", "result"):
        hidden = re.search(rf'data-field="{name}" (hidden)?', page)[1]
        assert bool(hidden) != bool(state["buttons"][name])


@pytest.mark.parametrize(
    ("upload", "buttons"), [(name, BUTTONS[name]) for name in STATES], indirect=["upload"]
)
def test_the_buttons_that_make_sense(upload, buttons):
    assert state_of(upload).buttons == buttons


@pytest.mark.parametrize(
    ("upload", "looks"), [(name, LOOKS[name]) for name in LOOKS], indirect=["upload"]
)
def test_where_a_run_stopped_is_seen_and_said(upload, looks):
    stages = state_of(upload).stages
    assert [stage.look for stage in stages] == looks.split()
    assert all(stage.words for stage in stages if stage.look in ("done", "stopped", "failed"))


def test_the_endpoint_tells_how_many_uploads_need_attention(db, staff_client):
    for values in STATES.values():
        DICOMFile.objects.create(**{"file": "archives/a.zip"} | values)
    answer = staff_client.get(reverse("task_status")).json()
    needing = [upload for upload in DICOMFile.objects.all() if upload.needs_attention]
    assert answer["needing_attention"] == len(needing) == 4
    page = staff_client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    assert answer["attention_words"] == "Needs attention (4)"
    assert answer["attention_words"] in page


def test_the_row_s_questions_are_those_of_the_queryset(db):
    for values in STATES.values():
        DICOMFile.objects.create(**{"file": "archives/a.zip"} | values)
    uploads, rows = list(DICOMFile.objects.all()), DICOMFile.objects
    assert {one.pk for one in uploads if one.is_queued} == pks(rows.queued())
    assert {one.pk for one in uploads if one.is_live} == pks(rows.live())
    assert {one.pk for one in uploads if one.needs_attention} == pks(rows.needing_attention())


def test_what_is_fresher_than_the_row_changes_only_how_far_it_is(db):
    upload = DICOMFile.objects.create(queued_at=NOW, file="archives/a.zip")
    fresh, known = fresh_states([upload])[0], state_of(upload)
    assert (fresh.queue_place, known.queue_place) == (1, None)
    assert fresh.buttons == known.buttons
    assert fresh.stages == known.stages


def pks(uploads) -> set[int]:
    return set(uploads.values_list("pk", flat=True))


def shown(page: str, field: str) -> str:
    """What stands in all elements of this field, one after the other."""
    return "".join(re.findall(rf'data-field="{field}"[^>]*>([^<]*)<', page))


def words(state: dict) -> list[str]:
    return re.findall(r"\w+", "".join(stage["words"] for stage in state["stages"]))
