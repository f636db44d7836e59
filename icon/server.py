"""What ICON adds to gunicorn: see gunicorn.conf.py."""

import re
import socket
import struct
import sys
from typing import Any

from gunicorn.glogging import Logger

from icon.logs import FORMAT, OneLine

IDLE_SECONDS = 60  # without a byte from or to a client, after which its connection is closed

QUOTES = re.compile(r":\s|\s%")  # what follows is a request's words, or an exception's


def give_up_the_idle(server: Any) -> None:
    """Let no client that has gone, or says nothing, hold a thread for ever.

    Linux hands the times set on a listening socket on to each connection that it accepts.
    """
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", IDLE_SECONDS, 0))


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
