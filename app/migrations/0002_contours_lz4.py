"""Contours are megabytes of numbers: PostgreSQL's lz4 packs them in a sixth of pglz's time."""

from typing import Any

from django.db import NotSupportedError, migrations, transaction

SQL = "ALTER TABLE app_rtstructureroi ALTER COLUMN roi_contour_data SET COMPRESSION lz4"


def use_lz4(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic():
            schema_editor.execute(SQL)
    except NotSupportedError:
        pass  # a server that was built without lz4 goes on with pglz


class Migration(migrations.Migration):
    dependencies = [("app", "0001_initial")]

    operations = [migrations.RunPython(use_lz4, migrations.RunPython.noop)]
