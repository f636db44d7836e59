"""The app, as Django knows it."""

from django.apps import AppConfig


class ICONConfig(AppConfig):
    name = "app"
    verbose_name = "DICOM"

    def ready(self) -> None:
        from .accounts import sessions  # noqa: F401  (hears of who signs in)
        from .health import checks  # noqa: F401  (registers them)
