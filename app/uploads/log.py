"""An upload's processing log: what its runs did, in lines that staff read on the result page."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

from django.utils import timezone

from app.catalogue.entries import Entry
from app.dicom.records import ReadWarning
from app.models import LOG_LINES, Outcome
from app.reasons import sentence
from app.wording import counted

FAILURE_LINES = 200  # that get a line each; the ledger has them all
WARNING_LINES = 100  # that get a line
# The end of a warning's line; earlier versions of ICON put it in brackets.
HOW_OFTEN = re.compile(r" (In [\d,]+ files?\.|\([\d,]+ files?\))$")


class Line(TypedDict, total=False):
    """A line as the row keeps it."""

    at: str  # ISO 8601
    level: str  # info, warning or error
    stage: str
    message: str
    files: int  # that a warning's line stands for
    over: bool  # it belongs to a processing that has ended


class Log:
    """The lines of one upload; what a run adds is written with the next change of its row.

    Failures get a line each, a warning one line that says how often it came. A run that goes on
    where another stopped goes on with its counts; an upload that is queued anew counts anew.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines: list[Line] = [line.copy() for line in lines]
        lines = [line for line in self.lines if not line.get("over")]
        self.warned = {warning_of(line): line for line in lines if "files" in line}
        self.failures = sum(line["level"] == "error" for line in lines)

    def copy(self) -> "Log":
        return Log(self.lines)

    def add(self, stage: str, message: str, level: str = "info") -> None:
        self._append(Line(level=level, stage=stage, message=message))

    def note_entries(self, stage: str, entries: Iterable[Entry]) -> None:
        """What of a batch is worth a line."""
        warnings: Counter[str] = Counter()
        for entry in entries:
            if entry.warnings:
                warnings.update(sentence(one.code, **one.facts) for one in entry.warnings)
            if entry.outcome == Outcome.FAILED:
                self._fail(stage, f"{entry.extracted.name}: {entry.detail}")
        for text, files in warnings.items():
            self._warn(stage, text, files)

    def warn(self, stage: str, warning: ReadWarning, files: int) -> None:
        self._warn(stage, sentence(warning.code, **warning.facts), files)

    def finish(self, stage: str, failed: int) -> None:
        """Say how many of the failed files have no line."""
        if (more := failed - self.failures) > 0:
            text = f"{counted(more, 'more file')} failed; the list of files has them"
            self.add(stage, text, "error")

    def closed(self) -> list[Line]:
        """The lines of a processing that is over; the next one counts anew."""
        return [{**line, "over": True} for line in self.lines]

    def _fail(self, stage: str, message: str) -> None:
        if self.failures < FAILURE_LINES:
            self._append(Line(level="error", stage=stage, message=message))
            self.failures += 1

    def _warn(self, stage: str, text: str, files: int) -> None:
        line = self.warned.get(text)
        if line is None and len(self.warned) < WARNING_LINES:
            line = self.warned[text] = Line(level="warning", stage=stage, files=0)
            self._append(line)
        if line is not None:
            line["files"] += files
            line["message"] = f"{text} In {counted(line['files'], 'file')}."

    def _append(self, line: Line) -> None:
        if len(self.lines) < LOG_LINES:
            line["at"] = timezone.now().isoformat(timespec="seconds")
            self.lines.append(line)


def warning_of(line: Line) -> str:
    """The sentence of a warning's line, which stands in the ledger of each of its files."""
    return HOW_OFTEN.sub("", line["message"])
