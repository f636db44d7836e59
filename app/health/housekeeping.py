"""What beat has done now and then: rubbish swept out, the catalogue checked."""

import time
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from app.models import LOG_LINES, CatalogueCheck

from .verify import verify

STALE_UPLOAD = 86_400  # seconds; no browser sends one file for longer
CHECKS_KEPT = 60


def remove_stale_uploads() -> int:
    """Delete what broken transfers left in the upload folder; how many files."""
    limit = time.time() - STALE_UPLOAD
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    stale = [file for file in folder.iterdir() if file.is_file() and file.stat().st_mtime < limit]
    for file in stale:
        file.unlink(missing_ok=True)
    return len(stale)


def check_catalogue() -> CatalogueCheck:
    """Verify the catalogue and keep what was found, for staff to see in the admin."""
    check = CatalogueCheck.objects.create()
    checked: list[int] = []
    violations = verify(step=checked.append)
    check.violations = [violation.sentence for violation in islice(violations, LOG_LINES)]
    check.violation_count = len(check.violations) + sum(1 for _ in violations)
    check.instance_count = sum(checked)
    check.ended_at = timezone.now()
    check.save()
    older = CatalogueCheck.objects.values_list("pk", flat=True)[CHECKS_KEPT:]
    CatalogueCheck.objects.filter(pk__in=list(older)).delete()
    return check
