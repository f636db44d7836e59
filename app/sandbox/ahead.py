"""Extractors that are started before there is an archive for them.

One takes 80 ms of processor time to begin, for which the first members of an archive would wait. So
who imports one archive after another has some begin meanwhile, and hands them an archive, by its
descriptors, when there is one. One that is not needed ends with the process that has started it.
"""

import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from app.errors import OtherVersion

from .confine import start_program
from .wire import Orders, packed, version

EXTRACTOR = "app.sandbox.extractor"
VERSION = version()  # of the code that this process runs
MOST = 2  # that wait, of 12 MB each; the others of a large machine begin beside these


class Begun(NamedTuple):
    process: "subprocess.Popen[bytes]"
    channel: socket.socket  # for its orders

    def give(self, orders: Orders, descriptors: Sequence[int]) -> None:
        """Send its orders, with these descriptors; where it has ended, who listens to it sees."""
        with self.channel, suppress(ConnectionError):
            socket.send_fds(self.channel, [packed(orders)], descriptors)


_waiting: list[Begun] = []


def begin(extractors: int) -> None:
    """Have some of so many wait."""
    while len(_waiting) < min(extractors, MOST):
        _waiting.append(_begin())


def take() -> Begun:
    """One that waits, or else a new one.

    Raises
    ------
    OtherVersion
        Code of another version was installed since this process was started.
    """
    # An extractor that finds itself of another version ends; that is seen here then.
    if version() != VERSION:
        raise OtherVersion("other_version")
    while _waiting:
        begun = _waiting.pop(0)
        if begun.process.poll() is None:
            return begun
        _close(begun)
    return _begin()


def _begin() -> Begun:
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        its_number = its.fileno()
        return Begun(start_program(EXTRACTOR, [its_number], str(its_number), VERSION), mine)


def _close(begun: Begun) -> None:
    for one in (begun.channel, begun.process.stdin, begun.process.stdout):
        assert one
        one.close()
