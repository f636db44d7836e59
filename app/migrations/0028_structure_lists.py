from django.db import migrations, models

from app.models import HasShortName


class Migration(migrations.Migration):
    dependencies = [("app", "0027_more_attributes")]

    operations = [
        migrations.AddIndex(
            model_name="rtstructureroi",
            index=models.Index(
                fields=["roi_name"],
                condition=models.Q(HasShortName()),
                name="roi_names_but_long_ones",
            ),
        ),
        migrations.AddIndex(
            model_name="rtstructureroi",
            index=models.Index(
                fields=["rt_structure_set", "slice_count"], name="roi_set_and_slices"
            ),
        ),
        migrations.AddIndex(
            model_name="link",
            index=models.Index(
                fields=["source"],
                condition=models.Q(
                    ("instance__isnull", True), ("series__isnull", True), ("study__isnull", True)
                ),
                name="link_open_of_source",
            ),
        ),
    ]
