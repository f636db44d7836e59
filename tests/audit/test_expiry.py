"""Old entries leave by one command, which writes them down first."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.utils import timezone

from app.audit import expiry, guards
from app.audit.recording import record
from app.models import AuditEntry, Kind

pytestmark = [pytest.mark.database, pytest.mark.django_db(transaction=True)]
TODAY = timezone.localdate


def entries(days_old: int, number: int) -> None:
    at = timezone.now() - timedelta(days=days_old)
    AuditEntry.objects.bulk_create(
        AuditEntry(at=at, kind=Kind.STARTED, who="Jörg", table="app.dicomfile", row=n, words="ok")
        for n in range(number)
    )


def expire(file, days: int = 0) -> None:
    call_command("expire_audit", before=TODAY() - timedelta(days=days), to=file, verbosity=0)


def test_what_is_exported_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(expiry, "REMOVED_AT_ONCE", 2)  # several transactions
    entries(days_old=40, number=5)
    entries(days_old=3, number=2)
    old = list(AuditEntry.objects.order_by("pk").values()[:5])
    expire(tmp_path / "old.jsonl", days=30)
    lines = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text("utf-8").splitlines()]
    assert [line | {"at": None} for line in lines] == [row | {"at": None} for row in old]
    assert [line["at"] for line in lines] == [row["at"].isoformat() for row in old]
    left = list(AuditEntry.objects.order_by("pk").values_list("kind", flat=True))
    assert left == [Kind.STARTED] * 2 + [Kind.EXPIRY_ASKED, Kind.EXPIRED]
    assert "5 of before" in AuditEntry.objects.order_by("pk").last().words
    assert guards.standing()


def test_nothing_is_removed_where_the_file_cannot_be_written(tmp_path):
    entries(days_old=40, number=1)
    (tmp_path / "there").write_text("kept")
    for file in (tmp_path / "there", tmp_path / "no folder" / "file"):
        with pytest.raises(CommandError, match="nothing was removed"):
            expire(file)
    assert (tmp_path / "there").read_text() == "kept"
    assert AuditEntry.objects.count() == 1


def test_a_day_to_come_is_refused(tmp_path):
    with pytest.raises(CommandError, match="still to come"):
        expire(tmp_path / "file", days=-1)


def test_a_removal_that_fails_leaves_the_table_guarded(tmp_path):
    entries(days_old=1, number=1)

    def fail():
        with guards.lifted():
            AuditEntry.objects.all().delete()
            raise DatabaseError

    with pytest.raises(DatabaseError):
        fail()
    assert AuditEntry.objects.count() == 1
    assert guards.standing()
    with transaction.atomic():
        record(Kind.ENDED)
