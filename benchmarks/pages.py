#!/usr/bin/env python3
"""Times ICON's lists on the catalogue that ICON_VAR or ICON_DATABASE_URL names.

Every list, sorted by every column that can be, both ways; their searches, found and not; the one
search of all; the pages of a result. Prints JSON: for each page the queries of one request and the
95th percentile of twenty, in ms of server time, once warm.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

WARM_UPS, REQUESTS = 3, 20
USER = "benchmark"


def main() -> None:
    client = signed_in()
    client.get("/dicom/studies/")
    gc.freeze()  # as a process of the web server does
    print(json.dumps({page: measured(client, page) for page in pages()}))


def signed_in() -> Client:
    from django.contrib.auth.models import User

    user, _ = User.objects.get_or_create(
        username=USER, is_staff=True, is_superuser=True, is_active=True
    )
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def pages() -> list[str]:
    from django.urls import reverse

    from app.models import DICOMFile, DICOMInstance
    from app.views import LEDGER_ROWS

    instance = DICOMInstance.objects.order_by("-pk").first()
    upload = DICOMFile.objects.order_by("-member_count")[0]
    result = reverse("upload_result", args=[upload.pk])
    instances = reverse("admin:app_dicominstance_changelist")
    ledger = reverse("admin:app_archivemember_changelist")
    return [
        *(page for model_admin in lists() for page in sorted_pages(model_admin)),
        *searches(),
        *one_search(),
        *catalogue(),
        f"{instances}?q={instance.sop_instance_uid}",
        f"{instances}?q={instance.sha256}",
        f"{instances}?modality__exact=MR&p=2",
        f"{ledger}?q=000042/0042.dcm",
        f"{ledger}?q=export+3",
        f"{ledger}?q={instance.sha256}",
        f"{ledger}?outcome__exact=failed",
        result,
        f"{result}?outcome=imported",
        f"{result}?page={upload.member_count // LEDGER_ROWS}",
        f"{result}?q=0042",
        f"{result}?q=nothing",
    ]


def lists() -> list[Any]:
    from django.apps import apps
    from django.contrib import admin

    models = apps.get_app_config("app").get_models()
    return [
        admin.site.get_model_admin(model) for model in models if admin.site.is_registered(model)
    ]


def sorted_pages(model_admin: Any) -> Iterator[str]:
    """A list as it comes, and by each column that its heading sorts."""
    from django.contrib.auth.models import User
    from django.test import RequestFactory
    from django.urls import reverse

    meta = model_admin.model._meta
    page = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    yield page
    request = RequestFactory().get(page)
    request.user = User.objects.get(username=USER)
    changes = model_admin.get_changelist_instance(request)
    for number, column in enumerate(changes.list_display):
        if column in changes.sortable_by and changes.get_ordering_field(column):
            yield f"{page}?o={number}"
            yield f"{page}?o=-{number}"


def searches() -> Iterator[str]:
    """Each list's search: for a letter and a word that many rows have, two of few, one of none."""
    from django.test import RequestFactory
    from django.urls import reverse

    for model_admin in lists():
        meta = model_admin.model._meta
        if model_admin.get_search_fields(RequestFactory().get("/")):
            page = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
            yield from (f"{page}?q={words}" for words in ("1", "number", "grown+42", "nothing"))


def one_search() -> Iterator[str]:
    """The search of the whole catalogue: for what many rows have, few, and none."""
    from django.urls import reverse

    words = ("1", "a", "number", "number+42", "heart", "heart+2024+ct", "mr", "2023-2024", "hearrt")
    yield from (f"{reverse('search')}?q={word}" for word in (*words, "nothing", 64 * "0"))


def catalogue() -> Iterator[str]:
    """The lists of patients, studies and structures, narrowed and sorted, and pages below them."""
    from django.urls import reverse

    from app.catalogue.lists import PATIENTS, STUDIES
    from app.models import DICOMSeries, Patient, RTStructureROI

    for table, name in ((STUDIES, "study_list"), (PATIENTS, "patient_list")):
        page = reverse(name)
        yield page
        yield from (f"{page}?sort={way}{key}" for key in table.sortings for way in ("", "-"))
        yield from (f"{page}?modality=CT", f"{page}?modality=CT&modality=RTSTRUCT")
        yield from (f"{page}?from=2023-01-01&to=2023-06-30", f"{page}?flag=attention")
        middle = table.rows.order_by("pk")[table.rows.count() // 2].pk
        yield f"{page}?after={middle}"
    structures = reverse("structure_list")
    yield structures
    yield from (f"{structures}?q={words}" for words in ("heart", "ptv*", "a", "hearrt", "nothing"))
    roi = RTStructureROI.objects.order_by("-pk").only("rt_structure_set")[0]
    patient = Patient.objects.order_by("-instance_count")[0]
    series = DICOMSeries.objects.order_by("-instance_count").select_related("dicom_study")[0]
    yield reverse("patient", args=[patient.pk])
    yield reverse("study", args=[series.dicom_study_id])
    yield reverse("series", args=[series.pk])
    yield reverse("structure_set", args=[roi.rt_structure_set_id])
    yield reverse("structure", args=[roi.pk])
    yield reverse("collection_list")
    yield reverse("catalogue_health")


def measured(client: Client, page: str) -> dict[str, float]:
    page = answered(client, page)
    for _ in range(WARM_UPS):
        answer = client.get(page)
        if answer.status_code != 200:
            sys.exit(f"{page} answered {answer.status_code}.")
    with CaptureQueriesContext(connection) as queries:
        client.get(page)
    count = len(queries)  # the next request empties their log
    seconds = sorted(took(client, page) for _ in range(REQUESTS))
    return {"queries": count, "ms": seconds[int(REQUESTS * 0.95) - 1] * 1000}


def answered(client: Client, page: str) -> str:
    """Where a search is answered, which is posted; any other page as it is."""
    path, _, query = page.partition("?")
    address = QueryDict(query, mutable=True)
    words = address.pop("q", None)
    if not words:
        return page
    location = client.post(f"{path}?{address.urlencode()}", {"q": words[0]})["Location"]
    return str(location).partition("#")[0]


def took(client: Client, page: str) -> float:
    begun = time.monotonic()
    client.get(page)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "icon.settings")
    django.setup()
    main()
