"""What whoever watches over ICON is told: that it is alive, and which part is not there."""

import logging
import signal
import threading
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from app.health import probes
from app.models import WorkerSeen
from tests.conftest import begin, default_database, running_postgres, wait_until


@pytest.fixture(autouse=True)
def looked_at_each_time(monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 0)


@pytest.fixture
def ready(client, transactional_db, processed_root, media_root, broker) -> None:
    """Everything is there; a worker's word stands for the worker."""
    probes.worker_is_here()
    assert client.get("/readyz").content == b"ok\n"


def told(client) -> str:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response["Cache-Control"] == "no-store"
    return response.content.decode()


def test_a_process_that_is_alive_says_so_without_a_database(client):
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_ask_by_any_name_and_without_https(path, client, settings, ready):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path, HTTP_HOST="10.1.2.3:8000").status_code == 200
    assert client.get("/admin/login/", HTTP_HOST="10.1.2.3:8000").status_code == 400


def test_a_worker_is_seen_until_it_was_gone_for_a_minute(client, ready, start_worker):
    WorkerSeen.objects.all().delete()
    assert told(client) == "not ready: worker\n"
    start_worker()
    wait_until(lambda: client.get("/readyz").status_code == 200, "the worker to be seen")
    WorkerSeen.objects.update(seen_at=Now() - timedelta(seconds=61))
    assert told(client) == "not ready: worker\n"
    assert WorkerSeen.objects.count() == 1


@pytest.mark.parametrize("mortal_broker", ["valkey"], indirect=True)
def test_a_broker_that_is_away_is_named(client, ready, mortal_broker, broker):
    mortal_broker.kill()
    assert told(client) == "not ready: broker\n"
    begin(mortal_broker, broker)
    assert client.get("/readyz").status_code == 200


def test_storage_that_cannot_be_written_is_named(client, ready, settings, processed_root):
    settings.ICON_PROCESSED_ROOT = processed_root / "away"
    assert told(client) == "not ready: storage, free disk\n"


def test_a_disk_without_room_is_named(client, ready, monkeypatch):
    monkeypatch.setattr(probes, "LEAST_FREE", 10**18)
    assert told(client) == "not ready: free disk\n"


def test_a_probe_leaves_nothing_behind(client, ready, processed_root, media_root):
    client.get("/readyz")
    assert [*processed_root.iterdir(), *media_root.rglob("*.*")] == []


def test_a_database_that_hangs_is_named_in_time(client, ready, monkeypatch):
    monkeypatch.setattr(probes, "PATIENCE", 2.0)
    with running_postgres() as (url, server), default_database(url):
        server.process.send_signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            assert told(client) == "not ready: database, worker\n"
            assert time.monotonic() - begun < 5
            begun, hanging = time.monotonic(), threading.active_count()
            for _ in range(5):
                assert told(client) == "not ready: database, worker\n"
            assert time.monotonic() - begun < 3
            assert threading.active_count() <= hanging
        finally:
            server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not [part for part in probes.PARTS if part.thread.is_alive()], "the end")
        probes.worker_is_here()
        assert client.get("/readyz").status_code == 200


def test_an_answer_is_given_again_for_a_while(client, ready, monkeypatch, processed_root):
    monkeypatch.setattr(probes, "FRESH", 60)
    WorkerSeen.objects.all().delete()
    assert client.get("/readyz").status_code == 200


def test_the_log_tells_of_a_change_once(client, ready, caplog):
    WorkerSeen.objects.all().delete()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            told(client)
    assert [record.getMessage() for record in caplog.records] == ["Not ready: worker"]
