"""An extractor that was taken over: it lies about members by the lie that each is named after."""

import os
from collections.abc import Callable
from typing import Any

from msgspec import json, msgpack

from app.sandbox import extractor
from app.sandbox.extractor import Content, Reader, Reading
from app.sandbox.wire import LENGTH, Extracted, Sender

Change = Callable[[list[Any]], object]

# Where a message has what (see `wire._Message`).
INDEX, INNER, NAME, SIZE, SHA256, OUTCOME, REASON, FACTS, LINEAGE, INSTANCE, IMAGE = range(11)
WARNINGS = 12
PATIENT, SERIES, FORMER_IDS = 0, 2, 3  # of a lineage

# What a message can say that is not true, each by what it changes in a true one.
LIES: dict[str, Change] = {
    "a path for a hash": lambda said: said.__setitem__(SHA256, "../../victim"),
    "half a hash": lambda said: said.__setitem__(SHA256, said[SHA256][:16]),
    "no hash": lambda said: said.__setitem__(SHA256, b""),
    "a longer hash": lambda said: said.__setitem__(SHA256, bytes(33)),
    "another's index": lambda said: said.__setitem__(INDEX, said[INDEX] + 1_000),
    "an index that is none": lambda said: said.__setitem__(INDEX, "0"),
    "a negative inner number": lambda said: said.__setitem__(INNER, -1),
    "an endless inner number": lambda said: said.__setitem__(INNER, 2**40),
    "an outcome of its own": lambda said: said.__setitem__(OUTCOME, "imported"),
    "an outcome without a reason": lambda said: said.__setitem__(OUTCOME, "failed"),
    "a reason of its own": lambda said: _end(said, "failed", "because", {}),
    "a reason of another kind": lambda said: _end(said, "failed", "not_dicom", {}),
    "a reason of the disk": lambda said: _end(said, "skipped", "disk_full", {}),
    "a reason for what is stored": lambda said: said.__setitem__(REASON, "not_dicom"),
    "a reason without its facts": lambda said: _end(said, "failed", "uid_missing", {}),
    "a reason with more facts": lambda said: _end(said, "failed", "encrypted", {"code": "x"}),
    "a fact of many words": lambda said: _end(said, "failed", "nested_refused", {"why": "x" * 301}),
    "a fact of two lines": lambda said: _end(said, "failed", "nested_refused", {"why": "a\nb"}),
    "a fact beyond all numbers": lambda said: _end(
        said, "failed", "method_unsupported", {"method": 2**64 - 1}
    ),
    "no lineage": lambda said: said.__setitem__(LINEAGE, None),
    "no instance": lambda said: said.__setitem__(INSTANCE, None),
    "a name that is too long": lambda said: said[LINEAGE][PATIENT].__setitem__(1, "N" * 1_025),
    "a birth date that is none": lambda said: said[LINEAGE][PATIENT].__setitem__(2, "yesterday"),
    "a number beyond its column": lambda said: said[LINEAGE][SERIES].__setitem__(2, 2**63),
    "many earlier IDs": lambda said: said[LINEAGE].__setitem__(FORMER_IDS, ["x"] * 101),
    "a UID that is too long": lambda said: said[INSTANCE].__setitem__(0, "1" * 129),
    "a negative number of rows": lambda said: said[INSTANCE].__setitem__(5, -1),
    "a word for a number": lambda said: said[INSTANCE].__setitem__(4, "one"),
    "a place that is no number": lambda said: said[IMAGE].__setitem__(1, float("nan")),
    "an infinite thickness": lambda said: said[IMAGE].__setitem__(7, float("inf")),
    "three spacings": lambda said: said[IMAGE].__setitem__(8, [1.0, 1.0, 1.0]),
    "planes that are no JSON": lambda said: said[IMAGE].__setitem__(-1, "{"),
    "planes of other frames": lambda said: _lay(said, values=[1.0, 2.0], frames=[0, 1]),
    "planes that nobody knows": lambda said: _lay(said, values=[1.0, 2.0], frames=[0, 1, 2]),
    "two planes for three frames": lambda said: _lay(said, values=[1.0, 2.0]),
    "a plane that is a word": lambda said: _lay(said, values=["thick"]),
    "a warning of its own": lambda said: said[WARNINGS].append(["beware", {}]),
    "a warning without its facts": lambda said: said[WARNINGS].append(["value_unreadable", {}]),
    "many warnings": lambda said: said[WARNINGS].extend([["header_cut", {}]] * 1_001),
    "too little": lambda said: said.__delitem__(slice(3, None)),
}
END = "its end"  # of the extractor, when it reads this
# Bytes that are no message at all.
NOISE = {
    "a frame without end": LENGTH.pack(2**32 - 1) + bytes(10),
    "an empty frame": LENGTH.pack(0),
    "what is no MessagePack": LENGTH.pack(3) + b"\xc1\xc1\xc1",
    "a list without end": LENGTH.pack(5) + b"\xdd\xff\xff\xff\xff",
    "a bottomless list": LENGTH.pack(100_001) + b"\x9e" + b"\x91" * 100_000,
    "text that is none": LENGTH.pack(4) + b"\x93\x00\x00\xa1" + LENGTH.pack(0),
}


def _end(said: list[Any], outcome: str, reason: str, facts: dict[str, Any]) -> None:
    said[OUTCOME], said[REASON], said[FACTS] = outcome, reason, facts


def _lay(said: list[Any], **thickness: list[Any]) -> None:
    planes = json.encode({"count": 3, "slice_thickness": thickness})
    said[IMAGE][-1] = planes.decode()


def lying(message: bytes, lie: str) -> bytes:
    """A true message, with a lie in it."""
    said = msgpack.decode(message)
    LIES[lie](said)
    return msgpack.encode(said)


# --- as a program ----------------------------------------------------------------------------


class LyingSender(Sender):
    noise = b""  # after the next frame

    def add(self, extracted: Extracted) -> None:
        super().add(extracted)
        if extracted.name in NOISE:
            self.noise = NOISE[extracted.name]
            self.messages.pop()
            self.lineage = None  # it was never sent
        elif extracted.name in LIES:
            self.messages[-1] = lying(self.messages[-1], extracted.name)
        self.size = sum(map(len, self.messages))

    def frame(self) -> list[bytes]:
        noise, self.noise = self.noise, b""
        return [*super().frame(), noise]


class LyingReader(Reader):
    """Does not leave a member's file as it says, or ends while it reads one."""

    def _parse(self, reading: Reading) -> None:
        if reading.name == END:
            os._exit(1)
        super()._parse(reading)

    def _keep(self, reading: Reading) -> None:
        if reading.name in FILES and reading.content:
            FILES[reading.name](reading.content)
            reading.content = None
        else:
            super()._keep(reading)


def _leave_half(content: Content) -> None:
    Content(content.tray, content.name, "", content.head[:100]).keep()


def _hold(content: Content) -> None:
    """Keep it open for writing, behind a descriptor that only reads."""
    lower = os.memfd_create("lower")
    file = os.open(content.name, extractor.NEW_FILE, 0o640, dir_fd=content.tray)
    os.write(file, content.head)
    os.close(lower)
    assert os.open(content.name, os.O_RDONLY, dir_fd=content.tray) == lower


FILES: dict[str, Callable[[Content], object]] = {
    "no file": lambda content: None,
    "half a file": _leave_half,
    "a file that it holds": _hold,
}


if __name__ == "__main__":
    extractor.Sender, extractor.Reader = LyingSender, LyingReader
    extractor.main()
