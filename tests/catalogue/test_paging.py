"""Pages of a long list: every row on exactly one, whichever way, and no name in an address."""

from datetime import date
from itertools import islice

import pytest
from django.http import QueryDict

from app.catalogue import paging
from app.catalogue.paging import ROWS, Order, every, page_of, total_of
from app.models import Patient

pytestmark = pytest.mark.django_db

NAMES = ("", "Zeta", "alpha", "Ömer", "ALPHA", "beta", "B^C", "_", "山田")
DAYS = (None, date(1950, 1, 1), date(1990, 5, 5))
BY_NAME = Order("patient_name", is_text=True)
ORDERS = (
    *(BY_NAME, BY_NAME.turned()),
    *(Order("patient_dob", descending=True), Order("patient_dob")),
    *(Order("study_count"), Order("pk"), Order("pk", descending=True)),
)
# A name of each, in the order of code points; a to z without their case, none last.
IN_ORDER = ["_", "alpha", "ALPHA", "B^C", "beta", "Zeta", "Ömer", "山田", ""]


@pytest.fixture
def patients(db) -> list[Patient]:
    """Three and a half pages of them."""
    return Patient.objects.bulk_create(
        Patient(
            folder=f"{number}",
            patient_name=NAMES[number % len(NAMES)],
            patient_dob=DAYS[number % len(DAYS)],
            study_count=number % 4,
        )
        for number in range(ROWS * 7 // 2)
    )


def pages(order: Order, step: str, address: str = "") -> list[list[int]]:
    """The keys on every page from one on, the way of "after" or "before"."""
    page = page_of(Patient.objects.all(), order, QueryDict(address))
    keys = [row.pk for row in page.rows]
    onward = getattr(page, step)
    return [keys, *(pages(order, step, onward.query) if onward else [])]


@pytest.mark.parametrize("order", ORDERS)
def test_every_row_is_on_one_page_forwards_and_backwards(patients, order):
    forwards = pages(order, "after")
    assert [len(page) for page in forwards] == [ROWS, ROWS, ROWS, ROWS // 2]
    whole = [pk for page in forwards for pk in page]
    assert sorted(whole) == [patient.pk for patient in patients]
    assert whole == [row.pk for row in every(Patient.objects.all(), order, Patient.objects.all())]
    last = forwards[-1][0]
    backwards = pages(order, "before", f"before={last}")
    assert backwards == forwards[2::-1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("change", ["deleted", "sorted elsewhere"])
def test_every_row_comes_once_though_the_last_that_was_read_goes(
    patients, monkeypatch, order, change
):
    monkeypatch.setattr(paging, "AT_ONCE", 10)
    rows = every(Patient.objects.all(), order, Patient.objects.all())
    came = [row.pk for row in islice(rows, 10)]
    last = Patient.objects.filter(pk=came[-1])
    if change == "deleted":
        last.delete()
    elif not order.is_by_key:
        first = Patient.objects.get(pk=came[0])
        last.update(**{order.by: getattr(first, order.by)})
    came += [row.pk for row in islice(rows, len(patients))]
    assert sorted(came) == [patient.pk for patient in patients]


def test_text_is_sorted_alike_on_every_database(patients):
    rows = every(Patient.objects.all(), BY_NAME, Patient.objects.all())
    seen = list(dict.fromkeys(row.patient_name for row in rows))
    assert [name for name in seen if name.lower() != "alpha"] == [
        name for name in IN_ORDER if name.lower() != "alpha"
    ]
    backwards = every(Patient.objects.all(), BY_NAME.turned(), Patient.objects.all())
    assert [row.patient_name for row in backwards][-19:] == ["" for _ in range(19)]


def test_the_cursor_is_a_key_and_costs_one_query(patients, django_assert_num_queries):
    page = page_of(Patient.objects.all(), BY_NAME, QueryDict("sort=name&modality=CT"))
    assert page.after.query == f"sort=name&modality=CT&after={page.rows[-1].pk}"
    with django_assert_num_queries(3):
        page = page_of(Patient.objects.all(), BY_NAME, QueryDict(page.after.query))
    assert page.before.query == f"sort=name&modality=CT&before={page.rows[0].pk}"


def test_a_cursor_that_was_deleted_leads_to_a_place_nearby(patients):
    order = Order("last_added_at", descending=True, by_age=True)
    first = page_of(Patient.objects.all(), order, QueryDict())
    then = page_of(Patient.objects.all(), order, QueryDict(first.after.query))
    Patient.objects.filter(pk=first.rows[-1].pk).delete()
    again = page_of(Patient.objects.all(), order, QueryDict(first.after.query))
    assert again.rows == then.rows
    back = page_of(Patient.objects.all(), order, QueryDict(again.before.query))
    assert set(back.rows) >= set(first.rows[:-1])
    by_name = page_of(Patient.objects.all(), BY_NAME, QueryDict(first.after.query))
    assert by_name == page_of(Patient.objects.all(), BY_NAME, QueryDict())


def test_past_the_end_is_the_last_page(patients):
    order = Order("pk")
    last = page_of(Patient.objects.all(), order, QueryDict(f"after={patients[-1].pk}"))
    assert [row.pk for row in last.rows] == [patient.pk for patient in patients[-ROWS:]]
    assert last.before
    assert not last.after


@pytest.mark.parametrize("key", ["", "x", "-1", "9" * 30, "1.5", "²"])
def test_what_is_no_key_leads_to_the_first_page(patients, key):
    for order in (BY_NAME, Order("pk")):
        for step in ("after", "before"):
            page = page_of(Patient.objects.all(), order, QueryDict(f"{step}={key}"))
            assert page == page_of(Patient.objects.all(), order, QueryDict())


def test_a_row_that_the_filter_leaves_out_is_still_a_place(patients):
    order = Order("pk")
    rows = Patient.objects.filter(study_count=1)
    page = page_of(rows, order, QueryDict(f"after={patients[9].pk}"))
    assert patients[9] not in rows or patients[9].study_count == 1
    assert page.rows[0].pk > patients[9].pk


def test_rows_are_counted_up_to_a_limit(patients, django_assert_num_queries):
    with django_assert_num_queries(1):
        total = total_of(Patient.objects.all())
    assert total.words("patient", "patients") == f"{len(patients)} patients"
    assert total_of(Patient.objects.filter(pk=patients[0].pk)).words("one", "many") == "1 one"
    assert total_of(Patient.objects.all(), 100).words("one", "many") == "more than 100 many"
    assert total_of(Patient.objects.all(), 175).words("one", "many") == "175 many"
