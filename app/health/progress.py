"""Where the last check of the catalogue stands, in words."""

from dataclasses import dataclass

from django.utils import timezone

from app.models import CatalogueCheck, DICOMFile

PARTS = {  # of `verify`, in its order
    "": "Beginning",
    "staging": "Looking at what stopped uploads left",
    "tree": "Looking for files that nothing in the catalogue knows",
    "instances": "Reading every object",
    "ledgers": "Adding up the lists of files of uploads",
    "childless": "Looking for patients, studies and series without objects",
    "identities": "Looking at the names that patient IDs came with",
    "links": "Following the references of structure sets",
    "counts": "Counting what lies below patients, studies and series",
    "archives": "Looking for ZIPs that no upload lists",
    "trash": "Looking at what is in the trash",
}
NONE, WAITING, RUNNING, STOPPED, ENDED = "none", "waiting", "running", "stopped", "ended"


@dataclass(frozen=True, slots=True)
class CheckState:
    state: str
    words: str
    percent: int
    live: bool  # it goes on by itself


def state_of(check: CatalogueCheck | None) -> CheckState:
    if check is None:
        return CheckState(NONE, "", 0, live=False)
    if check.ended_at:
        return CheckState(ENDED, "", 100, live=False)
    percent = _percent(check)
    if check.stopped_at:
        return CheckState(STOPPED, f"Stopped at {percent} %", percent, live=False)
    if check.lease_until is None or check.lease_until < timezone.now():
        return CheckState(WAITING, "Waiting for a worker", percent, live=True)
    if DICOMFile.objects.live().exists():
        words = "Waiting while uploads are processed"
        return CheckState(RUNNING, words, percent, live=True)
    return CheckState(RUNNING, PARTS[check.part], percent, live=True)


def _percent(check: CatalogueCheck) -> int:
    """By objects, since reading them is nearly all there is to do."""
    done = check.instance_count / max(check.expected_count, 1)
    return min(int(100 * done), 99)
