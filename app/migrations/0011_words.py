"""Tables are called what people call them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("app", "0010_check_goes_on"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="archivemember",
            options={"verbose_name": "file in a ZIP", "verbose_name_plural": "files in ZIPs"},
        ),
        migrations.AlterModelOptions(
            name="dicomfile",
            options={
                "ordering": ("-created_at", "-pk"),
                "permissions": (("process_dicomfile", "Can process upload"),),
                "verbose_name": "upload",
            },
        ),
        migrations.AlterModelOptions(
            name="dicominstance",
            options={"verbose_name": "instance"},
        ),
        migrations.AlterModelOptions(
            name="dicomseries",
            options={"verbose_name": "series", "verbose_name_plural": "series"},
        ),
        migrations.AlterModelOptions(
            name="dicomstudy",
            options={"verbose_name": "study", "verbose_name_plural": "studies"},
        ),
        migrations.AlterModelOptions(
            name="imageinformation",
            options={"verbose_name": "image"},
        ),
        migrations.AlterModelOptions(
            name="rtstructureroi",
            options={"verbose_name": "structure"},
        ),
        migrations.AlterModelOptions(
            name="rtstructuresetinformation",
            options={"verbose_name": "structure set"},
        ),
    ]
