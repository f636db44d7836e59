"""Links: what structure sets refer to, whichever comes first, and whatever goes."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import permutations

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from app.catalogue import links, removal, writing
from app.catalogue.entries import Source
from app.catalogue.links import Coverage, ImagesHere, Missing
from app.dicom.headers import read_header
from app.health.verify import verify
from app.models import (
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Link,
    LinkKind,
    Patient,
    RTStructureROI,
    RTStructureSetInformation,
)
from app.sandbox.wire import Extracted
from tests.conftest import wait_until
from tests.making.objects import (
    contour,
    ct_image,
    enhanced_ct,
    frame_reference,
    roi,
    rt_structure_set,
    structured_report,
    uid,
)

pytestmark = pytest.mark.database

FRAME, STUDY, SERIES = uid(2, 9), uid(2), uid(2, 1)
OTHER_SERIES, OTHER_FRAME = uid(2, 7), uid(2, 8)


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), **keywords)


def names(*images: dict[str, object], **keywords) -> bytes:
    """A structure set that names these images in its references, given by their attributes."""
    named = frame_reference()
    [study] = named["RTReferencedStudySequence"]
    study["RTReferencedSeriesSequence"][0]["ContourImageSequence"] = [*images]
    return rt_structure_set([roi(1, "A")], ReferencedFrameOfReferenceSequence=[named], **keywords)


def structure_set(*numbers: int, contours: Sequence[int] = (), **keywords) -> bytes:
    """One that names these images of the CT series in its references, and these in contours."""
    drawn = [contour(0, 0, 5, 1, 0, 5, 0, 1, 5, sop=uid(2, 1, n)) for n in contours]
    named = [frame_reference(sops=[uid(2, 1, n) for n in numbers])]
    keywords = {"ReferencedFrameOfReferenceSequence": named} | keywords
    return rt_structure_set([roi(1, "Heart", *drawn)], **keywords)


def catalogue(*members: bytes, replace: bool = False) -> None:
    """Catalogue members as one batch of an upload of their own, without their files."""
    upload = DICOMFile.objects.create(original_name="a.zip")
    batch = [
        Extracted(
            *(number, 0, "", len(data), hashlib.sha256(data).hexdigest(), "", ""),
            header=read_header(data),
        )
        for number, data in enumerate(members)
    ]
    with transaction.atomic():
        writing.write(Source(upload.pk, timezone.now(), replace), batch)
    assert stale() == []


def stale() -> list[links.Row]:
    return links.stale([*Link.objects.values_list("pk", flat=True)])


def delete(row: Model) -> None:
    removal.delete(row)
    assert stale() == []


def instance(number: int) -> DICOMInstance:
    return DICOMInstance.objects.get(sop_instance_uid=uid(2, 1, number))


def source() -> int:
    return RTStructureSetInformation.objects.get().dicom_instance_id


def found() -> dict[tuple[str, str, int], str]:
    """Of every link: what it leads to, or why nowhere."""
    rows = Link.objects.select_related("instance", "series", "study")
    return {(row.kind, row.target_uid, row.frame_number): _end(row) for row in rows}


def _end(row: Link) -> str:
    if row.instance:
        return f"instance {row.instance.sop_instance_uid}"
    if row.series:
        return f"series {row.series.series_instance_uid}"
    return f"study {row.study.study_instance_uid}" if row.study else row.reason


def images_found() -> dict[int, str]:
    """Of the links to images, by the last number of the UID: "here", or why not."""
    rows = Link.objects.filter(kind=LinkKind.IMAGE)
    return {int(row.target_uid.rpartition(".")[2]): row.found_by or row.reason for row in rows}


ALL_HERE = {
    ("frame", FRAME, 0): f"series {SERIES}",
    ("study", STUDY, 0): f"study {STUDY}",
    ("series", SERIES, 0): f"series {SERIES}",
    ("image", uid(2, 1, 1), 0): f"instance {uid(2, 1, 1)}",
    ("image", uid(2, 1, 2), 0): f"instance {uid(2, 1, 2)}",
    ("image", uid(2, 1, 3), 0): f"instance {uid(2, 1, 3)}",
}
ALONE = dict.fromkeys(ALL_HERE, "target_missing") | {("study", STUDY, 0): f"study {STUDY}"}
MEMBERS = (structure_set(1, 2, contours=(2, 3)), image(1), image(2), image(3))
ORDERS = [*permutations(range(len(MEMBERS)))]


# --- orders ----------------------------------------------------------------------------------


def test_an_import_links_what_came_before_and_what_comes_after(import_zip):
    import_zip(MEMBERS[1])
    import_zip(MEMBERS[0])
    assert found()["image", uid(2, 1, 2), 0] == "target_missing"
    import_zip(*MEMBERS[2:])
    assert found() == ALL_HERE


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_in_whichever_order_things_come_all_is_found(order, db):
    for number in order:
        catalogue(MEMBERS[number])
    assert found() == ALL_HERE


@pytest.mark.parametrize("parts", [(1, 3), (4,)], ids=str)
@pytest.mark.parametrize("order", ORDERS[::8], ids=str)
def test_however_batches_are_cut_all_is_found(order, parts, db):
    members = iter([MEMBERS[number] for number in order])
    for size in parts:
        catalogue(*(next(members) for _ in range(size)))
    assert found() == ALL_HERE


def test_alone_a_structure_set_knows_its_study_and_waits_for_the_rest(db):
    catalogue(MEMBERS[0])
    assert found() == ALONE


def test_a_structure_set_in_a_study_of_its_own_finds_the_images(db):
    catalogue(image(1), structure_set(1, StudyInstanceUID=uid(3), SeriesInstanceUID=uid(3, 1)))
    assert set(images_found().values()) == {"uid"}
    assert found()["study", STUDY, 0] == f"study {STUDY}"


# --- what goes and what is replaced ----------------------------------------------------------


def test_a_link_opens_when_its_image_is_deleted_and_closes_when_it_comes_back(db, processed_root):
    catalogue(*MEMBERS)
    delete(instance(2))
    assert images_found() == {1: "uid", 2: "target_missing", 3: "uid"}
    catalogue(image(2))
    assert found() == ALL_HERE


@pytest.mark.parametrize("model", [DICOMSeries, DICOMInstance])
def test_all_links_open_when_the_whole_series_is_deleted(model, db, processed_root):
    catalogue(*MEMBERS)
    images = DICOMSeries.objects.get(series_instance_uid=SERIES)
    for row in [images] if model is DICOMSeries else images.instances.all():
        delete(row)
    assert found() == ALONE


def test_a_study_and_its_links_open_when_it_is_deleted(db, processed_root):
    catalogue(image(1), structure_set(1, StudyInstanceUID=uid(3), SeriesInstanceUID=uid(3, 1)))
    delete(DICOMStudy.objects.get(study_instance_uid=STUDY))
    assert set(found().values()) == {"target_missing"}


def test_links_go_with_their_source_and_with_their_patient(db, processed_root):
    catalogue(*MEMBERS, image(1, PatientID="ID2"))
    delete(DICOMInstance.objects.get(pk=source()))
    assert not Link.objects.exists()
    catalogue(MEMBERS[0])
    assert Link.objects.exists()
    delete(Patient.objects.get(unique_patient_id="ID1"))
    assert not Link.objects.exists()


def test_many_links_open_and_close_a_chunk_at_a_time(db, processed_root, monkeypatch):
    monkeypatch.setattr(links, "AT_ONCE", 2)
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 2)
    catalogue(*MEMBERS)
    assert found() == ALL_HERE
    delete(DICOMSeries.objects.get(series_instance_uid=SERIES))
    assert found() == ALONE


def test_a_structure_set_that_is_replaced_refers_to_what_its_new_version_names(db, processed_root):
    catalogue(*MEMBERS)
    catalogue(structure_set(1, contours=(4,)), replace=True)
    assert images_found() == {1: "uid", 4: "target_missing"}


def test_a_link_opens_when_another_version_of_its_image_is_none(db, processed_root):
    catalogue(*MEMBERS)
    report = structured_report(SeriesInstanceUID=SERIES, SOPInstanceUID=uid(2, 1, 2))
    catalogue(report, replace=True)
    assert images_found() == {1: "uid", 2: "target_no_image", 3: "uid"}
    catalogue(image(2), replace=True)
    assert found() == ALL_HERE


# --- why not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_another_patients_image_is_never_a_target(order, db):
    members = MEMBERS[0], image(1, PatientID="ID2"), image(2)
    for number in order:
        catalogue(members[number])
    assert images_found() == {1: "target_missing", 2: "uid", 3: "target_missing"}
    [summary] = links.summaries([source()]).values()
    assert {(one.kind, one.reason): one.count for one in summary.missing} == {
        (LinkKind.IMAGE, "target_missing"): 1,
        (LinkKind.IMAGE, "target_elsewhere"): 1,
    }


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_of_two_objects_with_one_uid_neither_is_the_target(order, db, processed_root):
    members = MEMBERS[0], image(1), image(1, SeriesInstanceUID=OTHER_SERIES)
    for number in order:
        catalogue(members[number])
    assert images_found()[1] == "target_ambiguous"
    delete(DICOMSeries.objects.get(series_instance_uid=OTHER_SERIES))
    assert images_found()[1] == "uid"


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_of_two_series_with_one_uid_neither_is_the_target(order, db, processed_root):
    members = MEMBERS[0], image(1), image(2, StudyInstanceUID=uid(3))
    for number in order:
        catalogue(members[number])
    assert found()["series", SERIES, 0] == "target_ambiguous"
    delete(DICOMStudy.objects.get(study_instance_uid=uid(3)))
    assert found()["series", SERIES, 0] == f"series {SERIES}"


def named_frame(number: object, of: str = uid(2, 1, 1)) -> dict[str, object]:
    return {"ReferencedSOPInstanceUID": of, "ReferencedFrameNumber": number}


@pytest.mark.parametrize("first", [0, 1])
def test_each_frame_has_a_link_of_its_own(first, db):
    frames = named_frame("2"), named_frame(["3", "4"]), named_frame("2"), named_frame(None)
    members = names(*frames), enhanced_ct(frames=3)
    catalogue(members[first])
    catalogue(members[1 - first])
    here = f"instance {uid(2, 1, 1)}"
    assert {key[2]: end for key, end in found().items() if key[0] == "image"} == {
        0: here, 2: here, 3: here, 4: "target_frame_missing",
    }  # fmt: skip
    assert links.coverages([source()])[source()] == Coverage(images=1, here=1)


def test_an_image_named_whole_and_by_its_frames_counts_once(db, django_assert_num_queries):
    both = named_frame(["1", "2"]), named_frame(None), named_frame("1", uid(2, 1, 7))
    catalogue(names(*both), structure_set(8, SOPInstanceUID=uid(9)), enhanced_ct(frames=3))
    framed, other = RTStructureSetInformation.objects.order_by("pk").values_list(
        "dicom_instance", flat=True
    )
    with django_assert_num_queries(2):
        found = links.coverages([framed, other])
    assert found == {framed: Coverage(images=2, here=1), other: Coverage(images=1, here=0)}


def test_an_empty_uid_is_said(db):
    catalogue(names({"ReferencedSOPInstanceUID": ""}, {"ReferencedFrameNumber": "1"}))
    assert found()["image", "", 0] == found()["image", "", 1] == "target_uid_empty"


def test_a_frame_of_reference_is_found_by_images_alone(db, processed_root):
    catalogue(MEMBERS[0], rt_structure_set(SOPInstanceUID=uid(9), FrameOfReferenceUID=FRAME))
    assert found()["frame", FRAME, 0] == "target_missing"
    catalogue(image(1, SeriesInstanceUID=OTHER_SERIES), image(2))
    delete(DICOMSeries.objects.get(series_instance_uid=OTHER_SERIES))
    assert found()["frame", FRAME, 0] == f"series {SERIES}"


# --- what pages ask --------------------------------------------------------------------------


def test_a_summary_says_what_is_here_and_where(db, django_assert_num_queries):
    catalogue(*MEMBERS, rt_structure_set([], SOPInstanceUID=uid(9), SeriesInstanceUID=uid(9, 1),
                                         ReferencedFrameOfReferenceSequence=[]))  # fmt: skip
    delete(instance(3))
    first, empty = RTStructureSetInformation.objects.order_by("pk").values_list(
        "dicom_instance", flat=True
    )
    with django_assert_num_queries(7):
        summaries = links.summaries([first, empty])
    series = DICOMSeries.objects.get(series_instance_uid=SERIES).pk
    summary = summaries[first]
    assert (summary.images, summary.here) == (3, 2)
    assert summary.series == [ImagesHere(series, 2, is_named=True, lies_as_named=True)]
    assert summary.missing == [Missing(LinkKind.IMAGE, "target_in_trash", 1)]
    assert summary.reasons == ["target_in_trash"]
    assert summaries[empty].reasons == ["refers_to_nothing"]
    with django_assert_num_queries(1):
        assert links.coverages([first, empty]) == {first: Coverage(3, 2), empty: Coverage()}


def test_a_summary_says_where_images_lie_otherwise_than_named(db):
    elsewhere = {"SeriesInstanceUID": OTHER_SERIES, "FrameOfReferenceUID": OTHER_FRAME}
    catalogue(structure_set(1, 2), image(1), image(2, **elsewhere))
    [summary] = links.summaries([source()]).values()
    assert [(one.is_named, one.lies_as_named) for one in summary.series] == [
        (True, True), (False, False),
    ]  # fmt: skip
    assert summary.notes == ["frame_of_reference_differs", "series_not_named"]


def test_a_series_knows_the_structure_sets_that_use_it(db, django_assert_num_queries):
    later = {"SOPInstanceUID": uid(9), "StructureSetDate": "20240401"}
    catalogue(*MEMBERS, names({"ReferencedSOPInstanceUID": uid(8)}, **later))
    images, structures = DICOMSeries.objects.order_by("series_instance_uid")
    with django_assert_num_queries(3):
        used = links.used_by([images.pk, structures.pk])
    assert [
        (one.structure_set.dicom_instance.sop_instance_uid, one.images) for one in used[images.pk]
    ] == [(uid(9), 0), (uid(2, 5, 1), 3)]
    assert used[structures.pk] == []


def test_a_roi_knows_on_how_many_slices_it_is_drawn(db):
    drawn = [
        *(contour(0, 0, z, 1, 0, z, 0, 1, z, sop=uid(2, 1, z)) for z in (1, 1, 2)),
        contour(0, 0, 9, 1, 0, 9, sop=uid(2, 1, 2)),
    ]
    axial = [contour(0, 0, z, 1, 0, z, 0, 1, z) for z in ("5", "5.0", "7.5")]
    sagittal = [contour(x, 0, 1, x, 1, 2, x, 2, 5) for x in (1, 2, 2)]
    oblique = [contour(0, 0, 0, 1, 2, 3, 5, 1, 1), contour(0, 0, 1, 1, 2, 4, 5, 1, 2)]
    empty = [contour(1, 2, 3) | {"ContourData": ""}]
    given = (drawn, axial, sagittal, oblique, empty, ())
    catalogue(rt_structure_set([roi(n, "A", *contours) for n, contours in enumerate(given)]))
    rois = RTStructureROI.objects.order_by("pk")
    assert [*rois.values_list("slice_count", flat=True)] == [2, 2, 2, 2, 0, 0]


# --- what it costs ---------------------------------------------------------------------------


def test_an_import_whose_patient_has_no_links_asks_once(db, django_assert_num_queries):
    catalogue(image(1), structure_set(1, PatientID="ID2"))
    patient = Patient.objects.get(unique_patient_id="ID1")
    one = instance(1)
    with django_assert_num_queries(1):
        links.settle({patient.pk}, {one.pk}, {one.dicom_series_id})


def statements(*members: bytes) -> int:
    with CaptureQueriesContext(connection) as queries:
        catalogue(*members)
    return len(queries)


def test_many_links_are_made_and_closed_in_a_fixed_number_of_statements(db):
    made, closed = [], []
    for patient, count in enumerate((2, 30)):
        numbers = range(1, count + 1)
        owner = {"PatientID": f"ID{patient}", "StudyInstanceUID": uid(3, patient)}
        made.append(statements(structure_set(*numbers, **owner)))
        closed.append(statements(*(image(number, **owner) for number in numbers)))
    assert len({*made}) == len({*closed}) == 1
    assert not Link.objects.open().filter(kind=LinkKind.IMAGE).exists()


# --- what the check finds --------------------------------------------------------------------


def test_the_check_finds_and_mends_links_that_are_wrong(import_zip):
    import_zip(*MEMBERS, image(9, PatientID="ID2"))
    wrong = (
        {"instance": None, "found_by": "", "reason": "target_missing"},
        {"instance": 1_000_000},
        {"instance": None, "series": 1},
        {"instance": instance(9)},  # another patient's
    )
    found_wrong = [("links_wrong", f"instance {source()}", True)]
    for values in wrong:
        Link.objects.filter(target_uid=uid(2, 1, 2)).update(**values)
        found_now = [(one.code, one.subject, one.repaired) for one in verify(repair=True)]
        assert found_now == found_wrong
        assert found() == ALL_HERE
    Link.objects.update(series=None)
    assert [one.repaired for one in verify()] == [False]
    assert not Link.objects.filter(series__isnull=False).exists()


# --- two at once -----------------------------------------------------------------------------


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """A transaction during which something else begins, which ends when it is committed."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    other = threading.Thread(target=run)
    with transaction.atomic():
        yield
        other.start()
        if connection.vendor == "postgresql":  # SQLite has one writer
            wait_until(somebody_waits, "the other transaction to meet this one")
    other.join()
    assert failures == []


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


APART = {"StudyInstanceUID": uid(3), "SeriesInstanceUID": uid(3, 1), "PatientSex": "F"}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("known", [True, False])
def test_imports_that_do_not_see_each_other_leave_no_link_open(known, first, transactional_db):
    parts = [structure_set(1, 2, contours=(2, 3), **APART if known else {})], MEMBERS[1:]
    if known:  # then the patient's row is all that both have
        catalogue(structured_report(SeriesInstanceUID=OTHER_SERIES, StudyInstanceUID=uid(4)))
    with meanwhile(lambda: catalogue(*parts[1 - first])):
        catalogue(*parts[first])
    assert found() == ALL_HERE


@pytest.mark.parametrize("first", [0, 1])
def test_an_import_and_a_delete_that_do_not_see_each_other_leave_no_link_closed(
    first, transactional_db, processed_root
):
    catalogue(*MEMBERS[1:])
    row = instance(2)
    acts = [lambda: catalogue(MEMBERS[0]), lambda: removal.delete(row)]
    with meanwhile(acts[1 - first]):
        acts[first]()
    assert images_found() == {1: "uid", 2: "target_missing", 3: "uid"}
    assert stale() == []
