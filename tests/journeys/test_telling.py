"""An upload that a real worker ends, and the message that it then posts."""

import json

import pytest

from app import tasks
from app.accounts import roles
from app.models import Notice, NoticeState, TellMe
from tests.conftest import wait_until
from tests.making.objects import ct_image
from tests.telling.conftest import Server, running


@pytest.fixture
def hook():
    yield from running(Server([b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))


@pytest.mark.long
def test_a_worker_posts_that_an_upload_has_ended(upload_zip, start_worker, hook, django_user_model):
    anna = django_user_model.objects.create_user("anna", is_staff=True)
    roles.give(anna, "Uploader")
    url, upload = f"http://127.0.0.1:{hook.port}/", upload_zip(ct_image())
    TellMe.objects.create(user=anna, webhook_url=url, icon_url="https://icon.example.org")
    upload.uploaded_by = anna
    upload.save()
    start_worker(ICON_WEBHOOK_HOSTS=f"127.0.0.1:{hook.port}")
    tasks.start([upload.pk])
    wait_until(lambda: hook.got, "the message")
    wait_until(lambda: Notice.objects.get().reason == "hook_busy", "the answer to be kept")
    Notice.objects.update(due_at=upload.created_at)
    wait_until(lambda: Notice.objects.get().state == NoticeState.SENT, "another try")
    first, again = hook.got
    assert first == again
    assert json.loads(again.partition(b"\r\n\r\n")[2])["upload"] == upload.pk
