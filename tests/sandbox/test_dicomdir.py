"""The DICOMDIR of a download, by way of the locked child that makes it."""

import os

from app.sandbox.dicomdir import records_of
from tests.making.objects import ct_image, uid


def test_an_object_over_which_the_child_ends_costs_no_other_its_records(tmp_path):
    files = []
    for number in range(2):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(ct_image(SOPInstanceUID=uid(2, 1, number), InstanceNumber=number))
        files.append(os.open(path, os.O_RDONLY))
    ends_it = os.open(tmp_path, os.O_RDONLY)  # no file: it cannot be read at all
    files.insert(1, ends_it)
    try:
        found = records_of(files)
    finally:
        for file in files:
            os.close(file)
    assert [one.why_not for one in found] == ["", "header_unread", ""]
    assert found[0].records
