"""What differs between an upload's conflicting objects and what is catalogued."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from app.archives.directory import Limits
from app.models import DICOMFile, Outcome
from app.sandbox import differences
from app.sandbox.differences import Comparison, Difference, Pair, compare
from app.uploads.conflicts import conflicts, differing_attributes
from tests.making.objects import ct_image, uid, zip_of


@pytest.fixture
def catalogued(tmp_path) -> Path:
    path = tmp_path / "catalogued.dcm"
    path.write_bytes(ct_image(SeriesDescription="Thorax"))
    return path


def compared(archive: Path, *pairs: Pair) -> list[Comparison]:
    with archive.open("rb") as file:
        return compare(file.fileno(), Limits(), pairs)


def test_an_attribute_that_differs_is_named_in_words_with_both_values(tmp_path, catalogued):
    archive = zip_of(tmp_path / "a.zip", ct_image(SeriesDescription="Abdomen", WindowCenter="40"))
    (found,) = compared(archive, Pair(0, 0, str(catalogued)))
    assert found == Comparison(
        [
            Difference("Series Description", "LO", "Thorax", "Abdomen"),
            Difference("Window Center", "DS", None, "40"),
        ]
    )


def test_other_pixels_are_told_without_a_value(tmp_path, catalogued):
    other = ct_image(SeriesDescription="Thorax", PixelData=bytes(12))
    archive = zip_of(tmp_path / "a.zip", other)
    (found,) = compared(archive, Pair(0, 0, str(catalogued)))
    assert [(one.name, one.catalogued, one.new) for one in found.differences] == [
        ("Pixel data", "", "")
    ]


def test_the_right_member_of_a_zip_in_the_zip_is_compared(tmp_path, catalogued):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("notes.txt", b"hello")
        archive.writestr("IM1", ct_image(SeriesDescription="Inside"))
    archive = zip_of(tmp_path / "a.zip", ct_image(), ("n.zip", inner.getvalue()))
    (found,) = compared(archive, Pair(1, 2, str(catalogued)))
    assert [one.new for one in found.differences] == ["Inside"]


def test_an_object_packed_with_gzip_is_compared(tmp_path, catalogued):
    data = ct_image(SeriesDescription="Packed")
    archive = zip_of(tmp_path / "a.zip", ("1.dcm.gz", gzip.compress(data)))
    (found,) = compared(archive, Pair(0, 1, str(catalogued)))
    assert [one.new for one in found.differences] == ["Packed"]


def test_what_cannot_be_compared_says_so_and_leaves_the_others(tmp_path, catalogued):
    archive = zip_of(tmp_path / "a.zip", ct_image(SeriesDescription="Abdomen"))
    here, nowhere = Pair(0, 0, str(catalogued)), Pair(0, 0, str(tmp_path / "gone.dcm"))
    found = compared(archive, nowhere, Pair(7, 0, str(catalogued)), here)
    assert [one.why_not for one in found] == ["comparing_failed"] * 2 + [""]


def test_who_takes_too_long_is_ended(tmp_path, catalogued, monkeypatch):
    monkeypatch.setattr(differences, "COMPARING_SECONDS", 0.01)
    archive = zip_of(tmp_path / "a.zip", ct_image())
    (found,) = compared(archive, Pair(0, 0, str(catalogued)))
    assert found.why_not == "comparing_took_long"


def test_of_a_large_object_the_header_is_compared(tmp_path, catalogued):
    large = ct_image(SeriesDescription="Large", after=bytes(differences.WHOLE))
    archive = zip_of(tmp_path / "a.zip", large)
    (found,) = compared(archive, Pair(0, 0, str(catalogued)))
    assert not found.whole
    assert [one.name for one in found.differences] == ["Series Description"]


def conflict(import_zip, *others: bytes) -> DICOMFile:
    import_zip(*(ct_image(SOPInstanceUID=uid(4, n)) for n in range(len(others))))
    return import_zip(*others)


def test_names_and_dates_are_shown_as_people_write_them(import_zip):
    other = ct_image(SOPInstanceUID=uid(4, 0), PatientName="Doe^Jane", PatientBirthDate="19801224")
    upload = conflict(import_zip, other)
    (found,) = conflicts(upload, upload.members.filter(outcome=Outcome.CONFLICT))
    lines = {line.name: (line.catalogued, line.new) for line in found.lines}
    assert lines == {
        "Patient's Name": ("Nobody, Nemo", "Doe, Jane"),
        "Patient's Birth Date": ("2 Jan 1970", "24 Dec 1980"),
    }


def test_what_differs_is_counted_over_the_objects(import_zip):
    others = [ct_image(SOPInstanceUID=uid(4, n), WindowCenter=str(n)) for n in range(3)]
    upload = conflict(import_zip, *others)
    found = conflicts(upload, upload.members.order_by("index"))
    assert differing_attributes(found) == [("Window Center", 3)]


def test_padding_is_no_difference(import_zip):
    other = ct_image(SOPInstanceUID=uid(4, 0), DataSetTrailingPadding=bytes(64))
    upload = conflict(import_zip, other)
    (found,) = conflicts(upload, upload.members.all())
    assert found.lines == []
    assert found.remark == "Both say the same; they differ only in how they are written."


def test_without_the_kept_zip_there_is_nothing_to_compare(import_zip):
    upload = conflict(import_zip, ct_image(SOPInstanceUID=uid(4, 0), WindowCenter="1"))
    Path(upload.file.path).unlink()
    (found,) = conflicts(upload, upload.members.all())
    assert "no longer on the server" in found.remark


def test_what_was_deleted_since_is_not_compared(import_zip):
    upload = conflict(import_zip, ct_image(SOPInstanceUID=uid(4, 0), WindowCenter="1"))
    upload.members.get().instance.delete()
    (found,) = conflicts(upload, upload.members.all())
    assert found.remark == "What was catalogued has been deleted since."
