"""How far a run is: the bar of one upload, from 10 to 90 %."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.models import Stage
from app.wording import counted

Report = Callable[[int, str], None]  # percent, step
REPORT_SECONDS = 0.5  # between two reports
EXTRACTED, PROCESSED = 20, 60  # percent of the bar


@dataclass(slots=True)
class Progress:
    """Counts files, and reports what they come to; the bar never falls."""

    report: Report
    floor: int = 0
    total: int = 0  # members, without those inside; 0 until that is known
    extracted: int = 0
    processed: int = 0
    bytes_left: int = 0
    reported: float = 0.0  # when

    @property
    def percent(self) -> int:
        if self.total:
            done = (EXTRACTED * self.extracted + PROCESSED * self.processed) / self.total
            self.floor = max(self.floor, 10 + int(done))
        return self.floor

    @property
    def stage(self) -> Stage:
        return Stage.EXTRACT if self.percent < 30 else Stage.PROCESS

    def show(self, step: str = "") -> None:
        """Report, unless that was done just now."""
        if time.monotonic() - self.reported >= REPORT_SECONDS:
            step = step or f"{self.processed:,} of {counted(self.total, 'file')} done"
            self.report(self.percent, step)
            self.reported = time.monotonic()
