"""What must be true of the machine before ICON files anything on it."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


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


def tells_case_apart(folder: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=".case-", dir=folder) as probe:
        (Path(probe) / "a").touch()
        return not (Path(probe) / "A").exists()
