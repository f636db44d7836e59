"""The child that makes pictures: `pictures` starts it, and says what it is asked and answers.

arguments    a socket for questions, with descriptors; the parent; bytes of memory
stdout       one frame of `wire` for each picture

The library of each decoder is loaded when it is first needed, by the locked child.
"""

import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import imagecodecs
import numpy as np
from msgspec import msgpack
from msgspec.structs import replace

from app.dicom.greys import Described
from app.dicom.packing import packed
from app.dicom.pictures import Place
from app.dicom.pixels import Array, Pixels
from app.dicom.shrinking import small_picture
from app.errors import Expected

from .confine import confine, lock, take_stdout
from .pictures import (
    IDLE,
    LONGEST_QUESTION,
    MOST_FILES,
    PROCESSOR_SECONDS,
    PUT_OFF,
    Picture,
    Turn,
    Wish,
)
from .wire import frame as framed

LARGEST_FLOAT = 3.0e38  # of "f4"
QUALITY = 80  # of a JPEG


class Object:
    """An open object."""

    def __init__(self, file: int, transfer_syntax: str) -> None:
        self.pixels = Pixels(file, transfer_syntax)
        self.described = Described(self.pixels)

    def picture(self, number: int, frame: int, step: int) -> Picture:
        values = self.pixels.frame(frame)[::step, ::step]
        values, scale = _as_sent(values)
        lowest, highest = _range(values)
        return Picture(
            number,
            frame,
            self.pixels.frames,
            f"{values.dtype.kind}{values.dtype.itemsize}",  # type: ignore[arg-type]
            values.shape[0],
            values.shape[1],
            step,
            self.pixels.image.rows,
            self.pixels.image.columns,
            lowest,
            highest,
            scale,
            self.described.rendering(frame),
            self.described.place(frame),
            self.described.overlays(frame) if step == 1 else [],
            values=packed(values),
        )

    def small_picture(self, number: int, frame: int, side: int) -> Picture:
        values, scale = _as_sent(self.pixels.frame(frame))
        rendering, overlays = self.described.rendering(frame), self.described.overlays(frame)
        painted = small_picture(values, rendering, scale, overlays, side)
        rows, columns = painted.shape[:2]
        jpeg = bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(painted), level=QUALITY))
        return Picture(number, frame, self.pixels.frames, rows=rows, columns=columns, values=jpeg)


class Objects:
    """The object that was opened last is kept: its next frames need no second look for it."""

    def __init__(self) -> None:
        self.key: tuple[int, ...] = ()
        self.one: Object | None = None
        self.lacked_memory = False

    def pictures(self, number: int, file: int, wish: Wish, turn: Turn) -> Iterator[Picture]:
        for frame in wish.frames:
            if turn.is_over:
                yield Picture(number, frame, why_not=PUT_OFF)
                continue
            try:
                one = self._open(file, wish.transfer_syntax)
                if wish.side:
                    yield one.small_picture(number, frame, wish.side)
                else:
                    yield one.picture(number, frame, wish.step)
            except Expected as why:
                frames = self.one.pixels.frames if self.one else 0
                code = "picture_unread" if _is_of_the_disk(why) else why.code
                yield Picture(number, frame, frames, place=self._place(frame), why_not=code)
            except MemoryError:
                self.lacked_memory = True
                frames = self.one.pixels.frames if self.one else 0
                place = self._place(frame)
                yield Picture(number, frame, frames, place=place, why_not="picture_too_large")

    def _place(self, frame: int) -> Place:
        """Where a frame lies of which there is no picture, as far as that is known."""
        if self.one is None or frame >= self.one.pixels.image.frames:
            return Place()
        with suppress(Expected, MemoryError):
            return self.one.described.place(frame)
        return Place()

    def _open(self, file: int, transfer_syntax: str) -> Object:
        stat = os.fstat(file)
        key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self.one is None or self.key != key:
            self.one, self.key = None, ()
            self.one = Object(file, transfer_syntax)
            self.key = key
        self.one.pixels.file.descriptor = file
        return self.one


def _is_of_the_disk(error: BaseException | None) -> bool:
    """Whether an error comes from reading, not from what was read; pydicom's have no number."""
    while error and not (isinstance(error, OSError) and error.errno):
        error = error.__cause__ or error.__context__
    return error is not None


def _as_sent(values: Array) -> tuple[Array, float]:
    """Values of a type that is sent, and by what they are to be multiplied."""
    if values.dtype.itemsize < 8:
        return np.ascontiguousarray(values), 1.0
    # A page's script has no whole numbers of 64 bit either.
    values = values.astype(np.float64)
    largest = float(np.max(np.abs(values), initial=0, where=np.isfinite(values)))
    scale = largest / LARGEST_FLOAT if largest > LARGEST_FLOAT else 1.0
    return (values / scale).astype(np.float32), scale


def _range(values: Array) -> tuple[float, float]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def serve(channel: socket.socket, answers: IO[bytes]) -> None:
    """Answer questions, until there are no more, or memory is lacking."""
    objects, answered = Objects(), 0
    while True:
        question, files, _, _ = socket.recv_fds(channel, LONGEST_QUESTION, MOST_FILES)
        if not question:
            return
        wishes = msgpack.decode(question, type=list[Wish])
        last, turn = None, Turn()
        for number, (wish, file) in enumerate(zip(wishes, files, strict=True)):
            for picture in objects.pictures(number, file, wish, turn):
                if objects.lacked_memory and answered:
                    return  # what others left may be to blame: a fresh child is asked
                as_before = picture.rendering == last
                last = picture.rendering or last
                answers.write(framed(replace(picture, rendering=None) if as_before else picture))
                answers.flush()
                turn.add(picture)
                answered += 1
                if objects.lacked_memory:
                    return
        for file in files:
            os.close(file)


def main(channel: int, parent: int, memory: int) -> None:
    questions = socket.socket(fileno=channel)
    questions.settimeout(IDLE)
    warnings.simplefilter("ignore")  # pydicom's quote values
    with os.fdopen(take_stdout(), "wb") as answers:
        confine(memory, parent, PROCESSOR_SECONDS)
        lock(receives=True)
        with suppress(TimeoutError):
            serve(questions, answers)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
