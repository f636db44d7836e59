"""The tests marked `database` once more, on PostgreSQL."""

import os
import subprocess
import sys

from django.conf import settings


def test_the_database_tests_pass_on_postgresql(postgres):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "database", "-p", "no:cacheprovider"],
        env={**os.environ, "ICON_TEST_DATABASE_URL": postgres},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
