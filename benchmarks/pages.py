#!/usr/bin/env python3
"""Times ICON's lists on the catalogue that ICON_VAR or ICON_DATABASE_URL names.

Prints JSON: for each page the queries of one request and the 95th percentile of twenty, in ms of
server time, once warm.
"""

import json
import os
import sys
import time
from pathlib import Path

import django
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

WARM_UPS, REQUESTS = 3, 20


def main() -> None:
    client = signed_in()
    print(json.dumps({page: measured(client, page) for page in pages()}))


def signed_in() -> Client:
    from django.contrib.auth.models import User

    user, _ = User.objects.get_or_create(
        username="benchmark", is_staff=True, is_superuser=True, is_active=True
    )
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def pages() -> list[str]:
    from django.apps import apps
    from django.urls import reverse

    from app.models import DICOMFile, DICOMInstance

    lists = [
        reverse(f"admin:app_{model._meta.model_name}_changelist")
        for model in apps.get_app_config("app").get_models()
        if model._meta.model_name != "filetodelete"
    ]
    instance = DICOMInstance.objects.order_by("-pk").first()
    result = reverse("upload_result", args=[DICOMFile.objects.order_by("-member_count")[0].pk])
    return [
        *lists,
        reverse("admin:app_dicominstance_changelist") + f"?q={instance.sop_instance_uid}",
        reverse("admin:app_dicominstance_changelist") + "?modality__exact=MR&p=2",
        result,
        f"{result}?outcome=imported",
        f"{result}?page=last",
        f"{result}?q=0042",
    ]


def measured(client: Client, page: str) -> dict[str, float]:
    for _ in range(WARM_UPS):
        answer = client.get(page)
        if answer.status_code != 200:
            sys.exit(f"{page} answered {answer.status_code}.")
    with CaptureQueriesContext(connection) as queries:
        client.get(page)
    count = len(queries)  # the next request empties their log
    seconds = sorted(took(client, page) for _ in range(REQUESTS))
    return {"queries": count, "ms": seconds[int(REQUESTS * 0.95) - 1] * 1000}


def took(client: Client, page: str) -> float:
    begun = time.monotonic()
    client.get(page)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
    django.setup()
    main()
