"""What is derived is made behind every import, by one worker at a time."""

import threading
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from app import tasks
from app.catalogue import completeness, filing, removal
from app.derived import making
from app.derived.kinds import Kind, Numbers
from app.models import (
    DerivingTurn,
    DICOMFile,
    DICOMSeries,
    Patient,
    SeriesCompleteness,
    SeriesThumbnail,
    Status,
    VolumeOfDay,
)
from app.storage.thumbnails import thumbnail_files
from app.uploads import volumes
from app.viewing import thumbnails
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.django_db


class Things:
    """A kind whose things are numbers, to be made in memory."""

    def __init__(self, count: int) -> None:
        self.left = [*range(count)]
        self.failed: list[int] = []

    @property
    def kind(self) -> Kind:
        def numbers() -> Numbers:
            return Numbers(0, len(self.left), len(self.failed))

        def to_be_made(after, count):
            return [one for one in self.left if after is None or one > after][:count]

        make, fail = self.left.remove, self.failed.append
        return Kind("things", "Things", to_be_made, make, fail, numbers, lambda: None)


def test_all_is_made_and_the_turn_given_back():
    things = Things(250)
    assert making.take_turn([things.kind]) is False
    assert things.left == []
    assert DerivingTurn.objects.get().until is None


def test_imports_go_first():
    things = Things(3)
    upload = DICOMFile.objects.create(processing_status=Status.PENDING, queued_at=timezone.now())
    assert not making.is_asked_for()
    assert making.take_turn([things.kind]) is False
    assert len(things.left) == 3
    upload.delete()
    assert making.take_turn([things.kind], shutting_down=lambda: True) is False
    assert len(things.left) == 3


def test_a_turn_that_is_over_is_followed_by_another(monkeypatch):
    things = Things(3)
    monkeypatch.setattr(making, "ROUND", 0)
    assert making.take_turn([things.kind]) is True


def test_one_worker_has_the_turn_and_a_dead_one_loses_it():
    things = Things(3)
    DerivingTurn.objects.create(pk=1, until=Now() + making.TURN, looked_at=Now())
    assert not making.is_asked_for()
    assert making.take_turn([things.kind]) is False
    assert len(things.left) == 3
    DerivingTurn.objects.update(until=Now() - making.TURN)
    assert making.is_asked_for()
    making.take_turn([things.kind])
    assert things.left == []


def test_what_comes_while_the_turn_ends_is_made_after_the_next_sweep():
    things = Things(0)

    def numbers() -> Numbers:
        """What is counted last, once nothing was found: an import ends then, and asks."""
        if not things.left:
            things.left.append(1)
            assert making.take_turn([things.kind]) is False
        return Numbers(0, 0, 0)

    assert making.is_asked_for()
    assert not making.is_asked_for()
    making.take_turn([replace(things.kind, numbers=numbers)])
    assert things.left == [1]
    assert making.is_asked_for()
    making.take_turn([things.kind])
    assert things.left == []
    assert not making.is_asked_for()


def test_the_command_makes_what_is_lacking_or_all_anew(import_zip, capsys):
    import_zip(*(ct_image(SOPInstanceUID=uid(7, n), InstanceNumber=n) for n in range(3)))
    call_command("derive")
    said = capsys.readouterr().out.splitlines()
    assert said == [
        *("Completeness of series: 1 made.", "Volume of each day: 1 made."),
        *("Thumbnails of series: 1 made.", "Contours of structure sets: 0 made."),
    ]
    SeriesCompleteness.objects.update(verdict="incomplete")
    call_command("derive", "completeness")
    assert SeriesCompleteness.objects.get().verdict == "incomplete"
    call_command("derive", "completeness", "--all")
    assert capsys.readouterr().out.splitlines()[-1] == "Completeness of series: 1 made."
    assert SeriesCompleteness.objects.get().verdict == ""
    with pytest.raises(CommandError, match="completeness, volumes, thumbnails, contours"):
        call_command("derive", "pictures")


def test_a_day_tells_what_came_on_it(db):
    def upload(**values):
        DICOMFile.objects.create(
            processing_status=Status.COMPLETED, date_processing_completed=timezone.now(), **values
        )

    upload(member_count=5, imported_count=3)
    upload(member_count=2)
    DICOMFile.objects.create(member_count=100)  # has not ended
    making.take_turn([volumes.KIND])
    today = timezone.localdate()
    *others, last = volumes.last_days(today, 30)
    assert (last.day, last.uploads, last.files, last.instances) == (today, 2, 7, 3)
    assert (len(others), sum(day.files for day in others)) == (29, 0)
    assert volumes.KIND.numbers() == (1, 0, 0)
    upload(member_count=1)
    assert volumes.KIND.numbers() == (1, 1, 0)
    DICOMFile.objects.all().delete()
    making.take_turn([volumes.KIND])
    assert not VolumeOfDay.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_asks_for_what_nobody_makes_behind_all_uploads(import_zip, broker):
    import_zip(ct_image())
    tasks.sweep()
    assert broker.llen("celery") == 0  # where uploads wait
    assert broker.llen("celery\x06\x169") == 1
    broker.flushall()
    tasks.sweep()
    assert broker.keys("celery*") == []  # not each time
    DerivingTurn.objects.update(looked_at=Now() - making.LOOK)
    tasks.sweep()
    assert broker.llen("celery\x06\x169") == 1


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_what_is_derived_races_imports_and_deletes(either_database, import_zip, processed_root):
    over, broken = threading.Event(), []

    def derive() -> None:
        try:
            while not over.is_set():
                for pk in [*DICOMSeries.objects.values_list("pk", flat=True)]:
                    making.make(completeness.KIND, pk)
                    making.make(thumbnails.KIND, pk)
        except Exception as error:
            broken.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=derive)
    thread.start()
    for _ in range(10):
        import_zip(*(ct_image(SOPInstanceUID=uid(7, n), InstanceNumber=n) for n in range(30)))
        removal.delete(Patient.objects.get())
    over.set()
    thread.join()
    assert broken == []
    assert not SeriesCompleteness.objects.exists()
    assert not SeriesThumbnail.objects.exists()
    filing.unlink_pending()
    assert [*thumbnail_files(processed_root)] == []
