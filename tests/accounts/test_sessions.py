"""A session lasts while somebody works; a page left open keeps it neither alive nor busy."""

import time
from datetime import timedelta

import pytest
from django.conf import settings as project
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.journeys.test_settings import settings_of_a_new_process

STATUS = reverse("task_status")
JSON = {"Accept": "application/json"}


@pytest.fixture
def used_before(staff_client):
    """The client, whose session began and was last used so many seconds ago: `used_before(600)`."""

    def go_back(seconds: int):
        session = staff_client.session
        session["prolonged"] = int(time.time()) - seconds
        session.save()
        ends = timezone.now() + timedelta(seconds=project.SESSION_COOKIE_AGE - seconds)
        Session.objects.update(expire_date=ends)
        return staff_client

    return go_back


def seconds_left() -> float:
    return (Session.objects.get().expire_date - timezone.now()).total_seconds()


def test_a_session_ends_eight_hours_after_the_last_thing_that_was_done(used_before):
    client = used_before(7 * 3_600)
    client.get("/admin/")
    assert seconds_left() == pytest.approx(8 * 3_600, abs=60)
    client = used_before(8 * 3_600 + 1)
    assert client.get("/admin/").url.startswith("/admin/login/")


def test_a_page_that_only_watches_neither_prolongs_nor_writes_a_session(used_before):
    client = used_before(7 * 3_600)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            assert client.get(STATUS, headers=JSON).status_code == 200
    assert not [one for one in queries.captured_queries if "SELECT" not in one["sql"]]
    assert seconds_left() == pytest.approx(3_600, abs=60)


def test_a_button_that_a_script_presses_is_somebody_at_work(used_before):
    used_before(7 * 3_600).post(reverse("admin:app_dicomfile_add"), headers=JSON)
    assert seconds_left() == pytest.approx(8 * 3_600, abs=60)


def test_page_after_page_writes_the_session_once_in_five_minutes(used_before):
    client = used_before(200)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            client.get("/admin/")
    assert not [one for one in queries.captured_queries if "SELECT" not in one["sql"]]
    client = used_before(300)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            client.get("/admin/")
    writes = [one["sql"] for one in queries.captured_queries if "UPDATE" in one["sql"]]
    assert len(writes) == 1
    assert "django_session" in writes[0]


def test_a_browser_that_is_closed_forgets_the_session(client, staff_user):
    data = {"username": "staff", "password": "staff-password"}
    cookie = client.post("/admin/login/", data).cookies["sessionid"]
    assert (cookie["max-age"], cookie["expires"]) == ("", "")
    assert seconds_left() == pytest.approx(8 * 3_600, abs=60)


def test_the_hours_can_be_set(tmp_path):
    settings = settings_of_a_new_process(ICON_VAR=str(tmp_path), ICON_SESSION_HOURS="1")
    assert settings["SESSION_COOKIE_AGE"] == "3600"


def test_signing_out_clears_what_the_browser_has_kept(staff_client):
    assert "Clear-Site-Data" not in staff_client.get("/admin/")
    assert "Clear-Site-Data" not in staff_client.get("/admin/logout/")
    response = staff_client.post("/admin/logout/")
    assert response["Clear-Site-Data"] == '"cache"'
    assert not Session.objects.exists()
