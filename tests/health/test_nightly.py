"""The check of every night: behind imports, at its pace, and from where it was stopped."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from app import tasks
from app.health import nightly, verify
from app.models import CatalogueCheck, DICOMFile, DICOMInstance
from app.uploads import claims
from tests.conftest import START_SECONDS, wait_until
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.database


@pytest.fixture
def three(import_zip) -> list[DICOMInstance]:
    """Three instances of three patients."""
    import_zip(*(ct_image(PatientID=f"P{n}", SOPInstanceUID=uid(8, n)) for n in range(3)))
    return list(DICOMInstance.objects.order_by("pk"))


def test_a_check_goes_through_everything_and_ends(three, processed_root):
    (processed_root / three[1].path).unlink()
    (processed_root / "P0" / "stranger").write_bytes(b"?")
    assert nightly.begin() == nightly.begin() == CatalogueCheck.objects.get().pk
    check = nightly.go_on()
    assert check.ended_at
    assert (check.instance_count, check.violation_count) == (3, 2)
    assert check.violations == [
        "P0/stranger: No row knows this file.",
        f"instance {three[1].pk}: Its file is missing.",
    ]
    assert nightly.go_on() is None
    assert nightly.begin() != check.pk


def test_a_check_that_was_stopped_goes_on_where_it_was(three, processed_root):
    for instance in three:
        (processed_root / instance.path).unlink()
    CatalogueCheck.objects.filter(pk=nightly.begin()).update(
        part="instances", reached=str(three[0].pk), instance_count=1, violation_count=1,
        violations=["as found before"],
    )  # fmt: skip
    check = nightly.go_on()
    assert (check.instance_count, check.violation_count) == (3, 3)
    assert check.violations[0] == "as found before"
    assert str(three[0].pk) not in str(check.violations[1:])


def test_a_check_says_where_it_is(three, monkeypatch):
    monkeypatch.setattr(verify, "AT_ONCE", 2)
    places = []
    list(verify.verify(reached=lambda part, last: places.append((part, last))))
    rows = [("instances", str(instance.pk)) for instance in three[1:]]
    tree = [("tree", f"P{number}/") for number in range(3)]
    assert places == [
        ("staging", ""), ("tree", ""), *tree, ("instances", ""), *rows,
        ("ledgers", ""), ("childless", ""), ("identities", ""), ("links", ""), ("counts", ""),
        ("archives", ""), ("trash", ""), ("thumbnails", ""),
    ]  # fmt: skip


def test_what_was_in_the_tree_before_is_not_looked_at_again(three, processed_root):
    for number in range(3):
        (processed_root / f"P{number}" / "stranger").write_bytes(b"?")
    found = [violation.subject for violation in verify.verify(begin=("tree", "P1/"))]
    assert found == ["P2/stranger"]


def test_two_processes_are_not_at_one_check(three):
    check = CatalogueCheck.objects.filter(pk=nightly.begin())
    check.update(run_id="another", lease_until=Now() + timedelta(seconds=60))
    assert nightly.go_on() is None
    check.update(lease_until=Now() - timedelta(seconds=1))
    assert nightly.go_on().ended_at


def test_who_lost_the_check_writes_no_more(three):
    nightly.begin()
    check = CatalogueCheck.objects.filter(pk=nightly.begin())

    def take_over(count: int) -> None:
        check.update(run_id="another")

    run = nightly._Run(check.get())
    run.step = take_over
    for _ in verify.verify(step=run.step):
        pass
    with pytest.raises(nightly.LostCheck):
        run.reached("tree", "")
    assert check.get().reached == ""


def test_it_waits_while_an_upload_is_queued_or_in_progress(three, upload_zip, monkeypatch):
    monkeypatch.setattr(nightly, "LOOK", 0.05)
    upload = upload_zip(ct_image())
    claims.queue([upload.pk])
    pk = nightly.begin()

    def check() -> None:
        nightly.go_on()
        connection.close()

    thread = threading.Thread(target=check)
    thread.start()
    wait_until(lambda: CatalogueCheck.objects.get().part == "tree", "the check to begin")
    time.sleep(0.3)
    assert thread.is_alive()
    assert CatalogueCheck.objects.get(pk=pk).instance_count == 0
    claims.cancel([upload.pk])
    thread.join(START_SECONDS)
    assert CatalogueCheck.objects.get(pk=pk).instance_count == 3


def test_it_reads_no_faster_than_it_may(import_zip, settings, monkeypatch):
    monkeypatch.setattr(nightly, "SLACK", 0)
    import_zip(ct_image(after=bytes(2_000_000)))
    settings.ICON_VERIFY_PACE = 4_000_000
    nightly.begin()
    begun = time.monotonic()
    assert nightly.go_on().violation_count == 0
    assert time.monotonic() - begun > 0.5


def test_a_worker_starts_it_beside_its_imports(three, start_worker):
    assert tasks.verify_catalogue.apply().get() == CatalogueCheck.objects.get().pk
    worker = start_worker()
    wait_until(lambda: CatalogueCheck.objects.get().ended_at, "the check")
    assert CatalogueCheck.objects.get().instance_count == 3
    received = [line for line in worker.output.splitlines() if "received" in line]
    assert all("app.tasks.derive[" in line for line in received)  # which it may ask for, too
    assert DICOMFile.objects.live().count() == 0
