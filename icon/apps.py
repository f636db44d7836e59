"""What Django's own apps and Celery's are called under Administration."""

from django.contrib.auth.apps import AuthConfig
from django_celery_results.apps import CeleryResultConfig


class People(AuthConfig):
    verbose_name = "People"


class TaskResults(CeleryResultConfig):
    verbose_name = "Background tasks"
