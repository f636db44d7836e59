"""The page of a structure set, and that of one structure with its images."""

import re

import pytest
from django.urls import reverse

from app.models import DICOMSeries, RTStructureROI, RTStructureSetInformation
from tests.making.objects import contour, ct_image, frame_reference, roi, rt_structure_set, uid

pytestmark = pytest.mark.django_db

LINE = re.compile(
    r'<tr class="roi(?P<empty> roi-empty)?(?P<marked> roi-marked)?" [^>]*>(?P<cells>.*?)</tr>', re.S
)
POINT = contour(1, 2, 3, kind="POINT", sop=uid(2, 1, 1))


def square(z: int, sop: str | None = None):
    return contour(0, 0, z, 10, 0, z, 10, 10, z, sop=sop)


@pytest.fixture
def structure_set(import_zip) -> RTStructureSetInformation:
    """Some structures on three images, of which two are here."""
    sops = [uid(2, 1, n) for n in (1, 2, 3)]
    heart = roi(2, "Heart", *(square(n, sop) for n, sop in enumerate([*sops, sops[0]])))
    rois = [roi(1, "Void"), heart, roi(3, "Isocentre", POINT), roi(2, "Twice")]
    import_zip(
        ct_image(SOPInstanceUID=sops[0], InstanceNumber="11"),
        ct_image(SOPInstanceUID=sops[1], InstanceNumber="12"),
        rt_structure_set(
            rois,
            ReferencedFrameOfReferenceSequence=[frame_reference(sops=sops)],
            ApprovalStatus="APPROVED",
        ),
    )
    return RTStructureSetInformation.objects.get()


def page_of(client, name: str, pk: int, **asked) -> str:
    return client.get(reverse(name, args=[pk]), asked).content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_set_says_what_it_is_and_what_it_was_drawn_on(staff_client, structure_set):
    page = words(page_of(staff_client, "structure_set", structure_set.pk))
    assert "Plan1 Not for clinical use Name First plan Date 13 Mar 2024" in page
    assert "Approval approved On CT" in page
    assert "CT Thorax : 2 of 3 images here 1 image: Not imported so far. In" in page
    assert "4 structures, 2 without contours" in page


def test_structures_stand_by_number_and_empty_ones_at_the_end(staff_client, structure_set):
    page = page_of(staff_client, "structure_set", structure_set.pk)
    lines = [(bool(line["empty"]), words(line["cells"])) for line in LINE.finditer(page)]
    assert [empty for empty, _ in lines] == [False, False, True, True]
    heart, point, void, twice = (cells for _, cells in lines)
    # The generation has a column, and on a page with a picture a line below the type instead.
    kind = "255, 0, 10 ORGAN MANUAL MANUAL"
    assert heart.startswith(f"2 Heart {kind} 4 contours 3 slices number repeated")
    assert point.startswith(f"3 Isocentre {kind} 1 contour 1 slice points only")
    assert void.startswith("1 Void")
    assert void.endswith("0 contours 0 slices no contours")
    assert twice.endswith("0 contours 0 slices no contours, number repeated")


def test_a_set_has_a_picture_where_its_images_are_here(staff_client, structure_set, import_zip):
    import_zip(
        rt_structure_set(
            [roi(1, "Far", square(1, uid(8, 1)))], SOPInstanceUID=uid(2, 5, 2),
            ReferencedFrameOfReferenceSequence=[frame_reference(series=uid(8), sops=[uid(8, 1)])],
        )
    )  # fmt: skip
    page = page_of(staff_client, "structure_set", structure_set.pk)
    ct = DICOMSeries.objects.get(modality="CT")
    answers = [structure_set.dicom_instance_id]
    assert f'data-contours="{reverse("series_contours", args=[ct.pk, *answers])}?changes=' in page
    assert f'data-pictures="{reverse("series_pictures", args=[ct.pk])}?changes=' in page
    far = RTStructureSetInformation.objects.exclude(pk=structure_set.pk).get()
    page = page_of(staff_client, "structure_set", far.pk)
    assert "No picture: the images that it was drawn on are not here." in page
    assert "data-pictures" not in page


def test_a_set_opens_at_a_structure(staff_client, structure_set, monkeypatch):
    monkeypatch.setattr("app.rt.views.ROIS", 2)
    twice = RTStructureROI.objects.get(roi_name="Twice")
    page = page_of(staff_client, "structure_set", structure_set.pk, roi=twice.pk)
    assert "Page 2 of 2" in page
    [marked] = [line["cells"] for line in LINE.finditer(page) if line["marked"]]
    assert "Twice" in marked
    for odd in ("x", 987654):
        assert "Page 1 of 2" in page_of(staff_client, "structure_set", structure_set.pk, roi=odd)


def test_a_structure_is_followed_to_its_images(staff_client, structure_set):
    heart = RTStructureROI.objects.get(roi_name="Heart")
    page = page_of(staff_client, "structure", heart.pk)
    text = words(page)
    assert "2 of 3 images here." in text
    assert "Contours 4 on 3 slices (4 CLOSED_PLANAR )" in text
    assert f"Not here UID {uid(2, 1, 3)}" in text
    for number in (11, 12):
        assert f"CT {number} CT" in text
    instances = structure_set.dicom_instance.dicom_series.dicom_study.series.get(
        modality="CT"
    ).instances.order_by("pk")
    for instance in instances:
        assert f'href="{reverse("header", args=[instance.pk])}"' in page


def test_images_of_another_patient_are_not_its_own(staff_client, structure_set, import_zip):
    import_zip(ct_image(PatientID="OTHER", SOPInstanceUID=uid(2, 1, 3)))
    heart = RTStructureROI.objects.get(roi_name="Heart")
    assert "2 of 3 images here." in words(page_of(staff_client, "structure", heart.pk))


def test_a_structure_without_contours_lies_on_nothing(staff_client, structure_set):
    void = RTStructureROI.objects.get(roi_name="Void")
    assert "it lies on no image" in page_of(staff_client, "structure", void.pk)


def test_images_are_paged(staff_client, import_zip, monkeypatch):
    monkeypatch.setattr("app.rt.views.IMAGES", 2)
    contours = [square(n, uid(2, 8, n)) for n in range(5)]
    import_zip(rt_structure_set([roi(1, "Tall", *contours, square(9))]))
    tall = RTStructureROI.objects.get()
    page = words(page_of(staff_client, "structure", tall.pk, page="3"))
    assert "0 of 5 images here. 1 contour names no image." in page
    assert "Page 3 of 3" in page
    assert page.count("Not here") == 1


def test_a_page_takes_as_many_queries_for_many_structures(
    staff_client, structure_set, import_zip, django_assert_num_queries
):
    import_zip(rt_structure_set([f"Organ {n}" for n in range(40)], SOPInstanceUID=uid(2, 5, 2)))
    for pk in RTStructureSetInformation.objects.values_list("pk", flat=True):
        page_of(staff_client, "structure_set", pk)  # the first look is written down
        with django_assert_num_queries(19):
            page_of(staff_client, "structure_set", pk)
    for name in "Heart", "Organ 1":
        heart = RTStructureROI.objects.get(roi_name=name)
        with django_assert_num_queries(10):
            page_of(staff_client, "structure", heart.pk)
