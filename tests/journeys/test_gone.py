"""What a page asks for is gone when somebody presses its button: a sentence, or "Not found"."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpResponse
from django.urls import get_resolver, reverse
from django.utils import timezone

from app.models import (
    CatalogueCheck,
    Collection,
    CollectionEntry,
    Deletion,
    DICOMFile,
    DICOMStudy,
    IdentityAnswer,
    Patient,
    PatientIdentity,
    SamePerson,
)
from tests.making.objects import ct_image, rt_structure_set, uid

from .test_access import ROWS

ADDRESSES = get_resolver("app.urls").reverse_dict


@pytest.fixture
def world(staff_user, import_zip) -> dict[str, Any]:
    """What is posted to each address, by its name."""
    import_zip(
        ct_image(),
        rt_structure_set(),
        ct_image(SOPInstanceUID=uid(2, 1, 9), PatientName="Other^Name"),
        ct_image(PatientID="P2", StudyInstanceUID=uid(3), SeriesInstanceUID=uid(3, 1)),
    )
    patient, other = Patient.objects.order_by("pk")
    study = DICOMStudy.objects.get(patient=other)
    upload = DICOMFile.objects.get()
    mine = Collection.objects.create(name="Mine", owner=staff_user, owner_name="staff")
    entry = CollectionEntry.objects.create(collection=mine, patient=other)
    identity = PatientIdentity.objects.get(is_open=True)
    third = Patient.objects.create(unique_patient_id="P3", folder="P3")
    SamePerson.objects.create(first=patient, second=third, reason="Married since")
    Deletion.objects.create(
        table="app.patient", rows=[17], last_instance=17, state="there", until=timezone.now()
    )
    return {
        "process_dicom_file": {},
        "cancel_dicom_file": {},
        "see_dicom_file": {},
        "known_uploads": [{"name": upload.original_name, "size": upload.size}],
        "upload_result": {"q": "file"},
        "answer_identity": {
            "answer": IdentityAnswer.ONE, "identity": identity.pk, "upload": upload.pk,
        },
        "use_versions": {"choose": "1", "series": study.series.get().pk},
        "search": {"q": "Nemo"},
        "tell_of": {},
        "tell_me": {"when": "always", "webhook_url": "https://example.org/"},
        "tell_me_secret": {},
        "protect_study": {"reason": "Trial", "off": "1"},  # what is protected does not go
        "check_catalogue": {},
        "stop_check": {},
        "collection_list": {"name": "New"},
        "collect": {"kind": "study", "row": study.pk, "collection": mine.pk},
        "collection": {"name": "Other"},
        "take_out": {"entry": entry.pk},
        "delete_collection": {},
        "same_person": {"other": other.pk, "reason": "Married since"},
        "undo_same_person": {"other": third.pk},
        "restore_deletion": {},
        "erase_deletion": {"post": "yes", "reason": "Test"},
        "empty_trash": {"post": "yes", "reason": "Test"},
        "header": {"q": "Nemo"},
        "structure_list": {"q": "Heart"},
        "study_csv": {"row": study.pk},
        "patient_csv": {"row": other.pk},
        "chosen_series_csv": {"row": study.series.first().pk},
        "download_selection": {"kind": "study", "row": study.pk},
    }  # fmt: skip


def address(name: str) -> str:
    """With the key of the first row of its table, wherever it takes one."""
    [([(_, parameters)], *_)] = ADDRESSES.getlist(name)
    key = ROWS.get(name, DICOMFile).objects.order_by("pk")[0].pk
    return reverse(name, args=[key] * len(parameters))


def test_every_address_that_takes_a_post_is_tried_here(staff_client, world):
    taken = set()
    for name in filter(lambda one: isinstance(one, str), ADDRESSES):
        with undone():
            if pressed(partial(staff_client.post, address(name))) != 405:
                taken.add(name)
    assert taken == world.keys()


@pytest.mark.parametrize("gone", [[Patient], [DICOMFile, Collection, CatalogueCheck, Deletion]])
def test_no_button_fails_whose_row_goes_meanwhile(staff_client, world, gone):
    """The rows are deleted before each statement in turn that a page makes."""
    keys = {model: [*model.objects.values_list("pk", flat=True)] for model in gone}
    for name, posted in world.items():
        press = partial(staff_client.post, address(name), posted)
        if isinstance(posted, list):
            press = partial(press, content_type="application/json")
        with undone(), statements() as made:
            assert pressed(press) in (200, 302), name
        # Before that it is all the same: who signed in is read.
        first = next((at for at, sql in enumerate(made) if '"app_' in sql), len(made))
        for number in range(first, len(made)):
            with undone():
                with statements(number, gone):
                    status = pressed(press)
                assert status in (200, 302, 404), (name, made[number])
                connection.check_constraints()
                assert not any(model.objects.filter(pk__in=keys[model]) for model in gone), name


def pressed(press: Callable[[], HttpResponse]) -> int:
    """The status of an answer, which is read to its end: a download holds its place until then."""
    response = press()
    if response.streaming:
        response.getvalue()
    return response.status_code


@contextmanager
def undone() -> Iterator[None]:
    """All that is written within is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def statements(number: int = -1, gone: Sequence[type[Model]] = ()) -> Iterator[list[str]]:
    """The statements that are in no transaction of the page's own; before one, tables are emptied.

    In a transaction what is read is held, and others wait.
    """
    made: list[str] = []
    depth, is_emptying = len(connection.savepoint_ids), False

    def run(execute, sql, params, many, context):
        nonlocal is_emptying
        if not is_emptying and len(connection.savepoint_ids) == depth:
            made.append(sql)
            if len(made) - 1 == number:
                is_emptying = True
                for model in gone:
                    model.objects.all().delete()
                is_emptying = False
        return execute(sql, params, many, context)

    with connection.execute_wrapper(run):
        yield made
