"""The DICOMDIR of a ZIP, made by child processes while its objects are sent."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from tempfile import TemporaryFile
from typing import IO

from app.reasons import sentence
from app.sandbox.dicomdir import Records, dicomdir_of, keep, records_of

from .stored import Stored

DICOMDIR = "DICOMDIR"
TOGETHER = 200  # objects that one child is asked about


class Directory:
    """What a DICOMDIR will say of objects; to be closed."""

    def __init__(self) -> None:
        self._kept: IO[bytes] = TemporaryFile()  # noqa: SIM115  # closed with the rest
        self._thread = ThreadPoolExecutor(1, "dicomdir")
        self._files: list[int] = []
        self._names: list[str] = []
        self._asked: Future[list[Records]] | None = None
        self._asked_names: list[str] = []
        self.lines: list[str] = []  # of what it cannot say, and why

    def add(self, name: str, stored: Stored) -> None:
        """One object more, which was sent whole."""
        self._files.append(os.dup(stored.file))
        self._names.append(name)
        if len(self._files) == TOGETHER:
            self._ask()

    def made(self) -> bytes:
        """The DICOMDIR of all; empty where it could not be made."""
        self._ask()
        self._hear()
        self._kept.flush()
        return dicomdir_of(self._kept.fileno())

    def close(self) -> None:
        self._thread.shutdown()  # whoever is asked closes what was given along
        for file in self._files:
            os.close(file)
        self._kept.close()

    def _ask(self) -> None:
        """Ask about those that wait, once what was asked before is answered."""
        self._hear()
        files, self._files = self._files, []
        self._asked_names, self._names = self._names, []
        self._asked = self._thread.submit(_records_of, files)

    def _hear(self) -> None:
        if self._asked is None:
            return
        for name, records in zip(self._asked_names, self._asked.result(), strict=True):
            if records.why_not:
                facts = {"attribute": records.attribute} if records.attribute else {}
                self.lines.append(f"{name}: {sentence(records.why_not, **facts)}")
            else:
                keep(self._kept, records, name)
        self._asked = None


def _records_of(files: list[int]) -> list[Records]:
    try:
        return records_of(files)
    finally:
        for file in files:
            os.close(file)
