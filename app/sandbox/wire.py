"""What a pool and its extractors send each other, in frames of MessagePack.

The child parses hostile bytes, so nothing it sends is ever executed, and what is not of these
types is refused. A series' members repeat what they hang under: it is sent when it changes.
"""

import os
import select
import struct
from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct, msgpack

from app.archives.directory import Limits, Member
from app.dicom.headers import HeaderLimits
from app.dicom.records import (
    Header,
    ImageRecord,
    InstanceRecord,
    Lineage,
    ReadWarning,
    Record,
    StructureSetRecord,
)

LENGTH = struct.Struct("<I")  # bytes of the frame that follows
PIECES = 1_024  # the most that one call writes (IOV_MAX)


class Orders(Record, frozen=True):
    """An extractor's settings, sent once; see `pool.PoolSettings`."""

    archive: int  # file descriptor
    staging: int  # file descriptor of the folder
    mark: int  # file descriptor of shared memory
    parent: int  # process
    memory: int  # bytes of address space
    limits: Limits
    header_limits: HeaderLimits
    assumed_charset: str


class Job(Record, frozen=True):
    """One member to read; a repeated job names what of a ZIP inside is known already."""

    member: Member
    known_inside: list[int]  # inner numbers that were catalogued or reported before
    given_up: dict[int, str]  # inner number -> the reason code of a member that ends its reader
    members: int  # in the archive and in the ZIPs inside, so far
    total: int  # bytes of those, unpacked


class Extracted(Record, frozen=True):
    """One member as it was read: to be catalogued where it has a header."""

    index: int
    inner: int
    name: str
    size: int  # bytes, unpacked
    sha256: str  # "" where it was not read to its end
    outcome: str  # "" where the catalogue decides; else "skipped" or "failed"
    reason: str
    facts: dict[str, str | int] = {}
    header: Header | None = None

    @property
    def staged(self) -> str:
        """Its file in the upload's staging folder."""
        return staged_name(self.index, self.inner)

    @property
    def weight(self) -> int:
        """Roughly how many bytes it holds in memory."""
        structure = self.header.structure_set if self.header else None
        contours = sum(len(roi.roi_contour_data) for roi in structure.rois) if structure else 0
        return 2_000 + contours


class _Message(Record, frozen=True):
    """An extracted member, as it is sent."""

    index: int
    inner: int
    name: str
    size: int
    sha256: str
    outcome: str
    reason: str
    facts: dict[str, str | int]
    lineage: Lineage | None  # None where it is that of the message before
    instance: InstanceRecord | None
    image: ImageRecord | None
    structure_set: StructureSetRecord | None
    warnings: list[ReadWarning]


def staged_name(index: int, inner: int) -> str:
    return f"{index}-{inner}.dcm"


_pack = msgpack.Encoder().encode
unpack_orders = msgpack.Decoder(Orders).decode
unpack_jobs = msgpack.Decoder(list[Job]).decode
_unpack_message = msgpack.Decoder(_Message).decode


def frame(value: Struct | list[Job]) -> bytes:
    body = _pack(value)
    return LENGTH.pack(len(body)) + body


def frames(arrived: bytearray) -> Iterator[memoryview]:
    """The bodies of those frames that have wholly arrived, which are then taken away."""
    start = 0
    with memoryview(arrived) as view:
        while len(view) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(view, start)
            body = start + LENGTH.size
            if len(view) < body + length:
                break
            start = body + length
            with view[body:start] as found:
                yield found
    del arrived[:start]


class Outbox:
    """What goes into a pipe that may be full.

    Neither a pool nor an extractor waits for the other to read: each could wait for ever.
    """

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self.pipe = pipe
        self.pieces: deque[bytes | memoryview] = deque()
        self.size = 0  # bytes that wait

    def put(self, *pieces: bytes) -> None:
        self.pieces.extend(pieces)
        self.size += sum(map(len, pieces))

    def send(self) -> None:
        """Write as much as the pipe takes now; what nobody will read any more is dropped."""
        try:
            while self.pieces:
                self._take_away(os.writev(self.pipe, list(islice(self.pieces, PIECES))))
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.pieces.clear()
            self.size = 0

    def send_down_to(self, size: int) -> None:
        """Wait until no more than so many bytes wait."""
        self.send()
        while self.size > size:
            select.select([], [self.pipe], [])
            self.send()

    def _take_away(self, written: int) -> None:
        self.size -= written
        while self.pieces and written >= len(self.pieces[0]):
            written -= len(self.pieces.popleft())
        if written:
            self.pieces[0] = memoryview(self.pieces[0])[written:]


class Sender:
    """Members into frames; a lineage is sent where it is another object than the one before."""

    def __init__(self) -> None:
        self.lineage: Lineage | None = None  # the one sent last

    def frame(self, extracted: Extracted) -> tuple[bytes, bytes]:
        """In two pieces, since putting megabytes of contours together copies them."""
        header = extracted.header
        lineage = header.lineage if header and header.lineage is not self.lineage else None
        self.lineage = lineage or self.lineage
        body = _pack(
            _Message(
                extracted.index,
                extracted.inner,
                extracted.name,
                extracted.size,
                extracted.sha256,
                extracted.outcome,
                extracted.reason,
                extracted.facts,
                lineage,
                header.instance if header else None,
                header.image if header else None,
                header.structure_set if header else None,
                header.warnings if header else [],
            )
        )
        return LENGTH.pack(len(body)), body


class Receiver:
    """Frames of one sender into members; those of one lineage in a row share its one object.

    `catalogue.entries.branches_of` tells branches apart by that object.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.lineage: Lineage | None = None

    def members(self) -> Iterator[Extracted]:
        """Those that have wholly arrived."""
        for body in frames(self.buffer):
            message = _unpack_message(body)
            self.lineage = message.lineage or self.lineage
            yield Extracted(
                message.index,
                message.inner,
                message.name,
                message.size,
                message.sha256,
                message.outcome,
                message.reason,
                message.facts,
                self._header(message),
            )

    def _header(self, message: _Message) -> Header | None:
        if message.instance is None or self.lineage is None:
            return None
        return Header(
            self.lineage,
            message.instance,
            message.image,
            message.structure_set,
            message.warnings,
        )
