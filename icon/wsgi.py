"""The WSGI application, which gunicorn and runserver serve."""

import os

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from icon.startup import end_with, look_before_serving

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    end_with(str(error))
look_before_serving()
