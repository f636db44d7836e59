"""Objects whose bytes are odd, as they stand in the catalogue."""

import json
import struct

import pytest

from app.models import DICOMInstance, RTStructureROI
from tests.making import objects
from tests.making.objects import Raw, contour, ct_image, roi, rt_structure_set, uid

pytestmark = pytest.mark.database

VR_UNKNOWN = struct.pack("<HH2sH", 0x0009, 0x1001, b"--", 4) + b"abcd"
OLDER_GROUP = objects.elements({"TransferSyntaxUID": objects.IMPLICIT})


def numbered(number: int, **keywords: object) -> bytes:
    return ct_image(SOPInstanceUID=uid(7, number), **keywords)


def test_odd_objects_are_catalogued_with_all_that_they_say(import_zip):
    unknown = numbered(1)
    at = unknown.index(struct.pack("<HH", 0x0010, 0x0010), 132)
    unknown = unknown[:at] + VR_UNKNOWN + unknown[at:]
    twice = numbered(2, transfer_syntax=objects.JPEG_BASELINE)
    at = 144 + struct.unpack_from("<I", twice, 140)[0]
    twice = twice[:at] + OLDER_GROUP + twice[at:]
    items = Raw("UN", [{"CodeValue": "1"}])
    big = numbered(3, transfer_syntax=objects.BIG_ENDIAN, SourceImageSequence=items)
    undeflated = numbered(4, meta={"TransferSyntaxUID": objects.DEFLATED})
    upload = import_zip(unknown, twice, big, undeflated)
    assert upload.imported_count == 4
    rows = DICOMInstance.objects.order_by("sop_instance_uid")
    assert list(rows.values_list("transfer_syntax_uid", flat=True)) == [
        *(objects.EXPLICIT, objects.JPEG_BASELINE, objects.BIG_ENDIAN, objects.DEFLATED),
    ]
    assert set(rows.values_list("rows", "columns", "image_information__slice_thickness")) == {
        (2, 3, 3.0)
    }
    series = rows[0].dicom_series
    assert {row.dicom_series for row in rows} == {series}
    assert series.dicom_study.patient.unique_patient_id == "ID1"
    assert "it is deflated, and is not" in json.dumps(upload.processing_log_data)


def test_contours_are_kept_with_a_warning_where_they_are_not_as_the_file_says(import_zip):
    cut = contour(1, 2, 3) | {"NumberOfContourPoints": "3222"}
    with_commas = contour(1, 2, 3) | {"ContourData": "1,5\\2\\3"}
    upload = import_zip(rt_structure_set([roi(1, "A", cut, with_commas, contour("4\\5\\6\\"))]))
    data = RTStructureROI.objects.get().roi_contour_data
    assert [one["points"] for one in json.loads(data)] == [[1, 2, 3], [4, 5, 6]]
    log = json.dumps(upload.processing_log_data)
    for what in ("with fewer or more points", "with decimal commas", "that end in a separator"):
        assert f"Contours {what}" in log
