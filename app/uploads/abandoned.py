"""What dead runs left: every worker's sweep looks after it, and so does the terminal.

A run that is killed leaves its row in progress until its lease runs out, and maybe objects whose
rows are committed and whose files still lie in its staging folder. A live run of this host shows
itself; where none does, its lease is waited for.
"""

import time
from collections.abc import Sequence

from app.catalogue import filing
from app.catalogue.entries import Entry
from app.limits import processed_root
from app.models import DICOMFile, DICOMInstance
from app.storage.staging import is_held, staged_uploads
from app.storage.tree import holds

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


def wait_for_files(pk: int, duplicates: Sequence[Entry]) -> None:
    """See that what an upload found to be here already is in its place.

    Its rows may have been committed by a run that is publishing them just now, or that has died.
    No run waits here with something committed that it has not yet published.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    for other in staged_uploads(processed_root()):
        while other != pk and _unfiled(duplicates) and time.monotonic() < deadline:
            claims.release_expired()
            filing.roll_forward(other)
            time.sleep(LOOK)


def _wait_for_lease(pk: int) -> None:
    """Return when the run is known to be alive, its lease has run out, or it has ended."""
    running = DICOMFile.objects.in_progress().filter(pk=pk).exclude(claims.EXPIRED)
    leases = running.values_list("lease_until", "run_id")
    lease = leases.first()
    # A lease that is renewed tells of life, too, also on another host.
    while lease and not is_held(processed_root(), pk, lease[1]) and leases.first() == lease:
        time.sleep(LOOK)


def _unfiled(duplicates: Sequence[Entry]) -> bool:
    """Whether one of them has a row, and no file in its place."""
    root = processed_root()
    missing = [entry.instance for entry in duplicates if not holds(root, entry.path)]
    return bool(missing) and DICOMInstance.objects.filter(pk__in=missing).exists()
