"""Whose bytes reach the disk, and how many of them.

The CSRF check reads the body of every POST, before any view asks who sent it. So it is here that
files are taken: on the page that uploads, of who may upload, up to the limit. Everywhere else a
body is small enough for a form and stays in memory, or is not read at all.
"""

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import SkipFile, StopUpload, TemporaryFileUploadHandler
from django.db import DatabaseError
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from app.archives.ends import END_WINDOW
from app.reasons import sentence
from app.storage.staging import free_bytes
from app.wording import human_size

from .claims import disk_reason

TAKES_FILES = {"admin:app_dicomfile_add"}  # names of pages
LOOK = 64_000_000  # bytes received between looks at the free disk

logger = logging.getLogger(__name__)


class ReceivingHandler(TemporaryFileUploadHandler):
    """Writes files to the disk for who may upload; of anybody else it keeps none.

    A body that is too large is left unread. Its form is then as if empty, and the CSRF check
    refuses it.
    """

    chunk_size = 256 * 1024  # as in icon/server.py

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
        self.length = content_length
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

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start // LOOK < (start + len(raw_data)) // LOOK and (
            why := _no_room(self.length - start, self.length)
        ):
            self._give_up(why)
        with self._giving_up():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        with self._giving_up():
            self.file.flush()
        return super().file_complete(file_size)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._give_up(why_not_kept(error, self.length))

    def _give_up(self, why: str) -> NoReturn:
        """Leave the rest unread and keep nothing; `why` is told instead of any other answer."""
        with suppress(OSError):  # which the last bytes may meet again
            self.file.close()
        cast(Any, self.request).not_kept = why
        raise StopUpload(connection_reset=True)


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
    return _no_room(length, length)


def why_not_kept(error: Exception, length: int) -> str:
    """What to say of an upload of so many bytes that a disk did not take; "" of other errors."""
    filled_up = sentence("disk_filled_up", size=human_size(length))
    if isinstance(error, DatabaseError):
        return filled_up if disk_reason(error) else ""
    if not isinstance(error, OSError):
        return ""
    kind = errno.errorcode.get(error.errno or 0, type(error).__name__)
    logger.error("An upload was not kept: %s", kind)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_room(length, length) or filled_up
    return sentence("upload_not_written")


def _no_room(needed: int, size: int) -> str:
    """What to say where a disk has less room than an upload of that size needs; else ""."""
    # Unpacked it is hardly ever smaller, and the upload itself is kept beside the result.
    folders = (settings.FILE_UPLOAD_TEMP_DIR, settings.ICON_PROCESSED_ROOT)
    free = min(free_bytes(Path(folder)) for folder in folders)
    if needed <= free:
        return ""
    return sentence("no_room_for_zip", free=human_size(free), size=human_size(size))


def from_script(request: HttpRequest) -> bool:
    """Whether static/app/uploads/add.js sent this, which is answered in JSON."""
    return request.headers.get("Accept") == "application/json"


def too_large() -> str:
    return sentence("upload_too_large", limit=human_size(settings.ICON_MAX_UPLOAD))


def before_sending() -> dict[str, Any]:
    """What add.js refuses before it sends anything, and what it says."""
    codes = ("connection_lost", "goes_on", "signed_out", "server_refused", "cannot_be_read")
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
