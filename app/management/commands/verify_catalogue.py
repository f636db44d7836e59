"""`manage.py verify_catalogue`: does every row have its file, and every file its row?"""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from app.health import nightly
from app.health.verify import objects_to_check, verify
from app.models import DICOMInstance
from app.reasons import sentence
from app.wording import counted


class Command(BaseCommand):
    help = "Check rows against files and ledgers against their sums; exit status 1 if any is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one object per violation")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="mend what can be mended without losing anything",
        )

        parser.add_argument(
            "--nightly",
            action="store_true",
            help="go on with the check that the schedule began, at its pace and behind all imports",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["nightly"]:
            os.nice(10)
            nightly.go_on()
            return
        left = 0
        total = objects_to_check()
        with tqdm(total=total, desc="Objects", disable=None, leave=False) as bar:
            for violation in verify(repair=options["repair"], step=bar.update):
                left += not violation.repaired
                bar.clear()
                self.stdout.write(
                    json.dumps(
                        {
                            "code": violation.code,
                            "subject": violation.subject,
                            "repaired": violation.repaired,
                        }
                    )
                    if options["json"]
                    else violation.sentence
                )
        older = DICOMInstance.objects.read_by_older().count()
        if older and not options["json"]:
            self.stdout.write(sentence("read_by_older", objects=counted(older, "object")))
        if left:
            raise CommandError(f"{left:,} violation(s) of the catalogue.", returncode=1)
        if not options["json"]:
            self.stdout.write(f"{total:,} objects checked; the catalogue is sound.")
