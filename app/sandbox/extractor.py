"""The child process: members in, messages out.

Only here are the contents of members inflated and parsed. It runs without Django, locked in as
`confine` says, and ends at the end of its input or with its parent. It can make files in its own
folder, and alter none that it has closed.

    arguments  a socket for its orders, with descriptors; the version of `wire` that is spoken
    stdin      one frame of `wire` for each chunk of jobs
    stdout     frames of what became of members; of those in an archive in the ZIP before that
    mark       shared memory: which member is being read, and a counter that moves while it is
"""

import gc
import hashlib
import itertools
import mmap
import os
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.archives.directory import Limits, Member
from app.archives.gzipped import GZIP
from app.archives.inflate import member_bytes, member_chunks
from app.dicom.headers import read_header
from app.dicom.recognition import looks_like_dicom
from app.dicom.records import Header
from app.errors import (
    ArchiveRefused,
    Expected,
    MemberFailed,
    MemberSkipped,
    StorageFailed,
    disk_failure,
)

from .calls import map_file
from .confine import FILES, confine, lock, take_stdout
from .inside import HEAD, ZIP_SIGNATURE, no_dicom, open_inside, opens
from .wire import (
    STOPS_THE_RUN,
    Extracted,
    Job,
    Orders,
    Outbox,
    Sender,
    Verdict,
    frames,
    staged_name,
    unpack_jobs,
    unpack_orders,
    version,
)

MARK = struct.Struct("<qqq")  # index, inner, counter
NOTHING = -1
SMALL = 8_000_000  # bytes; up to this a member is inflated in one piece
TOGETHER = 400_000  # bytes of members that are read together
STDIN = 0
LONGEST_ORDERS, DESCRIPTORS = 1 << 16, 3
RECEIVED = 1 << 16  # bytes that are read at once
SENT_AT_ONCE = 1 << 18  # bytes of messages
# Linux puts more into larger pieces of memory, which a virtual machine may have given back to its
# host. To fetch those again took a third of an import of CT images there.
WRITTEN = 1 << 16  # bytes that are written at once
UNSENT = 16_000_000  # bytes of messages that may wait for the parent while the next are made
NO_FILE = -1
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # the lock allows no other way to write

SYSTEM_FOLDERS = ("__macosx",)
SYSTEM_NAMES = (".ds_store", "thumbs.db", "desktop.ini", "autorun.inf", "ehthumbs.db")
SYSTEM_SUFFIXES = (
    ".exe", ".dll", ".inf", ".ini", ".bat", ".cmd", ".msi", ".cab", ".ocx", ".sys", ".lnk",
    ".ico", ".jar", ".class", ".so", ".dylib", ".plist",
)  # fmt: skip


def main() -> None:
    channel, spoken = sys.argv[1:]
    if spoken != version():
        sys.exit("The parent speaks another version.")
    outbox = Outbox(take_stdout())
    orders, descriptors = _orders(int(channel))
    confine(orders.memory, orders.parent)
    reader, sender = Reader(orders, *descriptors), Sender()
    # An archive in the ZIP takes two descriptors: one to write by, one to read.
    files = FILES + 2 * orders.limits.nesting
    lock(write=[reader.tray], largest=orders.limits.member, files=files)
    # What is imported stays, and the fast path makes no cycles: collect seldom.
    gc.freeze()
    gc.set_threshold(50_000)
    for body in _messages(outbox):
        for jobs in together(unpack_jobs(body)):
            if jobs[0].member.size > SMALL:
                outbox.send_down_to(0)  # what precedes it need not wait for it
            for extracted in reader.extract(jobs):
                sender.add(extracted)
                del extracted  # its contours may be as many megabytes again
                if sender.size > SENT_AT_ONCE:  # a ZIP inside may hold any number of members
                    outbox.put(*sender.frame())
                    outbox.send_down_to(UNSENT)
            outbox.put(*sender.frame())
            if outbox.size > SENT_AT_ONCE:
                outbox.send_down_to(UNSENT)
        reader.rest()
        outbox.send_down_to(UNSENT)


def _orders(channel: int) -> tuple[Orders, list[int]]:
    """What to work on, as soon as there is something; and its descriptors."""
    with socket.socket(fileno=channel) as parent:
        orders, descriptors, _, _ = socket.recv_fds(parent, LONGEST_ORDERS, DESCRIPTORS)
    if not orders:
        sys.exit()  # its parent has ended, or does not need it
    return unpack_orders(orders), descriptors


def _messages(outbox: Outbox) -> Iterator[memoryview]:
    """What the parent says, to the end; what it has not taken yet goes out meanwhile."""
    arrived = bytearray()
    while data := _received(outbox):
        arrived += data
        yield from frames(arrived)


def _received(outbox: Outbox) -> bytes:
    outbox.send()
    while outbox.size and not select.select([STDIN], [outbox.pipe], [])[0]:
        outbox.send()
    return os.read(STDIN, RECEIVED)


class Reader:
    """Reads members of one archive into the extractor's own folder."""

    def __init__(self, orders: Orders, archive: int, tray: int, mark: int) -> None:
        self.archive = archive
        self.tray = tray
        self.mark = mmap.mmap(mark, MARK.size)
        self.limits = self.left = orders.limits
        self.taken = 0, 0  # members and bytes; see Job
        self.header_limits = orders.header_limits
        self.assumed_charset = orders.assumed_charset
        self.counter = 0
        self.inflated = 0  # bytes of the last larger member
        self.used = False  # whether it has read a member before
        self.has_others = False  # whether others than the one that it reads left something

    def extract(self, jobs: Sequence[Job]) -> Iterator[Extracted]:
        """What became of members; where one is an archive, first of what is in it."""
        begun = deque(
            Reading(job, self.archive, job.member, itertools.count(), "", self._left(job))
            for job in jobs
        )
        self.has_others = self.used or len(begun) > 1
        yield from self._read(begun)
        self.used = True

    def _left(self, job: Job) -> Limits:
        """What an archive inside may hold, and members may grow by beyond what they declare."""
        if self.taken != (job.members, job.total):
            self.taken = job.members, job.total
            self.left = replace(
                self.limits,
                members=self.limits.members - job.members,
                total=max(self.limits.total - job.total, 0),
            )
        return self.left

    def rest(self) -> None:
        self._sign(NOTHING, 0)

    def _read(self, begun: "deque[Reading]") -> Iterator[Extracted]:
        """Take each step with all of them, before the next one is taken with any."""
        for step in (self._unpack, self._parse, self._keep):
            self._take(step, begun)
        while begun:
            yield from self._told(begun.popleft())

    def _take(self, step: "Callable[[Reading], None]", begun: "Iterable[Reading]") -> None:
        for reading in begun:
            if not reading.reason:
                self._try(step, reading)

    def _try(self, step: "Callable[[Reading], None]", reading: "Reading") -> None:
        self._sign(reading.job.member.index, reading.number)
        try:
            step(reading)
        except Expected as reason:
            reading.reason = reason
        except MemoryError:
            reading.reason = MemberFailed("too_much_memory")
        if reading.reason and reading.reason.code == "too_much_memory" and self.has_others:
            # What other members left may be to blame: a fresh extractor reads it once more.
            os._exit(1)

    def _unpack(self, reading: "Reading") -> None:
        given_up = reading.job.given_up.get(reading.number)
        if given_up:
            raise MemberFailed(given_up)
        self.inflated = 0
        name = staged_name(reading.job.member.index, reading.number)
        try:
            content = self._inflate(reading.source, reading.member, name, reading.limits)
        finally:
            reading.size = max(reading.member.size, self.inflated)
        reading.content, reading.sha256 = content, content.sha256

    def _parse(self, reading: "Reading") -> None:
        assert reading.content
        reading.header = self._header(reading.content)

    def _keep(self, reading: "Reading") -> None:
        """Leave its file, and let go of its bytes."""
        content, reading.content = reading.content, None
        assert content
        if reading.is_known:
            content.drop()
        else:
            content.keep()

    def _told(self, reading: "Reading") -> Iterator[Extracted]:
        """What became of a member that all steps were taken with; then nothing of it is kept."""
        content, reason = reading.content, reading.reason
        if content and isinstance(reason, MemberSkipped) and opens(content.head, reading.name):
            reason = yield from self._inside(reading, content)
        if content and reason and reason.code == "not_dicom":
            reason = no_dicom(content.head)
        if content:
            content.drop()
        if not reading.is_known:
            held = [_extracted(reading, reason)]
            del content, reading
            yield held.pop()

    def _inside(
        self, reading: "Reading", content: "Content"
    ) -> Generator[Extracted, None, Expected]:
        """Read an archive in the archive, and return what to say of that itself."""
        job, limits = reading.job, reading.limits
        if limits.nesting < 1:
            return MemberSkipped("nested_too_deep", limit=self.limits.nesting)
        source = content.open()
        try:
            inner = open_inside(source, content.head, reading.name, limits)
            within = limits.inside(inner.member_count, inner.total_size)
            begun: deque[Reading] = deque()  # nothing else holds what is in it, while it is sent
            for member in inner.members():
                folder = f"{reading.name}/"
                begun.append(Reading(job, source, member, reading.numbers, folder, within))
                yield from self._read(begun)
        except ArchiveRefused as why:
            return MemberFailed("nested_refused", why=why.sentence)
        finally:
            os.close(source)
        return MemberSkipped("nested_archive")

    def _inflate(self, source: int, member: Member, name: str, limits: Limits) -> "Content":
        if member.is_link:
            raise MemberSkipped("link")
        if max(member.size, member.packed_size) <= SMALL and member.method != GZIP:
            try:
                data = member_bytes(source, member, limits)
            except MemberFailed as failure:
                # It may be as large as it declares and a modulus more.
                if not member.modulus or failure.code != "size_mismatch":
                    raise
            else:
                return Content(self.tray, name, hashlib.sha256(data).hexdigest(), data)
        return self._inflate_large(source, member, name, limits)

    def _inflate_large(self, source: int, member: Member, name: str, limits: Limits) -> "Content":
        chunks = member_chunks(source, member, limits)
        head = _at_least(HEAD, chunks)
        if not (
            looks_like_dicom(head) or head.startswith(ZIP_SIGNATURE) or opens(head, member.name)
        ):
            raise no_dicom(head)
        file, digest = _new_file(name, self.tray), hashlib.sha256()
        content = Content(self.tray, name, "", head, file=file)
        try:
            for chunk in itertools.chain([head], chunks):
                _write(file, chunk)
                digest.update(chunk)
                self.inflated += len(chunk)
                self._sign_on()
            content.head = _map_head(name, self.tray, self.header_limits.header)
        except BaseException:
            content.drop()
            raise
        content.truncated = len(content.head) < self.inflated
        content.sha256 = digest.hexdigest()
        return content

    def _header(self, content: "Content") -> Header:
        return read_header(
            content.head,
            limits=self.header_limits,
            assumed_charset=self.assumed_charset,
            truncated=content.truncated,
        )

    def _sign(self, index: int, inner: int) -> None:
        self.counter += 1
        self.mark[:] = MARK.pack(index, inner, self.counter)

    def _sign_on(self) -> None:
        index, inner, _ = MARK.unpack(self.mark)
        self._sign(index, inner)


def together(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Small members in groups, which are read in a third less time than one by one.

    A processor that takes one step with many has that step's code, and guesses its branches.
    """
    group: list[Job] = []
    size = 0
    for job in jobs:
        member = job.member
        may_grow = member.modulus or member.method == GZIP
        weight = TOGETHER + 1 if may_grow else max(member.size, member.packed_size)
        if group and size + weight > TOGETHER:
            yield group
            group, size = [], 0
        group.append(job)
        size += weight
    if group:
        yield group


def _extracted(reading: "Reading", reason: Expected | None) -> Extracted:
    told = reading.job.member.index, reading.number, reading.name, reading.size, reading.sha256
    if reason is None:
        return Extracted(*told, "", "", header=reading.header)
    reason = _system_file(reading.name, reason)
    outcome = _outcome(reason)
    facts = {} if outcome == STOPS_THE_RUN else reason.facts
    return Extracted(*told, outcome, reason.code, facts)


def _outcome(reason: Expected) -> Verdict:
    if isinstance(reason, StorageFailed):
        return STOPS_THE_RUN
    return "skipped" if isinstance(reason, MemberSkipped) else "failed"


@dataclass(slots=True, eq=False)
class Reading:
    """A member on its way: what is to be read, and what has come of that so far."""

    job: Job
    source: int  # a descriptor of the archive that it is in, which a member may be
    member: Member
    numbers: "itertools.count[int]"  # of the job's members, in the order in which they are begun
    folder: str  # what its name begins with: the name of that archive, or nothing
    limits: Limits
    number: int = field(init=False)
    name: str = field(init=False)
    size: int = field(init=False)  # bytes, unpacked
    content: "Content | None" = None
    sha256: str = ""
    header: Header | None = None
    reason: Expected | None = None  # why it is not to be catalogued

    def __post_init__(self) -> None:
        self.number = next(self.numbers)
        self.name = self.folder + self.member.name
        self.size = self.member.size

    @property
    def is_known(self) -> bool:
        """An earlier run catalogued it, or it was reported before."""
        return self.number in self.job.known_inside


@dataclass(slots=True)
class Content:
    """A member's bytes: in memory, or, where they are many, in its file."""

    tray: int
    name: str
    sha256: str
    head: bytes | mmap.mmap  # the whole, or as much as a header may take
    truncated: bool = False
    file: int = NO_FILE  # open for writing

    def keep(self) -> None:
        """Leave it under its name, and let go of it.

        What is whole and checked in memory gets its name at once; only a committed row will
        tell a whole file from one that a crash cut short.
        """
        if self.file != NO_FILE:
            os.close(self.file)
            return
        file = _new_file(self.name, self.tray)
        try:
            _write(file, self.head)
        finally:
            os.close(file)

    def drop(self) -> None:
        """Give back its room; its name stays, which only the parent can take away."""
        if self.file != NO_FILE:
            os.ftruncate(self.file, 0)
            os.close(self.file)

    def open(self) -> int:
        """A descriptor to read it from."""
        if self.file != NO_FILE:
            return os.open(self.name, os.O_RDONLY, dir_fd=self.tray)
        file = os.memfd_create("member")
        _write(file, self.head)
        return file


def _new_file(name: str, folder: int) -> int:
    try:
        return os.open(name, NEW_FILE, 0o640, dir_fd=folder)
    except OSError as error:
        raise disk_failure(error) from error


def _write(file: int, data: bytes | mmap.mmap) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view[:WRITTEN]) :]
    except OSError as error:
        raise disk_failure(error) from error


def _at_least(size: int, chunks: Iterator[bytes]) -> bytes:
    taken = b""
    while len(taken) < size and (chunk := next(chunks, b"")):
        taken += chunk
    return taken


def _map_head(name: str, folder: int, limit: int) -> mmap.mmap:
    file = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return map_file(file, min(os.fstat(file).st_size, limit))
    finally:
        os.close(file)


def _system_file(name: str, result: Expected) -> Expected:
    """Say of junk that it is junk."""
    folder, _, last = name.lower().replace("\\", "/").rpartition("/")
    is_system = (
        last in SYSTEM_NAMES
        or last.startswith("._")
        or last.endswith(SYSTEM_SUFFIXES)
        or any(part in SYSTEM_FOLDERS for part in folder.split("/"))
    )
    if is_system and result.code in ("not_dicom", "empty_file", "other_archive", "gzip_not_dicom"):
        return MemberSkipped("system_file")
    return result


if __name__ == "__main__":
    main()
