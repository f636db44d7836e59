"""The admin's log of who did what names uploads by their numbers, not by their ZIPs' names."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, Value
from django.db.models.functions import Concat


def name_by_number(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    entries = apps.get_model("admin", "LogEntry").objects.filter(
        content_type__app_label="app", content_type__model="dicomfile"
    )
    entries.update(object_repr=Concat(Value("Upload "), F("object_id")))


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0005_bulk_defaults"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunPython(name_by_number, migrations.RunPython.noop),
    ]
