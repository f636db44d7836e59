"""What is said of an upload that has ended: as a letter, and as JSON."""

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from app.models import Notice, Outcome, TellMe
from app.wording import counted


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str


def letter_of(notice: Notice, wish: TellMe) -> Letter:
    facts = notice.facts
    lines = [
        f"Upload {notice.upload} has ended: {facts['label']}.",
        _counts(facts["counts"]),
        _address(wish, "upload_result", notice.upload),
        f"You asked to be told. What you are told of: {_address(wish, 'tell_me')}",
    ]
    return Letter(f"ICON: upload {notice.upload}: {facts['label']}", "\n\n".join(lines) + "\n")


def json_of(notice: Notice, wish: TellMe) -> bytes:
    facts = notice.facts
    return _json(
        {
            "upload": notice.upload,
            "status": facts["status"],
            "needs_attention": facts["needs_attention"],
            "counts": facts["counts"],
            "url": _address(wish, "upload_result", notice.upload),
        }
    )


def trial_letter(wish: TellMe) -> Letter:
    text = f"ICON can send you e-mail.\n\nWhat you are told of: {_address(wish, 'tell_me')}\n"
    return Letter("ICON: a test", text)


def trial_json(wish: TellMe) -> bytes:
    return _json({"test": True, "url": _address(wish, "tell_me")})


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def _counts(counts: dict[str, int]) -> str:
    parts = [
        f"{counts[one.value]:,} {one.label.lower()}" for one in Outcome if counts.get(one.value)
    ]
    files = counted(counts["files"], "file")
    return f"{files}: {', '.join(parts)}." if parts else f"{files}."


def _address(wish: TellMe, name: str, *args: int) -> str:
    return (settings.ICON_URL or wish.icon_url) + reverse(name, args=args)
