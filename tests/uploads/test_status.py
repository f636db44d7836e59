"""One record says where an upload stands: pages and the endpoint show the same."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from app.models import DICOMFile, Stage, Status
from app.reasons import PROCESS_AGAIN, PROCESS_NOW, PROGRESS, RESULT, SEEN, STOP, USE_VERSIONS
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
    "one to try again": {
        "processing_status": Status.COMPLETED,
        "failed_count": 1,
        "passing_count": 1,
    },
    "seen": {"processing_status": Status.FAILED, "failure_reason": "no_dicom", "seen_at": NOW},
    "some to try again": {
        "processing_status": Status.COMPLETED,
        "failed_count": 1_200,
        "passing_count": 7,
    },
    "failed": {"processing_status": Status.FAILED, "stage": Stage.EXTRACT, "percent": 20},
    "failed for good": {"processing_status": Status.FAILED, "failure_reason": "no_dicom"},
    "without its ZIP": {"processing_status": Status.FAILED, "file": ""},
    "seen after all": {
        "processing_status": Status.COMPLETED,
        "failed_count": 1,
        "seen_at": NOW,
    },
    "only conflicts": {
        "processing_status": Status.FAILED,
        "failure_reason": "only_conflicts",
        "conflict_count": 1,
    },
}
TONES = {  # and how each is called
    "needs attention": ("attention", "Completed, needs attention"),
    "seen after all": ("completed", "Completed, seen"),
    "only conflicts": ("attention", "Needs a decision"),
    "failed": ("failed", "Failed"),
    "seen": ("failed", "Failed"),
}
IDLE = ("Pending", "Stopped at 50 %")
LIVE = Buttons(cancel=STOP, progress=PROGRESS)
BUTTONS = {
    "new": Buttons(start=PROCESS_NOW),
    "queued": LIVE,
    "stopped": Buttons(start=PROCESS_NOW, result=RESULT),
    "queued after a stop": LIVE,
    "in progress": LIVE,
    "completed": Buttons(result=RESULT),
    "needs attention": Buttons(use_versions=USE_VERSIONS, result=RESULT),
    "some failed": Buttons(seen=SEEN, result=RESULT),
    "one to try again": Buttons(again="Try the failed file again", seen=SEEN, result=RESULT),
    "some to try again": Buttons(
        again="Try the 1,200 failed files again", seen=SEEN, result=RESULT
    ),
    "failed": Buttons(again=PROCESS_AGAIN, seen=SEEN, result=RESULT),
    "failed for good": Buttons(seen=SEEN, result=RESULT),
    "seen": Buttons(result=RESULT),
    "without its ZIP": Buttons(seen=SEEN, result=RESULT),
    "seen after all": Buttons(result=RESULT),
    "only conflicts": Buttons(use_versions=USE_VERSIONS, result=RESULT),
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
    assert_buttons(page, state, "start", "again", "cancel", "use_versions", "result")


@pytest.mark.parametrize("upload", STATES, indirect=True)
def test_a_row_of_the_list_and_the_endpoint_show_the_same(upload, staff_client):
    page = staff_client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    state = staff_client.get(f"{reverse('task_status')}?upload={upload.pk}").json()["uploads"][0]
    assert f'<span class="status status-{state["tone"]}">{state["badge"]}</span>' in page
    assert_buttons(page, state, "start", "again", "cancel", "seen", "progress", "result")


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
    answer = staff_client.get(reverse("task_status"), {"tabs": 1}).json()
    assert answer["tabs"]["attention"] == "Needs attention (8)"
    page = staff_client.get(reverse("admin:app_dicomfile_changelist")).content.decode()
    assert all(words in page for words in answer["tabs"].values())
    assert re.search(r"^Progress \(\d\)$", answer["progress"])
    assert f'data-site="progress">{answer["progress"]}</a>' in page


def test_the_row_s_questions_are_those_of_the_queryset(db):
    for values in STATES.values():
        DICOMFile.objects.create(**{"file": "archives/a.zip"} | values)
    uploads, rows = list(DICOMFile.objects.all()), DICOMFile.objects
    assert {one.pk for one in uploads if one.is_queued} == pks(rows.queued())
    assert {one.pk for one in uploads if one.is_live} == pks(rows.live())
    assert {one.pk for one in uploads if one.status_label in IDLE} == pks(rows.idle())
    assert {one.pk for one in uploads if one.needs_attention} == pks(rows.needing_attention())


def test_what_is_fresher_than_the_row_changes_only_how_far_it_is(db):
    upload = DICOMFile.objects.create(queued_at=NOW, file="archives/a.zip")
    known, fresh = state_of(upload), fresh_states([upload])[0]
    assert (fresh.queue_place, known.queue_place) == (1, None)
    assert fresh.buttons == known.buttons
    assert fresh.stages == known.stages


def assert_buttons(page: str, state: dict, *names: str) -> None:
    """Each is there under the name that the endpoint gives it, or hidden where it gives none."""
    for name in names:
        button = rf'data-field="{name}" (hidden)?(.*?)<span class="vis'
        hidden, rest = re.search(button, page, re.DOTALL).groups()
        assert shown(rest, "label") == state["buttons"][name]
        assert bool(hidden) != bool(state["buttons"][name])


def vars_of(buttons: Buttons) -> list[str]:
    return [getattr(buttons, name) for name in Buttons.__slots__]


def pks(uploads) -> set[int]:
    return set(uploads.values_list("pk", flat=True))


def shown(page: str, field: str) -> str:
    """What stands in all elements of this field, one after the other."""
    return "".join(re.findall(rf'data-field="{field}"[^>]*>([^<]*)<', page))


def words(state: dict) -> list[str]:
    return re.findall(r"\w+", "".join(stage["words"] for stage in state["stages"]))


@pytest.mark.parametrize("name", TONES)
def test_what_is_only_to_be_decided_or_was_seen_is_no_failure(name):
    state = state_of(DICOMFile(pk=1, **{"file": "x.zip"} | STATES[name]))
    assert (state.tone, state.label) == TONES[name]
