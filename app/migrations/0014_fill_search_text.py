"""What is catalogued already is found as what comes: its text is folded once.

A few rows at a time, each time in a transaction of its own, so that imports go on meanwhile; what
was done before it was interrupted is not done again.
"""

from typing import Any

from django.db import migrations

from app.catalogue.search import fill_table

SEARCHED = (
    *("DICOMFile", "Patient", "DICOMStudy", "DICOMSeries"),
    *("RTStructureSetInformation", "RTStructureROI"),
)


def fill(apps: Any, schema_editor: Any) -> None:
    for name in SEARCHED:
        fill_table(apps.get_model("app", name), schema_editor.connection.alias)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("app", "0013_search_text")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
