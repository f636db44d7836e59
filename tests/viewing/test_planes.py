"""Whether a series is offered in three planes, as its page asks."""

from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from app.models import AuditEntry, DICOMSeries, Kind
from tests.making.drawn import rt_dose, segmentation
from tests.making.objects import ct_image, enhanced_ct, secondary_capture, uid

SIZE = {"Rows": 4, "Columns": 6, "PixelData": bytes(48)}


def image(number: int, **keywords: Any) -> bytes:
    own = SIZE | {"InstanceNumber": str(number), "SOPInstanceUID": uid(2, 1, number)}
    own |= {"ImagePositionPatient": ["0", "0", str(5 * number)]}
    return ct_image(**(own | keywords))


def url(series: DICOMSeries | None = None) -> str:
    return reverse("series_planes", args=[(series or DICOMSeries.objects.get()).pk])


@pytest.fixture
def ask(staff_client):
    return lambda **address: staff_client.get(url(), address).json()


def test_each_stack_is_judged_by_itself(ask, import_zip):
    import_zip(
        *(image(number) for number in range(1, 5)),
        *(
            image(
                10 + n,
                ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"],
                ImagePositionPatient=["0", str(place), "0"],
            )
            for n, place in enumerate((0, 2, 4, 9))
        ),
        image(20, ImagePositionPatient=None),
    )
    assert ask() == {"slices": 4, "spacing": 5, "bytes": 4 * 48, "why_not": "", "why": ""}
    assert ask(stack=1)["why"] == "The slices are not evenly spaced: 2 to 5 mm."
    assert ask(stack=2)["why_not"] == ask(stack=3)["why_not"] == "planes_few"


def test_frames_are_slices(ask, import_zip):
    groups = [
        {"PlanePositionSequence": [{"ImagePositionPatient": ["0", "0", str(z)]}]}
        for z in (30, 10, 20)
    ]
    pixels = SIZE | {"PixelData": bytes(144)}
    import_zip(enhanced_ct(3, PerFrameFunctionalGroupsSequence=groups, **pixels))
    assert ask() == {"slices": 3, "spacing": 10, "bytes": 144, "why_not": "", "why": ""}


def test_of_very_many_slices_none_is_looked_at(ask, import_zip, monkeypatch):
    monkeypatch.setattr("app.viewing.planes.MOST", 3)
    monkeypatch.setattr("app.viewing.planes._lying", None)
    import_zip(*(image(number) for number in range(1, 5)))
    assert ask()["why"] == "Three planes are made of at most 3 slices; here: 4 slices."


def test_images_of_other_kinds_say_so_wherever_they_lie(ask, import_zip):
    lies = {"ImageOrientationPatient": [*map(str, (1, 0, 0, 0, 1, 0))]}
    import_zip(
        *(
            secondary_capture(
                SOPInstanceUID=uid(2, 1, n), ImagePositionPatient=["0", "0", str(n)], **lies, **SIZE
            )
            for n in range(3)
        )
    )
    assert ask()["why"] == "Three planes are made of CT, MR and PET images alone."


def test_a_segmentation_is_refused_for_what_it_is(ask, import_zip):
    masks = [{"segment": 1, "position": (0, 0, z), "bits": np.ones((2, 2))} for z in range(3)]
    import_zip(segmentation(masks))
    assert ask()["why"] == (
        "A segmentation's own masks are not shown in three planes: they are drawn over the images."
    )


def test_a_dose_is_refused_for_what_it_is(ask, import_zip):
    import_zip(rt_dose(np.ones((4, 2, 2), np.uint16)))
    assert ask()["why"] == (
        "A dose's own grid is not shown in three planes: it is drawn over the images."
    )


def test_it_asks_the_database_as_often_for_many_slices_as_for_three(
    staff_client, import_zip, django_assert_num_queries
):
    import_zip(*(image(number) for number in range(1, 4)))
    staff_client.get(url())  # which is written down, once
    with django_assert_num_queries(7):
        staff_client.get(url())
    import_zip(*(image(number) for number in range(4, 20)))
    staff_client.get(url())  # its stacks are told apart, once
    with django_assert_num_queries(7):
        staff_client.get(url())
    assert AuditEntry.objects.filter(kind=Kind.VIEWED, words="pictures").count() == 1


def test_what_the_browser_keeps_is_good_until_the_series_changes(staff_client, import_zip):
    import_zip(*(image(number) for number in range(1, 4)))
    known = {"changes": DICOMSeries.objects.get().changes}
    first = staff_client.get(url(), known)
    again = staff_client.get(url(), known, headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert {one["Cache-Control"] for one in (first, again)} == {"private, no-cache"}
    import_zip(image(5))
    changed = staff_client.get(url(), known, headers={"If-None-Match": first["ETag"]})
    assert (changed.status_code, changed["Cache-Control"]) == (409, "no-store")
    known = {"changes": DICOMSeries.objects.get().changes}
    answer = staff_client.get(url(), known, headers={"If-None-Match": first["ETag"]})
    assert answer.json()["why_not"] == "planes_uneven"
