"""How full the disks are that uploads and filed objects are kept on, and what is nobody's there."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from app.reasons import sentence
from app.uploads import removal
from app.wording import human_size


@dataclass(frozen=True, slots=True)
class Disk:
    holds: str  # in words
    free: int  # bytes, as the next
    size: int
    percent_used: int

    @property
    def used(self) -> int:
        return self.size - self.free


def disks() -> list[Disk]:
    """One, or two where uploads and filed objects lie apart."""
    zips, objects = Path(settings.MEDIA_ROOT), Path(settings.ICON_PROCESSED_ROOT)
    if zips.stat().st_dev == objects.stat().st_dev:
        return [_disk("Uploaded ZIPs and filed objects", objects)]
    return [_disk("Uploaded ZIPs", zips), _disk("Filed objects", objects)]


def _disk(holds: str, root: Path) -> Disk:
    usage = shutil.disk_usage(root)
    taken = usage.total - usage.free  # with what only root may write to
    return Disk(holds, usage.free, usage.total, round(100 * taken / usage.total))


def unlisted_words() -> str:
    """What to do about kept ZIPs that no upload lists; "" where there are none."""
    count, size = removal.unlisted()
    if not count:
        return ""
    return sentence("unlisted_zips", count=f"{count:,}", size=human_size(size))
