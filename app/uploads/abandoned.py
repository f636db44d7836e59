"""What dead runs left: every worker's sweep looks after it, and so does the terminal.

A run that is killed leaves its row in progress until its lease runs out, and maybe objects whose
rows are committed and whose files still lie in its staging folder. A live run holds the lock of
that folder; where nobody does, its lease is waited for.
"""

import time
from contextlib import suppress

from app.catalogue import filing
from app.limits import processed_root
from app.models import DICOMFile, DICOMInstance, Outcome
from app.storage.staging import STAGING, Busy, is_held

from . import claims

LOOK = 0.2  # seconds between two looks at a lease or a file
LONGEST_WAIT = 60.0  # seconds for a live run to publish what it has committed


def take_back() -> list[int]:
    """Settle what dead runs left, waiting for their leases; the uploads that wait to go on."""
    for pk in list(DICOMFile.objects.in_progress().values_list("pk", flat=True)):
        _wait_for_lease(pk)
    taken = claims.release_expired()
    filing.roll_forward_abandoned()
    filing.unlink_pending()
    return taken


def file_duplicates(pk: int) -> None:
    """See that what an upload found to be here already is in its place.

    Its rows may have been committed by a run that is publishing them just now, or that has died.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    for other in _others_with_staging(pk):
        while _is_unfiled(pk, other) and time.monotonic() < deadline:
            if not is_held(processed_root(), other):
                _wait_for_lease(other)
                claims.release_expired()
                with suppress(Busy):  # somebody else has taken it up
                    filing.roll_forward(other)
            time.sleep(LOOK)


def _wait_for_lease(pk: int) -> None:
    """Return when the run is known to be alive, its lease has run out, or it has ended."""
    running = DICOMFile.objects.in_progress().filter(pk=pk)
    while not is_held(processed_root(), pk) and running.exclude(claims.EXPIRED).exists():
        time.sleep(LOOK)


def _others_with_staging(pk: int) -> list[int]:
    names = (entry.name for entry in (processed_root() / STAGING).glob("*"))
    return [int(name) for name in names if name.isdecimal() and int(name) != pk]


def _is_unfiled(pk: int, other: int) -> bool:
    """Whether objects of another upload that this one counts as duplicates are not in the tree."""
    paths = DICOMInstance.objects.filter(
        upload=other, members__upload=pk, members__outcome=Outcome.DUPLICATE
    ).values_list("path", flat=True)
    root = processed_root()
    return any(not (root / path).exists() for path in paths.iterator())
