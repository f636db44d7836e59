"""ICON's own settings, in an environment of the tests' own.

Loaded before anything else, so that no test sees the data of a running ICON, nor depends
on what the shell has set.
"""

import atexit
import os
import shutil
import sys
import tempfile

# What is compiled once serves the hundreds of processes that the tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

KEPT = {"ICON_NO_SKIPS", "ICON_TEST_DATABASE_URL"}

for name in [name for name in os.environ if name.startswith("ICON_") and name not in KEPT]:
    del os.environ[name]
os.environ["ICON_VAR"] = VAR = tempfile.mkdtemp(prefix="icon-tests-")
atexit.register(shutil.rmtree, VAR, ignore_errors=True)
os.environ["ICON_BROKER_URL"] = f"redis+socket://{VAR}/broker.sock"  # see the fixture `broker`
# On any machine. A second one gets no work of less than 768 members, and costs each import a third
# of its time; what is about several asks for them.
os.environ["ICON_EXTRACTORS"] = "1"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright runs an event loop in this thread
if url := os.environ.get("ICON_TEST_DATABASE_URL"):
    os.environ["ICON_DATABASE_URL"] = url

from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402

from icon.settings import *  # noqa: E402, F403


class QuickHasher(PBKDF2PasswordHasher):
    """Quick, and what a web server of a test reads with ICON's own settings."""

    iterations = 1


PASSWORD_HASHERS = ["tests.settings.QuickHasher"]
# Each client of a test would look through all static files at its first request: 15 ms.
WHITENOISE_AUTOREFRESH = True

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, not memory: the worker and the web server of a test are other processes.
    DATABASES["default"]["TEST"] = {"NAME": f"{VAR}/test.sqlite3"}  # noqa: F405
