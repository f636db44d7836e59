"""The trash: what is deleted goes there whole, and comes back as it was."""

import errno
import hashlib
import os
import re
from datetime import timedelta
from itertools import cycle

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError, transaction
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from app.catalogue import links, removal, restoring, trash, unfinished
from app.errors import StorageFailed
from app.health import nightly
from app.health.verify import verify
from app.models import (
    ArchiveMember,
    AuditEntry,
    Collection,
    CollectionEntry,
    Deletion,
    DICOMFile,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FileToDelete,
    Kind,
    Link,
    Outcome,
    Patient,
    SamePerson,
    TrashedObject,
    TrashedRow,
    TrashedText,
)
from app.storage.trash import TrashFolder
from tests.conftest import wait_until
from tests.making.catalogued import NAMES
from tests.making.objects import (
    contour,
    ct_image,
    enhanced_ct,
    frame_reference,
    roi,
    rt_structure_set,
    uid,
)

pytestmark = pytest.mark.database

TABLES = (*NAMES, ArchiveMember, CollectionEntry, SamePerson, DICOMFile)
NOT_KEPT = {(Link, "id"), (DICOMSeries, "changes")}
TRASH = (Deletion, TrashedObject, TrashedRow, TrashedText, FileToDelete)


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), **keywords)


def structure_set(*numbers: int) -> bytes:
    drawn = [contour(0, 0, 5, 1, 0, 5, 0, 1, 5, sop=uid(2, 1, n)) for n in numbers]
    named = frame_reference(sops=[uid(2, 1, n) for n in numbers])
    return rt_structure_set([roi(1, "Heart", *drawn)], ReferencedFrameOfReferenceSequence=[named])


def everything() -> dict[str, list]:
    """Every row of the catalogue and of ledgers, but for keys of links and counted changes."""
    return {
        model.__name__: [
            {name: value for name, value in row.items() if (model, name) not in NOT_KEPT}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in TABLES
    }


def files(root) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def violations() -> list[str]:
    return [violation.sentence for violation in verify()]


def delete(*rows: Model) -> Deletion:
    deletion = removal.delete(rows)
    assert deletion.state == "there"
    assert violations() == []
    return deletion


def assert_trash_is_empty(root) -> None:
    assert {model.__name__: model.objects.count() for model in TRASH} == {
        model.__name__: 0 for model in TRASH
    }
    assert not (root / ".trash").exists()
    assert violations() == []


@pytest.mark.parametrize("model", [Patient, DICOMStudy, DICOMSeries, DICOMInstance])
def test_what_is_deleted_comes_back_as_it_was(
    model, import_zip, processed_root, settings, staff_user
):
    settings.ICON_ON_CONFLICT = "replace"
    import_zip(image(1), image(2), structure_set(1, 2), ct_image(PatientID="ID2"))
    import_zip(image(1, PatientPosition="FFS"), enhanced_ct(SOPInstanceUID=uid(2, 1, 3)), image(2))
    first, second = Patient.objects.order_by("pk")
    series = DICOMSeries.objects.order_by("pk")[0]
    collection = Collection.objects.create(name="Hearts")
    CollectionEntry.objects.create(collection=collection, series=series, added_by="somebody")
    CollectionEntry.objects.create(collection=collection, patient=first, added_by="somebody")
    SamePerson.objects.create(first=first, second=second, reason="Said so", said_by="somebody")
    before, bytes_before = everything(), files(processed_root)
    deletion = delete(model.objects.order_by("pk")[0])
    assert everything() != before
    assert deletion.object_count == TrashedObject.objects.count()
    assert not DICOMInstance.objects.filter(
        pk__in=TrashedObject.objects.values("instance")
    ).exists()
    restored = restoring.restore(deletion, staff_user)
    assert (restored.already_here, restored.conflicts) == (0, 0)
    assert everything() == before
    assert files(processed_root) == bytes_before
    assert_trash_is_empty(processed_root)


# What came back meanwhile


def test_the_same_bytes_are_imported_meanwhile_and_then_already_here(
    import_zip, processed_root, settings
):
    first = import_zip(image(1))
    settings.ICON_ON_CONFLICT = "replace"
    newer = image(1, PatientPosition="FFS")
    import_zip(newer)
    (older,) = DICOMInstance.objects.get().superseded
    deletion = delete(Patient.objects.get())
    again = import_zip(newer)
    assert again.outcomes["imported"] == 1
    done = restoring.restore(deletion)
    assert (done.restored, done.already_here, done.conflicts) == (0, 1, 0)
    there = DICOMInstance.objects.get()
    assert there.superseded == [older]
    assert {member.upload_id for member in there.members.all()} >= {first.pk, again.pk}
    assert_trash_is_empty(processed_root)


def test_other_bytes_stay_in_the_trash_until_their_place_is_free(import_zip, processed_root):
    import_zip(image(1), image(2))
    keys = {*DICOMInstance.objects.values_list("pk", flat=True)}
    deletion = delete(Patient.objects.get())
    import_zip(image(1, PatientPosition="FFS"))
    done = restoring.restore(deletion)
    assert (done.restored, done.already_here, done.conflicts) == (1, 0, 1)
    deletion.refresh_from_db()
    assert (deletion.state, deletion.object_count, deletion.conflict_count) == ("there", 1, 1)
    assert violations() == []
    removal.delete(DICOMInstance.objects.exclude(pk__in=keys).get())
    assert restoring.restore(deletion).restored == 1
    assert {*DICOMInstance.objects.values_list("pk", flat=True)} == keys
    assert not Deletion.objects.filter(pk=deletion.pk).exists()
    assert violations() == []


def test_what_an_import_made_anew_meanwhile_takes_the_restored_objects(import_zip):
    import_zip(image(1), image(2, PatientName="Other^Name"), structure_set(1, 2))
    former = {*DICOMInstance.objects.values_list("pk", flat=True)}
    deletion = delete(Patient.objects.get())
    import_zip(image(3, SeriesDescription="Later"))
    patient = Patient.objects.get()
    assert restoring.restore(deletion).restored == 3
    assert Patient.objects.get() == patient
    assert patient.studies.get().series.count() == 2
    assert former < {*DICOMInstance.objects.values_list("pk", flat=True)}
    assert Patient.objects.get().identity_differs
    assert patient.identities.count() == 2
    assert violations() == []


def test_what_comes_while_something_is_deleted_stays(import_zip, monkeypatch):
    import_zip(image(1), image(2))
    monkeypatch.setattr(removal, "DELETED_AT_ONCE", 1)
    put = trash.put

    def put_and_import(*arguments):
        if not DICOMInstance.objects.filter(sop_instance_uid=uid(2, 1, 3)).exists():
            one = DICOMInstance.objects.order_by("pk")[0]
            one.pk, one.sop_instance_uid, one.path = None, uid(2, 1, 3), "elsewhere"
            one.save(force_insert=True)
        return put(*arguments)

    monkeypatch.setattr(trash, "put", put_and_import)
    removal.delete(Patient.objects.get())
    assert DICOMInstance.objects.get().sop_instance_uid == uid(2, 1, 3)
    assert TrashedObject.objects.count() == 2


def test_who_presses_twice_deletes_once(import_zip):
    import_zip(image(1))
    patient = Patient.objects.get()
    with transaction.atomic():
        first = trash.begin([patient], None, "Test")
    assert removal.delete(patient) == first
    assert Deletion.objects.get().state == "deleting"
    assert not AuditEntry.objects.filter(kind="delete_asked").exists()


def test_a_worker_goes_on_where_nobody_has_been_for_a_while(import_zip):
    import_zip(image(1))
    with transaction.atomic():
        left = trash.begin([Patient.objects.get()], None, "Test")
    unfinished.go_on()
    assert DICOMInstance.objects.exists()
    Deletion.objects.update(changed_at=timezone.now() - timedelta(minutes=1))
    unfinished.go_on()
    assert not DICOMInstance.objects.exists()
    left.refresh_from_db()
    assert (left.state, left.object_count) == ("there", 1)
    assert violations() == []


def test_one_that_cannot_go_on_keeps_no_other_from_it(import_zip, monkeypatch):
    import_zip(image(1), ct_image(PatientID="ID2"))
    with transaction.atomic():
        stuck, other = (trash.begin([one], None, "Test") for one in Patient.objects.order_by("pk"))
    Deletion.objects.update(changed_at=timezone.now() - timedelta(minutes=1))
    go_on = removal.go_on

    def fail_for_one(deletion):
        if deletion == stuck:
            raise OperationalError
        go_on(deletion)

    monkeypatch.setattr(removal, "go_on", fail_for_one)
    with pytest.raises(OperationalError):
        unfinished.go_on()
    unfinished.go_on()
    assert [*Deletion.objects.order_by("pk").values_list("pk", "state")] == [
        (stuck.pk, "deleting"),
        (other.pk, "there"),
    ]


# Links


def test_a_structure_set_says_that_its_images_are_in_the_trash(import_zip):
    import_zip(image(1), image(2), structure_set(1, 2))
    (source,) = Link.objects.values_list("source", flat=True).distinct()
    deletion = delete(DICOMSeries.objects.get(modality="CT"))
    summary = links.summaries([source])[source]
    assert (summary.images, summary.here) == (2, 0)
    assert summary.reasons[0] == "target_in_trash"
    assert {one.reason for one in summary.missing if one.kind == "image"} == {"target_in_trash"}
    restoring.restore(deletion)
    assert links.summaries([source])[source].here == 2
    deletion = delete(DICOMSeries.objects.get(modality="CT"))
    trash.erase(deletion)
    assert "target_in_trash" not in links.summaries([source])[source].reasons


# Later versions


def test_rows_come_back_after_columns_were_added_and_dropped(import_zip):
    import_zip(image(1), structure_set(1))
    deletion = delete(Patient.objects.get())
    for table, names in ((TrashedObject, ("rows",)), (TrashedRow, ("values",))):
        for one in table.objects.all():
            for name in names:
                text = getattr(one, name)
                for column in ("manufacturer", "read_version", "rescale_type", "slice_count"):
                    text = re.sub(rf'"{column}":("[^"]*"|[0-9]+),', "", text)
                setattr(one, name, text.replace('"id":', '"dropped_since":17,"id":'))
            one.save()
    assert restoring.restore(deletion).restored == 2
    assert DICOMInstance.objects.filter(read_version=0).count() == 2
    assert not DICOMSeries.objects.exclude(manufacturer="").exists()


# For good


def test_what_is_erased_is_gone_and_who_did_it_is_kept(import_zip, processed_root, staff_user):
    import_zip(image(1), structure_set(1))
    deletion = delete(Patient.objects.get())
    assert trash.erase(deletion, staff_user, "Asked for by the patient")
    assert_trash_is_empty(processed_root)
    assert files(processed_root) == {}
    asked = AuditEntry.objects.get(kind=Kind.ERASE_ASKED)
    assert (asked.who, asked.row) == ("staff", deletion.pk)
    assert asked.words.endswith("Reason: Asked for by the patient")
    assert AuditEntry.objects.get(kind=Kind.ERASED).words == "Objects: 2."
    assert not trash.erase(deletion)
    assert restoring.restore(deletion) is None


def test_the_night_erases_what_was_there_for_its_days(import_zip, processed_root):
    import_zip(image(1), ct_image(PatientID="ID2"))
    old, young = (delete(patient) for patient in Patient.objects.order_by("pk"))
    now = timezone.now()
    assert old.until - now > timedelta(days=29)
    Deletion.objects.filter(pk=old.pk).update(until=now - timedelta(seconds=1))
    nightly.begin()
    assert nightly.go_on().violation_count == 0
    assert Deletion.objects.get() == young
    assert len(files(processed_root)) == 1


def test_without_days_there_is_no_trash(import_zip, processed_root, settings, staff_client):
    settings.ICON_TRASH_DAYS = 0
    import_zip(image(1))
    address = reverse("admin:app_patient_delete", args=[Patient.objects.get().pk])
    page = page_of(staff_client.get(address))
    assert "this cannot be undone" in page
    assert "to the trash" not in page
    staff_client.post(address, {"post": "yes", "reason": "Test"})
    assert not DICOMInstance.objects.exists()
    assert files(processed_root) == {}
    assert_trash_is_empty(processed_root)


@pytest.mark.parametrize(("order", "comes_back"), [((0, 1), True), ((1, 0), False)])
def test_two_ids_of_one_person_are_so_again_once_both_are_restored(
    order, comes_back, import_zip, processed_root
):
    import_zip(image(1), ct_image(PatientID="ID2"))
    first, second = Patient.objects.order_by("pk")
    SamePerson.objects.create(first=first, second=second, reason="Said so", said_by="somebody")
    deletions = [delete(first), delete(second)]
    if comes_back:  # and is another row then
        import_zip(image(7))
    one, other = (deletions[at] for at in order)
    restoring.restore(one)
    assert not SamePerson.objects.exists()
    restoring.restore(other)
    said = SamePerson.objects.get()
    assert {said.first_id, said.second_id} == {*Patient.objects.values_list("pk", flat=True)}
    assert said.first_id < said.second_id
    assert (said.reason, said.said_by) == ("Said so", "somebody")
    assert_trash_is_empty(processed_root)


# File systems without links


def test_where_files_are_copied_a_transaction_moves_few_bytes(
    import_zip, processed_root, monkeypatch
):
    import_zip(*map(image, range(4)))
    before = everything(), files(processed_root)
    moved, refusals = [], cycle((errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP))

    def refuse(*paths, **folders) -> None:
        moved.extend(Deletion.objects.values_list("object_count", flat=True))
        raise OSError(next(refusals), "There are no links")

    monkeypatch.setattr(os, "link", refuse)
    size = DICOMInstance.objects.first().size
    monkeypatch.setattr(trash, "BYTES_COPIED_AT_ONCE", 2 * size)
    deletion = delete(Patient.objects.get())
    assert moved == [0, 0, 2, 2]
    monkeypatch.setattr(trash, "BYTES_COPIED_AT_ONCE", 1)  # less than any object has
    moved.clear()
    assert restoring.restore(deletion).restored == 4
    assert moved == [4, 3, 2, 1]
    assert (everything(), files(processed_root)) == before
    assert violations() == []


# The check of the catalogue


def test_the_check_finds_what_is_wrong_in_the_trash(import_zip, processed_root):
    import_zip(image(1), image(2), image(3))
    deletion = delete(Patient.objects.get())
    folder = processed_root / ".trash" / str(deletion.pk)
    missing, altered, replaced = sorted(folder.iterdir(), key=lambda file: int(file.name))
    missing.unlink()
    one = bytearray(altered.read_bytes())
    one[-1] ^= 1
    altered.write_bytes(one)
    (folder / "999999").write_bytes(b"nobody's")
    (processed_root / ".trash" / "stray").mkdir()
    Deletion.objects.update(object_count=17)
    TrashedObject.objects.filter(instance=replaced.name).update(superseded=["0" * 64])
    assert sorted(violations()) == sorted(
        [
            f"object {replaced.name} of deletion {deletion.pk}: "
            "The file of a superseded version is missing.",
            f"object {missing.name} of deletion {deletion.pk}: "
            "It is in the trash, and its file there is missing.",
            f"object {altered.name} of deletion {deletion.pk}: "
            "It is in the trash, and its file there is not what was deleted.",
            f".trash/{deletion.pk}/999999: It lies in the trash, and is nothing that was deleted.",
            ".trash/stray: It lies in the trash, and is nothing that was deleted.",
            f"deletion {deletion.pk}: Its counts or size are not those of what is in the trash.",
        ]
    )
    assert [one.repaired for one in verify(repair=True)].count(True) == 3
    assert len(violations()) == 3
    first = TrashedObject.objects.order_by("pk").first()
    assert len(list(verify(begin=("trash", str(first.pk))))) == 2
    nightly.begin()
    check = nightly.go_on()  # at its pace, with the progress that the page shows
    assert (check.violation_count, check.instance_count, check.expected_count) == (3, 3, 3)
    found = processed_root / ".found" / hashlib.sha256(b"nobody's").hexdigest()
    assert found.read_bytes() == b"nobody's"
    # An object without its file comes back, so that its ZIP can give it again.
    altered.unlink()
    assert restoring.restore(deletion).restored == 3
    list(verify(repair=True))
    assert violations() == []


def test_the_check_leaves_a_file_alone_whose_row_is_just_restored(
    import_zip, processed_root, monkeypatch
):
    import_zip(image(1))
    deletion = delete(Patient.objects.get())

    def die(*arguments):
        raise KeyboardInterrupt

    forget = trash.forget
    monkeypatch.setattr(trash, "forget", die)  # after the file has its place, before the commit
    with pytest.raises(KeyboardInterrupt):
        restoring.restore(deletion)
    monkeypatch.setattr(trash, "forget", forget)
    assert len([*processed_root.glob("ID1/**/*.dcm")]) == 1
    assert [*verify(repair=True)] == []
    assert restoring.go_on(deletion).restored == 1
    assert_trash_is_empty(processed_root)


# Pages


def post(client, name: str, deletion: Deletion | None = None, **sent):
    return client.post(reverse(name, args=[deletion.pk] if deletion else []), sent, follow=True)


def test_a_series_is_deleted_and_restored_through_the_pages(
    import_zip, staff_client, processed_root
):
    import_zip(image(1), image(2))
    series = DICOMSeries.objects.get()
    address = reverse("admin:app_dicomseries_delete", args=[series.pk])
    assert "They go to the trash, and can be restored until" in page_of(staff_client.get(address))
    answer = staff_client.post(address, {"post": "yes", "reason": "By mistake"}, follow=True)
    deletion = Deletion.objects.get()
    entry = reverse("deletion", args=[deletion.pk])
    undo = reverse("restore_deletion", args=[deletion.pk])
    assert f'<a href="{entry}">In the trash</a>: “' in page_of(answer)
    assert f'form="act-of-message" formaction="{undo}">Undo</button>' in page_of(answer)
    assert '<form id="act-of-message" method="post" hidden><input type="hidden" name="csrf' in (
        page_of(answer)
    )
    listed = page_of(staff_client.get(reverse("trash_list")))
    for words in ("By mistake", "2 images", "staff", entry, "Restore", "Erase"):
        assert words in listed
    assert "CT" in page_of(staff_client.get(entry))
    answer = post(staff_client, "restore_deletion", deletion)
    assert "Restored: 2 objects." in page_of(answer)
    assert answer.redirect_chain[-1][0] == reverse("series", args=[series.pk])
    assert DICOMInstance.objects.count() == 2
    assert_trash_is_empty(processed_root)
    one = DICOMInstance.objects.order_by("pk").first()
    answer = post(staff_client, "restore_deletion", delete(one))
    place = f"?at={one.pk}#object-{one.pk}"
    assert answer.redirect_chain[-1][0] == reverse("series", args=[series.pk]) + place
    answer = page_of(post(staff_client, "restore_deletion", deletion))  # pressed again
    assert "It is not in the trash any more" in answer
    assert "Nothing is in the trash." in answer


def page_of(answer) -> str:
    return answer.content.decode()


def test_a_worker_does_what_nobody_waits_for(import_zip, staff_client, processed_root, monkeypatch):
    monkeypatch.setattr(trash, "MANY", 1)
    import_zip(image(1), image(2))
    for again in True, False:
        address = reverse("admin:app_patient_delete", args=[Patient.objects.get().pk])
        sent = {"post": "yes", "reason": "By mistake"}
        answer = page_of(staff_client.post(address, sent, follow=True))
        assert "It is being moved to the trash" in answer
        assert DICOMInstance.objects.count() == 2
        if again:  # taken back before anybody was at it
            (undo,) = re.findall(r'formaction="([^"]+)"', answer)
            assert "all of it stays" in page_of(staff_client.post(undo, follow=True))
            assert unfinished.go_on() == 0
            staff_client.post(address, sent)
        assert unfinished.go_on() == 1
        deletion = Deletion.objects.get()
        assert (deletion.state, deletion.object_count) == ("there", 2)
        if again:
            answer = page_of(post(staff_client, "restore_deletion", deletion))
            assert "A worker gives it back" in answer
            assert not DICOMInstance.objects.exists()
            assert unfinished.go_on() == 1
            assert DICOMInstance.objects.count() == 2
    answer = page_of(post(staff_client, "erase_deletion", deletion, post="yes", reason="Test"))
    assert "A worker erases it" in answer
    assert unfinished.go_on() == 1
    assert not Deletion.objects.exists()
    assert files(processed_root) == {}


@pytest.mark.long
def test_a_running_worker_goes_on_with_what_is_left(import_zip, start_worker):
    import_zip(image(1))
    with transaction.atomic():
        left = trash.begin([Patient.objects.get()], None, "Test")
        trash.leave_to_worker(left)
    start_worker()
    wait_until(lambda: Deletion.objects.get().state == "there", "the worker to move it")
    assert not DICOMInstance.objects.exists()


def test_of_many_kept_zips_the_first_are_named_before_erasing(import_zip, staff_client):
    import_zip(image(1))
    instance = DICOMInstance.objects.get()
    for n in range(10):
        upload = DICOMFile.objects.create(original_name=f"{n}.zip", file=f"archives/{n}")
        ArchiveMember.objects.create(
            upload=upload, index=0, size=1, instance=instance, outcome=Outcome.DUPLICATE
        )
    pk = removal.delete([Patient.objects.get()]).pk
    asked = page_of(staff_client.get(reverse("erase_deletion", args=[pk])))
    assert asked.count('<a href="/dicom/result/') == 10
    assert "<li>and more</li>" in asked


def test_administrators_erase_through_the_pages_with_a_reason(
    import_zip, staff_client, processed_root
):
    import_zip(image(1), ct_image(PatientID="ID2"), ct_image(PatientID="ID3"))
    again = import_zip(image(1))  # its ZIP has the object, too
    one, *_ = (delete(patient) for patient in Patient.objects.order_by("pk"))
    asked = page_of(staff_client.get(reverse("erase_deletion", args=[one.pk])))
    assert "This cannot be undone." in asked
    assert asked.count('<a href="/dicom/result/') == 2
    assert f'<a href="/dicom/result/{again.pk}/"><bdi>{again.original_name}</bdi></a>' in asked
    answer = post(staff_client, "erase_deletion", one, post="yes", reason="")
    assert "Say why, in at most 200 characters." in page_of(answer)
    assert Deletion.objects.count() == 3
    answer = post(staff_client, "erase_deletion", one, post="yes", reason="Not ours")
    assert "Erased for good: 1 object." in page_of(answer)
    asked = page_of(staff_client.get(reverse("empty_trash")))
    import_zip(ct_image(PatientID="ID4"))
    later = delete(Patient.objects.get())
    until = re.search('name="until" value="([0-9]+)"', asked)[1]
    answer = post(staff_client, "empty_trash", post="yes", reason="Spring", until=until)
    assert "Erased for good: 2 objects." in page_of(answer)
    assert AuditEntry.objects.filter(kind=Kind.ERASE_ASKED, words__endswith="Spring").count() == 2
    assert Deletion.objects.get() == later  # nobody was asked about it
    post(staff_client, "erase_deletion", later, post="yes", reason="Spring")
    assert_trash_is_empty(processed_root)


@pytest.mark.parametrize(
    ("name", "words"),
    [("restore_deletion", "Restored: 1 object."), ("erase_deletion", "Erased for good: 1 object.")],
)
def test_a_folder_that_cannot_be_read_undoes_nothing(
    name, words, import_zip, staff_client, monkeypatch
):
    import_zip(image(1))
    deletion = delete(Patient.objects.get())

    def refuse(folder):
        raise StorageFailed("disk_error")

    monkeypatch.setattr(TrashFolder, "names", refuse)
    assert words in page_of(post(staff_client, name, deletion, post="yes", reason="Test"))


def test_who_may_not_restore_is_offered_no_way_back(import_zip, client, django_user_model):
    import_zip(image(1))
    person = django_user_model.objects.create_user("deletes", is_staff=True)
    tables = ("patient", "dicomstudy", "dicomseries", "dicominstance")
    codes = [f"{act}_{table}" for act in ("view", "delete") for table in tables]
    person.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client.force_login(person)
    address = reverse("admin:app_patient_delete", args=[Patient.objects.get().pk])
    answer = client.post(address, {"post": "yes", "reason": "Test"}, follow=True)
    assert "In the trash: “" in page_of(answer)  # and no way there
    assert "Undo" not in page_of(answer)
    assert client.get(reverse("trash_list")).status_code == 403


@pytest.mark.parametrize("count", [1, 6])
def test_the_list_takes_as_many_queries_for_many(
    count, import_zip, staff_client, django_assert_num_queries
):
    import_zip(*(ct_image(PatientID=f"ID{number}") for number in range(count)))
    for patient in Patient.objects.all():
        delete(patient)
    staff_client.get(reverse("trash_list"))
    with django_assert_num_queries(5):
        staff_client.get(reverse("trash_list"))
