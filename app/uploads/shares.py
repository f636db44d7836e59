"""How many extractors a run may have: the runs on one host share them out."""

import time

from django.conf import settings

from app.limits import processed_root
from app.storage.staging import live_runs

LASTS = 2.0  # seconds that there was more to have before it is taken: the next run may begin


class Share:
    """What one run may have, as others come and go."""

    def __init__(self) -> None:
        self.extractors = _share()
        self.enough = time.monotonic()  # when it last had all there was

    def look(self) -> int:
        """Less at once, more once that lasts."""
        share, now = _share(), time.monotonic()
        if share <= self.extractors:
            self.enough = now
        if share < self.extractors or now - self.enough > LASTS:
            self.extractors = share
        return self.extractors


def _share() -> int:
    runs = max(live_runs(processed_root()), 1)
    return max(settings.ICON_EXTRACTORS // runs, 1)
