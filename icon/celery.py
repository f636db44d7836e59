"""The Celery app: `celery -A icon worker -l info`."""

import logging.config
import os
import signal
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, setup_logging, worker_init, worker_process_init
from kombu.transport.redis import Channel, QoS

from icon.processes import child_of_this, collect_seldom
from icon.startup import look_before_serving

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")

app = Celery("icon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add("app.caretaker:Caretaker")


def read_what_sends() -> None:
    """Import what it takes to send a task, or the first who presses Process Now waits for it.

    It takes some 35 ms, and as long again where it has to come from the disk.
    """
    _ = app.backend, app.amqp.queues, app.amqp.router, app.amqp.send_task_message
    app.finalize()


class PatientQoS(QoS):
    """Messages that a worker held when it lost its broker.

    Celery 5.7 takes the lost connection apart, and acknowledging such a message, or pushing it
    back, would then end the worker with an AttributeError. The broker hands it out again, and
    whoever gets it finds that the upload has a run or an end.
    """

    @property
    def lost(self) -> bool:
        transport = self.channel.connection
        return transport is None or transport.client is None

    def ack(self, delivery_tag: str) -> None:
        if not self.lost:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not self.lost:
            super().reject(delivery_tag, requeue)

    def restore_unacked(self, client: Any = None) -> None:
        if not self.lost:
            super().restore_unacked(client)


Channel.QoS = PatientQoS


@setup_logging.connect
def log_like_the_web_process(loglevel: int | None = None, **kwargs: Any) -> None:
    """Use Django's logging, whose formatter keeps exception texts out, at the level of `-l`."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)


@worker_init.connect
def look_before_ready(**kwargs: Any) -> None:
    look_before_serving()


@worker_init.connect
def end_with_the_worker(**kwargs: Any) -> None:
    """A process of a worker that is gone would go on, with nobody left to stop it.

    The worker may have been killed; or it has stopped, while a process that it had just made did
    not yet hear its signals.
    """
    worker, prepare = os.getpid(), child_of_this(signal.SIGKILL)

    def begin(**kwargs: Any) -> None:
        if os.getpid() != worker:  # the solo pool's tasks run in the worker itself
            prepare()

    for begun in (worker_process_init, beat_embedded_init):
        begun.connect(begin, weak=False)


@worker_process_init.connect
def collect_garbage_seldom(**kwargs: Any) -> None:
    collect_seldom()
