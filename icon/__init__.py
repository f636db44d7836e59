"""The project: wiring only."""

from icon.celery import app as celery_app
from icon.startup import tell_instead_of_tracebacks

__all__ = ("celery_app",)

tell_instead_of_tracebacks()
