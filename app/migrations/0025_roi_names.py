from django.db import migrations, models

from app.models import HasShortName


class Migration(migrations.Migration):
    dependencies = [("app", "0024_links")]

    operations = [
        migrations.AddIndex(
            model_name="rtstructureroi",
            index=models.Index(
                fields=["roi_name"],
                condition=models.Q(HasShortName()),
                name="roi_names_but_long_ones",
            ),
        ),
    ]
