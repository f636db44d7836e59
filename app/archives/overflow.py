"""ZIPs of over 4 GB without ZIP64 records: their sizes and offsets are known modulo 2^32 only.

macOS's Archive Utility writes them so, and so do programs that know no ZIP64. Their members lie
one behind the other, from the first byte of the file to the list of contents and in its order.
So an offset that falls is counted on; what is then missing at the end is packed data of members
of over 4 GB, each of which ends where the next local header stands. The unpacked size of a member
is known when it has been inflated.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import IO

from .ends import End
from .entries import LOCAL, LOCAL_SIGNATURE, MAX_16, STORED, Entries, Entry, entries, read_at

# The most by which a member takes more than what is known of it: name, extra data, descriptor.
GAP = 2 * MAX_16 + 24


def find_longer(file: int | IO[bytes], end: End, modulus: int, most: int) -> dict[int, int] | None:
    """By position: what the packed sizes of members of over 4 GB lack.

    None where the members do not lie one behind the other up to the directory.

    Parameters
    ----------
    most
        Entries that are looked at; an archive of more is refused for their number.
    """
    reached = 0
    for index, entry in enumerate(_one_by_one(counted_on(file, end, {}, modulus))):
        if index >= most:
            return {}
        if entry.broken or entry.offset - reached > GAP:
            return None
        reached = _end_of(entry)
    missing, gap = divmod(end.start - reached, modulus)
    if missing < 0 or gap > GAP:
        return None
    return _search(file, end, modulus, missing) if missing else {}


def counted_on(
    file: int | IO[bytes], end: End, longer: Mapping[int, int], modulus: int
) -> Iterator[Entries]:
    """The entries, with their true offsets and packed sizes."""
    reached = first = 0
    for batch in entries(file, end.start, end.stop):
        counted: list[Entry] = []
        for index, entry in enumerate(batch.one_by_one(), first):
            more = longer.get(index, 0)
            entry = entry._replace(
                offset=_at_least(reached, entry.offset, modulus),
                packed_size=entry.packed_size + more,
                size=entry.size + (more if entry.method == STORED else 0),
            )
            counted.append(entry)
            reached = _end_of(entry)
        first += len(counted)
        yield Entries(*zip(*counted, strict=True))


def _one_by_one(found: Iterable[Entries]) -> Iterator[Entry]:
    return chain.from_iterable(batch.one_by_one() for batch in found)


def _search(file: int | IO[bytes], end: End, modulus: int, missing: int) -> dict[int, int] | None:
    """Look for local headers where they should stand, and further on where they do not."""
    longer: dict[int, int] = {}
    reached = index = 0
    for index, entry in enumerate(_one_by_one(entries(file, end.start, end.stop))):
        place = _at_least(reached, entry.offset, modulus)
        while not _begins_at(file, place, entry):
            if not missing or not index:
                return None
            place, missing = place + modulus, missing - 1
            longer[index - 1] = longer.get(index - 1, 0) + modulus
        if not missing:
            return longer
        reached = _end_of(entry._replace(offset=place))
    longer[index] = missing * modulus
    return longer


def _begins_at(file: int | IO[bytes], place: int, entry: Entry) -> bool:
    header = read_at(file, LOCAL.size + len(entry.name), place)
    return header.startswith(LOCAL_SIGNATURE) and header[LOCAL.size :] == entry.name


def _end_of(entry: Entry) -> int:
    """Where a member ends at the earliest."""
    return entry.offset + LOCAL.size + len(entry.name) + entry.packed_size


def _at_least(least: int, value: int, modulus: int) -> int:
    """The first number from `least` on that is `value` modulo `modulus`."""
    return value + max(0, -((value - least) // modulus)) * modulus
