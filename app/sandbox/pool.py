"""The extractors of one run, seen from their parent: jobs out, results back in directory order.

The order makes the catalogue independent of which extractor was faster. A member whose
extractor died or hung is read once more, alone, by a fresh one; if that ends too, the member
fails. So killing an extractor from outside changes nothing.

An extractor may have been taken over by what it reads. What it says is checked, and one that says
what cannot be true is ended as if it had died. It leaves its files in a folder of its own, its
tray, and can open none of them again for writing (see `seccomp`): once it has let go of a file,
which `seal` sees to, it cannot alter it.
"""

import fcntl
import itertools
import logging
import mmap
import os
import selectors
import stat
import subprocess
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import IO

from app.archives.directory import Archive, Limits, Member
from app.dicom.headers import HeaderLimits
from app.errors import StorageFailed, disk_failure
from app.storage.staging import Staging

from . import ahead
from .confine import waited
from .extractor import MARK, NOTHING
from .wire import (
    STOPS_THE_RUN,
    Extracted,
    Job,
    Orders,
    Outbox,
    Receiver,
    Unbelievable,
    frame,
)

CHUNK_MEMBERS, CHUNK_BYTES = 32, 4_000_000  # of jobs that are sent at once
# What an extractor has to do while its parent syncs and commits.
AHEAD_MEMBERS, AHEAD_BYTES = 768, 128_000_000
PIPE_BYTES = 1 << 20  # the most that Linux gives an ordinary user
WINDOW = 4_096  # members that may be on their way
HELD_BYTES = 16_000_000  # results that may wait for an earlier member
READ_BYTES = 1 << 20
TICK = 0.5  # seconds
BYTES_PER_SECOND = 5_000_000  # a member may take a second more for each of these
DEATHS = 2  # after which a member is given up
IDLE_DEATHS = 20  # extractors in a row that end before they read anything
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

logger = logging.getLogger(__name__)


class ExtractorsFail(RuntimeError):
    """Extractors end before they read anything: the installation is broken."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How extractors are run: see the settings of the same names."""

    extractors: int
    member_seconds: float
    limits: Limits
    header_limits: HeaderLimits
    assumed_charset: str
    memory: int = 384_000_000  # bytes of address space for each


def new_mark() -> int:
    """A descriptor of the memory that an extractor shares with its parent.

    It is sealed: cut, it would end a parent that looks there.
    """
    mark = os.memfd_create("mark", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(mark, MARK.size)
    fcntl.fcntl(mark, fcntl.F_ADD_SEALS, SEALS)
    return mark


@dataclass(slots=True)
class Child:
    process: "subprocess.Popen[bytes]"
    mark: mmap.mmap
    outbox: Outbox
    receiver: Receiver
    jobs: dict[int, Member]  # sent and unanswered, in order
    last_mark: bytes = b""
    job_bytes: int = 0  # of all jobs
    silent: float = 0.0  # seconds without a sign
    waited: float = 0.0  # for others, in all, when it had been silent for too long
    alone: bool = False  # it reads one suspect, and gets nothing else meanwhile

    @property
    def reading(self) -> tuple[int, int]:
        """Index and inner number of the member it is at, as it says."""
        index, inner, _ = MARK.unpack(self.mark)
        return index, inner

    @property
    def wants_jobs(self) -> bool:
        return len(self.jobs) <= AHEAD_MEMBERS and self.job_bytes <= AHEAD_BYTES

    def finish(self, index: int) -> int:
        """A member is answered; the bytes, unpacked, that it declares."""
        member = self.jobs.pop(index)
        self.job_bytes -= _weight(member)
        self.alone = False
        return member.size

    def show_sign(self) -> None:
        self.last_mark, self.silent = bytes(self.mark), 0.0

    def writes_to(self, staged: set[str]) -> bool:
        """Whether it has one of these files of its tray open for writing."""
        process = Path(f"/proc/{self.process.pid}")
        with suppress(OSError):  # it has died: then it has nothing open
            for descriptor in list((process / "fd").iterdir()):
                with suppress(FileNotFoundError):  # closed meanwhile; it cannot have moved
                    if f"{self.receiver.tray}/{descriptor.readlink().name}" in staged:
                        lines = (process / "fdinfo" / descriptor.name).read_text()
                        flags = int(lines.partition("flags:")[2].split()[0], 8)
                        if flags & os.O_ACCMODE != os.O_RDONLY:
                            return True
        return False

    def is_on_disk(self) -> bool:
        """It waits for the disk, in a sleep that cannot be interrupted: slow, not hung."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_bytes()
        except FileNotFoundError:
            return False
        return status.rpartition(b")")[2].split()[0] == b"D"


class Pool:
    """Extractors for one archive.

    Where code of another version was installed since this process was started, entering it and
    its results raise OtherVersion.

    Parameters
    ----------
    archive
        A descriptor of the archive.
    """

    def __init__(self, archive: int, staging: Staging, settings: PoolSettings) -> None:
        self.archive, self.staging, self.settings = archive, staging, settings
        self.trays = itertools.count()
        self.known_inside: defaultdict[int, set[int]] = defaultdict(set)
        self.given_up: defaultdict[int, dict[int, str]] = defaultdict(dict)
        self.deaths: Counter[tuple[int, int]] = Counter()
        self.idle_deaths = 0
        self.members = self.total = 0  # in the archive and in ZIPs inside; bytes, unpacked
        self.order: deque[int] = deque()  # indexes that were sent, not yet handed on
        self.arrived: defaultdict[int, list[Extracted]] = defaultdict(list)
        self.held = 0  # bytes in arrived
        self.again: deque[Member] = deque()  # to be sent once more
        self.suspects: deque[Member] = deque()  # to be sent once more, alone
        self.selector = selectors.DefaultSelector()
        self.children: list[Child] = []
        self.wanted = settings.extractors  # of children that get jobs

    def __enter__(self) -> "Pool":
        self._fill()
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self.children:
            child.process.kill()
        for child in self.children:
            self._part_with(child)
        self.selector.close()

    def resize(self, extractors: int) -> None:
        """Have so many extractors from the next jobs on; one too many ends without any."""
        self.wanted = extractors

    def results(
        self, archive: Archive, members: Iterable[Member], known_inside: dict[int, set[int]]
    ) -> Iterator[list[Extracted]]:
        """What became of these members of an archive, in their order, as it arrives.

        Yields an empty list at least every `TICK` while nothing does, so that the caller can look
        up.

        Parameters
        ----------
        known_inside
            By index of a ZIP inside: the inner numbers that an earlier run catalogued.

        Raises
        ------
        StorageFailed
            An extractor could not read or write the disk.
        """
        self.members, self.total = archive.member_count, archive.total_size
        self.known_inside.update(known_inside)
        source = iter(members)
        while True:
            self._feed(source)
            if not self.order:
                return
            self._listen()
            yield self._in_order()

    def seal(self, members: Iterable[Extracted]) -> None:
        """See that no extractor can alter what these have staged: who still could is ended."""
        staged = {extracted.staged for extracted in members if extracted.header}
        for child in list(self.children):
            if child.writes_to(staged):
                self._replace(child, "answer_impossible")

    def _fill(self) -> None:
        while len(self.children) < self.wanted:
            self.children.append(self._spawn())

    def _let_go(self) -> None:
        """End extractors that are too many, once they have read what they were sent."""
        for child in self.children[self.wanted :]:
            if not child.jobs:
                child.process.kill()
                self.children.remove(child)
                self._part_with(child)

    def _feed(self, source: Iterator[Member]) -> None:
        """Give out jobs in turn: what is due next is then read by all of them at once.

        Were one given all that it may have before the next is, as much would arrive of what has to
        wait for the other.
        """
        self._fill()
        self._let_go()
        asked = deque(child for child in self.children[: self.wanted] if not child.alone)
        while asked:
            child = asked.popleft()
            if self.suspects:
                if not child.jobs:
                    self._send(child, [self.suspects.popleft()], alone=True)
            elif child.wants_jobs and (chunk := self._chunk(source)):
                self._send(child, chunk)
                asked.append(child)

    def _chunk(self, source: Iterator[Member]) -> list[Member]:
        chunk: list[Member] = []
        size = 0
        while len(chunk) < CHUNK_MEMBERS and size < CHUNK_BYTES:
            member = self._next(source)
            if member is None:
                break
            chunk.append(member)
            size += _weight(member)
        return chunk

    def _next(self, source: Iterator[Member]) -> Member | None:
        if self.again:
            return self.again.popleft()
        if len(self.order) >= WINDOW or self.held >= HELD_BYTES:
            return None
        member = next(source, None)
        if member:
            self.order.append(member.index)
        return member

    def _send(self, child: Child, chunk: list[Member], alone: bool = False) -> None:
        jobs = list(map(self._job, chunk))
        child.jobs.update((member.index, member) for member in chunk)
        child.job_bytes += sum(map(_weight, chunk))
        child.alone = alone
        child.show_sign()
        # Where it died, its end is seen, and its jobs sent again, when it is listened to.
        child.outbox.put(frame(jobs))
        child.outbox.send()

    def _job(self, member: Member) -> Job:
        known, given_up = self.known_inside.get(member.index), self.given_up.get(member.index)
        return Job(member, sorted(known or ()), given_up or {}, self.members, self.total)

    def _listen(self) -> None:
        """Take what the extractors say, waiting up to a tick for the first of it."""
        listened = [child for child in self.children if self._wants(child)]
        for child in self.children:
            self._watch(child.process.stdout, child, child in listened)
            self._watch(child.process.stdin, child, bool(child.outbox.size), EVENT_WRITE)
        started = time.monotonic()
        events = self.selector.select(TICK)
        elapsed = time.monotonic() - started
        ready = [key.data for key, event in events if event == EVENT_READ]
        for key, event in events:
            if event == EVENT_WRITE:
                key.data.outbox.send()
        for child in ready:
            self._read(child)
        for child in listened:
            if child in self.children and child not in ready:
                self._check_sign(child, elapsed)

    def _wants(self, child: Child) -> bool:
        """While too much waits, only the extractor that has the next member may speak."""
        arriving = sum(len(other.receiver.buffer) for other in self.children)
        return self.held + arriving < 2 * HELD_BYTES or self.order[0] in child.jobs

    def _read(self, child: Child) -> None:
        assert child.process.stdout
        data = os.read(child.process.stdout.fileno(), READ_BYTES)
        if not data:
            self._replace(child, "reader_crashed")
            return
        child.show_sign()
        child.receiver.buffer += data
        if not self._take(child):
            self._replace(child, "answer_impossible")

    def _take(self, child: Child) -> bool:
        """Take what has arrived; False where something of it cannot be true."""
        try:
            for extracted in child.receiver.members():
                self._take_one(child, extracted)
        except Unbelievable:
            child.receiver.buffer = bytearray()
            return False
        return True

    def _take_one(self, child: Child, extracted: Extracted) -> None:
        if extracted.outcome == STOPS_THE_RUN:
            raise StorageFailed(extracted.reason)
        if extracted.header and not self._is_staged(extracted):
            raise Unbelievable
        if extracted.inner:
            known = self.known_inside[extracted.index]
            if extracted.inner in known or extracted.inner > self.settings.limits.members:
                raise Unbelievable
            known.add(extracted.inner)
            self.members += 1
            self.total += extracted.size
        else:
            # Where the declared size is not exact, it may have become more.
            self.total += max(extracted.size - child.finish(extracted.index), 0)
        self.idle_deaths = 0
        self.arrived[extracted.index].append(extracted)
        self.held += extracted.weight

    def _is_staged(self, extracted: Extracted) -> bool:
        """Whether a member's file is there, and whole: then it was made before it is sealed."""
        try:
            status = os.stat(extracted.staged, dir_fd=self.staging.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_failure(error) from error
        return stat.S_ISREG(status.st_mode) and status.st_size == extracted.size

    def _in_order(self) -> list[Extracted]:
        """What is due of what has arrived."""
        due: list[Extracted] = []
        while self.order and (arrived := self.arrived.pop(self.order[0], None)):
            due += arrived
            if due[-1].inner:
                break  # more of what is in it is to come
            self.known_inside.pop(self.order.popleft(), None)
        self.held -= sum(extracted.weight for extracted in due)
        return due

    def _check_sign(self, child: Child, elapsed: float) -> None:
        if bytes(child.mark) != child.last_mark or not child.jobs or child.is_on_disk():
            child.show_sign()
            return
        child.silent += elapsed
        member = child.jobs.get(child.reading[0])
        size = member.size if member else 0
        most = self.settings.member_seconds + size / BYTES_PER_SECOND
        if child.silent > most:
            before, child.waited = child.waited, waited(child.process.pid)
            child.silent -= min(child.waited - before, child.silent)
            if child.silent > most:
                self._replace(child, "reader_hung")

    def _replace(self, child: Child, code: str) -> None:
        """Bury an extractor, see to its jobs, and start a fresh one."""
        if code == "answer_impossible":
            logger.warning("An extractor is ended: what it says or does is none of its business")
        child.process.kill()
        self._take(child)
        index, inner = child.reading
        if code == "answer_impossible":
            # The answer to its first job was due; what it reads by now may be another.
            first = next(iter(child.jobs), NOTHING)
            index, inner = first, inner if first == index else 0
        self.children.remove(child)
        self._part_with(child)
        self._clear_tray(child)
        culprit = child.jobs.pop(index, None)
        if culprit:
            self._suspect(culprit, self._plausible(index, inner), code)
        else:
            self._count_idle_death()
        self.again.extendleft(reversed(child.jobs.values()))
        self._fill()

    def _clear_tray(self, child: Child) -> None:
        """Delete what a dead extractor has staged of the members that will be read once more."""
        for (index, inner), name in self.staging.staged_in(child.receiver.tray):
            if index in child.jobs and inner not in self.known_inside.get(index, ()):
                self.staging.discard(name)

    def _plausible(self, index: int, inner: int) -> int:
        """The number of a member inside that may be read next, which is not much beyond the last.

        One that dies again and again must not seem to die of another member each time.
        """
        known = max(self.known_inside.get(index, ()), default=0)
        return inner if 0 <= inner <= known + self.settings.limits.nesting + 1 else 0

    def _suspect(self, member: Member, inner: int, code: str) -> None:
        """Have a member read once more, without what in it has ended two extractors.

        Where even that ends one, nothing more is asked of it.
        """
        self.deaths[member.index, inner] += 1
        if self.deaths[member.index, inner] > DEATHS:
            failed = Extracted(member.index, 0, member.name, member.size, "", "failed", code)
            self.arrived[member.index].append(failed)
            self.held += failed.weight
            return
        if self.deaths[member.index, inner] == DEATHS:
            self.given_up[member.index][inner] = code
        self.suspects.append(member)

    def _count_idle_death(self) -> None:
        self.idle_deaths += 1
        if self.idle_deaths >= IDLE_DEATHS:
            raise ExtractorsFail

    def _spawn(self) -> Child:
        number = next(self.trays)
        with ExitStack() as opened:
            tray = self.staging.open_tray(number)
            opened.callback(os.close, tray)
            mark_fd = new_mark()
            opened.callback(os.close, mark_fd)
            mark = mmap.mmap(mark_fd, MARK.size)
            mark[:] = MARK.pack(NOTHING, 0, 0)
            # Behind all that may fail: nobody would end it.
            begun = ahead.take()
            begun.give(self._orders(), (self.archive, tray, mark_fd))
        process = begun.process
        assert process.stdin
        assert process.stdout
        with suppress(PermissionError):  # a user has only so much memory for pipes
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        jobs: dict[int, Member] = {}
        # What is sent is packed from what is read: both are in its memory then.
        receiver = Receiver(number, jobs, longest=self.settings.memory // 2)
        child = Child(process, mark, Outbox(process.stdin.fileno()), receiver, jobs)
        child.show_sign()
        return child

    def _orders(self) -> Orders:
        return Orders(
            parent=os.getpid(),
            memory=self.settings.memory,
            limits=self.settings.limits,
            header_limits=self.settings.header_limits,
            assumed_charset=self.settings.assumed_charset,
        )

    def _watch(
        self, pipe: IO[bytes] | None, child: Child, wanted: bool, event: int = EVENT_READ
    ) -> None:
        assert pipe
        watched = pipe in self.selector.get_map()
        if wanted and not watched:
            self.selector.register(pipe, event, child)
        elif watched and not wanted:
            self.selector.unregister(pipe)

    def _part_with(self, child: Child) -> None:
        child.process.wait()
        for pipe in (child.process.stdin, child.process.stdout):
            assert pipe
            self._watch(pipe, child, wanted=False)
            pipe.close()
        child.mark.close()


def _weight(member: Member) -> int:
    """What reading a member takes: its bytes, packed or unpacked, whichever are more."""
    return max(member.size, member.packed_size)
