"""The tests marked `database` once more, on PostgreSQL."""

import os
import subprocess
import sys

from django.conf import settings


def test_the_database_tests_pass_on_postgresql(postgres):
    chosen = ["-m", "database and not crash", "-n", "0", "-p", "no:cacheprovider"]
    inherited = {name: text for name, text in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *chosen],
        env={**inherited, "ICON_TEST_DATABASE_URL": postgres},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
