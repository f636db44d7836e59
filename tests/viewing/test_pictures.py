"""The pictures of a series, as one streamed answer."""

import threading
import zlib
from http.client import HTTPConnection
from struct import Struct
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.http import QueryDict
from django.urls import reverse
from msgspec import json

from app.catalogue import stacks
from app.catalogue.completeness import NOTHING, told_of
from app.catalogue.pictured import pictured
from app.catalogue.stacks import stacks_of
from app.models import AuditEntry, DICOMInstance, DICOMSeries, Kind
from app.sandbox.pictures import Readers
from app.viewing.pictures import READERS, outwards
from app.viewing.slices import slices_of
from tests.conftest import wait_until
from tests.making.objects import (
    CT_IMAGE,
    ct_image,
    enhanced_ct,
    mr_image,
    secondary_capture,
    structured_report,
    uid,
)
from tests.making.pictures import SYNTAX, attributes_of, native, of_codestreams

GREY = (np.arange(12 * 8, dtype=np.uint16).reshape(12, 8) * 21) % 4096
LENGTHS = Struct("<II")
ALL_SENT = ({"all_sent": True}, b"")


def image(number: int, *, z: float | None = None, **keywords: Any) -> bytes:
    """A slice whose first value is its number."""
    frame = GREY.copy()
    frame[0, 0] = number
    own = attributes_of(frame) | {"PixelData": frame.tobytes(), "InstanceNumber": str(number)}
    own |= {"SOPInstanceUID": uid(2, 1, number)}
    own |= {"ImagePositionPatient": ["0", "0", str(number if z is None else z)]}
    return ct_image(**(own | keywords))


@pytest.fixture
def get(staff_client):
    """The records that an address answers with."""

    def get(**address: Any) -> list[tuple[dict[str, Any], bytes]]:
        response = staff_client.get(url(), address)
        assert response.status_code == 200
        found = [*records(response.getvalue())]
        return found[:-1] if found[-1] == ALL_SENT else found

    return get


def url() -> str:
    return reverse("series_pictures", args=[DICOMSeries.objects.get().pk])


def records(data: bytes):
    at = 0
    while at < len(data):
        words, values = LENGTHS.unpack_from(data, at)
        at += LENGTHS.size
        yield json.decode(data[at : at + words]), data[at + words : at + words + values]
        at += words + values


def first_value(record: tuple[dict[str, Any], bytes]) -> int:
    told, values = record
    data = zlib.decompress(values)
    step = data[0] | data[told["rows"] * told["columns"]] << 8
    return step >> 1


def test_slices_come_in_the_order_in_which_they_lie_from_one_outwards(get, import_zip):
    import_zip(*(image(number, z=-10 * number) for number in range(1, 6)))
    found = get(**{"from": 1})
    assert [told["slice"] for told, _ in found] == [1, 2, 0, 3, 4]
    assert [first_value(record) for record in found] == [4, 3, 5, 2, 1]
    assert [told["place"]["position"][2] for told, _ in found] == [-40, -30, -50, -20, -10]
    assert found[0][0]["object"] == DICOMInstance.objects.get(instance_number=4).pk
    assert found[0][0]["rendering"]["spacing"] == [0.5, 0.75]
    assert [told["rendering"] for told, _ in found[1:]] == [None] * 4


def test_a_part_of_a_series_and_every_second_row_can_be_asked_for(get, import_zip):
    import_zip(*(image(number) for number in range(1, 7)))
    found = get(**{"from": 99, "first": 2, "last": 4, "step": 2})
    assert [told["slice"] for told, _ in found] == [4, 3, 2]
    assert {(told["rows"], told["columns"], told["step"]) for told, _ in found} == {(6, 4, 2)}


@pytest.mark.parametrize(
    ("middle", "expected"), [(0, [0, 1, 2, 3]), (2, [2, 3, 1, 0]), (9, [3, 2, 1, 0])]
)
def test_numbers_go_outwards(middle, expected):
    assert [*outwards(middle, 0, 3)] == expected


@pytest.mark.parametrize("address", [{"from": "x"}, {"first": "-1"}, {"step": "3"}, {"last": "9"}])
def test_an_odd_address_asks_for_all(address, get, import_zip):
    import_zip(image(1), image(2))
    assert [told["slice"] for told, _ in get(**address)] == [0, 1]


def test_frames_come_in_the_order_in_which_they_lie(get, import_zip):
    groups = [
        {"PlanePositionSequence": [{"ImagePositionPatient": ["0", "0", str(z)]}]}
        for z in (30, 10, 20)
    ]
    own = attributes_of(GREY, 3) | {"PixelData": GREY.tobytes() * 3}
    import_zip(enhanced_ct(3, PerFrameFunctionalGroupsSequence=groups, **own))
    found = get()
    assert [(told["slice"], told["frame"]) for told, _ in found] == [(0, 1), (1, 2), (2, 0)]
    assert [told["place"]["position"][2] for told, _ in found] == [10, 20, 30]


def test_a_picture_that_cannot_be_made_says_why_and_costs_only_itself(
    get, import_zip, processed_root
):
    rubbish = of_codestreams(f"{SYNTAX}.4.90", [b"rubbish!"], GREY, InstanceNumber="2")
    video = of_codestreams(
        f"{SYNTAX}.4.102", [b"video"] * 3, GREY, SOPInstanceUID=uid(2, 1, 3), InstanceNumber="3"
    )
    gone = secondary_capture(SOPInstanceUID=uid(2, 1, 4), InstanceNumber="4")
    whole = native(GREY, SOPInstanceUID=uid(2, 1, 5), InstanceNumber="5")
    import_zip(rubbish, video, gone, whole)
    (processed_root / DICOMInstance.objects.get(instance_number=4).path).unlink()
    found = {told["slice"]: told for told, _ in get()}
    whys = {number: told["why_not"] for number, told in found.items()}
    # Of the video's three frames one says it for all.
    assert whys == {0: "picture_damaged", 1: "object_gone", 2: "", 3: "picture_video"}
    assert found[3]["why"].startswith("This is a video")
    assert [number for number, told in found.items() if told["is_passing"]] == [1]


def test_a_picture_that_cannot_be_made_says_where_it_lies(get, import_zip):
    import_zip(image(1), image(2, PixelData=b"\0\0"))
    found = [(told["why_not"], told["place"]["position"]) for told, _ in get()]
    assert found == [("", [0, 0, 1]), ("picture_cut", [0, 0, 2])]


def test_a_million_frames_that_are_not_there_are_said_once(get, import_zip):
    import_zip(native(GREY, GREY, NumberOfFrames="1000000"))
    found = get()
    assert [told["why_not"] for told, _ in found] == ["", "", "picture_cut"]
    assert found[0][0]["frames"] == 2


def test_of_a_very_large_series_only_the_slices_that_may_be_shown_are_looked_up(
    import_zip, monkeypatch, django_assert_num_queries
):
    import_zip(*(image(number, z=-number) for number in (4, 2, 3, 1)))
    monkeypatch.setattr(stacks, "LONGEST_SORTED", 3)
    monkeypatch.setattr(stacks, "MOST_SLICES", 2)
    series = DICOMSeries.objects.get()
    with django_assert_num_queries(2) as captured:
        found = slices_of(series)
    assert "LIMIT 2" in captured[0]["sql"]
    numbers = DICOMInstance.objects.in_bulk([one.object for one in found])
    assert [numbers[one.object].instance_number for one in found] == [1, 2]


def echo(number: int, time: str, z: float, **keywords: Any) -> bytes:
    own = {"EchoTime": time, "InstanceNumber": str(number), "SOPInstanceUID": uid(2, 2, number)}
    own |= {"ImagePositionPatient": ["0", "0", str(z)]}
    return mr_image(**attributes_of(GREY), PixelData=GREY.tobytes(), **(own | keywords))


def told_stacks() -> list[tuple[str, list[int]]]:
    """The words of each stack, and the numbers of its images in order."""
    numbers = dict(DICOMInstance.objects.values_list("pk", "instance_number"))
    return [
        (one.words, [numbers[slice_.object] for slice_ in one.slices])
        for one in stacks_of(DICOMSeries.objects.get())
    ]


def test_echoes_are_stacks_with_words_each_in_its_order(import_zip):
    times = ("13.8", "4.6")
    import_zip(
        *(echo(2 * at + n, time, -5 * at) for at in range(4) for n, time in enumerate(times))
    )
    assert told_stacks() == [
        ("Echo 2, 13.8 ms", [6, 4, 2, 0]),
        ("Echo 1, 4.6 ms", [7, 5, 3, 1]),
    ]


def test_scouts_and_what_lies_otherwise_are_stacks_of_their_own(import_zip):
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    scout["ImageOrientationPatient"] = ["0", "1", "0", "0", "0", "-1"]
    coronal = {"ImageOrientationPatient": ["1", "0", "0", "0", "0", "-1"]}
    import_zip(
        image(1, **scout),
        *(image(number) for number in (2, 3, 4)),
        *(image(n, **coronal, ImagePositionPatient=["0", str(n), "0"]) for n in (7, 6, 5)),
        image(8, ImagePositionPatient=None),
    )
    assert told_stacks() == [
        ("Axial", [2, 3, 4]),
        ("Coronal", [5, 6, 7]),
        ("Scout, sagittal", [1]),
        ("Images without a place", [8]),
    ]


def test_each_clip_is_a_stack_and_a_lie_about_its_frames_makes_no_more_than_may_be_shown(
    import_zip, monkeypatch
):
    clips = [
        native(GREY, GREY, SOPInstanceUID=uid(3, n), InstanceNumber=str(n), NumberOfFrames=frames)
        for n, frames in ((1, "2"), (3, "2000000000"))
    ]
    import_zip(*clips, native(GREY, SOPInstanceUID=uid(3, 2), InstanceNumber="2"))
    monkeypatch.setattr(stacks, "MOST_SLICES", 20)
    found = [(one.words, len(one.slices)) for one in stacks_of(DICOMSeries.objects.get())]
    assert found == [("Single images", 1), ("Frames of no. 1", 2), ("Frames of no. 3", 17)]


def test_a_page_opens_at_the_middle_of_its_longest_stack_or_where_its_address_leads(import_zip):
    import_zip(*(image(number) for number in range(1, 6)), image(9, ImagePositionPatient=None))
    series, second = DICOMSeries.objects.get(), DICOMInstance.objects.get(instance_number=2)
    assert pictured(series, NOTHING, QueryDict()).start == 2
    assert pictured(series, NOTHING, QueryDict(f"at={second.pk}")).start == 1
    assert pictured(series, NOTHING, QueryDict(f"at={second.pk}&frame=9")).start == 1
    assert pictured(series, NOTHING, QueryDict("at=0&frame=x")).start == 2


def test_what_is_missing_is_told_of_the_slice_that_it_is_missing_behind(import_zip):
    import_zip(*(image(number) for number in range(1, 12) if number not in (5, 6)))
    series = DICOMSeries.objects.get()
    (mark,) = pictured(series, told_of([series])[series.pk], QueryDict()).marks
    fourth = DICOMInstance.objects.get(instance_number=4)
    assert (mark.slice, mark.side, mark.object) == (3, 1, fourth.pk)
    assert mark.words == "2 slices missing behind it"


def test_a_failure_in_passing_that_comes_first_is_not_kept(
    staff_client, import_zip, processed_root
):
    import_zip(image(1), image(2))
    (processed_root / DICOMInstance.objects.get(instance_number=1).path).unlink()
    response = staff_client.get(url())
    assert (response["Cache-Control"], "ETag" in response) == ("no-store", False)
    *found, end = records(response.getvalue())
    assert [told["why_not"] for told, _ in found] == ["object_gone", ""]
    assert end == ALL_SENT
    assert staff_client.get(url(), {"from": 1})["Cache-Control"] == "private, no-cache"


def test_what_is_put_off_comes_in_the_next_turn(get, staff_client, import_zip, monkeypatch):
    monkeypatch.setattr("app.sandbox.pictures.STARTING_SECONDS", 0)
    monkeypatch.setattr("app.sandbox.pictures.TURN_SECONDS", 0)
    import_zip(*(image(number) for number in range(1, 6)))
    slow = Readers(1, seconds=0.01)  # no child starts with as little
    monkeypatch.setattr("app.viewing.pictures.READERS", slow)
    found = get()
    assert [told["slice"] for told, _ in found] == [0, 1, 2, 3, 4]
    assert {told["why_not"] for told, _ in found} == {"picture_took_long"}
    monkeypatch.setattr("app.viewing.pictures.RUN_SECONDS", 0.015)
    found = [*records(staff_client.get(url(), {"first": 1}).getvalue())]
    assert 0 < len(found) < 4  # what took long ends
    assert ALL_SENT not in found  # and is asked for again


def test_a_frame_that_fails_in_passing_costs_only_itself(get, import_zip, monkeypatch):
    import_zip(native(GREY, GREY, GREY, NumberOfFrames="3"))
    monkeypatch.setattr("app.sandbox.pictures.STARTING_SECONDS", 0)
    slow = Readers(1, seconds=0.01)  # no child starts with as little
    monkeypatch.setattr("app.viewing.pictures.READERS", slow)
    found = get()
    assert [told["why_not"] for told, _ in found] == ["picture_took_long"] * 3


def test_a_page_whose_series_has_changed_is_told_so(staff_client, import_zip):
    import_zip(image(2))
    series = DICOMSeries.objects.get()
    addresses = [url(), reverse("key_objects", args=[series.pk])]
    page = staff_client.get(reverse("series", args=[series.pk])).content.decode()
    assert all(f'"{one}?changes={series.changes}"' in page for one in addresses)
    known = {"changes": series.changes}
    assert {staff_client.get(one, known).status_code for one in addresses} == {200}
    import_zip(image(1))  # which comes before it
    for one in addresses:
        response = staff_client.get(one, known)
        assert (response.status_code, response["Cache-Control"]) == (409, "no-store")
        assert response.content == b"The series has changed: reload the page."


def key_object(number: int, title: str, *references: dict[str, Any]) -> bytes:
    named = [
        {"RelationshipType": "CONTAINS", "ValueType": "IMAGE", "ReferencedSOPSequence": [one]}
        for one in references
    ]
    return structured_report(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.59",
        Modality="KO",
        SeriesInstanceUID=uid(8),
        SOPInstanceUID=uid(8, number),
        ConceptNameCodeSequence=[{"CodeValue": "113000", "CodeMeaning": title}],
        ContentSequence=named,
    )


def test_key_object_documents_mark_the_slices_that_they_name(
    staff_client, import_zip, processed_root, django_assert_num_queries
):
    def naming(sop: str, **more: Any) -> dict[str, Any]:
        return {"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": sop} | more

    frames = native(GREY, GREY, SOPInstanceUID=uid(4, 1), InstanceNumber="9")
    here, frame = naming(uid(2, 1, 2)), naming(uid(4, 1), ReferencedFrameNumber="2")
    documents = [
        key_object(1, "Of Interest", here, naming(uid(99)), frame),
        key_object(2, "For <b>Surgery</b>", here),
    ]
    import_zip(image(1), image(2), frames, *documents)
    series = DICOMSeries.objects.exclude(modality="KO").get()
    assert pictured(series, NOTHING, QueryDict()).has_key_objects
    address = reverse("key_objects", args=[series.pk])
    response = staff_client.get(address)
    found = [(one["slice"], one["words"], one["kind"]) for one in response.json()]
    assert found == [
        (1, "Key object: For <b>Surgery</b>", "key"),
        (1, "Key object: Of Interest", "key"),
        (3, "Key object: Of Interest", "key"),
    ]
    with django_assert_num_queries(5):
        again = staff_client.get(address, headers={"If-None-Match": response["ETag"]})
    assert again.status_code == 304
    (processed_root / DICOMInstance.objects.get(sop_instance_uid=uid(8, 2)).path).unlink()
    less = staff_client.get(address)
    assert [one["slice"] for one in less.json()] == [1, 3]
    assert (less["Cache-Control"], "ETag" in less) == ("no-store", False)


def test_objects_without_pictures_are_no_slices(import_zip):
    import_zip(image(1), ct_image(SOPInstanceUID=uid(9), Rows=None, PixelData=None))
    assert len(slices_of(DICOMSeries.objects.get())) == 1


def test_a_page_counts_the_slices_that_there_are_and_pictures_need_two_rights(
    staff_client, staff_user, import_zip
):
    two = native(GREY, GREY, SOPInstanceUID=uid(2, 1, 2), NumberOfFrames="2")
    lying = native(GREY, SOPInstanceUID=uid(2, 1, 3), NumberOfFrames="2000000000")
    import_zip(image(1), ct_image(SOPInstanceUID=uid(9), Rows=None, PixelData=None), two, lying)
    counts = [len(slices_of(one)) for one in DICOMSeries.objects.all()]
    assert counts == [stacks.slice_count(one) for one in DICOMSeries.objects.all()]
    page = reverse("series", args=[DICOMSeries.objects.first().pk])
    told = staff_client.get(page).context["pictured"]
    assert told.count == counts[0]
    staff_user.is_superuser = False
    staff_user.save()
    rights = ("view_dicomseries", "view_dicominstance")
    staff_user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    assert 'id="viewer"' not in staff_client.get(page).content.decode()


def test_what_the_browser_keeps_is_good_until_something_changes(staff_client, import_zip):
    import_zip(image(1), image(2))
    response = staff_client.get(url())
    assert response["Cache-Control"] == "private, no-cache"
    tag, begun = response["ETag"], response.getvalue()
    again = staff_client.get(url(), headers={"If-None-Match": tag})
    assert (again.status_code, again["Cache-Control"]) == (304, "private, no-cache")
    assert begun
    assert staff_client.head(url())["ETag"] == tag
    assert staff_client.get(url(), {"step": 2})["ETag"] != tag
    import_zip(image(3))
    assert staff_client.get(url(), headers={"If-None-Match": tag}).status_code == 200


def test_who_may_not_look_is_told_before_what_the_browser_keeps_is_called_good(
    staff_client, staff_user, import_zip
):
    import_zip(image(1))
    tag = staff_client.get(url())["ETag"]
    staff_user.is_superuser = False
    staff_user.save()
    staff_user.user_permissions.add(Permission.objects.get(codename="view_dicomseries"))
    response = staff_client.get(url(), headers={"If-None-Match": tag})
    assert response.status_code == 403


def test_a_series_is_one_audit_entry_however_often_it_is_asked_for(get, import_zip, staff_user):
    import_zip(image(1), image(2))
    for _ in range(3):
        get()
    entry = AuditEntry.objects.get(kind=Kind.VIEWED, words="pictures")
    assert (entry.table, entry.row) == ("app.dicomseries", DICOMSeries.objects.get().pk)
    assert entry.who_id == staff_user.pk


def test_when_nobody_reads_any_more_nothing_more_is_asked(staff_client, import_zip):
    import_zip(*(image(number) for number in range(1, 31)))
    response = staff_client.get(url())
    parts = iter(response.streaming_content)
    for _ in range(4):
        next(parts)
    answered = READERS.idle[0].answered
    response.close()
    assert [*parts] == []
    assert READERS.idle[0].answered == answered


def test_a_run_holds_no_child_while_it_is_sent(staff_client, import_zip):
    import_zip(*(image(number) for number in range(1, 31)))
    readers = [iter(staff_client.get(url()).streaming_content) for _ in range(5)]
    for _ in range(30):
        for parts in readers:
            next(parts)
    assert len(READERS.idle) == 1


def test_while_others_use_all_children_it_is_said(staff_client, import_zip, monkeypatch):
    import_zip(image(1))
    monkeypatch.setattr("app.viewing.pictures.PATIENCE", 0.01)
    with READERS._one(1):
        response = staff_client.get(url())
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert b"Load this page again" in response.content


def test_a_run_asks_the_database_as_often_for_many_slices_as_for_one(
    staff_client, import_zip, django_assert_num_queries
):
    import_zip(*(image(number) for number in range(1, 21)))
    series = DICOMSeries.objects.get()
    with django_assert_num_queries(3):
        assert len(slices_of(series)) == 20


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_who_leaves_in_mid_stream_ends_the_run(live_server, staff_client, import_zip):
    noise = np.random.default_rng(5)
    frames = [noise.integers(0, 4096, (1_024, 1_024), np.uint16) for _ in range(20)]
    import_zip(
        *(
            native(frame, SOPInstanceUID=uid(2, 1, number), InstanceNumber=str(number))
            for number, frame in enumerate(frames)
        )
    )
    host, port = live_server.thread.host, live_server.thread.port
    cookies = "; ".join(f"{name}={one.value}" for name, one in staff_client.cookies.items())
    before = READERS.idle[0].answered if READERS.idle else 0
    reader = HTTPConnection(host, port)
    reader.request("GET", url(), headers={"Cookie": cookies})
    answer = reader.getresponse()
    assert answer.status == 200
    assert len(answer.read(100_000)) == 100_000
    answer.close()
    reader.close()
    # Between its turns a run waits, too: over it is once nobody answers any more.
    answering = "process_request_thread"
    wait_until(lambda: not any(answering in one.name for one in threading.enumerate()), "its end")
    assert READERS.idle[0].answered - before < len(frames)
