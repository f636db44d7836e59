"""`manage.py make_demo_archive [PATH]`: the ZIP of invented patients that the demo imports."""

from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from app.demo.archive import write_archive
from app.wording import counted, human_size


class Command(BaseCommand):
    help = "Write a ZIP of two invented patients, the same bytes each time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", nargs="?", type=Path, default=Path("demo.zip"), metavar="PATH")
        parser.add_argument(
            "--coarser",
            type=int,
            choices=(1, 2, 4, 8),
            default=1,
            help="so many times fewer slices, rows and columns",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        try:
            with ExitStack() as failed:
                with path.open("xb") as file:
                    failed.callback(path.unlink)
                    count = write_archive(file, options["coarser"])
                failed.pop_all()
        except FileExistsError:
            raise CommandError(f"{path} is there already.") from None
        except OSError:
            raise CommandError(f"{path} cannot be written.") from None
        size = human_size(path.stat().st_size)
        self.stdout.write(f"{path}: {counted(count, 'object')} of two invented patients, {size}")
