"""Sending what is to be sent: tried again later and later, a bounded number of times.

A thread of each worker does it, beside the one that sweeps. A task would wait behind the uploads
that are queued, and take the place of one.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import Now

from app.errors import NotSent
from app.models import Notice, NoticeState, TellMe, Way
from app.reasons import PASSING, sentence

from . import mail, messages, webhook

# How long after a try the next one is, by how many there have been; after the last it is given up.
PAUSES = (
    *(timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10)),
    *(timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)),
)
MOST_TRIES = len(PAUSES) + 1
LEASE = timedelta(minutes=5)  # for one try, after which whoever made it is dead
AT_ONCE = 100  # in one round
TOLD = timedelta(days=7)  # that a failure is told of
KEPT = timedelta(days=30)

logger = logging.getLogger(__name__)


def send_due() -> int:
    """Send what is due; how many were sent. A server that fails is asked once in a round."""
    _give_up_on_what_ends_its_sender()
    sent, failing = 0, set()
    for pk, *server in list(_due()):
        if tuple(server) in failing or not (notice := _claim(pk)):
            continue
        wish = TellMe.objects.select_related("user").filter(user=notice.user_id).first()
        if wish is None or not wish.user.is_active or notice.way not in wish.ways:
            notice.delete()  # not wanted any more
            continue
        try:
            _send(notice, wish)
        except NotSent as why:
            _put_off(notice, why)
            if why.code in PASSING:
                failing.add(tuple(server))
        else:
            _end(notice, NoticeState.SENT)
            sent += 1
    return sent


def forget_old() -> None:
    old = Notice.objects.filter(made_at__lt=Now() - KEPT)
    old.exclude(state=NoticeState.TO_SEND).delete()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Messages that could not be sent, for one reason."""

    count: int
    since: datetime
    why: str
    is_tried_again: bool


def troubles() -> list[Trouble]:
    """What could not be sent of late, the most first."""
    tried = Q(state=NoticeState.TO_SEND, tries__gt=0) & ~Q(reason="")
    rows = Notice.objects.filter(tried | Q(state=NoticeState.FAILED), made_at__gt=Now() - TOLD)
    found = rows.order_by().values("detail", "state").annotate(n=Count("pk"), since=Min("made_at"))
    return sorted(
        (
            Trouble(one["n"], one["since"], one["detail"], one["state"] == NoticeState.TO_SEND)
            for one in found
        ),
        key=lambda one: (-one.count, one.why),
    )


def _due() -> Iterator[tuple[int, str, int]]:
    """Messages to be tried, and their servers: one for all e-mail, and each person's own."""
    due = Notice.objects.filter(state=NoticeState.TO_SEND, due_at__lte=Now()).order_by("due_at")
    for pk, way, user in due.values_list("pk", "way", "user")[:AT_ONCE]:
        yield pk, way, 0 if way == Way.EMAIL else user


def _claim(pk: int) -> Notice | None:
    """Take a message for one try; None where somebody else has it."""
    due = Notice.objects.filter(pk=pk, state=NoticeState.TO_SEND, due_at__lte=Now())
    if not due.update(tries=F("tries") + 1, due_at=Now() + LEASE):
        return None
    return Notice.objects.get(pk=pk)


def _send(notice: Notice, wish: TellMe) -> None:
    key = f"icon-{notice.pk}"
    if notice.way == Way.EMAIL:
        mail.send(wish.user.email, messages.letter_of(notice, wish), key)
    else:
        body = messages.json_of(notice, wish)
        webhook.post(wish.webhook_url, body, key, wish.webhook_secret)


def _put_off(notice: Notice, why: NotSent) -> None:
    logger.warning("Notice %s not sent: %s", notice.pk, why.code)
    if why.code in PASSING and notice.tries < MOST_TRIES:
        values = {"due_at": Now() + PAUSES[notice.tries - 1]}
        _rows(notice).update(reason=why.code, detail=why.sentence, **values)
    else:
        _end(notice, NoticeState.FAILED, why.code, why.sentence)


def _end(notice: Notice, state: NoticeState, code: str = "", detail: str = "") -> None:
    _rows(notice).update(state=state, done_at=Now(), reason=code, detail=detail)


def _rows(notice: Notice) -> QuerySet[Notice]:
    return Notice.objects.filter(pk=notice.pk, tries=notice.tries)


def _give_up_on_what_ends_its_sender() -> None:
    """A try that neither sent nor failed, again and again: the worker died, or it is a bug."""
    often = Notice.objects.filter(state=NoticeState.TO_SEND, tries__gte=MOST_TRIES)
    often.filter(due_at__lte=Now()).update(
        state=NoticeState.FAILED,
        done_at=Now(),
        reason="notice_unexpected",
        detail=sentence("notice_unexpected"),
    )
