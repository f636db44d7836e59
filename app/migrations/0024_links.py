import django.db.models.deletion
from django.db import migrations, models

from ._columns import AddColumn


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0023_what_lies_below"),
    ]

    operations = [
        AddColumn(
            model_name="rtstructureroi",
            name="slice_count",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="slices"),
        ),
        migrations.CreateModel(
            name="Link",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("frame", "Frame of reference"),
                            ("study", "Study"),
                            ("series", "Series"),
                            ("image", "Image"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "target_uid",
                    models.CharField(blank=True, max_length=128, verbose_name="target UID"),
                ),
                ("frame_number", models.PositiveIntegerField(default=0)),
                ("found_by", models.CharField(blank=True, choices=[("uid", "UID")], max_length=8)),
                ("reason", models.CharField(blank=True, max_length=32)),
                (
                    "instance",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="links_here",
                        to="app.dicominstance",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="app.patient",
                    ),
                ),
                (
                    "series",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="links_here",
                        to="app.dicomseries",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="links",
                        to="app.dicominstance",
                    ),
                ),
                (
                    "study",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="links_here",
                        to="app.dicomstudy",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(
                            ("instance__isnull", True),
                            ("series__isnull", True),
                            ("study__isnull", True),
                        ),
                        fields=["target_uid"],
                        name="link_open",
                    ),
                    models.Index(
                        condition=models.Q(("instance__isnull", False)),
                        fields=["instance"],
                        name="link_to_instance",
                    ),
                    models.Index(
                        condition=models.Q(("series__isnull", False)),
                        fields=["series"],
                        name="link_to_series",
                    ),
                    models.Index(
                        condition=models.Q(("study__isnull", False)),
                        fields=["study"],
                        name="link_to_study",
                    ),
                ],
            },
        ),
    ]
