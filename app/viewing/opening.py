"""Filed objects that are opened for a page: so many at once, and no more."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import BoundedSemaphore

from app.limits import processed_root
from app.storage.tree import open_object

AT_ONCE = 2  # programs that look into objects, of each of the web server's processes
WAIT = 3.0  # seconds for one that others use

free = BoundedSemaphore(AT_ONCE)


class NotOpened(Exception):
    """An object cannot be looked into now; `code` is a reason's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def is_busy(self) -> bool:
        return self.code == "looking_busy"


@contextmanager
def opened(paths: Sequence[str]) -> Iterator[list[int]]:
    """Descriptors of filed objects, while a program may be asked about them.

    Raises
    ------
    NotOpened
        looking_busy, object_gone.
    """
    with ExitStack() as stack:
        if not free.acquire(timeout=WAIT):
            raise NotOpened("looking_busy")
        stack.callback(free.release)
        files = []
        for path in paths:
            try:
                files.append(open_object(processed_root(), path))
            except OSError:
                raise NotOpened("object_gone") from None
            stack.callback(os.close, files[-1])
        yield files
