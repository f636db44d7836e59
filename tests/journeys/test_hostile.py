"""Every archive of `hostile`, through the whole import: the right outcome, and no harm."""

import hashlib
import time
from pathlib import Path

import pytest

from app.models import DICOMInstance, Patient
from tests.conftest import ON_POSTGRESQL, process
from tests.making.hostile import CASES, build
from tests.making.memory import peak_memory

pytestmark = pytest.mark.database

NAMES = list(CASES)


def between(first: str, beyond: str) -> list[str]:
    return NAMES[NAMES.index(first) : NAMES.index(beyond)]


# What is wrong with these is the ZIP, or how an object is encoded, and nothing of that reaches
# the database: SQLite will do.
UNREAD = [
    *between("links", "zip_in_the_zip"),
    *between("headers_cut_short", "elements_that_no_standard_knows"),
    *between("items_without_end", "patient_ids_that_look_alike_when_cleaned"),
]
# How the ZIP is laid out: tests/archives/test_directory.py reads or refuses each of these for its
# reason, and here some of each kind come through the whole import every time.
LAID_OUT = {
    *between("modes_of_devices", "encrypted_one_of_three"),
    *between("size_larger_than_the_data", "flat_bomb"),
} - {
    *("no_members", "cut_in_half", "directory_overwritten", "last_part_of_a_split_archive"),
    *("with_another_archive_in_the_comment", "zip64_throughout", "zip64_values_beyond_reason"),
    *("packed_in_every_way", "packed_in_unknown_ways", "size_over_the_limit", "packed_size_short"),
    *("local_header_destroyed", "packed_data_end_early", "thousands_of_empty_members"),
    *("one_kernel_listed_2000_times", "quoted_overlap"),
}
# What a member is called: tests/archives/test_directory.py reads each name, and the tests of pages
# and of CSV files show such names. Here one of each harm comes through every time.
NAMED = {*between("names_of_60_kb", "links")} - {
    "names_that_are_not_one_line",
    "names_that_are_empty_or_end_in_a_backslash",
}
# Where the zeros are in a header, and not behind it, they come through every time.
DEFLATED = {"deflated_data_set_of_600_mb"}
# These take longest.
LARGE = {"large_image_of_zeros", "structure_set_of_5000_rois"}
SELDOM = UNREAD if ON_POSTGRESQL else LAID_OUT | NAMED | DEFLATED | LARGE

MEMORY = 400_000_000  # bytes, the task and its extractors together
SECONDS = 60


@pytest.fixture(autouse=True)
def extractors(request) -> None:
    """Two, except on PostgreSQL, which does not see how many there are."""
    if not ON_POSTGRESQL:
        request.getfixturevalue("two_extractors")


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in SELDOM else ()) for name in NAMES],
)
def test_a_hostile_archive_does_no_harm(name, upload_zip, tmp_path, processed_root, media_root):
    case = build(name)
    for earlier in case.after:
        (tmp_path / "earlier.zip").write_bytes(build(earlier).data)
        process(upload_zip(tmp_path / "earlier.zip"))
    (tmp_path / "hostile.zip").write_bytes(case.data)
    upload = upload_zip(tmp_path / "hostile.zip")
    kept = {path: path.read_bytes() for path in everything_below(processed_root)}
    outside = everything_below(tmp_path) - set(kept)
    begun = time.monotonic()
    with peak_memory() as memory:
        process(upload)
    assert time.monotonic() - begun < SECONDS
    assert memory.peak < MEMORY
    assert upload.processing_status in case.statuses
    assert_outcomes(upload, case)
    assert {path: path.read_bytes() for path in kept} == kept
    assert everything_below(tmp_path) - everything_below(processed_root) == outside
    assert not list((processed_root / ".staging").iterdir())
    assert_bytes(upload, processed_root)
    if case.patients is not None:
        assert Patient.objects.count() == case.patients


def assert_outcomes(upload, case) -> None:
    rows = list(upload.members.order_by("index", "inner"))
    if case.refused:
        assert upload.failure_reason in case.refused
        assert rows == []
        return
    assert len(rows) == len(case.members)
    for row, expected in zip(rows, case.members, strict=True):
        told = f"{row.outcome}:{row.reason}"
        assert expected.allows(row.outcome, row.reason), f"{expected.name}: {told}"
        assert row.detail or row.outcome == "imported"
        if row.outcome == "imported":
            assert row.sha256 == expected.sha256


def assert_bytes(upload, root: Path) -> None:
    for instance in DICOMInstance.objects.filter(upload=upload):
        file = root / instance.path
        assert file.resolve().is_relative_to(root)
        assert not file.stat().st_mode & 0o111
        assert hashlib.sha256(file.read_bytes()).hexdigest() == instance.sha256
