"""ZIPs as macOS's Archive Utility writes them: all numbers modulo 2^32, and never a ZIP64 record.

Local headers say no sizes; these stand behind the data, in descriptors of 32 bits. Folders and
empty files are stored, and have none. Members and directory lie one behind the other, without
gaps; the number of members is told modulo 2^16. Another modulus makes small archives of the kind.
"""

import struct
import zlib
from collections.abc import Iterable
from os import SEEK_CUR
from typing import IO

LOCAL = struct.Struct("<4s5H3L2H")
ENTRY = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
DESCRIPTOR = struct.Struct("<4s3L")
MADE_BY = 0x0315
LOCAL_EXTRA = struct.pack("<HH2L2H", 0x5855, 12, 1_700_000_000, 1_700_000_000, 501, 20)
EXTRA = struct.pack("<HH2L", 0x5855, 8, 1_700_000_000, 1_700_000_000)
DAY, TIME = 0x5820, 0x5000
FILE_MODE, FOLDER_MODE = 0o100644 << 16, 0o40755 << 16
STORED, DEFLATE = 0, 8
BLOCK = 65_535  # bytes of a stored block of Deflate
ZEROS = bytes(BLOCK)


class ArchiveUtility:
    """Writes an archive into a file that can be sought in; `finish` ends it."""

    def __init__(self, file: IO[bytes], modulus: int = 1 << 32) -> None:
        self.file, self.modulus = file, modulus
        self.entries: list[bytes] = []
        self.truth: list[tuple[str, int, int, int]] = []  # name, offset, packed size, size

    def add(self, name: str, data: bytes | Iterable[bytes], level: int = 6) -> None:
        if data == b"":  # so are folders
            self._enter(name, STORED, self._begin(name, STORED), 0, 0, 0)
            return
        offset = self._begin(name, DEFLATE)
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        crc = size = packed_size = 0
        for chunk in [data] if isinstance(data, bytes) else data:
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            packed_size += self.file.write(packer.compress(chunk))
        packed_size += self.file.write(packer.flush())
        self._enter(name, DEFLATE, offset, crc, packed_size, size)

    def add_sparse(self, name: str, head: bytes, zeros: int) -> None:
        """A head and many zeros, not compressed: a sparse file keeps a sixteenth of them."""
        offset = self._begin(name, DEFLATE)
        begun = self.file.tell()
        crc = zlib.crc32(head)
        self.file.write(_block_head(len(head)) + head)
        for left in range(zeros, 0, -BLOCK):
            length = min(left, BLOCK)
            self.file.write(_block_head(length))
            self.file.seek(length, SEEK_CUR)
            crc = zlib.crc32(ZEROS[:length], crc)
        self.file.write(_block_head(0, last=True))
        packed_size = self.file.tell() - begun
        self._enter(name, DEFLATE, offset, crc, packed_size, len(head) + zeros)

    def add_hole(self, name: str, packed_size: int) -> None:
        """A member of which nobody reads the data: a sparse file keeps none of them."""
        offset = self._begin(name, DEFLATE)
        self.file.seek(packed_size, SEEK_CUR)
        self._enter(name, DEFLATE, offset, 0, packed_size, packed_size)

    def finish(self, **lies: int) -> None:
        """Write the directory and the end record, where `lies` replace what is true."""
        start = self.file.tell()
        told = {
            "count": len(self.entries) % (1 << 16),
            "size": sum(map(self.file.write, self.entries)),
            "offset": start % self.modulus,
            **lies,
        }
        counts = [told["count"]] * 2
        self.file.write(END.pack(b"PK\5\6", 0, 0, *counts, told["size"], told["offset"], 0))

    def _begin(self, name: str, method: int) -> int:
        offset, raw = self.file.tell(), name.encode()
        lengths = len(raw), len(LOCAL_EXTRA)
        head = LOCAL.pack(b"PK\3\4", *_versions(method), TIME, DAY, 0, 0, 0, *lengths)
        self.file.write(head + raw + LOCAL_EXTRA)
        return offset

    def _enter(
        self, name: str, method: int, offset: int, crc: int, packed_size: int, size: int
    ) -> None:
        self.truth.append((name, offset, packed_size, size))
        numbers = crc, packed_size % self.modulus, size % self.modulus
        if method == DEFLATE:
            self.file.write(DESCRIPTOR.pack(b"PK\7\x08", *numbers))
        raw = name.encode()
        mode = FOLDER_MODE if name.endswith("/") else FILE_MODE
        lengths = len(raw), len(EXTRA), 0
        place = 0, 0, mode, offset % self.modulus
        head = (b"PK\1\2", MADE_BY, *_versions(method), TIME, DAY)
        self.entries.append(ENTRY.pack(*head, *numbers, *lengths, *place) + raw + EXTRA)


def _versions(method: int) -> tuple[int, int, int]:
    """The version needed, the flags and the method."""
    return (20, 8, DEFLATE) if method == DEFLATE else (10, 0, STORED)


def _block_head(length: int, last: bool = False) -> bytes:
    return struct.pack("<B2H", last, length, length ^ 0xFFFF)
