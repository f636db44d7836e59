"""Count, of uploads that are here, the failures that trying again may mend."""

from typing import Any

from django.db import migrations
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

# As `app.reasons.PASSING` was.
PASSING = (
    *("member_too_large", "header_too_large", "too_many_items"),
    *("reader_crashed", "reader_hung", "not_stored"),
)


def count(apps: Any, schema_editor: Any) -> None:
    members = apps.get_model("app", "ArchiveMember").objects.filter(
        upload=OuterRef("pk"), outcome="failed", reason__in=PASSING
    )
    counted = members.order_by().values("upload").annotate(number=Count("pk")).values("number")
    number = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
    uploads = apps.get_model("app", "DICOMFile").objects.filter(failed_count__gt=0)
    uploads.update(passing_count=number)


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0016_passing_count"),
    ]

    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
