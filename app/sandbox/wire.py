"""What a pool and its extractors send each other, in frames of MessagePack.

The child parses hostile bytes, which may have taken it over: nothing it sends is ever executed,
and its parent believes nothing that it can check (`Unbelievable`). What the parent knows itself,
such as a member's name, is not sent. Nor is what a series' members repeat: what they hang under is
sent when it changes.
"""

import hashlib
import os
import re
import select
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import chain, islice
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, MsgspecError, Raw, Struct, json, msgpack
from msgspec.structs import astuple

from app import reasons
from app.archives.directory import NOT_ONE_LINE, Limits, Member
from app.dicom import records
from app.dicom.headers import HeaderLimits
from app.dicom.records import (
    Count,
    Facts,
    FramePlanes,
    Header,
    ImageRecord,
    InstanceRecord,
    Lineage,
    ReadWarning,
    Record,
    StructureSetRecord,
    Text1024,
)

Kind = TypeVar("Kind")
Body = TypeVar("Body", bytes, memoryview, str)

LENGTH = struct.Struct("<I")  # bytes of the frame that follows
LIST, ARRAY_32 = struct.Struct(">cI"), b"\xdd"  # MessagePack's list: how many values follow
MAX_LENGTH = 2**32 - 1
PIECES = 1_024  # the most that one call writes (IOV_MAX)
HASH_BYTES = 32
LONGEST_NAME = 1_024  # characters
MOST_WARNINGS = 1_000
# Messages of one frame: more than an extractor has put into one when it sends what it has, 256 kB.
FEW = Meta(max_length=20_000)
# Bytes of memory: of a member without contours and frames, and of a structure set's reference.
LIGHT, REFERENCE = 2_000, 200
FACT = re.compile(r"\{(\w+)\}")  # named in a sentence
LONGEST_FACT = 300  # characters: the sentence that says why an archive was refused
STOPS_THE_RUN: Literal["storage"] = "storage"
Verdict = Literal["", "skipped", "failed", "storage"]  # "" where the catalogue decides
REASONS = {"skipped": reasons.SKIPPED, "failed": reasons.FAILED, STOPS_THE_RUN: reasons.STORAGE}


class Unbelievable(Exception):
    """A child says what cannot be true: it is broken, or not itself any more."""


class Orders(Record, frozen=True):
    """An extractor's settings, sent once; see `pool.PoolSettings`.

    With them come descriptors: of the archive, of the folder that is its own, of shared memory.
    """

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
    outcome: Verdict
    reason: str
    facts: Facts = {}
    header: Header | None = None
    # Both are asked for several times of each member.
    staged: str = ""  # its file, below the upload's staging folder
    weight: int = LIGHT  # roughly how many bytes it holds in memory


class _Message(Record, frozen=True):
    """An extracted member, as it is sent."""

    index: int
    inner: Count
    name: Text1024  # "" of a member itself, whose name the parent knows
    size: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    sha256: Annotated[bytes, Meta(max_length=HASH_BYTES)]
    outcome: Verdict
    reason: str
    facts: Facts
    lineage: Lineage | None  # None where it is that of the message before
    instance: InstanceRecord | None
    image: ImageRecord | None
    structure_set: StructureSetRecord | None
    warnings: Annotated[list[ReadWarning], Meta(max_length=MOST_WARNINGS)]


def version() -> str:
    """A digest of what a pool and its extractors must agree on, as it lies on the disk now."""
    passed = {passed.__module__ for passed in (Limits, Member, HeaderLimits)}
    digest = hashlib.sha256()
    for name in sorted(passed | {__name__, records.__name__, reasons.__name__}):
        path = str(sys.modules[name].__file__)
        # An extractor has no other use for pathlib, which takes 1 MB.
        with suppress(FileNotFoundError), open(path, "rb") as source:  # noqa: PTH123
            digest.update(source.read())
    return digest.hexdigest()


def staged_name(index: int, inner: int) -> str:
    """A member's file in its extractor's tray."""
    return f"{index}-{inner}.dcm"


def believed(decode: Callable[[Body], Kind], body: Body) -> Kind:
    """What a child sent, as the body of a frame, by the decoder of a type that says what may be.

    Raises
    ------
    Unbelievable
        It is none of that type.
    """
    try:
        return decode(body)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unbelievable from None


packed = msgpack.Encoder().encode
unpack_orders = msgpack.Decoder(Orders).decode
unpack_jobs = msgpack.Decoder(list[Job]).decode
_unpack_messages = msgpack.Decoder(Annotated[list[_Message], FEW]).decode
_unpack_message = msgpack.Decoder(_Message).decode
_take_apart = msgpack.Decoder(Annotated[list[Raw], FEW]).decode
_planes_of_json = json.Decoder(FramePlanes).decode


def frame(value: Struct | list[Job]) -> bytes:
    body = packed(value)
    return LENGTH.pack(len(body)) + body


def frames(arrived: bytearray, longest: int = MAX_LENGTH) -> Iterator[memoryview]:
    """The bodies of those frames that have wholly arrived, which are then taken away.

    Raises
    ------
    Unbelievable
        One is to come that is longer than `longest`.
    """
    start = 0
    with memoryview(arrived) as view:
        while len(view) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(view, start)
            if length > longest:
                raise Unbelievable
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
        self.messages: list[bytes] = []
        self.size = 0  # bytes of those

    def add(self, extracted: Extracted) -> None:
        """Pack a member; nothing of it is kept but its message."""
        message = self._message(extracted)
        self.messages.append(message)
        self.size += len(message)

    def frame(self) -> list[bytes]:
        """A frame of what was added since the last one, nothing where that is nothing.

        It is in pieces, since putting megabytes of contours together copies them.
        """
        messages, size = self.messages, self.size
        self.messages, self.size = [], 0
        if not messages:
            return []
        length = LENGTH.pack(LIST.size + size)
        return [length, LIST.pack(ARRAY_32, len(messages)), *messages]

    def _message(self, extracted: Extracted) -> bytes:
        header = extracted.header
        lineage = header.lineage if header and header.lineage is not self.lineage else None
        self.lineage = lineage or self.lineage
        return packed(
            _Message(
                extracted.index,
                extracted.inner,
                extracted.name[:LONGEST_NAME] if extracted.inner else "",
                extracted.size,
                bytes.fromhex(extracted.sha256),
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


class Receiver:
    """Frames of one sender into members; those of one lineage in a row share its one object.

    `catalogue.entries.branches_of` tells branches apart by that object.

    Parameters
    ----------
    tray
        The number of the folder in which the sender leaves its files.
    jobs
        The members it was sent and has not answered, by their indexes.
    longest
        Bytes that a frame may have.
    """

    def __init__(self, tray: int, jobs: Mapping[int, Member], longest: int) -> None:
        self.tray, self.jobs, self.longest = tray, jobs, longest
        self.buffer = bytearray()
        self.lineage: Lineage | None = None

    def members(self) -> Iterator[Extracted]:
        """Those that have wholly arrived.

        Raises
        ------
        Unbelievable
            The next is none that this sender can have read.
        """
        for message in chain.from_iterable(map(_messages, frames(self.buffer, self.longest))):
            self.lineage = message.lineage or self.lineage
            job = self.jobs.get(message.index)
            if job is None or not (message.inner or _is_size(message.size, job)):
                raise Unbelievable
            yield Extracted(
                message.index,
                message.inner,
                _line(message.name) if message.inner else job.name,
                message.size,
                message.sha256.hex(),
                message.outcome,
                message.reason,
                message.facts,
                self._header(message),
                f"{self.tray}/{staged_name(message.index, message.inner)}",
                _weight(message),
            )

    def _header(self, message: _Message) -> Header | None:
        """The header of what is to be catalogued; of anything else the reason is looked at."""
        if message.outcome:
            check_reason(REASONS[message.outcome], message.reason, message.facts)
            return None
        if self.lineage is None or message.instance is None:
            raise Unbelievable
        if message.reason or len(message.sha256) != HASH_BYTES:
            raise Unbelievable
        if message.image and message.image.frame_planes:
            _check_planes(message.image.frame_planes)
        for warning in message.warnings:
            check_reason(reasons.WARNINGS, warning.code, warning.facts)
        return Header(
            self.lineage,
            message.instance,
            message.image,
            message.structure_set,
            message.warnings,
        )


def _messages(body: memoryview) -> Iterable[_Message]:
    """Those of a frame; where one is none, those before it.

    Raises
    ------
    Unbelievable
        One is none.
    """
    try:
        return believed(_unpack_messages, body)
    except Unbelievable:
        apart = [*map(bytes, believed(_take_apart, bytes(body)))]
        return (believed(_unpack_message, one) for one in apart)


def _weight(message: _Message) -> int:
    image, structure_set = message.image, message.structure_set
    if structure_set is None:
        return LIGHT + (len(image.frame_planes) if image else 0)
    contours = sum(len(roi.roi_contour_data) for roi in structure_set.rois)
    return LIGHT + contours + REFERENCE * len(structure_set.references)


def _is_size(size: int, job: Member) -> bool:
    """Whether a member can have become so large; it declares its size, mostly exactly."""
    return size == job.size or (job.modulus > 0 and size > job.size)


def _check_planes(text: str) -> None:
    """See that of each attribute every frame has one value.

    Raises
    ------
    Unbelievable
        It has not.
    """
    planes = believed(_planes_of_json, text)
    for attribute in filter(None, astuple(planes)[1:]):
        values, frames = len(attribute.values), attribute.frames
        if len(frames) != planes.count if frames else values not in (1, planes.count):
            raise Unbelievable
        if max(frames, default=0) >= values:
            raise Unbelievable


def check_reason(known: Mapping[str, str], code: str, facts: Mapping[str, str | int]) -> None:
    """See that a reason is one of those known, with the facts that its sentence names.

    Raises
    ------
    Unbelievable
        It is not.
    """
    if code not in known or facts.keys() != _facts_of(known[code]):
        raise Unbelievable
    for fact in facts.values():
        if isinstance(fact, str) and len(_line(fact)) > LONGEST_FACT:
            raise Unbelievable


@lru_cache
def _facts_of(sentence: str) -> set[str]:
    return {*FACT.findall(sentence)} - {"needed"}  # how much room, is for the parent to know


def _line(text: str) -> str:
    """A text that is one line."""
    if NOT_ONE_LINE.search(text):
        raise Unbelievable
    return text
