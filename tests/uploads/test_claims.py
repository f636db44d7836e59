"""Who runs an upload: one, whatever is pressed, delivered or killed."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from app.models import AuditEntry, DICOMFile, Kind, Status
from app.uploads import claims, status
from tests.conftest import process
from tests.making.objects import ct_image

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def upload(db) -> DICOMFile:
    return DICOMFile.objects.create(original_name="a.zip", file="archives/a.zip")


def expire(upload: DICOMFile) -> None:
    DICOMFile.objects.filter(pk=upload.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_a_new_upload_can_be_claimed_once(upload):
    assert claims.claim(upload.pk)
    assert claims.claim(upload.pk) is None
    upload.refresh_from_db()
    assert upload.processing_status == Status.IN_PROGRESS
    assert upload.attempts == 1


def test_of_many_claims_at_once_one_succeeds(upload):
    gate, runs = threading.Barrier(8), []

    def compete():
        gate.wait()
        runs.append(claims.claim(upload.pk))
        connection.close()

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([run for run in runs if run]) == 1


def test_an_expired_lease_can_be_claimed_by_another(upload):
    first = claims.claim(upload.pk)
    expire(upload)
    assert claims.claim(upload.pk)
    with pytest.raises(claims.LostRun):
        first.write(percent=10)


def test_a_renewed_lease_lasts(upload):
    run = claims.claim(upload.pk)
    expire(upload)
    run.renew()
    assert claims.claim(upload.pk) is None


def test_queueing_twice_queues_once(upload):
    assert claims.queue([upload.pk]) == ([upload.pk], {})
    assert claims.queue([upload.pk]) == ([], {upload.pk: "already_queued"})


def test_what_cannot_be_started_is_refused_with_a_reason(upload):
    claims.claim(upload.pk)
    _, refused = claims.queue([upload.pk, 0])
    assert refused == {
        upload.pk: "in_progress",
        0: "upload_gone",
    }


def test_a_completed_upload_is_not_started_again(import_zip):
    upload = import_zip(ct_image())
    queued, refused = claims.queue([upload.pk])
    assert not queued
    assert refused == {upload.pk: "nothing_failed"}


def test_a_late_message_starts_no_stopped_upload(upload):
    claims.queue([upload.pk])
    assert claims.cancel([upload.pk]).taken_out == [upload.pk]
    upload.refresh_from_db()
    assert upload.status_label == "Stopped"
    assert claims.claim(upload.pk) is None
    claims.queue([upload.pk])
    assert claims.claim(upload.pk)


def test_the_sweep_tells_of_no_upload_that_nobody_started(upload):
    assert claims.sweep() == []
    claims.queue([upload.pk])
    claims.cancel([upload.pk])
    assert claims.sweep() == []


def test_the_sweep_tells_of_a_queued_upload_until_it_was_sent(upload):
    claims.queue([upload.pk])
    assert claims.sweep() == [upload.pk]
    claims.mark_sent([upload.pk])
    assert claims.sweep() == []


def test_the_sweep_takes_over_from_a_dead_run(upload):
    claims.claim(upload.pk)
    assert claims.sweep() == []
    expire(upload)
    assert claims.sweep() == [upload.pk]
    upload.refresh_from_db()
    assert upload.status_label == "Queued"


def test_a_run_that_dies_again_and_again_fails_in_the_end(upload):
    for _ in range(claims.MAX_ATTEMPTS):
        assert claims.claim(upload.pk)
        expire(upload)
    assert claims.claim(upload.pk) is None
    assert claims.sweep() == []
    upload.refresh_from_db()
    assert upload.failure_reason == "too_many_attempts"
    assert claims.queue([upload.pk]) == ([upload.pk], {})


# Small and large archives


@pytest.fixture
def queued(db):
    """Queue uploads of these names, one after another: "L…" is large, "S…" small."""

    def queue(*names: str) -> dict[str, int]:
        pks = {}
        for name in names:
            size = claims.LARGE if name.startswith("L") else claims.LARGE - 1
            pks[name] = DICOMFile.objects.create(original_name=name, file=name, size=size).pk
            claims.queue([pks[name]])
        return pks

    return queue


def names_in_turn() -> str:
    names = dict(DICOMFile.objects.values_list("pk", "original_name"))
    return " ".join(names[pk] for pk in claims.turns())


def test_of_large_uploads_one_goes_before_the_small_ones(queued):
    pks = queued("S1", "L1", "L2", "S2", "L3", "S3")
    assert names_in_turn() == "S1 L1 S2 S3 L2 L3"
    claims.claim(pks["L1"], "task")
    assert names_in_turn() == "S1 S2 S3 L2 L3"
    assert status.fresh_states(DICOMFile.objects.filter(pk=pks["S3"]))[0].queue_place == 3


def test_a_large_upload_that_a_command_imports_keeps_no_other_back(queued):
    pks = queued("L1", "L2", "S1")
    claims.claim(pks["L1"])
    assert names_in_turn() == "L2 S1"


def test_a_message_starts_the_upload_whose_turn_it_is(queued):
    pks = queued("L1", "L2", "S1")

    def start(told_of: str) -> int | None:
        tried = claims.whose_turn(pks[told_of])
        return next((pk for pk in tried if claims.claim(pk, "task")), None)

    started = [start("L2"), start("L2"), start("S1"), start("S1")]
    assert started == [pks["L1"], pks["S1"], pks["L2"], None]


def test_a_message_about_an_upload_that_nobody_queued_starts_it(upload, queued):
    queued("S1")
    assert next(claims.whose_turn(upload.pk)) == upload.pk


def gives_way(run: claims.Run) -> bool:
    run.look()
    return run.gives_way.is_set()


def test_the_last_of_several_large_uploads_gives_way_to_a_small_one_that_waits(queued):
    pks = queued("L1", "L2")
    runs = [claims.claim(pk, "task") for pk in pks.values()]
    small = DICOMFile.objects.filter(pk=queued("S1")["S1"])
    assert [gives_way(run) for run in runs] == [False, False]  # no worker was told of it
    claims.mark_sent([small.get().pk])
    assert [gives_way(run) for run in runs] == [False, False]  # there may be a free worker
    small.update(sent_at=Now() - 2 * claims.SMALL_WAITS)
    assert [gives_way(run) for run in runs] == [False, True]
    with pytest.raises(claims.Stopped, match="gives way") as stopped:
        runs[1].check()
    assert stopped.value.handed_on


def test_the_only_large_upload_that_a_worker_runs_gives_no_way(queued):
    pks = queued("L1", "L2")
    runs = [claims.claim(pks["L1"], "task"), claims.claim(pks["L2"])]
    queued("S1")
    DICOMFile.objects.queued().update(sent_at=Now() - 2 * claims.SMALL_WAITS)
    assert [gives_way(run) for run in runs] == [False, False]


def test_a_running_upload_hears_of_cancel(upload):
    run = claims.claim(upload.pk)
    claims.cancel([upload.pk])
    run.look()
    assert run.cancelled.is_set()


@pytest.mark.parametrize("attempts", [1, claims.MAX_ATTEMPTS])
def test_a_cancelled_run_that_dies_is_stopped_and_not_run_again(upload, attempts):
    claims.claim(upload.pk)
    DICOMFile.objects.filter(pk=upload.pk).update(attempts=attempts)
    claims.cancel([upload.pk])
    expire(upload)
    assert claims.claim(upload.pk) is None
    assert claims.sweep() == []
    upload.refresh_from_db()
    assert upload.status_label == "Stopped"
    assert not upload.cancel_requested
    ended = AuditEntry.objects.get(kind=Kind.ENDED)
    assert (ended.row, ended.words) == (upload.pk, "Stopped.")
    claims.queue([upload.pk])
    assert claims.claim(upload.pk)


def test_starting_again_clears_what_the_last_end_said(import_zip):
    upload = import_zip(ct_image(StudyInstanceUID=None))
    assert upload.processing_status == Status.FAILED
    claims.queue([upload.pk])
    upload.refresh_from_db()
    assert upload.failure_reason == upload.failure_detail == ""
    assert upload.percent == 0
    process(upload)
    assert upload.processing_status == Status.FAILED
