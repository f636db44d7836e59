"""The Celery app: `celery -A icon worker -l info`."""

import logging.config
import os
import signal
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, setup_logging, worker_process_init
from kombu.transport.redis import Channel

from icon.processes import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")

app = Celery("icon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# A worker that loses its broker would push unacknowledged messages back over a connection that
# kombu 5.7 has taken apart by then, and end with an AttributeError. No message is missed: the
# sweep sends that of a queued upload again.
Channel.do_restore = False


@setup_logging.connect
def log_like_the_web_process(loglevel: int | None = None, **kwargs: Any) -> None:
    """Use Django's logging, whose formatter keeps exception texts out, at the level of `-l`."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)


@worker_process_init.connect
@beat_embedded_init.connect
def die_with_the_worker(**kwargs: Any) -> None:
    """A process of a worker that was killed would go on, with nobody left to stop it."""
    end_with_parent(signal.SIGKILL)
