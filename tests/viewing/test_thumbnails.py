"""Thumbnails: made when they are looked at or by a worker, kept, and gone with their series."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.urls import reverse

from app.catalogue import filing, removal
from app.catalogue.restoring import restore
from app.catalogue.thumbnails import VERSION
from app.derived import making
from app.health.verify import verify
from app.models import (
    AuditEntry,
    Deletion,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    SeriesCompleteness,
    SeriesThumbnail,
)
from app.sandbox.pictures import Picture
from app.storage.thumbnails import BLOCK, FOLDER
from app.viewing import thumbnails
from app.viewing.pictures import READERS
from tests.making.objects import ct_image, rt_structure_set, uid
from tests.making.pictures import SYNTAX, attributes_of, native, of_codestreams

WHOLE = {"WindowCenter": "128", "WindowWidth": "256"}


def flat(number: int, level: int, **keywords: Any) -> bytes:
    """A slice at its number's place, all of one grey."""
    frame = np.full((16, 16), level, np.uint8)
    own = attributes_of(frame) | {"PixelData": frame.tobytes(), "InstanceNumber": str(-number)}
    own |= {"SOPInstanceUID": uid(2, 1, number), "ImagePositionPatient": ["0", "0", str(number)]}
    own |= {"RescaleIntercept": "0", "RescaleSlope": "1"}
    return ct_image(**(own | WHOLE | keywords))


def damaged(**keywords: Any) -> bytes:
    frame = np.zeros((16, 16), np.uint8)
    return of_codestreams(f"{SYNTAX}.4.90", [b"rubbish!"], frame, **keywords)


@pytest.fixture
def get(staff_client):
    """What the address of a thumbnail answers with."""

    def get(series: DICOMSeries | None = None, tag: str = "") -> Any:
        url = reverse("thumbnail", args=[(series or DICOMSeries.objects.get()).pk])
        return staff_client.get(url, headers={"If-None-Match": tag} if tag else None)

    return get


@pytest.fixture
def files(processed_root):
    def files() -> list[Path]:
        return [path for path in (processed_root / FOLDER).rglob("*") if path.is_file()]

    return files


def level_of(response: Any) -> int:
    """The grey in the middle of an answer's JPEG, to a multiple of five."""
    assert (response.status_code, response["Content-Type"]) == (200, "image/jpeg")
    picture = imagecodecs.jpeg8_decode(response.content)
    return round(int(picture[picture.shape[0] // 2, picture.shape[1] // 2]) / 5) * 5


def is_nothing(response: Any) -> bool:
    return response.status_code == 200 and response.content == thumbnails.NOTHING


def test_the_middle_slice_by_position_is_made_once_and_again_where_it_is_lost(
    get, files, import_zip, django_assert_num_queries
):
    import_zip(*(flat(number, 40 * number) for number in range(1, 6)))
    first = get()
    assert level_of(first) == 120
    (file,) = files()
    assert (file.read_bytes(), SeriesThumbnail.objects.get().size) == (first.content, BLOCK)
    answered, series = READERS.idle[0].answered, DICOMSeries.objects.get()
    with django_assert_num_queries(3):  # session, user, series
        assert get(series).content == first.content
    assert READERS.idle[0].answered == answered
    file.write_bytes(b"what a crash leaves")
    assert get().content == first.content == file.read_bytes()
    file.unlink()
    assert get().content == first.content == file.read_bytes()
    assert not AuditEntry.objects.filter(table="app.dicomseries").exists()


def test_a_browser_keeps_it_until_the_series_changes_and_who_may_not_look_is_told_before(
    get, files, import_zip, staff_user, staff_client
):
    import_zip(flat(1, 50))
    tag = get()["ETag"]
    again = get(tag=tag)
    assert (again.status_code, again["Cache-Control"]) == (304, "private, no-cache")
    import_zip(flat(2, 100))
    changed = get(tag=tag)
    assert level_of(changed) == 100
    assert len(files()) == 1
    staff_user.is_superuser = False
    staff_user.save()
    rights = ("view_dicomseries", "view_dicomstudy", "view_dicominstance")
    staff_user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    assert get(tag=changed["ETag"]).status_code == 403
    assert "/thumbnail/" not in staff_client.get(reverse("study_list")).content.decode()


def test_the_middle_frame_stands_for_many(get, import_zip):
    frames = [np.full((16, 16), level, np.uint8) for level in (0, 100, 200)]
    import_zip(native(*frames, **WHOLE))
    assert level_of(get()) == 100


def test_what_has_no_picture_is_a_mark_with_the_reason_and_is_not_tried_again(
    get, files, import_zip, staff_client
):
    import_zip(damaged(Modality="OT"), rt_structure_set(["Heart"]))
    images, structures = DICOMSeries.objects.exclude(modality="RTSTRUCT").get(), "RTSTRUCT"
    page = staff_client.get(reverse("study_list")).content.decode()
    address = reverse("thumbnail", args=[images.pk])
    assert f'<img src="{address}" width="68" height="68" alt="" loading="lazy"' in page
    response = get(images)
    assert is_nothing(response)
    answered = READERS.idle[0].answered
    again = get(images)
    assert is_nothing(again)
    assert get(images, again["ETag"]).status_code == 304
    assert (READERS.idle[0].answered, files()) == (answered, [])
    assert not SeriesThumbnail.objects.get().failed  # there is none, and that is known
    study = reverse("study", args=[DICOMStudy.objects.get().pk])
    for url in (reverse("study_list"), study):
        page = staff_client.get(url).content.decode()
        assert "/thumbnail/" not in page
        assert 'title="This picture cannot be decoded' in page
    assert is_nothing(get(DICOMSeries.objects.get(modality=structures)))


def test_an_object_whose_file_is_away_is_tried_again(get, import_zip, processed_root):
    import_zip(flat(1, 150))
    path = processed_root / DICOMInstance.objects.get().path
    path.rename(path.with_suffix(".away"))
    assert is_nothing(get())
    assert SeriesThumbnail.objects.get().failed
    path.with_suffix(".away").rename(path)
    assert level_of(get()) == 150


def test_a_study_shows_the_longest_series_of_its_main_modality(import_zip, get, staff_client):
    def shown() -> str:
        page = staff_client.get(reverse("study_list")).content.decode()
        return re.findall('src="(.*/thumbnail/)"', page)[0]

    def of(series: int, *numbers: int, **keywords: Any) -> list[bytes]:
        own = {"SeriesInstanceUID": uid(3, series)} | keywords
        return [flat(10 * series + number, 90, **own) for number in numbers]

    import_zip(*of(1, 1), *of(2, 1, 2), *of(3, 1, 2, 3, Modality="MR"))
    _, longest, others = DICOMSeries.objects.order_by("series_instance_uid")
    assert shown() == reverse("thumbnail", args=[longest.pk])
    # Where that has no picture, another modality's does.
    SeriesThumbnail.objects.create(
        series=longest, version=VERSION, changes=longest.changes, why_not="picture_damaged"
    )
    assert shown() == reverse("thumbnail", args=[others.pk])
    longest.changes += 1
    longest.save()
    assert shown() == reverse("thumbnail", args=[longest.pk])


# --- gone with what it shows -----------------------------------------------------------------


def test_it_goes_with_an_object_that_is_replaced_or_deleted_and_comes_back_restored(
    get, files, import_zip, settings
):
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(flat(1, 50))
    assert level_of(get()) == 50
    import_zip(flat(1, 200))
    filing.unlink_pending()
    assert (files(), SeriesThumbnail.objects.count()) == ([], 0)
    assert level_of(get()) == 200
    import_zip(flat(2, 100))
    assert level_of(get()) == 100
    removal.delete(DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, 2)))
    assert (files(), SeriesThumbnail.objects.count()) == ([], 0)
    assert level_of(get()) == 200
    removal.delete(DICOMSeries.objects.get())
    assert (files(), SeriesThumbnail.objects.count()) == ([], 0)
    restore(Deletion.objects.order_by("pk").last())
    assert level_of(get()) == 200


def test_what_was_made_of_a_series_before_it_changed_is_not_kept(files, import_zip):
    import_zip(flat(1, 50))
    series = DICOMSeries.objects.get()
    made = thumbnails.made_of(series, 10, ahead=True)
    import_zip(flat(2, 100))
    thumbnails.keep(series, made)
    removal.delete(DICOMSeries.objects.get())
    thumbnails.keep(series, made)
    assert (files(), SeriesThumbnail.objects.count()) == ([], 0)


# --- workers, and space ----------------------------------------------------------------------


@pytest.fixture
def three(import_zip) -> list[DICOMSeries]:
    """Three series of one slice each."""
    import_zip(
        *(flat(number, 50 * number, SeriesInstanceUID=uid(3, number)) for number in (1, 2, 3))
    )
    return [*DICOMSeries.objects.order_by("series_instance_uid")]


def test_a_worker_makes_what_nobody_has_looked_at_until_nine_tenths_are_full(
    three, get, files, settings, monkeypatch
):
    settings.ICON_THUMBNAIL_SPACE = 2 * BLOCK
    monkeypatch.setattr(making, "AT_ONCE", 1)
    making.take_turn([thumbnails.KIND])
    assert thumbnails.KIND.numbers() == (2, 0, 0)
    monkeypatch.setattr(thumbnails, "LOOKED_AFTER", 1)
    (absent,) = (one for one in three if not hasattr(one, "thumbnail"))
    first, second = SeriesThumbnail.objects.all()
    SeriesThumbnail.objects.filter(pk=second.pk).update(made_at=Now() - timedelta(hours=1))
    get(absent)
    kept = {*SeriesThumbnail.objects.values_list("series", flat=True)}
    assert kept == {first.pk, absent.pk}
    assert len(files()) == 2
    settings.ICON_THUMBNAIL_SPACE = 0
    making.take_turn([thumbnails.KIND])
    assert (files(), SeriesThumbnail.objects.count()) == ([], 0)
    assert is_nothing(get(first.series))


def test_while_others_use_all_children_there_is_none_and_that_is_not_remembered(
    three, get, monkeypatch
):
    monkeypatch.setattr(thumbnails, "PATIENCE", 0.01)
    monkeypatch.setattr(thumbnails, "PATIENCE_OF_WORKER", 0.01)
    with READERS._one(1):
        response = get(three[0])
        making.take_turn([thumbnails.KIND])
    assert is_nothing(response)
    assert response["Cache-Control"] == "no-store"
    for _ in range(thumbnails.MOST_WAITING):
        thumbnails.WAITING.acquire()
    answered = READERS.idle[0].answered if READERS.idle else 0
    assert is_nothing(get(three[0]))
    thumbnails.WAITING.release(thumbnails.MOST_WAITING)
    assert (READERS.idle[0].answered if READERS.idle else 0) == answered
    assert not SeriesThumbnail.objects.exists()
    assert level_of(get(three[0])) == 50


def test_one_that_takes_too_long_is_tried_once_more_by_a_worker_an_hour_later(
    three, get, monkeypatch
):
    made = SeriesThumbnail.objects.filter(series__in=three[:2]).order_by("pk")

    def an_hour_goes_by() -> None:
        made.update(made_at=Now() - timedelta(hours=1, seconds=1))

    with monkeypatch.context() as patch:
        patch.setattr(thumbnails, "SECONDS", -60.0)
        assert all(is_nothing(get(series)) for series in three[:2])
    making.take_turn([thumbnails.KIND])
    assert all(is_nothing(get(series)) for series in three[:2])
    assert [one.why_not for one in made] == ["picture_took_long"] * 2
    assert thumbnails.KIND.numbers() == (1, 0, 2)
    an_hour_goes_by()
    with monkeypatch.context() as patch:
        patch.setattr(thumbnails, "SECONDS", -60.0)
        thumbnails.KIND.make(made[0].pk)
    making.take_turn([thumbnails.KIND])
    assert [(one.failed, one.why_not) for one in made] == [(True, "picture_took_long"), (False, "")]
    an_hour_goes_by()
    making.take_turn([thumbnails.KIND])
    assert thumbnails.KIND.numbers() == (2, 0, 1)


def test_a_check_removes_those_of_no_series_unasked(get, files, import_zip, processed_root):
    import_zip(flat(1, 50))
    get()
    (kept,) = files()
    # Its series was deleted by code that knows no thumbnails.
    gone = SeriesThumbnail.objects.create(series_id=998, version=1, changes=1, size=BLOCK)
    kept.with_name("998-1.jpg").write_bytes(b"left")
    left = kept.with_name("999-1.jpg")
    for path in (left, kept.with_name("notes.txt")):
        path.write_bytes(b"left")
    for path in files():
        os.utime(path, (0, 0))
    just_written = kept.with_name("999-2.jpg")
    just_written.write_bytes(b"its row comes at once")
    assert [*verify()] == []
    assert {*files()} == {kept, just_written}
    assert not SeriesThumbnail.objects.filter(pk=gone.pk).exists()


def test_code_that_knows_no_thumbnails_deletes_series(get, import_zip):
    import_zip(flat(1, 50))
    get()
    SeriesCompleteness.objects.all().delete()
    DICOMInstance.objects.all().delete()
    with transaction.atomic():
        DICOMSeries.objects.all()._raw_delete("default")
    assert SeriesThumbnail.objects.exists()
    assert thumbnails.KIND.numbers() == (0, 0, 0)


# --- what goes wrong -------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_made(three, get):
    objects = DICOMInstance.objects.filter(dicom_series=DICOMSeries.objects.order_by("pk")[:1])
    objects.update(path="x" * 256)  # more than a name may have: an error, and no missing file
    making.take_turn([thumbnails.KIND])
    made = SeriesThumbnail.objects.order_by("pk")
    assert [one.why_not for one in made] == ["picture_unread", "", ""]
    assert thumbnails.KIND.numbers() == (2, 0, 1)
    assert is_nothing(get(made[0].series))


def test_the_command_ends_with_a_sentence_where_no_child_is_to_be_had(three, monkeypatch):
    monkeypatch.setattr(thumbnails, "PATIENCE_OF_WORKER", 0.01)
    with READERS._one(1), pytest.raises(CommandError, match="not to be had just now"):
        call_command("derive", "thumbnails")


def test_no_file_outlives_its_row(three, files, settings):
    def refusing(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith('INSERT INTO "app_seriesthumbnail"'):
            raise OperationalError
        return execute(sql, *rest)

    def made_anew(execute: Any, sql: str, *rest: Any) -> Any:
        """Between the look at what there is and the deletion."""
        if sql.startswith('DELETE FROM "app_seriesthumbnail"'):
            execute('UPDATE "app_seriesthumbnail" SET changes = changes + 1', (), *rest[1:])
        return execute(sql, *rest)

    first = three[0]
    made = thumbnails.made_of(first, 10, ahead=True)
    with connection.execute_wrapper(refusing), pytest.raises(OperationalError):
        thumbnails.keep(first, made)
    assert files() == []
    thumbnails.keep(first, made)
    settings.ICON_THUMBNAIL_SPACE = 1
    with connection.execute_wrapper(made_anew):
        thumbnails.make_room()
    assert (len(files()), SeriesThumbnail.objects.count()) == (1, 1)


@pytest.mark.parametrize("said", [b"\xff\xd8" + bytes(thumbnails.LARGEST), b"GIF89a", b""])
def test_what_a_child_says_is_kept_only_where_it_can_be_a_thumbnail(said):
    made = thumbnails._made_by(Picture(file=0, frame=0, values=said))
    assert made == thumbnails.Made(why_not="picture_not_made")


def test_all_are_thrown_away_and_made_anew(get, files, import_zip):
    import_zip(flat(1, 50))
    get()
    files()[0].with_name("999-1.jpg").write_bytes(b"left")
    call_command("derive", "thumbnails", "--all")
    (made,) = files()
    assert made.read_bytes() == get().content
