"""The child that reads the contours of a structure set: `contours` says what it is asked.

numpy is loaded before it locks itself in, which keeps it from whoever has no use for it.
"""

import os
from collections.abc import Iterator

from app.dicom.contours import read_drawing
from app.errors import Expected

from .contours import Asked, Drawn
from .once import answer


def drawings(asked: Asked) -> Iterator[Drawn]:
    try:
        with os.fdopen(asked.file, "rb", closefd=False) as file:
            file.seek(0)
            head = file.read(asked.limits.header)
            truncated = bool(file.read(1))
        drawing, values = read_drawing(
            head,
            limits=asked.limits,
            truncated=truncated,
            assumed_charset=asked.assumed_charset,
        )
    except Expected as why:
        yield Drawn(why_not=why.code, facts=why.facts)
    except OSError:
        yield Drawn(why_not="contours_not_read")
    except MemoryError:
        yield Drawn(why_not="too_much_memory")
    else:
        yield Drawn(drawing, values)


if __name__ == "__main__":
    answer(Asked, drawings)
