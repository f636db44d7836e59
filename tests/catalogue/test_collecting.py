"""Collections, and two IDs of one person: said, shown, kept to oneself, undone."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from app.accounts import roles
from app.catalogue import persons, removal
from app.models import (
    AuditEntry,
    Collection,
    CollectionEntry,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Kind,
    Patient,
    SamePerson,
)
from tests.making.objects import ct_image, rt_structure_set, uid

LIST, COLLECT = reverse("collection_list"), reverse("collect")


@pytest.fixture
def sign_in(django_user_model):
    def enter(name: str, role: str) -> Client:
        user = django_user_model.objects.create_user(name, is_staff=True)
        roles.give(user, role)
        client = Client()
        client.force_login(user)
        return client

    return enter


@pytest.fixture
def filed(import_zip):
    """Two patients: one with a CT and a structure set, one with a CT."""
    return import_zip(
        ct_image(PatientID="A", PatientName="Müller^Anna"),
        rt_structure_set(PatientID="A", PatientName="Müller^Anna"),
        ct_image(PatientID="B", PatientName="=Mueller^Anna", StudyInstanceUID=uid(8)),
    )


def page(client, name: str, *args: int) -> str:
    return client.get(reverse(name, args=args)).content.decode()


def collect(client, kind: str, *rows, **where) -> Collection:
    answer = client.post(COLLECT, {"kind": kind, "row": [row.pk for row in rows], **where})
    return Collection.objects.get(pk=answer.url.rstrip("/").rpartition("/")[2])


def test_a_selection_is_kept_added_to_and_taken_from(sign_in, filed):
    reader = sign_in("anna", "Reader")
    kept = collect(reader, "study", *DICOMStudy.objects.all(), name="Thorax trial")
    assert kept.owner_name == "anna"
    assert "Thorax trial" in page(reader, "collection_list")
    collect(reader, "series", DICOMSeries.objects.order_by("pk")[0], collection=kept.pk)
    collect(reader, "patient", *Patient.objects.all(), collection=kept.pk)
    shown = page(reader, "collection", kept.pk)
    assert "2 patients, 2 studies, 1 series" in shown
    collect(reader, "patient", *Patient.objects.all(), collection=kept.pk)
    assert "0 patients added; 2 patients of these were in it already." in page(
        reader, "collection", kept.pk
    )
    some_gone = {"kind": "study", "row": [DICOMStudy.objects.all()[0].pk, 98765, 98766]}
    reader.post(COLLECT, some_gone | {"collection": kept.pk})
    assert "1 study of these was in it already; 2 studies are not here any more." in page(
        reader, "collection", kept.pk
    )
    all_gone = reader.post(COLLECT, {"kind": "study", "row": 98765, "name": "New"}, follow=True)
    assert "what was chosen is not here any more" in all_gone.content.decode()
    assert Collection.objects.count() == 1
    one = kept.entries.exclude(study=None)[0]
    reader.post(reverse("take_out", args=[kept.pk]), {"entry": [one.pk, "x"]})
    assert kept.entries.count() == 4
    assert DICOMStudy.objects.count() == 2


@pytest.mark.django_db(transaction=True)  # as a request has it: in no transaction of the test's
def test_entries_are_taken_out_and_a_collection_is_deleted_by_a_request_of_its_own(sign_in):
    reader = sign_in("anna", "Reader")
    kept = collect(reader, "patient", Patient.objects.create(folder="1"), name="Thorax trial")
    entry = kept.entries.get().pk
    assert reader.post(reverse("take_out", args=[kept.pk]), {"entry": entry}).status_code == 302
    assert not kept.entries.exists()
    assert reader.post(reverse("delete_collection", args=[kept.pk])).status_code == 302
    assert not Collection.objects.exists()


def test_a_collection_is_one_s_own_until_it_is_shared_and_is_changed_by_its_owner_alone(
    sign_in, filed
):
    owner, other = sign_in("owner", "Reader"), sign_in("other", "Administrator")
    study = DICOMStudy.objects.all()[0]
    kept = collect(owner, "study", study, name="Mine")
    addresses = [reverse(name, args=[kept.pk]) for name in ("collection", "collection_csv")]
    assert [other.get(path).status_code for path in addresses] == [404, 404]
    assert "Mine" not in page(other, "collection_list").partition("Shared by others")[2]
    owner.post(addresses[0], {"name": "Ours", "is_shared": "on"})
    assert [other.get(path).status_code for path in addresses] == [200, 200]
    assert "Ours" in page(other, "collection_list")
    for name in ("collection", "take_out", "delete_collection"):
        path = reverse(name, args=[kept.pk])
        assert other.post(path, {"name": "Taken", "entry": "1"}).status_code == 404
    more = {"kind": "study", "row": study.pk, "collection": kept.pk}
    assert other.post(COLLECT, more).status_code == 404
    kept.refresh_from_db()
    assert (kept.name, kept.entries.count()) == ("Ours", 1)
    owner.post(reverse("delete_collection", args=[kept.pk]))
    assert not Collection.objects.exists()
    assert DICOMStudy.objects.count() == 2


def test_what_is_posted_wrongly_makes_nothing(sign_in, filed):
    reader = sign_in("anna", "Reader")
    study = DICOMStudy.objects.all()[0].pk
    for data in ({}, {"kind": "upload", "row": 1}, {"kind": "study", "row": "9" * 30}):
        assert reader.post(COLLECT, {**data, "name": "x"}).status_code == 400
    assert reader.post(COLLECT, {"kind": "study", "row": study}, follow=True).content.count(
        b"Give the collection a name."
    )
    assert reader.post(LIST, {"name": " "}).status_code == 400
    assert not Collection.objects.exists()


def test_its_list_as_a_spreadsheet(sign_in, filed):
    reader = sign_in("anna", "Reader")
    kept = collect(reader, "patient", Patient.objects.get(unique_patient_id="B"), name="x")
    collect(reader, "series", *DICOMSeries.objects.all(), collection=kept.pk)
    answer = reader.get(reverse("collection_csv", args=[kept.pk]))
    assert answer["Content-Disposition"] == f'attachment; filename="collection-{kept.pk}.csv"'
    text = b"".join(answer.streaming_content).decode().removeprefix("\ufeff")
    first, *series = csv.DictReader(io.StringIO(text))
    assert (first["What"], first["Patient ID"], first["Study UID"]) == ("patient", "B", "")
    assert sorted(line["Modality"] for line in series) == ["CT", "CT", "RTSTRUCT"]
    assert {line["Name"] for line in series} >= {"Müller, Anna"}


def test_what_is_deleted_leaves_every_collection_and_link(sign_in, filed):
    reader, manager = sign_in("anna", "Reader"), sign_in("boss", "Manager")
    first, second = Patient.objects.order_by("pk")
    kept = collect(reader, "patient", first, second, name="x")
    collect(reader, "study", *DICOMStudy.objects.all(), collection=kept.pk)
    say(manager, first, second)
    removal.delete(first)
    assert list(kept.entries.values_list("patient", "study__patient").order_by("pk")) == [
        (second.pk, None),
        (None, second.pk),
    ]
    assert not SamePerson.objects.exists()


def test_the_number_of_queries_of_a_collection_does_not_grow(
    sign_in, import_zip, django_assert_num_queries
):
    reader = sign_in("anna", "Reader")
    kept = Collection.objects.create(name="x", owner_id=reader.session["_auth_user_id"])
    for count in (1, 6):
        import_zip(*(ct_image(PatientID=f"P{n}", SOPInstanceUID=uid(5, n)) for n in range(count)))
        CollectionEntry.objects.bulk_create(
            (CollectionEntry(collection=kept, series=one) for one in DICOMSeries.objects.all()),
            ignore_conflicts=True,
        )
        with django_assert_num_queries(9):
            assert f"{count} series" in page(reader, "collection", kept.pk)


# --- two IDs of one person ---------------------------------------------------------------------


def say(client, one: Patient, other: Patient, reason: str = "Married since"):
    path = reverse("same_person", args=[one.pk])
    return client.post(path, {"other": other.pk, "reason": reason})


def test_two_ids_are_said_to_be_one_person_and_nothing_moves(sign_in, filed):
    manager = sign_in("boss", "Manager")
    first, second = Patient.objects.order_by("pk")
    before = list(DICOMInstance.objects.order_by("pk").values())
    assert say(manager, second, first).url == reverse("patient", args=[second.pk])
    said = SamePerson.objects.get()
    assert (said.first, said.second, said.said_by) == (first, second, "boss")
    assert persons.others_of(first) == [second]
    assert persons.others_of(second) == [first]
    for one, other in ((first, second), (second, first)):
        shown = page(manager, "patient", one.pk)
        assert "another ID of the same person" in shown
        assert reverse("study", args=[other.studies.get().pk]) in shown
    say(manager, first, second, "Again")
    assert SamePerson.objects.get().reason == "Married since"
    entry = AuditEntry.objects.get(kind=Kind.SAME_PERSON)
    assert (entry.row, entry.words) == (second.pk, f"and patient {first.pk}. Reason: Married since")
    assert list(DICOMInstance.objects.order_by("pk").values()) == before
    undo = reverse("undo_same_person", args=[first.pk])
    manager.post(undo, {"other": second.pk})
    assert not SamePerson.objects.exists()
    assert "others-heading" not in page(manager, "patient", first.pk)
    assert AuditEntry.objects.filter(kind=Kind.SAME_PERSON_UNDONE).count() == 1
    assert manager.post(undo, {"other": second.pk}).status_code == 404


def test_the_other_is_found_by_words_that_no_address_holds(sign_in, filed):
    manager = sign_in("boss", "Manager")
    first, second = Patient.objects.order_by("pk")
    path = reverse("same_person", args=[first.pk])
    answer = manager.post(path, {"q": "Mueller"})
    assert "Mueller" not in answer.url
    shown = manager.get(answer.url).content.decode()
    assert f'name="other" value="{second.pk}"' in shown
    assert f'name="other" value="{first.pk}"' not in shown
    refused = manager.post(answer.url, {"other": second.pk, "reason": ""})
    assert refused.status_code == 400
    assert "Say why" in refused.content.decode()
    assert manager.post(path, {"other": first.pk, "reason": "x"}).status_code == 400
    gone = manager.post(path, {"other": 987654, "reason": "x"}, follow=True)
    assert "the other patient is not here any more" in gone.content.decode()
    assert not SamePerson.objects.exists()


def test_who_is_linked_to_one_of_them_is_the_same_person_too(sign_in, import_zip):
    import_zip(
        *(ct_image(PatientID=one, StudyInstanceUID=uid(9, n)) for n, one in enumerate("ABC"))
    )
    manager = sign_in("boss", "Manager")
    one, two, three = Patient.objects.order_by("pk")
    say(manager, one, two)
    say(manager, two, three)
    assert persons.others_of(one) == [two, three]
    assert persons.others_of(three) == [one, two]
