"""What differs between an upload's conflicting objects and what is catalogued."""

import fcntl
import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from msgspec import msgpack

from app import reasons
from app.archives.directory import Limits
from app.models import ArchiveMember, DICOMFile, Outcome
from app.sandbox import differences
from app.sandbox.differences import Comparison, Difference, Pair, compare, comparison_of
from app.uploads.conflicts import attributes_of, conflicts
from tests.making.objects import ct_image, uid, zip_of


@pytest.fixture
def catalogued(tmp_path) -> Iterator[int]:
    """A descriptor of the catalogued object."""
    path = tmp_path / "catalogued.dcm"
    path.write_bytes(ct_image(SeriesDescription="Thorax"))
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


def compared(archive: Path, *pairs: Pair) -> list[Comparison]:
    with archive.open("rb") as file:
        return compare(file.fileno(), Limits(), pairs)


def test_an_attribute_that_differs_is_named_in_words_with_both_values(tmp_path, catalogued):
    archive = zip_of(tmp_path / "a.zip", ct_image(SeriesDescription="Abdomen", WindowCenter="40"))
    (found,) = compared(archive, Pair(0, 0, catalogued))
    assert found == Comparison(
        [
            Difference("Series Description", "LO", "Thorax", "Abdomen"),
            Difference("Window Center", "DS", None, "40"),
        ]
    )


def test_other_pixels_are_told_without_a_value(tmp_path, catalogued):
    other = ct_image(SeriesDescription="Thorax", PixelData=bytes(12))
    archive = zip_of(tmp_path / "a.zip", other)
    (found,) = compared(archive, Pair(0, 0, catalogued))
    assert [(one.name, one.catalogued, one.new) for one in found.differences] == [
        ("Pixel data", "", "")
    ]


def test_the_right_member_of_a_zip_in_the_zip_is_compared(tmp_path, catalogued):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("notes.txt", b"hello")
        archive.writestr("IM1", ct_image(SeriesDescription="Inside"))
    archive = zip_of(tmp_path / "a.zip", ct_image(), ("n.zip", inner.getvalue()))
    (found,) = compared(archive, Pair(1, 2, catalogued))
    assert [one.new for one in found.differences] == ["Inside"]


def test_an_object_packed_with_gzip_is_compared(tmp_path, catalogued):
    data = ct_image(SeriesDescription="Packed")
    archive = zip_of(tmp_path / "a.zip", ("1.dcm.gz", gzip.compress(data)))
    (found,) = compared(archive, Pair(0, 1, catalogued))
    assert [one.new for one in found.differences] == ["Packed"]


def test_what_cannot_be_compared_says_so_and_leaves_the_others(tmp_path, catalogued):
    archive = zip_of(tmp_path / "a.zip", ct_image(SeriesDescription="Abdomen"))
    folder = os.open(tmp_path, os.O_RDONLY)
    found = compared(archive, Pair(0, 0, folder), Pair(7, 0, catalogued), Pair(0, 0, catalogued))
    os.close(folder)
    assert [one.why_not for one in found] == ["comparing_failed"] * 2 + [""]


def test_who_takes_too_long_is_ended(tmp_path, catalogued, monkeypatch):
    monkeypatch.setattr(differences, "COMPARING_SECONDS", 0.01)
    archive = zip_of(tmp_path / "a.zip", ct_image())
    (found,) = compared(archive, Pair(0, 0, catalogued))
    assert found.why_not == "comparing_took_long"


def test_of_a_large_object_the_header_is_compared(tmp_path, catalogued):
    large = ct_image(SeriesDescription="Large", after=bytes(differences.WHOLE))
    archive = zip_of(tmp_path / "a.zip", large)
    (found,) = compared(archive, Pair(0, 0, catalogued))
    assert not found.whole
    assert [one.name for one in found.differences] == ["Series Description"]


def test_an_object_of_very_many_items_is_not_compared(tmp_path, catalogued):
    many = ct_image(PixelData=b"\xfe\xff\x00\xe0" * (differences.MOST_ITEMS + 1))
    archive = zip_of(tmp_path / "a.zip", many, ct_image(SeriesDescription="Abdomen"))
    found = compared(archive, Pair(0, 0, catalogued), Pair(1, 0, catalogued))
    assert [one.why_not for one in found] == ["too_complex_to_compare", ""]


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"\xc1", msgpack.encode("yes"), msgpack.encode([[], True, "because"])),
        msgpack.encode([[["Name", "LO", "x" * 257, None]], True, ""]),
        msgpack.encode([[["Name", "LO", "x", None]] * 20_001, True, ""]),
    ],
)
def test_an_answer_that_cannot_be_is_not_believed(answer):
    assert comparison_of(answer).why_not == "comparing_failed"


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
    (attribute,) = attributes_of(found)
    assert (attribute.name, attribute.count, attribute.more) == ("Window Center", 3, 0)
    assert [change.new for change in attribute.changes] == ["0", "1", "2"]


def test_whose_objects_they_are_comes_first(import_zip):
    same = {"PatientSex": "M", "SeriesDescription": "Abdomen"}
    others = [ct_image(SOPInstanceUID=uid(4, n), WindowCenter="1", **same) for n in range(2)]
    upload = conflict(import_zip, *others, ct_image(SOPInstanceUID=uid(4, 2), WindowCenter="1"))
    found = attributes_of(conflicts(upload, upload.members.order_by("index")))
    assert [(one.name, one.count, one.is_identity) for one in found] == [
        ("Patient's Sex", 2, True),
        ("Window Center", 3, False),
        ("Series Description", 2, False),
    ]
    assert [(one.new, one.count) for one in found[0].changes] == [("M", 2)]


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


# What it costs is bounded


def one_in_conflict(import_zip) -> tuple[DICOMFile, list[ArchiveMember]]:
    upload = conflict(import_zip, ct_image(SOPInstanceUID=uid(4, 0), WindowCenter="1"))
    return upload, list(upload.members.select_related("instance"))


def test_one_comparison_is_made_at_a_time(import_zip, settings):
    upload, members = one_in_conflict(import_zip)
    cache.clear()
    with (settings.ICON_VAR / "comparing.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (found,) = conflicts(upload, members)
        assert found.remark == reasons.sentence("comparing_busy")
    (found,) = conflicts(upload, members)
    assert found.lines


def test_what_was_compared_is_not_compared_again(import_zip, monkeypatch):
    upload, members = one_in_conflict(import_zip)
    cache.clear()
    first = conflicts(upload, members)
    monkeypatch.setattr(differences, "PROGRAM", "tests.no_program")
    assert conflicts(upload, members) == first
    assert first[0].lines


def test_what_took_too_long_keeps_nothing_of_the_others(import_zip, monkeypatch):
    others = [ct_image(SOPInstanceUID=uid(4, n), WindowCenter=str(n)) for n in range(2)]
    upload = conflict(import_zip, *others)
    cache.clear()
    monkeypatch.setattr(differences, "COMPARING_SECONDS", 0.01)
    members = list(upload.members.select_related("instance").order_by("index"))
    found = conflicts(upload, members)
    assert [one.comparison for one in found] == [differences.TOO_LONG] * 2
    monkeypatch.undo()
    first, second = conflicts(upload, members)
    assert first.comparison == differences.TOO_LONG
    assert second.lines


@pytest.mark.parametrize("above", [0, 1, 3], ids=["object", "series", "patient"])
def test_a_link_on_the_way_to_an_object_is_not_followed(
    above, import_zip, processed_root, tmp_path
):
    upload, (member,) = one_in_conflict(import_zip)
    cache.clear()
    path = processed_root / member.instance.path
    place = (path, *path.parents)[above]
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    (found,) = conflicts(upload, [member])
    assert found.remark == "One of the two could not be read."
