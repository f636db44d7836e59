"""The planes of an enhanced image's frames: megabytes that are fetched where they are asked for."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from app.models import DICOMInstance, ImageInformation
from tests.making.objects import enhanced_ct

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(import_zip) -> ImageInformation:
    import_zip(enhanced_ct())
    return ImageInformation.objects.get()


def test_nothing_fetches_them_unasked(image, admin_client):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert DICOMInstance.objects.get().image_information == image
        admin_client.get(reverse("admin:app_imageinformation_changelist"))
        admin_client.get(reverse("admin:app_dicominstance_change", args=[image.dicom_instance_id]))
    assert not [query for query in queries if "frame_planes" in query["sql"]]
    with CaptureQueriesContext(connection) as queries:
        assert image.frame_planes.startswith('{"count":3,')
    assert len(queries) == 1


def test_the_page_of_an_image_says_how_many_planes_it_has(image, admin_client):
    page = admin_client.get(reverse("admin:app_imageinformation_change", args=[image.pk]))
    assert "3 frames, 3 positions, 1 orientation, 1 stack" in page.content.decode()
