"""Pictures of filed objects, made by child processes that stay, and wait for the next question.

A child takes 0.2 s to start, a picture 3 ms: so some children are kept (`Readers`), each of which
answers one question at a time. A question is some frames of some files; with it go descriptors of
these files, and no paths. A child is replaced when it has answered for long, has grown, took too
long over one frame, or ended over it: that frame alone is then named unreadable. What it took is
its own time on a processor, which is the same on a busy machine; by the clock one that hangs ends.

A question has its turn, of so many seconds and bytes: what it has not got by then is put off, and
others are asked before. So frames that are made to be slow, or large, hold up others for one frame,
and no answer grows beyond memory.

Where others use the processor, as an import does, a child rests after each turn, but where somebody
waits for a first picture: what is sent before it is looked at comes slower then. An import beside
ten readers took 2.1 times as long as alone without rests, 1.3 to 1.4 times with them
(`benchmarks/pictures.py`, two cores, 2026-11-29).

What a picture is as it is sent: its stored values, exactly, of `type` and row after row; of a
picture in colour first all its red values, then green, then blue. Before they are deflated

1. of a picture in colour green is subtracted from red and from blue;
2. of each value the one before it is subtracted, of the first nothing;
3. of types of 2 and 4 bytes the difference d of w bits becomes (d << 1) ^ (d >> (w - 1)), so that
   small differences are small numbers, whatever their sign; of "f4" the bits are taken as numbers;
4. first all lowest bytes are written, then all next ones, and so on.

All of this is done in whole numbers of the type's size that wrap. What is deflated has zlib's
header: `DecompressionStream("deflate")` inflates it.

Where a small picture is wished for, its values are a JPEG of greys or colours instead.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta, msgpack
from msgspec.structs import replace

from app import reasons
from app.dicom.pictures import MOST_OVERLAYS, Named, Overlay, Place, Rendering, Type
from app.dicom.records import Count, Record, Text64

from .confine import HANGING_SECONDS, start_program, waited
from .wire import Unbelievable, believed, frames

PROGRAM = "app.sandbox.pixels"
MEMORY = 640 << 20  # bytes of address space; without a picture 130 MB
FRAME_SECONDS = 10.0  # of a processor, that one frame may take
STARTING_SECONDS = 5.0  # more of it, for the first that a child is asked
PROCESSOR_SECONDS = 900  # of a child, in all
MOST_ANSWERS = 2_000  # after which a child is replaced,
MOST_AGE = 900.0  # or after so many seconds,
LARGEST = 320 << 20  # or when it has so many bytes of memory
IDLE = 300.0  # seconds after which a child that nobody asks ends
PATIENCE = 3.0  # seconds for a child that others use
MOST_FILES = 32  # of one question
LONGEST_QUESTION = 1 << 16  # bytes
LONGEST_ANSWER = 80 << 20
READ_BYTES = 1 << 20
TURN_SECONDS = 2.0  # after which a question gets no more pictures in its turn,
TURN_BYTES = 4 << 20  # or after so many bytes of them
RESTS = 3.0  # times as long as a child waited for the processor in a turn it rests after that,
MOST_REST = 1.0  # but no more than so many seconds
PUT_OFF = "put_off"  # instead of a reason: not in this turn
REASONS = {"", PUT_OFF, *reasons.PICTURES, *reasons.LOOKING}
# Reasons that may not hold a moment later: all others lie in the object.
PASSING = {"object_gone", "picture_unread", "picture_took_long", "picture_not_made"}
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # in a second


class Wish(Record, frozen=True):
    """Frames of one file."""

    transfer_syntax: str  # as catalogued, for a file that does not say it
    frames: list[int]  # from 0
    step: int  # every so many rows and columns
    side: int = 0  # a JPEG is wished for, of at most so many rows and columns; 0: stored values


class Picture(Named, frozen=True):
    """One frame; `why_not` says why there is no picture of it."""

    file: Count  # of the question's
    frame: Count
    frames: Count = 0  # that the object has; 0 where that is not known
    type: Type = "u1"
    rows: Count = 0  # as sent: of the object's, every `step`
    columns: Count = 0
    step: Count = 1
    whole_rows: Count = 0  # of the object
    whole_columns: Count = 0
    lowest: float = 0.0  # of the stored values; of those that are finite
    highest: float = 0.0
    scale: float = 1.0  # by which values of "f4" are multiplied
    rendering: Rendering | None = None  # None: as the one before in this answer
    place: Place = Place()
    overlays: Annotated[list[Overlay], Meta(max_length=MOST_OVERLAYS)] = []
    why_not: Text64 = ""
    values: bytes = b""  # filtered and deflated, or a JPEG

    @property
    def weight(self) -> int:
        """Bytes, nearly."""
        return len(self.values) + sum(len(one.bits) for one in self.overlays)


class Turn:
    """How much of its turn a question has used."""

    def __init__(self) -> None:
        self.begun, self.bytes, self.count = time.monotonic(), 0, 0

    def add(self, picture: Picture) -> None:
        self.bytes += picture.weight
        self.count += 1

    @property
    def is_full(self) -> bool:
        """Whether it has had so many bytes."""
        return self.bytes > TURN_BYTES

    @property
    def is_over(self) -> bool:
        """Whether the next picture is put off; the first never is."""
        is_late = time.monotonic() - self.begun > TURN_SECONDS
        return self.count > 0 and (self.is_full or is_late)


class Busy(Exception):
    """All children are in use."""


_picture = msgpack.Decoder(Picture).decode


class Turns:
    """So many at once; of those that wait who came first, but that some go ahead of the others.

    A semaphore lets whoever gives back take again at once, and a run of slices does.
    """

    def __init__(self, most: int) -> None:
        self.left = most
        self.resting = 0  # that nobody may take yet, but who goes ahead
        self.waiting: deque[threading.Event] = deque()
        self.ahead: deque[threading.Event] = deque()
        self.lock = threading.Lock()

    def take(self, seconds: float, ahead: bool) -> bool:
        """Whether it is one's turn in time."""
        mine, queue = threading.Event(), self.ahead if ahead else self.waiting
        with self.lock:
            if self.left:
                self.left -= 1
                return True
            if ahead and self.resting:
                self.resting -= 1
                return True
            queue.append(mine)
        if mine.wait(seconds):
            return True
        with self.lock:
            if not mine.is_set():
                queue.remove(mine)
            return mine.is_set()

    def give_back(self, rest: float = 0.0) -> None:
        """Let the next have a turn: after so many seconds, unless it goes ahead."""
        with self.lock:
            if self.ahead or not rest:
                self._pass_on()
                return
            self.resting += 1
        timer = threading.Timer(rest, self._has_rested)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no thread more may be started
            self._has_rested()

    def _has_rested(self) -> None:
        with self.lock:
            if self.resting:  # nobody went ahead meanwhile
                self.resting -= 1
                self._pass_on()

    def _pass_on(self) -> None:
        if queue := self.ahead or self.waiting:
            queue.popleft().set()
        else:
            self.left += 1


class Readers:
    """Children that make pictures; threads share them.

    Parameters
    ----------
    most
        How many there are at once.
    """

    def __init__(self, most: int, seconds: float = FRAME_SECONDS, memory: int = MEMORY) -> None:
        self.seconds, self.memory = seconds, memory
        self.turns = Turns(most)
        self.idle: list[Reader] = []
        # A child ends with the thread that has started it, and those of a server may end early.
        self.starter = ThreadPoolExecutor(1)

    def ask(
        self,
        wishes: Sequence[Wish],
        files: Sequence[int],
        patience: float = PATIENCE,
        ahead: bool = False,
        seconds: float | None = None,
    ) -> list[Picture]:
        """A picture for each frame that is wished for, in order, as many as its turn has room for.

        Parameters
        ----------
        files
            Descriptors, one for each wish.
        patience
            Seconds to wait for a child.
        ahead
            Whether before others that wait: somebody sees nothing yet.
        seconds
            Of a processor that each frame may take, where that is less than others may.

        Raises
        ------
        Busy
        """
        wanted = [(file, frame) for file, wish in enumerate(wishes) for frame in wish.frames]
        found: list[Picture] = []
        with self._one(patience, ahead) as place:
            end = time.monotonic() + TURN_SECONDS
            while len(found) < len(wanted) and not (found and time.monotonic() > end):
                file, frame = wanted[len(found)]
                rest, descriptors = _rest(wishes, files, file, frame)
                is_fresh = not place.is_warm
                reader = place.reader()
                more, was_late = reader.answers(rest, descriptors, file, seconds or self.seconds)
                found += more
                if reader.is_there:
                    break  # all are made, or the others are put off
                if len(found) < len(wanted) and (was_late or (is_fresh and not more)):
                    code = "picture_took_long" if was_late else "picture_not_made"
                    file, frame = wanted[len(found)]
                    found.append(Picture(file, frame, why_not=code))
        return found

    def close(self) -> None:
        """End all children that nobody uses."""
        while self.idle:
            self.idle.pop().end()

    @contextmanager
    def _one(self, patience: float, ahead: bool = False) -> Iterator["_Lease"]:
        if not self.turns.take(patience, ahead):
            raise Busy
        lease = _Lease(self)
        try:
            yield lease
        finally:
            self.turns.give_back(lease.give_back())


class _Lease:
    """The right to one child: which may be another after one has ended."""

    def __init__(self, readers: Readers) -> None:
        self.readers = readers
        self.one: Reader | None = None

    @property
    def is_warm(self) -> bool:
        """Whether the next question goes to a child that has answered before."""
        self.one = self.one or self._idle()
        return self.one is not None and self.one.is_there and self.one.answered > 0

    def reader(self) -> "Reader":
        if self.one is None or not self.one.is_there:
            start = self.readers.starter.submit(Reader, self.readers.memory)
            self.one = start.result()
        return self.one

    def give_back(self) -> float:
        """Seconds that the child is to rest."""
        if self.one is None or not self.one.is_there:
            return 0.0
        if self.one.is_worn:
            self.one.end()
        else:
            self.readers.idle.append(self.one)
        return self.one.rest

    def _idle(self) -> "Reader | None":
        with suppress(IndexError):
            while True:
                one = self.readers.idle.pop()
                if one.child.poll() is None:
                    return one
                one.end()
        return None


class Reader:
    """One child."""

    def __init__(self, memory: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self.child = start_program(
                PROGRAM, [number], str(number), str(os.getpid()), str(memory)
            )
        self.channel = ours
        self.started, self.answered = time.monotonic(), 0
        self.is_there = True
        self.rest = 0.0  # seconds, after its last turn

    @property
    def is_worn(self) -> bool:
        """Whether it has answered enough, for long enough, or has grown."""
        age = time.monotonic() - self.started
        return self.answered >= MOST_ANSWERS or age > MOST_AGE or self._memory() > LARGEST

    def answers(
        self, wishes: Sequence[Wish], files: Sequence[int], first: int, seconds: float
    ) -> tuple[list[Picture], bool]:
        """What it answers, and whether it took too long.

        Where that is not all, the rest is put off, or it has ended.

        Parameters
        ----------
        first
            The number of the first file in the whole question.
        """
        wanted = [(file, frame) for file, wish in enumerate(wishes) for frame in wish.frames]
        found: list[Picture] = []
        turn, put_off = Turn(), 0
        before = waited(self.child.pid)
        try:
            socket.send_fds(self.channel, [msgpack.encode(list(wishes))], [*files])
            for picture in self._pictures(seconds):
                if (picture.file, picture.frame) != wanted[len(found) + put_off]:
                    raise Unbelievable
                if picture.why_not == PUT_OFF:
                    put_off += 1
                elif put_off or turn.is_full:
                    raise Unbelievable
                else:
                    turn.add(picture)
                    found.append(_of_file(picture, picture.file + first))
                    self.answered += 1
                if put_off and not found:
                    raise Unbelievable
                if len(found) + put_off == len(wanted):
                    self.rest = min(RESTS * (waited(self.child.pid) - before), MOST_REST)
                    return found, False
        except TimeoutError:
            self.end()
            return found, True
        except (OSError, Unbelievable):
            pass
        except BaseException:
            self.end()  # what it has not answered would be taken for its next answers
            raise
        self.end()
        return found, False

    def end(self) -> None:
        self.is_there = False
        self.channel.close()
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            assert pipe
            pipe.close()

    def _pictures(self, seconds: float) -> Iterator[Picture]:
        """The answers as they come, until the child ends.

        Raises
        ------
        TimeoutError
            One does not come in time.
        """
        assert self.child.stdout
        pipe, arrived = self.child.stdout.fileno(), bytearray()
        poll = select.poll()  # `select.select` takes no descriptor over 1023
        poll.register(pipe, select.POLLIN)
        most = self.worked() + seconds + (0 if self.answered else STARTING_SECONDS)
        until = time.monotonic() + HANGING_SECONDS
        # With which, and by which, the last that is not put off is to be there.
        most_of_all, end = most + TURN_SECONDS, until + TURN_SECONDS
        while True:
            left = min(most - self.worked(), until - time.monotonic())
            if left <= 0:
                raise TimeoutError
            if not poll.poll(1000 * left):
                continue  # by the clock it may be long before it has had as much of the processor
            data = os.read(pipe, READ_BYTES)
            if not data:
                return
            arrived += data
            for body in frames(arrived, LONGEST_ANSWER):
                picture = believed(_picture, body)
                if picture.why_not not in REASONS:
                    raise Unbelievable
                yield picture
                most = min(self.worked() + seconds, most_of_all)
                until = min(time.monotonic() + HANGING_SECONDS, end)

    def worked(self) -> float:
        """Seconds of a processor, in all, that it has had."""
        status = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(status[11]) + int(status[12])) / TICKS  # its own, and the system's for it

    def _memory(self) -> int:
        """Bytes that it has now."""
        try:
            return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * PAGE
        except OSError:  # it has ended
            return 0


def _rest(
    wishes: Sequence[Wish], files: Sequence[int], file: int, frame: int
) -> tuple[list[Wish], list[int]]:
    """What is wished for from a frame on."""
    first = wishes[file]
    left = first.frames[first.frames.index(frame) :]
    rest = [replace(first, frames=left), *wishes[file + 1 :]]
    return rest, [*files[file:]]


def _of_file(picture: Picture, number: int) -> Picture:
    return picture if picture.file == number else replace(picture, file=number)
