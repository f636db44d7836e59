"""Rights are called by the words of 0011: Django names only those that it makes."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

NAMES = {
    "archivemember": "file in a ZIP",
    "dicomfile": "upload",
    "dicominstance": "instance",
    "dicomseries": "series",
    "dicomstudy": "study",
    "imageinformation": "image",
    "rtstructureroi": "structure",
    "rtstructuresetinformation": "structure set",
}
ACTIONS = ("add", "change", "delete", "view", "process")


def name_rights(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    rights = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="app")
    for model, name in NAMES.items():
        for action in ACTIONS:
            rights.filter(codename=f"{action}_{model}").update(name=f"Can {action} {name}")


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0011_words"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunPython(name_rights, migrations.RunPython.noop),
    ]
