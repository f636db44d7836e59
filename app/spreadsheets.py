"""Tables as spreadsheets open them: CSV in which no text is taken for a formula."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time

# Where a spreadsheet would begin a formula: at the start of a text and, in countries that write CSV
# with semicolons, after one, after a tab, or where a line breaks. Blanks and quotes before it are
# stripped; the full-width and small signs of East Asian text may be taken for the plain ones.
PARTS_CELLS = r"[;\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]"
STRIPPED = r"[\0-\x08\x0e-\x1b\x1f \"\x7f\xa0\u1680\u2000-\u200f\u202f\u205f-\u2064\u3000\ufeff]*"
FORMULA_SIGN = r"[=+\-@\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
FORMULA_STARTS = re.compile(rf"^(?=[\t\r\n])|(?:^|(?<={PARTS_CELLS}))(?={STRIPPED}{FORMULA_SIGN})")

Cell = str | int | float | date | datetime | time | None


def csv_lines(headings: Iterable[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The lines of a file, one by one, the headings first."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(headings)  # the mark tells spreadsheets that it is UTF-8
    for row in rows:
        yield writer.writerow([_harmless(cell) for cell in row])


def _harmless(cell: Cell) -> Cell:
    """A text that no spreadsheet takes for a formula."""
    return FORMULA_STARTS.sub("'", cell) if isinstance(cell, str) else cell


class _Echo:
    """A file for csv.writer that hands each line back."""

    def write(self, line: str) -> str:
        return line
