"""`manage.py caretaker`: what a worker does besides its tasks; it starts this by itself."""

import logging
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from app import caretaker
from icon.processes import end_with_parent


class Command(BaseCommand):
    help = (
        "Look after uploads and all that waits, beside the worker that starts this and with which "
        "it ends: nobody needs to call it."
    )
    requires_system_checks = ()  # the worker has made them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("worker", type=int, help="its process")
        parser.add_argument("level", type=int, help="of the lines of its log")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to answer
        end_with_parent(options["worker"], signal.SIGKILL)
        logging.getLogger().setLevel(options["level"])
        caretaker.take_care()
