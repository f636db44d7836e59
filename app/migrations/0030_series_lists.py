from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0029_check_stops"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="dicomseries",
            index=models.Index(
                fields=["institution_name", "dicom_study"], name="series_of_institution"
            ),
        ),
        migrations.AddIndex(
            model_name="dicomseries",
            index=models.Index(
                fields=["body_part_examined", "dicom_study"], name="series_of_body_part"
            ),
        ),
    ]
