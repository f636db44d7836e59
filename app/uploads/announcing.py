"""What pages say after a button was pressed: one message of each kind, however many uploads."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from app.models import DICOMFile
from app.reasons import PROCESS_NOW, STARTED_BY_OTHERS, sentence
from app.wording import counted

from . import these

RECEIVED = "received"  # the class of a message that counts on


def list_of(pks: list[int]) -> str:
    """The address of the list of exactly these uploads."""
    return f"{reverse('admin:app_dicomfile_changelist')}?these={these.written(pks)}"


def received(request: HttpRequest, upload: DICOMFile, may_process: bool) -> None:
    """Say that an upload is here; many that came one after the other are counted in one message."""
    number = 1
    for message in list(messages.get_messages(request)):  # which takes them out
        kind, _, count = str(message.extra_tags).partition("-")
        if kind == RECEIVED and count.isdecimal():
            number += int(count)
        else:
            messages.add_message(request, message.level, message.message, message.extra_tags)
    what = f"“{upload.name}” was uploaded." if number == 1 else f"{number:,} uploads received."
    it = "it" if number == 1 else "them"
    more = f"Press {PROCESS_NOW} to process {it}." if may_process else STARTED_BY_OTHERS
    messages.success(request, f"{what} {more}", extra_tags=f"{RECEIVED}-{number}")


def left_alone(
    request: HttpRequest, refused: Mapping[int, str], become: str, level: int = messages.WARNING
) -> None:
    """Say why, once for each reason: `become` is what did not happen to them, as "was deleted"."""
    by_reason: dict[str, list[int]] = {}
    for pk, code in refused.items():
        by_reason.setdefault(code, []).append(pk)
    for code, pks in by_reason.items():
        messages.add_message(request, level, _left_alone(pks, code, become))


def _left_alone(pks: list[int], code: str, become: str) -> str | SafeString:
    if len(pks) == 1:
        upload = DICOMFile.objects.only("original_name").filter(pk=pks[0]).first()
        name = upload.name if upload else f"Upload {pks[0]}"
        return f"“{name}” was {become}. {sentence(code)}"
    words = '{} were {}. {} <a href="{}">Show them</a>'
    return format_html(words, counted(len(pks), "upload"), become, sentence(code), list_of(pks))
