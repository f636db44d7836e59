"""How often passwords may be tried, before it is locked for a while.

Three counts are kept of a try: of this user from this address, of everybody from this address, and
of this user from everywhere. The first is the one that people meet. The second stops who tries one
password on many users; it is higher, since a department may share an address. The third stops who
has many addresses; it is the highest, since a stranger could use it to lock somebody out.

A try is counted before its password is looked at, and taken back when that was right: of sixteen at
once no more get through than of sixteen in a row. While it is locked, no password is looked at, the
right one neither, and nothing is counted, so that a lock ends. A name that nobody has is counted
like any other, under a number that many names share: people type passwords there.
"""

import ipaddress
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from app.models import SignInTries

# As many times as one user may try from one address
FROM_ADDRESS = 10
OF_USER = 20
UNKNOWN = "unknown"  # an address: of a socket, or where there is no request

logger = logging.getLogger(__name__)


class Count(NamedTuple):
    """One of the counts of a try, and how high it may go."""

    key: str
    user: int | None
    address: str
    limit: int


class Locked(PermissionDenied):
    """It was tried too often; no other way of signing in is asked either."""


def counts_of(username: str, request: HttpRequest | None) -> tuple[Count, Count, Count]:
    """The counts of a try: of both, of the address, of the user."""
    tries: int = settings.ICON_SIGN_IN_TRIES
    address = address_of(request)
    user = User.objects.filter(username=username).values_list("pk", flat=True).first()
    number = salted_hmac(__name__, username).hexdigest()[:4]  # too few to tell the name by
    who = f"user {user}" if user else f"name {number}"
    return (
        Count(f"{who} from {address}", user, address, tries),
        Count(f"all from {address}", None, address, tries * FROM_ADDRESS),
        Count(who, user, "", tries * OF_USER),
    )


def take(counts: Sequence[Count]) -> None:
    """Count a try.

    Raises
    ------
    Locked
        It is locked; nothing was counted.
    """
    if minutes_locked(counts):  # without writing, however often it is asked
        raise Locked
    with transaction.atomic():
        # In the order of their keys, here and below, so that no two wait for each other.
        new = (
            SignInTries(key=key, user_id=user, address=at) for key, user, at, _ in sorted(counts)
        )
        SignInTries.objects.bulk_create(new, ignore_conflicts=True)
        rows = list(_rows(counts).select_for_update().order_by("key"))
        if _minutes_locked(rows):
            raise Locked
        _count(rows, {one.key: one.limit for one in counts})


def give_back(counts: Sequence[Count]) -> None:
    """Take a try back whose password was right; this user begins anew from this address."""
    both, *others = counts
    SignInTries.objects.filter(key=both.key).delete()
    for one in others:
        taken = SignInTries.objects.filter(key=one.key, tries__gt=0)
        taken.update(tries=F("tries") - 1, locked_until=None)


def minutes_locked(counts: Iterable[Count]) -> int:
    """For how many minutes signing in is locked, by the longest of the locks; 0 where it is not."""
    return _minutes_locked(_rows(counts))


def current() -> QuerySet[SignInTries]:
    """The counts that still matter."""
    return SignInTries.objects.filter(_matters(), tries__gt=0)


def remove_expired() -> None:
    SignInTries.objects.exclude(_matters()).delete()


def address_of(request: HttpRequest | None) -> str:
    """Whose try it is: an IPv4 address, or the network of 64 bits that an IPv6 user has.

    X-Forwarded-For is believed as far as our own proxies wrote it: each adds who came to it.
    """
    if request is None:
        return UNKNOWN
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    proxies: int = settings.ICON_PROXIES
    written = forwarded[-proxies] if 0 < proxies <= len(forwarded) else ""
    return _network(written) or _network(request.META.get("REMOTE_ADDR", "")) or UNKNOWN


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


def _rows(counts: Iterable[Count]) -> QuerySet[SignInTries]:
    return SignInTries.objects.filter(key__in=[one.key for one in counts])


def _minutes_locked(rows: Iterable[SignInTries]) -> int:
    now = timezone.now()
    waits = (row.locked_until - now for row in rows if row.locked_until)
    return max([0, *(ceil(wait / timedelta(minutes=1)) for wait in waits)])


def _count(rows: Sequence[SignInTries], limits: Mapping[str, int]) -> None:
    """One more try for each, none of which is locked; begin locks."""
    now = timezone.now()
    for row in rows:
        if row.locked_until or row.since <= now - _time():  # that lock is over
            row.tries, row.since, row.locked_until = 0, now, None
        row.tries += 1
        if row.tries >= limits[row.key]:
            row.locked_until = now + _time()
            logger.warning("Signing in is locked: %s", row.key)
    SignInTries.objects.bulk_update(rows, ("tries", "since", "locked_until"))


def _matters() -> Q:
    now = timezone.now()
    return Q(since__gt=now - _time()) | Q(locked_until__gt=now)


def _time() -> timedelta:
    """How long a count is kept, and a lock lasts."""
    return timedelta(minutes=settings.ICON_SIGN_IN_MINUTES)
