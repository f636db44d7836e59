"""`manage.py reread [KIND]`: filed objects read again, where an older version of ICON read them."""

import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from app.dicom.kinds import Kind
from app.health.reread import Busy, older_count, reread
from app.reasons import sentence
from app.wording import counted, duration, listed

KINDS = {kind.word: kind for kind in Kind}


class Command(BaseCommand):
    help = (
        "Read filed objects again where an older version of ICON read them, and bring their rows "
        "up to date. Files, paths and the lists of uploads stay as they are. It waits while "
        "something is imported; stopped and started again, it goes on. "
        "Exit status 1 if anything needs to be looked at."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = listed(f"{kind.word} ({kind.value})" for kind in Kind)
        parser.add_argument("kind", nargs="?", metavar="KIND", help=f"only one of these: {kinds}")

    def handle(self, *args: Any, **options: Any) -> None:
        word = options["kind"]
        if word and word not in KINDS:
            raise CommandError(sentence("no_such_kind", kinds=", ".join(KINDS)))
        try:
            self._reread(KINDS.get(word))
        except Busy:
            raise CommandError(sentence("reread_running"), returncode=1) from None

    def _reread(self, kind: Kind | None) -> None:
        begun, done = time.monotonic(), 0
        found: Counter[bool] = Counter()  # by whether the row stays as it is
        with tqdm(total=older_count(kind), desc="Objects", disable=None, leave=False) as bar:
            told = -1  # of how many were done when somebody was last told that it waits

            def step(count: int) -> None:
                nonlocal done
                done += count
                bar.update(count)

            def wait(uploads: int) -> None:
                nonlocal told
                if told != done:
                    bar.clear()
                    self.stderr.write(f"Waiting for {counted(uploads, 'upload')} to be processed.")
                    told = done

            for finding in reread(kind, step, wait):
                found[finding.is_unread] += 1
                bar.clear()
                self.stdout.write(finding.sentence)
        summary = _summary(done, found, time.monotonic() - begun)
        if found:
            raise CommandError(summary, returncode=1)
        self.stdout.write(summary)


def _summary(done: int, found: Counter[bool], seconds: float) -> str:
    if not done:
        return "Nothing to read again: this version of ICON has read it all."
    unread, otherwise = found[True], found[False]
    read = f"Read again: {counted(done - unread, 'object')} in {duration(seconds)}."
    if unread:
        read += f" Could not be read, and left unchanged: {counted(unread, 'object')}."
    if otherwise:
        read += f" Read otherwise, and left in place: {otherwise:,}."
    return read
