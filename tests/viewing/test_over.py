"""What can be drawn over a series: of the same patient, and in the same place."""

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.models import AuditEntry, DICOMInstance, DICOMSeries, RTStructureSetInformation
from app.viewing import over
from tests.making.drawn import rt_dose, segmentation
from tests.making.objects import ct_image, frame_reference, rt_structure_set, uid

pytestmark = pytest.mark.django_db

FRAME, ELSEWHERE = uid(2, 9), uid(2, 10)
MASK = [{"segment": 1, "position": (0, 0, 0), "bits": np.ones((2, 2))}]
OTHERS = {"FrameOfReferenceUID": ELSEWHERE}


def image(series: int, **keywords: Any) -> bytes:
    uids = {"SeriesInstanceUID": uid(2, 1, series), "SOPInstanceUID": uid(2, 1, series, 1)}
    own = {"FrameOfReferenceUID": FRAME, "SeriesDescription": f"Series {series}"}
    return ct_image(**(uids | own | keywords))


def dose(number: int, **keywords: Any) -> bytes:
    uids = {"SeriesInstanceUID": uid(2, 6, number), "SOPInstanceUID": uid(2, 6, number, 1)}
    own = {"SeriesDescription": f"Dose {number}", "SeriesDate": "20240304"}
    return rt_dose(np.ones((2, 2, 2), np.uint16), **(uids | own | keywords))


def masks(number: int, **keywords: Any) -> bytes:
    uids = {"SeriesInstanceUID": uid(2, 8, number), "SOPInstanceUID": uid(2, 8, number, 1)}
    return segmentation(
        MASK, **(uids | {"SeriesDescription": f"Masks {number}", "SeriesDate": None} | keywords)
    )


def structures(number: int, *references: dict[str, Any], **keywords: Any) -> bytes:
    own = {
        "SOPInstanceUID": uid(2, 5, number),
        "StructureSetLabel": f"Set {number}",
        "ReferencedFrameOfReferenceSequence": [*references],
        "StructureSetROISequence": [],
        "ROIContourSequence": [],
    }
    return rt_structure_set(**(own | keywords))


def series(number: int, patient: str = "ID1") -> DICOMSeries:
    rows = DICOMSeries.objects.filter(dicom_study__patient__unique_patient_id=patient)
    found: DICOMSeries = rows.get(series_instance_uid=uid(2, 1, number))
    return found


def url(of: DICOMSeries) -> str:
    return reverse("series_over", args=[of.pk])


@pytest.fixture
def patient(import_zip) -> None:
    """Somebody with all that there is, and somebody else whose UIDs are the same."""
    here = frame_reference(FRAME, uid(2, 1, 1), [uid(2, 1, 1, 1)])
    by_frame = frame_reference(FRAME, uid(7), [])
    of_both = [
        *(
            image(1),
            image(2, Modality="MR", SeriesDate="20240401"),
            image(3, SeriesDate="20240402"),
        ),
        image(4, FrameOfReferenceUID=ELSEWHERE, SeriesDate="20240501"),
        structures(1, here, StructureSetDate="20200101"),
        structures(2, by_frame, StructureSetDate="20240304"),
        structures(3, frame_reference(ELSEWHERE, uid(2, 1, 4), [])),
        structures(4, frame_reference(ELSEWHERE, uid(2, 1, 1), []), StructureSetDate="20190101"),
        *(dose(1), dose(2, FrameOfReferenceUID=ELSEWHERE), dose(3, FrameOfReferenceUID=None)),
        *(masks(1), masks(2, FrameOfReferenceUID=ELSEWHERE), masks(3, FrameOfReferenceUID=None)),
        masks(4, FrameOfReferenceUID=None, StudyInstanceUID=uid(3)),
    ]
    import_zip(*of_both)
    import_zip(image(1, PatientID="Another"), structures(9, here, PatientID="Another"))


def words(found: dict[str, Any], name: str) -> list[str]:
    return [one["words"] for one in found[name]]


def test_what_refers_to_it_or_lies_in_its_frame_of_reference_is_listed(
    patient, staff_client, django_assert_num_queries
):
    one = series(1)
    staff_client.get(url(one))
    with django_assert_num_queries(8):  # session, user, series, whether it is recorded, four lists
        response = staff_client.get(url(one))
    found = response.json()
    assert [(each["words"], each["refers"]) for each in found["structure_sets"]] == [
        ("Set 1, 1 Jan 2020", True),
        ("Set 4, 1 Jan 2019", True),
        ("Set 2, 4 Mar 2024", False),
    ]
    first = RTStructureSetInformation.objects.get(
        structure_set_label="Set 1", dicom_instance__dicom_series__dicom_study=one.dicom_study
    )
    assert found["structure_sets"][0] == {
        "object": first.dicom_instance_id,
        "words": "Set 1, 1 Jan 2020",
        "url": reverse("series_contours", args=[one.pk, first.dicom_instance_id]),
        "page": reverse("structure_set", args=[first.pk]),
        "refers": True,
    }
    assert words(found, "doses") == ["Dose 1, 4 Mar 2024"]
    assert words(found, "segmentations") == ["Masks 3", "Masks 1"]
    assert [(each["words"], each["is_linked"]) for each in found["series"]] == [
        ("CT Series 3, 2 Apr 2024", True),
        ("MR Series 2, 1 Apr 2024", True),
        ("CT Series 4, 1 May 2024", False),
    ]
    assert {*found["more"].values()} == {0}
    for each in (*found["doses"], *found["segmentations"]):
        pk = DICOMInstance.objects.get(pk=each["object"]).pk
        assert each["frames"] == reverse("frames", args=[pk])
    assert (
        staff_client.get(url(one), headers={"If-None-Match": response["ETag"]}).status_code == 304
    )
    assert staff_client.get(f"{url(one)}?changes={one.changes + 1}").status_code == 409
    assert AuditEntry.objects.filter(words="pictures").count() == 1


def test_nothing_equals_an_empty_frame_of_reference_and_lists_end(
    import_zip, staff_client, monkeypatch
):
    monkeypatch.setattr(over, "MOST", 2)
    import_zip(
        *(image(number, FrameOfReferenceUID=None) for number in (1, 2, 3, 4)),
        structures(1, frame_reference("", uid(7), [])),
        dose(1, FrameOfReferenceUID=None),
        masks(1, FrameOfReferenceUID=None, StudyInstanceUID=uid(3)),
    )
    found = staff_client.get(url(series(1))).json()
    assert [found[name] for name in ("structure_sets", "doses", "segmentations")] == [[]] * 3
    assert [one["is_linked"] for one in found["series"]] == [False, False]
    assert found["more"] == {"structure_sets": 0, "doses": 0, "segmentations": 0, "series": 1}


def test_a_set_that_is_asked_for_is_listed_however_many_there_are(
    patient, staff_client, monkeypatch
):
    monkeypatch.setattr(over, "MOST", 2)
    address, there = url(series(1)), RTStructureSetInformation.objects
    last, foreign, elsewhere = (
        there.get(structure_set_label=f"Set {number}").dicom_instance_id for number in (2, 9, 3)
    )
    for asked, expected in (
        (last, ["Set 2, 4 Mar 2024", "Set 1, 1 Jan 2020"]),
        (foreign, ["Set 1, 1 Jan 2020", "Set 4, 1 Jan 2019"]),
        (elsewhere, ["Set 1, 1 Jan 2020", "Set 4, 1 Jan 2019"]),
        ("x", ["Set 1, 1 Jan 2020", "Set 4, 1 Jan 2019"]),
    ):
        found = staff_client.get(address, {"set": asked}).json()
        assert words(found, "structure_sets") == expected
        assert found["more"]["structure_sets"] == 1


def test_lists_are_told_as_a_whole_where_that_is_asked_for(
    patient, staff_client, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(over, "MOST", 1)
    address = url(series(1))
    before = staff_client.get(address).json()
    assert before["more"] == {"structure_sets": 2, "doses": 0, "segmentations": 1, "series": 2}
    assert staff_client.get(f"{address}?all=&all=x&all=series").json() == before
    with django_assert_num_queries(8):
        found = staff_client.get(f"{address}?all=structure_sets&all=doses").json()
    assert found["more"] == before["more"] | {"structure_sets": 0}
    assert words(found, "structure_sets")[-1] == "Set 2, 4 Mar 2024"
    assert found["segmentations"] == before["segmentations"]
    found = staff_client.get(f"{address}?all=segmentations").json()
    assert words(found, "segmentations") == ["Masks 3", "Masks 1"]
    monkeypatch.setattr(over, "MOST_OF_ALL", 2)
    found = staff_client.get(f"{address}?all=structure_sets").json()
    assert len(found["structure_sets"]) == 2
    assert found["more"]["structure_sets"] == 1


def test_what_lies_where_single_images_say_that_they_lie_is_listed_too(
    patient, staff_client, django_assert_num_queries
):
    address = url(series(1))
    before = staff_client.get(address).json()
    other, junk = f"frame={ELSEWHERE}", "frame=&frame=%00&frame=1%27&frame=" + 129 * "1"
    with django_assert_num_queries(8):
        found = staff_client.get(f"{address}?{junk}&{other}&{other}").json()
    assert words(found, "structure_sets") == [
        *("Set 1, 1 Jan 2020", "Set 4, 1 Jan 2019"),
        *("Set 3, 13 Mar 2024", "Set 2, 4 Mar 2024"),
    ]
    assert words(found, "doses") == ["Dose 2, 4 Mar 2024", "Dose 1, 4 Mar 2024"]
    assert words(found, "segmentations") == ["Masks 3", "Masks 2", "Masks 1"]
    assert [one["is_linked"] for one in found["series"]] == [True] * 3
    many = "&".join(f"frame=1.2.{number}" for number in range(over.MOST_FRAMES))
    for address_of_none in (f"{address}?{junk}", f"{address}?{many}&{other}"):
        assert staff_client.get(address_of_none).json() == before
    nobody_else_s = staff_client.get(f"{url(series(1, 'Another'))}?{other}").json()
    assert [nobody_else_s["doses"], nobody_else_s["segmentations"]] == [[], []]
    assert len(nobody_else_s["structure_sets"]) == 1


def test_structures_are_told_to_who_may_see_them(import_zip, client, django_user_model):
    import_zip(image(1), structures(1, frame_reference(FRAME, uid(7), [])))
    user = django_user_model.objects.create_user("reader", is_staff=True)
    client.force_login(user)

    def sets_for(*codenames: str) -> list[str]:
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
        return [one["page"] for one in client.get(url(series(1))).json()["structure_sets"]]

    assert sets_for("view_dicominstance", "view_patient") == []
    contours = reverse("series_contours", args=[series(1).pk, 1])
    assert client.get(contours).status_code == 403
    assert sets_for("view_rtstructureroi") == [""]
    pk = RTStructureSetInformation.objects.get().pk
    assert sets_for("view_rtstructuresetinformation") == [reverse("structure_set", args=[pk])]
