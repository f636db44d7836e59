"""Whose bytes reach the disk, and how many of them.

The CSRF check reads the body of every POST, before any view asks who sent it. So it is here that
files are taken: on the page that uploads, of who may upload, up to the limit. Everywhere else a
body is small enough for a form and stays in memory, or is not read at all.
"""

import fcntl
import shutil
from contextlib import suppress
from typing import IO, Any, cast

from django.conf import settings
from django.core.files.uploadhandler import SkipFile, TemporaryFileUploadHandler
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from app.archives.ends import END_WINDOW
from app.reasons import sentence
from app.wording import human_size

TAKES_FILES = {"admin:app_dicomfile_add"}  # names of pages


class ReceivingHandler(TemporaryFileUploadHandler):
    """Writes files to the disk for who may upload; of anybody else it keeps none.

    A body that is too large is left unread. Its form is then as if empty, and the CSRF check
    refuses it.
    """

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> tuple[QueryDict, MultiValueDict[str, Any]] | None:
        request = cast(HttpRequest, self.request)
        self.keeps = takes_files_of(request)
        if content_length > largest_body(request):
            return QueryDict(encoding=encoding), MultiValueDict()
        return None

    def new_file(
        self, field_name: str, file_name: str, content_type: str, *args: Any, **kwargs: Any
    ) -> None:
        if not self.keeps:
            raise SkipFile
        super().new_file(field_name, "upload.zip", content_type, *args, **kwargs)
        # Not before: an ending of 255 characters would make a name that no disk takes.
        self.file.name = file_name
        # Says that somebody is at it, to `removal.remove_stale_uploads` on whatever host.
        with suppress(OSError):  # a file system without locks, where nothing is then removed
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def takes_files_of(request: HttpRequest) -> bool:
    """Whether this page takes files, and takes them of who asks."""
    page = request.resolver_match
    if page is None or page.view_name not in TAKES_FILES:
        return False
    return request.user.is_staff and request.user.has_perm("app.add_dicomfile")


def largest_body(request: HttpRequest) -> int:
    form: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return form + settings.ICON_MAX_UPLOAD if takes_files_of(request) else form


def why_not_taken(length: int) -> str:
    """Why an upload of so many bytes will not be taken; "" where it will."""
    if length > settings.ICON_MAX_UPLOAD + settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return too_large()
    # Unpacked it is hardly ever smaller, and the upload itself is kept beside the result.
    folders = (settings.FILE_UPLOAD_TEMP_DIR, settings.ICON_PROCESSED_ROOT)
    free = min(shutil.disk_usage(folder).free for folder in folders)
    if length <= free:
        return ""
    return sentence("no_room_for_zip", free=human_size(free), size=human_size(length))


def from_script(request: HttpRequest) -> bool:
    """Whether static/app/uploads/add.js sent this, which is answered in JSON."""
    return request.headers.get("Accept") == "application/json"


def too_large() -> str:
    return sentence("upload_too_large", limit=human_size(settings.ICON_MAX_UPLOAD))


def before_sending() -> dict[str, Any]:
    """What add.js refuses before it sends anything, and what it says."""
    codes = ("connection_lost", "signed_out", "server_refused", "cannot_be_read")
    sentences = {code.replace("_", "-"): sentence(code) for code in codes}
    return {
        "max_upload": settings.ICON_MAX_UPLOAD,
        "end_window": END_WINDOW,
        "sentences": {
            "too-large": too_large(),
            "not-a-zip": sentence("not_a_zip"),
            "truncated": sentence("archive_truncated"),
            **sentences,
        },
    }
