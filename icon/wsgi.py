"""The WSGI application, which gunicorn and runserver serve."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.core.wsgi import get_wsgi_application
from django.db import Error, connection

from icon.celery import read_what_sends
from icon.startup import end_with, look_before_serving

# Of one process. Its threads, which may be many, share a few connections that stay open: a new
# one costs PostgreSQL and the page more than most pages do.
POOL: dict[str, Any] = {
    "min_size": 1,
    "max_size": 16,
    # While all are busy, or the database is away, so many threads wait so many seconds.
    "max_waiting": 40,
    "timeout": 5,
    "reconnect_timeout": 1,  # seconds; then the next page tries anew
    "max_idle": 60,  # seconds
}


def share_connections() -> None:
    for database in settings.DATABASES.values():
        if database["ENGINE"] == "django.db.backends.postgresql":
            database["CONN_HEALTH_CHECKS"] = True
            database["OPTIONS"]["pool"] = POOL
            got_request_exception.connect(drop_broken_connections)


def drop_broken_connections(**kwargs: Any) -> None:
    """After a restart of the database, rather than one by one, with pauses, as pages meet them."""
    pool: Any = connection.pool  # type: ignore[attr-defined]
    if isinstance(sys.exc_info()[1], Error) and not pool.closed:
        pool.check()


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    end_with(str(error))
look_before_serving()
read_what_sends()
share_connections()  # only now: a pool does not say why it has no connection
