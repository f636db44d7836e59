"""`manage.py import_archive`: the same import, from the terminal."""

import json

import pytest
from django.core.management import CommandError, call_command

from app.models import DICOMFile, DICOMInstance
from tests.making.objects import ct_image, zip_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def storage(processed_root, media_root):
    """Storage of the test's own."""


def test_it_prints_one_object_for_each_archive(tmp_path, capsys):
    good = zip_of(tmp_path / "good.zip", ct_image(), ("README", b"hello"))
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"no ZIP")
    with pytest.raises(CommandError) as ended:
        call_command("import_archive", good, bad, tmp_path / "missing.zip", "--json")
    assert ended.value.returncode == 1
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["file"] == str(good)
    assert first["status"] == "completed"
    assert first["outcomes"] == {
        "imported": 1, "duplicate": 0, "conflict": 0, "skipped": 1, "failed": 0,
    }  # fmt: skip
    assert first["seconds"] > 0
    assert first["reason"] == ""
    assert second["status"] == third["status"] == "failed"
    assert "not a ZIP" in second["reason"]
    assert third["reason"] == "The file cannot be read or copied."


def test_it_keeps_a_copy_like_an_upload(tmp_path, media_root):
    path = zip_of(tmp_path / "a.zip", ct_image())
    call_command("import_archive", path)
    upload = DICOMFile.objects.get()
    assert upload.original_name == "a.zip"
    with upload.file.open() as kept:
        assert kept.read() == path.read_bytes()
    assert DICOMInstance.objects.count() == 1


def test_it_ends_well_where_every_archive_completed(tmp_path, capsys):
    call_command("import_archive", zip_of(tmp_path / "a.zip", ct_image()))
    assert "completed" in capsys.readouterr().out
