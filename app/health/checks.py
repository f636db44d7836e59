"""What must be true of the machine before ICON files anything on it."""

import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection

from app.catalogue.search import is_indexed
from app.reasons import sentence
from app.sandbox.confine import lacking


@register()
def runs_on_linux(**kwargs: Any) -> Sequence[CheckMessage]:
    if sys.platform == "linux":
        return []
    return [
        Error(
            "ICON runs on Linux only.",
            hint="It leans on syncfs, PDEATHSIG, RLIMIT_AS and a case-sensitive file system.",
            id="icon.E001",
        )
    ]


@register()
def processed_root_is_usable(**kwargs: Any) -> Sequence[CheckMessage]:
    root: Path = settings.ICON_PROCESSED_ROOT
    try:
        root.mkdir(parents=True, exist_ok=True)
        case_matters = tells_case_apart(root)
    except OSError:
        return [
            Error(
                "ICON cannot write to the folder for processed files.",
                hint="Make the folder that ICON_PROCESSED_ROOT names writable for this user.",
                id="icon.E002",
            )
        ]
    if case_matters:
        return []
    return [
        Error(
            "The folder for processed files is on a file system that ignores case.",
            hint="Patients AB and ab would share a folder. Set ICON_PROCESSED_ROOT to a folder "
            "on an ordinary Linux file system.",
            id="icon.E003",
        )
    ]


@register()
def folders_are_private(**kwargs: Any) -> Sequence[CheckMessage]:
    """What ICON makes is kept from others; a folder that was there before is as it was made."""
    names = ("ICON_VAR", "MEDIA_ROOT", "ICON_PROCESSED_ROOT")
    folders = {Path(getattr(settings, name)) for name in names}
    return [
        Warning(
            f"Every user of this machine can enter {folder}",
            hint=f"It may hold patients' data. Shut others out: chmod o-rwx {folder}",
            id="icon.W001",
        )
        for folder in sorted(folders)
        if is_open_to_others(folder)
    ]


@register(deploy=True)
def hosts_are_named(**kwargs: Any) -> Sequence[CheckMessage]:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ICON answers to any name.",
            hint="Set ICON_ALLOWED_HOSTS to the names that people type, not to *.",
            id="icon.W002",
        )
    ]


def is_open_to_others(folder: Path) -> bool:
    """Whether any user may enter a folder, and each of those that it lies in."""
    paths = (folder, *folder.parents)
    return folder.is_dir() and all(path.stat().st_mode & stat.S_IXOTH for path in paths)


IDS = {"no_landlock": "icon.W003", "no_seccomp": "icon.W004"}
HINTS = {
    "no_landlock": "Linux 5.13 and later have it, where the boot option lsm= does not leave it "
    "out and a container's profile does not refuse it.",
    "no_seccomp": "Linux on x86_64 and aarch64 has them, where a container's profile does not "
    "refuse it.",
}


@register()
def readers_are_locked_in(**kwargs: Any) -> Sequence[CheckMessage]:
    return [Warning(sentence(code), hint=HINTS[code], id=IDS[code]) for code in lacking()]


@register(Tags.database)
def searches_have_an_index(
    databases: Sequence[str] | None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """Asked with `check --database default`, and before each `migrate`."""
    if "default" not in (databases or ()) or is_indexed(connection):
        return []
    return [Warning(sentence("no_trigrams"), id="icon.W005")]


def tells_case_apart(folder: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=".case-", dir=folder) as probe:
        (Path(probe) / "a").touch()
        return not (Path(probe) / "A").exists()
