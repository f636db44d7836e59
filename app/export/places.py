"""How many downloads are sent at once: each takes a place, and gives it back at its end.

The places are rows, so that all web servers count alike. A place is lent for a while, and renewed
while its download is sent: of a server that is killed it is taken back, and the end written down.
"""

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models.functions import Now

from app.audit.recording import insert_after
from app.errors import Expected
from app.models import AuditEntry, Download, Kind

# The web server gives up a client that takes nothing for a minute: see icon/server.py.
LENT = timedelta(seconds=150)
RENEWED = 20.0  # seconds
CUT_OFF = "Cut off: its server stopped, or could not say more."

logger = logging.getLogger(__name__)


class NoPlace(Expected):
    """So many downloads are sent already that this one has to wait."""


class Place:
    """A place that is taken."""

    def __init__(self, pk: int) -> None:
        self.pk = pk
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Keep it, where it was not renewed lately."""
        if time.monotonic() - self._renewed < RENEWED:
            return
        self._renewed = time.monotonic()
        try:
            Download.objects.filter(pk=self.pk).update(taken_until=Now() + LENT)
        except (DatabaseError, InterfaceError) as error:
            # What is sent does not need the database; the next time may do.
            logger.warning("A download's place was not renewed: %s", type(error).__name__)

    def is_for(self, begun: AuditEntry) -> None:
        """Keep with it the entry of what it is taken for: one of its end will follow that."""
        Download.objects.filter(pk=self.pk).update(begun=begun.pk)

    def give_back(self) -> bool:
        """Whether it was still there: else its end is written down already."""
        given, _ = Download.objects.filter(pk=self.pk).delete()
        return bool(given)


def take(user: User) -> Place:
    """A place for a download of somebody's; to be called in a transaction.

    Raises
    ------
    NoPlace
        downloads_yours, downloads_all.
    """
    # Of two requests of one person the second waits here for the first.
    User.objects.select_for_update().filter(pk=user.pk).first()
    take_back()
    each, most = settings.ICON_DOWNLOADS_EACH, settings.ICON_DOWNLOADS
    if Download.objects.filter(user=user.pk).count() >= each:
        raise NoPlace("downloads_yours", limit=each)
    taken = set(Download.objects.values_list("place", flat=True))
    for place in range(most):
        if place not in taken and (row := _row(user, place)):
            return Place(row.pk)
    raise NoPlace("downloads_all", limit=most)


def take_back() -> None:
    """Take back what nobody renews any more, and write down that these downloads have ended."""
    over = Download.objects.filter(taken_until__lt=Now())
    for row in list(over.order_by("pk")):
        with transaction.atomic():
            taken, _ = over.filter(pk=row.pk).delete()  # unless somebody else has meanwhile
            if taken and row.begun is not None:
                _write_end(row.begun)


def _write_end(begun: int) -> None:
    if entry := AuditEntry.objects.filter(pk=begun).first():
        insert_after(Kind.DOWNLOAD_ENDED, entry, CUT_OFF)


def _row(user: User, place: int) -> Download | None:
    """A row of this place; None where somebody else has taken it meanwhile."""
    row = Download(place=place, user_id=user.pk, taken_until=Now() + LENT)
    Download.objects.bulk_create([row], ignore_conflicts=True)
    return Download.objects.filter(place=place, user=user.pk).first()
