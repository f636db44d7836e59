"""The WSGI application, which gunicorn and runserver serve."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
application = get_wsgi_application()
