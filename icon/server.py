"""What ICON adds to gunicorn: see gunicorn.conf.py."""

import ctypes
import gc
import re
import resource
import socket
import struct
import sys
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.unreader import SocketUnreader

from icon.logs import FORMAT, OneLine

IDLE_SECONDS = 60  # without a byte from or to a client, after which its connection is closed

OPEN_FILES = 16_384

CHUNK = 256 * 1024  # bytes of a body that are received at once: as many as an upload is read by

# glibc's, of mallopt(3)
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

QUOTES = re.compile(r":\s|\s%")  # what follows is a request's words, or an exception's


def give_up_the_idle(server: Any) -> None:
    """Let no client that has gone, or says nothing, hold a thread for ever.

    Linux hands the times set on a listening socket on to each connection that it accepts.
    """
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", IDLE_SECONDS, 0))


def spare_the_collector(server: Any, worker: Any) -> None:
    """Leave out of the garbage collector's passes what a process has read before it serves.

    To look through all of that takes 0.09 s, now and then, of whoever asks for a page just then.
    """
    gc.freeze()


def begin(server: Any) -> None:
    """Before the processes are started that serve."""
    open_many()
    receive_fast()


def open_many() -> None:
    """Let a process hold as many files open as the system grants, not as few as it begins with.

    A download with a DICOMDIR holds some hundreds of objects open.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, OPEN_FILES), most))


def receive_fast() -> None:
    """Spare an upload more than half of its processor time.

    gunicorn receives up to 1 MB ahead, and copies what is left of it for each piece that is read.
    glibc hands memory of a chunk's size back at once, and the kernel clears it for the next one.
    """
    SocketUnreader.max_body_chunk = CHUNK
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # musl has none
        mallopt(M_MMAP_THRESHOLD, 4 * CHUNK)
        mallopt(M_TRIM_THRESHOLD, 16 * CHUNK)


class ServerLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's messages as ICON's lines, without anything that a request says."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(OneLine(FORMAT, style="{"))

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if kind := sys.exc_info()[0]:
            msg, args = f"{_without_quotes(msg)}: {kind.__name__}", ()
        super().warning(msg, *args, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        super().exception(_without_quotes(msg), **kwargs)


def _without_quotes(message: object) -> str:
    return QUOTES.split(str(message), maxsplit=1)[0]
