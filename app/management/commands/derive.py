"""`manage.py derive [--all] [KIND]`: what is computed from stored objects, made now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from app.derived import making
from app.derived.kinds import Kind
from app.health.derived import KINDS
from app.health.reread import give_way
from app.reasons import sentence
from app.wording import counted

BY_NAME = {kind.name: kind for kind in KINDS}


class Command(BaseCommand):
    help = (
        "Make what is computed from stored objects, such as whether series are complete, where it "
        "is missing or out of date. Workers do so by themselves; this does it at once, and waits "
        "while something is imported. Exit status 1 if anything could not be made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = "; ".join(f"{kind.name}: {kind.words}" for kind in KINDS)
        parser.add_argument("kind", nargs="?", metavar="KIND", help=f"only one of these. {kinds}")
        parser.add_argument("--all", action="store_true", help="make all of it anew")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["kind"]
        if name and name not in BY_NAME:
            raise CommandError(sentence("nothing_derived_so", kinds=", ".join(BY_NAME)))
        failed = 0
        for kind in [BY_NAME[name]] if name else KINDS:
            if options["all"]:
                kind.forget()
            failed += self._derive(kind)
            making.count([kind])
        if failed:
            raise CommandError(sentence("not_derived", count=f"{failed:,}"), returncode=1)

    def _derive(self, kind: Kind) -> int:
        """Make what is to be made of one kind; how many could not be."""
        made = failed = 0
        total = kind.numbers().to_be_made
        with tqdm(total=total, desc=kind.words, disable=None, leave=False) as bar:

            def wait(uploads: int) -> None:
                bar.set_postfix_str(f"waiting for {counted(uploads, 'upload')}")

            for key in making.lacking(kind):
                give_way(wait)
                try:
                    is_made = making.make(kind, key)
                except making.NotNow:
                    raise CommandError(sentence("not_derived_now", kind=kind.words)) from None
                made, failed = made + is_made, failed + (not is_made)
                bar.update()
        rest = f", {failed:,} could not be made" if failed else ""
        self.stdout.write(f"{kind.words}: {made:,} made{rest}.")
        return failed
