"""A DICOMDIR (PS3.3 Annex F, PS3.10 Section 8) of objects, made by pydicom in child processes.

It is asked twice: of some objects, by descriptors, for the directory records of each; and, by the
descriptor of a file in which all these were kept, for the DICOMDIR. So no child needs more files
open than a process may have, and nobody else reads what is in an object.
"""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO, FileIO
from typing import IO, Annotated, Any

from msgspec import Meta, msgpack

from app.dicom.records import Record, Text64, Text256

from .once import answer, ask
from .wire import Unbelievable, believed, frame, frames

PROGRAM = "app.sandbox.dicomdir"
MOST = 20_000  # objects in one DICOMDIR
SECONDS = 300.0
PROCESSOR_SECONDS = 120
MEMORY = 1_000_000_000  # bytes of address space
LONGEST_RECORDS = 100_000  # bytes, of one object
MOST_ANSWERED = 100_000_000  # bytes
PIECE = 1 << 20

# pydicom's words for what a record may not lack.
LACKING = re.compile(r"The instance's \((?P<group>\w{4}),(?P<element>\w{4})\) ")
# In a structure set and in a plan all that a record has stands before these groups' sequences.
BEFORE_SEQUENCES = {0x3006: 0x0010, 0x300A: 0x0010}
PIXELS = 0x7FE0
RECORDS = "DirectoryRecordSequence"


class Asked(Record, frozen=True):
    """What a child is asked: the records of objects, or the DICOMDIR of all records."""

    objects: list[int] = []  # descriptors
    kept: int = -1  # a descriptor


class Records(Record, frozen=True):
    """The directory records of one object; `why_not` says why it can have none."""

    records: Annotated[bytes, Meta(max_length=LONGEST_RECORDS)] = b""
    why_not: Text64 = ""  # a code
    attribute: Text64 = ""  # a keyword, where one is lacking


class Kept(Record, frozen=True):
    """The directory records of one object, and its place below the DICOMDIR."""

    records: bytes
    file_id: Text256  # parts between slashes


class Piece(Record, frozen=True):
    data: bytes


_records = msgpack.Decoder(Records).decode
_piece = msgpack.Decoder(Piece).decode
WHY_NOT = ("", "dicomdir_lacks", "header_unread")


def records_of(descriptors: Sequence[int]) -> list[Records]:
    """The directory records of objects, one for each.

    An object over which the child ends costs no other its records; one that takes all of the time
    does those behind it.
    """
    found: list[Records] = []
    while len(found) < len(descriptors):
        rest = descriptors[len(found) :]
        answers = ask(
            PROGRAM,
            Asked(objects=list(rest)),
            rest,
            seconds=SECONDS,
            processor=PROCESSOR_SECONDS,
            memory=MEMORY,
            most=MOST_ANSWERED,
        )
        found += [_believed(body) for body in answers.frames[: len(rest)]]
        unread = 1 if answers.in_time else len(descriptors)
        found += [Records(why_not="header_unread")] * min(unread, len(descriptors) - len(found))
    return found


def keep(file: IO[bytes], records: Records, file_id: str) -> None:
    """Keep the records of an object until the DICOMDIR is made."""
    file.write(frame(Kept(records.records, file_id)))


def dicomdir_of(kept: int) -> bytes:
    """The DICOMDIR of all records in a file; empty where it could not be made."""
    answers = ask(
        PROGRAM,
        Asked(kept=kept),
        [kept],
        seconds=SECONDS,
        processor=PROCESSOR_SECONDS,
        memory=MEMORY,
        most=MOST_ANSWERED,
    )
    try:
        pieces = [believed(_piece, body).data for body in answers.frames]
    except Unbelievable:
        return b""
    # An empty one ends them: a child that died says none.
    return b"".join(pieces) if pieces and not pieces[-1] else b""


def _believed(body: bytes) -> Records:
    try:
        found = believed(_records, body)
    except Unbelievable:
        return Records(why_not="header_unread")
    is_known = found.why_not in WHY_NOT and found.attribute.isalnum() == bool(found.attribute)
    return found if is_known else Records(why_not="header_unread")


# --- the child -------------------------------------------------------------------------------


def _answers(asked: Asked) -> Iterator[Records | Piece]:
    if asked.kept < 0:
        file_set = _file_set()
        for descriptor in asked.objects:
            with FileIO(descriptor, closefd=False) as file:
                yield _records_in(file, file_set)
        return
    with FileIO(asked.kept, closefd=False) as kept:
        kept.seek(0)
        made = _made(bytes(body) for body in frames(bytearray(kept.readall())))
    for first in range(0, len(made), PIECE):
        yield Piece(made[first : first + PIECE])
    yield Piece(b"")


def _records_in(file: FileIO, file_set: Any) -> Records:
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_partial
    from pydicom.filewriter import write_dataset

    try:
        file.seek(0)
        dataset = read_partial(file, stop_when=_is_enough, defer_size=LONGEST_RECORDS)
        together = Dataset()
        setattr(together, RECORDS, list(file_set._recordify(dataset)))
        written = DicomBytesIO()
        written.is_little_endian, written.is_implicit_VR = True, False
        write_dataset(written, together)
    except ValueError as why:
        return _lacking(str(why))
    except MemoryError:
        raise
    except Exception:  # pydicom promises no one exception for damage
        return Records(why_not="header_unread")
    found = written.getvalue()
    if len(found) > LONGEST_RECORDS:
        return Records(why_not="header_unread")
    return Records(found)


def _is_enough(tag: Any, vr: str | None, length: int) -> bool:
    until = BEFORE_SEQUENCES.get(tag.group, 0x10000)
    return bool(tag.group == PIXELS or tag.element >= until)


def _lacking(words: str) -> Records:
    from pydicom.datadict import keyword_for_tag

    if not (found := LACKING.search(words)):
        return Records(why_not="header_unread")
    keyword = keyword_for_tag(int(found["group"] + found["element"], 16))
    return Records(why_not="dicomdir_lacks", attribute=keyword)


def _made(bodies: Iterator[bytes]) -> bytes:
    """The DICOMDIR of kept records."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.fileset import RecordNode

    file_set = _file_set()
    nodes: dict[tuple[str, ...], Any] = {(): file_set._tree}
    for kept in map(msgpack.Decoder(Kept).decode, bodies):
        read = read_dataset(BytesIO(kept.records), is_implicit_VR=False, is_little_endian=True)
        *above, leaf = read[RECORDS].value
        path: tuple[str, ...] = ()
        for record in above:
            node, parent = RecordNode(record), nodes[path]
            path = (*path, str(node.key))
            if path not in nodes:
                node.parent, nodes[path] = parent, node
        leaf.ReferencedFileID = kept.file_id.split("/")
        RecordNode(leaf).parent = nodes[path]
    written = DicomBytesIO()
    file_set._write_dicomdir(written)
    return bytes(written.getvalue())


def _file_set() -> Any:
    """pydicom's, without the folder in which it would keep copies of the objects."""
    from pydicom import config
    from pydicom.dataset import Dataset
    from pydicom.fileset import FileSet, RootNode
    from pydicom.uid import generate_uid

    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE

    class InMemory(FileSet):
        def __init__(self) -> None:
            self._tree, self._ds, self._instances = RootNode(self), Dataset(), []
            self._use_alphanumeric, self._uid = False, generate_uid()
            self._id = self._descriptor = self._charset = None

    return InMemory()


if __name__ == "__main__":
    answer(Asked, _answers)
