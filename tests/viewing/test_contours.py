"""The contours of a structure set as a page's script gets them, kept and gone with their object."""

import sqlite3
import threading
import time
import zlib
from contextlib import ExitStack, closing
from datetime import timedelta
from struct import Struct
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.urls import reverse
from msgspec import json

from app.catalogue import removal
from app.catalogue.restoring import restore
from app.derived import making
from app.models import (
    Deletion,
    DICOMInstance,
    DICOMSeries,
    Link,
    RTStructureROI,
    RTStructureSetInformation,
    StructureSetContours,
)
from app.rt.contours import SETS, forget_gone, keep, values_of
from app.sandbox.contours import Drawn
from app.viewing import contours, opening
from tests.making.objects import contour, ct_image, roi, rt_structure_set, uid

pytestmark = pytest.mark.django_db

LENGTHS = Struct("<II")
SOPS = [uid(2, 1, number) for number in (1, 2, 3)]


def images(*numbers: int, **keywords: Any) -> list[bytes]:
    return [ct_image(SOPInstanceUID=SOPS[number - 1], **keywords) for number in numbers]


def ct() -> DICOMSeries:
    return DICOMSeries.objects.filter(modality="CT").order_by("pk")[0]


def url(series: DICOMSeries | None = None) -> str:
    structure_set = RTStructureSetInformation.objects.order_by("pk")[0]
    numbers = [(series or ct()).pk, structure_set.dicom_instance_id]
    return reverse("series_contours", args=numbers)


@pytest.fixture
def get(staff_client):
    """The words and the points, in mm, of the answer."""

    def get(series: DICOMSeries | None = None) -> tuple[dict[str, Any], np.ndarray]:
        data = staff_client.get(url(series)).content
        words, values = LENGTHS.unpack_from(data)
        assert LENGTHS.size + words + values == len(data)
        told = json.decode(data[LENGTHS.size : LENGTHS.size + words])
        return told, points_of(data[LENGTHS.size + words :], told)

    return get


def points_of(packed: bytes, told: dict[str, Any]) -> np.ndarray:
    """The points as a page's script has them: rows of x, y and z."""
    if not told["points"]:
        return np.zeros((0, 3))
    split = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1)
    steps = np.ascontiguousarray(split.T).view("<u4").ravel()
    differences = (steps >> 1) ^ (0 - (steps & 1))
    values = np.cumsum(differences, dtype=np.uint32).astype(np.uint32).view(np.int32)
    return values.reshape(3, told["points"]).T * told["unit"]


def test_rois_come_with_their_contours_and_points_come_exactly(get, import_zip):
    outer = contour("-0.005", "10.125", "5", "+1.5", ".5", "5.", "01.25", "-300", "5", sop=SOPS[0])
    point = contour(1, 2, 3, kind="POINT", sop=SOPS[2])
    free = contour(0, 0, 7, 1, 0, 7, 1, 1, 7)
    rois = [
        roi(7, "Heart", outer, free, ROIDisplayColor=[1, 2, 3]),
        roi(2, "Void"),
        roi(3, "Isocentre", point, ROIDisplayColor=None, RTROIInterpretedType="ISOCENTER"),
        roi(7, "Twice \N{RIGHT-TO-LEFT OVERRIDE}"),
    ]
    written = {"charset": "utf-8", "SpecificCharacterSet": "ISO_IR 192"}
    import_zip(*images(1, 2), rt_structure_set(rois, **written))
    told, points = get()
    assert (told["why_not"], told["why"], told["left_out"]) == ("", "", [])
    assert told["frames_of_reference"] == [uid(2, 9)]
    own = DICOMInstance.objects.filter(dicom_series=ct()).order_by("sop_instance_uid")
    assert told["slices"] == [[one.pk, 0] for one in own]
    assert told["types"] == ["CLOSED_PLANAR", "POINT"]
    first = DICOMInstance.objects.get(sop_instance_uid=SOPS[0]).pk
    assert told["images"] == [[first, True], [0, False]]
    pages = [reverse("structure", args=[one.pk]) for one in RTStructureROI.objects.order_by("pk")]
    shown = ("number", "name", "type", "algorithm", "colour", "page", "contours")
    assert [[one[name] for name in shown] for one in told["rois"]] == [
        [7, "Heart", "ORGAN", "MANUAL", [1, 2, 3], pages[0], [[0, 3, 0, 0], [0, 3, -1, 0]]],
        [2, "Void", "ORGAN", "MANUAL", [255, 0, 10], pages[1], []],
        [3, "Isocentre", "ISOCENTER", "MANUAL", None, pages[2], [[1, 1, 1, 0]]],
        [7, "Twice \N{REPLACEMENT CHARACTER}", "ORGAN", "MANUAL", None, pages[3], []],
    ]
    assert {one["frame_of_reference"] for one in told["rois"]} == {uid(2, 9)}
    expected = [(-0.0, 10.12, 5), (1.5, 0.5, 5), (1.25, -300, 5)]
    expected += [(0, 0, 7), (1, 0, 7), (1, 1, 7), (1, 2, 3)]
    np.testing.assert_allclose(points, expected, atol=1e-9)
    assert points.min() == -300


def test_what_cannot_be_drawn_costs_itself_and_is_said(get, import_zip):
    odd = [("1e308", 0, 0), ("NaN", 0, 0), ("1e400", 0, 0), ("10000001", 0, 0), ("1,5", 0, 0)]
    heart = roi(1, "Heart", *(contour(*one) for one in odd), contour("10000000", 1, 2))
    lung = roi(2, "Lung", contour(3, 2, 1), contour())
    definitions = [{"ROINumber": number, "ROIName": "A"} for number in (1, 2)]
    unknown = roi(9, "Defined nowhere", contour(1, 2, 3))
    data = rt_structure_set([heart, lung, unknown], StructureSetROISequence=definitions)
    import_zip(*images(1), data)
    told, points = get()
    assert [one["contours"] for one in told["rois"]] == [[[0, 1, -1, 0]]] * 2
    np.testing.assert_allclose(points, [(1e7, 1, 2), (3, 2, 1)])
    assert told["left_out"] == [
        {"roi": 1, "words": "Contours that cannot be read and are not drawn: 3."},
        {"roi": 1, "words": "Contours that lie more than 10 km away and are not drawn: 2."},
        {
            "roi": 9,
            "words": "Contours of a ROI that the structure set does not define, and that are not "
            "drawn: 1.",
        },
    ]
    assert not told["why_not"]


def test_frames_and_places_are_each_roi_s_own(get, import_zip):
    """Where a ROI names no frame of reference, it lies where its whole set does."""
    on_frame = contour(1, 2, 3, sop=SOPS[0])
    on_frame["ContourImageSequence"][0]["ReferencedFrameNumber"] = "2"
    data = rt_structure_set(
        [roi(1, "A", on_frame), roi(2, "B", contour(1, 2, 3))],
        StructureSetROISequence=[
            {"ROINumber": 1, "ReferencedFrameOfReferenceUID": uid(5), "ROIName": "A"},
            {"ROINumber": 2, "ROIName": "B"},
        ],
    )
    import_zip(*images(1), data)
    told, _ = get()
    assert told["rois"][0]["contours"] == [[0, 1, 0, 2]]
    frames = [one["frame_of_reference"] for one in told["rois"]]
    assert frames == [uid(5), ""]  # the set names two
    assert told["frames_of_reference"] == [uid(5)]


def test_images_are_those_of_the_series_and_of_the_same_patient(get, staff_client, import_zip):
    on_two = roi(1, "A", contour(1, 2, 3, sop=SOPS[0]), contour(1, 2, 4, sop=SOPS[1]))
    import_zip(
        *images(1),
        *images(2, SeriesInstanceUID=uid(2, 3), Modality="MR"),
        *images(1, 2, PatientID="Another"),
        rt_structure_set([on_two]),
    )
    here = {
        (
            one.dicom_series.dicom_study.patient.unique_patient_id == "Another",
            one.sop_instance_uid,
        ): one
        for one in DICOMInstance.objects.filter(rows__isnull=False)
    }
    first, second = here[False, SOPS[0]], here[False, SOPS[1]]
    told, _ = get(first.dicom_series)
    assert told["images"] == [[first.pk, True], [second.pk, False]]
    told, _ = get(second.dicom_series)
    assert told["images"] == [[first.pk, False], [second.pk, True]]
    # Neither over another patient's images, nor an image over others.
    assert staff_client.get(url(here[True, SOPS[0]].dicom_series)).status_code == 404
    image = reverse("series_contours", args=[first.dicom_series_id, second.pk])
    assert staff_client.get(image).status_code == 404


def test_of_several_images_that_a_contour_names_it_lies_on_that_of_the_series(get, import_zip):
    def naming(*items: dict[str, Any]) -> dict[str, Any]:
        return contour(1, 2, 3) | {"ContourImageSequence": [*items]}

    one, two, gone = ({"ReferencedSOPInstanceUID": sop} for sop in SOPS)
    framed = two | {"ReferencedFrameNumber": "2"}
    far, plain = (
        naming(one, two) | {"ContourData": ["1e9", "0", "0"]},
        contour(1, 2, 3, sop=SOPS[0]),
    )
    heart = roi(1, "A", far, naming(one, framed), plain, naming(gone, two), naming({}, one))
    nowhere = roi(2, "B", naming(*16 * [one], two))
    import_zip(
        *images(1),
        *images(2, SeriesInstanceUID=uid(2, 3), Modality="MR"),
        rt_structure_set([heart, nowhere]),
    )

    def named(found: DICOMSeries) -> list[list[Any]]:
        told, _ = get(found)
        uids = dict(DICOMInstance.objects.values_list("pk", "sop_instance_uid"))
        return [
            [[uids.get(told["images"][image][0]), frame] for _, _, image, frame in each["contours"]]
            for each in told["rois"]
        ]

    first, second = (DICOMInstance.objects.get(sop_instance_uid=sop) for sop in SOPS[:2])
    here, there = [SOPS[0], 0], [SOPS[1], 0]
    assert named(first.dicom_series) == [[here, here, [None, 0], here], [here]]
    assert named(second.dicom_series) == [[[SOPS[1], 2], here, there, here], [here]]


# --- kept, and gone --------------------------------------------------------------------------


def test_they_are_kept_and_sent_without_a_look_at_the_file(
    get, staff_client, import_zip, processed_root, django_assert_num_queries
):
    import_zip(*images(1), rt_structure_set())
    path = processed_root / DICOMInstance.objects.get(modality="RTSTRUCT").path
    told, points = get()
    path.rename(path.with_suffix(".away"))
    address = url()
    # Session, user, series, set, whether it is recorded, contours, slices, images, ROIs, values.
    with django_assert_num_queries(10):
        response = staff_client.get(address)
    assert response["Cache-Control"] == "private, no-cache"
    again, same = get()
    assert again == told
    np.testing.assert_array_equal(same, points)
    with django_assert_num_queries(9):  # without the values
        asked = staff_client.get(address, headers={"If-None-Match": response["ETag"]})
    assert (asked.status_code, asked.content) == (304, b"")
    series = ct()
    assert staff_client.get(f"{address}?changes={series.changes}").status_code == 200
    assert staff_client.get(f"{address}?changes={series.changes + 1}").status_code == 409
    # Other objects of the set's ROIs, as a reading that found more or fewer leaves them.
    RTStructureROI.objects.all().delete()
    assert get()[0]["rois"][0]["page"] == ""


def test_they_go_with_an_object_that_is_replaced_or_deleted_and_come_back_restored(
    get, import_zip, settings
):
    def numbers() -> list[int]:
        return [one["number"] for one in get()[0]["rois"]]

    settings.ICON_ON_CONFLICT = "replace"
    import_zip(*images(1), rt_structure_set([roi(1, "A")]))
    assert numbers() == [1]
    import_zip(rt_structure_set([roi(2, "B")]))
    assert not StructureSetContours.objects.exists()
    assert numbers() == [2]
    structure_set = SETS.get()
    removal.delete(DICOMInstance.objects.get(modality="RTSTRUCT"))
    assert not StructureSetContours.objects.exists()
    keep(structure_set, Drawn(why_not="contours_took_long"))  # that was made meanwhile
    assert not StructureSetContours.objects.exists()
    restore(Deletion.objects.get())
    assert numbers() == [2]
    # Code that knows of no contours deletes the set; the check of the night removes what is left.
    Link.objects.all().delete()
    RTStructureROI.objects.all().delete()
    with transaction.atomic():
        RTStructureSetInformation.objects.all()._raw_delete("default")
    assert StructureSetContours.objects.exists()
    forget_gone()
    assert not StructureSetContours.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_long_for_who_writes(get, import_zip):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has as many writers as it is asked for")
    import_zip(*images(1), rt_structure_set())
    waits: list[float] = []

    def timed(execute, *what):
        """Without the time that the child takes, which gives way to everything else."""
        begun = time.monotonic()
        try:
            return execute(*what)
        finally:
            waits.append(time.monotonic() - begun)

    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with connection.execute_wrapper(timed):
            told, points = get()
        assert sum(waits) < 10  # where it would wait for 30 s
        writer.execute("ROLLBACK")
    for thread in threading.enumerate():
        if thread.name == "audit entry":
            thread.join()
    assert not StructureSetContours.objects.exists()
    again, same = get()
    assert (again, same.tolist()) == (told, points.tolist())
    assert StructureSetContours.objects.exists()


def test_workers_make_them_and_those_of_another_version_anew(get, import_zip):
    import_zip(*images(1), rt_structure_set(), rt_structure_set(SOPInstanceUID=uid(2, 5, 2)))
    assert contours.KIND.numbers() == (0, 2, 0)
    making.take_turn([contours.KIND])
    assert contours.KIND.numbers() == (2, 0, 0)
    of_another_object = StructureSetContours.objects.all()[0]
    assert values_of(of_another_object)
    of_another_object.sha256 = "0"
    assert values_of(of_another_object) is None
    StructureSetContours.objects.update(version=0, words=b"", why_not="contours_took_long")
    assert contours.KIND.numbers() == (0, 2, 0)
    assert get()[0]["points"] == 3
    assert contours.KIND.numbers() == (1, 1, 0)
    contours.KIND.fail(SETS.order_by("-pk")[0].pk)
    assert contours.KIND.numbers() == (1, 0, 1)
    contours.KIND.forget()
    assert contours.KIND.numbers() == (0, 2, 0)


def test_while_others_look_none_are_made_and_what_may_pass_is_tried_again(
    get, staff_client, import_zip, processed_root, monkeypatch
):
    import_zip(*images(1), rt_structure_set())
    monkeypatch.setattr(opening, "WAIT", 0.01)
    with ExitStack() as stack:
        for _ in range(opening.AT_ONCE):
            stack.enter_context(opening.free)
        response = staff_client.get(url())
        making.take_turn([contours.KIND])
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert b"Others are looking" in response.content
    assert not StructureSetContours.objects.exists()
    path = processed_root / DICOMInstance.objects.get(modality="RTSTRUCT").path
    path.rename(path.with_suffix(".away"))
    told, _ = get()
    assert (told["why_not"], told["rois"]) == ("object_gone", [])
    assert told["why"].startswith("Its file cannot be read.")
    path.with_suffix(".away").rename(path)
    assert get()[0]["points"] == 3
    # What took too long is tried again an hour later by who looks.
    made = StructureSetContours.objects.all()
    made.update(why_not="contours_took_long", words=b"", failed=True)
    assert get()[0]["why"] == "Reading the contours takes longer than is allowed."
    made.update(made_at=Now() - timedelta(hours=1, seconds=1))
    assert get()[0]["points"] == 3
