"""The fuzzer: DICOM files and ZIPs with damage done to them, and what must hold of each.

The long form, 100,000 files and 10,000 ZIPs, is
`python3 run.py test -m crash tests/journeys/test_fuzz.py`.
"""

import os
import random
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom

from app.archives.directory import Limits, open_archive
from app.dicom.headers import HeaderLimits
from app.dicom.records import Header
from app.errors import ArchiveRefused
from app.reasons import sentence
from app.sandbox.extractor import MARK, STOPS_THE_RUN, Reader
from app.sandbox.wire import Extracted, Job, Orders, staged_name

from . import hostile, objects
from .pace import within

LIMITS = Limits()
SECONDS = 1.0  # of processor time that one input may take
PYDICOM_DATA = Path(pydicom.__file__).parent / "data"
LARGEST = 20_000  # bytes of a real file that is altered
MAKERS: tuple[Callable[..., bytes], ...] = (
    objects.ct_image,
    objects.pet_image,
    objects.structured_report,
    objects.enhanced_ct,
    objects.rt_structure_set,
)
# The ways of writing that the scanner itself reads.
SCANNED: tuple[dict[str, Any], ...] = (
    {},
    {"undefined_lengths": True},
    {"transfer_syntax": objects.IMPLICIT},
    {"transfer_syntax": objects.IMPLICIT, "undefined_lengths": True},
    {"transfer_syntax": None},
    {"prefix": False},
    {"prefix": False, "transfer_syntax": objects.IMPLICIT},
    {"transfer_syntax": objects.BIG_ENDIAN},
    {"transfer_syntax": objects.BIG_ENDIAN, "undefined_lengths": True},
)
WAYS = (
    *SCANNED,
    {"transfer_syntax": objects.DEFLATED},
    objects.LEFT_TO_PYDICOM,
)
ARCHIVES = (
    "packed_in_every_way", "zip64_behind_a_program", "sizes_behind_the_data",
    "names_in_a_unicode_extra_field", "zip_in_the_zip", "stored", "directories",
)  # fmt: skip
UIDS = (0x0020000D, 0x0020000E, 0x00080018)  # of study, series and SOP instance


# --- inputs ----------------------------------------------------------------------------------


def damaged_objects(count: int, seed: int, ways: tuple[dict[str, Any], ...]) -> Iterator[bytes]:
    """Made files with damage done to them."""
    chance = random.Random(seed)
    originals = [make(**way) for make in MAKERS for way in ways]
    for _ in range(count):
        yield damaged(chance.choice(originals), chance)


def damaged_files(count: int, seed: int) -> Iterator[bytes]:
    """Files with damage done to them: three of four made, each with a UID of its own, one real."""
    chance = random.Random(seed)
    real = list(real_files())
    for number in range(count):
        make, way = chance.choice(MAKERS), chance.choice(WAYS)
        made = make(**way, SOPInstanceUID=objects.uid(seed, number))
        yield damaged(chance.choice((made, made, made, chance.choice(real))), chance)


def real_files() -> Iterator[bytes]:
    for path in sorted(PYDICOM_DATA.rglob("*.dcm")):
        if 200 < path.stat().st_size < LARGEST:
            yield path.read_bytes()


def damaged_archives(count: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    originals = [hostile.build(name).data for name in ARCHIVES]
    for _ in range(count):
        yield damaged_archive(chance.choice(originals), chance)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A DICOM file's bytes with one to three kinds of damage done to them."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        chance.choice((flip, flip, lie, lie, cut, remove, insert, repeat))(changed, chance)
        if len(changed) < 200:
            break
    return bytes(changed)


def flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(132, len(data))] = chance.randrange(256)


def lie(data: bytearray, chance: random.Random) -> None:
    """Put a plausible length or tag over two or four bytes."""
    position = chance.randrange(132, len(data) - 4)
    lies = (
        b"\xff\xff\xff\xff",
        b"\0\0",
        b"\xff\xff",
        b"\x08\0\0\0",
        b"SQ",
        b"UN",
        b"OB",
        b"\xfe\xff",
    )
    lies += (b"\x0d\xe0", b"\xdd\xe0", b"\x00\xe0", b"\x18\0", b"\x04\0", b"LO", b"US", b"\\")
    put = chance.choice(lies)
    data[position : position + len(put)] = put


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(132, len(data)) :]


def remove(data: bytearray, chance: random.Random) -> None:
    position = chance.randrange(132, len(data))
    del data[position : position + chance.randint(1, 16)]


def insert(data: bytearray, chance: random.Random) -> None:
    position = chance.randrange(132, len(data))
    data[position:position] = chance.randbytes(chance.randint(1, 12))


def repeat(data: bytearray, chance: random.Random) -> None:
    """Copy a piece to another place."""
    start = chance.randrange(132, len(data))
    piece = data[start : start + chance.randint(4, 60)]
    position = chance.randrange(132, len(data))
    data[position:position] = piece


def damaged_archive(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(changed))
        kind = chance.randrange(5)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"PK\5\6"))
        elif kind == 2:
            del changed[at : at + chance.randrange(1, 60)]
        elif kind == 3:
            changed[at:at] = changed[at : at + chance.randrange(1, 60)]
        else:
            # The directory and the end record, where one byte matters most.
            at = len(changed) - 1 - chance.randrange(min(400, len(changed)))
            changed[at] = chance.randrange(256)
        if not changed:
            break
    return bytes(changed)


# --- what must hold --------------------------------------------------------------------------


class Bench:
    """The extractor's own reader, in this process, so that nothing it raises is lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "0"  # its tray
        self.folder.mkdir()
        self.tray = os.open(self.folder, os.O_RDONLY)
        self.mark = os.memfd_create("mark")
        os.truncate(self.mark, MARK.size)
        self.stored = 0
        self.slowest = 0.0  # seconds of processor time

    def close(self) -> None:
        os.close(self.tray)
        os.close(self.mark)

    def check_file(self, data: bytes) -> None:
        """Read a DICOM file as the one member of an archive."""
        self.check_archive(hostile.Builder("fuzz").file("x", data, method=hostile.STORED).finish())

    def check_archive(self, data: bytes) -> None:
        """Read all members of an archive; AssertionError where what must hold does not."""
        begun = time.process_time()
        told = within(SECONDS, lambda: self._told(data))
        self.slowest = max(self.slowest, time.process_time() - begun)
        for extracted in told:
            self._check(extracted)
        for left in self.folder.iterdir():  # a name without bytes, which its parent takes away
            assert not left.stat().st_size
            left.unlink()

    def _told(self, data: bytes) -> list[Extracted]:
        for left in self.folder.iterdir():  # by an earlier try
            left.unlink()
        return list(self._read(data))

    def _read(self, data: bytes) -> Iterator[Extracted]:
        archive = os.memfd_create("archive")
        os.write(archive, data)
        try:
            opened = open_archive(archive, LIMITS)
            reader = Reader(self._orders(), archive, self.tray, self.mark)
            for member in opened.members():
                reader.used = False  # as a fresh one: it ends where memory may have run out
                yield from reader.extract([Job(member, [], {}, 0, 0)])
        except ArchiveRefused as refused:
            sentence(refused.code, **refused.facts)
        finally:
            os.close(archive)

    def _orders(self) -> Orders:
        return Orders(os.getpid(), 0, LIMITS, HeaderLimits(), "ISO_IR 100")

    def _check(self, extracted: Extracted) -> None:
        assert extracted.outcome != STOPS_THE_RUN
        if extracted.header is None:
            assert sentence(extracted.reason, **extracted.facts)
            return
        self.stored += 1
        staged = self.folder / staged_name(extracted.index, extracted.inner)
        assert are_of(own_uids(extracted.header), staged.read_bytes())
        staged.unlink()


def own_uids(header: Header) -> tuple[str, str, str]:
    return (
        header.study.study_instance_uid,
        header.series.series_instance_uid,
        header.instance.sop_instance_uid,
    )


def are_of(uids: Iterable[str], data: bytes) -> bool:
    """Whether a file says that these are its UIDs of study, series and SOP instance."""
    return all(
        uid and (holds(data, tag, uid) or holds(inflated(data), tag, uid))
        for tag, uid in zip(UIDS, uids, strict=True)
    )


def holds(data: bytes, tag: int, uid: str) -> bool:
    """Whether an element with this tag and value stands somewhere, in any encoding."""
    value = rb"[\s\0]*" + re.escape(uid.encode("latin-1"))
    for order in "<>":
        start = re.escape(struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF))
        # Behind the tag: a length of 32 bits; a VR and one of 16; a VR, a gap and one of 32.
        if re.search(start + b"(?s:.{4}|.{8})" + value, data):
            return True
    return False


def inflated(data: bytes) -> bytes:
    """The dataset of a deflated file, wherever it begins; b"" where there is none."""
    for start in range(132, min(len(data), 500)):
        with suppress(zlib.error):
            found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], 1 << 20)
            if b"\x18\0UI" in found[:400]:
                return found
    return b""
