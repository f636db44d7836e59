from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import NotSupportedError, migrations, models, transaction


def use_lz4(apps: Any, schema_editor: Any) -> None:
    """Contours on their way to the trash are packed as they are in the catalogue."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic():
            schema_editor.execute(
                "ALTER TABLE app_trashedtext ALTER COLUMN text SET COMPRESSION lz4"
            )
    except NotSupportedError:
        pass  # a server that was built without lz4 goes on with pglz


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0034_downloads"),
    ]

    operations = [
        migrations.CreateModel(
            name="Deletion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("table", models.CharField(max_length=100)),
                ("rows", models.JSONField(default=list)),
                ("words", models.TextField(blank=True)),
                ("last_instance", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("deleting", "Being moved here"),
                            ("there", "In the trash"),
                            ("restoring", "Being restored"),
                            ("erasing", "Being erased"),
                        ],
                        default="deleting",
                        max_length=16,
                    ),
                ),
                ("who_id", models.BigIntegerField(blank=True, null=True)),
                ("who", models.CharField(blank=True, max_length=150)),
                ("reason", models.CharField(blank=True, max_length=200)),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="deleted"
                    ),
                ),
                ("until", models.DateTimeField(db_index=True, verbose_name="goes")),
                (
                    "changed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("trouble", models.CharField(blank=True, db_default="", default="", max_length=32)),
                ("object_count", models.PositiveIntegerField(db_default=0, default=0)),
                ("image_count", models.PositiveIntegerField(db_default=0, default=0)),
                ("total_size", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("conflict_count", models.PositiveIntegerField(db_default=0, default=0)),
            ],
            options={
                "permissions": (
                    ("restore_deletion", "Can restore from the trash"),
                    ("erase_deletion", "Can erase what is in the trash"),
                ),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TrashedObject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("instance", models.BigIntegerField(unique=True)),
                ("series", models.BigIntegerField()),
                ("patient", models.BigIntegerField()),
                ("sop_instance_uid", models.CharField(db_index=True, max_length=128)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveBigIntegerField()),
                ("is_image", models.BooleanField()),
                ("has_file", models.BooleanField()),
                ("superseded", models.JSONField(default=list)),
                ("rows", models.TextField()),
                ("is_conflict", models.BooleanField(db_default=False, default=False)),
                (
                    "deletion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="objects_in_it",
                        to="app.deletion",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TrashedRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("table", models.CharField(max_length=100)),
                ("row", models.BigIntegerField()),
                ("patient", models.BigIntegerField()),
                ("uid", models.CharField(blank=True, db_index=True, max_length=128)),
                ("frame", models.CharField(blank=True, db_index=True, max_length=128)),
                ("values", models.TextField()),
                (
                    "deletion",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows_over",
                        to="app.deletion",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("deletion", "table", "row"), name="trashed_row_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TrashedText",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("table", models.CharField(max_length=100)),
                ("row", models.BigIntegerField()),
                ("text", models.TextField()),
                (
                    "trashed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="texts",
                        to="app.trashedobject",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["table", "row"], name="trashed_text_row")],
            },
        ),
        migrations.RunPython(use_lz4, migrations.RunPython.noop),
    ]
