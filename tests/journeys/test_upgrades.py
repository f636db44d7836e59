"""Code from before a migration runs on after it, until it is restarted."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, models
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from tests.conftest import default_database, often_on

LAST_WITHOUT_DEFAULTS = "0004_stored_words"


@often_on("sqlite")
def test_code_from_before_a_migration_goes_on_after_it(either_url, transactional_db):
    with default_database(either_url, LAST_WITHOUT_DEFAULTS):
        for number, (before, after) in enumerate(migrations_from(LAST_WITHOUT_DEFAULTS)):
            known = models_of(before)
            call_command("migrate", "app", after, verbosity=0)
            for model, pk in insert(known, number):
                assert model.objects.get(pk=pk), after


def test_a_column_without_a_default_in_the_database_is_found(tmp_path, transactional_db):
    before, after = "0003_what_the_last_run_did", LAST_WITHOUT_DEFAULTS
    other = default_database(f"sqlite:///{tmp_path}/icon.sqlite3", after)
    with other, pytest.raises(IntegrityError):
        list(insert(models_of(before), 0))


def migrations_from(first: str) -> Iterator[tuple[str, str]]:
    """Each migration of the app after that one, with the one before it."""
    graph = MigrationLoader(None).graph
    (last,) = graph.leaf_nodes("app")
    names = [name for app, name in graph.forwards_plan(last) if app == "app"]
    return pairwise(names[names.index(first) :])


def models_of(migration: str) -> list[type[models.Model]]:
    """The tables as that migration leaves them, each after those that it refers to."""
    state = MigrationLoader(connection).project_state(("app", migration))
    left, ordered = list(state.apps.get_app_config("app").get_models()), []
    while left:
        free = next(model for model in left if not parents_of(model) & set(left))
        left.remove(free)
        ordered.append(free)
    return ordered


def parents_of(model: type[models.Model]) -> set[type[models.Model]]:
    return {field.related_model for field in model._meta.local_fields if field.is_relation}


def insert(known: list[type[models.Model]], number: int) -> Iterator[tuple[type, int]]:
    """Insert a row into each table, naming no column that has a default in the database."""
    made: dict[type[models.Model], int] = {}
    for model in known:
        fields = [
            field
            for field in model._meta.local_concrete_fields
            if not isinstance(field, models.AutoField) and not field.has_db_default()
        ]
        related = relations_of(fields, made, number)
        values = [
            field.get_db_prep_save(
                related.get(field) if field.is_relation else value_for(field, number), connection
            )
            for field in fields
        ]
        key = model._meta.pk.column
        columns = ", ".join(f'"{field.column}"' for field in fields)
        marks = ", ".join(["%s"] * len(fields))
        what = f"({columns}) VALUES ({marks})" if fields else "DEFAULT VALUES"
        with connection.cursor() as cursor:
            cursor.execute(f'INSERT INTO "{model._meta.db_table}" {what} RETURNING "{key}"', values)
            made[model] = cursor.fetchone()[0]
        yield model, made[model]


def relations_of(
    fields: list[models.Field], made: dict[type[models.Model], int], number: int
) -> dict[models.Field, object]:
    """What a row refers to: of what it may refer to one; of a table named twice, two rows."""
    relations = [field for field in fields if field.is_relation]
    optional = [field for field in relations if field.null and field.related_model in made]
    found: dict[models.Field, object] = {one: made[one.related_model] for one in optional[:1]}
    for field in (one for one in relations if not one.null):
        again = [one for one in relations if one.related_model is field.related_model][1:]
        if again and field not in again:
            found[field] = field.related_model.objects.order_by("pk")[0].pk
        else:
            found[field] = made.get(field.related_model) or account(field, number)
    return found


def value_for(field: models.Field, number: int) -> object:
    """What the code of that time may write there; another one for each number."""
    if field.has_default():
        return field.get_default()
    if field.null:
        return None
    if isinstance(field, models.BooleanField):
        return bool(number % 2)
    if isinstance(field, models.DateTimeField):
        return timezone.now()
    if isinstance(field, models.DateField):
        return timezone.now().date() + timedelta(days=number)
    return str(number) if isinstance(field, models.CharField | models.TextField) else number


def account(field: models.Field, number: int) -> object:
    """The key of a user, who has to be there; another one for each number."""
    return field.related_model.objects.get_or_create(username=f"user {number}")[0].pk
