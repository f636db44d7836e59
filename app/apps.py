"""The app, as Django knows it."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

# How the admin calls the tables of others.
CALLED = {"auth": "People", "django_celery_results": "Background tasks"}


class ICONConfig(AppConfig):
    name = "app"
    verbose_name = "DICOM"

    def ready(self) -> None:
        from .accounts import roles, sessions, signing_in  # noqa: F401  (hear of who signs in)
        from .audit import guards
        from .catalogue import search
        from .health import checks  # noqa: F401  (registers them)

        post_migrate.connect(search.ensure_indexes, sender=self)
        post_migrate.connect(guards.put_up, sender=self)
        post_migrate.connect(roles.bring_up_to_date, sender=self)
        for label, words in CALLED.items():
            apps.get_app_config(label).verbose_name = words
