"""`manage.py import_archive PATH...`: archives into the catalogue without browser or broker."""

import errno
import fcntl
import json
import shutil
import signal
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from tqdm import tqdm

from app.audit.recording import insert
from app.errors import OtherVersion
from app.models import DICOMFile, Kind, Status, random_archive_name
from app.reasons import sentence
from app.sandbox import ahead
from app.uploads import abandoned, ingest
from app.wording import human_size
from icon.processes import collect_seldom

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FICLONE = 0x40049409  # ioctl_ficlone(2): share the file's blocks instead of copying them


class Command(BaseCommand):
    help = "Import ZIP archives of DICOM into the catalogue, as an upload would be."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--json", action="store_true", help="print one object per archive")

    def run_from_argv(self, argv: list[str]) -> None:
        signal.signal(signal.SIGTERM, _end)
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        ahead.begin(settings.ICON_EXTRACTORS)  # while ICON is checked, and the archive copied
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        collect_seldom()  # as a worker's process does
        try:
            self._finish_what_was_begun()
            completed = [self._import(path, options["json"]) for path in options["paths"]]
            self._finish_what_was_begun()
        except OtherVersion as reason:
            raise CommandError(reason.sentence) from None
        if not all(completed):
            raise CommandError("Not every archive was completed.", returncode=1)

    def _finish_what_was_begun(self) -> None:
        """Go on with uploads whose run has died, since there may be no worker to do so."""
        for pk in abandoned.take_back():
            self.stderr.write(f"Going on with upload {pk}, which was interrupted.")
            ingest.run_upload(pk)

    def _import(self, path: Path, as_json: bool) -> bool:
        ahead.begin(settings.ICON_EXTRACTORS)  # for the next archive, while it is copied
        try:
            upload = keep_copy(path)
        except OSError as error:
            code = "copy_filled_disk" if error.errno in NO_ROOM else "copy_failed"
            self._tell(_result(path, reason=sentence(code)), as_json)
            return False
        with tqdm(
            total=100, desc=path.name, unit="%", disable=True if as_json else None, leave=False
        ) as bar:
            ingest.run_upload(upload.pk, report=lambda percent, step: _show(bar, percent, step))
        upload.refresh_from_db()
        self._tell(_result(path, upload), as_json)
        return upload.processing_status == Status.COMPLETED

    def _tell(self, result: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(result))
            return
        counts = ", ".join(f"{count:,} {name}" for name, count in result["outcomes"].items())
        line = f"{result['file']}: {result['status']} in {result['seconds']:.1f} s: {counts}"
        self.stdout.write(f"{line}. {result['reason']}".rstrip())


def _end(number: int, frame: object) -> NoReturn:
    """End as by Ctrl-C, which leaves nothing half done."""
    sys.exit(128 + number)


def keep_copy(path: Path) -> DICOMFile:
    """Copy an archive into the media root, sharing its blocks where the file system can.

    Where that or its row fails, no copy is left.
    """
    upload = DICOMFile(original_name=path.name[:255], size=path.stat().st_size)
    upload.file.name = random_archive_name(upload, path.name)
    target = Path(settings.MEDIA_ROOT) / upload.file.name
    target.parent.mkdir(
        parents=True, exist_ok=True, mode=settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS
    )
    with ExitStack() as failed:
        failed.callback(target.unlink, missing_ok=True)
        with path.open("rb") as source, target.open("xb") as copy:
            _copy(source, copy)
        target.chmod(settings.FILE_UPLOAD_PERMISSIONS)
        upload.sync_archive()
        with transaction.atomic():
            upload.save()
            insert(Kind.UPLOADED, on=upload, words=f"{human_size(upload.size)}, from the terminal")
        failed.pop_all()
    return upload


def _copy(source: IO[bytes], copy: IO[bytes]) -> None:
    try:
        fcntl.ioctl(copy.fileno(), FICLONE, source.fileno())
    except OSError:
        shutil.copyfileobj(source, copy, 1 << 20)


def _show(bar: "tqdm[Any]", percent: int, step: str) -> None:
    bar.set_postfix_str(step, refresh=False)
    bar.update(percent - bar.n)


def _result(path: Path, upload: DICOMFile | None = None, reason: str = "") -> dict[str, Any]:
    upload = upload or DICOMFile(processing_status=Status.FAILED, failure_detail=reason)
    begun, ended = upload.date_processing_started, upload.date_processing_completed
    return {
        "file": str(path),
        "status": upload.processing_status,
        "seconds": round((ended - begun).total_seconds(), 3) if begun and ended else 0.0,
        "outcomes": upload.outcomes,
        "reason": upload.failure_detail,
    }
