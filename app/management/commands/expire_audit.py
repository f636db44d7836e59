"""`manage.py expire_audit --before DATE --to FILE`: take old entries out of the audit trail."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from app.audit.expiry import expire


class Command(BaseCommand):
    help = (
        "Write the audit entries of before a day to a new file, one line of JSON each, and then "
        "remove exactly these. It is the only way in which ICON removes any."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--before", type=_day, required=True, help="a day, as 2025-01-31")
        parser.add_argument("--to", type=Path, required=True, help="a file that does not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        day, file = options["before"], options["to"]
        if day > timezone.localdate():
            raise CommandError("That day is still to come.")
        before = timezone.make_aware(datetime.combine(day, time()))
        try:
            removed = expire(before, file)
        except FileExistsError:
            raise CommandError(f"{file} is there already; nothing was removed.") from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise CommandError(f"{file} cannot be written ({why}); nothing was removed.") from None
        self.stdout.write(f"Entries moved to {file}: {removed:,}.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2025-01-31") from None
