"""How much came on each day: uploads that ended, their files, and the objects imported of these.

Derived from the uploads that are listed, each of which counts on the day on which it ended. Of days
that are long past nothing is made any more.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from app.derived.kinds import Key, Kind, Numbers
from app.models import DICOMFile, Status, VolumeOfDay

VERSION = 1
MADE = 60  # days back from today
COLUMNS = ("uploads", "files", "instances")
HAS_ENDED = Q(processing_status__in=(Status.COMPLETED, Status.FAILED))

Volumes = dict[date, tuple[int, ...]]


def last_days(today: date, count: int) -> list[VolumeOfDay]:
    """Each of the last days, the oldest first, as far as it is made."""
    since = today - timedelta(days=count - 1)
    kept = VolumeOfDay.objects.filter(version=VERSION, failed=False, day__gte=since).in_bulk()
    days = (since + timedelta(days=at) for at in range(count))
    return [kept.get(day) or VolumeOfDay(day=day, version=VERSION) for day in days]


def to_be_made(after: Key | None, count: int) -> list[Key]:
    days = sorted(day for day in _differing(_kept()) if after is None or day > after)
    return days[:count]


def make(day: Key) -> None:
    volume = _volumes(day, day).get(day)
    if volume is None:
        VolumeOfDay.objects.filter(day=day).delete()
    else:
        _write(day, **dict(zip(COLUMNS, volume, strict=True)))


def fail(day: Key) -> None:
    _write(day, failed=True)


def numbers() -> Numbers:
    kept = _kept()
    failed = sum(volume is None for volume in kept.values())
    return Numbers(len(kept) - failed, len(_differing(kept)), failed)


def forget() -> None:
    VolumeOfDay.objects.all().delete()


KIND = Kind("volumes", "Volume of each day", to_be_made, make, fail, numbers, forget)


def _kept() -> dict[date, tuple[int, ...] | None]:
    """What is kept of each of the last days; None where it could not be made."""
    rows = VolumeOfDay.objects.filter(version=VERSION, day__gte=_first_day())
    kept = rows.values_list("day", "failed", *COLUMNS)
    return {day: None if failed else tuple(values) for day, failed, *values in kept}


def _differing(kept: Mapping[date, tuple[int, ...] | None]) -> set[date]:
    """The days of which something else is kept than uploads say."""
    true = _volumes(_first_day(), timezone.localdate())
    days = {day for day in true.keys() | kept.keys() if true.get(day) != kept.get(day)}
    return {day for day in days if day not in kept or kept[day] is not None}


def _first_day() -> date:
    return timezone.localdate() - timedelta(days=MADE - 1)


def _volumes(first: date, last: date) -> Volumes:
    """What uploads say of each day on which one ended."""
    # Added up here: SQLite asks Python for the day of each moment.
    begin, end = _midnight(first), _midnight(last + timedelta(days=1))
    ended = DICOMFile.objects.filter(
        HAS_ENDED, date_processing_completed__gte=begin, date_processing_completed__lt=end
    ).order_by()
    columns = ("date_processing_completed", "member_count", "imported_count")
    days: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for moment, files, instances in ended.values_list(*columns):
        if moment:
            day = days[timezone.localdate(moment)]
            day[:] = day[0] + 1, day[1] + files, day[2] + instances
    return {day: tuple(volume) for day, volume in days.items()}


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _write(day: date, **values: Any) -> None:
    VolumeOfDay.objects.bulk_create(
        [VolumeOfDay(day=day, version=VERSION, **values)],
        update_conflicts=True,
        unique_fields=["day"],
        update_fields=[*COLUMNS, "version", "failed", "made_at"],
    )
