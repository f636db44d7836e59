"""Messages that an upload has ended: made with its end, once, sent, tried again, given up."""

import json
from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from app.models import (
    AskedToTell,
    DICOMFile,
    Notice,
    NoticeState,
    Status,
    TellMe,
    TellWhen,
    Way,
)
from app.telling import sending
from app.telling.noting import note_end
from app.uploads import claims
from tests.conftest import process
from tests.making.objects import ct_image

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


@pytest.fixture
def of_anna(upload_zip, anna):
    """Take a ZIP as hers; her upload."""

    def take(*members) -> DICOMFile:
        upload = upload_zip(*members)
        upload.original_name, upload.uploaded_by = "Müller Anna.zip", anna
        upload.save()
        return upload

    return take


def notices() -> list[tuple[str, int, str]]:
    return list(Notice.objects.order_by("pk").values_list("state", "tries", "reason"))


def make_due() -> None:
    Notice.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def test_an_end_makes_one_message_which_is_sent_once(of_anna, wish, mailing):
    upload = of_anna(ct_image(PatientName="Müller^Anna"), ct_image(StudyInstanceUID=None))
    process(upload)
    assert notices() == [(NoticeState.TO_SEND, 0, "")]
    assert [sending.send_due(), sending.send_due()] == [1, 0]
    assert notices() == [(NoticeState.SENT, 1, "")]
    (letter,) = mail.outbox
    assert letter.to == ["anna@example.org"]
    assert letter.subject == f"ICON: upload {upload.pk}: Completed, needs attention"
    assert "2 files: 1 imported, 1 failed." in letter.body
    assert f"https://icon.example.org/dicom/result/{upload.pk}/" in letter.body
    assert "ller" not in letter.subject + letter.body
    process_again(upload)
    assert Notice.objects.count() == 2


def process_again(upload: DICOMFile) -> None:
    claims.queue([upload.pk])
    process(upload)


def test_a_webhook_is_told_numbers_and_where_to_look(of_anna, wish, hook, settings):
    settings.ICON_URL = "https://elsewhere.example.org"
    url = f"http://127.0.0.1:{hook.port}/"
    TellMe.objects.update(by_email=False, webhook_url=url, webhook_secret="s")
    upload = of_anna(ct_image(PatientName="Müller^Anna"))
    process(upload)
    assert sending.send_due() == 1
    head, _, body = hook.got[0].partition(b"\r\n\r\n")
    assert f"X-ICON-Notice: icon-{Notice.objects.get().pk}".encode() in head
    assert b"X-ICON-Signature: sha256=" in head
    counts = {"files": 1, "imported": 1, "duplicate": 0, "conflict": 0, "skipped": 0, "failed": 0}
    assert json.loads(body) == {
        "upload": upload.pk,
        "status": "completed",
        "needs_attention": False,
        "counts": counts,
        "url": f"https://elsewhere.example.org/dicom/result/{upload.pk}/",
    }


@pytest.mark.parametrize("when", TellWhen)
def test_of_what_somebody_is_told(when, wish, anna):
    TellMe.objects.update(when=when)
    good = {"processing_status": Status.COMPLETED}
    somebody_s = DICOMFile.objects.create(**good)
    fine = DICOMFile.objects.create(uploaded_by=anna, **good)
    bad = DICOMFile.objects.create(uploaded_by=anna, failed_count=1, **good)
    asked = DICOMFile.objects.create(**good)
    AskedToTell.objects.create(user=anna, upload=asked)
    for upload in (somebody_s, fine, bad, asked):
        note_end(upload.pk)
    wanted = {
        TellWhen.ALWAYS: {fine.pk, bad.pk, asked.pk},
        TellWhen.ATTENTION: {bad.pk, asked.pk},
        TellWhen.ASKED: {asked.pk},
    }
    assert {*Notice.objects.values_list("upload", flat=True)} == wanted[when]
    assert not AskedToTell.objects.exists()


def test_who_may_see_uploads_no_more_is_told_nothing(of_anna, wish, anna, mailing):
    upload = of_anna(ct_image())
    process(upload)
    anna.groups.clear()
    note_end(upload.pk)
    assert Notice.objects.count() == 1
    anna.is_active = False
    anna.save()
    assert sending.send_due() == 0
    assert not Notice.objects.exists()
    assert mail.outbox == []


def test_one_whose_runs_all_died_is_told_of_and_one_that_is_stopped_is_not(of_anna, wish):
    upload = of_anna(ct_image())
    gone = {"processing_status": Status.IN_PROGRESS, "lease_until": timezone.now()}
    DICOMFile.objects.filter(pk=upload.pk).update(attempts=1, cancel_requested=True, **gone)
    claims.sweep()
    assert notices() == []
    DICOMFile.objects.filter(pk=upload.pk).update(attempts=claims.MAX_ATTEMPTS, **gone)
    claims.sweep()
    assert Notice.objects.get().facts["label"] == "Failed"


def test_an_end_that_is_undone_makes_no_message(of_anna, wish):
    upload = of_anna(ct_image())
    with transaction.atomic():
        note_end(upload.pk)
        assert len(notices()) == 1
        transaction.set_rollback(True)
    assert notices() == []


def test_where_nobody_wants_to_be_told_it_is_one_query(of_anna, django_assert_num_queries):
    upload = of_anna(ct_image())
    with django_assert_num_queries(1):
        note_end(upload.pk)


# Sending


@pytest.fixture
def notice(anna, wish, hook) -> Notice:
    """A message to be posted, that an upload has ended."""
    url = f"http://127.0.0.1:{hook.port}/"
    TellMe.objects.update(by_email=False, webhook_url=url)
    return add_notice(anna)


def add_notice(user, way=Way.WEBHOOK) -> Notice:
    facts = {"status": "failed", "label": "Failed", "needs_attention": True}
    facts["counts"] = {"files": 1, "imported": 0, "failed": 1}
    values = {"user": user, "upload": 7, "way": way, "facts": facts}
    return Notice.objects.create(due_at=timezone.now() - timedelta(seconds=1), **values)


def test_what_passes_is_tried_again_later_and_told(notice, hook):
    hook.answers = [b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    assert [sending.send_due(), sending.send_due()] == [0, 0]
    assert notices() == [(NoticeState.TO_SEND, 1, "hook_busy")]
    (trouble,) = sending.troubles()
    assert (trouble.count, trouble.is_tried_again) == (1, True)
    assert trouble.why == "The webhook cannot take it now: it answers with status 503."
    wait = Notice.objects.get().due_at - timezone.now()
    assert timedelta() < wait <= sending.PAUSES[0]
    make_due()
    assert sending.send_due() == 1
    assert notices() == [(NoticeState.SENT, 2, "")]
    assert sending.troubles() == []


def test_it_is_given_up_after_the_last_try_or_where_trying_changes_nothing(notice, hook, anna):
    hook.answers = [b"HTTP/1.1 503 Busy\r\n\r\n"]
    for _ in range(sending.MOST_TRIES + 1):
        make_due()
        sending.send_due()
    assert notices() == [(NoticeState.FAILED, sending.MOST_TRIES, "hook_busy")]
    hook.answers = [b"HTTP/1.1 404 Not found\r\n\r\n"]
    add_notice(anna)
    sending.send_due()
    assert notices()[1] == (NoticeState.FAILED, 1, "hook_refuses")
    assert [one.is_tried_again for one in sending.troubles()] == [False, False]
    Notice.objects.update(made_at=timezone.now() - timedelta(days=31))
    assert sending.troubles() == []
    sending.forget_old()
    assert notices() == []


def test_a_server_that_fails_is_asked_once_in_a_round_and_holds_up_no_other(
    notice, hook, anna, mailing
):
    hook.answers = [b"HTTP/1.1 503 Busy\r\n\r\n"]
    add_notice(anna)
    TellMe.objects.update(by_email=True)
    add_notice(anna, Way.EMAIL)
    assert sending.send_due() == 1
    assert len(hook.got) == len(mail.outbox) == 1


def test_one_sender_has_it_and_another_takes_it_where_that_dies(notice, hook):
    assert sending._claim(notice.pk)
    assert sending._claim(notice.pk) is None
    assert sending.send_due() == 0
    make_due()  # the lease is over
    assert sending.send_due() == 1
    Notice.objects.update(state=NoticeState.TO_SEND, tries=sending.MOST_TRIES)
    make_due()
    assert sending.send_due() == 0
    assert notices()[0][2] == "notice_unexpected"


def test_what_is_not_wanted_any_more_is_not_sent(notice, hook):
    TellMe.objects.update(webhook_url="")
    assert sending.send_due() == 0
    assert notices() == []
    assert hook.got == []
