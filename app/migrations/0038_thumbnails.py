import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0037_download_begun"),
    ]

    operations = [
        migrations.CreateModel(
            name="SeriesThumbnail",
            fields=[
                ("version", models.PositiveSmallIntegerField(editable=False)),
                ("failed", models.BooleanField(default=False, editable=False)),
                (
                    "made_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("changes", models.BigIntegerField(editable=False)),
                (
                    "series",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="thumbnail",
                        serialize=False,
                        to="app.dicomseries",
                    ),
                ),
                ("size", models.PositiveIntegerField(default=0, editable=False)),
                ("digest", models.CharField(blank=True, editable=False, max_length=64)),
                ("why_not", models.CharField(blank=True, editable=False, max_length=64)),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["made_at", "size"], name="thumbnails_by_age")],
            },
        ),
    ]
