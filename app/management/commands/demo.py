"""`manage.py demo`: ICON with invented patients in it, apart from all other data."""

import os
import secrets
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.urls import reverse

from app.demo.archive import write_archive
from app.models import DICOMFile, DICOMSeries, RTStructureSetInformation, Status
from app.uploads import claims
from app.wording import counted

from . import up
from .import_archive import keep_copy

USER = "demo"
PORT = 8010
# What would keep something of the demo elsewhere, or bring its work to another ICON's worker.
ELSEWHERE = ("ICON_DATABASE_URL", "ICON_BROKER_URL", "ICON_MEDIA_ROOT", "ICON_PROCESSED_ROOT")
KEPT_BY_OTHERS = ("icon.sqlite3", "broker", "log")
FILED_BY_OTHERS = ("media", "processed_dicom_files")  # folders that every ICON makes
STEP = 25  # percent


class Command(up.Command):
    help = "Start ICON with invented patients, in a data folder of its own. Ctrl-C stops it."
    password = ""
    upload: int | None = None  # whose import is followed
    told = 0  # percent

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=PORT, help="0 takes any free port.")

    def handle(self, *args: Any, **options: Any) -> None:
        if why := refusal(settings.ICON_VAR):
            raise CommandError(why)
        super().handle(*args, bind="127.0.0.1", **options)

    def make_admin(self) -> None:
        get_user_model().objects.create_superuser(USER, password=self.password)

    def prepare_database(self) -> None:
        """Called with the lock and the port: only then is the folder the demo's."""
        self.password = password_kept_in(mark_of(settings.ICON_VAR))
        super().prepare_database()
        if not DICOMFile.objects.exists():
            self.say("Making a ZIP of two invented patients; this takes some ten seconds.")
            upload_demo()
        self.upload = DICOMFile.objects.live().values_list("pk", flat=True).first()
        connection.close()

    def welcome(self, at: str) -> None:
        super().welcome(at)
        user = User.objects.filter(username=USER).first()
        if user and user.check_password(self.password):
            self.say(f"Sign in as {USER} with the password {self.password}")
        if self.upload is None:
            self.say_where(at)

    def look_on(self, at: str) -> None:
        """Say how far the import is, and where its pictures are."""
        if self.upload is None:
            return
        upload = DICOMFile.objects.without_log().filter(pk=self.upload).first()
        if upload is None:  # somebody has deleted it
            self.upload = None
            self.say_where(at)
            connection.close()
        elif upload.processing_status in (Status.COMPLETED, Status.FAILED):
            self.upload = None
            self.say(
                f"{counted(upload.imported_count, 'object')} imported. {upload.failure_detail}"
            )
            self.say_where(at)
            connection.close()
        elif upload.percent >= self.told + STEP:
            self.told = upload.percent
            self.say(f"Importing them: {upload.percent} %")

    def say_where(self, at: str) -> None:
        series = DICOMSeries.objects.filter(modality="CT").order_by("pk").first()
        if series:
            address = f"{at.rstrip('/')}{reverse('series', args=[series.pk])}"
            structures = RTStructureSetInformation.objects.order_by("pk").first()
            drawn = f"?set={structures.dicom_instance_id}" if structures else ""
            self.say(f"Pictures: {address}{drawn}")


def refusal(folder: Path) -> str:
    """Why this is no place for the demo; "" where it is one."""
    for name in ELSEWHERE:
        if os.getenv(name):
            return (
                f"{name} is set, and the demo keeps what it has in a folder of its own. "
                f"Start it without: env -u {name} python3 run.py demo"
            )
    if not is_marked(folder) and is_used(folder):
        return (
            f"The data in {folder} is not the demo's. Leave ICON_VAR out, or name a folder that "
            "is not there yet."
        )
    return ""


def is_used(folder: Path) -> bool:
    """Whether there is any data in it."""
    files = (path for name in FILED_BY_OTHERS for path in (folder / name).rglob("*"))
    return any((folder / name).exists() for name in KEPT_BY_OTHERS) or any(
        not path.is_dir() for path in files
    )


def mark_of(folder: Path) -> Path:
    """What says that a data folder is the demo's: its user's password."""
    return folder / "demo.password"


def is_marked(folder: Path) -> bool:
    """Whether its mark was written to its end."""
    mark = mark_of(folder)
    return mark.is_file() and mark.stat().st_size > 0


def password_kept_in(path: Path) -> str:
    """The same at each start, so that it can be told again."""
    if not is_marked(path.parent):
        up.keep_private(path, secrets.token_urlsafe(9))
    return path.read_text()


def upload_demo() -> None:
    """Upload the demo's ZIP, and put it into the queue, as Process Now does."""
    user = User.objects.filter(username=USER).first()
    with tempfile.TemporaryDirectory(dir=settings.ICON_VAR) as folder:
        path = Path(folder) / "Invented patients.zip"
        with path.open("xb") as file:
            write_archive(file)
        with transaction.atomic():
            upload = keep_copy(path)
            upload.uploaded_by = user
            upload.save(update_fields=["uploaded_by"])
            claims.queue([upload.pk], who=user)
